//! Proofs of identity: what another implementation made, and what must not be taken.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{Block, blocks};
use ike::Key;
use ike::algorithm::Prf;
use ike::auth::{self, CannotProve, HASHES, NotProved, Proof};
use ike::derive::psk_auth;
use pki::{
    AltName, Certificate, Curve, Hash, Identity, Issuer, KeyKind, Name, PrivateKey, Profile,
    PublicKey, Role, Scheme, Trust,
};
use std::sync::Arc;
use wire::iana::ike::{AuthMethod, HashAlgorithm};

const PROOFS: &str = include_str!("vectors/proofs.txt");
/// Of the certificates here: in the middle of their validity, in Unix seconds.
const NOW: u64 = 2_000_000_000;

fn proof(block: &Block) -> Proof {
    let method = AuthMethod(block.text("method").parse().expect("a number"));
    Proof { method, auth: block.octets("auth"), octets: block.octets("octets") }
}

fn public(block: &Block) -> PublicKey {
    PublicKey::from_spki(&block.octets("spki")).expect("a public key")
}

fn private(block: &Block) -> PrivateKey {
    PrivateKey::read(&block.octets("pkcs8"), None).expect("a private key")
}

fn is_sha1(block: &Block) -> bool {
    block.text("scheme").ends_with("sha1")
}

#[test]
fn proofs_of_another_implementation_hold() {
    let all = blocks(PROOFS);
    assert_eq!(all.len(), 24);
    for block in &all {
        let (key, proof) = (public(block), proof(block));
        let name = format!("{} by method {}", block.text("scheme"), proof.method);
        let verified = auth::verify_signature(&key, true, &proof);
        if is_sha1(block) && proof.method == AuthMethod::DIGITAL_SIGNATURE {
            let sha1 = NotProved::Hash(Scheme::RsaPkcs1(Hash::Sha1));
            assert_eq!(verified, Err(sha1), "{name}: never with SHA-1");
            continue;
        }
        assert!(verified.is_ok(), "{name}: {verified:?}");
        let allowed = auth::verify_signature(&key, false, &proof);
        let want = if is_sha1(block) { Err(NotProved::Sha1) } else { verified };
        assert_eq!(allowed, want, "{name}");
    }
}

#[test]
fn c1_c2_no_octet_of_a_proof_may_differ() {
    for block in blocks(PROOFS).iter().filter(|block| !is_sha1(block)) {
        let (key, whole) = (public(block), proof(block));
        let holds = |auth: Vec<u8>| {
            auth::verify_signature(&key, false, &Proof { auth, ..whole.clone() }).is_ok()
        };
        let name = block.text("scheme");
        for at in 0..whole.auth.len() {
            let mut forged = whole.auth.clone();
            forged[at] ^= 1;
            assert!(!holds(forged), "{name}: octet {at}");
        }
        for len in 0..whole.auth.len() {
            assert!(!holds(whole.auth[..len].to_vec()), "{name}: {len} octets");
        }
        assert!(!holds([&whole.auth[..], &[0]].concat()), "{name}: one octet more");
        let other = Proof { octets: b"something else".to_vec(), ..whole.clone() };
        assert!(auth::verify_signature(&key, false, &other).is_err(), "{name}");
    }
}

#[test]
fn c3_the_method_is_policy_and_not_the_peers_choice() {
    let psk = Key::new(b"a shared key".to_vec());
    let octets = b"what AUTH covers".to_vec();
    let auth = psk_auth(Prf::HmacSha2_256, &psk, &octets).expose().to_vec();
    let keys = [Arc::new(public(&blocks(PROOFS)[0]))];
    for method in 0..=255 {
        let proof =
            Proof { method: AuthMethod(method), auth: auth.clone(), octets: octets.clone() };
        let by_key = auth::verify_psk(Prf::HmacSha2_256, &psk, &proof);
        let shared = AuthMethod(method) == AuthMethod::SHARED_KEY;
        assert_eq!(by_key.is_ok(), shared, "method {method}");
        assert!(auth::verify_raw_key(&keys, true, &proof).is_err(), "method {method}");
    }
    for block in &blocks(PROOFS) {
        let method = auth::verify_psk(Prf::HmacSha2_256, &psk, &proof(block));
        assert!(matches!(method, Err(NotProved::Method { .. })));
    }
}

#[test]
fn a_shared_key_proves_with_the_same_key_prf_and_octets_only() {
    let prf = Prf::HmacSha2_256;
    let psk = Key::new(b"a shared key".to_vec());
    let octets = b"what AUTH covers".to_vec();
    let auth = psk_auth(prf, &psk, &octets).expose().to_vec();
    let proof = Proof { method: AuthMethod::SHARED_KEY, auth, octets };
    assert_eq!(auth::verify_psk(prf, &psk, &proof), Ok(()));
    let wrong = Err(NotProved::SharedKey);
    assert_eq!(auth::verify_psk(prf, &Key::new(b"another key".to_vec()), &proof), wrong);
    assert_eq!(auth::verify_psk(prf, &Key::default(), &proof), wrong);
    assert_eq!(auth::verify_psk(Prf::HmacSha1, &psk, &proof), wrong);
    for len in 0..proof.auth.len() {
        let cut = Proof { auth: proof.auth[..len].to_vec(), ..proof.clone() };
        assert_eq!(auth::verify_psk(prf, &psk, &cut), wrong);
    }
}

#[test]
fn what_we_sign_is_by_a_hash_that_the_peer_takes_and_holds() {
    for block in &blocks(PROOFS) {
        let (key, public, octets) = (private(block), public(block), block.octets("octets"));
        for taken in HASHES.iter().map(|hash| vec![*hash]).chain([HASHES.to_vec()]) {
            let Ok(signed) = auth::sign(&key, Some(&taken), false, &octets) else { continue };
            assert_eq!(signed.method, AuthMethod::DIGITAL_SIGNATURE);
            let hash = signed
                .scheme
                .hash()
                .map_or(HashAlgorithm::IDENTITY, |hash| HashAlgorithm(hash.ike()));
            assert!(taken.contains(&hash), "{} for {taken:?}", signed.scheme);
            let proof = Proof { method: signed.method, auth: signed.data, octets: octets.clone() };
            assert_eq!(auth::verify_signature(&public, false, &proof), Ok(signed.scheme));
        }
        assert!(auth::sign(&key, Some(HASHES), false, &octets).is_ok());
        for taken in [&[][..], &[HashAlgorithm::SHA1], &[HashAlgorithm(99)]] {
            let refused = auth::sign(&key, Some(taken), true, &octets);
            assert!(matches!(refused, Err(CannotProve::Hashes { .. })));
        }
    }
}

#[test]
fn to_a_peer_without_rfc_7427_we_sign_by_the_classic_method() {
    for block in &blocks(PROOFS) {
        let (key, public, octets) = (private(block), public(block), block.octets("octets"));
        let kind = public.kind();
        let method = match kind {
            KeyKind::Rsa(_) => AuthMethod::RSA_SIGNATURE,
            KeyKind::Ecdsa(Curve::P256) => AuthMethod::ECDSA_256,
            KeyKind::Ecdsa(Curve::P384) => AuthMethod::ECDSA_384,
            KeyKind::Ecdsa(Curve::P521) => AuthMethod::ECDSA_521,
            KeyKind::Ed25519 => {
                let classic = Err(CannotProve::Classic(kind));
                assert_eq!(auth::sign(&key, None, true, &octets), classic);
                continue;
            }
        };
        let signed = auth::sign(&key, None, true, &octets).expect("signed");
        assert_eq!(signed.method, method);
        let proof = Proof { method, auth: signed.data, octets: octets.clone() };
        assert_eq!(auth::verify_signature(&public, true, &proof), Ok(signed.scheme));
        let without = auth::sign(&key, None, false, &octets).map(|signed| signed.method);
        let sha1 = matches!(kind, KeyKind::Rsa(_));
        assert_eq!(without, if sha1 { Err(CannotProve::Sha1) } else { Ok(method) });
    }
}

#[test]
fn any_of_several_known_keys_will_do() {
    let all = blocks(PROOFS);
    let (rsa, last) = (Arc::new(public(&all[0])), &all[all.len() - 1]);
    let ed25519 = Arc::new(public(last));
    let verify = |keys: &[Arc<PublicKey>]| auth::verify_raw_key(keys, false, &proof(last));
    assert_eq!(verify(&[Arc::clone(&rsa), ed25519]), Ok(Scheme::Ed25519));
    assert!(matches!(verify(&[rsa]), Err(NotProved::Signature(_))));
    assert_eq!(verify(&[]), Err(NotProved::NoKey("raw public key")));
}

fn profile(name: &str, role: Role) -> Profile {
    let alt_names = match role {
        Role::Peer => vec![AltName::Dns(name.to_owned())],
        Role::Ca { .. } => Vec::new(),
    };
    let subject = format!("CN={name}").parse::<Name>().expect("a name");
    Profile { subject, alt_names, not_before: NOW - 1000, not_after: NOW + 1000, role }
}

fn ca(name: &str) -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(KeyKind::Ed25519).expect("a key");
    let role = Role::Ca { path_len: None, constraints: Default::default() };
    let certificate = profile(name, role).self_signed(&key).expect("a certificate");
    (key, certificate)
}

#[test]
fn c6_a_certificate_proves_the_identity_that_it_carries_when_it_is_trusted() {
    let ((ca_key, root), (_, other)) = (ca("root"), ca("other"));
    let peer = PrivateKey::generate(KeyKind::Ecdsa(Curve::P256)).expect("a key");
    let issuer = Issuer { certificate: &root, key: &ca_key };
    let leaf = issuer.issue(&profile("gw.example.com", Role::Peer), peer.public_key());
    let leaf = leaf.expect("a certificate").der().to_vec();
    let octets = b"what AUTH covers".to_vec();
    let signed = auth::sign(&peer, Some(HASHES), false, &octets).expect("signed");
    let proof = Proof { method: signed.method, auth: signed.data, octets };
    let identity = |name| Identity::fqdn(name).expect("a name");
    let gw = identity("gw.example.com");
    let trust = Trust::new(vec![root.clone()]);
    let verify = |trust: &Trust, chain: &[Vec<u8>], identity: &Identity, proof: &Proof, now| {
        auth::verify_certificate(trust, chain, identity, proof, now)
    };
    // what cannot be read behind the peer's own certificate is passed over
    let chain = [leaf, vec![0x30, 0x80], Vec::new(), root.der().to_vec()];
    assert_eq!(verify(&trust, &chain, &gw, &proof, NOW), Ok(signed.scheme));
    assert_eq!(verify(&trust, &chain[..1], &gw, &proof, NOW), Ok(signed.scheme));

    let elsewhere = verify(&trust, &chain, &identity("gw.example.net"), &proof, NOW);
    assert!(matches!(elsewhere, Err(NotProved::Identity { .. })));
    let late = verify(&trust, &chain, &gw, &proof, NOW + 1001);
    assert!(matches!(late, Err(NotProved::Refused(_))));
    let stranger = verify(&Trust::new(vec![other]), &chain, &gw, &proof, NOW);
    assert!(matches!(stranger, Err(NotProved::Refused(_))));
    let forged = Proof { octets: b"something else".to_vec(), ..proof.clone() };
    let forged = verify(&trust, &chain, &gw, &forged, NOW);
    assert!(matches!(forged, Err(NotProved::Signature(_))));
    assert_eq!(verify(&trust, &[], &gw, &proof, NOW), Err(NotProved::NoKey("certificate")));
    let unreadable = verify(&trust, &chain[1..], &gw, &proof, NOW);
    assert!(matches!(unreadable, Err(NotProved::BadCertificate(_))));
    // the peer's certificate is its own, and not another that it knows of
    let swapped = verify(&trust, &[root.der().to_vec(), chain[0].clone()], &gw, &proof, NOW);
    assert!(swapped.is_err());
}
