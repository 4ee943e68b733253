//! Postern and strongSwan's charon, called by the same initiator over UDP in one run: `scripts/rivals/handshake.py` makes the
//! namespaces and starts the programs.
use super::{Failed, Tell};
use crate::figures::Spread;
use crate::handshake::rates::spread;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rivalry {
    /// What runs at each end, and what is not the same.
    pub differs: String,
    /// charon's version.
    pub charon: String,
    /// Handshakes of a round, and how many were under way at a time.
    pub handshakes: usize,
    /// See there.
    pub abreast: usize,
    /// Each way, each responder.
    pub cases: Vec<Contest>,
}

/// One responder, called one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contest {
    /// How both ends proved who they are.
    pub proof: String,
    /// Who answered.
    pub responder: String,
    /// Handshakes per second, over the rounds.
    pub per_second: Spread,
    /// Processor milliseconds of all the responder's processes for a handshake.
    pub cpu_ms: Spread,
    /// Of them, the data plane's, where it is a process of its own.
    pub data_plane_ms: Option<f64>,
    /// Processor milliseconds of the initiator.
    pub initiator_ms: f64,
    /// Rounds in the order in which they ran.
    pub rounds: Vec<Round>,
}

/// One round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// Peers that stood.
    pub established: usize,
    /// From the first call until the last stood.
    pub seconds: f64,
    /// Processor seconds of the responder's processes.
    pub cpu_seconds: f64,
    /// Of them, the data plane's.
    pub data_plane_seconds: Option<f64>,
    /// Processor seconds of the initiator.
    pub initiator_seconds: f64,
}

#[derive(Deserialize)]
struct Told {
    differs: String,
    charon: String,
    handshakes: usize,
    abreast: usize,
    cases: Vec<ToldCase>,
}

#[derive(Deserialize)]
struct ToldCase {
    proof: String,
    responder: String,
    rounds: Vec<Round>,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where postern-control and postern-dataplane are.
    pub binaries: PathBuf,
    /// Rounds of each case.
    pub rounds: usize,
    /// Handshakes of a round.
    pub handshakes: usize,
}

/// Runs the script.
///
/// # Errors
/// [`Failed::System`]: what it said.
pub fn run(plan: &Plan, tell: Tell<'_>) -> Result<Rivalry, Failed> {
    let system = |why: &dyn std::fmt::Display| Failed::System(format!("side by side: {why}"));
    let program = std::env::current_exe().map_err(|why| system(&why))?;
    tell("side by side with charon".to_owned());
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "rivals.handshake", "--rounds", &plan.rounds.to_string()]);
    command.args(["--handshakes", &plan.handshakes.to_string()]);
    command.arg("--binaries").arg(&plan.binaries).arg("--perf").arg(program);
    command.env("PYTHONPATH", scripts()).stderr(Stdio::inherit());
    let done = command.output().map_err(|why| system(&why))?;
    if !done.status.success() {
        return Err(system(&"the script failed; its own words stand above"));
    }
    let told: Told = serde_json::from_slice(&done.stdout).map_err(|why| system(&why))?;
    Ok(told.into())
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts")
}

impl From<Told> for Rivalry {
    fn from(told: Told) -> Self {
        let Told { differs, charon, handshakes, abreast, cases } = told;
        let cases = cases.into_iter().map(Contest::from).collect();
        Self { differs, charon, handshakes, abreast, cases }
    }
}

impl From<ToldCase> for Contest {
    fn from(told: ToldCase) -> Self {
        let ToldCase { proof, responder, rounds } = told;
        let of = |what: &dyn Fn(&Round) -> f64| -> Vec<f64> {
            rounds.iter().map(|round| what(round) / round.established.max(1) as f64).collect()
        };
        let milliseconds = |each: Vec<f64>| {
            let Spread { median, p10, p90 } = Spread::of(&each);
            let fine = |seconds: f64| crate::figures::rounded(seconds * 1e3, 3);
            Spread { median: fine(median), p10: fine(p10), p90: fine(p90) }
        };
        let rates: Vec<f64> =
            of(&|round| round.seconds).iter().map(|seconds| 1.0 / seconds).collect();
        let plane = of(&|round| round.data_plane_seconds.unwrap_or_default());
        let has_plane = rounds.iter().any(|round| round.data_plane_seconds.is_some());
        Self {
            proof,
            responder,
            per_second: spread(&rates),
            cpu_ms: milliseconds(of(&|round| round.cpu_seconds)),
            data_plane_ms: has_plane.then(|| milliseconds(plane).median),
            initiator_ms: milliseconds(of(&|round| round.initiator_seconds)).median,
            rounds,
        }
    }
}
