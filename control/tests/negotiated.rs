//! Connections that IKE negotiates, from the file to the core's settings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use control::config::{self, Config};
use ike::settings::{Accept, Credential, Encap, Start, Then};
use pki::{Certificate, Identity, KeyKind, Name, PrivateKey, Profile, Role};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const HEAD: &str =
    "interfaces: [{ name: lan, role: inside }, { name: wan, role: outside }]\nconnections:\n";
const PSK: &str = "a long and random shared key";

fn parse(connections: &str, base: &Path) -> Result<Config, String> {
    config::parse(&format!("{HEAD}{connections}"), "f", base).map_err(|faulty| faulty.to_string())
}
fn read(connections: &str) -> Config {
    parse(connections, Path::new("/nonexistent")).unwrap_or_else(|why| panic!("{why}"))
}
fn refused(connections: &str) -> String {
    parse(connections, Path::new("/nonexistent")).expect_err("nothing is wrong")
}

fn simple(extra: &str) -> String {
    format!(
        "  b:\n    local: 192.0.2.1\n    remote: 192.0.2.2\n    psk: \"{PSK}\"\n{extra}    children:\n      net: {{ local_ts: [10.1.0.0/24], remote_ts: [10.2.0.0/24] }}\n"
    )
}

#[test]
fn five_lines_are_enough_and_the_defaults_are_strong() {
    let config = read(&simple(""));
    let settings = config.settings();
    let [connection] = settings.connections.as_slice() else { panic!() };
    assert_eq!(connection.local_auth.identity.to_string(), "192.0.2.1");
    assert!(
        matches!(&connection.local_auth.credential, Credential::Psk(key) if key.expose() == PSK.as_bytes())
    );
    assert!(matches!(connection.remote_auth.accept, Accept::Psk(_)));
    let other: Identity = "192.0.2.3".parse().unwrap();
    assert!(!connection.remote_auth.identities[0].matches(&other));
    let shown: Vec<_> = connection.proposals.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519/ECP_384/MODP_3072"]);
    let child = &connection.children[0];
    assert_eq!(
        (child.start, child.on_dead, connection.encap),
        (Start::Auto, Then::Restart, Encap::Auto)
    );
    assert!(connection.ends().is_some() && config.warnings.is_empty());
    // Packets never go out in the clear while nobody is connected.
    assert_eq!(config.policies.len(), 1);
    assert_eq!(config.standing().count(), 1);
}

#[test]
fn a_secret_is_never_shown() {
    let text = simple("    pskk: \"another secret of ours\"\n")
        .replace("psk: \"a long and random shared key\"", "psk: [oh]");
    let said = refused(&text);
    assert!(!said.contains("another secret") || said.contains("unknown key"), "{said}");
    let config = read(&simple(""));
    assert!(!format!("{config:?}").contains("random"), "Debug shows the PSK");
    let weak = read(&simple("").replace(PSK, "guess me"));
    let warned = weak.warned("f").join("\n");
    assert!(warned.contains("can be guessed") && !warned.contains("guess me"), "{warned}");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
    for (from, to, said) in [
        (
            "psk: \"a long and random shared key\"",
            "unique: replace",
            "f:4:12: 'local': nothing proves who we are",
        ),
        (
            "    psk:",
            "    proposals: ENCR_3DES/PRF_HMAC_SHA1/AUTH_HMAC_SHA1_96/MODP_2048\n    psk:",
            "write legacy: true",
        ),
        (
            "    psk:",
            "    encap: udp\n    psk:",
            "where keys are negotiated write auto, force or never",
        ),
        ("    psk:", "    dpd: soon\n    psk:", "f:6:10: 'soon': not a time"),
        ("remote: 192.0.2.2", "remote: \"2001:db8::1\"", "no address of the remote's family"),
        ("remote_ts: [10.2.0.0/24]", "remote_ts: [\"fd02::/64\"]", "has no IPv"),
        ("remote: 192.0.2.2", "remote: { adress: 192.0.2.2 }", "did you mean \"address\"?"),
        (
            "local: 192.0.2.1",
            "local: { address: 192.0.2.1, certificate: nowhere.pem }",
            "cannot be read",
        ),
        ("net: {", "net: { start: on_demand,", "did you mean \"ondemand\"?"),
    ] {
        let text = simple("");
        assert!(text.contains(from), "{from}");
        let shown = refused(&text.replacen(from, to, 1));
        assert!(shown.contains(said), "{to}:\n{shown}\nwithout {said}");
    }
    let nowhere = "  b:\n    psk: \"a long and random shared key\"\n    children: { net: { start: ondemand, local_ts: [10.1.0.0/24] } }\n";
    let said = refused(nowhere);
    assert!(said.contains("we have no name here"), "{said}");
}

#[test]
fn manual_and_negotiated_connections_stand_side_by_side_in_order() {
    let base = include_str!("broken/base.yaml");
    let text = format!(
        "{base}{}",
        simple("").replace("10.1.0.0/24", "10.7.0.0/24").replace("  b:", "  c:")
    );
    let config =
        config::parse(&text, "f", Path::new("/nonexistent")).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((config.tunnels.len(), config.standing().count()), (2, 1));
    let last = config.policies.last().unwrap();
    assert_eq!(last.verdict, sadb::Verdict::Protect { tunnel: 2 });
    // One of them cannot be both.
    let both = base.replace("manual:", "start: auto\n        manual:");
    let said = config::parse(&both, "f", Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(said.contains("only for connections that are negotiated"), "{said}");
}

#[test]
fn a_digest_changes_with_everything_but_the_credentials() {
    let of = |text: &str| {
        let config = read(text);
        (config.negotiated[0].settings.digest, config.negotiated[0].credentials)
    };
    let (digest, credentials) = of(&simple(""));
    let (same, other) = of(&simple("").replace(PSK, "another long and random key"));
    assert!(same == digest && other != credentials);
    for extra in [
        "    dpd: 10s\n",
        "    unique: keep\n",
        "    lifetime: { rekey: 1h }\n",
        "    encap: force\n",
    ] {
        let (changed, same) = of(&simple(extra));
        assert!(changed != digest && same == credentials, "{extra}");
    }
    let (changed, _) = of(&simple("").replace("10.2.0.0/24", "10.3.0.0/24"));
    assert_ne!(changed, digest);
}

fn write(path: &Path, octets: &[u8], mode: u32) {
    std::fs::write(path, octets).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn own_certificate(directory: &Path, days: i64) -> Certificate {
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let now = control::keying::unix_now();
    let subject: Name = "CN=gw".parse().unwrap();
    let alt_names = vec![pki::AltName::Dns("gw-a.example.com".to_owned())];
    let not_after = now.checked_add_signed(days * 86_400).unwrap();
    let not_before = now.min(not_after) - 86_400;
    let made = Profile { subject, alt_names, not_before, not_after, role: Role::Peer }
        .self_signed(&key)
        .unwrap();
    write(&directory.join("gw.pem"), made.to_pem().as_bytes(), 0o644);
    write(&directory.join("gw.key"), key.to_pem().as_bytes(), 0o600);
    made
}

const CERTIFIED: &str = "  b:
    local: { address: 192.0.2.1, certificate: gw.pem, key: { file: gw.key } }
    remote: { address: 192.0.2.2, id: \"*.example.com\", ca: gw.pem }
    children: { net: { local_ts: [10.1.0.0/24], remote_ts: [10.2.0.0/24] } }
";

#[test]
fn certificates_are_read_and_their_names_are_ours() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    own_certificate(base, 365);
    let config = parse(CERTIFIED, base).unwrap_or_else(|why| panic!("{why}"));
    let connection = &config.negotiated[0].settings;
    assert!(connection.local_auth.identity.to_string().contains("gw-a.example.com"));
    assert!(
        matches!(&connection.local_auth.credential, Credential::Certificate { chain, .. } if chain.len() == 1)
    );
    assert!(
        matches!(&connection.remote_auth.accept, Accept::Certificate(trust) if trust.anchors.len() == 1)
    );
    assert!(config.warnings.is_empty());

    let other = CERTIFIED.replace("key: {", "id: gw-c.example.com, key: {");
    assert!(parse(&other, base).unwrap_err().contains("does not carry this name"));
    let anybody = CERTIFIED.replace("id: \"*.example.com\", ", "");
    assert!(parse(&anybody, base).unwrap_err().contains("id: \"*\" for all of them"));
    let keyless = CERTIFIED.replace(", key: { file: gw.key }", "");
    assert!(parse(&keyless, base).unwrap_err().contains("without its private key"));
    write(
        &base.join("gw.key"),
        PrivateKey::generate(KeyKind::Ed25519).unwrap().to_pem().as_bytes(),
        0o600,
    );
    assert!(parse(CERTIFIED, base).unwrap_err().contains("not the one of this certificate"));
    write(&base.join("gw.key"), b"", 0o644);
    assert!(parse(CERTIFIED, base).unwrap_err().contains("chmod 600"));
}

#[test]
fn an_expired_certificate_is_told_of_and_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    for (days, said) in [(-1, "is expired"), (5, "expires in")] {
        own_certificate(directory.path(), days);
        let config = parse(CERTIFIED, directory.path()).unwrap_or_else(|why| panic!("{why}"));
        let warned = config.warned("f").join("\n");
        assert!(warned.contains(said), "{days}: {warned}");
    }
}

#[test]
fn keys_without_certificates_prove_too() {
    let directory = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    write(&directory.path().join("our.key"), key.to_pem().as_bytes(), 0o600);
    write(&directory.path().join("their.pub"), key.public_key().to_pem().as_bytes(), 0o644);
    let text = "  b:
    local: { address: 192.0.2.1, id: keyid:a, key: { file: our.key } }
    remote: { address: 192.0.2.2, id: keyid:b, public_key: [their.pub] }
    children: { net: { local_ts: [10.1.0.0/24], remote_ts: [10.2.0.0/24] } }
";
    let config = parse(text, directory.path()).unwrap_or_else(|why| panic!("{why}"));
    let connection = &config.negotiated[0].settings;
    assert!(matches!(connection.local_auth.credential, Credential::RawKey(_)));
    assert!(matches!(&connection.remote_auth.accept, Accept::RawKey(keys) if keys.len() == 1));
}
