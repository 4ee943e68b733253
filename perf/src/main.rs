//! `perf`: measures Postern on this machine. See perf/README.md.
use clap::{Args, Parser, Subcommand};
use crypto::Suite;
use perf::pipeline::{self, Plan, Progress};
use perf::report::{Preamble, Results};
use perf::traffic::Mix;
use perf::world::{MOST_SAS, Way};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "perf", version, about = "Measures Postern on this machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a bench
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// The whole walk of one worker between two ports in memory
    Pipeline(Pipeline),
}

#[derive(Args)]
struct Pipeline {
    /// Ways through the gateway
    #[arg(long, value_enum, value_delimiter = ',', default_value = "encrypt,decrypt,both")]
    direction: Vec<Way>,
    /// Octets of the inner IP packets, or IMIX (64, 576 and 1420 octets, 7:4:1)
    #[arg(long, value_delimiter = ',', default_value = "64,128,256,512,1024,1420,IMIX")]
    sizes: Vec<Mix>,
    /// Tunnels, used round robin; each has an SA both ways
    #[arg(long, value_delimiter = ',', default_value = "1,1000,100000",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SAS)))]
    sas: Vec<u32>,
    /// Suites by their names in a configuration, for example ENCR_AES_GCM_16_256
    #[arg(long, value_delimiter = ',', default_value = "ENCR_AES_GCM_16_128", value_parser = suite)]
    suite: Vec<Suite>,
    /// Rounds: in each, every case runs once
    #[arg(long, default_value_t = 15, value_parser = positive)]
    rounds: usize,
    /// Packets of a case in a round, each way
    #[arg(long, default_value_t = 8192, value_parser = positive)]
    packets: usize,
    /// CPU to run on; the last one by default
    #[arg(long)]
    core: Option<usize>,
    /// One short round with few SAs: shows that everything runs, measures nothing
    #[arg(long)]
    smoke: bool,
    /// JSON on stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Writes the JSON there as well
    #[arg(long)]
    out: Option<PathBuf>,
    /// What a reader of the result should know
    #[arg(long)]
    note: Option<String>,
}

fn suite(name: &str) -> Result<Suite, String> {
    let names = || Suite::all().map(Suite::name).collect::<Vec<_>>().join(", ");
    Suite::from_name(name).ok_or_else(|| format!("no such suite; there are {}", names()))
}

fn positive(text: &str) -> Result<usize, String> {
    let number: Option<usize> = text.parse().ok();
    number.filter(|&n| n > 0).ok_or_else(|| "give a number above 0".into())
}

impl Pipeline {
    fn plan(&self) -> Plan {
        let plan = Plan {
            ways: self.direction.clone(),
            mixes: self.sizes.clone(),
            sas: self.sas.clone(),
            suites: self.suite.clone(),
            rounds: self.rounds,
            turns: pipeline::turns_of(self.packets),
            warm_turns: 16,
        };
        match self.smoke {
            true => Plan { sas: vec![1, 100], rounds: 1, turns: 2, warm_turns: 1, ..plan },
            false => plan,
        }
    }

    fn run(&self) -> Result<(), Box<dyn Error>> {
        let core = pin(self.core)?;
        let plan = self.plan();
        let before = Preamble::now(core, self.note.clone());
        let outcomes = pipeline::run(&plan, progress)?;
        let results = Results::pipeline(&plan, before, &outcomes);
        if let Some(path) = &self.out {
            write(path, &results.json()?)?;
        }
        let text = if self.json { results.json()? } else { results.table() + "\n" };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|why| format!("cannot write {}: {why}", path.display()))
}

/// Stays on one core: a migration in a round would be measured as ours.
fn pin(wanted: Option<usize>) -> Result<usize, String> {
    let ours: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let id = wanted.or(ours.last().copied()).ok_or("the kernel names no core that we may use")?;
    match core_affinity::set_for_current(core_affinity::CoreId { id }) {
        true => Ok(id),
        false => Err(format!("cannot run on core {id}; choose one of {ours:?} with --core")),
    }
}

fn progress(news: Progress) {
    match news {
        Progress::Installed(done, all) if done % 10_000 == 0 => {
            eprintln!("{done} of {all} tunnels installed");
        }
        Progress::Installed(..) => {}
        Progress::Round(done, all) => eprintln!("round {done} of {all} done"),
    }
}

fn main() -> ExitCode {
    let Command::Bench { bench: Bench::Pipeline(pipeline) } = Cli::parse().command;
    match pipeline.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("perf: {why}");
            ExitCode::FAILURE
        }
    }
}
