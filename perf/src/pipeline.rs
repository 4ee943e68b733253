//! The whole walk, case by case, in interleaved rounds: on a shared machine only what ran side by side compares.
use crate::figures::{Figures, Lap, Latency, Round};
use crate::machine::ns_per_cycle;
use crate::stages;
use crate::traffic::Mix;
use crate::world::{BATCH, Fault, Load, Way, World};
use crypto::Suite;
use rivals::tsc;

pub mod results;
pub mod targets;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Ways through the gateway.
    pub ways: Vec<Way>,
    /// Inner packet sizes.
    pub mixes: Vec<Mix>,
    /// Numbers of tunnels.
    pub sas: Vec<u32>,
    /// Suites.
    pub suites: Vec<Suite>,
    /// How often each case runs.
    pub rounds: usize,
    /// Measured turns of a round.
    pub turns: usize,
    /// Turns before them that are not counted: another case has just had the caches.
    pub warm_turns: usize,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Which way.
    pub way: Way,
    /// Which suite.
    pub suite: Suite,
    /// How long the packets.
    pub mix: Mix,
    /// How many tunnels.
    pub sas: u32,
    /// Which of the worlds.
    world: usize,
}

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The combination.
    pub case: Case,
    /// The crypto backend that ran.
    pub backend: &'static str,
    /// The figures.
    pub figures: Figures,
}

/// What a run says while it works.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Tunnels of a gateway that are installed.
    Installed(u32, u32),
    /// Rounds that are done, of how many.
    Round(usize, usize),
}

struct Bench {
    case: Case,
    rounds: Vec<Round>,
    laps: Vec<Lap>,
    latency: Latency,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// While a gateway was built.
    #[error("cannot build the gateway: {0}")]
    Build(Fault),
    /// In the middle of a case.
    #[error("{suite}, {way}, {mix} octets, {sas} SAs: {fault}")]
    Case {
        /// Of the case.
        suite: Suite,
        /// Of the case.
        way: &'static str,
        /// Of the case.
        mix: Mix,
        /// Of the case.
        sas: u32,
        /// What happened.
        fault: Fault,
    },
    /// No place for the latencies.
    #[error(transparent)]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// Runs the plan: all cases once, then all cases again, each round beginning with another case.
///
/// # Errors
/// [`Failed`]: a round in which a packet is lost is no measurement.
pub fn run(plan: &Plan, mut tell: impl FnMut(Progress)) -> Result<Vec<Outcome>, Failed> {
    let (mut worlds, mut benches) = build(plan, &mut tell)?;
    let mut load = Load::default();
    for round in 0..plan.rounds {
        let count = benches.len().max(1);
        benches.rotate_left(round * ROTATION % count);
        for bench in &mut benches {
            let Some(world) = worlds.get_mut(bench.case.world) else { continue };
            let case = bench.case;
            let done = one_round(plan, world, &mut load, bench);
            bench.rounds.push(done.map_err(|fault| failed(case, fault))?);
        }
        tell(Progress::Round(round + 1, plan.rounds));
    }
    benches.sort_by_key(|bench| order(plan, &bench.case));
    Ok(benches.iter().map(|bench| outcome(bench, &worlds)).collect())
}

/// By how much the order of the cases turns from round to round: coprime to most numbers of cases.
const ROTATION: usize = 7;

fn build(plan: &Plan, tell: &mut impl FnMut(Progress)) -> Result<(Vec<World>, Vec<Bench>), Failed> {
    let (mut worlds, mut benches) = (Vec::new(), Vec::new());
    for &suite in &plan.suites {
        for &sas in &plan.sas {
            let progress = |done| tell(Progress::Installed(done, sas));
            let world = World::new(suite, sas, progress).map_err(Failed::Build)?;
            let index = worlds.len();
            worlds.push(world);
            for &way in &plan.ways {
                for &mix in &plan.mixes {
                    let case = Case { way, suite, mix, sas, world: index };
                    benches.push(Bench {
                        case,
                        rounds: Vec::new(),
                        laps: Vec::new(),
                        latency: Latency::new()?,
                    });
                }
            }
        }
    }
    Ok((worlds, benches))
}

fn one_round(
    plan: &Plan,
    world: &mut World,
    load: &mut Load,
    bench: &mut Bench,
) -> Result<Round, Fault> {
    world.prepare(load, bench.case.way, bench.case.mix, plan.warm_turns + plan.turns)?;
    let mut round = Round::default();
    for turn in 0..World::turns(load) {
        let span = world.turn(load, turn)?;
        if turn < plan.warm_turns {
            stages::take();
            continue;
        }
        let (cycles, packets) = (span.cycles, span.packets as u64);
        let lap = Lap { cycles, packets, stages: stages::take() };
        round.add(&lap, span.octets);
        bench.laps.push(lap);
        bench.latency.count(cycles as f64 * ns_per_cycle());
    }
    Ok(round)
}

fn failed(case: Case, fault: Fault) -> Failed {
    let Case { way, suite, mix, sas, .. } = case;
    Failed::Case { suite, way: way.name(), mix, sas, fault }
}

/// As the plan names them.
fn order(plan: &Plan, case: &Case) -> impl Ord + use<> {
    let way = plan.ways.iter().position(|&way| way == case.way);
    let mix = plan.mixes.iter().position(|&mix| mix == case.mix);
    (case.world, way, mix)
}

fn outcome(bench: &Bench, worlds: &[World]) -> Outcome {
    Outcome {
        case: bench.case,
        backend: worlds.get(bench.case.world).map_or("?", World::backend),
        figures: Figures::of(&bench.rounds, &bench.laps, &bench.latency, ns_per_cycle()),
    }
}

/// Turns that hold at least `packets` packets each way.
pub fn turns_of(packets: usize) -> usize {
    packets.div_ceil(BATCH).max(1)
}

/// What two looks at the counter cost: in every span, and not taken off.
pub fn clock_cost() -> f64 {
    const LOOKS: u32 = 10_000;
    let looks = (0..LOOKS).map(|_| {
        let before = tsc::now();
        tsc::now() - before
    });
    looks.sum::<u64>() as f64 / f64::from(LOOKS)
}
