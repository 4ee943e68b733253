//! The end of a packet, the whole of a short one: up to a group of vectors, the last partly filled, and
//! the length block.
use super::super::abreast::unrolled;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;
use super::stream::BLOCK;

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

/// Vector `q` of `Q`, zeros behind the last octet.
#[inline(always)]
pub(super) fn read<L: Lanes, const Q: usize>(l: L, octets: &[u8], q: usize) -> L::V {
    let (_, octets) = octets.split_at(start::<L>(octets, q));
    if is_whole::<L, Q>(q) { l.load(octets) } else { l.load_tail(octets) }
}

/// As [`read`], the other way.
#[inline(always)]
pub(super) fn write<L: Lanes, const Q: usize>(l: L, octets: &mut [u8], q: usize, text: L::V) {
    let (_, octets) = octets.split_at_mut(start::<L>(octets, q));
    if is_whole::<L, Q>(q) { l.store(octets, text) } else { l.store_tail(octets, text) }
}

/// `text`, zeros behind the last octet.
#[inline(always)]
pub(super) fn cut<L: Lanes, const Q: usize>(l: L, octets: &[u8], q: usize, text: L::V) -> L::V {
    let left = octets.len().saturating_sub(q * L::OCTETS);
    if is_whole::<L, Q>(q) { text } else { l.keep(text, left) }
}

/// What is hashed of a tail.
#[derive(Clone, Copy)]
pub(super) struct Tail<'a, L: Lanes> {
    pub key: &'a GcmKey,
    /// Octets of the tail: at least one, at most a group.
    pub len: usize,
    /// What to add to its first block.
    pub hash: L::V,
    /// The length block.
    pub lengths: u128,
}

impl<L: Lanes> Tail<'_, L> {
    /// Adds vector `q` of ciphertext to the hash, and the length block if it lies there. Zeros are behind
    /// the last octet.
    #[inline(always)]
    pub fn add<const Q: usize>(&self, l: L, sums: &mut Sums<L>, q: usize, text: L::V) {
        let blocks = self.len.div_ceil(BLOCK);
        let mut hashed = l.reverse(text);
        if q == 0 {
            hashed = l.xor(hashed, self.hash);
        }
        if q + 1 == Q && L::LANES > 1 {
            hashed = l.xor(hashed, l.at_lane(self.lengths, blocks % L::LANES));
        }
        let (_, powers) = self.key.powers(blocks + 1).split_at(q * L::OCTETS);
        sums.add(l, hashed, l.load(powers));
    }

    /// Adds the length block, where it goes alone.
    #[inline(always)]
    pub fn add_lengths(&self, l: L, sums: &mut Sums<L>) {
        if L::LANES == 1 {
            sums.add(l, l.at_lane(self.lengths, 0), l.load(self.key.powers(1)));
        }
    }

    /// The hash of all of `octets`.
    #[inline(always)]
    pub fn of<const Q: usize>(&self, l: L, octets: &[u8]) -> L::V {
        let mut sums = Sums::new(l);
        unrolled!(I < Q => {
            self.add::<Q>(l, &mut sums, I, read::<L, Q>(l, octets, I));
        });
        self.add_lengths(l, &mut sums);
        sums.reduce(l)
    }
}
