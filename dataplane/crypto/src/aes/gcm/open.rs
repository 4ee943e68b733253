//! Opening: a group of ciphertext is hashed beside its own decryption.
//!
//! A short packet is verified before any of its plaintext is written. A long one is decrypted on the way,
//! and if its ICV turns out bad, encrypted again: the packet is then as it arrived, before anyone sees it.
use super::super::lanes::Lanes;
use super::GcmKey;
use super::group::{self, Hashing};
use super::stream::{Start, ToOpen, icv_is, tag};
use super::tail::{self, Tail, for_vectors};
use crate::batch::BadIcv;

#[inline(always)]
pub(super) fn short<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    jobs: &mut [ToOpen<'_>; P],
) {
    let mut good = [false; P];
    let mut tails = jobs.each_mut().map(|job| Tail::whole(l, job));
    let states = tail::encrypted::<L, P, Q>(l, &tails, &mut ());
    for ((tail, state), good) in tails.iter_mut().zip(states).zip(&mut good) {
        let (done, plain) = tail.open::<Q>(l, state);
        *good = icv_is(tail.icv, tag(l, done.hash, done.encrypted_counter));
        if *good {
            tail.write_all(l, plain);
        }
    }
    for (job, good) in jobs.iter_mut().zip(good) {
        *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
    }
}

#[inline(always)]
pub(super) fn long<L: Lanes, const N: usize>(l: L, job: &mut ToOpen<'_>) {
    let (key, start) = (job.key, Start::of(l, job));
    let whole = job.octets.len().saturating_sub(1) / (N * L::OCTETS) * (N * L::OCTETS);
    let Some((groups, rest)) = job.octets.split_at_mut_checked(whole) else { return };
    let (hash, encrypted_counter) = decrypt::<L, N>(l, key, &start, groups);
    let vectors = tail::vectors::<L>(rest.len());
    let behind = Start { hash, ..start };
    let mut tail = Tail::behind(key, behind, whole / 16, rest, job.icv);
    let mut good = false;
    for_vectors!(vectors, N + 1, Q => {
        good = last::<L, Q>(l, &mut tail, encrypted_counter);
    });
    if !good {
        encrypt_again::<L, N>(l, key, &start, groups);
    }
    *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
}

/// Decrypts whole groups, and returns the hash of their ciphertext and E(J0).
#[inline(always)]
fn decrypt<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    start: &Start<L>,
    groups: &mut [u8],
) -> (L::V, L::V) {
    let (mut hash, mut encrypted_counter) = (start.hash, l.zero());
    let mut counter = 1;
    for octets in groups.chunks_exact_mut(N * L::OCTETS) {
        let mut hashing = Hashing::<L, N>::new(l, key, octets, hash);
        let state = group::encrypted::<L, N>(l, key, start.base, counter, &mut hashing);
        hash = hashing.finish(l);
        if counter == 1 {
            let first = Some(start.first);
            encrypted_counter = group::finish::<L, N>(l, key, state, octets, first);
        } else {
            group::finish::<L, N>(l, key, state, octets, None);
        }
        counter += N * L::LANES;
    }
    (hash, encrypted_counter)
}

/// Whether the packet's ICV is good; only then the tail's plaintext is written.
#[inline(always)]
fn last<L: Lanes, const Q: usize>(
    l: L,
    tail: &mut Tail<'_, L>,
    encrypted_counter: L::V,
) -> bool {
    let [state] = tail::encrypted::<L, 1, Q>(l, core::array::from_ref(tail), &mut ());
    let (done, plain) = tail.open::<Q>(l, state);
    let good = icv_is(tail.icv, tag(l, done.hash, encrypted_counter));
    if good {
        tail.write_all(l, plain);
    }
    good
}

/// Counter mode is its own inverse.
#[inline(always)]
fn encrypt_again<L: Lanes, const N: usize>(
    l: L,
    key: &GcmKey,
    start: &Start<L>,
    groups: &mut [u8],
) {
    let mut first = Some(start.first);
    for (i, octets) in groups.chunks_exact_mut(N * L::OCTETS).enumerate() {
        let counter = 1 + i * N * L::LANES;
        let state = group::encrypted::<L, N>(l, key, start.base, counter, &mut ());
        group::finish::<L, N>(l, key, state, octets, first.take());
    }
}
