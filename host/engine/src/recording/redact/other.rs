//! What stands in place of a redacted value: drawn by chance, because what is computed from a secret can be searched
//! for, and as like it as it can be, so that the guest goes the same way.

use std::collections::{HashMap, HashSet};

use rand::{RngExt as _, rngs::StdRng};
use serde_json::Number;

/// How often chance is asked for a word that stands for no other yet, which few and short words know.
const TRIES: usize = 64;

/// Words in place of words. A text that is taken apart gives parts whose replacements are the parts of its own.
#[derive(Debug, Default)]
pub(super) struct Others {
    words: HashMap<String, String>,
    taken: HashSet<String>,
}

impl Others {
    /// Another text with the same number of bytes, a letter for a letter and a digit for a digit.
    pub(super) fn text(&mut self, text: &str, random: &mut StdRng) -> String {
        let mut other = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_word = first.is_alphanumeric();
            let end = rest.find(|char: char| char.is_alphanumeric() != is_word);
            let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
            match is_word {
                true => other.push_str(self.word(run, random)),
                false => other.push_str(run),
            }
            rest = after;
        }
        if other == text {
            return "*".repeat(text.len());
        }
        other
    }

    fn word(&mut self, word: &str, random: &mut StdRng) -> &str {
        if !self.words.contains_key(word) {
            let mut drawn = || word.chars().map(|char| other_char(char, random)).collect();
            let mut other: String = drawn();
            for _ in 0..TRIES {
                if other != word && !self.taken.contains(&other) {
                    break;
                }
                other = drawn();
            }
            self.taken.insert(other.clone());
            self.words.insert(word.to_owned(), other);
        }
        &self.words[word]
    }
}

fn other_char(char: char, random: &mut StdRng) -> char {
    let among = |random: &mut StdRng, first: u8, count: u8| {
        char::from(first + random.random_range(0..count))
    };
    match char {
        'a'..='z' => among(random, b'a', 26),
        'A'..='Z' => among(random, b'A', 26),
        // A number keeps its length when it is read.
        '1'..='9' => among(random, b'1', 9),
        char if char.is_ascii() => char,
        char => match char.len_utf8() {
            2 => '\u{e9}',
            3 => '\u{6587}',
            _ => '\u{1d400}',
        },
    }
}

/// Another number of the same sign and with as many digits, that is not further from zero: whatever type holds the
/// one holds the other.
pub(super) fn other_number(number: &Number, random: &mut StdRng) -> Number {
    let below = |size: u64, random: &mut StdRng| {
        let least = 10_u64.pow(size.checked_ilog10().unwrap_or(0));
        match size {
            0 => 1,
            1 => 0,
            size if size == least => size - 1,
            size if size < 10 => random.random_range(1..size),
            size => random.random_range(least..size),
        }
    };
    if let Some(size) = number.as_u64() {
        return below(size, random).into();
    }
    if let Some(signed) = number.as_i64() {
        let size = below(signed.unsigned_abs(), random);
        return i64::try_from(size).map_or(0, |size| -size).into();
    }
    let scaled = number.as_f64().unwrap_or_default() * f64::from(random.random_range(1..1_000_u32))
        / 1_024.0;
    Number::from_f64(scaled.trunc()).unwrap_or_else(|| 0.into())
}
