//! Every bound of key-value data, with its reason. How many operations a run may make is a limit that an
//! admin sets ([`cloudware_types::Dimension::KvOperations`]).

use std::time::Duration;

/// Bytes of a bucket's name.
pub const BUCKET_BYTES_MAX: usize = 64;

/// Bytes of a key. Keys are compared and listed, so they are names and not data.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Bytes of a value. Documents and sessions fit; files belong into blobs.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Keys that one call names, changes or lists.
pub const CALL_KEYS_MAX: usize = 1_000;

/// Bytes of all values that one call reads or writes; the host holds them in memory.
pub const CALL_BYTES_MAX: usize = 16 << 20;

/// Time that one call may work. Each touches at most [`CALL_KEYS_MAX`] keys, so only a failing disk or a listing
/// by a far offset needs more.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(10);
