//! SHA-1 (FIPS 180-4 §6.1.2) in lanes: 80 rounds over one word of every lane.
#![allow(unsafe_code, reason = "the way into code that this CPU may lack the features for")]
use super::lane::{Lane, advance, blocks, states};
use super::vector::{w32x8, w32x8l, w32x16};

/// The word of round `$t`: one of the block's for the first 16, then expanded in place.
macro_rules! word {
    ($v:ident, $w:ident, $t:expr) => {{
        if $t >= 16 {
            let mixed = $v::xor3($w[($t + 13) & 15], $w[($t + 8) & 15], $w[($t + 2) & 15]);
            $w[$t & 15] = $v::rol::<1>($v::xor(mixed, $w[$t & 15]));
        }
        $w[$t & 15]
    }};
}

/// One round. The sum that does not wait for the last round's result is made first.
macro_rules! round {
    ($v:ident, $w:ident, $t:expr, $f:ident, $k:ident, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        let early = $v::add($v::add($e, $k), word!($v, $w, $t));
        let late = $v::pin($v::add($v::pin(early), $v::$f($b, $c, $d)));
        $e = $v::add($v::rol::<5>($a), late);
        $b = $v::rol::<30>($b);
    };
}

/// 20 rounds of one function and constant; the variables change places instead of being moved.
macro_rules! twenty {
    ($v:ident, $w:ident, $t:expr, $f:ident, $k:literal, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        let k = $v::splat($k);
        twenty!(@five $v, $w, $t, $f, k, $a $b $c $d $e);
        twenty!(@five $v, $w, $t + 5, $f, k, $a $b $c $d $e);
        twenty!(@five $v, $w, $t + 10, $f, k, $a $b $c $d $e);
        twenty!(@five $v, $w, $t + 15, $f, k, $a $b $c $d $e);
    };
    (@five $v:ident, $w:ident, $t:expr, $f:ident, $k:ident, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        round!($v, $w, $t, $f, $k, $a $b $c $d $e);
        round!($v, $w, $t + 1, $f, $k, $e $a $b $c $d);
        round!($v, $w, $t + 2, $f, $k, $d $e $a $b $c);
        round!($v, $w, $t + 3, $f, $k, $c $d $e $a $b);
        round!($v, $w, $t + 4, $f, $k, $b $c $d $e $a);
    };
}

macro_rules! sha1 {
    ($name:ident, $features:literal, $v:ident) => {
        /// # Safety
        /// The CPU has the features named in the attribute.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(lanes: &mut [&mut Lane<'_, 4, 2>], steps: usize) {
            let from = &states::<{ $v::LANES }, 4, 2>(lanes);
            let [mut a, mut b, mut c, mut d] = $v::words::<0, 2>(from);
            let [mut e, unused @ ..] = $v::words::<1, 2>(from);
            for step in 0..steps {
                let block = &blocks::<{ $v::LANES }, 4, 2>(lanes, step);
                let [w0, w1, w2, w3] = $v::words_be::<0, 4>(block);
                let [w4, w5, w6, w7] = $v::words_be::<1, 4>(block);
                let [w8, w9, w10, w11] = $v::words_be::<2, 4>(block);
                let [w12, w13, w14, w15] = $v::words_be::<3, 4>(block);
                let mut w = [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15];
                let (a0, b0, c0, d0, e0) = (a, b, c, d, e);
                twenty!($v, w, 0, choose, 0x5a82_7999, a b c d e);
                twenty!($v, w, 20, xor3, 0x6ed9_eba1, a b c d e);
                twenty!($v, w, 40, majority, 0x8f1b_bcdc, a b c d e);
                twenty!($v, w, 60, xor3, 0xca62_c1d6, a b c d e);
                a = $v::add(a, a0);
                b = $v::add(b, b0);
                c = $v::add(c, c0);
                d = $v::add(d, d0);
                e = $v::add(e, e0);
            }
            let [f, g, h] = unused;
            let to = [$v::pieces([a, b, c, d]), $v::pieces([e, f, g, h])];
            advance(lanes, to, steps);
        }
    };
}

sha1!(x16, "avx2,avx512f,avx512bw,avx512vl", w32x16);
sha1!(x8l, "avx2,avx512f,avx512bw,avx512vl", w32x8l);
sha1!(x8, "avx2", w32x8);
