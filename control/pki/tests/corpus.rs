//! Replays the committed fuzz corpora on the stable compiler: what a fuzzer once found stays fixed. And makes their seeds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Fewer seeds than this means that somebody lost a directory.
const LEAST: usize = 10;

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_committed_seed_of_pki_passes_its_target() {
    for (name, target) in targets::TARGETS {
        let mut seeds = 0;
        for entry in fs::read_dir(below("fuzz/corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let octets = fs::read(&path).unwrap();
            eprintln!("{}", path.display()); // shown when it fails
            target(&octets);
            for len in (0..octets.len()).step_by(37) {
                target(&octets[..len]);
            }
            seeds += 1;
        }
        assert!(seeds >= LEAST, "{name} has {seeds} seeds, {LEAST} needed");
    }
}

/// Certificates of the tests' chains: each file by what stands before its last two suffixes, and the part it is.
fn chains() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut out: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for entry in fs::read_dir(below("tests/data/chains")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((chain, part)) = name.trim_end_matches(".pem").rsplit_once('.') else { continue };
        let Ok(found) = pki::certificates(&fs::read(&path).unwrap()) else { continue };
        let each = |one: &pki::Certificate| {
            let der = one.der();
            [&u16::try_from(der.len()).unwrap().to_be_bytes()[..], der].concat()
        };
        let octets = found.iter().flat_map(each).collect();
        out.entry(chain.to_owned()).or_default().insert(part.to_owned(), octets);
    }
    out
}

/// `cargo test -p postern-pki --test corpus -- --ignored` writes the seeds anew, from the fixtures.
#[test]
#[ignore = "writes files into the repository"]
fn write_the_seeds() {
    let corpus = below("fuzz/corpus");
    fs::create_dir_all(corpus.join("chain")).unwrap();
    fs::create_dir_all(corpus.join("octets")).unwrap();
    for (name, parts) in chains() {
        let part = |name: &str| parts.get(name).cloned().unwrap_or_default();
        let all = [part("leaf"), part("chain"), part("trust")].concat();
        fs::write(corpus.join("chain").join(&name), all).unwrap();
        let leaf = part("leaf");
        if let Some(der) = leaf.get(2..) {
            fs::write(corpus.join("octets").join(&name), der).unwrap();
        }
    }
    for entry in fs::read_dir(below("tests/data/keys")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("key_{}", path.file_name().unwrap().to_string_lossy());
        fs::copy(&path, corpus.join("octets").join(name)).unwrap();
    }
}
