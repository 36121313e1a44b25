//! Package store: archives and components by digest, in `object_store`. What was acknowledged is on
//! disk; what is read is checked against its digest.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use cloudware_types::Digest;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};

/// Archives and components by digest. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PackageStore {
    objects: Arc<dyn ObjectStore>,
}

/// Why a package could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PackageStoreError {
    /// The directory can't be used.
    #[error("the package directory {dir} cannot be used: {source}", dir = dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading or writing failed.
    #[error("{what} {digest}: {source}")]
    Object {
        /// `archive` or `component`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: object_store::Error,
    },
    /// The bytes on disk are not the ones that were stored.
    #[error(
        "{what} {digest} is damaged: its bytes have the digest {found}; push the release again or restore a backup"
    )]
    Damaged {
        /// `archive` or `component`.
        what: &'static str,
        /// The digest under which it was stored.
        digest: Digest,
        /// The digest that the bytes have.
        found: Digest,
    },
}

impl PackageStore {
    /// A package store in a local directory, which is created if absent.
    ///
    /// # Errors
    /// [`PackageStoreError::Directory`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, PackageStoreError> {
        let dir = dir.into();
        let failed = |dir: PathBuf, source: Box<dyn std::error::Error + Send + Sync>| {
            PackageStoreError::Directory { dir, source }
        };
        if let Err(error) = std::fs::create_dir_all(&dir) {
            return Err(failed(dir, error.into()));
        }
        match LocalFileSystem::new_with_prefix(&dir) {
            Ok(objects) => Ok(Self {
                objects: Arc::new(objects.with_fsync(true)),
            }),
            Err(error) => Err(failed(dir, error.into())),
        }
    }

    /// The archive of a release.
    ///
    /// # Errors
    /// [`PackageStoreError::Object`] if it is absent or unreadable, [`PackageStoreError::Damaged`].
    pub async fn archive(&self, digest: &Digest) -> Result<Bytes, PackageStoreError> {
        self.get("archive", digest).await
    }

    /// The component of a release.
    ///
    /// # Errors
    /// As [`Self::archive`].
    pub async fn component(&self, digest: &Digest) -> Result<Bytes, PackageStoreError> {
        self.get("component", digest).await
    }

    pub(crate) async fn put_archive(
        &self,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), PackageStoreError> {
        self.put("archive", digest, bytes).await
    }

    pub(crate) async fn put_component(
        &self,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), PackageStoreError> {
        self.put("component", digest, bytes).await
    }

    async fn get(&self, what: &'static str, digest: &Digest) -> Result<Bytes, PackageStoreError> {
        let failed = |source| PackageStoreError::Object {
            what,
            digest: *digest,
            source,
        };
        let object = self.objects.get(&location(what, digest)).await;
        let bytes = object.map_err(failed)?.bytes().await.map_err(failed)?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(PackageStoreError::Damaged {
                what,
                digest: *digest,
                found,
            })
        }
    }

    /// Overwrites what is there, so that pushing a release again repairs a damaged store.
    async fn put(
        &self,
        what: &'static str,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), PackageStoreError> {
        let location = location(what, digest);
        match self.objects.put(&location, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(PackageStoreError::Object {
                what,
                digest: *digest,
                source,
            }),
        }
    }
}

/// Two characters of the digest as a folder keep every folder small.
fn location(what: &'static str, digest: &Digest) -> Path {
    let hex = digest.hex();
    Path::from_iter([what, &hex[..2], &hex])
}
