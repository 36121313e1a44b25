//! JavaScript packages: `src/app.js` and the modules that it imports, through ComponentizeJS.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{
    Context,
    cache::{Cache, Inputs, Lock},
    process,
    progress::Progress,
    project::Project,
    wit,
};

/// The compiler's package and version. Its engine has `wasi:http` 0.2.10 built in, which is why the
/// interfaces in `wit/deps` have that version.
const COMPILER: (&str, &str) = ("@bytecodealliance/componentize-js", "0.23.0");

const INSTALL: &str = "Install Node.js 20 or newer, with npm.";

/// The module that exports the world.
const ENTRY: &str = "src/app.js";

/// Builds the component, or takes it from the cache where nothing has changed.
pub(super) async fn build(project: &Project, cache: &Cache, context: &Context) -> Result<Vec<u8>> {
    let entry = project.folder.join(ENTRY);
    if !entry.is_file() {
        bail!(
            "{} is missing. It is where a JavaScript package begins.",
            entry.display()
        );
    }
    let wit = wit::of_project(&project.folder)?;
    let mut inputs = Inputs::default();
    inputs.add(COMPILER.0, COMPILER.1.as_bytes());
    inputs.add_folder(&project.folder.join("src"))?;
    inputs.add_folder(&wit.folder)?;
    let digest = inputs.digest();
    let _lock = cache.lock(&digest.hex()).await?;
    if let Some(component) = cache.component(&digest) {
        return Ok(component);
    }
    let compiler = set_up(cache, &context.progress).await?;
    let step = context.progress.step(format!(
        "compiling {} from JavaScript",
        project.manifest.name
    ));
    let out = tempfile::tempdir().context("no temporary folder can be made")?;
    let path = out.path().join("component.wasm");
    let mut command = process::command("node");
    command
        .current_dir(&project.folder)
        .arg(compiler)
        .arg(ENTRY)
        .arg("--wit")
        .arg(&wit.folder)
        .args(["--world-name", wit::WORLD, "--out"])
        .arg(&path);
    process::run(command, INSTALL, &step).await?;
    let component = std::fs::read(&path).context("the compiler left no component")?;
    cache.keep_component(&digest, &component)?;
    Ok(component)
}

/// The compiler's script, installed on first use.
async fn set_up(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let (package, version) = COMPILER;
    let name = format!("componentize-js-{version}");
    let folder = cache.tool(&name);
    let script = folder.join("node_modules").join(package).join("src/cli.js");
    let _lock: Lock = cache.lock(&name).await?;
    let complete = folder.join("complete");
    if !complete.is_file() {
        install(&folder, &format!("{package}@{version}"), progress).await?;
        std::fs::write(&complete, b"").context("the cache can't be written")?;
    }
    Ok(script)
}

async fn install(folder: &Path, package: &str, progress: &Progress) -> Result<()> {
    let step = progress.step("setting up the JavaScript toolchain (once, about 400 MB)");
    std::fs::create_dir_all(folder).context("the cache can't be written")?;
    // npm installs into the nearest folder that has a package.json.
    std::fs::write(folder.join("package.json"), b"{\"private\":true}\n")?;
    let mut command = process::command("npm");
    command.current_dir(folder).args([
        "install",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        package,
    ]);
    process::run(command, INSTALL, &step)
        .await
        .context("the JavaScript toolchain can't be set up")?;
    Ok(())
}
