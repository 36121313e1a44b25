//! From TOML to [`Manifest`], collecting every problem on the way.

use std::collections::BTreeMap;

use cloudware_types::{Limit, Reuse, Scope, parse_quantity};
use semver::Version;
use toml::{Table, Value};

use super::{
    Build, ConfigKey, Database, Http, Kind, Language, Manifest,
    composition::{self, Composition},
    rules,
};
use crate::{
    MANIFEST, Problem, Problems, access,
    limits::{
        BUILD_FEATURES_MAX, CONFIG_KEYS_MAX, MANIFEST_BYTES_MAX, MIGRATIONS_MAX,
        REUSE_REQUESTS_MAX, TEXT_CHARS_MAX, TITLE_CHARS_MAX,
    },
    section::{Section, check_text, expect_text, quantity_text, wrong_type},
};

pub(super) const SLUG_FIX: &str = "Choose a name such as `inventory-stock`.";

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Everything that is wrong with it at once; a text that is not TOML has one problem, with line
    /// and column.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(Problem::new(
                "manifest-too-large",
                MANIFEST,
                format!("The manifest has {} bytes.", text.len()),
                format!("Use at most {MANIFEST_BYTES_MAX}."),
            )
            .into());
        }
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            Problem::new(
                "manifest-syntax",
                format!("{MANIFEST}: {}", position(text, error.span())),
                format!("This is not TOML: {}.", error.message()),
                "Correct the line.",
            )
        })?;
        let mut problems = Problems::new();
        let manifest = manifest(table, &mut problems);
        problems.into_result(manifest)
    }
}

fn position(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {line}, column {column}")
}

fn manifest(table: Table, problems: &mut Problems) -> Option<Manifest> {
    let mut root = Section::root(table);
    let head = match root.section("package", problems) {
        Some(section) => package(section, problems),
        None => {
            problems.push(root.missing("package"));
            None
        }
    };
    let build = root
        .section("build", problems)
        .and_then(|s| build(s, problems));
    let capabilities = root
        .table("capabilities", problems)
        .map_or_else(BTreeMap::new, |t| capabilities(t, problems));
    let name = head.as_ref().map(|head| head.name.to_string());
    let http = root
        .section("http", problems)
        .and_then(|s| http(s, name.as_deref(), problems));
    let database = root
        .section("database", problems)
        .and_then(|s| database(s, problems));
    let config = root
        .table("config", problems)
        .map_or_else(BTreeMap::new, |t| config(t, problems));
    let limits = root
        .table("limits", problems)
        .map_or_else(BTreeMap::new, |t| limits(t, problems));
    let composition = Composition::take(&mut root, problems);
    root.finish(problems);
    let mut manifest = Manifest {
        build,
        capabilities,
        http,
        database,
        config,
        limits,
        access: composition.access,
        extension_points: composition.points,
        extension: composition.extension,
        dependencies: composition.dependencies,
        calls: composition.calls,
        services: composition.services,
        ..head?
    };
    access::offer(&mut manifest, problems);
    rules::check(&manifest, problems);
    composition::check(&manifest, problems);
    Some(manifest)
}

/// The `[package]` table; the other parts are still empty.
fn package(mut section: Section, problems: &mut Problems) -> Option<Manifest> {
    let name = section.required_parsed("name", SLUG_FIX, problems);
    let version =
        section.required_parsed::<Version>("version", "Write a version such as `1.0.0`.", problems);
    let kind = section.required_text("kind", TITLE_CHARS_MAX, problems);
    let kind = kind.and_then(|kind| rules::kind(&kind, &section.place("kind"), problems));
    let product = section.required_parsed("product", SLUG_FIX, problems);
    let title = section.required_text("title", TITLE_CHARS_MAX, problems);
    let description = section.text("description", TEXT_CHARS_MAX, problems);
    let version_place = section.place("version");
    section.finish(problems);
    let version = version.filter(|version| rules::version(version, &version_place, problems));
    Some(Manifest {
        name: name?,
        version: version?,
        kind: kind.unwrap_or(Kind::App),
        product: product?,
        title: title?,
        description: description.unwrap_or_default(),
        build: None,
        capabilities: BTreeMap::new(),
        http: None,
        database: None,
        config: BTreeMap::new(),
        limits: BTreeMap::new(),
        access: BTreeMap::new(),
        extension_points: BTreeMap::new(),
        extension: None,
        dependencies: BTreeMap::new(),
        calls: BTreeMap::new(),
        services: BTreeMap::new(),
    })
}

fn build(mut section: Section, problems: &mut Problems) -> Option<Build> {
    let language = section.required_text("language", TITLE_CHARS_MAX, problems);
    let place = section.place("language");
    let language = language.and_then(|text| rules::language(&text, &place, problems));
    let place = section.place("features");
    let values = section.list("features", problems);
    section.finish(problems);
    if values.len() > BUILD_FEATURES_MAX {
        problems.push(Problem::new(
            "invalid-value",
            &place,
            format!("There are {} features.", values.len()),
            format!("Name at most {BUILD_FEATURES_MAX}."),
        ));
    }
    let features: Vec<_> = values
        .into_iter()
        .take(BUILD_FEATURES_MAX)
        .filter_map(|value| {
            let feature = expect_text(value, &place, problems)?;
            rules::feature(&feature, &place, problems).then_some(feature)
        })
        .collect();
    if !features.is_empty() && language.is_some_and(|l| l != Language::Rust) {
        problems.push(Problem::new(
            "invalid-value",
            &place,
            "Only Rust has features.",
            "Remove them.",
        ));
    }
    Some(Build {
        language: language?,
        features,
    })
}

fn capabilities(table: Table, problems: &mut Problems) -> BTreeMap<String, String> {
    table
        .into_iter()
        .filter_map(|(name, value)| {
            let at = format!("{MANIFEST}: capabilities.{name}");
            let reason = expect_text(value, &at, problems)?;
            let reason = check_text(reason, TEXT_CHARS_MAX, &at, problems)?;
            Some((name, reason))
        })
        .collect()
}

fn http(mut section: Section, name: Option<&str>, problems: &mut Problems) -> Option<Http> {
    let place = section.place("mount");
    let mount = section
        .text("mount", usize::MAX, problems)
        .or_else(|| name.map(|name| format!("/{name}")));
    let reuse = section.number("reuse", 1..=REUSE_REQUESTS_MAX, problems);
    section.finish(problems);
    let mount = mount.filter(|mount| rules::mount(mount, &place, problems))?;
    let reuse = reuse.map_or(Reuse::Fresh, |requests_max| Reuse::Warm { requests_max });
    Some(Http { mount, reuse })
}

fn database(mut section: Section, problems: &mut Problems) -> Option<Database> {
    let place = section.place("namespace");
    let namespace = section.required_text("namespace", usize::MAX, problems);
    let namespace = namespace.filter(|name| rules::namespace(name, &place, problems));
    let missing = section.missing("schema");
    let before = problems.iter().count();
    let schema = section.number("schema", 0..=MIGRATIONS_MAX, problems);
    if schema.is_none() && problems.iter().count() == before {
        problems.push(missing);
    }
    section.finish(problems);
    Some(Database {
        namespace: namespace?,
        schema: schema?,
    })
}

fn config(table: Table, problems: &mut Problems) -> BTreeMap<String, ConfigKey> {
    if table.len() > CONFIG_KEYS_MAX {
        problems.push(Problem::new(
            "invalid-value",
            format!("{MANIFEST}: config"),
            format!("There are {} configuration keys.", table.len()),
            format!("Use at most {CONFIG_KEYS_MAX}; keep more in the database."),
        ));
    }
    table
        .into_iter()
        .take(CONFIG_KEYS_MAX)
        .filter_map(|(name, value)| {
            let at = format!("{MANIFEST}: config.{name}");
            if !rules::config_name(&name, &at, problems) {
                return None;
            }
            let Value::Table(table) = value else {
                problems.push(wrong_type(
                    &at,
                    &value,
                    "a table with `default` and `description`",
                ));
                return None;
            };
            config_key(Section::nested("config", &name, table), problems).map(|key| (name, key))
        })
        .collect()
}

fn config_key(mut section: Section, problems: &mut Problems) -> Option<ConfigKey> {
    let place = section.place("default");
    let missing = section.missing("default");
    let default = match section.any("default") {
        Some(value) => expect_text(value, &place, problems),
        None => {
            problems.push(missing);
            None
        }
    };
    let default = default.filter(|value| rules::config_value(value, &place, problems));
    let description = section.required_text("description", TEXT_CHARS_MAX, problems);
    section.finish(problems);
    Some(ConfigKey {
        default: default?,
        description: description?,
    })
}

fn limits(table: Table, problems: &mut Problems) -> BTreeMap<Limit, u64> {
    table
        .into_iter()
        .filter_map(|(name, value)| {
            let at = format!("{MANIFEST}: limits.{name}");
            match limit(&name, &value) {
                Ok(limit) => Some(limit),
                Err((message, fix)) => {
                    problems.push(Problem::new("invalid-limit", at, message, fix));
                    None
                }
            }
        })
        .collect()
}

fn limit(name: &str, value: &Value) -> Result<(Limit, u64), (String, &'static str)> {
    let limit: Limit = name
        .parse()
        .map_err(|error| (format!("{error}."), "Use one of these names."))?;
    if limit.scope() != Scope::Invocation {
        let message = format!("`{name}` limits a whole instance, which an app can't lower.");
        return Err((message, "Remove it; an admin sets it as a quota."));
    }
    let quantity = parse_quantity(limit, &quantity_text(value))
        .map_err(|error| (format!("{error}."), "Correct the quantity."))?;
    if quantity > limit.default_value() {
        let message = format!(
            "{quantity} is more than the default {}.",
            limit.default_value()
        );
        return Err((
            message,
            "An app can only ask for less; an admin raises a quota.",
        ));
    }
    Ok((limit, quantity))
}
