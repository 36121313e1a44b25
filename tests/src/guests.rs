//! Packages built from source by `cloudware build`, once for all tests of a source.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use cloudware_types::Digest;
use walkdir::WalkDir;

use crate::{Binary, Package};

/// The source of a package of this repository.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    folder: &'static str,
    manifest: &'static str,
}

impl Source {
    /// Misbehaves as the path of the request says; uses no capability.
    pub const ADVERSARY: Self = Self::at("tests/guests/adversary");
    /// Does to the capabilities what the request says.
    pub const STATE: Self = Self::at("tests/guests/state");
    /// Answers `hello`.
    pub const HELLO: Self = Self::at("tests/guests/hello");
    /// Answers `hello`, as a component of WASI 0.3.
    pub const HELLO_P3: Self = Self::at("tests/guests/hello-p3");
    /// Asks its extension points, as its path says.
    pub const HOOKS_APP: Self = Self::at("tests/guests/hooks-app");
    /// Fills every extension point of [`Self::HOOKS_APP`], and misbehaves as it is told.
    pub const HOOKS_EXT: Self = Self::at("tests/guests/hooks-ext");
    /// Fills an extension point with another type.
    pub const HOOKS_OTHER: Self = Self::at("tests/guests/hooks-other");
    /// A hook that asks hooks of its own.
    pub const HOOKS_OUTER: Self = Self::at("tests/guests/hooks-outer");
    /// Fills an extension point and reads whatever can differ from run to run.
    pub const HOOKS_READER: Self = Self::at("tests/guests/hooks-reader");
    /// Calls [`Self::HOOKS_APP`] by its typed interface and by HTTP.
    pub const HOOKS_CALLER: Self = Self::at("tests/guests/hooks-caller");
    /// Is told what [`Self::STOCK_1_2`] booked, and asks it how much there is.
    pub const STOCK_FOLLOWER: Self = Self::at("tests/guests/stock-follower");
    /// Decides about the data of other apps, as it is configured.
    pub const ACCESS_EXT: Self = Self::at("tests/guests/access-ext");
    /// The smallest package in Rust.
    pub const HELLO_RUST: Self = Self::at("examples/hello-rust");
    /// The smallest package in JavaScript.
    pub const HELLO_JS: Self = Self::at("examples/hello-js");
    /// The smallest package in Python.
    pub const HELLO_PYTHON: Self = Self::at("examples/hello-python");
    /// Stock keeping, first release.
    pub const STOCK: Self = Self::at("plugins/inventory-stock");
    /// Stock keeping, second release.
    pub const STOCK_1_1: Self = Self {
        manifest: "cloudware-1.1.toml",
        ..Self::STOCK
    };
    /// Stock keeping, third release: with extension points.
    pub const STOCK_1_2: Self = Self {
        manifest: "cloudware-1.2.toml",
        ..Self::STOCK
    };
    /// Picks what expires first, in Rust.
    pub const EXT_FEFO: Self = Self::at("plugins/ext-fefo");
    /// Reads GS1 barcodes, in JavaScript.
    pub const EXT_GS1_BARCODE: Self = Self::at("plugins/ext-gs1-barcode");
    /// Refuses goods in quarantine, in Python.
    pub const EXT_QUARANTINE: Self = Self::at("plugins/ext-quarantine");

    const fn at(folder: &'static str) -> Self {
        Self {
            folder,
            manifest: "cloudware.toml",
        }
    }

    /// The folder of the source.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        root().join(self.folder)
    }

    /// The manifest, relative to the folder.
    #[must_use]
    pub fn manifest(self) -> &'static str {
        self.manifest
    }

    /// The package, see [`Source::built`].
    pub async fn package(self, binary: Binary) -> Package {
        Package::open(&self.built(binary).await)
    }

    /// The archive, built where no test has built it yet from the same source with the same binary.
    ///
    /// # Panics
    /// Where the source can't be read or built.
    pub async fn built(self, binary: Binary) -> PathBuf {
        let name = format!(
            "{}-{}",
            self.folder.replace('/', "-"),
            self.manifest.trim_end_matches(".toml")
        );
        let folder = binary.cache().join("packages");
        let _lock = lock(folder.join(format!("{name}.lock"))).await;
        let built = folder.join(format!("{name}-{}", &self.digest(binary).hex()[..16]));
        if let Some(archive) = archive_in(&built) {
            return archive;
        }
        let output = binary
            .command()
            .arg("build")
            .arg(self.folder())
            .args(["--manifest", self.manifest, "--out"])
            .arg(&built)
            // One folder for all: what they have in common is compiled once.
            .env("CARGO_TARGET_DIR", binary.cache().join("guests"))
            .output()
            .await
            .expect("the binary can be run");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} can't be built:\n{told}",
            self.folder
        );
        archive_in(&built).expect("a build that succeeds leaves its archive")
    }

    /// Names the source, what it is built with, and what builds it.
    fn digest(self, binary: Binary) -> Digest {
        let mut text = Vec::new();
        for folder in [self.folder, "sdk/rust", "wit"] {
            add_folder(&mut text, &root().join(folder));
        }
        let metadata = fs::metadata(binary.path()).expect("the binary is there");
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        text.extend(format!("{modified:?} {}", metadata.len()).into_bytes());
        Digest::of(&text)
    }
}

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("this crate lies in the repository")
}

fn add_folder(text: &mut Vec<u8>, folder: &Path) {
    let sources = WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            !["target", "dist", "node_modules", "__pycache__"].contains(&&*name)
        })
        .map(|entry| entry.expect("the sources can be read"));
    for source in sources.filter(|entry| entry.file_type().is_file()) {
        let bytes = fs::read(source.path()).expect("a source can be read");
        text.extend(source.path().to_string_lossy().as_bytes());
        text.extend(Digest::of(&bytes).as_bytes());
    }
}

fn archive_in(folder: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).ok()?.flatten().map(|file| file.path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "cwp"))
}

/// Keeps tests in other processes from building the same thing, until it is dropped.
async fn lock(path: PathBuf) -> File {
    let locked = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(path.parent().expect("a lock lies in a folder"))?;
        let file = File::create(path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    let locked = locked.await.expect("locking does not panic");
    locked.expect("the target folder can be written")
}
