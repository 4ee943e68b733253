//! Chains of blocks, each block of which must wait for the one before it: CBC encryption, and the MACs
//! made of it. One chain leaves the AES unit idle most of the time, so many run side by side, a lane each.
//!
//! The longest start first, and a lane whose chain has ended takes the next one: so mixed lengths take as
//! long as all their blocks together or as the longest alone, whichever is more, not as many times the
//! longest as there are rounds of lanes.
use arrayvec::ArrayVec;

use super::vector::{Block, Blocks};
use crate::aes::EncryptKey;

/// The most chains in one call.
pub(in crate::aes) const CHAINS: usize = 64;
/// Blocks that a lane without a chain of its own goes along with before it is asked again.
pub(in crate::aes) const IDLE: usize = 32;

/// Runs chains that only read; keys all of one length.
pub(crate) type ChainKernel = for<'a> fn(&mut [Chain<'a, &'a [Block]>]);

/// One chain: `state = E(state ⊕ block)` for every block of all parts, one part after another.
pub(crate) struct Chain<'a, B> {
    pub key: &'a EncryptKey,
    /// The block that the first one is added to; afterwards the last one's result.
    pub state: Block,
    pub parts: [B; 3],
}

impl<B: Blocks> Chain<'_, B> {
    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.count()).sum()
    }
}

/// What runs in one lane.
#[derive(Clone, Copy)]
struct Lane<'a, B, const KEYS: usize> {
    keys: &'a [Block; KEYS],
    /// Blocks of the current part that are left; never none.
    blocks: B,
    /// Which chain, if not idle.
    chain: Option<u8>,
    /// The part that comes next.
    part: u8,
}

/// Who is in which lane, and who waits.
struct Lanes<'c, 'a, B, const LANES: usize, const KEYS: usize> {
    chains: &'c mut [Chain<'a, B>],
    /// Indices into `chains`, the next one to start last.
    waiting: ArrayVec<u8, CHAINS>,
    lanes: [Lane<'a, B, KEYS>; LANES],
    state: [Block; LANES],
    /// What idle lanes work on.
    idle: B,
}

/// What to do next: this many blocks in every lane, after the keys of these lanes have been set up anew.
struct Run {
    blocks: usize,
    /// One bit for each lane.
    fresh: u32,
}

impl<'c, 'a, B: Blocks, const LANES: usize, const KEYS: usize> Lanes<'c, 'a, B, LANES, KEYS> {
    /// `None`: no chains, or one of their keys has not `KEYS` round keys.
    fn new(chains: &'c mut [Chain<'a, B>], idle: B) -> Option<Self> {
        let keys = chains.first()?.key.keys().first_chunk()?;
        let waiting = longest_last(chains);
        let lane = Lane { keys, blocks: idle, chain: None, part: 0 };
        Some(Self { chains, waiting, lanes: [lane; LANES], state: [[0; 16]; LANES], idle })
    }

    /// Fills the lanes that have nothing to do. `None`: none has.
    fn fill(&mut self) -> Option<Run> {
        let mut run = Run { blocks: usize::MAX, fresh: 0 };
        let mut busy = false;
        for at in 0..LANES {
            if self.lanes[at].chain.is_none() {
                run.fresh |= u32::from(self.start(at)) << at;
            }
            busy |= self.lanes[at].chain.is_some();
            run.blocks = run.blocks.min(self.lanes[at].blocks.count());
        }
        busy.then_some(run)
    }

    /// Starts the next chain in this lane. `false`: none waits.
    fn start(&mut self, at: usize) -> bool {
        let lane = &mut self.lanes[at];
        lane.blocks = self.idle;
        while let Some(chain) = self.waiting.pop() {
            let Chain { key, state, parts } = &self.chains[usize::from(chain)];
            lane.part = 0;
            if let Some(keys) = key.keys().first_chunk()
                && let Some(blocks) = next_part(parts, &mut lane.part)
            {
                (lane.keys, lane.blocks, lane.chain) = (keys, blocks, Some(chain));
                self.state[at] = *state;
                return true;
            }
        }
        false
    }

    /// `count` blocks of every lane are done: on to the next part, and chains that have ended leave.
    fn advance(&mut self, count: usize) {
        for (lane, state) in self.lanes.iter_mut().zip(&self.state) {
            let Some(index) = lane.chain else { continue };
            if let Some((_, rest)) = lane.blocks.cut(count)
                && rest.count() > 0
            {
                lane.blocks = rest;
                continue;
            }
            let chain = &mut self.chains[usize::from(index)];
            match next_part(&chain.parts, &mut lane.part) {
                Some(blocks) => lane.blocks = blocks,
                None => {
                    chain.state = *state;
                    lane.chain = None;
                }
            }
        }
    }
}

/// The next part with something in it.
fn next_part<B: Blocks>(parts: &[B; 3], next: &mut u8) -> Option<B> {
    while let Some(part) = parts.get(usize::from(*next)) {
        *next += 1;
        if part.count() > 0 {
            return Some(*part);
        }
    }
    None
}

/// The order to start in, last first.
fn longest_last<B: Blocks>(chains: &[Chain<'_, B>]) -> ArrayVec<u8, CHAINS> {
    let numbered = chains.iter().take(CHAINS).zip(0..);
    // the length above, the index below: one number to sort by
    let mut keyed: ArrayVec<u32, CHAINS> =
        numbered.map(|(chain, index): (_, u32)| (chain.len() as u32) << 8 | index).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|key| key as u8).collect()
}

/// Stamps out the lanes for one width of vector.
macro_rules! chains {
    ($name:ident, $features:tt, $width:ident, [$($vector:literal),+]) => {
        pub(in crate::aes) mod $name {
            use super::super::vector::{load, store, $width as vector};
            use super::*;
            use vector::{Schedule, Vector, WIDTH};

            const VECTORS: usize = [$($vector),+].len();
            const LANES: usize = VECTORS * WIDTH;

            /// Runs all chains, keys all of one length. `idle` is what lanes without a chain work on,
            /// [`IDLE`] blocks of it.
            #[target_feature(enable = $features)]
            pub fn run<B: Blocks>(chains: &mut [Chain<'_, B>], idle: B) {
                match chains.first().map(|chain| chain.key.rounds()) {
                    Some(10) => keyed::<B, 11>(chains, idle),
                    Some(12) => keyed::<B, 13>(chains, idle),
                    Some(14) => keyed::<B, 15>(chains, idle),
                    _ => (),
                }
            }

            #[target_feature(enable = $features)]
            fn keyed<B: Blocks, const KEYS: usize>(chains: &mut [Chain<'_, B>], idle: B) {
                let Some(mut lanes) = Lanes::<B, LANES, KEYS>::new(chains, idle) else { return };
                let Some(run) = lanes.fill() else { return };
                let mut schedules = [$(schedule(&lanes.lanes, $vector)),+];
                step(&mut lanes, &schedules, run.blocks);
                while let Some(run) = lanes.fill() {
                    for (at, keys) in schedules.iter_mut().enumerate() {
                        if run.fresh >> (at * WIDTH) & ((1 << WIDTH) - 1) != 0 {
                            *keys = schedule(&lanes.lanes, at);
                        }
                    }
                    step(&mut lanes, &schedules, run.blocks);
                }
            }

            /// The round keys of the lanes of one vector.
            #[inline]
            #[target_feature(enable = $features)]
            fn schedule<'a, B: Blocks, const KEYS: usize>(
                lanes: &[Lane<'a, B, KEYS>; LANES],
                at: usize,
            ) -> Schedule<'a, KEYS> {
                let mut keys = [lanes[0].keys; WIDTH];
                for (keys, lane) in keys.iter_mut().zip(&lanes[at * WIDTH..]) {
                    *keys = lane.keys;
                }
                vector::schedule(keys)
            }

            /// `count` blocks in every lane.
            #[inline]
            #[target_feature(enable = $features)]
            fn step<B: Blocks, const KEYS: usize>(
                lanes: &mut Lanes<'_, '_, B, LANES, KEYS>,
                schedules: &[Schedule<'_, KEYS>; VECTORS],
                count: usize,
            ) {
                let Some(blocks) = first(&lanes.lanes, count) else { return };
                let mut state = [$(join(&lanes.state, $vector)),+];
                for at in 0..count {
                    for (k, state) in state.iter_mut().enumerate() {
                        // SAFETY: `first` has found `count` blocks in every lane.
                        let text = unsafe { text(&blocks, k, at) };
                        let text = vector::xor(text, vector::round_key(&schedules[k], 0));
                        *state = vector::xor(*state, text);
                    }
                    for round in 1..KEYS - 1 {
                        for (state, keys) in state.iter_mut().zip(schedules) {
                            *state = vector::encrypt(*state, vector::round_key(keys, round));
                        }
                    }
                    for (k, state) in state.iter_mut().enumerate() {
                        *state = vector::encrypt_last(*state, vector::round_key(&schedules[k], KEYS - 1));
                        for (lane, block) in vector::split(*state).into_iter().enumerate() {
                            // SAFETY: `first` has found `count` blocks in every lane.
                            unsafe { blocks[k * WIDTH + lane].store(at, block) };
                        }
                    }
                }
                for (to, state) in lanes.state.chunks_exact_mut(WIDTH).zip(state) {
                    for (to, block) in to.iter_mut().zip(vector::split(state)) {
                        store(to, block);
                    }
                }
                lanes.advance(count);
            }

            /// The next `count` blocks of every lane. `None`: one has fewer.
            #[inline]
            #[target_feature(enable = $features)]
            fn first<B: Blocks, const KEYS: usize>(
                lanes: &[Lane<'_, B, KEYS>; LANES],
                count: usize,
            ) -> Option<[B; LANES]> {
                let mut blocks = [lanes[0].blocks; LANES];
                for (blocks, lane) in blocks.iter_mut().zip(lanes) {
                    (*blocks, _) = lane.blocks.cut(count)?;
                }
                Some(blocks)
            }

            /// Block `at` of the lanes of vector `k`.
            ///
            /// # Safety
            /// Every lane has more than `at` blocks.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn text<B: Blocks>(blocks: &[B; LANES], k: usize, at: usize) -> Vector {
                let mut text = [load(&[0; 16]); WIDTH];
                for (lane, text) in text.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    *text = unsafe { blocks[k * WIDTH + lane].load(at) };
                }
                vector::join(text)
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn join(state: &[Block; LANES], k: usize) -> Vector {
                let mut joined = [load(&[0; 16]); WIDTH];
                for (lane, joined) in joined.iter_mut().enumerate() {
                    *joined = load(&state[k * WIDTH + lane]);
                }
                vector::join(joined)
            }
        }
    };
}

chains!(narrow, "aes,avx2", x1, [0, 1, 2, 3, 4, 5, 6, 7]);
chains!(vaes256, "aes,vaes,avx2", x2, [0, 1, 2, 3, 4, 5, 6, 7]);
chains!(vaes512, "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl", x4, [0, 1, 2, 3]);
