//! A group of packets, in order of their length: neighbours then run the same code, several abreast.
#![allow(unsafe_code, reason = "prefetching")]
use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use arrayvec::ArrayVec;

use super::super::abreast::for_vectors;
use super::super::lanes::Lanes;
use super::stream::Item;
use super::tail;

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
/// vectors never leave it.
pub(super) trait Kernel: Copy {
    /// The tier.
    type Lanes: Lanes;
    /// What it works on.
    type Item<'p>: Item;
    /// Vectors in a group.
    const VECTORS: usize;

    /// Packets of up to one group, `Q` vectors each, `P` abreast. `None`: one of them is not. That cannot be.
    fn short<const P: usize, const Q: usize>(self, run: Run<'_, '_, Self::Item<'_>>) -> Option<()>;

    /// Packets of more than one group. `None`: as above.
    fn long(self, run: Run<'_, '_, Self::Item<'_>>) -> Option<()>;
}

/// Packets of one class.
pub(super) struct Run<'r, 'i, I> {
    pub items: &'r mut [&'i mut I],
    /// The one that all have.
    pub shape: Option<Shape>,
    /// Octets of the ICV.
    pub icv_len: usize,
}

/// The shape that packets of a run share: known once, it costs each packet nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Octets of the packet.
    len: usize,
    esn: bool,
}

impl<I: Item> Run<'_, '_, I> {
    /// Rounds of their keys: one suite, so all the same.
    #[inline(always)]
    pub fn rounds(&self) -> Option<usize> {
        Some(self.items.first()?.key()?.rounds())
    }
}

impl Shape {
    #[inline(always)]
    fn of(item: &impl Item) -> Self {
        Self { len: item.packet().len(), esn: item.esn() }
    }

    /// The one that all of them have.
    #[inline(always)]
    fn shared<I: Item>(items: &[&mut I]) -> Option<Self> {
        let shape = items.first().map(|item| Self::of(&**item))?;
        items.iter().all(|item| Self::of(&**item) == shape).then_some(shape)
    }
}

/// Seals or opens packets of one suite.
pub(super) fn run<K: Kernel>(kernel: K, group: &mut [&mut K::Item<'_>], icv_len: usize) {
    for items in group.chunks_mut(AT_ONCE) {
        match Shape::shared(items) {
            Some(shape) => {
                let class = class::<K>(shape.len.saturating_sub(icv_len));
                of_class(kernel, class, Run { items, shape: Some(shape), icv_len });
            }
            None => by_class(kernel, items, icv_len),
        }
    }
}

/// `items`, at most [`AT_ONCE`], in the order of classes: counted and put in place, without a comparison that
/// a CPU would guess wrong half the time.
#[allow(clippy::indexing_slicing, reason = "every class is below `CLASSES`")]
fn by_class<K: Kernel>(kernel: K, items: &mut [&mut K::Item<'_>], icv_len: usize) {
    let mut classes = [0; AT_ONCE];
    let mut ends = [0_u8; CLASSES];
    for (item, to) in items.iter().zip(&mut classes) {
        *to = class::<K>(item.packet().len().saturating_sub(icv_len)) % CLASSES;
        ends[*to] += 1;
    }
    let mut before = 0;
    for end in &mut ends {
        before += core::mem::replace(end, before);
    }
    let mut sorted = [const { None }; AT_ONCE];
    for (item, class) in items.iter_mut().zip(classes) {
        if let Some(place) = sorted.get_mut(usize::from(ends[class])) {
            *place = Some(&mut **item);
        }
        ends[class] += 1;
    }
    let mut sorted: ArrayVec<_, AT_ONCE> = sorted.into_iter().flatten().collect();
    let mut start = 0;
    for (class, end) in ends.into_iter().enumerate() {
        if let Some(items @ [_, ..]) = sorted.get_mut(start..end.into()) {
            let shape = Shape::shared(items);
            of_class(kernel, class, Run { items, shape, icv_len });
        }
        start = end.into();
    }
}

fn of_class<K: Kernel>(kernel: K, class: usize, run: Run<'_, '_, K::Item<'_>>) {
    let Run { items, shape, icv_len } = run;
    let run = Run { items: &mut *items, shape, icv_len };
    let done = if class < LONG { short(kernel, class, run) } else { kernel.long(run) };
    if done.is_none() {
        items.iter_mut().for_each(|item| item.give_up());
    }
}

/// As many abreast as make about a group's worth of AES chains.
fn short<K: Kernel>(kernel: K, vectors: usize, run: Run<'_, '_, K::Item<'_>>) -> Option<()> {
    for_vectors!(vectors, K::VECTORS + 1, Q => {
        return match Q {
            1 if K::Lanes::LANES == 4 => kernel.short::<4, Q>(run),
            2..=4 if K::Lanes::LANES == 4 => kernel.short::<2, Q>(run),
            _ => kernel.short::<1, Q>(run),
        }
    });
    None
}

/// The number of vectors, if there is no group in front of the tail, or else how many there are.
#[inline(always)]
fn class<K: Kernel>(octets: usize) -> usize {
    let of_group = K::VECTORS * K::Lanes::LANES;
    let beyond = tail::blocks(octets).saturating_sub(tail::least::<K::Lanes>());
    let short = tail::vectors::<K::Lanes>(octets).min(LONG - 1);
    if beyond < of_group { short } else { (LONG + beyond / of_group).min(CLASSES - 1) }
}

/// Long packets are asked for when the one before their predecessor begins.
#[inline(always)]
pub(super) fn prefetch_next<L: Lanes, I: Item>(behind: &[&mut I], rounds: usize) {
    if let Some(item) = behind.get(1) {
        prefetch::<L, _>(&**item, PREFETCHED / L::OCTETS, rounds);
    }
}

/// Asks for the cache lines that a packet of up to `vectors` is going to need: those powers and round keys that
/// its length and that of its key call for, and its octets. How many does not depend on the packet: no branch.
#[inline(always)]
pub(super) fn prefetch<L: Lanes, I: Item>(item: &I, vectors: usize, rounds: usize) {
    let Some(key) = item.key() else { return };
    let (key, round_keys) = key.needed(vectors * L::LANES);
    prefetch_lines(key);
    if rounds > 10 {
        prefetch_lines(round_keys);
    }
    prefetch_octets(item.packet().as_ptr(), vectors * L::OCTETS);
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
