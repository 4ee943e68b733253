//! AES-CTR in ESP (RFC 3686).
use aes::cipher::{InnerIvInit, InvalidLength, StreamCipher};
use ctr::{Ctr32BE, CtrCore};
use zeroize::Zeroizing;

use super::aes::Encrypt;
use crate::suite::KeyBits;

/// Key schedule and nonce: both ways the same.
pub(super) struct Ctr {
    aes: Encrypt,
    nonce: Zeroizing<[u8; 4]>,
}

impl Ctr {
    /// From key ‖ nonce (RFC 3686 §5.1).
    pub fn new(bits: KeyBits, material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, nonce) = material.split_last_chunk().ok_or(InvalidLength)?;
        Ok(Self { aes: Encrypt::new(bits, key)?, nonce: Zeroizing::new(*nonce) })
    }

    /// Encrypts or decrypts: the key stream under nonce ‖ IV ‖ counter, which starts at 1 (RFC 3686 §4).
    /// `None`: the IV has not 8 octets.
    pub fn apply(&self, iv: &[u8], body: &mut [u8]) -> Option<()> {
        let [a, b, c, d] = *self.nonce;
        let [e, f, g, h, i, j, k, l] = *iv.as_array()?;
        let start = [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 1];
        let core = CtrCore::inner_iv_init(&self.aes, &start.into());
        Ctr32BE::from_core(core).apply_keystream(body);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_hex::hex;

    #[test]
    fn it_agrees_with_rfc_3686() {
        // §6, vectors 1 to 9: key, nonce, IV, plaintext, ciphertext
        let counting: Vec<u8> = (0..36).collect();
        for (key, nonce, iv, plain, cipher) in [
            (
                "ae6852f8121067cc4bf7a5765577f39e",
                "00000030",
                "0000000000000000",
                &b"Single block msg"[..],
                "e4095d4fb7a7b3792d6175a3261311b8",
            ),
            (
                "7e24067817fae0d743d6ce1f32539163",
                "006cb6db",
                "c0543b59da48d90b",
                &counting[..32],
                "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
            ),
            (
                "7691be035e5020a8ac6e618529f9a0dc",
                "00e0017b",
                "27777f3f4a1786f0",
                &counting,
                "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f",
            ),
            (
                "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515",
                "00000048",
                "36733c147d6d93cb",
                b"Single block msg",
                "4b55384fe259c9c84e7935a003cbe928",
            ),
            (
                "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a",
                "0096b03b",
                "020c6eadc2cb500d",
                &counting[..32],
                "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00",
            ),
            (
                "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe",
                "0007bdfd",
                "5cbd60278dcc0912",
                &counting,
                "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935",
            ),
            (
                "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
                "00000060",
                "db5672c97aa8f0b2",
                b"Single block msg",
                "145ad01dbf824ec7560863dc71e3e0c0",
            ),
            (
                "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884",
                "00faac24",
                "c1585ef15a43d875",
                &counting[..32],
                "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c",
            ),
            (
                "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d",
                "001cc5b7",
                "51a51d70a1c11148",
                &counting,
                "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
            ),
        ] {
            let key = hex(key);
            let bits = KeyBits::ALL.into_iter().find(|bits| bits.octets() == key.len()).unwrap();
            let ctr = Ctr::new(bits, &[key, hex(nonce)].concat()).unwrap();
            let mut text = plain.to_vec();
            ctr.apply(&hex(iv), &mut text).unwrap();
            assert_eq!(text, hex(cipher));
            ctr.apply(&hex(iv), &mut text).unwrap();
            assert_eq!(text, plain);
        }
    }
}
