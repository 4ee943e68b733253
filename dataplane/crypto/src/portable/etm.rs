//! Encrypt, then MAC: the ICV is over the ciphertext, and is checked before anything is decrypted.
use super::aes::{Decrypt, Encrypt};
use super::mac::Mac;
use super::{cbc, ctr, legacy};
use crate::batch::{Open, Seal};
use crate::key::{BadKey, bad_encryption, bad_integrity};
use crate::layout;
use crate::suite::Suite;
use crate::wiped::Wiped;

/// The outbound half: cipher, IV source, MAC.
pub(super) struct SealEtm {
    cipher: Sealing,
    mac: Mac,
}

/// The inbound half: cipher, MAC.
pub(super) struct OpenEtm {
    cipher: Opening,
    mac: Mac,
}

enum Sealing {
    Null,
    Ctr(ctr::Ctr),
    Cbc(Encrypt, cbc::Ivs),
    /// Boxed: Blowfish's tables are larger than all else together.
    Legacy(Box<Wiped<legacy::Cipher>>, cbc::Ivs),
}

enum Opening {
    Null,
    Ctr(ctr::Ctr),
    Cbc(Decrypt),
    Legacy(Box<Wiped<legacy::Cipher>>),
}

impl SealEtm {
    /// Of a suite that has an integrity algorithm of its own.
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        let bad_key = |_| bad_encryption(suite, encryption.len());
        let cipher = match suite {
            Suite::AesCtr(bits, _) => {
                Sealing::Ctr(ctr::Ctr::new(bits, encryption).map_err(bad_key)?)
            }
            Suite::AesCbc(bits, _) => {
                let aes = Encrypt::new(bits, encryption).map_err(bad_key)?;
                Sealing::Cbc(aes, cbc::Ivs::draw()?)
            }
            Suite::Legacy(which, _) => {
                Sealing::Legacy(boxed(suite, which, encryption)?, cbc::Ivs::draw()?)
            }
            _ => Sealing::Null,
        };
        Ok(Self { cipher, mac: mac(suite, integrity)? })
    }

    pub fn seal(&self, item: &mut Seal<'_>) -> Option<()> {
        let suite = item.key.suite();
        let parts = layout::parts(item.packet, suite.iv_len(), suite.icv_len())?;
        match &self.cipher {
            Sealing::Null => (),
            Sealing::Ctr(ctr) => {
                parts.iv.copy_from_slice(&(item.key.iv_base() | item.sequence).to_be_bytes());
                ctr.apply(parts.iv, parts.body)?;
            }
            Sealing::Cbc(aes, ivs) => {
                ivs.fill(item.sequence, parts.iv);
                cbc::encrypt(aes, parts.iv, parts.body)?;
            }
            Sealing::Legacy(cipher, ivs) => {
                ivs.fill(item.sequence, parts.iv);
                cipher.encrypt(parts.iv, parts.body)?;
            }
        }
        self.mac.sign(item.packet, item.sequence, item.key.esn())
    }
}

impl OpenEtm {
    /// As [`SealEtm::new`].
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, BadKey> {
        let bad_key = |_| bad_encryption(suite, encryption.len());
        let cipher = match suite {
            Suite::AesCtr(bits, _) => {
                Opening::Ctr(ctr::Ctr::new(bits, encryption).map_err(bad_key)?)
            }
            Suite::AesCbc(bits, _) => {
                Opening::Cbc(Decrypt::new(bits, encryption).map_err(bad_key)?)
            }
            Suite::Legacy(which, _) => Opening::Legacy(boxed(suite, which, encryption)?),
            _ => Opening::Null,
        };
        Ok(Self { cipher, mac: mac(suite, integrity)? })
    }

    /// Not one block is decrypted, and no padding looked at, before the ICV has verified.
    pub fn open(&self, item: &mut Open<'_>) -> Option<()> {
        let suite = item.key.suite();
        self.mac.verify(item.packet, item.sequence, item.key.esn())?;
        let parts = layout::parts(item.packet, suite.iv_len(), suite.icv_len())?;
        match &self.cipher {
            Opening::Null => Some(()),
            Opening::Ctr(ctr) => ctr.apply(parts.iv, parts.body),
            Opening::Cbc(aes) => cbc::decrypt(aes, parts.iv, parts.body),
            Opening::Legacy(cipher) => cipher.decrypt(parts.iv, parts.body),
        }
    }
}

fn mac(suite: Suite, key: &[u8]) -> Result<Mac, BadKey> {
    let mac = suite.integrity().and_then(|which| Mac::new(which, key).ok());
    mac.ok_or_else(|| bad_integrity(suite, key.len()))
}

fn boxed(
    suite: Suite,
    which: crate::suite::Legacy,
    key: &[u8],
) -> Result<Box<Wiped<legacy::Cipher>>, BadKey> {
    let made = Wiped::build(|| legacy::Cipher::new(which, key));
    made.map(Box::new).map_err(|why| match why {
        legacy::Unfit::Length => bad_encryption(suite, key.len()),
        legacy::Unfit::Weak => BadKey::Weak(suite),
    })
}
