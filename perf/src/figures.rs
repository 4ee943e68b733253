//! From spans to figures. No figure is made from another's rounding.
use crate::stages::Sums;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest batch that the histogram tells apart from longer ones: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// What one round of one case took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// TSC cycles of the measured spans.
    pub cycles: u64,
    /// Packets in them.
    pub packets: u64,
    /// Octets of their inner IP packets.
    pub octets: u64,
}

/// What one turn took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lap {
    /// TSC cycles.
    pub cycles: u64,
    /// Packets.
    pub packets: u64,
    /// The same cycles by stage, if they are counted.
    pub stages: Sums,
}

impl Round {
    /// Counts one turn.
    pub fn add(&mut self, lap: &Lap, octets: u64) {
        self.cycles += lap.cycles;
        self.packets += lap.packets;
        self.octets += octets;
    }

    /// Cycles per packet.
    pub fn per_packet(&self) -> f64 {
        self.cycles as f64 / self.packets.max(1) as f64
    }
}

/// How long batches took, over all rounds.
#[derive(Debug)]
pub struct Latency(Histogram<u64>);

impl Latency {
    /// Nothing counted yet. Three significant figures.
    ///
    /// # Errors
    /// Never for these bounds; the crate says so with a value.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        Histogram::new_with_bounds(1, LONGEST, 3).map(Self)
    }

    /// Counts one batch.
    pub fn count(&mut self, nanoseconds: f64) {
        self.0.saturating_record((nanoseconds as u64).max(1));
    }

    /// The quantiles that results hold.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        let (p50, p90, p99, p99_9) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Quantiles { batches: self.0.len(), p50, p90, p99, p99_9, max: self.0.max() }
    }
}

/// Batch latency in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Quantiles {
    /// Batches counted.
    pub batches: u64,
    /// Half took at most so long.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1000.
    pub p99_9: u64,
    /// The longest.
    pub max: u64,
}

/// One figure over the rounds of a case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// Of the round in the middle (the mean of two, if there are two).
    pub median: f64,
    /// Of the fastest round.
    pub best: f64,
}

/// What is said of one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Packets in all rounds.
    pub packets: u64,
    /// Mean length of their inner IP packets, octets.
    pub mean_octets: f64,
    /// TSC cycles of one core for one packet.
    pub cycles_per_packet: Over,
    /// Nanoseconds of one core for one packet.
    pub ns_per_packet: Over,
    /// Millions of packets per second and core.
    pub mpps: Over,
    /// 10⁹ bits of inner IP packets per second and core.
    pub gbit_per_s: Over,
    /// Of one worker turn.
    pub batch_latency_ns: Quantiles,
    /// Cycles per packet of every round, in the order in which they ran.
    pub rounds_cycles_per_packet: Vec<f64>,
    /// Cycles per packet of single turns, over all rounds: on a busy machine `p10` says more than any round does.
    pub turns_cycles_per_packet: Spread,
    /// Cycles per packet by stage, each the median over all turns; empty where they are not counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stages: BTreeMap<String, f64>,
}

impl Figures {
    /// Of all rounds of a case.
    pub fn of(rounds: &[Round], laps: &[Lap], latency: &Latency, ns_per_cycle: f64) -> Self {
        let each: Vec<f64> = rounds.iter().map(Round::per_packet).collect();
        let packets = rounds.iter().map(|round| round.packets).sum();
        let octets: u64 = rounds.iter().map(|round| round.octets).sum();
        let mean_octets = octets as f64 / u64::max(packets, 1) as f64;
        let cycles = over(&each);
        let of = |convert: &dyn Fn(f64) -> f64| Over {
            median: rounded(convert(cycles.median), 3),
            best: rounded(convert(cycles.best), 3),
        };
        Self {
            packets,
            mean_octets: rounded(mean_octets, 1),
            cycles_per_packet: of(&|cycles| cycles),
            ns_per_packet: of(&|cycles| cycles * ns_per_cycle),
            mpps: of(&|cycles| 1e3 / (cycles * ns_per_cycle)),
            gbit_per_s: of(&|cycles| 8.0 * mean_octets / (cycles * ns_per_cycle)),
            batch_latency_ns: latency.quantiles(),
            rounds_cycles_per_packet: each.iter().map(|cycles| rounded(*cycles, 1)).collect(),
            turns_cycles_per_packet: turns(laps),
            stages: stages(laps),
        }
    }
}

fn turns(laps: &[Lap]) -> Spread {
    let each = laps.iter().map(|lap| lap.cycles as f64 / lap.packets.max(1) as f64);
    let Spread { median, p10, p90 } = Spread::of(&each.collect::<Vec<_>>());
    Spread { median: rounded(median, 1), p10: rounded(p10, 1), p90: rounded(p90, 1) }
}

/// Stage by stage the median turn, so that a turn in which the core was taken away does not count.
fn stages(laps: &[Lap]) -> BTreeMap<String, f64> {
    let mut each: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for lap in laps {
        for (stage, cycles) in lap.stages.per_packet(lap.packets) {
            each.entry(stage).or_default().push(cycles);
        }
    }
    let median =
        |(stage, cycles): (&str, Vec<f64>)| (stage.to_owned(), rounded(over(&cycles).median, 1));
    each.into_iter().map(median).collect()
}

/// Median and tenths of the rounds of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of the round in the middle.
    pub median: f64,
    /// A tenth of the rounds took at most so much.
    pub p10: f64,
    /// Nine tenths took at most so much.
    pub p90: f64,
}

impl Spread {
    /// Of all rounds.
    pub fn of(each: &[f64]) -> Self {
        let mut sorted = each.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let at = |tenth: usize| sorted.get(last * tenth / 10).copied().unwrap_or(f64::NAN);
        Self { median: over(each).median, p10: at(1), p90: at(9) }
    }
}

/// How many times as long `theirs` took as `ours`: the median over the rounds of the ratio in each.
pub fn median_ratio(theirs: &[f64], ours: &[f64]) -> f64 {
    let ratios: Vec<f64> = theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
    over(&ratios).median
}

/// Rounded, for a file that people read too.
pub fn rounded(figure: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (figure * scale).round() / scale
}

/// Median and least.
fn over(each: &[f64]) -> Over {
    let mut sorted = each.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
    Over { median: (low + high) / 2.0, best: at(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_best_is_the_least() {
        assert_eq!(over(&[3.0, 1.0, 2.0]), Over { median: 2.0, best: 1.0 });
        assert_eq!(over(&[4.0, 1.0, 2.0, 3.0]), Over { median: 2.5, best: 1.0 });
    }

    #[test]
    fn a_disturbed_turn_does_not_move_the_median_turn() {
        let lap = |cycles| Lap { cycles, packets: 10, ..Lap::default() };
        let laps: Vec<Lap> = [1000; 10].into_iter().chain([1_000_000]).map(lap).collect();
        assert_eq!(turns(&laps), Spread { median: 100.0, p10: 100.0, p90: 100.0 });
    }

    #[test]
    fn a_ratio_is_made_within_rounds_so_that_a_slow_round_does_not_count() {
        assert_eq!(median_ratio(&[20.0, 200.0, 22.0], &[10.0, 100.0, 11.0]), 2.0);
    }

    #[test]
    fn a_spread_leaves_out_the_outermost_tenths() {
        let each: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(Spread::of(&each), Spread { median: 50.0, p10: 10.0, p90: 90.0 });
    }

    #[test]
    fn rates_follow_from_the_time_of_a_packet() {
        let mut latency = Latency::new().unwrap();
        latency.count(64_000.0);
        let round = Round { cycles: 64 * 2500, packets: 64, octets: 64 * 500 };
        let figures = Figures::of(&[round], &[], &latency, 0.4);
        assert_eq!(figures.cycles_per_packet, Over { median: 2500.0, best: 2500.0 });
        assert_eq!(figures.ns_per_packet, Over { median: 1000.0, best: 1000.0 });
        assert_eq!(figures.mpps.median, 1.0);
        assert_eq!(figures.gbit_per_s.median, 4.0); // 500 octets in 1000 ns
        assert!((63_900..=64_100).contains(&figures.batch_latency_ns.p50));
    }
}
