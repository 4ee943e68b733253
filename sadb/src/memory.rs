//! The words that two processes share, and nothing about what they mean.
//!
//! Everything in the region is an atomic word of 64 bits. So no access can be a data race, whatever the other
//! process does, and no value can be torn inside a word. What may not be written is not writable: a reader's
//! mapping gives out [`ReadWord`]s only.
use crate::sync::{ReadWord, Word};
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::slice;
use std::sync::Arc;

/// Owned words: on the heap or mapped from a descriptor.
pub(crate) struct Memory {
    start: NonNull<Word>,
    len: usize,
    backing: Backing,
}

/// Where the words come from, and so how they go.
enum Backing {
    Heap,
    #[cfg(not(loom))]
    Mapped(crate::memfd::Mapping),
}

// SAFETY: the words are atomics and the pointer is owned: any thread may use and drop it.
// Test: `words_are_shared_between_threads`, under Miri.
unsafe impl Send for Memory {}
// SAFETY: shared access is through atomics only. Test: `words_are_shared_between_threads`, under Miri.
unsafe impl Sync for Memory {}

impl Memory {
    /// `len` zero words on the heap.
    pub(crate) fn heap(len: usize) -> Arc<Self> {
        let words: Box<[Word]> = (0..len).map(|_| Word::new(0)).collect();
        let start = NonNull::from(Box::leak(words)).cast();
        Arc::new(Self { start, len, backing: Backing::Heap })
    }

    /// The words of a mapping.
    #[cfg(not(loom))]
    pub(crate) fn mapped(mapping: crate::memfd::Mapping) -> Arc<Self> {
        let (start, len) = (mapping.start().cast(), mapping.octets() / size_of::<Word>());
        Arc::new(Self { start, len, backing: Backing::Mapped(mapping) })
    }

    /// What was mapped; `None` on the heap.
    #[cfg(not(loom))]
    pub(crate) fn mapping(&self) -> Option<&crate::memfd::Mapping> {
        match &self.backing {
            Backing::Heap => None,
            Backing::Mapped(mapping) => Some(mapping),
        }
    }

    fn is_writable(&self) -> bool {
        match &self.backing {
            Backing::Heap => true,
            #[cfg(not(loom))]
            Backing::Mapped(mapping) => mapping.is_writable(),
        }
    }

    /// All words, to read.
    pub(crate) fn words(&self) -> &[ReadWord] {
        // SAFETY: `start` points to `len` initialised words (zero pages or the leaked box) that live until `drop`;
        // `ReadWord` is a transparent `Word`. Test: `words_are_shared_between_threads`, under Miri.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast::<ReadWord>(), self.len) }
    }

    /// All words, to write; `None` where the pages are read-only.
    pub(crate) fn writable(&self) -> Option<&[Word]> {
        if !self.is_writable() {
            return None;
        }
        // SAFETY: as in `words`, and the pages may be written (checked above).
        // Test: `words_are_shared_between_threads`, under Miri.
        Some(unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) })
    }

    /// `len` words from `start`, to read; nothing when they do not lie inside.
    pub(crate) fn read(&self, start: usize, len: usize) -> &[ReadWord] {
        start.checked_add(len).and_then(|end| self.words().get(start..end)).unwrap_or_default()
    }

    /// `len` words from `start`, to write, for as long as the part lives.
    pub(crate) fn part(self: &Arc<Self>, start: usize, len: usize) -> Option<Part<[Word]>> {
        let words = self.writable()?.get(start..start.checked_add(len)?)?;
        Some(Part { at: NonNull::from(words), memory: Arc::clone(self) })
    }

    /// `N` words from `start`, to write.
    pub(crate) fn array<const N: usize>(self: &Arc<Self>, start: usize) -> Option<Part<[Word; N]>> {
        let words: &[Word; N] = self.writable()?.get(start..)?.first_chunk()?;
        Some(Part { at: NonNull::from(words), memory: Arc::clone(self) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match &self.backing {
            Backing::Heap => {
                let words = NonNull::slice_from_raw_parts(self.start, self.len);
                // SAFETY: `heap` leaked exactly this box, and nobody else frees it; every `Part` keeps an `Arc` of
                // `self`, so none is left. Test: `a_part_keeps_its_memory`, under Miri.
                drop(unsafe { Box::from_raw(words.as_ptr()) });
            }
            #[cfg(not(loom))]
            Backing::Mapped(_) => {} // unmaps itself
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} words)", self.len)
    }
}

/// Writable words inside a [`Memory`], which they keep alive.
pub(crate) struct Part<T: ?Sized> {
    at: NonNull<T>,
    memory: Arc<Memory>,
}

// SAFETY: a part is a shared borrow of atomics plus an `Arc` of their owner.
// Test: `words_are_shared_between_threads`, under Miri.
unsafe impl<T: ?Sized + Sync> Send for Part<T> {}
// SAFETY: as for `Send`. Test: `words_are_shared_between_threads`, under Miri.
unsafe impl<T: ?Sized + Sync> Sync for Part<T> {}

impl<T: ?Sized> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self { at: self.at, memory: Arc::clone(&self.memory) }
    }
}

impl<T: ?Sized> Deref for Part<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `at` came from a reference into `memory`, which lives as long as this part and never moves.
        // Test: `a_part_keeps_its_memory`, under Miri.
        unsafe { self.at.as_ref() }
    }
}

impl<T: ?Sized> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part of {:?}", self.memory)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::sync::{Ordering, Peek};

    #[test]
    fn words_are_shared_between_threads() {
        let memory = Memory::heap(16);
        let part = memory.part(8, 8).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| part[0].store(7, Ordering::Release));
            scope.spawn(|| while memory.words()[8].peek_acquire() != 7 {});
        });
        assert_eq!(memory.read(8, 1)[0].peek(), 7);
    }

    #[test]
    fn a_part_keeps_its_memory() {
        let part = Memory::heap(4).array::<2>(2).unwrap();
        part[1].store(9, Ordering::Relaxed);
        assert_eq!(part[1].load(Ordering::Relaxed), 9);
    }

    #[test]
    fn a_part_outside_is_refused() {
        let memory = Memory::heap(4);
        for (start, len) in [(0, 5), (4, 1), (5, 0), (usize::MAX, 2), (2, usize::MAX)] {
            assert!(memory.part(start, len).is_none(), "{len} words at {start}");
            assert!(memory.read(start, len).is_empty());
        }
        assert!(memory.array::<3>(2).is_none());
    }
}
