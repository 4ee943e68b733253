//! Results for people and for programs.
use super::{Outcome, Plan};
use crate::figures::Figures;
use crate::result::{Head, Preamble};
use crate::world::{BATCH, RING, Way};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// What the spans of a pipeline run are; it stands in each result.
const MEASURED: &str = "The worker's turn alone: recycle, receive, the walk, transmit, counters, and one look at the \
    clock. Frames are built and sealed before a round, injected before a turn (copied into their UMEM frames by the \
    measured core, so they are warm in its cache) and taken off the wire after it; none of that is in the span. Sizes \
    are inner IP packets; Gbit/s count their octets. With `both` a turn carries a batch each way, and a packet is one \
    passage in one direction.";

/// A result file of `perf bench pipeline`.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    #[serde(flatten)]
    head: Head,
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
    suite: String,
    backend: &'static str,
    size: String,
    sas: u32,
    #[serde(flatten)]
    figures: Figures,
}

impl Results {
    /// Of a pipeline run that has just ended.
    pub fn new(plan: &Plan, before: Preamble, core: usize, outcomes: &[Outcome]) -> Self {
        let line = |outcome: &Outcome| Line {
            direction: outcome.case.way,
            suite: outcome.case.suite.name(),
            backend: outcome.backend,
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
                clock_ns: super::clock_cost().as_nanos() as f64,
            },
            cases: outcomes.iter().map(line).collect(),
        }
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
        format!("{}\n\n{table}", self.head.title())
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
