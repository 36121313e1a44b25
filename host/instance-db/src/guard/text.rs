//! The SQL that keeps a statement to a filter. Names are quoted, and values come by their number: nothing that a hook
//! said becomes text.

use cloudware_types::{Comparison, Condition, Operation, SqlValue};
use rusqlite::{Connection, types::Value};

use super::{Guard, refused};
use crate::{
    Error,
    functions::ACCESS_VALUE,
    lexer::{self, Verb},
    verify::quoted,
};

/// How the platform writes the name of the schema `main` in front of a table whose rows it filters. SQLite takes it in any
/// case, and where it tells of a table of which no column is read it repeats it as it was written; the tables of a view
/// it tells of by the schema's own name. So the authorizer knows one from the other. An app can't write it: names with a
/// schema are refused where a filter holds.
pub(super) const SCHEMA: &str = "mAIN";

/// What is run in place of the app's statement.
pub(super) struct Texts {
    /// The statement, with the rows that may be read.
    pub(super) statement: String,
    /// Names of temporary triggers and what makes them.
    pub(super) triggers: Vec<(String, String)>,
    /// The values of the conditions by their numbers.
    pub(super) values: Vec<Value>,
}

/// Refuses what can't be kept to a filter by any rewriting.
pub(super) fn check(text: &str) -> Result<(), Error> {
    if lexer::has_qualified_name(text) {
        return Err(refused(
            "a filter holds for a table of this statement, and a name with a schema (`main.…`) would go past it; write the name of the table alone".into(),
        ));
    }
    if lexer::replaces_rows(text) {
        return Err(refused(
            "a filter holds for a table of this statement, and REPLACE would remove rows outside of it; use INSERT … ON CONFLICT DO UPDATE".into(),
        ));
    }
    Ok(())
}

/// Refuses to write to a table whose rows can't be kept to a filter.
pub(super) fn check_table(sqlite: &Connection, table: &str) -> Result<(), Error> {
    let mut statement = sqlite.prepare_cached(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
    )?;
    let mut definitions = statement.query_map([table], |row| row.get::<_, Option<String>>(0))?;
    let Some(definition) = definitions.next() else {
        return Err(refused(format!(
            "a filter holds for `{table}`, which is a view, and what its triggers write can't be kept to it; write to the tables, and declare those in [access]"
        )));
    };
    if definition?.is_some_and(|sql| lexer::replaces_rows(&sql)) {
        return Err(refused(format!(
            "a filter holds for `{table}`, and its constraints would remove rows outside of it that are in the way; make them without ON CONFLICT REPLACE"
        )));
    }
    Ok(())
}

/// Whether a foreign key leads from or to the table.
pub(super) fn is_connected(sqlite: &Connection, table: &str) -> Result<bool, Error> {
    let mut statement = sqlite.prepare_cached(
        "SELECT EXISTS (
            SELECT 1 FROM sqlite_schema AS owner, pragma_foreign_key_list(owner.name) AS key
            WHERE owner.type = 'table'
                AND (owner.name = ?1 COLLATE NOCASE OR key.\"table\" = ?1 COLLATE NOCASE)
        )",
    )?;
    Ok(statement.query_row([table], |row| row.get(0))?)
}

/// The tables and columns of foreign keys that lead to a table.
pub(super) fn keys_to(sqlite: &Connection, table: &str) -> Result<Vec<(String, String)>, Error> {
    let mut statement = sqlite.prepare_cached(
        "SELECT owner.name, key.\"from\"
        FROM sqlite_schema AS owner, pragma_foreign_key_list(owner.name) AS key
        WHERE owner.type = 'table' AND key.\"table\" = ?1 COLLATE NOCASE",
    )?;
    let keys = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

impl Texts {
    pub(super) fn write(guard: &Guard, text: &str) -> Self {
        let mut texts = Self {
            statement: String::new(),
            triggers: Vec::new(),
            values: Vec::new(),
        };
        let mut common = Vec::new();
        for (number, table) in guard.rules.tables.iter().enumerate() {
            let readable = guard.conditions(table, Operation::Read).unwrap_or_default();
            if !readable.is_empty() {
                let inner = quoted(&format!("{}_{number}", guard.marker));
                let name = quoted(table);
                let conditions = texts.conditions("", readable.iter());
                common.push(format!(
                    "{inner} AS (SELECT * FROM {SCHEMA}.{name} WHERE {conditions}), {name} AS (SELECT * FROM {inner})"
                ));
            }
            texts.add_triggers(guard, number);
        }
        texts.statement = prefixed(text, &common);
        texts
    }

    /// The triggers that keep changes of a table to the filter.
    fn add_triggers(&mut self, guard: &Guard, number: usize) {
        let table = &guard.rules.tables[number];
        for operation in [Operation::Insert, Operation::Update, Operation::Delete] {
            if guard.conditions(table, operation).is_none()
                || guard.all_conditions(table, operation).next().is_none()
            {
                continue;
            }
            if operation != Operation::Insert {
                let conditions = self.conditions("OLD.", guard.all_conditions(table, operation));
                // A change does not see the row. What is inserted and meets it must not seem to be there.
                let otherwise = match guard.verb {
                    Verb::Insert => Otherwise::Refused,
                    _ => Otherwise::Skipped,
                };
                self.trigger(guard, (number, "BEFORE", operation), &conditions, otherwise);
            }
            if operation != Operation::Delete {
                let conditions = self.conditions("NEW.", guard.all_conditions(table, operation));
                self.trigger(
                    guard,
                    (number, "AFTER", operation),
                    &conditions,
                    Otherwise::Refused,
                );
            }
        }
    }

    fn trigger(
        &mut self,
        guard: &Guard,
        (number, when, operation): (usize, &str, Operation),
        conditions: &str,
        otherwise: Otherwise,
    ) {
        let name = quoted(&format!("{}_{}", guard.marker, self.triggers.len()));
        let table = quoted(&guard.rules.tables[number]);
        let raise = match otherwise {
            Otherwise::Skipped => "RAISE(IGNORE)".to_owned(),
            Otherwise::Refused => format!("RAISE(ABORT, '{}_{number}')", guard.marker),
        };
        let make = format!(
            "CREATE TEMP TRIGGER {name} {when} {operation} ON main.{table} FOR EACH ROW \
             WHEN ({conditions}) IS NOT TRUE BEGIN SELECT {raise}; END"
        );
        self.triggers.push((name, make));
    }

    /// Conditions as SQL, all of which must hold.
    fn conditions<'c>(
        &mut self,
        row: &str,
        conditions: impl Iterator<Item = &'c Condition>,
    ) -> String {
        let written: Vec<_> = conditions
            .map(|condition| self.condition(row, condition))
            .collect();
        written.join(" AND ")
    }

    fn condition(&mut self, row: &str, condition: &Condition) -> String {
        let column = format!("{row}{}", quoted(&condition.column));
        let sign = match condition.comparison {
            Comparison::IsNull => return format!("{column} IS NULL"),
            Comparison::IsNotNull => return format!("{column} IS NOT NULL"),
            Comparison::InList => return self.in_list(&column, &condition.values),
            Comparison::Eq => "=",
            Comparison::Ne => "<>",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        };
        // Without its value, which whoever made the condition must have given, nothing fulfils it.
        let value = condition.values.first().unwrap_or(&SqlValue::Null);
        let compared = format!("{column} {sign} {}", self.value(value));
        of_kind(&column, &compared, kinds(value))
    }

    /// Whether a column has one of some values. Those of a kind are compared together, so that an index serves.
    fn in_list(&mut self, column: &str, values: &[SqlValue]) -> String {
        let mut lists: Vec<(Option<&str>, Vec<String>)> = Vec::new();
        for value in values {
            let kinds = kinds(value);
            let written = self.value(value);
            match lists.iter_mut().find(|(known, _)| *known == kinds) {
                Some((_, list)) => list.push(written),
                None => lists.push((kinds, vec![written])),
            }
        }
        let lists: Vec<_> = lists
            .into_iter()
            .map(|(kinds, list)| {
                of_kind(column, &format!("{column} IN ({})", list.join(", ")), kinds)
            })
            .collect();
        match lists.is_empty() {
            true => "FALSE".to_owned(),
            false => format!("({})", lists.join(" OR ")),
        }
    }

    fn value(&mut self, value: &SqlValue) -> String {
        self.values.push(match value {
            SqlValue::Null => Value::Null,
            SqlValue::Boolean(yes) => Value::Integer(i64::from(*yes)),
            SqlValue::Integer(number) => Value::Integer(*number),
            SqlValue::Real(number) => Value::Real(*number),
            SqlValue::Text(text) => Value::Text(text.clone()),
            SqlValue::Blob(bytes) => Value::Blob(bytes.clone()),
        });
        format!("{ACCESS_VALUE}({})", self.values.len() - 1)
    }
}

/// The kinds of values, as SQLite names them, that a value is compared with; `None` for null, which is like nothing.
fn kinds(value: &SqlValue) -> Option<&'static str> {
    match value {
        SqlValue::Null => None,
        SqlValue::Boolean(_) | SqlValue::Integer(_) | SqlValue::Real(_) => {
            Some("'integer', 'real'")
        }
        SqlValue::Text(_) => Some("'text'"),
        SqlValue::Blob(_) => Some("'blob'"),
    }
}

/// A comparison that holds for values of some kinds alone. Where a table is read, SQLite would make `'1'` a number for a
/// column of numbers; in a trigger it would not, and any number would be less than any text. So that what is read and
/// what is changed are the same rows, like is compared with like in both.
fn of_kind(column: &str, compared: &str, kinds: Option<&str>) -> String {
    match kinds {
        Some(kinds) => format!("({compared} AND typeof({column}) IN ({kinds}))"),
        None => compared.to_owned(),
    }
}

/// What happens to a row outside of the filter.
#[derive(Clone, Copy)]
enum Otherwise {
    /// It stays as it is.
    Skipped,
    /// The statement fails.
    Refused,
}

/// The statement with further common table expressions in front of its own.
fn prefixed(text: &str, common: &[String]) -> String {
    if common.is_empty() {
        return text.to_owned();
    }
    let common = common.join(", ");
    match lexer::behind_with(text) {
        Some(at) => format!("{} {common}, {}", &text[..at], &text[at..]),
        None => format!("WITH {common} {text}"),
    }
}
