//! `cloudware build`: from a source folder to a verified archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cloudware_packages::{Language, Source, accept, pack};
use cloudware_types::Digest;
use serde::Serialize;

use super::{
    Context,
    cache::{self, Cache},
    context::refused,
    javascript,
    project::Project,
    python, rust,
};

/// Builds the package in a folder.
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// The package's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The manifest, relative to the folder [default: cloudware.toml].
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Where to put the archive [default: dist/ in the folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What to build.
#[derive(Clone, Debug)]
pub(crate) struct BuildRequest<'a> {
    /// The package's folder.
    pub(crate) folder: &'a Path,
    /// The manifest, relative to the folder; `None` is `cloudware.toml`.
    pub(crate) manifest: Option<&'a Path>,
    /// Where to put the archive; `None` is `dist/` in the folder.
    pub(crate) out: Option<&'a Path>,
}

/// A package that was built and that this version of the platform would take.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Built {
    /// The app.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The archive's size.
    pub(crate) bytes: u64,
    /// The archive's digest.
    pub(crate) digest: Digest,
    /// The component's digest.
    pub(crate) component: Digest,
}

impl BuildArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the package can't be built, or would be refused.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let request = BuildRequest {
            folder: &self.folder,
            manifest: self.manifest.as_deref(),
            out: self.out.as_deref(),
        };
        let built = build_package(&request, context).await?;
        context.print(&built.archive.display().to_string(), &built)
    }
}

/// Builds a package, setting up its toolchain where needed, and verifies it.
///
/// # Errors
/// A missing tool with what to install, a compiler's errors, or every problem of the package.
pub(crate) async fn build_package(request: &BuildRequest<'_>, context: &Context) -> Result<Built> {
    let project = Project::open(request.folder, request.manifest)?;
    let Some(build) = &project.manifest.build else {
        bail!(
            "{} has no [build], so there is nothing to build. Add it with `language = \"rust\"`, \"javascript\" or \"python\".",
            project.folder.display()
        );
    };
    let cache = Cache::open()?;
    let component = match build.language {
        Language::Rust => rust::build(&project, build, &cache, context).await?,
        Language::Javascript => javascript::build(&project, &cache, context).await?,
        Language::Python => python::build(&project, &cache, context).await?,
    };
    let step = context
        .progress
        .step(format!("packing {}", project.archive_name()));
    let host = context.host.clone();
    let (folder, text) = (project.folder.clone(), project.text.clone());
    let packed = tokio::task::spawn_blocking(move || {
        let archive = pack(Source {
            folder: &folder,
            manifest: &text,
            component,
        })?;
        let (package, verified) = accept(&archive, None, &host)?;
        Ok((archive, package, verified))
    });
    let (archive, package, verified) = packed
        .await?
        .map_err(|problems| refused(&project.archive_name(), &problems))?;
    drop(step);
    context.warn(&verified.warnings);
    let path = match request.out {
        Some(folder) => folder.join(project.archive_name()),
        None => project.archive(),
    };
    cache::write_whole(&path, &archive).context("the archive can't be written")?;
    Ok(Built {
        name: package.manifest.name.to_string(),
        version: package.manifest.version.to_string(),
        archive: path,
        bytes: archive.len() as u64,
        digest: package.digest,
        component: package.component_digest,
    })
}
