//! Copies of what is redacted: a value stands under its name once, and the guest puts it into statements, keys and
//! answers, where no name stands. All values are looked for at once, and where one holds another, the longer counts.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use serde_json::Value;

/// Finds values that are redacted, and puts others in their places.
#[derive(Debug)]
pub(super) struct Copies {
    found: AhoCorasick,
    replacements: Vec<Vec<u8>>,
}

impl Copies {
    /// Of values with their replacements.
    ///
    /// # Errors
    /// Where they are too many or too long to be looked for.
    pub(super) fn new(values: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, BuildError> {
        let (values, replacements): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let found = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values)?;
        Ok(Self {
            found,
            replacements,
        })
    }

    /// Of nothing.
    pub(super) fn none() -> Self {
        Self::new(Vec::new()).expect("nothing can be looked for")
    }

    /// Whether a text has one.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.found.is_match(text)
    }

    /// A text with every copy replaced; `None` where it has none.
    pub(super) fn replaced(&self, text: &str) -> Option<String> {
        let bytes = self.replaced_bytes(text.as_bytes())?;
        // Whole texts stand in place of whole texts, so that what was UTF-8 is UTF-8.
        Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
        )
    }

    /// Bytes with every copy replaced; `None` where they have none.
    pub(super) fn replaced_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !self.found.is_match(bytes) {
            return None;
        }
        Some(self.found.replace_all_bytes(bytes, &self.replacements))
    }
}

/// A text as it stands within a JSON text.
pub(super) fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
