//! HMAC (RFC 2104) of many packets at once, over any of the hashes: packets take the lanes, longest first;
//! a lane that is done gets the next packet; at the end all outer hashes run together.
#![allow(
    unsafe_code,
    reason = "the rungs' kernels need features, which the choice of table has checked"
)]
use arrayvec::ArrayVec;

use super::lane::{Block, Even, Lane, Message, Outer, Run, WIDEST};
use super::vector::{Piece, padded};
use crate::mac::{MacJob, MacKey};

/// Jobs that a kernel gets at most.
const JOBS: usize = 64;

/// What HMAC has to know of a hash with blocks of `P` pieces and a state of `S`.
pub(super) trait Hash<const P: usize, const S: usize> {
    /// Octets of the length behind the padding.
    const LENGTH: usize;
    /// That length, in bits, as it is written there.
    fn length(bits: u64) -> [u8; 8];
    /// The states behind the inner and the outer padded key. `None`: it is another hash's key.
    fn states(key: &MacKey) -> Option<[&[Piece; S]; 2]>;
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
    pub outer: Outer<P, S>,
    /// For as many messages as there are lanes, all of one length.
    pub even: Option<Even<P, S>>,
}

impl<const P: usize, const S: usize> Ladder<P, S> {
    /// The one for this many messages. `None`: there are none.
    #[inline(always)]
    fn rung(&self, messages: usize) -> Option<&Rung<P, S>> {
        let fits = self.0.iter().find(|rung| messages <= rung.most).or(self.0.last());
        fits.filter(|_| messages > 0)
    }

    /// The best kernel for this many messages of one length, and how many it takes. `None`: they do not fill it.
    #[inline(always)]
    fn even(&self, messages: usize) -> Option<(Even<P, S>, usize)> {
        let rung = self.rung(messages).filter(|rung| rung.lanes <= messages)?;
        Some((rung.even?, rung.lanes))
    }

    /// Hashes all of every lane. They are best given longest first.
    ///
    /// # Safety
    /// The CPU has the features of every rung.
    #[inline(always)]
    unsafe fn drain(&self, lanes: &mut [Lane<'_, P, S>]) {
        let widest = self.0.last().map_or(1, |rung| rung.lanes);
        let mut waiting = lanes.iter_mut();
        let mut active = ArrayVec::<_, WIDEST>::new();
        for lane in waiting.by_ref().take(widest.min(WIDEST)) {
            active.push(lane);
        }
        while let Some(steps) = active.iter().map(|lane| lane.left()).min() {
            self.climb(&mut active, |rung, lanes| {
                // SAFETY: the caller's promise.
                unsafe { (rung.run)(lanes, steps) }
            });
            refill(&mut active, &mut waiting);
        }
    }

    /// Runs the outer hash of all lanes.
    ///
    /// # Safety
    /// As [`Ladder::drain`].
    #[inline(always)]
    unsafe fn finish(&self, lanes: &mut [Lane<'_, P, S>]) {
        let mut all = ArrayVec::<_, JOBS>::new();
        for lane in lanes.iter_mut().take(JOBS) {
            all.push(lane);
        }
        self.climb(&mut all, |rung, lanes| {
            // SAFETY: the caller's promise.
            unsafe { (rung.outer)(lanes) }
        });
    }

    /// Calls `run` for all of `active`, the best rung for their number first, what it leaves by the next.
    #[inline(always)]
    fn climb<L>(&self, mut active: &mut [L], run: impl Fn(&Rung<P, S>, &mut [L])) {
        while let Some(rung) = self.rung(active.len()) {
            let Some((now, later)) = active.split_at_mut_checked(rung.lanes.min(active.len()))
            else {
                return;
            };
            run(rung, now);
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

/// The last blocks of all messages, one or two of each. All are written before the first is read: a load has
/// to wait for smaller stores to leave the CPU's store queue.
type Tails<const P: usize, const BLOCKS: usize> = ArrayVec<Block<P>, BLOCKS>;

/// The end of a message: what lies behind its last whole block.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    /// The message.
    covered: &'a [u8],
    /// So many octets at its end, less than a block.
    rest: usize,
    /// Hashed behind them.
    high: Option<[u8; 4]>,
    /// Blocks that they take with the padding: one or two.
    blocks: usize,
    /// The last octets of the last block.
    length: [u8; 8],
}

impl<'a> Ending<'a> {
    #[inline(always)]
    fn of<H: Hash<P, S>, const P: usize, const S: usize>(job: &MacJob<'a>) -> Self {
        let (covered, block) = (job.covered, P * 16);
        let rest = covered.len() % block;
        let end = rest + job.high.map_or(0, |high| high.len());
        let bits = 8 * (block + covered.len() - rest + end) as u64; // the padded key is a block
        let blocks = (end + 1 + H::LENGTH).div_ceil(block);
        Self { covered, rest, high: job.high, blocks, length: H::length(bits) }
    }

    #[inline(always)]
    fn octets(&self) -> &'a [u8] {
        self.covered.get(self.covered.len() - self.rest..).unwrap_or_default()
    }
}

/// How a tier takes a message's end.
pub(super) trait End {
    /// Adds its blocks: octets, padding (RFC 1321 §3.1, FIPS 180-4 §5.1), length.
    ///
    /// # Safety
    /// The CPU has the tier's features.
    unsafe fn push<const P: usize, const BLOCKS: usize>(
        tails: &mut Tails<P, BLOCKS>,
        end: &Ending<'_>,
    );
}

/// Piece by piece, in place: a copy would wait for its own stores.
pub(super) struct Pieces;

impl End for Pieces {
    #[inline(always)]
    unsafe fn push<const P: usize, const BLOCKS: usize>(
        tails: &mut Tails<P, BLOCKS>,
        end: &Ending<'_>,
    ) {
        let start = tails.len();
        for _ in 0..end.blocks {
            tails.push([[0; 16]; P]);
        }
        let pieces = tails.get_mut(start..).unwrap_or_default().as_flattened_mut();
        let (whole, part) = end.octets().as_chunks();
        pieces.iter_mut().zip(whole).for_each(|(to, from)| *to = *from);
        if let Some(to) = pieces.get_mut(whole.len()) {
            *to = last(end.covered, part);
        }
        let (octets, mut at) = (pieces.as_flattened_mut(), end.rest);
        if let Some(high) = end.high {
            put(octets, at, high);
            at += high.len();
        }
        put(octets, at, [0x80]);
        put(octets, end.blocks * P * 16 - 8, end.length);
    }
}

/// `part`, the last octets of `covered`, less than a piece, and zeros. What is loaded is a whole piece that
/// ends there.
#[inline(always)]
fn last(covered: &[u8], part: &[u8]) -> Piece {
    match covered.last_chunk() {
        Some(last) => {
            let low = u128::from_le_bytes(*last);
            low.unbounded_shr(8 * (16 - part.len() as u32)).to_le_bytes()
        }
        None => {
            let mut piece = [0; 16];
            piece.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            piece
        }
    }
}

/// By loads with a mask: AVX-512. Padding and length are put in while the octets are in a register, so that each
/// block is stored at once and can be loaded a moment later.
pub(super) struct Masked;

impl End for Masked {
    #[inline(always)]
    unsafe fn push<const P: usize, const BLOCKS: usize>(
        tails: &mut Tails<P, BLOCKS>,
        end: &Ending<'_>,
    ) {
        if end.high.is_some() {
            // SAFETY: the caller's promise.
            return unsafe { Pieces::push(tails, end) };
        }
        let all = end.blocks * P * 16;
        for start in (0..all).step_by(P * 16) {
            let mut block = [[0; 16]; P];
            for (four, at) in block.as_chunks_mut::<4>().0.iter_mut().zip((start..).step_by(64)) {
                // an address behind the packet may not be mapped, and costs a CPU hundreds of cycles even if all is
                // masked out
                let (_, octets) = end.octets().split_at(at.min(end.rest));
                let mark = 1_u64.unbounded_shl(end.rest.wrapping_sub(at) as u32);
                let length = if at + 64 == all { u64::from_le_bytes(end.length) } else { 0 };
                // SAFETY: the caller's promise.
                *four = unsafe { padded(octets, mark, length) };
            }
            tails.push(block);
        }
    }
}

/// The tags of all jobs.
///
/// # Safety
/// The CPU has AVX2 (for the copies here) and the features of every rung of `ladder`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn hmac_avx2<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    // SAFETY: the caller's promise.
    unsafe { hmac::<H, Pieces, P, S>(ladder, jobs) }
}

/// The tags of all jobs.
///
/// # Safety
/// The CPU has AVX-512 F, BW and VL, and the features of every rung of `ladder`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn hmac_avx512<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    // SAFETY: the caller's promise.
    unsafe { hmac::<H, Masked, P, S>(ladder, jobs) }
}

/// # Safety
/// The CPU has the features of `E` and of every rung of `ladder`.
#[inline(always)]
unsafe fn hmac<H: Hash<P, S>, E: End, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    debug_assert!(jobs.iter().all(|job| H::states(job.key).is_some()), "another hash's key");
    let mut rest = jobs;
    if one_length(rest) {
        while let Some((even, lanes)) = ladder.even(rest.len()) {
            let (now, later) = rest.split_at_mut(lanes);
            // SAFETY: the caller's promise.
            unsafe { evenly::<H, E, P, S>(even, now) };
            rest = later;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { as_they_come::<H, E, P, S>(ladder, rest) }
}

/// Whether one end fits all.
#[inline(always)]
fn one_length(jobs: &[MacJob<'_>]) -> bool {
    let Some(first) = jobs.first() else { return false };
    let like = |job: &MacJob<'_>| {
        (job.covered.len(), job.high.is_some()) == (first.covered.len(), first.high.is_some())
    };
    jobs.iter().all(like)
}

/// The tags of at most [`WIDEST`] jobs, as many as `even` has lanes, all of one length.
///
/// # Safety
/// The CPU has the features of `E` and of `even`.
#[inline(always)]
unsafe fn evenly<H: Hash<P, S>, E: End, const P: usize, const S: usize>(
    even: Even<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    let Some(first) = jobs.first().map(Ending::of::<H, P, S>) else { return };
    let mut tails = Tails::<P, { 2 * WIDEST }>::new();
    for MacJob { covered, high, .. } in jobs.iter().take(WIDEST) {
        // SAFETY: the caller's promise.
        unsafe { E::push(&mut tails, &Ending { covered, high: *high, ..first }) };
    }
    let mut messages = ArrayVec::<Message<'_, P, S>, WIDEST>::new();
    let mut rest = tails.as_slice();
    for job in jobs.iter().take(WIDEST) {
        let (tail, behind) = rest.split_at(first.blocks.min(rest.len()));
        messages.push(message::<H, P, S>(job, tail));
        rest = behind;
    }
    // SAFETY: the caller's promise.
    let tags = unsafe { even(&messages) };
    for (at, job) in jobs.iter_mut().enumerate().take(WIDEST) {
        let pieces = job.tag.as_chunks_mut::<16>().0.iter_mut();
        pieces.zip(&tags).for_each(|(to, from)| *to = from.get(at).copied().unwrap_or_default());
    }
}

/// The tags of jobs of any lengths.
///
/// # Safety
/// The CPU has the features of `E` and of every rung of `ladder`.
#[inline(always)]
unsafe fn as_they_come<H: Hash<P, S>, E: End, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    for jobs in jobs.chunks_mut(JOBS) {
        let mut order = ArrayVec::new();
        longest_first::<P>(jobs, &mut order);
        let ordered = || order.iter().filter_map(|place| jobs.get(place.job()));
        let mut tails = Tails::<P, { 2 * JOBS }>::new();
        let mut ends = ArrayVec::<usize, JOBS>::new();
        for job in ordered() {
            // SAFETY: the caller's promise.
            unsafe { E::push(&mut tails, &Ending::of::<H, P, S>(job)) };
            ends.push(tails.len());
        }
        let mut lanes = ArrayVec::<Lane<'_, P, S>, JOBS>::new();
        let mut start = 0;
        for (job, end) in ordered().zip(ends) {
            let tail = tails.get(start..end).unwrap_or_default();
            start = end;
            lanes.push(lane::<H, P, S>(job, tail));
        }
        // SAFETY: the caller's promise.
        unsafe { ladder.drain(&mut lanes) };
        // SAFETY: the caller's promise.
        unsafe { ladder.finish(&mut lanes) };
        for (place, lane) in order.iter().zip(&lanes) {
            if let Some(job) = jobs.get_mut(place.job()) {
                let octets = job.tag.as_chunks_mut::<16>().0.iter_mut();
                octets.zip(&lane.state).for_each(|(to, from)| *to = *from);
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
fn longest_first<const P: usize>(jobs: &[MacJob<'_>], order: &mut ArrayVec<Place, JOBS>) {
    for (at, job) in jobs.iter().enumerate().take(JOBS) {
        order.push(Place::new(job.covered.len() / (P * 16), at));
    }
    if !order.is_sorted() {
        order.sort_unstable();
    }
}

/// Behind the inner padded key: the job's message and its padding.
#[inline(always)]
fn lane<'a, H: Hash<P, S>, const P: usize, const S: usize>(
    job: &MacJob<'a>,
    tail: &'a [Block<P>],
) -> Lane<'a, P, S> {
    let Message { inner, outer, body, tail } = message::<H, P, S>(job, tail);
    Lane { state: *inner, outer, body, tail, next: 0 }
}

#[inline(always)]
fn message<'a, H: Hash<P, S>, const P: usize, const S: usize>(
    job: &MacJob<'a>,
    tail: &'a [Block<P>],
) -> Message<'a, P, S> {
    let [inner, outer] = H::states(job.key).unwrap_or([const { &[[0; 16]; S] }; 2]);
    let (body, _) = job.covered.as_chunks::<16>().0.as_chunks::<P>();
    Message { inner, outer, body, tail }
}

#[inline(always)]
fn put<const N: usize>(octets: &mut [u8], at: usize, these: [u8; N]) {
    if let Some(to) = octets.get_mut(at..at + N) {
        to.copy_from_slice(&these);
    }
}
