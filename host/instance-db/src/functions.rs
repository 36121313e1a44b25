//! Replacements for the built-in text functions whose time grows with the product of two lengths
//! that a stranger chooses. SQLite looks at the clock between instructions only, and a function call
//! is one instruction: `instr` of two long values would run for hours. These take time in proportion to
//! the length of their arguments, and give the same answers.

use std::{borrow::Cow, sync::Arc};

use memchr::memmem;
use parking_lot::Mutex;
use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};

use crate::limits::{TRIM_CHARACTERS_MAX, VALUE_BYTES_MAX};

/// The function that gives a value of a condition by its number. Triggers take no parameters, so this is how values reach
/// a condition without becoming text.
pub(crate) const ACCESS_VALUE: &str = "cw_access_value";

/// The values of the conditions that hold for the statement that runs.
pub(crate) type AccessValues = Arc<Mutex<Vec<Value>>>;

/// Installs the replacements, and the function of conditions, on a connection.
pub(crate) fn install(connection: &Connection, values: &AccessValues) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let values = Arc::clone(values);
    connection.create_scalar_function(ACCESS_VALUE, 1, flags, move |context| {
        let number: i64 = context.get(0)?;
        let number = usize::try_from(number).ok();
        let value = number.and_then(|number| values.lock().get(number).cloned());
        value.ok_or_else(|| refusal("there is no such condition".into()))
    })?;
    connection.create_scalar_function("instr", 2, flags, instr)?;
    connection.create_scalar_function("replace", 3, flags, replace)?;
    connection.create_scalar_function("trim", 2, flags, |c| trim(c, Ends::Both))?;
    connection.create_scalar_function("ltrim", 2, flags, |c| trim(c, Ends::Left))?;
    connection.create_scalar_function("rtrim", 2, flags, |c| trim(c, Ends::Right))
}

/// Which ends of a text `trim` works on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Left,
    Right,
    Both,
}

fn instr(context: &Context<'_>) -> Result<Value> {
    let (haystack, needle) = (context.get_raw(0), context.get_raw(1));
    let counts_bytes = matches!((haystack, needle), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let (Some(haystack), Some(needle)) = (bytes(haystack), bytes(needle)) else {
        return Ok(Value::Null);
    };
    let position = match memmem::find(&haystack, &needle) {
        None => 0,
        Some(at) if counts_bytes => at + 1,
        // Characters before the match: bytes that do not continue one.
        Some(at) => 1 + haystack[..at].iter().filter(|b| **b & 0xC0 != 0x80).count(),
    };
    Ok(Value::Integer(position as i64))
}

fn replace(context: &Context<'_>) -> Result<Value> {
    let (Some(text), Some(pattern), Some(substitute)) = (
        bytes(context.get_raw(0)),
        bytes(context.get_raw(1)),
        bytes(context.get_raw(2)),
    ) else {
        return Ok(Value::Null);
    };
    if pattern.is_empty() {
        return as_text(text.into_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for at in memmem::find_iter(&text, &pattern) {
        out.extend_from_slice(&text[copied..at]);
        out.extend_from_slice(&substitute);
        copied = at + pattern.len();
        if out.len() > VALUE_BYTES_MAX {
            return Err(refusal(format!(
                "the result of replace() is longer than {} MiB",
                VALUE_BYTES_MAX >> 20
            )));
        }
    }
    out.extend_from_slice(&text[copied..]);
    as_text(out)
}

fn trim(context: &Context<'_>, ends: Ends) -> Result<Value> {
    let (Some(text), Some(removed)) = (bytes(context.get_raw(0)), bytes(context.get_raw(1))) else {
        return Ok(Value::Null);
    };
    let text = String::from_utf8_lossy(&text);
    let removed = String::from_utf8_lossy(&removed);
    // Two arguments from a stranger: the product of their lengths is what it costs.
    if removed.len() > TRIM_CHARACTERS_MAX {
        return Err(refusal(format!(
            "trim() takes at most {TRIM_CHARACTERS_MAX} bytes of characters to remove"
        )));
    }
    let is_removed = |c: char| removed.contains(c);
    let kept = match ends {
        Ends::Left => text.trim_start_matches(is_removed),
        Ends::Right => text.trim_end_matches(is_removed),
        Ends::Both => text.trim_matches(is_removed),
    };
    Ok(Value::Text(kept.to_owned()))
}

/// The bytes of a value as SQLite would write it as text; `None` for null.
fn bytes(value: ValueRef<'_>) -> Option<Cow<'_, [u8]>> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
        ValueRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        ValueRef::Real(number) => Cow::Owned(format!("{number:?}").into_bytes()),
    })
}

fn as_text(bytes: Vec<u8>) -> Result<Value> {
    String::from_utf8(bytes)
        .map(Value::Text)
        .map_err(|_| refusal("replace() works on valid UTF-8 text".into()))
}

fn refusal(message: String) -> Error {
    Error::UserFunctionError(message.into())
}
