//! The credentials that a host leaves in its data folder for whoever may read it: the address of the API
//! and a token of the operator, as command line tools keep theirs. Readable by the owner alone.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Role;

/// The content of `credentials.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// Base address of the API, such as `http://127.0.0.1:8080`.
    pub(crate) api: String,
    /// A token of the operator.
    pub(crate) operator: String,
    /// A token of the demo's provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// Tokens of the demo's tenants, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tenants: BTreeMap<String, String>,
}

impl Credentials {
    /// The token for a role.
    pub(crate) fn token(self, role: Role) -> String {
        match (role, self.provider) {
            (Role::Provider, Some(provider)) => provider,
            _ => self.operator,
        }
    }

    /// Reads the credentials of a data folder; `None` where there are none yet.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let path = path(data);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("can't read {}", path.display()));
            }
        };
        let credentials = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged: delete it, and new tokens are made",
                path.display()
            )
        })?;
        Ok(Some(credentials))
    }

    /// Writes them in one step, so that a reader never sees half of them.
    pub(crate) fn write(&self, data: &Path) -> Result<()> {
        let path = path(data);
        let new = path.with_extension("json.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .with_context(|| format!("can't write {}", new.display()))?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path).with_context(|| format!("can't write {}", path.display()))
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("credentials.json")
}
