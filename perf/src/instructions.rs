//! How many instructions a packet costs: counted by callgrind, so the same on a busy machine as on a quiet one.
//!
//! Callgrind runs this very program on a fixed scenario and collects inside the worker's turn alone. Costs are grouped
//! by function, and by the source file that they stem from, inlined code too: each stage of the walk is a file.
//! Valgrind 3.19 has AES-NI, PCLMULQDQ and AVX2, but neither AVX-512 nor VAES: the kernels counted are `aesni`'s.
use crate::figures::rounded;
use crate::result::{Head, Preamble};
use crate::table;
use crate::traffic::Mix;
use crate::world::{BATCH, Fault, Load, Way, World};
use crypto::Suite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

pub mod callgrind;
pub mod compare;

/// Turns that are counted, and those before them.
const TURNS: usize = 16;
const WARM_TURNS: usize = 4;
/// Packets in them.
const PACKETS: f64 = (TURNS * BATCH) as f64;

const MEASURED: &str = "Instructions (callgrind's Ir) inside the worker's turns, by packet. `files` are the source \
    files they stem from, inlined code under the file that it was written in; `functions` have what was inlined into \
    them.";

/// One fixed scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Which way.
    pub way: Way,
    /// The suite's name.
    pub suite: Suite,
    /// Octets of the inner packets.
    pub mix: Mix,
    /// Tunnels.
    pub sas: u32,
}

/// The fixed scenarios: the first alone in a smoke run.
pub fn scenarios(smoke: bool) -> Vec<Scenario> {
    let suite = |name| Suite::from_name(name);
    let gcm = suite("ENCR_AES_GCM_16_128");
    let others = [
        "ENCR_AES_GCM_16_256",
        "ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96",
        "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128",
        "ENCR_CHACHA20_POLY1305",
    ];
    let mut all = Vec::new();
    for (sas, size) in [(1, 64), (1, 1420), (100, 64)] {
        all.extend(both_ways(gcm, size, sas));
    }
    for name in others {
        all.extend(both_ways(suite(name), 64, 1));
    }
    all.truncate(if smoke { 1 } else { all.len() });
    all
}

fn both_ways(suite: Option<Suite>, size: u16, sas: u32) -> impl Iterator<Item = Scenario> {
    let ways = [Way::Encrypt, Way::Decrypt].into_iter();
    ways.filter_map(move |way| Some(Scenario { way, suite: suite?, mix: Mix::Fixed(size), sas }))
}

/// A result file of `perf bench instructions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and from what.
    #[serde(flatten)]
    pub head: Head,
    /// What counted.
    pub valgrind: String,
    /// The figures.
    pub cases: Vec<Line>,
}

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Which way.
    pub direction: String,
    /// The suite.
    pub suite: String,
    /// The crypto backend that ran.
    pub backend: String,
    /// Octets of the inner packets.
    pub size: String,
    /// Tunnels.
    pub sas: u32,
    /// Instructions per packet.
    pub instructions_per_packet: f64,
    /// The same by source file.
    pub files: BTreeMap<String, f64>,
    /// The same by function.
    pub functions: BTreeMap<String, f64>,
}

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Not installed.
    #[error("valgrind is not installed: apt-get install valgrind")]
    NoValgrind,
    /// It ran, and badly.
    #[error("valgrind failed on {0}: {1}")]
    Valgrind(String, String),
    /// A file of its own.
    #[error("cannot use {0}: {1}")]
    File(String, std::io::Error),
    /// What it wrote is not what it used to write.
    #[error("cannot read what callgrind wrote: {0}")]
    Output(&'static str),
}

/// Valgrind's own word for its version.
///
/// # Errors
/// [`Failed::NoValgrind`].
pub fn valgrind() -> Result<String, Failed> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.map_err(|_| Failed::NoValgrind)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Counts every scenario, one process of callgrind each.
///
/// # Errors
/// [`Failed`].
pub fn run(
    backend: &str,
    scenarios: &[Scenario],
    before: Preamble,
    mut tell: impl FnMut(usize, usize, &Line),
) -> Result<Results, Failed> {
    let valgrind = valgrind()?;
    let mut cases = Vec::new();
    for scenario in scenarios {
        let line = count(backend, scenario)?;
        tell(cases.len() + 1, scenarios.len(), &line);
        cases.push(line);
    }
    Ok(Results { head: before.head("instructions", MEASURED), valgrind, cases })
}

fn count(backend: &str, scenario: &Scenario) -> Result<Line, Failed> {
    let file = std::env::temp_dir().join(format!("perf-callgrind-{}", std::process::id()));
    let ran = under_callgrind(backend, scenario, &file);
    let text = std::fs::read_to_string(&file);
    _ = std::fs::remove_file(&file);
    let ran = ran?;
    let text = text.map_err(|why| Failed::File(file.display().to_string(), why))?;
    let costs = callgrind::costs(&text).ok_or(Failed::Output("no costs in it"))?;
    let all = costs.files.values().sum::<u64>();
    Ok(Line {
        direction: scenario.way.name().into(),
        suite: scenario.suite.name(),
        backend: ran.trim().into(),
        size: scenario.mix.to_string(),
        sas: scenario.sas,
        instructions_per_packet: rounded(all as f64 / PACKETS, 2),
        files: grouped(&costs.files, callgrind::group),
        functions: grouped(&costs.functions, callgrind::short),
    })
}

/// Per packet; what is less than a hundredth is left out.
fn grouped(costs: &BTreeMap<String, u64>, group: impl Fn(&str) -> String) -> BTreeMap<String, f64> {
    let mut groups: BTreeMap<String, f64> = BTreeMap::new();
    for (name, cost) in costs {
        *groups.entry(group(name)).or_default() += *cost as f64 / PACKETS;
    }
    groups.values_mut().for_each(|cost| *cost = rounded(*cost, 2));
    groups.retain(|_, cost| *cost > 0.0);
    groups
}

/// Says the backend that the walk under callgrind ran on.
fn under_callgrind(backend: &str, scenario: &Scenario, file: &Path) -> Result<String, Failed> {
    let program = std::env::current_exe().map_err(|why| Failed::File("myself".into(), why))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_turn*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["walk", scenario.way.name(), &scenario.suite.name(), &scenario.mix.to_string()])
        .arg(scenario.sas.to_string())
        .env("POSTERN_CRYPTO", backend)
        .stdin(Stdio::null())
        .output()
        .map_err(|_| Failed::NoValgrind)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failed::Valgrind(scenario.suite.name(), said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What runs under callgrind: the same packets every time. Says the backend.
///
/// # Errors
/// [`Fault`]: a packet was lost, so the counts would be wrong.
pub fn walk(scenario: &Scenario) -> Result<&'static str, Fault> {
    let mut world = World::new(scenario.suite, scenario.sas, |_| ())?;
    let mut load = Load::default();
    world.prepare(&mut load, scenario.way, scenario.mix, WARM_TURNS + TURNS)?;
    for turn in 0..WARM_TURNS {
        world.turn(&load, turn)?;
    }
    for turn in WARM_TURNS..WARM_TURNS + TURNS {
        world.turn_with(&load, turn, counted_turn)?;
    }
    Ok(world.backend())
}

/// Callgrind collects in here, and nowhere else.
#[inline(never)]
fn counted_turn(worker: &mut dataplane::Worker) {
    worker.turn(sadb::clock::now());
}

impl Results {
    /// For people.
    pub fn table(&self) -> String {
        let header = ["suite", "backend", "direction", "SAs", "size", "instructions", "most in"];
        let rows = self.cases.iter().map(|line| {
            [
                line.suite.clone(),
                line.backend.clone(),
                line.direction.clone(),
                line.sas.to_string(),
                line.size.clone(),
                format!("{:.1}", line.instructions_per_packet),
                line.heaviest(),
            ]
        });
        format!("{}\n{}\n\n{}", self.head.title(), self.valgrind, table::of(&header, rows, 3))
    }
}

impl Line {
    /// The heaviest functions and their share, for people.
    pub fn heaviest(&self) -> String {
        let mut groups: Vec<_> = self.functions.iter().collect();
        groups.sort_by(|a, b| b.1.total_cmp(a.1));
        let word = |(name, cost): &(&String, &f64)| format!("{name} {cost:.0}");
        groups.iter().take(5).map(word).collect::<Vec<_>>().join(", ")
    }
}
