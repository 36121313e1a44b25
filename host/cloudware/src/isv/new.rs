//! `cloudware new`: a project that builds anywhere, with everything from the platform that it needs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use cloudware_packages::Language;
use cloudware_types::Slug;
use include_dir::{Dir, DirEntry, include_dir};
use serde::Serialize;

use super::{Context, wit};

static RUST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/rust");
static JAVASCRIPT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/javascript");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/python");
static RUST_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/rust");

/// Where a Rust project keeps its copy of the SDK.
const VENDORED_SDK: &str = "vendor/cloudware-sdk";

/// Ends the names of template files, which are written without it and with names filled in.
const TEMPLATE_SUFFIX: &str = ".template";

/// Makes a new package that builds and answers HTTP.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The folder to make; it must not exist or be empty.
    folder: PathBuf,
    /// The language of the source.
    #[arg(long, value_enum)]
    language: LanguageArg,
    /// The app's name [default: the folder's name].
    #[arg(long)]
    name: Option<Slug>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LanguageArg {
    Rust,
    #[value(alias = "js")]
    Javascript,
    Python,
}

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a Path,
    name: &'a Slug,
    language: Language,
}

impl NewArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A folder that is in use or can't be written, or a name that is none.
    #[expect(clippy::unused_async, reason = "commands are run alike")]
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.folder)?,
        };
        let language = match self.language {
            LanguageArg::Rust => Language::Rust,
            LanguageArg::Javascript => Language::Javascript,
            LanguageArg::Python => Language::Python,
        };
        make(&self.folder, &name, language)?;
        let text = format!(
            "Made {name} in {folder}.\nNext: cloudware build {folder}",
            folder = self.folder.display()
        );
        let made = Made {
            folder: &self.folder,
            name: &name,
            language,
        };
        context.print(&text, &made)
    }
}

fn name_of(folder: &Path) -> Result<Slug> {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    name.parse().with_context(|| {
        format!("The folder's name can't be the app's: give another with --name (`{name}`).")
    })
}

fn make(folder: &Path, name: &Slug, language: Language) -> Result<()> {
    let in_use = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if in_use || folder.is_file() {
        bail!(
            "{} exists and is not empty. Name another folder.",
            folder.display()
        );
    }
    match language {
        Language::Rust => {
            write_template(&RUST, folder, name)?;
            wit::write_dir(&RUST_SDK, &folder.join(VENDORED_SDK))
        }
        Language::Javascript => {
            write_template(&JAVASCRIPT, folder, name)?;
            wit::write_deps(&folder.join("wit/deps"))
        }
        Language::Python => {
            write_template(&PYTHON, folder, name)?;
            wit::write_deps(&folder.join("wit/deps"))
        }
    }
}

/// Writes a template; in files that end with the suffix the name is filled in.
fn write_template(dir: &Dir<'_>, to: &Path, name: &Slug) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} can't be made", to.display()))?;
    for entry in dir.entries() {
        let file_name = entry.path().file_name().expect("an entry has a name");
        let file_name = file_name.to_string_lossy();
        match entry {
            DirEntry::Dir(dir) => write_template(dir, &to.join(&*file_name), name)?,
            DirEntry::File(file) => {
                let filled = file_name
                    .strip_suffix(TEMPLATE_SUFFIX)
                    .zip(file.contents_utf8())
                    .map(|(target, text)| (target, text.replace("{{name}}", name.as_str())));
                let (target, bytes) = match &filled {
                    Some((target, text)) => (*target, text.as_bytes()),
                    None => (&*file_name, file.contents()),
                };
                let path = to.join(target);
                fs::write(&path, bytes)
                    .with_context(|| format!("{} can't be written", path.display()))?;
            }
        }
    }
    Ok(())
}
