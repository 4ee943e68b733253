//! What the openssl program makes and thinks (`data/make.sh`), held against what we read and think; and the other way
//! round, for which the program must be installed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use pki::{
    AltName, BadFile, BadKey, Certificate, Check, Curve, Hash, Identity, Name, PrivateKey,
    PublicKey, Purpose, Request, Scheme, Trust,
};
use std::path::{Path, PathBuf};
use std::process::Command;

const PASSWORD: &str = "correct horse";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
fn read(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
fn several(name: &str) -> Vec<Certificate> {
    match pki::certificates(&read(name)) {
        Err(BadFile::Certificate { .. }) if read(name).is_empty() => Vec::new(),
        other => other.unwrap(),
    }
}

fn verify(name: &str, now: u64, change: impl Fn(&mut Trust)) -> Result<usize, Check> {
    let leaf = Certificate::read(&read(&format!("chains/{name}.leaf.pem"))).unwrap();
    let chain = several(&format!("chains/{name}.chain.pem"));
    let mut trust = Trust::new(several(&format!("chains/{name}.trust.pem")));
    change(&mut trust);
    let verified = trust.verify(&leaf, &chain, now, Purpose::Ike);
    verified.map(|verified| verified.path.len()).map_err(|refused| refused.check)
}

/// Whether our refusal is what openssl means by this number.
fn same(number: u32, check: &Check) -> bool {
    matches!(
        (number, check),
        (9, Check::NotYetValid { .. })
            | (10, Check::Expired { .. })
            | (20, Check::UnknownIssuer { .. } | Check::Signature { .. })
            | (19, Check::Signature { .. })
            | (25, Check::PathLength { allowed: 0, have: 1 })
            | (34, Check::CriticalExtension { .. })
            | (47, Check::NameConstraint { excluded: false, .. })
            | (48, Check::NameConstraint { excluded: true, .. })
            | (79, Check::NotCa | Check::KeyUsage { wanted: "keyCertSign" })
    )
}

#[test]
fn chains_are_judged_as_openssl_judges_them() {
    // where the program was asked less than we ask: purposes, SHA-1, SHA-224, policies, roots of version 1
    let stricter = [
        "ca-itself",
        "signed-with-sha1",
        "signed-with-sha224",
        "eku-code-signing",
        "eku-of-ca",
        "ku-encipherment",
        "explicit-policy",
        "version-1-root",
    ];
    let verdicts = String::from_utf8(read("chains/verdicts")).unwrap();
    assert!(verdicts.lines().count() > 50);
    for line in verdicts.lines() {
        let (name, rest) = line.split_once(' ').unwrap();
        let (now, verdict) = rest.split_once(' ').unwrap();
        let ours = verify(name, now.parse().unwrap(), |_| {});
        match (verdict.strip_prefix("error "), &ours) {
            (None, Ok(_)) => {}
            (None, Err(_)) => assert!(stricter.contains(&name), "{name}: {ours:?}"),
            (Some(number), Err(check)) => {
                assert!(same(number.parse().unwrap(), check), "{name}: {verdict}, {check:?}");
            }
            (Some(_), Ok(_)) => panic!("{name}: openssl says {verdict}, and we found a path"),
        }
    }
}

const NOW: u64 = 2_000_000_000;

#[test]
fn ours_is_stricter_where_policy_is() {
    assert_eq!(verify("signed-with-sha1", NOW, |_| {}), Err(Check::WeakHash));
    assert_eq!(verify("signed-with-sha1", NOW, |trust| trust.limits.sha1 = true), Ok(2));
    let signs_only = Check::KeyUsage { wanted: "digitalSignature" };
    assert_eq!(verify("ca-itself", NOW, |_| {}), Err(signs_only.clone()));
    assert_eq!(verify("ku-encipherment", NOW, |_| {}), Err(signs_only));
    let code = Check::ExtendedKeyUsage { have: vec!["1.3.6.1.5.5.7.3.3".into()] };
    assert_eq!(verify("eku-code-signing", NOW, |_| {}), Err(code.clone()));
    assert_eq!(verify("eku-of-ca", NOW, |_| {}), Err(code));
    assert_eq!(verify("explicit-policy", NOW, |_| {}), Err(Check::ExplicitPolicy));
    assert_eq!(verify("version-1-root", NOW, |_| {}), Err(Check::NotCa));
    assert_eq!(verify("signed-with-sha224", NOW, |_| {}), Err(Check::SignatureAlgorithm));
    let small = verify("key-rsa", NOW, |trust| trust.limits.rsa_bits = 3072..=4096);
    assert!(matches!(small, Err(Check::KeySize { least: 3072, .. })), "{small:?}");
    let large = verify("signed-by-rsa", NOW, |trust| trust.limits.rsa_bits = 1024..=1536);
    assert!(matches!(large, Err(Check::KeySize { most: 1536, .. })), "{large:?}");
}

#[test]
fn paths_are_as_long_as_they_need_to_be() {
    for (name, certificates) in [
        ("trusted-by-itself", 1),
        ("one-ca", 2),
        ("intermediate", 3),
        ("cross", 3),
        ("pathlen-self-issued", 4),
    ] {
        assert_eq!(verify(name, NOW, |_| {}), Ok(certificates), "{name}");
    }
    let short = verify("pathlen-self-issued", NOW, |trust| trust.limits.path = 3);
    assert_eq!(short, Err(Check::PathTooLong { most: 3 }));
}

#[test]
fn keys_of_every_form_are_read() {
    let forms: &[(&str, &[&str])] = &[
        ("rsa", &["rsa.pem", "rsa.pkcs8.der", "rsa.pkcs1.pem", "rsa.pkcs1.der"]),
        ("rsa", &["rsa.pbkdf2.pem", "rsa.scrypt.der"]),
        ("p256", &["p256.pem", "p256.pkcs8.der", "p256.pbkdf2.pem", "p256.3des.pem"]),
        ("p256", &["p256.sec1-without-point.der"]),
        ("p384", &["p384.pem", "p384.pkcs8.der", "p384.sec1.pem", "p384.sec1.der"]),
        ("p521", &["p521.pem", "p521.pkcs8.der", "p521.pbkdf2.pem"]),
        ("ed25519", &["ed25519.pem", "ed25519.pkcs8.der", "ed25519.pbkdf2.pem"]),
    ];
    for (kind, files) in forms {
        let public = PublicKey::from_spki(&read(&format!("keys/{kind}.spki"))).unwrap();
        for file in *files {
            let key = PrivateKey::read(&read(&format!("keys/{file}")), Some(PASSWORD));
            let key = key.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(key.public_key(), &public, "{file}");
            assert!(format!("{key:?}").starts_with("PrivateKey(.."), "{file}");
        }
    }
    for file in ["rsa.pbkdf2.pem", "rsa.scrypt.der", "p256.3des.pem"] {
        for password in [None, Some("wrong")] {
            let error = PrivateKey::read(&read(&format!("keys/{file}")), password).unwrap_err();
            assert!(matches!(error, BadKey::Password(_)), "{file}: {error}");
        }
    }
    let old = PrivateKey::read(&read("keys/rsa.old-encrypted.pem"), Some(PASSWORD)).unwrap_err();
    assert!(old.to_string().contains("openssl pkcs8 -topk8"), "{old}");
}

#[test]
fn certreq_holds_the_hashes_of_the_anchors_keys() {
    let anchors = several("chains/both-roots-of-one-name.trust.pem");
    let expected: Vec<u8> =
        anchors.iter().flat_map(|one| Hash::Sha1.digest(one.public_key().spki())).collect();
    let field = Trust::new(anchors).certreq();
    assert_eq!((field.len(), field), (40, expected));
}

#[test]
fn signatures_by_openssl_hold() {
    let message = read("keys/message");
    let check = |kind: &str, file: &str, scheme: Scheme| {
        let key = PublicKey::from_spki(&read(&format!("keys/{kind}.spki"))).unwrap();
        let signature = read(&format!("keys/{file}.sig"));
        assert_eq!(key.verify(scheme, &message, &signature), Ok(()), "{file} {scheme}");
        assert!(key.verify(scheme, b"other", &signature).is_err(), "{file} {scheme}");
    };
    for (name, hash) in
        [("sha256", Hash::Sha256), ("sha384", Hash::Sha384), ("sha512", Hash::Sha512)]
    {
        check("rsa", &format!("rsa.{name}"), Scheme::RsaPkcs1(hash));
        check("rsa", &format!("rsa.pss-{name}"), Scheme::RsaPss(hash));
        for curve in ["p256", "p384", "p521"] {
            check(curve, &format!("{curve}.{name}"), Scheme::Ecdsa(hash));
        }
    }
    check("rsa", "rsa.sha1", Scheme::RsaPkcs1(Hash::Sha1));
    check("ed25519", "ed25519", Scheme::Ed25519);
}

/// PKCS#1 v1.5 has one signature of a message: ours must be openssl's, SHA-1 of our own making too.
#[test]
fn pkcs1_signatures_are_the_very_octets_of_openssl() {
    let key = PrivateKey::read(&read("keys/rsa.pem"), None).unwrap();
    let message = read("keys/message");
    for (file, hash) in [("sha1", Hash::Sha1), ("sha256", Hash::Sha256), ("sha384", Hash::Sha384)] {
        let ours = key.sign(Scheme::RsaPkcs1(hash), &message).unwrap();
        assert!(ours == read(&format!("keys/rsa.{file}.sig")), "{file}");
    }
}

#[test]
fn pkcs12_files_open() {
    for file in ["modern.p12", "legacy.p12", "3des.p12"] {
        let octets = read(&format!("keys/{file}"));
        let found = pki::pkcs12(&octets, PASSWORD).unwrap_or_else(|e| panic!("{file}: {e}"));
        let leaf = Certificate::read(&read("chains/intermediate.leaf.pem")).unwrap();
        assert_eq!(found.certificate.as_ref(), Some(&leaf), "{file}");
        assert_eq!(found.key.unwrap().public_key(), leaf.public_key(), "{file}");
        assert_eq!(found.others, several("chains/intermediate.chain.pem"), "{file}");
        let wrong = pki::pkcs12(&octets, "wrong").unwrap_err();
        assert!(matches!(wrong, BadFile::Pkcs12(_)), "{file}: {wrong}");
    }
    assert!(pki::pkcs12(&read("keys/empty-password.p12"), "").unwrap().key.is_some());
}

#[test]
fn requests_are_read_and_their_signature_checked() {
    let request = Request::read(&read("keys/request.pem")).unwrap();
    assert_eq!(request.subject(), &"CN=asked".parse::<Name>().unwrap());
    let names =
        [AltName::Dns("asked.example.com".into()), AltName::Ip("192.0.2.5".parse().unwrap())];
    assert_eq!(request.alt_names(), names);
    let plain = Request::read(&read("keys/request-plain.der")).unwrap();
    assert_eq!(plain.alt_names(), []);
    let mut forged = read("keys/request-plain.der");
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(Request::read(&forged), Err(BadKey::Inconsistent(_))));
}

/// C6.
#[test]
fn a_certificate_carries_what_subject_alt_name_holds_and_nothing_else() {
    let certificate = Certificate::from_der(&read("chains/names.der")).unwrap();
    let carries = |text: &str| certificate.carries(&text.parse::<Identity>().unwrap());
    for yes in ["dns.example.com", "DNS.Example.com", "192.0.2.1", "CN=cn.example.com, O=192.0.2.9"]
    {
        assert!(carries(yes), "{yes}");
    }
    for no in [
        "cn.example.com",                 // commonName
        "gw.example.com",                 // the wildcard in it
        "uri.example.com",                // a URI
        "192.0.2.9",                      // an address in the subject
        "fqdn:192.0.2.1",                 // an address as host name
        "u@example.com",                  // the wildcard in it
        "O=192.0.2.9, CN=cn.example.com", // another order
        "CN=cn.example.com",              // a part
        "keyid:dns.example.com",
        "dns.example.com.evil.example",
        "example.com",
    ] {
        assert!(!carries(no), "{no}");
    }
}

/// A NUL within a name ends nothing (CVE-2013-6075 and the like): the octets of `dns.example.com` are changed in place.
#[test]
fn a_nul_in_a_name_is_no_end() {
    let mut der = read("chains/names.der");
    let wanted = b"dns.example.com";
    let at = der.windows(wanted.len()).position(|window| window == wanted).unwrap();
    der[at + 3] = 0;
    let certificate = Certificate::from_der(&der).unwrap();
    for name in ["dns", "dns.example.com", "dns\\00example.com"] {
        let identity = Identity::fqdn(name).unwrap();
        assert!(!certificate.carries(&identity), "{name}");
    }
    assert_eq!(Identity::fqdn("dns\0example.com"), None);
    let carried = certificate.identities();
    assert!(carried.iter().all(|identity| !identity.to_string().contains('\0')), "{carried:?}");
}

fn openssl(directory: &Path, arguments: &str) -> String {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let run = run.expect("this test needs the program openssl: apt-get install openssl");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(run.status.success(), "openssl {arguments}: {}", text(&run.stderr));
    text(&run.stdout)
}

/// The program, not a fixture: it judges what this very build makes.
#[test]
fn openssl_accepts_what_we_make() {
    use pki::{Constraints, Issuer, KeyKind, Profile, Role};
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let save = |name: &str, octets: &[u8]| std::fs::write(here.join(name), octets).unwrap();
    let (from, to) = (1_700_000_000, 4_000_000_000); // beyond 2050: both forms of time
    let root_key = PrivateKey::generate(KeyKind::Ecdsa(Curve::P384)).unwrap();
    let ca_key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let peer_key = PrivateKey::generate(KeyKind::Rsa(2048)).unwrap();
    let ca = |subject: &str, path_len, permitted: &[&str]| Profile {
        subject: subject.parse().unwrap(),
        alt_names: vec![],
        not_before: from,
        not_after: to,
        role: Role::Ca {
            path_len,
            constraints: Constraints {
                permitted: permitted.iter().map(|text| text.parse().unwrap()).collect(),
                excluded: vec!["dns:secret.example.com".parse().unwrap()],
            },
        },
    };
    let root = ca("C=CH, O=Example, CN=Root", Some(1), &["dns:example.com", "ip:192.0.2.0/24"]);
    let root = root.self_signed(&root_key).unwrap();
    let inter = ca("C=CH, O=Example, CN=CA", Some(0), &["dns:example.com", "email:example.com"]);
    let issuer = Issuer { certificate: &root, key: &root_key };
    let inter = issuer.issue(&inter, ca_key.public_key()).unwrap();
    let names = ["gw.example.com", "admin@example.com", "192.0.2.7"];
    let identities = names.map(|text| text.parse::<Identity>().unwrap());
    let alt_names: Vec<_> = identities.iter().map(|id| AltName::try_from(id).unwrap()).collect();
    let subject: Name = "C=CH, O=Zürich\\, Example, CN=gw".parse().unwrap();
    let request = Request::new(&subject, &alt_names, &peer_key).unwrap();
    let profile = Profile {
        subject: request.subject().clone(),
        alt_names: request.alt_names().to_vec(),
        not_before: from,
        not_after: to,
        role: Role::Peer,
    };
    let issuer = Issuer { certificate: &inter, key: &ca_key };
    let peer = issuer.issue(&profile, request.public_key()).unwrap();
    save("root.pem", root.to_pem().as_bytes());
    save("inter.pem", inter.to_pem().as_bytes());
    save("peer.pem", peer.to_pem().as_bytes());
    save("request.pem", request.to_pem().as_bytes());
    save("key.pem", peer_key.to_encrypted_pem("secret").unwrap().as_bytes());
    let chain = [peer.clone(), inter.clone(), root.clone()];
    let p12 = pki::to_pkcs12("gateway", &peer_key, &chain, "secret").unwrap();
    save("peer.p12", &p12);

    let verdict = "verify -x509_strict -purpose sslserver -attime 3000000000 -no-CApath -no-CAstore \
                   -CAfile root.pem -untrusted inter.pem peer.pem";
    assert_eq!(openssl(here, verdict).trim(), "peer.pem: OK");
    let text = openssl(here, "x509 -in peer.pem -noout -text");
    for part in
        ["DNS:gw.example.com, email:admin@example.com, IP Address:192.0.2.7", "Digital Signature"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    openssl(here, "req -in request.pem -noout -verify");
    let key = openssl(here, "pkey -in key.pem -passin pass:secret -pubout");
    assert_eq!(key, peer_key.public_key().to_pem());
    let bundle = openssl(here, "pkcs12 -in peer.p12 -passin pass:secret -nodes");
    assert_eq!(pki::certificates(bundle.as_bytes()).unwrap().len(), 3);
    let again = pki::pkcs12(&p12, "secret").unwrap();
    assert_eq!((again.certificate.as_ref(), again.others.len()), (Some(&peer), 2));
    let verified = Trust::new(vec![root]).verify(&peer, &[inter], 3_000_000_000, Purpose::Ike);
    assert_eq!(verified.unwrap().path.len(), 3);
    assert!(identities.iter().all(|identity| peer.carries(identity)));
}
