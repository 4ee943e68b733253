//! ChaCha20 in AVX2: eight blocks, whichever packets and keys they belong to.
use core::arch::x86_64::*;

use super::aead::Lane;
use super::narrow::{halves, load, load_inputs, store, transpose_words};
use super::rounds::{CONSTANTS, quarter_rounds, twenty_rounds};

/// Blocks computed at once.
const LANES: usize = 8;

/// Four words of the state.
type Row = [__m256i; 4];

/// XORs the key stream of eight lanes onto their data.
#[target_feature(enable = "avx2")]
pub(super) fn xor8(lanes: &mut [Lane<'_>; LANES]) {
    let stream = key_stream(lanes);
    for (lane, [low, high]) in lanes.iter_mut().zip(stream) {
        match lane.data.as_chunks_mut().0 {
            [first, second] => {
                store(first, xor(load(first), low));
                store(second, xor(load(second), high));
            }
            _ => xor_onto_some(lane.data, low, high),
        }
    }
}

/// Less than a block.
#[target_feature(enable = "avx2")]
fn xor_onto_some(data: &mut [u8], low: __m256i, high: __m256i) {
    let mut stream = [[0; 32]; 2];
    let [first, second] = &mut stream;
    store(first, low);
    store(second, high);
    data.iter_mut().zip(stream.as_flattened()).for_each(|(octet, mask)| *octet ^= mask);
    // the key stream of a one-time key is that key
    stream = [[0; 32]; 2];
    zeroize::optimization_barrier(&stream);
}

/// The key stream of block `i` in row `i`.
#[inline]
#[target_feature(enable = "avx2")]
fn key_stream(lanes: &[Lane<'_>; LANES]) -> [[__m256i; 2]; LANES] {
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

/// From four words of two blocks in each register to whole blocks.
#[inline]
#[target_feature(enable = "avx2")]
fn blocks([a, b, c, d]: [Row; 4]) -> [[__m256i; 2]; LANES] {
    // register j of each row: four words of block j, and of block j + 4
    let pair = |a, b, c, d| {
        let ([al, ah], [bl, bh]) = (halves(a, b), halves(c, d));
        [[al, bl], [ah, bh]]
    };
    let [b0, b4] = pair(a[0], b[0], c[0], d[0]);
    let [b1, b5] = pair(a[1], b[1], c[1], d[1]);
    let [b2, b6] = pair(a[2], b[2], c[2], d[2]);
    let [b3, b7] = pair(a[3], b[3], c[3], d[3]);
    [b0, b1, b2, b3, b4, b5, b6, b7]
}

/// Words 0 to 3 of all keys, and words 4 to 7.
#[inline]
#[target_feature(enable = "avx2")]
fn key_words([a, b, c, d, e, f, g, h]: &[Lane<'_>; LANES]) -> [Row; 2] {
    let [a, b, c, d] = transpose_words([load(a.key), load(b.key), load(c.key), load(d.key)]);
    let [e, f, g, h] = transpose_words([load(e.key), load(f.key), load(g.key), load(h.key)]);
    let ([a0, a1], [b0, b1], [c0, c1], [d0, d1]) =
        (halves(a, e), halves(b, f), halves(c, g), halves(d, h));
    [[a0, b0, c0, d0], [a1, b1, c1, d1]]
}

/// Words 12 to 15 of all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn input_words([a, b, c, d, e, f, g, h]: &[Lane<'_>; LANES]) -> Row {
    let two = |low: &Lane<'_>, high: &Lane<'_>| load_inputs(&low.input, &high.input);
    transpose_words([two(a, e), two(b, f), two(c, g), two(d, h)])
}

#[inline]
#[target_feature(enable = "avx2")]
fn set(word: u32) -> __m256i {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

/// To the left by `LEFT`; `RIGHT` is the rest of 32. Whole octets move in one shuffle.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: __m256i) -> __m256i {
    let by_octets = |word: [u8; 4]| {
        let [a, b, c, d] = word.map(i32::from);
        let first = a | b << 8 | c << 16 | d << 24;
        let next = 0x0404_0404;
        let row = [first, first + next, first + 2 * next, first + 3 * next];
        _mm256_setr_epi32(row[0], row[1], row[2], row[3], row[0], row[1], row[2], row[3])
    };
    match LEFT {
        16 => _mm256_shuffle_epi8(a, by_octets([2, 3, 0, 1])),
        8 => _mm256_shuffle_epi8(a, by_octets([3, 0, 1, 2])),
        _ => _mm256_or_si256(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a)),
    }
}
