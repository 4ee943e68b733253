//! docs/conformance.md names tests that there are.
#![allow(clippy::unwrap_used, reason = "tests: whatever is not as expected shall fail them")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../docs/conformance.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every source of tests below a directory.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = path.extension().is_some_and(|end| end == "rs" || end == "py");
        if path.is_dir() && !["target", "corpus", "results"].contains(&&*name) {
            sources(&path, text);
        } else if source && name != "conformance.rs" {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// What stands in backquotes in the last cell of a row; in the stories, in the last two.
fn named() -> BTreeSet<&'static str> {
    let rows = PAGE.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let from = if cells.len() == 3 { 1 } else { cells.len() - 1 };
        let cells = cells.iter().skip(from);
        named.extend(cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)));
    }
    named
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let mut text = String::new();
    for room in ["control", "wire", "sadb", "scripts/interop"] {
        sources(&root().join(room), &mut text);
    }
    let named = named();
    assert!(named.len() > 200, "{} names", named.len());
    let there =
        |name: &str| text.contains(&format!("fn {name}(")) || text.contains(&format!("\"{name}\""));
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !name.contains(' ') || !name.starts_with("perf "))
        .filter(|name| !name.ends_with(".py") && !there(name))
        .collect();
    assert!(missing.is_empty(), "docs/conformance.md names what is not there: {missing:#?}");
}

/// Every row says something in its last cell.
#[test]
fn no_row_is_without_a_test_or_a_reason() {
    for row in PAGE
        .lines()
        .filter(|line| ["| A", "| B", "| C", "| D"].iter().any(|start| line.starts_with(start)))
    {
        let last = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default().trim();
        let reason = ["not yet", "nothing to test"].iter().any(|why| last.contains(why));
        assert!(last.contains('`') || reason, "{row}");
    }
}
