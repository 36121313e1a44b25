//! Generates the Rust bindings of the SDK from the WIT packages of the platform, and those of the bundled
//! packages that have interfaces of their own.
//!
//! They are kept in the source tree (`sdk/rust/src/bindings`, `plugins/*/src/bindings.rs`), so that an app
//! builds without the generator: it would be most of a guest's build time. A test keeps them equal to the
//! WIT.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_bindgen_core::{Files, WorldGenerator, wit_parser::Resolve};
use wit_bindgen_rust::Opts;

/// One generated file.
pub struct Binding {
    /// The file, in the source tree.
    pub path: PathBuf,
    /// Its text.
    pub source: String,
}

/// What is generated for the SDK: file name, world, and the WIT folders below `wit/`, dependencies first.
///
/// Each interface has a file and a world of its own, so that an app imports what it uses alone.
const WORLDS: &[(&str, &str, &[&str])] = &[
    ("config", "wasi:config/imports", &["deps/config"]),
    ("kv", "cloudware:kv/imports", &["types", "kv"]),
    ("limits", "cloudware:limits/imports", &["limits"]),
    ("logging", "wasi:logging/imports", &["deps/logging"]),
    ("sql", "cloudware:sql/imports", &["types", "sql"]),
];

/// Bundled packages with interfaces of their own: folder, and the world in its `wit/`.
const PACKAGES: &[(&str, &str)] = &[
    ("plugins/ext-fefo", "local:fefo/app"),
    ("plugins/inventory-stock", "inventory:stock/app"),
];

/// The folder of the SDK's files.
const SDK_BINDINGS: &str = "sdk/rust/src/bindings";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Generates every file.
///
/// # Errors
/// Where the WIT can't be read or is not valid; the error names the folder.
pub fn generate() -> Result<Vec<Binding>> {
    let root = repository();
    let sdk = root.join(SDK_BINDINGS);
    let mut bindings = Vec::new();
    for (name, world, folders) in WORLDS {
        let folders: Vec<_> = folders.iter().map(|f| root.join("wit").join(f)).collect();
        bindings.push(Binding {
            path: sdk.join(format!("{name}.rs")),
            source: generate_world(world, &folders, "cloudware-sdk")?,
        });
    }
    for (folder, world) in PACKAGES {
        bindings.push(Binding {
            path: root.join(folder).join("src/bindings.rs"),
            source: generate_world(world, &[root.join(folder).join("wit")], folder)?,
        });
    }
    let modules: String = WORLDS
        .iter()
        .map(|(name, ..)| format!("pub mod {name};\n"))
        .collect();
    bindings.push(Binding {
        path: sdk.join("mod.rs"),
        source: format!(
            "//! Bindings of the imported interfaces, one file each. Generated from the WIT by\n\
             //! `sdk/bindgen`; change the WIT and run that, not these files.\n\n{modules}"
        ),
    });
    Ok(bindings)
}

/// The bindings of a world. `section` makes the name of the custom section that describes it distinct, where
/// a component has several.
fn generate_world(world: &str, folders: &[PathBuf], section: &str) -> Result<String> {
    let mut resolve = Resolve::default();
    let mut packages = Vec::new();
    for folder in folders {
        let (package, _) = resolve
            .push_dir(folder)
            .with_context(|| format!("reading the WIT folder {}", folder.display()))?;
        packages.push(package);
    }
    let package = packages.last().context("a world has a WIT folder")?;
    let name = world.rsplit('/').next();
    let id = resolve
        .select_world(&[*package], name)
        .with_context(|| format!("finding the world {world}"))?;
    let options = Opts {
        format: true,
        generate_all: true,
        type_section_suffix: Some(section.into()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, id, &mut files)?;
    let (_, contents) = files.iter().next().context("the generator wrote a file")?;
    Ok(format!(
        "//! Generated from the world `{world}` by `sdk/bindgen`.\n\n{}",
        std::str::from_utf8(contents)?
    ))
}
