//! What stands in configs/ is true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

#[test]
fn the_committed_schema_is_made_from_the_types() {
    let path = configs().join("postern.schema.json");
    let schema = control::config::schema();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == schema, "run `postern schema > configs/postern.schema.json`");
}

#[test]
fn every_example_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    for (number, (name, octets)) in
        [("b-in.enc", 16), ("b-out.enc", 16), ("b-in.auth", 32), ("b-out.auth", 32)]
            .into_iter()
            .enumerate()
    {
        let path = keys.join(name);
        std::fs::write(&path, format!("{number:02}").repeat(octets)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    credentials(directory.path());
    let mut count = 0;
    for entry in std::fs::read_dir(configs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let copy = directory.path().join(path.file_name().unwrap());
            std::fs::copy(&path, &copy).unwrap();
            let config = control::config::load(&copy).unwrap_or_else(|faulty| panic!("{faulty}"));
            let negotiated = !config.negotiated.is_empty();
            assert!(negotiated || !config.tunnels.is_empty() && !config.policies.is_empty());
            assert!(!negotiated || config.warnings.is_empty(), "{:?}", config.warnings);
            count += 1;
        }
    }
    assert!(count >= 6);
}

/// What the examples of negotiated connections name, made as docs/configuration.md shows it.
fn credentials(directory: &Path) {
    let pki = |arguments: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_postern"))
            .current_dir(directory)
            .arg("pki")
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let secret = directory.join("site-b.psk");
    std::fs::write(&secret, "wS0lXqUuYwVjJ1e8dT9gM3bHkz4rPnAv\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    pki(&["ca", "--subject", "O=Example, CN=Example CA", "--out", "ca.pem", "--key-out", "ca.key"]);
    let ca = ["--ca", "ca.pem", "--ca-key", "ca.key"];
    let issued = ["--san", "gw-a.example.com", "--out", "gw-a.pem", "--key-out", "gw-a.key"];
    pki(&[&["issue"], &ca[..], &issued[..]].concat());
}

#[test]
fn the_documentation_has_a_row_for_every_algorithm() {
    use control::config::suites::{CIPHERS, INTEGRITIES};
    let text = include_str!("../../docs/configuration.md");
    let names = CIPHERS.iter().map(|cipher| (cipher.name(), cipher.id.0, cipher.legacy.is_some()));
    let macs = INTEGRITIES.iter().map(|mac| (mac.name(), mac.id.0, mac.legacy.is_some()));
    let (today, legacy) = text.split_once("### Legacy").unwrap();
    for (name, number, is_legacy) in names.chain(macs) {
        // GCM and CCM have one row for their three lengths of ICV.
        let row = ["_12", "_8"].iter().find_map(|icv| name.strip_suffix(icv));
        let row = format!("| `{}`", row.map_or(name.to_owned(), |stem| format!("{stem}_16")));
        let part = if is_legacy { legacy } else { today };
        let line = part.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("{name} has no row"));
        let numbers = line.split('|').nth(2).unwrap();
        assert!(numbers.split(',').any(|it| it.trim() == number.to_string()), "{name}: {line}");
    }
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "0a".repeat(16)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let base = include_str!("broken/base.yaml");
    let text = base.replacen("\"03030303030303030303030303030303\"", "{ file: key }", 1);
    let said = control::config::parse(&text, "f", directory.path()).unwrap_err().to_string();
    assert!(said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    control::config::parse(&text, "f", directory.path()).unwrap();
}
