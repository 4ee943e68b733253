//! aws-lc: AEADs through aws-lc-rs; CBC with HMAC through aws-lc-sys, since aws-lc-rs would allocate for each packet.
#![allow(unsafe_code, reason = "aws-lc-sys is C")]
use crate::algorithm::{Algorithm, Cipher, Hash, Keys, Parts};
use crate::{Packet, Rival, count};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_sys as c;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};

/// With these keys, if aws-lc has the algorithm.
pub(crate) fn rival(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>> {
    match (algorithm.cipher, algorithm.key_len) {
        (Cipher::AesGcm, 16) => aead(algorithm, &AES_128_GCM, keys),
        (Cipher::AesGcm, 24) => aead(algorithm, &AES_192_GCM, keys),
        (Cipher::AesGcm, 32) => aead(algorithm, &AES_256_GCM, keys),
        (Cipher::ChaCha20Poly1305, _) => aead(algorithm, &CHACHA20_POLY1305, keys),
        (Cipher::AesCbc, _) => etm(algorithm, keys),
        _ => None,
    }
}

struct Aead {
    algorithm: Algorithm,
    seal: Vec<LessSafeKey>,
    open: Vec<LessSafeKey>,
}

fn aead(
    algorithm: Algorithm,
    aead: &'static aws_lc_rs::aead::Algorithm,
    keys: &[Keys],
) -> Option<Box<dyn Rival>> {
    let key = |keys: &Keys| UnboundKey::new(aead, &keys.cipher).ok().map(LessSafeKey::new);
    let all = || keys.iter().map(key).collect::<Option<Vec<_>>>();
    let made = Aead { algorithm, seal: all()?, open: all()? };
    (algorithm.icv_len == 16).then_some(made).map(|made| Box::new(made) as _)
}

impl Rival for Aead {
    fn name(&self) -> &str {
        "aws-lc-rs"
    }

    fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let key = self.seal.get(packet.sa())?;
            let nonce = Nonce::assume_unique_for_key(packet.nonce());
            let parts = self.algorithm.split(packet.octets())?;
            let aad = Aad::from(parts.head);
            let tag = key.seal_in_place_separate_tag(nonce, aad, parts.body).ok()?;
            parts.icv.copy_from_slice(tag.as_ref());
            Some(())
        })
    }

    fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let key = self.open.get(packet.sa())?;
            let nonce = Nonce::assume_unique_for_key(packet.nonce());
            let at = self.algorithm.body(0).start;
            let (head, sealed) = packet.octets().split_at_mut_checked(at)?;
            let aad = Aad::from(head.get(..8)?);
            key.open_in_place(nonce, aad, sealed).ok().map(|_| ())
        })
    }
}

/// An AES key schedule and an HMAC context that returns to its keyed state for each packet.
struct EtmKey {
    aes: c::AES_KEY,
    hmac: *mut c::HMAC_CTX,
}

impl Drop for EtmKey {
    fn drop(&mut self) {
        // SAFETY: `hmac` came from HMAC_CTX_new and is freed here only.
        unsafe { c::HMAC_CTX_free(self.hmac) };
    }
}

impl EtmKey {
    fn new(keys: &Keys, hash: Hash, encrypt: bool) -> Option<Self> {
        let aes = schedule(&keys.cipher, encrypt)?;
        // SAFETY: takes nothing; null is looked for below.
        let hmac = unsafe { c::HMAC_CTX_new() };
        let digest = digest(hash)?;
        let (key, len) = (keys.mac.as_ptr().cast(), keys.mac.len());
        // SAFETY: the context is new, the key has `len` octets, the digest is static; no engine.
        let good =
            !hmac.is_null() && unsafe { c::HMAC_Init_ex(hmac, key, len, digest, null_mut()) } == 1;
        good.then_some(Self { aes, hmac })
    }

    /// The HMAC of the packet up to its ICV.
    fn sign(&mut self, parts: &Parts<'_>) -> Option<[u8; 64]> {
        let (mut tag, mut len) = ([0; 64], 0);
        // SAFETY: a keyed context; no key and no digest mean those that it has.
        let mut good = unsafe { c::HMAC_Init_ex(self.hmac, null(), 0, null(), null_mut()) } == 1;
        for part in [parts.head, parts.iv, &*parts.body] {
            // SAFETY: the context is initialised; pointer and length are a slice's.
            good &= unsafe { c::HMAC_Update(self.hmac, part.as_ptr(), part.len()) } == 1;
        }
        // SAFETY: the context is initialised; no digest is longer than 64 octets.
        good &= unsafe { c::HMAC_Final(self.hmac, tag.as_mut_ptr(), &mut len) } == 1;
        good.then_some(tag)
    }

    fn cbc(&self, parts: &mut Parts<'_>, encrypt: bool) -> Option<()> {
        let mut iv: [u8; 16] = parts.iv.try_into().ok()?;
        let (body, len) = (parts.body.as_mut_ptr(), parts.body.len());
        if !len.is_multiple_of(16) {
            return None;
        }
        // SAFETY: in place over `body`, whole blocks; the schedule is of this direction; the IV has 16 octets.
        unsafe { c::AES_cbc_encrypt(body, body, len, &self.aes, iv.as_mut_ptr(), encrypt.into()) };
        Some(())
    }
}

fn schedule(key: &[u8], encrypt: bool) -> Option<c::AES_KEY> {
    let mut aes = MaybeUninit::<c::AES_KEY>::zeroed();
    let bits = key.len() as u32 * 8;
    let made = if encrypt {
        // SAFETY: the key has `bits` bits, the schedule is room for any.
        unsafe { c::AES_set_encrypt_key(key.as_ptr(), bits, aes.as_mut_ptr()) }
    } else {
        // SAFETY: as above.
        unsafe { c::AES_set_decrypt_key(key.as_ptr(), bits, aes.as_mut_ptr()) }
    };
    // SAFETY: it is numbers, all of them written, by zeroing at least.
    (made == 0).then_some(unsafe { aes.assume_init() })
}

fn digest(hash: Hash) -> Option<*const c::EVP_MD> {
    let digest = match hash {
        Hash::None => return None,
        // SAFETY: these functions take nothing and return something static.
        Hash::Md5 => unsafe { c::EVP_md5() },
        // SAFETY: as above.
        Hash::Sha1 => unsafe { c::EVP_sha1() },
        // SAFETY: as above.
        Hash::Sha256 => unsafe { c::EVP_sha256() },
        // SAFETY: as above.
        Hash::Sha384 => unsafe { c::EVP_sha384() },
        // SAFETY: as above.
        Hash::Sha512 => unsafe { c::EVP_sha512() },
    };
    Some(digest)
}

struct Etm {
    algorithm: Algorithm,
    seal: Vec<EtmKey>,
    open: Vec<EtmKey>,
}

fn etm(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>> {
    let all = |encrypt: bool| {
        let key = |keys: &Keys| EtmKey::new(keys, algorithm.hash, encrypt);
        keys.iter().map(key).collect::<Option<Vec<_>>>()
    };
    Some(Box::new(Etm { algorithm, seal: all(true)?, open: all(false)? }))
}

impl Rival for Etm {
    fn name(&self) -> &str {
        "aws-lc-sys"
    }

    fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let key = self.seal.get_mut(packet.sa())?;
            let mut parts = self.algorithm.split(packet.octets())?;
            key.cbc(&mut parts, true)?;
            let tag = key.sign(&parts)?;
            parts.icv.copy_from_slice(tag.get(..parts.icv.len())?);
            Some(())
        })
    }

    fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let key = self.open.get_mut(packet.sa())?;
            let mut parts = self.algorithm.split(packet.octets())?;
            let tag = key.sign(&parts)?;
            let (ours, theirs, len) = (tag.as_ptr(), parts.icv.as_ptr(), parts.icv.len());
            // SAFETY: both have `len` octets: no ICV is longer than 64.
            let differ = unsafe { c::CRYPTO_memcmp(ours.cast(), theirs.cast(), len.min(64)) };
            if differ != 0 {
                return None;
            }
            key.cbc(&mut parts, false)
        })
    }
}
