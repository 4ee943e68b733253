//! Whole groups of vectors: the long middle of a long packet.
use super::super::abreast::{Beside, unrolled};
use super::super::ghash::{Reduction, Sums};
use super::super::lanes::Lanes;
use super::GcmKey;
use super::tail;

/// A whole group of ciphertext to hash. The hash stays spread over the lanes: all of them multiply by the same
/// powers, and what lane j lacks, H to the −j, the powers of the tail make good.
pub(super) struct Hashing<'a, L: Lanes, const N: usize> {
    key: &'a GcmKey,
    texts: [L::V; N],
    /// The hash of what lies in front, to be added to the group's first blocks.
    before: Reduction<L>,
    sums: Sums<L>,
}

/// Octets of the groups of `N` vectors in front of a tail that the lanes of their hash fit into.
#[inline(always)]
pub(super) const fn octets_in_groups<L: Lanes, const N: usize>(octets: usize) -> usize {
    let of_group = N * L::OCTETS;
    tail::blocks(octets).saturating_sub(tail::least::<L>()) / (N * L::LANES) * of_group
}

impl<'a, L: Lanes, const N: usize> Hashing<'a, L, N> {
    /// `before`: what lies in front.
    #[inline(always)]
    pub fn new(l: L, key: &'a GcmKey, texts: [L::V; N], before: Sums<L>) -> Self {
        Self { key, texts, before: Reduction::new(before), sums: Sums::new(l) }
    }

    /// All of it, where no AES is at hand.
    #[inline(always)]
    pub fn alone(mut self, l: L) -> Sums<L> {
        unrolled!(I < 8 => {
            self.step(l, I);
        });
        self.finish()
    }

    /// What lies in front of the next group.
    #[inline(always)]
    pub fn finish(self) -> Sums<L> {
        self.sums
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn hash_vector(&mut self, l: L, q: usize) {
        let mut blocks = l.reverse(self.texts[q]);
        if q == 0 {
            blocks = l.xor(blocks, self.before.lanes());
        }
        self.sums.add(l, blocks, self.key.power(l, (N - q) * L::LANES));
    }
}

/// The first vector comes last: it waits for the hash of what lies in front.
impl<L: Lanes, const N: usize> Beside<L> for Hashing<'_, L, N> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        const { assert!(8 / N * (N - 1) >= Reduction::<L>::DONE) }
        self.before.step(l, round);
        let every = 8 / N;
        if round.is_multiple_of(every) {
            self.hash_vector(l, (round / every + 1) % N);
            self.sums.fence(l);
        }
    }
}
