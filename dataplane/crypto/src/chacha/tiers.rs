//! Where code without vector instructions enters the kernels.
#![allow(unsafe_code, reason = "that the CPU has the instructions is known here")]
use super::aead::{BLOCKS, Lane, Tier};
use super::poly::{MESSAGES, Message, Tags};
use super::{lanes4, open, poly_avx2, poly_avx512, poly_ifma, seal, xor8, xor16};
use crate::backend::Family;

/// For a backend that is listed only where the CPU has AVX2.
pub(crate) const AVX2: Family =
    Family { seal: |group| seal(&TIER_AVX2, group), open: |group| open(&TIER_AVX2, group) };

/// For a backend that is listed only where the CPU has AVX2 and AVX-512 F, BW, VL and DQ.
pub(crate) const AVX512: Family =
    Family { seal: |group| seal(&TIER_AVX512, group), open: |group| open(&TIER_AVX512, group) };

/// As [`AVX512`], with the multipliers of AVX-512 IFMA where the CPU has them too.
pub(crate) const IFMA: Family =
    Family { seal: |group| seal(best_avx512(), group), open: |group| open(best_avx512(), group) };

pub(super) static TIER_AVX2: Tier = Tier { xor: xor_avx2, authenticate: authenticate_avx2 };
pub(super) static TIER_AVX512: Tier = Tier { xor: xor_avx512, authenticate: authenticate_avx512 };
static TIER_IFMA: Tier = Tier { xor: xor_avx512, authenticate: authenticate_ifma };

/// The standard library remembers what it has found: this is one load and one branch.
pub(super) fn best_avx512() -> &'static Tier {
    if is_x86_feature_detected!("avx512ifma") { &TIER_IFMA } else { &TIER_AVX512 }
}

fn xor_avx2(lanes: &mut [Lane<'_>; BLOCKS]) {
    for eight in lanes.as_chunks_mut().0 {
        // SAFETY: the CPU has AVX2, or `AVX2` would not have been called.
        unsafe { xor8::xor8(eight) }
    }
}

fn authenticate_avx2(messages: &[Message<'_>; MESSAGES]) -> Tags {
    let mut tags = Tags::default();
    let fours = messages.as_chunks::<{ lanes4::LANES }>().0;
    for (four, tags) in fours.iter().zip(tags.as_chunks_mut().0) {
        // SAFETY: the CPU has AVX2, or `AVX2` would not have been called.
        *tags = unsafe { poly_avx2::authenticate(four) };
    }
    tags
}

fn xor_avx512(lanes: &mut [Lane<'_>; BLOCKS]) {
    // SAFETY: the CPU has AVX2 and AVX-512 F, BW, VL and DQ, or neither `AVX512` nor `IFMA` would have
    // been called.
    unsafe { xor16::xor16(lanes) }
}

fn authenticate_avx512(messages: &[Message<'_>; MESSAGES]) -> Tags {
    // SAFETY: as in `xor_avx512`.
    unsafe { poly_avx512::authenticate(messages) }
}

fn authenticate_ifma(messages: &[Message<'_>; MESSAGES]) -> Tags {
    // SAFETY: as in `xor_avx512`; and `best_avx512` has asked for AVX-512 IFMA.
    unsafe { poly_ifma::authenticate(messages) }
}
