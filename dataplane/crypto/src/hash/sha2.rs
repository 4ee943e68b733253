//! SHA-256 and SHA-384/512 (FIPS 180-4 §6.2.2, §6.4.2) in lanes: the same rounds over words of 32 and of 64
//! bits, with other rotations and constants.
#![allow(unsafe_code, reason = "the way into code that this CPU may lack the features for")]
use super::lane::{Block, Lane, Message, Span, WIDEST, advance, of_each, outers, spread, states};
use super::vector::{Piece, w32x8, w32x8l, w32x16, w64x4, w64x4l, w64x8};

/// FIPS 180-4 §4.2.2 and §4.2.3: SHA-256's constants are the upper halves of SHA-512's first 64.
#[rustfmt::skip]
const K64: [u64; 80] = [
    0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
];

#[expect(clippy::indexing_slicing, reason = "the compiler does it, once")]
pub(super) const K32: [u32; 64] = {
    let mut constants = [0; 64];
    let mut at = 0;
    while at < 64 {
        constants[at] = (K64[at] >> 32) as u32;
        at += 1;
    }
    constants
};

/// The word of round `$t`: one of the block's for the first 16, then expanded in place (σ0, σ1).
macro_rules! word {
    ($v:ident, $w:ident, $t:expr, [$a0:literal $b0:literal $c0:literal] [$a1:literal $b1:literal $c1:literal]) => {{
        if $t >= 16 {
            let (x, y) = ($w[($t + 1) & 15], $w[($t + 14) & 15]);
            let s0 = $v::xor3($v::ror::<$a0>(x), $v::ror::<$b0>(x), $v::shr::<$c0>(x));
            let s1 = $v::xor3($v::ror::<$a1>(y), $v::ror::<$b1>(y), $v::shr::<$c1>(y));
            $w[$t & 15] = $v::add($v::add($w[$t & 15], s0), $v::add($w[($t + 9) & 15], s1));
        }
        $w[$t & 15]
    }};
}

/// One round: Σ1 and Ch into `h`, from there into `d`; Σ0 and Maj on top.
macro_rules! round {
    ($v:ident, $k:ident, $t:expr, $word:expr, [$a0:literal $b0:literal $c0:literal] [$a1:literal $b1:literal $c1:literal],
     $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        let early = $v::add($v::add($h, $v::splat($k[$t])), $word);
        let s1 = $v::xor3($v::ror::<$a1>($e), $v::ror::<$b1>($e), $v::ror::<$c1>($e));
        let sum = $v::add($v::pin($v::add($v::pin(early), $v::choose($e, $f, $g))), s1);
        let s0 = $v::xor3($v::ror::<$a0>($a), $v::ror::<$b0>($a), $v::ror::<$c0>($a));
        let sum = $v::pin(sum);
        $d = $v::add($d, sum);
        $h = $v::add(sum, $v::pin($v::add(s0, $v::majority($a, $b, $c))));
    };
}

/// A round with SHA-256's rotations.
macro_rules! round32 {
    ($v:ident, $w:ident, $t:expr, $($state:ident)*) => {
        round!($v, K32, $t, word!($v, $w, $t, [7 18 3] [17 19 10]), [2 13 22] [6 11 25], $($state)*);
    };
}

/// A round with SHA-512's rotations.
macro_rules! round64 {
    ($v:ident, $w:ident, $t:expr, $($state:ident)*) => {
        round!($v, K64, $t, word!($v, $w, $t, [1 8 7] [19 61 6]), [28 34 39] [14 18 41], $($state)*);
    };
}

/// 16 rounds; the variables change places instead of being moved.
macro_rules! sixteen {
    ($round:ident, $v:ident, $w:ident, $t:expr, $($state:ident)*) => {
        sixteen!(@eight $round, $v, $w, $t, $($state)*);
        sixteen!(@eight $round, $v, $w, $t + 8, $($state)*);
    };
    (@eight $round:ident, $v:ident, $w:ident, $t:expr,
     $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        $round!($v, $w, $t, $a $b $c $d $e $f $g $h);
        $round!($v, $w, $t + 1, $h $a $b $c $d $e $f $g);
        $round!($v, $w, $t + 2, $g $h $a $b $c $d $e $f);
        $round!($v, $w, $t + 3, $f $g $h $a $b $c $d $e);
        $round!($v, $w, $t + 4, $e $f $g $h $a $b $c $d);
        $round!($v, $w, $t + 5, $d $e $f $g $h $a $b $c);
        $round!($v, $w, $t + 6, $c $d $e $f $g $h $a $b);
        $round!($v, $w, $t + 7, $b $c $d $e $f $g $h $a);
    };
}

/// Adds what the state was before the block.
macro_rules! feed_forward {
    ($v:ident, $before:ident, $($at:literal $state:ident),*) => {
        $($state = $v::add($state, $before[$at]);)*
    };
}

/// The state behind a block of the words `$w`, 16 rounds after `$t` each. Not a function: the compiler would
/// not always put it in place, and all words would go through memory.
macro_rules! compress {
    ($round:ident, $v:ident, [$($t:literal)*], $state:expr, $w:expr) => {{
        let (before, mut w) = ($state, $w);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;
        $(sixteen!($round, $v, w, $t, a b c d e f g h);)*
        feed_forward!($v, before, 0 a, 1 b, 2 c, 3 d, 4 e, 5 f, 6 g, 7 h);
        [a, b, c, d, e, f, g, h]
    }};
}

macro_rules! sha256 {
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
                        state = compress!(round32, $v, [0 16 32 48], state, $v::message_be(&span.block(at)));
                    }
                    done += span.count();
                }
                let [a, b, c, d, e, f, g, h] = state;
                advance(lanes, [$v::pieces([a, b, c, d]), $v::pieces([e, f, g, h])], steps);
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
                    state = compress!(
                        round32,
                        $v,
                        [0 16 32 48],
                        state,
                        $v::message_be(&span.block(at))
                    );
                }
                let outer = words(&of_each(messages, |message| message.outer));
                spread(digest(outer, state))
            }

            /// The outer hash, begun with `outer`, of the digest that `inner` is.
            #[inline]
            #[target_feature(enable = $features)]
            fn digest(outer: [V; 8], inner: [V; 8]) -> [[Piece; LANES]; 2] {
                let [w0, w1, w2, w3, w4, w5, w6, w7] = inner;
                let (one, zero) = ($v::splat(1 << 31), $v::splat(0));
                let length = $v::splat(8 * (64 + 32));
                let w = [
                    w0, w1, w2, w3, w4, w5, w6, w7, one, zero, zero, zero, zero, zero, zero, length,
                ];
                let [a, b, c, d, e, f, g, h] = compress!(round32, $v, [0 16 32 48], outer, w);
                [$v::pieces_be([a, b, c, d]), $v::pieces_be([e, f, g, h])]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn words(from: &[&[Piece; 2]; LANES]) -> [V; 8] {
                let [a, b, c, d] = $v::words::<0, 2>(from);
                let [e, f, g, h] = $v::words::<1, 2>(from);
                [a, b, c, d, e, f, g, h]
            }
        }
    };
}

macro_rules! sha512 {
    ($name:ident, $features:literal, $v:ident) => {
        pub(super) mod $name {
            use super::*;
            use $v::{LANES, V};

            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn run(lanes: &mut [&mut Lane<'_, 8, 4>], steps: usize) {
                let mut state = words(&states::<LANES, 8, 4>(lanes));
                let mut done = 0;
                while done < steps {
                    let span = Span::<LANES, 8>::of(lanes, done, steps - done);
                    for at in 0..span.count() {
                        state = compress!(round64, $v, [0 16 32 48 64], state, message(&span.block(at)));
                    }
                    done += span.count();
                }
                let [a, b, c, d, e, f, g, h] = state;
                let to = [
                    $v::pieces([a, b]),
                    $v::pieces([c, d]),
                    $v::pieces([e, f]),
                    $v::pieces([g, h]),
                ];
                advance(lanes, to, steps);
            }

            /// Of digests of `DIGEST` octets: 48 or 64.
            ///
            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn outer<const DIGEST: u64>(lanes: &mut [&mut Lane<'_, 8, 4>]) {
                let state = words(&states::<LANES, 8, 4>(lanes));
                let to = digest::<DIGEST>(words(&outers::<LANES, 8, 4>(lanes)), state);
                advance(lanes, to, 0);
            }

            /// Of digests of `DIGEST` octets: 48 or 64.
            ///
            /// # Safety
            /// The CPU has the features named in the attribute.
            #[target_feature(enable = $features)]
            pub unsafe fn even<const DIGEST: u64>(messages: &[Message<'_, 8, 4>]) -> [[Piece; WIDEST]; 4] {
                let Some(messages) = messages.first_chunk::<LANES>() else {
                    return [[[0; 16]; WIDEST]; 4];
                };
                let mut state = words(&of_each(messages, |message| message.inner));
                let body = Span::over(of_each(messages, |message| message.body));
                let tail = Span::over(of_each(messages, |message| message.tail));
                for at in 0..body.count() + tail.count() {
                    let (span, at) = match at.checked_sub(body.count()) {
                        None => (&body, at),
                        Some(at) => (&tail, at),
                    };
                    state = compress!(
                        round64,
                        $v,
                        [0 16 32 48 64],
                        state,
                        message(&span.block(at))
                    );
                }
                let outer = words(&of_each(messages, |message| message.outer));
                spread(digest::<DIGEST>(outer, state))
            }

            /// The outer hash, begun with `outer`, of the digest that `inner` is.
            #[inline]
            #[target_feature(enable = $features)]
            fn digest<const DIGEST: u64>(outer: [V; 8], inner: [V; 8]) -> [[Piece; LANES]; 4] {
                let [w0, w1, w2, w3, w4, w5, w6, w7] = inner;
                let (one, zero) = ($v::splat(1 << 63), $v::splat(0));
                let length = $v::splat(8 * (128 + DIGEST));
                let [w6, w7, w8] = if DIGEST == 48 { [one, zero, zero] } else { [w6, w7, one] };
                let w = [
                    w0, w1, w2, w3, w4, w5, w6, w7, w8, zero, zero, zero, zero, zero, zero, length,
                ];
                let [a, b, c, d, e, f, g, h] = compress!(round64, $v, [0 16 32 48 64], outer, w);
                [
                    $v::pieces_be([a, b]),
                    $v::pieces_be([c, d]),
                    $v::pieces_be([e, f]),
                    $v::pieces_be([g, h]),
                ]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn words(from: &[&[Piece; 4]; LANES]) -> [V; 8] {
                let [a, b] = $v::words::<0, 4>(from);
                let [c, d] = $v::words::<1, 4>(from);
                let [e, f] = $v::words::<2, 4>(from);
                let [g, h] = $v::words::<3, 4>(from);
                [a, b, c, d, e, f, g, h]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn message(block: &[&Block<8>; LANES]) -> [V; 16] {
                let [w0, w1] = $v::words_be::<0, 8>(block);
                let [w2, w3] = $v::words_be::<1, 8>(block);
                let [w4, w5] = $v::words_be::<2, 8>(block);
                let [w6, w7] = $v::words_be::<3, 8>(block);
                let [w8, w9] = $v::words_be::<4, 8>(block);
                let [w10, w11] = $v::words_be::<5, 8>(block);
                let [w12, w13] = $v::words_be::<6, 8>(block);
                let [w14, w15] = $v::words_be::<7, 8>(block);
                [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
            }
        }
    };
}

sha256!(sha256_x16, "avx2,avx512f,avx512bw,avx512vl", w32x16);
sha256!(sha256_x8l, "avx2,avx512f,avx512bw,avx512vl", w32x8l);
sha256!(sha256_x8, "avx2", w32x8);
sha512!(sha512_x8, "avx2,avx512f,avx512bw,avx512vl", w64x8);
sha512!(sha512_x4l, "avx2,avx512f,avx512bw,avx512vl", w64x4l);
sha512!(sha512_x4, "avx2", w64x4);
