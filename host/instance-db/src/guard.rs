//! Statements of which certain rows only may be touched. Whatever the text says, rows outside of a filter are not read,
//! changed or removed, and none can be written:
//!
//! - Reading: the statement is given a common table expression for each filtered table, of the table's own name, with the
//!   rows that may be read. Names are looked up there first, in every subquery.
//! - Writing: temporary triggers, made for the one statement, skip rows outside of the filter and refuse to write some.
//! - What goes around both (names with a schema, views and triggers of the app, replacing) is refused. The authorizer
//!   sees to it: it is told by whose part of the statement a table is read, and parts of the platform have names that
//!   nobody else can know.
//!
//! An expression of the app may be computed for a row before the filter drops it. What it gave goes nowhere; whether it
//! failed, or how long it took, can be seen. So can what the `WHERE` of an upsert says of a row that may not be changed:
//! the upsert is refused where it holds and does nothing where it does not.

mod text;
mod triggers;

use std::sync::Arc;

use cloudware_types::{Condition, FilteredAccess, Operation};
use rusqlite::hooks::{AuthAction, AuthContext};

use self::{text::Texts, triggers::Triggers};
use crate::{
    Error, Namespace,
    access::{Access, Verdict, touched},
    connection::Conn,
    error::Violation,
    functions::ACCESS_VALUE,
    lexer::Verb,
    statement::{self, Compiled},
};

/// What messages begin with where access to rows or tables is refused.
pub const ACCESS_REFUSED: &str = "access-refused";

/// The names under which SQLite gives the number of a row.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// What a statement may do with tables whose use is decided about.
#[derive(Clone, Debug)]
pub struct AccessRules {
    /// The tables; what the statement does with them must have been decided.
    pub tables: Arc<[Arc<str>]>,
    /// What was decided.
    pub accesses: Vec<FilteredAccess>,
}

/// What the authorizer goes by while such a statement is compiled.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) namespace: Namespace,
    marker: String,
    rules: AccessRules,
    verb: Verb,
    /// Tables that foreign keys connect with others: changes of those look at them.
    connected: Vec<Arc<str>>,
    /// Tables and columns of foreign keys that lead to tables where something is inserted within a filter.
    keys: Vec<(String, String)>,
}

/// Runs a statement by the rules. `work` is given it compiled.
pub(crate) fn run<R>(
    conn: &Conn,
    namespace: &Namespace,
    (rules, text): (&AccessRules, &str),
    work: impl FnOnce(Compiled<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let guard = Arc::new(Guard::new(conn, namespace, (rules, text))?);
    let texts = Texts::write(&guard, text);
    conn.set_access_values(texts.values);
    let access = Access::Guarded(Arc::clone(&guard));
    let triggers = Triggers::create(conn, &texts.triggers)?;
    let result = statement::compile_once(conn, namespace, &access, &texts.statement)
        .and_then(|(compiled, _)| work(compiled))
        .map_err(|error| guard.explain(error));
    drop(triggers);
    conn.set_access_values(Vec::new());
    result
}

impl Guard {
    fn new(
        conn: &Conn,
        namespace: &Namespace,
        (rules, text): (&AccessRules, &str),
    ) -> Result<Self, Error> {
        let mut guard = Self {
            namespace: namespace.clone(),
            marker: conn.marker()?.to_owned(),
            rules: rules.clone(),
            verb: statement::check_text(text)?,
            connected: Vec::new(),
            keys: Vec::new(),
        };
        let filtered: Vec<_> = rules
            .tables
            .iter()
            .filter(|table| guard.is_filtered(table))
            .cloned()
            .collect();
        if !filtered.is_empty() {
            text::check(text)?;
        }
        for table in filtered {
            if guard.writes(&table) {
                text::check_table(conn.platform(), &table)?;
            }
            if guard.verb != Verb::Read && text::is_connected(conn.platform(), &table)? {
                guard.connected.push(Arc::clone(&table));
            }
            if guard.conditions(&table, Operation::Insert).is_some() {
                guard.keys.extend(text::keys_to(conn.platform(), &table)?);
            }
        }
        Ok(guard)
    }

    /// The conditions for an operation; `None` where it was not decided about.
    fn conditions(&self, table: &str, operation: Operation) -> Option<&[Condition]> {
        let mut accesses = self.rules.accesses.iter();
        let found = accesses.find(|one| {
            one.access.operation == operation && one.access.table.eq_ignore_ascii_case(table)
        })?;
        Some(&found.conditions)
    }

    /// The conditions that a row must fulfil in order to be changed so: where a statement looks at rows too, they must be
    /// such as may be read.
    fn all_conditions(
        &self,
        table: &str,
        operation: Operation,
    ) -> impl Iterator<Item = &Condition> {
        let own = self.conditions(table, operation).unwrap_or_default();
        own.iter()
            .chain(self.conditions(table, Operation::Read).unwrap_or_default())
    }

    fn is_filtered(&self, table: &str) -> bool {
        Operation::ALL.iter().any(|&operation| {
            self.conditions(table, operation)
                .is_some_and(|all| !all.is_empty())
        })
    }

    fn writes(&self, table: &str) -> bool {
        let changes = [Operation::Insert, Operation::Update, Operation::Delete];
        changes
            .iter()
            .any(|&operation| self.conditions(table, operation).is_some())
    }

    fn is_key(&self, table: &str, column: &str) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|(owner, key)| {
            owner.eq_ignore_ascii_case(table) && key.eq_ignore_ascii_case(column)
        })
    }

    /// What can't be used because a filter holds for what a table lets be read; `None` where the message is about something else.
    fn lost(&self, message: &str) -> Option<String> {
        let is_row_number = message
            .split_once("no such column: ")
            .is_some_and(|(_, name)| {
                let name = name.rsplit('.').next().unwrap_or(name);
                let name = name.split_whitespace().next().unwrap_or(name);
                ROW_NUMBERS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            });
        let lost = if is_row_number {
            "they have no number of the row (`rowid`); use a column of the primary key"
        } else if message.contains("no such index: ") {
            "they have no index; leave `INDEXED BY` out, and the database chooses one"
        } else {
            return None;
        };
        let filtered = self.rules.tables.iter().filter(|table| {
            self.conditions(table, Operation::Read)
                .is_some_and(|all| !all.is_empty())
        });
        let filtered: Vec<_> = filtered.map(|table| format!("`{table}`")).collect();
        (!filtered.is_empty()).then(|| {
            format!(
                "{message}: a filter holds for {}, and where rows within it are read {lost}",
                filtered.join(", ")
            )
        })
    }

    /// What an error of the statement means, without the names that the platform used.
    fn explain(&self, error: Error) -> Error {
        match error {
            Error::Constraint(Violation { subject, .. }) if subject.starts_with(&self.marker) => {
                let number = subject[self.marker.len()..]
                    .trim_start_matches('_')
                    .parse::<usize>();
                let table = number.ok().and_then(|number| self.rules.tables.get(number));
                refused(format!(
                    "a row of `{}` would be outside of the filter that holds for this app",
                    table.map_or("a table", |table| table)
                ))
            }
            Error::Statement(text) => {
                let text = text.replace(&self.marker, "access");
                Error::Statement(self.lost(&text).unwrap_or(text))
            }
            other => other,
        }
    }
}

/// Decides about what concerns the tables of the rules; `None` leaves the action to the rules for every app.
pub(crate) fn authorize(guard: &Guard, context: &AuthContext<'_>) -> Option<Verdict> {
    if context
        .accessor
        .is_some_and(|name| name.starts_with(&guard.marker))
    {
        return match context.action {
            // Nothing else is in what the platform writes.
            AuthAction::Select | AuthAction::Read { .. } => Some(Ok(())),
            AuthAction::Function { function_name }
                if function_name.eq_ignore_ascii_case(ACCESS_VALUE) =>
            {
                Some(Ok(()))
            }
            _ => None,
        };
    }
    let (table, operation, column) = touched(&context.action)?;
    let declared = guard
        .rules
        .tables
        .iter()
        .find(|known| known.eq_ignore_ascii_case(table))?;
    let Some(conditions) = guard.conditions(declared, operation) else {
        // The triggers of a filter make an insert one of several changes, for which the database looks at the keys that
        // lead to the table. Alone it would not, so nobody was asked. What it finds is told to nobody.
        let is_key = operation == Operation::Read
            && context.accessor.is_none()
            && column.is_some_and(|column| guard.is_key(declared, column));
        if is_key {
            return None;
        }
        return Some(Err(format!(
            "{ACCESS_REFUSED}: whether `{declared}` may be used like this was not decided, because the schema has just changed; try again"
        )));
    };
    let verdict = match operation {
        Operation::Read => {
            let is_free = conditions.is_empty();
            // Where no column is read, the database tells by whose name for the schema the rows were found. None is that of
            // the rows that may be read, and the platform's way to write it that of the rows behind them, where both became
            // one. A view of the app that became one with the statement has the schema's own name.
            let is_counted = column.is_none()
                && context.accessor.is_none()
                && context
                    .database_name
                    .is_none_or(|name| name == text::SCHEMA);
            // A change looks at columns; only a view, whose rows are not filtered, is read here without any.
            let is_changed = guard.verb != Verb::Read
                && column.is_some()
                && context.accessor.is_none()
                && (guard.writes(declared) || guard.connected.contains(declared));
            is_free || is_counted || is_changed
        }
        _ => {
            guard.all_conditions(declared, operation).next().is_none() || context.accessor.is_none()
        }
    };
    if verdict {
        return None;
    }
    let through = match context.accessor {
        Some(name) => format!("through `{name}`; a view or trigger can't"),
        None => "past the filter; write its name alone, because another way can't".to_owned(),
    };
    Some(Err(format!(
        "{ACCESS_REFUSED}: a filter holds for `{declared}`, and the statement uses it {through} be kept to it"
    )))
}

fn refused(reason: String) -> Error {
    Error::Denied(format!("{ACCESS_REFUSED}: {reason}"))
}
