//! Whole groups of vectors: the long middle of a long packet.
use super::super::abreast::{self, Beside};
use super::super::ctr;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;

/// Counter blocks from `counter` on, encrypted up to the last round, with other work between the rounds.
#[inline(always)]
pub(super) fn encrypted<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    base: L::V,
    counter: usize,
    beside: &mut impl Beside<L>,
) -> [L::V; N] {
    let mut states = [ctr::blocks(l, base, counter)];
    abreast::rounds::<L, 1, N>(l, [key.round_keys()], key.rounds(), &mut states, beside);
    let [state] = states;
    state
}

/// The last round, and the text where it lies. Returns the key stream's first vector.
#[inline(always)]
pub(super) fn finish<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    state: [L::V; N],
    octets: &mut [u8],
    first: Option<L::V>,
) -> L::V {
    let last_key = l.splat_from(key.last_key());
    let mut stream = l.zero();
    for (q, (state, octets)) in
        state.into_iter().zip(octets.chunks_exact_mut(L::OCTETS)).enumerate()
    {
        let text = l.load(octets);
        let mut other = l.last_round(state, l.xor(last_key, text));
        if let (0, Some(first)) = (q, first) {
            stream = l.xor(other, text);
            other = l.with_first(other, first);
        }
        l.store(octets, other);
    }
    stream
}

/// A whole group of ciphertext to hash beside AES.
pub(super) struct Hashing<'a, L: Lanes, const N: usize> {
    key: &'a GcmKey,
    octets: &'a [u8],
    sums: Sums<L>,
    /// The hash of what lies in front, to be added to the group's first block.
    hash: L::V,
}

impl<'a, L: Lanes, const N: usize> Hashing<'a, L, N> {
    #[inline(always)]
    pub fn new(l: L, key: &'a GcmKey, octets: &'a [u8], hash: L::V) -> Self {
        Self { key, octets, sums: Sums::new(l), hash }
    }

    /// All of it, where no AES is at hand.
    #[inline(always)]
    pub fn alone(mut self, l: L) -> L::V {
        for q in 0..N {
            self.hash_vector(l, q);
        }
        self.finish(l)
    }

    /// The hash with the group in it.
    #[inline(always)]
    pub fn finish(self, l: L) -> L::V {
        self.sums.reduce(l)
    }

    #[inline(always)]
    fn hash_vector(&mut self, l: L, q: usize) {
        let octets = self.octets.get(q * L::OCTETS..).unwrap_or(&[]);
        let mut blocks = l.reverse(l.load(octets));
        if q == 0 {
            blocks = l.xor(blocks, self.hash);
        }
        let powers = self.key.powers(l, (N - q) * L::LANES);
        self.sums.add(l, blocks, powers);
    }
}

impl<L: Lanes, const N: usize> Beside<L> for Hashing<'_, L, N> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        let every = 8 / N;
        if round % every == 0 {
            self.hash_vector(l, round / every);
            self.sums.fence(l);
        }
    }
}
