//! Migrations of a package: files `migrations/0001_name.up.sql` with optional `….down.sql`, numbered
//! from 1 without gaps.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloudware_types::Migration;

use crate::{
    MANIFEST, Problem, Problems,
    limits::{MIGRATION_BYTES_MAX, MIGRATIONS_MAX},
};

/// Where migrations are in a package.
pub(crate) const FOLDER: &str = "migrations/";

const NAME_FIX: &str = "Name migrations like `migrations/0001_create_items.up.sql`.";

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

#[derive(Default)]
struct Step {
    name: String,
    up: Option<String>,
    down: Option<String>,
}

/// The steps up to `schema`, which is 0 where the app has no database. A package may carry later
/// steps than its release uses; they are checked too and left out.
pub(crate) fn read(
    files: &BTreeMap<String, Bytes>,
    schema: u32,
    problems: &mut Problems,
) -> Vec<Migration> {
    let mut steps: BTreeMap<u32, Step> = BTreeMap::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(FOLDER)) {
        let parsed = parse_name(&path[FOLDER.len()..]);
        let (Some((version, name, direction)), Some(sql)) = (parsed, text(path, bytes, problems))
        else {
            if parsed.is_none() {
                problems.push(Problem::new(
                    "migration-name",
                    path,
                    "This is not the name of a migration.",
                    NAME_FIX,
                ));
            }
            continue;
        };
        add(
            steps.entry(version).or_default(),
            path,
            name,
            direction,
            sql,
            problems,
        );
    }
    check_numbers(&steps, schema, problems);
    steps
        .into_iter()
        .filter(|(version, _)| *version <= schema)
        .filter_map(|(version, step)| {
            Some(Migration {
                version,
                name: step.name,
                up: step.up?,
                down: step.down,
            })
        })
        .collect()
}

fn add(
    step: &mut Step,
    path: &str,
    name: &str,
    direction: Direction,
    sql: String,
    problems: &mut Problems,
) {
    if !step.name.is_empty() && step.name != name {
        problems.push(Problem::new(
            "migration-number",
            path,
            format!("Another migration, `{}`, has the same number.", step.name),
            "Give each step its own number, and its two files the same name.",
        ));
        return;
    }
    name.clone_into(&mut step.name);
    match direction {
        Direction::Up => step.up = Some(sql),
        Direction::Down => step.down = Some(sql),
    }
}

fn check_numbers(steps: &BTreeMap<u32, Step>, schema: u32, problems: &mut Problems) {
    for (expected, (&version, step)) in (1..).zip(steps) {
        if version != expected {
            problems.push(Problem::new(
                "migration-number",
                FOLDER,
                format!("After step {} comes step {version}.", expected - 1),
                "Number the steps from 0001 without gaps.",
            ));
            break;
        }
        if step.up.is_none() {
            problems.push(Problem::new(
                "migration-number",
                FOLDER,
                format!("Step {version} has a way down and no way up."),
                "Add its `.up.sql`.",
            ));
        }
    }
    let last = steps.keys().next_back().copied().unwrap_or(0);
    if schema > last {
        problems.push(Problem::new(
            "schema-beyond-migrations",
            format!("{MANIFEST}: database.schema"),
            format!("The schema is {schema} and the last migration is {last}."),
            format!("Add the missing migrations, or set the schema to {last}."),
        ));
    }
}

fn text(path: &str, bytes: &Bytes, problems: &mut Problems) -> Option<String> {
    if bytes.len() as u64 > MIGRATION_BYTES_MAX {
        problems.push(Problem::new(
            "migration-too-large",
            path,
            format!("The migration has {} bytes.", bytes.len()),
            format!("Use at most {MIGRATION_BYTES_MAX}; a migration is statements, not data."),
        ));
        return None;
    }
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'));
    if text.is_none() {
        problems.push(Problem::new(
            "migration-text",
            path,
            "The migration is not UTF-8 text.",
            "Save it as UTF-8.",
        ));
    }
    text.map(str::to_owned)
}

/// Number, name and direction of `0001_name.up.sql`.
fn parse_name(file: &str) -> Option<(u32, &str, Direction)> {
    let (stem, direction) = match file.strip_suffix(".up.sql") {
        Some(stem) => (stem, Direction::Up),
        None => (file.strip_suffix(".down.sql")?, Direction::Down),
    };
    let (digits, name) = stem.split_once('_')?;
    let version = Some(digits)
        .filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
        .filter(|version| (1..=MIGRATIONS_MAX).contains(version))?;
    let valid = (1..=80).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    valid.then_some((version, name, direction))
}
