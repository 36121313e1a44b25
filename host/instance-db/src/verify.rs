//! What must hold of a schema after an app's migrations, checked before they are committed: nothing of
//! another app was touched, everything new carries the app's name, no reference, view or trigger reaches
//! outside, and everything compiles under the app's own rights.

use rusqlite::Connection;

use crate::{
    Error, MigrationError, Namespace,
    access::{Access, is_automatic},
    connection::Conn,
    limits,
};

/// One row of SQLite's table of tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    kind: String,
    name: String,
    table: String,
    sql: Option<String>,
}

/// The first of `names` that is a table or view, and not merely the name of a common table expression.
pub(crate) fn first_table<'n>(
    sqlite: &Connection,
    names: &'n [String],
) -> Result<Option<&'n String>, Error> {
    for name in names {
        let found: bool = sqlite
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE)",
            )?
            .query_row([name], |row| row.get(0))?;
        if found {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The first of `names` that is no table, and what it is.
pub(crate) fn no_table<'n>(
    sqlite: &Connection,
    names: &'n [String],
) -> Result<Option<(&'n String, &'static str)>, Error> {
    for name in names {
        let kinds = sqlite
            .prepare_cached("SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE")?
            .query_map([name], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        match kinds.first().map(String::as_str) {
            Some("table") => {}
            Some("view") => return Ok(Some((name, "a view: declare the tables that it shows"))),
            _ => return Ok(Some((name, "no table"))),
        }
    }
    Ok(None)
}

/// Everything in the schema that does not belong to the app.
pub(crate) fn others(sqlite: &Connection, namespace: &Namespace) -> Result<Vec<Object>, Error> {
    let objects = objects(sqlite)?;
    Ok(objects
        .into_iter()
        .filter(|object| !is_of(namespace, object))
        .collect())
}

/// Checks a schema against what there was of others before.
pub(crate) fn verify(
    conn: &Conn,
    namespace: &Namespace,
    others_before: &[Object],
    version: u32,
) -> Result<(), MigrationError> {
    let refuse = |reason: String| Err(MigrationError::Result { version, reason });
    if let Some(object) = first_difference(others_before, &others(conn.platform(), namespace)?) {
        return refuse(format!(
            "{} `{}` does not belong to this app, which owns names beginning with `{}`",
            object.kind,
            object.name,
            namespace.prefix()
        ));
    }
    let own: Vec<_> = objects(conn.platform())?
        .into_iter()
        .filter(|object| is_of(namespace, object))
        .collect();
    if version == 0 && !own.is_empty() {
        return refuse(format!(
            "the down steps leave {} `{}` behind",
            own[0].kind, own[0].name
        ));
    }
    if own.len() > limits::OBJECTS_MAX {
        return refuse(format!(
            "it has {} tables, indexes, views and triggers; an app may have {}",
            own.len(),
            limits::OBJECTS_MAX
        ));
    }
    for object in &own {
        let checked = match object.kind.as_str() {
            "table" => check_references(conn, namespace, object)
                .and_then(|()| check_table(conn, namespace, object)),
            "view" => check_view(conn, namespace, object),
            _ => Ok(()),
        };
        match checked {
            Ok(()) => {}
            Err(error @ (Error::Busy | Error::Full | Error::Unavailable(_))) => {
                return Err(error.into());
            }
            Err(error) => return refuse(format!("{} `{}`: {error}", object.kind, object.name)),
        }
    }
    Ok(())
}

fn objects(sqlite: &Connection) -> Result<Vec<Object>, Error> {
    let mut statement = sqlite
        .prepare_cached("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2, 3")?;
    let rows = statement.query_map([], |row| {
        Ok(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An object is the app's where both its name and its table are; indexes that SQLite makes for
/// constraints have names of SQLite's.
fn is_of(namespace: &Namespace, object: &Object) -> bool {
    namespace.owns(&object.table) && (namespace.owns(&object.name) || is_automatic(&object.name))
}

fn first_difference<'o>(before: &'o [Object], after: &'o [Object]) -> Option<&'o Object> {
    // AUTOINCREMENT makes SQLite keep a table of its own, which holds names and numbers only.
    let is_sequence = |object: &&Object| object.name == "sqlite_sequence";
    let missing = before.iter().find(|object| !after.contains(object));
    let added = after
        .iter()
        .filter(|object| !is_sequence(object))
        .find(|object| !before.contains(object));
    missing.or(added)
}

/// Foreign keys act on the other side as well: one that points at a table of another app would let
/// this app stop that one's deletes.
fn check_references(conn: &Conn, namespace: &Namespace, table: &Object) -> Result<(), Error> {
    let sqlite = conn.platform();
    let mut statement =
        sqlite.prepare_cached("SELECT \"table\" FROM pragma_foreign_key_list(?1)")?;
    let referenced = statement.query_map([&table.name], |row| row.get::<_, String>(0))?;
    for name in referenced {
        let name = name?;
        if !namespace.owns(&name) {
            return Err(Error::Denied(format!(
                "a foreign key refers to `{name}`, which does not belong to this app"
            )));
        }
    }
    let mut broken = sqlite.prepare("SELECT count(*) FROM pragma_foreign_key_check(?1)")?;
    let rows: i64 = broken.query_row([&table.name], |row| row.get(0))?;
    if rows > 0 {
        return Err(Error::Statement(format!(
            "{rows} rows refer to rows that do not exist"
        )));
    }
    Ok(())
}

/// Compiles reading and changing the table, which compiles its triggers, conditions and indexes.
fn check_table(conn: &Conn, namespace: &Namespace, table: &Object) -> Result<(), Error> {
    let name = quoted(&table.name);
    let columns = {
        let mut statement = conn.platform().prepare_cached(
            "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid",
        )?;
        let names = statement.query_map([&table.name], |row| row.get::<_, String>(0))?;
        names.collect::<Result<Vec<_>, _>>()?
    };
    let same: Vec<_> = columns
        .iter()
        .map(|column| format!("{0} = {0}", quoted(column)))
        .collect();
    compile(conn, namespace, &format!("SELECT * FROM {name}"))?;
    compile(
        conn,
        namespace,
        &format!("INSERT INTO {name} DEFAULT VALUES"),
    )?;
    compile(conn, namespace, &format!("DELETE FROM {name}"))?;
    compile(
        conn,
        namespace,
        &format!("UPDATE {name} SET {}", same.join(", ")),
    )
}

/// Compiles reading the view, and changing it as far as it has triggers for that.
fn check_view(conn: &Conn, namespace: &Namespace, view: &Object) -> Result<(), Error> {
    let name = quoted(&view.name);
    compile(conn, namespace, &format!("SELECT * FROM {name}"))?;
    for change in [
        format!("INSERT INTO {name} DEFAULT VALUES"),
        format!("DELETE FROM {name}"),
    ] {
        // A view without triggers can't be changed, which is no fault.
        if let Err(error @ Error::Denied(_)) = compile(conn, namespace, &change) {
            return Err(error);
        }
    }
    Ok(())
}

fn compile(conn: &Conn, namespace: &Namespace, text: &str) -> Result<(), Error> {
    let sqlite = conn.on_behalf(Access::App(namespace.clone()));
    let compiled = sqlite.prepare(text).map(drop);
    let result = compiled.map_err(|error| conn.explain(&error));
    let counted = conn.take_noticed().counted;
    result?;
    match first_table(conn.platform(), &counted)? {
        Some(table) => Err(Error::Denied(format!(
            "it reads `{table}`, which does not belong to this app"
        ))),
        None => Ok(()),
    }
}

/// A name as SQL writes it, whatever it contains.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
