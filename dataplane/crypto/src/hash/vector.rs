//! The vectors that the hashes run in: one word of every lane side by side.
//!
//! Each module below has the same names, so that a hash's rounds are written once and stamped for every
//! width: `add`, `xor`, `xor3`, `choose`, `majority`, `rol`, `ror`, `shr`, `splat`, and the way in and out,
//! [`Piece`]s that are transposed from one lane after another to one word of all lanes.
#![allow(unsafe_code, reason = "vectors are loaded and stored through pointers")]
#![allow(dead_code, reason = "every width has every operation; no hash uses all of them")]
use core::arch::x86_64::*;

/// What is loaded and stored at once: 128 bits, so that the loads themselves do half the transposition.
pub(super) type Piece = [u8; 16];

/// One piece of a block or state.
#[inline(always)]
fn at<const AT: usize, const P: usize>(pieces: &[Piece; P]) -> &Piece {
    const { assert!(AT < P) };
    pieces.get(AT).unwrap_or(const { &[0; 16] })
}

/// 512 bits: four pieces.
mod wide {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn load([a, b, c, d]: [&Piece; 4]) -> __m512i {
        let low = _mm512_castsi128_si512(piece(a));
        let low = _mm512_inserti32x4::<1>(low, piece(b));
        let low = _mm512_inserti32x4::<2>(low, piece(c));
        _mm512_inserti32x4::<3>(low, piece(d))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn store(vector: __m512i) -> [Piece; 4] {
        [
            octets(_mm512_castsi512_si128(vector)),
            octets(_mm512_extracti32x4_epi32::<1>(vector)),
            octets(_mm512_extracti32x4_epi32::<2>(vector)),
            octets(_mm512_extracti32x4_epi32::<3>(vector)),
        ]
    }

    /// `order` in each 128 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn shuffle(vector: __m512i, order: &Piece) -> __m512i {
        _mm512_shuffle_epi8(vector, _mm512_broadcast_i32x4(piece(order)))
    }
}

/// 256 bits: two pieces.
mod half {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn load([a, b]: [&Piece; 2]) -> __m256i {
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(piece(a)), piece(b))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn store(vector: __m256i) -> [Piece; 2] {
        [octets(_mm256_castsi256_si128(vector)), octets(_mm256_extracti128_si256::<1>(vector))]
    }

    /// `order` in each 128 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn shuffle(vector: __m256i, order: &Piece) -> __m256i {
        _mm256_shuffle_epi8(vector, _mm256_broadcastsi128_si256(piece(order)))
    }
}

/// The first 64 octets, zeros behind them if there are fewer; 0x80 where `mark` has a bit, and `length` added to the
/// last 8, which are zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn padded(octets: &[u8], mark: u64, length: u64) -> [Piece; 4] {
    let mask = u64::MAX.unbounded_shr(64_u32.saturating_sub(octets.len() as u32));
    // SAFETY: octets outside the mask are not touched, and those inside are in the slice.
    let text = unsafe { _mm512_maskz_loadu_epi8(mask, octets.as_ptr().cast()) };
    let marked = _mm512_mask_mov_epi8(text, mark, _mm512_set1_epi8(0x80_u8.cast_signed()));
    let ended = _mm512_or_si512(marked, _mm512_maskz_set1_epi64(0x80, length.cast_signed()));
    let mut padded = [[0; 16]; 4];
    // SAFETY: 64 octets that may be written, at any alignment.
    unsafe { _mm512_storeu_si512(padded.as_mut_ptr().cast(), ended) };
    padded
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn piece(octets: &Piece) -> __m128i {
    // SAFETY: 16 octets that may be read, at any alignment.
    unsafe { _mm_loadu_si128(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn octets(vector: __m128i) -> Piece {
    let mut octets = [0; 16];
    // SAFETY: 16 octets that may be written, at any alignment.
    unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), vector) };
    octets
}

/// Big-endian words of four octets.
pub(super) const SWAP32: Piece = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
/// Big-endian words of eight octets.
const SWAP64: Piece = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];

/// Three-operand logic in one instruction, and rotation: AVX-512.
macro_rules! ternary_logic {
    ($features:literal, $ternary:ident, $xor:ident, $rol:ident, $ror:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        pub fn xor(x: V, y: V) -> V {
            $xor(x, y)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn xor3(x: V, y: V, z: V) -> V {
            $ternary::<0x96>(x, y, z)
        }
        /// `y` where `x` has a one, else `z`.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn choose(x: V, y: V, z: V) -> V {
            $ternary::<0xca>(x, y, z)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn majority(x: V, y: V, z: V) -> V {
            $ternary::<0xe8>(x, y, z)
        }
        /// y ⊕ (x ∨ ¬z): MD5's fourth function.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn md5_i(x: V, y: V, z: V) -> V {
            $ternary::<0x39>(x, y, z)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn rol<const N: i32>(x: V) -> V {
            $rol::<N>(x)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn ror<const N: i32>(x: V) -> V {
            $ror::<N>(x)
        }
    };
}

/// The same from two-operand logic and two shifts: AVX2. The counts are constants, so the shifts by a
/// vector become shifts by an immediate.
macro_rules! binary_logic {
    ($bits:literal, $splat:ident, $left:ident, $right:ident) => {
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn xor(x: V, y: V) -> V {
            _mm256_xor_si256(x, y)
        }
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn xor3(x: V, y: V, z: V) -> V {
            xor(xor(x, y), z)
        }
        /// `y` where `x` has a one, else `z`.
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn choose(x: V, y: V, z: V) -> V {
            xor(z, _mm256_and_si256(x, xor(y, z)))
        }
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn majority(x: V, y: V, z: V) -> V {
            _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
        }
        /// y ⊕ (x ∨ ¬z): MD5's fourth function.
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn md5_i(x: V, y: V, z: V) -> V {
            xor(y, _mm256_or_si256(x, xor(z, _mm256_set1_epi8(-1))))
        }
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn rol<const N: i32>(x: V) -> V {
            _mm256_or_si256($left(x, $splat(N.into())), $right(x, $splat(($bits - N).into())))
        }
        #[inline]
        #[target_feature(enable = "avx2")]
        pub fn ror<const N: i32>(x: V) -> V {
            _mm256_or_si256($right(x, $splat(N.into())), $left(x, $splat(($bits - N).into())))
        }
    };
}

/// Sums, shifts and constants, under one name at every width.
macro_rules! arithmetic {
    ($features:literal, $class:ident, $word:ty as $signed:ty, $count:ty, $add:ident, $shr:ident, $splat:ident) => {
        /// `x`, made here and now: the compiler otherwise takes sums apart and puts them together in an
        /// order of its own, in which the last round's result goes in first and all else waits for it.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn pin(x: V) -> V {
            #[cfg(not(miri))]
            {
                let mut x = x;
                // SAFETY: no instruction at all.
                unsafe {
                    core::arch::asm!("/* {0} */", inout($class) x, options(pure, nomem, nostack, preserves_flags))
                };
                x
            }
            #[cfg(miri)]
            x
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn add(x: V, y: V) -> V {
            $add(x, y)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn shr<const N: $count>(x: V) -> V {
            $shr::<N>(x)
        }
        #[inline]
        #[target_feature(enable = $features)]
        pub fn splat(word: $word) -> V {
            $splat(word.cast_signed() as $signed)
        }
    };
}

/// Four words of every lane: piece of each lane in, one vector per word out; and back.
macro_rules! transpose32 {
    ($features:literal, $half:ident, [$($lane:literal)*], $low32:ident $high32:ident $low64:ident $high64:ident) => {
        /// The lanes' pieces number `AT`, as words in this CPU's order.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn words<const AT: usize, const P: usize>(lanes: &[&[Piece; P]; LANES]) -> [V; 4] {
            transpose([
                $half::load([$(at::<AT, P>(lanes[$lane])),*]),
                $half::load([$(at::<AT, P>(lanes[$lane + 1])),*]),
                $half::load([$(at::<AT, P>(lanes[$lane + 2])),*]),
                $half::load([$(at::<AT, P>(lanes[$lane + 3])),*]),
            ])
        }
        /// The lanes' pieces number `AT`, as big-endian words.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn words_be<const AT: usize, const P: usize>(lanes: &[&[Piece; P]; LANES]) -> [V; 4] {
            transpose([
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane])),*]), &SWAP32),
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane + 1])),*]), &SWAP32),
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane + 2])),*]), &SWAP32),
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane + 3])),*]), &SWAP32),
            ])
        }
        /// Four words of every lane back into the lanes' pieces.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn pieces(words: [V; 4]) -> [Piece; LANES] {
            let mut lanes = [[0; 16]; LANES];
            for (at, row) in transpose(words).into_iter().enumerate() {
                for (lane, piece) in lanes.iter_mut().skip(at).step_by(4).zip($half::store(row)) {
                    *lane = piece;
                }
            }
            lanes
        }
        /// The same, as big-endian words.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn pieces_be([a, b, c, d]: [V; 4]) -> [Piece; LANES] {
            pieces([swap(a), swap(b), swap(c), swap(d)])
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn swap(words: V) -> V {
            $half::shuffle(words, &SWAP32)
        }
        /// 4×4 words in each 128 bits; its own inverse.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose([a, b, c, d]: [V; 4]) -> [V; 4] {
            let (ab, cd) = ($low32(a, b), $low32(c, d));
            let (ab_high, cd_high) = ($high32(a, b), $high32(c, d));
            [$low64(ab, cd), $high64(ab, cd), $low64(ab_high, cd_high), $high64(ab_high, cd_high)]
        }
    };
}

/// Two words of every lane, as [`transpose32`] does four.
macro_rules! transpose64 {
    ($features:literal, $half:ident, [$($lane:literal)*], $low64:ident $high64:ident) => {
        /// The lanes' pieces number `AT`, as words in this CPU's order.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn words<const AT: usize, const P: usize>(lanes: &[&[Piece; P]; LANES]) -> [V; 2] {
            transpose([$half::load([$(at::<AT, P>(lanes[$lane])),*]), $half::load([$(at::<AT, P>(lanes[$lane + 1])),*])])
        }
        /// The lanes' pieces number `AT`, as big-endian words.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn words_be<const AT: usize, const P: usize>(lanes: &[&[Piece; P]; LANES]) -> [V; 2] {
            transpose([
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane])),*]), &SWAP64),
                $half::shuffle($half::load([$(at::<AT, P>(lanes[$lane + 1])),*]), &SWAP64),
            ])
        }
        /// Two words of every lane back into the lanes' pieces.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn pieces(words: [V; 2]) -> [Piece; LANES] {
            let mut lanes = [[0; 16]; LANES];
            for (at, row) in transpose(words).into_iter().enumerate() {
                for (lane, piece) in lanes.iter_mut().skip(at).step_by(2).zip($half::store(row)) {
                    *lane = piece;
                }
            }
            lanes
        }
        /// The same, as big-endian words.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn pieces_be([a, b]: [V; 2]) -> [Piece; LANES] {
            pieces([swap(a), swap(b)])
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn swap(words: V) -> V {
            $half::shuffle(words, &SWAP64)
        }
        /// 2×2 words in each 128 bits; its own inverse.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose([a, b]: [V; 2]) -> [V; 2] {
            [$low64(a, b), $high64(a, b)]
        }
    };
}

/// A whole block of every lane, big-endian, one vector per word: piece by piece.
macro_rules! message32 {
    ($features:literal) => {
        /// The blocks, as big-endian words.
        #[inline]
        #[target_feature(enable = $features)]
        pub fn message_be(blocks: &[&[Piece; 4]; LANES]) -> [V; 16] {
            let [a, b, c, d] = words_be::<0, 4>(blocks);
            let [e, f, g, h] = words_be::<1, 4>(blocks);
            let [i, j, k, l] = words_be::<2, 4>(blocks);
            let [m, n, o, p] = words_be::<3, 4>(blocks);
            [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
        }
    };
}

/// 16 words of 32 bits in AVX-512.
pub(super) mod w32x16 {
    use super::*;
    pub type V = __m512i;
    pub const LANES: usize = 16;
    arithmetic!(
        "avx512f",
        zmm_reg,
        u32 as i32,
        u32,
        _mm512_add_epi32,
        _mm512_srli_epi32,
        _mm512_set1_epi32
    );
    ternary_logic!(
        "avx512f",
        _mm512_ternarylogic_epi32,
        _mm512_xor_si512,
        _mm512_rol_epi32,
        _mm512_ror_epi32
    );
    transpose32!("avx512f,avx512bw", wide, [0 4 8 12],
        _mm512_unpacklo_epi32 _mm512_unpackhi_epi32 _mm512_unpacklo_epi64 _mm512_unpackhi_epi64);

    /// The blocks, as big-endian words. A block is one load here: that is fewer than piece by piece.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn message_be(
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: &[&[Piece; 4]; LANES],
    ) -> [V; 16] {
        let [a, b, c, d] = four([a, b, c, d]);
        let [e, f, g, h] = four([e, f, g, h]);
        let [i, j, k, l] = four([i, j, k, l]);
        let [m, n, o, p] = four([m, n, o, p]);
        // in quarter q of the first four: word 4q of blocks 0 to 3, 4 to 7 and so on
        let [w0, w4, w8, w12] = quarters([a, e, i, m]);
        let [w1, w5, w9, w13] = quarters([b, f, j, n]);
        let [w2, w6, w10, w14] = quarters([c, g, k, o]);
        let [w3, w7, w11, w15] = quarters([d, h, l, p]);
        [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
    }

    /// Four blocks: words 0, 4, 8 and 12 of all of them, words 1, 5, 9 and 13, and so on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn four([a, b, c, d]: [&[Piece; 4]; 4]) -> [V; 4] {
        transpose([swap(whole(a)), swap(whole(b)), swap(whole(c)), swap(whole(d))])
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn whole(block: &[Piece; 4]) -> V {
        // SAFETY: 64 octets that may be read, at any alignment.
        unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
    }

    /// 4×4 quarters; its own inverse.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn quarters([a, b, c, d]: [V; 4]) -> [V; 4] {
        let (ab_even, ab_odd) =
            (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        [
            _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd),
            _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd),
        ]
    }
}

/// 8 words of 32 bits in half of AVX-512's width.
pub(super) mod w32x8l {
    use super::*;
    pub type V = __m256i;
    pub const LANES: usize = 8;
    arithmetic!(
        "avx2",
        ymm_reg,
        u32 as i32,
        i32,
        _mm256_add_epi32,
        _mm256_srli_epi32,
        _mm256_set1_epi32
    );
    ternary_logic!(
        "avx2,avx512f,avx512vl",
        _mm256_ternarylogic_epi32,
        _mm256_xor_si256,
        _mm256_rol_epi32,
        _mm256_ror_epi32
    );
    transpose32!("avx2", half, [0 4],
        _mm256_unpacklo_epi32 _mm256_unpackhi_epi32 _mm256_unpacklo_epi64 _mm256_unpackhi_epi64);
    message32!("avx2");
}

/// 8 words of 32 bits in AVX2.
pub(super) mod w32x8 {
    use super::*;
    pub type V = __m256i;
    pub const LANES: usize = 8;
    arithmetic!(
        "avx2",
        ymm_reg,
        u32 as i32,
        i32,
        _mm256_add_epi32,
        _mm256_srli_epi32,
        _mm256_set1_epi32
    );
    binary_logic!(32, _mm256_set1_epi32, _mm256_sllv_epi32, _mm256_srlv_epi32);
    transpose32!("avx2", half, [0 4],
        _mm256_unpacklo_epi32 _mm256_unpackhi_epi32 _mm256_unpacklo_epi64 _mm256_unpackhi_epi64);
    message32!("avx2");
}

/// 8 words of 64 bits in AVX-512.
pub(super) mod w64x8 {
    use super::*;
    pub type V = __m512i;
    pub const LANES: usize = 8;
    arithmetic!(
        "avx512f",
        zmm_reg,
        u64 as i64,
        u32,
        _mm512_add_epi64,
        _mm512_srli_epi64,
        _mm512_set1_epi64
    );
    ternary_logic!(
        "avx512f",
        _mm512_ternarylogic_epi64,
        _mm512_xor_si512,
        _mm512_rol_epi64,
        _mm512_ror_epi64
    );
    transpose64!("avx512f,avx512bw", wide, [0 2 4 6], _mm512_unpacklo_epi64 _mm512_unpackhi_epi64);
}

/// 4 words of 64 bits in half of AVX-512's width.
pub(super) mod w64x4l {
    use super::*;
    pub type V = __m256i;
    pub const LANES: usize = 4;
    arithmetic!(
        "avx2",
        ymm_reg,
        u64 as i64,
        i32,
        _mm256_add_epi64,
        _mm256_srli_epi64,
        _mm256_set1_epi64x
    );
    ternary_logic!(
        "avx2,avx512f,avx512vl",
        _mm256_ternarylogic_epi64,
        _mm256_xor_si256,
        _mm256_rol_epi64,
        _mm256_ror_epi64
    );
    transpose64!("avx2", half, [0 2], _mm256_unpacklo_epi64 _mm256_unpackhi_epi64);
}

/// 4 words of 64 bits in AVX2.
pub(super) mod w64x4 {
    use super::*;
    pub type V = __m256i;
    pub const LANES: usize = 4;
    arithmetic!(
        "avx2",
        ymm_reg,
        u64 as i64,
        i32,
        _mm256_add_epi64,
        _mm256_srli_epi64,
        _mm256_set1_epi64x
    );
    binary_logic!(64, _mm256_set1_epi64x, _mm256_sllv_epi64, _mm256_srlv_epi64);
    transpose64!("avx2", half, [0 2], _mm256_unpacklo_epi64 _mm256_unpackhi_epi64);
}
