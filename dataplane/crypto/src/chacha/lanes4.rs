//! Four messages in the four 64-bit lanes of an AVX2 register, on their way in and out of Poly1305.
use core::arch::x86_64::*;

use super::narrow::{elements, load};
use super::poly::{BLOCK, Message, Part, STEP, TAG};

pub(super) const LANES: usize = 4;

pub(super) type Vector = __m256i;
pub(super) type Messages<'a> = [Message<'a>; LANES];
pub(super) type Bodies<'a> = [&'a [[u8; STEP * BLOCK]]; LANES];

/// The low and the high 64 bits of a block.
pub(super) type Words = [__m256i; 2];

/// The last block of each message.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lengths([a, b, c, d]: &Messages<'_>) -> Words {
    let number = |number: u64| number.cast_signed();
    let four =
        |[a, b, c, d]: [u64; LANES]| _mm256_set_epi64x(number(d), number(c), number(b), number(a));
    let all = [a, b, c, d].map(|message| message.lengths);
    [four(all.map(|[low, _]| low)), four(all.map(|[_, high]| high))]
}

/// The first halves of the one-time keys: both words of r.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn keys([a, b, c, d]: &Messages<'_>) -> Words {
    let [r, _s] = transpose([load(a.key), load(b.key), load(c.key), load(d.key)]);
    r
}

/// The four blocks of every message that begin `remaining` blocks before its end.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn ragged(
    [a, b, c, d]: &Messages<'_>,
    remaining: usize,
    lengths: Words,
) -> [Words; STEP] {
    let copies = [copy(a, remaining), copy(b, remaining), copy(c, remaining), copy(d, remaining)];
    let [w0, w1, w2, w3] = blocks(copies.each_ref());
    [w0, w1, w2, if remaining == STEP { lengths } else { w3 }]
}

/// One message's blocks, but for the lengths.
fn copy(message: &Message<'_>, remaining: usize) -> [u8; STEP * BLOCK] {
    let Part { ahead, body } = message.part(remaining);
    let mut octets = [0; STEP * BLOCK];
    if let Some(slot) = octets.as_chunks_mut().0.get_mut(ahead.wrapping_sub(1)) {
        *slot = *message.aad;
    }
    let behind = octets.get_mut(ahead * BLOCK..).unwrap_or_default();
    let count = behind.len().min(body.len());
    if let (Some(to), Some(from)) = (behind.get_mut(..count), body.get(..count)) {
        to.copy_from_slice(from);
    }
    octets
}

/// Four blocks of every message's body. `None`: there are no more that all have.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn whole([a, b, c, d]: &Bodies<'_>, step: usize) -> Option<[Words; STEP]> {
    Some(blocks([a.get(step)?, b.get(step)?, c.get(step)?, d.get(step)?]))
}

/// Blocks of four messages, to the words of four messages for each block.
#[inline]
#[target_feature(enable = "avx2")]
fn blocks(rows: [&[u8; STEP * BLOCK]; LANES]) -> [Words; STEP] {
    let [a, b, c, d] = rows;
    let half = |at: usize, row: &[u8; STEP * BLOCK]| match row.as_chunks().0 {
        [low, high] => load(if at == 0 { low } else { high }),
        _ => _mm256_setzero_si256(),
    };
    let [w0, w1] = transpose([half(0, a), half(0, b), half(0, c), half(0, d)]);
    let [w2, w3] = transpose([half(1, a), half(1, b), half(1, c), half(1, d)]);
    [w0, w1, w2, w3]
}

/// Two blocks of each message.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose([a, b, c, d]: [__m256i; LANES]) -> [Words; 2] {
    let (low_ab, low_cd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpacklo_epi64(c, d));
    let (high_ab, high_cd) = (_mm256_unpackhi_epi64(a, b), _mm256_unpackhi_epi64(c, d));
    let first = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
    let second = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
    [
        [first(low_ab, low_cd), first(high_ab, high_cd)],
        [second(low_ab, low_cd), second(high_ab, high_cd)],
    ]
}

/// Bit 128 of the four blocks of a step (RFC 8439 §2.5.1), as bit `BIT` of a limb: set from the block on
/// where a message with these lengths begins.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn bit128<const BIT: u32>([_, body]: Words, remaining: usize) -> [__m256i; STEP] {
    let blocks = down::<4>(add(body, set(15 + 32)));
    let begun = |at: usize| {
        // as signed numbers: both are far below 2^63
        and(_mm256_cmpgt_epi64(blocks, set((remaining - at) as u64 - 1)), set(1 << BIT))
    };
    [begun(0), begun(1), begun(2), begun(3)]
}

/// The sums of messages that began before the step; zero for the others.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn begun<const N: usize>(
    sum: [__m256i; N],
    [_, body]: Words,
    remaining: usize,
) -> [__m256i; N] {
    // as many blocks as the body has, without those of AAD and lengths
    let blocks = down::<4>(add(body, set(15)));
    let before = _mm256_cmpgt_epi64(blocks, _mm256_set1_epi64x(remaining as i64 - 2));
    sum.map(|limb| and(limb, before))
}

/// The sums' low 128 bits plus s (RFC 8439 §2.5.1), little-endian.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tags([low, high]: Words, messages: &Messages<'_>) -> [[u8; TAG]; LANES] {
    let (low, high) = (elements(low), elements(high));
    let mut tags = [[0; TAG]; LANES];
    for (((tag, message), low), high) in tags.iter_mut().zip(messages).zip(low).zip(high) {
        *tag = message.tag(low, high);
    }
    tags
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn zero<const N: usize>() -> [__m256i; N] {
    [_mm256_setzero_si256(); N]
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn set(value: u64) -> __m256i {
    _mm256_set1_epi64x(value.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn and(a: __m256i, b: __m256i) -> __m256i {
    _mm256_and_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn or(a: __m256i, b: __m256i) -> __m256i {
    _mm256_or_si256(a, b)
}

/// The low 32 bits of each lane multiplied.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn mul(a: __m256i, b: __m256i) -> __m256i {
    _mm256_mul_epu32(a, b)
}

/// Up by `N` bits.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn up<const N: i32>(a: __m256i) -> __m256i {
    _mm256_slli_epi64::<N>(a)
}

/// Down by `N` bits.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn down<const N: i32>(a: __m256i) -> __m256i {
    _mm256_srli_epi64::<N>(a)
}

/// `a` where `bit`, which is 0 or 1, is 0, `b` where it is 1.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn choose(bit: __m256i, a: __m256i, b: __m256i) -> __m256i {
    let mask = _mm256_sub_epi64(_mm256_setzero_si256(), bit);
    _mm256_blendv_epi8(a, b, mask)
}
