//! What a statement would do with tables whose use others decide about, found out by compiling it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cloudware_types::{Operation, TableAccess};
use rusqlite::Connection;

use crate::{
    AppScope, Database, Error, Namespace, Worked, access::Access, connection::Conn, lane::Lane,
    scope::Bounds, statement,
};

impl Database {
    /// Says what a statement would do with some of the app's tables, also through views, triggers and foreign keys.
    pub async fn examine(
        self: &Arc<Self>,
        scope: &AppScope,
        (text, tables): (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        let namespace = scope.namespace.clone();
        let bounds = Bounds::statement(time_max);
        self.in_turn(Lane::Read, scope.holder.clone(), bounds, move |conn| {
            examine(conn, &namespace, (&text, &tables))
        })
        .await
    }
}

/// As [`Database::examine`], on a connection.
pub(crate) fn examine(
    conn: &Conn,
    namespace: &Namespace,
    (text, tables): (&str, &Arc<[Arc<str>]>),
) -> Result<Vec<TableAccess>, Error> {
    statement::check_text(text)?;
    let access = Access::Examined(namespace.clone(), Arc::clone(tables));
    let (compiled, noticed) = statement::compile_once(conn, namespace, &access, text)?;
    drop(compiled);
    let mut accesses = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        let touched = noticed
            .touched
            .iter()
            .filter(|(known, ..)| *known == number);
        let touched: Vec<_> = touched
            .map(|(_, operation, column)| (*operation, column.as_deref()))
            .collect();
        if touched.is_empty() {
            continue;
        }
        let columns: Arc<[String]> = columns(conn.platform(), table)?.into();
        for &operation in Operation::ALL {
            if touched.iter().any(|(one, _)| *one == operation) {
                accesses.push(access_of((table, &columns), operation, &touched));
            }
        }
    }
    Ok(accesses)
}

fn access_of(
    (table, columns): (&Arc<str>, &Arc<[String]>),
    operation: Operation,
    touched: &[(Operation, Option<&str>)],
) -> TableAccess {
    // The number of a row is no column.
    let named = |of: Operation| -> BTreeSet<String> {
        let names = touched
            .iter()
            .filter(|(one, _)| *one == of)
            .filter_map(|(_, column)| *column);
        let known = |name: &str| {
            columns
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .cloned()
        };
        names.filter_map(known).collect()
    };
    let (read, written) = match operation {
        Operation::Read => (named(Operation::Read), BTreeSet::new()),
        Operation::Insert => (BTreeSet::new(), columns.iter().cloned().collect()),
        Operation::Update => (BTreeSet::new(), named(Operation::Update)),
        Operation::Delete => (BTreeSet::new(), BTreeSet::new()),
    };
    TableAccess {
        table: Arc::clone(table),
        operation,
        columns: Arc::clone(columns),
        read: read.into_iter().collect(),
        written: written.into_iter().collect(),
    }
}

/// The columns of a table or view, generated ones included.
fn columns(sqlite: &Connection, table: &str) -> Result<Vec<String>, Error> {
    let mut statement = sqlite
        .prepare_cached("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}
