//! Eight messages in the eight 64-bit lanes of a register, on their way in and out of Poly1305.
use core::arch::x86_64::*;

use super::poly::{BLOCK, Message, STEP, TAG};
use super::wide::{
    elements, load, load_block, load_blocks, load_some, load_two, transpose_quarters,
};

pub(super) const LANES: usize = 8;

pub(super) type Vector = __m512i;
pub(super) type Messages<'a> = [Message<'a>; LANES];
pub(super) type Bodies<'a> = [&'a [[u8; STEP * BLOCK]]; LANES];

/// The low and the high 64 bits of a block.
pub(super) type Words = [__m512i; 2];

/// The last block of each message.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn lengths([a, b, c, d, e, f, g, h]: &Messages<'_>) -> Words {
    let four = |a: &Message<'_>, b: &Message<'_>, c: &Message<'_>, d: &Message<'_>| {
        load_blocks([&a.lengths, &b.lengths, &c.lengths, &d.lengths])
    };
    let (even, odd) = (four(a, c, e, g), four(b, d, f, h));
    [_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd)]
}

/// The first halves of the one-time keys: both words of r.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn keys([a, b, c, d, e, f, g, h]: &Messages<'_>) -> Words {
    // paired so that the halves, put together below, have the lanes in their order
    let (a, b) = (load_two(a.key, c.key), load_two(b.key, d.key));
    let (c, d) = (load_two(e.key, g.key), load_two(f.key, h.key));
    let (ab, cd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpacklo_epi64(c, d));
    let (ef, gh) = (_mm512_unpackhi_epi64(a, b), _mm512_unpackhi_epi64(c, d));
    [_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0x88>(ef, gh)]
}

/// The four blocks of every message that begin `remaining` blocks before its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn ragged(
    [a, b, c, d, e, f, g, h]: &Messages<'_>,
    remaining: usize,
    lengths: Words,
) -> [Words; STEP] {
    let ([i, j, k, l, m, n, o, p], masks) = parts(remaining, lengths);
    let [q, r, s, t, u, v, w, x] = masks;
    let low = [row(a, i, q), row(b, j, r), row(c, k, s), row(d, l, t)];
    let high = [row(e, m, u), row(f, n, v), row(g, o, w), row(h, p, x)];
    let ([a, b, c, d], [e, f, g, h]) = (low, high);
    let [w0, w1, w2, w3] = transpose([a, b, c, d, e, f, g, h]);
    [w0, w1, w2, if remaining == STEP { lengths } else { w3 }]
}

/// [`Message::part`] of all lanes at once: where in its body each begins, and two masks with two bits for each block of
/// the step, those behind the body's beginning and, above them, the AAD's.
#[inline]
#[target_feature(enable = "avx512f")]
fn parts(remaining: usize, [_, body]: Words) -> ([u64; LANES], [u64; LANES]) {
    let zero = set(0);
    // blocks with the AAD's, without that of the lengths; block 0 is the AAD
    let blocks = add(down::<4>(add(body, set(15))), set(1));
    let first = _mm512_sub_epi64(blocks, set(remaining as u64));
    let ahead = _mm512_min_epi64(
        _mm512_max_epi64(_mm512_sub_epi64(zero, first), zero),
        set(STEP as u64 + 1),
    );
    let twice = up::<1>(ahead);
    let behind = and(_mm512_sllv_epi64(set(0xff), twice), set(0xff));
    let aad = down::<2>(_mm512_sllv_epi64(set(0b11), twice));
    let masks = or(behind, up::<8>(aad));
    (elements(up::<4>(_mm512_max_epi64(first, zero))), elements(masks))
}

/// One message's blocks, but for the lengths.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn row(message: &Message<'_>, from: u64, masks: u64) -> __m512i {
    let body = message.body.get(from as usize..).unwrap_or_default();
    let row = _mm512_maskz_expand_epi64(masks as u8, load_some(body));
    _mm512_mask_broadcast_i64x2(row, (masks >> 8) as u8, load_block(message.aad))
}

/// Four blocks of every message's body. `None`: there are no more that all have.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn whole([a, b, c, d, e, f, g, h]: &Bodies<'_>, step: usize) -> Option<[Words; STEP]> {
    let low = [load(a.get(step)?), load(b.get(step)?), load(c.get(step)?), load(d.get(step)?)];
    let high = [load(e.get(step)?), load(f.get(step)?), load(g.get(step)?), load(h.get(step)?)];
    let ([a, b, c, d], [e, f, g, h]) = (low, high);
    Some(transpose([a, b, c, d, e, f, g, h]))
}

/// Blocks of eight messages, to the words of eight messages for each block.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose([a, b, c, d, e, f, g, h]: [__m512i; LANES]) -> [Words; STEP] {
    let low = |a, b| _mm512_unpacklo_epi64(a, b);
    let high = |a, b| _mm512_unpackhi_epi64(a, b);
    let [l0, l1, l2, l3] = transpose_quarters([low(a, b), low(c, d), low(e, f), low(g, h)]);
    let [h0, h1, h2, h3] = transpose_quarters([high(a, b), high(c, d), high(e, f), high(g, h)]);
    [[l0, h0], [l1, h1], [l2, h2], [l3, h3]]
}

/// Bit 128 of the four blocks of a step (RFC 8439 §2.5.1), as bit `BIT` of a limb: set from the block on
/// where a message with these lengths begins.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn bit128<const BIT: u32>([_, body]: Words, remaining: usize) -> [__m512i; STEP] {
    let one = set(1 << BIT);
    // one block less than the message has
    let blocks = _mm512_srli_epi64::<4>(_mm512_add_epi64(body, _mm512_set1_epi64(15 + 16)));
    let begun = |at: usize| {
        let left = _mm512_set1_epi64((remaining - at) as i64 - 1);
        _mm512_maskz_mov_epi64(_mm512_cmple_epu64_mask(left, blocks), one)
    };
    [begun(0), begun(1), begun(2), begun(3)]
}

/// The sums of messages that began before the step; zero for the others.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn begun<const N: usize>(
    sum: [__m512i; N],
    [_, body]: Words,
    remaining: usize,
) -> [__m512i; N] {
    // as many blocks as the body has, without those of AAD and lengths
    let blocks = _mm512_srli_epi64::<4>(_mm512_add_epi64(body, set(15)));
    let before = _mm512_cmpgt_epi64_mask(blocks, _mm512_set1_epi64(remaining as i64 - 2));
    sum.map(|limb| _mm512_maskz_mov_epi64(before, limb))
}

/// The sums' low 128 bits plus s (RFC 8439 §2.5.1), little-endian.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn tags([low, high]: Words, messages: &Messages<'_>) -> [[u8; TAG]; LANES] {
    let (low, high) = (elements(low), elements(high));
    let mut tags = [[0; TAG]; LANES];
    for (((tag, message), low), high) in tags.iter_mut().zip(messages).zip(low).zip(high) {
        *tag = message.tag(low, high);
    }
    tags
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn zero<const N: usize>() -> [__m512i; N] {
    [_mm512_setzero_si512(); N]
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn set(value: u64) -> __m512i {
    _mm512_set1_epi64(value.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn and(a: __m512i, b: __m512i) -> __m512i {
    _mm512_and_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn or(a: __m512i, b: __m512i) -> __m512i {
    _mm512_or_si512(a, b)
}

/// The low 32 bits of each lane multiplied.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn mul(a: __m512i, b: __m512i) -> __m512i {
    _mm512_mul_epu32(a, b)
}

/// Up by `N` bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn up<const N: u32>(a: __m512i) -> __m512i {
    _mm512_slli_epi64::<N>(a)
}

/// Down by `N` bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn down<const N: u32>(a: __m512i) -> __m512i {
    _mm512_srli_epi64::<N>(a)
}

/// `a` where `bit`, which is 0 or 1, is 0, `b` where it is 1.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn choose(bit: __m512i, a: __m512i, b: __m512i) -> __m512i {
    _mm512_mask_mov_epi64(a, _mm512_test_epi64_mask(bit, bit), b)
}
