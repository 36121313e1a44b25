//! How large the values are that go to a hook and come back.

use wasmtime::component::Val;

/// Bytes of values: of numbers and characters as they lie in a guest's memory, of texts as UTF-8, of what is put together
/// the sum. Names of cases and flags count as one number, and handles too.
pub(super) fn bytes(values: &[Val]) -> u64 {
    values.iter().map(of).fold(0, u64::saturating_add)
}

fn of(value: &Val) -> u64 {
    match value {
        Val::Bool(_) | Val::S8(_) | Val::U8(_) => 1,
        Val::S16(_) | Val::U16(_) => 2,
        Val::S32(_) | Val::U32(_) | Val::Float32(_) | Val::Char(_) => 4,
        Val::S64(_) | Val::U64(_) | Val::Float64(_) => 8,
        Val::Enum(_) | Val::Flags(_) => 4,
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => 4,
        Val::String(text) => text.len() as u64,
        Val::List(values) | Val::Tuple(values) | Val::FixedLengthList(values) => bytes(values),
        Val::Map(entries) => entries
            .iter()
            .map(|(key, value)| of(key).saturating_add(of(value)))
            .fold(0, u64::saturating_add),
        Val::Record(fields) => fields
            .iter()
            .map(|(_, value)| of(value))
            .fold(0, u64::saturating_add),
        Val::Variant(_, value) | Val::Option(value) => 4 + value.as_deref().map_or(0, of),
        Val::Result(Ok(value) | Err(value)) => 4 + value.as_deref().map_or(0, of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_as_large_as_its_parts() {
        let text = |text: &str| Val::String(text.to_owned());
        let order = Val::Record(vec![
            ("customer".to_owned(), text("Ångström")),
            ("lines".to_owned(), Val::List(vec![Val::U8(1); 100])),
            ("sum".to_owned(), Val::Option(Some(Box::new(Val::U64(1))))),
        ]);
        assert_eq!(bytes(&[order, text("four")]), 10 + 100 + 12 + 4);
        assert_eq!(bytes(&[]), 0);
    }
}
