//! Implementations of the suites, one of which is chosen when a key is built.
use std::sync::LazyLock;

use crate::batch::{Open, Seal};
#[cfg(target_arch = "x86_64")]
use crate::chacha;
use crate::{aes, hash};

/// Seals a group: packets of one suite and backend, at most 64, that [`seal`](crate::seal) has found sound.
pub(crate) type SealKernel = fn(&mut [&mut Seal<'_>]);
/// Opens such a group; sets `verdict` to `Ok` where the ICV verifies, and leaves the rest alone.
pub(crate) type OpenKernel = fn(&mut [&mut Open<'_>]);

/// One tier of kernels. What it lacks, `portable` runs. The packet path calls through the key's kernel and
/// never asks again.
pub struct Backend {
    /// As `status` shows it, and as `POSTERN_CRYPTO` takes it.
    pub name: &'static str,
    /// Place in [`Backend::available`]; keeps groups of different backends apart.
    pub(crate) rank: u8,
    pub(crate) aes: Option<&'static aes::Kernels>,
    pub(crate) hash: Option<&'static hash::Kernels>,
    pub(crate) chacha: Option<Family>,
}

/// The kernels for one family of suites; a key's size and hash are in its schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub seal: SealKernel,
    pub open: OpenKernel,
}

/// No kernels of its own: the definition of every suite, on the RustCrypto crates.
pub(crate) static PORTABLE: Backend =
    Backend { name: "portable", rank: 0, aes: None, hash: None, chacha: None };

/// AES-NI, PCLMULQDQ, AVX2; BMI1 and BMI2, which came with AVX2 but may be masked by a hypervisor.
#[cfg(target_arch = "x86_64")]
static AESNI: Backend = Backend {
    name: "aesni",
    rank: 1,
    aes: Some(&aes::AESNI),
    hash: Some(&hash::AVX2),
    chacha: Some(chacha::AVX2),
};

/// VAES and VPCLMULQDQ, 256 bits wide.
#[cfg(target_arch = "x86_64")]
static VAES256: Backend = Backend {
    name: "vaes256",
    rank: 2,
    aes: Some(&aes::VAES256),
    hash: Some(&hash::AVX2),
    chacha: Some(chacha::AVX2),
};

/// AES-NI and PCLMULQDQ with AVX-512's registers and masks.
#[cfg(target_arch = "x86_64")]
static AVX512: Backend = Backend {
    name: "avx512",
    rank: 3,
    aes: Some(&aes::AVX512),
    hash: Some(&hash::AVX512),
    chacha: Some(chacha::AVX512),
};

/// VAES and VPCLMULQDQ, 512 bits wide.
#[cfg(target_arch = "x86_64")]
static VAES: Backend = Backend {
    name: "vaes",
    rank: 4,
    aes: Some(&aes::VAES),
    hash: Some(&hash::AVX512),
    chacha: Some(chacha::IFMA),
};

static AVAILABLE: LazyLock<Vec<&Backend>> = LazyLock::new(detect);

#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<&'static Backend> {
    let aesni = is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2");
    let vaes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq");
    let tiers = [
        (&PORTABLE, true),
        (&AESNI, aesni),
        (&VAES256, aesni && vaes),
        (&AVX512, aesni && avx512),
        (&VAES, aesni && vaes && avx512),
    ];
    tiers.into_iter().filter_map(|(tier, runs)| runs.then_some(tier)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Vec<&'static Backend> {
    vec![&PORTABLE]
}

impl Backend {
    /// Those that this CPU can run, slowest and plainest first: `portable` is the definition, the rest
    /// are claims about it.
    pub fn available() -> &'static [&'static Self] {
        &AVAILABLE
    }

    /// The fastest that this CPU can run.
    pub fn best() -> &'static Self {
        Self::available().last().copied().unwrap_or(&PORTABLE)
    }

    /// The one of this name. `None`: there is none, or this CPU cannot run it.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::available().iter().find(|tier| tier.name == name).copied()
    }
}

impl core::fmt::Debug for Backend {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Backend({})", self.name)
    }
}
