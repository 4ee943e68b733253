//! The command line. What only reads takes the shared region from the data plane, so it answers when control hangs; when
//! the data plane is away, control is asked.
//!
//! Exit codes: 0 done; 1 refused or failed, nothing changed; 2 wrong usage (from clap); 3 the configuration has faults;
//! 4 neither process could be reached.
use crate::api::ErrorBody;
use crate::client::{self, ClientError};
use crate::driver::Outcome;
use crate::{config, table, view};
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long a read from the data plane's socket may take before control is asked instead.
const READ: Duration = Duration::from_millis(700);
/// How long control may take to answer what it only has to look up.
const ASK: Duration = Duration::from_secs(2);
/// How long control may take to change something.
const CHANGE: Duration = Duration::from_secs(60);

/// Postern, an IPsec gateway: look and change.
///
/// Exit codes: 0 done; 1 refused or failed, nothing was changed; 2 wrong usage; 3 the configuration has faults;
/// 4 Postern is not running or does not answer.
#[derive(Parser)]
#[command(version, name = "postern")]
pub struct Arguments {
    /// Where the sockets of both processes are.
    #[arg(long, global = true, default_value = "/run/postern")]
    run_dir: PathBuf,
    /// The configuration: for check, /etc/postern/postern.yaml if absent; for diff and apply, the file that control was
    /// started with if absent.
    #[arg(short, long, global = true)]
    config: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs: one document with a `version`.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Read the configuration and say all that is wrong with it. Changes nothing, needs no daemon.
    Check,
    /// Show what apply would do.
    Diff,
    /// Make what runs what is configured: all of it or nothing.
    Apply {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Both processes, interfaces, tunnels.
    Status,
    /// Every SA.
    Sa,
    /// The policies in order.
    Policy,
    /// Why packets were dropped, and everything else that is counted.
    Counters {
        /// Zeros too.
        #[arg(long)]
        all: bool,
    },
    /// Interfaces and their XDP mode.
    Interfaces,
    /// The JSON Schema of the configuration.
    Schema,
}

/// What to say last, and the exit code.
struct Failed(u8, String);

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self(4, error.to_string())
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(text) => {
            use std::io::Write;
            // A closed pipe is the reader's choice.
            let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(Failed(code, text)) => {
            eprintln!("{text}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, Failed> {
    let reader = Reader { run_dir: &arguments.run_dir, output: arguments.output };
    match arguments.command {
        Command::Check => check(arguments),
        Command::Diff => change(arguments, true),
        Command::Apply { dry_run } => change(arguments, dry_run),
        Command::Schema => Ok(config::schema()),
        Command::Status => {
            reader.show("/v1/status", |region| Ok(view::status(region, None)), table::status)
        }
        Command::Sa => reader.show("/v1/sa", |r| Ok(view::sas(r)), |sas| table::sas(&sas.sas)),
        Command::Policy => reader.show(
            "/v1/policy",
            |region| view::policies(region).map_err(|corrupt| Failed(1, corrupt.to_string())),
            |policies| table::policies(&policies.policies),
        ),
        Command::Counters { all } => reader.show(
            "/v1/counters",
            |r| Ok(view::counters(r)),
            |counters| table::counters(counters, all),
        ),
        Command::Interfaces => reader.show(
            "/v1/interfaces",
            |region| Ok(view::interfaces(region, None)),
            |list| table::interfaces(&list.interfaces),
        ),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

struct Reader<'a> {
    run_dir: &'a Path,
    output: Output,
}

impl Reader<'_> {
    /// From shared memory, or else from control.
    fn show<T: Serialize + DeserializeOwned>(
        &self,
        path: &str,
        of: impl FnOnce(&sadb::Region) -> Result<T, Failed>,
        table: impl FnOnce(&T) -> String,
    ) -> Result<String, Failed> {
        let value = match shared(&self.run_dir.join("dataplane.sock")) {
            Ok(region) => of(&region)?,
            Err(away) => {
                let socket = self.run_dir.join("control.sock");
                let (status, body) = client::request(&socket, "GET", path, b"", ASK)
                    .map_err(|error| Failed(4, format!("data plane: {away}\n{error}")))?;
                if self.output == Output::Table {
                    eprintln!("data plane: {away}; this is what postern-control knows");
                }
                decoded(status, &body)?
            }
        };
        Ok(if self.output == Output::Json { json(&value) } else { table(&value) })
    }
}

/// The shared region by the data plane's socket; gives up when the data plane does not answer.
fn shared(socket: &Path) -> Result<sadb::Region, String> {
    let (send, receive) = std::sync::mpsc::channel();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        let _ = send.send(sadb::link::connect_reader(&socket).map_err(|error| error.to_string()));
    });
    receive.recv_timeout(READ).unwrap_or_else(|_| Err("does not answer".to_owned()))
}

fn decoded<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Failed> {
    if status != 200 {
        let error = serde_json::from_slice::<ErrorBody>(body);
        let text =
            error.map_or_else(|_| format!("postern-control answered {status}"), |body| body.error);
        let code = match status {
            422 => 3,
            503 => 4,
            _ => 1,
        };
        return Err(Failed(code, text));
    }
    serde_json::from_slice(body).map_err(|error| {
        Failed(1, format!("postern-control answered something else than expected: {error}"))
    })
}

fn check(arguments: &Arguments) -> Result<String, Failed> {
    let default = PathBuf::from("/etc/postern/postern.yaml");
    let path = arguments.config.as_ref().unwrap_or(&default);
    let is_json = arguments.output == Output::Json;
    match config::load(path) {
        Ok(config) if is_json => Ok(json(&serde_json::json!({
            "version": view::VERSION, "ok": true, "tunnels": config.tunnels.len(), "policies": config.policies.len(),
            "warnings": config.warnings,
        }))),
        Ok(config) => {
            let name = path.display().to_string();
            let mut lines = config.warned(&name);
            let (tunnels, policies) = (config.tunnels.len(), config.policies.len());
            let warned = match lines.len() {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                many => format!(", {many} warnings"),
            };
            lines.push(format!("{name}: ok, {tunnels} tunnels, {policies} policy entries{warned}"));
            Ok(lines.join("\n"))
        }
        Err(faulty) if is_json => {
            let body =
                serde_json::json!({ "version": view::VERSION, "ok": false, "faults": faulty });
            println!("{}", json(&body));
            Err(Failed(3, format!("{} problems", faulty.problems.len())))
        }
        Err(faulty) => Err(Failed(3, faulty.to_string())),
    }
}

fn change(arguments: &Arguments, dry_run: bool) -> Result<String, Failed> {
    let body = match &arguments.config {
        None => zeroize::Zeroizing::new(String::new()),
        Some(path) => {
            let name = path.display().to_string();
            // Looked at here first, so that faults are told with this file's name.
            config::load(path).map_err(|faulty| Failed(3, faulty.to_string()))?;
            config::source(path, &name).map_err(|faulty| Failed(3, faulty.to_string()))?
        }
    };
    let path = if dry_run { "/v1/diff" } else { "/v1/apply" };
    let socket = arguments.run_dir.join("control.sock");
    let (status, answer) = client::request(&socket, "POST", path, body.as_bytes(), CHANGE)?;
    let outcome: Outcome = decoded(status, &answer)?;
    let mut text = if arguments.output == Output::Json { json(&outcome) } else { told(&outcome) };
    if !dry_run && arguments.config.is_some() && arguments.output == Output::Table {
        text += "\nnote: at its next start postern-control reads its own file; put this configuration there too";
    }
    Ok(text)
}

fn told(outcome: &Outcome) -> String {
    let mut lines = outcome.warnings.clone();
    lines.extend(outcome.steps.iter().map(ToString::to_string));
    lines.extend(
        outcome.restart.iter().map(|why| format!("needs a restart of postern-dataplane: {why}")),
    );
    let (steps, unchanged) = (outcome.steps.len(), outcome.unchanged);
    lines.push(match (steps, outcome.applied) {
        (0, _) => format!("nothing to change; {unchanged} SAs stay as they are"),
        (_, true) => format!("applied: {steps} steps; {unchanged} SAs untouched"),
        (_, false) => format!("would take {steps} steps; {unchanged} SAs stay as they are"),
    });
    lines.join("\n")
}
