//! The steps of an app's schema, checked on a scratch database before a release is taken.

use cloudware_instance_db::check_migrations;
use cloudware_types::Migration;

/// Words of migrations.
pub const WORDS: &[&str] = &[
    "CREATE TABLE ",
    "CREATE INDEX ",
    "CREATE UNIQUE INDEX ",
    "CREATE VIEW ",
    "CREATE TRIGGER ",
    "CREATE TEMP TABLE ",
    "CREATE VIRTUAL TABLE ",
    "DROP TABLE ",
    "DROP VIEW ",
    "ALTER TABLE ",
    " RENAME TO ",
    " RENAME COLUMN ",
    " ADD COLUMN ",
    " DROP COLUMN ",
    " REFERENCES ",
    " ON DELETE CASCADE",
    " GENERATED ALWAYS AS (",
    " CHECK (",
    " DEFAULT (",
    " WITHOUT ROWID",
    " STRICT",
    " AUTOINCREMENT",
    " PRIMARY KEY",
    " INSTEAD OF INSERT ON ",
    " BEGIN ",
    " END",
    "RAISE(",
    "INSERT INTO ",
    "SELECT ",
    "PRAGMA ",
    "VACUUM",
    "REINDEX ",
    "ANALYZE",
    "COMMIT",
    "stock_items",
    "stock_view",
    "other_items",
    "cw_kv",
    "cw_schema",
    "sqlite_sequence",
    "sqlite_master",
    DOWN,
    ";",
    "(",
    ")",
    "--",
    "/*",
    "'",
    "\"",
    "\0",
];

/// What separates the way up from the way down.
const DOWN: &str = "\n-- down\n";

/// Runs any bytes as the only step of the app `stock`, up, down and up again.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (up, down) = match text.split_once(DOWN) {
        Some((up, down)) => (up, Some(down.to_owned())),
        None => (&*text, None),
    };
    let step = Migration {
        version: 1,
        name: "step".to_owned(),
        up: up.to_owned(),
        down,
    };
    let namespace = "stock".parse().expect("a namespace");
    if let Err(error) = check_migrations(&namespace, &[step], &[]) {
        assert!(!error.to_string().is_empty());
    }
}
