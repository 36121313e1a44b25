//! What each kind of input must look like. A rule gives the value, or says what it must be.

use cloudware_sdk::clock::Date;

/// The most that a single operation moves, and the most that a count may find: large enough for
/// screws, small enough that sums stay far from the end of a 64-bit number.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

/// The most that a level holds: a thousand of the largest receipts.
pub const LEVEL_MAX: i64 = QUANTITY_MAX * 1_000;

/// The longest text of a note or title; what fits a printed line or two.
const LINE_CHARS_MAX: usize = 120;

/// The most characters of a scanned code: what GS1 codes have at most in practice, several times over.
#[cfg(feature = "extension-points")]
const CODE_CHARS_MAX: usize = 500;

/// What a rule gives.
pub type Checked<T> = Result<T, &'static str>;

/// A stock keeping unit: the key of an item.
pub fn sku(text: &str) -> Checked<String> {
    if is_code(text) {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 40 of A-Z, a-z, 0-9, `.`, `_` and `-`")
    }
}

/// The number that a maker gave a batch.
pub fn batch_number(text: &str) -> Checked<String> {
    sku(text)
}

/// A key of an idempotent request, made up by the caller.
pub fn idempotency_key(text: &str) -> Checked<String> {
    let visible = text.bytes().all(|b| (b'!'..=b'~').contains(&b));
    if (1..=128).contains(&text.len()) && visible {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 128 visible ASCII characters")
    }
}

fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Warehouse, zone or bin of a location.
pub fn location_part(text: &str) -> Checked<String> {
    let valid = (1..=12).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if valid {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 12 of A-Z and 0-9")
    }
}

/// The code of a location: its three parts with hyphens between.
pub fn location_code(text: &str) -> Checked<String> {
    let parts: Vec<&str> = text.split('-').collect();
    if parts.len() == 3 && parts.iter().all(|part| location_part(part).is_ok()) {
        Ok(text.to_owned())
    } else {
        Err("must be warehouse, zone and bin with hyphens between, such as MAIN-A-01")
    }
}

/// The title of an item.
pub fn title(text: &str) -> Checked<String> {
    line(text, LINE_CHARS_MAX).ok_or("must have 1 to 120 characters on one line")
}

/// A free remark, such as the number of an order.
pub fn note(text: &str) -> Checked<String> {
    title(text)
}

/// Who did it.
pub fn actor(text: &str) -> Checked<String> {
    line(text, 60).ok_or("must have 1 to 60 characters on one line")
}

/// Who sent goods.
#[cfg(feature = "extension-points")]
pub fn supplier(text: &str) -> Checked<String> {
    title(text)
}

/// What a scanner read. Control characters stay: they separate the parts of some codes.
#[cfg(feature = "extension-points")]
pub fn scanned_code(text: &str) -> Checked<String> {
    if (1..=CODE_CHARS_MAX).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 500 characters")
    }
}

/// The unit that an item is counted in.
pub fn unit(text: &str) -> Checked<String> {
    line(text, 12).ok_or("must have 1 to 12 characters, such as pcs, kg or box")
}

fn line(text: &str, chars_max: usize) -> Option<String> {
    let trimmed = text.trim();
    let valid = !trimmed.is_empty()
        && trimmed.chars().count() <= chars_max
        && !trimmed.chars().any(char::is_control);
    valid.then(|| trimmed.to_owned())
}

/// A day.
pub fn date(text: &str) -> Checked<Option<Date>> {
    let date = text.parse();
    date.map(Some)
        .map_err(|_| "must be a date of the calendar such as 2026-11-30")
}

/// How many are received, moved or picked.
pub fn quantity(number: i64) -> Checked<i64> {
    if (1..=QUANTITY_MAX).contains(&number) {
        Ok(number)
    } else {
        Err("must be from 1 to 1,000,000,000")
    }
}

/// How many were counted, or a level for ordering again.
pub fn count(number: i64) -> Checked<i64> {
    if (0..=QUANTITY_MAX).contains(&number) {
        Ok(number)
    } else {
        Err("must be from 0 to 1,000,000,000")
    }
}

/// The version of a stock level.
pub fn version(number: i64) -> Checked<i64> {
    if number >= 1 {
        Ok(number)
    } else {
        Err("must be a version that an answer gave, from 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_within_their_bounds() {
        for valid in ["A", "AB-1.2_c", &"x".repeat(40)] {
            assert_eq!(sku(valid).as_deref(), Ok(valid));
        }
        for invalid in ["", "a b", "a/b", "ä", "a\n", "<b>", &"x".repeat(41)] {
            assert!(sku(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn locations_have_three_parts() {
        assert!(location_code("MAIN-A-01").is_ok());
        for invalid in [
            "MAIN-A",
            "MAIN-A-01-2",
            "main-a-01",
            "MAIN--01",
            "-A-01",
            "",
        ] {
            assert!(location_code(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn lines_are_trimmed_and_bounded_in_characters() {
        assert_eq!(title("  Bücher  ").as_deref(), Ok("Bücher"));
        assert!(title(&"ü".repeat(120)).is_ok());
        for invalid in ["", "   ", "two\nlines", "nul\0", &"ü".repeat(121)] {
            assert!(title(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn quantities_within_their_bounds() {
        assert!(quantity(0).is_err() && quantity(-1).is_err());
        assert!(quantity(QUANTITY_MAX).is_ok() && quantity(QUANTITY_MAX + 1).is_err());
        assert!(count(0).is_ok() && count(-1).is_err());
        assert!(version(0).is_err() && version(i64::MAX).is_ok());
    }
}
