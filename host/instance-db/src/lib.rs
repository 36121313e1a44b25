//! The private database of an instance: one SQLite file, opened on demand and closed when idle.
//!
//! - What an acknowledged write changed is on disk: every commit waits for the write-ahead log.
//! - An app reaches the tables of its own [`Namespace`] and nothing else, whatever it writes: the
//!   authorizer sees every table, column and function of every statement.
//! - Where rows of a table are kept from a statement, the same holds for them, however it is written (see `guard`).
//! - Everything is bounded: time, memory, rows, bytes and pages of a call, open files, and the wait for a turn.
//! - Instances share the threads that work for databases fairly, and apps of an instance share its turns.
//! - No thread of the async runtime waits for the disk or computes for SQL, and a caller that goes away
//!   ends its call.
//!
//! [`init`] must be called before anything in the process opens a SQLite database.

mod access;
mod config;
mod connection;
mod database;
mod error;
mod examine;
mod fair;
mod file;
mod functions;
mod guard;
mod lane;
mod lexer;
mod limits;
mod memory;
mod migrate;
mod namespace;
mod open_transactions;
mod pool;
mod processors;
mod registry;
mod schema;
mod scope;
mod statement;
mod transaction;
mod turns;
mod value;
mod verify;
mod worker;

pub use config::{Config, Durability};
pub use database::{Database, OnCommit};
pub use error::{ConstraintKind, Error, Violation};
pub use guard::{ACCESS_REFUSED, AccessRules};
pub use limits::{
    MIGRATION_BYTES_MAX, MIGRATIONS_MAX, PARAMETERS_MAX, RESULT_BYTES_MAX, STATEMENT_BYTES_MAX,
    STATEMENT_MEMORY_BYTES_MAX, VALUE_BYTES_MAX,
};
pub use memory::{AlreadyInUse, init};
pub use migrate::{Direction, MigrationError, check_migrations};
pub use namespace::{Namespace, NamespaceError};
pub use registry::{InstanceDbs, StartError};
pub use scope::{AppScope, PlatformScope};
pub use transaction::{Mode, Transaction};
pub use turns::{AppKey, Holder};
pub use value::{Description, Outcome, Request, RowSet, Value};
pub use worker::{Abandoned, OnAbandoned, Worked};
