//! The control process.
use clap::Parser;
use control::driver::{Driver, Paths, Source};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Postern's control process: reads the configuration, installs SAs and policies in the data plane, serves the local API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where dataplane.sock and control.sock are.
    #[arg(long, default_value = "/run/postern")]
    run_dir: PathBuf,
    /// The configuration.
    #[arg(short, long, default_value = "/etc/postern/postern.yaml")]
    config: PathBuf,
    /// Where what must outlive a reboot is kept.
    #[arg(long, default_value = "/var/lib/postern")]
    state: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments { run_dir, config, state } = arguments;
    let failed = |what: &str, path: &std::path::Path, error: &dyn std::fmt::Display| {
        format!("{what} {}: {error}", path.display())
    };
    for directory in [&run_dir, &state] {
        std::fs::create_dir_all(directory)
            .map_err(|error| failed("cannot create", directory, &error))?;
    }
    let _alone = [lock(&run_dir.join("control.lock"))?, lock(&state.join("lock"))?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let socket = run_dir.join("control.sock");
        let listener = control::api::bind(&socket)
            .map_err(|error| failed("cannot listen at", &socket, &error))?;
        let paths = Paths { run_dir, config, state };
        let (driver, thread) = Driver::start(paths).map_err(|error| error.to_string())?;
        let result = tokio::select! {
            () = control::api::serve(listener, driver.clone()) => Ok(()),
            result = signals(&driver) => result.map_err(|error| error.to_string()),
        };
        driver.stop();
        let _ = thread.join();
        let _ = std::fs::remove_file(socket);
        result
    })
}

/// SIGHUP reads the file again; SIGTERM and SIGINT end control, and nothing else.
async fn signals(driver: &Driver) -> std::io::Result<()> {
    let mut reload = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = reload.recv() => {
                // What came of it is logged by the driver; a bad file changes nothing.
                let _ = driver.apply(Source::File, false).await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("control stops; the data plane goes on");
    Ok(())
}

/// Held while we run: two controls would give out the same epochs.
fn lock(path: &std::path::Path) -> Result<std::fs::File, String> {
    let error = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::create(path).map_err(|e| error(&e))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| error(&"another postern-control is running here"))?;
    Ok(file)
}
