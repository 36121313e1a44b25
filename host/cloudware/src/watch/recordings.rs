//! Calls that were recorded, gathered in bounded memory until the control plane takes them.

use cloudware_types::RecordedOne;
use parking_lot::Mutex;

/// Calls of all recordings between two flushes. Each has at most a quarter of a megabyte, and most have a hundredth.
const CALLS_MAX: usize = 200;

/// Calls of one recording between two flushes, so that a busy one leaves room for others. The engine begins no more.
const CALLS_PER_RECORDING_MAX: usize = 70;

/// Gathers.
#[derive(Default)]
pub(crate) struct RecordingWatch(Mutex<Vec<RecordedOne>>);

impl RecordingWatch {
    pub(super) fn recorded(&self, mut recorded: RecordedOne) {
        let mut gathered = self.0.lock();
        if recorded.outcome.is_ok() {
            let kept = gathered.iter().filter(|one| one.outcome.is_ok());
            let of_recording = kept
                .clone()
                .filter(|one| one.recording == recorded.recording);
            if of_recording.count() >= CALLS_PER_RECORDING_MAX {
                recorded.outcome = Err(format!(
                    "more than {CALLS_PER_RECORDING_MAX} calls came within a few seconds"
                ));
            } else if kept.count() >= CALLS_MAX {
                recorded.outcome = Err("too many calls were recorded at once".to_owned());
            }
        }
        // Why a call is not kept is short, and a recording has at most as many calls as it was to have.
        gathered.push(recorded);
    }

    /// Takes the calls since the last time.
    pub(crate) fn take(&self) -> Vec<RecordedOne> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use cloudware_types::{Digest, RecordedCall, RecordingId};
    use serde_json::json;

    use super::*;

    fn call() -> RecordedCall {
        let call = json!({
            "version": "1.0.0", "component": Digest::of(b"").to_string(),
            "interface": "a:b/c", "function": "f", "class": "hook",
            "arguments": {}, "seed": 1, "at_ms": 2, "fuel_max": 3, "limits": {},
            "transcript": [], "outcome": { "returned": null },
            "fuel": 4, "memory_bytes": 5,
        });
        serde_json::from_value(call).unwrap()
    }

    #[test]
    fn a_busy_recording_takes_bounded_memory_and_leaves_room() {
        let watch = RecordingWatch::default();
        let one = |recording| RecordedOne {
            recording,
            outcome: Ok(Box::new(call())),
        };
        let (busy, quiet) = (RecordingId::generate(), RecordingId::generate());
        for _ in 0..CALLS_PER_RECORDING_MAX + 10 {
            watch.recorded(one(busy));
        }
        watch.recorded(one(quiet));
        let taken = watch.take();
        let beyond = |one: &&RecordedOne| {
            one.outcome
                .as_ref()
                .is_err_and(|why| why.contains("more than"))
        };
        assert_eq!(taken.iter().filter(beyond).count(), 10);
        assert_eq!(taken.last().map(|one| one.recording), Some(quiet));
        for _ in 0..2 * CALLS_MAX {
            watch.recorded(one(RecordingId::generate()));
        }
        let taken = watch.take();
        assert_eq!(taken.len(), 2 * CALLS_MAX, "each is told of");
        let kept = taken.iter().filter(|one| one.outcome.is_ok());
        assert_eq!(kept.count(), CALLS_MAX);
    }
}
