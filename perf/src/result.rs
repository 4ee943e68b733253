//! What stands at the head of every result: where and from what it comes.
use crate::machine::{self, Machine, Source};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 2;

/// The head of a result file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// Which bench.
    pub bench: String,
    /// When it began, UTC.
    pub date: String,
    /// The whole command line.
    pub command: String,
    /// The code.
    pub source: Source,
    /// The machine.
    pub machine: Machine,
    /// Load averages over 1, 5 and 15 minutes, before and after: figures of a busy machine are worth little.
    pub load_before: String,
    /// After the run.
    pub load_after: String,
    /// What a reader should know.
    pub note: Option<String>,
    /// What is in a figure and what is not.
    pub measured: String,
}

/// What is known before a run begins.
#[derive(Clone, Debug)]
pub struct Preamble {
    date: String,
    load: String,
    note: Option<String>,
}

impl Preamble {
    /// Now.
    pub fn now(note: Option<String>) -> Self {
        Self { date: machine::date(), load: machine::load(), note }
    }

    /// The head of the result of the run that has just ended.
    pub fn head(self, bench: &str, measured: &str) -> Head {
        let arguments = std::env::args().skip(1);
        Head {
            schema: SCHEMA,
            bench: bench.into(),
            date: self.date,
            command: ["perf".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" "),
            source: Source::here(),
            machine: Machine::here(),
            load_before: self.load,
            load_after: machine::load(),
            note: self.note,
            measured: measured.into(),
        }
    }
}

impl Head {
    /// For people.
    pub fn title(&self) -> String {
        let Self { machine, source, .. } = self;
        let modified = if source.modified { ", modified" } else { "" };
        let build =
            if source.release { "" } else { "\nNot a release build: the figures mean nothing." };
        format!(
            "{}\n{} · Linux {} · TSC {:.0} MHz · commit {}{modified} · load {} before, {} after{build}",
            self.date,
            machine.cpu,
            machine.kernel,
            machine.tsc_mhz.unwrap_or_default(),
            source.commit,
            self.load_before,
            self.load_after,
        )
    }
}

/// For programs.
///
/// # Errors
/// Never for our types; serde_json says so with a value.
pub fn json(result: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(result).map(|text| text + "\n")
}

/// Writes a result to a file.
///
/// # Errors
/// The path and the reason.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|why| format!("cannot write {}: {why}", path.display()))
}
