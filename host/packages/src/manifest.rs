//! The manifest `cloudware.toml`: what an app is, what it asks for and why, where its site part is
//! mounted, what it keeps in the private database, and how it is configured.

mod parse;
mod rules;

use std::collections::BTreeMap;

use cloudware_types::{HttpRoute, Limit, Reuse, Slug};
use semver::Version;
use serde::{Deserialize, Serialize};

/// A manifest that obeys all rules. [`Manifest::parse`] makes it from text of strangers;
/// deserialising is for what was stored after parsing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The app's name, unique on the platform.
    pub name: Slug,
    /// The release's version; no build metadata.
    pub version: Version,
    /// What the package is.
    pub kind: Kind,
    /// The product that the app belongs to.
    pub product: Slug,
    /// The title in catalogs, at most [`crate::limits::TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// One paragraph for catalogs; may be empty.
    pub description: String,
    /// How `cloudware build` makes the component, if it does.
    pub build: Option<Build>,
    /// Capabilities asked for, by name, each with the reason that the tenant reads.
    pub capabilities: BTreeMap<String, String>,
    /// How the app answers HTTP, if it does.
    pub http: Option<Http>,
    /// What the app owns in the private database, if it uses it.
    pub database: Option<Database>,
    /// Configuration keys that a tenant may set and the guest reads through `wasi:config`.
    pub config: BTreeMap<String, ConfigKey>,
    /// Limits that the app asks for, each at most the default of its dimension.
    pub limits: BTreeMap<Limit, u64>,
}

/// What a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component that answers requests.
    App,
    /// Implements extension points of other apps.
    Extension,
    /// Adapts a third party.
    Connector,
    /// Generates sites.
    Template,
}

/// How the component is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The language of the source.
    pub language: Language,
    /// Cargo features to build with; Rust only.
    pub features: Vec<String>,
}

/// A source language that `cloudware build` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Rust, for the target `wasm32-wasip2`.
    Rust,
    /// JavaScript, through ComponentizeJS.
    Javascript,
    /// Python, through componentize-py.
    Python,
}

/// How the app answers HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Path prefix in the site: begins with `/` and does not end with it, or just `/`.
    pub mount: String,
    /// Whether a sandbox may serve several requests of the same install.
    pub reuse: Reuse,
}

impl Http {
    /// The route as the gateway takes it.
    #[must_use]
    pub fn route(&self) -> HttpRoute {
        HttpRoute {
            mount: self.mount.clone(),
        }
    }
}

/// What the app owns in the private database of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// The app owns what is named `<namespace>_*`.
    pub namespace: String,
    /// The schema that the release works with: migrations 1 up to and including this one.
    pub schema: u32,
}

/// One configuration key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKey {
    /// The value where the tenant sets none; may be empty.
    pub default: String,
    /// What it does, for the tenant.
    pub description: String,
}

impl Language {
    /// The word in manifests and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
        }
    }
}
