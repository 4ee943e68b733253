//! HMAC as an integrity algorithm of its own (RFC 2404, RFC 4868), and with ENCR_NULL (RFC 2410).
use arrayvec::ArrayVec;
use hmac::digest::InvalidLength;
use hmac::{KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::{OpenSchedule, SealSchedule};
use crate::batch::{Open, Seal};
use crate::layout;
use crate::suite::Integrity;

/// The longest ICV, in octets.
const ICV_MAX: usize = 32;

/// Inner and outer hash, each one block in: a packet pays for its own octets only.
pub(crate) enum Hmac {
    Sha1_96(hmac::Hmac<Sha1>),
    Sha2_256_128(hmac::Hmac<Sha256>),
    Sha2_384_192(hmac::Hmac<Sha384>),
    Sha2_512_256(hmac::Hmac<Sha512>),
}

impl Hmac {
    pub fn new(which: Integrity, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match which {
            Integrity::HmacSha1_96 => Self::Sha1_96(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_256_128 => Self::Sha2_256_128(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_384_192 => Self::Sha2_384_192(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_512_256 => Self::Sha2_512_256(KeyInit::new_from_slice(key)?),
        })
    }

    const fn icv_len(&self) -> usize {
        match self {
            Self::Sha1_96(_) => Integrity::HmacSha1_96.icv_len(),
            Self::Sha2_256_128(_) => Integrity::HmacSha2_256_128.icv_len(),
            Self::Sha2_384_192(_) => Integrity::HmacSha2_384_192.icv_len(),
            Self::Sha2_512_256(_) => Integrity::HmacSha2_512_256.icv_len(),
        }
    }

    /// Over a packet up to its ICV, and with ESN the number's high half behind it: authenticated there,
    /// never sent (RFC 4303 §2.2.1).
    fn icv(&self, covered: &[u8], sequence: u64, esn: bool) -> ArrayVec<u8, ICV_MAX> {
        let high = layout::sequence_high(sequence);
        let high = if esn { high.as_slice() } else { &[] };
        let len = self.icv_len();
        match self {
            Self::Sha1_96(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_256_128(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_384_192(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_512_256(keyed) => cut(keyed, covered, high, len),
        }
    }

    /// Writes the ICV at the packet's end. `None`: no room.
    pub fn sign(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.icv_len())?;
        icv.copy_from_slice(&self.icv(covered, sequence, esn));
        Some(())
    }

    /// Checks the ICV at the packet's end, in constant time. `None`: it is not the packet's.
    pub fn verify(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.icv_len())?;
        bool::from(self.icv(covered, sequence, esn).ct_eq(icv)).then_some(())
    }
}

/// HMAC of both parts, its first `len` octets (RFC 2104 §5).
fn cut<M: Mac + Clone>(keyed: &M, covered: &[u8], high: &[u8], len: usize) -> ArrayVec<u8, ICV_MAX> {
    let mac = keyed.clone().chain_update(covered).chain_update(high).finalize();
    mac.into_bytes().into_iter().take(len).collect()
}

pub(super) fn seal(group: &mut [&mut Seal<'_>]) {
    for item in group {
        if seal_one(item).is_none() {
            item.packet.zeroize();
        }
    }
}

fn seal_one(item: &mut Seal<'_>) -> Option<()> {
    let SealSchedule::NullHmac(mac) = &item.key.schedule else { return None };
    mac.sign(item.packet, item.sequence, item.key.esn)
}

pub(super) fn open(group: &mut [&mut Open<'_>]) {
    for item in group {
        if open_one(item).is_some() {
            item.verdict = Ok(());
        }
    }
}

fn open_one(item: &mut Open<'_>) -> Option<()> {
    let OpenSchedule::NullHmac(mac) = &item.key.schedule else { return None };
    mac.verify(item.packet, item.sequence, item.key.esn)
}
