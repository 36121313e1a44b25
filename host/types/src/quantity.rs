//! Quantities as people write and read them.

use std::num::IntErrorKind;

use crate::{Limit, LimitsError, Unit};

/// Reads a quantity as people write it: `64MiB`, `1.5GB`, `500ms`, `10s`, `2M`, `1000`; and as [`format_quantity`] writes it:
/// `2,000,000,000 fuel`, `64 KiB/s`. What is shown rounded is read as it is shown.
///
/// # Errors
/// [`LimitsError::NotAQuantity`] for another text, [`LimitsError::OutOfBounds`] for a value outside
/// the limit's bounds.
pub fn parse_quantity(limit: impl Into<Limit>, text: &str) -> Result<u64, LimitsError> {
    let limit = limit.into();
    let notation = notation(limit.unit());
    let value = notation
        .read(text)
        .ok_or_else(|| LimitsError::NotAQuantity {
            limit,
            text: text.chars().take(64).collect(),
            expected: notation.expected,
        })?;
    let (min, max) = limit.bounds();
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(LimitsError::OutOfBounds { limit, value })
    }
}

/// How people write quantities of a unit.
struct Notation {
    /// What may stand at the end and says nothing new.
    word: &'static str,
    /// Words behind the number, and how much each is worth.
    suffixes: &'static [(&'static str, f64)],
    /// What people are told who write something else.
    expected: &'static str,
}

impl Notation {
    /// The value of a text; none where it is no quantity. A number beyond a `u64` is the largest.
    fn read(&self, text: &str) -> Option<u64> {
        let trimmed = text.trim();
        let trimmed = trimmed
            .strip_suffix(self.word)
            .unwrap_or(trimmed)
            .trim_end();
        let digits_end = trimmed
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '_')))
            .unwrap_or(trimmed.len());
        let (digits, suffix) = trimmed.split_at(digits_end);
        let digits = ungrouped(digits)?;
        let suffix = suffix.trim();
        if suffix.is_empty() {
            return match digits.parse::<u64>() {
                Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u64::MAX),
                number => number.ok(),
            };
        }
        let factor = self
            .suffixes
            .iter()
            .find(|(name, _)| *name == suffix)
            .map(|(_, factor)| *factor)?;
        let value = digits.parse::<f64>().ok()? * factor;
        // What is said with a fraction is rounded, as long as that is about what was said.
        if (value - value.round()).abs() > value / 1_000.0 {
            return None;
        }
        // Exact to the unit below 2^53, and to a part in 2^53 above.
        Some(value.round() as u64)
    }
}

const BYTES: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
    ("bytes", 1.0),
];

const TIMES: &[(&str, f64)] = &[
    ("ms", 1.0),
    ("s", 1e3),
    ("min", 6e4),
    ("m", 6e4),
    ("h", 3.6e6),
];

const COUNTS: &[(&str, f64)] = &[("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)];

fn notation(unit: Unit) -> Notation {
    let (word, suffixes, expected) = match unit {
        Unit::Bytes => (
            "",
            BYTES,
            "write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 64MiB",
        ),
        Unit::BytesPerSecond => (
            "/s",
            BYTES,
            "write bytes a second, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 64KiB or 64KiB/s",
        ),
        Unit::Milliseconds => (
            "",
            TIMES,
            "write milliseconds, or a number with ms, s, min or h, such as 500ms",
        ),
        Unit::Fuel => (
            "fuel",
            COUNTS,
            "write a whole number, optionally with k, M, G or T, such as 50M",
        ),
        Unit::Count => (
            "",
            COUNTS,
            "write a whole number, optionally with k, M, G or T, such as 50k",
        ),
        Unit::PerSecond => (
            "/s",
            COUNTS,
            "write a whole number, optionally with k, M, G or T, such as 100 or 100/s",
        ),
    };
    Notation {
        word,
        suffixes,
        expected,
    }
}

/// A number without what groups its digits. Commas stand before every three digits, so that none is taken for a point.
fn ungrouped(digits: &str) -> Option<String> {
    if digits.contains(',') {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
        let mut groups = whole.split(',');
        let first = groups.next().unwrap_or_default();
        let is_grouped = (1..=3).contains(&first.len())
            && is_digits(first)
            && groups.all(|group| group.len() == 3 && is_digits(group));
        if !is_grouped || !is_digits(fraction) {
            return None;
        }
    }
    Some(digits.replace(['_', ','], ""))
}

/// Writes a value of a unit for people: `64 MiB`, `2,000,000,000 fuel`, `10 s`.
#[must_use]
pub fn format_quantity(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes => format_bytes(value),
        Unit::BytesPerSecond => format!("{}/s", format_bytes(value)),
        Unit::Milliseconds if value >= 10_000 => format!("{} s", short(value as f64 / 1000.0)),
        Unit::Milliseconds => format!("{value} ms"),
        Unit::Fuel => format!("{} fuel", thousands(value)),
        Unit::Count => thousands(value),
        Unit::PerSecond => format!("{}/s", thousands(value)),
    }
}

/// Writes a value as [`format_quantity`], but never rounded: `65,537 bytes`, `64 MB`.
#[must_use]
pub fn format_exact(unit: Unit, value: u64) -> String {
    let rounded = format_quantity(unit, value);
    if notation(unit).read(&rounded) == Some(value) {
        return rounded;
    }
    let (is_bytes, word) = match unit {
        Unit::Bytes => (true, ""),
        Unit::BytesPerSecond => (true, "/s"),
        _ => (false, ""),
    };
    if !is_bytes {
        return format!("{} {}", thousands(value), unit.word());
    }
    let decimal = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    let whole = |&(_, factor): &(&str, u64)| {
        (1..1_000).contains(&(value / factor)) && value.is_multiple_of(factor / 10)
    };
    match decimal.into_iter().find(whole) {
        Some((name, factor)) => format!("{} {name}{word}", short(value as f64 / factor as f64)),
        None => format!("{} bytes{word}", thousands(value)),
    }
}

fn format_bytes(value: u64) -> String {
    match value {
        0x100_0000_0000.. => format!("{} TiB", short(value as f64 / 1_099_511_627_776.0)),
        0x4000_0000.. => format!("{} GiB", short(value as f64 / 1_073_741_824.0)),
        0x10_0000.. => format!("{} MiB", short(value as f64 / 1_048_576.0)),
        0x400.. => format!("{} KiB", short(value as f64 / 1024.0)),
        _ => format!("{value} bytes"),
    }
}

/// One decimal, and none where it would be a zero.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0")
        .map(ToOwned::to_owned)
        .unwrap_or(text)
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Dimension};

    fn read(limit: impl Into<Limit>, text: &str) -> u64 {
        parse_quantity(limit, text).unwrap()
    }

    #[test]
    fn quantities_as_people_write_them() {
        assert_eq!(read(Dimension::Memory, "64MiB"), 64 << 20);
        assert_eq!(read(Dimension::Memory, "1.5 MB"), 1_500_000);
        assert_eq!(read(Dimension::Memory, "65536"), 65_536);
        assert_eq!(read(Dimension::EgressRate, "64KiB/s"), 64 << 10);
        assert_eq!(read(Dimension::RequestRate, "100/s"), 100);
        assert_eq!(read(Dimension::Deadline, "2s"), 2_000);
        assert_eq!(read(Dimension::Fuel, "50M"), 50_000_000);
        assert_eq!(read(Dimension::Storage, "1.3GiB"), 1_395_864_371);
        assert_eq!(read(Dimension::Fuel, "1_000"), 1_000);
        assert_eq!(read(Dimension::Storage, "1TiB"), 1 << 40);
        assert_eq!(read(Dimension::FuelPerDay, "20T"), 20_000_000_000_000);
        assert_eq!(read(Dimension::Deadline.of(Class::Job), "1h"), 3_600_000);
        assert_eq!(read(Dimension::Fuel, "1,000.5k fuel"), 1_000_500);
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for &limit in Limit::all() {
            for value in [limit.default_value(), limit.bounds().0, limit.bounds().1] {
                let shown = format_exact(limit.unit(), value);
                assert_eq!(parse_quantity(limit, &shown), Ok(value), "{limit} {shown}");
            }
        }
        for (unit, value, expected) in [
            (Unit::Bytes, 1 << 40, "1 TiB"),
            (Unit::Bytes, 3 << 29, "1.5 GiB"),
            (Unit::Bytes, 64_500_000, "64.5 MB"),
            (Unit::Bytes, 65_537, "65,537 bytes"),
            (Unit::Bytes, 5_000_000_100, "5,000,000,100 bytes"),
            (Unit::BytesPerSecond, 1_000_000, "1 MB/s"),
            (Unit::BytesPerSecond, 1_234_567, "1,234,567 bytes/s"),
            (Unit::Milliseconds, 12_300, "12.3 s"),
            (Unit::Milliseconds, 12_345, "12,345 ms"),
        ] {
            let shown = format_exact(unit, value);
            assert_eq!(shown, expected);
            assert_eq!(notation(unit).read(&shown), Some(value));
        }
    }

    #[test]
    fn quantities_that_are_refused() {
        for (dimension, text) in [
            (Dimension::Memory, "lots"),
            (Dimension::Memory, "-1"),
            (Dimension::Memory, "1TiB"),
            (Dimension::Fuel, "1,5M"),
            (Dimension::Fuel, "1,_00"),
            (Dimension::Fuel, "_,000"),
            (Dimension::Fuel, "1,0000"),
            (Dimension::Fuel, ",000"),
            (Dimension::Fuel, "1.000,000M"),
            (Dimension::Fuel, "fuel"),
            (Dimension::Concurrency, "10 fuel"),
            (Dimension::Deadline, "1/s"),
            (Dimension::Memory, "1MiB/s"),
            (Dimension::Memory, "1GiB"),
            (Dimension::Deadline, "0"),
            (Dimension::Fuel, "1.5"),
            (Dimension::Deadline, "0.5ms"),
            (Dimension::Deadline, "1.5ms"),
            (Dimension::Deadline, "0.0005s"),
            (Dimension::Fuel, "0.0001k"),
            (Dimension::Fuel, ""),
        ] {
            assert!(
                parse_quantity(dimension, text).is_err(),
                "{dimension} {text}"
            );
        }
    }

    #[test]
    fn a_number_beyond_every_bound_is_a_number() {
        let refusal = parse_quantity(Dimension::Fuel, "99999999999999999999999");
        assert!(matches!(refusal, Err(LimitsError::OutOfBounds { .. })));
    }

    #[test]
    fn quantities_for_people() {
        assert_eq!(format_quantity(Unit::Fuel, 2_000_000), "2,000,000 fuel");
        assert_eq!(format_quantity(Unit::Bytes, 64 << 20), "64 MiB");
        assert_eq!(format_quantity(Unit::Bytes, 3 << 29), "1.5 GiB");
        assert_eq!(format_quantity(Unit::Milliseconds, 250), "250 ms");
    }
}
