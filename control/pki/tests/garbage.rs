//! Whatever octets come: an answer, never a panic (A10); and nothing that was changed is trusted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use pki::{Certificate, Identity, Name, PrivateKey, PublicKey, Purpose, Request, Scheme, Trust};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

const NOW: u64 = 2_000_000_000;

/// Every fixture in DER, with keys of all forms.
static FIXTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut out = Vec::new();
    for folder in ["keys", "chains"] {
        for entry in std::fs::read_dir(directory.join(folder)).unwrap() {
            let octets = std::fs::read(entry.unwrap().path()).unwrap();
            match pki::certificates(&octets) {
                Ok(found) => out.extend(found.iter().map(|one| one.der().to_vec())),
                Err(_) => out.push(octets),
            }
        }
    }
    out.sort();
    out.dedup();
    out
});

fn parse_everything(octets: &[u8]) {
    let _ = Certificate::from_der(octets);
    let _ = pki::certificates(octets);
    let _ = Request::read(octets);
    let _ = PublicKey::read(octets);
    let _ = PrivateKey::read(octets, None);
    let _ = Scheme::from_algorithm_identifier(octets);
    let _ = Name::from_der(octets);
    for kind in 0..=12 {
        let _ = Identity::from_ike(kind, octets).map(|identity| identity.to_string());
    }
}

fn mutate(octets: &mut Vec<u8>, changes: &[(u8, usize, u8)]) {
    for &(kind, at, value) in changes {
        let at = at % (octets.len() + 1);
        match kind % 4 {
            0 if at < octets.len() => octets[at] = value,
            1 if at < octets.len() => octets[at] ^= 1 << (value % 8),
            2 => octets.insert(at, value),
            _ => {
                octets.truncate(at.max(1));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn mutated_fixtures(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0u8..7, any::<usize>(), any::<u8>()), 1..6),
    ) {
        let mut octets = which.get(&FIXTURES).clone();
        mutate(&mut octets, &changes.iter().map(|&(k, a, v)| (k % 3, a, v)).collect::<Vec<_>>());
        parse_everything(&octets);
    }

    #[test]
    fn random_octets(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_everything(&octets);
    }

    #[test]
    fn random_text(text in "\\PC{0,60}") {
        let _ = text.parse::<Identity>().map(|identity| {
            assert_eq!(identity.to_string().parse::<Identity>().as_ref(), Ok(&identity));
        });
        let _ = text.parse::<pki::Pattern>().map(|pattern| {
            assert_eq!(pattern.to_string().parse::<pki::Pattern>().as_ref(), Ok(&pattern));
        });
        let _ = text.parse::<Name>().map(|name| {
            assert_eq!(Name::from_der(name.der()).as_ref(), Ok(&name));
            assert_eq!(name.to_string().parse::<Name>().as_ref(), Ok(&name));
        });
        parse_everything(text.as_bytes());
    }

    #[test]
    fn names_of_odd_characters_survive_text(
        values in prop::collection::vec("[ -~\u{0}-\u{8}ä,+\"\\\\<>;=*#]{1,8}", 1..4),
    ) {
        let hex = |value: &String| value.bytes().map(|octet| format!("\\{octet:02x}")).collect::<String>();
        let text: Vec<_> = values.iter().map(|value| format!("CN={}", hex(value))).collect();
        let name: Name = text.join(", ").parse().unwrap();
        let again: Name = name.to_string().parse().unwrap();
        prop_assert_eq!(again.der(), name.der());
    }

    /// One octet changed anywhere in the peer's certificate or the intermediate: no path.
    #[test]
    fn nothing_that_was_changed_is_trusted(of_leaf: bool, at in any::<prop::sample::Index>(), xor in 1u8..) {
        let read = |part: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chains");
            let file = std::fs::read(path.join(format!("intermediate.{part}.pem"))).unwrap();
            Certificate::read(&file).unwrap()
        };
        let (leaf, inter, root) = (read("leaf"), read("chain"), read("trust"));
        let trust = Trust::new(vec![root]);
        prop_assert!(trust.verify(&leaf, std::slice::from_ref(&inter), NOW, Purpose::Ike).is_ok());
        let mut der = if of_leaf { leaf.der() } else { inter.der() }.to_vec();
        let at = at.index(der.len());
        der[at] ^= xor;
        if let Ok(changed) = Certificate::from_der(&der) {
            let (leaf, inter) = if of_leaf { (changed, inter) } else { (leaf, changed) };
            prop_assert!(trust.verify(&leaf, &[inter], NOW, Purpose::Ike).is_err(), "octet {}", at);
        }
    }
}

#[test]
fn deep_nesting_and_huge_lengths_are_answered() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested.splice(0..0, [0x30, 0x84, 0, 0, 0, 0]);
    }
    parse_everything(&nested);
    let chain: Vec<u8> = (0..8000).flat_map(|_| [0x30, 0x80]).collect();
    parse_everything(&chain);
    for length in [0x81, 0x82, 0x83, 0x84, 0x85, 0x88, 0xff] {
        parse_everything(&[&[0x30, length], [0xff; 40].as_slice()].concat());
        parse_everything(&[&[0x30, 0x82, 0, 45, 0x30, length], [0xff; 40].as_slice()].concat());
    }
}
