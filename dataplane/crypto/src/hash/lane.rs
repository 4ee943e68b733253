//! A message on its way through a hash, block by block.
#![allow(unsafe_code, reason = "a block that every lane has is not asked for again in each")]
use core::marker::PhantomData;

use super::vector::Piece;

/// A block of the hash: 4 pieces (64 octets) with 32-bit words, 8 (128 octets) with 64-bit words.
pub(super) type Block<const P: usize> = [Piece; P];

/// Advances up to a rung's width of lanes by `steps` blocks each.
///
/// # Safety
/// The CPU has the features that the rung was built for.
pub(super) type Run<const P: usize, const S: usize> =
    unsafe fn(lanes: &mut [&mut Lane<'_, P, S>], steps: usize);

/// Turns up to a rung's width of inner digests into HMACs, octets in their order on the wire.
///
/// # Safety
/// As [`Run`].
pub(super) type Outer<const P: usize, const S: usize> =
    unsafe fn(lanes: &mut [&mut Lane<'_, P, S>]);

/// The HMACs of as many messages as there are lanes, all of one number of blocks, from the first block to the last:
/// no state ever leaves the registers. Octets in their order on the wire, a piece of every lane at a time. Nothing if
/// there are not so many.
///
/// # Safety
/// As [`Run`].
pub(super) type Even<const P: usize, const S: usize> =
    unsafe fn(messages: &[Message<'_, P, S>]) -> [[Piece; WIDEST]; S];

/// Lanes of the widest rung.
pub(super) const WIDEST: usize = 16;

/// A message that shares its length with all others.
pub(super) struct Message<'a, const P: usize, const S: usize> {
    /// Where the inner hash begins, and the outer one.
    pub inner: &'a [Piece; S],
    pub outer: &'a [Piece; S],
    /// Blocks that lie in the packet.
    pub body: &'a [Block<P>],
    /// Blocks made of the rest and the padding.
    pub tail: &'a [Block<P>],
}

/// One message: blocks of `P` pieces, a chaining state of `S`. The state's words are in this CPU's order.
pub(super) struct Lane<'a, const P: usize, const S: usize> {
    pub state: [Piece; S],
    /// Where the outer hash begins.
    pub outer: &'a [Piece; S],
    /// Blocks that lie in the packet.
    pub body: &'a [Block<P>],
    /// Blocks made of the rest and the padding: the last one or two.
    pub tail: &'a [Block<P>],
    /// The next block: of the body, then of the tail.
    pub next: usize,
}

impl<const P: usize, const S: usize> Lane<'_, P, S> {
    pub fn left(&self) -> usize {
        self.body.len() + self.tail.len() - self.next
    }

    /// The blocks from `done` behind the next one that lie in one piece.
    #[inline(always)]
    fn piece(&self, done: usize) -> &[Block<P>] {
        let at = self.next + done;
        match self.body.get(at..) {
            Some(body) if !body.is_empty() => body,
            _ => self.tail.get(at.saturating_sub(self.body.len())..).unwrap_or_default(),
        }
    }
}

/// Blocks that lie in one piece in each of `N` lanes.
pub(super) struct Span<'l, const N: usize, const P: usize> {
    starts: [*const Block<P>; N],
    count: usize,
    lanes: PhantomData<&'l Block<P>>,
}

impl<'l, const N: usize, const P: usize> Span<'l, N, P> {
    /// The blocks from `done` behind the next one, one at least and `most` at most. Lanes that are not there
    /// repeat the first.
    #[inline(always)]
    pub fn of<const S: usize>(lanes: &'l [&mut Lane<'_, P, S>], done: usize, most: usize) -> Self {
        let mut span =
            Self { starts: [const { &[[0; 16]; P] }; N], count: most, lanes: PhantomData };
        for (at, start) in span.starts.iter_mut().enumerate() {
            let lane = lanes.get(at).or(lanes.first());
            let piece = lane.map_or(&[][..], |lane| lane.piece(done));
            // no lane has nothing left; if one had, it would repeat a block that is there
            span.count = span.count.min(piece.len()).max(1);
            // from the slice, not from its first block: it stands for all that lie behind it
            *start = if piece.is_empty() { const { &[[0; 16]; P] } } else { piece.as_ptr() };
        }
        span
    }

    /// The blocks of `lanes`, as many as all have; there may be none.
    #[inline(always)]
    pub fn over(lanes: [&'l [Block<P>]; N]) -> Self {
        let mut span =
            Self { starts: [const { &[[0; 16]; P] }; N], count: usize::MAX, lanes: PhantomData };
        for lane in lanes {
            span.count = span.count.min(lane.len());
        }
        if span.count > 0 {
            span.starts.iter_mut().zip(lanes).for_each(|(start, lane)| *start = lane.as_ptr());
        }
        span
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The block at `at` of each lane.
    #[inline(always)]
    pub fn block(&self, at: usize) -> [&'l Block<P>; N] {
        let at = if at < self.count { at } else { 0 };
        // SAFETY: every start has `count` blocks behind it, and one at least, which `'l` borrows.
        self.starts.map(|start| unsafe { &*start.wrapping_add(at) })
    }
}

/// The state of `N` lanes. Lanes that are not there repeat the first.
#[inline(always)]
pub(super) fn states<'l, const N: usize, const P: usize, const S: usize>(
    lanes: &'l [&mut Lane<'_, P, S>],
) -> [&'l [Piece; S]; N] {
    each(lanes, |lane| &lane.state)
}

/// Where the outer hash of `N` lanes begins, likewise.
#[inline(always)]
pub(super) fn outers<'l, const N: usize, const P: usize, const S: usize>(
    lanes: &'l [&mut Lane<'_, P, S>],
) -> [&'l [Piece; S]; N] {
    each(lanes, |lane| lane.outer)
}

#[inline(always)]
fn each<'l, const N: usize, const P: usize, const S: usize>(
    lanes: &'l [&mut Lane<'_, P, S>],
    what: impl Fn(&'l Lane<'_, P, S>) -> &'l [Piece; S],
) -> [&'l [Piece; S]; N] {
    core::array::from_fn(|at| match lanes.get(at).or(lanes.first()) {
        Some(lane) => what(lane),
        None => const { &[[0; 16]; S] },
    })
}

/// Something of every message. Not `map`: the compiler leaves that a call where it is asked for vector instructions.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the same number of both")]
pub(super) fn of_each<'a, T, const N: usize, const P: usize, const S: usize>(
    messages: &[Message<'a, P, S>; N],
    what: impl Fn(&Message<'a, P, S>) -> T,
) -> [T; N] {
    core::array::from_fn(|at| what(&messages[at]))
}

/// Pieces of `N` lanes, as [`Even`] returns them.
#[inline(always)]
pub(super) fn spread<const N: usize, const S: usize>(
    pieces: [[Piece; N]; S],
) -> [[Piece; WIDEST]; S] {
    let mut spread = [[[0; 16]; WIDEST]; S];
    for (to, from) in spread.iter_mut().zip(&pieces) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    spread
}

/// Puts the states back and moves on behind the blocks that went into them.
#[inline(always)]
pub(super) fn advance<const N: usize, const P: usize, const S: usize>(
    lanes: &mut [&mut Lane<'_, P, S>],
    states: [[Piece; N]; S],
    steps: usize,
) {
    for (at, lane) in lanes.iter_mut().enumerate() {
        for (to, from) in lane.state.iter_mut().zip(&states) {
            if let Some(piece) = from.get(at) {
                *to = *piece;
            }
        }
        lane.next += steps;
    }
}
