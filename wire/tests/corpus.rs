//! Replays the committed fuzz corpora on the stable compiler: what a fuzzer once found stays fixed.

#[cfg(test)]
#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::{fs, path::Path};

/// Fewer seeds than this means that somebody lost a directory.
const LEAST: usize = 10;

#[test]
fn every_committed_seed_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let directory = corpora.join(name);
        let entries = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut seeds = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let octets = fs::read(&path).unwrap();
            eprintln!("{}", path.display()); // shown when it fails
            target(&octets);
            replay_cut_short(target, &octets);
            seeds += 1;
        }
        assert!(seeds >= LEAST, "{} holds {seeds} seeds, {LEAST} needed", directory.display());
    }
}

/// Truncation at every octet of the first few headers, and at a stride behind them.
fn replay_cut_short(target: targets::Target, octets: &[u8]) {
    for len in (0..octets.len()).filter(|len| *len < 128 || len % 61 == 0) {
        target(octets.get(..len).unwrap_or_default());
    }
}

#[test]
fn every_corpus_directory_has_a_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in fs::read_dir(corpora).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(targets::TARGETS.iter().any(|(target, _)| name == *target), "{name:?}");
    }
}
