//! A ring with one writer and one reader, in two processes that do not trust each other.
//!
//! `head` counts entries ever written, `tail` entries ever read; both only grow, and entry `n` stands in slot
//! `n mod capacity`. Each side keeps its own count for itself and believes the other's only within reason: at most
//! `capacity` entries can wait, anything else is [`PeerLied`].
//!
//! Orderings: the writer's Release store of `head` pairs with the reader's Acquire load (entries before `head` are
//! whole). The reader's Release store of `tail` pairs with the writer's Acquire load (slots before `tail` were copied
//! and wiped, so they may be filled again).
use crate::codec::checksum;
use crate::errors::{PeerLied, PushError};
use crate::layout::LINE;
use crate::memory::{Memory, Part};
use crate::sync::{Ordering, Word};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Both ends' view of one ring of entries of `N` words, the last of which is the checksum.
#[derive(Debug)]
struct Ring<const N: usize> {
    name: &'static str,
    head: Part<[Word; LINE]>,
    tail: Part<[Word; LINE]>,
    slots: Part<[Word]>,
    capacity: u64,
}

impl<const N: usize> Ring<N> {
    /// `lines` is where `head`'s and `tail`'s lines stand, `slots` the first entry. `capacity` is a power of two.
    fn new(
        name: &'static str,
        memory: &Arc<Memory>,
        lines: usize,
        slots: usize,
        capacity: usize,
    ) -> Option<Self> {
        Some(Self {
            name,
            head: memory.array(lines)?,
            tail: memory.array(lines + LINE)?,
            slots: memory.part(slots, capacity.checked_mul(N)?)?,
            capacity: capacity.is_power_of_two().then_some(capacity as u64)?,
        })
    }

    /// Entries ever written: the first word of its line.
    fn head(&self) -> &Word {
        let [count, ..] = &*self.head;
        count
    }
    /// Entries ever read: the first word of its line.
    fn tail(&self) -> &Word {
        let [count, ..] = &*self.tail;
        count
    }

    /// How many entries wait between these counts.
    fn waiting(&self, head: u64, tail: u64) -> Result<u64, PeerLied> {
        let waiting = head.wrapping_sub(tail);
        let lied = PeerLied { ring: self.name, head, tail, capacity: self.capacity };
        if waiting > self.capacity { Err(lied) } else { Ok(waiting) }
    }

    /// The words of entry `count`. The index is masked, so it is always inside.
    fn slot(&self, count: u64) -> &[Word] {
        let start = (count & (self.capacity - 1)) as usize * N;
        self.slots.get(start..start + N).unwrap_or_default()
    }
}

/// Every entry is bound to its place, so that a stale one is not taken for a new one.
fn seal<const N: usize>(entry: &[u64; N], count: u64) -> u64 {
    checksum(entry.split_last().map_or(&[], |(_, words)| words)) ^ count
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Producer<const N: usize> {
    ring: Ring<N>,
    /// Ours: never read back from the region while we live.
    head: u64,
}

impl<const N: usize> Producer<N> {
    /// Goes on where this side's last process stopped.
    pub(crate) fn new(
        name: &'static str,
        memory: &Arc<Memory>,
        lines: usize,
        slots: usize,
        capacity: usize,
    ) -> Option<Self> {
        let ring = Ring::new(name, memory, lines, slots, capacity)?;
        let head = ring.head().load(Ordering::Acquire);
        Some(Self { ring, head })
    }

    /// Writes one entry; its last word becomes the checksum.
    pub(crate) fn push(&mut self, entry: &[u64; N]) -> Result<(), PushError> {
        // Acquire, paired with the reader's Release: slots before `tail` are free.
        let tail = self.ring.tail().load(Ordering::Acquire);
        if self.ring.waiting(self.head, tail)? == self.ring.capacity {
            return Err(PushError::Full { ring: self.ring.name, capacity: self.ring.capacity });
        }
        let words = entry.iter().copied().take(N - 1).chain([seal(entry, self.head)]);
        for (to, word) in self.ring.slot(self.head).iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
        self.head = self.head.wrapping_add(1);
        // Release, paired with the reader's Acquire: the entry is whole.
        self.ring.head().store(self.head, Ordering::Release);
        Ok(())
    }
}

/// Why nothing usable came out of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PopError {
    /// The writer's count is impossible.
    PeerLied(PeerLied),
    /// The entry's checksum is wrong. The entry was consumed; its first word, for what it is worth, is given.
    Damaged { first: u64 },
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Consumer<const N: usize> {
    ring: Ring<N>,
    /// Ours: never read back from the region while we live.
    tail: u64,
}

impl<const N: usize> Consumer<N> {
    /// Goes on where this side's last process stopped.
    pub(crate) fn new(
        name: &'static str,
        memory: &Arc<Memory>,
        lines: usize,
        slots: usize,
        capacity: usize,
    ) -> Option<Self> {
        let ring = Ring::new(name, memory, lines, slots, capacity)?;
        let tail = ring.tail().load(Ordering::Acquire);
        Some(Self { ring, tail })
    }

    /// Copies the oldest entry out, once, and wipes its slot. What is checked later is the copy.
    pub(crate) fn pop(&mut self) -> Result<Option<Zeroizing<[u64; N]>>, PopError> {
        // Acquire, paired with the writer's Release: entries before `head` are whole.
        let head = self.ring.head().load(Ordering::Acquire);
        if self.ring.waiting(head, self.tail).map_err(PopError::PeerLied)? == 0 {
            return Ok(None);
        }
        let mut entry = Zeroizing::new([0; N]);
        for (to, word) in entry.iter_mut().zip(self.ring.slot(self.tail)) {
            *to = word.load(Ordering::Relaxed);
            word.store(0, Ordering::Relaxed);
        }
        let expected = seal(&entry, self.tail);
        self.tail = self.tail.wrapping_add(1);
        // Release, paired with the writer's Acquire: copied and wiped, the slot may be filled again.
        self.ring.tail().store(self.tail, Ordering::Release);
        let damaged = PopError::Damaged { first: entry.first().copied().unwrap_or_default() };
        if entry.last() == Some(&expected) { Ok(Some(entry)) } else { Err(damaged) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const CAPACITY: usize = 2;

    /// A ring on the heap: lines first, slots behind them.
    pub(crate) fn pair<const N: usize>(memory: &Arc<Memory>) -> (Producer<N>, Consumer<N>) {
        let producer = Producer::new("test", memory, 0, 2 * LINE, CAPACITY).unwrap();
        (producer, Consumer::new("test", memory, 0, 2 * LINE, CAPACITY).unwrap())
    }
    pub(crate) fn memory<const N: usize>() -> Arc<Memory> {
        Memory::heap(2 * LINE + CAPACITY * N)
    }

    #[cfg(not(loom))]
    #[test]
    fn entries_come_out_in_order_and_a_full_ring_says_so() {
        let memory = memory::<3>();
        let (mut producer, mut consumer) = pair::<3>(&memory);
        for round in 0..5 {
            assert_eq!(consumer.pop(), Ok(None));
            producer.push(&[round, 1, 0]).unwrap();
            producer.push(&[round, 2, 0]).unwrap();
            assert_eq!(producer.push(&[0; 3]), Err(PushError::Full { ring: "test", capacity: 2 }));
            assert_eq!(consumer.pop().unwrap().unwrap()[..2], [round, 1]);
            assert_eq!(consumer.pop().unwrap().unwrap()[..2], [round, 2]);
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_consumed_slot_is_wiped() {
        let memory = memory::<3>();
        let (mut producer, mut consumer) = pair::<3>(&memory);
        producer.push(&[0x5ec2e7, 0x5ec2e7, 0]).unwrap();
        consumer.pop().unwrap().unwrap();
        let slots = &memory.writable().unwrap()[2 * LINE..];
        assert!(slots.iter().all(|word| word.load(Ordering::Relaxed) == 0));
    }

    #[cfg(not(loom))]
    #[test]
    fn an_impossible_index_is_an_error_on_both_sides() {
        for (head, tail) in
            [(CAPACITY as u64 + 1, 1), (u64::MAX, CAPACITY as u64 + 1), (1 << 63, 1 << 63)]
        {
            let memory = memory::<3>();
            let (mut producer, mut consumer) = pair::<3>(&memory);
            let words = memory.writable().unwrap();
            words[0].store(head, Ordering::Relaxed);
            assert!(
                matches!(consumer.pop(), Err(PopError::PeerLied(it)) if it.head == head),
                "{head}"
            );
            // the producer wrote nothing yet, so nothing can have been read
            words[LINE].store(tail, Ordering::Relaxed);
            let pushed = producer.push(&[0; 3]);
            assert!(matches!(pushed, Err(PushError::PeerLied(it)) if it.tail == tail), "{tail}");
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_changed_entry_is_consumed_and_reported() {
        for word in 0..3 {
            let memory = memory::<3>();
            let (mut producer, mut consumer) = pair::<3>(&memory);
            producer.push(&[7, 8, 0]).unwrap();
            memory.writable().unwrap()[2 * LINE + word].fetch_xor(1 << 9, Ordering::Relaxed);
            assert!(matches!(consumer.pop(), Err(PopError::Damaged { .. })), "word {word}");
            assert_eq!(consumer.pop(), Ok(None));
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn an_entry_that_is_said_to_be_there_but_is_not_is_damaged() {
        let memory = memory::<3>();
        let (_, mut consumer) = pair::<3>(&memory);
        memory.writable().unwrap()[0].store(1, Ordering::Release);
        assert_eq!(consumer.pop(), Err(PopError::Damaged { first: 0 }));
    }

    #[cfg(not(loom))]
    #[test]
    fn a_new_process_goes_on_where_the_old_one_stopped() {
        let memory = memory::<3>();
        pair::<3>(&memory).0.push(&[1, 0, 0]).unwrap();
        pair::<3>(&memory).0.push(&[2, 0, 0]).unwrap();
        assert_eq!(pair::<3>(&memory).1.pop().unwrap().unwrap()[0], 1);
        assert_eq!(pair::<3>(&memory).1.pop().unwrap().unwrap()[0], 2);
        assert_eq!(pair::<3>(&memory).1.pop(), Ok(None));
    }

    #[cfg(not(loom))]
    #[test]
    fn indices_go_past_the_largest_number() {
        let memory = memory::<3>();
        memory.writable().unwrap()[0].store(u64::MAX, Ordering::Relaxed);
        memory.writable().unwrap()[LINE].store(u64::MAX, Ordering::Relaxed);
        let (mut producer, mut consumer) = pair::<3>(&memory);
        for n in 0..4 {
            producer.push(&[n, 0, 0]).unwrap();
            assert_eq!(consumer.pop().unwrap().unwrap()[0], n);
        }
    }
}
