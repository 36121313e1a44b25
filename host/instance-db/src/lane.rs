//! A lease is a turn at a database together with the connection that is used in it: one for writing
//! at a time and several for reading. Giving it back undoes whatever was left open.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Database, Error, Holder,
    connection::{Conn, RowCount},
    fair::Urgency,
    pool,
    turns::{Asked, Turn},
};

/// Which of the two kinds of turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Write,
    Read,
}

/// The right to use one connection of a database.
pub(crate) struct Lease {
    database: Arc<Database>,
    lane: Lane,
    holder: Holder,
    connection: Option<Conn>,
    turn: Option<Turn>,
}

impl Lease {
    /// Waits for a turn. While it waits, transactions that others left idle for too long are ended.
    ///
    /// # Errors
    /// [`Error::Busy`] after the wait that the operator allows, or at once where only the holder itself
    /// or a run that waits for it stands in its way; [`Error::Unavailable`] where the database was deleted.
    pub(crate) async fn take(
        database: &Arc<Database>,
        lane: Lane,
        holder: Holder,
    ) -> Result<Self, Error> {
        let turn = match database.turns(lane).ask(holder.clone())? {
            Asked::Turn(turn) => turn,
            Asked::Place(mut place) => {
                let config = &database.shared.config;
                let until = Instant::now() + Duration::from_millis(config.lock_wait_ms);
                loop {
                    // An idle transaction ends, and what it held comes to whoever is next, maybe here.
                    let look_again = database.end_idle(lane, &holder);
                    if let Some(turn) = place.wait_until(look_again.min(until)).await? {
                        break turn;
                    }
                    if Instant::now() >= until {
                        return Err(Error::Busy);
                    }
                }
            }
        };
        Ok(Self {
            database: Arc::clone(database),
            lane,
            holder,
            connection: database.take_idle(lane),
            turn: Some(turn),
        })
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Whether others of the instance may wait for what is done with it: there is one turn for writing, and several for reading.
    pub(crate) fn urgency(&self) -> Urgency {
        match self.lane {
            Lane::Write => Urgency::HoldsUp,
            Lane::Read => Urgency::Usual,
        }
    }

    /// The connection, opened at the first call. Waits for the disk.
    pub(crate) fn connection(&mut self) -> Result<&mut Conn, Error> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            empty => Ok(empty.insert(self.database.open(self.lane)?)),
        }
    }

    /// What statements gave and changed in the last call.
    pub(crate) fn rows(&self) -> RowCount {
        self.connection.as_ref().map(Conn::rows).unwrap_or_default()
    }

    /// Whether the connection has no transaction open.
    pub(crate) fn is_idle(&self) -> bool {
        self.connection.as_ref().is_none_or(Conn::is_idle)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            // The turn ends without the holder's help from here on.
            turn.disown();
        }
        let back = GiveBack {
            database: Arc::clone(&self.database),
            lane: self.lane,
            connection: self.connection.take(),
            turn: self.turn.take(),
        };
        if pool::is_worker() || back.connection.as_ref().is_none_or(Conn::is_idle) {
            back.finish();
            return;
        }
        let database = Arc::clone(&self.database);
        let of = (database.id, self.holder.weight());
        let undo = Box::new(move || back.finish());
        database.shared.pool.submit(of, self.urgency(), undo);
    }
}

/// The parts of a lease on their way back.
struct GiveBack {
    database: Arc<Database>,
    lane: Lane,
    connection: Option<Conn>,
    turn: Option<Turn>,
}

impl GiveBack {
    fn finish(self) {
        if let Some(connection) = self.connection
            && connection.undo()
        {
            self.database.give_back(self.lane, connection);
        }
        drop(self.turn);
    }
}
