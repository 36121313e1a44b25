//! Problems: everything that is wrong with a package, each with its place and its remedy, collected
//! so that an ISV sees all of them at once.

use std::fmt;

use serde::Serialize;

use crate::limits::PROBLEMS_MAX;

/// One thing that is wrong with a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable word for the kind of problem, in kebab-case.
    pub code: &'static str,
    /// The file and the place in it, for example `cloudware.toml: http.mount`.
    pub at: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    /// A problem; each text is cut at a bound, because parts of it come from the package.
    pub fn new(
        code: &'static str,
        at: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            at: bounded(at.into(), 300),
            message: bounded(message.into(), 1_000),
            fix: bounded(fix.into(), 1_000),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.at, self.message, self.fix)
    }
}

/// Problems in the order in which they were found; as an error there is at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problem yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem, unless there are already as many as a person would read.
    pub fn push(&mut self, problem: Problem) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    /// Adds the problems of another collection.
    pub fn extend(&mut self, others: Self) {
        for problem in others.0 {
            self.push(problem);
        }
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// True if one of the problems has this code.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.iter().any(|problem| problem.code == code)
    }

    /// The value if nothing is wrong, otherwise the problems.
    ///
    /// # Errors
    /// Where there is at least one problem.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// Cuts a text at a character boundary and replaces control characters, which a terminal would obey.
fn bounded(text: String, chars_max: usize) -> String {
    let clean = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut out: String = text.chars().take(chars_max).map(clean).collect();
    if out.len() < text.len() && text.chars().count() > chars_max {
        out.push('…');
    }
    out
}
