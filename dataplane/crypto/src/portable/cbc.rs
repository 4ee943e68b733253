//! AES-CBC in ESP (RFC 3602), encrypt-then-MAC: the ICV is over the ciphertext and is checked first.
use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    InvalidLength, KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use cbc::{Decryptor, Encryptor};
use zeroize::{Zeroize, Zeroizing};

use super::mac::Hmac;
use super::{OpenSchedule, SealSchedule};
use crate::batch::{Open, Seal};
use crate::key::BadKey;
use crate::layout;
use crate::suite::KeyBits;

type Block = Array<u8, U16>;
const IV: usize = 16;

/// The outbound half: cipher, IV source, MAC.
pub(crate) struct SealCbc {
    pub cipher: Encrypt,
    pub ivs: Ivs,
    pub mac: Hmac,
}

/// The inbound half: cipher, MAC.
pub(crate) struct OpenCbc {
    pub cipher: Decrypt,
    pub mac: Hmac,
}

/// An AES key schedule for encryption.
pub(crate) enum Encrypt {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

/// An AES key schedule for decryption.
pub(crate) enum Decrypt {
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
}

/// Where CBC's IVs come from: the packet's number under a permutation that only this context knows.
/// No two of its IVs are equal, and nobody can tell the next one (RFC 3602 §2.1, NIST SP 800-38A
/// Appendix C), as they could if the number were encrypted under the data key, or not at all.
pub(crate) struct Ivs(Aes128Enc);

impl Ivs {
    /// With a key of its own, drawn from the operating system and kept by nobody else.
    pub fn draw() -> Result<Self, BadKey> {
        let mut key = Zeroizing::new([0; 16]);
        getrandom::fill(key.as_mut()).map_err(BadKey::Entropy)?;
        Ok(Self(Aes128Enc::new((&*key).into())))
    }

    fn iv(&self, sequence: u64) -> Block {
        let mut iv = Block::from(u128::from(sequence).to_be_bytes());
        self.0.encrypt_block(&mut iv);
        iv
    }
}

impl Encrypt {
    pub fn new(bits: KeyBits, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match bits {
            KeyBits::B128 => Self::Aes128(KeyInit::new_from_slice(key)?),
            KeyBits::B192 => Self::Aes192(KeyInit::new_from_slice(key)?),
            KeyBits::B256 => Self::Aes256(KeyInit::new_from_slice(key)?),
        })
    }

    fn run(&self, iv: &Block, body: &mut [u8]) -> Option<()> {
        match self {
            Self::Aes128(aes) => encrypt(aes, iv, body),
            Self::Aes192(aes) => encrypt(aes, iv, body),
            Self::Aes256(aes) => encrypt(aes, iv, body),
        }
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

    fn run(&self, iv: &Block, body: &mut [u8]) -> Option<()> {
        match self {
            Self::Aes128(aes) => decrypt(aes, iv, body),
            Self::Aes192(aes) => decrypt(aes, iv, body),
            Self::Aes256(aes) => decrypt(aes, iv, body),
        }
    }
}

/// `body` as blocks. `None`: it is not whole blocks.
fn blocks(body: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = Block::slice_as_chunks_mut(body);
    rest.is_empty().then_some(blocks)
}

fn encrypt<C>(cipher: &C, iv: &Block, body: &mut [u8]) -> Option<()>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(blocks(body)?);
    Some(())
}

fn decrypt<C>(cipher: &C, iv: &Block, body: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16>,
{
    Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks(body)?);
    Some(())
}

pub(super) fn seal(group: &mut [&mut Seal<'_>]) {
    for item in group {
        if seal_one(item).is_none() {
            item.packet.zeroize();
        }
    }
}

fn seal_one(item: &mut Seal<'_>) -> Option<()> {
    let SealSchedule::CbcHmac(key) = &item.key.schedule else { return None };
    let parts = layout::parts(item.packet, IV, item.key.suite().icv_len())?;
    let iv = key.ivs.iv(item.sequence);
    parts.iv.copy_from_slice(&iv);
    key.cipher.run(&iv, parts.body)?;
    key.mac.sign(item.packet, item.sequence, item.key.esn)
}

pub(super) fn open(group: &mut [&mut Open<'_>]) {
    for item in group {
        if open_one(item).is_some() {
            item.verdict = Ok(());
        }
    }
}

/// Not one block is decrypted, and no padding looked at, before the ICV has verified.
fn open_one(item: &mut Open<'_>) -> Option<()> {
    let OpenSchedule::CbcHmac(key) = &item.key.schedule else { return None };
    key.mac.verify(item.packet, item.sequence, item.key.esn)?;
    let parts = layout::parts(item.packet, IV, item.key.suite().icv_len())?;
    let iv = Block::try_from(&*parts.iv).ok()?;
    key.cipher.run(&iv, parts.body)
}
