//! AES rounds on several vectors abreast, other work between them.
use super::lanes::Lanes;
use super::schedule::{ROUND_KEYS, RoundKeys};

/// Runs `$body` for `$i` from 0 up to `$count`, a constant of at most 10, each time with a constant `$i`:
/// unrolled by us, so that arrays of vectors are registers and not memory.
macro_rules! unrolled {
    ($i:ident < $count:expr => $body:block) => {
        unrolled!(@ $i, $count, $body, 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $i:ident, $count:expr, $body:block, $($number:literal)*) => {
        $(
            if $number < $count {
                const $i: usize = $number;
                $body
            }
        )*
    };
}
pub(super) use unrolled;

/// Runs `$body` with `$q` a constant for the number of vectors: 1 to 9, at most `$most`.
macro_rules! for_vectors {
    ($vectors:expr, $most:expr, $q:ident => $body:expr) => {
        for_vectors!(@ $vectors, $most, $q => $body; 1 2 3 4 5 6 7 8 9)
    };
    (@ $vectors:expr, $most:expr, $q:ident => $body:expr; $($number:literal)*) => {
        match $vectors {
            $($number => {
                const $q: usize = $number;
                if $q <= $most {
                    $body
                }
            })*
            _ => {}
        }
    };
}
pub(super) use for_vectors;

/// Work to do beside AES, in steps: the CPU runs it on what the rounds leave idle.
pub(super) trait Beside<L: Lanes> {
    /// Called after each of the first eight rounds, with the round's number from 0.
    fn step(&mut self, l: L, round: usize);
}

/// No such work.
impl<L: Lanes> Beside<L> for () {
    #[inline(always)]
    fn step(&mut self, _: L, _: usize) {}
}

/// Both.
impl<L: Lanes, A: Beside<L>, B: Beside<L>> Beside<L> for (A, B) {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        self.0.step(l, round);
        self.1.step(l, round);
    }
}

/// The round keys of one packet.
pub(super) trait Keys<L: Lanes>: Copy {
    /// Of round `number`, in every lane.
    fn key(self, l: L, number: usize) -> L::V;

    /// Of the last round of `rounds`.
    fn last(self, l: L, rounds: usize) -> L::V;
}

/// Loaded when they are needed: for a packet of a few vectors.
impl<L: Lanes> Keys<L> for &RoundKeys {
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn key(self, l: L, number: usize) -> L::V {
        l.splat_from(&self[number])
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "there are so many")]
    fn last(self, l: L, rounds: usize) -> L::V {
        l.splat_from(&self[rounds.min(ROUND_KEYS - 1)])
    }
}

/// Loaded before, for many vectors: in registers, where there are enough of them.
#[derive(Clone, Copy)]
pub(super) struct Loaded<L: Lanes>([L::V; ROUND_KEYS]);

impl<L: Lanes> Loaded<L> {
    /// All those of a key of `rounds` rounds.
    #[inline(always)]
    pub fn new(l: L, keys: &RoundKeys, rounds: usize) -> Self {
        let mut loaded = [l.zero(); ROUND_KEYS];
        unrolled!(I < 10 => { loaded[I] = l.splat_from(&keys[I]); });
        if rounds > 10 {
            loaded[10] = l.splat_from(&keys[10]);
            loaded[11] = l.splat_from(&keys[11]);
        }
        if rounds > 12 {
            loaded[12] = l.splat_from(&keys[12]);
            loaded[13] = l.splat_from(&keys[13]);
        }
        // an index that is not constant would keep them all in memory
        loaded[ROUND_KEYS - 1] = l.splat_from(keys.get(rounds).unwrap_or(&[0; 16]));
        Self(loaded)
    }
}

impl<L: Lanes> Keys<L> for &Loaded<L> {
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn key(self, _: L, number: usize) -> L::V {
        self.0[number]
    }

    #[inline(always)]
    fn last(self, _: L, _: usize) -> L::V {
        self.0[ROUND_KEYS - 1]
    }
}

/// One round for each number given, unrolled: all vectors before any goes on.
macro_rules! in_step {
    ($l:ident, $keys:ident, $states:ident, $($number:literal)*, $then:expr) => {
        $({
            for (state, keys) in $states.iter_mut().zip($keys) {
                let key = keys.key($l, $number);
                for v in state {
                    *v = $l.round(*v, key);
                    $l.fence(v);
                }
            }
            $then($number);
        })*
    };
}

/// Rounds 1 to `count` − 1 on `Q` vectors of `P` packets. `count`: 10, 12 or 14, the same for all.
#[inline(always)]
pub(super) fn rounds<L: Lanes, K: Keys<L>, const P: usize, const Q: usize>(
    l: L,
    keys: [K; P],
    count: usize,
    states: &mut [[L::V; Q]; P],
    beside: &mut impl Beside<L>,
) {
    in_step!(l, keys, states, 1 2 3 4 5 6 7 8, |round: usize| beside.step(l, round - 1));
    in_step!(l, keys, states, 9, |_: usize| ());
    if count > 10 {
        in_step!(l, keys, states, 10 11, |_: usize| ());
    }
    if count > 12 {
        in_step!(l, keys, states, 12 13, |_: usize| ());
    }
    // or a vector's last round might come before the others' last but one
    for v in states.as_flattened_mut() {
        l.fence(v);
    }
}
