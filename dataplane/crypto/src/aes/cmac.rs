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
