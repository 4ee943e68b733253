//! The end of a packet, the whole of a short one: up to a group of vectors and what completes the lanes of its
//! hash, the last vector partly filled, and the length block.
use super::super::abreast::{Beside, unrolled};
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;
use super::stream::BLOCK;

/// Blocks of a tail of `octets`, the length block included.
#[inline(always)]
pub(super) const fn blocks(octets: usize) -> usize {
    octets.div_ceil(BLOCK) + 1
}

/// The fewest blocks of a tail behind a group: each lane of the group's hash is added to one, and one is text.
#[inline(always)]
pub(super) const fn least<L: Lanes>() -> usize {
    if L::LANES < 2 { 2 } else { L::LANES }
}

/// Vectors for a tail of `octets`: its blocks and the length block, which at one lane goes alone.
#[inline(always)]
pub(super) const fn vectors<L: Lanes>(octets: usize) -> usize {
    (octets.div_ceil(BLOCK) + with_length::<L>()).div_ceil(L::LANES)
}

/// Lanes that the length block takes behind the last block of text.
#[inline(always)]
const fn with_length<L: Lanes>() -> usize {
    if L::LANES == 1 { 0 } else { 1 }
}

/// Whether vector `q` of `Q` is whole. The packet's last block may lie in the last vector but one, if the
/// length block is alone in the last.
#[inline(always)]
const fn is_whole<L: Lanes, const Q: usize>(q: usize) -> bool {
    q + 1 + with_length::<L>() < Q
}

/// Where vector `q` starts, the end at most: an address that is not mapped costs a CPU hundreds of cycles,
/// even if all is masked out.
#[inline(always)]
fn start<L: Lanes>(octets: &[u8], q: usize) -> usize {
    octets.len().min(q * L::OCTETS)
}

/// All `Q` vectors, zeros behind the last octet.
#[inline(always)]
pub(super) fn read<L: Lanes, const Q: usize>(l: L, octets: &[u8]) -> [L::V; Q] {
    let mut texts = [l.zero(); Q];
    unrolled!(I < Q => {
        let (_, octets) = octets.split_at(start::<L>(octets, I));
        texts[I] = if is_whole::<L, Q>(I) { l.load(octets) } else { l.load_tail(octets) };
    });
    texts
}

/// As [`read`], the other way.
#[inline(always)]
pub(super) fn write<L: Lanes, const Q: usize>(l: L, octets: &mut [u8], texts: [L::V; Q]) {
    unrolled!(I < Q => {
        let (_, octets) = octets.split_at_mut(start::<L>(octets, I));
        if is_whole::<L, Q>(I) { l.store(octets, texts[I]) } else { l.store_tail(octets, texts[I]) }
    });
}

/// The first `len` octets of `texts`, then zeros.
#[inline(always)]
pub(super) fn cut<L: Lanes, const Q: usize>(l: L, len: usize, mut texts: [L::V; Q]) -> [L::V; Q] {
    unrolled!(I < Q => {
        if !is_whole::<L, Q>(I) {
            texts[I] = l.keep(texts[I], len.saturating_sub(I * L::OCTETS));
        }
    });
    texts
}

/// What is hashed of a tail.
#[derive(Clone, Copy)]
pub(super) struct Tail<'a, L: Lanes> {
    pub key: &'a GcmKey,
    /// Octets of the tail: at least one.
    pub len: usize,
    /// What to add to its first blocks.
    pub hash: L::V,
    /// The length block.
    pub lengths: u128,
}

impl<L: Lanes> Tail<'_, L> {
    /// Adds vector `q` of ciphertext to the hash, and the length block if it lies there. Zeros are behind
    /// the last octet.
    #[inline(always)]
    pub fn add<const Q: usize>(&self, l: L, sums: &mut Sums<L>, q: usize, text: L::V) {
        let blocks = blocks(self.len);
        let mut hashed = l.reverse(text);
        if q == 0 {
            hashed = l.xor(hashed, self.hash);
        }
        if q + 1 == Q && L::LANES > 1 {
            hashed = l.xor(hashed, l.at_lane(self.lengths, (blocks - 1) % L::LANES));
        }
        let (_, powers) = self.key.powers(blocks).split_at(q * L::OCTETS);
        sums.add(l, hashed, l.load(powers));
    }

    /// Adds the length block, where it goes alone.
    #[inline(always)]
    pub fn add_lengths(&self, l: L, sums: &mut Sums<L>) {
        if L::LANES == 1 {
            sums.add(l, l.at_lane(self.lengths, 0), l.load(self.key.powers(1)));
        }
    }

    /// The hash, all of `texts` in it.
    #[inline(always)]
    pub fn of<const Q: usize>(&self, l: L, texts: [L::V; Q]) -> L::V {
        let mut sums = Sums::new(l);
        unrolled!(I < Q => {
            self.add::<Q>(l, &mut sums, I, texts[I]);
        });
        self.add_lengths(l, &mut sums);
        sums.reduce(l)
    }
}

/// The tail of a long packet, hashed beside its decryption.
pub(super) struct Hashing<'a, L: Lanes, const Q: usize> {
    tail: Tail<'a, L>,
    texts: [L::V; Q],
    sums: Sums<L>,
}

impl<'a, L: Lanes, const Q: usize> Hashing<'a, L, Q> {
    #[inline(always)]
    pub fn new(l: L, tail: Tail<'a, L>, texts: [L::V; Q]) -> Self {
        Self { tail, texts, sums: Sums::new(l) }
    }

    /// The hash with the tail in it.
    #[inline(always)]
    pub fn finish(mut self, l: L) -> L::V {
        if Q == 9 {
            self.add(l, 8);
        }
        self.tail.add_lengths(l, &mut self.sums);
        self.sums.reduce(l)
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn add(&mut self, l: L, q: usize) {
        self.tail.add::<Q>(l, &mut self.sums, q, self.texts[q]);
        self.sums.fence(l);
    }
}

impl<L: Lanes, const Q: usize> Beside<L> for Hashing<'_, L, Q> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        if round < Q {
            self.add(l, round);
        }
    }
}
