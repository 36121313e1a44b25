//! Finds or sets up what builds Rust guests: a cargo whose compiler has the target `wasm32-wasip2`.
//!
//! In order: the installed toolchain, if it has the target; `rustup target add`; and where rustup
//! can't download, a Debian toolchain with a standard library built once into the user's cache.

mod debian;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    cache::Cache,
    process,
    progress::{Progress, Step},
};

/// The target of Rust guests.
pub(super) const TARGET: &str = "wasm32-wasip2";

/// What to do where there is no Rust at all.
pub(super) const INSTALL: &str =
    "Install Rust (rustup with the target wasm32-wasip2, or Debian's rustc-web and cargo-web).";

/// Chooses a way: `auto`, `rustup` or `debian`.
const WAY_VARIABLE: &str = "CLOUDWARE_GUEST_TOOLCHAIN";

/// How long rustup may take; the target has 20 MB.
const RUSTUP_TIME_MAX: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Auto,
    Rustup,
    Debian,
}

/// A cargo that builds for [`TARGET`].
pub(super) async fn guest_cargo(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let way = way()?;
    let _lock = cache.lock("guest-toolchain").await?;
    if way != Way::Debian {
        if let Some(cargo) = installed(progress).await {
            return Ok(cargo);
        }
        match add_with_rustup(progress).await {
            Ok(cargo) => return Ok(cargo),
            Err(error) if way == Way::Rustup => return Err(error),
            Err(error) => progress.say(&format!("rustup can't provide {TARGET}: {error:#}")),
        }
    }
    debian::guest_cargo(cache, progress).await.with_context(|| {
        format!("No Rust toolchain for {TARGET} was found, and none could be set up. {INSTALL}")
    })
}

fn way() -> Result<Way> {
    match std::env::var(WAY_VARIABLE).as_deref() {
        Err(_) | Ok("" | "auto") => Ok(Way::Auto),
        Ok("rustup") => Ok(Way::Rustup),
        Ok("debian") => Ok(Way::Debian),
        Ok(other) => bail!("{WAY_VARIABLE} is `{other}`; it must be auto, rustup or debian."),
    }
}

/// The cargo on the path, if its compiler has the target's standard library.
async fn installed(progress: &Progress) -> Option<PathBuf> {
    find("cargo")?;
    let step = progress.quiet_step("looking for a Rust toolchain");
    let mut command = process::command("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = process::run(command, INSTALL, &step).await.ok()?;
    let has_core = std::fs::read_dir(libraries.trim())
        .ok()?
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("libcore-")
        });
    has_core.then(|| PathBuf::from("cargo"))
}

async fn add_with_rustup(progress: &Progress) -> Result<PathBuf> {
    if find("rustup").is_none() {
        bail!("rustup is not installed");
    }
    let step = progress.step(format!("adding the Rust target {TARGET}"));
    let mut command = process::command("rustup");
    command.args(["target", "add", TARGET]);
    process::run_within(RUSTUP_TIME_MAX, command, INSTALL, &step).await?;
    drop(step);
    installed(progress)
        .await
        .context("rustup added the target, and the compiler does not have it")
}

/// A program on the path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The trimmed output of a program.
async fn output(program: &Path, arguments: &[&str], step: &Step) -> Result<String> {
    let mut command = process::command(program);
    command.args(arguments);
    Ok(process::run(command, INSTALL, step)
        .await?
        .trim()
        .to_owned())
}
