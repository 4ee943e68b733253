//! What is not sealed, not opened, and not accepted as a key.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use common::{EPOCH, iv, noise, open_one, pair, pair_on, payload, seal_one, unsealed};
use crypto::{Backend, BadKey, Icv, Integrity, KeyBits, Open, OpenKey, SealKey, Suite};

const GCM: Suite = Suite::AesGcm(KeyBits::B128, Icv::I16);
const CBC: Suite = Suite::AesCbc(KeyBits::B128, Integrity::HmacSha1_96);
const NULL: Suite = Suite::Null(Integrity::HmacSha1_96);

/// Every suite on every backend.
fn suites_and_backends() -> impl Iterator<Item = (Suite, &'static Backend)> {
    Suite::all().flat_map(|suite| Backend::available().iter().map(move |backend| (suite, *backend)))
}

#[test]
fn packets_of_any_length_get_a_verdict_and_stay_as_they_were() {
    for (suite, backend) in suites_and_backends() {
        let open = pair_on(backend, suite, true, 3).open;
        for len in 0..=200 {
            let arrived = noise(len as u64, len);
            let low = arrived.get(4..8).map_or(0, |o| u32::from_be_bytes(o.try_into().unwrap()));
            let mut packet = arrived.clone();
            assert!(open_one(&open, low.into(), &mut packet).is_err(), "{suite}, {len} octets");
            assert_eq!(packet, arrived, "{suite}, {len} octets");
        }
    }
}

#[test]
fn an_old_verdict_does_not_outlive_the_call() {
    let open = pair(GCM, false, 3).open;
    let mut packet = [0; 5];
    let mut batch = [Open { key: &open, sequence: 0, packet: &mut packet, verdict: Ok(()) }];
    crypto::open(&mut batch);
    assert!(batch[0].verdict.is_err());
}

#[test]
fn what_has_no_room_or_is_ragged_is_wiped_and_not_sealed() {
    for (suite, backend) in suites_and_backends() {
        let seal = pair_on(backend, suite, false, 3).seal;
        for len in 0..=200 {
            let mut packet = noise(len as u64, len);
            packet.iter_mut().skip(4).take(4).for_each(|octet| *octet = 0);
            let refused = seal_one(&seal, 0, &mut packet);
            assert_eq!(refused == 0, suite.accepts(len), "{suite}, {len} octets");
            assert!(
                refused == 0 || packet.iter().all(|octet| *octet == 0),
                "{suite}, {len} octets"
            );
        }
    }
}

#[test]
fn no_number_above_the_limit_is_sealed() {
    for (suite, esn, limit) in [
        (GCM, false, (1 << 32) - 1), // RFC 4303 §3.3.3
        (GCM, true, (1 << 40) - 1),  // an IV epoch's room
        (CBC, false, (1 << 32) - 1),
        (CBC, true, u64::MAX - u64::from(u32::MAX)),
        (NULL, false, (1 << 32) - 1),
        (NULL, true, u64::MAX - u64::from(u32::MAX)),
    ] {
        let seal = pair(suite, esn, 3).seal;
        assert_eq!(seal.sequence_limit(), limit, "{suite}, ESN {esn}");
        for (sequence, refused) in [(limit, 0), (limit + 1, 1)] {
            let mut packet = unsealed(suite, sequence, &payload(suite, 1, 60));
            assert_eq!(seal_one(&seal, sequence, &mut packet), refused, "{suite}, ESN {esn}");
            assert_eq!(packet.iter().all(|octet| *octet == 0), refused == 1);
        }
    }
}

#[test]
fn a_header_with_another_number_is_neither_sealed_nor_opened() {
    for suite in Suite::all() {
        let both = pair(suite, false, 3);
        let mut packet = unsealed(suite, 7, &payload(suite, 1, 60));
        assert_eq!(seal_one(&both.seal, 8, &mut packet), 1);
        let mut packet = unsealed(suite, 7, &payload(suite, 1, 60));
        assert_eq!(seal_one(&both.seal, 7, &mut packet), 0);
        assert!(open_one(&both.open, 8, &mut packet).is_err());
        assert_eq!(open_one(&both.open, 7, &mut packet), Ok(()));
    }
}

#[test]
fn another_key_or_the_other_kind_of_number_does_not_open() {
    for (suite, backend) in suites_and_backends() {
        let pair = |esn, seed| pair_on(backend, suite, esn, seed);
        let mut packet = unsealed(suite, 7, &payload(suite, 1, 60));
        seal_one(&pair(false, 3).seal, 7, &mut packet);
        assert!(open_one(&pair(false, 4).open, 7, &mut packet).is_err(), "{suite}");
        assert!(open_one(&pair(true, 3).open, 7, &mut packet).is_err(), "{suite}");
        assert_eq!(open_one(&pair(false, 3).open, 7, &mut packet), Ok(()), "{suite}");
    }
}

#[test]
fn a_packet_opens_once_in_place() {
    // opened again it is plaintext where ciphertext should be; where nothing is encrypted nobody can tell
    for (suite, backend) in suites_and_backends().filter(|(suite, _)| suite.encrypts()) {
        let both = pair_on(backend, suite, false, 3);
        let mut packet = unsealed(suite, 7, &payload(suite, 1, 60));
        seal_one(&both.seal, 7, &mut packet);
        assert_eq!(open_one(&both.open, 7, &mut packet), Ok(()));
        assert!(open_one(&both.open, 7, &mut packet).is_err(), "{suite}");
    }
}

#[test]
fn keys_have_exactly_the_suites_lengths() {
    for suite in Suite::all() {
        let (need, integrity) = (suite.key_len(), suite.integrity_key_len());
        for have in (0..=70).filter(|have| *have != need) {
            let why = BadKey::EncryptionLength { suite, need, have };
            let (key, mac) = (vec![1; have], vec![2; integrity]);
            assert_eq!(SealKey::new(suite, &key, &mac, false, 0).err(), Some(why));
            assert_eq!(OpenKey::new(suite, &key, &mac, false).err(), Some(why));
        }
        for have in (0..=70).filter(|have| *have != integrity) {
            let why = BadKey::IntegrityLength { suite, need: integrity, have };
            let (key, mac) = (vec![1; need], vec![2; have]);
            assert_eq!(SealKey::new(suite, &key, &mac, false, 0).err(), Some(why));
            assert_eq!(OpenKey::new(suite, &key, &mac, false).err(), Some(why));
        }
    }
}

#[test]
fn an_epoch_beyond_24_bits_is_refused_and_never_cut_short() {
    let key = |epoch| SealKey::new(GCM, &[1; 20], &[], false, epoch);
    assert!(key(0xff_ffff).is_ok());
    assert_eq!(key(0x100_0000).err(), Some(BadKey::Epoch(0x100_0000)));
    let mut packet = unsealed(GCM, 0x0102_0304, &[0; 4]);
    seal_one(&pair(GCM, false, 3).seal, 0x0102_0304, &mut packet);
    assert_eq!(iv(GCM, &packet), [&EPOCH.to_be_bytes()[1..], &[0, 1, 2, 3, 4]].concat());
}
