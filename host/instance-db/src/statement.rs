//! Runs one statement of an app on a connection: compile under the app's rights, bind, step, collect,
//! everything within bounds.

use cloudware_types::ResultColumn;
use rusqlite::{CachedStatement, Connection, Statement, types::ValueRef};

use crate::{
    Description, Error, Namespace, Outcome, Request, RowSet, Value,
    access::{Access, Noticed},
    connection::Conn,
    guard,
    lexer::{self, Verb},
    limits, processors, verify,
};

/// A compiled statement, kept for the next time or not.
pub(crate) enum Compiled<'c> {
    Kept(CachedStatement<'c>),
    Once(Statement<'c>),
}

impl<'c> std::ops::Deref for Compiled<'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl std::ops::DerefMut for Compiled<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

/// What the text of a statement says that it does, once its form is known to be acceptable.
pub(crate) fn check_text(text: &str) -> Result<Verb, Error> {
    if text.len() > limits::STATEMENT_BYTES_MAX {
        return Err(Error::Statement(format!(
            "it has {} bytes; a statement may have {}",
            text.len(),
            limits::STATEMENT_BYTES_MAX
        )));
    }
    if text.contains('\0') {
        return Err(Error::Statement("it contains a zero byte".into()));
    }
    match lexer::verb(text) {
        Some(Verb::Define) => Err(Error::Denied(
            "a running app can't change the schema; write a migration".into(),
        )),
        Some(verb) => Ok(verb),
        None => Err(Error::Statement(
            "it must begin with SELECT, VALUES, INSERT, REPLACE, UPDATE, DELETE or WITH; \
             transactions are begun by their own function"
                .into(),
        )),
    }
}

/// Compiles a statement under the rights of an app.
pub(crate) fn compile<'c>(
    conn: &'c Conn,
    namespace: &Namespace,
    text: &str,
) -> Result<Compiled<'c>, Error> {
    let sqlite = conn.on_behalf(Access::App(namespace.clone()));
    let compiled = if text.len() <= limits::CACHED_STATEMENT_BYTES_MAX {
        // Rights are checked when a statement is compiled, so what is kept is kept for one app: its
        // namespace is part of the text.
        sqlite
            .prepare_cached(&format!("/*{namespace}*/{text}"))
            .map(Compiled::Kept)
    } else {
        sqlite.prepare(text).map(Compiled::Once)
    };
    let compiled = compiled.map_err(|error| conn.explain(&error))?;
    let counted = conn.take_noticed().counted;
    if let Some(table) = verify::first_table(conn.platform(), &counted)? {
        if let Compiled::Kept(statement) = compiled {
            statement.discard();
        }
        return Err(foreign(table, namespace));
    }
    conn.on_behalf(Access::App(namespace.clone()));
    Ok(compiled)
}

/// Compiles a statement for one time, under rights that hold for this time alone.
pub(crate) fn compile_once<'c>(
    conn: &'c Conn,
    namespace: &Namespace,
    access: &Access,
    text: &str,
) -> Result<(Compiled<'c>, Noticed), Error> {
    let compiled = conn.on_behalf(access.clone()).prepare(text);
    let compiled = compiled.map_err(|error| conn.explain(&error))?;
    let noticed = conn.take_noticed();
    if let Some(table) = verify::first_table(conn.platform(), &noticed.counted)? {
        return Err(foreign(table, namespace));
    }
    conn.on_behalf(access.clone());
    Ok((Compiled::Once(compiled), noticed))
}

fn foreign(table: &str, namespace: &Namespace) -> Error {
    Error::Denied(format!(
        "table `{table}` does not belong to this app, which owns names beginning with `{}`",
        namespace.prefix()
    ))
}

/// What a statement takes and gives, without running it.
pub(crate) fn describe(
    conn: &Conn,
    namespace: &Namespace,
    text: &str,
) -> Result<Description, Error> {
    check_text(text)?;
    let statement = compile(conn, namespace, text)?;
    let parameters = Parameters::of(&statement)?;
    Ok(Description {
        columns: column_names(&statement),
        parameter_count: parameters.count as u32,
    })
}

/// Runs a statement that gives rows. The caller has opened a transaction where it may change something.
pub(crate) fn query(
    conn: &Conn,
    namespace: &Namespace,
    request: &Request,
) -> Result<RowSet, Error> {
    match &request.access {
        None => rows(conn, compile(conn, namespace, &request.statement)?, request),
        Some(rules) => guard::run(conn, namespace, (rules, &request.statement), |statement| {
            let origins = origins(&statement);
            let set = rows(conn, statement, request)?;
            Ok(RowSet { origins, ..set })
        }),
    }
}

fn rows(conn: &Conn, mut statement: Compiled<'_>, request: &Request) -> Result<RowSet, Error> {
    if statement.column_count() == 0 {
        return Err(Error::Statement(
            "it gives no rows; run it with execute".into(),
        ));
    }
    Parameters::of(&statement)?.bind(&mut statement, &request.parameters)?;
    let written = Written::begin(conn);
    let mut set = collect(conn, &mut statement, request.rows_read_max)?;
    set.written = written.within(request.rows_written_max)?;
    conn.count_rows(set.rows.len() as u64, set.written);
    Ok(set)
}

/// Runs a statement that gives no rows. The caller has opened a transaction.
pub(crate) fn execute(
    conn: &Conn,
    namespace: &Namespace,
    request: &Request,
) -> Result<Outcome, Error> {
    let verb = check_text(&request.statement)?;
    match &request.access {
        None => changes(
            conn,
            compile(conn, namespace, &request.statement)?,
            (request, verb),
        ),
        Some(rules) => guard::run(conn, namespace, (rules, &request.statement), |statement| {
            changes(conn, statement, (request, verb))
        }),
    }
}

fn changes(
    conn: &Conn,
    mut statement: Compiled<'_>,
    (request, verb): (&Request, Verb),
) -> Result<Outcome, Error> {
    if statement.column_count() > 0 {
        return Err(Error::Statement("it gives rows; run it with query".into()));
    }
    Parameters::of(&statement)?.bind(&mut statement, &request.parameters)?;
    let written = Written::begin(conn);
    statement
        .raw_execute()
        .map_err(|error| conn.explain(&error))?;
    drop(statement);
    let written = written.within(request.rows_written_max)?;
    conn.count_rows(0, written);
    let inserted = verb == Verb::Insert && conn.has_inserted();
    Ok(Outcome {
        affected: conn.platform().changes(),
        written,
        last_insert_id: if inserted {
            conn.platform().last_insert_rowid()
        } else {
            0
        },
    })
}

/// Counts the rows that a statement writes, also by triggers and for foreign keys.
struct Written<'c> {
    conn: &'c Conn,
    before: u64,
}

impl<'c> Written<'c> {
    fn begin(conn: &'c Conn) -> Self {
        Self {
            conn,
            before: conn.rows_written(),
        }
    }

    fn within(self, rows_max: u64) -> Result<u64, Error> {
        let written = self.conn.rows_written() - self.before;
        if written > rows_max {
            return Err(Error::RowsWrittenExceeded);
        }
        Ok(written)
    }
}

/// Where the columns of a result come from.
fn origins(statement: &Statement<'_>) -> Vec<ResultColumn> {
    let columns = statement.columns_with_metadata().into_iter();
    columns
        .map(|column| ResultColumn {
            name: column.name().to_owned(),
            origin: column
                .table_name()
                .zip(column.origin_name())
                .map(|(table, column)| (table.to_owned(), column.to_owned())),
        })
        .collect()
}

fn column_names(statement: &Statement<'_>) -> Vec<String> {
    statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// How the parameters given in order meet those that a statement names.
struct Parameters {
    /// For each of SQLite's parameters, which of the given ones it takes.
    given: Vec<usize>,
    count: usize,
}

impl Parameters {
    fn of(statement: &Statement<'_>) -> Result<Self, Error> {
        let mut given = Vec::with_capacity(statement.parameter_count());
        let mut dollars = 0;
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index);
            // SQLite counts `$7` as a name in order of appearance; here it is the seventh parameter.
            match name.map(|name| (name.as_bytes()[0], name[1..].parse::<usize>())) {
                None | Some((b'?', Ok(_))) => given.push(index),
                Some((b'$', Ok(number))) if (1..=limits::PARAMETERS_MAX).contains(&number) => {
                    dollars += 1;
                    given.push(number);
                }
                Some(_) => {
                    return Err(Error::Parameters(format!(
                        "parameter `{}` has a name; use ?, ?1 or $1",
                        name.unwrap_or_default()
                    )));
                }
            }
        }
        if dollars > 0 && dollars < given.len() {
            return Err(Error::Parameters(
                "`$1` and `?` can't be used in one statement".into(),
            ));
        }
        let count = given.iter().copied().max().unwrap_or(0);
        Ok(Self { given, count })
    }

    fn bind(&self, statement: &mut Statement<'_>, values: &[Value]) -> Result<(), Error> {
        if values.len() != self.count {
            return Err(Error::Parameters(format!(
                "it takes {} parameters and was given {}",
                self.count,
                values.len()
            )));
        }
        for (index, &number) in self.given.iter().enumerate() {
            let value = match &values[number - 1] {
                Value::Null => ValueRef::Null,
                Value::Boolean(yes) => ValueRef::Integer(i64::from(*yes)),
                Value::Integer(number) => ValueRef::Integer(*number),
                Value::Real(number) => ValueRef::Real(*number),
                Value::Text(text) => ValueRef::Text(text.as_bytes()),
                Value::Blob(bytes) => ValueRef::Blob(bytes),
            };
            let bound = rusqlite::types::ToSqlOutput::Borrowed(value);
            statement
                .raw_bind_parameter(index + 1, bound)
                .map_err(|error| Error::Parameters(format!("parameter {number}: {error}")))?;
        }
        Ok(())
    }
}

fn collect(conn: &Conn, statement: &mut Statement<'_>, rows_max: u64) -> Result<RowSet, Error> {
    let booleans: Vec<bool> = statement
        .columns()
        .iter()
        .map(|column| {
            column
                .decl_type()
                .is_some_and(|declared| declared.eq_ignore_ascii_case("boolean"))
        })
        .collect();
    let mut set = RowSet {
        columns: column_names(statement),
        ..RowSet::default()
    };
    let mut bytes = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| conn.explain(&error))? {
        if set.rows.len() as u64 >= rows_max {
            return Err(Error::RowsReadExceeded);
        }
        let mut cells = Vec::with_capacity(booleans.len());
        for (index, boolean) in booleans.iter().enumerate() {
            let cell = row
                .get_ref(index)
                .map_err(|error| Error::Statement(error.to_string()))?;
            bytes += size_of::<Value>() + cell_bytes(cell);
            if bytes > limits::RESULT_BYTES_MAX {
                return Err(Error::Statement(format!(
                    "its result is larger than {} MiB; read it in pages",
                    limits::RESULT_BYTES_MAX >> 20
                )));
            }
            cells.push(to_value(cell, *boolean, &set.columns[index])?);
        }
        set.rows.push(cells);
    }
    Ok(set)
}

fn cell_bytes(cell: ValueRef<'_>) -> usize {
    match cell {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

fn to_value(cell: ValueRef<'_>, boolean: bool, column: &str) -> Result<Value, Error> {
    Ok(match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number @ (0 | 1)) if boolean => Value::Boolean(number == 1),
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => {
                return Err(Error::Statement(format!(
                    "column `{column}` holds text that is not UTF-8; select it as CAST({column} AS BLOB)"
                )));
            }
        },
    })
}

/// Runs `work` in a transaction for changes of its own, committed if it succeeds.
pub(crate) fn in_transaction<R, E: From<Error>>(
    conn: &Conn,
    work: impl FnOnce(&Conn) -> Result<R, E>,
) -> Result<R, E> {
    run_platform(conn.platform(), "BEGIN IMMEDIATE")?;
    let result = work(conn).and_then(|value| {
        commit(conn)?;
        Ok(value)
    });
    if result.is_err() {
        conn.undo();
    }
    result
}

/// Commits. A constraint that is checked only now can refuse it.
pub(crate) fn commit(conn: &Conn) -> Result<(), Error> {
    processors::leave();
    let done = conn
        .platform()
        .prepare_cached("COMMIT")
        .and_then(|mut statement| statement.execute([]));
    done.map(|_| ()).map_err(|error| conn.explain(&error))
}

/// Runs a statement of the platform that gives no rows.
pub(crate) fn run_platform(sqlite: &Connection, text: &str) -> Result<(), Error> {
    sqlite.prepare_cached(text)?.execute([])?;
    Ok(())
}

/// Runs a statement of the platform that gives no rows and is not run again.
pub(crate) fn run_once(sqlite: &Connection, text: &str) -> Result<(), Error> {
    sqlite.prepare(text)?.execute([])?;
    Ok(())
}
