//! A world that is the same each time: clocks and random numbers for runs that are to be repeated to the
//! instruction. Time passes by one microsecond with each look at it, and numbers follow from a seed. A guest that
//! looks closely can tell by that.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// What a run sees of time and chance. Two runs of one component with equal worlds, arguments and answers of the host
/// consume the same fuel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// What random numbers follow from.
    pub seed: u64,
    /// The time of day at the beginning, since the Unix epoch.
    pub wall_clock: Duration,
}

/// The step by which time passes with each look at it.
const STEP: Duration = Duration::from_micros(1);

struct Wall {
    began: Duration,
    looks: AtomicU64,
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.began + STEP * u32::try_from(looks).unwrap_or(u32::MAX)
    }
}

struct Monotonic(AtomicU64);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1_000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

impl World {
    /// Where the monotonic clock begins, in nanoseconds: as on a host that has been up for up to a month, so that
    /// a guest that measures time gets numbers as long as usual.
    fn monotonic_began(self) -> u64 {
        const MONTH: u64 = 30 * 24 * 3_600_000_000_000;
        let any: u64 = StdRng::seed_from_u64(self.seed.wrapping_add(2)).random();
        any % MONTH / 1_000 * 1_000
    }

    /// Gives a run this world in place of the host's.
    pub(crate) fn give(self, wasi: &mut WasiCtxBuilder) {
        wasi.wall_clock(Wall {
            began: self.wall_clock,
            looks: AtomicU64::new(0),
        })
        .monotonic_clock(Monotonic(AtomicU64::new(self.monotonic_began())))
        .secure_random(StdRng::seed_from_u64(self.seed))
        .insecure_random(StdRng::seed_from_u64(self.seed.wrapping_add(1)))
        .insecure_random_seed(u128::from(self.seed));
    }
}
