//! Quantities as people write and read them.

use std::num::IntErrorKind;

use crate::{Limit, LimitsError, Unit};

/// Reads a quantity as people write it: `64MiB`, `1.5GB`, `500ms`, `10s`, `2M`, `1000`.
///
/// # Errors
/// [`LimitsError::NotAQuantity`] for another text, [`LimitsError::OutOfBounds`] for a value outside
/// the limit's bounds.
pub fn parse_quantity(limit: impl Into<Limit>, text: &str) -> Result<u64, LimitsError> {
    let limit = limit.into();
    let (suffixes, expected): (&[(&str, f64)], _) = match limit.unit() {
        Unit::Bytes | Unit::BytesPerSecond => (
            &[
                ("KiB", 1024.0),
                ("MiB", 1_048_576.0),
                ("GiB", 1_073_741_824.0),
                ("kB", 1e3),
                ("MB", 1e6),
                ("GB", 1e9),
                ("B", 1.0),
            ],
            "write bytes, or a number with KiB, MiB, GiB, kB, MB or GB, such as 64MiB",
        ),
        Unit::Milliseconds => (
            &[("ms", 1.0), ("s", 1e3), ("min", 6e4), ("m", 6e4)],
            "write milliseconds, or a number with ms, s or min, such as 500ms",
        ),
        Unit::Fuel | Unit::Count | Unit::PerSecond => (
            &[("/s", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)],
            "write a whole number, optionally with k, M or G, such as 50M",
        ),
    };
    let wrong = || LimitsError::NotAQuantity {
        limit,
        text: text.chars().take(64).collect(),
        expected,
    };
    let trimmed = text.trim();
    let trimmed = match limit.unit() {
        Unit::BytesPerSecond => trimmed.strip_suffix("/s").unwrap_or(trimmed),
        _ => trimmed,
    };
    let digits_end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let (digits, suffix) = trimmed.split_at(digits_end);
    let digits = digits.replace('_', "");
    let suffix = suffix.trim();
    let value = if suffix.is_empty() {
        match digits.parse::<u64>() {
            Ok(value) => value,
            // A number all the same, which is beyond every bound.
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => u64::MAX,
            Err(_) => return Err(wrong()),
        }
    } else {
        let factor = suffixes
            .iter()
            .find(|(name, _)| *name == suffix)
            .map(|(_, factor)| *factor)
            .ok_or_else(wrong)?;
        let number = digits.parse::<f64>().map_err(|_| wrong())?;
        let value = number * factor;
        // What is said with a fraction is rounded, as long as that is about what was said.
        if (value - value.round()).abs() > value / 1_000.0 {
            return Err(wrong());
        }
        // Quantities are far below 2^53, so the conversion is exact to the unit.
        value.round() as u64
    };
    let (min, max) = limit.bounds();
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(LimitsError::OutOfBounds { limit, value })
    }
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

fn format_bytes(value: u64) -> String {
    match value {
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
    use crate::Dimension;

    #[test]
    fn quantities_as_people_write_them() {
        let read = |d, text| parse_quantity(d, text).unwrap();
        assert_eq!(read(Dimension::Memory, "64MiB"), 64 << 20);
        assert_eq!(read(Dimension::Memory, "1.5 MB"), 1_500_000);
        assert_eq!(read(Dimension::Memory, "65536"), 65_536);
        assert_eq!(read(Dimension::EgressRate, "64KiB/s"), 64 << 10);
        assert_eq!(read(Dimension::RequestRate, "100/s"), 100);
        assert_eq!(read(Dimension::Deadline, "2s"), 2_000);
        assert_eq!(read(Dimension::Fuel, "50M"), 50_000_000);
        assert_eq!(read(Dimension::Storage, "1.3GiB"), 1_395_864_371);
        assert_eq!(read(Dimension::Fuel, "1_000"), 1_000);
    }

    #[test]
    fn quantities_that_are_refused() {
        for (dimension, text) in [
            (Dimension::Memory, "lots"),
            (Dimension::Memory, "-1"),
            (Dimension::Memory, "1TiB"),
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
