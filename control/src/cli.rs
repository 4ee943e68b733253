//! The command line. What only reads takes the shared region from the data plane, so it answers when control hangs; when
//! the data plane is away, control is asked.
//!
//! Exit codes: 0 done; 1 refused or failed, nothing changed; 2 wrong usage (from clap); 3 the configuration has faults;
//! 4 neither process could be reached.
use crate::api::{ErrorBody, Events, Ordered};
use crate::certify::Pki;
use crate::client::{self, ClientError};
use crate::driver::Outcome;
use crate::events::EventView;
use crate::keying::export::Tables;
use crate::keying::view::{IkeView, WhyView};
use crate::{config, table, view};
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

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
    /// Connect: all children of a connection, or one. Waits until they are up, or says why not.
    Up {
        /// CONNECTION or CONNECTION/CHILD.
        which: String,
        /// Seconds to wait; 0: not at all.
        #[arg(long, default_value_t = 30)]
        wait: u64,
    },
    /// Disconnect: a connection, or one child of it.
    Down {
        /// CONNECTION or CONNECTION/CHILD.
        which: String,
    },
    /// Make new keys now.
    Rekey {
        /// CONNECTION or CONNECTION/CHILD.
        which: String,
        /// Of the IKE SA, not of its children.
        #[arg(long)]
        ike: bool,
        /// Of everything, with new proofs of identity.
        #[arg(long, conflicts_with = "ike")]
        reauth: bool,
    },
    /// Why it failed last with a peer or a connection, and what would put it right.
    Why {
        /// The name of a connection, or a peer's address.
        of: String,
    },
    /// What happened.
    Events {
        /// Go on with what happens from now on.
        #[arg(short, long)]
        follow: bool,
        /// Only of this connection, or of a peer's address.
        #[arg(long)]
        of: Option<String>,
    },
    /// How much postern-control logs of a peer from now on.
    Log {
        /// The name of a connection, or a peer's address.
        peer: String,
        /// off, warn, info, or debug: each message.
        level: String,
    },
    /// Keys of SAs, for decrypting captures.
    Keys {
        #[command(subcommand)]
        keys: Keys,
    },
    /// Make and look at keys, CAs and certificates. Needs no daemon.
    Pki {
        #[command(subcommand)]
        pki: Pki,
    },
    /// The JSON Schema of the configuration.
    Schema,
}

#[derive(Subcommand)]
enum Keys {
    /// Write Wireshark's tables `ikev2_decryption_table` and `esp_sa`. Whoever has them reads all traffic; the
    /// configuration must allow it.
    Export {
        /// The directory, usually that of Wireshark's profile. Without it they are printed.
        #[arg(long)]
        to: Option<PathBuf>,
        /// Write `esp_sa` as Wireshark 4.5 and later want it.
        #[arg(long)]
        wireshark_4_5: bool,
    },
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
    let asker = Asker { socket: arguments.run_dir.join("control.sock"), output: arguments.output };
    match &arguments.command {
        Command::Up { which, wait } => asker.up(which, Duration::from_secs(*wait)),
        Command::Down { which } => asker.order("down", which, ""),
        Command::Rekey { which, ike, reauth } => {
            asker.order("rekey", which, rekeyed(*ike, *reauth))
        }
        Command::Why { of } => asker.why(of),
        Command::Events { follow, of } => asker.events(*follow, of.as_deref()),
        Command::Log { peer, level } => asker.level(peer, level),
        Command::Keys { keys: Keys::Export { to, wireshark_4_5 } } => {
            asker.keys(to.as_deref(), *wireshark_4_5)
        }
        Command::Pki { pki } => {
            let told = crate::certify::run(pki).map_err(|why| Failed(1, why))?;
            Ok(if arguments.output == Output::Json { json(&told.json) } else { told.text })
        }
        Command::Check => check(arguments),
        Command::Diff => change(arguments, true),
        Command::Apply { dry_run } => change(arguments, *dry_run),
        Command::Schema => Ok(config::schema()),
        Command::Status => reader.status(&asker),
        Command::Sa => reader.show("/v1/sa", |r| Ok(view::sas(r)), |sas| table::sas(&sas.sas)),
        Command::Policy => reader.show(
            "/v1/policy",
            |region| view::policies(region).map_err(|corrupt| Failed(1, corrupt.to_string())),
            |policies| table::policies(&policies.policies),
        ),
        Command::Counters { all } => reader.show(
            "/v1/counters",
            |r| Ok(view::counters(r)),
            |counters| table::counters(counters, *all),
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

impl Reader<'_> {
    /// The shared region does not know of IKE: control says what it can, if it answers.
    fn status(&self, asker: &Asker) -> Result<String, Failed> {
        let alive = Cell::new(true);
        let quiet = |ike: &IkeView| ike.connections.is_empty() && ike.ike_sas.is_empty();
        let of = |region: &sadb::Region| {
            let status = view::status(region, None);
            alive.set(status.control.alive);
            Ok(view::Status { ike: None, ..status })
        };
        let shown = self.show("/v1/status", of, table::status)?;
        // Who says nothing is not waited for.
        let ask = || asker.ask::<IkeView>("GET", "/v1/ike", ASK).ok();
        let ike = alive.get().then(ask).flatten();
        match (self.output, ike) {
            (_, None) => Ok(shown),
            (Output::Table, Some(ike)) if quiet(&ike) => Ok(shown),
            (Output::Table, Some(ike)) => Ok(format!("{shown}\n\n{}", table::ike(&ike))),
            (Output::Json, Some(ike)) => {
                let mut status: view::Status = serde_json::from_str(&shown)
                    .map_err(|error| Failed(1, format!("status cannot be read: {error}")))?;
                status.ike = Some(ike);
                Ok(json(&status))
            }
        }
    }
}

fn rekeyed(ike: bool, reauth: bool) -> &'static str {
    match (ike, reauth) {
        (true, _) => "&what=ike",
        (_, true) => "&what=reauth",
        _ => "&what=child",
    }
}

/// Asks control.
struct Asker {
    socket: PathBuf,
    output: Output,
}

/// Text as it may stand in a query.
fn escaped(text: &str) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    text.bytes()
        .map(
            |octet| {
                if plain(&octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") }
            },
        )
        .collect()
}

impl Asker {
    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        patience: Duration,
    ) -> Result<T, Failed> {
        let (status, body) = client::request(&self.socket, method, path, b"", patience)?;
        decoded(status, &body)
    }

    fn path(verb: &str, which: &str, more: &str) -> String {
        let (connection, child) = match which.split_once('/') {
            Some((connection, child)) => (connection, format!("&child={}", escaped(child))),
            None => (which, String::new()),
        };
        format!("/v1/{verb}?connection={}{child}{more}", escaped(connection))
    }

    fn order(&self, verb: &str, which: &str, more: &str) -> Result<String, Failed> {
        let ordered: Ordered = self.ask("POST", &Self::path(verb, which, more), ASK)?;
        Ok(if self.output == Output::Json {
            json(&ordered)
        } else {
            format!("{verb} {which}: ordered")
        })
    }

    fn up(&self, which: &str, wait: Duration) -> Result<String, Failed> {
        let until = Instant::now() + wait;
        if wait.is_zero() {
            return self.order("up", which, "");
        }
        let Ordered { mut after, .. } = self.ask("POST", &Self::path("up", which, ""), ASK)?;
        let (connection, child) =
            which.split_once('/').map_or((which, None), |(a, b)| (a, Some(b)));
        loop {
            if self.is_up(connection, child)? {
                return Ok(if self.output == Output::Json {
                    json(&serde_json::json!({ "version": view::VERSION, "up": true }))
                } else {
                    format!("{which} is up")
                });
            }
            let news = self.news(after, 1)?.events;
            let failed = news.iter().find(|event| {
                event.kind == "failed" && event.connection.as_deref() == Some(connection)
            });
            if failed.is_some() {
                return Err(Failed(1, self.why(connection)?));
            }
            after = news.last().map_or(after, |event| event.number);
            if Instant::now() >= until {
                return Err(Failed(
                    1,
                    format!("{which} is not up after {} s; it goes on trying", wait.as_secs()),
                ));
            }
        }
    }

    fn is_up(&self, connection: &str, child: Option<&str>) -> Result<bool, Failed> {
        let ike: IkeView = self.ask("GET", "/v1/ike", ASK)?;
        let known = ike.connections.iter().find(|known| known.name == connection);
        let wanted: Vec<&str> = match child {
            Some(child) => vec![child],
            None => known
                .map_or(Vec::new(), |known| known.children.iter().map(String::as_str).collect()),
        };
        let sas: Vec<_> = ike.ike_sas.iter().filter(|sa| sa.connection == connection).collect();
        let up = |name: &&str| {
            sas.iter()
                .flat_map(|sa| &sa.children)
                .any(|sa| sa.name == **name && sa.state == "installed")
        };
        Ok(wanted.iter().all(up))
    }

    fn why(&self, of: &str) -> Result<String, Failed> {
        let why: WhyView = self.ask("GET", &format!("/v1/why?of={}", escaped(of)), ASK)?;
        Ok(if self.output == Output::Json {
            json(&why)
        } else {
            format!("{} ago: {}", table::span(why.ago), why.text)
        })
    }

    fn news(&self, after: u64, wait: u64) -> Result<Events, Failed> {
        let path = format!("/v1/events?after={after}&wait={wait}");
        self.ask("GET", &path, ASK + Duration::from_secs(wait))
    }

    fn events(&self, follow: bool, of: Option<&str>) -> Result<String, Failed> {
        let about = |event: &EventView| {
            of.is_none_or(|of| {
                [&event.connection, &event.peer].into_iter().flatten().any(|it| it == of)
            })
        };
        let mut after = 0;
        let mut news = self.news(after, 0)?;
        if !follow {
            news.events.retain(about);
            return Ok(match self.output {
                Output::Json => json(&news),
                Output::Table => {
                    news.events.iter().map(table::event).collect::<Vec<_>>().join("\n")
                }
            });
        }
        loop {
            use std::io::Write;
            let lost = (news.lost > 0).then(|| self.lost(news.lost));
            let told =
                news.events.iter().filter(|event| about(event)).map(|event| match self.output {
                    Output::Json => serde_json::to_string(event).unwrap_or_default(),
                    Output::Table => table::event(event),
                });
            for line in lost.into_iter().chain(told) {
                // A closed pipe ends it: the reader has seen enough.
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    return Ok(String::new());
                }
            }
            after = news.events.last().map_or(after, |event| event.number);
            news = self.news(after, 10)?;
        }
    }

    /// Whoever follows missed so many.
    fn lost(&self, count: u64) -> String {
        match self.output {
            Output::Json => serde_json::json!({ "kind": "lost", "lost": count }).to_string(),
            Output::Table => format!("{count} events lost: they came faster than they were read"),
        }
    }

    fn level(&self, peer: &str, level: &str) -> Result<String, Failed> {
        let path = format!("/v1/log?peer={}&level={}", escaped(peer), escaped(level));
        let done: serde_json::Value = self.ask("POST", &path, ASK)?;
        Ok(if self.output == Output::Json { json(&done) } else { format!("{peer}: {level}") })
    }

    fn keys(&self, to: Option<&Path>, newer: bool) -> Result<String, Failed> {
        let tables: Tables = self.ask("GET", "/v1/keys", ASK)?;
        eprintln!(
            "WARNING: these keys decrypt all traffic of the tunnels; delete them when you are done"
        );
        if self.output == Output::Json {
            return Ok(json(&tables));
        }
        let esp = if newer { &tables.esp_sa_4_5 } else { &tables.esp_sa };
        let files = [("ikev2_decryption_table", &tables.ikev2_decryption_table), ("esp_sa", esp)];
        let Some(directory) = to else {
            let part =
                |(name, lines): &(&str, &Vec<String>)| format!("# {name}\n{}", lines.join("\n"));
            return Ok(files.iter().map(part).collect::<Vec<_>>().join("\n"));
        };
        for (name, lines) in files {
            let path = directory.join(name);
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            private(&path, &text)
                .map_err(|error| Failed(1, format!("{}: {error}", path.display())))?;
        }
        Ok(format!("written: {0}/ikev2_decryption_table and {0}/esp_sa", directory.display()))
    }
}

/// Writes a file that its owner alone may read.
fn private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::remove_file(path);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file?.write_all(text.as_bytes())
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
            "connections": config.negotiated.len(), "children": config.standing().count(),
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
            let negotiated = match config.negotiated.len() {
                0 => String::new(),
                many => format!(", {many} negotiated connections"),
            };
            lines.push(format!(
                "{name}: ok, {tunnels} tunnels{negotiated}, {policies} policy entries{warned}"
            ));
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
