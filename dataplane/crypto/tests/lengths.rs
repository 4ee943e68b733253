//! Every length, in every suite, in batches of every shape.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use std::sync::LazyLock;

use common::{Pair, body, noise, open_one, pair, payload, seal_one, unsealed};
use crypto::{BadIcv, Open, Seal, Suite};
use proptest::prelude::*;

/// Batch sizes around the powers of two, where lanes and chunks end.
const SHAPES: [usize; 14] = [1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 63, 64, 65, 131];

struct Packet {
    pair: usize,
    sequence: u64,
    plain: Vec<u8>,
    octets: Vec<u8>,
}

fn packet(pairs: &[Pair], pair: usize, number: u64, len: usize) -> Packet {
    let suite = pairs[pair].seal.suite();
    let sequence = number.min(pairs[pair].seal.sequence_limit());
    let plain = payload(suite, number, len);
    Packet { pair, sequence, octets: unsealed(suite, sequence, &plain), plain }
}

fn seal_all(pairs: &[Pair], packets: &mut [Packet]) {
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|p| Seal { key: &pairs[p.pair].seal, sequence: p.sequence, packet: &mut p.octets })
        .collect();
    assert_eq!(crypto::seal(&mut batch), 0);
}

fn open_all(pairs: &[Pair], packets: &mut [Packet]) -> Vec<Result<(), BadIcv>> {
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|p| Open::new(&pairs[p.pair].open, p.sequence, &mut p.octets))
        .collect();
    crypto::open(&mut batch);
    batch.iter().map(|item| item.verdict).collect()
}

/// Seals, checks that the plaintext is gone from the wire, opens, compares.
fn there_and_back(pairs: &[Pair], packets: &mut [Packet]) {
    seal_all(pairs, packets);
    for p in packets.iter() {
        let suite = pairs[p.pair].seal.suite();
        let hidden = body(suite, &p.octets) != p.plain;
        // a body of four octets encrypts to itself once in 2^32
        assert_eq!(hidden, suite.encrypts(), "{suite}, {} octets", p.plain.len());
    }
    let verdicts = open_all(pairs, packets);
    for (p, verdict) in packets.iter().zip(verdicts) {
        let suite = pairs[p.pair].seal.suite();
        assert_eq!(verdict, Ok(()), "{suite}, {} octets", p.plain.len());
        assert_eq!(body(suite, &p.octets), p.plain, "{suite}, {} octets", p.plain.len());
    }
}

fn all_pairs() -> Vec<Pair> {
    let with = |esn| move |suite| pair(suite, esn, 77);
    Suite::all().map(with(false)).chain(Suite::all().map(with(true))).collect()
}

/// Built once: the key schedules of old ciphers take longer than many packets.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(all_pairs);

#[test]
fn every_length_comes_back_in_every_suite_with_the_suites_mixed() {
    let pairs = &*PAIRS;
    let (suites, lengths) = (Suite::all().count(), (0..=2100).chain([9000]));
    let mut waiting = Vec::new();
    let mut shapes = SHAPES.into_iter().cycle();
    let mut shape = 1;
    let mut number = 0;
    for len in lengths {
        for suite in 0..suites {
            number += 1;
            let esn = len % 2 * suites; // odd lengths with ESN, even ones without
            waiting.push(packet(pairs, suite + esn, number, len));
            if waiting.len() == shape {
                there_and_back(pairs, &mut waiting);
                waiting.clear();
                shape = shapes.next().unwrap();
            }
        }
    }
    there_and_back(pairs, &mut waiting);
}

#[test]
fn bodies_need_no_alignment_where_the_cipher_needs_none() {
    for suite in Suite::all().filter(|suite| suite.block() == 4) {
        let Pair { seal, open } = pair(suite, false, 5);
        for len in 0..=300 {
            let plain = noise(9, len);
            let mut packet = unsealed(suite, 1, &plain);
            assert_eq!(seal_one(&seal, 1, &mut packet), 0);
            assert_eq!(open_one(&open, 1, &mut packet), Ok(()));
            assert_eq!(body(suite, &packet), plain);
        }
    }
}

#[test]
fn an_empty_batch_is_no_work() {
    assert_eq!(crypto::seal(&mut []), 0);
    crypto::open(&mut []);
}

#[test]
fn a_batch_keeps_its_order() {
    let pairs = &*PAIRS;
    let mut packets: Vec<_> =
        (0..200).map(|n| packet(pairs, n * 7 % pairs.len(), 1 + n as u64, n)).collect();
    let headers: Vec<_> = packets.iter().map(|p| p.octets[..8].to_vec()).collect();
    seal_all(pairs, &mut packets);
    assert!(packets.iter().zip(headers).all(|(p, header)| p.octets[..8] == header));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What else is in the batch makes no difference: sealed alone it opens in company, and the bad do
    /// not spoil the good.
    #[test]
    fn packets_of_a_batch_do_not_meet(
        wanted in prop::collection::vec((0..2 * Suite::all().count(), 0..600usize, any::<u32>(), any::<bool>()), 0..150)
    ) {
        let pairs = &*PAIRS;
        let make = |&(pair, len, n, _): &(usize, usize, u32, bool)| packet(pairs, pair, n.into(), len);
        let mut packets: Vec<_> = wanted.iter().map(make).collect();
        for (p, (.., spoil)) in packets.iter_mut().zip(&wanted) {
            prop_assert_eq!(seal_one(&pairs[p.pair].seal, p.sequence, &mut p.octets), 0);
            let last = p.octets.len() - 1;
            p.octets[last] ^= u8::from(*spoil);
        }
        let arrived: Vec<_> = packets.iter().map(|p| p.octets.clone()).collect();
        let verdicts = open_all(pairs, &mut packets);
        for (((p, before), verdict), (.., spoil)) in
            packets.iter().zip(arrived).zip(verdicts).zip(&wanted)
        {
            prop_assert_eq!(verdict.is_err(), *spoil);
            let suite = pairs[p.pair].open.suite();
            if *spoil {
                prop_assert_eq!(&p.octets, &before);
            } else {
                prop_assert_eq!(body(suite, &p.octets), &p.plain[..]);
            }
        }
    }
}
