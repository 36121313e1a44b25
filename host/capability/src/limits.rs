//! Every bound of an invocation's store data that nobody may change, with its reason.

/// Bytes of a line of standard output or error that is one record; a longer one is split. A line for a person fits many
/// times, and the host keeps what has no line break yet in memory.
pub(crate) const LINE_BYTES_MAX: usize = 8 << 10;

/// Bytes of arguments or results of a call of the host from which on they are counted while it lasts: less is held by many at once
/// without harm, and each call would count.
pub(crate) const PASSING_BYTES_MIN: usize = 64 << 10;

/// How long a request without a free sandbox, or memory for it, should wait before it comes again, in seconds.
pub const OVERLOAD_RETRY_SECONDS: u32 = 1;

/// Growths of memories and tables beyond what they have at most that a run may ask for: allocators give up after a few, and so
/// many take the host some milliseconds.
pub(crate) const REFUSED_GROWTHS_MAX: u32 = 10_000;
