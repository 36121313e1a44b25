//! What a host has to do at a moment.

/// What a host has to do at a moment, and what it holds for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLoad {
    /// Instances of which an app was served since the host began.
    pub instances: u64,
    /// Sandboxes in use, those included that are kept warm.
    pub sandboxes: u64,
    /// How many there can be.
    pub sandboxes_max: u64,
    /// Bytes of memory that they have together.
    pub memory_bytes: u64,
    /// How many they may have.
    pub memory_bytes_max: u64,
    /// Runs that compute and wait for a processor.
    pub waiting: u64,
    /// How long what is ready waits for a thread that serves sockets, in milliseconds; less than 10 is 0. Beyond half of an
    /// instance's `queue-time` its observers that are components are put off, for a minute at most, and practice runs left out.
    /// Beyond all of it its requests are refused, but for ten a second, and beyond four times as much all.
    pub lag_ms: u64,
    /// Tasks of the process: connections, runs, and work in the background.
    pub tasks: u64,
}
