//! The definition: every suite on the RustCrypto crates, one packet after another.
mod cbc;
mod gcm;
mod mac;

use crate::backend::{Backend, Family};
use crate::key::{BadKey, bad_encryption, bad_integrity};
use crate::suite::Suite;

pub(crate) static BACKEND: Backend = Backend {
    name: "portable",
    rank: 0,
    gcm: Family { seal: gcm::seal, open: gcm::open },
    cbc_hmac: Family { seal: cbc::seal, open: cbc::open },
    null_hmac: Family { seal: mac::seal, open: mac::open },
};

/// What sealing needs of the keys, expanded.
#[allow(
    clippy::large_enum_variant,
    reason = "a context is one piece: no second cache miss per packet"
)]
pub(crate) enum SealSchedule {
    Gcm(gcm::SealGcm),
    CbcHmac(cbc::SealCbc),
    NullHmac(mac::Hmac),
}

/// What opening needs of the keys, expanded.
#[allow(
    clippy::large_enum_variant,
    reason = "a context is one piece: no second cache miss per packet"
)]
pub(crate) enum OpenSchedule {
    Gcm(gcm::Gcm),
    CbcHmac(cbc::OpenCbc),
    NullHmac(mac::Hmac),
}

impl SealSchedule {
    /// `iv_base` is what a counter mode adds the packet's number to.
    pub fn new(
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        iv_base: u64,
    ) -> Result<Self, BadKey> {
        let bad_mac = |_| bad_integrity(suite, integrity.len());
        let hmac = |which| mac::Hmac::new(which, integrity).map_err(bad_mac);
        let bad_key = |_| bad_encryption(suite, encryption.len());
        Ok(match suite {
            Suite::AesGcm16(bits) => {
                let gcm = gcm::Gcm::new(bits, encryption).map_err(bad_key)?;
                Self::Gcm(gcm::SealGcm { gcm, iv_base })
            }
            Suite::AesCbc(bits, which) => {
                let cipher = cbc::Encrypt::new(bits, encryption).map_err(bad_key)?;
                Self::CbcHmac(cbc::SealCbc { cipher, ivs: cbc::Ivs::draw()?, mac: hmac(which)? })
            }
            Suite::Null(which) => Self::NullHmac(hmac(which)?),
        })
    }
}

impl OpenSchedule {
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        let bad_mac = |_| bad_integrity(suite, integrity.len());
        let hmac = |which| mac::Hmac::new(which, integrity).map_err(bad_mac);
        let bad_key = |_| bad_encryption(suite, encryption.len());
        Ok(match suite {
            Suite::AesGcm16(bits) => Self::Gcm(gcm::Gcm::new(bits, encryption).map_err(bad_key)?),
            Suite::AesCbc(bits, which) => {
                let cipher = cbc::Decrypt::new(bits, encryption).map_err(bad_key)?;
                Self::CbcHmac(cbc::OpenCbc { cipher, mac: hmac(which)? })
            }
            Suite::Null(which) => Self::NullHmac(hmac(which)?),
        })
    }
}
