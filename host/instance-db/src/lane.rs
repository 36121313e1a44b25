//! Turns at a database: one writer at a time and several readers, in order of arrival. A turn is a
//! lease of a connection; giving it back undoes whatever was left open.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;

use crate::{Database, Error, connection::Conn, worker::off_async_threads};

/// Which of the two kinds of turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Write,
    Read,
}

/// Whoever takes turns, so that one who holds the write turn is not made to wait for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder(u64);

impl Holder {
    /// Nobody in particular: waits like everybody else.
    pub const ANONYMOUS: Self = Self(0);

    /// A holder with a number that is unique while it lives and not zero, such as an address.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// The right to use one connection of a database.
pub(crate) struct Lease {
    database: Arc<Database>,
    lane: Lane,
    connection: Option<Conn>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Error::Busy`] after the wait that the operator allows, or at once where the holder itself has
    /// the write turn; [`Error::Unavailable`] where the database was deleted.
    pub(crate) async fn take(
        database: &Arc<Database>,
        lane: Lane,
        holder: Holder,
    ) -> Result<Self, Error> {
        let turns = match lane {
            Lane::Write => {
                let current = database.writer_holder.load(Ordering::Acquire);
                if holder != Holder::ANONYMOUS && current == holder.0 {
                    return Err(Error::Busy);
                }
                &database.write_turns
            }
            Lane::Read => &database.read_turns,
        };
        let wait = Duration::from_millis(database.shared.config.lock_wait_ms);
        let permit = match Arc::clone(turns).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(wait, Arc::clone(turns).acquire_owned())
                .await
                .map_err(|_| Error::Busy)?
                .map_err(|_| Error::Unavailable("the database was deleted".into()))?,
        };
        if lane == Lane::Write {
            database.writer_holder.store(holder.0, Ordering::Release);
        }
        Ok(Self {
            database: Arc::clone(database),
            lane,
            connection: database.take_idle(lane),
            permit: Some(permit),
        })
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// The connection, opened at the first call. Waits for the disk.
    pub(crate) fn connection(&mut self) -> Result<&mut Conn, Error> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            empty => Ok(empty.insert(self.database.open(self.lane)?)),
        }
    }

    /// Whether the connection has no transaction open.
    pub(crate) fn is_idle(&self) -> bool {
        self.connection.as_ref().is_none_or(Conn::is_idle)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.lane == Lane::Write {
            // From here on the holder may wait for its next turn like everybody else: this one ends
            // without its help.
            self.database.writer_holder.store(0, Ordering::Release);
        }
        let back = GiveBack {
            database: Arc::clone(&self.database),
            lane: self.lane,
            connection: self.connection.take(),
            permit: self.permit.take(),
        };
        if back.connection.as_ref().is_none_or(Conn::is_idle) {
            back.finish();
        } else {
            off_async_threads(move || back.finish());
        }
    }
}

/// The parts of a lease on their way back.
struct GiveBack {
    database: Arc<Database>,
    lane: Lane,
    connection: Option<Conn>,
    permit: Option<OwnedSemaphorePermit>,
}

impl GiveBack {
    fn finish(self) {
        if let Some(connection) = self.connection
            && connection.undo()
        {
            self.database.give_back(self.lane, connection);
        }
        drop(self.permit);
    }
}
