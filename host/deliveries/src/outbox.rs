//! Writes calls of observe points down, in the transaction of the caller.

use std::{io, time::Duration};

use cloudware_instance_db::{AppKey, Error, Holder, PlatformScope, Worked};
use cloudware_types::{DeliveryId, DesiredHook, InstanceId, RunChain};
use serde_json::Value;

use crate::{
    Call, Deliveries,
    limits::{OPEN_PER_INSTANCE_MAX, PAYLOAD_BYTES_MAX, RECORD_TIME_MAX},
    rows::{self, NewCall, NewDelivery},
};

/// On whose behalf a call is written down.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    /// The instance whose app calls.
    pub instance: InstanceId,
    /// The app, which shares the turns at the database with its other runs.
    pub app: &'a str,
    /// The run, the same for every capability that it uses; what it wrote in an open transaction and the call are
    /// committed together.
    pub run: RunChain,
    /// The instance's share of the time that databases work.
    pub weight: u64,
    /// Size that the database may have, in bytes.
    pub storage_bytes_max: u64,
}

/// What came of writing a call down.
#[derive(Debug)]
pub struct Recorded {
    /// Time that the database worked for it, also where it was refused.
    pub worked: Duration,
    /// Whether the hooks will be told, as soon as the transaction is committed.
    pub result: Result<(), RecordError>,
}

/// Why a call was not written down. The hooks will not be told; an open transaction goes on without it, unless
/// said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The arguments are too large.
    #[error(
        "the arguments have more than {PAYLOAD_BYTES_MAX} bytes as JSON; tell observers where a large thing is, and not what it is"
    )]
    TooLarge,
    /// Hooks have not taken what they are owed already.
    #[error(
        "{open} deliveries of this instance wait for their hooks, of {OPEN_PER_INSTANCE_MAX} at most; see why hooks fail with `cloudware delivery list --state retrying`"
    )]
    TooMany {
        /// How many wait.
        open: u64,
    },
    /// The database refused: see the source.
    #[error(transparent)]
    Database(#[from] Error),
}

impl Deliveries {
    /// Writes a call down with a delivery for each of `hooks`: in the transaction for writing that the caller's run
    /// has open, so that they are told if and only if it is committed; in a transaction of its own where it has
    /// none. May wait for the database.
    pub async fn record(&self, caller: Caller<'_>, call: Call, hooks: &[DesiredHook]) -> Recorded {
        if hooks.is_empty() {
            return Recorded::refused_by(Ok(()));
        }
        let payload = match bounded_json(&call.arguments) {
            Ok(payload) => payload,
            Err(error) => return Recorded::refused_by(Err(error)),
        };
        let call = NewCall {
            app: call.app,
            point: call.point,
            interface: call.interface,
            function: call.function,
            payload,
            items: call.items,
            request_id: call.request_id,
            deliveries: hooks.iter().map(owed).collect(),
        };
        let worked = self.write_call(caller, call).await;
        Recorded {
            worked: worked.worked,
            result: worked.result.map_err(RecordError::from).flatten(),
        }
    }

    async fn write_call(
        &self,
        caller: Caller<'_>,
        call: NewCall,
    ) -> Worked<Result<(), RecordError>> {
        let database = match self.inner.databases.get(caller.instance) {
            Ok(database) => database,
            Err(error) => return Worked::refused(error),
        };
        let scope = PlatformScope {
            storage_bytes_max: caller.storage_bytes_max,
            time_max: RECORD_TIME_MAX,
            holder: Holder::new(caller.run, AppKey::of(caller.app)).with_weight(caller.weight),
        };
        let now_ms = self.inner.clock.now_ms();
        database
            .write_within(scope, self.inner.on_commit(), move |sqlite| {
                let open = rows::open_count(sqlite)?;
                if open + call.deliveries.len() as u64 > OPEN_PER_INSTANCE_MAX {
                    return Ok(Err(RecordError::TooMany { open }));
                }
                rows::insert(sqlite, &call, now_ms)?;
                Ok(Ok(()))
            })
            .await
    }
}

impl Recorded {
    fn refused_by(result: Result<(), RecordError>) -> Self {
        Self {
            worked: Duration::ZERO,
            result,
        }
    }
}

fn owed(hook: &DesiredHook) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::generate(),
        hook: hook.id,
        hook_name: hook.name.to_string(),
    }
}

/// The arguments as text, given up as soon as it is too long.
fn bounded_json(arguments: &Value) -> Result<String, RecordError> {
    struct Bounded(Vec<u8>);
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > PAYLOAD_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut text = Bounded(Vec::new());
    serde_json::to_writer(&mut text, arguments).map_err(|_| RecordError::TooLarge)?;
    Ok(String::from_utf8(text.0).expect("JSON is UTF-8"))
}
