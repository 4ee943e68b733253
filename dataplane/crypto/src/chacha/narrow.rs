//! Loads, stores and transpositions of 256-bit registers.
#![allow(unsafe_code, reason = "vectors are loaded and stored through pointers")]
use core::arch::x86_64::*;

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(octets: &[u8; 32]) -> __m256i {
    // SAFETY: 32 octets can be read there; the load needs no alignment.
    unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(octets: &mut [u8; 32], vector: __m256i) {
    // SAFETY: 32 octets can be written there; the store needs no alignment.
    unsafe { _mm256_storeu_si256(octets.as_mut_ptr().cast(), vector) }
}

/// A counter and a nonce, or half a key.
#[inline]
#[target_feature(enable = "avx2")]
fn load_words(words: &[u32; 4]) -> __m128i {
    // SAFETY: 16 octets can be read there; the load needs no alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// Counters and nonces of two lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_inputs(low: &[u32; 4], high: &[u32; 4]) -> __m256i {
    _mm256_set_m128i(load_words(high), load_words(low))
}

/// The four 64-bit elements.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn elements(vector: __m256i) -> [u64; 4] {
    let mut out = [0; 4];
    // SAFETY: 32 octets can be written there; the store needs no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), vector) };
    out
}

/// In each half of the registers, 4×4 words transposed.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transpose_words([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ef, gh) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ef, gh),
        _mm256_unpackhi_epi64(ef, gh),
    ]
}

/// The low halves of both, and the high halves.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn halves(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
}
