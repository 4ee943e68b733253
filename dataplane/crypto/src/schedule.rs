//! Which kernel runs a key, and the key expanded for that kernel: decided here, once, when the key is built.
use crate::backend::{self, Backend, Family};
use crate::key::{BadKey, bad_encryption, bad_integrity};
use crate::suite::Suite;
use crate::wiped::Wiped;
#[cfg(target_arch = "x86_64")]
use crate::{aes, chacha, etm};
use crate::{portable, selftest};

/// What sealing needs of the keys. A fast one lies inline, so that a context is one piece and costs a
/// packet one run of cache lines; the portable ones are larger, and boxed.
#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
pub(crate) enum SealSchedule {
    #[cfg(target_arch = "x86_64")]
    Gcm(aes::GcmKey),
    #[cfg(target_arch = "x86_64")]
    Ccm(aes::CcmKey),
    #[cfg(target_arch = "x86_64")]
    ChaCha(chacha::Key),
    #[cfg(target_arch = "x86_64")]
    Etm(etm::SealEtm),
    Portable(Box<Wiped<portable::SealSchedule>>),
}

/// What opening needs of the keys; see [`SealSchedule`].
#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
pub(crate) enum OpenSchedule {
    #[cfg(target_arch = "x86_64")]
    Gcm(aes::GcmKey),
    #[cfg(target_arch = "x86_64")]
    Ccm(aes::CcmKey),
    #[cfg(target_arch = "x86_64")]
    ChaCha(chacha::Key),
    #[cfg(target_arch = "x86_64")]
    Etm(etm::OpenEtm),
    Portable(Box<Wiped<portable::OpenSchedule>>),
}

/// Where a key runs: the tier as it shows outside, and that tier's kernels.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub backend: &'static Backend,
    pub family: Family,
    /// Whether the kernels take a fast schedule or the portable one.
    pub fast: bool,
}

impl Place {
    /// Where a key runs whose maker did not choose.
    pub fn chosen(suite: Suite) -> Self {
        match selftest::started() {
            Some(test) => test.place(suite),
            None => Self::of(Backend::best(), suite),
        }
    }

    /// Where every suite can run.
    pub const PORTABLE: Self =
        Self { backend: &backend::PORTABLE, family: portable::FAMILY, fast: false };

    /// On `backend` if it has kernels of its own for the suite, else on the portable one.
    pub fn of(backend: &'static Backend, suite: Suite) -> Self {
        match fast_family(backend, suite) {
            Some(family) => Self { backend, family, fast: true },
            None => Self::PORTABLE,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn fast_family(backend: &Backend, suite: Suite) -> Option<Family> {
    match suite {
        Suite::AesGcm(..) => Some(backend.aes?.gcm),
        Suite::AesGmac(_) => backend.aes?.gmac,
        Suite::AesCcm(..) => Some(backend.aes?.ccm),
        Suite::ChaCha20Poly1305 => backend.chacha,
        Suite::AesCtr(..) | Suite::AesCbc(..) | Suite::Null(_) => etm::family(backend, suite),
        Suite::Legacy(..) => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fast_family(_: &Backend, _: Suite) -> Option<Family> {
    None
}

/// Asks for a schedule and the line in front of it, as far as GCM wants them for a packet of so many octets; other
/// suites are not asked about, because the answer lies in memory that is still to come.
#[inline]
pub(crate) fn prefetch<Schedule>(schedule: &Schedule, octets: usize) {
    #[cfg(target_arch = "x86_64")]
    aes::prefetch_key(core::ptr::from_ref(schedule).cast(), octets);
}

impl SealSchedule {
    /// For the kernels of `place`.
    pub fn new(
        place: Place,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, BadKey> {
        if place.fast {
            return Self::fast(place.backend, suite, encryption, integrity);
        }
        let made = Wiped::build(|| portable::SealSchedule::new(suite, encryption, integrity))?;
        Ok(Self::Portable(Box::new(made)))
    }

    #[cfg(target_arch = "x86_64")]
    fn fast(
        backend: &'static Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, BadKey> {
        let made = match suite {
            Suite::AesGcm(bits, _) | Suite::AesGmac(bits) => {
                aes::GcmKey::new(bits, encryption).map(Self::Gcm)
            }
            Suite::AesCcm(bits, _) => aes::CcmKey::new(bits, encryption).map(Self::Ccm),
            Suite::ChaCha20Poly1305 => chacha::Key::new(encryption).map(Self::ChaCha),
            Suite::AesCtr(..) | Suite::AesCbc(..) | Suite::Null(_) => {
                etm::SealEtm::new(backend, suite, encryption, integrity)?.map(Self::Etm)
            }
            Suite::Legacy(..) => None,
        };
        made.ok_or_else(|| bad_key(suite, encryption, integrity))
    }
}

impl OpenSchedule {
    /// As [`SealSchedule::new`].
    pub fn new(
        place: Place,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, BadKey> {
        if place.fast {
            return Self::fast(place.backend, suite, encryption, integrity);
        }
        let made = Wiped::build(|| portable::OpenSchedule::new(suite, encryption, integrity))?;
        Ok(Self::Portable(Box::new(made)))
    }

    #[cfg(target_arch = "x86_64")]
    fn fast(
        backend: &'static Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, BadKey> {
        let made = match suite {
            Suite::AesGcm(bits, _) | Suite::AesGmac(bits) => {
                aes::GcmKey::new(bits, encryption).map(Self::Gcm)
            }
            Suite::AesCcm(bits, _) => aes::CcmKey::new(bits, encryption).map(Self::Ccm),
            Suite::ChaCha20Poly1305 => chacha::Key::new(encryption).map(Self::ChaCha),
            Suite::AesCtr(..) | Suite::AesCbc(..) | Suite::Null(_) => {
                etm::OpenEtm::new(backend, suite, encryption, integrity).map(Self::Etm)
            }
            Suite::Legacy(..) => None,
        };
        made.ok_or_else(|| bad_key(suite, encryption, integrity))
    }
}

#[cfg(target_arch = "x86_64")]
/// A schedule would not take the key: the lengths are to blame, whichever is wrong.
fn bad_key(suite: Suite, encryption: &[u8], integrity: &[u8]) -> BadKey {
    if integrity.len() == suite.integrity_key_len() {
        bad_encryption(suite, encryption.len())
    } else {
        bad_integrity(suite, integrity.len())
    }
}
