//! The definition: every suite on the RustCrypto crates, one packet after another.
mod aead;
mod aes;
mod cbc;
mod ccm;
mod chacha;
mod ctr;
mod etm;
mod gcm;
mod gmac;
mod keyed_md5;
mod legacy;
pub(crate) mod mac;
mod rc5;
mod xcbc;

use zeroize::Zeroize;

use crate::backend::Family;
use crate::batch::{Open, Seal};
use crate::key::BadKey;
use crate::schedule;
use crate::suite::Suite;

/// Runs whatever has no kernels of its own.
pub(crate) const FAMILY: Family = Family { seal, open };

/// What sealing needs of the keys, expanded.
pub(crate) struct SealSchedule(Sealing);

/// What opening needs of the keys, expanded.
pub(crate) struct OpenSchedule(Opening);

#[allow(clippy::large_enum_variant, reason = "it lies in a box")]
enum Sealing {
    Aead(aead::Aead),
    Etm(etm::SealEtm),
}

#[allow(clippy::large_enum_variant, reason = "it lies in a box")]
enum Opening {
    Aead(aead::Aead),
    Etm(etm::OpenEtm),
}

impl SealSchedule {
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        Ok(Self(match aead::Aead::new(suite, encryption)? {
            Some(aead) => Sealing::Aead(aead),
            None => Sealing::Etm(etm::SealEtm::new(suite, encryption, integrity)?),
        }))
    }
}

impl OpenSchedule {
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        Ok(Self(match aead::Aead::new(suite, encryption)? {
            Some(aead) => Opening::Aead(aead),
            None => Opening::Etm(etm::OpenEtm::new(suite, encryption, integrity)?),
        }))
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
    match &key.0 {
        Sealing::Aead(aead) => aead.seal(item),
        Sealing::Etm(etm) => etm.seal(item),
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
    match &key.0 {
        Opening::Aead(aead) => aead.open(item),
        Opening::Etm(etm) => etm.open(item),
    }
}
