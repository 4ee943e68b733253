//! A record that one writer changes while anybody reads: a seqlock with two copies.
//!
//! Word 0 counts writes; copy `count & 1` is the valid one. The writer fills the *other* copy and then raises the
//! count, so a writer killed at any instruction leaves the former value whole, and a reader never waits for one.
//! The last word of each copy is a checksum, against a writer gone mad.
//!
//! Orderings: the count's Release store pairs with the reader's first Acquire load (the copy is whole). The writer's
//! Release fence before filling pairs with the reader's Acquire fence after copying: a reader that saw any word of a
//! later write also sees a later count, and tries again.
use crate::codec::checksum;
use crate::sync::{Ordering, Peek, Word, fence, look, pause};

/// Attempts before a reader gives up on a writer that never pauses.
const ATTEMPTS: u32 = 1000;

/// Words a latch needs for `payload` words.
pub(crate) const fn words(payload: usize) -> usize {
    1 + 2 * (payload + 1)
}

/// Why a latch could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Changed under us at every attempt.
    Torn,
    /// The checksum, which is given, is wrong.
    Damaged(u64),
}

/// Copies the record to `out`. `Ok(false)` = nothing was ever written.
pub(crate) fn read<W: Peek, const N: usize>(
    latch: &[W],
    out: &mut [u64; N],
) -> Result<bool, Unreadable> {
    let Some((count, copies)) = latch.split_first() else { return Err(Unreadable::Torn) };
    for _ in 0..ATTEMPTS {
        let before = count.peek_acquire();
        if before == 0 {
            return Ok(false);
        }
        let sum = copy_out(copies, before, out);
        fence(Ordering::Acquire);
        if count.peek() == before {
            return if sum == checksum(out) { Ok(true) } else { Err(Unreadable::Damaged(sum)) };
        }
        pause();
    }
    Err(Unreadable::Torn)
}

/// The words of the copy that `count` names; returns its checksum word.
fn copy_out<W: Peek, const N: usize>(copies: &[W], count: u64, out: &mut [u64; N]) -> u64 {
    let start = (count & 1) as usize * (N + 1);
    let mut from = copies.iter().skip(start);
    for (to, word) in out.iter_mut().zip(&mut from) {
        *to = word.peek();
    }
    from.next().map_or(0, Peek::peek)
}

/// Replaces the record. One writer at a time: callers hold the writing role exclusively.
pub(crate) fn write<const N: usize>(latch: &[Word], record: &[u64; N]) {
    let Some((count, copies)) = latch.split_first() else { return };
    let next = match look(count).wrapping_add(1) {
        0 => 2, // 0 says "never written"; 2 has the same parity
        next => next,
    };
    fence(Ordering::Release);
    let start = (next & 1) as usize * (N + 1);
    let words = record.iter().copied().chain([checksum(record)]);
    for (to, word) in copies.iter().skip(start).zip(words) {
        to.store(word, Ordering::Relaxed);
    }
    count.store(next, Ordering::Release);
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn an_unwritten_record_reads_as_nothing() {
        let memory = Memory::heap(words(3));
        assert_eq!(read(memory.words(), &mut [0; 3]), Ok(false));
    }

    #[test]
    fn the_last_write_is_read() {
        let memory = Memory::heap(words(3));
        let mut out = [0; 3];
        for record in [[1, 2, 3], [4, 5, 6], [0, 0, 0]] {
            write(memory.writable().unwrap(), &record);
            assert_eq!(read(memory.words(), &mut out), Ok(true));
            assert_eq!(out, record);
        }
    }

    #[test]
    fn a_writer_killed_half_way_leaves_the_former_record() {
        let memory = Memory::heap(words(2));
        let latch = memory.writable().unwrap();
        write(latch, &[1, 2]);
        latch[1].store(99, Ordering::Relaxed); // the first word of the copy that the next write would fill
        let mut out = [0; 2];
        assert_eq!(read(latch, &mut out), Ok(true));
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn a_wrong_word_or_checksum_is_noticed() {
        for word in 4..7 {
            let memory = Memory::heap(words(2));
            let latch = memory.writable().unwrap();
            write(latch, &[1, 2]);
            latch[word].fetch_xor(1 << 40, Ordering::Relaxed);
            assert!(matches!(read(latch, &mut [0; 2]), Err(Unreadable::Damaged(_))), "word {word}");
        }
    }

    #[test]
    fn the_count_skips_zero_when_it_comes_round() {
        let memory = Memory::heap(words(1));
        let latch = memory.writable().unwrap();
        latch[0].store(u64::MAX, Ordering::Relaxed);
        write(latch, &[7]);
        let mut out = [0];
        assert_eq!((read(latch, &mut out), out), (Ok(true), [7]));
    }

    #[test]
    fn readers_never_see_a_mixture() {
        let memory = Memory::heap(words(4));
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=rounds).for_each(|n| write(memory.writable().unwrap(), &[n; 4])));
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut out = [0; 4];
                    while out[0] != rounds {
                        // Torn = the writer was faster a thousand times over; a mixture would be Damaged
                        if let Ok(true) | Err(Unreadable::Damaged(_)) =
                            read(memory.words(), &mut out)
                        {
                            assert!(out.iter().all(|&word| word == out[0]), "{out:?}");
                        }
                    }
                });
            }
        });
    }
}
