//! Soft limits: what people are told when most of a limit is used, before anything is stopped.

use std::time::Duration;

use cloudware_types::{Class, Dimension, Limit, Limits, Meter, Meters, soft};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::millis;

/// Tells the caller of a request which limits are nearly used up.
const NEAR_LIMIT: HeaderName = HeaderName::from_static("cloudware-near-limit");

/// The limits of one run that a meter counts, and how much of the meter is one unit of the limit.
const METERED: &[(Dimension, Meter, u64)] = &[
    (Dimension::Fuel, Meter::Fuel, 1),
    (Dimension::CpuTime, Meter::CpuNanoseconds, 1_000_000),
    (Dimension::Memory, Meter::MemoryPeakBytes, 1),
    (Dimension::HostCalls, Meter::HostCalls, 1),
    (Dimension::RequestBytes, Meter::RequestBytes, 1),
    (Dimension::LogBytes, Meter::LogBytes, 1),
    (Dimension::SqlStatements, Meter::SqlStatements, 1),
    (Dimension::SqlRowsRead, Meter::SqlRowsRead, 1),
    (Dimension::SqlRowsWritten, Meter::SqlRowsWritten, 1),
    (Dimension::SqlTime, Meter::SqlNanoseconds, 1_000_000),
    (Dimension::KvOperations, Meter::KvOperations, 1),
    (Dimension::OutboundCalls, Meter::OutboundCalls, 1),
];

/// A limit that has reached its soft limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    pub(crate) limit: Limit,
    pub(crate) used: u64,
    pub(crate) max: u64,
}

impl Near {
    /// Where so much of a limit is used that people want to know.
    pub(crate) fn of(limit: impl Into<Limit>, used: u64, limits: &Limits) -> Option<Self> {
        let limit = limit.into();
        let max = limits.get(limit);
        is_near(used, max).then_some(Self { limit, used, max })
    }
}

/// Whether so much of a limit is used that people want to know.
pub(crate) fn is_near(used: u64, max: u64) -> bool {
    used > 0 && used >= soft(max)
}

/// What a run has used that no meter counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unmetered {
    /// Wall time since it began.
    pub(crate) wall: Duration,
    /// Handles that it held at its end.
    pub(crate) handles: u64,
    /// How deep it was called.
    pub(crate) depth: u64,
    /// What the hooks have had of the time that the request has for all of them.
    pub(crate) hooks: Duration,
}

/// The limits that a run of `class` has nearly used up.
pub(crate) fn of_run(
    meters: &Meters,
    unmetered: Unmetered,
    limits: &Limits,
    class: Class,
) -> impl Iterator<Item = Near> {
    let metered = METERED
        .iter()
        .map(move |&(dimension, meter, unit)| (dimension, meters[meter] / unit));
    let unmetered = [
        (Dimension::Deadline, millis(unmetered.wall)),
        (Dimension::Handles, unmetered.handles),
        (Dimension::Recursion, unmetered.depth),
        (Dimension::ExtensionTime, millis(unmetered.hooks)),
    ];
    metered
        .chain(unmetered)
        .filter_map(move |(dimension, used)| Near::of(dimension.of(class), used, limits))
}

/// Names limits in the head of an answer, each once, as it is told of first. What the guest itself wrote there is not the
/// host's word, and goes.
pub(crate) fn announce(headers: &mut HeaderMap, near: impl Iterator<Item = Near>) {
    headers.remove(NEAR_LIMIT);
    let mut named: Vec<Limit> = Vec::new();
    for Near { limit, used, max } in near {
        if named.contains(&limit) {
            continue;
        }
        named.push(limit);
        if let Ok(value) = HeaderValue::from_str(&format!("{limit}; used={used}; max={max}")) {
            headers.append(NEAR_LIMIT, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_four_fifths() {
        assert!(is_near(80, 100) && is_near(100, 100) && is_near(u64::MAX, u64::MAX));
        assert!(!is_near(79, 100) && !is_near(0, 1) && !is_near(0, 0));
    }

    #[test]
    fn a_run_is_near_what_it_has_nearly_used() {
        let mut limits = Limits::default();
        limits.set(Dimension::CpuTime, 10).unwrap();
        let mut meters = Meters::default();
        meters[Meter::CpuNanoseconds] = 8_000_000;
        limits.set(Dimension::Deadline, 1_000).unwrap();
        limits.set(Dimension::Handles, 100).unwrap();
        let unmetered = Unmetered {
            wall: Duration::from_millis(950),
            handles: 79,
            depth: 7,
            hooks: Duration::from_millis(799),
        };
        let near: Vec<_> = of_run(&meters, unmetered, &limits, Class::Request).collect();
        let near_of = |dimension: Dimension, used, max| Near {
            limit: dimension.into(),
            used,
            max,
        };
        assert_eq!(
            near,
            [
                near_of(Dimension::CpuTime, 8, 10),
                near_of(Dimension::Deadline, 950, 1_000),
                near_of(Dimension::Recursion, 7, 8)
            ]
        );
        let mut headers = HeaderMap::new();
        headers.insert(NEAR_LIMIT, HeaderValue::from_static("the guest's own"));
        announce(&mut headers, near.into_iter());
        let told: Vec<_> = headers.get_all(NEAR_LIMIT).iter().collect();
        assert_eq!(
            told,
            [
                "cpu-time; used=8; max=10",
                "deadline; used=950; max=1000",
                "recursion; used=7; max=8"
            ]
        );
    }
}
