//! SHA-1 (FIPS 180-4 §6.1.2) in lanes: 80 rounds over one word of every lane.
#![allow(unsafe_code, reason = "the way into code that this CPU may lack the features for")]
use super::lane::{Lane, Message, Span, WIDEST, advance, of_each, outers, spread, states};
use super::vector::{Piece, w32x8, w32x8l, w32x16};

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

/// The state behind a block of the words `$w`. Not a function: the compiler would not always put it in place,
/// and all words would go through memory.
macro_rules! compress {
    ($v:ident, $state:expr, $w:expr) => {{
        let (before, mut w) = ($state, $w);
        let [mut a, mut b, mut c, mut d, mut e] = before;
        twenty!($v, w, 0, choose, 0x5a82_7999, a b c d e);
        twenty!($v, w, 20, xor3, 0x6ed9_eba1, a b c d e);
        twenty!($v, w, 40, majority, 0x8f1b_bcdc, a b c d e);
        twenty!($v, w, 60, xor3, 0xca62_c1d6, a b c d e);
        let [a0, b0, c0, d0, e0] = before;
        [$v::add(a, a0), $v::add(b, b0), $v::add(c, c0), $v::add(d, d0), $v::add(e, e0)]
    }};
}

macro_rules! sha1 {
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
                        state = compress!($v, state, $v::message_be(&span.block(at)));
                    }
                    done += span.count();
                }
                let ([a, b, c, d, e], zero) = (state, $v::splat(0));
                advance(
                    lanes,
                    [$v::pieces([a, b, c, d]), $v::pieces([e, zero, zero, zero])],
                    steps,
                );
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
                    state = compress!($v, state, $v::message_be(&span.block(at)));
                }
                let outer = words(&of_each(messages, |message| message.outer));
                spread(digest(outer, state))
            }

            /// The outer hash, begun with `outer`, of the digest that `inner` is.
            #[inline]
            #[target_feature(enable = $features)]
            fn digest(outer: [V; 5], inner: [V; 5]) -> [[Piece; LANES]; 2] {
                let [w0, w1, w2, w3, w4] = inner;
                let (one, zero) = ($v::splat(1 << 31), $v::splat(0));
                let length = $v::splat(8 * (64 + 20));
                let w = [
                    w0, w1, w2, w3, w4, one, zero, zero, //
                    zero, zero, zero, zero, zero, zero, zero, length,
                ];
                let [a, b, c, d, e] = compress!($v, outer, w);
                [$v::pieces_be([a, b, c, d]), $v::pieces_be([e, zero, zero, zero])]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn words(from: &[&[Piece; 2]; LANES]) -> [V; 5] {
                let [a, b, c, d] = $v::words::<0, 2>(from);
                let [e, ..] = $v::words::<1, 2>(from);
                [a, b, c, d, e]
            }
        }
    };
}

sha1!(x16, "avx2,avx512f,avx512bw,avx512vl", w32x16);
sha1!(x8l, "avx2,avx512f,avx512bw,avx512vl", w32x8l);
sha1!(x8, "avx2", w32x8);
