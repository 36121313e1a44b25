//! A value for every limit, as an install may use it.

use serde::{Serialize, Serializer};

use crate::{Class, Dimension, Limit, format_exact};

/// A value for every limit: what one install may use.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Limits([[u64; Dimension::COUNT]; Class::ALL.len()]);

/// Why a limit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// No limit has this name.
    #[error("there is no limit named `{0}`; the limits are {names}, and those of single runs with `hook-` or `job-` before them",
        names = dimension_names())]
    UnknownLimit(String),
    /// The value lies outside the bounds of the dimension.
    #[error("{limit} = {} is out of bounds: it must be {}", given(*.limit, *.value), allowed(*.limit))]
    OutOfBounds {
        /// The limit that was to be set.
        limit: Limit,
        /// The value that was refused.
        value: u64,
    },
    /// The text is not a quantity of the dimension's unit.
    #[error("`{text}` is not a quantity for {limit}: {expected}")]
    NotAQuantity {
        /// The limit that was to be set.
        limit: Limit,
        /// The text that was refused.
        text: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

/// A value as people write it. The largest stands for every number beyond it.
fn given(limit: Limit, value: u64) -> String {
    match value {
        u64::MAX => "a number of more than 19 digits".to_owned(),
        value => format_exact(limit.unit(), value),
    }
}

/// The values that a limit may have.
fn allowed(limit: Limit) -> String {
    let (min, max) = limit.bounds();
    let [min, max] = [min, max].map(|bound| format_exact(limit.unit(), bound));
    match min == max {
        true => format!("{min}, and can't be changed"),
        false => format!("from {min} to {max}"),
    }
}

fn dimension_names() -> String {
    let names: Vec<_> = Dimension::ALL.iter().map(|d| d.name()).collect();
    names.join(", ")
}

impl Limits {
    /// The value of one limit. A [`Dimension`] stands for its limit of requests and whole instances.
    #[must_use]
    pub fn get(&self, limit: impl Into<Limit>) -> u64 {
        let limit = limit.into();
        self.0[limit.class() as usize][limit.dimension() as usize]
    }

    /// Sets one limit.
    ///
    /// # Errors
    /// [`LimitsError::OutOfBounds`] where the value lies outside [`Limit::bounds`].
    pub fn set(&mut self, limit: impl Into<Limit>, value: u64) -> Result<(), LimitsError> {
        let limit = limit.into();
        let (min, max) = limit.bounds();
        if !(min..=max).contains(&value) {
            return Err(LimitsError::OutOfBounds { limit, value });
        }
        self.0[limit.class() as usize][limit.dimension() as usize] = value;
        Ok(())
    }

    /// Every limit with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> + '_ {
        Limit::all().iter().map(|&limit| (limit, self.get(limit)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        let mut values = [[0; Dimension::COUNT]; Class::ALL.len()];
        for class in Class::ALL {
            for &dimension in Dimension::ALL {
                values[class as usize][dimension as usize] = dimension.default_value(class);
            }
        }
        Self(values)
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_their_bounds() {
        let mut limits = Limits::default();
        for &limit in Limit::all() {
            assert_eq!(limits.set(limit, limit.default_value()), Ok(()));
        }
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn classes_are_apart() {
        let mut limits = Limits::default();
        limits.set(Dimension::Fuel.of(Class::Hook), 7).unwrap();
        assert_eq!(limits.get(Dimension::Fuel.of(Class::Hook)), 7);
        assert_eq!(
            limits.get(Dimension::Fuel),
            Dimension::Fuel.default_value(Class::Request)
        );
    }
}
