//! One, two or four AES blocks side by side in a register, under the same names: the chains and the
//! decryption are written once over these and stamped out for each width.
use core::arch::x86_64::*;

/// An AES block.
pub(crate) type Block = [u8; 16];

/// Blocks of one chain in memory.
pub(in crate::aes) trait Blocks: Sized {
    /// Whether they may be written.
    const WRITTEN: bool;
    /// Where they are. They are borrowed for as long as they would have been otherwise.
    fn span(self) -> Span;
}

/// Where some blocks are, and how many.
#[derive(Clone, Copy)]
pub(in crate::aes) struct Span {
    pub start: *mut Block,
    pub count: usize,
}

/// Only read: the input of a MAC.
impl Blocks for &[Block] {
    const WRITTEN: bool = false;

    fn span(self) -> Span {
        Span { start: self.as_ptr().cast_mut(), count: self.len() }
    }
}

/// Encrypted in place.
impl Blocks for &mut [Block] {
    const WRITTEN: bool = true;

    fn span(self) -> Span {
        Span { start: self.as_mut_ptr(), count: self.len() }
    }
}

/// Block `at` behind `start`.
///
/// # Safety
/// It may be read.
#[inline(always)]
pub(super) unsafe fn load_at(start: *const Block, at: usize) -> __m128i {
    // SAFETY: the caller's promise; the instruction wants no alignment.
    unsafe { _mm_loadu_si128(start.wrapping_add(at).cast()) }
}

/// Replaces block `at` behind `start`.
///
/// # Safety
/// It may be written.
#[inline(always)]
pub(super) unsafe fn store_at(start: *mut Block, at: usize, block: __m128i) {
    // SAFETY: the caller's promise; the instruction wants no alignment.
    unsafe { _mm_storeu_si128(start.wrapping_add(at).cast(), block) };
}

#[inline(always)]
pub(in crate::aes) fn load(block: &Block) -> __m128i {
    // SAFETY: 16 octets behind a reference; the instruction wants no alignment.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

#[inline(always)]
pub(in crate::aes) fn store(to: &mut Block, block: __m128i) {
    // SAFETY: 16 octets behind an exclusive reference; the instruction wants no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), block) };
}

/// Keeps the compiler from moving one chain's rounds together: undone interleaving costs up to the whole
/// latency of the AES unit. Volatile but empty: an order, no instruction.
macro_rules! pin {
    ($class:ident, $vector:expr) => {{
        let mut vector = $vector;
        #[cfg(not(miri))]
        // SAFETY: there is no instruction in it.
        unsafe {
            core::arch::asm!("/* {0} */", inout($class) vector, options(nomem, nostack, preserves_flags))
        };
        #[cfg(miri)]
        let _ = &mut vector;
        vector
    }};
}

/// One block in an xmm register, AES-NI.
pub(super) mod x1 {
    use super::*;

    pub type Vector = __m128i;
    pub const WIDTH: usize = 1;
    /// Where a lane's round keys are: one block needs no rearranging.
    pub type Schedule<'k, const KEYS: usize> = &'k [Block; KEYS];

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn schedule<'k, const KEYS: usize>(
        lanes: &[&'k [Block; KEYS]],
        schedule: &mut Schedule<'k, KEYS>,
    ) {
        *schedule = lanes[0];
    }

    /// As many as there may be, none of them any lane's.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn schedules<const KEYS: usize, const COUNT: usize>(
        any: &[Block; KEYS],
    ) -> [Schedule<'_, KEYS>; COUNT] {
        [any; COUNT]
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn round_key<const KEYS: usize>(schedule: &Schedule<'_, KEYS>, round: usize) -> Vector {
        load(schedule.get(round).unwrap_or(&[0; 16]))
    }

    /// Block `at` of the first lane.
    ///
    /// # Safety
    /// The lane has it, and it may be read.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub unsafe fn gather(starts: &[*mut Block], at: usize) -> [Vector; WIDTH] {
        // SAFETY: the caller's promise.
        [unsafe { load_at(starts[0], at) }]
    }

    /// The way back.
    ///
    /// # Safety
    /// As for [`gather`], and the block may be written.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub unsafe fn scatter(starts: &[*mut Block], at: usize, [block]: [Vector; WIDTH]) {
        // SAFETY: the caller's promise.
        unsafe { store_at(starts[0], at, block) };
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn join([block]: [__m128i; 1]) -> Vector {
        block
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn split(vector: Vector) -> [__m128i; 1] {
        [vector]
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn spread(block: __m128i) -> Vector {
        block
    }

    /// The last block of `before`, then all but the last of `after`.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn shift_in(before: Vector, _after: Vector) -> Vector {
        before
    }

    /// As many blocks as there are and fit; zeros behind them.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn load_blocks(blocks: &[Block]) -> Vector {
        blocks.first().map_or(_mm_setzero_si128(), load)
    }

    /// As many blocks as there is room for and there are.
    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn store_blocks(to: &mut [Block], vector: Vector) {
        if let Some(to) = to.first_mut() {
            store(to, vector);
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn xor(a: Vector, b: Vector) -> Vector {
        _mm_xor_si128(a, b)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn encrypt(state: Vector, key: Vector) -> Vector {
        pin!(xmm_reg, _mm_aesenc_si128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn encrypt_last(state: Vector, key: Vector) -> Vector {
        _mm_aesenclast_si128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn decrypt(state: Vector, key: Vector) -> Vector {
        pin!(xmm_reg, _mm_aesdec_si128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,avx2")]
    pub fn decrypt_last(state: Vector, key: Vector) -> Vector {
        _mm_aesdeclast_si128(state, key)
    }
}

/// Two blocks in a ymm register, VAES.
pub(super) mod x2 {
    use super::*;

    pub type Vector = __m256i;
    pub const WIDTH: usize = 2;
    /// The round keys of two lanes, side by side.
    pub type Schedule<'k, const KEYS: usize> = [Vector; KEYS];

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn schedule<'k, const KEYS: usize>(
        lanes: &[&'k [Block; KEYS]],
        schedule: &mut Schedule<'k, KEYS>,
    ) {
        let [a, b] = [lanes[0], lanes[1]];
        for (round, key) in schedule.iter_mut().enumerate() {
            *key = join([load(&a[round]), load(&b[round])]);
        }
    }

    /// As many as there may be, none of them any lane's.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn schedules<const KEYS: usize, const COUNT: usize>(
        _any: &[Block; KEYS],
    ) -> [Schedule<'_, KEYS>; COUNT] {
        [[_mm256_setzero_si256(); KEYS]; COUNT]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn round_key<const KEYS: usize>(schedule: &Schedule<'_, KEYS>, round: usize) -> Vector {
        schedule[round]
    }

    /// Lanes' blocks to blocks' lanes: in vector `j`, block `j` of both lanes; its own inverse.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    fn transpose([a, b]: [Vector; WIDTH]) -> [Vector; WIDTH] {
        [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
    }

    /// Blocks `at` and `at + 1` of each lane, a vector for each block.
    ///
    /// # Safety
    /// Both lanes have both, and they may be read.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub unsafe fn gather(starts: &[*mut Block], at: usize) -> [Vector; WIDTH] {
        let mut lanes = [load_blocks(&[]); WIDTH];
        for (lane, start) in lanes.iter_mut().zip(starts) {
            // SAFETY: the caller's promise; the instruction wants no alignment.
            *lane = unsafe { _mm256_loadu_si256(start.wrapping_add(at).cast()) };
        }
        transpose(lanes)
    }

    /// The way back.
    ///
    /// # Safety
    /// As for [`gather`], and the blocks may be written.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub unsafe fn scatter(starts: &[*mut Block], at: usize, blocks: [Vector; WIDTH]) {
        for (lane, start) in transpose(blocks).into_iter().zip(starts) {
            // SAFETY: the caller's promise; the instruction wants no alignment.
            unsafe { _mm256_storeu_si256(start.wrapping_add(at).cast(), lane) };
        }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn join([a, b]: [__m128i; 2]) -> Vector {
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn split(vector: Vector) -> [__m128i; 2] {
        [_mm256_castsi256_si128(vector), _mm256_extracti128_si256::<1>(vector)]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn spread(block: __m128i) -> Vector {
        _mm256_broadcastsi128_si256(block)
    }

    /// The last block of `before`, then all but the last of `after`.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn shift_in(before: Vector, after: Vector) -> Vector {
        _mm256_permute2x128_si256::<0x21>(before, after)
    }

    /// As many blocks as there are and fit; zeros behind them.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn load_blocks(blocks: &[Block]) -> Vector {
        match blocks {
            [a, b, ..] => join([load(a), load(b)]),
            [a] => _mm256_zextsi128_si256(load(a)),
            [] => _mm256_setzero_si256(),
        }
    }

    /// As many blocks as there is room for and there are.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn store_blocks(to: &mut [Block], vector: Vector) {
        for (to, block) in to.iter_mut().zip(split(vector)) {
            store(to, block);
        }
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn xor(a: Vector, b: Vector) -> Vector {
        _mm256_xor_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn encrypt(state: Vector, key: Vector) -> Vector {
        pin!(ymm_reg, _mm256_aesenc_epi128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn encrypt_last(state: Vector, key: Vector) -> Vector {
        _mm256_aesenclast_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn decrypt(state: Vector, key: Vector) -> Vector {
        pin!(ymm_reg, _mm256_aesdec_epi128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx2")]
    pub fn decrypt_last(state: Vector, key: Vector) -> Vector {
        _mm256_aesdeclast_epi128(state, key)
    }
}

/// Four blocks in a zmm register, VAES with AVX-512.
pub(super) mod x4 {
    use super::*;

    pub type Vector = __m512i;
    pub const WIDTH: usize = 4;
    /// The round keys of four lanes, side by side.
    pub type Schedule<'k, const KEYS: usize> = [Vector; KEYS];

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn schedule<'k, const KEYS: usize>(
        lanes: &[&'k [Block; KEYS]],
        schedule: &mut Schedule<'k, KEYS>,
    ) {
        let mut four = [load_blocks(&[]); WIDTH];
        for at in (0..KEYS).step_by(WIDTH) {
            for (four, lane) in four.iter_mut().zip(lanes) {
                *four = load_blocks(&lane[at..]);
            }
            four = transpose(four);
            schedule[at..].iter_mut().zip(four).for_each(|(key, four)| *key = four);
        }
    }

    /// Lanes' blocks to blocks' lanes: in vector `j`, block `j` of all lanes; its own inverse.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    fn transpose([a, b, c, d]: [Vector; WIDTH]) -> [Vector; WIDTH] {
        let (ab_even, ab_odd) = (shuffle::<0x88>(a, b), shuffle::<0xdd>(a, b));
        let (cd_even, cd_odd) = (shuffle::<0x88>(c, d), shuffle::<0xdd>(c, d));
        [
            shuffle::<0x88>(ab_even, cd_even),
            shuffle::<0x88>(ab_odd, cd_odd),
            shuffle::<0xdd>(ab_even, cd_even),
            shuffle::<0xdd>(ab_odd, cd_odd),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    fn shuffle<const ORDER: i32>(a: Vector, b: Vector) -> Vector {
        _mm512_shuffle_i64x2::<ORDER>(a, b)
    }

    /// Blocks `at` to `at + 3` of each lane, a vector for each block.
    ///
    /// # Safety
    /// Every lane has so many, and they may be read.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn gather(starts: &[*mut Block], at: usize) -> [Vector; WIDTH] {
        let mut lanes = [load_blocks(&[]); WIDTH];
        for (lane, start) in lanes.iter_mut().zip(starts) {
            // SAFETY: the caller's promise; the instruction wants no alignment.
            *lane = unsafe { _mm512_loadu_si512(start.wrapping_add(at).cast()) };
        }
        transpose(lanes)
    }

    /// The way back.
    ///
    /// # Safety
    /// As for [`gather`], and the blocks may be written.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn scatter(starts: &[*mut Block], at: usize, blocks: [Vector; WIDTH]) {
        for (lane, start) in transpose(blocks).into_iter().zip(starts) {
            // SAFETY: the caller's promise; the instruction wants no alignment.
            unsafe { _mm512_storeu_si512(start.wrapping_add(at).cast(), lane) };
        }
    }

    /// As many as there may be, none of them any lane's.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn schedules<const KEYS: usize, const COUNT: usize>(
        _any: &[Block; KEYS],
    ) -> [Schedule<'_, KEYS>; COUNT] {
        [[_mm512_setzero_si512(); KEYS]; COUNT]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn round_key<const KEYS: usize>(schedule: &Schedule<'_, KEYS>, round: usize) -> Vector {
        schedule[round]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn join([a, b, c, d]: [__m128i; 4]) -> Vector {
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn split(vector: Vector) -> [__m128i; 4] {
        [
            _mm512_castsi512_si128(vector),
            _mm512_extracti32x4_epi32::<1>(vector),
            _mm512_extracti32x4_epi32::<2>(vector),
            _mm512_extracti32x4_epi32::<3>(vector),
        ]
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn spread(block: __m128i) -> Vector {
        _mm512_broadcast_i32x4(block)
    }

    /// The last block of `before`, then all but the last of `after`.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn shift_in(before: Vector, after: Vector) -> Vector {
        _mm512_alignr_epi64::<6>(after, before)
    }

    /// A mask of two quadwords for each block.
    fn mask(blocks: usize) -> __mmask8 {
        ((1_u16 << (2 * blocks.min(WIDTH))) - 1) as __mmask8
    }

    /// As many blocks as there are and fit; zeros behind them.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn load_blocks(blocks: &[Block]) -> Vector {
        // SAFETY: the mask lets it read only the blocks of the slice; it wants no alignment.
        unsafe { _mm512_maskz_loadu_epi64(mask(blocks.len()), blocks.as_ptr().cast()) }
    }

    /// As many blocks as there is room for and there are.
    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn store_blocks(to: &mut [Block], vector: Vector) {
        let mask = mask(to.len());
        // SAFETY: the mask lets it write only the blocks of the slice; it wants no alignment.
        unsafe { _mm512_mask_storeu_epi64(to.as_mut_ptr().cast(), mask, vector) };
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn xor(a: Vector, b: Vector) -> Vector {
        _mm512_xor_si512(a, b)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn encrypt(state: Vector, key: Vector) -> Vector {
        pin!(zmm_reg, _mm512_aesenc_epi128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn encrypt_last(state: Vector, key: Vector) -> Vector {
        _mm512_aesenclast_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn decrypt(state: Vector, key: Vector) -> Vector {
        pin!(zmm_reg, _mm512_aesdec_epi128(state, key))
    }

    #[inline]
    #[target_feature(enable = "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn decrypt_last(state: Vector, key: Vector) -> Vector {
        _mm512_aesdeclast_epi128(state, key)
    }
}
