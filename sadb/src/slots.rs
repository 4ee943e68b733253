//! An array of published values that readers use without a lock (epoch reclamation).
use core::fmt;
use crossbeam_epoch as epoch;
use std::sync::atomic::Ordering;

/// While it lives, nothing that [`Slots::get`] returned under it is freed. Keep it for one batch, not longer.
#[must_use]
pub struct Guard(epoch::Guard);
impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Enters the epoch.
pub fn pin() -> Guard {
    Guard(epoch::pin())
}

/// Published values by index.
pub struct Slots<T> {
    slots: Box<[epoch::Atomic<T>]>,
}

impl<T: Send + Sync + 'static> Slots<T> {
    /// `len` empty slots.
    pub fn new(len: usize) -> Self {
        Self { slots: (0..len).map(|_| epoch::Atomic::null()).collect() }
    }
    /// Enters the epoch: see [`Guard`].
    pub fn pin(&self) -> Guard {
        pin()
    }
    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
    /// Whether there are no slots at all.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
    /// The value published at `index`, if any.
    pub fn get<'g>(&self, _guard: &'g Guard, _index: usize) -> Option<&'g T> {
        let _ = Ordering::Acquire;
        todo!()
    }
    /// Publishes `value` at `index`; what stood there is freed when no reader can see it any more. False when there
    /// is no such slot.
    pub fn publish(&self, _index: usize, _value: T) -> bool {
        todo!()
    }
    /// Empties `index`. True when a value stood there.
    pub fn retire(&self, _index: usize) -> bool {
        todo!()
    }
}
