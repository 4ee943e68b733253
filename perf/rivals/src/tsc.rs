//! The CPU's time stamp counter: it runs at one rate whatever the core does, and looking at it costs little.
#![allow(unsafe_code, reason = "the counter is read by an instruction")]
use std::time::{Duration, Instant};

/// Cycles of the counter since the machine started. Everything before the call has been executed, and nothing after
/// it has begun.
#[inline(always)]
pub fn now() -> u64 {
    let mut core = 0;
    // SAFETY: RDTSCP writes `core`, which is ours; every x86-64 CPU of this century has it.
    let cycles = unsafe { core::arch::x86_64::__rdtscp(&mut core) };
    // SAFETY: LFENCE touches nothing.
    unsafe { core::arch::x86_64::_mm_lfence() };
    cycles
}

/// How fast the counter runs, in Hz: counted against the kernel's clock for a tenth of a second.
pub fn hertz() -> f64 {
    let (start, from) = (Instant::now(), now());
    while start.elapsed() < Duration::from_millis(100) {
        core::hint::spin_loop();
    }
    let (took, to) = (start.elapsed(), now());
    to.wrapping_sub(from) as f64 / took.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts_up_and_at_a_plausible_rate() {
        let before = now();
        let hertz = hertz();
        assert!(now() > before);
        assert!((1e8..1e11).contains(&hertz), "{hertz}");
    }
}
