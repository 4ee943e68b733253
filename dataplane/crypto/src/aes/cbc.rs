//! AES-CBC (RFC 3602): encryption in lanes across packets, decryption wide along each.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
#![allow(
    clippy::indexing_slicing,
    reason = "lanes and rounds of fixed arrays, in loops that unroll"
)]
use super::{CbcJob, DecryptKey, EncryptKey, cmac};
use crate::mac::MacJob;

pub(crate) mod chain;
mod decrypt;
pub(super) mod lanes;
mod single;
pub(crate) mod vector;

use chain::Chain;
use lanes::{CHAINS, Chained};
use vector::Block;

/// The entries of one tier: what a function pointer can hold.
macro_rules! tier {
    ($name:ident) => {
        pub(super) mod $name {
            use super::*;

            /// Encrypts every job in place. Whatever is behind the last whole block stays as it is.
            pub fn encrypt(jobs: &mut [CbcJob<'_, EncryptKey>]) {
                for jobs in jobs.chunks_mut(CHAINS) {
                    // SAFETY: a key holds this kernel only on a backend whose features the CPU has.
                    unsafe { chain::$name::run(jobs) };
                }
            }

            /// Decrypts every job in place. Whatever is behind the last whole block stays as it is.
            pub fn decrypt(jobs: &mut [CbcJob<'_, DecryptKey>]) {
                // SAFETY: as above.
                unsafe { decrypt::$name::run(jobs) };
            }

            /// Encrypts every block by itself.
            pub fn blocks(key: &EncryptKey, blocks: &mut [Block]) {
                // SAFETY: as above.
                unsafe { single::$name::run(key, blocks) };
            }

            /// Runs chains that only read.
            pub fn chains(chains: &mut [Chain<'_>]) {
                for chains in chains.chunks_mut(CHAINS) {
                    // SAFETY: as above.
                    unsafe { chain::$name::run(chains) };
                }
            }

            /// AES-XCBC-MAC and AES-CMAC.
            pub fn mac(jobs: &mut [MacJob<'_>]) {
                cmac::mac(jobs, chains);
            }
        }
    };
}

tier!(narrow);
tier!(vaes256);
tier!(vaes512);

impl<'a> Chained<'a> for CbcJob<'a, EncryptKey> {
    type Part = &'a mut [Block];
    const WHOLE: bool = true;

    fn key(&self) -> &'a EncryptKey {
        self.key
    }

    fn state(&self) -> Block {
        self.iv
    }

    fn count(&self) -> usize {
        self.body.len() / 16
    }

    fn take(&mut self) -> Option<&'a mut [Block]> {
        let (blocks, _) = core::mem::take(&mut self.body).as_chunks_mut();
        (!blocks.is_empty()).then_some(blocks)
    }

    fn end(&mut self, _state: Block) {}
}

#[cfg(test)]
mod tests {
    use aes::cipher::array::Array;
    use aes::cipher::consts::U16;
    use aes::cipher::{BlockCipherEncrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
    use aes::{Aes128Enc, Aes192Enc, Aes256Enc};

    use super::*;
    use crate::aes::{CbcDecryptKernel, CbcEncryptKernel};
    use crate::suite::KeyBits;

    type Single = fn(&EncryptKey, &mut [Block]);
    type Tier = (&'static str, CbcEncryptKernel, CbcDecryptKernel, Single);

    /// Those that this CPU can run.
    fn tiers() -> Vec<Tier> {
        let vaes = is_x86_feature_detected!("vaes");
        let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
        let all: [(bool, Tier); 3] = [
            (true, ("narrow", narrow::encrypt, narrow::decrypt, narrow::blocks)),
            (vaes, ("vaes256", vaes256::encrypt, vaes256::decrypt, vaes256::blocks)),
            (vaes && wide, ("vaes512", vaes512::encrypt, vaes512::decrypt, vaes512::blocks)),
        ];
        all.into_iter().filter_map(|(runs, tier)| runs.then_some(tier)).collect()
    }

    fn octets(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| (((at + seed) * 7919) >> 3) as u8).collect()
    }

    fn block(seed: usize) -> Block {
        octets(seed, 16).try_into().unwrap()
    }

    fn with<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: C, iv: &Block, body: &mut [u8]) {
        let blocks = Array::<u8, U16>::slice_as_chunks_mut(body).0;
        cbc::Encryptor::inner_iv_init(cipher, iv.into()).encrypt_blocks(blocks);
    }

    /// What RustCrypto makes of it.
    fn expected(key: &[u8], iv: &Block, body: &mut [u8]) {
        match key.len() {
            16 => with(Aes128Enc::new_from_slice(key).unwrap(), iv, body),
            24 => with(Aes192Enc::new_from_slice(key).unwrap(), iv, body),
            _ => with(Aes256Enc::new_from_slice(key).unwrap(), iv, body),
        }
    }

    /// All tiers, there and back, packets of these lengths with `keys` keys between them.
    fn check(lengths: &[usize], keys: usize) {
        for bits in KeyBits::ALL {
            let keys: Vec<_> = (0..keys).map(|seed| octets(seed, bits.octets())).collect();
            let make = |key: &Vec<u8>| {
                (EncryptKey::new(bits, key).unwrap(), DecryptKey::new(bits, key).unwrap())
            };
            let schedules: Vec<_> = keys.iter().map(make).collect();
            let plain: Vec<_> = lengths.iter().map(|len| octets(*len, *len)).collect();
            let mut cipher = plain.clone();
            for (at, body) in cipher.iter_mut().enumerate() {
                expected(&keys[at % keys.len()], &block(at), body);
            }
            for (name, encrypt, decrypt, _) in tiers() {
                let mut bodies = plain.clone();
                let mut jobs: Vec<_> = (bodies.iter_mut().enumerate())
                    .map(|(at, body)| CbcJob {
                        key: &schedules[at % keys.len()].0,
                        iv: block(at),
                        body,
                    })
                    .collect();
                encrypt(&mut jobs);
                assert_eq!(bodies, cipher, "{name}, {bits:?}");
                let mut jobs: Vec<_> = (bodies.iter_mut().enumerate())
                    .map(|(at, body)| CbcJob {
                        key: &schedules[at % keys.len()].1,
                        iv: block(at),
                        body,
                    })
                    .collect();
                decrypt(&mut jobs);
                assert_eq!(bodies, plain, "{name}, {bits:?}");
            }
        }
    }

    #[test]
    fn every_length_in_batches_of_every_shape_with_one_key_and_with_many() {
        let lengths: Vec<_> = (0..=2100).step_by(16).chain([9008]).collect();
        if cfg!(miri) {
            return check(&[48, 0, 160, 16, 16, 32, 128, 64, 16, 208], 3);
        }
        for (shape, keys) in [(1, 1), (7, 1), (8, 3), (9, 9), (16, 5), (17, 1), (33, 33), (64, 64)]
        {
            lengths.chunks(shape).for_each(|lengths| check(lengths, keys));
            // and in an order in which short and long ones alternate
            let mixed: Vec<_> =
                (0..lengths.len()).map(|at| lengths[at * 37 % lengths.len()]).collect();
            mixed.chunks(shape).for_each(|lengths| check(lengths, keys));
        }
    }

    #[test]
    fn batches_of_every_size_and_of_one_length() {
        for size in if cfg!(miri) { 9..10 } else { 0..130 } {
            check(&vec![80; size], 2);
            check(&vec![112; size], size.max(1));
        }
    }

    #[test]
    fn what_is_no_whole_block_stays_as_it_is() {
        for (_, encrypt, decrypt, _) in tiers() {
            let key = EncryptKey::new(KeyBits::B128, &[1; 16]).unwrap();
            let back = DecryptKey::new(KeyBits::B128, &[1; 16]).unwrap();
            let mut body = octets(0, 39);
            encrypt(&mut [CbcJob { key: &key, iv: [0; 16], body: &mut body }]);
            assert_eq!(body[32..], octets(0, 39)[32..]);
            assert_ne!(body[..32], octets(0, 39)[..32]);
            decrypt(&mut [CbcJob { key: &back, iv: [0; 16], body: &mut body }]);
            assert_eq!(body, octets(0, 39));
        }
    }

    #[test]
    fn blocks_by_themselves() {
        for bits in KeyBits::ALL {
            let key = EncryptKey::new(bits, &octets(4, bits.octets())).unwrap();
            for (name, _, _, single) in tiers() {
                for count in 0..if cfg!(miri) { 9 } else { 70 } {
                    let mut blocks: Vec<_> = (0..count).map(block).collect();
                    single(&key, &mut blocks);
                    for (at, found) in blocks.iter().enumerate() {
                        let mut wanted = block(at);
                        expected(&octets(4, bits.octets()), &[0; 16], &mut wanted);
                        assert_eq!(*found, wanted, "{name}, {bits:?}, {at} of {count}");
                    }
                }
            }
        }
    }
}
