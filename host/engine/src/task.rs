//! A run as it is driven: its call is polled in slices, first on the thread of its connection and, where it
//! computes for longer, on compute threads in fair turns. Each slice's processor time is measured, so that host
//! waits are not billed, and what bounds a run from outside is checked between slices. A guest that computes
//! yields by fuel, so a slice is short.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use cloudware_capability::{Progress, ThreadMoment};
use cloudware_types::{Class, Dimension, Limits, Meter, Meters, Stop, StopCause};
use futures_util::task::AtomicWaker;
use http::Response;
use parking_lot::{Mutex, MutexGuard};
use wasmtime_wasi_http::WasiBody;

use crate::{
    UsageMeter,
    admission::Admission,
    clock::{coarse, millis, thread_moment},
    limits::{FIRST_SLICE, STAY_MEMORY_MIN, TURN_MAX, UNMETERED_MAX},
    near::{self, Near, Unmetered},
    schedule::{Queue, Share},
    socket_work, stop,
};

/// The call of one invocation, whole: it owns the sandbox.
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<(), Box<Stop>>> + Send>>;

/// What the guest answered with: a response, or the error that it set instead.
pub(crate) type Answer = Result<Response<WasiBody>, String>;

/// A run that is driven.
pub(crate) struct Task {
    state: Mutex<State>,
    /// The guest's response; it may appear while the call still goes on.
    answer: Mutex<Option<Answer>>,
    /// The task of the connection, which waits for the answer.
    driver: AtomicWaker,
    progress: Arc<Progress>,
    admission: Arc<Admission>,
    queue: Arc<Queue>,
    /// Whose usage it is.
    usage: Option<Arc<UsageMeter>>,
    started: Instant,
    bounds: Bounds,
    broke_off: AtomicBool,
    stop_is_recorded: AtomicBool,
    has_caller_left: AtomicBool,
    /// Whether it has asked for more of its request's body than has come.
    wants_request: AtomicBool,
}

/// What bounds a run from outside its sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) class: Class,
    pub(crate) deadline: Duration,
    pub(crate) cpu: Duration,
}

/// Why a run ended before its call did.
pub(crate) enum Interruption {
    /// The call itself ended with a stop.
    Stopped(Box<Stop>),
    /// It was ended from outside; its sandbox is gone.
    Ended {
        /// The limit.
        cause: StopCause,
        /// When there may be room again.
        resets_in: Option<Duration>,
    },
}

struct State {
    place: Place,
    call: Option<Call>,
    /// Woken since it ran, or while it did: it can go on at once.
    is_woken: bool,
    outcome: Option<Result<(), Interruption>>,
    /// Fuel that has been counted for the instance.
    fuel_counted: u64,
    /// What of its own has been metered while it went on.
    metered: Metered,
    /// Limits that the run had nearly used up when it ended.
    near: Vec<Near>,
    /// Whether it begins on a compute thread; settled when it begins.
    is_kept_off: Option<bool>,
    /// Its longest stay on the thread of its connection, in nanoseconds of processor time.
    longest_stay: u64,
    /// The most memory that it held.
    memory: u64,
    /// What it waited for when its deadline came.
    wait: Wait,
}

/// What has been metered of a run that goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Metered {
    pub(crate) cpu_nanoseconds: u64,
    pub(crate) fuel: u64,
}

/// What a run waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// It can go on.
    Nothing,
    /// More of its request's body, as far as the host can see.
    Request,
    /// Something else.
    Other,
}

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// It waits for something, or for its first slice.
    Idle,
    /// It waits for a compute thread.
    Queued,
    /// A thread runs it.
    Running,
    /// It has ended, or nobody wants it any more.
    Ended,
}

/// How a slice ended.
enum Slice {
    Ended(Result<(), Interruption>),
    Pending(Call),
}

impl Task {
    /// A run whose call is still to be given ([`Self::begin`]), metered with `usage` while it goes on; without, its call
    /// meters all of it.
    pub(crate) fn new(
        progress: Arc<Progress>,
        admission: Arc<Admission>,
        queue: Arc<Queue>,
        usage: Option<Arc<UsageMeter>>,
        started: Instant,
        bounds: Bounds,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                place: Place::Idle,
                call: None,
                is_woken: false,
                outcome: None,
                fuel_counted: 0,
                metered: Metered::default(),
                near: Vec::new(),
                is_kept_off: None,
                longest_stay: 0,
                memory: 0,
                wait: Wait::Nothing,
            }),
            answer: Mutex::new(None),
            driver: AtomicWaker::new(),
            progress,
            admission,
            queue,
            usage,
            started,
            bounds,
            broke_off: AtomicBool::new(false),
            stop_is_recorded: AtomicBool::new(false),
            has_caller_left: AtomicBool::new(false),
            wants_request: AtomicBool::new(false),
        })
    }

    /// Notes whether the run has asked for more of its request's body than has come.
    pub(crate) fn wants_request(&self, wants: bool) {
        self.wants_request.store(wants, Ordering::Relaxed);
    }

    /// What the run waited for when it was ended at its deadline.
    pub(crate) fn waited_for(&self) -> Wait {
        self.state.lock().wait
    }

    /// Looks what the run waits for, which may be that its answer is read: who reads drives it.
    fn look(&self, state: &State, is_driven: bool) -> Wait {
        let wants_request = self.wants_request.load(Ordering::Relaxed);
        // One that nothing has woken may be queued all the same: whoever drives it has looked.
        match (state.place, state.is_woken) {
            (Place::Idle | Place::Queued, false) if wants_request => Wait::Request,
            (Place::Idle | Place::Queued, false) => Wait::Other,
            (Place::Idle, true) if !is_driven => Wait::Other,
            _ => Wait::Nothing,
        }
    }

    /// Gives the call, which may set the answer through this very task.
    pub(crate) fn begin(&self, call: Call) {
        self.state.lock().call = Some(call);
    }

    /// Sets the answer.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock() = Some(answer);
    }

    /// Takes the answer, if there is one.
    pub(crate) fn take_answer(&self) -> Option<Answer> {
        self.answer.lock().take()
    }

    /// Whether it is a run of this instance.
    #[cfg(test)]
    pub(crate) fn is_of(&self, admission: &Arc<Admission>) -> bool {
        Arc::ptr_eq(&self.admission, admission)
    }

    /// What can be seen of the run from outside.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// When the run must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.bounds.deadline
    }

    /// Drives the run from the task of its connection. After `Ready` it must not be polled again.
    pub(crate) fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), Interruption>> {
        socket_work::is_for(&self.queue, &self.admission);
        let mut state = self.state.lock();
        if state.place == Place::Idle {
            let share = self.admission.share();
            let is_kept_off = *state.is_kept_off.get_or_insert_with(|| share.keeps_off());
            if !is_kept_off && self.queue.may_run_at_once(share) {
                return self.run_here(state, cx);
            }
            self.enqueue(&mut state);
        }
        self.driver.register(cx.waker());
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// The first slices, on the thread of the connection.
    fn run_here<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Interruption>> {
        let began = self.progress.cpu_spent();
        loop {
            let Some(call) = state.call.take() else {
                return Poll::Pending;
            };
            let slice = self.slice(state, call, None);
            state = self.state.lock();
            let had = self.progress.cpu_spent().saturating_sub(began);
            state.longest_stay = state.longest_stay.max(had);
            match slice {
                Slice::Ended(outcome) => {
                    state.place = Place::Ended;
                    return Poll::Ready(outcome);
                }
                Slice::Pending(call) => state.call = Some(call),
            }
            if !state.is_woken || had >= FIRST_SLICE.as_nanos() as u64 {
                break;
            }
        }
        self.driver.register(cx.waker());
        if state.is_woken {
            self.enqueue(&mut state);
        } else {
            state.place = Place::Idle;
        }
        Poll::Pending
    }

    /// Notes the most memory that the run held.
    pub(crate) fn held(&self, memory_bytes: u64) {
        self.state.lock().memory = memory_bytes;
    }

    /// Its instance's place among those that compute.
    pub(crate) fn share(&self) -> &Arc<Share> {
        self.admission.share()
    }

    /// A turn on a compute thread.
    pub(crate) fn compute(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let (Place::Queued, Some(call)) = (state.place, state.call.take()) else {
            return;
        };
        let slice = self.slice(state, call, Some(Instant::now() + TURN_MAX));
        let mut state = self.state.lock();
        match slice {
            // Nobody wants to know any more.
            Slice::Ended(_) if state.place == Place::Ended => {}
            Slice::Ended(outcome) => {
                state.place = Place::Ended;
                state.outcome = Some(outcome);
                drop(state);
                self.driver.wake();
            }
            Slice::Pending(call) if state.place == Place::Ended => {
                // Nobody wants it any more.
                drop(state);
                drop(call);
            }
            Slice::Pending(call) => {
                state.call = Some(call);
                if state.is_woken {
                    self.enqueue(&mut state);
                } else {
                    state.place = Place::Idle;
                }
                drop(state);
                if self.answer.lock().is_some() {
                    self.driver.wake();
                }
            }
        }
    }

    /// Lets a call wait for a compute thread at once.
    #[cfg(test)]
    pub(crate) fn enqueue_with(self: &Arc<Self>, call: Call) {
        self.begin(call);
        self.enqueue(&mut self.state.lock());
    }

    fn enqueue(self: &Arc<Self>, state: &mut State) {
        state.place = Place::Queued;
        self.queue.push(self.admission.share(), Arc::clone(self));
    }

    /// Polls the call, measures it, and checks what bounds it. A call that yields is polled again until the moment
    /// `until`, while nobody else waits for the thread.
    fn slice(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        mut call: Call,
        until: Option<Instant>,
    ) -> Slice {
        let interruption = self.overdue(&mut state);
        state.place = Place::Running;
        state.is_woken = false;
        drop(state);
        if let Some(interruption) = interruption {
            drop(call);
            return Slice::Ended(Err(interruption));
        }
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        let entered = thread_moment();
        self.progress.cpu_enter(&entered);
        loop {
            self.progress.begin_slice(coarse());
            // A bug in a host function costs its run and not the thread.
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
            let interruption = match polled {
                // A call that ends has metered itself, this last stay included.
                Ok(Poll::Ready(result)) => {
                    drop(call);
                    self.charge(&entered, until.is_some());
                    return Slice::Ended(result.map_err(Interruption::Stopped));
                }
                Ok(Poll::Pending) => {
                    let is_woken = self.state.lock().is_woken;
                    let exhausted = if is_woken { self.burn() } else { None };
                    if is_woken && exhausted.is_none() && self.goes_on(until) {
                        continue;
                    }
                    self.progress.cpu_leave(thread_moment);
                    exhausted.or_else(|| if is_woken { self.overspent() } else { None })
                }
                Err(_) => {
                    self.progress.cpu_leave(thread_moment);
                    Some(Interruption::Ended {
                        cause: stop::host_function_failed(),
                        resets_in: None,
                    })
                }
            };
            let slice = match interruption {
                Some(interruption) => {
                    drop(call);
                    Slice::Ended(Err(interruption))
                }
                None => {
                    self.meter();
                    Slice::Pending(call)
                }
            };
            self.charge(&entered, until.is_some());
            return slice;
        }
    }

    /// Whether a call that has yielded is polled again at once.
    fn goes_on(&self, until: Option<Instant>) -> bool {
        let is_alone =
            until.is_some_and(|until| Instant::now() < until) && !self.queue.has_waiting();
        // Whoever waits for the answer is told of it between slices.
        if !is_alone || self.answer.lock().is_some() {
            return false;
        }
        let mut state = self.state.lock();
        state.place == Place::Running && std::mem::take(&mut state.is_woken)
    }

    /// Counts the processor time of a slice for the whole instance, and what it takes to give its sandbox back where it was
    /// the last one.
    fn charge(&self, entered: &ThreadMoment, is_turn: bool) {
        let spent = thread_moment().cpu_since(entered);
        match is_turn {
            true => self.queue.charge_turn(self.admission.share(), spent),
            false => {
                socket_work::run_had(spent);
                self.queue.charge(self.admission.share(), spent);
            }
        }
    }

    /// Counts what a call has burned that yielded, for the whole instance; one that ended says itself what it burned
    /// in all.
    fn burn(&self) -> Option<Interruption> {
        let burned = self.progress.fuel_burned();
        let counted = std::mem::replace(&mut self.state.lock().fuel_counted, burned);
        let fuel = burned.saturating_sub(counted);
        let exhausted = self.admission.burn(fuel).err()?;
        Some(Interruption::Ended {
            cause: exhausted.cause,
            resets_in: Some(exhausted.resets_in),
        })
    }

    /// Meters what a call has used that goes on, where that is much: it would be lost with the process.
    fn meter(&self) {
        let Some(usage) = &self.usage else {
            return;
        };
        let cpu_nanoseconds = self.progress.cpu_own();
        let mut state = self.state.lock();
        let before = state.metered;
        if cpu_nanoseconds.saturating_sub(before.cpu_nanoseconds) < UNMETERED_MAX.as_nanos() as u64
        {
            return;
        }
        let fuel = self.progress.fuel_own();
        state.metered = Metered {
            cpu_nanoseconds,
            fuel,
        };
        drop(state);
        let mut meters = Meters::default();
        meters[Meter::CpuNanoseconds] = cpu_nanoseconds - before.cpu_nanoseconds;
        meters[Meter::Fuel] = fuel.saturating_sub(before.fuel);
        usage.add(&meters);
    }

    /// What of the run has been metered already.
    pub(crate) fn metered(&self) -> Metered {
        self.state.lock().metered
    }

    fn overspent(&self) -> Option<Interruption> {
        let (used, max) = (self.progress.cpu_own() / 1_000_000, millis(self.bounds.cpu));
        (used > max).then(|| self.ended(Dimension::CpuTime, used, max))
    }

    /// Notes that the run ends otherwise than by returning. To be called before its sandbox goes: the response
    /// body ends with the sandbox, and must not be taken for whole.
    pub(crate) fn break_off(&self) {
        self.broke_off.store(true, Ordering::Release);
    }

    /// Whether the run ended otherwise than by returning. Its outcome, which says why, comes at once.
    pub(crate) fn broke_off(&self) -> bool {
        self.broke_off.load(Ordering::Acquire)
    }

    /// Whether the caller is the first who wants to record a stop of the run. However it ends, and whoever sees it first, it is
    /// recorded once.
    pub(crate) fn claim_stop(&self) -> bool {
        !self.stop_is_recorded.swap(true, Ordering::AcqRel)
    }

    /// Notes that whoever asks has broken off in the middle of the request: an answer that breaks off too is not the app's doing.
    pub(crate) fn caller_left(&self) {
        self.has_caller_left.store(true, Ordering::Release);
    }

    /// Whether whoever asks has broken off in the middle of the request.
    pub(crate) fn has_caller_left(&self) -> bool {
        self.has_caller_left.load(Ordering::Acquire)
    }

    /// Notes limits that the run had nearly used up when it ended.
    pub(crate) fn note_near(&self, near: impl Iterator<Item = Near>) {
        let mut near = near.peekable();
        if near.peek().is_some() {
            self.state.lock().near = near.collect();
        }
    }

    /// Limits that the run had nearly used up when it ended.
    pub(crate) fn take_near(&self) -> Vec<Near> {
        std::mem::take(&mut self.state.lock().near)
    }

    /// What a run that goes on has nearly used up, of what can be seen from outside.
    pub(crate) fn near_so_far(&self, limits: &Limits) -> Vec<Near> {
        if self.state.lock().place == Place::Ended {
            return Vec::new();
        }
        let mut meters = Meters::default();
        meters[Meter::CpuNanoseconds] = self.progress.cpu_own();
        meters[Meter::RequestBytes] = self.progress.request_bytes();
        let unmetered = Unmetered {
            wall: self.started.elapsed(),
            ..Unmetered::default()
        };
        near::of_run(&meters, unmetered, limits, self.bounds.class).collect()
    }

    /// Fuel that has been counted for the instance while the call went on.
    pub(crate) fn fuel_counted(&self) -> u64 {
        self.state.lock().fuel_counted
    }

    fn overdue(&self, state: &mut State) -> Option<Interruption> {
        if self.started.elapsed() < self.bounds.deadline {
            return None;
        }
        state.wait = self.look(state, true);
        Some(self.expired())
    }

    /// The interruption of a run whose deadline has passed.
    pub(crate) fn expired(&self) -> Interruption {
        let max = millis(self.bounds.deadline);
        let used = millis(self.started.elapsed()).max(max);
        self.ended(Dimension::Deadline, used, max)
    }

    fn ended(&self, dimension: Dimension, used: u64, max: u64) -> Interruption {
        Interruption::Ended {
            cause: StopCause::limit(dimension, self.bounds.class, used, max),
            resets_in: None,
        }
    }

    /// Ends the run where it stands. How it had ended by itself, where nobody has taken notice of it.
    pub(crate) fn leave(&self) -> Option<Result<(), Interruption>> {
        let mut state = self.state.lock();
        let outcome = state.outcome.take();
        Self::end(state);
        outcome
    }

    /// Ends the run at its deadline, unless it has ended: then this is how.
    pub(crate) fn expire(&self) -> Result<(), Interruption> {
        let mut state = self.state.lock();
        if let Some(outcome) = state.outcome.take() {
            return outcome;
        }
        state.wait = self.look(&state, false);
        Self::end(state);
        Err(self.expired())
    }

    /// Ends the run where it stands; a slice that is running is the last one.
    pub(crate) fn cancel(&self) {
        Self::end(self.state.lock());
    }

    fn end(mut state: MutexGuard<'_, State>) {
        state.place = Place::Ended;
        let call = state.call.take();
        // Its end is metered through this very task.
        drop(state);
        drop(call);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.longest_stay > 0 {
            let is_its_own =
                state.memory >= STAY_MEMORY_MIN || self.progress.has_host_worked_long();
            self.admission
                .share()
                .stayed(state.longest_stay, is_its_own);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state.lock();
        match state.place {
            Place::Running | Place::Queued => state.is_woken = true,
            Place::Idle => {
                state.is_woken = true;
                drop(state);
                self.driver.wake();
            }
            Place::Ended => {}
        }
    }
}
