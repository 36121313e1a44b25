//! What became of deliveries, gathered so that a flood of dead letters is no flood of events: a hook is told of at once,
//! and again once a minute with how often it happened since.

use std::collections::HashMap;

use cloudware_control::event::{DeliveryOutcome, DeliveryReport};
use cloudware_types::HookId;
use parking_lot::Mutex;

/// Hooks, each with one thing that happened to it, of which is told within a minute. Each costs some hundred bytes.
const GATHERED_MAX: usize = 10_000;

/// A minute in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// Gathers.
#[derive(Default)]
pub(crate) struct DeliveryWatch {
    gathered: Mutex<HashMap<(HookId, DeliveryOutcome), Gathered>>,
}

#[derive(Default)]
struct Gathered {
    /// The minute in which it was last told of.
    told: Option<u64>,
    /// What happened since.
    new: Option<DeliveryReport>,
}

impl DeliveryWatch {
    /// Adds what happened to what is told next; of several times the first is told in full.
    pub(crate) fn note(&self, report: DeliveryReport) {
        let mut gathered = self.gathered.lock();
        let key = (report.hook, report.outcome);
        if gathered.len() >= GATHERED_MAX && !gathered.contains_key(&key) {
            tracing::warn!(hook = %report.hook, event = report.outcome.event(), "too many hooks fail at once: this has no event");
            return;
        }
        match &mut gathered.entry(key).or_default().new {
            Some(known) => known.count = known.count.saturating_add(report.count),
            new @ None => *new = Some(report),
        }
    }

    /// Takes what is to be told now: of each hook and outcome once in a minute of the clock.
    pub(crate) fn take(&self, now_ms: u64) -> Vec<DeliveryReport> {
        let minute = Some(now_ms / MINUTE_MS);
        let mut gathered = self.gathered.lock();
        let due = gathered.values_mut().filter(|one| one.told != minute);
        let taken = due
            .filter_map(|one| {
                let report = one.new.take()?;
                one.told = minute;
                Some(report)
            })
            .collect();
        gathered.retain(|_, one| one.new.is_some() || one.told == minute);
        taken
    }

    /// Has everything told with the next call of [`Self::take`], because there will be no other.
    pub(crate) fn hurry(&self) {
        for one in self.gathered.lock().values_mut() {
            one.told = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use cloudware_types::{DeliveryId, InstanceId};

    use super::*;
    use crate::watch::moment;

    fn report(hook: HookId, outcome: DeliveryOutcome) -> DeliveryReport {
        DeliveryReport {
            at: moment(0),
            instance: InstanceId::generate(),
            hook,
            app: "stock".to_owned(),
            point: "moved".to_owned(),
            name: "erp".to_owned(),
            outcome,
            count: 1,
            delivery: Some(DeliveryId::generate()),
            reason: "503".to_owned(),
        }
    }

    fn counts(reports: &[DeliveryReport]) -> Vec<u64> {
        reports.iter().map(|report| report.count).collect()
    }

    #[test]
    fn a_flood_is_told_at_once_and_then_once_a_minute_with_its_number() {
        let watch = DeliveryWatch::default();
        let (loud, quiet) = (HookId::generate(), HookId::generate());
        let first = report(loud, DeliveryOutcome::Dead);
        watch.note(first.clone());
        assert_eq!(watch.take(1_000), [first]);
        for second in 2..59 {
            watch.note(report(loud, DeliveryOutcome::Dead));
            assert!(watch.take(second * 1_000).is_empty(), "{second}");
        }
        // Neither another hook nor something else that happens to this one waits for it.
        watch.note(report(quiet, DeliveryOutcome::Dead));
        watch.note(report(loud, DeliveryOutcome::Dropped));
        assert_eq!(counts(&watch.take(59_000)), [1, 1]);
        assert_eq!(counts(&watch.take(MINUTE_MS)), [57]);
        assert!(watch.take(2 * MINUTE_MS).is_empty());
        assert!(
            watch.gathered.lock().is_empty(),
            "what is over is forgotten"
        );
    }

    #[test]
    fn what_is_gathered_is_told_before_the_host_stops() {
        let watch = DeliveryWatch::default();
        let hook = HookId::generate();
        for _ in 0..2 {
            watch.note(report(hook, DeliveryOutcome::Dead));
            watch.take(1_000);
        }
        watch.note(report(hook, DeliveryOutcome::Dead));
        watch.hurry();
        assert_eq!(counts(&watch.take(1_000)), [2]);
    }

    #[test]
    fn the_memory_for_it_is_bounded() {
        let watch = DeliveryWatch::default();
        for _ in 0..GATHERED_MAX + 10 {
            watch.note(report(HookId::generate(), DeliveryOutcome::Dead));
        }
        assert_eq!(watch.take(0).len(), GATHERED_MAX);
    }
}
