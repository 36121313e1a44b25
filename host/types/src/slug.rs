//! Slugs: the short names that people choose for providers, tenants, instances and apps, fit for
//! host names, paths and file names alike.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

/// The longest slug; two of them and a separator fit into one DNS label (63 bytes, RFC 1035).
const SLUG_CHARS_MAX: usize = 30;

/// A name of 1 to 30 characters from `a-z`, `0-9` and single inner `-`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(Arc<str>);

/// Why a text is not a slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid name: use 1 to 30 of a-z, 0-9 and single inner hyphens, beginning with a letter"
)]
pub struct SlugError {
    text: String,
}

impl Slug {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, SlugError> {
        let valid = (1..=SLUG_CHARS_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--")
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(SlugError {
                text: text.chars().take(64).collect(),
            })
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_slugs() {
        for text in ["a", "acme", "inventory-stock", "x9", &"a".repeat(30)] {
            assert!(text.parse::<Slug>().is_ok(), "{text}");
        }
    }

    #[test]
    fn names_that_are_not() {
        for text in [
            "",
            "Acme",
            "9x",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "a.b",
            "ä",
            "../x",
            &"a".repeat(31),
        ] {
            assert!(text.parse::<Slug>().is_err(), "{text}");
        }
    }
}
