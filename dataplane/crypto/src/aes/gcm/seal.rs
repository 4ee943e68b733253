//! Sealing: a group of ciphertext is hashed beside the encryption of the next.
use super::super::abreast::{Loaded, for_vectors, unrolled};
use super::super::lanes::Lanes;
use super::group::{self, Hashing};
use super::stream::{Start, ToSeal, tag, write_icv};
use super::tail::{self, Tail};

/// Seals `P` packets of up to one group, `Q` vectors each.
#[inline(always)]
pub(super) fn short<L: Lanes, const P: usize, const Q: usize>(l: L, jobs: &mut [ToSeal<'_>; P]) {
    let states = group::of_each::<L, _, P, Q>(l, jobs);
    unrolled!(I < P => {
        let mut tail = Tail::whole(l, &mut jobs[I]);
        let done = tail.seal::<Q>(l, states[I]);
        write_icv(tail.icv, tag(l, done.hash, done.encrypted_counter));
    });
}

/// Seals a packet of more than one group of `N` vectors, under a key of `rounds` rounds.
#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToSeal<'_>, rounds: usize) {
    let key = job.key;
    let loaded = Loaded::new(l, key.round_keys(), rounds);
    let stream = job.stream(l, &loaded, rounds);
    let Start { first, mut hash, lengths } = Start::of(l, job);
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
    let mut tail = Tail::behind(l, key, lengths, rest, job.icv);
    for_vectors!(vectors, N + 1, Q => {
        let state = stream.encrypted::<Q>(l, counter, &mut waiting);
        tail.hash_in_front(waiting.finish(l));
        hash = tail.seal(l, state).hash;
    });
    write_icv(tail.icv, tag(l, hash, encrypted_counter));
}
