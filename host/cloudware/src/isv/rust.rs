//! Rust packages: a crate of type `cdylib`, built by cargo for `wasm32-wasip2`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cloudware_packages::Build;
use serde::Deserialize;

use super::{Context, cache::Cache, process, project::Project, toolchain};

/// The part of cargo's messages that names what it made.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the component. Cargo knows by itself what has not changed.
pub(super) async fn build(
    project: &Project,
    build: &Build,
    cache: &Cache,
    context: &Context,
) -> Result<Vec<u8>> {
    let manifest = project.folder.join("Cargo.toml");
    if !manifest.is_file() {
        bail!(
            "{} is missing. A Rust package is a crate of type `cdylib`.",
            manifest.display()
        );
    }
    let cargo = toolchain::guest_cargo(cache, &context.progress).await?;
    let step = context
        .progress
        .step(format!("compiling {} from Rust", project.manifest.name));
    let mut command = process::command(cargo);
    command
        .current_dir(&project.folder)
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
            "--target",
        ])
        .arg(toolchain::TARGET)
        .arg("--manifest-path")
        .arg(&manifest);
    if !build.features.is_empty() {
        command.arg("--features").arg(build.features.join(","));
    }
    let messages = process::run(command, toolchain::INSTALL, &step).await?;
    let path = component_path(&messages, &manifest)?;
    std::fs::read(&path).with_context(|| format!("{} can't be read", path.display()))
}

/// The file that cargo made of the package itself, not of its dependencies.
fn component_path(messages: &str, manifest: &Path) -> Result<PathBuf> {
    let made = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| {
            message.reason == "compiler-artifact" && message.manifest_path == manifest
        })
        .flat_map(|message| message.filenames)
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
    made.with_context(|| {
        format!(
            "{} made no component. Add `[lib]` with `crate-type = [\"cdylib\"]`.",
            manifest.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_that_of_the_package_itself() {
        let messages = r#"
            {"reason":"compiler-artifact","manifest_path":"/dep/Cargo.toml","filenames":["/t/dep.wasm"]}
            not a message
            {"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/p.d","/t/p.wasm"]}
            {"reason":"build-finished","success":true}"#;
        let path = component_path(messages, Path::new("/p/Cargo.toml")).unwrap();
        assert_eq!(path, Path::new("/t/p.wasm"));
        let none = component_path(messages, Path::new("/q/Cargo.toml")).unwrap_err();
        assert!(none.to_string().contains("cdylib"));
    }
}
