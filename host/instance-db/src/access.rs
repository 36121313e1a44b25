//! What a statement may touch. SQLite asks the authorizer about every table, column and function while it
//! compiles a statement, and everything that is not on a list here is denied.

use std::sync::Arc;

use cloudware_types::Operation;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::{
    Namespace,
    guard::{self, Guard},
};

/// On whose behalf a connection works at the moment.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// The platform's own statements.
    Platform,
    /// Statements of a running app: its own tables, no schema changes.
    App(Namespace),
    /// As [`Self::App`], noting what is done with these tables.
    Examined(Namespace, Arc<[Arc<str>]>),
    /// As [`Self::App`], and of some tables certain rows only.
    Guarded(Arc<Guard>),
    /// Migrations of an app: its own tables and their schema.
    Migration(Namespace),
}

/// What the authorizer noticed while a statement was compiled.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// What was denied first, in words for the app's developer.
    pub denied: Option<String>,
    /// Names of which nothing but the number of rows is read. SQLite does not say whether such a
    /// name is a table or a common table expression, so whoever compiles the statement must look.
    pub counted: Vec<String>,
    /// What is done with the tables of [`Access::Examined`]: the table's number, what, and the column if it is known.
    pub touched: Vec<(usize, Operation, Option<String>)>,
}

/// Table functions that read nothing but their arguments.
const TABLE_FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];

/// Functions that an app may call: they touch nothing outside their arguments, and their time grows
/// with the length of the arguments and not with a product of lengths. Absent on purpose are those
/// that read the connection's past (`changes`), SQLite's build or files, and `json_patch` and
/// `unhex`, whose time is quadratic.
const FUNCTIONS: &[&str] = &[
    // Text and numbers.
    "abs",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "format",
    "glob",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "last_insert_rowid",
    "length",
    "like",
    "likelihood",
    "likely",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "octet_length",
    "printf",
    "quote",
    "random",
    "randomblob",
    "replace",
    "round",
    "rtrim",
    "sign",
    "substr",
    "substring",
    "trim",
    "typeof",
    "unicode",
    "unlikely",
    "upper",
    "zeroblob",
    // Aggregates and windows.
    "avg",
    "count",
    "group_concat",
    "string_agg",
    "sum",
    "total",
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
    // Dates.
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "julianday",
    "strftime",
    "time",
    "timediff",
    "unixepoch",
    // JSON.
    "->",
    "->>",
    "json",
    "json_array",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    // Mathematics.
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "ceiling",
    "cos",
    "cosh",
    "degrees",
    "exp",
    "floor",
    "ln",
    "log",
    "log10",
    "log2",
    "mod",
    "pi",
    "pow",
    "power",
    "radians",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    // RAISE in a trigger is compiled as a function in some places.
    "raise",
];

/// Decides about one action and notes what it denied.
pub(crate) fn authorize(
    access: &Access,
    context: &AuthContext<'_>,
    noticed: &mut Noticed,
) -> Authorization {
    let verdict = match access {
        Access::Platform => return Authorization::Allow,
        Access::App(namespace) => in_app(namespace, context, noticed),
        Access::Examined(namespace, tables) => {
            note(tables, context, noticed);
            in_app(namespace, context, noticed)
        }
        Access::Guarded(guard) => guard::authorize(guard, context)
            .unwrap_or_else(|| in_app(&guard.namespace, context, noticed)),
        Access::Migration(namespace) => in_migration(namespace, context, noticed),
    };
    match verdict {
        Ok(()) => Authorization::Allow,
        Err(reason) => {
            noticed.denied.get_or_insert(reason);
            Authorization::Deny
        }
    }
}

pub(crate) type Verdict = Result<(), String>;

/// What an action does with a table, and with which of its columns.
pub(crate) fn touched<'a>(
    action: &AuthAction<'a>,
) -> Option<(&'a str, Operation, Option<&'a str>)> {
    match *action {
        AuthAction::Read {
            table_name,
            column_name,
        } => Some((
            table_name,
            Operation::Read,
            (!column_name.is_empty()).then_some(column_name),
        )),
        AuthAction::Insert { table_name } => Some((table_name, Operation::Insert, None)),
        AuthAction::Update {
            table_name,
            column_name,
        } => Some((table_name, Operation::Update, Some(column_name))),
        AuthAction::Delete { table_name } => Some((table_name, Operation::Delete, None)),
        _ => None,
    }
}

fn note(tables: &[Arc<str>], context: &AuthContext<'_>, noticed: &mut Noticed) {
    let Some((table, operation, column)) = touched(&context.action) else {
        return;
    };
    let known = tables
        .iter()
        .position(|known| known.eq_ignore_ascii_case(table));
    let Some(known) = known else { return };
    let one = (known, operation, column.map(str::to_owned));
    if !noticed.touched.contains(&one) {
        noticed.touched.push(one);
    }
}

fn in_app(namespace: &Namespace, context: &AuthContext<'_>, noticed: &mut Noticed) -> Verdict {
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Read {
            table_name,
            column_name,
        } => read(namespace, table_name, column_name, context, noticed),
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name } => {
            owned(namespace, "table", table_name)
        }
        AuthAction::Update { table_name, .. } => owned(namespace, "table", table_name),
        AuthAction::Function { function_name } => function(function_name),
        other => Err(format!(
            "a running app can't use {}; schemas change by migrations only",
            describe(&other)
        )),
    }
}

fn in_migration(
    namespace: &Namespace,
    context: &AuthContext<'_>,
    noticed: &mut Noticed,
) -> Verdict {
    match context.action {
        // The first table with AUTOINCREMENT makes SQLite keep its own table of numbers.
        AuthAction::CreateTable {
            table_name: "sqlite_sequence",
        } => Ok(()),
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. } => owned(namespace, "table", table_name),
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => {
            owned(namespace, "view", view_name)
        }
        AuthAction::CreateIndex {
            index_name,
            table_name,
        }
        | AuthAction::DropIndex {
            index_name,
            table_name,
        } => {
            // An index that SQLite makes for a constraint goes with its table.
            if !is_automatic(index_name) {
                owned(namespace, "index", index_name)?;
            }
            owned(namespace, "table", table_name)
        }
        AuthAction::CreateTrigger {
            trigger_name,
            table_name,
        }
        | AuthAction::DropTrigger {
            trigger_name,
            table_name,
        } => {
            owned(namespace, "trigger", trigger_name)?;
            owned(namespace, "table", table_name)
        }
        // Schema changes write SQLite's own tables. That the app's text does not name them is checked
        // before it is compiled.
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Read { table_name, .. }
            if is_sqlite_name(table_name) =>
        {
            Ok(())
        }
        AuthAction::Function { function_name } if is_sqlite_name(function_name) => Ok(()),
        // Adding a column with a condition makes SQLite check the rows that are there.
        AuthAction::Read {
            table_name: "pragma_quick_check",
            ..
        } => Ok(()),
        AuthAction::Pragma {
            pragma_name: "quick_check",
            ..
        } => Ok(()),
        // Compiling a new index rebuilds it.
        AuthAction::Reindex { index_name } => owned(namespace, "index", index_name),
        _ => in_app(namespace, context, noticed),
    }
}

fn read(
    namespace: &Namespace,
    table: &str,
    column: &str,
    context: &AuthContext<'_>,
    noticed: &mut Noticed,
) -> Verdict {
    if namespace.owns(table)
        || TABLE_FUNCTIONS
            .iter()
            .any(|f| table.eq_ignore_ascii_case(f))
    {
        return Ok(());
    }
    let may_be_common_table = column.is_empty()
        && context.database_name.is_none()
        && !is_sqlite_name(table)
        && !crate::lexer::begins_with(table, "pragma_")
        && !crate::lexer::begins_with(table, "cw_");
    if may_be_common_table {
        noticed.counted.push(table.to_owned());
        return Ok(());
    }
    owned(namespace, "table", table)
}

fn owned(namespace: &Namespace, kind: &str, name: &str) -> Verdict {
    if namespace.owns(name) {
        return Ok(());
    }
    Err(format!(
        "{kind} `{}` does not belong to this app, which owns names beginning with `{}`",
        shortened(name),
        namespace.prefix()
    ))
}

fn function(name: &str) -> Verdict {
    if FUNCTIONS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    Err(format!("function `{}` is not available", shortened(name)))
}

fn is_sqlite_name(name: &str) -> bool {
    crate::lexer::begins_with(name, "sqlite_")
}

pub(crate) fn is_automatic(index: &str) -> bool {
    crate::lexer::begins_with(index, "sqlite_autoindex_")
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

fn describe(action: &AuthAction<'_>) -> String {
    let debug = format!("{action:?}");
    debug
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .map(str::to_ascii_uppercase)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(access: &Access, action: AuthAction<'_>, database: Option<&str>) -> (bool, Noticed) {
        let mut noticed = Noticed::default();
        let context = AuthContext {
            action,
            database_name: database,
            accessor: None,
        };
        let verdict = authorize(access, &context, &mut noticed);
        (verdict == Authorization::Allow, noticed)
    }

    #[test]
    fn an_app_reads_its_own_tables_and_no_others() {
        let app = Access::App("stock".parse().unwrap());
        let read = |table_name| AuthAction::Read {
            table_name,
            column_name: "x",
        };
        assert!(ask(&app, read("stock_items"), Some("main")).0);
        for table in [
            "cw_kv",
            "sales_orders",
            "sqlite_master",
            "pragma_table_list",
        ] {
            let (allowed, noticed) = ask(&app, read(table), Some("main"));
            assert!(!allowed && noticed.denied.unwrap().contains(table));
        }
    }

    #[test]
    fn a_counted_name_is_left_to_the_caller_unless_it_is_the_platforms() {
        let app = Access::App("stock".parse().unwrap());
        let count = |table_name| AuthAction::Read {
            table_name,
            column_name: "",
        };
        let (allowed, noticed) = ask(&app, count("open_orders"), None);
        assert!(allowed && noticed.counted == ["open_orders"]);
        for table in ["cw_kv", "sqlite_master", "pragma_table_list"] {
            assert!(!ask(&app, count(table), None).0, "{table}");
        }
        assert!(!ask(&app, count("open_orders"), Some("main")).0);
    }

    #[test]
    fn only_migrations_change_the_schema() {
        let create = AuthAction::CreateTable {
            table_name: "stock_items",
        };
        let namespace: Namespace = "stock".parse().unwrap();
        assert!(!ask(&Access::App(namespace.clone()), create, Some("main")).0);
        assert!(ask(&Access::Migration(namespace), create, Some("main")).0);
    }
}
