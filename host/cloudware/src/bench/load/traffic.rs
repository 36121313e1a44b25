//! Several kinds of load at once, from one thread: what each sends, at which pace, and
//! what came back of it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{Answers, LoadError, TIME_MAX, response::Expected};

/// Connections of one run over all kinds of load.
pub(in crate::bench) const TRAFFIC_CONNECTIONS_MAX: usize = 20_000;

/// One request.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Ask {
    bytes: Vec<u8>,
    expected: Expected,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Pace {
    /// Each connection sends its next request when it has the answer of the one before.
    Closed,
    /// So many a second, whatever comes back. One that finds no connection free waits for it, and that time
    /// counts: latency is measured from when a request was due.
    Open(f64),
    /// Each connection sends one byte of its body in this time, and never the last one.
    SlowBody(Duration),
    /// Each connection reads [`SLOW_READ_BYTES`] of its answer in this time.
    SlowReader(Duration),
}

/// What a slow reader takes at once.
pub(super) const SLOW_READ_BYTES: usize = 1 << 10;

/// What is done about an answer that is not the expected one, or a connection that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Failures {
    /// It ends the run with an error.
    Fatal,
    /// It is counted, and the connection made anew.
    Counted,
}

/// One kind of load.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Traffic {
    /// The requests; each connection goes through them from another beginning.
    pub(in crate::bench) asks: Vec<Ask>,
    /// Connections, each with one request at a time.
    pub(in crate::bench) connections: usize,
    /// When requests are sent.
    pub(in crate::bench) pace: Pace,
    /// What is done about failures.
    pub(in crate::bench) failures: Failures,
}

/// All kinds of load of one run.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Mix {
    /// The server, on this machine.
    pub(in crate::bench) address: SocketAddr,
    /// What is sent.
    pub(in crate::bench) traffic: Vec<Traffic>,
    /// How long answers are not counted yet.
    pub(in crate::bench) warm_up: Duration,
    /// How long they are counted after that.
    pub(in crate::bench) duration: Duration,
    /// The time within which answers are looked at together, see [`Outcome::within_window`].
    pub(in crate::bench) window: Duration,
}

/// What came back of one kind of load.
#[derive(Debug)]
pub(in crate::bench) struct Outcome {
    /// The expected answers.
    pub(in crate::bench) answers: Answers,
    /// Answers that were others, and connections that broke, over the whole run.
    pub(in crate::bench) failed: u64,
    /// What the first failure was.
    pub(in crate::bench) first_failure: Option<String>,
    /// Requests that were due in the time that counts and had no answer at the end. Their latency counts as
    /// what they had waited by then.
    pub(in crate::bench) unanswered: u64,
    /// Most requests that were on their way at once, as the client sees it.
    pub(in crate::bench) in_flight: usize,
    /// Most answers within one window of time. Where each request takes at least that long in the guest,
    /// so many were in their guests at once: all had begun before the window's beginning.
    pub(in crate::bench) within_window: usize,
    recent: VecDeque<Instant>,
}

impl Ask {
    /// `GET` of a path.
    pub(in crate::bench) fn get(address: SocketAddr, path: &str, expected: Expected) -> Self {
        let text = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\n\r\n");
        Self {
            bytes: text.into_bytes(),
            expected,
        }
    }

    /// `POST` of JSON to a path.
    pub(in crate::bench) fn post(address: SocketAddr, path: &str, body: &str) -> Self {
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            bytes: text.into_bytes(),
            expected: Expected::Success,
        }
    }

    /// The beginning of a `POST` that announces `bytes` and sends none yet.
    pub(in crate::bench) fn begin_post(address: SocketAddr, path: &str, bytes: u64) -> Self {
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\naccept: */*\r\ncontent-length: {bytes}\r\n\r\n"
        );
        Self {
            bytes: text.into_bytes(),
            expected: Expected::Success,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn expected(&self) -> &Expected {
        &self.expected
    }
}

impl Outcome {
    pub(super) fn new(counted: Duration) -> Self {
        Self {
            answers: Answers::new(counted),
            failed: 0,
            first_failure: None,
            unanswered: 0,
            in_flight: 0,
            within_window: 0,
            recent: VecDeque::new(),
        }
    }

    /// Counts an answer for [`Self::within_window`].
    pub(super) fn note(&mut self, now: Instant, window: Duration) {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|&at| now - at >= window) {
            self.recent.pop_front();
        }
        self.within_window = self.within_window.max(self.recent.len());
    }

    pub(super) fn fail(&mut self, error: &LoadError) {
        self.failed += 1;
        if self.first_failure.is_none() {
            self.first_failure = Some(error.to_string());
        }
    }
}

impl Mix {
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let refuse = |reason: String| Err(LoadError::Bounds(reason));
        if !self.address.ip().is_loopback() {
            return Err(LoadError::NotLoopback(self.address));
        }
        let connections: usize = self.traffic.iter().map(|traffic| traffic.connections).sum();
        if !(1..=TRAFFIC_CONNECTIONS_MAX).contains(&connections) {
            return refuse(format!(
                "{connections} connections: there must be from 1 to {TRAFFIC_CONNECTIONS_MAX}"
            ));
        }
        if self.traffic.iter().any(|traffic| traffic.asks.is_empty()) {
            return refuse("load without any request".to_owned());
        }
        let wrong_rate = |pace| matches!(pace, Pace::Open(rate) if !(0.1..=1e6).contains(&rate));
        if self.traffic.iter().any(|traffic| wrong_rate(traffic.pace)) {
            return refuse("a rate must be from 0.1 to 1,000,000 requests a second".to_owned());
        }
        let time = self.warm_up + self.duration;
        if self.duration.is_zero() || time > TIME_MAX {
            return refuse(format!(
                "a run of {time:?} must last more than 0 and at most {} seconds",
                TIME_MAX.as_secs()
            ));
        }
        Ok(())
    }
}
