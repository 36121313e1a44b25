//! Reads one table of the manifest key by key and remembers what was read, so that a wrong value and
//! an unknown key are reported together with their place, and reading goes on.

use cloudware_types::{Limit, parse_quantity};
use toml::{Table, Value};

use crate::{MANIFEST, Problem, Problems};

/// One table of the manifest.
pub(crate) struct Section {
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Section {
    pub(crate) fn root(table: Table) -> Self {
        Self {
            path: String::new(),
            table,
            known: Vec::new(),
        }
    }

    pub(crate) fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("{MANIFEST}: {key}")
        } else {
            format!("{MANIFEST}: {}.{key}", self.path)
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// The value as it is, if the key is there.
    pub(crate) fn any(&mut self, key: &'static str) -> Option<Value> {
        self.take(key)
    }

    /// A text of 1 to `chars_max` characters, if the key is there.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        chars_max: usize,
        problems: &mut Problems,
    ) -> Option<String> {
        let value = self.take(key)?;
        let at = self.place(key);
        let text = expect_text(value, &at, problems)?;
        check_text(text, chars_max, &at, problems)
    }

    /// As [`Self::text`]; its absence is a problem.
    pub(crate) fn required_text(
        &mut self,
        key: &'static str,
        chars_max: usize,
        problems: &mut Problems,
    ) -> Option<String> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            problems.push(self.missing(key));
            return None;
        }
        self.text(key, chars_max, problems)
    }

    /// A required text that `T` reads; its error explains what is wrong.
    pub(crate) fn required_parsed<T>(
        &mut self,
        key: &'static str,
        fix: &str,
        problems: &mut Problems,
    ) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.required_text(key, usize::MAX, problems)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("{error}.");
                problems.push(Problem::new("invalid-value", self.place(key), message, fix));
                None
            }
        }
    }

    /// A whole number within bounds, if the key is there.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<u32> {
        let value = self.take(key)?;
        let number = value
            .as_integer()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| bounds.contains(n));
        if number.is_none() {
            problems.push(Problem::new(
                "invalid-value",
                self.place(key),
                format!("{value} is not a whole number in range."),
                format!(
                    "Write a number from {} to {}.",
                    bounds.start(),
                    bounds.end()
                ),
            ));
        }
        number
    }

    /// A quantity of what a limit bounds, as a number or as people write it (`\"20M\"`), if the key is there.
    pub(crate) fn quantity(
        &mut self,
        key: &'static str,
        limit: Limit,
        problems: &mut Problems,
    ) -> Option<u64> {
        let value = self.take(key)?;
        parse_quantity(limit, &quantity_text(&value))
            .map_err(|error| {
                let message = format!("{error}.");
                let fix = "Correct the quantity.";
                problems.push(Problem::new("invalid-value", self.place(key), message, fix));
            })
            .ok()
    }

    /// A list, if the key is there.
    pub(crate) fn list(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => {
                problems.push(wrong_type(&self.place(key), &other, "a list"));
                Vec::new()
            }
        }
    }

    /// A table with fixed keys, if it is there.
    pub(crate) fn section(&mut self, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let table = self.table(key, problems)?;
        Some(Self::nested(&self.path, key, table))
    }

    /// A table whose keys the author chooses, if it is there.
    pub(crate) fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Table> {
        match self.take(key)? {
            Value::Table(table) => Some(table),
            other => {
                problems.push(wrong_type(&self.place(key), &other, "a table"));
                None
            }
        }
    }

    pub(crate) fn nested(path: &str, key: &str, table: Table) -> Self {
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        Self {
            path,
            table,
            known: Vec::new(),
        }
    }

    pub(crate) fn missing(&self, key: &str) -> Problem {
        Problem::new(
            "missing-key",
            self.place(key),
            format!("The key `{key}` is missing."),
            format!("Add `{key} = …`."),
        )
    }

    /// Reports the keys that nobody read.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for key in self.table.keys() {
            problems.push(Problem::new(
                "unknown-key",
                self.place(key),
                format!("The key `{key}` is not known."),
                format!("Remove it, or use one of {}.", self.known.join(", ")),
            ));
        }
    }
}

/// A quantity that is written with or without quotes, as [`parse_quantity`] takes it.
pub(crate) fn quantity_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn expect_text(value: Value, at: &str, problems: &mut Problems) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        other => {
            problems.push(wrong_type(at, &other, "a text in quotes"));
            None
        }
    }
}

pub(crate) fn check_text(
    text: String,
    chars_max: usize,
    at: &str,
    problems: &mut Problems,
) -> Option<String> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        problems.push(Problem::new(
            "invalid-value",
            at,
            "The text is empty.",
            "Write one.",
        ));
    } else if chars > chars_max {
        problems.push(Problem::new(
            "invalid-value",
            at,
            format!("The text has {chars} characters."),
            format!("Use at most {chars_max}."),
        ));
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        problems.push(Problem::new(
            "invalid-value",
            at,
            "The text has control characters.",
            "Remove them.",
        ));
    } else {
        return Some(text);
    }
    None
}

pub(crate) fn wrong_type(at: &str, value: &Value, expected: &str) -> Problem {
    Problem::new(
        "invalid-value",
        at,
        format!(
            "This is of the type {}, and not {expected}.",
            value.type_str()
        ),
        format!("Write {expected}."),
    )
}
