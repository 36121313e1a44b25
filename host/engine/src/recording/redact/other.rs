//! What stands in place of a redacted value: drawn by chance, because what is computed from a secret can be searched
//! for, and as like it as it can be, so that the guest goes the same way.

use rand::{RngExt as _, rngs::StdRng};
use serde_json::Number;

/// Another text with the same number of bytes, a letter for a letter and a digit for a digit.
pub(super) fn other_text(text: &str, random: &mut StdRng) -> String {
    // A second try only where chance gave the same text, which few and short texts know.
    for _ in 0..16 {
        let other: String = text.chars().map(|char| other_char(char, random)).collect();
        if other != text {
            return other;
        }
    }
    "*".repeat(text.len())
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
