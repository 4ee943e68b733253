//! Opening: a group of ciphertext is hashed beside its own decryption.
//!
//! A short packet is verified before any of its plaintext is written. A long one is decrypted on the way,
//! and if its ICV turns out bad, encrypted again: the packet is then as it arrived, before anyone sees it.
use super::super::abreast::{Loaded, for_vectors, unrolled};
use super::super::lanes::Lanes;
use super::GcmKey;
use super::super::ctr::Stream;
use super::group::{self, Hashing};
use super::stream::{BLOCK, Start, ToOpen, icv_is, tag};
use super::tail::{self, Tail};
use crate::batch::BadIcv;

/// Opens `P` packets of up to one group, `Q` vectors each.
#[inline(always)]
pub(super) fn short<L: Lanes, const P: usize, const Q: usize>(l: L, jobs: &mut [ToOpen<'_>; P]) {
    let states = group::of_each::<L, _, P, Q>(l, jobs);
    unrolled!(I < P => {
        let mut tail = Tail::whole(l, &mut jobs[I]);
        let (done, plain) = tail.open(l, states[I]);
        let good = icv_is(tail.icv, tag(l, done.hash, done.encrypted_counter));
        if good {
            tail.write_all(l, plain);
        }
        *jobs[I].outcome = if good { Ok(()) } else { Err(BadIcv) };
    });
}

/// Opens a packet of more than one group of `N` vectors, under a key of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToOpen<'_>, rounds: usize) {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let start = Start::of(l, job);
    let whole = job.octets.len().saturating_sub(1) / (N * L::OCTETS) * (N * L::OCTETS);
    let Some((groups, rest)) = job.octets.split_at_mut_checked(whole) else { return };
    let (hash, encrypted_counter) = decrypt::<L, N>(l, key, stream, &start, groups);
    let vectors = tail::vectors::<L>(rest.len());
    let mut tail = Tail::behind(l, key, start.lengths, rest, job.icv);
    tail.hash_in_front(hash);
    let mut good = false;
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, 1 + whole / BLOCK, &mut ());
        let (done, plain) = tail.open(l, state);
        good = icv_is(tail.icv, tag(l, done.hash, encrypted_counter));
        if good {
            tail.write_all(l, plain);
        }
    });
    if !good {
        encrypt_again::<L, N>(l, stream, &start, groups);
    }
    *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
}

/// Decrypts whole groups, and returns the hash of their ciphertext and E(J0).
#[inline(always)]
fn decrypt<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    stream: Stream<L, &Loaded<L>>,
    start: &Start<L>,
    groups: &mut [u8],
) -> (L::V, L::V) {
    let of_group = N * L::OCTETS;
    let (mut hash, mut encrypted_counter) = (start.hash, l.zero());
    let (mut first, mut counter) = (Some(start.first), 1);
    let (groups, last) = groups.split_at_mut(groups.len().saturating_sub(of_group));
    for octets in groups.chunks_exact_mut(of_group) {
        let mut hashing = Hashing::<L, N>::in_lanes(l, key, octets, hash);
        let state = stream.encrypted::<N>(l, counter, &mut hashing);
        hash = hashing.finish(l);
        let unused = stream.finish(l, state, octets, first);
        if first.take().is_some() {
            encrypted_counter = unused;
        }
        counter += N * L::LANES;
    }
    let mut hashing = Hashing::<L, N>::last(l, key, last, hash);
    let state = stream.encrypted::<N>(l, counter, &mut hashing);
    hash = hashing.finish(l);
    let unused = stream.finish(l, state, last, first);
    (hash, if first.is_some() { unused } else { encrypted_counter })
}

/// Counter mode is its own inverse.
#[inline(always)]
fn encrypt_again<L: Lanes, const N: usize>(
    l: L,
    stream: Stream<L, &Loaded<L>>,
    start: &Start<L>,
    groups: &mut [u8],
) {
    let (mut first, mut counter) = (Some(start.first), 1);
    for octets in groups.chunks_exact_mut(N * L::OCTETS) {
        let state = stream.encrypted::<N>(l, counter, &mut ());
        stream.finish(l, state, octets, first.take());
        counter += N * L::LANES;
    }
}
