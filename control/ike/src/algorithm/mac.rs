//! The MACs below PRFs and integrity algorithms: HMAC (RFC 2104), AES-XCBC-MAC (RFC 3566) and AES-CMAC
//! (RFC 4493), all over a message in parts.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac as _};
use zeroize::Zeroizing;

/// A MAC at its full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    Md5,
    Sha1,
    Sha2_256,
    Sha2_384,
    Sha2_512,
    Xcbc,
    Cmac,
}

/// One block of AES.
type Block = [u8; 16];

impl Mac {
    /// Octets of the full tag.
    pub(super) const fn output_len(self) -> usize {
        match self {
            Self::Md5 | Self::Xcbc | Self::Cmac => 16,
            Self::Sha1 => 20,
            Self::Sha2_256 => 32,
            Self::Sha2_384 => 48,
            Self::Sha2_512 => 64,
        }
    }

    /// The tag over the concatenation of `parts`. Keys may have any length: the AES MACs bring theirs to
    /// 16 octets by the rules of RFC 4434 §2 and RFC 4615 §3.
    pub(super) fn compute(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Md5 => hmac::<Hmac<md5::Md5>>(key, parts),
            Self::Sha1 => hmac::<Hmac<sha1::Sha1>>(key, parts),
            Self::Sha2_256 => hmac::<Hmac<sha2::Sha256>>(key, parts),
            Self::Sha2_384 => hmac::<Hmac<sha2::Sha384>>(key, parts),
            Self::Sha2_512 => hmac::<Hmac<sha2::Sha512>>(key, parts),
            Self::Xcbc => Zeroizing::new(xcbc(&xcbc_key(key), parts).to_vec()),
            Self::Cmac => Zeroizing::new(cmac(&cmac_key(key), parts).to_vec()),
        }
    }
}

/// HMAC takes keys of every length (RFC 2104 §2), so that there is no error to report.
fn hmac<H: hmac::Mac + hmac::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let Ok(mut state) = <H as hmac::KeyInit>::new_from_slice(key) else {
        return Zeroizing::default();
    };
    parts.iter().for_each(|part| state.update(part));
    Zeroizing::new(state.finalize().into_bytes().to_vec())
}

/// A shorter key is filled up with zeros, a longer one is its own tag under the zero key (RFC 4434 §2).
fn xcbc_key(key: &[u8]) -> Zeroizing<Block> {
    if key.len() > 16 {
        return Zeroizing::new(xcbc(&[0; 16], &[key]));
    }
    let mut filled = Zeroizing::new([0; 16]);
    filled.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    filled
}

/// A key of any other length is its own tag under the zero key (RFC 4615 §3).
fn cmac_key(key: &[u8]) -> Zeroizing<Block> {
    match key.as_array() {
        Some(key) => Zeroizing::new(*key),
        None => Zeroizing::new(cmac(&[0; 16], &[key])),
    }
}

fn cmac(key: &Block, parts: &[&[u8]]) -> Block {
    let mut state = cmac::Cmac::<Aes128>::new(key.into());
    parts.iter().for_each(|part| state.update(part));
    state.finalize().into_bytes().into()
}

/// AES-XCBC-MAC-128 (RFC 3566 §4), untruncated.
fn xcbc(key: &Block, parts: &[&[u8]]) -> Block {
    let outer = Aes128::new(key.into());
    let subkey = |constant: u8| {
        let mut block = [constant; 16].into();
        outer.encrypt_block(&mut block);
        Zeroizing::new(Block::from(block))
    };
    let chain = Aes128::new((&*subkey(1)).into());
    let mut state = Chain { cipher: chain, sum: Zeroizing::new([0; 16]), filled: 0 };
    parts.iter().flat_map(|part| part.iter()).for_each(|octet| state.push(*octet));
    let last = if state.filled == 16 { subkey(2) } else { subkey(3) };
    state.finish(&last)
}

/// CBC-MAC that holds back the last block: what it is masked with depends on whether it is full.
struct Chain {
    cipher: Aes128,
    /// E[i-1] exclusive-or what there is of block i.
    sum: Zeroizing<Block>,
    filled: usize,
}

impl Chain {
    fn push(&mut self, octet: u8) {
        if self.filled == 16 {
            self.step();
        }
        self.mix(octet);
    }

    fn mix(&mut self, octet: u8) {
        if let Some(at) = self.sum.get_mut(self.filled) {
            *at ^= octet;
            self.filled += 1;
        }
    }

    fn step(&mut self) {
        let mut block = (*self.sum).into();
        self.cipher.encrypt_block(&mut block);
        *self.sum = block.into();
        self.filled = 0;
    }

    fn finish(mut self, mask: &Block) -> Block {
        if self.filled < 16 {
            self.mix(0x80);
        }
        self.sum.iter_mut().zip(mask).for_each(|(to, from)| *to ^= from);
        self.step();
        *self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// 00, 01, 02 …
    fn count(len: u8) -> Vec<u8> {
        (0..len).collect()
    }

    #[test]
    fn aes_xcbc_mac_is_that_of_rfc_3566_section_4_6() {
        for (message, tag) in [
            (vec![], "75f0251d528ac01c4573dfd584d79f29"),
            (count(3), "5b376580ae2f19afe7219ceef172756f"),
            (count(16), "d2a246fa349b68a79998a4394ff7a263"),
            (count(20), "47f51b4564966215b8985c63055ed308"),
            (count(32), "f54f0ec8d2b9f3d36807734bd5283fd4"),
            (count(34), "becbb3bccdb518a30677d5481fb6b4d8"),
            (vec![0; 1000], "f0dafee895db30253761103b5d84528f"),
        ] {
            let computed = Mac::Xcbc.compute(&count(16), &[&message]);
            assert_eq!(*computed, octets(tag), "{} octets", message.len());
        }
    }

    #[test]
    fn keys_of_other_lengths_are_brought_to_sixteen_octets_by_rfc_4434_section_2_4() {
        let long = octets("000102030405060708090a0b0c0d0e0fedcb");
        for (key, tag) in [
            (&count(16)[..], "47f51b4564966215b8985c63055ed308"),
            (&count(10)[..], "0fa087af7d866e7653434e602fdde835"),
            (&long[..], "8cd3c93ae598a9803006ffb67c40e9e4"),
        ] {
            assert_eq!(*Mac::Xcbc.compute(key, &[&count(20)]), octets(tag), "{} octets", key.len());
        }
    }

    #[test]
    fn keys_of_other_lengths_are_brought_to_sixteen_octets_by_rfc_4615_section_4() {
        let long = octets("000102030405060708090a0b0c0d0e0fedcb");
        for (key, tag) in [
            (&long[..], "84a348a4a45d235babfffc0d2b4da09a"),
            (&long[..16], "980ae87b5f4c9c5214f5b6a8455e4c2d"),
            (&long[..10], "290d9e112edb09ee141fcf64c0b72f3d"),
        ] {
            assert_eq!(*Mac::Cmac.compute(key, &[&count(20)]), octets(tag), "{} octets", key.len());
        }
    }

    #[test]
    fn where_a_message_is_cut_into_parts_makes_no_difference() {
        let message = count(40);
        for mac in
            [Mac::Md5, Mac::Sha1, Mac::Sha2_256, Mac::Sha2_384, Mac::Sha2_512, Mac::Xcbc, Mac::Cmac]
        {
            let whole = mac.compute(b"key", &[&message]);
            assert_eq!(whole.len(), mac.output_len());
            for at in 0..=message.len() {
                let (head, tail) = message.split_at(at);
                assert_eq!(mac.compute(b"key", &[head, &[], tail]), whole, "{mac:?} cut at {at}");
            }
        }
    }
}
