//! Sealing: a group of ciphertext is hashed beside the encryption of the next.
use super::super::lanes::Lanes;
use super::group::{self, Hashing};
use super::stream::{Start, ToSeal, tag, write_icv};
use super::tail::{self, Tail, for_vectors};

#[inline(always)]
pub(super) fn short<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    jobs: &mut [ToSeal<'_>; P],
) {
    let mut tails = jobs.each_mut().map(|job| Tail::whole(l, job));
    let states = tail::encrypted::<L, P, Q>(l, &tails, &mut ());
    for (tail, state) in tails.iter_mut().zip(states) {
        let done = tail.seal::<Q>(l, state);
        write_icv(tail.icv, tag(l, done.hash, done.encrypted_counter));
    }
}

#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToSeal<'_>) {
    let (key, mut start) = (job.key, Start::of(l, job));
    let of_group = N * L::OCTETS;
    let Some((mut done, mut rest)) = job.octets.split_at_mut_checked(of_group) else { return };
    let state = group::encrypted::<L, N>(l, key, start.base, 1, &mut ());
    let encrypted_counter = group::finish::<L, N>(l, key, state, done, Some(start.first));
    let mut blocks = N * L::LANES;
    while rest.len() > of_group {
        let Some((next, behind)) = rest.split_at_mut_checked(of_group) else { return };
        let mut waiting = Hashing::<L, N>::new(l, key, done, start.hash);
        let state = group::encrypted::<L, N>(l, key, start.base, 1 + blocks, &mut waiting);
        group::finish::<L, N>(l, key, state, next, None);
        start.hash = waiting.finish(l);
        (done, rest, blocks) = (next, behind, blocks + N * L::LANES);
    }
    let waiting = Hashing::<L, N>::new(l, key, done, start.hash);
    let vectors = tail::vectors::<L>(rest.len());
    let mut tail = Tail::behind(key, start, blocks, rest, job.icv);
    let mut hash = l.zero();
    for_vectors!(vectors, N + 1, Q => {
        hash = last::<L, N, Q>(l, &mut tail, waiting);
    });
    write_icv(tail.icv, tag(l, hash, encrypted_counter));
}

/// The hash of the packet once its tail is sealed.
#[inline(always)]
fn last<L: Lanes, const N: usize, const Q: usize>(
    l: L,
    tail: &mut Tail<'_, L>,
    mut waiting: Hashing<'_, L, N>,
) -> L::V {
    let [state] = tail::encrypted::<L, 1, Q>(l, core::array::from_ref(tail), &mut waiting);
    tail.hash_in_front(waiting.finish(l));
    tail.seal::<Q>(l, state).hash
}
