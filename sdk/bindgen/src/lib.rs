//! Generates the Rust bindings of the SDK from the WIT packages of the platform.
//!
//! They are kept in the source tree (`sdk/rust/src/bindings`), so that an app builds without the
//! generator: it would be most of a guest's build time. A test keeps them equal to the WIT.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_bindgen_core::{Files, WorldGenerator, wit_parser::Resolve};
use wit_bindgen_rust::Opts;

/// One generated file.
pub struct Binding {
    /// Name of the file below `sdk/rust/src/bindings`.
    pub file: String,
    /// Its text.
    pub source: String,
}

/// What is generated: file name, world, and the WIT folders below `wit/`, dependencies first.
///
/// Each interface has a file and a world of its own, so that an app imports what it uses alone.
const WORLDS: &[(&str, &str, &[&str])] = &[
    ("config", "wasi:config/imports", &["deps/config"]),
    ("kv", "cloudware:kv/imports", &["types", "kv"]),
    ("limits", "cloudware:limits/imports", &["limits"]),
    ("logging", "wasi:logging/imports", &["deps/logging"]),
    ("sql", "cloudware:sql/imports", &["types", "sql"]),
];

/// The folder of the generated files.
#[must_use]
pub fn bindings_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rust/src/bindings")
}

/// Generates every file.
///
/// # Errors
/// Where the WIT can't be read or is not valid; the error names the folder.
pub fn generate() -> Result<Vec<Binding>> {
    let mut bindings: Vec<Binding> = WORLDS
        .iter()
        .map(|(name, world, folders)| generate_world(name, world, folders))
        .collect::<Result<_>>()?;
    let modules: String = WORLDS
        .iter()
        .map(|(name, ..)| format!("pub mod {name};\n"))
        .collect();
    bindings.push(Binding {
        file: "mod.rs".into(),
        source: format!(
            "//! Bindings of the imported interfaces, one file each. Generated from the WIT by\n\
             //! `sdk/bindgen`; change the WIT and run that, not these files.\n\n{modules}"
        ),
    });
    Ok(bindings)
}

fn generate_world(name: &str, world: &str, folders: &[&str]) -> Result<Binding> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut resolve = Resolve::default();
    let mut packages = Vec::new();
    for folder in folders {
        let (package, _) = resolve
            .push_dir(wit.join(folder))
            .with_context(|| format!("reading the WIT folder {folder}"))?;
        packages.push(package);
    }
    let package = packages.last().context("a world has a WIT folder")?;
    let world_name = world.rsplit('/').next();
    let world = resolve
        .select_world(&[*package], world_name)
        .with_context(|| format!("finding the world {world}"))?;
    let options = Opts {
        format: true,
        generate_all: true,
        type_section_suffix: Some("cloudware-sdk".into()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    let (_, contents) = files.iter().next().context("the generator wrote a file")?;
    Ok(Binding {
        file: format!("{name}.rs"),
        source: format!(
            "//! Generated from the world `{}` by `sdk/bindgen`.\n\n{}",
            WORLDS.iter().find(|w| w.0 == name).map_or("", |w| w.1),
            std::str::from_utf8(contents)?
        ),
    })
}
