//! Loads, stores and transpositions of 512-bit registers.
#![allow(unsafe_code, reason = "vectors are loaded and stored through pointers")]
use core::arch::x86_64::*;

/// The mask of the first `count` of 64 octets.
#[inline(always)]
fn first(count: usize) -> u64 {
    u64::MAX.unbounded_shr(64_u32.saturating_sub(count as u32))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(octets: &[u8; 64]) -> __m512i {
    // SAFETY: 64 octets can be read there; the load needs no alignment.
    unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) }
}

/// The first 64 octets, zeros behind them if there are fewer.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn load_some(octets: &[u8]) -> __m512i {
    // SAFETY: octets outside the mask are not touched, and those inside are in the slice.
    unsafe { _mm512_maskz_loadu_epi8(first(octets.len()), octets.as_ptr().cast()) }
}

/// XORs `stream` onto the first 64 octets of `data`. Always with a mask: that costs nothing, a branch for
/// whole blocks is mispredicted at every packet's end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn xor_onto(data: &mut [u8], stream: __m512i) {
    let sum = _mm512_xor_si512(stream, load_some(data));
    // SAFETY: octets outside the mask are not touched, and those inside are in the slice.
    unsafe { _mm512_mask_storeu_epi8(data.as_mut_ptr().cast(), first(data.len()), sum) }
}

/// Counters and nonces of four lanes. They were written a moment ago, one by one, and are read as they
/// were written: one load of all would wait until they have reached the cache.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_inputs([a, b, c, d]: [&[u32; 4]; 4]) -> __m512i {
    let ab = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(load_input(a)), load_input(b));
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(ab, load_input(c)), load_input(d))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_input(input: &[u32; 4]) -> __m128i {
    // SAFETY: 16 octets can be read there; the load needs no alignment.
    unsafe { _mm_loadu_si128(input.as_ptr().cast()) }
}

/// Two keys, one in each half.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_two(low: &[u8; 32], high: &[u8; 32]) -> __m512i {
    // SAFETY: 32 octets can be read there; the load needs no alignment.
    let low = unsafe { _mm256_loadu_si256(low.as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm256_loadu_si256(high.as_ptr().cast()) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_block(octets: &[u8; 16]) -> __m128i {
    // SAFETY: 16 octets can be read there; the load needs no alignment.
    unsafe { _mm_loadu_si128(octets.as_ptr().cast()) }
}

/// Four blocks, one in each quarter.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_blocks([a, b, c, d]: [&[u64; 2]; 4]) -> __m512i {
    let ab = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(load_pair(a)), load_pair(b));
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(ab, load_pair(c)), load_pair(d))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_pair(pair: &[u64; 2]) -> __m128i {
    // SAFETY: 16 octets can be read there; the load needs no alignment.
    unsafe { _mm_loadu_si128(pair.as_ptr().cast()) }
}

/// The eight 64-bit elements.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn elements(vector: __m512i) -> [u64; 8] {
    let mut out = [0; 8];
    // SAFETY: 64 octets can be written there; the store needs no alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), vector) };
    out
}

/// In each quarter of the registers, 4×4 words transposed.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose_words([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
    let (ef, gh) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ef, gh),
        _mm512_unpackhi_epi64(ef, gh),
    ]
}

/// The quarters of four registers, 4×4, transposed.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose_quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0x44>(c, d));
    let (ef, gh) = (_mm512_shuffle_i64x2::<0xee>(a, b), _mm512_shuffle_i64x2::<0xee>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(ab, cd),
        _mm512_shuffle_i64x2::<0xdd>(ab, cd),
        _mm512_shuffle_i64x2::<0x88>(ef, gh),
        _mm512_shuffle_i64x2::<0xdd>(ef, gh),
    ]
}
