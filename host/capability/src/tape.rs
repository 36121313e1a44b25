//! The tape of an invocation: what it asked of the host and what was answered. While an invocation is recorded, the
//! answers of the host's own services are noted; when it runs again, the tape answers in their place, in order, and
//! ends the run where the guest asks for something else than it did.
//!
//! A capability that keeps state or reads what changes wraps its store in one that goes through the tape
//! ([`crate::Binding::open_taped`]); an invocation without a tape never sees any of this.

use std::{
    fmt,
    future::{Future, pending},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudware_types::HostExchange;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Bytes of a question or an answer that are quoted when a run diverges. A line or two for a person.
const QUOTED_BYTES_MAX: usize = 400;

/// The host calls of one invocation.
#[derive(Debug)]
pub struct Tape {
    mode: Mode,
    state: Mutex<State>,
    diverged: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes of all questions and answers that are kept.
    Record {
        bytes_max: usize,
    },
    Replay,
}

#[derive(Debug, Default)]
struct State {
    exchanges: Vec<HostExchange>,
    bytes: usize,
    /// Whether a host call runs: while recording, that another may not.
    open: bool,
    /// While replaying: how many were answered.
    played: usize,
    /// Why this is no faithful recording; or why the run that is repeated can't go on.
    ended: Option<String>,
}

/// The run asks for something else than it did when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Diverged(String);

/// Whether what a service does now or what it did then counts.
enum Side {
    Live(Option<usize>),
    Played(Value),
}

impl Tape {
    /// An empty tape for at most so many bytes of questions and answers.
    #[must_use]
    pub fn recording(bytes_max: usize) -> Self {
        Self::new(Mode::Record { bytes_max }, Vec::new())
    }

    /// A tape that answers what it has, in order.
    #[must_use]
    pub fn replaying(exchanges: Vec<HostExchange>) -> Self {
        Self::new(Mode::Replay, exchanges)
    }

    fn new(mode: Mode, exchanges: Vec<HostExchange>) -> Self {
        Self {
            mode,
            state: Mutex::new(State {
                exchanges,
                ..State::default()
            }),
            diverged: Notify::new(),
        }
    }

    /// Whether it answers in place of the host's services.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.mode == Mode::Replay
    }

    /// A host call that may wait. While recording, `live` is what the service does, and `write` gives the form in
    /// which it is noted; while replaying, `read` gives the answer that was noted, and where the guest asks for
    /// something else, this never returns: whoever runs the guest ends it ([`Self::divergence`]).
    pub async fn exchange<T>(
        &self,
        call: &str,
        asked: Value,
        live: impl Future<Output = T> + Send,
        write: impl FnOnce(&T) -> Value + Send,
        read: impl FnOnce(&Value) -> Option<T> + Send,
    ) -> T {
        match self.ask(call, asked) {
            Ok(Side::Live(number)) => {
                let answer = live.await;
                self.answer(number, || write(&answer));
                answer
            }
            Ok(Side::Played(answered)) => match read(&answered) {
                Some(answer) => answer,
                None => {
                    self.unreadable(call, &answered);
                    pending().await
                }
            },
            Err(_) => pending().await,
        }
    }

    /// A host call that is answered at once.
    ///
    /// # Errors
    /// [`Diverged`] where a run that is repeated asks for something else than it did.
    pub fn exchange_now<T>(
        &self,
        call: &str,
        asked: Value,
        live: impl FnOnce() -> T,
        write: impl FnOnce(&T) -> Value,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, Diverged> {
        match self.ask(call, asked)? {
            Side::Live(number) => {
                let answer = live();
                self.answer(number, || write(&answer));
                Ok(answer)
            }
            Side::Played(answered) => {
                read(&answered).ok_or_else(|| self.unreadable(call, &answered))
            }
        }
    }

    /// While recording: begins a host call, and gives its number for [`Self::note`].
    #[must_use]
    pub fn begin(&self, call: &str, asked: Value) -> Option<usize> {
        match self.ask(call, asked) {
            Ok(Side::Live(number)) => number,
            Ok(Side::Played(_)) | Err(_) => None,
        }
    }

    /// While recording: notes the answer of a host call that was begun.
    pub fn note(&self, number: Option<usize>, answered: Value) {
        self.answer(number, || answered);
    }

    /// While replaying: the answer that was noted.
    ///
    /// # Errors
    /// [`Diverged`] where something else was asked when it was recorded.
    pub fn play(&self, call: &str, asked: Value) -> Result<Value, Diverged> {
        match self.ask(call, asked)? {
            Side::Played(answered) => Ok(answered),
            Side::Live(_) => Err(Diverged("it is being recorded".to_owned())),
        }
    }

    /// Ends the tape: while recording, that this is no faithful recording; while replaying, that the run can't go
    /// on. The first reason counts.
    pub fn end(&self, reason: impl Into<String>) -> Diverged {
        let mut state = self.lock();
        let reason = state.ended.get_or_insert_with(|| reason.into()).clone();
        if !self.replays() {
            state.exchanges = Vec::new();
        }
        drop(state);
        self.diverged.notify_one();
        Diverged(reason)
    }

    /// Why it was ended, if it was.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.lock().ended.clone()
    }

    /// Waits until a run that is repeated asks for something else than it did.
    pub async fn divergence(&self) -> Diverged {
        loop {
            if let Some(reason) = self.ended() {
                return Diverged(reason);
            }
            self.diverged.notified().await;
        }
    }

    /// While replaying: how many host calls were made, and how many were recorded.
    #[must_use]
    pub fn played(&self) -> (usize, usize) {
        let state = self.lock();
        (state.played, state.exchanges.len())
    }

    /// The host calls of a recording that has ended.
    ///
    /// # Errors
    /// Why it is no faithful one.
    pub fn take(&self) -> Result<Vec<HostExchange>, String> {
        let mut state = self.lock();
        match state.ended.clone() {
            Some(reason) => Err(reason),
            None => Ok(std::mem::take(&mut state.exchanges)),
        }
    }

    fn ask(&self, call: &str, asked: Value) -> Result<Side, Diverged> {
        let mut state = self.lock();
        if let Some(reason) = &state.ended {
            return match self.mode {
                Mode::Record { .. } => Ok(Side::Live(None)),
                Mode::Replay => Err(Diverged(reason.clone())),
            };
        }
        match self.mode {
            Mode::Record { .. } if state.open => {
                drop(state);
                self.end(
                    "it makes host calls at the same time, whose order is not the same each time",
                );
                Ok(Side::Live(None))
            }
            Mode::Record { bytes_max } => {
                state.bytes += call.len() + size(&asked);
                if state.bytes > bytes_max {
                    drop(state);
                    self.end(too_large(bytes_max));
                    return Ok(Side::Live(None));
                }
                state.open = true;
                state.exchanges.push(HostExchange {
                    call: call.to_owned(),
                    asked,
                    answered: None,
                });
                Ok(Side::Live(Some(state.exchanges.len() - 1)))
            }
            Mode::Replay => {
                let number = state.played + 1;
                let reason = match state.exchanges.get(state.played) {
                    Some(known) if known.call == call && known.asked == asked => {
                        match known.answered.clone() {
                            Some(answered) => {
                                state.played += 1;
                                return Ok(Side::Played(answered));
                            }
                            None => format!(
                                "host call {number}, {}, had no answer when it was recorded",
                                Quoted(call, &asked)
                            ),
                        }
                    }
                    Some(known) => format!(
                        "host call {number}: asked for {}, recorded was {}",
                        Quoted(call, &asked),
                        Quoted(&known.call, &known.asked)
                    ),
                    None => format!(
                        "host call {number}: asked for {}, recorded were {} host calls",
                        Quoted(call, &asked),
                        state.exchanges.len()
                    ),
                };
                drop(state);
                Err(self.end(reason))
            }
        }
    }

    fn answer(&self, number: Option<usize>, answered: impl FnOnce() -> Value) {
        let Mode::Record { bytes_max } = self.mode else {
            return;
        };
        let mut state = self.lock();
        state.open = false;
        let Some(number) = number else { return };
        if state.ended.is_some() {
            return;
        }
        let answered = answered();
        state.bytes += size(&answered);
        if state.bytes > bytes_max {
            drop(state);
            self.end(too_large(bytes_max));
        } else if let Some(exchange) = state.exchanges.get_mut(number) {
            exchange.answered = Some(answered);
        }
    }

    fn unreadable(&self, call: &str, answered: &Value) -> Diverged {
        self.end(format!(
            "the recorded answer of {} can't be read",
            Quoted(call, answered)
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a recording of one invocation ended where it had become too large.
fn too_large(bytes_max: usize) -> String {
    format!(
        "what it asked of the host and was answered has more than {bytes_max} bytes, which one call may take"
    )
}

/// Bytes that a value takes as text, about.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| name.len() + 4 + size(value);
            2 + members.iter().map(member).sum::<usize>()
        }
    }
}

/// A host call in words.
struct Quoted<'a>(&'a str, &'a Value);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.1.to_string();
        let end = text.floor_char_boundary(QUOTED_BYTES_MAX);
        let more = if end < text.len() { "…" } else { "" };
        write!(f, "{} {}{more}", self.0, &text[..end])
    }
}

/// Bytes as they are noted: a text where they are one, `{"base64": …}` otherwise.
#[must_use]
pub fn bytes_to_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The bytes that [`bytes_to_json`] noted.
#[must_use]
pub fn bytes_from_json(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        value => STANDARD.decode(value.get("base64")?.as_str()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(tape: &Tape, key: &str, live: u64) -> Result<u64, Diverged> {
        let asked = json!({ "key": key });
        tape.exchange_now("kv.get", asked, || live, |v| json!(v), Value::as_u64)
    }

    #[test]
    fn what_was_recorded_is_answered_again_in_order() {
        let tape = Tape::recording(1_000);
        assert_eq!((get(&tape, "a", 1), get(&tape, "b", 2)), (Ok(1), Ok(2)));
        let again = Tape::replaying(tape.take().unwrap());
        assert_eq!((get(&again, "a", 7), get(&again, "b", 7)), (Ok(1), Ok(2)));
        assert_eq!(again.played(), (2, 2));
    }

    #[test]
    fn another_question_is_told_with_its_number_and_ends_the_run() {
        let tape = Tape::recording(1_000);
        let _ = get(&tape, "a", 1);
        let again = Tape::replaying(tape.take().unwrap());
        let diverged = get(&again, "c", 7).unwrap_err().to_string();
        assert_eq!(
            diverged,
            r#"host call 1: asked for kv.get {"key":"c"}, recorded was kv.get {"key":"a"}"#
        );
        assert_eq!(get(&again, "a", 7).unwrap_err().to_string(), diverged);
        let longer = Tape::replaying(Vec::new());
        let diverged = get(&longer, "a", 7).unwrap_err().to_string();
        assert!(
            diverged.ends_with("recorded were 0 host calls"),
            "{diverged}"
        );
    }

    #[test]
    fn a_recording_that_grows_too_large_is_none() {
        let tape = Tape::recording(30);
        assert_eq!(get(&tape, "a", 1), Ok(1));
        assert_eq!(get(&tape, "b", 2), Ok(2), "the guest notices nothing");
        assert!(tape.take().unwrap_err().contains("30 bytes"));
    }

    #[test]
    fn host_calls_at_the_same_time_are_not_recorded() {
        let tape = Tape::recording(1_000);
        let _first = tape.begin("kv.get", json!({}));
        let _second = tape.begin("kv.get", json!({}));
        assert!(tape.take().unwrap_err().contains("at the same time"));
    }

    #[test]
    fn bytes_are_what_they_were() {
        for bytes in [&b"text"[..], b"", b"\xff\x00", "\u{e9}".as_bytes()] {
            assert_eq!(bytes_from_json(&bytes_to_json(bytes)).unwrap(), bytes);
        }
    }
}
