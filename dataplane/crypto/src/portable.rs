//! The definition: every suite on the RustCrypto crates, one packet after another.
mod cbc;
mod gcm;
mod mac;

use crate::backend::Family;
use crate::batch::{Open, Seal};
use crate::key::{BadKey, bad_encryption, bad_integrity};
use crate::schedule;
use crate::suite::Suite;
use zeroize::Zeroize;

/// Runs whatever has no kernels of its own.
pub(crate) const FAMILY: Family = Family { seal, open };

/// What sealing needs of the keys, expanded.
#[allow(
    clippy::large_enum_variant,
    reason = "a context is one piece: no second cache miss per packet"
)]
pub(crate) enum SealSchedule {
    Gcm(gcm::Gcm),
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
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        let bad_mac = |_| bad_integrity(suite, integrity.len());
        let hmac = |which| mac::Hmac::new(which, integrity).map_err(bad_mac);
        let bad_key = |_| bad_encryption(suite, encryption.len());
        Ok(match suite {
            Suite::AesGcm(bits, _) => Self::Gcm(gcm::Gcm::new(bits, encryption).map_err(bad_key)?),
            Suite::AesCbc(bits, which) => {
                let cipher = cbc::Encrypt::new(bits, encryption).map_err(bad_key)?;
                Self::CbcHmac(cbc::SealCbc { cipher, ivs: cbc::Ivs::draw()?, mac: hmac(which)? })
            }
            Suite::Null(which) => Self::NullHmac(hmac(which)?),
            _ => return Err(bad_encryption(suite, encryption.len())),
        })
    }
}

impl OpenSchedule {
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        let bad_mac = |_| bad_integrity(suite, integrity.len());
        let hmac = |which| mac::Hmac::new(which, integrity).map_err(bad_mac);
        let bad_key = |_| bad_encryption(suite, encryption.len());
        Ok(match suite {
            Suite::AesGcm(bits, _) => Self::Gcm(gcm::Gcm::new(bits, encryption).map_err(bad_key)?),
            Suite::AesCbc(bits, which) => {
                let cipher = cbc::Decrypt::new(bits, encryption).map_err(bad_key)?;
                Self::CbcHmac(cbc::OpenCbc { cipher, mac: hmac(which)? })
            }
            Suite::Null(which) => Self::NullHmac(hmac(which)?),
            _ => return Err(bad_encryption(suite, encryption.len())),
        })
    }
}

fn seal(group: &mut [&mut Seal<'_>]) {
    for item in group {
        if seal_one(item).is_none() {
            item.packet.zeroize();
        }
    }
}

/// `None`: the packet is not sealed, and its octets are anyone's guess.
fn seal_one(item: &mut Seal<'_>) -> Option<()> {
    let schedule::SealSchedule::Portable(key) = item.key.schedule() else { return None };
    match &***key {
        SealSchedule::Gcm(key) => gcm::seal(key, item),
        SealSchedule::CbcHmac(key) => cbc::seal(key, item),
        SealSchedule::NullHmac(mac) => mac.sign(item.packet, item.sequence, item.key.esn()),
    }
}

fn open(group: &mut [&mut Open<'_>]) {
    for item in group {
        if open_one(item).is_some() {
            item.verdict = Ok(());
        }
    }
}

/// `None`: the ICV does not verify, and the packet is as it was.
fn open_one(item: &mut Open<'_>) -> Option<()> {
    let schedule::OpenSchedule::Portable(key) = item.key.schedule() else { return None };
    match &***key {
        OpenSchedule::Gcm(key) => gcm::open(key, item),
        OpenSchedule::CbcHmac(key) => cbc::open(key, item),
        OpenSchedule::NullHmac(mac) => mac.verify(item.packet, item.sequence, item.key.esn()),
    }
}
