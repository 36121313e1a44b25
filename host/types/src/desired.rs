//! Desired state: what the control plane wants the data plane to serve. It crosses from control to
//! the engine and gateway and carries everything that serving needs, so that the data plane
//! goes on when the control database is away.

use std::{collections::BTreeMap, sync::Arc};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    DesiredCall, DesiredPoint, DesiredRecording, Digest, InstallId, InstanceId, Limits, OtherPlans,
    ReleaseId, Slug, TenantId,
};

/// One instance as it should be served. A suspended or archived instance has no installs.
#[derive(Clone, Debug)]
pub struct DesiredInstance {
    /// The instance.
    pub id: InstanceId,
    /// Its name, unique within the tenant.
    pub slug: Slug,
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// The tenant's name, unique on the platform.
    pub tenant_slug: Slug,
    /// Whether this is the instance that the tenant's bare host name serves.
    pub is_default: bool,
    /// Why nothing is served, for people (`the tenant is suspended`); `None` when it is ready.
    pub unavailable: Option<String>,
    /// Limits of the instance as a whole ([`crate::Scope::Instance`] dimensions are read from here).
    pub limits: Arc<Limits>,
    /// The enabled installs, those of [`Self::yanked`] excepted.
    pub installs: Vec<DesiredInstall>,
    /// The enabled installs that are not served because their release was yanked.
    pub yanked: Vec<YankedInstall>,
}

/// An install whose release was taken out of service for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YankedInstall {
    /// The app's name, unique on the platform.
    pub app: Slug,
    /// The release's version.
    pub version: Version,
    /// Where the site would serve it, if the app answers HTTP.
    pub http: Option<HttpRoute>,
    /// Why the release was yanked, in its provider's words.
    pub reason: String,
}

/// One enabled install as it should be served.
#[derive(Clone, Debug)]
pub struct DesiredInstall {
    /// The install.
    pub id: InstallId,
    /// The app's name, unique on the platform.
    pub app: Slug,
    /// The release.
    pub release: ReleaseId,
    /// The release's version.
    pub version: Version,
    /// Digest of the component; names its compiled form.
    pub component: Digest,
    /// Where the site serves it, if the app answers HTTP.
    pub http: Option<HttpRoute>,
    /// Whether sandboxes may serve several requests of this install.
    pub reuse: Reuse,
    /// Capabilities granted: asked by the manifest and consented, by name (`kv`, `sql`).
    pub grants: Vec<String>,
    /// Extension points that its release offers, with the hooks on them.
    pub points: Vec<DesiredPoint>,
    /// Interfaces that it imports from other apps of the instance.
    pub calls: Vec<DesiredCall>,
    /// Apps of the instance that it may call as `http://<app>.internal/`.
    pub dependencies: Vec<Slug>,
    /// Configuration values that the guest can read through `wasi:config`.
    pub config: Arc<BTreeMap<String, String>>,
    /// Prefix of the tables that the app owns in the private database.
    pub database_namespace: Option<String>,
    /// Tables of the app whose use the hooks on [`crate::BEFORE_ACCESS`] and [`crate::AFTER_ACCESS`] decide about.
    pub access_tables: Arc<[Arc<str>]>,
    /// Limits of this install, every level already applied.
    pub limits: Arc<Limits>,
    /// What the install could use under other plans, for those who ask what would have been enough.
    pub other_plans: OtherPlans,
    /// The recording of its calls, where one runs.
    pub recording: Option<Arc<DesiredRecording>>,
}

/// Where and how the site of an instance serves an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    /// Path prefix, beginning with `/` and not ending with it, or just `/`.
    pub mount: String,
}

/// Whether a sandbox serves one request or several of the same install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// A fresh sandbox for each request; nothing is left over from the one before.
    #[default]
    Fresh,
    /// The app keeps state in memory between requests of the same instance, at most this many.
    Warm {
        /// Requests that one sandbox serves before it is thrown away.
        requests_max: u32,
    },
}

/// One step of an app's schema in the private database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Number of the step, from 1 without gaps.
    pub version: u32,
    /// Name of the step, from its file name.
    pub name: String,
    /// SQL that goes from the version before to this one.
    pub up: String,
    /// SQL that goes back, where the app has it.
    pub down: Option<String>,
}
