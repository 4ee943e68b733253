//! What is asked of a rival.

/// A cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Cipher {
    /// ENCR_NULL: integrity alone.
    Null = 0,
    /// ENCR_AES_CBC.
    AesCbc = 1,
    /// ENCR_AES_CTR.
    AesCtr = 2,
    /// ENCR_AES_GCM_16.
    AesGcm = 3,
    /// ENCR_CHACHA20_POLY1305.
    ChaCha20Poly1305 = 4,
}

/// The hash in the HMAC beside the cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hash {
    /// An AEAD has none.
    None = 0,
    /// AUTH_HMAC_MD5_96.
    Md5 = 1,
    /// AUTH_HMAC_SHA1_96.
    Sha1 = 2,
    /// AUTH_HMAC_SHA2_256_128.
    Sha256 = 3,
    /// AUTH_HMAC_SHA2_384_192.
    Sha384 = 4,
    /// AUTH_HMAC_SHA2_512_256.
    Sha512 = 5,
}

/// A suite in the rivals' terms. `struct rival_algorithm` of c/rival.h, field by field.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Algorithm {
    /// The cipher.
    pub cipher: Cipher,
    /// The hash.
    pub hash: Hash,
    /// Octets of the cipher's key, without salt.
    pub key_len: u32,
    /// Octets of the integrity key.
    pub mac_key_len: u32,
    /// Octets of the explicit IV.
    pub iv_len: u32,
    /// Octets of the ICV.
    pub icv_len: u32,
}

/// Octets of an ESP header.
const HEADER: usize = 8;

impl Algorithm {
    /// Where the body stands in a packet of `len` octets.
    pub(crate) fn body(&self, len: usize) -> core::ops::Range<usize> {
        HEADER + self.iv_len as usize..len.saturating_sub(self.icv_len as usize)
    }

    /// Whether a packet has room for all its parts, and whole blocks where the cipher needs them.
    pub(crate) fn fits(&self, len: usize) -> bool {
        let body = self.body(len);
        let unit = if self.cipher == Cipher::AesCbc { 16 } else { 1 };
        !body.is_empty() && body.len().is_multiple_of(unit)
    }

    /// Header, IV, body and ICV.
    pub(crate) fn split<'p>(&self, packet: &'p mut [u8]) -> Option<Parts<'p>> {
        let (head, rest) = packet.split_at_mut_checked(HEADER)?;
        let (iv, rest) = rest.split_at_mut_checked(self.iv_len as usize)?;
        let body_len = rest.len().checked_sub(self.icv_len as usize)?;
        let (body, icv) = rest.split_at_mut_checked(body_len)?;
        Some(Parts { head, iv, body, icv })
    }
}

/// The parts of a packet.
pub(crate) struct Parts<'p> {
    pub head: &'p [u8],
    pub iv: &'p [u8],
    pub body: &'p mut [u8],
    pub icv: &'p mut [u8],
}

/// The key material of one SA.
#[derive(Clone)]
pub struct Keys {
    /// The cipher's key, without salt.
    pub cipher: Vec<u8>,
    /// The integrity key; empty with an AEAD.
    pub mac: Vec<u8>,
}

impl Keys {
    /// Whether the lengths are those of `algorithm`.
    pub(crate) fn fit(&self, algorithm: &Algorithm) -> bool {
        self.cipher.len() == algorithm.key_len as usize
            && self.mac.len() == algorithm.mac_key_len as usize
    }
}
