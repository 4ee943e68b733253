//! One ring, single producer and single consumer, in memory shared with the other side.
//!
//! The other side is the kernel, or the twin's wire. Either may be wrong: the index it writes is
//! checked each time it is read, and an impossible one moves nothing.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::memory::Memory;
use shared::{AtomicU32, Slot};

/// What both sides touch; under loom, things that know who touched them last.
#[cfg(not(all(test, loom)))]
mod shared {
    pub use std::sync::atomic::AtomicU32;

    /// An entry, as the kernel lays it out.
    #[derive(Debug)]
    #[repr(transparent)]
    pub struct Slot<T>(std::cell::UnsafeCell<T>);

    impl<T> Slot<T> {
        pub fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get())
        }

        pub fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
            change(self.0.get())
        }
    }
}
#[cfg(all(test, loom))]
mod shared {
    pub use loom::cell::UnsafeCell as Slot;
    pub use loom::sync::atomic::AtomicU32;
}

/// The kernel sets this bit in a ring's flags when it sleeps (`XDP_RING_NEED_WAKEUP`).
const NEED_WAKEUP: u32 = 1;

/// The other side's index cannot be: more entries than the ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerLied;

/// Where a ring's parts lie in its memory (`struct xdp_ring_offset`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    pub producer: usize,
    pub consumer: usize,
    pub flags: usize,
    pub entries: usize,
}

impl Offsets {
    /// Each index on its own cache line, for rings that are not the kernel's.
    pub const OURS: Self = Self { producer: 0, consumer: 64, flags: 128, entries: 192 };

    /// Octets needed for `size` entries of `T`.
    pub const fn octets<T>(&self, size: u32) -> usize {
        self.entries + size as usize * size_of::<T>()
    }
}

/// The shared part. `T` is a plain descriptor: every bit pattern is a value.
#[derive(Debug)]
struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<Slot<T>>,
    size: u32,
    _memory: Arc<Memory>,
    _entries: PhantomData<T>,
}

// SAFETY: the pointers go into `_memory`, which moves along; indices are atomics, and an entry is
// touched only by the side that the indices give it to. Test: `entries_cross_threads_whole`.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// `None` if the parts do not lie inside the memory or `size` is not a power of two.
    fn over(memory: Arc<Memory>, at: Offsets, size: u32) -> Option<Self> {
        let size = Some(size).filter(|s| s.is_power_of_two())?;
        Some(Self {
            producer: memory.span(at.producer, 1)?,
            consumer: memory.span(at.consumer, 1)?,
            flags: memory.span(at.flags, 1)?,
            entries: memory.span(at.entries, size as usize)?,
            size,
            _memory: memory,
            _entries: PhantomData,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: aligned and inside `_memory` (`Memory::span`); both sides use it atomically only.
        // Test: `entries_cross_threads_whole`.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as `producer`. Test: `entries_cross_threads_whole`.
        unsafe { self.consumer.as_ref() }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as `producer`. Test: `a_sleeping_kernel_is_seen`.
        let flags = unsafe { self.flags.as_ref() };
        flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }

    #[inline]
    fn entry(&self, index: u32) -> &Slot<T> {
        let slot = (index & (self.size - 1)) as usize;
        // SAFETY: `slot` < `size`, and `size` entries were checked to be inside `_memory`.
        // Test: `entries_cross_threads_whole`.
        let entry = unsafe { self.entries.add(slot) };
        // SAFETY: aligned and inside `_memory` (above); any bits are a `T`, and a `Slot` may be
        // written by the other side. Test: `entries_cross_threads_whole`.
        unsafe { entry.as_ref() }
    }

    /// How many entries are between the indices, if that can be.
    #[inline]
    const fn between(&self, producer: u32, consumer: u32) -> Result<u32, PeerLied> {
        let used = producer.wrapping_sub(consumer);
        if used > self.size { Err(PeerLied) } else { Ok(used) }
    }
}

/// The side that writes entries.
#[derive(Debug)]
pub(crate) struct Producer<T> {
    ring: Ring<T>,
    /// Next entry to write; ahead of the shared index until `publish`.
    head: u32,
    /// The consumer's index as last read, and found possible.
    tail: u32,
}

impl<T: Copy> Producer<T> {
    pub fn over(memory: Arc<Memory>, at: Offsets, size: u32) -> Option<Self> {
        let ring = Ring::over(memory, at, size)?;
        let head = ring.producer().load(Ordering::Relaxed);
        let tail = ring.consumer().load(Ordering::Acquire);
        ring.between(head, tail).ok()?;
        Some(Self { ring, head, tail })
    }

    /// How many entries can be staged; looks at the other side only if `want` are not known free.
    #[inline]
    pub fn room(&mut self, want: u32) -> Result<u32, PeerLied> {
        let known = self.ring.size - self.ring.between(self.head, self.tail)?;
        if known >= want {
            return Ok(known);
        }
        Ok(self.ring.size - self.pending()?)
    }

    /// Entries that the other side has not taken yet.
    pub fn pending(&mut self) -> Result<u32, PeerLied> {
        // Acquire, paired with the consumer's Release: it has finished reading what it gave back.
        let tail = self.ring.consumer().load(Ordering::Acquire);
        let used = self.ring.between(self.head, tail)?;
        self.tail = tail;
        Ok(used)
    }

    /// Writes an entry that `publish` will show. `false`, and nothing written, if there is no room
    /// known: ask `room` first.
    #[inline]
    pub fn stage(&mut self, value: T) -> bool {
        if self.head.wrapping_sub(self.tail) >= self.ring.size {
            return false;
        }
        // SAFETY: the consumer has given this entry back (checked above), so nobody reads it until
        // `publish`. Tests: `entries_cross_threads_whole`, `every_interleaving_is_whole`.
        self.ring.entry(self.head).with_mut(|entry| unsafe { entry.write(value) });
        self.head = self.head.wrapping_add(1);
        true
    }

    /// Shows the staged entries to the other side.
    pub fn publish(&mut self) {
        // Release, paired with the consumer's Acquire: entries before `head` are whole.
        self.ring.producer().store(self.head, Ordering::Release);
    }

    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }

    /// What a peer that lies would write.
    #[cfg(test)]
    pub fn force_head(&mut self, head: u32) {
        self.head = head;
        self.publish();
    }
}

/// The side that reads entries.
#[derive(Debug)]
pub(crate) struct Consumer<T> {
    ring: Ring<T>,
    /// The producer's index as last read, and found possible.
    head: u32,
    /// Next entry to read; ahead of the shared index until `release`.
    tail: u32,
}

impl<T: Copy> Consumer<T> {
    pub fn over(memory: Arc<Memory>, at: Offsets, size: u32) -> Option<Self> {
        let ring = Ring::over(memory, at, size)?;
        let tail = ring.consumer().load(Ordering::Relaxed);
        Some(Self { ring, head: tail, tail })
    }

    /// How many entries can be read.
    pub fn ready(&mut self) -> Result<u32, PeerLied> {
        // Acquire, paired with the producer's Release: entries before `head` are whole.
        let head = self.ring.producer().load(Ordering::Acquire);
        let ready = self.ring.between(head, self.tail)?;
        self.head = head;
        Ok(ready)
    }

    /// The next entry of those that `ready` saw.
    #[inline]
    pub fn next(&mut self) -> Option<T> {
        if self.tail == self.head {
            return None;
        }
        // SAFETY: the producer has published this entry and gets it back by `release` only; any
        // bits are a `T`. Tests: `entries_cross_threads_whole`, `every_interleaving_is_whole`.
        let value = self.ring.entry(self.tail).with(|entry| unsafe { entry.read() });
        self.tail = self.tail.wrapping_add(1);
        Some(value)
    }

    /// Gives the entries read so far back to the other side.
    pub fn release(&mut self) {
        // Release, paired with the producer's Acquire: we have finished reading.
        self.ring.consumer().store(self.tail, Ordering::Release);
    }
}

/// Both ends of a ring in the heap, for the twin and for tests.
pub(crate) fn pair<T: Copy>(size: u32) -> Option<(Producer<T>, Consumer<T>)> {
    let memory = Arc::new(Memory::heap(Offsets::OURS.octets::<T>(size)).ok()?);
    let producer = Producer::over(Arc::clone(&memory), Offsets::OURS, size)?;
    Some((producer, Consumer::over(memory, Offsets::OURS, size)?))
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    /// Loom's atomics are not plain memory, so the parts are made one by one here.
    fn pair(size: u32) -> (Producer<u64>, Consumer<u64>) {
        let index = || NonNull::from(Box::leak(Box::new(AtomicU32::new(0))));
        let (producer, consumer, flags) = (index(), index(), index());
        let entries: Box<[Slot<u64>]> = (0..size).map(|_| Slot::new(0)).collect();
        let entries = NonNull::from(Box::leak(entries)).cast();
        let _memory = Arc::new(Memory::heap(1).unwrap());
        let ring = || Ring {
            producer,
            consumer,
            flags,
            entries,
            size,
            _memory: Arc::clone(&_memory),
            _entries: PhantomData,
        };
        let (head, tail) = (0, 0);
        (Producer { ring: ring(), head, tail }, Consumer { ring: ring(), head, tail })
    }

    /// `RUSTFLAGS="--cfg loom" cargo test -p postern-xsk --lib --release loom`
    #[test]
    fn every_interleaving_is_whole() {
        loom::model(|| {
            let (mut producer, mut consumer) = pair(2);
            let writer = loom::thread::spawn(move || {
                for n in 1..=3 {
                    while producer.room(1).unwrap() == 0 {
                        loom::thread::yield_now();
                    }
                    assert!(producer.stage(n));
                    producer.publish();
                }
            });
            for n in 1..=3 {
                while consumer.ready().unwrap() == 0 {
                    loom::thread::yield_now();
                }
                assert_eq!(consumer.next(), Some(n));
                consumer.release();
            }
            writer.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn entries_cross_threads_whole() {
        let (mut producer, mut consumer) = pair::<(u64, u64)>(4).unwrap();
        let count = if cfg!(miri) { 50 } else { 100_000 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..count {
                    while producer.room(1).unwrap() == 0 {
                        std::thread::yield_now();
                    }
                    assert!(producer.stage((n, !n)));
                    producer.publish();
                }
            });
            for n in 0..count {
                while consumer.ready().unwrap() == 0 {
                    std::thread::yield_now();
                }
                assert_eq!(consumer.next(), Some((n, !n)));
                consumer.release();
            }
        });
    }

    #[test]
    fn what_is_not_published_is_not_seen_and_a_full_ring_takes_no_more() {
        let (mut producer, mut consumer) = pair::<u64>(2).unwrap();
        assert!(producer.stage(1) && producer.stage(2) && !producer.stage(3));
        assert_eq!(consumer.ready(), Ok(0));
        producer.publish();
        assert_eq!((consumer.ready(), consumer.next()), (Ok(2), Some(1)));
        assert_eq!(producer.room(1), Ok(0), "read but not given back");
        consumer.release();
        assert_eq!(producer.room(1), Ok(1));
    }

    #[test]
    fn an_impossible_index_is_an_error_and_moves_nothing() {
        let (mut producer, mut consumer) = pair::<u64>(4).unwrap();
        producer.stage(7);
        producer.publish();
        consumer.ring.producer().store(5, Ordering::Release);
        assert_eq!((consumer.ready(), consumer.next()), (Err(PeerLied), None));
        producer.ring.consumer().store(2, Ordering::Release);
        assert_eq!(producer.pending(), Err(PeerLied), "the consumer is ahead of the producer");
        consumer.ring.producer().store(1, Ordering::Release);
        assert_eq!((consumer.ready(), consumer.next()), (Ok(1), Some(7)));
    }

    #[test]
    fn indices_wrap() {
        let (producer, consumer) = pair::<u64>(4).unwrap();
        let memory = Arc::clone(&producer.ring._memory);
        producer.ring.producer().store(u32::MAX - 1, Ordering::Relaxed);
        consumer.ring.consumer().store(u32::MAX - 1, Ordering::Relaxed);
        let mut producer = Producer::over(Arc::clone(&memory), Offsets::OURS, 4).unwrap();
        let mut consumer = Consumer::over(memory, Offsets::OURS, 4).unwrap();
        assert!((0..4).all(|n| producer.stage(n)));
        producer.publish();
        assert_eq!(consumer.ready(), Ok(4));
        assert!((0..4).all(|n| consumer.next() == Some(n)));
    }

    #[test]
    fn a_sleeping_kernel_is_seen() {
        let (producer, consumer) = pair::<u64>(4).unwrap();
        assert!(!producer.needs_wakeup());
        // SAFETY: as `Ring::producer`.
        unsafe { consumer.ring.flags.as_ref() }.store(NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }

    #[test]
    fn a_layout_outside_its_memory_is_refused() {
        let memory = Arc::new(Memory::heap(4096).unwrap());
        let beyond = Offsets { entries: 4090, ..Offsets::OURS };
        assert!(Producer::<u64>::over(Arc::clone(&memory), beyond, 1).is_none());
        assert!(Consumer::<u64>::over(Arc::clone(&memory), Offsets::OURS, 1024).is_none());
        assert!(Producer::<u64>::over(memory, Offsets::OURS, 3).is_none(), "not a power of two");
    }
}
