//! SHA-1 and SHA-256 with the CPU's SHA instructions, `N` messages side by side: one alone waits for the
//! latency of its rounds.
#![allow(unsafe_code, reason = "the way into code that this CPU may lack the features for")]
use core::arch::x86_64::*;

use super::lane::{Block, Lane, Span, advance, outers, states};
use super::sha2::K32;
use super::vector::{Piece, SWAP32, octets, piece};

/// Big-endian words, the first on top: the order of the SHA-1 instructions.
const SWAP128: Piece = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

/// The next four words of SHA-1's message, in the place of the oldest four.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn expand_sha1([w0, w1, w2, w3]: [__m128i; 4]) -> __m128i {
    _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32(w0, w1), w2), w3)
}

/// The next four words of SHA-256's message, in the place of the oldest four.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn expand_sha256([w0, w1, w2, w3]: [__m128i; 4]) -> __m128i {
    let partial = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
    _mm_sha256msg2_epu32(partial, w3)
}

/// The block's words, each piece in `order`.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn message([a, b, c, d]: &Block<4>, order: &Piece) -> [__m128i; 4] {
    let order = piece(order);
    [
        _mm_shuffle_epi8(piece(a), order),
        _mm_shuffle_epi8(piece(b), order),
        _mm_shuffle_epi8(piece(c), order),
        _mm_shuffle_epi8(piece(d), order),
    ]
}

/// One message on its way through a block of SHA-1.
#[derive(Clone, Copy)]
struct Sha1 {
    abcd: __m128i,
    /// E before these four rounds is A before the last four, rotated: `abcd` of then.
    last: __m128i,
    w: [__m128i; 4],
}

/// Four rounds of each message: `$F` is the function, `$at` the place of the words in the window of 16.
macro_rules! sha1_rounds {
    ($all:ident, $f:literal, $w0:literal $w1:literal $w2:literal $w3:literal) => {
        for one in &mut $all {
            one.w[$w0] = expand_sha1([one.w[$w0], one.w[$w1], one.w[$w2], one.w[$w3]]);
        }
        sha1_rounds!($all, $f, $w0);
    };
    ($all:ident, $f:literal, $w0:literal) => {
        for one in &mut $all {
            let e = _mm_sha1nexte_epu32(one.last, one.w[$w0]);
            one.last = one.abcd;
            one.abcd = _mm_sha1rnds4_epu32::<$f>(one.abcd, e);
        }
    };
}

/// The states behind a block of the words `$w`. Not a function: the compiler would not always put it in place,
/// and all would go through memory.
macro_rules! sha1_block {
    ($state:expr, $w:expr, $n:ident) => {{
        let mut state: Sha1State<$n> = $state;
        let zero = _mm_setzero_si128();
        let mut all = [Sha1 { abcd: zero, last: zero, w: [zero; 4] }; $n];
        for ((one, (abcd, e)), w) in all.iter_mut().zip(state).zip($w) {
            (one.w, one.last) = (w, abcd);
            one.abcd = _mm_sha1rnds4_epu32::<0>(abcd, _mm_add_epi32(e, w[0]));
        }
        sha1_rounds!(all, 0, 1);
        sha1_rounds!(all, 0, 2);
        sha1_rounds!(all, 0, 3);
        sha1_rounds!(all, 0, 0 1 2 3);
        sha1_rounds!(all, 1, 1 2 3 0);
        sha1_rounds!(all, 1, 2 3 0 1);
        sha1_rounds!(all, 1, 3 0 1 2);
        sha1_rounds!(all, 1, 0 1 2 3);
        sha1_rounds!(all, 1, 1 2 3 0);
        sha1_rounds!(all, 2, 2 3 0 1);
        sha1_rounds!(all, 2, 3 0 1 2);
        sha1_rounds!(all, 2, 0 1 2 3);
        sha1_rounds!(all, 2, 1 2 3 0);
        sha1_rounds!(all, 2, 2 3 0 1);
        sha1_rounds!(all, 3, 3 0 1 2);
        sha1_rounds!(all, 3, 0 1 2 3);
        sha1_rounds!(all, 3, 1 2 3 0);
        sha1_rounds!(all, 3, 2 3 0 1);
        sha1_rounds!(all, 3, 3 0 1 2);
        for (one, (abcd, e)) in all.iter().zip(&mut state) {
            *e = _mm_sha1nexte_epu32(one.last, *e);
            *abcd = _mm_add_epi32(one.abcd, *abcd);
        }
        state
    }};
}

/// Messages between blocks: ABCD, the first on top, and E on top of nothing.
type Sha1State<const N: usize> = [(__m128i, __m128i); N];

/// # Safety
/// The CPU has the features named in the attribute.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) unsafe fn sha1<const N: usize>(lanes: &mut [&mut Lane<'_, 4, 2>], steps: usize) {
    let mut state = sha1_state(states::<N, 4, 2>(lanes));
    let mut done = 0;
    while done < steps {
        let span = Span::<N, 4>::of(lanes, done, steps - done);
        for at in 0..span.count() {
            let words = span.block(at).into_iter().map(|block| message(block, &SWAP128));
            state = sha1_block!(state, words, N);
        }
        done += span.count();
    }
    let mut to = [[[0; 16]; N]; 2];
    let [low, high] = &mut to;
    for (((abcd, e), low), high) in state.into_iter().zip(low).zip(high) {
        *low = octets(_mm_shuffle_epi32::<0x1b>(abcd));
        *high = octets(_mm_srli_si128::<12>(e));
    }
    advance(lanes, to, steps);
}

/// # Safety
/// The CPU has the features named in the attribute.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) unsafe fn sha1_outer<const N: usize>(lanes: &mut [&mut Lane<'_, 4, 2>]) {
    let zero = _mm_setzero_si128();
    let mut w = [[zero; 4]; N];
    for (w, (abcd, e)) in w.iter_mut().zip(sha1_state(states::<N, 4, 2>(lanes))) {
        let end = _mm_or_si128(e, _mm_set_epi32(0, i32::MIN, 0, 0));
        *w = [abcd, end, zero, _mm_set_epi32(0, 0, 0, 8 * (64 + 20))];
    }
    let state = sha1_block!(sha1_state(outers::<N, 4, 2>(lanes)), w, N);
    let mut to = [[[0; 16]; N]; 2];
    let [low, high] = &mut to;
    for (((abcd, e), low), high) in state.into_iter().zip(low).zip(high) {
        *low = octets(_mm_shuffle_epi8(abcd, piece(&SWAP128)));
        *high = octets(_mm_shuffle_epi8(e, piece(&SWAP128)));
    }
    advance(lanes, to, 0);
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sha1_state<const N: usize>(from: [&[Piece; 2]; N]) -> Sha1State<N> {
    let mut state = [(_mm_setzero_si128(), _mm_setzero_si128()); N];
    for ((abcd, e), [low, high]) in state.iter_mut().zip(from) {
        *abcd = _mm_shuffle_epi32::<0x1b>(piece(low));
        *e = _mm_slli_si128::<12>(piece(high));
    }
    state
}

/// One message on its way through a block of SHA-256.
#[derive(Clone, Copy)]
struct Sha256 {
    abef: __m128i,
    cdgh: __m128i,
    w: [__m128i; 4],
}

/// Four rounds of each message, from round `$t`; as [`sha1_rounds`].
macro_rules! sha256_rounds {
    ($all:ident, $t:literal, $w0:literal $w1:literal $w2:literal $w3:literal) => {
        for one in &mut $all {
            one.w[$w0] = expand_sha256([one.w[$w0], one.w[$w1], one.w[$w2], one.w[$w3]]);
        }
        sha256_rounds!($all, $t, $w0);
    };
    ($all:ident, $t:literal, $w0:literal) => {
        let k = _mm_setr_epi32(
            K32[$t].cast_signed(),
            K32[$t + 1].cast_signed(),
            K32[$t + 2].cast_signed(),
            K32[$t + 3].cast_signed(),
        );
        for one in &mut $all {
            let wk = _mm_add_epi32(one.w[$w0], k);
            one.cdgh = _mm_sha256rnds2_epu32(one.cdgh, one.abef, wk);
            one.abef = _mm_sha256rnds2_epu32(one.abef, one.cdgh, _mm_shuffle_epi32::<0x0e>(wk));
        }
    };
}

/// As [`sha1_block`].
macro_rules! sha256_block {
    ($state:expr, $w:expr, $n:ident) => {{
        let mut state: Sha256State<$n> = $state;
        let zero = _mm_setzero_si128();
        let mut all = [Sha256 { abef: zero, cdgh: zero, w: [zero; 4] }; $n];
        for ((one, (abef, cdgh)), w) in all.iter_mut().zip(state).zip($w) {
            *one = Sha256 { abef, cdgh, w };
        }
        sha256_rounds!(all, 0, 0);
        sha256_rounds!(all, 4, 1);
        sha256_rounds!(all, 8, 2);
        sha256_rounds!(all, 12, 3);
        sha256_rounds!(all, 16, 0 1 2 3);
        sha256_rounds!(all, 20, 1 2 3 0);
        sha256_rounds!(all, 24, 2 3 0 1);
        sha256_rounds!(all, 28, 3 0 1 2);
        sha256_rounds!(all, 32, 0 1 2 3);
        sha256_rounds!(all, 36, 1 2 3 0);
        sha256_rounds!(all, 40, 2 3 0 1);
        sha256_rounds!(all, 44, 3 0 1 2);
        sha256_rounds!(all, 48, 0 1 2 3);
        sha256_rounds!(all, 52, 1 2 3 0);
        sha256_rounds!(all, 56, 2 3 0 1);
        sha256_rounds!(all, 60, 3 0 1 2);
        for (one, (abef, cdgh)) in all.iter().zip(&mut state) {
            *abef = _mm_add_epi32(one.abef, *abef);
            *cdgh = _mm_add_epi32(one.cdgh, *cdgh);
        }
        state
    }};
}

/// Messages between blocks: ABEF and CDGH, the first on top.
type Sha256State<const N: usize> = [(__m128i, __m128i); N];

/// # Safety
/// The CPU has the features named in the attribute.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) unsafe fn sha256<const N: usize>(lanes: &mut [&mut Lane<'_, 4, 2>], steps: usize) {
    let mut state = sha256_state(states::<N, 4, 2>(lanes));
    let mut done = 0;
    while done < steps {
        let span = Span::<N, 4>::of(lanes, done, steps - done);
        for at in 0..span.count() {
            let words = span.block(at).into_iter().map(|block| message(block, &SWAP32));
            state = sha256_block!(state, words, N);
        }
        done += span.count();
    }
    let mut to = [[[0; 16]; N]; 2];
    let [low, high] = &mut to;
    for ((state, low), high) in state.into_iter().zip(low).zip(high) {
        let [abcd, efgh] = sha256_words(state);
        (*low, *high) = (octets(abcd), octets(efgh));
    }
    advance(lanes, to, steps);
}

/// # Safety
/// The CPU has the features named in the attribute.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) unsafe fn sha256_outer<const N: usize>(lanes: &mut [&mut Lane<'_, 4, 2>]) {
    let mut w = [[_mm_setzero_si128(); 4]; N];
    for (w, [low, high]) in w.iter_mut().zip(states::<N, 4, 2>(lanes)) {
        let end = _mm_set_epi32(0, 0, 0, i32::MIN);
        *w = [piece(low), piece(high), end, _mm_set_epi32(8 * (64 + 32), 0, 0, 0)];
    }
    let state = sha256_block!(sha256_state(outers::<N, 4, 2>(lanes)), w, N);
    let mut to = [[[0; 16]; N]; 2];
    let [low, high] = &mut to;
    for ((state, low), high) in state.into_iter().zip(low).zip(high) {
        let [abcd, efgh] = sha256_words(state);
        *low = octets(_mm_shuffle_epi8(abcd, piece(&SWAP32)));
        *high = octets(_mm_shuffle_epi8(efgh, piece(&SWAP32)));
    }
    advance(lanes, to, 0);
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sha256_state<const N: usize>(from: [&[Piece; 2]; N]) -> Sha256State<N> {
    let mut state = [(_mm_setzero_si128(), _mm_setzero_si128()); N];
    for ((abef, cdgh), [low, high]) in state.iter_mut().zip(from) {
        let badc = _mm_shuffle_epi32::<0xb1>(piece(low));
        let hgfe = _mm_shuffle_epi32::<0x1b>(piece(high));
        *abef = _mm_alignr_epi8::<8>(badc, hgfe);
        *cdgh = _mm_blend_epi16::<0xf0>(hgfe, badc);
    }
    state
}

/// A to D and E to H, the first at the bottom.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sha256_words((abef, cdgh): (__m128i, __m128i)) -> [__m128i; 2] {
    let feba = _mm_shuffle_epi32::<0x1b>(abef);
    let dchg = _mm_shuffle_epi32::<0xb1>(cdgh);
    [_mm_blend_epi16::<0xf0>(feba, dchg), _mm_alignr_epi8::<8>(dchg, feba)]
}
