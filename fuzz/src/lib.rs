//! Where bytes of strangers are parsed: one target for each place. A target takes any bytes and panics where
//! something is wrong, which is a rule of its own where the code under test can't know: that a request
//! leads to the site that it names, or that a statement sees nothing of another app.
//!
//! `fuzz_targets/` hands each to libFuzzer; `tests/replay.rs` replays the corpus and changes it, on stable.

pub mod component;
pub mod manifest;
pub mod migration;
pub mod package;
pub mod routing;
pub mod statement;
pub mod webhook;

/// One place where bytes of strangers are parsed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its folder in `corpus/` as well.
    pub name: &'static str,
    /// Takes any bytes; panics where it finds a defect.
    pub run: fn(&[u8]),
    /// Words of its language, for whoever changes inputs.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "manifest",
        run: manifest::run,
        words: manifest::WORDS,
    },
    Target {
        name: "package",
        run: package::run,
        words: manifest::WORDS,
    },
    Target {
        name: "component",
        run: component::run,
        words: component::WORDS,
    },
    Target {
        name: "routing",
        run: routing::run,
        words: routing::WORDS,
    },
    Target {
        name: "statement",
        run: statement::run,
        words: statement::WORDS,
    },
    Target {
        name: "migration",
        run: migration::run,
        words: migration::WORDS,
    },
    Target {
        name: "webhook",
        run: webhook::run,
        words: webhook::WORDS,
    },
];
