//! Random numbers that nobody can predict (`wasi:random`). Needs no capability.

/// Up to 65,536 random bytes, the most that the host gives in one call.
#[must_use]
pub fn bytes(count: u16) -> Vec<u8> {
    wasip2::random::random::get_random_bytes(u64::from(count))
}

/// A random number.
#[must_use]
pub fn u64() -> u64 {
    wasip2::random::random::get_random_u64()
}
