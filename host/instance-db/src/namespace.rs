//! Namespaces: the prefix that says which app owns a table.

use std::{fmt, str::FromStr, sync::Arc};

/// Prefixes that belong to SQLite, to the platform, or to built-in table functions.
const RESERVED: [&str; 4] = ["cw", "json", "pragma", "sqlite"];

/// Letters and digits of the longest namespace.
const CHARS_MAX: usize = 30;

/// The namespace of an app: it owns the tables, indexes, views and triggers named `<namespace>_…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    /// `<namespace>_`, so that ownership is one comparison.
    prefix: Arc<str>,
}

/// Why a text is not a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid database namespace: use 2 to 30 of a-z and 0-9, beginning with a letter, and not {reserved}",
    reserved = RESERVED.join(", ")
)]
pub struct NamespaceError {
    text: String,
}

impl Namespace {
    /// The namespace itself, without the underscore.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.prefix[..self.prefix.len() - 1]
    }

    /// What the names of owned objects begin with: the namespace and an underscore.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether an object of this name belongs to the app. Names are compared as SQLite does, without
    /// regard to the case of ASCII letters.
    #[must_use]
    pub fn owns(&self, name: &str) -> bool {
        crate::lexer::begins_with(name, &self.prefix)
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<Self, NamespaceError> {
        let valid = (2..=CHARS_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && !RESERVED.contains(&text);
        if valid {
            Ok(Self {
                prefix: format!("{text}_").into(),
            })
        } else {
            Err(NamespaceError {
                text: text.chars().take(64).collect(),
            })
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_namespaces_and_texts_that_are_not() {
        for text in ["stock", "s2", &"a".repeat(30)] {
            assert!(text.parse::<Namespace>().is_ok(), "{text}");
        }
        for text in [
            "",
            "s",
            "2s",
            "Stock",
            "st_ock",
            "st-ock",
            "cw",
            "sqlite",
            "pragma",
            "json",
            &"a".repeat(31),
        ] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }

    #[test]
    fn ownership_needs_the_whole_prefix_and_no_case() {
        let stock: Namespace = "stock".parse().unwrap();
        assert!(stock.owns("stock_items") && stock.owns("STOCK_Items"));
        assert!(!stock.owns("stock") && !stock.owns("stocks_items") && !stock.owns("st"));
        assert!(!stock.owns("cw_kv") && !stock.owns("stöck_x"));
    }
}
