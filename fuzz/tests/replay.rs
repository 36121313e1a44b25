//! Replays the corpus of every target and some thousand changes of it, the same ones each time. With
//! `CLOUDWARE_FUZZ_SECONDS` set, goes on with other changes for so long.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cloudware_fuzz::{TARGETS, Target};
use cloudware_tests::Mutations;

/// Changes of the corpus of each target; together a few seconds.
const CHANGES: u64 = 2_000;

/// The most that a changed input grows to over its generations.
const INPUT_BYTES_MAX: usize = 64 << 10;

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let files = fs::read_dir(&folder).expect("every target has a corpus");
    let mut seeds: Vec<_> = files
        .map(|file| file.expect("the corpus can be read").path())
        .map(|path| {
            (
                path.clone(),
                fs::read(path).expect("the corpus can be read"),
            )
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    seeds
}

/// Runs one input, and keeps it where it makes the target panic.
fn run(target: &Target, input: &[u8], origin: &str) {
    if catch_unwind(|| (target.run)(input)).is_ok() {
        return;
    }
    let kept = std::env::temp_dir().join(format!("{}-{origin}", target.name));
    fs::write(&kept, input).expect("the temporary folder can be written");
    panic!(
        "{origin} breaks {}; it is kept as {}",
        target.name,
        kept.display()
    );
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("it is in the list");
    let seeds = corpus(target);
    for (path, seed) in &seeds {
        let file = path.file_name().map(|name| name.to_string_lossy());
        run(target, seed, &file.unwrap_or_default());
    }
    let begun = Instant::now();
    let seconds = std::env::var("CLOUDWARE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let longer = Duration::from_secs(seconds.unwrap_or(0));
    let mut number = 0;
    while number < CHANGES || begun.elapsed() < longer {
        let mut mutations = Mutations::seeded(number);
        let (_, seed) = &seeds[mutations.below(seeds.len())];
        let (_, other) = &seeds[mutations.below(seeds.len())];
        let mut input = mutations.change(seed, other, target.words);
        // Later ones stray further from what was right.
        for _ in 0..mutations.below(3) {
            input = mutations.change(&input, other, target.words);
        }
        input.truncate(INPUT_BYTES_MAX);
        run(target, &input, &format!("change-{number}"));
        number += 1;
    }
    eprintln!("{name}: {number} changes of {} seeds", seeds.len());
}

#[test]
fn every_target_is_replayed() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(
        names,
        [
            "manifest",
            "package",
            "component",
            "routing",
            "statement",
            "migration",
            "webhook"
        ]
    );
}

#[test]
fn manifest() {
    replay("manifest");
}

#[test]
fn package() {
    replay("package");
}

#[test]
fn component() {
    replay("component");
}

#[test]
fn routing() {
    replay("routing");
}

#[test]
fn statement() {
    replay("statement");
}

#[test]
fn migration() {
    replay("migration");
}

#[test]
fn webhook() {
    replay("webhook");
}
