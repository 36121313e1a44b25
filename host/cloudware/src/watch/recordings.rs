//! Calls that were recorded, gathered in bounded memory until the control plane takes them.

use cloudware_types::{RecordedOne, RecordingId};
use parking_lot::Mutex;

/// Calls of all recordings between two flushes. Each has at most a quarter of a megabyte, and most have a hundredth.
const CALLS_MAX: usize = 200;

/// Calls of one recording between two flushes, so that a busy one leaves room for others.
const CALLS_PER_RECORDING_MAX: usize = 50;

/// Gathers.
#[derive(Default)]
pub(crate) struct RecordingWatch(Mutex<Vec<RecordedOne>>);

impl RecordingWatch {
    pub(super) fn recorded(&self, mut recorded: RecordedOne) {
        let mut gathered = self.0.lock();
        let of_recording =
            |id: RecordingId| gathered.iter().filter(|one| one.recording == id).count();
        if gathered.len() >= CALLS_MAX {
            tracing::warn!(recording = %recorded.recording, "too many calls are recorded at once: this one is not kept");
            return;
        }
        if of_recording(recorded.recording) >= CALLS_PER_RECORDING_MAX {
            recorded.outcome = Err(format!(
                "more than {CALLS_PER_RECORDING_MAX} calls came within a few seconds"
            ));
        }
        gathered.push(recorded);
    }

    /// Takes the calls since the last time.
    pub(crate) fn take(&self) -> Vec<RecordedOne> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_recording_takes_bounded_memory_and_leaves_room() {
        let watch = RecordingWatch::default();
        let one = |recording| RecordedOne {
            recording,
            outcome: Err("made by a test".to_owned()),
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
        assert_eq!(watch.take().len(), CALLS_MAX);
    }
}
