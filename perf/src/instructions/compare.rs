//! Two results side by side.
use super::{Line, Results};
use crate::table;
use std::collections::BTreeSet;

/// A change that is worth a line: callgrind's counts differ by less between two runs of the same program.
const NOTABLE: f64 = 0.5;

/// What has changed since `before`, for people.
pub fn differences(before: &Results, after: &Results) -> String {
    let header = ["suite", "direction", "SAs", "size", "before", "after", "", "where"];
    let pairs = after.cases.iter().filter_map(|line| Some((same(before, line)?, line)));
    let rows = pairs.map(|(before, after)| {
        let (old, new) = (before.instructions_per_packet, after.instructions_per_packet);
        [
            after.suite.clone(),
            after.direction.clone(),
            after.sas.to_string(),
            after.size.clone(),
            format!("{old:.1}"),
            format!("{new:.1}"),
            format!("{:+.1} %", (new / old - 1.0) * 100.0),
            groups(before, after),
        ]
    });
    format!(
        "Against {} of commit {}\n{}",
        before.head.date,
        before.head.source.commit,
        table::of(&header, rows, 2)
    )
}

fn same<'r>(results: &'r Results, line: &Line) -> Option<&'r Line> {
    let key = |line: &Line| {
        (
            line.suite.clone(),
            line.backend.clone(),
            line.direction.clone(),
            line.size.clone(),
            line.sas,
        )
    };
    results.cases.iter().find(|other| key(other) == key(line))
}

/// The groups that changed, most first.
fn groups(before: &Line, after: &Line) -> String {
    let of = |line: &Line, name: &str| line.files.get(name).copied().unwrap_or_default();
    let names: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let change = |name: &&String| (of(after, name) - of(before, name), (*name).clone());
    let mut changes: Vec<(f64, String)> = names.iter().map(change).collect();
    changes.retain(|(change, _)| change.abs() >= NOTABLE);
    changes.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let words = changes.iter().map(|(change, name)| format!("{name} {change:+.1}"));
    words.take(6).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(groups: &[(&str, f64)]) -> Line {
        Line {
            direction: "encrypt".into(),
            suite: "ENCR_AES_GCM_16_128".into(),
            backend: "aesni".into(),
            size: "64".into(),
            sas: 1,
            instructions_per_packet: groups.iter().map(|(_, cost)| cost).sum(),
            files: groups.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect(),
            functions: Default::default(),
        }
    }

    #[test]
    fn groups_that_changed_are_named_the_largest_change_first() {
        let before = line(&[("dataplane::seal", 40.0), ("core", 10.0), ("wire::ipv4", 5.0)]);
        let after = line(&[("dataplane::seal", 41.0), ("core", 10.1), ("sadb::window", 9.0)]);
        assert_eq!(
            groups(&before, &after),
            "sadb::window +9.0, wire::ipv4 -5.0, dataplane::seal +1.0"
        );
    }
}
