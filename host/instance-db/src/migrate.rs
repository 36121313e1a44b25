//! Migrations: the steps of an app's schema, up and down, each recorded in `cw_schema`. All steps
//! of one call and the check of their result are one transaction.

use cloudware_types::{Digest, Migration};
use rusqlite::Connection;

use crate::{
    Error, Namespace,
    access::Access,
    connection::Conn,
    error::Violation,
    lexer, limits, schema,
    statement::{commit, run_platform},
    verify,
};

/// Why a schema could not be brought to a version. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationError {
    /// The steps are not numbered from 1 without gaps, or do not reach the wanted version.
    #[error("the migrations can't be used: {0}")]
    Numbering(String),
    /// A step that was applied earlier reads differently now.
    #[error(
        "migration {version:04} ({name}) was changed after it had been applied; restore its text and write the change as a new migration"
    )]
    Changed {
        /// Number of the step.
        version: u32,
        /// Name of the step.
        name: String,
    },
    /// There is no way back below a step.
    #[error(
        "migration {version:04} ({name}) has no down step, so the schema can't go below {version}"
    )]
    NoDown {
        /// Number of the step.
        version: u32,
        /// Name of the step.
        name: String,
    },
    /// A step is not valid, or does what an app may not do.
    #[error("migration {version:04} ({name}), {direction}: {reason}")]
    Step {
        /// Number of the step.
        version: u32,
        /// Name of the step.
        name: String,
        /// Which way it went.
        direction: Direction,
        /// What was wrong with it.
        reason: String,
    },
    /// The steps ran, but what they leave behind is not acceptable.
    #[error("the schema after migration {version:04} is refused: {reason}")]
    Result {
        /// The version that was reached.
        version: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The steps ran, but what the app declares for data access hooks is no table after them: nothing would be asked
    /// about what was meant.
    #[error("`{table}` in [access] is {found} after all migrations")]
    NotATable {
        /// What is declared.
        table: String,
        /// What it is, for people.
        found: &'static str,
    },
    /// The database could not be read or written.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the step's own version.
    Up,
    /// To the version before.
    Down,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Where a schema is to go.
pub(crate) struct Plan {
    pub(crate) namespace: Namespace,
    pub(crate) migrations: Vec<Migration>,
    pub(crate) target: u32,
}

/// A step that was applied earlier.
struct Applied {
    version: u32,
    name: String,
    digest: String,
    down: Option<String>,
}

/// Runs every step up, then each one down, up and down again as far as there are down steps, then all up
/// again, on a scratch database in memory, and looks whether `declared` are tables then. Takes up to ten seconds of the calling thread; for the check before a release is published.
///
/// # Errors
/// [`MigrationError`] with the first step that fails, or the first of `declared` that is no table.
pub fn check_migrations(
    namespace: &Namespace,
    migrations: &[Migration],
    declared: &[String],
) -> Result<(), MigrationError> {
    crate::memory::init().map_err(|error| Error::Unavailable(error.to_string()))?;
    crate::memory::bounded(limits::STATEMENT_MEMORY_BYTES_MAX, || {
        let mut conn = Conn::scratch().map_err(Error::from)?;
        conn.start_clock(limits::MIGRATION_CHECK_TIME_MAX, None);
        schema::make_tables(&conn)?;
        let top = migrations.len() as u32;
        let without_down = migrations.iter().rev().find(|m| m.down.is_none());
        let bottom = without_down.map_or(0, |m| m.version);
        // Each step goes down, up and down again, so that one that leaves something behind is found.
        let each = (bottom + 1..=top).rev().flat_map(|v| [v - 1, v, v - 1]);
        for target in [top].into_iter().chain(each).chain([top]) {
            let plan = Plan {
                namespace: namespace.clone(),
                migrations: migrations.to_vec(),
                target,
            };
            apply(&mut conn, &plan)?;
        }
        match verify::no_table(conn.platform(), declared)? {
            None => Ok(()),
            Some((table, found)) => Err(MigrationError::NotATable {
                table: table.clone(),
                found,
            }),
        }
    })
}

/// The version of an app's schema; 0 where it has none.
pub(crate) fn version(conn: &Conn, namespace: &Namespace) -> Result<u32, Error> {
    let version = conn
        .platform()
        .prepare_cached("SELECT coalesce(max(version), 0) FROM cw_schema WHERE namespace = ?1")?
        .query_row([namespace.as_str()], |row| row.get(0))?;
    Ok(version)
}

/// Brings a schema to the plan's version.
pub(crate) fn apply(conn: &mut Conn, plan: &Plan) -> Result<(), MigrationError> {
    check_numbering(plan)?;
    let sqlite = conn.platform();
    // Tables are rebuilt under other names while references to them exist; the references are
    // checked as a whole before the commit.
    sqlite
        .pragma_update(None, "foreign_keys", 0)
        .map_err(Error::from)?;
    let result = in_one_transaction(conn, plan);
    conn.undo();
    let back = conn.platform().pragma_update(None, "foreign_keys", 1);
    back.map_err(Error::from)?;
    result
}

fn in_one_transaction(conn: &Conn, plan: &Plan) -> Result<(), MigrationError> {
    run_platform(conn.platform(), "BEGIN IMMEDIATE")?;
    let applied = applied(conn.platform(), &plan.namespace)?;
    check_unchanged(plan, &applied)?;
    let current = applied.last().map_or(0, |step| step.version);
    if current == plan.target {
        return Ok(());
    }
    let others = verify::others(conn.platform(), &plan.namespace)?;
    for step in applied.iter().rev().filter(|s| s.version > plan.target) {
        go_down(conn, plan, step)?;
    }
    for migration in &plan.migrations {
        if migration.version > current && migration.version <= plan.target {
            go_up(conn, plan, migration)?;
        }
    }
    verify::verify(conn, &plan.namespace, &others, plan.target)?;
    commit(conn)?;
    Ok(())
}

fn check_numbering(plan: &Plan) -> Result<(), MigrationError> {
    let numbering = |text: String| Err(MigrationError::Numbering(text));
    if plan.migrations.len() > limits::MIGRATIONS_MAX {
        return numbering(format!("there are more than {}", limits::MIGRATIONS_MAX));
    }
    for (expected, migration) in (1_u32..).zip(&plan.migrations) {
        if migration.version != expected {
            return numbering(format!(
                "the step after {:04} is {:04}; number them from 0001 without gaps",
                expected - 1,
                migration.version
            ));
        }
        let longest = migration
            .up
            .len()
            .max(migration.down.as_ref().map_or(0, String::len));
        if longest > limits::MIGRATION_BYTES_MAX {
            return numbering(format!(
                "step {expected:04} has {longest} bytes; a step may have {}",
                limits::MIGRATION_BYTES_MAX
            ));
        }
    }
    Ok(())
}

fn applied(sqlite: &Connection, namespace: &Namespace) -> Result<Vec<Applied>, Error> {
    let mut statement = sqlite.prepare_cached(
        "SELECT version, name, digest, down FROM cw_schema WHERE namespace = ?1 ORDER BY version",
    )?;
    let rows = statement.query_map([namespace.as_str()], |row| {
        Ok(Applied {
            version: row.get(0)?,
            name: row.get(1)?,
            digest: row.get(2)?,
            down: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn check_unchanged(plan: &Plan, applied: &[Applied]) -> Result<(), MigrationError> {
    let current = applied.last().map_or(0, |step| step.version);
    let known = plan.migrations.len() as u32;
    if plan.target > known.max(current) {
        return Err(MigrationError::Numbering(format!(
            "version {} is wanted, and the last step is {known:04}",
            plan.target
        )));
    }
    for (step, migration) in applied.iter().zip(&plan.migrations) {
        if step.digest != Digest::of(migration.up.as_bytes()).to_string() {
            return Err(MigrationError::Changed {
                version: step.version,
                name: migration.name.clone(),
            });
        }
    }
    Ok(())
}

fn go_up(conn: &Conn, plan: &Plan, migration: &Migration) -> Result<(), MigrationError> {
    let step = StepName {
        version: migration.version,
        name: &migration.name,
        direction: Direction::Up,
    };
    run_step(conn, &plan.namespace, &step, &migration.up)?;
    conn.platform()
        .execute(
            "INSERT INTO cw_schema (namespace, version, name, digest, down) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                plan.namespace.as_str(),
                migration.version,
                &migration.name,
                Digest::of(migration.up.as_bytes()).to_string(),
                &migration.down,
            ),
        )
        .map_err(Error::from)?;
    Ok(())
}

fn go_down(conn: &Conn, plan: &Plan, applied: &Applied) -> Result<(), MigrationError> {
    // The release that is at hand may have mended its way back.
    let given = plan
        .migrations
        .get(applied.version as usize - 1)
        .and_then(|migration| migration.down.as_ref());
    let Some(down) = given.or(applied.down.as_ref()) else {
        return Err(MigrationError::NoDown {
            version: applied.version,
            name: applied.name.clone(),
        });
    };
    let step = StepName {
        version: applied.version,
        name: &applied.name,
        direction: Direction::Down,
    };
    run_step(conn, &plan.namespace, &step, down)?;
    conn.platform()
        .execute(
            "DELETE FROM cw_schema WHERE namespace = ?1 AND version = ?2",
            (plan.namespace.as_str(), applied.version),
        )
        .map_err(Error::from)?;
    Ok(())
}

/// What a step is called in an error.
struct StepName<'a> {
    version: u32,
    name: &'a str,
    direction: Direction,
}

impl StepName<'_> {
    fn error(&self, reason: impl Into<String>) -> MigrationError {
        MigrationError::Step {
            version: self.version,
            name: self.name.to_owned(),
            direction: self.direction,
            reason: reason.into(),
        }
    }

    /// What the author can mend is the step's fault; the rest is the database's.
    fn blame(&self, error: Error) -> MigrationError {
        match error {
            Error::Busy | Error::Full | Error::Unavailable(_) => error.into(),
            Error::Constraint(Violation { subject, .. }) => {
                self.error(format!("a constraint would be broken: {subject}"))
            }
            Error::Statement(reason) | Error::Denied(reason) => self.error(reason),
            other => self.error(other.to_string()),
        }
    }
}

fn run_step(
    conn: &Conn,
    namespace: &Namespace,
    step: &StepName<'_>,
    text: &str,
) -> Result<(), MigrationError> {
    if text.contains('\0') {
        return Err(step.error("the text contains a zero byte"));
    }
    // SQLite's own tables are reached by every schema change, so the authorizer must let them pass;
    // that the text itself does not name them is seen here.
    if let Some(name) = lexer::name_with_prefix(text, &["sqlite_", "pragma_"]) {
        return Err(step.error(format!("`{name}` belongs to the database")));
    }
    let access = Access::Migration(namespace.clone());
    let sqlite = conn.on_behalf(access.clone());
    let mut batch = rusqlite::Batch::new(sqlite, text);
    loop {
        conn.on_behalf(access.clone());
        let mut statement = match rusqlite::fallible_iterator::FallibleIterator::next(&mut batch) {
            Ok(Some(statement)) => statement,
            Ok(None) => return Ok(()),
            Err(error) => return Err(step.blame(conn.explain(&error))),
        };
        check_counted(conn, &access, namespace, step)?;
        let head: String = statement
            .expanded_sql()
            .unwrap_or_default()
            .trim_start()
            .chars()
            .take(60)
            .collect();
        if statement.parameter_count() > 0 {
            return Err(step.error(format!("`{head}…` has parameters, and nobody gives them")));
        }
        if lexer::verb(&statement.expanded_sql().unwrap_or_default()).is_none() {
            return Err(step.error(format!(
                "`{head}…` is not allowed; a migration creates, alters and drops its own tables, indexes, \
                 views and triggers, and changes its own rows"
            )));
        }
        let mut rows = statement.raw_query();
        while rows
            .next()
            .map_err(|error| step.blame(conn.explain(&error)))?
            .is_some()
        {}
        if conn.is_idle() {
            return Err(step.error(format!("`{head}…` ended the transaction of the migration")));
        }
    }
}

/// Refuses a statement that counts the rows of a table of another app.
fn check_counted(
    conn: &Conn,
    access: &Access,
    namespace: &Namespace,
    step: &StepName<'_>,
) -> Result<(), MigrationError> {
    let counted = conn.take_noticed().counted;
    if let Some(table) = verify::first_table(conn.platform(), &counted)? {
        return Err(step.error(format!(
            "table `{table}` does not belong to this app, which owns names beginning with `{}`",
            namespace.prefix()
        )));
    }
    conn.on_behalf(access.clone());
    Ok(())
}
