//! Sealing a long packet: a group of ciphertext is hashed beside the encryption of the next.
use super::super::abreast::{Loaded, for_vectors, unrolled};
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::group::Hashing;
use super::stream::{ToSeal, tag, write_icv};
use super::tail::{self, Tail};

/// Seals a packet of more than one group of `N` vectors, under a key of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToSeal<'_>, rounds: usize) {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let (first, lengths) = (l.at_lane(job.first, 0), job.lengths());
    let mut hash = l.at_lane(job.instead, 0);
    let of_group = N * L::OCTETS;
    let Some((mut done, mut rest)) = job.octets.split_at_mut_checked(of_group) else { return };
    let state = stream.encrypted::<N>(l, 1, &mut ());
    let encrypted_counter = stream.finish(l, state, done, Some(first));
    let mut counter = 1 + N * L::LANES;
    while rest.len() > of_group {
        let Some((next, behind)) = rest.split_at_mut_checked(of_group) else { return };
        let mut waiting = Hashing::<L, N>::in_lanes(l, key, done, hash);
        let state = stream.encrypted::<N>(l, counter, &mut waiting);
        stream.finish(l, state, next, None);
        hash = waiting.finish(l);
        (done, rest, counter) = (next, behind, counter + N * L::LANES);
    }
    let vectors = tail::vectors::<L>(rest.len());
    let mut waiting = Hashing::<L, N>::last(l, key, done, hash);
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, counter, &mut waiting);
        let tail = Tail { key, len: rest.len(), hash: waiting.finish(l), lengths };
        hash = last::<L, Q>(l, &tail, stream.last_key(l), state, rest);
    });
    write_icv(job.icv, tag(l, hash, encrypted_counter));
}

/// The last round and the hash of a tail.
#[inline(always)]
fn last<L: Lanes, const Q: usize>(
    l: L,
    tail: &Tail<'_, L>,
    last_key: L::V,
    state: [L::V; Q],
    octets: &mut [u8],
) -> L::V {
    let mut sums = Sums::new(l);
    unrolled!(I < Q => {
        let text = tail::read::<L, Q>(l, octets, I);
        let sealed = l.last_round(state[I], l.xor(last_key, text));
        tail::write::<L, Q>(l, octets, I, sealed);
        tail.add::<Q>(l, &mut sums, I, tail::cut::<L, Q>(l, octets, I, sealed));
    });
    tail.add_lengths(l, &mut sums);
    sums.reduce(l)
}
