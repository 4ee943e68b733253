//! Outbound sequence numbers (RFC 4303 §3.3.3): reserved in the region before they are used, so that no crash and no
//! second worker can make one appear twice under one key.
//!
//! The number is one word and changes by one compare-and-exchange. Relaxed is enough: nothing is published by it,
//! and all that matters is the order of changes of this one word, which every ordering keeps.
#[cfg(not(loom))]
pub use crate::handle::SequenceHandle;
use crate::sync::{Ordering, Word, look};

/// No number is left below the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sequence numbers are used up: {left} left below the limit, {wanted} wanted; rekey the SA"
)]
pub struct Exhausted {
    /// Numbers that a smaller reservation could still have.
    pub left: u64,
    /// Numbers asked for.
    pub wanted: u32,
}

/// Reserves `n` numbers after `*number`, none above `limit`; returns the first.
#[inline]
pub(crate) fn reserve(number: &Word, n: u32, limit: u64) -> Result<u64, Exhausted> {
    let mut last = look(number);
    loop {
        let left = limit.saturating_sub(last);
        if left < u64::from(n) || left == 0 {
            return Err(Exhausted { left, wanted: n });
        }
        // `last + n <= limit`, checked above: the sum cannot wrap
        let next = last + u64::from(n);
        match number.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(last + 1),
            Err(now) => last = now,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one_and_follow_each_other() {
        let number = Word::new(0);
        assert_eq!(reserve(&number, 1, 100), Ok(1));
        assert_eq!(reserve(&number, 32, 100), Ok(2));
        assert_eq!(reserve(&number, 1, 100), Ok(34));
    }

    #[test]
    fn no_number_passes_the_limit_or_wraps() {
        for limit in [5, u64::from(u32::MAX), (1 << 40) - 1, u64::MAX] {
            let number = Word::new(limit - 3);
            assert_eq!(reserve(&number, 4, limit), Err(Exhausted { left: 3, wanted: 4 }));
            assert_eq!(reserve(&number, 3, limit), Ok(limit - 2));
            assert_eq!(reserve(&number, 1, limit), Err(Exhausted { left: 0, wanted: 1 }));
            assert_eq!(number.load(Ordering::Relaxed), limit);
        }
    }

    #[test]
    fn a_number_already_above_the_limit_is_exhausted() {
        assert_eq!(reserve(&Word::new(u64::MAX), 1, 7), Err(Exhausted { left: 0, wanted: 1 }));
    }

    #[test]
    fn workers_never_share_a_number() {
        let number = Word::new(0);
        let rounds = if cfg!(miri) { 20 } else { 10_000 };
        let take =
            || (0..rounds).map(|_| reserve(&number, 3, u64::MAX).unwrap()).collect::<Vec<_>>();
        let mut firsts = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        firsts.sort_unstable();
        assert!(firsts.iter().zip(0..).all(|(&first, n)| first == 1 + 3 * n));
    }
}
