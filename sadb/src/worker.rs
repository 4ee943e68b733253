//! One worker's counters.
use crate::counters::{Counter, DropReason};

/// Counts locally, publishes in one go.
#[derive(Debug)]
pub struct WorkerCounters {}
impl WorkerCounters {
    /// One packet ended for this reason.
    pub fn count(&mut self, _why: DropReason) {
        todo!()
    }
    /// `n` packets ended for this reason.
    pub fn count_many(&mut self, _why: DropReason, _n: u64) {
        todo!()
    }
    /// Adds to a counter.
    pub fn add(&mut self, _what: Counter, _n: u64) {
        todo!()
    }
    /// Shows the counts to readers: relaxed stores.
    pub fn publish(&mut self) {
        todo!()
    }
}
