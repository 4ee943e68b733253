//! One worker's counters: plain adds on its own memory, published in one go on its own cache lines.
//!
//! Relaxed stores: each counter stands for itself, and a reader may see some of a turn's counters before others.
use crate::counters::{Counter, DropReason};
use crate::layout;
use crate::memory::Part;
use crate::region::Inner;
use crate::sync::{Ordering, Word};
use std::sync::Arc;

/// Counts locally, publishes in one go. Goes on from what the region says, so a restart resets nothing.
#[derive(Debug)]
pub struct WorkerCounters {
    drops: [u64; DropReason::COUNT],
    counters: [u64; Counter::COUNT],
    published: Part<[Word; layout::WORKER]>,
    inner: Arc<Inner>,
    index: usize,
}

impl WorkerCounters {
    pub(crate) fn new(inner: &Arc<Inner>, index: usize) -> Option<Self> {
        let taken = inner.workers_taken.get(index)?;
        let start = layout::WORKER_TABLE + index * layout::WORKER;
        let published: Part<[Word; layout::WORKER]> = inner.shared.array(start)?;
        if taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut words = published.iter().map(|word| word.load(Ordering::Relaxed));
        let drops = core::array::from_fn(|_| words.next().unwrap_or_default());
        let counters = core::array::from_fn(|_| words.next().unwrap_or_default());
        Some(Self { drops, counters, published, inner: Arc::clone(inner), index })
    }
    /// One packet ended for this reason.
    #[inline]
    pub fn count(&mut self, why: DropReason) {
        self.count_many(why, 1);
    }
    /// `n` packets ended for this reason.
    #[inline]
    pub fn count_many(&mut self, why: DropReason, n: u64) {
        if let Some(count) = self.drops.get_mut(why as usize) {
            *count = count.wrapping_add(n);
        }
    }
    /// Adds to a counter.
    #[inline]
    pub fn add(&mut self, what: Counter, n: u64) {
        if let Some(count) = self.counters.get_mut(what as usize) {
            *count = count.wrapping_add(n);
        }
    }
    /// Shows the counts to readers.
    pub fn publish(&mut self) {
        let counts = self.drops.iter().chain(&self.counters);
        for (to, &count) in self.published.iter().zip(counts) {
            to.store(count, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkerCounters {
    fn drop(&mut self) {
        self.publish();
        if let Some(taken) = self.inner.workers_taken.get(self.index) {
            taken.store(false, Ordering::Release);
        }
    }
}
