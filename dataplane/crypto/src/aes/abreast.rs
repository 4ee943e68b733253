//! AES rounds on several vectors abreast, other work between them.
use super::lanes::Lanes;
use super::schedule::RoundKeys;

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

/// One round for each number given, unrolled: all vectors before any goes on.
macro_rules! in_step {
    ($l:ident, $keys:ident, $states:ident, $($number:literal)*, $then:expr) => {
        $({
            for (state, keys) in $states.iter_mut().zip($keys) {
                let key = $l.splat_from(&keys[$number]);
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
pub(super) fn rounds<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    keys: [&RoundKeys; P],
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
}
