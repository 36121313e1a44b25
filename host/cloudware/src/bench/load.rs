//! The load generator: one thread over keep-alive connections. [`Load`] is the closed loop with the least work of its
//! own, always awake: a client that sleeps makes the server pay for waking it across cores, which costs more than a
//! sandbox does. [`Mix`] is for several kinds of load at once, for load at a fixed rate, and for thousands of
//! connections; it sleeps when nothing is due.

mod connection;
#[cfg(target_os = "linux")]
mod drive;
mod response;
mod traffic;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use connection::{Connection, Step};

pub(super) use response::Expected;
pub(super) use traffic::{Ask, Failures, Mix, Outcome, Pace, Traffic};

/// Connections at the same time. One sweep over more takes longer than an answer.
pub(super) const CONNECTIONS_MAX: usize = 1_024;

/// How long one run may take.
pub(super) const TIME_MAX: Duration = Duration::from_secs(120);

/// Answers whose time is kept; later ones of a run count without it.
const LATENCIES_MAX: usize = 10_000_000;

/// How long all connections together may be without any answer.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What to send where, and what must come back.
#[derive(Clone, Debug)]
pub(super) struct Load<'a> {
    /// The server, on this machine.
    pub(super) address: SocketAddr,
    /// The request's path.
    pub(super) path: &'a str,
    /// The body of every answer.
    pub(super) expected: &'a [u8],
    /// Connections, each with one request at a time.
    pub(super) connections: usize,
    /// How long answers are not counted yet.
    pub(super) warm_up: Duration,
    /// How long they are counted after that.
    pub(super) duration: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answers {
    /// Answers within the time that counts.
    pub(super) counted: u64,
    /// Answers before, within and after it.
    pub(super) all: u64,
    /// The time that counts.
    elapsed: Duration,
    /// Nanoseconds of each counted answer, in order of size.
    latencies: Vec<u64>,
}

/// Why a run has no result. One wrong answer is enough: a server that fails quickly looks quick.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// Load goes to this machine only.
    #[error("{0} is not an address of this machine; load is sent nowhere else")]
    NotLoopback(SocketAddr),
    /// The settings are out of bounds.
    #[error("{0}")]
    Bounds(String),
    /// A connection could not be made or broke.
    #[error("the connection to {address} failed: {source}")]
    Connection {
        /// The server.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// An answer was not the expected one.
    #[error("{address} gave a wrong answer: {reason}")]
    Answer {
        /// The server.
        address: SocketAddr,
        /// What was wrong.
        reason: String,
    },
    /// The system refuses something.
    #[error("the system refuses what the load generator needs: {0}")]
    System(std::io::Error),
    /// No connection got an answer.
    #[error("{0} gave no answer for {seconds} seconds", seconds = SILENCE_MAX.as_secs())]
    Silent(SocketAddr),
}

impl Load<'_> {
    /// Sends load until the time is over, and waits for the last answers. Keeps its thread busy throughout.
    pub(super) fn run(&self) -> Result<Answers, LoadError> {
        self.check()?;
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\r\n",
            self.path, self.address
        );
        let expected = Expected::Body(self.expected.to_vec());
        let mut connections = (0..self.connections)
            .map(|_| {
                let mut connection = Connection::open(self.address)?;
                connection.send(request.as_bytes(), Instant::now())?;
                Ok(connection)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let began = Instant::now();
        let counting = began + self.warm_up;
        let end = counting + self.duration;
        let mut answers = Answers::new(self.duration);
        let mut last_answer = began;
        let mut waiting = connections.len();
        while waiting > 0 {
            for connection in &mut connections {
                let Step::Answered { sent } = connection.step(&expected)? else {
                    continue;
                };
                let now = Instant::now();
                last_answer = now;
                answers.all += 1;
                if now >= counting && now < end {
                    answers.count(now - sent);
                }
                if now < end {
                    connection.send(request.as_bytes(), now)?;
                } else {
                    waiting -= 1;
                }
            }
            if last_answer.elapsed() > SILENCE_MAX {
                return Err(LoadError::Silent(self.address));
            }
        }
        answers.sort();
        Ok(answers)
    }

    fn check(&self) -> Result<(), LoadError> {
        if !self.address.ip().is_loopback() {
            return Err(LoadError::NotLoopback(self.address));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(LoadError::Bounds(format!(
                "connections = {} must be from 1 to {CONNECTIONS_MAX}",
                self.connections
            )));
        }
        let time = self.warm_up + self.duration;
        if self.duration.is_zero() || time > TIME_MAX {
            return Err(LoadError::Bounds(format!(
                "a run of {time:?} must last more than 0 and at most {} seconds",
                TIME_MAX.as_secs()
            )));
        }
        Ok(())
    }
}

/// Sends requests one after the other over one connection, and gives how long each took. Keeps its thread busy.
pub(super) fn one_by_one(address: SocketAddr, asks: &[Ask]) -> Result<Vec<Duration>, LoadError> {
    if !address.ip().is_loopback() {
        return Err(LoadError::NotLoopback(address));
    }
    let mut connection = Connection::open(address)?;
    let mut latencies = Vec::with_capacity(asks.len());
    for ask in asks {
        let began = Instant::now();
        connection.send(ask.bytes(), began)?;
        while !matches!(connection.step(ask.expected())?, Step::Answered { .. }) {
            if began.elapsed() > SILENCE_MAX {
                return Err(LoadError::Silent(address));
            }
        }
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

impl Answers {
    fn new(elapsed: Duration) -> Self {
        Self {
            counted: 0,
            all: 0,
            elapsed,
            latencies: Vec::new(),
        }
    }

    fn count(&mut self, latency: Duration) {
        self.counted += 1;
        self.wait(latency);
    }

    /// Keeps a latency, also that of a request without an answer.
    fn wait(&mut self, latency: Duration) {
        if self.latencies.len() < LATENCIES_MAX {
            let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latencies.push(nanoseconds);
        }
    }

    /// To be called before [`Self::quantile`].
    fn sort(&mut self) {
        self.latencies.sort_unstable();
    }

    /// Answers a second.
    pub(super) fn rate(&self) -> f64 {
        self.counted as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share of the answers came, in microseconds; `share` is from 0 to 1.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        // A share of at most 1 of a count in the millions is exact in f64.
        let index = (last as f64 * share).round() as usize;
        self.latencies
            .get(index)
            .map_or(0.0, |&nanoseconds| nanoseconds as f64 / 1_000.0)
    }
}

#[cfg(not(target_os = "linux"))]
impl Mix {
    /// Refuses: it would ask the system in the way of Linux which connections have something to read.
    pub(super) fn run(&self) -> Result<Vec<Outcome>, LoadError> {
        self.run_after(|| {})
    }

    /// Refuses as well.
    pub(super) fn run_after(&self, _connected: impl FnOnce()) -> Result<Vec<Outcome>, LoadError> {
        Err(LoadError::System(std::io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(test)]
mod tests;
