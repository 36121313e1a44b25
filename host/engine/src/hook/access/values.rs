//! What hooks on data are told and say, as component values of `cloudware:access`; and what they may not say.

use cloudware_types::{Comparison, Condition, ResultColumn, SqlValue, TableAccess};
use wasmtime::component::Val;

use crate::limits::{
    ACCESS_BLOB_BYTES_MAX, ACCESS_CONDITIONS_MAX, ACCESS_FILTER_BYTES_MAX, ACCESS_LIST_VALUES_MAX,
    ACCESS_PART_GROWTH_BYTES_MAX,
};

/// Bytes that a byte of a blob takes as an element of a list.
const BLOB_BYTE_WEIGHT: usize = size_of::<Val>();

/// About how many bytes a cell takes as a component value.
pub(super) fn weight(value: &SqlValue) -> usize {
    let bytes = match value {
        SqlValue::Blob(bytes) if bytes.len() > ACCESS_BLOB_BYTES_MAX => 0,
        SqlValue::Blob(bytes) => bytes.len() * BLOB_BYTE_WEIGHT,
        value => value.bytes(),
    };
    size_of::<Val>() * 2 + bytes
}

/// An `access`.
pub(super) fn access(app: &str, access: &TableAccess, filter: &[Condition]) -> Val {
    record([
        ("app", text(app)),
        ("table", text(&access.table)),
        ("operation", Val::Enum(access.operation.name().to_owned())),
        ("columns", texts(&access.columns)),
        ("columns-read", texts(&access.read)),
        ("columns-written", texts(&access.written)),
        ("filter", Val::List(filter.iter().map(condition).collect())),
    ])
}

/// The columns of `rows`.
pub(super) fn columns(columns: &[ResultColumn]) -> Val {
    let origin = |(table, column): &(String, String)| {
        let origin = record([("table", text(table)), ("column", text(column))]);
        Box::new(origin)
    };
    let columns = columns.iter().map(|column| {
        record([
            ("name", text(&column.name)),
            ("origin", Val::Option(column.origin.as_ref().map(origin))),
        ])
    });
    Val::List(columns.collect())
}

/// `rows` of a result.
pub(super) fn rows(columns: &Val, rows: &[Vec<SqlValue>]) -> Val {
    let cells = |row: &Vec<SqlValue>| Val::List(row.iter().map(shown).collect());
    let rows = Val::List(rows.iter().map(cells).collect());
    record([("columns", columns.clone()), ("rows", rows)])
}

/// The conditions of an `access` that was given back.
pub(super) fn filter_of(access: &Val) -> Option<Vec<Condition>> {
    elements(field(access, "filter")?)?
        .iter()
        .map(condition_of)
        .collect()
}

/// The cells of `rows` that were given back.
pub(super) fn rows_of(rows: &Val) -> Option<Vec<Vec<SqlValue>>> {
    let row = |row: &Val| elements(row)?.iter().map(value_of).collect();
    elements(field(rows, "rows")?)?.iter().map(row).collect()
}

/// Whether a hook did with an access what it may: refused, or added conditions.
///
/// # Errors
/// What it did.
pub(super) fn check_before(arguments: &[Val], result: &Val) -> Result<(), String> {
    let (Some(given), Val::Result(Ok(Some(got)))) = (arguments.first(), result) else {
        return Ok(());
    };
    let (Val::Record(before), Val::Record(after)) = (given, &**got) else {
        return Err("it returned no access".to_owned());
    };
    let others = before
        .iter()
        .zip(after)
        .filter(|((name, _), _)| name != "filter");
    for ((name, before), (_, after)) in others {
        if before != after {
            return Err(format!(
                "it changed `{name}`, and may only add conditions to `filter`"
            ));
        }
    }
    let filter = |access| {
        field(access, "filter")
            .and_then(elements)
            .unwrap_or_default()
    };
    let (kept, all) = (filter(given), filter(got));
    if !all.starts_with(kept) {
        return Err(
            "it changed or removed conditions of others, and may only add some at the end"
                .to_owned(),
        );
    }
    if all.len() > ACCESS_CONDITIONS_MAX {
        return Err(format!(
            "it made the filter longer than {ACCESS_CONDITIONS_MAX} conditions"
        ));
    }
    let columns = field(given, "columns")
        .and_then(elements)
        .unwrap_or_default();
    all[kept.len()..]
        .iter()
        .try_for_each(|added| check_condition(columns, added))
}

fn check_condition(columns: &[Val], added: &Val) -> Result<(), String> {
    let Some(condition) = condition_of(added) else {
        return Err("it added what is no condition".to_owned());
    };
    let column = &condition.column;
    let named =
        |known: &Val| matches!(known, Val::String(known) if known.eq_ignore_ascii_case(column));
    if !columns.iter().any(named) {
        let column: String = column.chars().take(80).collect();
        return Err(format!(
            "it added a condition on `{column}`, which the table does not have"
        ));
    }
    let (comparison, values) = (condition.comparison, &condition.values);
    if !comparison.takes(values.len()) || values.len() > ACCESS_LIST_VALUES_MAX {
        return Err(format!(
            "it added a condition on `{column}` with {} values, which `{comparison}` can't have",
            values.len()
        ));
    }
    if values.iter().map(SqlValue::bytes).sum::<usize>() > ACCESS_FILTER_BYTES_MAX {
        return Err(format!(
            "it added a condition on `{column}` whose values are longer than {ACCESS_FILTER_BYTES_MAX} bytes"
        ));
    }
    if values
        .iter()
        .any(|value| matches!(value, SqlValue::Real(number) if number.is_nan()))
    {
        return Err(format!(
            "it added a condition on `{column}` with a value that is no number"
        ));
    }
    Ok(())
}

/// Whether a hook did with rows what it may: refused, or replaced values.
///
/// # Errors
/// What it did.
pub(super) fn check_after(arguments: &[Val], result: &Val) -> Result<(), String> {
    let (Some(given), Val::Result(Ok(Some(got)))) = (arguments.first(), result) else {
        return Ok(());
    };
    if field(given, "columns") != field(got, "columns") {
        return Err("it changed the columns, and may only replace values".to_owned());
    }
    let (Some(before), Some(after)) = (rows_of(given), rows_of(got)) else {
        return Err("it returned no rows".to_owned());
    };
    let lengths = |rows: &[Vec<SqlValue>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
    if lengths(&before) != lengths(&after) {
        return Err("it added or dropped rows or values, and may only replace values".to_owned());
    }
    let weight = |rows: &[Vec<SqlValue>]| rows.iter().flatten().map(SqlValue::bytes).sum::<usize>();
    if weight(&after) > weight(&before) + ACCESS_PART_GROWTH_BYTES_MAX {
        return Err(format!(
            "it made the values more than {ACCESS_PART_GROWTH_BYTES_MAX} bytes longer than they were"
        ));
    }
    Ok(())
}

fn condition(condition: &Condition) -> Val {
    record([
        ("column", text(&condition.column)),
        (
            "comparison",
            Val::Enum(condition.comparison.name().to_owned()),
        ),
        (
            "values",
            Val::List(condition.values.iter().map(value).collect()),
        ),
    ])
}

fn condition_of(condition: &Val) -> Option<Condition> {
    let (Val::String(column), Val::Enum(comparison)) =
        (field(condition, "column")?, field(condition, "comparison")?)
    else {
        return None;
    };
    let values = elements(field(condition, "values")?)?.iter().map(value_of);
    Some(Condition {
        column: column.clone(),
        comparison: comparison.parse::<Comparison>().ok()?,
        values: values.collect::<Option<_>>()?,
    })
}

/// A cell as hooks see it.
fn shown(cell: &SqlValue) -> Val {
    match cell {
        SqlValue::Blob(bytes) if bytes.len() > ACCESS_BLOB_BYTES_MAX => value(&SqlValue::Null),
        cell => value(cell),
    }
}

fn value(value: &SqlValue) -> Val {
    let (case, payload) = match value {
        SqlValue::Null => ("null", None),
        SqlValue::Boolean(yes) => ("boolean", Some(Val::Bool(*yes))),
        SqlValue::Integer(number) => ("integer", Some(Val::S64(*number))),
        SqlValue::Real(number) => ("real", Some(Val::Float64(*number))),
        SqlValue::Text(text) => ("text", Some(Val::String(text.clone()))),
        SqlValue::Blob(bytes) => {
            let bytes = bytes.iter().map(|byte| Val::U8(*byte)).collect();
            ("blob", Some(Val::List(bytes)))
        }
    };
    Val::Variant(case.to_owned(), payload.map(Box::new))
}

fn value_of(value: &Val) -> Option<SqlValue> {
    let Val::Variant(case, payload) = value else {
        return None;
    };
    match (case.as_str(), payload.as_deref()) {
        ("null", None) => Some(SqlValue::Null),
        ("boolean", Some(Val::Bool(yes))) => Some(SqlValue::Boolean(*yes)),
        ("integer", Some(Val::S64(number))) => Some(SqlValue::Integer(*number)),
        ("real", Some(Val::Float64(number))) => Some(SqlValue::Real(*number)),
        ("text", Some(Val::String(text))) => Some(SqlValue::Text(text.clone())),
        ("blob", Some(Val::List(bytes))) => {
            let byte = |byte: &Val| match byte {
                Val::U8(byte) => Some(*byte),
                _ => None,
            };
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            bytes.map(SqlValue::Blob)
        }
        _ => None,
    }
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn field<'v>(record: &'v Val, name: &str) -> Option<&'v Val> {
    let Val::Record(fields) = record else {
        return None;
    };
    fields
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn elements(list: &Val) -> Option<&[Val]> {
    match list {
        Val::List(values) => Some(values),
        _ => None,
    }
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn texts(all: &[String]) -> Val {
    Val::List(all.iter().map(|one| text(one)).collect())
}

#[cfg(test)]
mod tests {
    use cloudware_types::Operation;

    use super::*;

    fn asked(filter: &[Condition]) -> Val {
        let access_made = TableAccess {
            table: "stock_levels".into(),
            operation: Operation::Read,
            columns: ["id".to_owned(), "location".to_owned()].into(),
            read: vec!["location".into()],
            written: Vec::new(),
        };
        access("inventory-stock", &access_made, filter)
    }

    fn at(column: &str, comparison: Comparison, values: &[SqlValue]) -> Condition {
        Condition {
            column: column.into(),
            comparison,
            values: values.to_vec(),
        }
    }

    fn main() -> Condition {
        at("location", Comparison::Eq, &[SqlValue::Text("MAIN".into())])
    }

    /// What is said of a hook that was given one filter and returned another.
    fn judged(given: &[Condition], got: &[Condition]) -> Result<(), String> {
        let got = Val::Result(Ok(Some(Box::new(asked(got)))));
        check_before(&[asked(given)], &got)
    }

    #[test]
    fn conditions_are_read_as_they_were_written() {
        let filter = [
            main(),
            at(
                "ID",
                Comparison::InList,
                &[SqlValue::Integer(1), SqlValue::Null, SqlValue::Real(0.5)],
            ),
            at("id", Comparison::IsNotNull, &[]),
            at("id", Comparison::Ne, &[SqlValue::Blob(vec![0, 255])]),
        ];
        assert_eq!(filter_of(&asked(&filter)), Some(filter.to_vec()));
        assert_eq!(judged(&filter[..1], &filter), Ok(()));
    }

    #[test]
    fn a_hook_may_only_add_conditions() {
        let text = || SqlValue::Text("x".into());
        for (given, got, said) in [
            (vec![main()], vec![], "removed"),
            (
                vec![main()],
                vec![at("id", Comparison::IsNull, &[]), main()],
                "at the end",
            ),
            (
                vec![],
                vec![at("secret", Comparison::IsNull, &[])],
                "`secret`, which the table does not have",
            ),
            (
                vec![],
                vec![at("id", Comparison::IsNull, &[text()])],
                "1 values",
            ),
            (vec![], vec![at("id", Comparison::Eq, &[])], "0 values"),
            (
                vec![],
                vec![at("id", Comparison::Lt, &[SqlValue::Real(f64::NAN)])],
                "no number",
            ),
            (
                vec![],
                vec![main(); ACCESS_CONDITIONS_MAX + 1],
                "longer than",
            ),
        ] {
            let error = judged(&given, &got).expect_err(said);
            assert!(error.contains(said), "{said}: {error}");
        }
        let Val::Record(mut fields) = asked(&[]) else {
            panic!("an access is a record");
        };
        fields[1].1 = Val::String("stock_items".into());
        let other = Val::Result(Ok(Some(Box::new(Val::Record(fields)))));
        assert!(check_before(&[asked(&[])], &other).is_err_and(|error| error.contains("`table`")));
    }

    #[test]
    fn a_hook_may_only_replace_values() {
        let named = [ResultColumn {
            name: "n".into(),
            origin: None,
        }];
        let rows_with = |values: &[&[SqlValue]]| {
            let values: Vec<_> = values.iter().map(|row| row.to_vec()).collect();
            rows(&columns(&named), &values)
        };
        let (one, two) = (SqlValue::Integer(1), SqlValue::Text("two".into()));
        let given = rows_with(&[std::slice::from_ref(&one), &[two]]);
        let judge = |got: Val| {
            check_after(
                std::slice::from_ref(&given),
                &Val::Result(Ok(Some(Box::new(got)))),
            )
        };
        let null = [SqlValue::Null];
        assert_eq!(judge(rows_with(&[&null, &null])), Ok(()));
        let long = SqlValue::Text("x".repeat(ACCESS_PART_GROWTH_BYTES_MAX + 4));
        for got in [
            rows_with(&[&null]),
            rows_with(&[&null, &null, &null]),
            rows_with(&[&null, &[]]),
            rows_with(&[&null, &[long]]),
            rows(&columns(&[]), &[null.to_vec(), null.to_vec()]),
        ] {
            assert!(judge(got).is_err());
        }
    }

    #[test]
    fn a_long_blob_is_not_shown() {
        let blob = |length| vec![vec![SqlValue::Blob(vec![7; length])]];
        let seen = |cells: &[Vec<SqlValue>]| rows_of(&rows(&columns(&[]), cells));
        let short = blob(ACCESS_BLOB_BYTES_MAX);
        assert_eq!(seen(&short), Some(short));
        assert_eq!(
            seen(&blob(ACCESS_BLOB_BYTES_MAX + 1)),
            Some(vec![vec![SqlValue::Null]])
        );
    }
}
