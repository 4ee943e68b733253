//! Chains made here: every refusal by its name (C7), bounded work whatever a peer sends (A10, B11), and the maker's own
//! refusals.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use pki::{
    AltName, CannotMake, Certificate, Check, Constraints, Identity, Issuer, KeyKind, Limits,
    PrivateKey, Profile, Purpose, Refused, Role, Trust,
};
use std::slice::from_ref;

const NOW: u64 = 1_900_000_000;
const DAY: u64 = 86_400;

/// A CA at its most permissive: it signs whatever a test wants to see refused.
struct Ca {
    name: &'static str,
    key: PrivateKey,
    free: Certificate,
}

impl Ca {
    fn new(name: &'static str) -> Self {
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        let free = ca_profile(name, None, &[]).self_signed(&key).unwrap();
        Self { name, key, free }
    }
    fn sign(&self, profile: &Profile, key: &PrivateKey) -> Certificate {
        let issuer = Issuer { certificate: &self.free, key: &self.key };
        issuer.issue(profile, key.public_key()).unwrap()
    }
    /// A certificate for another CA, as it is named.
    fn certify(&self, other: &Self, path_len: Option<u8>) -> Certificate {
        self.sign(&ca_profile(other.name, path_len, &[]), &other.key)
    }
    fn peer(&self, names: &[&str]) -> Certificate {
        self.sign(&peer_profile(names), &self.key)
    }
}

fn ca_profile(name: &str, path_len: Option<u8>, permitted: &[&str]) -> Profile {
    let permitted = permitted.iter().map(|text| text.parse().unwrap()).collect();
    let constraints = Constraints { permitted, excluded: vec![] };
    Profile {
        subject: format!("CN={name}").parse().unwrap(),
        alt_names: vec![],
        not_before: NOW - 1000 * DAY,
        not_after: NOW + 1000 * DAY,
        role: Role::Ca { path_len, constraints },
    }
}

fn peer_profile(names: &[&str]) -> Profile {
    let identity = |text: &&str| text.parse::<Identity>().unwrap();
    Profile {
        subject: "CN=peer".parse().unwrap(),
        alt_names: names.iter().map(|text| AltName::try_from(&identity(text)).unwrap()).collect(),
        not_before: NOW - DAY,
        not_after: NOW + DAY,
        role: Role::Peer,
    }
}

fn verify(trust: &Trust, leaf: &Certificate, sent: &[Certificate]) -> Result<usize, Refused> {
    trust.verify(leaf, sent, NOW, Purpose::Ike).map(|verified| verified.path.len())
}

#[test]
fn intermediates_are_found_in_any_order_given_or_received() {
    let (root, one, two) = (Ca::new("root"), Ca::new("one"), Ca::new("two"));
    let (first, second) = (root.certify(&one, None), one.certify(&two, None));
    let leaf = two.peer(&["gw.example.com"]);
    let mut trust = Trust::new(vec![root.free.clone()]);
    for sent in [vec![first.clone(), second.clone()], vec![second.clone(), first.clone()]] {
        assert_eq!(verify(&trust, &leaf, &sent), Ok(4));
    }
    let refused = verify(&trust, &leaf, from_ref(&first)).unwrap_err();
    assert_eq!(refused.check, Check::UnknownIssuer { issuer: "CN=two".into() });
    let refused = verify(&trust, &leaf, from_ref(&second)).unwrap_err();
    assert_eq!(refused.check, Check::UnknownIssuer { issuer: "CN=one".into() });
    assert_eq!(refused.depth, 1);
    trust.intermediates = vec![first, second];
    assert_eq!(verify(&trust, &leaf, &[]), Ok(4));
    trust.intermediates.pop();
    trust.anchors = trust.intermediates.clone();
    let short = Trust { anchors: trust.anchors, ..Trust::default() };
    assert_eq!(verify(&short, &one.peer(&[]), &[]), Ok(2), "an anchor need not be a root");
}

#[test]
fn time_is_checked_at_every_certificate_to_the_second() {
    let (root, ca) = (Ca::new("root"), Ca::new("ca"));
    let mut profile = ca_profile("ca", None, &[]);
    (profile.not_before, profile.not_after) = (NOW - 10, NOW + 10);
    let inter = root.sign(&profile, &ca.key);
    let leaf = ca.peer(&[]);
    let trust = Trust::new(vec![root.free.clone()]);
    let at = |now| {
        let sent = [inter.clone()];
        trust
            .verify(&leaf, &sent, now, Purpose::Ike)
            .map_err(|refused| (refused.depth, refused.check))
    };
    assert!(at(NOW - 10).is_ok() && at(NOW + 10).is_ok());
    let (not_before, not_after) = (NOW - 10, NOW + 10);
    assert_eq!(at(NOW - 11), Err((1, Check::NotYetValid { not_before, now: NOW - 11 })));
    assert_eq!(at(NOW + 11), Err((1, Check::Expired { not_after, now: NOW + 11 })));
    let late = NOW + 2 * DAY;
    assert_eq!(at(late).unwrap_err().0, 0, "the peer's own comes first");
    let mut old = ca_profile("root", None, &[]);
    old.not_after = NOW - 1;
    let old = Trust::new(vec![old.self_signed(&root.key).unwrap()]);
    let refused = verify(&old, &root.peer(&[]), &[]).unwrap_err();
    assert_eq!(refused.depth, 1, "anchors grow old too");
    assert!(matches!(refused.check, Check::Expired { .. }));
}

#[test]
fn a_path_length_counts_the_cas_below() {
    let (root, one, two) = (Ca::new("root"), Ca::new("one"), Ca::new("two"));
    let trust = Trust::new(vec![root.free.clone()]);
    for (path_len, fits) in [(None, true), (Some(1), true), (Some(0), false)] {
        let sent = [root.certify(&one, path_len), one.certify(&two, Some(0))];
        let verified = verify(&trust, &two.peer(&[]), &sent);
        assert_eq!(verified.is_ok(), fits, "{path_len:?}");
        if let Err(refused) = verified {
            assert_eq!(refused.check, Check::PathLength { allowed: 0, have: 1 });
            assert_eq!(refused.depth, 2);
        }
    }
    // the anchor's own limit counts as well
    let root_0 = ca_profile("root", Some(0), &[]).self_signed(&root.key).unwrap();
    let trust = Trust::new(vec![root_0]);
    let sent = [root.certify(&one, None)];
    let refused = verify(&trust, &one.peer(&[]), &sent).unwrap_err();
    assert_eq!(refused.check, Check::PathLength { allowed: 0, have: 1 });
}

#[test]
fn constraints_of_every_ca_above_bind() {
    let (root, ca) = (Ca::new("root"), Ca::new("ca"));
    let wide = ca_profile("root", None, &["dns:example.com"]).self_signed(&root.key).unwrap();
    let narrow = root.sign(&ca_profile("ca", None, &["dns:branch.example.com"]), &ca.key);
    let trust = Trust::new(vec![wide]);
    let check = |name: &str| verify(&trust, &ca.peer(&[name]), from_ref(&narrow));
    assert_eq!(check("gw.branch.example.com"), Ok(3));
    assert_eq!(check("192.0.2.1"), Ok(3), "a form that no constraint speaks of");
    let by_ca = check("gw.example.com").unwrap_err();
    assert!(by_ca.to_string().contains("name constraints of 'CN=ca'"), "{by_ca}");
    let trust = Trust::new(vec![root.free.clone()]);
    let wide = root.sign(&ca_profile("ca", None, &["dns:example.com"]), &ca.key);
    assert_eq!(verify(&trust, &ca.peer(&["gw.example.com"]), &[wide]), Ok(3));
}

#[test]
fn another_ca_of_the_same_name_signs_nothing() {
    let (root, twin) = (Ca::new("root"), Ca::new("root"));
    let leaf = twin.peer(&[]);
    let refused = verify(&Trust::new(vec![root.free.clone()]), &leaf, &[]).unwrap_err();
    assert!(matches!(refused.check, Check::Signature { .. }), "{refused}");
    let refused =
        verify(&Trust::new(vec![root.free.clone()]), &leaf, from_ref(&twin.free)).unwrap_err();
    assert!(matches!(refused.check, Check::Signature { .. }), "{refused}");
    let both = Trust::new(vec![root.free, twin.free]);
    assert_eq!(verify(&both, &leaf, &[]), Ok(2));
}

#[test]
fn a_peers_certificate_signs_no_other() {
    let root = Ca::new("root");
    let peer = Ca::new("peer");
    let mut profile = peer_profile(&[]);
    profile.subject = "CN=peer".parse().unwrap();
    let middle = root.sign(&profile, &peer.key);
    let refused = verify(&Trust::new(vec![root.free]), &peer.peer(&[]), &[middle]).unwrap_err();
    assert_eq!((refused.depth, &refused.check), (1, &Check::NotCa));
    assert!(refused.to_string().ends_with("issue the CA anew with basicConstraints CA:TRUE"));
}

#[test]
fn circles_end() {
    let (a, b, outside) = (Ca::new("a"), Ca::new("b"), Ca::new("outside"));
    let sent = [a.certify(&b, None), b.certify(&a, None), a.free.clone(), b.free.clone()];
    let refused = verify(&Trust::new(vec![outside.free]), &a.peer(&[]), &sent).unwrap_err();
    assert!(matches!(refused.check, Check::UnknownIssuer { .. }), "{refused}");
}

#[test]
fn what_a_peer_sends_is_bounded() {
    let root = Ca::new("root");
    let trust = Trust::new(vec![root.free.clone()]);
    let leaf = root.peer(&[]);
    let many = vec![root.free.clone(); 10_000];
    let refused = verify(&trust, &leaf, &many).unwrap_err();
    assert_eq!(refused.check, Check::TooManyCertificates { have: 10_000, most: 16 });

    // CAs of one name that all fail to verify: as many signatures as allowed, and no more
    let twins: Vec<_> = (0..12).map(|_| Ca::new("ca").free).collect();
    let limits = Limits { signatures: 8, ..Limits::default() };
    let trust = Trust { anchors: vec![root.free.clone()], limits, ..Trust::default() };
    let refused = verify(&trust, &Ca::new("ca").peer(&[]), &twins).unwrap_err();
    assert_eq!(refused.check, Check::TooMuchWork);
}

#[test]
fn long_paths_are_not_followed() {
    const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let cas = NAMES.map(Ca::new);
    let links: Vec<_> = cas.windows(2).map(|pair| pair[0].certify(&pair[1], None)).collect();
    let trust = Trust::new(vec![cas[0].free.clone()]);
    for (depth, fits) in [(6, true), (7, false), (9, false)] {
        let leaf = cas[depth].peer(&[]);
        let verified = verify(&trust, &leaf, &links[..depth]);
        assert_eq!(verified.is_ok(), fits, "{depth} CAs below the anchor");
        if let Err(refused) = verified {
            assert_eq!(refused.check, Check::PathTooLong { most: 8 });
        }
    }
}

#[test]
fn many_names_and_many_constraints_cost_a_bounded_number_of_comparisons() {
    let root = Ca::new("root");
    let names: Vec<_> = (0..250).map(|at| format!("h{at}.example.com")).collect();
    let subtrees: Vec<_> = (0..250).map(|at| format!("dns:s{at}.example.com")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let subtrees: Vec<_> = subtrees.iter().map(String::as_str).collect();
    let ca = Ca::new("ca");
    let mut profile = ca_profile("ca", None, &subtrees);
    let Role::Ca { constraints, .. } = &mut profile.role else { return };
    constraints.excluded = std::mem::take(&mut constraints.permitted);
    let inter = root.sign(&profile, &ca.key);
    let refused = verify(&Trust::new(vec![root.free]), &ca.peer(&names), &[inter]).unwrap_err();
    assert_eq!(refused.check, Check::TooMuchWork);
}

#[test]
fn an_empty_trust_trusts_nobody() {
    let root = Ca::new("root");
    for leaf in [root.peer(&[]), ca_profile("x", None, &[]).self_signed(&root.key).unwrap()] {
        assert!(verify(&Trust::default(), &leaf, from_ref(&root.free)).is_err());
    }
}

#[test]
fn the_maker_refuses_what_could_never_be_verified() {
    let (root, other) = (Ca::new("root"), Ca::new("other"));
    let strict =
        Profile { not_after: NOW + 100 * DAY, ..ca_profile("root", Some(1), &["dns:example.com"]) };
    let strict = strict.self_signed(&root.key).unwrap();
    let by = |certificate, key, profile: &Profile| {
        Issuer { certificate, key }.issue(profile, root.key.public_key()).map(|_| ())
    };
    let issue = |profile: &Profile| by(&strict, &root.key, profile);
    assert_eq!(issue(&peer_profile(&["gw.example.com"])), Ok(()));
    let short = |path_len| Profile { not_after: NOW + DAY, ..ca_profile("ca", path_len, &[]) };
    assert_eq!(issue(&short(Some(0))), Ok(()));
    assert!(matches!(issue(&short(Some(1))), Err(CannotMake::PathLength(_, 1))));
    let outlives = issue(&ca_profile("ca", None, &[]));
    assert!(matches!(outlives, Err(CannotMake::Outlives(_))));
    let outside = issue(&peer_profile(&["gw.example.net"]));
    assert_eq!(outside, Err(CannotMake::Constrained("gw.example.net".into())));
    let peer = peer_profile(&["gw.example.com"]);
    assert!(matches!(by(&strict, &other.key, &peer), Err(CannotMake::OtherKey(_))));
    let no_ca = root.peer(&[]);
    assert!(matches!(by(&no_ca, &root.key, &peer), Err(CannotMake::NotCa(_))));
    let nameless = Profile { subject: "CN=x".parse().unwrap(), ..peer_profile(&[]) };
    let empty = pki::Name::from_der(&[0x30, 0]).unwrap();
    let nameless = Profile { subject: empty.clone(), ..nameless };
    assert_eq!(issue(&nameless), Err(CannotMake::Nameless));
    assert_eq!(issue(&Profile { subject: empty, ..short(None) }), Err(CannotMake::Nameless));
    let backwards = Profile { not_after: NOW - 2 * DAY, ..peer_profile(&["gw.example.com"]) };
    assert_eq!(issue(&backwards), Err(CannotMake::Lifetime));
    for name in [AltName::Dns("*.example.com".into()), AltName::Uri("x:".into())] {
        let profile = Profile { alt_names: vec![name], ..peer_profile(&[]) };
        assert!(matches!(issue(&profile), Err(CannotMake::AltName(_))));
    }
}

#[test]
fn what_is_made_is_read_back_as_asked() {
    let root = Ca::new("root");
    let names = ["gw.example.com", "u@example.com", "192.0.2.1", "2001:db8::1", "C=CH, CN=other"];
    let peer = root.peer(&names);
    for name in names {
        assert!(peer.carries(&name.parse().unwrap()), "{name}");
    }
    assert!(peer.carries(&"CN=peer".parse().unwrap()));
    assert!(!peer.is_ca() && root.free.is_ca() && root.free.is_self_issued());
    assert_eq!((peer.not_before(), peer.not_after()), (NOW - DAY, NOW + DAY));
    assert_eq!(peer.serial().len(), 16);
    assert_ne!(peer.serial(), root.peer(&names).serial());
    assert_eq!(Certificate::read(peer.to_pem().as_bytes()).unwrap(), peer);
    let empty = pki::Name::from_der(&[0x30, 0]).unwrap();
    let profile = Profile { subject: empty, ..peer_profile(&["gw.example.com"]) };
    let nameless = root.sign(&profile, &root.key);
    assert!(nameless.to_string().starts_with("'gw.example.com'"), "{nameless}");
    assert_eq!(verify(&Trust::new(vec![root.free.clone()]), &nameless, &[]), Ok(2));
}
