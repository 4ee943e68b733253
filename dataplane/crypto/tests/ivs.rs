//! IVs: unique in a counter mode (RFC 4106 §2), unpredictable in CBC (RFC 3602 §2.1).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use std::collections::HashSet;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use common::{iv, noise, payload, seal_one, unsealed};
use crypto::{Icv, Integrity, KeyBits, SealKey, Suite};

const GCM: Suite = Suite::AesGcm(KeyBits::B256, Icv::I16);
const CBC: Suite = Suite::AesCbc(KeyBits::B128, Integrity::HmacSha2_256_128);

fn key(suite: Suite, epoch: u32) -> SealKey {
    let (key, mac) = (noise(1, suite.key_len()), noise(2, suite.integrity_key_len()));
    SealKey::new(suite, &key, &mac, true, epoch).unwrap()
}

fn iv_of(key: &SealKey, sequence: u64) -> Vec<u8> {
    let mut packet = unsealed(key.suite(), sequence, &payload(key.suite(), 1, 20));
    assert_eq!(seal_one(key, sequence, &mut packet), 0);
    iv(key.suite(), &packet).to_vec()
}

fn bits_that_differ(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

#[test]
fn gcm_ivs_differ_over_epochs_and_numbers() {
    let limit = (1 << 40) - 1;
    let numbers = || (0..300).chain([1 << 32, (1 << 32) + 1, 1 << 39, limit - 1, limit]);
    let mut seen = HashSet::new();
    let mut count = 0;
    for epoch in [0, 1, 2, 0x80_0000, 0xff_fffe, 0xff_ffff] {
        let key = key(GCM, epoch);
        seen.extend(numbers().map(|number| iv_of(&key, number)));
        count += numbers().count();
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn cbc_ivs_of_one_context_never_repeat() {
    let key = key(CBC, 0);
    let seen: HashSet<_> = (0..20_000).map(|number| iv_of(&key, number)).collect();
    assert_eq!(seen.len(), 20_000);
}

#[test]
fn consecutive_cbc_ivs_differ_in_half_of_their_bits() {
    let key = key(CBC, 0);
    let ivs: Vec<_> = (0..4001).map(|number| iv_of(&key, number)).collect();
    let pairs = ivs.iter().zip(&ivs[1..]);
    let differ: u32 = pairs.clone().map(|(a, b)| bits_that_differ(a, b)).sum();
    // 512,000 coins: the mean is 256,000, one standard deviation 358; ten of them never happen
    assert!(differ.abs_diff(256_000) < 3_580, "{differ} bits of 512000 differ");
    // and no single pair is close: 24 of 128 is seven standard deviations away
    assert!(pairs.clone().all(|(a, b)| bits_that_differ(a, b) > 24));
}

#[test]
fn every_bit_of_a_cbc_iv_is_set_half_of_the_time() {
    let key = key(CBC, 0);
    let mut set = [0_u32; 128];
    for number in 0..4000 {
        let iv = iv_of(&key, number);
        (0..128).for_each(|bit| set[bit] += u32::from(iv[bit / 8] >> (bit % 8) & 1));
    }
    assert!(set.iter().all(|count| count.abs_diff(2000) < 320), "{set:?}");
}

#[test]
fn two_contexts_with_one_key_share_no_cbc_iv() {
    let (one, other) = (key(CBC, 0), key(CBC, 0));
    let ivs = |key: &SealKey| (0..2000).map(|number| iv_of(key, number)).collect::<HashSet<_>>();
    assert!(ivs(&one).is_disjoint(&ivs(&other)));
}

#[test]
fn cbc_ivs_are_not_the_number_under_the_data_key() {
    // SP 800-38A Appendix C allows E(k, nonce), but a permutation that the payload's key shares would let
    // whoever chooses plaintext probe it
    let aes = Aes128::new_from_slice(&noise(1, 16)).unwrap();
    let key = key(CBC, 0);
    for number in 0..2000_u64 {
        let mut guess = u128::from(number).to_be_bytes().into();
        aes.encrypt_block(&mut guess);
        assert_ne!(iv_of(&key, number), guess.to_vec());
    }
}
