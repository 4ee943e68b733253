//! Keyed MD5 (RFC 1828): MD5 of key ‖ fill ‖ packet ‖ key. Defined for AH of 1995, long broken; for peers
//! that have nothing else.
use hmac::digest::Digest;
use md5::Md5;
use zeroize::Zeroizing;

/// Octets of an MD5 block.
const BLOCK: usize = 64;

/// The hash with the filled key in it, and the key.
pub(crate) struct KeyedMd5 {
    begun: Md5,
    key: Zeroizing<Vec<u8>>,
}

impl KeyedMd5 {
    /// RFC 1828 §1: the key is filled as MD5 fills a message: one bit, zeros, its length.
    pub fn new(key: &[u8]) -> Self {
        let zeros = (2 * BLOCK - key.len() % BLOCK - 1 - 8) % BLOCK;
        let bits = 8 * key.len() as u64;
        let begun = Md5::new()
            .chain_update(key)
            .chain_update([0x80])
            .chain_update(vec![0; zeros])
            .chain_update(bits.to_le_bytes());
        Self { begun, key: Zeroizing::new(key.to_vec()) }
    }

    /// All 128 bits of it.
    pub fn digest(&self, covered: &[u8], high: &[u8]) -> [u8; 16] {
        let hash = self.begun.clone().chain_update(covered).chain_update(high);
        hash.chain_update(&*self.key).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fill by hand, as RFC 1321 §3.1 and §3.2 describe it.
    fn filled(key: &[u8]) -> Vec<u8> {
        let mut filled = [key, &[0x80]].concat();
        while filled.len() % 64 != 56 {
            filled.push(0);
        }
        filled.extend((key.len() as u64 * 8).to_le_bytes());
        filled
    }

    #[test]
    fn it_is_md5_of_filled_key_packet_and_key() {
        for len in [0, 1, 16, 55, 56, 63, 64, 65, 100] {
            let key: Vec<u8> = (1..=len).collect();
            let whole = [&filled(&key)[..], b"packet", b"high", &key].concat();
            let want: [u8; 16] = Md5::digest(whole).into();
            assert_eq!(KeyedMd5::new(&key).digest(b"packet", b"high"), want, "{len}");
        }
    }
}
