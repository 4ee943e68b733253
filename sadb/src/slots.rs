//! An array of published values that readers use without a lock (epoch reclamation).
//!
//! Miri: crossbeam-epoch itself breaks the Stacked Borrows model (its issue 545) and leaks its global collector (its
//! issue 614), so these tests are run by
//! `MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-ignore-leaks" cargo +nightly miri test -p postern-sadb -- --ignored slots:: epoch`.
//!
//! Orderings: `publish`'s AcqRel swap pairs with `get`'s Acquire load: whoever sees the pointer sees the value.
use core::fmt;
use crossbeam_epoch::{self as epoch, Atomic, Owned, Shared};
use std::sync::atomic::Ordering;

/// While it lives, nothing that [`Slots::get`] returned under it is freed. Keep it for one batch, not longer.
///
/// Our own type, because it must come from the one collector that [`Slots`] frees with.
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

/// Helps the epoch along, so that values retired before are freed as soon as no guard holds them.
pub fn collect() {
    epoch::pin().flush();
}

/// Published values by index.
pub struct Slots<T: Send + Sync + 'static> {
    slots: Box<[Atomic<T>]>,
}

impl<T: Send + Sync + 'static> Slots<T> {
    /// `len` empty slots.
    pub fn new(len: usize) -> Self {
        Self { slots: (0..len).map(|_| Atomic::null()).collect() }
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
    #[inline]
    pub fn get<'g>(&'g self, guard: &'g Guard, index: usize) -> Option<&'g T> {
        let value = self.slots.get(index)?.load(Ordering::Acquire, &guard.0);
        // SAFETY: the pointer is null or came from `publish`; `swap` frees what it takes out only after every guard of
        // the default collector that could have seen it, and `guard` is one; `&self` rules out `drop`.
        // Test: `a_value_outlives_its_retirement`, under Miri.
        unsafe { value.as_ref() }
    }
    /// Asks for the slot at `index`, not for what it points to.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            crate::prefetch::prefetch(slot);
        }
    }
    /// Publishes `value` at `index`; what stood there is freed when no reader can see it any more. False when there
    /// is no such slot.
    pub fn publish(&self, index: usize, value: T) -> bool {
        let guard = epoch::pin();
        let value = Owned::new(value).into_shared(&guard);
        match self.slots.get(index) {
            Some(slot) => {
                swap(slot, value, &guard);
                true
            }
            None => {
                // SAFETY: made two lines above, seen by nobody else.
                // Test: `a_slot_outside_is_refused`, under Miri.
                drop(unsafe { value.into_owned() });
                false
            }
        }
    }
    /// Empties `index`. True when a value stood there.
    pub fn retire(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| swap(slot, Shared::null(), &epoch::pin()))
    }
}

/// Puts `value` in and has the former one freed in time. True when there was one.
fn swap<T: Send + Sync + 'static>(
    slot: &Atomic<T>,
    value: Shared<'_, T>,
    guard: &epoch::Guard,
) -> bool {
    let old = slot.swap(value, Ordering::AcqRel, guard);
    if old.is_null() {
        return false;
    }
    // SAFETY: the swap made us the only one that can retire `old`; readers that still see it hold guards of this same
    // collector; `T: Send + 'static`, so any thread may drop it later. Test: `a_value_outlives_its_retirement`, Miri.
    unsafe { guard.defer_destroy(old) };
    true
}

impl<T: Send + Sync + 'static> Drop for Slots<T> {
    fn drop(&mut self) {
        let guard = epoch::pin();
        for slot in &self.slots {
            swap(slot, Shared::null(), &guard);
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", self.len())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    /// Counts its own drops.
    struct Value(usize, Arc<AtomicUsize>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            collect();
            std::thread::yield_now();
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "crossbeam-epoch: see the head of this file")]
    fn a_value_outlives_its_retirement() {
        let (slots, drops) = (Slots::new(2), Arc::new(AtomicUsize::new(0)));
        assert!(slots.publish(1, Value(7, drops.clone())));
        let guard = slots.pin();
        let seen = slots.get(&guard, 1).unwrap();
        assert!(slots.retire(1) && !slots.retire(1));
        assert!(slots.get(&guard, 1).is_none());
        collect();
        assert_eq!((seen.0, drops.load(Ordering::Relaxed)), (7, 0));
        drop(guard);
        until(|| drops.load(Ordering::Relaxed) == 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "crossbeam-epoch: see the head of this file")]
    fn a_slot_outside_is_refused() {
        let (slots, drops) = (Slots::new(1), Arc::new(AtomicUsize::new(0)));
        assert!(!slots.publish(1, Value(0, drops.clone())) && !slots.retire(1));
        assert!(slots.get(&slots.pin(), 1).is_none());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "crossbeam-epoch: see the head of this file")]
    fn every_value_is_dropped_exactly_once() {
        let drops = Arc::new(AtomicUsize::new(0));
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        let slots = Slots::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..rounds).for_each(|n| _ = slots.publish(n % 3, Value(n, drops.clone())))
            });
            scope.spawn(|| {
                for n in 0..rounds {
                    let guard = slots.pin();
                    assert!(slots.get(&guard, n % 3).is_none_or(|value| value.0 % 3 == n % 3));
                }
            });
        });
        drop(slots);
        until(|| drops.load(Ordering::Relaxed) == rounds);
    }
}
