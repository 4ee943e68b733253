//! Records of the SAD that IKE's SAs use. The core asks for inbound SPIs, which name their record; the driver for the
//! records of outbound SAs; manual SAs have theirs by the plan. All three ask here, so that none is given twice.
use ike::action::Spis;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers below a limit, each given once. Those that come back are given again as late as possible: packets of the SA
/// that had it may still be on their way.
#[derive(Debug, Default)]
pub struct Pool {
    count: u32,
    next: u32,
    given: HashSet<u32>,
    foreign: HashSet<u32>,
}

impl Pool {
    /// How many there are, and which are others'. The first given is `from`.
    pub fn share(&mut self, count: u32, foreign: HashSet<u32>, from: u32) {
        if self.count != count {
            (self.count, self.next) = (count, from);
        }
        self.foreign = foreign;
    }
    /// These are others', too.
    pub fn add_foreign(&mut self, numbers: impl Iterator<Item = u32>) {
        self.foreign.extend(numbers);
    }
    /// A number that nobody has.
    pub fn take(&mut self) -> Option<u32> {
        let free = |number: &u32| !self.given.contains(number) && !self.foreign.contains(number);
        let number = (self.next..self.count).chain(0..self.next.min(self.count)).find(free)?;
        self.next = number.saturating_add(1);
        self.given.insert(number);
        Some(number)
    }
    /// It is free again.
    pub fn give_back(&mut self, number: u32) {
        self.given.remove(&number);
    }
    /// What is given.
    pub fn given(&self) -> &HashSet<u32> {
        &self.given
    }
}

/// The SAD's records, shared by the core's thread and the driver's.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<Mutex<Pool>>);

impl Slots {
    /// The pool, for more than one question.
    pub fn lock(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spis for Slots {
    fn reserve(&mut self) -> Option<u32> {
        let slot = self.lock().take()?;
        let spi = getrandom::u32().ok().and_then(|random| sadb::sa::spi_for(slot, random));
        if spi.is_none() {
            self.lock().give_back(slot);
        }
        spi
    }
    fn release(&mut self, spi: u32) {
        if let Some(slot) = sadb::sa::slot_of(spi) {
            self.lock().give_back(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_spi_names_a_record_that_nobody_else_has() {
        let mut slots = Slots::default();
        assert_eq!(slots.reserve(), None, "no data plane was seen yet");
        slots.lock().share(4, HashSet::from([1]), 0);
        let spis: Vec<u32> = std::iter::from_fn(|| slots.reserve()).collect();
        let named: Vec<_> = spis.iter().map(|&spi| sadb::sa::slot_of(spi).unwrap()).collect();
        assert_eq!(named, [0, 2, 3]);
        slots.release(spis[1]);
        assert_eq!(slots.reserve().and_then(sadb::sa::slot_of), Some(2));
        slots.release(spis[0]);
        slots.release(spis[2]);
        assert_eq!(slots.lock().take(), Some(3), "the one that came back first waits longest");
    }
}
