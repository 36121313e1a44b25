//! What `bench hello` is measured beside: `wasmtime serve` and Spin where they are installed, with the same
//! component, and a handler without any sandbox. A peer that is not found is said to be missing.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::server::{Launch, Server};

/// How long a peer may take to start; it compiles the component first.
const START_MAX: Duration = Duration::from_secs(60);

/// The pool of `wasmtime serve` set as this host sets its own.
const WASMTIME_TUNED: &[&str] = &[
    "-Opooling-allocator=y",
    "-Opooling-memory-keep-resident=524288",
    "-Opooling-table-keep-resident=524288",
    "-Opooling-pagemap-scan=auto",
];

const WASMTIME: Tool = Tool {
    program: "wasmtime",
    variable: "CLOUDWARE_BENCH_WASMTIME",
    install: "`cargo install wasmtime-cli --version 48.0.8 --locked`",
};

const SPIN: Tool = Tool {
    program: "spin",
    variable: "CLOUDWARE_BENCH_SPIN",
    install: "a release of Spin 4, or `cargo install --path .` in its sources",
};

/// The names of the peers, as figures have them.
pub(super) const WASMTIME_DEFAULT: &str = "wasmtime serve";
/// See [`WASMTIME_TUNED`].
pub(super) const WASMTIME_POOLED: &str = "wasmtime serve, tuned";
/// A thousand requests for each instance.
pub(super) const WASMTIME_REUSE: &str = "wasmtime serve, reuse";
/// Spin.
pub(super) const SPIN_UP: &str = "spin up";
/// No sandbox.
pub(super) const AXUM: &str = "axum, no sandbox";

/// A program that people install themselves.
struct Tool {
    program: &'static str,
    variable: &'static str,
    install: &'static str,
}

/// A peer that runs.
pub(super) struct Peer {
    /// Its name in figures.
    pub(super) name: &'static str,
    /// Where it answers `/`.
    pub(super) address: SocketAddr,
    /// The process.
    pub(super) server: Server,
}

/// A peer that could not be had.
pub(super) struct Missing {
    /// Its name in figures.
    pub(super) name: &'static str,
    /// Why, and what to do.
    pub(super) why: String,
}

/// Starts every peer of a component that is wanted and there, on one core. `work` is a folder of this
/// component alone.
pub(super) fn start(
    component: &Path,
    work: &Path,
    core: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Peer>, Vec<Missing>)> {
    let mut peers = Vec::new();
    let mut missing = Vec::new();
    let reuse = ["--max-instance-reuse-count=1000"];
    let modes: [(&'static str, &[&str]); 3] = [
        (WASMTIME_DEFAULT, &[]),
        (WASMTIME_POOLED, WASMTIME_TUNED),
        (WASMTIME_REUSE, &reuse),
    ];
    for (name, options) in modes.into_iter().filter(|(name, _)| wanted(name)) {
        match WASMTIME.find() {
            Ok(program) => peers.push(wasmtime(name, &program, options, component, core)?),
            Err(why) => missing.push(Missing { name, why }),
        }
    }
    match SPIN.find() {
        _ if !wanted(SPIN_UP) => {}
        Ok(program) => peers.push(spin(&program, component, work, core)?),
        Err(why) => missing.push(Missing { name: SPIN_UP, why }),
    }
    Ok((peers, missing))
}

impl Tool {
    /// The program: where the variable says, or on the path.
    fn find(&self) -> Result<PathBuf, String> {
        if let Some(named) = env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let named = PathBuf::from(named);
            if named.is_file() {
                return Ok(named);
            }
            return Err(format!(
                "{} names {}, which is no file",
                self.variable,
                named.display()
            ));
        }
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders)
            .map(|folder| folder.join(self.program))
            .find(|program| program.is_file())
            .ok_or_else(|| {
                format!(
                    "`{}` is not on the PATH and {} is not set; install it with {}",
                    self.program, self.variable, self.install
                )
            })
    }
}

/// Starts the peer that has no sandbox.
pub(super) fn axum(core: usize) -> Result<Peer> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("bench-peer");
    launch(AXUM, command, core, bare_address)
}

fn wasmtime(
    name: &'static str,
    program: &Path,
    options: &[&str],
    component: &Path,
    core: usize,
) -> Result<Peer> {
    let mut command = Command::new(program);
    command
        .arg("serve")
        .arg("--addr=127.0.0.1:0")
        // Guests of the standard library import more of WASI than HTTP.
        .arg("-Scli")
        .args(options)
        .arg(component);
    launch(name, command, core, address_in_url)
}

fn spin(program: &Path, component: &Path, work: &Path, core: usize) -> Result<Peer> {
    let folder = work.join("spin");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    fs::copy(component, folder.join("hello.wasm")).context("the component can't be copied")?;
    let manifest = folder.join("spin.toml");
    let text = "spin_manifest_version = 2\n\n\
        [application]\nname = \"bench\"\nversion = \"1.0.0\"\n\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\n\
        [component.hello]\nsource = \"hello.wasm\"\n";
    fs::write(&manifest, text)
        .with_context(|| format!("{} can't be written", manifest.display()))?;
    let mut command = Command::new(program);
    command
        .args(["up", "--listen=127.0.0.1:0", "--state-dir"])
        .arg(folder.join("state"))
        .arg("--from")
        .arg(manifest)
        .current_dir(&folder);
    launch(SPIN_UP, command, core, address_in_url)
}

fn launch(
    name: &'static str,
    command: Command,
    core: usize,
    ready: fn(&str) -> Option<SocketAddr>,
) -> Result<Peer> {
    let launch = Launch {
        name,
        command,
        core: Some(core),
        ready,
        within: START_MAX,
    };
    let (server, address, _) = launch.start()?;
    Ok(Peer {
        name,
        address,
        server,
    })
}

/// A line that is nothing but an address.
fn bare_address(line: &str) -> Option<SocketAddr> {
    line.parse().ok()
}

/// The address in the first URL of a line, as `Serving HTTP on http://127.0.0.1:8080/`.
fn address_in_url(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest
        .find(|c: char| c == '/' || c.is_whitespace())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_servers_say() {
        let address = Some("127.0.0.1:4567".parse().unwrap());
        assert_eq!(
            address_in_url("Serving HTTP on http://127.0.0.1:4567/"),
            address
        );
        assert_eq!(address_in_url("Serving http://127.0.0.1:4567"), address);
        assert_eq!(
            address_in_url("  hello: http://127.0.0.1:4567 (wildcard)"),
            address
        );
        assert_eq!(address_in_url("see http://example.org/"), None);
        assert_eq!(bare_address("127.0.0.1:4567"), address);
        assert_eq!(bare_address("ready"), None);
    }

    #[test]
    fn a_missing_peer_says_how_to_get_it() {
        let tool = Tool {
            program: "a-program-that-nobody-has",
            variable: "CLOUDWARE_BENCH_A_PROGRAM_THAT_NOBODY_HAS",
            install: "`cargo install it`",
        };
        let why = tool.find().unwrap_err();
        assert!(
            why.contains("cargo install it") && why.contains(tool.variable),
            "{why}"
        );
    }
}
