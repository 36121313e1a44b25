//! Compiled code on disk, keyed by the component's digest and the engine's settings. Compiled code is
//! trusted code: each file carries a MAC under a key of this host, checked before it is loaded, so
//! that a file from elsewhere or a damaged one is compiled anew and never run.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cloudware_types::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wasmtime::{Engine, component::Component};

/// The folder of compiled code of one engine configuration.
#[derive(Debug)]
pub(crate) struct CodeCache {
    dir: PathBuf,
    key: [u8; 32],
}

const KEY_FILE: &str = "key";

impl CodeCache {
    /// Opens the cache of `engine` under `root`, making folders and the key when missing.
    pub(crate) fn open(root: &Path, engine: &Engine) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let dir = root.join(format!("{:016x}", hasher.finish()));
        fs::create_dir_all(&dir)?;
        fs::set_permissions(root, Permissions::from_mode(0o700))?;
        Ok(Self {
            dir,
            key: read_or_make_key(&root.join(KEY_FILE))?,
        })
    }

    /// Loads the compiled form of a component, if a genuine one is there.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        match self.open_file(engine, digest)? {
            Ok(component) => Some(component),
            Err(error) => {
                let path = self.code_path(digest);
                tracing::warn!(path = %path.display(), %error, "compiled code can't be loaded and is made anew");
                None
            }
        }
    }

    /// As [`CodeCache::load`], with the engine's words where it does not take what is there.
    pub(crate) fn open_file(
        &self,
        engine: &Engine,
        digest: &Digest,
    ) -> Option<wasmtime::Result<Component>> {
        let (code, mac) = (self.code_path(digest), self.mac_path(digest));
        let expected = fs::read(mac).ok()?;
        let bytes = fs::read(&code).ok()?;
        if !bool::from(self.mac(digest, &bytes).ct_eq(&expected)) {
            tracing::warn!(path = %code.display(), "compiled code fails its check and is made anew");
            return None;
        }
        drop(bytes);
        // SAFETY: `deserialize_file` needs a file that this engine's `serialize` wrote and that
        // nobody changes while it is mapped. The MAC shows that a process with this host's key wrote
        // these bytes for this engine's settings; the folder is writable by this user alone, and
        // files in it are only ever replaced by renaming, never written in place.
        Some(unsafe { Component::deserialize_file(engine, &code) })
    }

    /// Stores the compiled form of a component, which this host's own compiler wrote.
    pub(crate) fn store(&self, digest: &Digest, compiled: &[u8]) -> io::Result<()> {
        let mac = self.mac(digest, compiled);
        self.replace(&self.code_path(digest), compiled)?;
        self.replace(&self.mac_path(digest), &mac)
    }

    /// Removes what is stored of a component, as far as it can be removed.
    pub(crate) fn remove(&self, digest: &Digest) {
        for path in [self.mac_path(digest), self.code_path(digest)] {
            let _ = fs::remove_file(path);
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn mac(&self, digest: &Digest, bytes: &[u8]) -> Vec<u8> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(digest.as_bytes());
        mac.update(bytes);
        mac.finalize().into_bytes().to_vec()
    }

    fn code_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.cwasm", digest.hex()))
    }

    fn mac_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.mac", digest.hex()))
    }
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    match fs::read(path).map(<[u8; 32]>::try_from) {
        Ok(Ok(key)) => return Ok(key),
        Ok(Err(_)) => tracing::warn!(
            path = %path.display(),
            "the key of compiled code is damaged; a new one is made, and code is compiled anew"
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    write_key(options.open(path)?)
}

fn write_key(mut file: File) -> io::Result<[u8; 32]> {
    let key: [u8; 32] = rand::random();
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}
