//! The rounds.
use super::contender::{Contender, Pass};
use super::frames::Frames;
use super::plan::{Plan, Scenario, Size};
use super::verify::{self, Wrong, verify};
use crypto::{BadKey, Suite};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Encrypt, and write the ICV.
    Seal,
    /// Verify, and decrypt.
    Open,
}

impl Direction {
    /// As results write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

/// One combination that was measured.
#[derive(Clone, Debug)]
pub struct Case {
    /// The suite.
    pub suite: Suite,
    /// The scenario.
    pub scenario: Scenario,
    /// The size.
    pub size: Size,
    /// Which way.
    pub direction: Direction,
    /// Packets of a pass.
    pub frames: usize,
    /// Their mean payload, octets.
    pub mean_payload: f64,
    /// Everybody's times.
    pub times: Vec<Times>,
}

/// One contender's.
#[derive(Clone, Debug)]
pub struct Times {
    /// Who.
    pub name: String,
    /// Whether it is one of our backends.
    pub ours: bool,
    /// TSC cycles per packet, by round.
    pub cycles: Vec<f64>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A key was not accepted.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// A contender computes something else.
    #[error("no figures of something that is wrong: {0}")]
    Wrong(#[from] Wrong),
    /// A packet failed while it was timed.
    #[error("{0}, {1}: {2} of {3} packets were good")]
    Lost(Suite, String, usize, usize),
}

/// What a run says while it works.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Everybody in this suite agrees.
    Verified(Suite, Vec<String>),
    /// Cases that are done, of how many; the last one both ways.
    Done(usize, usize, Vec<Case>),
}

/// Passes of a contender in one round: a pass over 32 packets alone would be over too soon for the clock.
const HOT_PASSES: usize = 16;

/// Runs the plan.
///
/// # Errors
/// [`Failed`].
pub fn run(plan: &Plan, mut tell: impl FnMut(Progress)) -> Result<Vec<Case>, Failed> {
    let all = plan.suites.len() * plan.scenarios.len() * plan.sizes.len();
    let mut cases = Vec::new();
    for &suite in &plan.suites {
        check(plan, suite, &mut tell)?;
        for &scenario in &plan.scenarios {
            let mut contenders = contenders(plan, suite, scenario.sas())?;
            for &size in &plan.sizes {
                if cases.is_empty() {
                    // a process is slower at first: this time does not count
                    one_case(plan, suite, scenario, size, &mut contenders)?;
                }
                let done = one_case(plan, suite, scenario, size, &mut contenders)?;
                cases.extend(done.iter().cloned());
                tell(Progress::Done(cases.len() / 2, all, done.into()));
            }
        }
    }
    Ok(cases)
}

fn contenders(plan: &Plan, suite: Suite, sas: usize) -> Result<Vec<Contender>, BadKey> {
    let mut all = Contender::all(suite, sas, &plan.backends, &plan.tiers)?;
    all.retain(|contender| plan.rivals || contender.is_ours());
    Ok(all)
}

fn check(plan: &Plan, suite: Suite, tell: &mut impl FnMut(Progress)) -> Result<(), Failed> {
    let mut contenders = contenders(plan, suite, verify::SAS)?;
    let sizes = plan.sizes.iter().filter_map(|size| match size {
        Size::Fixed(len) => Some(usize::from(*len)),
        Size::Imix => None,
    });
    verify(suite, &mut contenders, &verify::lengths(sizes))?;
    let names = contenders.into_iter().map(|contender| contender.name).collect();
    tell(Progress::Verified(suite, names));
    Ok(())
}

fn one_case(
    plan: &Plan,
    suite: Suite,
    scenario: Scenario,
    size: Size,
    contenders: &mut [Contender],
) -> Result<[Case; 2], Failed> {
    let mut frames = Frames::new(suite, scenario, size);
    // rivals do not make IVs: they find these
    contenders.iter_mut().take(1).for_each(|portable| {
        portable.seal(&mut frames);
        portable.open(&mut frames);
    });
    let passes = if scenario == Scenario::Hot { HOT_PASSES } else { 1 };
    let case = |direction| Case {
        suite,
        scenario,
        size,
        direction,
        frames: frames.count(),
        mean_payload: frames.mean_payload(),
        times: contenders.iter().map(|contender| Times::new(contender, plan.rounds)).collect(),
    };
    let mut cases = [case(Direction::Seal), case(Direction::Open)];
    for round in 0..=plan.rounds {
        for step in 0..contenders.len() {
            let index = (step + round) % contenders.len();
            let Some(contender) = contenders.get_mut(index) else { continue };
            let took = one_turn(suite, contender, &mut frames, passes)?;
            for (case, took) in cases.iter_mut().zip(took) {
                if round > 0
                    && let Some(times) = case.times.get_mut(index)
                {
                    times.cycles.push(took);
                }
            }
        }
    }
    Ok(cases)
}

/// One contender's part in a round: cycles per packet to seal and to open. A pass each way comes first, so that its
/// contexts are where they would be if it ran alone.
fn one_turn(
    suite: Suite,
    contender: &mut Contender,
    frames: &mut Frames,
    passes: usize,
) -> Result<[f64; 2], Failed> {
    contender.seal(frames);
    contender.open(frames);
    let mut laps = [Vec::new(), Vec::new()];
    for _ in 0..passes {
        let (sealed, opened) = (contender.seal(frames), contender.open(frames));
        for (laps, pass) in laps.iter_mut().zip([sealed, opened]) {
            laps.extend(all_good(suite, contender, frames, pass)?);
        }
    }
    let packets = (passes * frames.count()) as f64;
    Ok(laps.map(|laps| undisturbed(&laps) as f64 / packets))
}

/// The sum of laps with as many packets each. One that took more than twice the median was interrupted, and counts
/// as the median: the mix in them differs by less.
fn undisturbed(laps: &[u64]) -> u64 {
    let mut sorted = laps.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    laps.iter().map(|&lap| if lap > 2 * median { median } else { lap }).sum()
}

fn all_good(
    suite: Suite,
    who: &Contender,
    frames: &Frames,
    pass: Pass,
) -> Result<Vec<u64>, Failed> {
    if pass.good == frames.count() {
        return Ok(pass.laps);
    }
    Err(Failed::Lost(suite, who.name.clone(), pass.good, frames.count()))
}

impl Times {
    fn new(contender: &Contender, rounds: usize) -> Self {
        let (name, ours) = (contender.name.clone(), contender.is_ours());
        Self { name, ours, cycles: Vec::with_capacity(rounds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_that_was_interrupted_counts_as_the_median() {
        assert_eq!(
            undisturbed(&[100, 110, 90, 105, 9000, 100, 150, 100]),
            100 * 3 + 110 + 90 + 105 + 105 + 150
        );
        assert_eq!(undisturbed(&[]), 0);
    }
}
