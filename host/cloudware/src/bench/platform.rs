//! A whole platform for a bench: this executable as a child process, reached over its API alone.

use std::{env, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use cloudware_types::{Class, Dimension, Limit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Launch, Server};
use crate::client::Client;

/// Who publishes the bench's packages.
const PROVIDER: &str = "bench";

/// The tenant that uses them, where one is enough.
const TENANT: &str = "bench";

/// How long a start may take. The first one of the demo builds its packages, and where a toolchain must
/// be set up, that as well.
const START_MAX: Duration = Duration::from_secs(1_800);

/// A platform that runs, with the bench's provider and tenant in it.
pub(super) struct Platform {
    /// The process.
    pub(super) server: Server,
    /// Base address.
    pub(super) api: String,
    /// How long it took from the start of the process to its announcement.
    pub(super) ready_after: Duration,
    operator: Client,
}

/// A setting of the platform: the name of its variable, and the value.
pub(super) type Setting = (&'static str, String);

/// A tenant of a platform.
pub(super) struct Tenant<'a> {
    platform: &'a Platform,
    slug: String,
}

/// What a bench needs of the announcement.
#[derive(Deserialize)]
struct Announced {
    api: String,
    tokens: Tokens,
}

#[derive(Deserialize)]
struct Tokens {
    operator: String,
}

/// What is to be in a platform.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// What its data folder has.
    Kept,
    /// The demo too.
    Demo,
}

/// A platform that has been started and not been used.
pub(super) struct Started {
    pub(super) server: Server,
    pub(super) ready_after: Duration,
    announced: Announced,
}

/// Starts a platform on a data folder.
pub(super) fn start(
    data: &Path,
    content: Content,
    core: Option<usize>,
    settings: &[Setting],
) -> Result<Started> {
    let mut command = Command::new(env::current_exe()?);
    // What is set up for another platform does not concern this one. The cache folder does.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CLOUDWARE_") && text != "CLOUDWARE_CACHE_DIR" {
            command.env_remove(&name);
        }
    }
    command
        .envs(settings.iter().cloned())
        .arg("up")
        .arg("--data")
        .arg(data)
        .args(["--listen", "127.0.0.1:0", "--output", "json"]);
    if content == Content::Demo {
        command.arg("--demo");
    }
    let launch = Launch {
        name: "cloudware up",
        command,
        core,
        ready: |line| serde_json::from_str::<Announced>(line).ok(),
        within: START_MAX,
    };
    let (server, announced, ready_after) = launch.start()?;
    Ok(Started {
        server,
        ready_after,
        announced,
    })
}

impl Platform {
    /// Starts a platform and makes the bench's provider and tenant, whose requests are never refused.
    pub(super) async fn start(
        data: &Path,
        core: Option<usize>,
        settings: &[Setting],
    ) -> Result<Self> {
        let platform = Self::open(data, core, settings).await?;
        platform.tenant(TENANT).await?.raise_quota().await?;
        Ok(platform)
    }

    /// Starts a platform and makes the bench's provider.
    pub(super) async fn open(
        data: &Path,
        core: Option<usize>,
        settings: &[Setting],
    ) -> Result<Self> {
        let Started {
            server,
            ready_after,
            announced,
        } = tokio::task::block_in_place(|| start(data, Content::Kept, core, settings))?;
        let operator = Client::new(&announced.api, Some(announced.tokens.operator))?;
        let body = json!({ "slug": PROVIDER, "title": "Benches" });
        operator
            .find_or_create("/providers", PROVIDER, &body)
            .await?;
        Ok(Self {
            server,
            api: announced.api,
            ready_after,
            operator,
        })
    }

    /// Where its sockets are.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let address = self.api.strip_prefix("http://");
        address
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("`{}` is not an address on this machine", self.api))
    }

    /// Publishes a package.
    pub(super) async fn push(&self, archive: &[u8]) -> Result<()> {
        let archive = bytes::Bytes::copy_from_slice(archive);
        self.operator.push(archive, Some(PROVIDER)).await?;
        Ok(())
    }

    /// A tenant, made where it is not there yet.
    pub(super) async fn tenant(&self, slug: &str) -> Result<Tenant<'_>> {
        let body = json!({ "slug": slug, "title": "Benches" });
        self.operator
            .find_or_create("/tenants", slug, &body)
            .await?;
        Ok(self.known_tenant(slug))
    }

    /// Makes an instance of the bench's tenant.
    pub(super) async fn create_instance(&self, slug: &str) -> Result<()> {
        self.own().create_instance(slug).await
    }

    /// Enables an app in an instance of the bench's tenant, and gives the path of its root on this platform.
    pub(super) async fn enable(&self, instance: &str, app: &str) -> Result<String> {
        self.own().enable(instance, app).await
    }

    /// The API, as the operator.
    pub(super) fn operator(&self) -> &Client {
        &self.operator
    }

    /// The path of an instance of the bench's tenant in the API.
    pub(super) fn instance(instance: &str) -> String {
        format!("/tenants/{TENANT}/instances/{instance}")
    }

    fn own(&self) -> Tenant<'_> {
        self.known_tenant(TENANT)
    }

    /// A tenant that is there.
    pub(super) fn known_tenant(&self, slug: &str) -> Tenant<'_> {
        Tenant {
            platform: self,
            slug: slug.to_owned(),
        }
    }

    /// Posts JSON to an app's site.
    pub(super) async fn post_to(&self, path: &str, body: &Value) -> Result<()> {
        let site = Client::new(&self.api, None)?;
        site.post_to(path, body).await?;
        Ok(())
    }
}

impl Tenant<'_> {
    /// Sets every limit to its largest value, so that each does its work and refuses nothing. The share of the
    /// processors stays: it is no limit but a proportion.
    pub(super) async fn raise_quota(&self) -> Result<()> {
        let limits = Limit::all().iter().filter(|limit| {
            limit.class() == Class::Request && limit.dimension() != Dimension::CpuWeight
        });
        let mut body: serde_json::Map<String, Value> = limits
            .map(|limit| (limit.name().to_owned(), json!(limit.bounds().1)))
            .collect();
        body.insert(
            "reason".to_owned(),
            json!("a bench measures serving, not refusing"),
        );
        let path = format!("/tenants/{}/quota", self.slug);
        let operator = &self.platform.operator;
        operator.patch(&path, &Value::Object(body)).await?;
        Ok(())
    }

    /// Makes an instance.
    pub(super) async fn create_instance(&self, slug: &str) -> Result<()> {
        let path = format!("/tenants/{}/instances", self.slug);
        let operator = &self.platform.operator;
        operator.post(&path, &json!({ "slug": slug })).await?;
        Ok(())
    }

    /// Enables an app in an instance, and gives the path of its root on this platform.
    pub(super) async fn enable(&self, instance: &str, app: &str) -> Result<String> {
        let path = format!("/tenants/{}/instances/{instance}/installs", self.slug);
        let operator = &self.platform.operator;
        let install = operator.post(&path, &json!({ "app": app })).await?;
        let path = install["path"]
            .as_str()
            .context("the install has no path")?;
        // The mount without its slash is redirected to the root, which is not what is measured.
        Ok(format!("{}/", path.trim_end_matches('/')))
    }
}
