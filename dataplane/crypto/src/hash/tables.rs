//! Which kernel hashes how many messages: one ladder for each hash and tier.
#![allow(unsafe_code, reason = "a tier's table is used only where the CPU has the tier's features")]
use super::hmac::{Hash, Ladder, Pad, Rung, hmac};
use super::vector::Piece;
use super::{Kernels, md5, sha1, sha2, shani};
use crate::mac::{MacJob, MacKey};

/// AVX2, and the SHA instructions where the CPU has them. Only for a CPU with AVX2.
pub(crate) static AVX2: Kernels = Kernels {
    hmac_md5: |jobs| run::<Md5, 4, 2>(&MD5_AVX2, jobs),
    hmac_sha1: |jobs| run::<Sha1, 4, 2>(either(&SHA1_AVX2_SHANI, &SHA1_AVX2), jobs),
    hmac_sha256: |jobs| run::<Sha256, 4, 2>(either(&SHA256_AVX2_SHANI, &SHA256_AVX2), jobs),
    hmac_sha384: |jobs| run::<Sha384, 8, 4>(&SHA512_AVX2, jobs),
    hmac_sha512: |jobs| run::<Sha512, 8, 4>(&SHA512_AVX2, jobs),
};

/// AVX-512 F, BW and VL, and the SHA instructions where the CPU has them. Only for a CPU with those three.
pub(crate) static AVX512: Kernels = Kernels {
    hmac_md5: |jobs| run::<Md5, 4, 2>(&MD5_AVX512, jobs),
    hmac_sha1: |jobs| run::<Sha1, 4, 2>(either(&SHA1_AVX512_SHANI, &SHA1_AVX512), jobs),
    hmac_sha256: |jobs| run::<Sha256, 4, 2>(either(&SHA256_AVX512_SHANI, &SHA256_AVX512), jobs),
    hmac_sha384: |jobs| run::<Sha384, 8, 4>(&SHA512_AVX512, jobs),
    hmac_sha512: |jobs| run::<Sha512, 8, 4>(&SHA512_AVX512, jobs),
};

/// The standard library keeps the answer: this costs a load and a branch.
fn either<T>(with_sha: T, without: T) -> T {
    let sha = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if sha { with_sha } else { without }
}

pub(super) fn run<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    // SAFETY: a backend that this CPU cannot run is never listed, so the tables above are not reached on it;
    // and `either` asks for the rest.
    unsafe { hmac::<H, P, S>(ladder, jobs) }
}

// The figures below are TSC cycles per octet of long messages on a Zen 4 (a core cycle is 0.70 of them),
// every lane of the kernel taken. A rung's `most` is where the next one up hashes a block of that many
// messages in fewer cycles. On CPUs not measured the order is a good guess: where vectors are 512 bits wide
// in one piece the lanes gain more than the SHA instructions.

// SHA instructions 1.38 alone, 0.85 with 2 messages, 0.55 with 4; 8 lanes 0.41, 16 lanes 0.39. A block of all
// messages takes 88, 108, 142, 208 and 403 cycles, so 9 to 12 are best split: 8 lanes, the rest by SHA-NI.
// The bound is the vector unit: 10.2 operations a round and the transposition, 373 cycles for 16 lanes.
static SHA1_AVX512_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha1::<1> },
    Rung { most: 2, lanes: 2, run: shani::sha1::<2> },
    Rung { most: 4, lanes: 4, run: shani::sha1::<4> },
    Rung { most: 12, lanes: 8, run: sha1::x8l },
    Rung { most: 16, lanes: 16, run: sha1::x16 },
]);
static SHA1_AVX512: Ladder<4, 2> = Ladder(&[
    Rung { most: 8, lanes: 8, run: sha1::x8l },
    Rung { most: 16, lanes: 16, run: sha1::x16 },
]);
// AVX2 has no rotation: 8 lanes take 0.64, more than four messages by SHA-NI.
static SHA1_AVX2_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha1::<1> },
    Rung { most: 2, lanes: 2, run: shani::sha1::<2> },
    Rung { most: 4, lanes: 4, run: shani::sha1::<4> },
]);
static SHA1_AVX2: Ladder<4, 2> = Ladder(&[Rung { most: 8, lanes: 8, run: sha1::x8 }]);

// SHA instructions 1.47 alone, 0.80 with 2 messages, 0.75 with 3 (the SHA unit is then full); 8 lanes 0.77,
// 16 lanes 0.74. A block of all messages takes 94, 105, 144, 392 and 758 cycles. Three messages do not divide
// 4, hence 2 + 2. The bounds are 45 cycles a block for the SHA unit (64 core cycles of SHA256RNDS2 and the
// message's expansion) and 38 for the lanes.
static SHA256_AVX512_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha256::<1> },
    Rung { most: 2, lanes: 2, run: shani::sha256::<2> },
    Rung { most: 3, lanes: 3, run: shani::sha256::<3> },
    Rung { most: 4, lanes: 2, run: shani::sha256::<2> },
    Rung { most: 7, lanes: 3, run: shani::sha256::<3> },
    Rung { most: 14, lanes: 8, run: sha2::sha256_x8l },
    Rung { most: 16, lanes: 16, run: sha2::sha256_x16 },
]);
static SHA256_AVX512: Ladder<4, 2> = Ladder(&[
    Rung { most: 8, lanes: 8, run: sha2::sha256_x8l },
    Rung { most: 16, lanes: 16, run: sha2::sha256_x16 },
]);
// AVX2's 8 lanes take 1.42: never where there is SHA-NI.
static SHA256_AVX2_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha256::<1> },
    Rung { most: 2, lanes: 2, run: shani::sha256::<2> },
    Rung { most: 3, lanes: 3, run: shani::sha256::<3> },
    Rung { most: 4, lanes: 2, run: shani::sha256::<2> },
    Rung { most: 5, lanes: 3, run: shani::sha256::<3> },
]);
static SHA256_AVX2: Ladder<4, 2> = Ladder(&[Rung { most: 8, lanes: 8, run: sha2::sha256_x8 }]);

// 4 lanes 0.94, 8 lanes 0.90; in AVX2 4 lanes 1.76.
static SHA512_AVX512: Ladder<8, 4> = Ladder(&[
    Rung { most: 4, lanes: 4, run: sha2::sha512_x4l },
    Rung { most: 8, lanes: 8, run: sha2::sha512_x8 },
]);
static SHA512_AVX2: Ladder<8, 4> = Ladder(&[Rung { most: 4, lanes: 4, run: sha2::sha512_x4 }]);

// 8 lanes 0.49, 16 lanes 0.31 (each step waits for the last, so the wide vectors cost little more); in AVX2
// 8 lanes 0.57.
static MD5_AVX512: Ladder<4, 2> = Ladder(&[
    Rung { most: 8, lanes: 8, run: md5::x8l },
    Rung { most: 16, lanes: 16, run: md5::x16 },
]);
static MD5_AVX2: Ladder<4, 2> = Ladder(&[Rung { most: 8, lanes: 8, run: md5::x8 }]);

pub(super) struct Md5;
pub(super) struct Sha1;
pub(super) struct Sha256;
pub(super) struct Sha384;
pub(super) struct Sha512;

impl Hash<4, 2> for Md5 {
    const DIGEST: usize = 16;
    const LENGTH: usize = 8;
    #[inline(always)]
    fn length(bits: u64) -> [u8; 8] {
        bits.to_le_bytes()
    }
    fn swap(piece: Piece) -> Piece {
        piece
    }
    #[inline(always)]
    fn state(key: &MacKey, pad: Pad) -> Option<[Piece; 2]> {
        state32(key, pad)
    }
}

macro_rules! sha {
    ($name:ident, $p:literal, $s:literal, $digest:literal, $length:literal, $swap:ident, $state:ident) => {
        impl Hash<$p, $s> for $name {
            const DIGEST: usize = $digest;
            const LENGTH: usize = $length;
            #[inline(always)]
            fn length(bits: u64) -> [u8; 8] {
                bits.to_be_bytes()
            }
            #[inline(always)]
            fn swap(piece: Piece) -> Piece {
                $swap(piece)
            }
            #[inline(always)]
            fn state(key: &MacKey, pad: Pad) -> Option<[Piece; $s]> {
                $state(key, pad)
            }
        }
    };
}

sha!(Sha1, 4, 2, 20, 8, swap32, state32);
sha!(Sha256, 4, 2, 32, 8, swap32, state32);
sha!(Sha384, 8, 4, 48, 16, swap64, state64);
sha!(Sha512, 8, 4, 64, 16, swap64, state64);

#[inline(always)]
fn swap32(mut piece: Piece) -> Piece {
    for word in piece.as_chunks_mut().0 {
        *word = u32::from_ne_bytes(*word).swap_bytes().to_ne_bytes();
    }
    piece
}

#[inline(always)]
fn swap64(mut piece: Piece) -> Piece {
    for word in piece.as_chunks_mut().0 {
        *word = u64::from_ne_bytes(*word).swap_bytes().to_ne_bytes();
    }
    piece
}

#[inline(always)]
fn state32(key: &MacKey, pad: Pad) -> Option<[Piece; 2]> {
    let MacKey::Hmac32 { inner, outer } = key else { return None };
    let words = match pad {
        Pad::Inner => inner,
        Pad::Outer => outer,
    };
    let mut state = [[0; 16]; 2];
    let octets = state.as_flattened_mut().as_chunks_mut().0;
    octets.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_ne_bytes());
    Some(state)
}

#[inline(always)]
fn state64(key: &MacKey, pad: Pad) -> Option<[Piece; 4]> {
    let MacKey::Hmac64 { inner, outer } = key else { return None };
    let words = match pad {
        Pad::Inner => inner,
        Pad::Outer => outer,
    };
    let mut state = [[0; 16]; 4];
    let octets = state.as_flattened_mut().as_chunks_mut().0;
    octets.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_ne_bytes());
    Some(state)
}
