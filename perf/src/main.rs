//! `perf`: measures Postern on this machine. See perf/README.md.
use clap::Parser;
use perf::instructions::Failed;
use std::process::ExitCode;

mod cli;

/// Says to a script that the bench did not run for want of valgrind.
const NO_VALGRIND: u8 = 3;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("perf: {why}");
            match why.downcast_ref() {
                Some(Failed::NoValgrind) => ExitCode::from(NO_VALGRIND),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
