//! From an engine error to the reason that people see: which limit, or which trap, in which function.

use std::time::{Duration, Instant};

use cloudware_capability::{Identity, Invocation, OVERLOAD_RETRY_SECONDS, Progress};
use cloudware_types::{Class, Dimension, Stop, StopCause};
use wasmtime::{
    Error, PoolConcurrencyLimitError, Store, Trap, WasmBacktrace, component::ResourceTableError,
};

use crate::limits::{HEADER_BYTES_MAX, HOST_CALL_BYTES_MAX};

/// Frames of a panic or an allocation that lie above the function that people look for.
const RUNTIME_FRAMES: &[&str] = &[
    "__rust",
    "rust_",
    "core::",
    "std::",
    "alloc::",
    "abort",
    "dlmalloc",
    "_RNv",
    "__",
    "wasi",
    "cabi_",
    "wit_bindgen",
    "sbrk",
    "malloc",
    "calloc",
    "realloc",
    "memory_grow",
    "hashbrown::",
];

/// The longest message of a trap that is handed on; the rest of an error chain is noise. Names of functions have no
/// more either.
const MESSAGE_CHARS_MAX: usize = 300;

/// A stop of `identity`'s code with the given cause.
pub(crate) fn stop(identity: &Identity, mut cause: StopCause, started: Instant) -> Box<Stop> {
    // What a guest says of itself is for people, who read logs, and is kept.
    if let StopCause::Trap { message } | StopCause::NoResponse { message } = &mut cause {
        *message = printable(message);
    }
    let class = match &cause {
        StopCause::Limit { limit, .. } => limit.class(),
        _ => Class::Request,
    };
    Box::new(Stop {
        cause,
        app: identity.app.to_string(),
        version: identity.version.clone(),
        hook: None,
        function: None,
        host_call: None,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        class,
        resets_in_ms: None,
        fits: Vec::new(),
        consumers: Vec::new(),
        is_of_host: false,
    })
}

/// Whether the run had its time, and was in no host call.
pub(crate) fn is_late_in_no_call(stop: &Stop) -> bool {
    stop.host_call.is_none() && stop.is_for(Dimension::Deadline.of(stop.class))
}

/// Why a run is ended in which a host function panicked.
pub(crate) fn host_function_failed() -> StopCause {
    StopCause::Trap {
        message: "a host function failed; the operator's log says more".to_owned(),
    }
}

impl Attach for Box<Stop> {}

/// What is added to a stop where it is known.
pub(crate) trait Attach: Sized + std::ops::DerefMut<Target = Stop> {
    /// When there may be room again.
    fn resetting(mut self, after: Option<Duration>) -> Self {
        // Who comes again a part of a millisecond too early is refused again.
        let millis = |after: Duration| {
            u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
        };
        self.resets_in_ms = after.map(millis);
        self
    }

    /// Where the run was and what it spent its time on.
    fn seen_in(mut self, progress: &Progress) -> Self {
        self.host_call = progress.host_call().map(str::to_owned);
        self.consumers = progress.consumers();
        self
    }
}

/// Explains why a call ended with `error`.
pub(crate) fn explain(error: &Error, store: &mut Store<Invocation>, started: Instant) -> Box<Stop> {
    let data = store.data_mut();
    let cause = data.take_stop().unwrap_or_else(|| from_error(error, data));
    let mut stop = stop(data.identity(), cause, started).seen_in(data.progress());
    stop.class = data.class();
    stop.function = function(error);
    stop
}

/// The host has no sandbox, or no memory for it, free.
pub(crate) fn overloaded() -> StopCause {
    StopCause::Overloaded {
        retry_after_seconds: OVERLOAD_RETRY_SECONDS,
    }
}

fn from_error(error: &Error, data: &Invocation) -> StopCause {
    if handles_exhausted(error) {
        let max = data.limit(Dimension::Handles);
        return StopCause::limit(Dimension::Handles, data.class(), max + 1, max);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return overloaded();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let max = data.limit(Dimension::Fuel);
            StopCause::limit(Dimension::Fuel, data.class(), max, max)
        }
        Some(Trap::StackOverflow) => {
            let max = data.limit(Dimension::Stack);
            StopCause::limit(Dimension::Stack, data.class(), max, max)
        }
        Some(trap) => StopCause::Trap {
            message: trap.to_string(),
        },
        None => StopCause::Trap {
            message: message(&error.root_cause().to_string()),
        },
    }
}

/// What the engine or the host say of a call that failed. Bounds that they have in words of their own are said in ours.
fn message(said: &str) -> String {
    if said.contains("fuel allocated for hostcalls") {
        return format!(
            "it handed the host more than {} MiB of strings and lists in one call",
            HOST_CALL_BYTES_MAX >> 20
        );
    }
    if said.contains("total size of fields exceeds limit") {
        return format!("its headers have more than {} KiB", HEADER_BYTES_MAX >> 10);
    }
    said.to_owned()
}

/// Names come from the component, and could otherwise write lines of their own into logs.
fn printable(text: &str) -> String {
    let shown = |char: char| match char.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => char,
    };
    text.chars().take(MESSAGE_CHARS_MAX).map(shown).collect()
}

/// Whether the guest holds all the handles it may: in the host's table, or in the engine's, which says so
/// in words only.
fn handles_exhausted(error: &Error) -> bool {
    match error.downcast_ref::<ResourceTableError>() {
        Some(ResourceTableError::Full) => true,
        Some(_) => false,
        None => error
            .root_cause()
            .to_string()
            .contains("store handle limit exceeded"),
    }
}

/// The innermost function of the guest's own code, as far as the component carries names.
fn function(error: &Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let names = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| printable(&format!("{:#}", rustc_demangle::demangle(name))));
    let mut innermost = None;
    for name in names {
        let of_runtime = RUNTIME_FRAMES
            .iter()
            .any(|prefix| name.trim_start_matches(['<', '&']).starts_with(prefix));
        if !of_runtime {
            return Some(name);
        }
        innermost.get_or_insert(name);
    }
    innermost
}
