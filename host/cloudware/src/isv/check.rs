//! `cloudware check`: what a platform of this version would say about an archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cloudware_packages::{
    HttpHandler, InterfaceShape, Package, PointShape, Verified, accept, limits::ARCHIVE_BYTES_MAX,
};
use serde::Serialize;

use super::{Context, context::refused, project::Project};

/// Checks a built package as a platform would.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// A package's folder or an archive.
    #[arg(default_value = ".")]
    package: PathBuf,
    /// The manifest, relative to the folder [default: cloudware.toml].
    #[arg(long)]
    manifest: Option<PathBuf>,
}

#[derive(Serialize)]
struct Checked<'a> {
    name: &'a str,
    version: String,
    digest: String,
    component: String,
    capabilities: &'a [String],
    http: Option<HttpHandler>,
    points: &'a [PointShape],
    implements: &'a [InterfaceShape],
    calls: &'a [InterfaceShape],
    services: &'a [InterfaceShape],
    migrations: usize,
    files: usize,
    warnings: &'a [cloudware_packages::Problem],
}

impl CheckArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Every problem of the package.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let path = archive_path(&self.package, self.manifest.as_deref())?;
        let archive = read_archive(&path)?;
        let step = context
            .progress
            .step(format!("checking {}", path.display()));
        let host = context.host.clone();
        let checked = tokio::task::spawn_blocking(move || accept(&archive, None, &host)).await?;
        drop(step);
        let (package, verified) =
            checked.map_err(|problems| refused(&path.display().to_string(), &problems))?;
        context.warn(&verified.warnings);
        context.print(&summary(&package, &verified), &as_json(&package, &verified))
    }
}

fn summary(package: &Package, verified: &Verified) -> String {
    let capabilities = match verified.capabilities.as_slice() {
        [] => "no capability".to_owned(),
        some => some.join(", "),
    };
    let mount = match &package.manifest.http {
        Some(http) => format!("answers HTTP at {}", http.mount),
        None => "answers no HTTP".to_owned(),
    };
    let mut lines = vec![format!(
        "{} {} is good: it {mount}, uses {capabilities}, has {} migrations and {} files.",
        package.manifest.name,
        package.manifest.version,
        package.migrations.len(),
        package.files.len(),
    )];
    lines.extend(verified.points.iter().map(|point| {
        format!(
            "extension point {} ({}): {}",
            point.name, point.kind, point.interface
        )
    }));
    for (what, interfaces) in [
        ("fills", &verified.implements),
        ("calls", &verified.calls),
        ("serves", &verified.services),
    ] {
        lines.extend(
            interfaces
                .iter()
                .map(|shape| format!("{what} {}", shape.interface)),
        );
    }
    lines.push(package.digest.to_string());
    lines.join("\n")
}

fn as_json<'a>(package: &'a Package, verified: &'a Verified) -> Checked<'a> {
    Checked {
        name: package.manifest.name.as_str(),
        version: package.manifest.version.to_string(),
        digest: package.digest.to_string(),
        component: package.component_digest.to_string(),
        capabilities: &verified.capabilities,
        http: verified.http,
        points: &verified.points,
        implements: &verified.implements,
        calls: &verified.calls,
        services: &verified.services,
        migrations: package.migrations.len(),
        files: package.files.len(),
        warnings: &verified.warnings,
    }
}

/// The archive itself, or the one that was built in a folder from the manifest as it is now.
pub(crate) fn archive_path(path: &Path, manifest: Option<&Path>) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if !path.exists() {
        bail!(
            "{} does not exist. Name a package's folder or an archive.",
            path.display()
        );
    }
    let project = Project::open(path, manifest)?;
    let archive = project.archive();
    if !archive.is_file() {
        bail!(
            "{} was not built yet. Run `cloudware build {}` first.",
            project.archive_name(),
            path.display()
        );
    }
    if let Ok(package) = cloudware_packages::read_file(&archive, None)
        && package.manifest_text != project.text
    {
        bail!(
            "{} was built from an older manifest. Run `cloudware build {}` again.",
            archive.display(),
            path.display()
        );
    }
    Ok(archive)
}

/// The bytes of an archive that is not larger than any platform takes.
pub(crate) fn read_archive(path: &Path) -> Result<Vec<u8>> {
    let unreadable = || format!("{} can't be read", path.display());
    let bytes = std::fs::metadata(path).with_context(unreadable)?.len();
    if bytes > ARCHIVE_BYTES_MAX {
        bail!(
            "{} has {bytes} bytes; an archive has at most {ARCHIVE_BYTES_MAX}.",
            path.display()
        );
    }
    std::fs::read(path).with_context(unreadable)
}
