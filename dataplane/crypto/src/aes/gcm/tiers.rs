//! The tiers' entries: the one source, compiled with each tier's instructions.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
use core::mem::MaybeUninit;

use zeroize::Zeroize;

use super::super::ctr;
use super::super::lanes::{Aesni, Avx512, Lanes, Vaes, Vaes256};
use super::batch::{self, Kernel, Run};
use super::{gmac, open, seal, short};
use crate::aes::CtrJob;
use crate::backend::Family;
use crate::batch::{Open, Seal};

/// A tier: its lanes, the vectors of a group, and the instructions that its kernels are compiled with.
macro_rules! tier {
    ($module:ident, $lanes:ident, $vectors:literal, $features:literal) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) const GCM: Family = Family { seal: seal_gcm, open: open_gcm };
            pub(crate) const GMAC: Family = Family { seal: seal_gmac, open: open_gmac };

            fn seal_gcm(group: &mut [&mut Seal<'_>]) {
                let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
                match $lanes::detect() {
                    Some(lanes) => batch::run(Sealing(lanes), group, icv_len),
                    None => group.iter_mut().for_each(|item| item.packet.zeroize()),
                }
            }

            fn open_gcm(group: &mut [&mut Open<'_>]) {
                if let Some(lanes) = $lanes::detect() {
                    let icv_len = group.first().map_or(0, |item| item.key.suite().icv_len());
                    batch::run(Opening(lanes), group, icv_len);
                }
            }

            kernel!(Sealing, seal, Seal, $lanes, $vectors, $features);
            kernel!(Opening, open, Open, $lanes, $vectors, $features);

            fn seal_gmac(group: &mut [&mut Seal<'_>]) {
                #[target_feature(enable = $features)]
                fn compiled(lanes: $lanes, group: &mut [&mut Seal<'_>]) {
                    gmac::seal::<$lanes, $vectors>(lanes, group);
                }
                match $lanes::detect() {
                    // SAFETY: the CPU has these instructions, as `lanes` proves.
                    Some(lanes) => unsafe { compiled(lanes, group) },
                    None => group.iter_mut().for_each(|item| item.packet.zeroize()),
                }
            }

            fn open_gmac(group: &mut [&mut Open<'_>]) {
                #[target_feature(enable = $features)]
                fn compiled(lanes: $lanes, group: &mut [&mut Open<'_>]) {
                    gmac::open::<$lanes, $vectors>(lanes, group);
                }
                if let Some(lanes) = $lanes::detect() {
                    // SAFETY: as above.
                    unsafe { compiled(lanes, group) }
                }
            }

            /// AES in counter mode alone.
            pub(crate) fn ctr(jobs: &mut [CtrJob<'_>]) {
                #[target_feature(enable = $features)]
                fn compiled(lanes: $lanes, jobs: &mut [CtrJob<'_>]) {
                    ctr::in_place::<$lanes, $vectors>(lanes, jobs);
                }
                match $lanes::detect() {
                    // SAFETY: as above.
                    Some(lanes) => unsafe { compiled(lanes, jobs) },
                    None => jobs.iter_mut().for_each(|job| job.body.zeroize()),
                }
            }
        }
    };
}

/// Has the caller's stack frame start on a cache line. Vectors that find no register then lie in one line each;
/// where a frame starts by chance, all of them may lie across two, for as long as the process lives.
#[inline(always)]
fn align_frame() {
    #[repr(align(64))]
    struct Line {
        _octets: [u8; 64],
    }
    core::hint::black_box(&MaybeUninit::<Line>::uninit());
}

/// One direction of a tier.
macro_rules! kernel {
    (
        $name:ident, $source:ident, $item:ident, $lanes:ident, $vectors:literal, $features:literal
    ) => {
        #[derive(Clone, Copy)]
        struct $name($lanes);

        impl Kernel for $name {
            type Lanes = $lanes;
            type Item<'p> = $item<'p>;
            const VECTORS: usize = $vectors;

            #[inline(always)]
            fn short<const P: usize, const Q: usize>(
                self,
                run: Run<'_, '_, $item<'_>>,
            ) -> Option<()> {
                #[target_feature(enable = $features)]
                fn compiled<const P: usize, const Q: usize>(
                    lanes: $lanes,
                    run: Run<'_, '_, $item<'_>>,
                ) -> Option<()> {
                    align_frame();
                    short::$source::<$lanes, P, Q>(lanes, run)
                }
                // SAFETY: the CPU has these instructions, as `self.0` proves.
                unsafe { compiled::<P, Q>(self.0, run) }
            }

            #[inline(always)]
            fn long(self, run: Run<'_, '_, $item<'_>>) -> Option<()> {
                #[target_feature(enable = $features)]
                fn compiled(lanes: $lanes, run: Run<'_, '_, $item<'_>>) -> Option<()> {
                    align_frame();
                    const IN_REGISTERS: bool = <$lanes as Lanes>::LANES == 4;
                    // a constant for each length of key: all round keys stay in registers
                    match run.rounds()? {
                        10 if IN_REGISTERS => $source::long::<$lanes, $vectors>(lanes, run, 10),
                        14 if IN_REGISTERS => $source::long::<$lanes, $vectors>(lanes, run, 14),
                        rounds => $source::long::<$lanes, $vectors>(lanes, run, rounds),
                    }
                }
                // SAFETY: as above.
                unsafe { compiled(self.0, run) }
            }
        }
    };
}

tier!(aesni, Aesni, 8, "aes,pclmulqdq,avx2,bmi1,bmi2");
tier!(vaes256, Vaes256, 8, "aes,pclmulqdq,avx2,bmi1,bmi2,vaes,vpclmulqdq");
tier!(avx512, Avx512, 8, "aes,pclmulqdq,avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq");
tier!(
    vaes,
    Vaes,
    4,
    "aes,pclmulqdq,avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq"
);
