//! Chains by chance, judged by us and by rustls-webpki: what both know how to judge, both must judge alike. Kept to
//! what it looks at: intermediates' times, path lengths, constraints on host names and addresses, signatures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use pki::{
    AltName, Certificate, Constraints, Identity, Issuer, KeyKind, PrivateKey, Profile, Purpose,
    Role, Trust,
};
use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::LazyLock;
use std::time::Duration;

const NOW: u64 = 1_900_000_000;
static KEYS: LazyLock<Vec<PrivateKey>> =
    LazyLock::new(|| (0..4).map(|_| PrivateKey::generate(KeyKind::Ed25519).unwrap()).collect());

/// One CA: its name and key by number, and what is written into its certificate.
#[derive(Clone, Debug)]
struct Wanted {
    path_len: Option<u8>,
    permitted: Vec<&'static str>,
    excluded: Vec<&'static str>,
    starts: i64,
    lasts: i64,
    /// Signed by the key that belongs to the issuer's name, or by another.
    honest: bool,
}

fn profile(at: usize, wanted: &Wanted) -> Profile {
    let read = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    Profile {
        subject: format!("CN=CA {at}").parse().unwrap(),
        alt_names: vec![],
        not_before: NOW.saturating_add_signed(wanted.starts),
        not_after: NOW.saturating_add_signed(wanted.starts + wanted.lasts),
        role: Role::Ca {
            path_len: wanted.path_len,
            constraints: Constraints {
                permitted: read(&wanted.permitted),
                excluded: read(&wanted.excluded),
            },
        },
    }
}

/// Signs whatever is asked in the name of CA `at`.
fn sign(at: usize, honest: bool, profile: &Profile, key: &PrivateKey) -> Certificate {
    let signer = &KEYS[if honest { at } else { (at + 1) % KEYS.len() }];
    let free = Wanted {
        path_len: None,
        permitted: vec![],
        excluded: vec![],
        starts: -1_000_000_000,
        lasts: 2_000_000_000,
        honest,
    };
    let certificate = self::profile(at, &free).self_signed(signer).unwrap();
    Issuer { certificate: &certificate, key: signer }.issue(profile, key.public_key()).unwrap()
}

fn wanted() -> impl Strategy<Value = Wanted> {
    const PERMITTED: [&str; 5] =
        ["dns:example.com", "dns:a.example.com", "dns:net", "ip:10.0.0.0/8", "ip:10.1.0.0/16"];
    const EXCLUDED: [&str; 4] =
        ["dns:b.example.com", "dns:example.net", "ip:10.1.2.0/24", "ip:2001:db8::/32"];
    let some = |list: &'static [&'static str], most| prop::sample::subsequence(list, 0..=most);
    let often = |mostly: i64, other: i64| prop_oneof![12 => Just(mostly), 1 => Just(other)];
    (
        prop::option::weighted(0.4, 0u8..3),
        prop_oneof![3 => Just(vec![]), 2 => some(&PERMITTED, 3)],
        prop_oneof![3 => Just(vec![]), 1 => some(&EXCLUDED, 2)],
        often(-1000, 5),
        often(2000, 900),
        prop::bool::weighted(0.95),
    )
        .prop_map(|(path_len, permitted, excluded, starts, lasts, honest)| Wanted {
            path_len,
            permitted,
            excluded,
            starts,
            lasts,
            honest,
        })
}

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    const NAMES: [&str; 10] = [
        "example.com",
        "a.example.com",
        "x.a.example.com",
        "b.example.com",
        "x.b.example.com",
        "badexample.com",
        "gw.example.net",
        "10.1.2.3",
        "10.2.2.3",
        "2001:db8::1",
    ];
    prop::sample::subsequence(&NAMES, 1..4)
}

fn theirs(
    root: &Certificate,
    leaf: &Certificate,
    sent: &[Certificate],
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(root.der());
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let leaf = CertificateDer::from(leaf.der());
    let sent: Vec<_> = sent.iter().map(|one| CertificateDer::from(one.der())).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let purpose = webpki::KeyUsage::client_auth();
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    webpki::EndEntityCert::try_from(&leaf)?
        .verify_for_usage(algorithms, &[anchor], &sent, time, purpose, None, None)
        .map(|_| ())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn chains_are_judged_as_webpki_judges_them(
        cas in prop::collection::vec(wanted(), 0..3),
        names in names(),
        leaf_honest in prop::bool::weighted(0.95),
        left_out in prop::option::weighted(0.1, 0usize..3),
        reversed: bool,
    ) {
        // the root says nothing but its name: webpki takes no more from an anchor
        let free = Wanted {
            path_len: None, permitted: vec![], excluded: vec![], starts: -10_000, lasts: 20_000,
            honest: true,
        };
        let root = profile(0, &free).self_signed(&KEYS[0]).unwrap();
        let mut sent: Vec<_> = cas
            .iter()
            .enumerate()
            .map(|(at, wanted)| {
                let profile = profile(at + 1, wanted);
                sign(at, wanted.honest, &profile, &KEYS[at + 1])
            })
            .collect();
        let alt_name = |text: &&str| AltName::try_from(&text.parse::<Identity>().unwrap()).unwrap();
        let peer = Profile {
            subject: "CN=peer".parse().unwrap(),
            alt_names: names.iter().map(alt_name).collect(),
            not_before: NOW - 1,
            not_after: NOW + 1,
            role: Role::Peer,
        };
        let leaf = sign(cas.len(), leaf_honest, &peer, &KEYS[3]);
        if let Some(at) = left_out.filter(|at| *at < sent.len()) {
            sent.remove(at);
        }
        if reversed {
            sent.reverse();
        }
        let ours = Trust::new(vec![root.clone()]).verify(&leaf, &sent, NOW, Purpose::Ike);
        let theirs = theirs(&root, &leaf, &sent);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "ours {:?}, theirs {:?}", ours, theirs);
    }
}
