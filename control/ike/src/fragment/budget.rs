//! What all IKE SAs together may hold for messages that are not complete (RFC 7383 §5): each alone is bounded, and there may
//! be many.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Octets that all IKE SAs may hold in fragments. Peers that have not proved who they are may have half of it, so that they
/// cannot take the room of those that have.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Book>);

#[derive(Debug)]
struct Book {
    most: AtomicUsize,
    held: AtomicUsize,
    refused: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

// One thread has the core; atomics are here so that it may be any, and order nothing.
const PLAIN: Ordering = Ordering::Relaxed;

impl Budget {
    /// So many octets.
    pub fn new(most: usize) -> Self {
        let (held, refused) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(Book { most: AtomicUsize::new(most), held, refused }))
    }
    /// From now on so many; what is held stays.
    pub fn resize(&self, most: usize) {
        self.0.most.store(most, PLAIN);
    }
    /// Octets held now.
    pub fn held(&self) -> usize {
        self.0.held.load(PLAIN)
    }
    /// Fragments for which there was no room.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(PLAIN)
    }

    /// Whether so many octets more may be held; counts it if not.
    ///
    /// # Errors
    /// How many octets may be held in all.
    pub(super) fn admit(&self, octets: usize, proved: bool) -> Result<(), usize> {
        let most = self.0.most.load(PLAIN);
        let most = if proved { most } else { most / 2 };
        if self.held().saturating_add(octets) > most {
            self.0.refused.fetch_add(1, PLAIN);
            return Err(most);
        }
        Ok(())
    }

    /// They are held for as long as the charge is.
    pub(super) fn charge(&self) -> Charge {
        Charge { budget: self.clone(), octets: 0 }
    }
}

/// Octets that are held; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Budget,
    octets: usize,
}

impl Charge {
    pub(super) fn add(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets);
        self.budget.0.held.fetch_add(octets, PLAIN);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.octets, PLAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let budget = Budget::new(100);
        let mut charge = budget.charge();
        charge.add(60);
        charge.add(30);
        assert_eq!((budget.held(), budget.admit(10, true)), (90, Ok(())));
        assert_eq!((budget.admit(11, true), budget.refused()), (Err(100), 1));
        drop(charge);
        assert_eq!((budget.held(), budget.admit(100, true)), (0, Ok(())));
    }

    #[test]
    fn those_who_have_proved_nothing_leave_half_of_it_to_others() {
        let budget = Budget::new(100);
        let mut charge = budget.charge();
        charge.add(50);
        assert_eq!((budget.admit(1, false), budget.admit(50, true)), (Err(50), Ok(())));
        budget.resize(200);
        assert_eq!(budget.admit(50, false), Ok(()));
    }
}
