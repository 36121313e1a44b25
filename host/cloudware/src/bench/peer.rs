//! The peer without any sandbox: the same answer from a bare axum handler. What it does beyond that is what
//! every server on this machine must do, so it is the ceiling of `bench hello`.

use std::{io::Write as _, net::Ipv4Addr};

use anyhow::{Context as _, Result};
use axum::{Router, http::header};
use tokio::net::TcpListener;

/// Serves the peer of `bench hello` that has no sandbox.
#[derive(Debug, clap::Args)]
pub(crate) struct PeerArgs {}

impl PeerArgs {
    /// Prints the address on standard output and serves until it is killed.
    ///
    /// # Errors
    /// No free port.
    pub(crate) async fn run(self) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("there is no free port")?;
        let address = listener.local_addr()?;
        writeln!(std::io::stdout(), "{address}")?;
        let router = Router::new()
            .fallback(|| async { ([(header::CONTENT_TYPE, "text/plain")], super::hello::ANSWER) });
        axum::serve(listener, router).await?;
        Ok(())
    }
}
