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
/// Packets between the one that is worked on and the one that is prefetched.
const AHEAD: usize = 4;
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

    /// `P` packets of up to one group, `Q` vectors each.
    fn short<'a, const P: usize, const Q: usize>(self, jobs: &mut [JobOf<'a, Self>; P]);

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
    let rounds = jobs.first().map_or(0, |job| job.key.rounds());
    jobs.iter().take(AHEAD).for_each(|job| prefetch(job, rounds));
    let mut at = 0;
    while let Some(job) = jobs.get(at) {
        let class_of = |job: &JobOf<'_, K>| class::<K>(job.octets.len());
        let class = class_of(job);
        let most = jobs.len().min(at + abreast::<K>(class));
        let same = jobs.get(most - 1).is_some_and(|job| class_of(job) == class);
        let next = if same { most } else { at + 1 };
        jobs.iter().skip(at + AHEAD).take(next - at).for_each(|job| prefetch(job, rounds));
        if let Some(jobs) = jobs.get_mut(at..next) {
            together(kernel, class, jobs);
        }
        at = next;
    }
}

/// Packets of so many vectors that are worked on abreast: about a group's worth of AES chains.
#[inline(always)]
const fn abreast<K: Kernel>(vectors: usize) -> usize {
    match (K::Lanes::LANES, vectors) {
        (4, 1) => 4,
        (4, 2) => 2,
        _ => 1,
    }
}

/// `jobs`: all of one class.
#[inline(always)]
fn together<K: Kernel>(kernel: K, class: usize, jobs: &mut [JobOf<'_, K>]) {
    for_vectors!(class, K::VECTORS + 1, Q => {
        if abreast::<K>(Q) == 4 && let Ok(jobs) = jobs.try_into() {
            return kernel.short::<4, Q>(jobs);
        }
        if abreast::<K>(Q) == 2 && let Ok(jobs) = jobs.try_into() {
            return kernel.short::<2, Q>(jobs);
        }
        for job in jobs {
            kernel.short::<1, Q>(core::array::from_mut(job));
        }
        return;
    });
    for job in jobs {
        kernel.long(job);
    }
}

/// The number of vectors, if they are no more than a group and its length block.
#[inline(always)]
fn class<K: Kernel>(octets: usize) -> usize {
    let of_group = K::VECTORS * K::Lanes::OCTETS;
    if octets > of_group { LONG } else { tail::vectors::<K::Lanes>(octets) }
}

/// Brings `group` into the order of classes, in one pass without comparisons. What is in order already,
/// because all packets are of one class, stays untouched.
#[inline(always)]
fn sort<T>(group: &mut [T], class: impl Fn(&T) -> usize) {
    let mut ends = [0_u8; CLASSES];
    for item in group.iter() {
        ends[class(item) % CLASSES] += 1;
    }
    if ends.iter().filter(|count| **count != 0).count() > 1 {
        permute(group, class, ends);
    }
}

/// `counts`: members of each class, at most [`AT_ONCE`] in all.
#[inline(always)]
fn permute<T>(group: &mut [T], class: impl Fn(&T) -> usize, counts: [u8; CLASSES]) {
    let (mut next, mut ends) = ([0_u8; CLASSES], counts);
    for i in 1..CLASSES {
        next[i] = ends[i - 1];
        ends[i] += ends[i - 1];
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
/// `rounds` call for, and its packet.
#[inline(always)]
fn prefetch<Outcome>(job: &Job<'_, Outcome>, rounds: usize) {
    let key = job.key.needed(job.octets.len().div_ceil(BLOCK) + 1, rounds);
    key.chunks(LINE).for_each(prefetch_line);
    let packet = job.octets.get(..PREFETCHED).unwrap_or(job.octets);
    packet.chunks(LINE).for_each(prefetch_line);
    prefetch_line(job.icv);
}

#[inline(always)]
fn prefetch_line(octets: &[u8]) {
    // SAFETY: a hint; it reads nothing that the program could see, and no address is wrong for it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(octets.as_ptr().cast()) }
}
