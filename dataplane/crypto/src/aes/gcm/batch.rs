//! A group of packets, in order of their length: neighbours then run the same code, several abreast.
#![allow(unsafe_code, reason = "prefetching")]
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use arrayvec::ArrayVec;

use super::super::abreast::for_vectors;
use super::super::lanes::Lanes;
use super::stream::{BLOCK, Job};
use super::tail;
use crate::batch::{BadIcv, Open, Seal};

/// Packets looked at together.
const AT_ONCE: usize = 64;
/// Lengths of one class run the same code: 1 to 9 vectors, or a class for all that are longer.
const CLASSES: usize = 11;
/// The class of packets longer than a group.
const LONG: usize = CLASSES - 1;
/// Packets that are prefetched before the first is worked on.
const AT_FIRST: usize = 4;
/// Octets of a packet that are prefetched; the CPU finds the rest by itself.
const PREFETCHED: usize = 512;
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

    /// A packet of more than one group.
    fn long<'a>(self, job: &mut JobOf<'a, Self>);
}

/// What a kernel works on.
type JobOf<'a, K> = Job<'a, <K as Kernel>::Outcome<'a>>;

/// Seals packets of one suite.
pub(super) fn seal<K>(kernel: K, group: &mut [&mut Seal<'_>])
where
    K: for<'a> Kernel<Outcome<'a> = ()>,
{
    let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
    for group in group.chunks_mut(AT_ONCE) {
        sort(group, |item| class::<K>(item.packet.len().saturating_sub(icv_len)));
        let mut jobs = ArrayVec::<_, AT_ONCE>::new();
        for item in group {
            jobs.extend(Job::of_seal(item, icv_len));
        }
        in_turn(kernel, &mut jobs);
    }
}

/// Opens packets of one suite.
pub(super) fn open<K>(kernel: K, group: &mut [&mut Open<'_>])
where
    K: for<'a> Kernel<Outcome<'a> = &'a mut Result<(), BadIcv>>,
{
    let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
    for group in group.chunks_mut(AT_ONCE) {
        sort(group, |item| class::<K>(item.packet.len().saturating_sub(icv_len)));
        let mut jobs = ArrayVec::<_, AT_ONCE>::new();
        for item in group {
            jobs.extend(Job::of_open(item, icv_len));
        }
        in_turn(kernel, &mut jobs);
    }
}

fn in_turn<K: Kernel>(kernel: K, jobs: &mut [JobOf<'_, K>]) {
    jobs.iter().take(AT_FIRST).for_each(prefetch);
    let class_of = |job: &JobOf<'_, K>| class::<K>(job.octets.len());
    for jobs in jobs.chunk_by_mut(|a, b| class_of(a) == class_of(b)) {
        match jobs.first().map(class_of) {
            Some(LONG) => each_long(kernel, jobs),
            Some(vectors) => short(kernel, vectors, jobs),
            None => {}
        }
    }
}

fn each_long<K: Kernel>(kernel: K, jobs: &mut [JobOf<'_, K>]) {
    let mut rest = jobs;
    while let Some((job, behind)) = rest.split_first_mut() {
        behind.get(1).into_iter().for_each(prefetch);
        kernel.long(job);
        rest = behind;
    }
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

/// The number of vectors, if they are no more than a group and its length block.
#[inline(always)]
fn class<K: Kernel>(octets: usize) -> usize {
    let of_group = K::VECTORS * K::Lanes::OCTETS;
    if octets > of_group { LONG } else { tail::vectors::<K::Lanes>(octets) }
}

/// Brings `group` into the order of classes, in one pass without comparisons, unless all its packets are of
/// one class.
#[inline(always)]
fn sort<T>(group: &mut [T], class: impl Fn(&T) -> usize) {
    let first = group.first().map_or(0, &class);
    if group.iter().any(|item| class(item) != first) {
        permute(group, class);
    }
}

/// `group`: at most [`AT_ONCE`].
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "every class is below `CLASSES`")]
fn permute<T>(group: &mut [T], class: impl Fn(&T) -> usize) {
    let (mut next, mut ends) = ([0_u8; CLASSES], [0_u8; CLASSES]);
    for item in group.iter() {
        ends[class(item) % CLASSES] += 1;
    }
    let mut before = 0;
    for (next, end) in next.iter_mut().zip(&mut ends) {
        *next = before;
        *end += before;
        before = *end;
    }
    for i in 0..CLASSES {
        while next[i] < ends[i] {
            let at = usize::from(next[i]);
            let to = group.get(at).map_or(i, &class) % CLASSES;
            let place = usize::from(next[to]);
            next[to] += 1;
            if place != at && place < group.len() {
                group.swap(at, place);
            }
        }
    }
}

/// Asks for the cache lines that `job` is going to need: those powers and round keys that its length and
/// that of its key call for, and its packet.
#[inline(always)]
pub(super) fn prefetch<Outcome>(job: &Job<'_, Outcome>) {
    prefetch_lines(job.key.needed(job.octets.len().div_ceil(BLOCK) + 1));
    prefetch_lines(job.octets.get(..PREFETCHED).unwrap_or(job.octets));
    prefetch_lines(job.icv);
}

#[inline(always)]
fn prefetch_lines(octets: &[u8]) {
    let into_line = octets.as_ptr().addr() % LINE;
    let first = octets.as_ptr().wrapping_sub(into_line);
    for line in (0..octets.len() + into_line).step_by(LINE) {
        // SAFETY: a hint; it reads nothing that the program could see, and no address is wrong for it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line).cast()) }
    }
}
