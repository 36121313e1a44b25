//! A whole platform for a bench: this executable as a child process, reached over its API alone.

use std::{env, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Launch, Server};
use crate::client::Client;

/// Who publishes the bench's packages.
const PROVIDER: &str = "bench";

/// The tenant that uses them.
pub(super) const TENANT: &str = "bench";

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
pub(super) fn start(data: &Path, content: Content, core: Option<usize>) -> Result<Started> {
    let mut command = Command::new(env::current_exe()?);
    // What is set up for another platform does not concern this one. The cache folder does.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CLOUDWARE_") && text != "CLOUDWARE_CACHE_DIR" {
            command.env_remove(&name);
        }
    }
    command
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
    pub(super) async fn start(data: &Path, core: Option<usize>) -> Result<Self> {
        let Started {
            server,
            ready_after,
            announced,
        } = tokio::task::block_in_place(|| start(data, Content::Kept, core))?;
        let operator = Client::new(&announced.api, Some(announced.tokens.operator))?;
        let body = json!({ "slug": PROVIDER, "title": "Benches" });
        operator
            .find_or_create("/providers", PROVIDER, &body)
            .await?;
        let body = json!({ "slug": TENANT, "title": "Benches" });
        operator.find_or_create("/tenants", TENANT, &body).await?;
        let platform = Self {
            server,
            api: announced.api,
            ready_after,
            operator,
        };
        platform.raise_quota().await?;
        Ok(platform)
    }

    /// Admission has a token bucket and a counter; at their largest they do the same work and refuse nothing.
    async fn raise_quota(&self) -> Result<()> {
        use cloudware_types::Dimension::{Concurrency, RequestRate};
        let limits = [Concurrency, RequestRate].map(|limit| (limit.name(), limit.bounds().1));
        let mut body: serde_json::Map<String, Value> = limits
            .map(|(name, most)| (name.to_owned(), json!(most)))
            .into_iter()
            .collect();
        body.insert(
            "reason".to_owned(),
            json!("a bench measures serving, not refusing"),
        );
        let path = format!("/tenants/{TENANT}/quota");
        self.operator.patch(&path, &Value::Object(body)).await?;
        Ok(())
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

    /// Makes an instance.
    pub(super) async fn create_instance(&self, slug: &str) -> Result<()> {
        let path = format!("/tenants/{TENANT}/instances");
        self.operator.post(&path, &json!({ "slug": slug })).await?;
        Ok(())
    }

    /// Enables an app in an instance, and gives the path of its root on this platform.
    pub(super) async fn enable(&self, instance: &str, app: &str) -> Result<String> {
        let path = format!("/tenants/{TENANT}/instances/{instance}/installs");
        let install = self.operator.post(&path, &json!({ "app": app })).await?;
        let path = install["path"]
            .as_str()
            .context("the install has no path")?;
        // The mount without its slash is redirected to the root, which is not what is measured.
        Ok(format!("{}/", path.trim_end_matches('/')))
    }
}
