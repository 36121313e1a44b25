//! The platform's own tables in every private database, the steps by which files of older hosts get them,
//! and the marks by which a file is known to be one.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    Durability, Error, connection::Conn, file::make_directory, limits, statement::in_transaction,
};

/// `application_id` in the file's header: the letters `CWDB`.
const APPLICATION_ID: i64 = 0x4357_4442;

/// What makes each layout out of the one before, the first out of an empty file. `user_version` in the
/// file's header says how many of them a file has had. A step that was released never changes.
const LAYOUTS: &[&str] = &[TABLES, OUTBOX];

/// The layout that this version of cloudware works on.
const LAYOUT: i64 = LAYOUTS.len() as i64;

/// `cw_kv` keeps no rows for deleted keys; that versions still only grow is the counter's work.
const TABLES: &str = "
    CREATE TABLE cw_schema (
        namespace TEXT NOT NULL,
        version INTEGER NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        down TEXT,
        PRIMARY KEY (namespace, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cw_kv (
        app TEXT NOT NULL,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (app, bucket, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cw_kv_counter (
        app TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Calls of observe points, and what each hook on them is owed. A delivery is open as long as it has a time
/// at which it is due; the payload of a call stays until none of its deliveries can need it any more.
const OUTBOX: &str = "
    CREATE TABLE cw_outbox (
        id INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        point TEXT NOT NULL,
        interface TEXT NOT NULL,
        function TEXT NOT NULL,
        payload TEXT,
        items INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE cw_delivery (
        id TEXT NOT NULL PRIMARY KEY,
        outbox INTEGER NOT NULL REFERENCES cw_outbox (id),
        hook TEXT NOT NULL,
        hook_name TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        replays INTEGER NOT NULL,
        due_ms INTEGER,
        changed_ms INTEGER NOT NULL,
        reason TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX cw_delivery_due ON cw_delivery (hook, due_ms) WHERE due_ms IS NOT NULL;
    CREATE INDEX cw_delivery_ended ON cw_delivery (state, changed_ms) WHERE due_ms IS NULL;
    CREATE INDEX cw_delivery_outbox ON cw_delivery (outbox);
";

/// Opens a file as a writer; makes the tables where it is new, checks the marks where it is not, and adds
/// what a file of an older host lacks.
pub(crate) fn set_up(path: &Path, durability: Durability) -> Result<Conn, Error> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    let conn = Conn::open(path, durability)?;
    match recognise(conn.platform())? {
        Found::Ours(LAYOUT) => {}
        Found::Ours(older) => {
            make_tables(&conn)?;
            tracing::info!(file = %path.display(), older, layout = LAYOUT,
                "a private database of an older host was brought to the present layout");
        }
        Found::Empty => make_file(&conn, path, durability)?,
    }
    Ok(conn)
}

/// Turns an empty file into a private database. Nothing of it has been acknowledged yet, so it
/// waits for the disk once at the end, and not after each of its steps.
fn make_file(conn: &Conn, path: &Path, durability: Durability) -> Result<(), Error> {
    let sqlite = conn.platform();
    sqlite.pragma_update(None, "synchronous", "OFF")?;
    sqlite.pragma_update(None, "page_size", limits::PAGE_BYTES as i64)?;
    let mode: String = sqlite.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Unavailable(format!(
            "the file system does not support write-ahead logging (journal mode {mode}); \
             put the data directory on a local disk"
        )));
    }
    make_tables(conn)?;
    // The log is only read beside a file that is not empty, so the file must be there for good before
    // the first commit of an app is. The tables themselves become durable with that commit; without
    // it the file is empty after a power failure, and made again.
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced
        .and_then(|()| match path.parent() {
            Some(directory) => std::fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        })
        .map_err(|error| Error::Unavailable(format!("can't write {}: {error}", path.display())))?;
    conn.set_durability(durability)?;
    Ok(())
}

/// Makes the platform's tables and marks in an empty database, or those that one of an older host lacks.
pub(crate) fn make_tables(conn: &Conn) -> Result<(), Error> {
    in_transaction(conn, |conn| {
        let sqlite = conn.platform();
        // Another opener of the same file may have been first.
        let had = match recognise(sqlite)? {
            Found::Empty => 0,
            Found::Ours(layout) => layout as usize,
        };
        for step in &LAYOUTS[had..] {
            sqlite.execute_batch(step)?;
        }
        sqlite.pragma_update(None, "application_id", APPLICATION_ID)?;
        sqlite.pragma_update(None, "user_version", LAYOUT)?;
        Ok(())
    })
}

enum Found {
    Empty,
    /// One of ours, of this layout or an older one.
    Ours(i64),
}

fn recognise(sqlite: &Connection) -> Result<Found, Error> {
    let number = |pragma| sqlite.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, layout) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID {
        return if (1..=LAYOUT).contains(&layout) {
            Ok(Found::Ours(layout))
        } else {
            Err(Error::Unavailable(format!(
                "the file has layout {layout}, and this version of cloudware knows layouts 1 to {LAYOUT}; \
                 run the version that wrote it"
            )))
        };
    }
    let objects: i64 =
        sqlite.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && layout == 0 && objects == 0 {
        Ok(Found::Empty)
    } else {
        Err(Error::Unavailable(format!(
            "the file is a SQLite database of something else (application id {application}, \
             {objects} objects); move it away or restore the right one"
        )))
    }
}
