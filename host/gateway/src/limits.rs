//! The gateway's bounds on what comes from outside, each with its reason.

use std::time::Duration;

/// Bytes of a request's head; what HTTP servers commonly accept. A larger one is answered with 431.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Header lines of a request; browsers send about twenty.
pub(crate) const HEADERS_MAX: usize = 100;

/// How long a client may take to send a request's head, and stay idle between requests.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a client may take none of an answer before its connection is closed, and with it the
/// sandbox that writes the answer.
pub(crate) const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest request id that is taken over from a client.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;

/// Bytes of an answer up to which its pieces are joined before they are written: a head and some lines.
pub(crate) const JOINED_BYTES_MAX: usize = 2 << 10;

/// Bytes of an answer that the system keeps of one connection before they are sent. It would take several megabytes; what
/// a slow client has not asked for yet belongs to the app, whose answer waits, and not into memory that nobody meters. A
/// client at 1 Gbit/s takes this in a millisecond, in which its socket is served again.
#[cfg(target_os = "linux")]
pub(crate) const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Bytes of a request's body that come together with its head: both are within the first 8 KiB that a connection reads.
pub(crate) const SHORT_BYTES_MAX: u64 = 4 << 10;
