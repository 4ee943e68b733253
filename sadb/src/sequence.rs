//! Outbound sequence numbers.
use crate::status::Totals;

/// No number is left below the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sequence numbers are used up: {left} left below the limit, {wanted} wanted; rekey the SA"
)]
pub struct Exhausted {
    /// Numbers that a smaller reservation could still have.
    pub left: u64,
    /// Numbers asked for.
    pub wanted: u32,
}

/// One outbound SA's sequence numbers and totals.
#[derive(Debug)]
pub struct SequenceHandle {}
impl SequenceHandle {
    /// Reserves `n` numbers, none above `limit`; returns the first.
    pub fn reserve(&self, _n: u32, _limit: u64) -> Result<u64, Exhausted> {
        todo!()
    }
    /// The last number reserved.
    pub fn last(&self) -> u64 {
        todo!()
    }
    /// Adds to what the SA carried; `now` in seconds of CLOCK_MONOTONIC.
    pub fn account(&self, _packets: u64, _bytes: u64, _now: u64) -> Totals {
        todo!()
    }
    /// When the SA was installed: seconds of CLOCK_MONOTONIC.
    pub fn installed(&self) -> u64 {
        todo!()
    }
    /// Marks the SA as past a hard lifetime. True for the one caller that did it first.
    pub fn expire(&self) -> bool {
        todo!()
    }
    /// Whether it is past a hard lifetime.
    pub fn expired(&self) -> bool {
        todo!()
    }
    /// Marks the soft lifetime as reached. True for the one caller that did it first.
    pub fn warn(&self) -> bool {
        todo!()
    }
}
