//! Opening a long packet: a group of ciphertext is hashed beside its own decryption, and the tag is made beside the
//! first group of the next packet. If the ICV then turns out bad, what was decrypted is encrypted again: the packet
//! is as it arrived before anyone sees it.
use super::super::abreast::{Loaded, for_vectors};
use super::super::ctr;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::batch::{Run, prefetch_next};
use super::group::{Hashing, octets_in_groups};
use super::stream::{BLOCK, Item, ToOpen, icv_is};
use super::tags::Tags;
use super::tail::{self, Tail};
use crate::batch::{BadIcv, Open};

/// Opens packets of more than one group of `N` vectors, under keys of `rounds` rounds. `None`: one is no such packet.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(
    l: L,
    run: Run<'_, '_, Open<'_>>,
    rounds: usize,
) -> Option<()> {
    let mut waiting: Option<Waiting<'_, L>> = None;
    let mut rest = run.items;
    while let Some((item, behind)) = rest.split_first_mut() {
        prefetch_next::<L, _>(behind, rounds);
        waiting = Some(one::<L, N>(l, item.job(run.icv_len)?, rounds, waiting)?);
        rest = behind;
    }
    let Waiting { job, sums, encrypted_counter } = waiting?;
    let [tag] = Tags::new([sums], [encrypted_counter]).alone(l);
    judge::<L, N>(l, job, tag, rounds);
    Some(())
}

/// A packet that is decrypted, and whose hash lacks nothing but its reduction.
struct Waiting<'j, L: Lanes> {
    job: ToOpen<'j>,
    sums: Sums<L>,
    encrypted_counter: L::V,
}

/// Decrypts a packet, and judges the one that is waiting. `None`: it is no long packet.
#[inline(always)]
fn one<'j, L: Lanes, const N: usize>(
    l: L,
    job: ToOpen<'j>,
    rounds: usize,
    waiting: Option<Waiting<'_, L>>,
) -> Option<Waiting<'j, L>> {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let lengths = job.lengths();
    let whole = octets_in_groups::<L, N>(job.octets.len());
    let (groups, rest) = job.octets.split_at_mut_checked(whole)?;
    let (group, groups) = groups.split_at_mut_checked(N * L::OCTETS)?;
    let texts = ctr::load(l, group);
    let before = Sums::reduced(l, l.at_lane(job.instead, 0));
    let (tags, judged) = match waiting {
        Some(Waiting { job, sums, encrypted_counter }) => {
            (Tags::new([sums], [encrypted_counter]), Some(job))
        }
        None => (Tags::none(l), None),
    };
    let mut beside = (Hashing::<L, N>::new(l, key, texts, before), tags);
    let state = stream.encrypted::<N>(l, 1, &mut beside);
    let (hashing, tags) = beside;
    let mut opened = stream.finish(l, state, texts);
    let encrypted_counter = l.xor(opened[0], texts[0]);
    opened[0] = l.with_first(opened[0], l.at_lane(job.first, 0));
    ctr::store(l, group, opened);
    if let Some(job) = judged {
        let [tag] = tags.finish();
        judge::<L, N>(l, job, tag, rounds);
    }
    let mut before = hashing.finish();
    let mut counter = 1 + N * L::LANES;
    for group in groups.chunks_exact_mut(N * L::OCTETS) {
        let texts = ctr::load(l, group);
        let mut hashing = Hashing::<L, N>::new(l, key, texts, before);
        let state = stream.encrypted::<N>(l, counter, &mut hashing);
        before = hashing.finish();
        ctr::store(l, group, stream.finish(l, state, texts));
        counter += N * L::LANES;
    }
    let tail = Tail { key, len: rest.len(), lengths };
    let mut sums = before;
    for_vectors!(tail::vectors::<L>(rest.len()), N + 1, Q => {
        let texts = tail::read::<L, Q>(l, rest);
        let mut hashing = tail::Hashing::<L, Q>::new(l, tail, texts, before);
        let state = stream.encrypted::<Q>(l, 1 + whole / BLOCK, &mut hashing);
        sums = hashing.finish(l);
        tail::write::<L, Q>(l, rest, stream.finish(l, state, texts));
    });
    Some(Waiting { job, sums, encrypted_counter })
}

/// Sets the verdict. A bad packet is made what it was.
#[inline(always)]
fn judge<L: Lanes, const N: usize>(l: L, mut job: ToOpen<'_>, tag: L::V, rounds: usize) {
    let good = icv_is(l, job.icv, tag);
    if !good {
        encrypt_again::<L, N>(l, &mut job, rounds);
    }
    *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
}

/// Counter mode is its own inverse.
#[inline(always)]
fn encrypt_again<L: Lanes, const N: usize>(l: L, job: &mut ToOpen<'_>, rounds: usize) {
    let loaded = Loaded::new(l, job.key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let mut counter = 1;
    for octets in job.octets.chunks_mut(N * L::OCTETS) {
        let state = stream.encrypted::<N>(l, counter, &mut ());
        ctr::store(l, octets, stream.finish(l, state, ctr::load(l, octets)));
        counter += N * L::LANES;
    }
    job.write_iv();
}
