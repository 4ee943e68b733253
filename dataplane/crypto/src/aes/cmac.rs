//! AES-XCBC-96 (RFC 3566) and AES-CMAC-96 (RFC 4494) in lanes across packets. They are one MAC that differs
//! in its keys: CBC of the message from zero, with one of two keys added to the last block, after whether
//! the message fills it.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
use core::arch::x86_64::*;

use arrayvec::ArrayVec;

use super::EncryptKey;
use super::cbc::chain::{Chain, ChainKernel};
use super::cbc::lanes::CHAINS;
use super::cbc::vector::{Block, load, store};
use crate::mac::{MacJob, MacKey};
use crate::suite::KeyBits;

/// The keys of one SA.
pub(crate) struct AesMacKey {
    /// Of every block: K1 of XCBC, K of CMAC.
    cipher: EncryptKey,
    /// What is added to a last block that the message fills: K2 of XCBC, K1 of CMAC.
    whole: Block,
    /// And to one that padding fills up: K3 of XCBC, K2 of CMAC.
    padded: Block,
}

impl AesMacKey {
    /// AES-XCBC-MAC (RFC 3566 §4). `None`: not 16 octets, or the CPU has no AES-NI.
    pub fn xcbc(key: &[u8]) -> Option<Self> {
        let key = EncryptKey::new(KeyBits::B128, key)?;
        let derive = |constant| encrypt(&key, [constant; 16]);
        let cipher = EncryptKey::new(KeyBits::B128, &derive(1))?;
        Some(Self { cipher, whole: derive(2), padded: derive(3) })
    }

    /// AES-CMAC (RFC 4493 §2.3). `None`: not 16 octets, or the CPU has no AES-NI.
    pub fn cmac(key: &[u8]) -> Option<Self> {
        let cipher = EncryptKey::new(KeyBits::B128, key)?;
        let whole = double(encrypt(&cipher, [0; 16]));
        Some(Self { cipher, whole, padded: double(whole) })
    }
}

/// One block by itself.
fn encrypt(key: &EncryptKey, mut block: Block) -> Block {
    // SAFETY: the CPU has AES-NI: there is an `EncryptKey`.
    unsafe { encrypt_block(key, &mut block) };
    block
}

#[target_feature(enable = "aes")]
fn encrypt_block(key: &EncryptKey, block: &mut Block) {
    let mut keys = key.keys().iter().take(key.rounds() + 1).map(load);
    let last = keys.next_back();
    let mut state = load(block);
    for (round, key) in keys.enumerate() {
        state = if round == 0 { _mm_xor_si128(state, key) } else { _mm_aesenc_si128(state, key) };
    }
    store(block, last.map_or(state, |key| _mm_aesenclast_si128(state, key)));
}

/// Times x in GF(2¹²⁸) (RFC 4493 §2.3), without a branch on the value.
fn double(block: Block) -> Block {
    let value = u128::from_be_bytes(block);
    let reduce = 0x87 & (value >> 127).wrapping_neg();
    (value << 1 ^ reduce).to_be_bytes()
}

/// The message's end, where its last block has been padded and keyed.
struct Tail {
    blocks: [Block; 2],
    /// How many of them there are.
    count: usize,
    /// How many whole blocks of the packet come before.
    body: usize,
}

impl Tail {
    /// Of `covered` ‖ `high`. At least one octet stays for the last block, if there is one.
    fn new(key: &AesMacKey, covered: &[u8], high: Option<[u8; 4]>) -> Self {
        let high = high.as_ref().map_or(&[][..], |high| high);
        let before = covered.len() + high.len();
        let body = (before.saturating_sub(1) / 16).min(covered.len() / 16);
        let rest = before - 16 * body;
        let end = covered.get(16 * body..).unwrap_or_default();
        let mut blocks = [[0; 16]; 2];
        let octets = blocks.as_flattened_mut();
        octets.iter_mut().zip(end.iter().chain(high)).for_each(|(to, from)| *to = *from);
        let count = rest.div_ceil(16).max(1);
        let key = match octets.get_mut(rest) {
            Some(mark) if rest < 16 * count => {
                *mark = 0x80;
                &key.padded
            }
            _ => &key.whole,
        };
        if let Some(last) = blocks.get_mut(count - 1) {
            last.iter_mut().zip(key).for_each(|(to, key)| *to ^= key);
        }
        Self { blocks, count, body }
    }
}

/// The tags of all jobs, with the chains of one tier.
pub(super) fn mac(jobs: &mut [MacJob<'_>], run: ChainKernel) {
    for jobs in jobs.chunks_mut(CHAINS) {
        let tails: ArrayVec<_, CHAINS> = jobs.iter().filter_map(tail_of).collect();
        let ready = jobs.iter().filter_map(|job| Some((key_of(job)?, job.covered)));
        let mut chains: ArrayVec<_, CHAINS> =
            ready.zip(&tails).map(|((key, covered), tail)| chain_of(key, covered, tail)).collect();
        run(&mut chains);
        let ours = jobs.iter_mut().filter(|job| key_of(job).is_some());
        for (job, chain) in ours.zip(&chains) {
            let (tag, _) = job.tag.split_at_mut(16);
            tag.copy_from_slice(&chain.state);
        }
    }
}

fn key_of<'a>(job: &MacJob<'a>) -> Option<&'a AesMacKey> {
    match job.key {
        MacKey::Aes(key) => Some(key),
        _ => None,
    }
}

fn tail_of(job: &MacJob<'_>) -> Option<Tail> {
    Some(Tail::new(key_of(job)?, job.covered, job.high))
}

fn chain_of<'a>(
    key: &'a AesMacKey,
    covered: &'a [u8],
    Tail { blocks, count, body }: &'a Tail,
) -> Chain<'a> {
    let body = covered.as_chunks().0.get(..*body).unwrap_or_default();
    let tail = blocks.get(..*count).unwrap_or_default();
    Chain { key: &key.cipher, state: [0; 16], parts: [body, tail, &[]] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::cbc;
    use crate::mac::MacKernel;
    use crate::portable::mac::Mac;
    use crate::suite::Integrity;
    use crate::test_hex::hex;

    /// Those that this CPU can run.
    fn tiers() -> Vec<MacKernel> {
        let vaes = is_x86_feature_detected!("vaes");
        let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
        let all: [(_, MacKernel); 3] = [
            (true, cbc::narrow::mac),
            (vaes, cbc::vaes256::mac),
            (vaes && wide, cbc::vaes512::mac),
        ];
        all.into_iter().filter_map(|(runs, kernel)| runs.then_some(kernel)).collect()
    }

    fn key(which: Integrity, key: &[u8]) -> MacKey {
        MacKey::new(which, key).unwrap()
    }

    fn tag(kernel: MacKernel, key: &MacKey, covered: &[u8]) -> [u8; 16] {
        let mut job = [MacJob { key, covered, high: None, tag: [0; 32] }];
        kernel(&mut job);
        *job[0].tag.first_chunk().unwrap()
    }

    #[test]
    fn tags_agree_with_rfc_4493_and_rfc_3566() {
        let message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                           30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        let counting: Vec<u8> = (0..32).collect();
        let cmac = key(Integrity::AesCmac96, &hex("2b7e151628aed2a6abf7158809cf4f3c"));
        let xcbc = key(Integrity::AesXcbc96, &counting[..16]);
        for (key, message, wanted) in [
            (&cmac, &message[..0], "bb1d6929e95937287fa37d129b756746"),
            (&cmac, &message[..16], "070a16b46b4d4144f79bdd9dd04a287c"),
            (&cmac, &message[..40], "dfa66747de9ae63030ca32611497c827"),
            (&cmac, &message[..64], "51f0bebf7e3b9d92fc49741779363cfe"),
            (&xcbc, &counting[..0], "75f0251d528ac01c4573dfd584d79f29"),
            (&xcbc, &counting[..3], "5b376580ae2f19afe7219ceef172756f"),
            (&xcbc, &counting[..16], "d2a246fa349b68a79998a4394ff7a263"),
            (&xcbc, &counting[..20], "47f51b4564966215b8985c63055ed308"),
            (&xcbc, &counting[..32], "f54f0ec8d2b9f3d36807734bd5283fd4"),
        ] {
            for kernel in tiers() {
                assert_eq!(tag(kernel, key, message)[..], hex(wanted), "{} octets", message.len());
            }
        }
    }

    #[test]
    fn every_length_with_and_without_a_high_half_in_mixed_batches() {
        let packet: Vec<u8> = (0..9000).map(|at| (at * 31 % 251) as u8).collect();
        let step = if cfg!(miri) { 701 } else { 1 };
        let lengths: Vec<_> = (0..=2100).step_by(step).chain([9000]).collect();
        for which in [Integrity::AesXcbc96, Integrity::AesCmac96] {
            let keys = [[1; 16], [2; 16], [3; 16]];
            let fast = keys.map(|octets| key(which, &octets));
            let slow = keys.map(|octets| Mac::new(which, &octets).unwrap());
            let high = |len: usize| (!len.is_multiple_of(3)).then_some([9, 8, 7, len as u8]);
            for kernel in tiers() {
                for lengths in lengths.chunks(61) {
                    let mut jobs: Vec<_> = (lengths.iter())
                        .map(|len| MacJob {
                            key: &fast[len % 3],
                            covered: &packet[..*len],
                            high: high(*len),
                            tag: [0; 32],
                        })
                        .collect();
                    kernel(&mut jobs);
                    for (job, len) in jobs.iter().zip(lengths) {
                        let wanted = slow[len % 3]
                            .icv(&packet[..*len], high(*len).as_ref().map_or(&[], |high| high));
                        assert_eq!(job.tag[..12], wanted[..], "{which:?}, {len} octets");
                    }
                }
            }
        }
    }
}
