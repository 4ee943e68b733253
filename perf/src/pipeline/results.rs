//! Results for people and for programs.
use super::targets::{self, Judged};
use super::{Outcome, Plan};
use crate::figures::{Figures, rounded};
use crate::result::{Head, Preamble};
use crate::stages;
use crate::table;
use crate::world::{BATCH, RING};
use dataplane::stage::Stage;
use serde::{Deserialize, Serialize};

/// What the spans of a pipeline run are; it stands in each result.
const MEASURED: &str = "The worker's turn alone: recycle, receive, the walk, transmit, counters, and one look at the \
    clock. Frames are built and sealed before a round, injected before a turn (copied into their UMEM frames by the \
    measured core, so they are warm in its cache) and taken off the wire after it; none of that is in the span. Sizes \
    are inner IP packets; Gbit/s count their octets. With `both` a turn carries a batch each way, and a packet is one \
    passage in one direction.";

/// A result file of `perf bench pipeline`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and from what.
    #[serde(flatten)]
    pub head: Head,
    /// How it was run.
    pub parameters: Parameters,
    /// Targets beside figures.
    #[serde(default)]
    pub targets: Vec<Judged>,
    /// Everything else.
    pub cases: Vec<Line>,
}

/// How it was run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// Rounds.
    pub rounds: usize,
    /// Measured turns of a round.
    pub turns_per_round: usize,
    /// Turns before them.
    pub warm_turns: usize,
    /// Packets of a batch.
    pub packets_per_turn_and_way: usize,
    /// Entries of each ring.
    pub ring_entries: u32,
    /// The core that it ran on.
    pub core: usize,
    /// Mean cost of the two looks at the counter around a turn: in every span, not taken off.
    pub clock_cycles: f64,
    /// Whether cycles were counted by stage too, which costs some.
    pub stages: bool,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Which way.
    pub direction: String,
    /// The suite.
    pub suite: String,
    /// The crypto backend that ran.
    pub backend: String,
    /// Octets of the inner packets, or IMIX.
    pub size: String,
    /// Tunnels.
    pub sas: u32,
    /// What came out.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Results {
    /// Of a pipeline run that has just ended.
    pub fn new(plan: &Plan, before: Preamble, core: usize, outcomes: &[Outcome]) -> Self {
        let line = |outcome: &Outcome| Line {
            direction: outcome.case.way.name().into(),
            suite: outcome.case.suite.name(),
            backend: outcome.backend.into(),
            size: outcome.case.mix.to_string(),
            sas: outcome.case.sas,
            figures: outcome.figures.clone(),
        };
        Self {
            head: before.head("pipeline", MEASURED),
            parameters: Parameters {
                rounds: plan.rounds,
                turns_per_round: plan.turns,
                warm_turns: plan.warm_turns,
                packets_per_turn_and_way: BATCH,
                ring_entries: RING,
                core,
                clock_cycles: rounded(super::clock_cost(), 1),
                stages: stages::counted(),
            },
            targets: targets::judge(outcomes),
            cases: outcomes.iter().map(line).collect(),
        }
    }

    /// For people: medians, and the best round's cycles of a packet.
    pub fn table(&self) -> String {
        let header = [
            "suite",
            "backend",
            "direction",
            "SAs",
            "size",
            "cycles",
            "best",
            "p10 turn",
            "ns",
            "Mpps",
            "Gbit/s",
            "batch p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
        ];
        let rows = self.cases.iter().map(Line::row);
        let mut text = format!("{}\n\n{}", self.head.title(), table::of(&header, rows, 3));
        if self.parameters.stages {
            text += &format!("\n\n{}", self.stages());
        }
        if !self.targets.is_empty() {
            text += &format!("\n\n{}", targets_table(&self.targets));
        }
        text
    }

    /// Stages across.
    fn stages(&self) -> String {
        let names = Stage::ALL.map(Stage::name);
        let header: Vec<&str> = ["direction", "SAs", "size"].into_iter().chain(names).collect();
        let rows = self.cases.iter().map(|line| {
            let of = |name| line.figures.stages.get(name).copied().unwrap_or_default();
            let cycles = names.map(|name| format!("{:.1}", of(name)));
            let case = [line.direction.clone(), line.sas.to_string(), line.size.clone()];
            case.into_iter().chain(cycles).collect::<Vec<_>>()
        });
        format!("TSC cycles per packet by stage\n{}", table::of(&header, rows, 1))
    }
}

impl Line {
    fn row(&self) -> [String; 15] {
        let Figures {
            cycles_per_packet: cycles, ns_per_packet: ns, batch_latency_ns: batch, ..
        } = &self.figures;
        let micro = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
        [
            self.suite.clone(),
            self.backend.clone(),
            self.direction.clone(),
            self.sas.to_string(),
            self.size.clone(),
            format!("{:.0}", cycles.median),
            format!("{:.0}", cycles.best),
            format!("{:.0}", self.figures.turns_cycles_per_packet.p10),
            format!("{:.0}", ns.median),
            format!("{:.3}", self.figures.mpps.median),
            format!("{:.2}", self.figures.gbit_per_s.median),
            micro(batch.p50),
            micro(batch.p99),
            micro(batch.p99_9),
            micro(batch.max),
        ]
    }
}

fn targets_table(targets: &[Judged]) -> String {
    let header = ["suite", "direction", "SAs", "size", "cycles", "at most", ""];
    let rows = targets.iter().map(|row| {
        [
            row.suite.clone(),
            row.direction.clone(),
            row.sas.to_string(),
            row.size.clone(),
            format!("{:.0}", row.cycles),
            format!("{:.0}", row.target),
            table::met(row.met).into(),
        ]
    });
    format!(
        "{}\n\n{}",
        table::of(&header, rows, 2),
        table::tally(targets.iter().map(|row| row.met))
    )
}
