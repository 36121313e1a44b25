//! The Debian way: compiler, library sources and wasi-libc from Debian packages, and a standard
//! library for the target built from them once. It needs no download server but Debian's.
//!
//! The libc of Debian has no sockets, so `std::net` does not link; guests have none to use anyway.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{INSTALL, TARGET, find, output};
use crate::isv::{
    cache::Cache,
    process,
    progress::{Progress, Step},
};

const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "wasi-libc", "lld"];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

/// Where Debian's wasi-libc is.
const LIBC: &str = "/usr/lib/wasm32-wasi";

/// What a toolchain keeps beside the standard library of a WASI target.
const SELF_CONTAINED: &[&str] = &["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// The crate whose build makes the standard library.
const STD_CRATE: &str = "[package]
name = \"stdonly\"
version = \"0.0.0\"
edition = \"2021\"
[profile.release]
opt-level = 3
panic = \"abort\"
[workspace]
";

/// The compiler that Debian installs.
struct Compiler {
    version: String,
    host: String,
    sysroot: PathBuf,
}

/// What links components: the component linker and the linker that it calls.
struct Linkers {
    component: PathBuf,
    wasm: PathBuf,
}

/// A wrapper of Debian's cargo that builds for the target.
pub(super) async fn guest_cargo(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    if find("apt-get").is_none() {
        bail!("this is no Debian-like system");
    }
    install_packages(progress).await?;
    let step = progress.quiet_step("looking at Debian's compiler");
    let compiler = compiler(&step).await?;
    drop(step);
    let tools = cache.tool("guest-rust");
    let linkers = linkers(&tools, &compiler, progress).await?;
    let root = tools.join(format!("{}-{TARGET}", compiler.version));
    let complete = root.join("complete");
    if !complete.is_file() {
        build_std(&root, &compiler, progress).await?;
        fs::write(&complete, b"")?;
    }
    write_wrappers(&root, &linkers)
}

async fn install_packages(progress: &Progress) -> Result<()> {
    let step = progress.quiet_step("looking for Debian packages");
    let mut missing = Vec::new();
    for package in PACKAGES {
        let arguments = ["-W", "-f", "${Status}", package];
        let status = output(Path::new("dpkg-query"), &arguments, &step).await;
        if !status.is_ok_and(|status| status.contains("ok installed")) {
            missing.push(*package);
        }
    }
    drop(step);
    if missing.is_empty() {
        return Ok(());
    }
    let step = progress.step(format!("installing Debian packages {}", missing.join(" ")));
    // A package list that is out of date only matters if the install fails.
    let _ = process::run(apt_get(&["update"]), INSTALL, &step).await;
    let mut command = apt_get(&["install", "-y", "--no-install-recommends"]);
    command.args(missing);
    process::run(command, INSTALL, &step).await?;
    Ok(())
}

/// apt-get as root; where that needs a password, sudo fails at once and says so.
fn apt_get(arguments: &[&str]) -> tokio::process::Command {
    // The owner of a process's folder is the user that it runs as.
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = if root {
        process::command("apt-get")
    } else {
        let mut command = process::command("sudo");
        command.args(["-n", "apt-get"]);
        command
    };
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

async fn compiler(step: &Step) -> Result<Compiler> {
    let about = output(Path::new(RUSTC), &["-vV"], step).await?;
    let field = |name: &str| {
        about
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
            .with_context(|| format!("{RUSTC} does not tell its {name}"))
    };
    let sysroot = PathBuf::from(output(Path::new(RUSTC), &["--print", "sysroot"], step).await?);
    if !sysroot
        .join("lib/rustlib/src/rust/library/std/Cargo.toml")
        .is_file()
    {
        bail!(
            "the sources of Debian's rust-web-src don't lie under {}",
            sysroot.display()
        );
    }
    Ok(Compiler {
        version: field("release")?,
        host: field("host")?,
        sysroot,
    })
}

/// Prefers those of a rustup toolchain, which are as new as the compiler.
async fn linkers(tools: &Path, compiler: &Compiler, progress: &Progress) -> Result<Linkers> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    let folders: Vec<_> = home
        .and_then(|home| fs::read_dir(home.join("toolchains")).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            entry
                .path()
                .join("lib/rustlib")
                .join(&compiler.host)
                .join("bin")
        })
        .collect();
    let in_folders = |name: &str| {
        folders
            .iter()
            .map(|f| f.join(name))
            .find(|path| path.is_file())
    };
    let wasm = in_folders("gcc-ld/wasm-ld")
        .or_else(|| find("wasm-ld"))
        .context("no wasm-ld was found; install Debian's lld")?;
    let own = tools.join("bin/wasm-component-ld");
    let found = in_folders("wasm-component-ld")
        .or_else(|| find("wasm-component-ld"))
        .or_else(|| own.is_file().then(|| own.clone()));
    if let Some(component) = found {
        return Ok(Linkers { component, wasm });
    }
    let step = progress.step("building the component linker (once, a few minutes)");
    let mut command = process::command(CARGO);
    command
        .args(["install", "--locked", "wasm-component-ld", "--root"])
        .arg(tools);
    process::run(command, INSTALL, &step).await?;
    Ok(Linkers {
        component: own,
        wasm,
    })
}

async fn build_std(root: &Path, compiler: &Compiler, progress: &Progress) -> Result<()> {
    let title = format!(
        "building the standard library {} for {TARGET} (once, a few minutes)",
        compiler.version
    );
    let step = progress.step(title);
    if root.exists() {
        fs::remove_dir_all(root).context("an unfinished toolchain can't be removed")?;
    }
    let work = tempfile::tempdir().context("no temporary folder can be made")?;
    fs::write(work.path().join("Cargo.toml"), STD_CRATE)?;
    fs::create_dir(work.path().join("src"))?;
    fs::write(work.path().join("src/lib.rs"), b"")?;
    let mut command = process::command(CARGO);
    command
        .current_dir(work.path())
        .args([
            "build",
            "--release",
            "-Zbuild-std=std,panic_abort",
            "--target",
            TARGET,
        ])
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // Guests with link-time optimisation need the bitcode of the standard library.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_DIR", work.path().join("target"));
    process::run(command, INSTALL, &step).await?;
    let made = work.path().join("target").join(TARGET).join("release/deps");
    lay_out(root, &made, compiler)
}

/// Lays a sysroot out as the compiler expects it; the host's own part is linked.
fn lay_out(root: &Path, made: &Path, compiler: &Compiler) -> Result<()> {
    let rustlib = root.join("lib/rustlib");
    let libraries = rustlib.join(TARGET).join("lib");
    fs::create_dir_all(libraries.join("self-contained"))?;
    for entry in fs::read_dir(made)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let library = matches!(
            path.extension().and_then(OsStr::to_str),
            Some("rlib" | "rmeta")
        );
        if library && !name.to_string_lossy().contains("stdonly") {
            fs::copy(&path, libraries.join(name))?;
        }
    }
    for name in SELF_CONTAINED {
        let from = Path::new(LIBC).join(name);
        fs::copy(&from, libraries.join("self-contained").join(name))
            .with_context(|| format!("{} can't be copied", from.display()))?;
    }
    for entry in fs::read_dir(compiler.sysroot.join("lib/rustlib"))? {
        let entry = entry?;
        if entry.file_name() != TARGET {
            symlink(entry.path(), rustlib.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Writes `rustc`, the linker and `cargo` as scripts that add the sysroot; returns the cargo.
fn write_wrappers(root: &Path, linkers: &Linkers) -> Result<PathBuf> {
    let bin = root.join("bin");
    fs::create_dir_all(&bin)?;
    let shown = quote(root);
    let rustc = format!(
        "#!/bin/sh\nfor a in \"$@\"; do case $a in --sysroot|--sysroot=*) exec {RUSTC} \"$@\" ;; esac; done\nexec {RUSTC} --sysroot {shown} \"$@\"\n"
    );
    let linker = format!(
        "#!/bin/sh\nexec {} \"$@\" --wasm-ld-path {}\n",
        quote(&linkers.component),
        quote(&linkers.wasm)
    );
    let variable = TARGET.to_uppercase().replace('-', "_");
    let cargo = format!(
        "#!/bin/sh\nexport RUSTC={shown}/bin/rustc CARGO_TARGET_{variable}_LINKER={shown}/bin/wasm-component-ld PATH={shown}/bin:/usr/bin:\"$PATH\"\nunset RUSTUP_TOOLCHAIN\nexec {CARGO} \"$@\"\n"
    );
    for (name, script) in [
        ("rustc", rustc),
        ("wasm-component-ld", linker),
        ("cargo", cargo),
    ] {
        let path = bin.join(name);
        fs::write(&path, script).with_context(|| format!("{} can't be written", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(bin.join("cargo"))
}

/// A path as one word of the shell.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
