//! What the engine tells of while it serves, gathered in bounded memory until the control plane takes it: stops by
//! install, kind and minute; what became of deliveries by hook and minute; warnings of limits once an hour.

mod deliveries;
mod hooks;
mod recordings;

use std::{
    collections::{HashMap, HashSet},
    time::{SystemTime, UNIX_EPOCH},
};

use cloudware_capability::Identity;
use cloudware_control::{
    NearLimit, NearLimitKey, Timestamp,
    event::{DeliveryOutcome, DeliveryReport},
};
use cloudware_engine::{HookChanged, HookFailed, Observer, ShadowCompared};
use cloudware_types::{InstallId, Limit, RecordedOne, Stop, StopRecord, Trace};
use parking_lot::Mutex;

use self::{deliveries::DeliveryWatch, hooks::HookWatch, recordings::RecordingWatch};

/// Kinds of stops of one install between two flushes. An app fails in a handful of ways at once; one that fails
/// in more must not hide what others do.
const KINDS_PER_INSTALL_MAX: usize = 16;

/// Kinds of stops of all installs between two flushes: a few megabytes at most.
const KINDS_MAX: usize = 1_024;

/// Limits of which it is known that they were warned of in this hour.
const WARNED_MAX: usize = 100_000;

/// Warnings between two flushes.
const WARNINGS_MAX: usize = 1_024;

/// Gathers what is to be recorded.
#[derive(Default)]
pub(crate) struct Watch {
    stops: Mutex<Stops>,
    warnings: Mutex<Warnings>,
    /// What is told of hooks and composed requests.
    pub(crate) hooks: HookWatch,
    /// What became of deliveries.
    pub(crate) deliveries: DeliveryWatch,
    /// Calls that were recorded.
    pub(crate) recordings: RecordingWatch,
}

#[derive(Default)]
struct Stops {
    kinds: HashMap<InstallId, Vec<StopRecord>>,
    count: usize,
    /// Stops of kinds for which there was no room.
    left_out: u64,
}

#[derive(Default)]
struct Warnings {
    /// What was warned of in this hour.
    warned: HashSet<NearLimitKey>,
    new: Vec<NearLimit>,
}

impl Watch {
    /// Takes the stops since the last call.
    pub(crate) fn take_stops(&self) -> Vec<StopRecord> {
        let taken = std::mem::take(&mut *self.stops.lock());
        if taken.left_out > 0 {
            tracing::warn!(
                stops = taken.left_out,
                "too many kinds of stops at once: some have no record; usage counts them all"
            );
        }
        taken.kinds.into_values().flatten().collect()
    }

    /// Takes the warnings since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<NearLimit> {
        std::mem::take(&mut self.warnings.lock().new)
    }
}

impl Observer for Watch {
    fn stopped(&self, identity: &Identity, stop: &Stop, request_id: &str) {
        let now = now_ms();
        let mut stops = self.stops.lock();
        let Stops {
            kinds,
            count,
            left_out,
        } = &mut *stops;
        let of_install = kinds.entry(identity.install).or_default();
        let same = |known: &&mut StopRecord| {
            known.first_ms / 60_000 == now / 60_000
                && known.stop.cause_name() == stop.cause_name()
                && known.stop.place() == stop.place()
                && known.stop.version == stop.version
        };
        if let Some(known) = of_install.iter_mut().find(same) {
            known.count += 1;
            known.last_ms = known.last_ms.max(now);
            request_id.clone_into(&mut known.request_id);
            known.stop.clone_from(stop);
        } else if of_install.len() < KINDS_PER_INSTALL_MAX && *count < KINDS_MAX {
            *count += 1;
            of_install.push(StopRecord {
                first_ms: now,
                last_ms: now,
                tenant: identity.tenant,
                instance: identity.instance,
                install: identity.install,
                request_id: request_id.to_owned(),
                stop: stop.clone(),
                count: 1,
            });
        } else {
            *left_out += 1;
            if of_install.is_empty() {
                kinds.remove(&identity.install);
            }
        }
    }

    fn hook_failed(&self, identity: &Identity, failed: &HookFailed) {
        let now = now_ms();
        self.hooks.failed(failed, now);
        if failed.is_gone {
            let (app, point) = failed.point.split_once('/').unwrap_or_default();
            self.deliveries.note(DeliveryReport {
                at: moment(now),
                instance: identity.instance,
                hook: failed.hook,
                app: app.to_owned(),
                point: point.to_owned(),
                name: failed.name.to_string(),
                outcome: DeliveryOutcome::Gone,
                count: 1,
                delivery: None,
                reason: failed.reason.clone(),
            });
        }
    }

    fn hook_changed(&self, _identity: &Identity, changed: &HookChanged) {
        self.hooks.changed(changed, now_ms());
    }

    fn shadow_compared(&self, _identity: &Identity, compared: ShadowCompared) {
        self.hooks.compared(compared, now_ms());
    }

    fn traced(&self, trace: Trace) {
        self.hooks.traced(trace);
    }

    fn recorded(&self, _identity: &Identity, recorded: RecordedOne) {
        self.recordings.recorded(recorded);
    }

    fn near_limit(&self, identity: &Identity, limit: Limit, used: u64, max: u64) {
        let at = moment(now_ms());
        let mut warnings = self.warnings.lock();
        if warnings.is_new(identity, limit, max, at) {
            warnings.new.push(NearLimit {
                at,
                tenant: identity.tenant,
                instance: identity.instance,
                instance_name: format!("{}/{}", identity.tenant_slug, identity.instance_slug),
                install: identity.install,
                app: identity.app.clone(),
                limit,
                used,
                max,
            });
        }
    }
}

impl Warnings {
    /// Whether the same was not warned of before. From now on it was.
    fn is_new(&mut self, identity: &Identity, limit: Limit, max: u64, at: Timestamp) -> bool {
        let key = NearLimitKey::new(at, identity.instance, identity.install, limit, max);
        // All are of one hour.
        if self
            .warned
            .iter()
            .next()
            .is_some_and(|one| !one.holds_at(at))
        {
            self.warned.clear();
        }
        if self.warned.contains(&key) || self.new.len() >= WARNINGS_MAX {
            return false;
        }
        // Where there is no room, the feed itself tells a warning once an hour.
        if self.warned.len() < WARNED_MAX {
            self.warned.insert(key);
        }
        true
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// A time as the control plane writes it.
pub(crate) fn moment(at_ms: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(at_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use cloudware_types::{Class, Dimension, InstanceId, StopCause, TenantId};

    use super::*;

    fn identity() -> Identity {
        Identity {
            tenant: TenantId::generate(),
            tenant_slug: "acme".parse().unwrap(),
            instance: InstanceId::generate(),
            instance_slug: "main".parse().unwrap(),
            install: InstallId::generate(),
            app: "stock".parse().unwrap(),
            version: "1.0.0".to_owned(),
        }
    }

    fn stop(function: &str) -> Stop {
        Stop {
            cause: StopCause::limit(Dimension::Fuel, Class::Request, 1, 1),
            app: "stock".to_owned(),
            version: "1.0.0".to_owned(),
            hook: None,
            function: Some(function.to_owned()),
            host_call: None,
            elapsed_ms: 0,
            class: Class::Request,
            resets_in_ms: None,
            fits: Vec::new(),
            consumers: Vec::new(),
            is_of_host: false,
        }
    }

    #[test]
    fn a_flood_of_stops_takes_bounded_memory_and_hides_nobody_else() {
        let watch = Watch::default();
        let (loud, quiet) = (identity(), identity());
        for number in 0..10_000 {
            watch.stopped(&loud, &stop(&format!("f{}", number % 100)), "first");
        }
        watch.stopped(&quiet, &stop("pick"), "second");
        let records = watch.take_stops();
        let of = |identity: &Identity| {
            let own = records.iter().filter(|r| r.install == identity.install);
            own.cloned().collect::<Vec<_>>()
        };
        // The minute may have changed in between, which makes kinds anew.
        assert_eq!(of(&loud).len(), KINDS_PER_INSTALL_MAX);
        assert_eq!(of(&quiet)[0].request_id, "second");
        assert_eq!(of(&quiet)[0].count, 1);
        for _ in 0..2 * KINDS_MAX {
            watch.stopped(&identity(), &stop("pick"), "");
        }
        assert_eq!(watch.take_stops().len(), KINDS_MAX);
        assert!(watch.take_stops().is_empty());
    }

    #[test]
    fn the_last_stop_of_a_kind_is_shown() {
        let watch = Watch::default();
        let identity = identity();
        let last = Stop {
            cause: StopCause::limit(Dimension::Fuel, Class::Request, 7, 5),
            ..stop("pick")
        };
        watch.stopped(&identity, &stop("pick"), "first");
        watch.stopped(&identity, &last, "second");
        let records = watch.take_stops();
        let shown = records.last().unwrap();
        assert_eq!((&shown.stop, shown.request_id.as_str()), (&last, "second"));
    }

    #[test]
    fn a_limit_is_warned_of_once_an_hour() {
        let stock = identity();
        // Another app of the same instance.
        let hello = Identity {
            tenant: stock.tenant,
            instance: stock.instance,
            ..identity()
        };
        let mut warnings = Warnings::default();
        let mut news = |dimension: Dimension, max, hour: u64| {
            let limit = Limit::from(dimension);
            let at = moment(hour * 3_600_000);
            [&stock, &hello].map(|app| warnings.is_new(app, limit, max, at))
        };
        assert_eq!(news(Dimension::Storage, 100, 7), [true, false]);
        assert_eq!(news(Dimension::Fuel, 100, 7), [true, true], "of each run");
        for (max, hour, expected) in [
            (200, 7, true),
            (100, 7, false),
            (200, 7, false),
            (100, 8, true),
        ] {
            let again = news(Dimension::Storage, max, hour);
            assert_eq!(again, [expected, false], "{max} in {hour}");
        }
    }
}
