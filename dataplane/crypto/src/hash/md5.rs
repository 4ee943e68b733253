//! MD5 (RFC 1321 §3.4) in lanes, for HMAC-MD5-96 (RFC 2403): 64 steps over one word of every lane.
#![allow(unsafe_code, reason = "the way into code that this CPU may lack the features for")]
use super::lane::{Block, Lane, Message, Span, WIDEST, advance, of_each, outers, spread, states};
use super::vector::{Piece, w32x8, w32x8l, w32x16};

/// ⌊2³²·|sin(i + 1)|⌋.
#[rustfmt::skip]
const T: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// RFC 1321's F, G, H and I, each as one of the vector's functions.
macro_rules! function {
    (f, $v:ident, $b:ident $c:ident $d:ident) => {
        $v::choose($b, $c, $d)
    };
    (g, $v:ident, $b:ident $c:ident $d:ident) => {
        $v::choose($d, $b, $c)
    };
    (h, $v:ident, $b:ident $c:ident $d:ident) => {
        $v::xor3($b, $c, $d)
    };
    (i, $v:ident, $b:ident $c:ident $d:ident) => {
        $v::md5_i($b, $c, $d)
    };
}

/// a = b + ((a + f(b, c, d) + X[k] + T[i]) <<< s). What does not wait for the last step is added first.
macro_rules! step {
    ($f:ident, $v:ident, $w:ident, $i:expr, $k:expr, $s:literal, $a:ident $b:ident $c:ident $d:ident) => {
        let early = $v::add($a, $v::add($w[($k) & 15], $v::splat(T[$i])));
        let sum = $v::add($v::pin(early), function!($f, $v, $b $c $d));
        $a = $v::add($b, $v::rol::<$s>(sum));
    };
}

/// 16 steps of one function: the block's words from `$k` on, every `$by`-th.
macro_rules! round {
    ($f:ident, $v:ident, $w:ident, $i:expr, $k:literal by $by:literal, $shifts:tt, $a:ident $b:ident $c:ident $d:ident) => {
        round!(@four $f, $v, $w, $i, $k, $by, $shifts, $a $b $c $d);
        round!(@four $f, $v, $w, $i + 4, $k + 4 * $by, $by, $shifts, $a $b $c $d);
        round!(@four $f, $v, $w, $i + 8, $k + 8 * $by, $by, $shifts, $a $b $c $d);
        round!(@four $f, $v, $w, $i + 12, $k + 12 * $by, $by, $shifts, $a $b $c $d);
    };
    (@four $f:ident, $v:ident, $w:ident, $i:expr, $k:expr, $by:literal,
     [$s0:literal $s1:literal $s2:literal $s3:literal], $a:ident $b:ident $c:ident $d:ident) => {
        step!($f, $v, $w, $i, $k, $s0, $a $b $c $d);
        step!($f, $v, $w, $i + 1, $k + $by, $s1, $d $a $b $c);
        step!($f, $v, $w, $i + 2, $k + 2 * $by, $s2, $c $d $a $b);
        step!($f, $v, $w, $i + 3, $k + 3 * $by, $s3, $b $c $d $a);
    };
}

/// The state behind a block of the words `$w`. Not a function: the compiler would not always put it in place,
/// and all words would go through memory.
macro_rules! compress {
    ($v:ident, $state:expr, $w:expr) => {{
        let (before, w) = ($state, $w);
        let [mut a, mut b, mut c, mut d] = before;
        round!(f, $v, w, 0, 0 by 1, [7 12 17 22], a b c d);
        round!(g, $v, w, 16, 1 by 5, [5 9 14 20], a b c d);
        round!(h, $v, w, 32, 5 by 3, [4 11 16 23], a b c d);
        round!(i, $v, w, 48, 0 by 7, [6 10 15 21], a b c d);
        let [a0, b0, c0, d0] = before;
        [$v::add(a, a0), $v::add(b, b0), $v::add(c, c0), $v::add(d, d0)]
    }};
}

macro_rules! md5 {
    ($name:ident, $features:literal, $v:ident) => {
        pub(super) mod $name {
            use super::*;
            use $v::{LANES, V};

            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn run(lanes: &mut [&mut Lane<'_, 4, 2>], steps: usize) {
                let mut state = words(&states::<LANES, 4, 2>(lanes));
                let mut done = 0;
                while done < steps {
                    let span = Span::<LANES, 4>::of(lanes, done, steps - done);
                    for at in 0..span.count() {
                        state = compress!($v, state, message(&span.block(at)));
                    }
                    done += span.count();
                }
                advance(lanes, [$v::pieces(state), [[0; 16]; LANES]], steps);
            }

            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn outer(lanes: &mut [&mut Lane<'_, 4, 2>]) {
                let state = words(&states::<LANES, 4, 2>(lanes));
                let to = digest(words(&outers::<LANES, 4, 2>(lanes)), state);
                advance(lanes, to, 0);
            }

            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn even(messages: &[Message<'_, 4, 2>]) -> [[Piece; WIDEST]; 2] {
                let Some(messages) = messages.first_chunk::<LANES>() else {
                    return [[[0; 16]; WIDEST]; 2];
                };
                let mut state = words(&of_each(messages, |message| message.inner));
                let body = Span::over(of_each(messages, |message| message.body));
                let tail = Span::over(of_each(messages, |message| message.tail));
                for at in 0..body.count() + tail.count() {
                    let (span, at) = match at.checked_sub(body.count()) {
                        None => (&body, at),
                        Some(at) => (&tail, at),
                    };
                    state = compress!($v, state, message(&span.block(at)));
                }
                let outer = words(&of_each(messages, |message| message.outer));
                spread(digest(outer, state))
            }

            /// The outer hash, begun with `outer`, of the digest that `inner` is.
            #[inline]
            #[target_feature(enable = $features)]
            fn digest(outer: [V; 4], inner: [V; 4]) -> [[Piece; LANES]; 2] {
                let [w0, w1, w2, w3] = inner;
                let (one, zero) = ($v::splat(0x80), $v::splat(0));
                let length = $v::splat(8 * (64 + 16));
                let w = [
                    w0, w1, w2, w3, one, zero, zero, zero, //
                    zero, zero, zero, zero, zero, zero, length, zero,
                ];
                [$v::pieces(compress!($v, outer, w)), [[0; 16]; LANES]]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn words(from: &[&[Piece; 2]; LANES]) -> [V; 4] {
                $v::words::<0, 2>(from)
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn message(block: &[&Block<4>; LANES]) -> [V; 16] {
                let [w0, w1, w2, w3] = $v::words::<0, 4>(block);
                let [w4, w5, w6, w7] = $v::words::<1, 4>(block);
                let [w8, w9, w10, w11] = $v::words::<2, 4>(block);
                let [w12, w13, w14, w15] = $v::words::<3, 4>(block);
                [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
            }
        }
    };
}

md5!(x16, "avx2,avx512f,avx512bw,avx512vl", w32x16);
md5!(x8l, "avx2,avx512f,avx512bw,avx512vl", w32x8l);
md5!(x8, "avx2", w32x8);
