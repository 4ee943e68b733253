//! ChaCha20 in AVX-512: 16 blocks, whichever packets and keys they belong to.
use core::arch::x86_64::*;

use super::aead::Lane;
use super::rounds::{CONSTANTS, quarter_rounds, twenty_rounds};
use super::wide::{load_inputs, load_two, transpose_quarters, transpose_words, xor_onto};

/// Blocks computed at once.
pub(super) const LANES: usize = 16;

/// Four words of the state.
type Row = [__m512i; 4];

/// XORs the key stream of up to 16 lanes onto their data.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn xor16(lanes: &mut [Lane<'_>; LANES]) {
    let stream = key_stream(lanes);
    for (lane, stream) in lanes.iter_mut().zip(stream) {
        xor_onto(lane.data, stream);
    }
}

/// Block `i` of the key stream in register `i`.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
fn key_stream(lanes: &[Lane<'_>; LANES]) -> [__m512i; LANES] {
    let [k0, k1] = key_words(lanes);
    let n = input_words(lanes);
    let [c0, c1, c2, c3] = CONSTANTS;
    let c = [set(c0), set(c1), set(c2), set(c3)];
    let mut x = [
        c[0], c[1], c[2], c[3], k0[0], k0[1], k0[2], k0[3], //
        k1[0], k1[1], k1[2], k1[3], n[0], n[1], n[2], n[3],
    ];
    twenty_rounds!(x);
    blocks([
        transpose_words([add(x[0], c[0]), add(x[1], c[1]), add(x[2], c[2]), add(x[3], c[3])]),
        transpose_words([add(x[4], k0[0]), add(x[5], k0[1]), add(x[6], k0[2]), add(x[7], k0[3])]),
        transpose_words([add(x[8], k1[0]), add(x[9], k1[1]), add(x[10], k1[2]), add(x[11], k1[3])]),
        transpose_words([add(x[12], n[0]), add(x[13], n[1]), add(x[14], n[2]), add(x[15], n[3])]),
    ])
}

/// From four words of four blocks in each quarter to whole blocks.
#[inline]
#[target_feature(enable = "avx512f")]
fn blocks([a, b, c, d]: [Row; 4]) -> [__m512i; LANES] {
    // register j of each row: in quarter q, its four words of block 4q + j
    let [b0, b4, b8, b12] = transpose_quarters([a[0], b[0], c[0], d[0]]);
    let [b1, b5, b9, b13] = transpose_quarters([a[1], b[1], c[1], d[1]]);
    let [b2, b6, b10, b14] = transpose_quarters([a[2], b[2], c[2], d[2]]);
    let [b3, b7, b11, b15] = transpose_quarters([a[3], b[3], c[3], d[3]]);
    [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15]
}

/// Words 0 to 3 of all keys, and words 4 to 7.
#[inline]
#[target_feature(enable = "avx512f")]
fn key_words([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: &[Lane<'_>; LANES]) -> [Row; 2] {
    let two = |low: &Lane<'_>, high: &Lane<'_>| load_two(low.key, high.key);
    // paired so that the halves, put together below, have the lanes in their order
    let low = transpose_words([two(a, e), two(b, f), two(c, g), two(d, h)]);
    let high = transpose_words([two(i, m), two(j, n), two(k, o), two(l, p)]);
    let ([a, b, c, d], [e, f, g, h]) = (low, high);
    [[even(a, e), even(b, f), even(c, g), even(d, h)], [odd(a, e), odd(b, f), odd(c, g), odd(d, h)]]
}

/// Words 12 to 15 of all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn input_words([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: &[Lane<'_>; LANES]) -> Row {
    let four = |a: &Lane<'_>, b: &Lane<'_>, c: &Lane<'_>, d: &Lane<'_>| {
        load_inputs([&a.input, &b.input, &c.input, &d.input])
    };
    transpose_words([four(a, e, i, m), four(b, f, j, n), four(c, g, k, o), four(d, h, l, p)])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn even(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<0x88>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn odd(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<0xdd>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn set(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

/// To the left by `LEFT`; `RIGHT` is the rest of 32.
#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: __m512i) -> __m512i {
    _mm512_rol_epi32::<LEFT>(a)
}
