//! Chains of blocks, each block of which must wait for the one before it: CBC encryption, and the MACs made
//! of it. One chain leaves the AES unit idle most of the time, so many run side by side, a lane each.
use super::lanes::{Chained, Idle, Lanes, Paces, one_length, round_keys};
use super::vector::{Block, Blocks};
use crate::aes::EncryptKey;

/// Runs chains that only read; keys all of one length.
pub(crate) type ChainKernel = for<'a> fn(&mut [Chain<'a>]);

/// A chain that only reads.
pub(crate) struct Chain<'a> {
    pub key: &'a EncryptKey,
    /// What the first block is added to; afterwards what became of the last one.
    pub state: Block,
    /// Empty afterwards.
    pub parts: [&'a [Block]; 3],
}

impl<'a> Chained<'a> for Chain<'a> {
    type Part = &'a [Block];
    const WHOLE: bool = false;

    fn key(&self) -> &'a EncryptKey {
        self.key
    }

    fn state(&self) -> Block {
        self.state
    }

    fn count(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    fn take(&mut self) -> Option<&'a [Block]> {
        self.parts.iter_mut().map(core::mem::take).find(|part| !part.is_empty())
    }

    fn end(&mut self, state: Block) {
        self.state = state;
    }
}

/// Chains of so many blocks are done before the keys of two lanes at a time would be side by side.
const SHORT: usize = 6;

/// So many blocks as fill vectors of `width`.
const fn whole(count: usize, width: usize) -> usize {
    count - count % width
}

/// Some blocks in every lane, one after another.
macro_rules! blocks {
    ($keys:ident, $schedules:ident, $state:ident, $text:ident, $vectors:tt, [$($j:literal),+]) => {
        $(
            let schedules = afresh($schedules);
            block!($keys, schedules, $state, $text, $j, $vectors);
        )+
    };
}

/// The same, but the compiler cannot know that. It would otherwise take the round keys of all lanes out of the
/// loop, many more than there are registers, and move them back and forth.
#[inline(always)]
fn afresh<T>(keys: &T) -> &T {
    let mut keys: *const T = keys;
    // SAFETY: there is no instruction in it.
    #[cfg(not(miri))]
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) keys, options(readonly, nostack, preserves_flags))
    };
    #[cfg(miri)]
    let _ = &mut keys;
    // SAFETY: it was a reference a moment ago, and borrowed for as long.
    unsafe { &*keys }
}

/// One block in every lane, rounds and vectors written out: what the compiler unrolls at its own discretion
/// it does not always, and then it keeps the state in memory.
macro_rules! block {
    ($keys:ident, $schedules:ident, $state:ident, $text:ident, $j:literal, [$($k:literal),+]) => {
        $(
            let key = vector::round_key(&$schedules[$k], 0);
            $state[$k] = vector::xor($state[$k], vector::xor($text[$k][$j], key));
        )+
        block!(@ $schedules, $state, [$($k),+], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        if $keys > 11 {
            block!(@ $schedules, $state, [$($k),+], [10, 11]);
        }
        if $keys > 13 {
            block!(@ $schedules, $state, [$($k),+], [12, 13]);
        }
        $(
            let key = vector::round_key(&$schedules[$k], $keys - 1);
            $state[$k] = vector::encrypt_last($state[$k], key);
            $text[$k][$j] = $state[$k];
        )+
    };
    (@ $schedules:ident, $state:ident, $vectors:tt, [$($round:literal),+]) => {
        $(block!(@ $schedules, $state, $vectors, $round);)+
    };
    (@ $schedules:ident, $state:ident, [$($k:literal),+], $round:literal) => {
        $(
            let key = vector::round_key(&$schedules[$k], $round);
            $state[$k] = vector::encrypt($state[$k], key);
        )+
    };
}

/// Stamps out the lanes for one width of vector: a kernel for each number of vectors that pays.
macro_rules! chains {
    (
        $name:ident, $features:tt, $width:ident $span:tt, [$($all:literal),+],
        {$($step:ident: $count:literal vectors [$($k:literal),+] in $cycles:literal;)+}
    ) => {
        pub(in crate::aes) mod $name {
            use super::super::vector::{load, load_at, store, store_at, $width as vector};
            use super::*;
            use vector::{Schedule, Vector, WIDTH};

            const VECTORS: usize = [$($all),+].len();
            const PACES: Paces = &[$(($count, $cycles)),+];

            /// Runs all chains, keys all of one length.
            #[target_feature(enable = $features)]
            pub fn run<'a, J: Chained<'a>>(chains: &mut [J]) {
                if WIDTH == 2 && chains.iter().all(|chain| chain.count() <= SHORT) {
                    return narrow::run(chains);
                }
                match chains.first().map(|chain| chain.key().rounds()) {
                    Some(10) => keyed::<J, 11>(chains),
                    Some(12) => keyed::<J, 13>(chains),
                    Some(14) => keyed::<J, 15>(chains),
                    _ => (),
                }
            }

            #[target_feature(enable = $features)]
            fn keyed<'a, J: Chained<'a>, const KEYS: usize>(chains: &mut [J]) {
                let Some(keys) = chains.first().and_then(round_keys::<J, KEYS>) else { return };
                let mut schedules = vector::schedules(keys);
                if J::WHOLE && one_length(chains) {
                    for chains in chains.chunks_mut(VECTORS * WIDTH) {
                        in_lanes(Lanes::even(chains, keys), &mut schedules);
                    }
                } else {
                    let mut lanes = Lanes::new(chains, keys);
                    lanes.fill(WIDTH, PACES);
                    in_lanes(lanes, &mut schedules);
                }
            }

            #[target_feature(enable = $features)]
            fn in_lanes<'a, J: Chained<'a>, const KEYS: usize>(
                mut lanes: Lanes<'_, 'a, J, KEYS>,
                schedules: &mut [Schedule<'a, KEYS>; VECTORS],
            ) {
                let mut idle = Idle::new();
                while lanes.active() > 0 {
                    renew(&mut lanes, schedules);
                    match lanes.active().div_ceil(WIDTH) {
                        $(..=$count => $step(&mut lanes, schedules, &mut idle),)+
                        _ => return,
                    }
                }
            }

            /// The round keys of lanes that have changed hands.
            #[inline]
            #[target_feature(enable = $features)]
            fn renew<'a, J: Chained<'a>, const KEYS: usize>(
                lanes: &mut Lanes<'_, 'a, J, KEYS>,
                schedules: &mut [Schedule<'a, KEYS>; VECTORS],
            ) {
                for (at, keys) in schedules.iter_mut().enumerate() {
                    if lanes.fresh >> (at * WIDTH) & ((1 << WIDTH) - 1) != 0 {
                        schedule(lanes, at, keys);
                    }
                }
                lanes.fresh = 0;
            }

            /// The round keys of the lanes of one vector.
            #[inline]
            #[target_feature(enable = $features)]
            fn schedule<'a, J: Chained<'a>, const KEYS: usize>(
                lanes: &Lanes<'_, 'a, J, KEYS>,
                at: usize,
                schedule: &mut Schedule<'a, KEYS>,
            ) {
                vector::schedule(&lanes.keys[at * WIDTH..], schedule);
            }

            $(
                /// As many blocks in every lane as all can do.
                #[target_feature(enable = $features)]
                fn $step<'a, J: Chained<'a>, const KEYS: usize>(
                    lanes: &mut Lanes<'_, 'a, J, KEYS>,
                    schedules: &[Schedule<'_, KEYS>; VECTORS],
                    idle: &mut Idle,
                ) {
                    let count = lanes.blocks($count * WIDTH, idle);
                    let starts = &lanes.starts;
                    let mut state = [$(join(&lanes.state, $k)),+];
                    let whole = whole(count, WIDTH);
                    for at in (0..whole).step_by(WIDTH) {
                        // SAFETY: `at` and as many behind it as a vector has are below `count`, and every
                        // lane has as many blocks.
                        let mut text = [$(unsafe { vector::gather(&starts[$k * WIDTH..], at) }),+];
                        blocks!(KEYS, schedules, state, text, [$($k),+], $span);
                        if J::Part::WRITTEN {
                            // SAFETY: as above, and the blocks may be written.
                            $(unsafe { vector::scatter(&starts[$k * WIDTH..], at, text[$k]) };)+
                        }
                    }
                    for at in whole..count {
                        // SAFETY: `at` is below `count`, and every lane has as many blocks.
                        let mut text = [$([unsafe { single(starts, $k, at) }]),+];
                        blocks!(KEYS, schedules, state, text, [$($k),+], [0]);
                        if J::Part::WRITTEN {
                            // SAFETY: as above, and the blocks may be written.
                            $(unsafe { put_single(starts, $k, at, text[$k][0]) };)+
                        }
                    }
                    for (to, state) in lanes.state.chunks_exact_mut(WIDTH).zip(state) {
                        let blocks = to.iter_mut().zip(vector::split(state));
                        blocks.for_each(|(to, block)| store(to, block));
                    }
                    lanes.done(count);
                }
            )+

            /// Block `at` of the lanes of vector `k`.
            ///
            /// # Safety
            /// Every lane has such a block.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn single(starts: &[*mut Block], k: usize, at: usize) -> Vector {
                let mut blocks = [load(&[0; 16]); WIDTH];
                for (block, start) in blocks.iter_mut().zip(&starts[k * WIDTH..]) {
                    // SAFETY: the caller's promise.
                    *block = unsafe { load_at(*start, at) };
                }
                vector::join(blocks)
            }

            /// The way back.
            ///
            /// # Safety
            /// As for [`single`], and the blocks may be written.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn put_single(starts: &[*mut Block], k: usize, at: usize, blocks: Vector) {
                for (block, start) in vector::split(blocks).into_iter().zip(&starts[k * WIDTH..]) {
                    // SAFETY: the caller's promise.
                    unsafe { store_at(*start, at, block) };
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn join(state: &[Block], k: usize) -> Vector {
                let mut joined = [load(&[0; 16]); WIDTH];
                joined.iter_mut().zip(&state[k * WIDTH..]).for_each(|(to, from)| *to = load(from));
                vector::join(joined)
            }
        }
    };
}

// Cycles of one block of AES-128 on Zen 4.
chains!(narrow, "aes,avx2", x1 [0], [0, 1, 2, 3, 4, 5, 6, 7], {
    four: 4 vectors [0, 1, 2, 3] in 42;
    six: 6 vectors [0, 1, 2, 3, 4, 5] in 46;
    eight: 8 vectors [0, 1, 2, 3, 4, 5, 6, 7] in 58;
});
chains!(vaes256, "aes,vaes,avx2", x2 [0, 1], [0, 1, 2, 3, 4, 5, 6, 7], {
    four: 4 vectors [0, 1, 2, 3] in 43;
    six: 6 vectors [0, 1, 2, 3, 4, 5] in 49;
    eight: 8 vectors [0, 1, 2, 3, 4, 5, 6, 7] in 65;
});
chains!(vaes512, "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl", x4 [0, 1, 2, 3], [0, 1, 2, 3], {
    one: 1 vectors [0] in 42;
    two: 2 vectors [0, 1] in 45;
    three: 3 vectors [0, 1, 2] in 49;
    four: 4 vectors [0, 1, 2, 3] in 64;
});
