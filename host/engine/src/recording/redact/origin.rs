//! Where redacted values come from. What a component was told is replaced before it runs again, and it never learns
//! what stood there. What it made itself, from random numbers or constants, it makes again: a replay would show
//! the value, and would ask for something else than was recorded. Such a call is not kept.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use serde_json::Number;

use crate::limits::{REDACTED_COPY_BYTES_MIN, REDACTED_NUMBER_COPY_MIN};

/// Who says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The platform: arguments, and answers of host calls.
    Host,
    /// The component: what it asks for, and what it returns.
    Guest,
}

/// Everything that was said, in order.
#[derive(Debug, Default)]
pub(super) struct Said {
    texts: Vec<Text>,
    /// Of each number, who said it first, and where.
    numbers: HashMap<Number, (Speaker, String)>,
}

#[derive(Debug)]
struct Text {
    speaker: Speaker,
    at: String,
    bytes: Vec<u8>,
}

impl Said {
    /// Notes a text, or bytes.
    pub(super) fn text(&mut self, speaker: Speaker, at: &str, bytes: &[u8]) {
        self.texts.push(Text {
            speaker,
            at: at.to_owned(),
            bytes: bytes.to_owned(),
        });
    }

    /// Notes a number; one with few digits only where its name says what it is, because chance makes many of them.
    pub(super) fn number(&mut self, speaker: Speaker, at: &str, number: &Number, is_named: bool) {
        if is_named || is_long(number) {
            let first = self.numbers.entry(number.clone());
            first.or_insert_with(|| (speaker, at.to_owned()));
        }
    }

    /// Where the component said one of the values before it was told.
    ///
    /// # Errors
    /// Where they are too many or too long to be looked for.
    pub(super) fn made_by_guest<'a>(
        &self,
        texts: impl Iterator<Item = &'a [u8]>,
        mut numbers: impl Iterator<Item = &'a Number>,
    ) -> Result<Option<&str>, aho_corasick::BuildError> {
        let (long, short): (Vec<_>, Vec<_>) =
            texts.partition(|text| text.len() >= REDACTED_COPY_BYTES_MIN);
        let of_guest = |text: &&Text| text.speaker == Speaker::Guest;
        for value in short {
            let first = self.texts.iter().find(|text| text.bytes == value);
            if let Some(text) = first.filter(of_guest) {
                return Ok(Some(&text.at));
            }
        }
        // Values that hold each other are all looked for.
        let found = AhoCorasick::new(&long)?;
        let mut is_known = vec![false; long.len()];
        for text in &self.texts {
            for value in found.find_overlapping_iter(&text.bytes) {
                let known = &mut is_known[value.pattern().as_usize()];
                if text.speaker == Speaker::Guest && !*known {
                    return Ok(Some(&text.at));
                }
                *known = true;
            }
        }
        let of_guest = numbers.find_map(|number| match self.numbers.get(number) {
            Some((Speaker::Guest, at)) => Some(at.as_str()),
            _ => None,
        });
        Ok(of_guest)
    }
}

/// Whether a number has so many digits that equal ones are the same.
pub(super) fn is_long(number: &Number) -> bool {
    number.to_string().len() >= REDACTED_NUMBER_COPY_MIN
}
