//! ring: AEADs only.
use crate::algorithm::{Algorithm, Cipher, Keys};
use crate::{Packet, Rival, count};
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

struct Ring {
    algorithm: Algorithm,
    seal: Vec<LessSafeKey>,
    open: Vec<LessSafeKey>,
}

/// With these keys, if ring has the algorithm.
pub(crate) fn rival(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>> {
    let aead = match (algorithm.cipher, algorithm.key_len) {
        (Cipher::AesGcm, 16) => &AES_128_GCM,
        (Cipher::AesGcm, 32) => &AES_256_GCM,
        (Cipher::ChaCha20Poly1305, _) => &CHACHA20_POLY1305,
        _ => return None,
    };
    let key = |keys: &Keys| UnboundKey::new(aead, &keys.cipher).ok().map(LessSafeKey::new);
    let all = || keys.iter().map(key).collect::<Option<Vec<_>>>();
    (algorithm.icv_len == 16)
        .then_some(Ring { algorithm, seal: all()?, open: all()? })
        .map(|ring| Box::new(ring) as _)
}

impl Rival for Ring {
    fn name(&self) -> &str {
        "ring"
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
