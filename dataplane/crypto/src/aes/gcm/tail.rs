//! The end of a packet, the whole of a short one: up to a group of vectors, the last partly filled, and
//! the length block.
use super::super::abreast::{Keys, unrolled};
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::GcmKey;
use super::stream::{BLOCK, Job, Start};

/// What is left of a packet behind its whole groups.
pub(super) struct Tail<'a, L: Lanes> {
    key: &'a GcmKey,
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

impl<'a, L: Lanes> Tail<'a, L> {
    /// Of a packet that is no longer than a group.
    #[inline(always)]
    pub fn whole<Outcome>(l: L, job: &'a mut Job<'_, Outcome>) -> Self {
        let Start { first, hash, lengths } = Start::of(l, job);
        let Job { key, octets, icv, .. } = job;
        Self { key, first: Some(first), octets, icv, hash, lengths }
    }

    /// What lies behind whole groups. Their hash follows.
    #[inline(always)]
    pub fn behind(
        l: L,
        key: &'a GcmKey,
        lengths: u128,
        octets: &'a mut [u8],
        icv: &'a mut [u8],
    ) -> Self {
        Self { key, first: None, octets, icv, hash: l.zero(), lengths }
    }

    /// The hash of what lies in front.
    #[inline(always)]
    pub fn hash_in_front(&mut self, hash: L::V) {
        self.hash = hash;
    }

    /// The last round on `state`; writes the ciphertext and hashes it.
    #[inline(always)]
    pub fn seal<const Q: usize>(&mut self, l: L, state: [L::V; Q]) -> Done<L> {
        let last_key = self.key.round_keys().last(l, self.key.rounds());
        let mut encrypted_counter = l.zero();
        let mut sums = Sums::new(l);
        unrolled!(I < Q => {
            let text = self.text::<Q>(l, I);
            let mut sealed = l.last_round(state[I], l.xor(last_key, text));
            if let (0, Some(first)) = (I, self.first) {
                encrypted_counter = l.xor(sealed, text);
                sealed = l.with_first(sealed, first);
            }
            self.write::<Q>(l, I, sealed);
            self.hash_vector::<Q>(l, &mut sums, I, self.cut::<Q>(l, I, sealed));
        });
        Done { hash: self.hash_lengths(l, sums), encrypted_counter }
    }

    /// The last round on `state`, and the hash. Writes nothing: the plaintext is returned.
    #[inline(always)]
    pub fn open<const Q: usize>(
        &self,
        l: L,
        state: [L::V; Q],
    ) -> (Done<L>, [L::V; Q]) {
        let last_key = self.key.round_keys().last(l, self.key.rounds());
        let mut encrypted_counter = l.zero();
        let mut sums = Sums::new(l);
        let mut plain = state;
        unrolled!(I < Q => {
            let text = self.text::<Q>(l, I);
            self.hash_vector::<Q>(l, &mut sums, I, text);
            plain[I] = l.last_round(state[I], l.xor(last_key, text));
            if let (0, Some(first)) = (I, self.first) {
                encrypted_counter = l.xor(plain[I], text);
                plain[I] = l.with_first(plain[I], first);
            }
        });
        (Done { hash: self.hash_lengths(l, sums), encrypted_counter }, plain)
    }

    /// The hash, where nothing is encrypted.
    #[inline(always)]
    pub fn hash<const Q: usize>(&self, l: L) -> L::V {
        let mut sums = Sums::new(l);
        unrolled!(I < Q => {
            self.hash_vector::<Q>(l, &mut sums, I, self.text::<Q>(l, I));
        });
        self.hash_lengths(l, sums)
    }

    /// Writes the whole tail.
    #[inline(always)]
    pub fn write_all<const Q: usize>(&mut self, l: L, text: [L::V; Q]) {
        unrolled!(I < Q => {
            self.write::<Q>(l, I, text[I]);
        });
    }

    /// Whether vector `q` of `Q` is whole. The packet's last block may lie in the last vector but one, if
    /// the length block is alone in the last.
    #[inline(always)]
    const fn is_whole<const Q: usize>(q: usize) -> bool {
        q + 1 + (if L::LANES == 1 { 0 } else { 1 }) < Q
    }

    /// Where vector `q` starts, the packet's end at most: masked out or not, an address that is not mapped
    /// costs a CPU hundreds of cycles.
    #[inline(always)]
    fn start(&self, q: usize) -> usize {
        self.octets.len().min(q * L::OCTETS)
    }

    #[inline(always)]
    fn text<const Q: usize>(&self, l: L, q: usize) -> L::V {
        let (_, octets) = self.octets.split_at(self.start(q));
        if Self::is_whole::<Q>(q) { l.load(octets) } else { l.load_tail(octets) }
    }

    #[inline(always)]
    fn write<const Q: usize>(&mut self, l: L, q: usize, text: L::V) {
        let (_, octets) = self.octets.split_at_mut(self.start(q));
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
