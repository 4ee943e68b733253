//! Every broken file says where, which text, what is wrong and what to do: the exact words, one case for each way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use std::fmt::Write;
use std::path::Path;

const BASE: &str = include_str!("broken/base.yaml");
const CASES: &str = include_str!("broken/cases.txt");

/// What is said of a file, without the file being there.
fn said(source: &str) -> String {
    match control::config::parse(source, "postern.yaml", Path::new("/nonexistent")) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(faulty) => faulty.to_string(),
    }
}

/// Lines that begin with `mark`, without it, joined.
fn part(lines: &[&str], mark: &str) -> String {
    let part = lines.iter().filter_map(|line| line.strip_prefix(mark));
    part.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The file of a case: a whole one, or the base with replacements, which must each apply.
fn source(title: &str, lines: &[&str]) -> String {
    if lines.iter().any(|line| line.starts_with('|')) {
        return part(lines, "|") + "\n";
    }
    let mut text = BASE.to_owned();
    for edit in lines.chunk_by(|a, b| !(a.starts_with('+') && b.starts_with('-'))) {
        let (old, new) = (part(edit, "-"), part(edit, "+"));
        assert!(text.contains(&old), "{title}: the base has no {old:?}");
        text = text.replacen(&old, &new, 1);
    }
    text
}

#[test]
fn the_base_is_whole() {
    assert_eq!(said(BASE), "nothing is wrong");
}

#[test]
fn every_broken_file_says_what_to_do() {
    let (head, cases) = CASES.split_once("=== ").unwrap();
    let (mut blessed, mut wrong, mut count) = (head.to_owned(), Vec::new(), 0);
    for case in cases.split("\n=== ") {
        let (given, expected) = case.split_once("\n--- ").unwrap();
        let lines: Vec<_> = given.lines().collect();
        let (title, said) = (lines[0], said(&source(lines[0], &lines[1..])));
        assert_ne!(said, "nothing is wrong", "{title}");
        if said != expected.trim() {
            wrong.push(format!("{title}:\n  now:      {said}\n  expected: {}", expected.trim()));
        }
        count += 1;
        write!(blessed, "=== {given}\n--- \n{said}\n").unwrap();
    }
    assert!(count >= 50, "only {count} cases");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken/cases.txt"), blessed)
            .unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_key_is_never_repeated_in_a_message() {
    for case in CASES.split("\n=== ") {
        let (_, said) = case.split_once("\n--- ").unwrap_or_default();
        for key in ["hunter2", "01010101", "30303030", "04040404"] {
            assert!(!said.contains(key), "{said}");
        }
    }
}
