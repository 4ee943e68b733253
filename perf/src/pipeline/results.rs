//! Results for people and for programs.
use crate::figures::Figures;
use crate::machine::{self, Machine, Source};
use crate::pipeline::{self, Outcome, Plan};
use crate::world::{BATCH, RING, Way};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What the spans of a pipeline run are; it stands in each result.
const MEASURED: &str = "The worker's turn alone: recycle, receive, the walk, transmit, counters, and one look at the \
    clock. Frames are built and sealed before a round, injected before a turn (copied into their UMEM frames by the \
    measured core, so they are warm in its cache) and taken off the wire after it; none of that is in the span. Sizes \
    are inner IP packets; Gbit/s count their octets. With `both` a turn carries a batch each way, and a packet is one \
    passage in one direction.";

/// A result file.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    schema: u32,
    bench: &'static str,
    date: String,
    command: String,
    source: Source,
    machine: Machine,
    /// Load averages over 1, 5 and 15 minutes, before and after: figures of a busy machine are worth little.
    load_before: String,
    load_after: String,
    note: Option<String>,
    measured: &'static str,
    parameters: Parameters,
    cases: Vec<Line>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Parameters {
    rounds: usize,
    turns_per_round: usize,
    warm_turns: usize,
    packets_per_turn_and_way: usize,
    ring_entries: u32,
    core: usize,
    /// Mean cost of the two looks at the clock around a turn: in every span, not taken off.
    clock_ns: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    direction: Way,
    suite: &'static str,
    backend: &'static str,
    size: String,
    sas: u32,
    #[serde(flatten)]
    figures: Figures,
}

/// What is known before a run begins.
#[derive(Clone, Debug)]
pub struct Preamble {
    date: String,
    load: String,
    clock_ns: f64,
    core: usize,
    note: Option<String>,
}

impl Preamble {
    /// Now, on this core.
    pub fn now(core: usize, note: Option<String>) -> Self {
        let clock_ns = pipeline::clock_cost().as_nanos() as f64;
        Self { date: machine::date(), load: machine::load(), clock_ns, core, note }
    }
}

impl Results {
    /// Of a pipeline run that has just ended.
    pub fn pipeline(plan: &Plan, before: Preamble, outcomes: &[Outcome]) -> Self {
        let line = |outcome: &Outcome| Line {
            direction: outcome.case.way,
            suite: outcome.case.suite.name(),
            backend: outcome.backend,
            size: outcome.case.mix.to_string(),
            sas: outcome.case.sas,
            figures: outcome.figures.clone(),
        };
        let arguments = std::env::args().skip(1);
        Self {
            schema: SCHEMA,
            bench: "pipeline",
            date: before.date,
            command: ["perf".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" "),
            source: Source::here(),
            machine: Machine::here(),
            load_before: before.load,
            load_after: machine::load(),
            note: before.note,
            measured: MEASURED,
            parameters: Parameters {
                rounds: plan.rounds,
                turns_per_round: plan.turns,
                warm_turns: plan.warm_turns,
                packets_per_turn_and_way: BATCH,
                ring_entries: RING,
                core: before.core,
                clock_ns: before.clock_ns,
            },
            cases: outcomes.iter().map(line).collect(),
        }
    }

    /// For programs.
    ///
    /// # Errors
    /// Never for these types; serde_json says so with a value.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// For people: medians, and the best round's time of a packet.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "suite",
            "direction",
            "SAs",
            "size",
            "ns/packet",
            "best",
            "Mpps",
            "Gbit/s",
            "batch p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.add_rows(self.cases.iter().map(Line::row));
        let Self { machine, source, .. } = self;
        let modified = if source.modified { ", modified" } else { "" };
        let build =
            if source.release { "" } else { "\nNot a release build: the figures mean nothing." };
        format!(
            "{}\n{} · Linux {} · commit {}{modified} · load {} before, {} after{build}\n\n{table}",
            self.date,
            machine.cpu,
            machine.kernel,
            source.commit,
            self.load_before,
            self.load_after,
        )
    }
}

impl Line {
    fn row(&self) -> [String; 12] {
        let Figures { ns_per_packet, mpps, gbit_per_s, batch_latency_ns: batch, .. } =
            &self.figures;
        let micro = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
        [
            self.suite.to_owned(),
            self.direction.name().to_owned(),
            self.sas.to_string(),
            self.size.clone(),
            format!("{:.0}", ns_per_packet.median),
            format!("{:.0}", ns_per_packet.best),
            format!("{:.3}", mpps.median),
            format!("{:.2}", gbit_per_s.median),
            micro(batch.p50),
            micro(batch.p99),
            micro(batch.p99_9),
            micro(batch.max),
        ]
    }
}
