//! The tiers' entries: the one source, compiled with each tier's instructions.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
use zeroize::Zeroize;

use super::super::lanes::{Aesni, Avx512, Vaes, Vaes256};
use super::batch::{self, Kernel};
use super::stream::{ToOpen, ToSeal};
use super::{open, seal};
use crate::backend::Family;
use crate::batch::{BadIcv, Open, Seal};

/// A tier: its lanes, the vectors of a group, and the instructions that its kernels are compiled with.
macro_rules! tier {
    ($name:ident, $module:ident, $lanes:ident, $vectors:literal, $features:literal) => {
        pub(crate) const $name: Family = Family { seal: $module::seal, open: $module::open };

        mod $module {
            use super::*;

            pub(super) fn seal(group: &mut [&mut Seal<'_>]) {
                match $lanes::detect() {
                    Some(lanes) => batch::seal(Sealing(lanes), group),
                    None => group.iter_mut().for_each(|item| item.packet.zeroize()),
                }
            }

            pub(super) fn open(group: &mut [&mut Open<'_>]) {
                if let Some(lanes) = $lanes::detect() {
                    batch::open(Opening(lanes), group);
                }
            }

            kernel!(Sealing, seal, $lanes, (), ToSeal, $vectors, $features);
            kernel!(Opening, open, $lanes, &'a mut Result<(), BadIcv>, ToOpen, $vectors, $features);
        }
    };
}

/// One direction of a tier.
macro_rules! kernel {
    (
        $name:ident, $source:ident, $lanes:ident, $outcome:ty, $job:ident, $vectors:literal,
        $features:literal
    ) => {
        #[derive(Clone, Copy)]
        struct $name($lanes);

        impl Kernel for $name {
            type Lanes = $lanes;
            type Outcome<'a> = $outcome;
            const VECTORS: usize = $vectors;

            #[inline(always)]
            fn short<'a, const P: usize, const Q: usize>(self, jobs: &mut [$job<'a>; P]) {
                #[target_feature(enable = $features)]
                fn compiled<const P: usize, const Q: usize>(
                    lanes: $lanes,
                    jobs: &mut [$job<'_>; P],
                ) {
                    super::$source::short::<$lanes, P, Q>(lanes, jobs);
                }
                // SAFETY: the CPU has these instructions, as `self.0` proves.
                unsafe { compiled::<P, Q>(self.0, jobs) }
            }

            #[inline(always)]
            fn long<'a>(self, job: &mut $job<'a>) {
                #[target_feature(enable = $features)]
                fn compiled(lanes: $lanes, job: &mut $job<'_>) {
                    super::$source::long::<$lanes, $vectors>(lanes, job);
                }
                // SAFETY: as above.
                unsafe { compiled(self.0, job) }
            }
        }
    };
}

tier!(AESNI, aesni, Aesni, 8, "aes,pclmulqdq,avx2,bmi1,bmi2");
tier!(
    AVX512,
    avx512,
    Avx512,
    8,
    "aes,pclmulqdq,avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq"
);
tier!(VAES256, vaes256, Vaes256, 8, "aes,pclmulqdq,avx2,bmi1,bmi2,vaes,vpclmulqdq");
tier!(
    VAES,
    vaes,
    Vaes,
    4,
    "aes,pclmulqdq,avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq"
);
