//! Sealing long packets: a group of ciphertext is hashed beside the encryption of the next, the tail of a packet
//! beside the first group of the next packet, and its tag is made beside the tail of that one.
use super::super::abreast::{Loaded, for_vectors};
use super::super::ctr::{self, Stream};
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::batch::{Run, prefetch_next};
use super::group::{Hashing, octets_in_groups};
use super::stream::{Item, ToSeal, write_icv};
use super::tags::Tags;
use super::tail::{self, Tail};
use crate::batch::Seal;

/// Vectors of the longest tail of any tier.
const MOST: usize = 9;

/// Seals packets of more than one group of `N` vectors, under keys of `rounds` rounds. `None`: one is no such packet.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(
    l: L,
    run: Run<'_, '_, Seal<'_>>,
    rounds: usize,
) -> Option<()> {
    let mut waiting: Option<Waiting<'_, L>> = None;
    let mut rest = run.items;
    while let Some((item, behind)) = rest.split_first_mut() {
        prefetch_next::<L, _>(behind, rounds);
        waiting = Some(one::<L, N>(l, item.job(run.icv_len)?, rounds, waiting)?);
        rest = behind;
    }
    waiting?.finish::<N>(l);
    Some(())
}

/// Seals a packet but for its ICV, and finishes the one that is waiting. `None`: it is no long packet.
#[inline(always)]
fn one<'j, L: Lanes, const N: usize>(
    l: L,
    job: ToSeal<'j>,
    rounds: usize,
    waiting: Option<Waiting<'_, L>>,
) -> Option<Waiting<'j, L>> {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let lengths = job.lengths();
    let (state, tags, icv) = match waiting {
        Some(waiting) => waiting.hash_beside::<N>(l, stream),
        None => (stream.encrypted::<N>(l, 1, &mut ()), Tags::none(l), None),
    };
    let whole = octets_in_groups::<L, N>(job.octets.len());
    let (groups, rest) = job.octets.split_at_mut_checked(whole)?;
    let (group, groups) = groups.split_at_mut_checked(N * L::OCTETS)?;
    let texts = ctr::load(l, group);
    let mut sealed = stream.finish(l, state, texts);
    let encrypted_counter = l.xor(sealed[0], texts[0]);
    sealed[0] = l.with_first(sealed[0], l.at_lane(job.first, 0));
    ctr::store(l, group, sealed);
    let mut before = Sums::reduced(l, l.at_lane(job.instead, 0));
    let mut counter = 1 + N * L::LANES;
    for group in groups.chunks_exact_mut(N * L::OCTETS) {
        let mut hashing = Hashing::<L, N>::new(l, key, sealed, before);
        let state = stream.encrypted::<N>(l, counter, &mut hashing);
        sealed = stream.finish(l, state, ctr::load(l, group));
        ctr::store(l, group, sealed);
        before = hashing.finish();
        counter += N * L::LANES;
    }
    let mut beside = (Hashing::<L, N>::new(l, key, sealed, before), tags);
    let vectors = tail::vectors::<L>(rest.len());
    let mut texts = [l.zero(); MOST];
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, counter, &mut beside);
        let sealed = stream.finish(l, state, tail::read::<L, Q>(l, rest));
        tail::write::<L, Q>(l, rest, sealed);
        put::<L, Q>(&mut texts, tail::cut::<L, Q>(l, rest.len(), sealed));
    });
    let (hashing, tags) = beside;
    if let Some(icv) = icv {
        write_icv(l, icv, tags.finish()[0]);
    }
    let tail = Tail { key, len: rest.len(), lengths };
    let before = hashing.finish();
    Some(Waiting { tail, vectors, texts, before, encrypted_counter, icv: job.icv })
}

/// A packet that lacks nothing but the hash of its tail, and its ICV.
struct Waiting<'j, L: Lanes> {
    tail: Tail<'j>,
    /// Of the tail's ciphertext.
    vectors: usize,
    /// Zeros behind the last octet.
    texts: [L::V; MOST],
    /// What lies in front of the tail.
    before: Sums<L>,
    encrypted_counter: L::V,
    icv: &'j mut [u8],
}

impl<'j, L: Lanes> Waiting<'j, L> {
    /// Hashes the tail. Beside it the first group of the next packet is encrypted up to the last round.
    /// Returns that, and what becomes the tag, with its place.
    #[inline(always)]
    fn hash_beside<const N: usize>(
        self,
        l: L,
        next: Stream<L, &Loaded<L>>,
    ) -> ([L::V; N], Tags<L, 1>, Option<&'j mut [u8]>) {
        let mut state = [l.zero(); N];
        let mut sums = Sums::new(l);
        for_vectors!(self.vectors, N + 1, Q => {
            let mut hashing =
                tail::Hashing::<L, Q>::new(l, self.tail, take(l, &self.texts), self.before);
            state = next.encrypted::<N>(l, 1, &mut hashing);
            sums = hashing.finish(l);
        });
        (state, Tags::new([sums], [self.encrypted_counter]), Some(self.icv))
    }

    /// Writes the ICV.
    #[inline(always)]
    fn finish<const N: usize>(self, l: L) {
        for_vectors!(self.vectors, N + 1, Q => {
            let texts = take(l, &self.texts);
            let sums = tail::Hashing::<L, Q>::new(l, self.tail, texts, self.before).alone(l);
            let [tag] = Tags::new([sums], [self.encrypted_counter]).alone(l);
            write_icv(l, self.icv, tag);
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
