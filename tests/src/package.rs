//! Packages as bytes: taken apart, changed, written again; also in ways that no tool would write them.

use std::{collections::BTreeMap, fs, path::Path};

const MANIFEST: &str = "cloudware.toml";
const COMPONENT: &str = "component.wasm";

/// The files of a package.
#[derive(Clone, Debug)]
pub struct Package {
    files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    /// The smallest package around a component, with a manifest that mounts it under its name.
    #[must_use]
    pub fn around(name: &str, component: Vec<u8>) -> Self {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nkind = \"app\"\nproduct = \"{name}\"\n\
             title = \"{name}\"\ndescription = \"Made by a test.\"\n\n[http]\nmount = \"/{name}\"\n"
        );
        Self {
            files: BTreeMap::from([
                (MANIFEST.to_owned(), manifest.into_bytes()),
                (COMPONENT.to_owned(), component),
            ]),
        }
    }

    /// The package in an archive.
    ///
    /// # Panics
    /// Where it can't be read.
    #[must_use]
    pub fn open(archive: &Path) -> Self {
        let file = fs::File::open(archive).expect("the archive can be opened");
        let decoder = zstd::Decoder::new(file).expect("the archive is zstd");
        let mut tar = tar::Archive::new(decoder);
        let mut files = BTreeMap::new();
        for entry in tar.entries().expect("the archive is a tar") {
            let mut entry = entry.expect("the tar is whole");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut bytes = Vec::new();
            std::io::copy(&mut entry, &mut bytes).expect("the tar is whole");
            files.insert(path, bytes);
        }
        Self { files }
    }

    /// The same with another file, or another content of one.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }

    /// The same without a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.files.remove(path);
        self
    }

    /// The same with another component.
    #[must_use]
    pub fn with_component(self, component: impl Into<Vec<u8>>) -> Self {
        self.with(COMPONENT, component)
    }

    /// The component.
    ///
    /// # Panics
    /// Where it has none.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        self.files[COMPONENT].clone()
    }

    /// The same with every `from` in the manifest replaced.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    #[must_use]
    pub fn edit(self, from: &str, to: &str) -> Self {
        let manifest = String::from_utf8_lossy(&self.files[MANIFEST]).into_owned();
        assert!(
            manifest.contains(from),
            "the manifest has no `{from}`:\n{manifest}"
        );
        self.with(MANIFEST, manifest.replace(from, to))
    }

    /// The same app under another name, mounted under it.
    #[must_use]
    pub fn renamed(self, from: &str, to: &str) -> Self {
        self.edit(&format!("name = \"{from}\""), &format!("name = \"{to}\""))
            .edit(
                &format!("mount = \"/{from}\""),
                &format!("mount = \"/{to}\""),
            )
    }

    /// The archive.
    #[must_use]
    pub fn archive(&self) -> Vec<u8> {
        let entries = self.files.iter();
        archive_of(entries.map(|(path, bytes)| Entry::file(path, bytes.clone())))
    }
}

/// One entry of an archive, as an attacker would write it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path, at most 100 bytes.
    pub path: String,
    /// What it claims to be.
    pub kind: tar::EntryType,
    /// Where it leads, for links.
    pub link: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// A plain file.
    #[must_use]
    pub fn file(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            kind: tar::EntryType::Regular,
            link: String::new(),
            bytes,
        }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(path: &str, to: &str) -> Self {
        Self {
            kind: tar::EntryType::Symlink,
            link: to.to_owned(),
            ..Self::file(path, Vec::new())
        }
    }
}

/// An archive of these entries in this order, whatever they are.
///
/// # Panics
/// For a path that does not fit into a header.
#[must_use]
pub fn archive_of(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        // The library refuses paths that escape, which is what is to be written here.
        header.as_mut_bytes()[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_mut_bytes()[157..157 + entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, entry.bytes.as_slice())
            .expect("memory can be written");
    }
    let tar = tar.into_inner().expect("memory can be written");
    zstd::encode_all(tar.as_slice(), 3).expect("memory can be written")
}

/// The binary form of a component in text form.
///
/// # Panics
/// Where the text is wrong.
#[track_caller]
#[must_use]
pub fn component(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{error}"),
    }
}
