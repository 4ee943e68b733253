//! CBC with blocks of 64 bits and an explicit IV (RFC 2405, RFC 2451), for old peers.
use aes::cipher::consts::U8;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, InvalidLength, KeyInit};
use blowfish::Blowfish;
use cast5::Cast5;
use des::{Des, TdesEde3};
use idea::Idea;

use super::rc5::Rc5;
use crate::suite::Legacy;

type Block = [u8; 8];

/// Both directions of one of them, keyed.
#[allow(clippy::large_enum_variant, reason = "Blowfish is; it lies in a box")]
pub(super) enum Cipher {
    Des(Des),
    TripleDes(TdesEde3),
    Cast128(Cast5),
    Blowfish(Blowfish),
    Rc5(Rc5),
    Idea(Idea),
    /// Encrypt with the first, decrypt with the second, encrypt with the third, as RFC 2451 §2.3 has it for DES.
    TripleIdea([Idea; 3]),
}

/// Why a key cannot be used.
pub(super) enum Unfit {
    /// It is not as long as the cipher needs.
    Length,
    /// It makes less of the cipher than its length promises.
    Weak,
}

impl From<InvalidLength> for Unfit {
    fn from(_: InvalidLength) -> Self {
        Self::Length
    }
}

impl Cipher {
    pub fn new(which: Legacy, key: &[u8]) -> Result<Self, Unfit> {
        if key.len() != which.key_len() || key.len() < 5 {
            return Err(Unfit::Length);
        }
        if weak(which, key) {
            return Err(Unfit::Weak);
        }
        Ok(Self::keyed(which, key)?)
    }

    fn keyed(which: Legacy, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match which {
            Legacy::Des => Self::Des(KeyInit::new_from_slice(key)?),
            Legacy::TripleDes => Self::TripleDes(KeyInit::new_from_slice(key)?),
            Legacy::Cast128(_) => Self::Cast128(KeyInit::new_from_slice(key)?),
            Legacy::Blowfish(_) => Self::Blowfish(KeyInit::new_from_slice(key)?),
            Legacy::Rc5(_) => Self::Rc5(Rc5::new(key).ok_or(InvalidLength)?),
            Legacy::Idea => Self::Idea(KeyInit::new_from_slice(key)?),
            Legacy::TripleIdea => {
                let [first, second, third] = thirds(key).ok_or(InvalidLength)?;
                let idea = |key: &[u8]| Idea::new_from_slice(key);
                Self::TripleIdea([idea(first)?, idea(second)?, idea(third)?])
            }
        })
    }

    fn encrypt_block(&self, block: &mut Block) {
        match self {
            Self::Des(cipher) => encrypt(cipher, block),
            Self::TripleDes(cipher) => encrypt(cipher, block),
            Self::Cast128(cipher) => encrypt(cipher, block),
            Self::Blowfish(cipher) => encrypt(cipher, block),
            Self::Rc5(cipher) => cipher.encrypt(block),
            Self::Idea(cipher) => encrypt(cipher, block),
            Self::TripleIdea([first, second, third]) => {
                encrypt(first, block);
                decrypt(second, block);
                encrypt(third, block);
            }
        }
    }

    fn decrypt_block(&self, block: &mut Block) {
        match self {
            Self::Des(cipher) => decrypt(cipher, block),
            Self::TripleDes(cipher) => decrypt(cipher, block),
            Self::Cast128(cipher) => decrypt(cipher, block),
            Self::Blowfish(cipher) => decrypt(cipher, block),
            Self::Rc5(cipher) => cipher.decrypt(block),
            Self::Idea(cipher) => decrypt(cipher, block),
            Self::TripleIdea([first, second, third]) => {
                decrypt(third, block);
                encrypt(second, block);
                decrypt(first, block);
            }
        }
    }

    /// CBC in place. `None`, and nothing done: `iv` is not one block, or `body` not whole ones.
    pub fn encrypt(&self, iv: &[u8], body: &mut [u8]) -> Option<()> {
        let mut last: Block = iv.try_into().ok()?;
        for block in whole(body)? {
            xor(block, &last);
            self.encrypt_block(block);
            last = *block;
        }
        Some(())
    }

    /// As [`Cipher::encrypt`], the other way.
    pub fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Option<()> {
        let mut last: Block = iv.try_into().ok()?;
        for block in whole(body)? {
            let arrived = *block;
            self.decrypt_block(block);
            xor(block, &last);
            last = arrived;
        }
        Some(())
    }
}

fn encrypt(cipher: &impl BlockCipherEncrypt<BlockSize = U8>, block: &mut Block) {
    cipher.encrypt_block(block.into());
}

fn decrypt(cipher: &impl BlockCipherDecrypt<BlockSize = U8>, block: &mut Block) {
    cipher.decrypt_block(block.into());
}

fn xor(block: &mut Block, with: &Block) {
    block.iter_mut().zip(with).for_each(|(to, from)| *to ^= from);
}

fn whole(body: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = body.as_chunks_mut();
    rest.is_empty().then_some(blocks)
}

fn thirds(key: &[u8]) -> Option<[&[u8]; 3]> {
    let mut parts = key.chunks_exact(key.len() / 3);
    Some([parts.next()?, parts.next()?, parts.next()?])
}

/// Keys to refuse: DES's weak, semi-weak and possibly weak ones (RFC 2405 §2.3), alone or as part of three, and
/// three keys of which two neighbours are equal, so that one encryption undoes the other (RFC 2451 §2.3). The others
/// have no weak keys, or none that anybody could draw or check (RFC 2451 §2.3).
fn weak(which: Legacy, key: &[u8]) -> bool {
    let undone = |key: &[u8]| thirds(key).is_some_and(|[a, b, c]| a == b || b == c);
    match which {
        Legacy::Des => weak_des(key),
        Legacy::TripleDes => weak_des(key) || undone(&odd(key)),
        Legacy::TripleIdea => undone(key),
        Legacy::Cast128(_) | Legacy::Blowfish(_) | Legacy::Rc5(_) | Legacy::Idea => false,
    }
}

fn weak_des(keys: &[u8]) -> bool {
    odd(keys).chunks(8).any(|key| key.len() == 8 && des::weak_key_test(key).is_err())
}

/// With odd parity in the lowest bit of each octet, as DES keys are written (RFC 2405 §2.3); DES itself
/// does not look at it.
fn odd(key: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let odd = |octet: &u8| octet & 0xfe | u8::from((octet >> 1).count_ones().is_multiple_of(2));
    zeroize::Zeroizing::new(key.iter().map(odd).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_hex::hex;

    /// One block in CBC with an IV of zeros is that block enciphered.
    fn check(which: Legacy, key: &[u8], iv: &[u8], plain: &[u8], cipher: &[u8]) {
        let keyed = Cipher::keyed(which, key).unwrap();
        let mut text = plain.to_vec();
        keyed.encrypt(iv, &mut text).unwrap();
        assert_eq!(text, cipher, "{which:?} {key:02x?}");
        keyed.decrypt(iv, &mut text).unwrap();
        assert_eq!(text, plain, "{which:?} {key:02x?}");
    }

    #[test]
    fn blocks_agree_with_what_was_published() {
        let file = include_str!("../../tests/vectors/blocks64.txt");
        let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let [name, key, plain, cipher] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let [key, plain, cipher] = [key, plain, cipher].map(hex);
            let octets = u8::try_from(key.len()).unwrap();
            let which = match name {
                "des" => Legacy::Des,
                "des3" => Legacy::TripleDes,
                "cast" => Legacy::Cast128(octets),
                "blowfish" => Legacy::Blowfish(octets),
                _ => Legacy::Idea,
            };
            check(which, &key, &[0; 8], &plain, &cipher);
        }
    }

    #[test]
    fn rc5_agrees_with_rfc_2040() {
        // §9, those with 16 rounds
        for (key, iv, plain, cipher) in [
            ("00", "0102030405060708", "1020304050607080", "545f7f32a5fc3836"),
            ("01020304", "0000000000000000", "ffffffffffffffff", "cf270ef9717ff7c4"),
        ] {
            let key = hex(key);
            let which = Legacy::Rc5(u8::try_from(key.len()).unwrap());
            check(which, &key, &hex(iv), &hex(plain), &hex(cipher));
        }
    }

    #[test]
    fn rc5_agrees_with_the_crate_that_fixes_the_length_of_its_key() {
        use aes::cipher::consts::{U5, U16, U20, U255};
        fn theirs<C: BlockCipherEncrypt<BlockSize = U8> + KeyInit>(key: &[u8]) -> Block {
            let mut block = *b"one text";
            encrypt(&C::new_from_slice(key).unwrap(), &mut block);
            block
        }
        let key: Vec<u8> = (0..255).map(|n| n ^ 0xa7).collect();
        for (len, block) in [
            (5, theirs::<rc5::RC5<u32, U16, U5>>(&key[..5])),
            (16, theirs::<rc5::RC5<u32, U16, U16>>(&key[..16])),
            (20, theirs::<rc5::RC5<u32, U16, U20>>(&key[..20])),
            (255, theirs::<rc5::RC5<u32, U16, U255>>(&key)),
        ] {
            check(Legacy::Rc5(len), &key[..len.into()], &[0; 8], b"one text", &block);
        }
    }

    #[test]
    fn three_equal_idea_keys_are_one() {
        let key: Vec<u8> = (1..=16).collect();
        let one = Cipher::keyed(Legacy::Idea, &key).unwrap();
        let mut text = b"some longer text".to_vec();
        one.encrypt(b"any init", &mut text).unwrap();
        check(Legacy::TripleIdea, &key.repeat(3), b"any init", b"some longer text", &text);
    }

    #[test]
    fn every_block_depends_on_the_one_before() {
        // SP 800-38A §6.2, by hand
        let cipher = Cipher::keyed(Legacy::Blowfish(7), b"any key").unwrap();
        let (iv, plain) = (*b"any init", *b"two of 8 octets!");
        let (mut first, mut second) = (*b"two of 8", *b" octets!");
        xor(&mut first, &iv);
        cipher.encrypt_block(&mut first);
        xor(&mut second, &first);
        cipher.encrypt_block(&mut second);
        let mut text = plain;
        cipher.encrypt(&iv, &mut text).unwrap();
        assert_eq!(text[..], [first, second].concat());
        assert_eq!(cipher.encrypt(&iv, &mut text[..15]), None);
        assert_eq!(cipher.decrypt(&iv[..7], &mut text), None);
        cipher.decrypt(&iv, &mut text).unwrap();
        assert_eq!(text, plain);
    }

    #[test]
    fn weak_keys_are_refused_whatever_their_parity() {
        let refused = |which, key: &str| matches!(Cipher::new(which, &hex(key)), Err(Unfit::Weak));
        let good = "0123456789abcdef";
        for weak in [
            "0101010101010101", // weak
            "fefefefefefefefe",
            "0000000000000000", // the first of them, parity forgotten
            "ffffffffffffffff",
            "e0e0e0e0f1f1f1f1",
            "01fe01fe01fe01fe", // semi-weak
            "1f011f010e010e01",
            "1f1f01010e0e0101", // possibly weak
        ] {
            assert!(refused(Legacy::Des, weak), "{weak}");
            for three in [[weak, good, "1122334455667788"], ["1122334455667788", good, weak]] {
                assert!(refused(Legacy::TripleDes, &three.concat()), "{three:?}");
            }
        }
        assert!(!refused(Legacy::Des, good));
        let (a, b, c) = (good, "1122334455667788", "8877665544332211");
        assert!(refused(Legacy::TripleDes, &[a, a, c].concat()));
        assert!(
            refused(Legacy::TripleDes, &[a, b, "1023324554677689"].concat()),
            "parity apart, b"
        );
        assert!(!refused(Legacy::TripleDes, &[a, b, c].concat()));
        assert!(!refused(Legacy::TripleDes, &[a, b, a].concat()), "two keys are still two");
        let idea =
            |keys: [&str; 3]| refused(Legacy::TripleIdea, &keys.map(|k| k.repeat(2)).concat());
        assert!(idea([a, a, b]) && idea([a, b, b]) && !idea([a, b, a]));
    }

    #[test]
    fn keys_have_the_ciphers_lengths() {
        for (which, len) in [(Legacy::Cast128(4), 4), (Legacy::Cast128(17), 17), (Legacy::Des, 7)] {
            let made = Cipher::new(which, &vec![7; len]);
            assert!(matches!(made, Err(Unfit::Length)), "{which:?}");
        }
    }
}
