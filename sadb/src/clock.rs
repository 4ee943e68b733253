//! CLOCK_MONOTONIC: the only clock in the region, the same for both processes.
use core::time::Duration;
use rustix::time::{ClockId, clock_gettime};

/// Since boot (suspend not counted).
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// Whole seconds since boot, as SA records and lifetimes use them.
pub fn seconds() -> u64 {
    now().as_secs()
}
