//! Certificates and raw keys: policy decides how a peer proves itself, and large certificates travel in fragments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::Order;
use ike::settings::*;
use ike::why::Reason;
use pki::{
    AltName, Certificate, Constraints, Curve, Identity, Issuer, KeyKind, Pattern, PrivateKey,
    Profile, Role, Trust,
};
use std::sync::Arc;
use world::configured::*;
use world::*;

const FROM: u64 = 1_700_000_000;
const TO: u64 = 1_900_000_000;

struct Ca {
    key: PrivateKey,
    certificate: Certificate,
}

fn profile(subject: &str, alt_names: Vec<AltName>, role: Role) -> Profile {
    Profile { subject: subject.parse().unwrap(), alt_names, not_before: FROM, not_after: TO, role }
}

fn ca_role() -> Role {
    Role::Ca { path_len: None, constraints: Constraints::default() }
}

fn root(kind: KeyKind) -> Ca {
    let key = PrivateKey::generate(kind).unwrap();
    let profile = profile("O=Test, CN=root", Vec::new(), ca_role());
    let certificate = profile.self_signed(&key).unwrap();
    Ca { key, certificate }
}

impl Ca {
    fn issue(&self, profile: &Profile, key: &pki::PublicKey) -> Certificate {
        Issuer { certificate: &self.certificate, key: &self.key }.issue(profile, key).unwrap()
    }
    fn intermediate(&self, kind: KeyKind) -> Ca {
        let key = PrivateKey::generate(kind).unwrap();
        let certificate = self
            .issue(&profile("O=Test, CN=intermediate", Vec::new(), ca_role()), key.public_key());
        Ca { key, certificate }
    }
    fn credential(&self, end: usize, kind: KeyKind, above: &[&Ca]) -> Credential {
        let key = PrivateKey::generate(kind).unwrap();
        let name = ["a.example.com", "b.example.com"][end];
        let profile = profile(
            &format!("O=Test, CN=peer-{end}"),
            vec![AltName::Dns(name.to_owned())],
            Role::Peer,
        );
        let mut chain = vec![self.issue(&profile, key.public_key())];
        chain.extend(above.iter().map(|ca| ca.certificate.clone()));
        Credential::Certificate { key: Arc::new(key), chain }
    }
}

fn trusting(root: &Ca) -> Accept {
    Accept::Certificate(Arc::new(Trust::new(vec![root.certificate.clone()])))
}

fn world(root: &Ca, a: Credential, b: Credential) -> World {
    let with = |end: usize, credential: Credential| {
        one(end, |c| {
            c.local_auth.credential = credential.clone();
            c.remote_auth.accept = trusting(root);
        })
    };
    let mut world = World::with(1, with(A, a), with(B, b));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world
}

#[test]
fn chains_of_every_kind_of_key() {
    for kind in [
        KeyKind::Ecdsa(Curve::P256),
        KeyKind::Ecdsa(Curve::P384),
        KeyKind::Ecdsa(Curve::P521),
        KeyKind::Ed25519,
        KeyKind::Rsa(2048),
    ] {
        let root = root(kind);
        let middle = root.intermediate(kind);
        let (a, b) =
            (middle.credential(A, kind, &[&middle]), middle.credential(B, kind, &[&middle]));
        let mut world = world(&root, a, b);
        world.run(1_000);
        world.agrees(1, 1);
        let status = world.ends[A].engine.status();
        assert_eq!(status[0].identity.as_deref(), Some("b.example.com"));
        assert_ne!(status[0].methods.as_ref().unwrap().0, "psk");
    }
}

/// RSA certificates with an intermediate do not fit 1280 octets: they go in fragments, any of which may be lost.
#[test]
fn large_certificates_travel_in_fragments() {
    let root = root(KeyKind::Rsa(2048));
    let middle = root.intermediate(KeyKind::Rsa(2048));
    let credential = |end| middle.credential(end, KeyKind::Rsa(2048), &[&middle]);
    let (a, b) = (credential(A), credential(B));
    for lost in 0..6 {
        let mut world = world(&root, a.clone(), b.clone());
        let mut count = 0;
        world.judge(move |sent| {
            assert!(sent.octets.len() <= 1280 - 48);
            let fragment = sent.header.is_some_and(|h| h.next_payload.0 == 53);
            count += usize::from(fragment);
            if fragment && count == lost { Fate::Lost } else { Fate::Arrives }
        });
        world.run(20_000);
        world.agrees(1, 1);
        let fragments =
            world.log.iter().filter(|(_, _, h, _)| h.unwrap().next_payload.0 == 53).count();
        assert!(fragments >= 4, "{}", world.story());
    }
}

#[test]
fn another_ca_is_named_in_why() {
    let (ours, theirs) = (root(KeyKind::Ed25519), root(KeyKind::Ed25519));
    let mut world = world(
        &ours,
        theirs.credential(A, KeyKind::Ed25519, &[]),
        ours.credential(B, KeyKind::Ed25519, &[]),
    );
    world.run(900);
    world.agrees(0, 0);
    let why = world.ends[B].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::AuthenticationFailed);
    assert!(why.check.is_some() && why.identity.as_deref() == Some("a.example.com"));
}

/// The initiator does not believe the responder, and the responder, which thought that all was well, is told.
#[test]
fn a_responder_that_is_not_believed_is_told() {
    let (ours, theirs) = (root(KeyKind::Ed25519), root(KeyKind::Ed25519));
    let mut world = world(
        &ours,
        ours.credential(A, KeyKind::Ed25519, &[]),
        theirs.credential(B, KeyKind::Ed25519, &[]),
    );
    world.run(900);
    world.agrees(0, 0);
    let why = world.ends[A].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::AuthenticationFailed);
    assert!(world.ends[B].spis.0.lock().unwrap().out.is_empty());
}

#[test]
fn a_certificate_without_the_identity_proves_nothing() {
    let root = root(KeyKind::Ed25519);
    let mut world = world(
        &root,
        root.credential(B, KeyKind::Ed25519, &[]),
        root.credential(B, KeyKind::Ed25519, &[]),
    );
    world.run(900);
    world.agrees(0, 0);
    let why = world.ends[B].engine.why_connection("site").unwrap();
    assert!(why.check.as_ref().unwrap().contains("does not carry the identity"), "{why}");
}

/// The peer cannot choose how it proves itself (section C3).
#[test]
fn a_method_that_policy_does_not_have_is_refused() {
    let root = root(KeyKind::Ed25519);
    let certificate = root.credential(A, KeyKind::Ed25519, &[]);
    for (a_proves, b_accepts) in [(None, Some(trusting(&root))), (Some(certificate), None)] {
        let a = |c: &mut Connection| {
            if let Some(credential) = &a_proves {
                c.local_auth.credential = credential.clone();
            }
        };
        let b = |c: &mut Connection| {
            if let Some(accept) = &b_accepts {
                c.remote_auth.accept = accept.clone();
            }
        };
        let mut world = World::with(1, one(A, a), one(B, b));
        world.order(A, Order::Up { connection: "site".into(), child: None });
        world.run(900);
        world.agrees(0, 0);
        let why = world.ends[B].engine.why_address(address(A)).unwrap();
        assert_eq!(why.candidates[0].field, "authentication method", "{why}");
        assert_eq!(why.reason, Reason::AuthenticationFailed);
        let fix = why.fix.as_deref().unwrap();
        assert!(fix.contains("connections.site.remote."), "{fix}");
        // By the connection's name as well: its identity fits, so it is the one that is meant.
        assert_eq!(world.ends[B].engine.why_connection("site").map(|why| why.when), Some(why.when));
    }
}

/// Each peer alone keeps within its own bounds, and all together within one (RFC 7383 §5): beyond it fragments are dropped and
/// counted, and those who have proved who they are keep half of the room.
#[test]
fn incomplete_messages_of_all_peers_have_one_bound() {
    let root = root(KeyKind::Rsa(2048));
    let middle = root.intermediate(KeyKind::Rsa(2048));
    let credential = |end| middle.credential(end, KeyKind::Rsa(2048), &[&middle]);
    let with = |end: usize| {
        one(end, |c| {
            c.local_auth.credential = credential(end);
            c.remote_auth.accept = trusting(&root);
            c.unique = Unique::Never;
        })
    };
    for (room, comes_up) in [(1_000, false), (64 << 10, true)] {
        let limits = Limits { reassembly: room, ..Limits::default() };
        let mut world = World::with(1, with(A), Settings { limits, ..with(B) });
        // The last fragment of the first request is late, so that the others are held.
        let mut late = true;
        world.judge(move |sent| {
            let fragment = sent.from == A && sent.header.is_some_and(|h| h.next_payload.0 == 53);
            let last = fragment && sent.octets.len() < 1_000;
            if last && std::mem::take(&mut late) { Fate::Late(100) } else { Fate::Arrives }
        });
        world.order(A, Order::Up { connection: "site".into(), child: None });
        world.run(90);
        let held = world.ends[B].engine.fragments_held();
        assert!(held <= room / 2, "{held} of strangers");
        world.run(2_000);
        let refused = world.ends[B].engine.counters().no_room;
        assert_eq!((world.ike_sas(B) == 1, refused == 0), (comes_up, comes_up), "{room} {refused}");
        world.run(100_000);
        world.order(A, Order::Configure(Arc::new(settings(Vec::new()))));
        world.run(200_000);
        assert_eq!(world.ends[B].engine.fragments_held(), 0, "memory returns to where it was");
    }
}

#[test]
fn raw_keys_that_are_known() {
    let keys = [A, B].map(|_| Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap()));
    let public = |end: usize| Arc::new(keys[end].public_key().clone());
    for stranger in [false, true] {
        let with = |end: usize| {
            one(end, |c| {
                c.local_auth.credential = Credential::RawKey(Arc::clone(&keys[end]));
                let known = if stranger { public(end) } else { public(1 - end) };
                c.remote_auth.accept = Accept::RawKey(vec![known]);
            })
        };
        let mut world = World::with(1, with(A), with(B));
        world.order(A, Order::Up { connection: "site".into(), child: None });
        world.run(900);
        let each = usize::from(!stranger);
        world.agrees(each, each);
    }
}

/// Two connections for any address: the peer's identity tells which, and which key.
#[test]
fn the_identity_chooses_among_connections() {
    let for_peer = |name: &str, psk: &[u8]| {
        let mut c = connection(B);
        c.name = name.into();
        c.remote = Vec::new();
        c.remote_auth.identities = vec![Pattern::exact(Identity::fqdn(name).unwrap())];
        let psk = Arc::new(ike::Key::new(psk.to_vec()));
        c.remote_auth.accept = Accept::Psk(Arc::clone(&psk));
        c.local_auth.credential = Credential::Psk(psk);
        c
    };
    for (own, psk) in [
        ("one.example.com", &b"first key of the two"[..]),
        ("two.example.com", b"second key of the two"),
    ] {
        let a = |c: &mut Connection| {
            let psk = Arc::new(ike::Key::new(psk.to_vec()));
            c.local_auth = LocalAuth {
                identity: Identity::fqdn(own).unwrap(),
                credential: Credential::Psk(Arc::clone(&psk)),
            };
            c.remote_auth.accept = Accept::Psk(psk);
        };
        let b = settings(vec![
            for_peer("one.example.com", b"first key of the two"),
            for_peer("two.example.com", b"second key of the two"),
        ]);
        let mut world = World::with(1, one(A, a), b);
        world.order(A, Order::Up { connection: "site".into(), child: None });
        world.run(900);
        world.agrees(1, 1);
        assert_eq!(&*world.ends[B].engine.status()[0].connection, own);
    }
}
