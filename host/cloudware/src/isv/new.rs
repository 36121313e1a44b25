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

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
static RUST_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/rust");

/// Where a Rust project keeps its copy of the SDK.
const VENDORED_SDK: &str = "vendor/cloudware-sdk";

/// Where a project keeps the interfaces of others.
const WIT_DEPS: &str = "wit/deps";

/// The interfaces of the app whose extension point the templates of extensions fill, in every language.
const EXAMPLE_INTERFACES: &str = "extension/interfaces";

/// Calls of that extension point with what they give, in every language.
const EXAMPLE_CALLS: &str = "extension/calls";

/// Ends the names of template files, which are written without it and with names filled in.
const TEMPLATE_SUFFIX: &str = ".template";

/// Makes a new package that builds: an app that answers HTTP, or an extension of another app.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The folder to make; it must not exist or be empty.
    folder: PathBuf,
    /// The language of the source.
    #[arg(long, value_enum)]
    language: LanguageArg,
    /// What it is.
    #[arg(long, value_enum, default_value_t = KindArg::App)]
    kind: KindArg,
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

/// What can be begun with a template.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum KindArg {
    /// Answers HTTP.
    App,
    /// Fills an extension point of another app.
    Extension,
}

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a Path,
    name: &'a Slug,
    kind: KindArg,
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
        make(&self.folder, &name, self.kind, language)?;
        let text = format!(
            "Made {name} in {folder}.\nNext: cloudware build {folder}",
            folder = self.folder.display()
        );
        let made = Made {
            folder: &self.folder,
            name: &name,
            kind: self.kind,
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

fn make(folder: &Path, name: &Slug, kind: KindArg, language: Language) -> Result<()> {
    let in_use = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if in_use || folder.is_file() {
        bail!(
            "{} exists and is not empty. Name another folder.",
            folder.display()
        );
    }
    write_template(template(kind, language), folder, name)?;
    if kind == KindArg::Extension {
        let interfaces = TEMPLATES.get_dir(EXAMPLE_INTERFACES);
        let interfaces = interfaces.expect("the templates of extensions have an example");
        wit::write_dir(interfaces, &folder.join(WIT_DEPS))?;
        wit::write_access(&folder.join(WIT_DEPS))?;
        let calls = TEMPLATES.get_dir(EXAMPLE_CALLS);
        let calls = calls.expect("the templates of extensions have calls");
        wit::write_dir(calls, &folder.join(super::test::FOLDER))?;
    }
    match language {
        Language::Rust => wit::write_dir(&RUST_SDK, &folder.join(VENDORED_SDK)),
        Language::Javascript | Language::Python => wit::write_deps(&folder.join(WIT_DEPS)),
    }
}

fn template(kind: KindArg, language: Language) -> &'static Dir<'static> {
    let kind = match kind {
        KindArg::App => "app",
        KindArg::Extension => "extension",
    };
    let path = format!("{kind}/{}", language.name());
    TEMPLATES
        .get_dir(path)
        .expect("every kind has a template in every language")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_template_in_every_language() {
        for kind in [KindArg::App, KindArg::Extension] {
            for language in [Language::Rust, Language::Javascript, Language::Python] {
                let folder = tempfile::tempdir().unwrap();
                let project = folder.path().join("made");
                make(&project, &"made".parse().unwrap(), kind, language).unwrap();
                let manifest = fs::read_to_string(project.join("cloudware.toml")).unwrap();
                assert!(manifest.contains("name = \"made\""), "{manifest}");
                let has_example = project.join("wit/deps/example-shop/shop.wit").is_file();
                assert_eq!(has_example, kind == KindArg::Extension);
                let has_access = project.join("wit/deps/access/access.wit").is_file();
                assert!(has_access || kind == KindArg::App);
            }
        }
    }
}
