//! Packs the sources of the bundled packages into the binary, so that the demo and the benches can be built
//! from source wherever the binary runs.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

/// What is packed, from the root of the repository. Relative paths between them stay as they are.
const SOURCES: &[&str] = &[
    "wit",
    "sdk/rust",
    "plugins",
    "examples/hello-rust",
    "benches/guests",
];

/// Folders that builds leave behind.
const LEFT_BEHIND: &[&str] = &["target", "node_modules", "__pycache__"];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let root = manifest
        .ancestors()
        .nth(2)
        .expect("host/cloudware lies two below the root");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("sources.tar");
    let mut archive = tar::Builder::new(File::create(out).expect("the output folder is writable"));
    archive.follow_symlinks(true);
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        pack(&mut archive, root, source);
    }
    archive.finish().expect("the archive can be written");
    println!("cargo::rustc-env=BUILT_PROFILE={}", profile());
}

/// The name of the build profile, which benches say beside their figures. Cargo tells a build script only
/// whether it is optimised, but puts its output into `<profile>/build/<package>/out`.
fn profile() -> String {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let folder = out.ancestors().nth(3).and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn pack(archive: &mut tar::Builder<File>, root: &Path, source: &str) {
    for file in packed(&root.join(source)) {
        // Files that are added or removed change their folder.
        if file.file_type().is_dir() && !was_built_in(file.path()) {
            println!("cargo::rerun-if-changed={}", file.path().display());
        }
        if file.file_type().is_file() {
            println!("cargo::rerun-if-changed={}", file.path().display());
            let name = file
                .path()
                .strip_prefix(root)
                .expect("it was found below the root");
            archive
                .append_path_with_name(file.path(), name)
                .expect("a source can be packed");
        }
    }
}

/// A folder and everything in it that is packed.
fn packed(folder: &Path) -> impl Iterator<Item = DirEntry> {
    WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !is_left_behind(entry) && !is_hidden(entry))
        .filter_map(Result::ok)
}

/// Whether a build has left something in a folder or below it. Cargo looks at everything below a folder that it is told
/// to watch, and would run this again after every build in there. So what is added beside a `target` folder, or as a
/// package of its own beside others that were built in place, is packed when something else that is packed changes.
fn was_built_in(folder: &Path) -> bool {
    let mut below = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    below.any(|entry| is_left_behind(&entry))
}

fn is_left_behind(entry: &DirEntry) -> bool {
    LEFT_BEHIND.contains(&&*entry.file_name().to_string_lossy())
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}
