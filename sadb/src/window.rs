//! The anti-replay window (RFC 4303 §3.4.3, Appendix A2), safe for several workers at once without a lock.
//!
//! Sequence numbers are cut into blocks of 16. Block `b` lives in word `b mod n`, and the word says so itself: its
//! high 48 bits are the block's number, its low 16 the numbers received. A word whose block is older than the one
//! wanted counts as empty and is replaced; one whose block is newer means that the window has gone past. So nothing
//! has to be cleared when the window moves, however far, and no stale bit can be taken for a fresh one.
//!
//! Why a number can be accepted only once: acceptance is one compare-and-exchange on one word, and words only move
//! to newer blocks. After it the word either holds the bit (duplicate) or a newer block (late), for ever. Block
//! numbers are compared modulo 2^48: to make a newer block look older the window would have to travel 2^51 numbers
//! past it, and then `highest` refuses first. `n` is at least `width / 16 + 1`, so two blocks that share a word never
//! lie in one window.
//!
//! Relaxed orderings suffice: no other memory is published by the window, each guarantee rests on the order of
//! changes of a single word, and `highest` only grows. A worker that reads an old `highest` may accept a number that
//! another worker's packet has just pushed out of the window, as if it had come a moment earlier; never twice.
#[cfg(not(loom))]
pub use crate::handle::WindowHandle;
use crate::sync::{Ordering, Word};

/// Numbers that one word stands for.
pub(crate) const BLOCK: u32 = 16;
/// Bits of a word that hold the bitmap.
const BITMAP: u64 = 0xffff;

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Replay {
    /// Left of the window.
    #[error("left of the anti-replay window")]
    Late,
    /// Received before.
    #[error("received before")]
    Duplicate,
    /// Never sent by anybody (RFC 4303 §3.3.3).
    #[error("sequence number 0")]
    Zero,
}

/// One window: where its words are and how wide it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// The highest number received.
    pub(crate) highest: &'a Word,
    /// A power of two of words, at least `width / 16 + 1`.
    pub(crate) words: &'a [Word],
    /// In packets; 0 = accept everything.
    pub(crate) width: u32,
}

/// What a word says about the block somebody asks for.
enum Standing {
    /// It holds that block, with this bitmap.
    Same(u64),
    /// It holds a block of former times: nothing of the wanted block was received.
    Older,
    /// It holds a block that is only there because the window has moved past the wanted one.
    Newer,
}

fn standing(word: u64, block: u64) -> Standing {
    // both shifted into the high 48 bits: the signed difference compares them modulo 2^48
    match ((word & !BITMAP).wrapping_sub(block << 16) as i64).signum() {
        0 => Standing::Same(word & BITMAP),
        1 => Standing::Newer,
        _ => Standing::Older,
    }
}

impl Window<'_> {
    /// Everything up to `highest` counts as received; nothing after it.
    pub(crate) fn reset(&self, highest: u64) {
        let (top, count) = (highest / u64::from(BLOCK), self.words.len() as u64);
        for (word, index) in self.words.iter().zip(0..) {
            // the newest block not after `top` that lives here
            let block = top.checked_sub(top.wrapping_sub(index) & (count - 1));
            let bits = match block {
                None => 0,
                Some(block) if block == top => BITMAP >> (15 - highest % 16),
                Some(_) => BITMAP,
            };
            word.store(block.unwrap_or(0) << 16 | bits, Ordering::Relaxed);
        }
        self.highest.store(highest, Ordering::Relaxed);
    }

    /// The 64-bit number whose low half is `low` (RFC 4303 Appendix A2.2).
    pub(crate) fn infer(&self, low: u32, esn: bool) -> u64 {
        if !esn {
            return low.into();
        }
        let top = self.highest.load(Ordering::Relaxed);
        let (top_high, top_low) = ((top >> 32) as u32, top as u32);
        let before = self.width.saturating_sub(1); // numbers left of the top that the window covers
        let bottom = top_low.wrapping_sub(before);
        let high = match (top_low >= before, low >= bottom) {
            // Case A: the window lies within one subspace
            (true, true) => top_high,
            (true, false) => top_high.saturating_add(1), // saturated: stays left of the window, so refused
            // Case B: it reaches back into the former subspace, if there is one
            (false, true) => top_high.saturating_sub(1),
            (false, false) => top_high,
        };
        u64::from(high) << 32 | u64::from(low)
    }

    /// Whether `sequence` could be accepted now. Changes nothing (RFC 4303 §3.4.3).
    pub(crate) fn check(&self, sequence: u64) -> Result<(), Replay> {
        let Some((word, block, bit)) = self.place(sequence)? else { return Ok(()) };
        match standing(word.load(Ordering::Relaxed), block) {
            Standing::Same(bits) if bits & bit != 0 => Err(Replay::Duplicate),
            Standing::Newer => Err(Replay::Late),
            Standing::Same(_) | Standing::Older => Ok(()),
        }
    }

    /// Accepts `sequence`, whose ICV was verified: checks again, marks, moves the window. Of twins one wins.
    pub(crate) fn commit(&self, sequence: u64) -> Result<(), Replay> {
        if let Some((word, block, bit)) = self.place(sequence)? {
            mark(word, block, bit)?;
        }
        self.highest.fetch_max(sequence, Ordering::Relaxed);
        Ok(())
    }

    /// The word, block and bit of `sequence`; `None` when the window is off.
    fn place(&self, sequence: u64) -> Result<Option<(&Word, u64, u64)>, Replay> {
        if self.width == 0 {
            return Ok(None);
        }
        if sequence == 0 {
            return Err(Replay::Zero);
        }
        let left = self.highest.load(Ordering::Relaxed).saturating_sub(sequence);
        if left >= u64::from(self.width) {
            return Err(Replay::Late);
        }
        let block = sequence / u64::from(BLOCK);
        let index = block as usize & self.words.len().wrapping_sub(1);
        // the mask keeps the index inside; a window without words accepts nothing
        let word = self.words.get(index).ok_or(Replay::Late)?;
        Ok(Some((word, block, 1 << (sequence % u64::from(BLOCK)))))
    }
}

/// Sets the bit, replacing an older block.
fn mark(word: &Word, block: u64, bit: u64) -> Result<(), Replay> {
    let mut now = word.load(Ordering::Relaxed);
    loop {
        let next = match standing(now, block) {
            Standing::Same(bits) if bits & bit != 0 => return Err(Replay::Duplicate),
            Standing::Same(_) => now | bit,
            Standing::Older => block << 16 | bit,
            Standing::Newer => return Err(Replay::Late),
        };
        match word.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(other) => now = other,
        }
    }
}
