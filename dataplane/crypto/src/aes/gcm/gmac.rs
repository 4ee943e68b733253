//! ENCR_NULL_AUTH_AES_GMAC (RFC 4543): GCM's hash over the whole packet as associated data, and nothing
//! encrypted but the tag.
use super::super::abreast::{Keys, for_vectors};
use super::super::ctr;
use super::super::ghash;
use super::super::lanes::Lanes;
use super::group::{Hashing, octets_in_groups};
use super::short;
use super::stream::{Job, icv_is, tag, write_icv};
use super::tail::{self, Tail};
use crate::batch::{BadIcv, Open, Seal};
use crate::layout::HEADER;

/// Octets of the ICV (RFC 4543 §3.3).
const ICV: usize = 16;
/// Octets of the packet that are in the hash's first block with ESN: SPI, low half, half of the IV.
const IN_FIRST: usize = 12;

/// Writes IVs and ICVs.
#[inline(always)]
pub(super) fn seal<L: Lanes, const N: usize>(l: L, group: &mut [&mut Seal<'_>]) {
    for item in group {
        if let Some(mut job) = Job::of_seal(item, ICV) {
            job.write_iv();
            let tag = icv::<L, N, _>(l, &mut job);
            write_icv(job.icv, tag);
        }
    }
}

/// Verifies ICVs.
#[inline(always)]
pub(super) fn open<L: Lanes, const N: usize>(l: L, group: &mut [&mut Open<'_>]) {
    for item in group {
        if let Some(mut job) = Job::of_open(item, ICV) {
            let tag = icv::<L, N, _>(l, &mut job);
            *job.outcome = if icv_is(job.icv, tag) { Ok(()) } else { Err(BadIcv) };
        }
    }
}

/// Over SPI ‖ sequence number ‖ IV ‖ payload (RFC 4543 §3.3).
#[inline(always)]
fn icv<L: Lanes, const N: usize, Outcome>(l: L, job: &mut Job<'_, Outcome>) -> u128 {
    let [[state]] = short::encrypted::<L, _, 1, 1>(l, core::array::from_ref(job), &mut ());
    let encrypted_counter = l.last_round(state, job.key.round_keys().last(l, job.key.rounds()));
    let hash = if job.associated == HEADER {
        hash_from::<L, N, _>(l, job, 0, l.zero())
    } else {
        // the number's high half is not in the packet: its first block is made, and the rest lie askew
        let iv = job.first >> 64;
        let associated = job.first ^ job.instead.swap_bytes();
        let block = l.at_lane((associated | iv << (8 * IN_FIRST)).swap_bytes(), 0);
        let hash = ghash::product(l, block, l.load(job.key.powers(1)));
        hash_from::<L, N, _>(l, job, IN_FIRST, hash)
    };
    tag(l, hash, encrypted_counter)
}

/// The hash of the packet's octets from `from` on and the length block. `hash`: of what is in front.
#[inline(always)]
fn hash_from<L: Lanes, const N: usize, Outcome>(
    l: L,
    job: &mut Job<'_, Outcome>,
    from: usize,
    mut hash: L::V,
) -> L::V {
    let lengths = ghash::lengths(job.octets.len() + job.associated - HEADER, 0);
    let octets = job.octets.get_mut(from..).unwrap_or_default();
    let (groups, rest) = octets.split_at_mut(octets_in_groups::<L, N>(octets.len()));
    for group in groups.chunks_exact(N * L::OCTETS) {
        hash = Hashing::<L, N>::new(l, job.key, ctr::load(l, group), hash).alone(l);
    }
    let tail = Tail { key: job.key, len: rest.len(), hash, lengths };
    for_vectors!(tail::vectors::<L>(rest.len()), N + 1, Q => {
        hash = tail.of::<Q>(l, tail::read::<L, Q>(l, rest));
    });
    hash
}
