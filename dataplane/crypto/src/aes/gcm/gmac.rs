//! ENCR_NULL_AUTH_AES_GMAC (RFC 4543): GCM's hash over the whole packet as associated data, and nothing
//! encrypted but the tag.
use super::super::abreast::{Keys, for_vectors};
use super::super::ctr::{self, Stream};
use super::super::ghash::{self, Sums};
use super::super::lanes::Lanes;
use super::group::{Hashing, octets_in_groups};
use super::stream::{Item, Job, icv_is, write_icv};
use super::tags::Tags;
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
        if let Some(mut job) = item.job(ICV) {
            job.write_iv();
            let tag = icv::<L, N, _>(l, &mut job);
            write_icv(l, job.icv, tag);
        } else {
            item.give_up();
        }
    }
}

/// Verifies ICVs.
#[inline(always)]
pub(super) fn open<L: Lanes, const N: usize>(l: L, group: &mut [&mut Open<'_>]) {
    for item in group {
        if let Some(mut job) = item.job(ICV) {
            let tag = icv::<L, N, _>(l, &mut job);
            *job.outcome = if icv_is(l, job.icv, tag) { Ok(()) } else { Err(BadIcv) };
        }
    }
}

/// Over SPI ‖ sequence number ‖ IV ‖ payload (RFC 4543 §3.3).
#[inline(always)]
fn icv<L: Lanes, const N: usize, Outcome>(l: L, job: &mut Job<'_, Outcome>) -> L::V {
    let rounds = job.key.rounds();
    let stream = Stream { keys: job.key.round_keys(), rounds, base: job.base(l) };
    let [state] = stream.encrypted::<1>(l, 1, &mut ());
    let encrypted_counter = l.last_round(state, job.key.round_keys().last(l, rounds));
    let sums = if job.associated == HEADER {
        hash_from::<L, N, _>(l, job, 0, l.zero())
    } else {
        // the number's high half is not in the packet: its first block is made, and the rest lie askew
        let iv = job.first >> 64;
        let associated = job.first ^ job.instead.swap_bytes();
        let block = l.at_lane((associated | iv << (8 * IN_FIRST)).swap_bytes(), 0);
        let hash = ghash::product(l, block, l.load(job.key.powers(1)));
        hash_from::<L, N, _>(l, job, IN_FIRST, hash)
    };
    let [tag] = Tags::new([sums], [encrypted_counter]).alone(l);
    tag
}

/// The hash of the packet's octets from `from` on and the length block. `hash`: of what is in front.
#[inline(always)]
fn hash_from<L: Lanes, const N: usize, Outcome>(
    l: L,
    job: &mut Job<'_, Outcome>,
    from: usize,
    hash: L::V,
) -> Sums<L> {
    let lengths = ghash::lengths(job.octets.len() + job.associated - HEADER, 0);
    let octets = job.octets.get_mut(from..).unwrap_or_default();
    let (groups, rest) = octets.split_at_mut(octets_in_groups::<L, N>(octets.len()));
    let mut sums = Sums::reduced(l, hash);
    for group in groups.chunks_exact(N * L::OCTETS) {
        sums = Hashing::<L, N>::new(l, job.key, ctr::load(l, group), sums).alone(l);
    }
    let tail = Tail { key: job.key, len: rest.len(), lengths };
    for_vectors!(tail::vectors::<L>(rest.len()), N + 1, Q => {
        sums = tail::Hashing::<L, Q>::new(l, tail, tail::read::<L, Q>(l, rest), sums).alone(l);
    });
    sums
}
