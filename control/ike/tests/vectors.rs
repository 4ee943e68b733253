//! Everything against an independent implementation (tests/vectors/make.py) and published examples.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{Block, Counting, Given, blocks};
use ike::algorithm::{Encr, Group, Integ, Prf, Suite};
use ike::derive::{self, ChildKeys, ChildLengths, Keys, Nonces, Spis};
use ike::{Key, protect};
use wire::iana::ike::PayloadType;
use wire::ike::Message;

const DERIVATIONS: &str = include_str!("vectors/derivations.txt");
const MESSAGES: &str = include_str!("vectors/messages.txt");
const AGREEMENTS: &str = include_str!("vectors/agreements.txt");
const PUBLISHED: &str = include_str!("vectors/published.txt");

fn suite(block: &Block, prf: Prf) -> Suite {
    let encr = Encr::from_name(block.text("encr")).expect("a cipher");
    let integ = Some(block.text("integ")).filter(|name| *name != "NONE");
    let integ = integ.map(|name| Integ::from_name(name).expect("an integrity algorithm"));
    Suite::new(encr, prf, integ, Group::Curve25519).expect("a suite")
}

#[test]
fn every_key_of_an_ike_sa_and_its_children_is_that_of_the_other_implementation() {
    let all = blocks(DERIVATIONS);
    assert_eq!(all.len(), 81);
    for block in &all {
        let prf = Prf::from_name(block.text("prf")).expect("a PRF");
        let (ni, nr) = (block.octets("ni"), block.octets("nr"));
        let nonces = Nonces { initiator: &ni, responder: &nr };
        let spis = Spis { initiator: block.number("spi_i"), responder: block.number("spi_r") };
        let skeyseed = derive::skeyseed(prf, nonces, &block.key("shared"));
        assert_eq!(skeyseed, block.key("skeyseed"), "{prf}");
        let keys = Keys::derive(&suite(block, prf), &skeyseed, nonces, spis);
        let want = ["d", "ai", "ar", "ei", "er", "pi", "pr"].map(|name| block.key(name));
        let [d, ai, ar, ei, er, pi, pr] = want;
        assert_eq!(keys, Keys { d, ai, ar, ei, er, pi, pr }, "{prf}");

        let rekeyed = block.key("rekeyed_shared");
        let skeyseed = derive::rekeyed_skeyseed(prf, &keys.d, &rekeyed, nonces);
        assert_eq!(skeyseed, block.key("rekeyed_skeyseed"), "{prf}");
        let keymat = |shared| derive::keymat(prf, &keys.d, shared, nonces, 200).expect("short");
        assert_eq!(keymat(None), block.key("keymat"), "{prf}");
        assert_eq!(keymat(Some(&rekeyed)), block.key("keymat_pfs"), "{prf}");

        let (message, id) = (block.octets("message"), block.octets("id"));
        let octets = derive::auth_octets(prf, &keys.pi, &message, &nr, &id);
        assert_eq!(octets, block.octets("octets_i"), "{prf}");
        assert_eq!(derive::psk_auth(prf, &block.key("psk"), &octets), block.key("auth_i"), "{prf}");
        let octets = derive::auth_octets(prf, &keys.pr, &message, &ni, &id);
        assert_eq!(octets, block.octets("octets_r"), "{prf}");
    }
}

#[test]
fn keymat_is_cut_initiator_first_and_encryption_first() {
    for block in &blocks(DERIVATIONS) {
        let prf = Prf::from_name(block.text("prf")).expect("a PRF");
        let (ni, nr) = (block.octets("ni"), block.octets("nr"));
        let nonces = Nonces { initiator: &ni, responder: &nr };
        let lengths = ChildLengths { encr: 36, integ: 20 };
        let keys = ChildKeys::derive(prf, &block.key("d"), None, nonces, lengths).expect("short");
        let keymat = block.octets("keymat");
        assert_eq!(keys.from_initiator.encr.expose(), &keymat[..36]);
        assert_eq!(keys.from_initiator.integ.expose(), &keymat[36..56]);
        assert_eq!(keys.from_responder.encr.expose(), &keymat[56..92]);
        assert_eq!(keys.from_responder.integ.expose(), &keymat[92..112]);
    }
}

/// SA keys with which both directions have what the block says.
fn keys(block: &Block) -> Keys {
    let (e, a) = (block.key("encr_key"), block.key("integ_key"));
    let (ei, er, ai, ar) = (e.clone(), e, a.clone(), a);
    Keys { ei, er, ai, ar, ..none() }
}

fn none() -> Keys {
    let [d, ai, ar, ei, er, pi, pr] = [const { Vec::new() }; 7].map(Key::new);
    Keys { d, ai, ar, ei, er, pi, pr }
}

#[test]
fn every_message_is_sealed_and_opened_as_by_the_other_implementation() {
    let (mut sealed, all) = (0, blocks(MESSAGES));
    assert_eq!(all.len(), 19 * 6 + 7 * 7 * 6);
    for block in &all {
        let suite = suite(block, Prf::HmacSha2_256);
        let (mut sealer, opener) = protect::pair(&suite, &keys(block), true);
        let (datagram, payloads) = (block.octets("sealed"), block.octets("payloads"));
        let first = PayloadType(block.text("first").parse().expect("a number"));
        let message = Message::parse(&datagram).expect("a message");
        let view = message.sealed().expect("an encrypted payload");
        let opened = opener.open(&view).unwrap_or_else(|why| panic!("{suite}: {why}"));
        assert_eq!((opened.first, opened.payloads.expose()), (first, &payloads[..]), "{suite}");
        if view.fragment.is_none() {
            let mut random = Given(block.octets("iv"));
            let ours = sealer.seal(&mut random, message.header(), first, &payloads);
            assert_eq!(ours.as_deref(), Ok(&datagram[..]), "{suite}");
            sealed += 1;
        }
    }
    assert_eq!(sealed, all.len() / 6 * 5);
}

#[test]
fn the_message_of_rfc_7634_appendix_b_opens() {
    let text = "key = 808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3
        message = c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029\
        1011121314151617610394701f8d017f7c129248896b71bfe25236efd7cdc67066906315b2"
        .replace("        ", "");
    let block = &blocks(&text)[0];
    let encr = Encr::ChaCha20Poly1305;
    let suite = Suite::new(encr, Prf::HmacSha2_256, None, Group::Curve25519).expect("a suite");
    let keys = Keys { ei: block.key("key"), er: block.key("key"), ..none() };
    let (_, opener) = protect::pair(&suite, &keys, false);
    let datagram = block.octets("message");
    let message = Message::parse(&datagram).expect("a message");
    let opened = opener.open(&message.sealed().expect("encrypted")).expect("opens");
    assert_eq!(opened.first, PayloadType::NOTIFY);
    assert_eq!(opened.payloads.expose(), [0, 0, 0, 12, 0, 0, 0x40, 1, 0, 0, 0, 10]);
}

#[test]
fn every_agreement_is_that_of_the_other_implementation_and_of_the_examples() {
    let (drawn, published) = (blocks(AGREEMENTS), blocks(PUBLISHED));
    assert_eq!((drawn.len(), published.len()), (26, 8));
    for block in drawn.iter().chain(&published) {
        let group = Group::from_name(block.text("group")).expect("a group");
        let (secret, public) = group.generate(&mut Given(block.octets("drawn")));
        assert_eq!(public, block.octets("public"), "{group}");
        assert_eq!(public.len(), group.public_len());
        assert_eq!(secret.agree(&block.octets("peer")), Ok(block.key("shared")), "{group}");
    }
    let groups = |group: &Group| drawn.iter().any(|block| block.text("group") == group.name());
    assert!(Group::all().all(|group| groups(&group)), "a group without vectors");
}

#[test]
fn two_who_never_met_agree_in_every_group() {
    for group in Group::all() {
        let mut random = Counting::default();
        let (a, b) = (group.generate(&mut random), group.generate(&mut random));
        assert_ne!(a.1, b.1, "{group}");
        assert_eq!(a.0.agree(&b.1), b.0.agree(&a.1), "{group}");
        assert!(a.0.agree(&b.1).is_ok(), "{group}");
        assert_eq!(format!("{:?}", a.0), format!("Secret({group})"));
    }
}
