//! What every command of this module is given: how to print, and what the platform provides.

use std::io::Write as _;

use anyhow::Result;
use cloudware_packages::{HostInterfaces, Problem, Problems};
use serde::Serialize;

use super::Progress;

/// How results are printed on standard output. Messages always go to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

/// The surroundings of a command.
pub(crate) struct Context {
    /// How results are printed.
    pub(crate) output: Output,
    /// What this version of the platform provides to components.
    pub(crate) host: HostInterfaces,
    /// Where progress is shown.
    pub(crate) progress: Progress,
}

impl Context {
    /// Prints a result: `text` for people, or the value as JSON.
    pub(crate) fn print(&self, text: &str, value: &impl Serialize) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Output::Text => writeln!(out, "{text}")?,
            Output::Json => writeln!(out, "{}", serde_json::to_string(value)?)?,
        }
        Ok(())
    }

    /// Shows warnings on standard error.
    pub(crate) fn warn(&self, warnings: &[Problem]) {
        for warning in warnings {
            self.progress.say(&format!("warning: {warning}"));
        }
    }
}

/// Problems of a package as one error, one line each.
pub(crate) fn refused(what: &str, problems: &Problems) -> anyhow::Error {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| format!("  {}\n    {}\n    {} [{}]", p.at, p.message, p.fix, p.code))
        .collect();
    let count = match lines.len() {
        1 => "a problem".to_owned(),
        n => format!("{n} problems"),
    };
    anyhow::anyhow!("{what} has {count}:\n{}", lines.join("\n"))
}
