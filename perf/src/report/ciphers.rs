//! The section of `perf bench crypto`.
use super::markdown::{Notes, cells, origin, slug, table};
use super::{Bounds, Rendered, picture, svg};
use crate::ciphers::results::{Line, Results};
use crate::ciphers::targets::Judged;

/// The scenario that targets are about, and its words.
const MAIN: &str = "1024x1024";
const SCENARIOS: [(&str, &str); 3] = [
    (MAIN, "1024 frames, 1024 SAs"),
    ("1024x1", "1024 frames, 1 SA"),
    ("hot", "32 packed buffers, 1 SA"),
];

/// Targets, a table and a picture for each suite.
pub fn section(
    tiers: &str,
    name: &str,
    results: &Results,
    bounds: &Bounds,
    machine: &str,
    files: &mut Rendered,
) -> String {
    let with = if tiers == "auto" { String::new() } else { format!(", libipsec-mb on {tiers}") };
    let mut text = format!("### Packet crypto against other libraries{with}\n\n");
    text += &origin(name, &results.head);
    let libraries = results.libraries.iter();
    let libraries = libraries.map(|library| format!("{} {}", library.name, library.version));
    text += &format!("{}.\n\n", libraries.collect::<Vec<_>>().join(", "));
    text += &targets(&results.targets, bounds);
    for lines in results.cases.chunk_by(|a, b| a.suite == b.suite) {
        text += &suite(lines, machine, &slug(tiers), files);
    }
    text
}

/// Suites, rivals and directions down, sizes across, as the targets were given.
fn targets(all: &[Judged], bounds: &Bounds) -> String {
    if all.is_empty() {
        return String::new();
    }
    let sizes = distinct(all.iter().map(|row| row.size.as_str()));
    let mut header = cells(&["target"]);
    header.extend(sizes.iter().map(|size| (*size).to_owned()));
    let mut notes = Notes::default();
    let key = |row: &Judged| (row.suite.clone(), row.against.clone(), row.direction.clone());
    let keys: Vec<_> = all.iter().map(key).collect();
    let rows = distinct_owned(keys).into_iter().map(|wanted| {
        let mut row = vec![format!("{} vs {}, {}", wanted.0, wanted.1, wanted.2)];
        row.extend(sizes.iter().map(|size| {
            let found = all.iter().find(|row| key(row) == wanted && row.size == *size);
            found.map_or_else(String::new, |found| judged(found, bounds, &mut notes))
        }));
        row
    });
    let rows: Vec<_> = rows.collect();
    let met = all.iter().filter(|row| row.met).count();
    format!(
        "Times that a rival takes as long as `{}`, beside the target; {met} of {} met.\n\n{}{}",
        all.first().map_or("", |row| &row.backend),
        all.len(),
        table(&header, rows),
        notes.list(),
    )
}

fn judged(row: &Judged, bounds: &Bounds, notes: &mut Notes) -> String {
    let key = [row.suite.as_str(), &row.against, &row.size, &row.direction];
    match row.met {
        true => format!("**{:.2}** ≥ {}", row.ratio, row.target),
        false => format!("{:.2} < {} {}", row.ratio, row.target, notes.mark(bounds, key)),
    }
}

fn suite(lines: &[Line], machine: &str, tiers: &str, files: &mut Rendered) -> String {
    let Some(first) = lines.first() else { return String::new() };
    let mut text = format!("#### {}\n\n", first.suite);
    let chart = chart(lines, "seal");
    if !chart.series.is_empty() {
        let name = format!("{machine}-{}-{tiers}", slug(&first.suite));
        text += &picture(files, &name, &chart.title.clone(), chart.svg());
    }
    for (scenario, words) in SCENARIOS {
        for direction in ["seal", "open"] {
            let lines: Vec<&Line> = lines
                .iter()
                .filter(|line| line.scenario == scenario && line.direction == direction)
                .collect();
            text += &figures(&lines, words, direction);
        }
    }
    text
}

fn figures(lines: &[&Line], words: &str, direction: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let sizes = distinct(lines.iter().map(|line| line.size.as_str()));
    let mut header = vec![format!("{direction}, {words}: cycles per packet (Gbit/s)")];
    header.extend(sizes.iter().map(|size| (*size).to_owned()));
    let names = distinct(lines.iter().map(|line| line.contender.as_str()));
    let rows = names.into_iter().map(|name| {
        let bold = lines.iter().any(|line| line.contender == name && line.ours);
        let mut row = vec![if bold { format!("**{name}**") } else { name.to_owned() }];
        row.extend(sizes.iter().map(|size| {
            let found = lines.iter().find(|line| line.contender == name && line.size == *size);
            found.map_or_else(String::new, |line| {
                format!("{:.0} ({:.1})", line.cycles_per_packet.median, line.gbit_per_s)
            })
        }));
        row
    });
    table(&header, rows)
}

/// Gbit/s by size, the fastest way of each library.
fn chart(lines: &[Line], direction: &str) -> svg::Lines {
    let of =
        |line: &&Line| line.scenario == MAIN && line.direction == direction && line.size != "IMIX";
    let lines: Vec<&Line> = lines.iter().filter(of).collect();
    let names = distinct(lines.iter().map(|line| line.contender.as_str()));
    let series = names.into_iter().map(|name| {
        let own = lines.iter().filter(|line| line.contender == name);
        let points = own.filter_map(|line| Some((line.size.parse().ok()?, line.gbit_per_s)));
        let ours = lines.iter().any(|line| line.contender == name && line.ours);
        svg::Series { name: name.to_owned(), strong: ours, points: points.collect() }
    });
    let suite = lines.first().map_or("", |line| &line.suite);
    svg::Lines {
        title: format!("{suite}, {direction}, 1024 frames, 1024 SAs"),
        x: "octets".into(),
        y: "Gbit/s".into(),
        series: series.collect(),
    }
}

/// Each once, in the order of the first.
fn distinct<'t>(all: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    distinct_owned(all.collect())
}

fn distinct_owned<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut seen: Vec<T> = Vec::new();
    for item in all {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}
