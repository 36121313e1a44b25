//! Limits: the dimensions in which an instance can be limited, their units, defaults, bounds and
//! reasons, as one table. Quotas, enforcement, stops and documentation all read this table.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one limit bounds: a single sandboxed run, or everything an instance does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One sandboxed run of a component.
    Invocation,
    /// All of an instance together.
    Instance,
}

/// The unit in which a dimension is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Wasm instructions as the engine weighs them, roughly one each.
    Fuel,
    /// Bytes.
    Bytes,
    /// Milliseconds of wall time.
    Milliseconds,
    /// A plain number of things.
    Count,
    /// Things a second.
    PerSecond,
}

impl Unit {
    /// The word behind a number of this unit, for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Bytes => "bytes",
            Self::Milliseconds => "ms",
            Self::Count => "",
            Self::PerSecond => "/s",
        }
    }
}

macro_rules! dimensions {
    ($($variant:ident $name:literal $scope:ident $unit:ident $min:literal ..= $max:literal, default $default:literal: $reason:literal;)*) => {
        /// One resource that can be limited. The order is the order in which people see them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(usize)]
        pub enum Dimension {
            $(#[doc = concat!("`", $name, "`: ", $reason)] $variant,)*
        }

        impl Dimension {
            /// Every dimension, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in manifests, APIs and commands, for example `memory`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What the limit bounds.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope),* }
            }

            /// The unit of its numbers.
            #[must_use]
            pub fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit),* }
            }

            /// The value where no level sets one.
            #[must_use]
            pub fn default_value(self) -> u64 {
                match self { $(Self::$variant => $default),* }
            }

            /// The smallest and the largest value that an admin may set.
            #[must_use]
            pub fn bounds(self) -> (u64, u64) {
                match self { $(Self::$variant => ($min, $max)),* }
            }

            /// What it bounds and why the default is what it is, one sentence each.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason),* }
            }
        }
    };
}

dimensions! {
    Fuel "fuel" Invocation Fuel 0..=1_000_000_000_000, default 2_000_000_000:
        "Wasm instructions of one run. About two seconds of one core; a page needs well under a hundredth of it.";
    Deadline "deadline" Invocation Milliseconds 1..=3_600_000, default 10_000:
        "Wall time of one run, host waits included. Longer than any page should take, shorter than the usual proxy time-out of 30 s.";
    Memory "memory" Invocation Bytes 65_536..=268_435_456, default 134_217_728:
        "Sum of all linear memories and tables of one run. An interpreter with its standard library fits; the most is what a pool slot holds.";
    Handles "handles" Invocation Count 8..=1_000_000, default 10_000:
        "Component resources open at once in one run. Each costs the host about 100 bytes.";
    HostCalls "host-calls" Invocation Count 1..=1_000_000_000, default 1_000_000:
        "Calls of capability functions in one run. A call costs about a microsecond of host time.";
    RequestBytes "request-bytes" Invocation Bytes 0..=1_073_741_824, default 16_777_216:
        "Body of one request. Uploads of documents fit; larger files belong into blobs.";
    ResponseBytes "response-bytes" Invocation Bytes 0..=10_737_418_240, default 67_108_864:
        "Body of one response. An export of a table fits.";
    LogBytes "log-bytes" Invocation Bytes 0..=16_777_216, default 65_536:
        "Log text of one run; what is beyond is cut and marked. Hundreds of lines fit.";
    SqlStatements "sql-statements" Invocation Count 0..=10_000_000, default 10_000:
        "SQL statements of one run. A page that needs more has a query in a loop.";
    SqlRows "sql-rows" Invocation Count 0..=100_000_000, default 100_000:
        "Rows that the SQL statements of one run return or change, added up. Larger sets are read in pages.";
    SqlTime "sql-time" Invocation Milliseconds 1..=3_600_000, default 5_000:
        "Time that the database works for one run. Half of the default deadline.";
    KvOperations "kv-operations" Invocation Count 0..=10_000_000, default 10_000:
        "Key-value operations of one run.";
    Concurrency "concurrency" Instance Count 1..=100_000, default 256:
        "Runs of an instance at the same time. One instance cannot take the whole pool of sandboxes.";
    RequestRate "request-rate" Instance PerSecond 1..=1_000_000, default 1_000:
        "Requests a second of an instance, with a burst of one second's worth.";
    Storage "storage" Instance Bytes 65_536..=1_099_511_627_776, default 1_073_741_824:
        "Size of the private database of an instance.";
}

impl Dimension {
    /// The number of dimensions.
    pub const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dimension {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, LimitsError> {
        Self::ALL
            .iter()
            .copied()
            .find(|dimension| dimension.name() == text)
            .ok_or_else(|| LimitsError::UnknownDimension(text.chars().take(64).collect()))
    }
}

impl Serialize for Dimension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A value for every dimension: what one install may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits([u64; Dimension::COUNT]);

/// Why a limit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// No dimension has this name.
    #[error("there is no limit named `{0}`; the limits are {names}", names = dimension_names())]
    UnknownDimension(String),
    /// The value lies outside the bounds of the dimension.
    #[error("{dimension} = {value} is out of bounds: it must be from {min} to {max} {unit}",
        min = .dimension.bounds().0, max = .dimension.bounds().1, unit = .dimension.unit().word())]
    OutOfBounds {
        /// The dimension that was to be set.
        dimension: Dimension,
        /// The value that was refused.
        value: u64,
    },
    /// The text is not a quantity of the dimension's unit.
    #[error("`{text}` is not a quantity for {dimension}: {expected}")]
    NotAQuantity {
        /// The dimension that was to be set.
        dimension: Dimension,
        /// The text that was refused.
        text: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

fn dimension_names() -> String {
    let names: Vec<_> = Dimension::ALL.iter().map(|d| d.name()).collect();
    names.join(", ")
}

impl Limits {
    /// The value of one dimension.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> u64 {
        self.0[dimension as usize]
    }

    /// Sets one dimension.
    ///
    /// # Errors
    /// [`LimitsError::OutOfBounds`] where the value lies outside [`Dimension::bounds`].
    pub fn set(&mut self, dimension: Dimension, value: u64) -> Result<(), LimitsError> {
        let (min, max) = dimension.bounds();
        if !(min..=max).contains(&value) {
            return Err(LimitsError::OutOfBounds { dimension, value });
        }
        self.0[dimension as usize] = value;
        Ok(())
    }

    /// Every dimension with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, u64)> + '_ {
        Dimension::ALL.iter().map(|&d| (d, self.get(d)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        let mut values = [0; Dimension::COUNT];
        for &dimension in Dimension::ALL {
            values[dimension as usize] = dimension.default_value();
        }
        Self(values)
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Reads a quantity as people write it: `64MiB`, `1.5GB`, `500ms`, `10s`, `2M`, `1000`.
///
/// # Errors
/// [`LimitsError::NotAQuantity`] for another text, [`LimitsError::OutOfBounds`] for a value outside
/// the dimension's bounds.
pub fn parse_quantity(dimension: Dimension, text: &str) -> Result<u64, LimitsError> {
    let (suffixes, expected): (&[(&str, f64)], _) = match dimension.unit() {
        Unit::Bytes => (
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
        dimension,
        text: text.chars().take(64).collect(),
        expected,
    };
    let trimmed = text.trim();
    let digits_end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let (digits, suffix) = trimmed.split_at(digits_end);
    let digits = digits.replace('_', "");
    let suffix = suffix.trim();
    let value = if suffix.is_empty() {
        digits.parse::<u64>().map_err(|_| wrong())?
    } else {
        let factor = suffixes
            .iter()
            .find(|(name, _)| *name == suffix)
            .map(|(_, factor)| *factor)
            .ok_or_else(wrong)?;
        let number = digits.parse::<f64>().map_err(|_| wrong())?;
        // Quantities are far below 2^53, so the conversion is exact to the unit.
        (number * factor).round() as u64
    };
    let (min, max) = dimension.bounds();
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(LimitsError::OutOfBounds { dimension, value })
    }
}

/// Writes a value of a dimension for people, with its unit: `64 MiB`, `2,000,000,000 fuel`, `10 s`.
#[must_use]
pub fn format_quantity(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes if value >= 1 << 20 => format!("{:.1} MiB", value as f64 / 1_048_576.0),
        Unit::Bytes if value >= 1 << 10 => format!("{:.1} KiB", value as f64 / 1024.0),
        Unit::Bytes => format!("{value} bytes"),
        Unit::Milliseconds if value >= 10_000 => format!("{:.1} s", value as f64 / 1000.0),
        Unit::Milliseconds => format!("{value} ms"),
        Unit::Fuel => format!("{} fuel", thousands(value)),
        Unit::Count => thousands(value),
        Unit::PerSecond => format!("{}/s", thousands(value)),
    }
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

    #[test]
    fn defaults_lie_within_their_bounds() {
        let mut limits = Limits::default();
        for &dimension in Dimension::ALL {
            assert_eq!(limits.set(dimension, dimension.default_value()), Ok(()));
            assert_eq!(dimension.name().parse(), Ok(dimension));
        }
    }

    #[test]
    fn quantities_as_people_write_them() {
        let read = |d, text| parse_quantity(d, text).unwrap();
        assert_eq!(read(Dimension::Memory, "64MiB"), 64 << 20);
        assert_eq!(read(Dimension::Memory, "1.5 MB"), 1_500_000);
        assert_eq!(read(Dimension::Memory, "65536"), 65_536);
        assert_eq!(read(Dimension::Deadline, "2s"), 2_000);
        assert_eq!(read(Dimension::Fuel, "50M"), 50_000_000);
        assert_eq!(read(Dimension::Fuel, "1_000"), 1_000);
    }

    #[test]
    fn quantities_that_are_refused() {
        for (dimension, text) in [
            (Dimension::Memory, "lots"),
            (Dimension::Memory, "-1"),
            (Dimension::Memory, "1TiB"),
            (Dimension::Memory, "1GiB"),
            (Dimension::Deadline, "0"),
            (Dimension::Fuel, "1.5"),
            (Dimension::Fuel, ""),
        ] {
            assert!(
                parse_quantity(dimension, text).is_err(),
                "{dimension} {text}"
            );
        }
    }

    #[test]
    fn quantities_for_people() {
        assert_eq!(format_quantity(Unit::Fuel, 2_000_000), "2,000,000 fuel");
        assert_eq!(format_quantity(Unit::Bytes, 64 << 20), "64.0 MiB");
        assert_eq!(format_quantity(Unit::Milliseconds, 250), "250 ms");
    }
}
