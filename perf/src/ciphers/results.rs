//! The figures of a run, for people and for programs.
use super::BATCH;
use super::plan::Plan;
use super::run::{Case, Times};
use super::targets::{self, Judged};
use crate::figures::{Spread, median_ratio, rounded};
use crate::machine::ns_per_cycle;
use crate::result::{Head, Preamble};
use crate::table;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MEASURED: &str = "TSC cycles per packet of one call for each 32 packets, in place, descriptors made beforehand. \
    `size` is payload with trailer, rounded up to the cipher's block. Ours check the header, group by suite, and make \
    the IV; rivals find the IV in the packet and the nonce ready made. Every contender has contexts of its own for each \
    SA and direction. In a round each contender seals and opens everything once untimed, then timed; rounds begin with \
    another contender. A pass is timed in eight parts; one that took more than twice the median was interrupted and counts \
    as the median. The very first case is run twice, and counts the second time. Frames lie 2048 octets apart with the payload at octet 306 (256 frames 16,384 apart for sizes \
    above 1678). Before, everybody was verified against `portable`.";

/// A result file of `perf bench crypto`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and from what.
    #[serde(flatten)]
    pub head: Head,
    /// How it was run.
    pub parameters: Parameters,
    /// Libraries that took part, or why not.
    pub libraries: Vec<Library>,
    /// Targets beside figures.
    pub targets: Vec<Judged>,
    /// Everything else.
    pub cases: Vec<Line>,
}

/// How it was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// Rounds that counted.
    pub rounds: usize,
    /// Packets in one call.
    pub batch: usize,
    /// The core that it ran on.
    pub core: usize,
    /// Codes of libipsec-mb that ran.
    pub rival_tiers: Vec<String>,
}

/// A library among the rivals.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its version, or "not installed".
    pub version: String,
}

/// One contender in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The suite.
    pub suite: String,
    /// The scenario: frames and SAs.
    pub scenario: String,
    /// Packets of a pass.
    pub frames: usize,
    /// The size as asked for.
    pub size: String,
    /// Its mean, rounded up to blocks.
    pub mean_octets: f64,
    /// Seal or open.
    pub direction: String,
    /// Who.
    pub contender: String,
    /// Whether it is one of our backends.
    pub ours: bool,
    /// TSC cycles per packet.
    pub cycles_per_packet: Spread,
    /// Nanoseconds per packet, median.
    pub ns_per_packet: f64,
    /// 10⁹ bits of payload per second and core, median.
    pub gbit_per_s: f64,
    /// How many times as long as each backend of ours it took: median over the rounds.
    pub times_of: BTreeMap<String, f64>,
}

impl Results {
    /// Of a run that has just ended.
    pub fn new(plan: &Plan, before: Preamble, core: usize, cases: &[Case]) -> Self {
        let head = before.head("crypto", MEASURED);
        let lines = cases.iter().flat_map(|case| {
            let line = |times| Line::new(case, times, ns_per_cycle());
            case.times.iter().map(line).collect::<Vec<_>>()
        });
        let library = |library: rivals::Library| Library {
            name: library.name.into(),
            version: library.version.unwrap_or_else(|| "not installed".into()),
        };
        let mut targets = targets::judge(cases);
        targets.iter_mut().for_each(|row| row.ratio = rounded(row.ratio, 3));
        Self {
            parameters: Parameters {
                rounds: plan.rounds,
                batch: BATCH,
                core,
                rival_tiers: plan.tiers.iter().map(ToString::to_string).collect(),
            },
            libraries: rivals::libraries().into_iter().map(library).collect(),
            targets,
            cases: lines.collect(),
            head,
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = self.head.title() + "\n";
        let name = |library: &Library| format!("{} {}", library.name, library.version);
        text += &self.libraries.iter().map(name).collect::<Vec<_>>().join(" · ");
        text += "\nTSC cycles per packet (times the last backend's)\n\n";
        for group in self.cases.chunk_by(Line::same_table) {
            text += &case_table(group);
        }
        text + &targets_table(&self.targets)
    }
}

impl Line {
    fn new(case: &Case, times: &Times, ns_per_cycle: f64) -> Self {
        let Spread { median, p10, p90 } = Spread::of(&times.cycles);
        let ours = case.times.iter().filter(|times| times.ours);
        let ratio = |ours: &Times| {
            (ours.name.clone(), rounded(median_ratio(&times.cycles, &ours.cycles), 3))
        };
        let ns = median * ns_per_cycle;
        let short = |figure| rounded(figure, 1);
        Self {
            suite: case.suite.name(),
            scenario: case.scenario.name().into(),
            frames: case.frames,
            size: case.size.to_string(),
            mean_octets: rounded(case.mean_payload, 1),
            direction: case.direction.name().into(),
            contender: times.name.clone(),
            ours: times.ours,
            cycles_per_packet: Spread { median: short(median), p10: short(p10), p90: short(p90) },
            ns_per_packet: rounded(ns, 2),
            gbit_per_s: rounded(case.mean_payload * 8.0 / ns, 2),
            times_of: ours.map(ratio).collect(),
        }
    }

    fn same_table(&self, other: &Self) -> bool {
        (&self.suite, &self.scenario) == (&other.suite, &other.scenario)
    }
}

/// Contenders down, sizes across, both directions.
fn case_table(lines: &[Line]) -> String {
    let mut text = String::new();
    for direction in ["seal", "open"] {
        let lines: Vec<&Line> = lines.iter().filter(|line| line.direction == direction).collect();
        let Some(first) = lines.first() else { continue };
        let mut sizes: Vec<&str> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for line in &lines {
            add(&mut sizes, &line.size);
            add(&mut names, &line.contender);
        }
        let ours = lines.iter().rfind(|line| line.ours).map_or("", |line| &line.contender);
        let title = format!("{} · {} · {direction}", first.suite, first.scenario);
        let header: Vec<&str> = [title.as_str()].into_iter().chain(sizes.iter().copied()).collect();
        let rows = names.iter().map(|name| {
            let of = |size: &str| {
                lines.iter().find(|line| line.contender == **name && line.size == size)
            };
            let cells =
                sizes.iter().map(|size| of(size).map_or_else(String::new, |line| cell(line, ours)));
            [(*name).to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
        });
        text += &format!("{}\n\n", table::of(&header, rows, 1));
    }
    text
}

fn add<'t>(all: &mut Vec<&'t str>, new: &'t str) {
    if !all.contains(&new) {
        all.push(new);
    }
}

fn cell(line: &Line, ours: &str) -> String {
    let times = line.times_of.get(ours).copied().unwrap_or(f64::NAN);
    format!("{:.0} ({times:.2})", line.cycles_per_packet.median)
}

fn targets_table(targets: &[Judged]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let header = ["suite", "", "size", "rival", "ours", "ratio", "target", ""];
    let rows = targets.iter().map(|row| {
        [
            row.suite.clone(),
            row.direction.clone(),
            row.size.clone(),
            row.rival.clone(),
            row.backend.clone(),
            format!("{:.2}", row.ratio),
            format!("{:.2}", row.target),
            table::met(row.met).into(),
        ]
    });
    format!(
        "{}\n\n{}",
        table::of(&header, rows, 5),
        table::tally(targets.iter().map(|row| row.met))
    )
}
