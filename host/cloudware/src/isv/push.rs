//! `cloudware push`: sends an archive to a platform's catalog.

use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use cloudware_types::{Digest, Slug};
use futures_util::stream;
use reqwest::Body;

use super::{
    Context,
    check::{archive_path, read_archive},
    progress::Step,
};
use crate::client::Client;

/// Bytes sent at a time; small enough that the bar moves.
const CHUNK_BYTES: usize = 64 << 10;

/// Publishes a built package on a platform.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// A package's folder or an archive.
    #[arg(default_value = ".")]
    package: PathBuf,
    /// The manifest, relative to the folder [default: cloudware.toml].
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// The provider to push for, where the token is an operator's.
    #[arg(long)]
    provider: Option<Slug>,
}

impl PushArgs {
    /// The provider that is pushed for, where the command names one.
    pub(crate) fn provider(&self) -> Option<&Slug> {
        self.provider.as_ref()
    }

    /// Runs the command.
    ///
    /// # Errors
    /// A platform that can't be reached, or that refuses: with every reason that it gives.
    pub(crate) async fn run(self, context: &Context, client: &Client) -> Result<()> {
        let path = archive_path(&self.package, self.manifest.as_deref())?;
        let archive = Bytes::from(read_archive(&path)?);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let digest = Digest::of(&archive);
        let step = context
            .progress
            .bytes(format!("pushing {name}"), archive.len() as u64);
        let provider = self.provider.as_ref().map(Slug::as_str);
        let answer = client
            .push_body(digest, body(archive, step), provider)
            .await?;
        context.print(&format!("Pushed {name} ({digest})."), &answer)
    }
}

/// The archive in chunks; each moves the bar when it is taken.
fn body(archive: Bytes, step: Step) -> Body {
    let chunks = stream::unfold((archive, step), |(mut rest, step)| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        step.advance(chunk.len() as u64);
        Some((Ok::<_, std::io::Error>(chunk), (rest, step)))
    });
    Body::wrap_stream(chunks)
}
