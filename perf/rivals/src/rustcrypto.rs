//! The RustCrypto crates, used directly: one packet at a time, the HMAC from a state cloned for each packet.
use crate::algorithm::{Algorithm, Cipher, Hash, Keys, Parts};
use crate::{Packet, Rival, count};
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc, Block};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// With these keys, if the crates that are used here have the algorithm.
pub(crate) fn rival(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>> {
    match (algorithm.cipher, algorithm.key_len) {
        _ if algorithm.icv_len != 16 && algorithm.hash == Hash::None => None,
        (Cipher::AesGcm, 16) => aead::<Aes128Gcm>(algorithm, keys),
        (Cipher::AesGcm, 24) => aead::<AesGcm<aes::Aes192, U12>>(algorithm, keys),
        (Cipher::AesGcm, 32) => aead::<Aes256Gcm>(algorithm, keys),
        (Cipher::ChaCha20Poly1305, _) => aead::<ChaCha20Poly1305>(algorithm, keys),
        (Cipher::AesCbc, 16) => with_hash::<Aes128Enc, Aes128Dec>(algorithm, keys),
        (Cipher::AesCbc, 24) => with_hash::<Aes192Enc, Aes192Dec>(algorithm, keys),
        (Cipher::AesCbc, 32) => with_hash::<Aes256Enc, Aes256Dec>(algorithm, keys),
        _ => None,
    }
}

struct Aead<A> {
    algorithm: Algorithm,
    seal: Vec<A>,
    open: Vec<A>,
}

fn aead<A>(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>>
where
    A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit + 'static,
{
    let key = |keys: &Keys| A::new_from_slice(&keys.cipher).ok();
    let all = || keys.iter().map(key).collect::<Option<Vec<_>>>();
    Some(Box::new(Aead { algorithm, seal: all()?, open: all()? }))
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16>> Rival for Aead<A> {
    fn name(&self) -> &str {
        "RustCrypto"
    }

    fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let (key, nonce) = (self.seal.get(packet.sa())?, packet.nonce());
            let parts = self.algorithm.split(packet.octets())?;
            let body = parts.body.into();
            let tag = key.encrypt_inout_detached((&nonce).into(), parts.head, body).ok()?;
            parts.icv.copy_from_slice(&tag);
            Some(())
        })
    }

    fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let (key, nonce) = (self.open.get(packet.sa())?, packet.nonce());
            let parts = self.algorithm.split(packet.octets())?;
            let tag = (&*parts.icv).try_into().ok()?;
            key.decrypt_inout_detached((&nonce).into(), parts.head, parts.body.into(), tag).ok()
        })
    }
}

struct Etm<E, D, M> {
    algorithm: Algorithm,
    seal: Vec<(E, M)>,
    open: Vec<(D, M)>,
}

fn with_hash<E, D>(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>>
where
    E: BlockCipherEncrypt<BlockSize = U16> + KeyInit + 'static,
    D: BlockCipherDecrypt<BlockSize = U16> + KeyInit + 'static,
{
    match algorithm.hash {
        Hash::Sha1 => etm::<E, D, Hmac<Sha1>>(algorithm, keys),
        Hash::Sha256 => etm::<E, D, Hmac<Sha256>>(algorithm, keys),
        Hash::Sha384 => etm::<E, D, Hmac<Sha384>>(algorithm, keys),
        Hash::Sha512 => etm::<E, D, Hmac<Sha512>>(algorithm, keys),
        Hash::Md5 | Hash::None => None,
    }
}

fn etm<E, D, M>(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>>
where
    E: BlockCipherEncrypt<BlockSize = U16> + KeyInit + 'static,
    D: BlockCipherDecrypt<BlockSize = U16> + KeyInit + 'static,
    M: Mac + KeyInit + Clone + 'static,
{
    let mac = |keys: &Keys| <M as KeyInit>::new_from_slice(&keys.mac).ok();
    let seal = |keys: &Keys| Some((E::new_from_slice(&keys.cipher).ok()?, mac(keys)?));
    let open = |keys: &Keys| Some((D::new_from_slice(&keys.cipher).ok()?, mac(keys)?));
    let (seal, open) = (keys.iter().map(seal).collect(), keys.iter().map(open).collect());
    let (seal, open): (Option<Vec<_>>, Option<Vec<_>>) = (seal, open);
    Some(Box::new(Etm { algorithm, seal: seal?, open: open? }))
}

/// `body` as blocks. `None`: it is not whole blocks.
fn blocks(body: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = Block::slice_as_chunks_mut(body);
    rest.is_empty().then_some(blocks)
}

fn absorb<M: Mac + Clone>(mac: &M, parts: &Parts<'_>) -> M {
    let mut mac = mac.clone();
    mac.update(parts.head);
    mac.update(parts.iv);
    mac.update(parts.body);
    mac
}

impl<E, D, M> Rival for Etm<E, D, M>
where
    E: BlockCipherEncrypt<BlockSize = U16>,
    D: BlockCipherDecrypt<BlockSize = U16>,
    M: Mac + Clone,
{
    fn name(&self) -> &str {
        "RustCrypto"
    }

    fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let (cipher, mac) = self.seal.get(packet.sa())?;
            let parts = self.algorithm.split(packet.octets())?;
            let iv = parts.iv.try_into().ok()?;
            cbc::Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(blocks(parts.body)?);
            let tag = absorb(mac, &parts).finalize().into_bytes();
            parts.icv.copy_from_slice(tag.get(..parts.icv.len())?);
            Some(())
        })
    }

    fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
        count(batch, |packet| {
            let (cipher, mac) = self.open.get(packet.sa())?;
            let parts = self.algorithm.split(packet.octets())?;
            absorb(mac, &parts).verify_truncated_left(parts.icv).ok()?;
            let iv = parts.iv.try_into().ok()?;
            cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks(parts.body)?);
            Some(())
        })
    }
}
