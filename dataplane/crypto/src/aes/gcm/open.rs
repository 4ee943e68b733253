//! Opening a long packet: a group of ciphertext is hashed beside its own decryption. If the ICV turns out
//! bad, what was decrypted is encrypted again: the packet is then as it arrived, before anyone sees it.
use super::super::abreast::{Loaded, for_vectors, unrolled};
use super::super::ctr::Stream;
use super::super::lanes::Lanes;
use super::GcmKey;
use super::group::Hashing;
use super::stream::{BLOCK, ToOpen, icv_is, tag};
use super::tail::{self, Tail};
use crate::batch::BadIcv;

/// Opens a packet of more than one group of `N` vectors, under a key of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToOpen<'_>, rounds: usize) {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let (first, lengths) = (l.at_lane(job.first, 0), job.lengths());
    let hash = l.at_lane(job.instead, 0);
    let whole = job.octets.len().saturating_sub(1) / (N * L::OCTETS) * (N * L::OCTETS);
    let Some((groups, rest)) = job.octets.split_at_mut_checked(whole) else { return };
    let (hash, encrypted_counter) = decrypt::<L, N>(l, key, stream, [first, hash], groups);
    let vectors = tail::vectors::<L>(rest.len());
    let tail = Tail { key, len: rest.len(), hash, lengths };
    let mut good = false;
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, 1 + whole / BLOCK, &mut ());
        good = icv_is(job.icv, tag(l, tail.of::<Q>(l, rest), encrypted_counter));
        if good {
            decrypt_tail(l, stream.last_key(l), state, rest);
        }
    });
    if !good {
        encrypt_again::<L, N>(l, stream, first, groups);
    }
    *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
}

/// Decrypts whole groups, and returns the hash of their ciphertext and E(J0).
#[inline(always)]
fn decrypt<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    stream: Stream<L, &Loaded<L>>,
    [first, mut hash]: [L::V; 2],
    groups: &mut [u8],
) -> (L::V, L::V) {
    let of_group = N * L::OCTETS;
    let mut encrypted_counter = l.zero();
    let (mut first, mut counter) = (Some(first), 1);
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
    first: L::V,
    groups: &mut [u8],
) {
    let (mut first, mut counter) = (Some(first), 1);
    for octets in groups.chunks_exact_mut(N * L::OCTETS) {
        let state = stream.encrypted::<N>(l, counter, &mut ());
        stream.finish(l, state, octets, first.take());
        counter += N * L::LANES;
    }
}

/// The last round of a tail, and its text.
#[inline(always)]
fn decrypt_tail<L: Lanes, const Q: usize>(
    l: L,
    last_key: L::V,
    state: [L::V; Q],
    octets: &mut [u8],
) {
    unrolled!(I < Q => {
        let text = l.xor(tail::read::<L, Q>(l, octets, I), last_key);
        tail::write::<L, Q>(l, octets, I, l.last_round(state[I], text));
    });
}
