//! A message on its way through a hash, block by block.
use super::vector::Piece;

/// A block of the hash: 4 pieces (64 octets) with 32-bit words, 8 (128 octets) with 64-bit words.
pub(super) type Block<const P: usize> = [Piece; P];

/// Advances up to a rung's width of lanes by `steps` blocks each.
///
/// # Safety
/// The CPU has the features that the rung was built for.
pub(super) type Run<const P: usize, const S: usize> =
    unsafe fn(lanes: &mut [&mut Lane<'_, P, S>], steps: usize);

/// One message: blocks of `P` pieces, a chaining state of `S`. The state's words are in this CPU's order.
pub(super) struct Lane<'a, const P: usize, const S: usize> {
    pub state: [Piece; S],
    /// Blocks that lie in the packet.
    pub body: &'a [Block<P>],
    /// Blocks made of the rest and the padding: the last two. The first is room to build them in.
    pub tail: [Block<P>; 3],
    /// The next block: of the body, then of the tail.
    pub next: usize,
    /// Blocks in all.
    pub blocks: usize,
}

impl<const P: usize, const S: usize> Lane<'_, P, S> {
    pub fn left(&self) -> usize {
        self.blocks - self.next
    }

    /// The block `step` blocks after the next.
    #[inline(always)]
    pub fn block(&self, step: usize) -> &Block<P> {
        let at = self.next + step;
        let [_, first, last] = &self.tail;
        let tail = if at == self.body.len() { first } else { last };
        self.body.get(at).unwrap_or(tail)
    }
}

/// The block at `step` of `N` lanes, piece by piece. Lanes that are not there repeat the first.
#[inline(always)]
pub(super) fn blocks<'l, const N: usize, const P: usize, const S: usize>(
    lanes: &'l [&mut Lane<'_, P, S>],
    step: usize,
) -> [&'l Block<P>; N] {
    core::array::from_fn(|at| match lanes.get(at).or(lanes.first()) {
        Some(lane) => lane.block(step),
        None => const { &[[0; 16]; P] },
    })
}

/// The state of `N` lanes. Lanes that are not there repeat the first.
#[inline(always)]
pub(super) fn states<'l, const N: usize, const P: usize, const S: usize>(
    lanes: &'l [&mut Lane<'_, P, S>],
) -> [&'l [Piece; S]; N] {
    core::array::from_fn(|at| match lanes.get(at).or(lanes.first()) {
        Some(lane) => &lane.state,
        None => const { &[[0; 16]; S] },
    })
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
