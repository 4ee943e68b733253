//! What `postern why` says to write into the file can be written into the file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use control::config;
use ike::fix;
use ike::narrow::{Covered, Ts};
use ike::proposal::{Proposal, Transform};
use pki::Identity;
use std::path::Path;
use wire::iana::{EncryptionId, IntegrityId};
use wire::prefix::Prefix;
use wire::selector::{AddressRange, PortRange};

const BASE: &str = include_str!("broken/base.yaml");

/// A configuration with a connection `ike-d` and what is pasted: each line a path of keys, and behind the colon a value.
/// What is there already is replaced, as whoever pastes it does.
fn pasted(fix: &str) -> String {
    let mut connection = vec![
        ("local", "192.0.2.1".to_owned()),
        ("remote", "192.0.2.9".to_owned()),
        ("psk", "\"a long and random shared key\"".to_owned()),
    ];
    let mut child =
        vec![("local_ts", "[10.7.0.0/24]".to_owned()), ("remote_ts", "[10.8.0.0/16]".to_owned())];
    for line in fix.lines() {
        let (path, value) = line.split_once(": ").expect("a path and a value");
        let key = path.strip_prefix("connections.ike-d.").expect("the connection");
        let put = |map: &mut Vec<_>, key, value| {
            map.retain(|(known, _)| *known != key);
            map.push((key, value));
        };
        match (key.strip_prefix("children."), key.split_once('.')) {
            (Some("net"), _) => child = vec![("", value.to_owned())],
            (Some(of_child), _) => {
                put(&mut child, of_child.strip_prefix("net.").unwrap(), value.to_owned());
            }
            (None, Some((end, key))) => {
                put(&mut connection, end, format!("{{ address: 192.0.2.9, {key}: {value} }}"));
            }
            (None, None) => put(&mut connection, key, value.to_owned()),
        }
    }
    let child = match child.as_slice() {
        [("", whole)] => whole.clone(),
        keys => {
            let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{ {} }}", keys.join(", "))
        }
    };
    let connection: String =
        connection.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    format!("{BASE}  ike-d:\n{connection}    children:\n      net: {child}\n")
}

#[track_caller]
fn parses(fix: &str) -> config::Config {
    let text = pasted(fix);
    config::parse(&text, "postern.yaml", Path::new("/nonexistent"))
        .unwrap_or_else(|why| panic!("{fix}\n{why}\n{text}"))
}

/// Whatever a peer may offer: numbers that we know, that we do not, and lengths of key that fit or do not.
fn offers(kinds: &[Vec<Transform>]) -> Vec<Proposal> {
    let mut all = vec![Proposal::default()];
    for kind in kinds {
        let each = |proposal: &Proposal| {
            let with = |transform: &Transform| {
                let mut more = proposal.clone();
                more.transforms.push(*transform);
                more
            };
            kind.iter().map(with).chain([proposal.clone()]).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(each).collect();
    }
    all
}

fn ciphers() -> Vec<Transform> {
    let lengths = [None, Some(40), Some(64), Some(128), Some(168), Some(192), Some(256), Some(448)];
    let of = |id| lengths.map(|bits| Transform::encryption(EncryptionId(id), bits));
    (0..=40).flat_map(of).collect()
}

fn integrities() -> Vec<Transform> {
    (0..=15).map(|id| Transform::integrity(IntegrityId(id))).collect()
}

#[test]
fn proposals_for_ike_can_be_pasted() {
    let prfs = [2, 4, 7, 9, 99].map(Transform::prf).to_vec();
    let groups = [0, 1, 2, 14, 19, 31, 32, 99].map(Transform::key_exchange).to_vec();
    let mut pasted = std::collections::BTreeSet::new();
    for offer in offers(&[ciphers(), integrities(), prfs, groups]) {
        pasted.extend(fix::ike("ike-d", [&offer].into_iter()));
    }
    assert!(pasted.len() > 200, "{}", pasted.len());
    // Every name is in some of them; all would be the same over and over.
    pasted.iter().step_by(7).for_each(|fix| drop(parses(fix)));
}

#[test]
fn proposals_for_esp_can_be_pasted() {
    let groups = [0, 2, 14, 31, 99].map(Transform::key_exchange).to_vec();
    let esn = vec![Transform::esn(true), Transform::esn(false)];
    let mut pasted = std::collections::BTreeSet::new();
    for offer in offers(&[ciphers(), integrities(), groups, esn]) {
        pasted.extend(fix::esp("ike-d", "net", [&offer].into_iter()));
    }
    assert!(pasted.len() > 100, "{}", pasted.len());
    pasted.iter().for_each(|fix| drop(parses(fix)));
    [true, false].iter().for_each(|&on| drop(parses(&fix::esn("ike-d", "net", on))));
}

/// What is pasted is what the peer offered.
#[test]
fn a_pasted_proposal_is_the_one_that_was_offered() {
    let offer = Proposal {
        transforms: vec![
            Transform::encryption(EncryptionId::ENCR_3DES, None),
            Transform::encryption(EncryptionId::ENCR_AES_CBC, Some(128)),
            Transform::prf(5),
            Transform::integrity(IntegrityId::AUTH_HMAC_SHA2_256_128),
            Transform::key_exchange(2),
            Transform::key_exchange(14),
        ],
    };
    let fix = fix::ike("ike-d", [&offer].into_iter()).unwrap();
    let names = "ENCR_AES_CBC_128/PRF_HMAC_SHA2_256/AUTH_HMAC_SHA2_256_128/MODP_2048";
    assert_eq!(fix, format!("connections.ike-d.proposals: [{names}]"));
    let config = parses(&fix);
    assert_eq!(config.negotiated[0].settings.proposals[0].to_string(), names);
    let only = Proposal { transforms: vec![Transform::encryption(EncryptionId(7), Some(448))] };
    assert_eq!(fix::ike("ike-d", [&only].into_iter()), None, "not an IKE cipher of this build");
}

#[test]
fn selectors_can_be_pasted() {
    let ports =
        [(0, 65535), (65535, 0), (80, 80), (1024, 65535), (0x0800, 0x08ff), (0x0304, 0x0304)];
    for net in ["10.1.0.0/16", "0.0.0.0/0", "192.0.2.1/32", "fd01::/48", "::/0"] {
        for protocol in 0..=255 {
            for (first, last) in ports {
                let addresses: AddressRange = net.parse::<Prefix>().unwrap().into();
                let ts = Ts { addresses, protocol, ports: PortRange { first, last } };
                let whole = Ts { protocol: 0, ports: PortRange::ANY, ..ts };
                // As peers send it: the packet that it is about comes first (RFC 7296 §2.9).
                let covered = Covered { local: vec![ts, whole, ts], remote: vec![ts] };
                if protocol < 8 || matches!(protocol, 17 | 33 | 50 | 58 | 132 | 136 | 255) {
                    parses(&fix::selectors("ike-d", "net", &covered));
                    let alone = Covered { local: vec![ts], remote: vec![ts] };
                    parses(&fix::selectors("ike-d", "net", &alone));
                }
            }
        }
    }
}

#[test]
fn identities_and_addresses_can_be_pasted() {
    for identity in [
        "192.0.2.1",
        "2001:db8::",
        "gw.example.com",
        "fqdn:192.0.2.1",
        "fqdn:a=b",
        "u@example.com",
        "C=CH, O=Example, CN=gw",
        "O=Example\\, Inc., CN=it's",
        "keyid:branch-17",
        "keyid:branch 17",
        "keyid:Zürich",
        "keyid:0x00ff",
        "keyid:a\"b",
        "keyid: #!&*",
    ] {
        let identity: Identity = identity.parse().unwrap_or_else(|why| panic!("{why}"));
        let config = parses(&fix::identity("ike-d", &identity));
        let patterns = &config.negotiated[0].settings.remote_auth.identities;
        assert!(patterns.len() == 1 && patterns[0].matches(&identity), "{identity}");
    }
    for address in ["192.0.2.77", "2001:db8::", "2001:db8::7"] {
        let address = address.parse().unwrap();
        if address == std::net::IpAddr::from([192, 0, 2, 77]) {
            parses(&fix::local("ike-d", address));
            parses(&fix::remote("ike-d", address));
        }
        assert!(fix::remote("ike-d", address).len() > 10);
    }
}

/// Who may come is said in so many words, or known by name, address or key.
#[test]
fn anybody_is_let_in_only_where_the_file_says_so() {
    for (remote, addresses) in [
        ("any", 0),
        ("{ address: any }", 0),
        ("{ address: [192.0.2.9, any] }", 0),
        ("{ id: gw-b.example.com }", 0),
        ("{ id: \"*\" }", 0),
        ("192.0.2.0/24", 1),
        ("{ address: [192.0.2.9, \"2001:db8::/64\"] }", 2),
    ] {
        let config = parses(&format!("connections.ike-d.remote: {remote}"));
        assert_eq!(config.negotiated[0].settings.remote.len(), addresses, "{remote}");
    }
}
