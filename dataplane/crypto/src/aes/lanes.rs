//! Vectors of 128-bit lanes: what AES and GHASH need of them, the same in every tier. An algorithm written
//! over [`Lanes`] is written once; the tier's entry compiles it with the tier's instructions.
//!
//! A value of a [`Lanes`] type is a proof: only its `detect` makes one, after asking the CPU. That is what
//! makes the intrinsics below sound to call from ordinary functions. All of those are inlined into the
//! tier's entry, which is compiled for those instructions; outside of one they would be slow, not wrong.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
use core::arch::asm;
use core::arch::x86_64::*;

/// GHASH's reduction constant in the bit-reflected domain: x¹²⁷ + x¹²⁶ + x¹²¹ + 1, the halves as used.
const POLYNOMIAL: u128 = 0xc200_0000_0000_0000_0000_0000_0000_0001;

/// Operations on a vector of `LANES` blocks. Where a slice is shorter than a vector, loads fill up with
/// zeros and stores write what has room: no slice is too short for safety.
pub(crate) trait Lanes: Copy {
    /// The vector.
    type V: Copy;
    /// Blocks in a vector.
    const LANES: usize;
    /// Octets in a vector.
    const OCTETS: usize = 16 * Self::LANES;

    /// The block in every lane.
    fn splat(self, block: u128) -> Self::V;
    /// [`splat`](Self::splat) from memory.
    fn splat_from(self, block: &[u8; 16]) -> Self::V;
    /// The block in one lane, zeros in the others.
    fn at_lane(self, block: u128, lane: usize) -> Self::V;
    /// Lane 0.
    fn block(self, v: Self::V) -> u128;
    /// Lane 0 of `first`, the other lanes of `v`.
    fn with_first(self, v: Self::V, first: Self::V) -> Self::V;
    /// The sum of all lanes in lane 0, zeros in the others.
    fn fold(self, v: Self::V) -> Self::V;

    /// A whole vector, from a slice that is known to be long enough.
    fn load(self, from: &[u8]) -> Self::V;
    /// The slice's octets, at most a vector, then zeros.
    fn load_tail(self, from: &[u8]) -> Self::V;
    /// A whole vector, to a slice that is known to be long enough.
    fn store(self, to: &mut [u8], v: Self::V);
    /// As many octets as the slice has, at most a vector.
    fn store_tail(self, to: &mut [u8], v: Self::V);
    /// The first `octets` octets, then zeros.
    fn keep(self, v: Self::V, octets: usize) -> Self::V;

    /// a ⊕ b.
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// a ⊕ b ⊕ c.
    fn xor3(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Each lane's octets back to front.
    fn reverse(self, v: Self::V) -> Self::V;
    /// Each lane's halves exchanged.
    fn swap_halves(self, v: Self::V) -> Self::V;
    /// Carry-less product of one half of each lane of `a` (bit 0 of `HALVES`) and of `b` (bit 4).
    fn clmul<const HALVES: i32>(self, a: Self::V, b: Self::V) -> Self::V;
    /// One round of AES (FIPS 197 §5.1).
    fn round(self, v: Self::V, key: Self::V) -> Self::V;
    /// The last round of AES.
    fn last_round(self, v: Self::V, key: Self::V) -> Self::V;

    /// A point that the compiler moves no computation of `v` across, at no cost in instructions. Its
    /// scheduler would otherwise run one chain of AES rounds after another, instead of abreast.
    fn fence(self, v: &mut Self::V);

    /// The vector of zeros.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0)
    }

    /// [`POLYNOMIAL`] in every lane.
    #[inline(always)]
    fn polynomial(self) -> Self::V {
        self.splat(POLYNOMIAL)
    }
}

/// Calls intrinsics of the tier whose proof is `$proof`.
macro_rules! intrinsic {
    ($proof:ident, $call:expr) => {{
        let Self { .. } = $proof;
        // SAFETY: `self` exists, so the CPU has these instructions; nothing here takes a pointer.
        unsafe { $call }
    }};
}

/// An empty `asm!` that a vector in a register passes through. It is not `pure`, so that it keeps its place
/// among its like.
macro_rules! pin {
    ($name:ident, $class:ident, $vector:ty, $features:literal) => {
        #[target_feature(enable = $features)]
        #[inline]
        fn $name(v: &mut $vector) {
            // Miri has no `asm!`, and no order of instructions to keep.
            // SAFETY: no instruction; the vector comes out as it went in.
            #[cfg(not(miri))]
            unsafe {
                asm!("/* {0} */", inout($class) * v, options(nomem, nostack, preserves_flags))
            }
        }
    };
}

pin!(pin_128, xmm_reg, __m128i, "avx2");
pin!(pin_256, ymm_reg, __m256i, "avx2");
pin!(pin_512, zmm_reg, __m512i, "avx512f");

/// A mask of the first `octets` octets.
#[inline(always)]
const fn first_bits(octets: usize) -> u64 {
    match octets {
        0..64 => !(u64::MAX << octets),
        _ => u64::MAX,
    }
}

/// VAES and VPCLMULQDQ on 512 bits: four lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vaes {
    _made_by_detect: (),
}

impl Vaes {
    /// If the CPU has the tier's instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        let vectors = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
        let made = Self { _made_by_detect: () };
        (vectors && Avx512::detect().is_some()).then_some(made)
    }
}

impl Lanes for Vaes {
    type V = __m512i;
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(self, block: u128) -> __m512i {
        intrinsic!(self, _mm512_broadcast_i32x4(from_u128(block)))
    }

    #[inline(always)]
    fn splat_from(self, block: &[u8; 16]) -> __m512i {
        self.splat(u128::from_le_bytes(*block))
    }

    #[inline(always)]
    fn at_lane(self, block: u128, lane: usize) -> __m512i {
        intrinsic!(self, _mm512_maskz_broadcast_i32x4(0xf << (4 * lane), from_u128(block)))
    }

    #[inline(always)]
    fn block(self, v: __m512i) -> u128 {
        intrinsic!(self, to_u128(_mm512_castsi512_si128(v)))
    }

    #[inline(always)]
    fn with_first(self, v: __m512i, first: __m512i) -> __m512i {
        intrinsic!(self, _mm512_mask_mov_epi64(v, 0b11, first))
    }

    #[inline(always)]
    fn fold(self, v: __m512i) -> __m512i {
        let halves = intrinsic!(self, _mm512_extracti64x4_epi64::<1>(v));
        let half = intrinsic!(self, _mm256_xor_si256(_mm512_castsi512_si256(v), halves));
        let high = intrinsic!(self, _mm256_extracti128_si256::<1>(half));
        let sum = intrinsic!(self, _mm_xor_si128(_mm256_castsi256_si128(half), high));
        intrinsic!(self, _mm512_zextsi128_si512(sum))
    }

    #[inline(always)]
    fn load(self, from: &[u8]) -> __m512i {
        match from.first_chunk::<64>() {
            // SAFETY: 64 octets are there to read; the CPU has AVX-512, as `self` proves.
            Some(whole) => unsafe { _mm512_loadu_si512(whole.as_ptr().cast()) },
            None => self.load_tail(from),
        }
    }

    #[inline(always)]
    fn load_tail(self, from: &[u8]) -> __m512i {
        // SAFETY: reads only the octets that are in the mask, and those are the slice's.
        unsafe { _mm512_maskz_loadu_epi8(first_bits(from.len()), from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, to: &mut [u8], v: __m512i) {
        match to.first_chunk_mut::<64>() {
            // SAFETY: 64 octets are there to write; the CPU has AVX-512, as `self` proves.
            Some(whole) => unsafe { _mm512_storeu_si512(whole.as_mut_ptr().cast(), v) },
            None => self.store_tail(to, v),
        }
    }

    #[inline(always)]
    fn store_tail(self, to: &mut [u8], v: __m512i) {
        // SAFETY: writes only the octets that are in the mask, and those are the slice's.
        unsafe { _mm512_mask_storeu_epi8(to.as_mut_ptr().cast(), first_bits(to.len()), v) }
    }

    #[inline(always)]
    fn keep(self, v: __m512i, octets: usize) -> __m512i {
        intrinsic!(self, _mm512_maskz_mov_epi8(first_bits(octets), v))
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(self, _mm512_xor_si512(a, b))
    }

    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        intrinsic!(self, _mm512_ternarylogic_epi64::<0x96>(a, b, c))
    }

    #[inline(always)]
    fn reverse(self, v: __m512i) -> __m512i {
        intrinsic!(self, _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(from_u128(BACKWARDS))))
    }

    #[inline(always)]
    fn swap_halves(self, v: __m512i) -> __m512i {
        intrinsic!(self, _mm512_shuffle_epi32::<0x4e>(v))
    }

    #[inline(always)]
    fn clmul<const HALVES: i32>(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(self, _mm512_clmulepi64_epi128::<HALVES>(a, b))
    }

    #[inline(always)]
    fn round(self, v: __m512i, key: __m512i) -> __m512i {
        intrinsic!(self, _mm512_aesenc_epi128(v, key))
    }

    #[inline(always)]
    fn last_round(self, v: __m512i, key: __m512i) -> __m512i {
        intrinsic!(self, _mm512_aesenclast_epi128(v, key))
    }

    #[inline(always)]
    fn fence(self, v: &mut __m512i) {
        intrinsic!(self, pin_512(v));
    }
}

/// VAES and VPCLMULQDQ on 256 bits, without AVX-512: two lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vaes256 {
    _made_by_detect: (),
}

impl Vaes256 {
    /// If the CPU has the tier's instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        let vectors = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
        let made = Self { _made_by_detect: () };
        (vectors && Aesni::detect().is_some()).then_some(made)
    }
}

impl Lanes for Vaes256 {
    type V = __m256i;
    const LANES: usize = 2;

    #[inline(always)]
    fn splat(self, block: u128) -> __m256i {
        intrinsic!(self, _mm256_broadcastsi128_si256(from_u128(block)))
    }

    #[inline(always)]
    fn splat_from(self, block: &[u8; 16]) -> __m256i {
        self.splat(u128::from_le_bytes(*block))
    }

    #[inline(always)]
    fn at_lane(self, block: u128, lane: usize) -> __m256i {
        let block = from_u128(block);
        match lane {
            0 => intrinsic!(self, _mm256_zextsi128_si256(block)),
            _ => intrinsic!(self, _mm256_inserti128_si256::<1>(_mm256_setzero_si256(), block)),
        }
    }

    #[inline(always)]
    fn block(self, v: __m256i) -> u128 {
        intrinsic!(self, to_u128(_mm256_castsi256_si128(v)))
    }

    #[inline(always)]
    fn with_first(self, v: __m256i, first: __m256i) -> __m256i {
        intrinsic!(self, _mm256_blend_epi32::<0x0f>(v, first))
    }

    #[inline(always)]
    fn fold(self, v: __m256i) -> __m256i {
        let high = intrinsic!(self, _mm256_extracti128_si256::<1>(v));
        let sum = intrinsic!(self, _mm_xor_si128(_mm256_castsi256_si128(v), high));
        intrinsic!(self, _mm256_zextsi128_si256(sum))
    }

    #[inline(always)]
    fn load(self, from: &[u8]) -> __m256i {
        match from.first_chunk() {
            Some(whole) => from_octets(*whole),
            None => from_octets(padded(from)),
        }
    }

    #[inline(always)]
    fn load_tail(self, from: &[u8]) -> __m256i {
        self.load(from)
    }

    #[inline(always)]
    fn store(self, to: &mut [u8], v: __m256i) {
        match to.first_chunk_mut() {
            Some(whole) => *whole = to_octets(v),
            None => copy_tail(&to_octets(v), to),
        }
    }

    #[inline(always)]
    fn store_tail(self, to: &mut [u8], v: __m256i) {
        self.store(to, v);
    }

    #[inline(always)]
    fn keep(self, v: __m256i, octets: usize) -> __m256i {
        intrinsic!(self, _mm256_and_si256(v, from_octets(first_octets(octets))))
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(self, _mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(b, c), a)
    }

    #[inline(always)]
    fn reverse(self, v: __m256i) -> __m256i {
        intrinsic!(self, _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(from_u128(BACKWARDS))))
    }

    #[inline(always)]
    fn swap_halves(self, v: __m256i) -> __m256i {
        intrinsic!(self, _mm256_shuffle_epi32::<0x4e>(v))
    }

    #[inline(always)]
    fn clmul<const HALVES: i32>(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(self, _mm256_clmulepi64_epi128::<HALVES>(a, b))
    }

    #[inline(always)]
    fn round(self, v: __m256i, key: __m256i) -> __m256i {
        intrinsic!(self, _mm256_aesenc_epi128(v, key))
    }

    #[inline(always)]
    fn last_round(self, v: __m256i, key: __m256i) -> __m256i {
        intrinsic!(self, _mm256_aesenclast_epi128(v, key))
    }

    #[inline(always)]
    fn fence(self, v: &mut __m256i) {
        intrinsic!(self, pin_256(v));
    }
}

/// AES-NI and PCLMULQDQ with AVX-512's masks and three-operand logic: one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512 {
    _made_by_detect: (),
}

impl Avx512 {
    /// If the CPU has the tier's instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        let masks = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq");
        let made = Self { _made_by_detect: () };
        (masks && Aesni::detect().is_some()).then_some(made)
    }
}

/// AES-NI and PCLMULQDQ with AVX2: one lane, and scratch for partial blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aesni {
    _made_by_detect: (),
}

impl Aesni {
    /// If the CPU has the tier's instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Self { _made_by_detect: () })
    }
}

/// What both tiers of one lane do alike.
macro_rules! one_lane {
    () => {
        type V = __m128i;
        const LANES: usize = 1;

        #[inline(always)]
        fn splat(self, block: u128) -> __m128i {
            from_u128(block)
        }

        #[inline(always)]
        fn splat_from(self, block: &[u8; 16]) -> __m128i {
            from_u128(u128::from_le_bytes(*block))
        }

        #[inline(always)]
        fn at_lane(self, block: u128, _: usize) -> __m128i {
            from_u128(block)
        }

        #[inline(always)]
        fn block(self, v: __m128i) -> u128 {
            to_u128(v)
        }

        #[inline(always)]
        fn with_first(self, _: __m128i, first: __m128i) -> __m128i {
            first
        }

        #[inline(always)]
        fn fold(self, v: __m128i) -> __m128i {
            v
        }

        #[inline(always)]
        fn xor(self, a: __m128i, b: __m128i) -> __m128i {
            intrinsic!(self, _mm_xor_si128(a, b))
        }

        #[inline(always)]
        fn reverse(self, v: __m128i) -> __m128i {
            intrinsic!(self, _mm_shuffle_epi8(v, from_u128(BACKWARDS)))
        }

        #[inline(always)]
        fn swap_halves(self, v: __m128i) -> __m128i {
            intrinsic!(self, _mm_shuffle_epi32::<0x4e>(v))
        }

        #[inline(always)]
        fn clmul<const HALVES: i32>(self, a: __m128i, b: __m128i) -> __m128i {
            intrinsic!(self, _mm_clmulepi64_si128::<HALVES>(a, b))
        }

        #[inline(always)]
        fn round(self, v: __m128i, key: __m128i) -> __m128i {
            intrinsic!(self, _mm_aesenc_si128(v, key))
        }

        #[inline(always)]
        fn last_round(self, v: __m128i, key: __m128i) -> __m128i {
            intrinsic!(self, _mm_aesenclast_si128(v, key))
        }

        #[inline(always)]
        fn fence(self, v: &mut __m128i) {
            intrinsic!(self, pin_128(v));
        }
    };
}

impl Lanes for Avx512 {
    one_lane!();

    #[inline(always)]
    fn load(self, from: &[u8]) -> __m128i {
        match from.first_chunk() {
            Some(whole) => from_u128(u128::from_le_bytes(*whole)),
            None => self.load_tail(from),
        }
    }

    #[inline(always)]
    fn store(self, to: &mut [u8], v: __m128i) {
        match to.first_chunk_mut() {
            Some(whole) => *whole = to_u128(v).to_le_bytes(),
            None => self.store_tail(to, v),
        }
    }

    #[inline(always)]
    fn load_tail(self, from: &[u8]) -> __m128i {
        // SAFETY: reads only the octets that are in the mask, and those are the slice's.
        unsafe { _mm_maskz_loadu_epi8(first_bits(from.len()) as u16, from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_tail(self, to: &mut [u8], v: __m128i) {
        // SAFETY: writes only the octets that are in the mask, and those are the slice's.
        unsafe { _mm_mask_storeu_epi8(to.as_mut_ptr().cast(), first_bits(to.len()) as u16, v) }
    }

    #[inline(always)]
    fn keep(self, v: __m128i, octets: usize) -> __m128i {
        intrinsic!(self, _mm_maskz_mov_epi8(first_bits(octets) as u16, v))
    }

    #[inline(always)]
    fn xor3(self, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        intrinsic!(self, _mm_ternarylogic_epi64::<0x96>(a, b, c))
    }
}

impl Lanes for Aesni {
    one_lane!();

    #[inline(always)]
    fn load(self, from: &[u8]) -> __m128i {
        let whole = from.first_chunk().copied().unwrap_or_else(|| padded(from));
        from_u128(u128::from_le_bytes(whole))
    }

    #[inline(always)]
    fn load_tail(self, from: &[u8]) -> __m128i {
        self.load(from)
    }

    #[inline(always)]
    fn store(self, to: &mut [u8], v: __m128i) {
        let octets = to_u128(v).to_le_bytes();
        match to.first_chunk_mut() {
            Some(whole) => *whole = octets,
            None => copy_tail(&octets, to),
        }
    }

    #[inline(always)]
    fn store_tail(self, to: &mut [u8], v: __m128i) {
        self.store(to, v);
    }

    #[inline(always)]
    fn keep(self, v: __m128i, octets: usize) -> __m128i {
        let mask = u128::from_le_bytes(first_octets(octets));
        intrinsic!(self, _mm_and_si128(v, from_u128(mask)))
    }

    #[inline(always)]
    fn xor3(self, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        self.xor(self.xor(b, c), a)
    }
}

/// Shuffles a lane's octets back to front.
const BACKWARDS: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;

#[inline(always)]
const fn from_u128(block: u128) -> __m128i {
    // SAFETY: 16 octets either way, and any will do.
    unsafe { core::mem::transmute::<u128, __m128i>(block) }
}

#[inline(always)]
const fn to_u128(v: __m128i) -> u128 {
    // SAFETY: 16 octets either way, and any will do.
    unsafe { core::mem::transmute::<__m128i, u128>(v) }
}

#[inline(always)]
const fn from_octets(octets: [u8; 32]) -> __m256i {
    // SAFETY: 32 octets either way, and any will do.
    unsafe { core::mem::transmute::<[u8; 32], __m256i>(octets) }
}

#[inline(always)]
const fn to_octets(v: __m256i) -> [u8; 32] {
    // SAFETY: 32 octets either way, and any will do.
    unsafe { core::mem::transmute::<__m256i, [u8; 32]>(v) }
}

/// The slice's octets, then zeros: for CPUs without masked loads.
#[inline(always)]
fn padded<const N: usize>(from: &[u8]) -> [u8; N] {
    let mut scratch = [0; N];
    copy_tail(from, &mut scratch);
    scratch
}

/// As many octets as both have, fewer than 32.
#[inline(always)]
fn copy_tail(from: &[u8], to: &mut [u8]) {
    let octets = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..octets), to.get_mut(..octets)) {
        to.copy_from_slice(from);
    }
}

/// Ones in the first `octets` octets, then zeros.
#[inline(always)]
fn first_octets<const N: usize>(octets: usize) -> [u8; N] {
    /// Octets of the widest vector that is masked so.
    const WIDEST: usize = 32;
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    static MASK: [u8; 2 * WIDEST] = {
        let mut mask = [0; 2 * WIDEST];
        let (ones, _) = mask.split_at_mut(WIDEST);
        let mut i = 0;
        while i < WIDEST {
            ones[i] = 0xff;
            i += 1;
        }
        mask
    };
    let from = WIDEST - octets.min(N);
    MASK.get(from..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
