//! Processor time: on a shared machine the time in which somebody else ran must not count.
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time that this thread has used.
pub fn thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What `work` used, and what came of it.
pub fn spent<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = thread();
    let done = work();
    (thread().saturating_sub(before), done)
}

/// Octets of memory that this process has in RAM (`VmRSS`).
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default().saturating_mul(rustix::param::page_size() as u64)
}
