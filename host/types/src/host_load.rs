//! What a host has to do at a moment.

/// What a host has to do at a moment, and what it holds for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLoad {
    /// Instances that the host knows, suspended ones included.
    pub instances: u64,
    /// Sandboxes in use, those included that are kept warm.
    pub sandboxes: u64,
    /// How many there can be.
    pub sandboxes_max: u64,
    /// Runs that compute and wait for a processor.
    pub waiting: u64,
    /// How long what is ready waits for a thread that serves sockets, in milliseconds; less than 10 is 0. Beyond half of an
    /// instance's `queue-time` its observers are put off, and beyond all of it its requests are refused, but for the first ten of each
    /// second; beyond four times as much those too.
    pub lag_ms: u64,
    /// Tasks of the process: connections, runs, and work in the background.
    pub tasks: u64,
}
