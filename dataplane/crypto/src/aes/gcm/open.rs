//! Opening a long packet: a group of ciphertext is hashed beside its own decryption. If the ICV turns out
//! bad, what was decrypted is encrypted again: the packet is then as it arrived, before anyone sees it.
use super::super::abreast::{Loaded, for_vectors};
use super::super::ctr::{self, Stream};
use super::super::lanes::Lanes;
use super::GcmKey;
use super::batch::prefetch_next;
use super::group::{Hashing, octets_in_groups};
use super::stream::{BLOCK, ToOpen, icv_is, tag};
use super::tail::{self, Tail};
use crate::batch::BadIcv;

/// Opens packets of more than one group of `N` vectors, under keys of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, jobs: &mut [ToOpen<'_>], rounds: usize) {
    let mut rest = jobs;
    while let Some((job, behind)) = rest.split_first_mut() {
        prefetch_next::<L, _>(behind, rounds);
        one::<L, N>(l, job, rounds);
        rest = behind;
    }
}

#[inline(always)]
fn one<L: Lanes, const N: usize>(l: L, job: &mut ToOpen<'_>, rounds: usize) {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let (first, lengths) = (l.at_lane(job.first, 0), job.lengths());
    let hash = l.at_lane(job.instead, 0);
    let whole = octets_in_groups::<L, N>(job.octets.len());
    let Some((groups, rest)) = job.octets.split_at_mut_checked(whole) else { return };
    let (hash, encrypted_counter) = decrypt::<L, N>(l, key, stream, [first, hash], groups);
    let tail = Tail { key, len: rest.len(), hash, lengths };
    let mut good = false;
    for_vectors!(tail::vectors::<L>(rest.len()), N + 1, Q => {
        let texts = tail::read::<L, Q>(l, rest);
        let mut hashing = tail::Hashing::<L, Q>::new(l, tail, texts);
        let state = stream.encrypted::<Q>(l, 1 + whole / BLOCK, &mut hashing);
        good = icv_is(job.icv, tag(l, hashing.finish(l), encrypted_counter));
        if good {
            tail::write::<L, Q>(l, rest, stream.finish(l, state, texts));
        }
    });
    if !good {
        encrypt_again::<L, N>(l, stream, first, groups);
    }
    *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
}

/// Decrypts whole groups, and returns the hash of their ciphertext, spread over the lanes, and E(J0).
#[inline(always)]
fn decrypt<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    stream: Stream<L, &Loaded<L>>,
    [first, mut hash]: [L::V; 2],
    groups: &mut [u8],
) -> (L::V, L::V) {
    let mut encrypted_counter = l.zero();
    let mut counter = 1;
    for group in groups.chunks_exact_mut(N * L::OCTETS) {
        let texts = ctr::load(l, group);
        let mut hashing = Hashing::<L, N>::new(l, key, texts, hash);
        let state = stream.encrypted::<N>(l, counter, &mut hashing);
        hash = hashing.finish(l);
        let mut opened = stream.finish(l, state, texts);
        if counter == 1 {
            encrypted_counter = l.xor(opened[0], texts[0]);
            opened[0] = l.with_first(opened[0], first);
        }
        ctr::store(l, group, opened);
        counter += N * L::LANES;
    }
    (hash, encrypted_counter)
}

/// Counter mode is its own inverse.
#[inline(always)]
fn encrypt_again<L: Lanes, const N: usize>(
    l: L,
    stream: Stream<L, &Loaded<L>>,
    first: L::V,
    groups: &mut [u8],
) {
    let mut counter = 1;
    for group in groups.chunks_exact_mut(N * L::OCTETS) {
        let state = stream.encrypted::<N>(l, counter, &mut ());
        let mut sealed = stream.finish(l, state, ctr::load(l, group));
        if counter == 1 {
            sealed[0] = l.with_first(sealed[0], first);
        }
        ctr::store(l, group, sealed);
        counter += N * L::LANES;
    }
}
