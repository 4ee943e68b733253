//! HMAC (RFC 2104) of many packets at once, over any of the hashes: packets take the lanes, longest first;
//! a lane that is done gets the next packet; at the end all outer hashes run together.
#![allow(
    unsafe_code,
    reason = "the rungs' kernels need features, which the choice of table has checked"
)]
use arrayvec::ArrayVec;

use super::lane::{Block, Lane, Run};
use super::vector::Piece;
use crate::mac::{MacJob, MacKey};

/// Jobs that a kernel gets at most.
const JOBS: usize = 64;
/// Lanes of the widest rung.
const WIDEST: usize = 16;

/// What HMAC has to know of a hash with blocks of `P` pieces and a state of `S`.
pub(super) trait Hash<const P: usize, const S: usize> {
    /// Octets of the digest.
    const DIGEST: usize;
    /// Octets of the length behind the padding.
    const LENGTH: usize;
    /// That length, in bits, as it is written there.
    fn length(bits: u64) -> [u8; 8];
    /// Between the state's words in this CPU's order and octets.
    fn swap(piece: Piece) -> Piece;
    /// The states of a key. `None`: it is another hash's.
    fn states(key: &MacKey) -> Option<([Piece; S], [Piece; S])>;
}

/// The kernels of one hash on one CPU, narrowest first.
pub(super) struct Ladder<const P: usize, const S: usize>(pub &'static [Rung<P, S>]);

/// One kernel, and for how many messages at once it is the quickest.
pub(super) struct Rung<const P: usize, const S: usize> {
    /// Up to this many; the last rung takes any number.
    pub most: usize,
    /// Messages that it takes at once.
    pub lanes: usize,
    pub run: Run<P, S>,
}

impl<const P: usize, const S: usize> Ladder<P, S> {
    fn rung(&self, messages: usize) -> Option<&Rung<P, S>> {
        self.0.iter().find(|rung| messages <= rung.most).or(self.0.last())
    }

    /// Hashes all of every lane. They are best given longest first.
    ///
    /// # Safety
    /// The CPU has the features of every rung.
    unsafe fn drain(&self, lanes: &mut [Lane<'_, P, S>]) {
        let widest = self.0.last().map_or(1, |rung| rung.lanes);
        let mut waiting = lanes.iter_mut();
        let mut active: ArrayVec<_, WIDEST> = waiting.by_ref().take(widest.min(WIDEST)).collect();
        while let (Some(steps), Some(rung)) =
            (active.iter().map(|lane| lane.left()).min(), self.rung(active.len()))
        {
            for group in active.chunks_mut(rung.lanes) {
                // SAFETY: the caller's promise.
                unsafe { (rung.run)(group, steps) };
            }
            refill(&mut active, &mut waiting);
        }
    }
}

/// A waiting message takes the place of one that is done.
fn refill<'l, 'a, const P: usize, const S: usize>(
    active: &mut ArrayVec<&'l mut Lane<'a, P, S>, WIDEST>,
    waiting: &mut core::slice::IterMut<'l, Lane<'a, P, S>>,
) {
    let mut at = 0;
    while let Some(lane) = active.get_mut(at) {
        if lane.left() > 0 {
            at += 1;
        } else if let Some(next) = waiting.next() {
            *lane = next;
        } else {
            active.swap_remove(at);
        }
    }
}

/// The tags of all jobs.
///
/// # Safety
/// The CPU has the features of every rung of `ladder`.
pub(super) unsafe fn hmac<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    for jobs in jobs.chunks_mut(JOBS) {
        let order = longest_first(jobs);
        let mut lanes = ArrayVec::<_, JOBS>::new();
        lanes.extend(order.iter().filter_map(|at| jobs.get(*at)).map(inner::<H, P, S>));
        // SAFETY: the caller's promise.
        unsafe { ladder.drain(&mut lanes) };
        for (at, lane) in order.iter().zip(&mut lanes) {
            if let Some(job) = jobs.get(*at) {
                outer::<H, P, S>(lane, job.key);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { ladder.drain(&mut lanes) };
        for (at, lane) in order.iter().zip(&lanes) {
            if let Some(job) = jobs.get_mut(*at) {
                job.tag = tag::<H, P, S>(&lane.state);
            }
        }
    }
}

/// The jobs' places, those with the most octets first.
fn longest_first(jobs: &[MacJob<'_>]) -> ArrayVec<usize, JOBS> {
    let mut order: ArrayVec<usize, JOBS> = (0..jobs.len().min(JOBS)).collect();
    order.sort_unstable_by_key(|at| jobs.get(*at).map(|job| core::cmp::Reverse(job.covered.len())));
    order
}

/// A job's message behind the inner padded key.
fn inner<'a, H: Hash<P, S>, const P: usize, const S: usize>(job: &MacJob<'a>) -> Lane<'a, P, S> {
    let (pieces, _) = job.covered.as_chunks::<16>();
    let (body, _) = pieces.as_chunks::<P>();
    let (_, rest) = job.covered.split_at(body.len() * P * 16);
    let mut tail = [[[0; 16]; P]; 2];
    let octets = tail.as_flattened_mut().as_flattened_mut();
    let mut end = rest.len();
    octets[..end].copy_from_slice(rest);
    if let Some(high) = job.high {
        octets[end..end + 4].copy_from_slice(&high);
        end += 4;
    }
    octets[end] = 0x80;
    let tails = (end + 1 + H::LENGTH).div_ceil(P * 16);
    let bits = 8 * (P * 16 * (1 + body.len()) + end) as u64;
    let close = tails * P * 16 - 8;
    octets[close..close + 8].copy_from_slice(&H::length(bits));
    let state = H::states(job.key).map_or([[0; 16]; S], |(inner, _)| inner);
    Lane { state, body, tail, next: 0, blocks: body.len() + tails }
}

/// The inner digest behind the outer padded key.
fn outer<H: Hash<P, S>, const P: usize, const S: usize>(lane: &mut Lane<'_, P, S>, key: &MacKey) {
    let mut block: Block<P> = [[0; 16]; P];
    for (to, from) in block.iter_mut().zip(&lane.state) {
        *to = H::swap(*from);
    }
    let octets = block.as_flattened_mut();
    octets[H::DIGEST..].fill(0);
    octets[H::DIGEST] = 0x80;
    let bits = 8 * (P * 16 + H::DIGEST) as u64;
    octets[P * 16 - 8..].copy_from_slice(&H::length(bits));
    let state = H::states(key).map_or([[0; 16]; S], |(_, outer)| outer);
    lane.state = state;
    lane.body = &[];
    lane.tail[0] = block;
    lane.next = 0;
    lane.blocks = 1;
}

/// The digest's first octets.
fn tag<H: Hash<P, S>, const P: usize, const S: usize>(state: &[Piece; S]) -> [u8; 32] {
    let mut tag = [0; 32];
    for (to, from) in tag.as_chunks_mut::<16>().0.iter_mut().zip(state) {
        *to = H::swap(*from);
    }
    tag
}
