//! Drives the connections of a [`Mix`]: one thread that sleeps until a connection has something to read or a request
//! is due. If it were always awake, whatever else the machine has to do would find both cores busy and take its time
//! from the server: some milliseconds of each second, and only in phases in which the server is busy.

use std::{
    collections::VecDeque,
    f64::consts::GOLDEN_RATIO,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use super::{
    LoadError, SILENCE_MAX,
    connection::{Connection, Step},
    traffic::{Failures, Mix, Outcome, Pace, SLOW_READ_BYTES, Traffic},
};

/// Events that are taken from the system at once.
const EVENTS_MAX: usize = 256;

/// The number by which the system names the timer among the connections.
const TIMER: u64 = u64::MAX;

/// The longest sleep: how often it is seen that a server has fallen silent.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// How late slow clients may take their steps. With more of them than steps in this time one waking serves several; longer
/// bursts would be in the way of the load beside them.
const SLOW_STEP_LATE_MAX: Duration = Duration::from_micros(200);

/// How long answers are waited for after the time that counts.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How many failures in a row, without an expected answer between, end a run that counts them: a server that
/// answers nothing is not measured.
const FAILURES_IN_A_ROW_MAX: u64 = 100_000;

impl Mix {
    /// Sends all load until the time is over; paced requests have some seconds more for their answers, during
    /// which the other load goes on. Gives an outcome for each kind of load, in order.
    pub(in crate::bench) fn run(&self) -> Result<Vec<Outcome>, LoadError> {
        self.run_after(|| {})
    }

    /// As [`Self::run`]; `connected` is called once when all connections are made and nothing has been sent.
    pub(in crate::bench) fn run_after(
        &self,
        connected: impl FnOnce(),
    ) -> Result<Vec<Outcome>, LoadError> {
        self.run_since(|| {
            connected();
            Instant::now()
        })
    }

    /// As [`Self::run`]; `connected` gives the moment at which the run began. Where that is long past, all that
    /// was due since then is sent at once, and late.
    pub(super) fn run_since(
        &self,
        connected: impl FnOnce() -> Instant,
    ) -> Result<Vec<Outcome>, LoadError> {
        self.check()?;
        let system = |error: nix::Error| LoadError::System(error.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system)?;
        let mut kinds = Vec::new();
        for (number, traffic) in self.traffic.iter().enumerate() {
            kinds.push(Kind::open(number, traffic, self, &epoll)?);
        }
        let timer = Timer::new(&epoll).map_err(system)?;
        let clock = Clock::start(self, connected());
        for kind in &mut kinds {
            kind.begin(&clock)?;
        }
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        loop {
            let now = Instant::now();
            // Before the look at the end: where this thread was kept from running until after it, what came due
            // meanwhile counts as well.
            for kind in &mut kinds {
                kind.tick(now, &clock)?;
            }
            let is_over = now >= clock.end && kinds.iter().all(Kind::is_drained);
            if is_over || now >= clock.end + DRAIN_MAX {
                break;
            }
            let due = kinds.iter().map(|kind| kind.next_step(now, &clock)).min();
            let timeout = timer.set(now, due).map_err(system)?;
            let ready = match epoll.wait(&mut events, timeout) {
                // A signal has woken the thread, and nothing has arrived.
                Err(nix::Error::EINTR) => 0,
                ready => ready.map_err(system)?,
            };
            for event in events[..ready].iter().filter(|event| event.data() != TIMER) {
                // Both halves were made from `usize` values below the bound of connections.
                let (kind, index) = ((event.data() >> 32) as usize, event.data() as u32 as usize);
                kinds[kind].read(index, &clock)?;
            }
        }
        Ok(kinds.into_iter().map(|kind| kind.finish(&clock)).collect())
    }
}

/// Wakes the thread when something is due, to the microsecond: timeouts of epoll count milliseconds.
struct Timer(TimerFd);

impl Timer {
    fn new(epoll: &Epoll) -> nix::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(timer.as_fd(), EpollEvent::new(flags, TIMER))?;
        Ok(Self(timer))
    }

    /// Has the thread woken at `due`, or after [`SLEEP_MAX`]. Gives how long to wait for events.
    fn set(&self, now: Instant, due: Option<Instant>) -> nix::Result<EpollTimeout> {
        let sleep = due.map_or(SLEEP_MAX, |due| {
            due.saturating_duration_since(now).min(SLEEP_MAX)
        });
        if sleep.is_zero() {
            return Ok(EpollTimeout::ZERO);
        }
        let once = Expiration::OneShot(sleep.into());
        self.0.set(once, TimerSetTimeFlags::empty())?;
        Ok(EpollTimeout::NONE)
    }
}

/// When a run counts what.
struct Clock {
    began: Instant,
    counting: Instant,
    end: Instant,
}

impl Clock {
    fn start(mix: &Mix, began: Instant) -> Self {
        let counting = began + mix.warm_up;
        Self {
            began,
            counting,
            end: counting + mix.duration,
        }
    }

    /// When the request of this number is due, counted from one, where so many are sent a second.
    fn due(&self, number: u64, rate: f64) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 / rate)
    }

    fn counts(&self, at: Instant) -> bool {
        (self.counting..self.end).contains(&at)
    }
}

/// One kind of load at work.
struct Kind<'a> {
    number: usize,
    mix: &'a Mix,
    traffic: &'a Traffic,
    epoll: &'a Epoll,
    connections: Vec<Connection>,
    /// The request that each connection has sent last.
    asked: Vec<usize>,
    /// Connections without a request on the way, where requests are sent at a pace.
    idle: VecDeque<usize>,
    /// Requests that are due and found no connection free.
    overdue: VecDeque<Instant>,
    /// Connections that were made anew and have sent nothing yet.
    anew: Vec<usize>,
    /// Requests that were due, or slow steps, so far.
    ticks: u64,
    /// Requests that were sent.
    sent: usize,
    in_flight: usize,
    failed_in_a_row: u64,
    last_answer: Instant,
    outcome: Outcome,
}

impl<'a> Kind<'a> {
    fn open(
        number: usize,
        traffic: &'a Traffic,
        mix: &'a Mix,
        epoll: &'a Epoll,
    ) -> Result<Self, LoadError> {
        let mut kind = Self {
            number,
            mix,
            traffic,
            epoll,
            connections: Vec::with_capacity(traffic.connections),
            asked: (0..traffic.connections).collect(),
            idle: VecDeque::new(),
            overdue: VecDeque::new(),
            anew: Vec::new(),
            ticks: 0,
            sent: 0,
            in_flight: 0,
            failed_in_a_row: 0,
            last_answer: Instant::now(),
            outcome: Outcome::new(mix.duration),
        };
        for index in 0..traffic.connections {
            let connection = Connection::open(mix.address)?;
            kind.watch(index, &connection)?;
            kind.connections.push(connection);
        }
        Ok(kind)
    }

    /// Slow readers are read when it is their turn and not when something has arrived.
    fn watch(&self, index: usize, connection: &Connection) -> Result<(), LoadError> {
        if matches!(self.traffic.pace, Pace::SlowReader(_)) {
            return Ok(());
        }
        let data = ((self.number as u64) << 32) | index as u64;
        self.epoll
            .add(connection, EpollEvent::new(EpollFlags::EPOLLIN, data))
            .map_err(|error| LoadError::System(error.into()))
    }

    /// The first requests.
    fn begin(&mut self, clock: &Clock) -> Result<(), LoadError> {
        self.last_answer = clock.began;
        for index in 0..self.connections.len() {
            match self.traffic.pace {
                Pace::Open(_) => self.idle.push_back(index),
                _ => self.ask(index, Instant::now())?,
            }
        }
        Ok(())
    }

    /// Sends the next request of a connection, which was due at `due`.
    fn ask(&mut self, index: usize, due: Instant) -> Result<(), LoadError> {
        let asks = &self.traffic.asks;
        self.asked[index] = match self.traffic.pace {
            // All connections together go through the requests.
            Pace::Open(_) => self.sent % asks.len(),
            _ => (self.asked[index] + 1) % asks.len(),
        };
        self.sent += 1;
        let sent = self.connections[index].send(asks[self.asked[index]].bytes(), due);
        self.in_flight += 1;
        self.outcome.in_flight = self.outcome.in_flight.max(self.in_flight);
        match sent {
            Ok(()) => Ok(()),
            Err(error) => self.failed(index, error),
        }
    }

    /// Does what is due by now.
    fn tick(&mut self, now: Instant, clock: &Clock) -> Result<(), LoadError> {
        for index in std::mem::take(&mut self.anew) {
            self.ask(index, now)?;
        }
        match self.traffic.pace {
            Pace::Closed => {}
            Pace::Open(rate) => {
                let end = now.min(clock.end);
                let due = (end.saturating_duration_since(clock.began).as_secs_f64() * rate) as u64;
                while self.ticks < due {
                    self.ticks += 1;
                    self.overdue.push_back(clock.due(self.ticks, rate));
                }
                self.send_due()?;
            }
            Pace::SlowBody(every) | Pace::SlowReader(every) => {
                let count = self.connections.len();
                let turns = (now - clock.began).as_secs_f64() / every.as_secs_f64();
                // No two kinds take their steps at the same moments.
                let phase = (self.number as f64 * GOLDEN_RATIO).fract();
                let due = (turns * count as f64 + phase) as u64;
                while self.ticks < due {
                    let index = self.ticks as usize % count;
                    self.ticks += 1;
                    self.dawdle(index)?;
                }
            }
        }
        let is_silent = now - self.last_answer > SILENCE_MAX && self.in_flight > 0;
        match self.traffic.failures {
            Failures::Fatal if is_silent => Err(LoadError::Silent(self.mix.address)),
            _ => Ok(()),
        }
    }

    /// When there is something to do, whatever arrives until then. What is due already waits for a connection.
    fn next_step(&self, now: Instant, clock: &Clock) -> Instant {
        if !self.anew.is_empty() {
            return now;
        }
        match self.traffic.pace {
            Pace::SlowBody(_) | Pace::SlowReader(_) => now + SLOW_STEP_LATE_MAX,
            Pace::Open(rate) if now < clock.end => clock.due(self.ticks + 1, rate).min(clock.end),
            Pace::Closed if now < clock.end => clock.end,
            Pace::Open(_) | Pace::Closed => now + SLEEP_MAX,
        }
    }

    fn send_due(&mut self) -> Result<(), LoadError> {
        while let (Some(&at), Some(&index)) = (self.overdue.front(), self.idle.front()) {
            self.overdue.pop_front();
            self.idle.pop_front();
            self.ask(index, at)?;
        }
        Ok(())
    }

    fn dawdle(&mut self, index: usize) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        let done = match self.traffic.pace {
            Pace::SlowBody(_) => connection.send_part(b".").map(drop),
            _ => connection.discard(&mut [0; SLOW_READ_BYTES]).map(drop),
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) => self.failed(index, error),
        }
    }

    /// Takes what has arrived on a connection, and sends what follows it.
    fn read(&mut self, index: usize, clock: &Clock) -> Result<(), LoadError> {
        let expected = self.traffic.asks[self.asked[index]].expected();
        let sent = match self.connections[index].step(expected) {
            Ok(Step::Waiting) => return Ok(()),
            Ok(Step::Answered { sent }) => sent,
            Err(error) => return self.failed(index, error),
        };
        let now = Instant::now();
        self.last_answer = now;
        self.failed_in_a_row = 0;
        self.in_flight -= 1;
        self.outcome.answers.all += 1;
        self.outcome.note(now, self.mix.window);
        match self.traffic.pace {
            Pace::Open(_) => {
                if clock.counts(sent) {
                    self.outcome.answers.count(now - sent);
                }
                self.idle.push_back(index);
                self.send_due()
            }
            // One that answers before it has everything has refused, whatever it says.
            Pace::SlowBody(_) | Pace::SlowReader(_) => self.ask(index, now),
            Pace::Closed => {
                if clock.counts(now) {
                    self.outcome.answers.count(now - sent);
                }
                self.ask(index, now)
            }
        }
    }

    /// Notes a failure and makes the connection anew, or gives up.
    fn failed(&mut self, index: usize, error: LoadError) -> Result<(), LoadError> {
        self.failed_in_a_row += 1;
        if self.traffic.failures == Failures::Fatal || self.failed_in_a_row > FAILURES_IN_A_ROW_MAX
        {
            return Err(error);
        }
        self.outcome.fail(&error);
        let connection = Connection::open(self.mix.address)?;
        self.watch(index, &connection)?;
        // The one before leaves the system's list when it is closed.
        self.connections[index] = connection;
        self.in_flight -= 1;
        match self.traffic.pace {
            Pace::Open(_) => self.idle.push_back(index),
            _ => self.anew.push(index),
        }
        Ok(())
    }

    /// Whether every paced request has its answer; other load has no end of its own.
    fn is_drained(&self) -> bool {
        match self.traffic.pace {
            Pace::Open(_) => self.in_flight == 0 && self.overdue.is_empty(),
            _ => true,
        }
    }

    fn finish(mut self, clock: &Clock) -> Outcome {
        if let Pace::Open(_) = self.traffic.pace {
            let now = Instant::now();
            let on_the_way = self.connections.iter().filter_map(Connection::sent);
            let late: Vec<_> = on_the_way.chain(self.overdue.iter().copied()).collect();
            for due in late.into_iter().filter(|&due| clock.counts(due)) {
                self.outcome.unanswered += 1;
                self.outcome.answers.wait(now - due);
            }
        }
        self.outcome.answers.sort();
        self.outcome
    }
}
