//! Keys sign by every scheme that they have, files keep them, and forged signatures fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use der::Decode;
use der::asn1::{AnyRef, UintRef};
use pkcs8::PrivateKeyInfoRef;
use pki::{BadKey, BadSignature, Curve, Hash, KeyKind, PrivateKey, PublicKey, Scheme};
use std::sync::LazyLock;

const MESSAGE: &[u8] = b"InitiatorSignedOctets";

static RSA: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(KeyKind::Rsa(2048)).unwrap());

fn others() -> Vec<PrivateKey> {
    [
        KeyKind::Ecdsa(Curve::P256),
        KeyKind::Ecdsa(Curve::P384),
        KeyKind::Ecdsa(Curve::P521),
        KeyKind::Ed25519,
    ]
    .map(|kind| PrivateKey::generate(kind).unwrap())
    .into()
}

fn for_every_key(check: impl Fn(&PrivateKey)) {
    check(&RSA);
    others().iter().for_each(check);
}

#[test]
fn every_key_signs_by_every_scheme_it_names_and_no_other() {
    for_every_key(|key| {
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let raw = [Curve::P256, Curve::P384, Curve::P521].map(Scheme::EcdsaRaw);
            let schemes = [
                Scheme::RsaPkcs1(hash),
                Scheme::RsaPss(hash),
                Scheme::Ecdsa(hash),
                Scheme::Ed25519,
            ];
            for scheme in schemes.into_iter().chain(raw) {
                let signed = key.sign(scheme, MESSAGE);
                assert_eq!(signed.is_ok(), key.schemes().contains(&scheme), "{scheme}");
                let Ok(signature) = signed else { continue };
                let public = key.public_key();
                assert_eq!(public.verify(scheme, MESSAGE, &signature), Ok(()), "{scheme}");
                let other = public.verify(scheme, b"another message", &signature);
                assert_eq!(other, Err(BadSignature::Wrong), "{scheme}");
            }
        }
    });
}

#[test]
fn a_signature_with_any_bit_changed_or_any_octet_missing_fails() {
    for_every_key(|key| {
        let scheme = key.schemes()[0];
        let signature = key.sign(scheme, MESSAGE).unwrap();
        let verify = |signature: &[u8]| key.public_key().verify(scheme, MESSAGE, signature);
        for at in 0..signature.len() {
            let mut forged = signature.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(verify(&forged).is_err(), "{scheme}: octet {at}");
            assert!(verify(&signature[..at]).is_err(), "{scheme}: {at} octets");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert!(verify(&longer).is_err(), "{scheme}: one octet more");
    });
}

#[test]
fn a_signature_by_another_kind_of_key_is_refused_by_name() {
    let keys = others();
    let (p256, p384, ed25519) = (&keys[0], &keys[1], &keys[3]);
    let signature = p256.sign(Scheme::Ecdsa(Hash::Sha256), MESSAGE).unwrap();
    let verify = |key: &PrivateKey, scheme| key.public_key().verify(scheme, MESSAGE, &signature);
    let other =
        |key: &PrivateKey, scheme| BadSignature::OtherKey { scheme, key: key.public_key().kind() };
    assert_eq!(verify(p384, Scheme::Ecdsa(Hash::Sha256)), Err(BadSignature::Wrong));
    let raw = Scheme::EcdsaRaw(Curve::P256);
    assert_eq!(verify(p384, raw), Err(other(p384, raw)));
    assert_eq!(verify(ed25519, raw), Err(other(ed25519, raw)));
    let pss = Scheme::RsaPss(Hash::Sha256);
    assert_eq!(verify(p256, pss), Err(other(p256, pss)));
}

#[test]
fn ecdsa_with_empty_zero_or_too_large_numbers_fails() {
    // group order of P-256
    let order = unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let key = PrivateKey::generate(KeyKind::Ecdsa(Curve::P256)).unwrap();
    let (zero, one) = (vec![0; 32], [vec![0; 31], vec![1]].concat());
    let verify = |scheme, signature: &[u8]| key.public_key().verify(scheme, MESSAGE, signature);
    let raw = Scheme::EcdsaRaw(Curve::P256);
    assert!(verify(raw, &[]).is_err());
    for r in [&zero, &one, &order] {
        for s in [&zero, &one, &order] {
            let signature = [r.as_slice(), s].concat();
            assert!(verify(raw, &signature).is_err());
            let der = ecdsa_der(r, s);
            assert!(verify(Scheme::Ecdsa(Hash::Sha256), &der).is_err());
        }
    }
    let der = Scheme::Ecdsa(Hash::Sha256);
    for empty in [&[][..], &[0x30, 0], &[0x30, 6, 2, 1, 0, 2, 1, 0], &[0x30, 4, 2, 0, 2, 0]] {
        assert!(verify(der, empty).is_err(), "{empty:02x?}");
    }
}

fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    use der::Encode;
    let body = [UintRef::new(r).unwrap(), UintRef::new(s).unwrap()].map(|n| n.to_der().unwrap());
    AnyRef::new(der::Tag::Sequence, &body.concat()).unwrap().to_der().unwrap()
}

/// C1: what a forger wants accepted, really signed with the key, so that only the padding is wrong.
#[test]
fn pkcs1_padding_that_is_not_exactly_the_encoding_fails() {
    let hash = Hash::Sha256.digest(MESSAGE);
    let info = unhex("3031300d060960864801650304020105000420");
    let good = [info.as_slice(), &hash].concat();
    let pad = |lead: &[u8], fill: u8, tail: &[u8]| {
        let mut block = lead.to_vec();
        block.resize(256 - tail.len() - 1, fill);
        block.push(0);
        block.extend(tail);
        block
    };
    let verify = |block: &[u8]| {
        let scheme = Scheme::RsaPkcs1(Hash::Sha256);
        RSA.public_key().verify(scheme, MESSAGE, &raw_rsa(&RSA, block))
    };
    let head = [0, 1];
    assert_eq!(verify(&pad(&head, 0xff, &good)), Ok(()), "the frame of this test itself");
    let forged: Vec<(&str, Vec<u8>)> = vec![
        ("block type 2", pad(&[0, 2], 0xff, &good)),
        ("padding of zeros", pad(&head, 0, &good)),
        ("no algorithm", pad(&head, 0xff, &hash)),
        ("NULL is missing", pad(&head, 0xff, &without_null(&hash))),
        ("long form of a length", pad(&head, 0xff, &long_length(&good))),
        ("garbage behind the hash", pad(&head, 0xff, &[good.as_slice(), b"garbage"].concat())),
        ("garbage in the parameters", pad(&head, 0xff, &garbage_in_parameters(&hash))),
        ("SHA-1's name on the hash", pad(&head, 0xff, &sha1_named(&hash))),
        ("8 octets of padding, then garbage", short_padding(&good)),
    ];
    for (name, block) in forged {
        assert_eq!(verify(&block), Err(BadSignature::Wrong), "{name}");
    }
    for octets in 0..hash.len() {
        let mut cut = info.clone();
        cut.extend(&hash[..octets]);
        assert!(verify(&pad(&head, 0xff, &cut)).is_err(), "a hash of {octets} octets");
    }
}

fn without_null(hash: &[u8]) -> Vec<u8> {
    [&unhex("302f300b0609608648016503040201 0420".replace(' ', "").as_str()), hash].concat()
}
fn long_length(good: &[u8]) -> Vec<u8> {
    [&[0x30, 0x81, 0x31], &good[2..]].concat()
}
fn garbage_in_parameters(hash: &[u8]) -> Vec<u8> {
    [&unhex("3035301106096086480165030402010404deadbeef0420"), hash].concat()
}
fn sha1_named(hash: &[u8]) -> Vec<u8> {
    [&unhex("3021300906052b0e03021a05000414"), &hash[..20]].concat()
}
/// Bleichenbacher 2006: little padding, and room behind the hash for a cube root's remainder.
fn short_padding(good: &[u8]) -> Vec<u8> {
    let mut block = [&[0, 1], [0xff; 8].as_slice(), &[0], good].concat();
    block.resize(256, 0xa5);
    block
}

/// block^d mod n.
fn raw_rsa(key: &PrivateKey, block: &[u8]) -> Vec<u8> {
    let pkcs8 = key.to_pkcs8();
    let info = PrivateKeyInfoRef::try_from(pkcs8.as_slice()).unwrap();
    let members = Vec::<UintRef<'_>>::from_der(info.private_key.as_bytes()).unwrap();
    let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, 2048).unwrap();
    let modulus = Odd::new(number(members[1].as_bytes())).unwrap();
    let exponent = number(members[3].as_bytes());
    let base = BoxedMontyForm::new(number(block), &BoxedMontyParams::new(modulus));
    base.pow(&exponent).retrieve().to_be_bytes().to_vec()
}

#[test]
fn rsa_keys_with_bad_numbers_are_refused() {
    let spki = RSA.public_key().spki();
    let refused =
        |modulus: &[u8], exponent: &[u8]| PublicKey::from_spki(&rsa_spki(modulus, exponent));
    let modulus = [0xff; 256];
    assert!(refused(&modulus, &[1, 0, 1]).is_ok());
    for (name, exponent) in [
        ("0", &[0][..]),
        ("1", &[1]),
        ("even", &[2]),
        ("2^32 + 1", &[1, 0, 0, 0, 1]),
        ("as long as the modulus", &[0xff; 256]),
    ] {
        assert_eq!(refused(&modulus, exponent), Err(BadKey::RsaExponent), "exponent {name}");
    }
    assert_eq!(refused(&[1], &[3]), Err(BadKey::RsaSize(1)));
    assert_eq!(refused(&[0], &[3]), Err(BadKey::RsaSize(0)));
    assert_eq!(refused(&[0xff; 127], &[3]), Err(BadKey::RsaSize(1016)));
    assert_eq!(refused(&[0xff; 1025], &[3]), Err(BadKey::RsaSize(8200)));
    assert!(matches!(refused(&[0xff; 2048], &[3]), Err(BadKey::Malformed(_))), "16384 bits");
    let even = [&[0xff; 255][..], &[0xfe]].concat();
    assert_eq!(refused(&even, &[3]), Err(BadKey::RsaExponent));
    for end in 0..spki.len() {
        assert!(PublicKey::from_spki(&spki[..end]).is_err(), "{end} octets");
    }
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    use der::{Encode, Tag};
    let sequence = |tag, body: &[u8]| AnyRef::new(tag, body).unwrap().to_der().unwrap();
    let numbers = [UintRef::new(modulus).unwrap(), UintRef::new(exponent).unwrap()];
    let key = sequence(Tag::Sequence, &numbers.map(|n| n.to_der().unwrap()).concat());
    let bits = sequence(Tag::BitString, &[&[0], key.as_slice()].concat());
    let algorithm = unhex("300d06092a864886f70d0101010500");
    sequence(Tag::Sequence, &[algorithm, bits].concat())
}

#[test]
fn points_off_the_curve_and_compressed_points_are_refused() {
    let key = PrivateKey::generate(KeyKind::Ecdsa(Curve::P256)).unwrap();
    let signature = key.sign(Scheme::Ecdsa(Hash::Sha256), MESSAGE).unwrap();
    let mut off = key.public_key().spki().to_vec();
    *off.last_mut().unwrap() ^= 1;
    let off = PublicKey::from_spki(&off).unwrap();
    assert!(off.verify(Scheme::Ecdsa(Hash::Sha256), MESSAGE, &signature).is_err());
    let compressed = unhex(&format!(
        "3039301306072a8648ce3d020106082a8648ce3d030107032200{}{}",
        "02",
        "11".repeat(32)
    ));
    assert!(PublicKey::from_spki(&compressed).is_err());
}

#[test]
fn keys_survive_every_form_in_which_they_are_written() {
    for_every_key(|key| {
        let same = |read: Result<PrivateKey, BadKey>| {
            let read = read.unwrap();
            assert_eq!(read.public_key(), key.public_key());
            let scheme = read.schemes()[0];
            let signature = read.sign(scheme, MESSAGE).unwrap();
            key.public_key().verify(scheme, MESSAGE, &signature).unwrap();
        };
        same(PrivateKey::read(&key.to_pkcs8(), None));
        same(PrivateKey::read(key.to_pem().as_bytes(), None));
        let public = PublicKey::read(key.public_key().to_pem().as_bytes());
        assert_eq!(public.as_ref(), Ok(key.public_key()));
    });
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let sealed = key.to_encrypted_pem("correct horse").unwrap();
    let read = |password| PrivateKey::read(sealed.as_bytes(), password);
    assert_eq!(read(Some("correct horse")).unwrap().public_key(), key.public_key());
    assert!(matches!(read(Some("wrong")), Err(BadKey::Password(_))));
    assert!(matches!(read(None), Err(BadKey::Password(_))));
}

#[test]
fn keys_do_not_print() {
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let pkcs8 = key.to_pkcs8();
    let seed: String = pkcs8[16..48].iter().map(|octet| format!("{octet:02x}")).collect();
    let printed = format!("{key:?}");
    assert!(!printed.contains(&seed[..8]), "{printed}");
    assert!(printed.starts_with("PrivateKey(.. of PublicKey(Ed25519"), "{printed}");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
