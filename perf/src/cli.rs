//! The command line.
use clap::{Args, Parser, Subcommand};
use crypto::Suite;
use perf::result::{self, Preamble};
use serde::Serialize;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

mod ciphers;
mod handshake;
mod instructions;
mod pipeline;
mod report;

/// The whole command line.
#[derive(Parser)]
#[command(name = "perf", version, about = "Measures Postern on this machine")]
pub struct Cli {
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
    /// Renders docs/performance.md from perf/results
    Report(report::Report),
    /// What `bench instructions` runs under callgrind
    #[command(hide = true)]
    Walk(instructions::Walk),
    /// What `bench handshake` runs in a process of its own to see how much memory peers take
    #[command(hide = true)]
    Established(handshake::Established),
    /// The initiator that `bench handshake --side-by-side` runs in a namespace
    #[command(hide = true)]
    Call(handshake::Call),
}

#[derive(Subcommand)]
enum Bench {
    /// Our kernels against other libraries
    Crypto(ciphers::Crypto),
    /// The whole walk of one worker between two ports in memory
    Pipeline(pipeline::Pipeline),
    /// Instructions per packet, counted by callgrind
    Instructions(instructions::Instructions),
    /// IKEv2: handshakes per second and core, memory per peer, many peers at once
    Handshake(handshake::Handshake),
}

impl Cli {
    /// Does what it says.
    ///
    /// # Errors
    /// For a person to read.
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        match &self.command {
            Command::Bench { bench: Bench::Crypto(crypto) } => crypto.run(),
            Command::Bench { bench: Bench::Pipeline(pipeline) } => pipeline.run(),
            Command::Bench { bench: Bench::Instructions(instructions) } => instructions.run(),
            Command::Bench { bench: Bench::Handshake(handshake) } => handshake.run(),
            Command::Established(established) => established.run(),
            Command::Call(call) => call.run(),
            Command::Report(report) => report.run(),
            Command::Walk(walk) => walk.run(),
        }
    }
}

/// What every bench takes.
#[derive(Args)]
struct Common {
    /// One short round: shows that everything runs, measures nothing
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

impl Common {
    fn before(&self) -> Preamble {
        Preamble::now(self.note.clone())
    }

    fn say(
        &self,
        results: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> Result<(), Box<dyn Error>> {
        let json = result::json(results)?;
        if let Some(path) = &self.out {
            result::write(path, &json)?;
        }
        let text = if self.json { json } else { table() + "\n" };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn suite(name: &str) -> Result<Suite, String> {
    let names = || Suite::all().map(Suite::name).collect::<Vec<_>>().join(", ");
    Suite::from_name(name).ok_or_else(|| format!("no such suite; there are {}", names()))
}

fn positive(text: &str) -> Result<usize, String> {
    let number: Option<usize> = text.parse().ok();
    number.filter(|&n| n > 0).ok_or_else(|| "give a number above 0".into())
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
