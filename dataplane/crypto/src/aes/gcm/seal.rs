//! Sealing long packets: a group of ciphertext is hashed beside the encryption of the next, and the tail of a
//! packet beside the first group of the next packet.
use super::super::abreast::{Loaded, for_vectors};
use super::super::ctr::{self, Stream};
use super::super::lanes::Lanes;
use super::batch::prefetch_next;
use super::group::{Hashing, octets_in_groups};
use super::stream::{ToSeal, tag, write_icv};
use super::tail::{self, Tail};

/// Vectors of the longest tail of any tier.
const MOST: usize = 9;

/// Seals packets of more than one group of `N` vectors, under keys of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, jobs: &mut [ToSeal<'_>], rounds: usize) {
    let mut waiting: Option<Waiting<'_, L>> = None;
    let mut rest = jobs;
    while let Some((job, behind)) = rest.split_first_mut() {
        prefetch_next::<L, _>(behind, rounds);
        waiting = one::<L, N>(l, job, rounds, waiting);
        rest = behind;
    }
    if let Some(waiting) = waiting {
        waiting.finish::<N>(l);
    }
}

/// Seals a packet but for its ICV, and finishes the one that is waiting. `None`: it is no long packet.
#[inline(always)]
fn one<'j, L: Lanes, const N: usize>(
    l: L,
    job: &'j mut ToSeal<'_>,
    rounds: usize,
    waiting: Option<Waiting<'_, L>>,
) -> Option<Waiting<'j, L>> {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let lengths = job.lengths();
    let state = match waiting {
        Some(waiting) => waiting.finish_beside::<N>(l, stream),
        None => stream.encrypted::<N>(l, 1, &mut ()),
    };
    let whole = octets_in_groups::<L, N>(job.octets.len());
    let (groups, rest) = job.octets.split_at_mut_checked(whole)?;
    let (group, groups) = groups.split_at_mut_checked(N * L::OCTETS)?;
    let texts = ctr::load(l, group);
    let mut sealed = stream.finish(l, state, texts);
    let encrypted_counter = l.xor(sealed[0], texts[0]);
    sealed[0] = l.with_first(sealed[0], l.at_lane(job.first, 0));
    ctr::store(l, group, sealed);
    let mut hash = l.at_lane(job.instead, 0);
    let mut counter = 1 + N * L::LANES;
    for group in groups.chunks_exact_mut(N * L::OCTETS) {
        let mut hashing = Hashing::<L, N>::new(l, key, sealed, hash);
        let state = stream.encrypted::<N>(l, counter, &mut hashing);
        sealed = stream.finish(l, state, ctr::load(l, group));
        ctr::store(l, group, sealed);
        hash = hashing.finish(l);
        counter += N * L::LANES;
    }
    let mut hashing = Hashing::<L, N>::new(l, key, sealed, hash);
    let vectors = tail::vectors::<L>(rest.len());
    let mut texts = [l.zero(); MOST];
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, counter, &mut hashing);
        let sealed = stream.finish(l, state, tail::read::<L, Q>(l, rest));
        tail::write::<L, Q>(l, rest, sealed);
        put::<L, Q>(&mut texts, tail::cut::<L, Q>(l, rest.len(), sealed));
    });
    let tail = Tail { key, len: rest.len(), hash: hashing.finish(l), lengths };
    Some(Waiting { tail, vectors, texts, encrypted_counter, icv: job.icv })
}

/// A packet that lacks nothing but the hash of its tail, and its ICV.
struct Waiting<'j, L: Lanes> {
    tail: Tail<'j, L>,
    /// Of the tail's ciphertext.
    vectors: usize,
    /// Zeros behind the last octet.
    texts: [L::V; MOST],
    encrypted_counter: L::V,
    icv: &'j mut [u8],
}

impl<L: Lanes> Waiting<'_, L> {
    /// Writes the ICV. Beside it the first group of the next packet is encrypted up to the last round.
    #[inline(always)]
    fn finish_beside<const N: usize>(self, l: L, next: Stream<L, &Loaded<L>>) -> [L::V; N] {
        let mut state = [l.zero(); N];
        for_vectors!(self.vectors, N + 1, Q => {
            let mut hashing = tail::Hashing::<L, Q>::new(l, self.tail, take(l, &self.texts));
            state = next.encrypted::<N>(l, 1, &mut hashing);
            write_icv(self.icv, tag(l, hashing.finish(l), self.encrypted_counter));
        });
        state
    }

    /// Writes the ICV.
    #[inline(always)]
    fn finish<const N: usize>(self, l: L) {
        for_vectors!(self.vectors, N + 1, Q => {
            let hash = self.tail.of::<Q>(l, take(l, &self.texts));
            write_icv(self.icv, tag(l, hash, self.encrypted_counter));
        });
    }
}

/// The first `Q` of `texts` are `those`.
#[inline(always)]
fn put<L: Lanes, const Q: usize>(texts: &mut [L::V; MOST], those: [L::V; Q]) {
    texts.iter_mut().zip(those).for_each(|(to, from)| *to = from);
}

/// The first `Q` of `texts`.
#[inline(always)]
fn take<L: Lanes, const Q: usize>(l: L, texts: &[L::V; MOST]) -> [L::V; Q] {
    let mut those = [l.zero(); Q];
    those.iter_mut().zip(texts).for_each(|(to, from)| *to = *from);
    those
}
