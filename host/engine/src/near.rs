//! Soft limits: what people are told when most of a limit is used, before anything is stopped.

use cloudware_types::{Class, Dimension, Limit, Limits, Meter, Meters, soft};
use http::{HeaderMap, HeaderName, HeaderValue};

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
];

/// A limit that has reached its soft limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    pub(crate) limit: Limit,
    pub(crate) used: u64,
    pub(crate) max: u64,
}

/// Whether so much of a limit is used that people want to know.
pub(crate) fn is_near(used: u64, max: u64) -> bool {
    used > 0 && used >= soft(max)
}

/// The limits that a run of `class` has nearly used up.
pub(crate) fn of_run(meters: &Meters, limits: &Limits, class: Class) -> impl Iterator<Item = Near> {
    METERED.iter().filter_map(move |&(dimension, meter, unit)| {
        let limit = dimension.of(class);
        let (used, max) = (meters[meter] / unit, limits.get(limit));
        is_near(used, max).then_some(Near { limit, used, max })
    })
}

/// Names limits in the head of an answer.
pub(crate) fn announce(headers: &mut HeaderMap, near: impl Iterator<Item = Near>) {
    for Near { limit, used, max } in near {
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
        let near: Vec<_> = of_run(&meters, &limits, Class::Request).collect();
        let limit = Dimension::CpuTime.into();
        assert_eq!(
            near,
            [Near {
                limit,
                used: 8,
                max: 10
            }]
        );
        let mut headers = HeaderMap::new();
        announce(&mut headers, near.into_iter());
        assert_eq!(headers[NEAR_LIMIT], "cpu-time; used=8; max=10");
    }
}
