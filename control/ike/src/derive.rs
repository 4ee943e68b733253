//! Every key of an IKE SA and of its children, and the octets that AUTH payloads vouch for
//! (RFC 7296 §2.13 to §2.18).

use crate::Key;
use crate::algorithm::Suite;
use crate::algorithm::prf::{Prf, TooMuch};
use wire::iana::{EncryptionId, IntegrityId};

/// The SPIs of an IKE SA, in the order of its original initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spis {
    /// Of the one who sent IKE_SA_INIT, or the request that rekeyed the IKE SA.
    pub initiator: u64,
    /// Of the other one.
    pub responder: u64,
}

/// The nonces of an exchange, without their payload headers.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

/// SKEYSEED of an IKE SA that IKE_SA_INIT makes (RFC 7296 §2.14): prf(Ni | Nr, g^ir). The AES PRFs take
/// the first 8 octets of each nonce.
pub fn skeyseed(prf: Prf, nonces: Nonces<'_>, shared: &Key) -> Key {
    let part = |nonce: &'_ [u8]| {
        let half = nonce.get(..8).filter(|_| prf.takes_half_nonces());
        half.unwrap_or(nonce).to_vec()
    };
    let key = Key::new([part(nonces.initiator), part(nonces.responder)].concat());
    prf.compute(key.expose(), &[shared.expose()])
}

/// SKEYSEED of an IKE SA that takes the place of another (RFC 7296 §2.18): prf(SK_d (old), g^ir | Ni | Nr),
/// with the PRF and SK_d of the old one.
pub fn rekeyed_skeyseed(old: Prf, old_d: &Key, shared: &Key, nonces: Nonces<'_>) -> Key {
    old.compute(old_d.expose(), &[shared.expose(), nonces.initiator, nonces.responder])
}

/// The keys of an IKE SA. Keys of `i` belong to its original initiator, those of `r` to the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// SK_d, from which children and successors are made.
    pub d: Key,
    /// SK_ai: integrity of what the initiator sends; empty with an AEAD.
    pub ai: Key,
    /// SK_ar.
    pub ar: Key,
    /// SK_ei: encryption of what the initiator sends, with the salt behind it where there is one.
    pub ei: Key,
    /// SK_er.
    pub er: Key,
    /// SK_pi: goes into the initiator's AUTH.
    pub pi: Key,
    /// SK_pr.
    pub pr: Key,
}

impl Keys {
    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
    /// (RFC 7296 §2.14), with the nonces and SPIs of the SA that is made, and its own PRF.
    pub fn derive(suite: &Suite, skeyseed: &Key, nonces: Nonces<'_>, spis: Spis) -> Self {
        let (prf, a, e) = (suite.prf(), suite.integ_key_len(), suite.encr().key_len());
        let (p, initiator, responder) =
            (prf.output_len(), spis.initiator.to_be_bytes(), spis.responder.to_be_bytes());
        let seed = [nonces.initiator, nonces.responder, &initiator, &responder];
        let all = prf.plus(skeyseed.expose(), &seed, 3 * p + 2 * a + 2 * e);
        // no suite comes near 255 blocks: the longest has 3 · 16 + 2 · 64 + 2 · 36 octets, 16 a block
        let mut rest = Cut(all.as_ref().map_or(&[], Key::expose));
        let [d, ai, ar, ei, er, pi, pr] = [p, a, a, e, e, p, p].map(|len| rest.take(len));
        Self { d, ai, ar, ei, er, pi, pr }
    }
}

/// Key material from which keys are cut one after another.
struct Cut<'a>(&'a [u8]);

impl Cut<'_> {
    fn take(&mut self, len: usize) -> Key {
        let (key, rest) = self.0.split_at_checked(len).unwrap_or((self.0, &[]));
        self.0 = rest;
        Key::from(key)
    }
}

/// KEYMAT of a child (RFC 7296 §2.17): prf+(SK_d, g^ir | Ni | Nr), its first `len` octets. `shared` is
/// there when the child had a key exchange of its own, and the nonces are those of the exchange that makes
/// it: IKE_SA_INIT's for the first child.
pub fn keymat(
    prf: Prf,
    d: &Key,
    shared: Option<&Key>,
    nonces: Nonces<'_>,
    len: usize,
) -> Result<Key, TooMuch> {
    let shared = shared.map_or(&[][..], Key::expose);
    prf.plus(d.expose(), &[shared, nonces.initiator, nonces.responder], len)
}

/// Octets of the keys of one direction of a child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLengths {
    /// The cipher's key with its salt.
    pub encr: usize,
    /// The integrity algorithm's key; 0 with an AEAD.
    pub integ: usize,
}

impl ChildLengths {
    /// What an ESP suite takes (RFC 7296 §2.17 and the RFC of each algorithm); `None` for algorithms whose
    /// key length this build does not know. `key_bits` is the Key Length attribute, which a cipher of one
    /// length does without.
    pub fn esp(
        encr: EncryptionId,
        key_bits: Option<u16>,
        integ: Option<IntegrityId>,
    ) -> Option<Self> {
        let integ = integ.map_or(Some(0), integ_key_len)?;
        Some(Self { encr: encr_key_len(encr, key_bits)?, integ })
    }
}

/// Octets of a cipher's key and salt in KEYMAT.
fn encr_key_len(encr: EncryptionId, key_bits: Option<u16>) -> Option<usize> {
    use EncryptionId as E;
    let salt = match encr {
        E::ENCR_AES_CTR | E::ENCR_AES_GCM_8 | E::ENCR_AES_GCM_12 | E::ENCR_AES_GCM_16 => 4,
        E::ENCR_NULL_AUTH_AES_GMAC | E::ENCR_CHACHA20_POLY1305 => 4,
        E::ENCR_AES_CCM_8 | E::ENCR_AES_CCM_12 | E::ENCR_AES_CCM_16 => 3,
        _ => 0,
    };
    let bits = match (encr, key_bits) {
        (E::ENCR_NULL, None) => 0,
        (E::ENCR_DES, None) => 64,
        (E::ENCR_3DES, None) => 192,
        (E::ENCR_CHACHA20_POLY1305, None) => 256,
        (E::ENCR_IDEA, None) => 128,
        (E::ENCR_3IDEA, None) => 384,
        (E::ENCR_CAST | E::ENCR_BLOWFISH | E::ENCR_RC5, bits) => bits.unwrap_or(128),
        (
            E::ENCR_NULL
            | E::ENCR_DES
            | E::ENCR_3DES
            | E::ENCR_CHACHA20_POLY1305
            | E::ENCR_IDEA
            | E::ENCR_3IDEA,
            Some(_),
        ) => return None,
        (E::ENCR_AES_CBC, Some(bits)) => bits,
        (_, Some(bits)) if salt != 0 => bits,
        _ => return None,
    };
    (bits % 8 == 0).then_some(usize::from(bits / 8) + salt)
}

/// Octets of an integrity algorithm's key in KEYMAT.
fn integ_key_len(integ: IntegrityId) -> Option<usize> {
    use IntegrityId as I;
    Some(match integ {
        I::NONE => 0,
        I::AUTH_HMAC_MD5_96 | I::AUTH_KPDK_MD5 | I::AUTH_AES_XCBC_96 | I::AUTH_AES_CMAC_96 => 16,
        I::AUTH_HMAC_SHA1_96 => 20,
        I::AUTH_HMAC_SHA2_256_128 => 32,
        I::AUTH_HMAC_SHA2_384_192 => 48,
        I::AUTH_HMAC_SHA2_512_256 => 64,
        _ => return None,
    })
}

/// The keys of one direction of a child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// The cipher's key with its salt behind it.
    pub encr: Key,
    /// The integrity algorithm's key; empty with an AEAD.
    pub integ: Key,
}

/// The keys of a child SA. "Initiator" is who sent the request that makes the child, whoever began the IKE SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildKeys {
    /// For what the initiator of the exchange sends.
    pub from_initiator: Direction,
    /// For what the responder sends.
    pub from_responder: Direction,
}

impl ChildKeys {
    /// KEYMAT cut up in the order of RFC 7296 §2.17: initiator to responder first, encryption before
    /// integrity.
    pub fn derive(
        prf: Prf,
        d: &Key,
        shared: Option<&Key>,
        nonces: Nonces<'_>,
        lengths: ChildLengths,
    ) -> Result<Self, TooMuch> {
        let all = keymat(prf, d, shared, nonces, 2 * (lengths.encr + lengths.integ))?;
        let mut rest = Cut(all.expose());
        let mut direction =
            || Direction { encr: rest.take(lengths.encr), integ: rest.take(lengths.integ) };
        Ok(Self { from_initiator: direction(), from_responder: direction() })
    }
}

/// What one side's AUTH payload vouches for (RFC 7296 §2.15): its first message as sent (with the IKE header,
/// without a non-ESP marker), the other side's nonce, and prf(SK_p, ID) over the body of its ID payload
/// behind the generic header.
pub fn auth_octets(prf: Prf, p: &Key, message: &[u8], nonce: &[u8], id: &[u8]) -> Vec<u8> {
    [message, nonce, prf.compute(p.expose(), &[id]).expose()].concat()
}

/// AUTH of a shared key (RFC 7296 §2.15): prf(prf(key, "Key Pad for IKEv2"), octets).
pub fn psk_auth(prf: Prf, psk: &Key, octets: &[u8]) -> Key {
    let padded = prf.compute(psk.expose(), &[b"Key Pad for IKEv2"]);
    prf.compute(padded.expose(), &[octets])
}

#[cfg(test)]
mod tests {
    use super::*;
    use EncryptionId as E;
    use IntegrityId as I;

    #[test]
    fn esp_suites_take_keys_and_salts_of_their_rfcs() {
        let aead = |encr, bits| ChildLengths::esp(encr, bits, None).map(|lengths| lengths.encr);
        for (encr, bits, len) in [
            (E::ENCR_AES_GCM_16, Some(256), Some(36)),
            (E::ENCR_AES_GCM_8, Some(128), Some(20)),
            (E::ENCR_AES_CCM_12, Some(192), Some(27)),
            (E::ENCR_NULL_AUTH_AES_GMAC, Some(128), Some(20)),
            (E::ENCR_AES_CTR, Some(128), Some(20)),
            (E::ENCR_AES_CBC, Some(256), Some(32)),
            (E::ENCR_CHACHA20_POLY1305, None, Some(36)),
            (E::ENCR_3DES, None, Some(24)),
            (E::ENCR_DES, None, Some(8)),
            (E::ENCR_NULL, None, Some(0)),
            (E::ENCR_BLOWFISH, Some(448), Some(56)),
            (E::ENCR_CAST, None, Some(16)),
            // a length that is missing, not wanted, or no whole octets; an algorithm nobody knows
            (E::ENCR_AES_GCM_16, None, None),
            (E::ENCR_AES_CBC, None, None),
            (E::ENCR_CHACHA20_POLY1305, Some(256), None),
            (E::ENCR_3DES, Some(192), None),
            (E::ENCR_NULL, Some(0), None),
            (E::ENCR_RC5, Some(41), None),
            (EncryptionId(1024), Some(128), None),
        ] {
            assert_eq!(aead(encr, bits), len, "{encr} {bits:?}");
        }
        let integ =
            |integ| ChildLengths::esp(E::ENCR_NULL, None, Some(integ)).map(|lengths| lengths.integ);
        for (id, len) in [
            (I::NONE, Some(0)),
            (I::AUTH_HMAC_MD5_96, Some(16)),
            (I::AUTH_HMAC_SHA1_96, Some(20)),
            (I::AUTH_AES_XCBC_96, Some(16)),
            (I::AUTH_HMAC_SHA2_256_128, Some(32)),
            (I::AUTH_HMAC_SHA2_384_192, Some(48)),
            (I::AUTH_HMAC_SHA2_512_256, Some(64)),
            (I::AUTH_DES_MAC, None),
        ] {
            assert_eq!(integ(id), len, "{id}");
        }
    }

    #[test]
    fn a_child_with_keys_of_no_octets_has_none() {
        let nonces = Nonces { initiator: &[1; 16], responder: &[2; 16] };
        let lengths = ChildLengths { encr: 0, integ: 0 };
        let keys = ChildKeys::derive(Prf::HmacSha1, &Key::default(), None, nonces, lengths);
        let keys = keys.unwrap();
        assert!(keys.from_initiator.encr.is_empty() && keys.from_responder.integ.is_empty());
    }
}
