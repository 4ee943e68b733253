//! The end of a packet, the whole of a short one: up to a group of vectors, the last partly filled, and
//! the length block.
use super::super::abreast::{self, Beside};
use super::super::ctr;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;
use super::stream::{BLOCK, Job, Start};

/// What is left of a packet behind its whole groups.
pub(super) struct Tail<'a, L: Lanes> {
    pub key: &'a GcmKey,
    /// The whitened nonce in every lane.
    base: L::V,
    /// The counter of its first block.
    counter: usize,
    /// Block 0, where the tail is the whole packet.
    first: Option<L::V>,
    /// At least one octet, at most a group.
    octets: &'a mut [u8],
    pub icv: &'a mut [u8],
    /// What to add to its first block before it is hashed.
    hash: L::V,
    /// The length block.
    lengths: u128,
}

/// Sealed or opened.
pub(super) struct Done<L: Lanes> {
    /// The hash of the packet in lane 0.
    pub hash: L::V,
    /// E(J0) in lane 0, where the tail was the whole packet.
    pub encrypted_counter: L::V,
}

/// Vectors for a tail of `octets`: its blocks and the length block, which at one lane goes alone.
#[inline(always)]
pub(super) const fn vectors<L: Lanes>(octets: usize) -> usize {
    let length_block = if L::LANES == 1 { 0 } else { 1 };
    (octets.div_ceil(BLOCK) + length_block).div_ceil(L::LANES)
}

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

/// Counter blocks of `P` tails, encrypted up to the last round.
#[inline(always)]
pub(super) fn encrypted<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    tails: &[Tail<'_, L>; P],
    beside: &mut impl Beside<L>,
) -> [[L::V; Q]; P] {
    let mut states = [[l.zero(); Q]; P];
    let mut keys = [&[[0; 16]; 15]; P];
    for ((state, key), tail) in states.iter_mut().zip(&mut keys).zip(tails) {
        *state = ctr::blocks(l, tail.base, tail.counter);
        *key = tail.key.round_keys();
    }
    let rounds = tails.first().map_or(0, |tail| tail.key.rounds());
    abreast::rounds::<L, P, Q>(l, keys, rounds, &mut states, beside);
    states
}

impl<'a, L: Lanes> Tail<'a, L> {
    /// Of a packet that is no longer than a group.
    #[inline(always)]
    pub fn whole<Outcome>(l: L, job: &'a mut Job<'_, Outcome>) -> Self {
        let Start { base, first, hash, lengths } = Start::of(l, job);
        let Job { key, octets, icv, .. } = job;
        Self { key, base, counter: 1, first: Some(first), octets, icv, hash, lengths }
    }

    /// What lies behind `blocks` blocks whose hash is `start.hash`.
    #[inline(always)]
    pub fn behind(
        key: &'a GcmKey,
        start: Start<L>,
        blocks: usize,
        octets: &'a mut [u8],
        icv: &'a mut [u8],
    ) -> Self {
        let Start { base, hash, lengths, .. } = start;
        Self { key, base, counter: 1 + blocks, first: None, octets, icv, hash, lengths }
    }

    /// The hash of what lies in front, if it was not known before.
    #[inline(always)]
    pub fn hash_in_front(&mut self, hash: L::V) {
        self.hash = hash;
    }

    /// The last round on `state`; writes the ciphertext and hashes it.
    #[inline(always)]
    pub fn seal<const Q: usize>(&mut self, l: L, state: [L::V; Q]) -> Done<L> {
        let last_key = l.splat_from(self.key.last_key());
        let mut encrypted_counter = l.zero();
        let mut sums = Sums::new(l);
        for (q, state) in state.into_iter().enumerate() {
            let text = self.text::<Q>(l, q);
            let mut sealed = l.last_round(state, l.xor(last_key, text));
            if let (0, Some(first)) = (q, self.first) {
                encrypted_counter = l.xor(sealed, text);
                sealed = l.with_first(sealed, first);
            }
            self.write::<Q>(l, q, sealed);
            self.hash_vector::<Q>(l, &mut sums, q, self.cut::<Q>(l, q, sealed));
        }
        Done { hash: self.hash_lengths(l, sums), encrypted_counter }
    }

    /// The last round on `state`, and the hash. Writes nothing: the plaintext is returned.
    #[inline(always)]
    pub fn open<const Q: usize>(
        &self,
        l: L,
        state: [L::V; Q],
    ) -> (Done<L>, [L::V; Q]) {
        let last_key = l.splat_from(self.key.last_key());
        let mut encrypted_counter = l.zero();
        let mut sums = Sums::new(l);
        let mut plain = state;
        for (q, state) in plain.iter_mut().enumerate() {
            let text = self.text::<Q>(l, q);
            self.hash_vector::<Q>(l, &mut sums, q, text);
            *state = l.last_round(*state, l.xor(last_key, text));
            if let (0, Some(first)) = (q, self.first) {
                encrypted_counter = l.xor(*state, text);
                *state = l.with_first(*state, first);
            }
        }
        (Done { hash: self.hash_lengths(l, sums), encrypted_counter }, plain)
    }

    /// Writes the whole tail.
    #[inline(always)]
    pub fn write_all<const Q: usize>(&mut self, l: L, text: [L::V; Q]) {
        for (q, text) in text.into_iter().enumerate() {
            self.write::<Q>(l, q, text);
        }
    }

    /// Whether vector `q` of `Q` is whole. The packet's last block may lie in the last vector but one, if
    /// the length block is alone in the last.
    #[inline(always)]
    const fn is_whole<const Q: usize>(q: usize) -> bool {
        q + 1 + (if L::LANES == 1 { 0 } else { 1 }) < Q
    }

    #[inline(always)]
    fn text<const Q: usize>(&self, l: L, q: usize) -> L::V {
        let octets = self.octets.get(q * L::OCTETS..).unwrap_or(&[]);
        if Self::is_whole::<Q>(q) { l.load(octets) } else { l.load_tail(octets) }
    }

    #[inline(always)]
    fn write<const Q: usize>(&mut self, l: L, q: usize, text: L::V) {
        let octets = self.octets.get_mut(q * L::OCTETS..).unwrap_or(&mut []);
        if Self::is_whole::<Q>(q) { l.store(octets, text) } else { l.store_tail(octets, text) }
    }

    /// `text` without what lies behind the packet's last octet.
    #[inline(always)]
    fn cut<const Q: usize>(&self, l: L, q: usize, text: L::V) -> L::V {
        let left = self.octets.len().saturating_sub(q * L::OCTETS);
        if Self::is_whole::<Q>(q) { text } else { l.keep(text, left) }
    }

    /// Adds vector `q` of ciphertext, and the length block if it lies there, to the hash.
    #[inline(always)]
    fn hash_vector<const Q: usize>(&self, l: L, sums: &mut Sums<L>, q: usize, text: L::V) {
        let blocks = self.octets.len().div_ceil(BLOCK);
        let mut hashed = l.reverse(text);
        if q == 0 {
            hashed = l.xor(hashed, self.hash);
        }
        if q + 1 == Q && L::LANES > 1 {
            hashed = l.xor(hashed, l.at_lane(self.lengths, blocks % L::LANES));
        }
        let exponent = (blocks + 1).saturating_sub(q * L::LANES);
        sums.add(l, hashed, self.key.powers(l, exponent));
    }

    #[inline(always)]
    fn hash_lengths(&self, l: L, mut sums: Sums<L>) -> L::V {
        if L::LANES == 1 {
            sums.add(l, l.at_lane(self.lengths, 0), self.key.powers(l, 1));
        }
        sums.reduce(l)
    }
}
