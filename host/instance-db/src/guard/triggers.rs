//! Temporary triggers that are there for one statement, however it ends.

use crate::{Error, connection::Conn, limits, statement::run_once};

/// Triggers on a connection; dropping this removes them.
pub(super) struct Triggers<'c> {
    conn: &'c Conn,
    names: Vec<&'c str>,
}

impl<'c> Triggers<'c> {
    /// Makes them, of name and text.
    pub(super) fn create(conn: &'c Conn, triggers: &'c [(String, String)]) -> Result<Self, Error> {
        let mut made = Self {
            conn,
            names: Vec::new(),
        };
        for (name, text) in triggers {
            conn.keeping_last_insert(|conn| run_once(conn.platform(), text))?;
            made.names.push(name);
        }
        Ok(made)
    }

    fn remove(&self) -> Result<(), Error> {
        for name in &self.names {
            // Where the transaction was undone as a whole, they went with it.
            let text = format!("DROP TRIGGER IF EXISTS temp.{name}");
            self.conn
                .keeping_last_insert(|conn| run_once(conn.platform(), &text))?;
        }
        Ok(())
    }
}

impl Drop for Triggers<'_> {
    fn drop(&mut self) {
        if self.remove().is_ok() {
            return;
        }
        // The time of the call may be over, and whoever waited for it gone.
        self.conn.start_clock(limits::PLATFORM_TIME_MAX, None);
        if self.remove().is_err() {
            self.conn.spoil();
        }
    }
}
