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
use crate::sync::{Ordering, Word, look};

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

    /// Where a packet with these low 32 bits of its number will look: there are fewer words than bits.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn word_of(&self, low: u32) -> Option<&Word> {
        self.words.get((low / BLOCK) as usize & self.words.len().wrapping_sub(1))
    }

    /// The 64-bit number whose low half is `low` (RFC 4303 Appendix A2.2).
    pub(crate) fn infer(&self, low: u32, esn: bool) -> u64 {
        if !esn {
            return low.into();
        }
        let top = look(self.highest);
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
        match standing(look(word), block) {
            Standing::Same(bits) if bits & bit != 0 => Err(Replay::Duplicate),
            Standing::Newer => Err(Replay::Late),
            Standing::Same(_) | Standing::Older => Ok(()),
        }
    }

    /// Accepts `sequence`, whose ICV was verified: checks again, marks, moves the window. Of twins one wins.
    pub(crate) fn commit(&self, sequence: u64) -> Result<(), Replay> {
        self.mark(sequence)?;
        self.advance(sequence);
        Ok(())
    }

    /// The first half of [`Window::commit`]: marks. The window moves later, for several numbers at once.
    pub(crate) fn mark(&self, sequence: u64) -> Result<(), Replay> {
        match self.place(sequence)? {
            Some((word, block, bit)) => mark(word, block, bit),
            None => Ok(()),
        }
    }

    /// The second half: moves the window, if `sequence` is the highest.
    pub(crate) fn advance(&self, sequence: u64) {
        self.highest.fetch_max(sequence, Ordering::Relaxed);
    }

    /// The word, block and bit of `sequence`; `None` when the window is off.
    fn place(&self, sequence: u64) -> Result<Option<(&Word, u64, u64)>, Replay> {
        if self.width == 0 {
            return Ok(None);
        }
        if sequence == 0 {
            return Err(Replay::Zero);
        }
        let left = look(self.highest).saturating_sub(sequence);
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
    let mut now = look(word);
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

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::layout::window_words;
    use proptest::prelude::*;

    /// Miri would need minutes for the wide ones, and they take the same code.
    const WIDTHS: &[u32] =
        if cfg!(miri) { &[32, 64] } else { &[32, 64, 128, 256, 1024, 4096, 65536] };

    struct Owned {
        highest: Word,
        words: Vec<Word>,
        width: u32,
    }
    impl Owned {
        fn new(width: u32, highest: u64) -> Self {
            let words = (0..window_words(width)).map(|_| Word::new(0)).collect();
            let owned = Self { highest: Word::new(0), words, width };
            owned.view().reset(highest);
            owned
        }
        fn view(&self) -> Window<'_> {
            Window { highest: &self.highest, words: &self.words, width: self.width }
        }
        /// What a receiver does with a packet whose ICV is right for `sequence`: infers from the low half; a wrong
        /// guess means a wrong ICV, and nothing changes.
        fn receive(&self, sequence: u64, esn: bool) -> Verdict {
            let view = self.view();
            let inferred = view.infer(sequence as u32, esn);
            if let Err(replay) = view.check(inferred) {
                return Verdict::Refused(replay);
            }
            if inferred != sequence {
                return Verdict::WrongGuess(inferred);
            }
            view.commit(sequence).map_or_else(Verdict::Refused, |()| Verdict::Accepted)
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Verdict {
        Accepted,
        Refused(Replay),
        WrongGuess(u64),
    }
    use Verdict::{Accepted, Refused, WrongGuess};

    /// The definition: one entry per number ever accepted, and nothing clever.
    struct Reference {
        highest: u64,
        width: u64,
        seen: std::collections::BTreeSet<u64>,
        /// Everything up to here counts as seen.
        floor: u64,
    }
    impl Reference {
        fn new(width: u32, floor: u64) -> Self {
            Self { highest: floor, width: width.into(), seen: Default::default(), floor }
        }
        fn commit(&mut self, sequence: u64) -> Result<(), Replay> {
            if sequence == 0 {
                return Err(Replay::Zero);
            }
            if sequence.saturating_add(self.width) <= self.highest {
                return Err(Replay::Late);
            }
            if sequence <= self.floor || !self.seen.insert(sequence) {
                return Err(Replay::Duplicate);
            }
            self.highest = self.highest.max(sequence);
            Ok(())
        }
    }

    /// One step of a stream, relative to the top where that is interesting.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let near = -80i64..80;
        let edges = prop::sample::select(vec![
            -65537, -65536, -65535, -1024, -1023, -64, -63, -33, -32, -31, -17, -16,
        ]);
        let far = prop_oneof![
            0i64..70_000,
            0i64..1 << 33,
            prop::sample::select(vec![1 << 20, (1 << 32) - 1, 1 << 32])
        ];
        prop::collection::vec(prop_oneof![6 => near, 2 => edges, 1 => far], 1..300)
    }

    fn starts() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            1u64..100_000,
            Just(u64::from(u32::MAX)),
            1u64 << 40..1 << 63,
            Just((1 << 52) - 20)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_window_is_its_slow_reference(steps in steps(), start in starts()) {
            for &width in WIDTHS {
                let (window, mut reference) = (Owned::new(width, start), Reference::new(width, start));
                for step in &steps {
                    let sequence = reference.highest.saturating_add_signed(*step);
                    let before = window.view().check(sequence);
                    let expected = reference.commit(sequence);
                    prop_assert_eq!(before, expected, "check of {} in {}", sequence, width);
                    prop_assert_eq!(window.view().commit(sequence), expected, "{} in {}", sequence, width);
                    prop_assert_eq!(window.highest.load(Ordering::Relaxed), reference.highest);
                }
            }
        }

        #[test]
        fn a_number_near_the_window_is_inferred_rightly(start in 1u64 << 33..1 << 62, step in -31i64..1 << 31) {
            // RFC 4303 App. A2: right as long as the packet is in the window or less than 2^32 - W ahead
            let window = Owned::new(32, start);
            let sequence = start.saturating_add_signed(step);
            prop_assert_eq!(window.view().infer(sequence as u32, true), sequence);
        }
    }

    /// RFC 4303 Appendix A2.1: the two positions of the window, and where a packet may fall.
    /// Rows: name, the highest number received, the number sent, what becomes of it. `w` is the width.
    fn esn_cases(w: u64) -> Vec<(&'static str, u64, u64, Verdict)> {
        let th = 5u64 << 32;
        let a = th + (1 << 20); // Tl >= W - 1: the window lies in one subspace
        let b = th + w / 2; // Tl < W - 1: it reaches into the former one
        let next = 6u64 << 32;
        vec![
            ("A a: inside, new", a, a - w / 2, Accepted),
            ("A b: inside, at the left edge", a, a - w + 1, Accepted),
            ("A c: the top again", a, a, Refused(Replay::Duplicate)),
            ("A d: one right of the top", a, a + 1, Accepted),
            ("A e: far right, same subspace", a, th + 0xffff_ffff, Accepted),
            ("A f: next subspace, its first number", a, next, Accepted),
            (
                "A g: next subspace, just below the window's low half",
                a,
                next + (1 << 20) - w,
                Accepted,
            ),
            (
                "A h: one left of the window is taken for the next subspace",
                a,
                a - w,
                WrongGuess(a - w + (1 << 32)),
            ),
            (
                "A i: next subspace, inside the window's low half",
                a,
                next + (1 << 20),
                Refused(Replay::Duplicate),
            ),
            ("B a: former subspace, inside", b, th - 1, Accepted),
            ("B b: former subspace, at the left edge", b, b - w + 1, Accepted),
            ("B c: the top again", b, b, Refused(Replay::Duplicate)),
            ("B d: this subspace, inside, its first number", b, th, Accepted),
            ("B e: this subspace, right of the top", b, b + 1, Accepted),
            ("B f: this subspace, far right", b, th + 0x8000_0000, Accepted),
            (
                "B g: one left of the window is taken for this subspace",
                b,
                b - w,
                WrongGuess(b - w + (1 << 32)),
            ),
            ("B h: the first subspace has none before it", w / 2, 0xffff_ffff, Accepted),
        ]
    }

    fn no_esn_cases(w: u64) -> Vec<(&'static str, u64, u64, Verdict)> {
        let a = 1u64 << 20;
        let b = w / 2;
        vec![
            ("A a: inside, new", a, a - w + 1, Accepted),
            ("A b: right of the top", a, a + w, Accepted),
            ("A c: left of the window", a, a - w, Refused(Replay::Late)),
            ("B a: inside, new", b, 1, Accepted),
            ("B b: right of the top, up to the last number", b, 0xffff_ffff, Accepted),
        ]
    }

    /// A window whose top is `highest` and in which nothing else was received.
    fn at(width: u32, highest: u64) -> Owned {
        let window = Owned::new(width, highest.saturating_sub(u64::from(width) + 1));
        window.view().commit(highest).unwrap();
        window
    }

    #[test]
    fn rfc_4303_appendix_a2_cases() {
        for &width in WIDTHS {
            let cases = esn_cases(width.into());
            assert_eq!(cases.len() + no_esn_cases(width.into()).len(), 22);
            for (name, highest, sent, expected) in cases {
                assert_eq!(
                    at(width, highest).receive(sent, true),
                    expected,
                    "ESN {name}, width {width}"
                );
            }
            for (name, highest, sent, expected) in no_esn_cases(width.into()) {
                assert_eq!(
                    at(width, highest).receive(sent, false),
                    expected,
                    "{name}, width {width}"
                );
            }
        }
    }

    #[test]
    fn sequence_zero_is_refused_while_the_window_is_on() {
        assert_eq!(Owned::new(32, 0).view().commit(0), Err(Replay::Zero));
        assert_eq!(Owned::new(32, 1 << 40).view().check(0), Err(Replay::Zero));
        // 2^32 has a low half of 0 and is a good number with ESN
        assert_eq!(at(32, (1 << 32) - 1).receive(1 << 32, true), Accepted);
    }

    #[test]
    fn a_window_that_is_off_accepts_everything_and_follows_the_top() {
        let window = Owned::new(0, 0);
        for sequence in [5, 5, 0, 9, 2] {
            assert_eq!(window.view().check(sequence).and(window.view().commit(sequence)), Ok(()));
        }
        assert_eq!(window.highest.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn a_check_changes_nothing() {
        let window = at(64, 1000);
        let state =
            || window.words.iter().map(|word| word.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let before = state();
        for sequence in [0, 1, 936, 937, 999, 1000, 1001, 1 << 40, u64::MAX] {
            let _ = window.view().check(sequence);
            window.view().infer(sequence as u32, true);
        }
        assert_eq!((state(), window.highest.load(Ordering::Relaxed)), (before, 1000));
    }

    #[test]
    fn everything_before_a_restored_top_counts_as_received() {
        for top in [1, 15, 16, 17, 31, 1000, (1 << 40) + 7, u64::MAX] {
            let window = Owned::new(64, top);
            for sequence in top.saturating_sub(63).max(1)..=top {
                assert_eq!(
                    window.view().check(sequence),
                    Err(Replay::Duplicate),
                    "{sequence} below {top}"
                );
            }
            if let Some(next) = top.checked_add(1) {
                assert_eq!(window.view().commit(next), Ok(()));
            }
        }
    }

    #[test]
    fn the_last_subspace_has_none_after_it() {
        let window = at(32, u64::MAX - 5);
        assert_eq!(window.view().infer(3, true), u64::from(u32::MAX) << 32 | 3);
        assert_eq!(window.view().check(window.view().infer(3, true)), Err(Replay::Late));
    }

    #[test]
    fn words_of_nonsense_refuse_or_accept_but_never_panic() {
        for word in [0, u64::MAX, 1 << 63, 0xffff, !0xffff] {
            for highest in [0, 1, 1 << 40, u64::MAX] {
                let window = Owned::new(32, 0);
                window.words.iter().for_each(|it| it.store(word, Ordering::Relaxed));
                window.highest.store(highest, Ordering::Relaxed);
                for sequence in [0, 1, 16, 1 << 40, u64::MAX] {
                    let _ = window.view().check(window.view().infer(sequence as u32, true));
                    let _ = window.view().commit(sequence);
                }
            }
        }
        let none = Window { highest: &Word::new(0), words: &[], width: 32 };
        assert_eq!(none.commit(1), Err(Replay::Late));
    }

    #[test]
    fn workers_together_accept_each_number_once() {
        let count = if cfg!(miri) { 60 } else { 20_000 };
        let window = Owned::new(1024, 0);
        let accepted = std::thread::scope(|scope| {
            let run =
                || (1..=count).filter(|&n| window.view().commit(n).is_ok()).collect::<Vec<_>>();
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        let once: std::collections::BTreeSet<_> = accepted.iter().collect();
        assert_eq!(once.len(), accepted.len());
        assert_eq!(window.highest.load(Ordering::Relaxed), count);
    }
}
