//! Which kernel hashes how many messages: one ladder for each hash and tier.
#![allow(unsafe_code, reason = "a tier's table is used only where the CPU has the tier's features")]
use super::hmac::{Hash, Ladder, Rung, hmac_avx2, hmac_avx512};
use super::vector::Piece;
use super::{Kernels, md5, sha1, sha2, shani};
use crate::mac::{MacJob, MacKey};

/// AVX2, and the SHA instructions where the CPU has them. Only for a CPU with AVX2.
pub(crate) static AVX2: Kernels = Kernels {
    hmac_md5: |jobs| avx2::<Md5, 4, 2>(&MD5_AVX2, jobs),
    hmac_sha1: |jobs| avx2::<Sha1, 4, 2>(either(&SHA1_AVX2_SHANI, &SHA1_AVX2), jobs),
    hmac_sha256: |jobs| avx2::<Sha256, 4, 2>(either(&SHA256_AVX2_SHANI, &SHA256_AVX2), jobs),
    hmac_sha384: |jobs| avx2::<Sha384, 8, 4>(&SHA384_AVX2, jobs),
    hmac_sha512: |jobs| avx2::<Sha512, 8, 4>(&SHA512_AVX2, jobs),
};

/// AVX-512 F, BW and VL, and the SHA instructions where the CPU has them. Only for a CPU with those three.
pub(crate) static AVX512: Kernels = Kernels {
    hmac_md5: |jobs| avx512::<Md5, 4, 2>(&MD5_AVX512, jobs),
    hmac_sha1: |jobs| avx512::<Sha1, 4, 2>(either(&SHA1_AVX512_SHANI, &SHA1_AVX512), jobs),
    hmac_sha256: |jobs| avx512::<Sha256, 4, 2>(either(&SHA256_AVX512_SHANI, &SHA256_AVX512), jobs),
    hmac_sha384: |jobs| avx512::<Sha384, 8, 4>(&SHA384_AVX512, jobs),
    hmac_sha512: |jobs| avx512::<Sha512, 8, 4>(&SHA512_AVX512, jobs),
};

/// The standard library keeps the answer: this costs a load and a branch.
fn either<T>(with_sha: T, without: T) -> T {
    let sha = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if sha { with_sha } else { without }
}

pub(super) fn avx2<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    // SAFETY: a backend that this CPU cannot run is never listed, so the table above is not reached on it;
    // and `either` asks for the rest.
    unsafe { hmac_avx2::<H, P, S>(ladder, jobs) }
}

pub(super) fn avx512<H: Hash<P, S>, const P: usize, const S: usize>(
    ladder: &Ladder<P, S>,
    jobs: &mut [MacJob<'_>],
) {
    // SAFETY: as in `avx2`.
    unsafe { hmac_avx512::<H, P, S>(ladder, jobs) }
}

/// A kernel of lanes: up to how many messages it is the quickest for, its lanes, its module.
macro_rules! rung {
    ($most:literal, $lanes:literal, $hash:ident::$width:ident $(, $digest:ident)?) => {
        Rung {
            most: $most,
            lanes: $lanes,
            run: $hash::$width::run,
            outer: $hash::$width::outer$(::<$digest>)?,
            even: Some($hash::$width::even$(::<$digest>)?),
        }
    };
}

// The figures below are TSC cycles per octet of long messages on a Zen 4 (a core cycle is 0.70 of them),
// every lane of the kernel taken. A rung's `most` is where the next one up hashes a block of that many
// messages in fewer cycles. On CPUs not measured the order is a good guess: where vectors are 512 bits wide
// in one piece the lanes gain more than the SHA instructions.

// SHA instructions 1.38 alone, 0.85 with 2 messages, 0.55 with 4; 8 lanes 0.41, 16 lanes 0.39. A block of all
// messages takes 88, 108, 142, 208 and 403 cycles, so 9 to 12 are best split: 8 lanes, the rest by SHA-NI.
// The bound is the vector unit: 10.2 operations a round and the transposition, 373 cycles for 16 lanes.
static SHA1_AVX512_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha1::<1>, outer: shani::sha1_outer::<1>, even: None },
    Rung { most: 2, lanes: 2, run: shani::sha1::<2>, outer: shani::sha1_outer::<2>, even: None },
    Rung { most: 4, lanes: 4, run: shani::sha1::<4>, outer: shani::sha1_outer::<4>, even: None },
    rung!(12, 8, sha1::x8l),
    rung!(16, 16, sha1::x16),
]);
static SHA1_AVX512: Ladder<4, 2> = Ladder(&[rung!(8, 8, sha1::x8l), rung!(16, 16, sha1::x16)]);
// AVX2 has no rotation: 8 lanes take 0.64, more than four messages by SHA-NI.
static SHA1_AVX2_SHANI: Ladder<4, 2> = Ladder(&[
    Rung { most: 1, lanes: 1, run: shani::sha1::<1>, outer: shani::sha1_outer::<1>, even: None },
    Rung { most: 2, lanes: 2, run: shani::sha1::<2>, outer: shani::sha1_outer::<2>, even: None },
    Rung { most: 4, lanes: 4, run: shani::sha1::<4>, outer: shani::sha1_outer::<4>, even: None },
]);
static SHA1_AVX2: Ladder<4, 2> = Ladder(&[rung!(8, 8, sha1::x8)]);

// SHA instructions 1.47 alone, 0.80 with 2 messages, 0.75 with 3 (the SHA unit is then full); 8 lanes 0.77,
// 16 lanes 0.74. A block of all messages takes 94, 105, 144, 392 and 758 cycles. Three messages do not divide
// 4, hence 2 + 2. The bounds are 45 cycles a block for the SHA unit (64 core cycles of SHA256RNDS2 and the
// message's expansion) and 38 for the lanes.
static SHA256_AVX512_SHANI: Ladder<4, 2> = Ladder(&[
    Rung {
        most: 1,
        lanes: 1,
        run: shani::sha256::<1>,
        outer: shani::sha256_outer::<1>,
        even: None,
    },
    Rung {
        most: 2,
        lanes: 2,
        run: shani::sha256::<2>,
        outer: shani::sha256_outer::<2>,
        even: None,
    },
    Rung {
        most: 3,
        lanes: 3,
        run: shani::sha256::<3>,
        outer: shani::sha256_outer::<3>,
        even: None,
    },
    Rung {
        most: 4,
        lanes: 2,
        run: shani::sha256::<2>,
        outer: shani::sha256_outer::<2>,
        even: None,
    },
    Rung {
        most: 7,
        lanes: 3,
        run: shani::sha256::<3>,
        outer: shani::sha256_outer::<3>,
        even: None,
    },
    rung!(14, 8, sha2::sha256_x8l),
    rung!(16, 16, sha2::sha256_x16),
]);
static SHA256_AVX512: Ladder<4, 2> =
    Ladder(&[rung!(8, 8, sha2::sha256_x8l), rung!(16, 16, sha2::sha256_x16)]);
// AVX2's 8 lanes take 1.42: never where there is SHA-NI.
static SHA256_AVX2_SHANI: Ladder<4, 2> = Ladder(&[
    Rung {
        most: 1,
        lanes: 1,
        run: shani::sha256::<1>,
        outer: shani::sha256_outer::<1>,
        even: None,
    },
    Rung {
        most: 2,
        lanes: 2,
        run: shani::sha256::<2>,
        outer: shani::sha256_outer::<2>,
        even: None,
    },
    Rung {
        most: 3,
        lanes: 3,
        run: shani::sha256::<3>,
        outer: shani::sha256_outer::<3>,
        even: None,
    },
    Rung {
        most: 4,
        lanes: 2,
        run: shani::sha256::<2>,
        outer: shani::sha256_outer::<2>,
        even: None,
    },
    Rung {
        most: 5,
        lanes: 3,
        run: shani::sha256::<3>,
        outer: shani::sha256_outer::<3>,
        even: None,
    },
]);
static SHA256_AVX2: Ladder<4, 2> = Ladder(&[rung!(8, 8, sha2::sha256_x8)]);

// 4 lanes 0.94, 8 lanes 0.90; in AVX2 4 lanes 1.76.
static SHA384_AVX512: Ladder<8, 4> = sha512_avx512::<48>();
static SHA512_AVX512: Ladder<8, 4> = sha512_avx512::<64>();
static SHA384_AVX2: Ladder<8, 4> = sha512_avx2::<48>();
static SHA512_AVX2: Ladder<8, 4> = sha512_avx2::<64>();

/// With digests of so many octets.
const fn sha512_avx512<const DIGEST: u64>() -> Ladder<8, 4> {
    const { Ladder(&[rung!(4, 4, sha2::sha512_x4l, DIGEST), rung!(8, 8, sha2::sha512_x8, DIGEST)]) }
}

/// Likewise.
const fn sha512_avx2<const DIGEST: u64>() -> Ladder<8, 4> {
    let x4 = const { &[rung!(4, 4, sha2::sha512_x4, DIGEST)] };
    Ladder(x4)
}

// 8 lanes 0.49, 16 lanes 0.31 (each step waits for the last, so the wide vectors cost little more); in AVX2
// 8 lanes 0.57.
static MD5_AVX512: Ladder<4, 2> = Ladder(&[rung!(8, 8, md5::x8l), rung!(16, 16, md5::x16)]);
static MD5_AVX2: Ladder<4, 2> = Ladder(&[rung!(8, 8, md5::x8)]);

pub(super) struct Md5;
pub(super) struct Sha1;
pub(super) struct Sha256;
pub(super) struct Sha384;
pub(super) struct Sha512;

macro_rules! hash {
    ($name:ident, $p:literal, $s:literal, $length:literal, $key:ident, $octets:ident) => {
        impl Hash<$p, $s> for $name {
            const LENGTH: usize = $length;
            #[inline(always)]
            fn length(bits: u64) -> [u8; 8] {
                bits.$octets()
            }
            #[inline(always)]
            fn states(key: &MacKey) -> Option<[&[Piece; $s]; 2]> {
                match key {
                    MacKey::$key { inner, outer } => Some([inner, outer]),
                    _ => None,
                }
            }
        }
    };
}

hash!(Md5, 4, 2, 8, Hmac32, to_le_bytes);
hash!(Sha1, 4, 2, 8, Hmac32, to_be_bytes);
hash!(Sha256, 4, 2, 8, Hmac32, to_be_bytes);
hash!(Sha384, 8, 4, 16, Hmac64, to_be_bytes);
hash!(Sha512, 8, 4, 16, Hmac64, to_be_bytes);
