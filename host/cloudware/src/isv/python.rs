//! Python packages: `src/app.py` and the modules beside it, through componentize-py.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{
    Context,
    cache::{Cache, Inputs},
    process,
    progress::Progress,
    project::Project,
    wit,
};

/// The compiler's package and version.
const COMPILER: (&str, &str) = ("componentize-py", "0.25.1");

const INSTALL: &str = "Install Python 3.10 or newer, with its modules venv and pip.";

/// The module that exports the world, without its extension.
const ENTRY: &str = "app";

/// Builds the component, or takes it from the cache where nothing has changed.
pub(super) async fn build(project: &Project, cache: &Cache, context: &Context) -> Result<Vec<u8>> {
    let source = project.folder.join("src");
    let entry = source.join(ENTRY).with_extension("py");
    if !entry.is_file() {
        bail!(
            "{} is missing. It is where a Python package begins.",
            entry.display()
        );
    }
    let wit = wit::of_project(&project.folder)?;
    let work = tempfile::tempdir().context("no temporary folder can be made")?;
    // The compiler runs the app once, which leaves bytecode beside the sources: give it a copy.
    let copied = work.path().join("src");
    copy_modules(&source, &copied)?;
    let mut inputs = Inputs::default();
    inputs.add(COMPILER.0, COMPILER.1.as_bytes());
    inputs.add_folder(&copied)?;
    inputs.add_folder(&wit.folder)?;
    let digest = inputs.digest();
    let _lock = cache.lock(&digest.hex()).await?;
    if let Some(component) = cache.component(&digest) {
        return Ok(component);
    }
    let compiler = set_up(cache, &context.progress).await?;
    let step = context
        .progress
        .step(format!("compiling {} from Python", project.manifest.name));
    let path = work.path().join("component.wasm");
    let mut command = process::command(compiler);
    command
        .current_dir(work.path())
        .arg("--wit-path")
        .arg(&wit.folder)
        .args(["--world", wit::WORLD, "componentize", "--python-path"])
        .arg(&copied)
        .arg("--output")
        .arg(&path)
        .arg(ENTRY);
    process::run(command, INSTALL, &step).await?;
    let component = std::fs::read(&path).context("the compiler left no component")?;
    cache.keep_component(&digest, &component)?;
    Ok(component)
}

/// Copies a source folder without hidden files and bytecode.
fn copy_modules(from: &Path, to: &Path) -> Result<()> {
    let wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "__pycache__")
    };
    for entry in walkdir::WalkDir::new(from).into_iter().filter_entry(wanted) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(&target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("{} can't be read", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The compiler, installed into an environment of its own on first use.
async fn set_up(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let (package, version) = COMPILER;
    let name = format!("{package}-{version}");
    let folder = cache.tool(&name);
    let _lock = cache.lock(&name).await?;
    let complete = folder.join("complete");
    if !complete.is_file() {
        install(&folder, &format!("{package}=={version}"), progress)
            .await
            .context("the Python toolchain can't be set up")?;
        std::fs::write(&complete, b"").context("the cache can't be written")?;
    }
    Ok(folder.join("bin").join(package))
}

async fn install(folder: &Path, package: &str, progress: &Progress) -> Result<()> {
    let step = progress.step("setting up the Python toolchain (once, about 80 MB)");
    let mut command = process::command("python3");
    command.args(["-m", "venv", "--clear"]).arg(folder);
    process::run(command, INSTALL, &step)
        .await
        .context(INSTALL)?;
    let mut command = process::command(folder.join("bin/python3"));
    command.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        package,
    ]);
    process::run(command, INSTALL, &step).await?;
    Ok(())
}
