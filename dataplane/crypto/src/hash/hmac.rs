//! HMAC (RFC 2104) of many packets at once, over any of the hashes: packets take the lanes, longest first;
//! a lane that is done gets the next packet; at the end all outer hashes run together.
#![allow(
    unsafe_code,
    reason = "the rungs' kernels need features, which the choice of table has checked"
)]
use arrayvec::ArrayVec;

use super::lane::{Lane, Run};
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
    /// The state behind the inner or the outer padded key. `None`: it is another hash's key.
    fn state(key: &MacKey, pad: Pad) -> Option<[Piece; S]>;
}

/// Which of a key's two states.
#[derive(Clone, Copy)]
pub(super) enum Pad {
    Inner,
    Outer,
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
    /// The one for this many messages. `None`: there are none.
    #[inline(always)]
    fn rung(&self, messages: usize) -> Option<&Rung<P, S>> {
        let fits = self.0.iter().find(|rung| messages <= rung.most).or(self.0.last());
        fits.filter(|_| messages > 0)
    }

    /// Hashes all of every lane. They are best given longest first.
    ///
    /// # Safety
    /// The CPU has the features of every rung.
    #[inline(always)]
    unsafe fn drain(&self, lanes: &mut [Lane<'_, P, S>]) {
        let widest = self.0.last().map_or(1, |rung| rung.lanes);
        let mut waiting = lanes.iter_mut();
        let mut active: ArrayVec<_, WIDEST> = waiting.by_ref().take(widest.min(WIDEST)).collect();
        while let Some(steps) = active.iter().map(|lane| lane.left()).min() {
            // SAFETY: the caller's promise.
            unsafe { self.climb(&mut active, steps) };
            refill(&mut active, &mut waiting);
        }
    }

    /// Advances all of `active`, the best rung for their number first, what it leaves by the next.
    ///
    /// # Safety
    /// As [`Ladder::drain`].
    #[inline(always)]
    unsafe fn climb(&self, mut active: &mut [&mut Lane<'_, P, S>], steps: usize) {
        while let Some(rung) = self.rung(active.len()) {
            let Some((now, later)) = active.split_at_mut_checked(rung.lanes.min(active.len()))
            else {
                return;
            };
            // SAFETY: the caller's promise.
            unsafe { (rung.run)(now, steps) };
            active = later;
        }
    }
}

/// A waiting message takes the place of one that is done.
#[inline(always)]
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
/// The CPU has AVX2 (for the copies here) and the features of every rung of `ladder`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn hmac<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    debug_assert!(
        jobs.iter().all(|job| H::state(job.key, Pad::Inner).is_some()),
        "another hash's key"
    );
    for jobs in jobs.chunks_mut(JOBS) {
        let order = longest_first::<P>(jobs);
        let mut lanes = ArrayVec::<Lane<'_, P, S>, JOBS>::new();
        let covered = order.iter().filter_map(|place| jobs.get(place.job())).map(|job| job.covered);
        lanes.extend(covered.map(empty));
        for (place, lane) in order.iter().zip(&mut lanes) {
            if let Some(job) = jobs.get(place.job()) {
                inner::<H, P, S>(lane, job);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { ladder.drain(&mut lanes) };
        for (place, lane) in order.iter().zip(&mut lanes) {
            if let Some(job) = jobs.get(place.job()) {
                outer::<H, P, S>(lane, job.key);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { ladder.drain(&mut lanes) };
        for (place, lane) in order.iter().zip(&lanes) {
            if let Some(job) = jobs.get_mut(place.job()) {
                tag::<H, P, S>(&lane.state, &mut job.tag);
            }
        }
    }
}

/// A job by its number, above it how many blocks it lacks to the longest there could be: what sorts first
/// is longest. Jobs of one length are in order as they come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(usize);

impl Place {
    const fn new(blocks: usize, job: usize) -> Self {
        Self((usize::MAX / JOBS - blocks) * JOBS + job)
    }

    const fn job(self) -> usize {
        self.0 % JOBS
    }
}

/// The jobs, those of the most blocks first.
#[inline(always)]
fn longest_first<const P: usize>(jobs: &[MacJob<'_>]) -> ArrayVec<Place, JOBS> {
    let blocks = jobs.iter().map(|job| job.covered.len() / (P * 16));
    let places = blocks.enumerate().map(|(job, blocks)| Place::new(blocks, job));
    let mut order: ArrayVec<_, JOBS> = places.take(JOBS).collect();
    order.sort_unstable();
    order
}

/// A lane that has the whole blocks of `covered` before it, and nothing else yet. What follows is written
/// in place: a copy would wait for the small writes to leave the CPU's store queue.
#[inline(always)]
fn empty<const P: usize, const S: usize>(covered: &[u8]) -> Lane<'_, P, S> {
    let (body, _) = covered.as_chunks::<16>().0.as_chunks::<P>();
    Lane { state: [[0; 16]; S], body, tail: [[[0; 16]; P]; 3], next: 0, blocks: body.len() }
}

/// Behind the inner padded key: the job's message and its padding.
#[inline(always)]
fn inner<H: Hash<P, S>, const P: usize, const S: usize>(
    lane: &mut Lane<'_, P, S>,
    job: &MacJob<'_>,
) {
    let block = P * 16;
    let octets = lane.tail.as_flattened_mut().as_flattened_mut();
    let mut end = block + rest(job.covered, octets, block);
    if let Some(high) = job.high {
        put(octets, end, high);
        end += 4;
    }
    put(octets, end, [0x80]);
    let tails = (end + 1 + H::LENGTH).div_ceil(block) - 1;
    let bits = 8 * (block * lane.body.len() + end) as u64; // the padded key is a block, and so is the room
    put(octets, (1 + tails) * block - 8, H::length(bits));
    lane.state = H::state(job.key, Pad::Inner).unwrap_or([[0; 16]; S]);
    lane.blocks += tails;
}

/// What is left of `covered` behind its whole blocks goes behind the first block of `tail`; how many octets.
/// A whole block is copied, so that its length is known and it takes a few moves: what does not belong to
/// the rest lands in front of it.
#[inline(always)]
fn rest(covered: &[u8], tail: &mut [u8], block: usize) -> usize {
    let rest = covered.len() % block;
    let whole = covered.len().checked_sub(block).and_then(|at| covered.get(at..));
    let (from, at) = whole.map_or((covered, block), |last| (last, rest));
    if let Some((from, to)) = from.get(..block).zip(tail.get_mut(at..at + block)) {
        to.copy_from_slice(from);
    } else if let Some(to) = tail.get_mut(block..block + rest) {
        to.copy_from_slice(from);
    }
    rest
}

#[inline(always)]
fn put<const N: usize>(octets: &mut [u8], at: usize, these: [u8; N]) {
    if let Some(to) = octets.get_mut(at..at + N) {
        to.copy_from_slice(&these);
    }
}

/// Behind the outer padded key: the inner digest and its padding.
#[inline(always)]
fn outer<H: Hash<P, S>, const P: usize, const S: usize>(lane: &mut Lane<'_, P, S>, key: &MacKey) {
    let [_, block, _] = &mut lane.tail;
    *block = [[0; 16]; P];
    for (to, from) in block.iter_mut().zip(&lane.state) {
        *to = H::swap(*from);
    }
    let octets = block.as_flattened_mut();
    if let Some(unused) = octets.get_mut(H::DIGEST..S * 16) {
        unused.fill(0);
    }
    put(octets, H::DIGEST, [0x80]);
    put(octets, P * 16 - 8, H::length(8 * (P * 16 + H::DIGEST) as u64));
    lane.state = H::state(key, Pad::Outer).unwrap_or([[0; 16]; S]);
    lane.body = &[];
    lane.next = 0;
    lane.blocks = 1;
}

/// The digest's first octets.
#[inline(always)]
fn tag<H: Hash<P, S>, const P: usize, const S: usize>(state: &[Piece; S], tag: &mut [u8; 32]) {
    for (to, from) in tag.as_chunks_mut::<16>().0.iter_mut().zip(state) {
        *to = H::swap(*from);
    }
}
