//! Whole groups of vectors: the long middle of a long packet.
use super::super::abreast::{Beside, unrolled};
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;

/// A whole group of ciphertext to hash.
pub(super) struct Hashing<'a, L: Lanes, const N: usize> {
    key: &'a GcmKey,
    octets: &'a [u8],
    sums: Sums<L>,
    /// The hash of what lies in front, to be added to the group's first blocks.
    hash: L::V,
    last: bool,
}

impl<'a, L: Lanes, const N: usize> Hashing<'a, L, N> {
    /// A group that is not the last whole one. The hash stays spread over the lanes: all multiply by the
    /// same powers, and what lane j lacks, H to the −j, the powers of the last group make good.
    #[inline(always)]
    pub fn in_lanes(l: L, key: &'a GcmKey, octets: &'a [u8], hash: L::V) -> Self {
        Self { key, octets, sums: Sums::new(l), hash, last: false }
    }

    /// The last whole group. Its hash is in lane 0.
    #[inline(always)]
    pub fn last(l: L, key: &'a GcmKey, octets: &'a [u8], hash: L::V) -> Self {
        Self { key, octets, sums: Sums::new(l), hash, last: true }
    }

    /// All of it, where no AES is at hand.
    #[inline(always)]
    pub fn alone(mut self, l: L) -> L::V {
        unrolled!(I < N => {
            self.hash_vector(l, I);
        });
        self.finish(l)
    }

    /// The hash with the group in it.
    #[inline(always)]
    pub fn finish(self, l: L) -> L::V {
        if self.last { self.sums.reduce(l) } else { self.sums.reduce_lanes(l) }
    }

    #[inline(always)]
    fn hash_vector(&mut self, l: L, q: usize) {
        let octets = self.octets.get(q * L::OCTETS..).unwrap_or(&[]);
        let mut blocks = l.reverse(l.load(octets));
        if q == 0 {
            blocks = l.xor(blocks, self.hash);
        }
        let exponent = (N - q) * L::LANES;
        let power =
            if self.last { l.load(self.key.powers(exponent)) } else { self.key.power(l, exponent) };
        self.sums.add(l, blocks, power);
    }
}

impl<L: Lanes, const N: usize> Beside<L> for Hashing<'_, L, N> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        let every = 8 / N;
        if round.is_multiple_of(every) {
            self.hash_vector(l, round / every);
            self.sums.fence(l);
        }
    }
}
