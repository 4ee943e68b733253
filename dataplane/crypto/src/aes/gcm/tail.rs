//! The end of a packet, the whole of a short one: up to a group of vectors and what completes the lanes of its
//! hash, the last vector partly filled, and the length block.
use super::super::abreast::{Beside, unrolled};
use super::super::ghash::{Reduction, Sums};
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
pub(super) struct Tail<'a> {
    pub key: &'a GcmKey,
    /// Octets of the tail: at least one.
    pub len: usize,
    /// The length block.
    pub lengths: u128,
}

impl Tail<'_> {
    /// Adds vector `q` of ciphertext to the sums, and the length block if it lies there. Zeros are behind
    /// the last octet. `before`: what to add to the first vector.
    #[inline(always)]
    pub fn add<L: Lanes, const Q: usize>(
        &self,
        l: L,
        sums: &mut Sums<L>,
        q: usize,
        text: L::V,
        before: L::V,
    ) {
        let blocks = blocks(self.len);
        let mut hashed = l.reverse(text);
        if q == 0 {
            hashed = l.xor(hashed, before);
        }
        if q + 1 == Q && L::LANES > 1 {
            hashed = l.xor(hashed, l.at_lane(self.lengths, (blocks - 1) % L::LANES));
        }
        let (_, powers) = self.key.powers(blocks).split_at(q * L::OCTETS);
        sums.add(l, hashed, l.load(powers));
    }

    /// Adds the length block, where it goes alone.
    #[inline(always)]
    pub fn add_lengths<L: Lanes>(&self, l: L, sums: &mut Sums<L>) {
        if L::LANES == 1 {
            sums.add(l, l.at_lane(self.lengths, 0), l.load(self.key.powers(1)));
        }
    }
}

/// The tail of a long packet, hashed beside AES.
pub(super) struct Hashing<'a, L: Lanes, const Q: usize> {
    tail: Tail<'a>,
    texts: [L::V; Q],
    /// The hash of what lies in front.
    before: Reduction<L>,
    sums: Sums<L>,
}

impl<'a, L: Lanes, const Q: usize> Hashing<'a, L, Q> {
    /// When the first vector's turn is: last, because it waits for the hash of what lies in front.
    const FIRST: usize = if Q > Reduction::<L>::DONE { Q - 1 } else { Reduction::<L>::DONE };

    #[inline(always)]
    pub fn new(l: L, tail: Tail<'a>, texts: [L::V; Q], before: Sums<L>) -> Self {
        Self { tail, texts, before: Reduction::new(before), sums: Sums::new(l) }
    }

    /// All of it, where no AES is at hand.
    #[inline(always)]
    pub fn alone(mut self, l: L) -> Sums<L> {
        unrolled!(I < 8 => {
            self.step(l, I);
        });
        self.finish(l)
    }

    /// The sums with the tail in them.
    #[inline(always)]
    pub fn finish(mut self, l: L) -> Sums<L> {
        if Self::FIRST > 7 {
            self.add(l, 0);
        }
        self.tail.add_lengths(l, &mut self.sums);
        self.sums
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn add(&mut self, l: L, q: usize) {
        let before = self.before.lanes();
        self.tail.add::<L, Q>(l, &mut self.sums, q, self.texts[q], before);
        self.sums.fence(l);
    }
}

impl<L: Lanes, const Q: usize> Beside<L> for Hashing<'_, L, Q> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        self.before.step(l, round);
        if round + 1 < Q {
            self.add(l, round + 1);
        }
        if round == Self::FIRST {
            self.add(l, 0);
        }
    }
}
