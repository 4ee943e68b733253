//! The `aes` crate's three key lengths behind one type, for the modes.
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt,
    BlockSizeUser, InvalidLength, KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};

use crate::suite::KeyBits;

/// A key schedule for encryption. Wipes itself.
pub(super) enum Encrypt {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

/// A key schedule for decryption. Wipes itself.
pub(super) enum Decrypt {
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
}

impl Encrypt {
    pub fn new(bits: KeyBits, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match bits {
            KeyBits::B128 => Self::Aes128(KeyInit::new_from_slice(key)?),
            KeyBits::B192 => Self::Aes192(KeyInit::new_from_slice(key)?),
            KeyBits::B256 => Self::Aes256(KeyInit::new_from_slice(key)?),
        })
    }
}

impl Decrypt {
    pub fn new(bits: KeyBits, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match bits {
            KeyBits::B128 => Self::Aes128(KeyInit::new_from_slice(key)?),
            KeyBits::B192 => Self::Aes192(KeyInit::new_from_slice(key)?),
            KeyBits::B256 => Self::Aes256(KeyInit::new_from_slice(key)?),
        })
    }
}

impl BlockSizeUser for Encrypt {
    type BlockSize = U16;
}

impl BlockSizeUser for Decrypt {
    type BlockSize = U16;
}

impl BlockCipherEncrypt for Encrypt {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        match self {
            Self::Aes128(aes) => aes.encrypt_with_backend(f),
            Self::Aes192(aes) => aes.encrypt_with_backend(f),
            Self::Aes256(aes) => aes.encrypt_with_backend(f),
        }
    }
}

impl BlockCipherDecrypt for Decrypt {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U16>) {
        match self {
            Self::Aes128(aes) => aes.decrypt_with_backend(f),
            Self::Aes192(aes) => aes.decrypt_with_backend(f),
            Self::Aes256(aes) => aes.decrypt_with_backend(f),
        }
    }
}

#[cfg(test)]
impl Encrypt {
    /// Of a key whose length says which AES it is.
    pub fn of(key: &[u8]) -> Self {
        Self::new(bits(key), key).unwrap()
    }
}

#[cfg(test)]
impl Decrypt {
    /// As [`Encrypt::of`].
    pub fn of(key: &[u8]) -> Self {
        Self::new(bits(key), key).unwrap()
    }
}

#[cfg(test)]
fn bits(key: &[u8]) -> KeyBits {
    KeyBits::ALL.into_iter().find(|bits| bits.octets() == key.len()).unwrap()
}
