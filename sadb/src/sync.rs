//! Atomics: the machine's, or loom's when a model is checked.
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64 as Word, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64 as Word, Ordering, fence};

/// A word that may be read only: what a reader's mapping consists of. It has no way to store.
#[repr(transparent)]
pub(crate) struct ReadWord(Word);

/// Reading a word that another process may be writing.
pub(crate) trait Peek {
    /// A relaxed load: the one kind that Rust allows on read-only pages.
    fn peek(&self) -> u64;
    /// A load with acquire semantics, as a relaxed load and a fence for the same reason.
    fn peek_acquire(&self) -> u64 {
        let value = self.peek();
        fence(Ordering::Acquire);
        value
    }
}
impl Peek for Word {
    fn peek(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }
}
impl Peek for ReadWord {
    fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A relaxed load of a word that this thread will change depending on what it sees.
///
/// For loom it is a change by nothing: loom's search remembers only the last access to each word, so that a plain load
/// hides the loads of other threads, and orders that matter would not be tried.
pub(crate) fn look(word: &Word) -> u64 {
    #[cfg(loom)]
    return word.fetch_or(0, Ordering::Relaxed);
    #[cfg(not(loom))]
    word.load(Ordering::Relaxed)
}

/// While another thread finishes.
pub(crate) fn pause() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    core::hint::spin_loop();
}
