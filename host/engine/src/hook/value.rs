//! Component values as JSON and back: what webhooks get and answer, what observers are told later, what people
//! see of a difference. Records are objects, variants objects of one member, enums and cases without a value
//! texts, flags lists of texts, `option` the value or null (an option of an option is `{"some": …}`), results
//! `{"ok": …}` or `{"err": …}`.

use serde_json::{Map, Number, Value, json};
use wasmtime::component::{Type, Val};

use crate::limits::VALUE_DEPTH_MAX;

/// Why a JSON value is none of the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ValueError {
    /// Where, as a path such as `$.lines[3].quantity`.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

/// A component value as JSON. Values that JSON has no numbers for (NaN, infinities) are texts.
pub(crate) fn to_json(value: &Val) -> Value {
    match value {
        Val::Bool(value) => json!(value),
        Val::S8(value) => json!(value),
        Val::U8(value) => json!(value),
        Val::S16(value) => json!(value),
        Val::U16(value) => json!(value),
        Val::S32(value) => json!(value),
        Val::U32(value) => json!(value),
        Val::S64(value) => json!(value),
        Val::U64(value) => json!(value),
        Val::Float32(value) => float(f64::from(*value)),
        Val::Float64(value) => float(*value),
        Val::Char(value) => json!(value.to_string()),
        Val::String(value) => json!(value),
        Val::List(values) | Val::Tuple(values) | Val::FixedLengthList(values) => {
            Value::Array(values.iter().map(to_json).collect())
        }
        Val::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| json!([to_json(key), to_json(value)]))
            .collect(),
        Val::Record(fields) => {
            let members = fields
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)));
            Value::Object(members.collect())
        }
        Val::Variant(case, None) | Val::Enum(case) => json!(case),
        Val::Variant(case, Some(value)) => one(case, to_json(value)),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) if matches!(**value, Val::Option(_)) => {
            one("some", to_json(value))
        }
        Val::Option(Some(value)) => to_json(value),
        Val::Result(Ok(value)) => one("ok", optional(value.as_deref())),
        Val::Result(Err(value)) => one("err", optional(value.as_deref())),
        Val::Flags(names) => json!(names),
        // Publishing refuses these in what crosses between apps.
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => Value::Null,
    }
}

/// Arguments by the names of their parameters.
pub(crate) fn arguments<'a>(
    parameters: impl Iterator<Item = (&'a str, Type)>,
    arguments: &[Val],
) -> Value {
    let members = parameters
        .zip(arguments)
        .map(|((name, _), value)| (name.to_owned(), to_json(value)));
    Value::Object(members.collect())
}

/// The component value of type `ty` that a JSON value stands for.
///
/// # Errors
/// Where it stands for none, with its place.
pub(crate) fn from_json(ty: &Type, value: &Value, at: &str) -> Result<Val, ValueError> {
    read(ty, value, &mut at.to_owned(), 0)
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| json!(value.to_string()), Value::Number)
}

fn one(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn optional(value: Option<&Val>) -> Value {
    value.map_or(Value::Null, to_json)
}

fn wrong(at: &str, message: impl Into<String>) -> ValueError {
    ValueError {
        at: at.to_owned(),
        message: message.into(),
    }
}

/// Reads one level; `at` is restored before it returns.
fn read(ty: &Type, value: &Value, at: &mut String, depth: usize) -> Result<Val, ValueError> {
    if depth > VALUE_DEPTH_MAX {
        return Err(wrong(at, "is nested too deeply"));
    }
    let integer = || {
        let number = value.as_i64().map(i128::from);
        number.or_else(|| value.as_u64().map(i128::from))
    };
    macro_rules! number {
        ($case:ident, $ty:ty) => {
            match integer().and_then(|number| <$ty>::try_from(number).ok()) {
                Some(number) => Ok(Val::$case(number)),
                None => Err(wrong(
                    at,
                    concat!("must be a whole number of type ", stringify!($ty)),
                )),
            }
        };
    }
    match ty {
        Type::Bool => value
            .as_bool()
            .map(Val::Bool)
            .ok_or_else(|| wrong(at, "must be true or false")),
        Type::S8 => number!(S8, i8),
        Type::U8 => number!(U8, u8),
        Type::S16 => number!(S16, i16),
        Type::U16 => number!(U16, u16),
        Type::S32 => number!(S32, i32),
        Type::U32 => number!(U32, u32),
        Type::S64 => number!(S64, i64),
        Type::U64 => number!(U64, u64),
        // What is out of a single's range becomes infinite, as arithmetic on singles does.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding is what a single is"
        )]
        Type::Float32 => read_float(value, at).map(|number| Val::Float32(number as f32)),
        Type::Float64 => read_float(value, at).map(Val::Float64),
        Type::Char => {
            let mut chars = value.as_str().unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Ok(Val::Char(char)),
                _ => Err(wrong(at, "must be a text of one character")),
            }
        }
        Type::String => text(value, at).map(|text| Val::String(text.to_owned())),
        Type::List(list) => {
            let items = array(value, at)?;
            elements(items.iter().map(|item| (list.ty(), item)), at, depth).map(Val::List)
        }
        Type::Tuple(tuple) => {
            let items = array(value, at)?;
            if items.len() != tuple.types().len() {
                let count = tuple.types().len();
                return Err(wrong(at, format!("must have {count} elements")));
            }
            elements(tuple.types().zip(items), at, depth).map(Val::Tuple)
        }
        Type::Record(record) => {
            let members = value
                .as_object()
                .ok_or_else(|| wrong(at, "must be an object"))?;
            let known: Vec<_> = record.fields().collect();
            if let Some(name) = members
                .keys()
                .find(|name| known.iter().all(|f| f.name != **name))
            {
                return Err(wrong(at, format!("has no field `{}`", shortened(name))));
            }
            let mut fields = Vec::with_capacity(known.len());
            for field in known {
                let value = members.get(field.name).unwrap_or(&Value::Null);
                let value = within(at, &format!(".{}", field.name), |at| {
                    read(&field.ty, value, at, depth + 1)
                })?;
                fields.push((field.name.to_owned(), value));
            }
            Ok(Val::Record(fields))
        }
        Type::Enum(cases) => {
            let name = text(value, at)?;
            match cases.names().find(|case| *case == name) {
                Some(case) => Ok(Val::Enum(case.to_owned())),
                None => Err(wrong(
                    at,
                    format!("must be one of {}", listed(cases.names())),
                )),
            }
        }
        Type::Flags(flags) => {
            let mut set = Vec::new();
            for item in array(value, at)? {
                let name = text(item, at)?;
                match flags.names().find(|flag| *flag == name) {
                    Some(flag) if set.iter().all(|known| known != flag) => {
                        set.push(flag.to_owned())
                    }
                    Some(_) => {}
                    None => {
                        return Err(wrong(
                            at,
                            format!("has only the flags {}", listed(flags.names())),
                        ));
                    }
                }
            }
            Ok(Val::Flags(set))
        }
        Type::Option(option) => {
            let inner = option.ty();
            let nested = matches!(inner, Type::Option(_));
            match (value, nested) {
                (Value::Null, _) => Ok(Val::Option(None)),
                (value, true) => {
                    let value = member(value, at, &["some"])?.1;
                    let value = within(at, ".some", |at| read(&inner, value, at, depth + 1))?;
                    Ok(Val::Option(Some(Box::new(value))))
                }
                (value, false) => {
                    let value = read(&inner, value, at, depth + 1)?;
                    Ok(Val::Option(Some(Box::new(value))))
                }
            }
        }
        Type::Result(result) => {
            let (name, value) = member(value, at, &["ok", "err"])?;
            let ty = if name == "ok" {
                result.ok()
            } else {
                result.err()
            };
            let value = within(at, &format!(".{name}"), |at| {
                payload(ty.as_ref(), value, at, depth)
            })?;
            Ok(Val::Result(if name == "ok" {
                Ok(value)
            } else {
                Err(value)
            }))
        }
        Type::Variant(variant) => {
            let names: Vec<_> = variant.cases().map(|case| case.name).collect();
            let (name, value) = match value {
                Value::String(name) => (name.as_str(), &Value::Null),
                value => member(value, at, &names)?,
            };
            let Some(case) = variant.cases().find(|case| case.name == name) else {
                return Err(wrong(
                    at,
                    format!("must be one of {}", listed(names.into_iter())),
                ));
            };
            let value = within(at, &format!(".{name}"), |at| {
                payload(case.ty.as_ref(), value, at, depth)
            })?;
            Ok(Val::Variant(case.name.to_owned(), value))
        }
        _ => Err(wrong(at, "has a type that can't be written as JSON")),
    }
}

fn payload(
    ty: Option<&Type>,
    value: &Value,
    at: &mut String,
    depth: usize,
) -> Result<Option<Box<Val>>, ValueError> {
    match (ty, value) {
        (Some(ty), value) => read(ty, value, at, depth + 1).map(|value| Some(Box::new(value))),
        (None, Value::Null) => Ok(None),
        (None, _) => Err(wrong(at, "has no value: write null")),
    }
}

fn elements<'a>(
    items: impl Iterator<Item = (Type, &'a Value)>,
    at: &mut String,
    depth: usize,
) -> Result<Vec<Val>, ValueError> {
    items
        .enumerate()
        .map(|(index, (ty, item))| {
            within(at, &format!("[{index}]"), |at| {
                read(&ty, item, at, depth + 1)
            })
        })
        .collect()
}

/// Goes one step down in the place that is told.
fn within<T>(at: &mut String, step: &str, read: impl FnOnce(&mut String) -> T) -> T {
    let before = at.len();
    at.push_str(step);
    let value = read(at);
    at.truncate(before);
    value
}

fn read_float(value: &Value, at: &str) -> Result<f64, ValueError> {
    let special = match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        _ => None,
    };
    value
        .as_f64()
        .or(special)
        .ok_or_else(|| wrong(at, "must be a number"))
}

fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str, ValueError> {
    value.as_str().ok_or_else(|| wrong(at, "must be a text"))
}

fn array<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], ValueError> {
    let items = value.as_array().map(Vec::as_slice);
    items.ok_or_else(|| wrong(at, "must be a list"))
}

/// The only member of an object, which must have one of these names.
fn member<'a>(
    value: &'a Value,
    at: &str,
    names: &[&str],
) -> Result<(&'a str, &'a Value), ValueError> {
    let members = value.as_object().filter(|members| members.len() == 1);
    members
        .and_then(|members| members.iter().next())
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| names.contains(name))
        .ok_or_else(|| {
            let names = listed(names.iter().copied());
            wrong(at, format!("must be an object with one member, of {names}"))
        })
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.take(20).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Elements of all lists in the arguments, nested ones included: what a hook's fuel grows with.
pub(crate) fn items(arguments: &[Val]) -> u64 {
    arguments.iter().map(items_of).sum()
}

fn items_of(value: &Val) -> u64 {
    match value {
        Val::List(values) | Val::FixedLengthList(values) => {
            let nested = match values.first() {
                Some(first) if is_scalar(first) => 0,
                _ => items(values),
            };
            values.len() as u64 + nested
        }
        Val::Map(pairs) => {
            let nested = pairs
                .iter()
                .map(|(key, value)| items_of(key) + items_of(value));
            pairs.len() as u64 + nested.sum::<u64>()
        }
        Val::Record(fields) => fields.iter().map(|(_, value)| items_of(value)).sum(),
        Val::Tuple(values) => items(values),
        Val::Variant(_, Some(value)) | Val::Option(Some(value)) => items_of(value),
        Val::Result(Ok(value) | Err(value)) => value.as_deref().map_or(0, items_of),
        _ => 0,
    }
}

fn is_scalar(value: &Val) -> bool {
    matches!(
        value,
        Val::Bool(_)
            | Val::S8(_)
            | Val::U8(_)
            | Val::S16(_)
            | Val::U16(_)
            | Val::S32(_)
            | Val::U32(_)
            | Val::S64(_)
            | Val::U64(_)
            | Val::Float32(_)
            | Val::Float64(_)
            | Val::Char(_)
            | Val::String(_)
            | Val::Enum(_)
            | Val::Flags(_)
    )
}
