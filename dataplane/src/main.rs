//! `postern-dataplane`: carries packets. Everything else is [`dataplane::runtime`].
use clap::Parser;
use dataplane::runtime::{self, Options};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tracing_subscriber::EnvFilter;

/// The packet side of the Postern VPN gateway. It waits for postern-control, which tells it what to do.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory of the socket by which postern-control and the CLI come in.
    #[arg(long, default_value = "/run/postern")]
    run_dir: PathBuf,
    /// Directory, on a BPF file system, where the XDP program and its maps are pinned. They outlive this process: while
    /// it is away, what policy protects is dropped.
    #[arg(long, default_value = "/sys/fs/bpf/postern")]
    pin: PathBuf,
    /// What to log: off, error, warn, info, debug, trace, or per module as in `info,dataplane::mirror=debug`.
    #[arg(long, default_value = "info")]
    log: String,
    /// Take the XDP program off all interfaces, and Postern's routes, rules and TUN device away, and end. What policy
    /// protected is no longer protected.
    #[arg(long)]
    detach: bool,
    /// Name of the TUN device that --detach removes.
    #[arg(long, default_value = "postern0", requires = "detach")]
    tun: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(EnvFilter::new(&arguments.log))
        .init();
    let options = Options { run_dir: arguments.run_dir, pin: arguments.pin };
    let outcome = match arguments.detach {
        true => runtime::detach(&options, &arguments.tun),
        false => run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), runtime::StartError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| runtime::StartError::System("take signals", error))?;
    }
    runtime::run(options, &stop)
}
