//! Integrity algorithms of their own: one interface for the lanes of HMAC and of AES.
use subtle::ConstantTimeEq;

#[cfg(target_arch = "x86_64")]
use crate::aes::AesMacKey;
use crate::backend::Backend;
use crate::suite::Integrity;

/// What a lane needs of an integrity key; the algorithm is known beside it.
#[repr(C, align(16))]
#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
pub(crate) enum MacKey {
    /// HMAC over a hash of 32-bit words: inner and outer state, each one block in, words as in this CPU.
    Hmac32 { inner: [[u8; 16]; 2], outer: [[u8; 16]; 2] },
    /// HMAC over a hash of 64-bit words.
    Hmac64 { inner: [[u8; 16]; 4], outer: [[u8; 16]; 4] },
    /// AES-XCBC-MAC or AES-CMAC.
    #[cfg(target_arch = "x86_64")]
    Aes(AesMacKey),
}

/// One ICV to compute.
pub(crate) struct MacJob<'a> {
    pub key: &'a MacKey,
    /// The packet up to its ICV.
    pub covered: &'a [u8],
    /// The high half of an extended number: authenticated behind the packet, never sent.
    pub high: Option<[u8; 4]>,
    /// The result: the first `icv_len` octets of it.
    pub tag: [u8; 32],
}

/// Computes the tags of jobs of one algorithm, at most 64 at once.
pub(crate) type MacKernel = fn(&mut [MacJob<'_>]);

/// The kernel for `integrity`. `None`: the backend has none, portable runs it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn kernel(backend: &Backend, integrity: Integrity) -> Option<MacKernel> {
    match integrity {
        Integrity::HmacSha1_96 => Some(backend.hash?.hmac_sha1),
        Integrity::HmacSha2_256_128 => Some(backend.hash?.hmac_sha256),
        Integrity::HmacSha2_384_192 => Some(backend.hash?.hmac_sha384),
        Integrity::HmacSha2_512_256 => Some(backend.hash?.hmac_sha512),
        Integrity::HmacMd5_96 => Some(backend.hash?.hmac_md5),
        Integrity::AesXcbc96 | Integrity::AesCmac96 => Some(backend.aes?.mac),
        Integrity::KeyedMd5 => None,
    }
}

/// Fills `icv` with the first octets of `tag`. By length, because a copy of a length that is not known costs a call.
#[inline(always)]
pub(crate) fn put(icv: &mut [u8], tag: &[u8; 32]) {
    match icv.len() {
        12 => put_all::<12>(icv, tag),
        16 => put_all::<16>(icv, tag),
        24 => put_all::<24>(icv, tag),
        _ => icv.iter_mut().zip(tag).for_each(|(to, from)| *to = *from),
    }
}

#[inline(always)]
fn put_all<const N: usize>(icv: &mut [u8], tag: &[u8; 32]) {
    if let Some((to, from)) = icv.first_chunk_mut::<N>().zip(tag.first_chunk()) {
        *to = *from;
    }
}

/// Whether the ICVs are one, in time that depends on their length alone.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = match a.len() {
        12 => differences::<12>(a, b),
        16 => differences::<16>(a, b),
        24 => differences::<24>(a, b),
        _ => a.iter().zip(b).fold(0, |all, (a, b)| all | u32::from(a ^ b)),
    };
    a.len() == b.len() && bool::from(differences.ct_eq(&0))
}

/// Of the first `N` octets, a word at a time: octet by octet it would take longer than a short packet's cipher.
#[inline(always)]
fn differences<const N: usize>(a: &[u8], b: &[u8]) -> u32 {
    let Some((a, b)) = a.first_chunk::<N>().zip(b.first_chunk::<N>()) else { return u32::MAX };
    let words = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0);
    words.fold(0, |all, (a, b)| all | u32::from_ne_bytes(*a) ^ u32::from_ne_bytes(*b))
}

impl MacKey {
    /// For the [`kernel`] of `integrity`. `None`: there is none, or the key has not its length.
    #[cfg(target_arch = "x86_64")]
    pub fn new(integrity: Integrity, key: &[u8]) -> Option<Self> {
        match integrity {
            Integrity::AesXcbc96 => AesMacKey::xcbc(key).map(Self::Aes),
            Integrity::AesCmac96 => AesMacKey::cmac(key).map(Self::Aes),
            _ => crate::hash::mac_key(integrity, key),
        }
    }
}
