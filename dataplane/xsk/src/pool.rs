//! A worker's stack of empty frames.

use crate::frame::{Frame, HEADROOM};
use crate::umem::Umem;

/// How many frames move between a pool and the spare queue at a time.
const BATCH: usize = 64;

/// Empty frames of one worker, last in first out, so that a frame is reused while it is in cache.
///
/// Frames migrate: one worker receives what another's socket sends. A pool that grows past its
/// limit spills to the UMEM's lock-free spare queue, and an empty one refills from it.
#[derive(Debug)]
pub struct Pool {
    umem: &'static Umem,
    frames: Vec<Frame>,
    keep: usize,
}

impl Pool {
    /// A pool that keeps up to a sixteenth of the UMEM's frames, and not more than 512.
    pub fn new(umem: &'static Umem) -> Self {
        Self::keeping(umem, (umem.frames() / 16).min(512))
    }

    /// A pool that keeps up to `keep` frames (at least one). What pools keep, others miss: together
    /// with the fill rings it must leave some of the UMEM over.
    pub fn keeping(umem: &'static Umem, keep: usize) -> Self {
        let keep = keep.max(1);
        Self { umem, frames: Vec::with_capacity(keep), keep }
    }

    /// An empty frame with [`HEADROOM`] octets before it, or `None` when all frames are in use.
    #[inline]
    pub fn take(&mut self) -> Option<Frame> {
        if self.frames.is_empty() {
            self.refill();
        }
        self.frames.pop()
    }

    /// An empty large frame, or `None` when all are in use or the UMEM has none. The pool keeps none
    /// for itself: they are few, and for all workers.
    pub fn take_large(&mut self) -> Option<Frame> {
        self.umem.large()?.take()
    }

    /// Takes a frame back, whatever is in it. A frame of another UMEM goes home to that one.
    #[inline]
    pub fn put(&mut self, mut frame: Frame) {
        if !frame.lives_in(self.umem) {
            return;
        }
        frame.poison();
        frame.reset(HEADROOM);
        if self.frames.len() >= self.keep {
            self.spill();
        }
        self.frames.push(frame);
    }

    /// Frames in the pool now (not those in the spare queue).
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether the pool is empty. There may be spare frames all the same.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The UMEM this pool serves.
    pub const fn umem(&self) -> &'static Umem {
        self.umem
    }

    fn refill(&mut self) {
        let want = BATCH.min(self.keep);
        self.frames.extend(std::iter::from_fn(|| self.umem.take()).take(want));
    }

    /// The coldest frames go; dropping a frame sends it to the spare queue.
    fn spill(&mut self) {
        let count = BATCH.min(self.keep.div_ceil(2));
        self.frames.drain(..count).for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out() {
        let umem = Umem::new(8, 2048).unwrap();
        let mut pool = Pool::new(umem);
        let frame = pool.take().unwrap();
        let index = frame.index();
        pool.put(frame);
        assert_eq!(pool.take().unwrap().index(), index);
    }

    #[test]
    fn frames_that_migrate_come_back_through_the_spare_queue() {
        let umem = Umem::new(256, 2048).unwrap();
        let (mut receiver, mut sender) = (Pool::keeping(umem, 64), Pool::keeping(umem, 64));
        for _ in 0..if cfg!(miri) { 300 } else { 4096 } {
            sender.put(receiver.take().expect("the sender's surplus is shared"));
        }
        assert_eq!(receiver.len() + sender.len() + umem.spare(), umem.frames());
        assert!(sender.len() <= 64);
    }

    #[test]
    fn a_pool_cannot_keep_a_small_umem_to_itself() {
        let umem = Umem::new(64, 2048).unwrap();
        let (mut receiver, mut sender) = (Pool::new(umem), Pool::new(umem));
        for _ in 0..if cfg!(miri) { 100 } else { 1000 } {
            sender.put(receiver.take().expect("the sender keeps four at most"));
        }
    }

    #[test]
    fn an_exhausted_umem_is_none_and_not_a_fault() {
        let umem = Umem::new(2, 2048).unwrap();
        let mut pool = Pool::new(umem);
        let held = [pool.take(), pool.take()];
        assert!(held.iter().all(Option::is_some));
        assert!(pool.take().is_none());
        drop(held);
        assert!(pool.take().is_some());
    }

    #[test]
    fn a_frame_of_another_umem_goes_home() {
        let (ours, other) = (Umem::new(2, 2048).unwrap(), Umem::new(2, 4096).unwrap());
        let mut pool = Pool::new(ours);
        pool.put(other.take().unwrap());
        assert_eq!((pool.len(), other.spare()), (0, 2));
    }

    #[test]
    fn large_frames_are_lent_one_by_one_and_go_home() {
        let umem = Umem::with_large(2, 2048, 1).unwrap();
        let (mut one, mut other) = (Pool::new(umem), Pool::new(umem));
        let large = one.take_large().unwrap();
        assert!(other.take_large().is_none());
        one.put(large);
        assert!(one.is_empty() && other.take_large().is_some());
        assert!(Pool::new(Umem::new(2, 2048).unwrap()).take_large().is_none());
    }

    #[test]
    fn a_frame_from_the_pool_is_empty_with_headroom() {
        let umem = Umem::new(1, 2048).unwrap();
        let mut pool = Pool::new(umem);
        let mut frame = pool.take().unwrap();
        frame.fill(b"secret").unwrap();
        frame.push(200).unwrap();
        pool.put(frame);
        let frame = pool.take().unwrap();
        assert_eq!((frame.len(), frame.headroom()), (0, HEADROOM));
    }
}
