//! A group of packets, in order of their length: neighbours then run the same code, several abreast.
#![allow(unsafe_code, reason = "prefetching")]
use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use arrayvec::ArrayVec;

use super::super::abreast::for_vectors;
use super::super::lanes::Lanes;
use super::stream::Job;
use super::tail;
use crate::batch::{BadIcv, Open, Seal};

/// Packets looked at together.
const AT_ONCE: usize = 64;
/// Lengths of one class run the same code: 1 to 9 vectors, or with groups, by their number.
const CLASSES: usize = 32;
/// The first class of packets with groups.
const LONG: usize = 10;
/// Octets of a long packet that are prefetched; the CPU finds the rest by itself.
const PREFETCHED: usize = 320;
/// Octets of a cache line.
const LINE: usize = 64;

/// One tier's sealing or opening. Each function is compiled with the tier's instructions, by itself: its
/// jobs come and go through memory, its vectors never leave it.
pub(super) trait Kernel: Copy {
    /// The tier.
    type Lanes: Lanes;
    /// Where a packet's outcome goes.
    type Outcome<'a>;
    /// Vectors in a group.
    const VECTORS: usize;

    /// Packets of up to one group, `Q` vectors each, `P` abreast.
    fn short<'a, const P: usize, const Q: usize>(self, jobs: &mut [JobOf<'a, Self>]);

    /// Packets of more than one group.
    fn long<'a>(self, jobs: &mut [JobOf<'a, Self>]);
}

/// What a kernel works on.
type JobOf<'a, K> = Job<'a, <K as Kernel>::Outcome<'a>>;

/// Seals packets of one suite.
pub(super) fn seal<K>(kernel: K, group: &mut [&mut Seal<'_>])
where
    K: for<'a> Kernel<Outcome<'a> = ()>,
{
    let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
    let class = |item: &Seal<'_>| class::<K>(item.packet.len().saturating_sub(icv_len));
    for group in group.chunks_mut(AT_ONCE) {
        let mut jobs = ArrayVec::<_, AT_ONCE>::new();
        let all_of = one_class(group, class);
        if all_of.is_some() {
            jobs.extend(group.iter_mut().filter_map(|item| Job::of_seal(item, icv_len)));
        } else {
            let items = by_class(group, class).into_iter().flatten();
            jobs.extend(items.filter_map(|item| Job::of_seal(item, icv_len)));
        }
        in_turn(kernel, all_of, &mut jobs);
    }
}

/// Opens packets of one suite.
pub(super) fn open<K>(kernel: K, group: &mut [&mut Open<'_>])
where
    K: for<'a> Kernel<Outcome<'a> = &'a mut Result<(), BadIcv>>,
{
    let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
    let class = |item: &Open<'_>| class::<K>(item.packet.len().saturating_sub(icv_len));
    for group in group.chunks_mut(AT_ONCE) {
        let mut jobs = ArrayVec::<_, AT_ONCE>::new();
        let all_of = one_class(group, class);
        if all_of.is_some() {
            jobs.extend(group.iter_mut().filter_map(|item| Job::of_open(item, icv_len)));
        } else {
            let items = by_class(group, class).into_iter().flatten();
            jobs.extend(items.filter_map(|item| Job::of_open(item, icv_len)));
        }
        in_turn(kernel, all_of, &mut jobs);
    }
}

/// `class`: that of all jobs, if it is the same. Those of one class stand together in any case.
fn in_turn<K: Kernel>(kernel: K, class: Option<usize>, jobs: &mut [JobOf<'_, K>]) {
    if let Some(class) = class {
        return of_class(kernel, class, jobs);
    }
    let class_of = |job: &JobOf<'_, K>| self::class::<K>(job.octets.len());
    for jobs in jobs.chunk_by_mut(|a, b| class_of(a) == class_of(b)) {
        if let Some(class) = jobs.first().map(class_of) {
            of_class(kernel, class, jobs);
        }
    }
}

fn of_class<K: Kernel>(kernel: K, class: usize, jobs: &mut [JobOf<'_, K>]) {
    if class < LONG { short(kernel, class, jobs) } else { kernel.long(jobs) }
}

/// As many abreast as make about a group's worth of AES chains.
fn short<K: Kernel>(kernel: K, vectors: usize, jobs: &mut [JobOf<'_, K>]) {
    for_vectors!(vectors, K::VECTORS + 1, Q => {
        match Q {
            1 | 2 if K::Lanes::LANES == 4 => kernel.short::<4, Q>(jobs),
            3 | 4 if K::Lanes::LANES == 4 => kernel.short::<2, Q>(jobs),
            _ => kernel.short::<1, Q>(jobs),
        }
    });
}

/// The number of vectors, if there is no group in front of the tail, or else how many there are.
#[inline(always)]
fn class<K: Kernel>(octets: usize) -> usize {
    let of_group = K::VECTORS * K::Lanes::LANES;
    let beyond = tail::blocks(octets).saturating_sub(tail::least::<K::Lanes>());
    let short = tail::vectors::<K::Lanes>(octets).min(LONG - 1);
    if beyond < of_group { short } else { (LONG + beyond / of_group).min(CLASSES - 1) }
}

/// The class that all of `group` are of.
#[inline(always)]
fn one_class<T>(group: &[&mut T], class: impl Fn(&T) -> usize) -> Option<usize> {
    let first = group.first().map(|item| class(item))?;
    group.iter().all(|item| class(item) == first).then_some(first)
}

/// `group`, at most [`AT_ONCE`], in the order of classes: counted and put in place, without a comparison that
/// a CPU would guess wrong half the time.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "every class is below `CLASSES`")]
fn by_class<'g, T>(
    group: &'g mut [&mut T],
    class: impl Fn(&T) -> usize,
) -> [Option<&'g mut T>; AT_ONCE] {
    let mut next = [0_u8; CLASSES];
    for item in group.iter() {
        next[class(item) % CLASSES] += 1;
    }
    let mut before = 0;
    for next in &mut next {
        before += core::mem::replace(next, before);
    }
    let mut sorted = [const { None }; AT_ONCE];
    for item in group {
        let next = &mut next[class(item) % CLASSES];
        if let Some(place) = sorted.get_mut(usize::from(*next)) {
            *place = Some(&mut **item);
        }
        *next += 1;
    }
    sorted
}

/// Long packets are asked for when the one before their predecessor begins.
#[inline(always)]
pub(super) fn prefetch_next<L: Lanes, Outcome>(behind: &[Job<'_, Outcome>], rounds: usize) {
    if let Some(job) = behind.get(1) {
        prefetch::<L, _>(job, PREFETCHED / L::OCTETS, rounds);
    }
}

/// Asks for the cache lines that a packet of up to `vectors` is going to need: those powers and round keys that
/// its length and that of its key call for, and its octets. How many does not depend on the packet: no branch.
#[inline(always)]
pub(super) fn prefetch<L: Lanes, Outcome>(job: &Job<'_, Outcome>, vectors: usize, rounds: usize) {
    let (key, round_keys) = job.key.needed(vectors * L::LANES);
    prefetch_lines(key);
    if rounds > 10 {
        prefetch_lines(round_keys);
    }
    prefetch_octets(job.octets.as_ptr(), vectors * L::OCTETS);
}

#[inline(always)]
fn prefetch_lines(octets: &[u8]) {
    prefetch_octets(octets.as_ptr(), octets.len());
}

/// Asks for lines that are wanted much later, into the second level: the first has no room for a batch's keys, and
/// of prefetches to the first that find all its miss buffers taken the CPU drops most.
#[inline(always)]
pub(super) fn prefetch_far(first: *const u8, len: usize) {
    for line in 0..(first.addr() % LINE + len).div_ceil(LINE) {
        // SAFETY: as in `prefetch_line`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(line * LINE).cast()) }
    }
}

/// `len`: at least one.
#[inline(always)]
fn prefetch_octets(first: *const u8, len: usize) {
    // whole lines, and the one that the last octet is in
    for line in 0..len.div_ceil(LINE) {
        prefetch_line(first.wrapping_add(line * LINE));
    }
    prefetch_line(first.wrapping_add(len - 1));
}

#[inline(always)]
fn prefetch_line(at: *const u8) {
    // SAFETY: a hint; it reads nothing that the program could see, and no address is wrong for it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}
