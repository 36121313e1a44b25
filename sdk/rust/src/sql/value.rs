//! Parameters and cells, and their conversions from and to Rust types.

pub use crate::bindings::sql::cloudware::sql::database::Value;

/// A Rust type that a cell can be read as.
pub trait FromValue: Sized {
    /// What people call the type, for errors: `a whole number`.
    const KIND: &'static str;

    /// Reads a cell; `None` where it is of another type or out of range.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            const KIND: &'static str = concat!("a whole number of the range of ", stringify!($type));

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => (*number).try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(i64, i32, i16, u64, u32, u16, u8, usize);

macro_rules! from_integers {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(number: $type) -> Self {
                Self::Integer(number.into())
            }
        }
    )*};
}

from_integers!(i64, i32, i16, u32, u16, u8);

impl FromValue for bool {
    const KIND: &'static str = "a boolean";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(value) => Some(*value),
            // An expression has no declared type, so its cells come as 0 or 1.
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const KIND: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        }
    }
}

impl FromValue for String {
    const KIND: &'static str = "text";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const KIND: &'static str = "bytes";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const KIND: &'static str = T::KIND;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_what_they_are() {
        assert_eq!(i64::from_value(&Value::Integer(-5)), Some(-5));
        assert_eq!(bool::from_value(&Value::Integer(1)), Some(true));
        assert_eq!(f64::from_value(&Value::Integer(2)), Some(2.0));
        assert_eq!(Option::<String>::from_value(&Value::Null), Some(None));
        assert_eq!(
            Option::<String>::from_value(&Value::Text("a".into())),
            Some(Some("a".into()))
        );
    }

    #[test]
    fn values_of_another_type_or_range_are_refused() {
        assert_eq!(u8::from_value(&Value::Integer(256)), None);
        assert_eq!(u64::from_value(&Value::Integer(-1)), None);
        assert_eq!(bool::from_value(&Value::Integer(2)), None);
        assert_eq!(i64::from_value(&Value::Text("5".into())), None);
        assert_eq!(String::from_value(&Value::Null), None);
    }

    #[test]
    fn parameters_from_rust_types() {
        let parameters = crate::params![1, "a", None::<String>, Some(true)];
        assert!(matches!(
            parameters,
            [
                Value::Integer(1),
                Value::Text(_),
                Value::Null,
                Value::Boolean(true)
            ]
        ));
        assert!(crate::params![].is_empty());
    }
}
