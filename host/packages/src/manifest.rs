//! The manifest `cloudware.toml`: what an app is, what it asks for and why, where its site part is
//! mounted, what it keeps in the private database, how it is configured, which extension points it offers
//! and fills, and which other apps it works with.

mod composition;
mod parse;
mod rules;

use std::collections::BTreeMap;

use cloudware_types::{HttpRoute, Limit, OnFailure, PointKind, Reuse, Slug};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::InterfaceName;

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
    /// Tables whose use hooks may decide about, each with why a tenant may want to restrict it. The points for that are
    /// among [`Self::extension_points`].
    #[serde(default)]
    pub access: BTreeMap<String, String>,
    /// Configuration keys that a tenant may set and the guest reads through `wasi:config`.
    pub config: BTreeMap<String, ConfigKey>,
    /// Limits that the app asks for, each at most the default of its dimension.
    pub limits: BTreeMap<Limit, u64>,
    /// Extension points that the app offers, by name.
    #[serde(default)]
    pub extension_points: BTreeMap<Slug, ExtensionPoint>,
    /// How the package fills extension points of other apps, if it does.
    #[serde(default)]
    pub extension: Option<Extension>,
    /// Apps of the same instance that it may call as `http://<app>.internal/`, each with the reason that the
    /// tenant reads.
    #[serde(default)]
    pub dependencies: BTreeMap<Slug, String>,
    /// Interfaces that it imports from other apps of the same instance, each with the reason.
    #[serde(default)]
    pub calls: BTreeMap<InterfaceName, String>,
    /// Interfaces that it exports for the calls of other apps, each with what it does.
    #[serde(default)]
    pub services: BTreeMap<InterfaceName, String>,
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

/// An interface of the app's own package that the app imports and extensions fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExtensionPoint {
    /// The interface.
    pub interface: InterfaceName,
    /// What the point is for.
    pub kind: PointKind,
    /// What it decides or tells, for those who write extensions and for tenants.
    pub description: String,
    /// What happens when a hook on it fails, where nobody chose otherwise for the hook; one of
    /// [`PointKind::policies`].
    pub on_failure: OnFailure,
    /// Wall time of one call of a hook in milliseconds, where nobody chose otherwise.
    pub deadline_ms: u64,
    /// Fuel of one call of a hook whatever its arguments, where nobody chose otherwise.
    pub fuel: u64,
    /// Further fuel for each element of the lists in the arguments, where nobody chose otherwise.
    pub fuel_per_item: u64,
}

/// How a package fills extension points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Whether a sandbox may serve several calls of the same install.
    pub reuse: Reuse,
    /// Interfaces that it exports for extension points, each with what it does there; at least one.
    pub implements: BTreeMap<InterfaceName, String>,
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
