//! The thread that holds the link to the data plane: attaches and attaches again, keeps the region for a data plane
//! that restarts, brings what runs in line with what is configured, and listens to events.
use crate::apply::{ApplyError, Attempt, Fault, Link};
use crate::config::{self, Config};
use crate::epochs::Epochs;
use crate::events::Log;
use crate::plan::{self, Running, StepView};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use sadb::{Region, Side};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// How often control says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// Waits between attempts to attach.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Where things are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `dataplane.sock` and `control.sock` are here.
    pub run_dir: PathBuf,
    /// `postern.yaml`.
    pub config: PathBuf,
    /// `iv-epochs` is here.
    pub state: PathBuf,
}

/// Where a configuration comes from.
#[derive(Debug)]
pub enum Source {
    /// The file that control was started with.
    File,
    /// This text.
    Text(Zeroizing<String>),
}

/// What an attempt to apply did, or would do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Of this JSON.
    pub version: u32,
    /// Whether it was done; false after a dry run or a diff.
    pub applied: bool,
    /// SAs that stay as they are.
    pub unchanged: usize,
    /// In the order in which they are done.
    pub steps: Vec<StepView>,
    /// Why postern-dataplane must restart first; usually empty.
    pub restart: Vec<String>,
    /// What is allowed and still not good, such as legacy algorithms.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How the link stands, for status.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LinkState {
    /// Whether a data plane is attached.
    pub attached: bool,
    /// Why not, or what went wrong last.
    pub problem: Option<String>,
    /// What is configured and waits for a restart of the data plane.
    pub restart: Vec<String>,
}

/// What the API may look at while the driver works.
#[derive(Debug, Default)]
pub struct Shared {
    region: Mutex<Option<Region>>,
    link: Mutex<LinkState>,
    /// Events, newest last.
    pub log: Mutex<Log>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The region, also while the data plane is away.
    pub fn region(&self) -> Option<Region> {
        locked(&self.region).clone()
    }
    /// How the link stands.
    pub fn link(&self) -> LinkState {
        locked(&self.link).clone()
    }
}

fn log_warnings(warnings: &[String]) {
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

enum Command {
    Apply { source: Source, dry_run: bool, reply: oneshot::Sender<Result<Outcome, ApplyError>> },
    Stop,
}

/// To talk to the driver's thread.
#[derive(Clone, Debug)]
pub struct Driver {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    /// What may be looked at without asking.
    pub shared: Arc<Shared>,
}

impl Driver {
    /// Starts the thread with what the configuration file says now. A file that is wrong is logged, and waited out.
    ///
    /// # Errors
    /// When the kernel gives no eventfd or thread.
    pub fn start(paths: Paths) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, inbox) = channel();
        let shared = Arc::new(Shared::default());
        let driver = Self { commands, wake: Arc::clone(&wake), shared: Arc::clone(&shared) };
        let epochs = Epochs::new(&paths.state);
        let now = Instant::now();
        let mut room = Room {
            paths,
            inbox,
            wake,
            shared,
            epochs,
            link: None,
            current: None,
            pending: None,
            next_try: now,
            backoff: BACKOFF.0,
            next_beat: now,
        };
        let thread =
            std::thread::Builder::new().name("driver".to_owned()).spawn(move || room.run())?;
        Ok((driver, thread))
    }

    /// Applies a configuration, or says what that would do.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn apply(&self, source: Source, dry_run: bool) -> Result<Outcome, ApplyError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Apply { source, dry_run, reply });
        let stopped = |_| Err(ApplyError::Link("postern-control is stopping".to_owned()));
        answer.await.unwrap_or_else(stopped)
    }

    /// Ends the thread. The data plane goes on by itself.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        }
    }
}

struct Room {
    paths: Paths,
    inbox: Receiver<Command>,
    wake: Arc<OwnedFd>,
    shared: Arc<Shared>,
    epochs: Epochs,
    link: Option<Link>,
    /// What runs, as it was last applied. The keys of running SAs are known from it.
    current: Option<Config>,
    /// What should run as soon as the data plane takes it: read at the start, or refused because of a restart.
    pending: Option<Config>,
    next_try: Instant,
    backoff: Duration,
    next_beat: Instant,
}

impl Room {
    fn run(&mut self) {
        match config::load(&self.paths.config) {
            Ok(config) => {
                log_warnings(&config.warned(&self.paths.config.display().to_string()));
                self.pending = Some(config);
            }
            Err(faulty) => {
                tracing::error!("{faulty}");
                self.state(|state| state.problem = Some(faulty.to_string()));
            }
        }
        loop {
            self.attach();
            self.beat();
            self.wait();
            self.hear();
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Stop => return,
                    Command::Apply { source, dry_run, reply } => {
                        let _ = reply.send(self.apply(source, dry_run));
                    }
                }
            }
        }
    }

    fn state(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut locked(&self.shared.link));
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + BEAT;
        if let Some(link) = &self.link {
            link.region.heartbeat(Side::Control);
        }
    }

    /// Until a command, the doorbell, the next beat or the next attempt to attach.
    fn wait(&self) {
        let mut until = self.next_beat;
        if self.link.is_none() {
            until = until.min(self.next_try);
        }
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        if let Some(link) = &self.link {
            fds.push(PollFd::from_borrowed_fd(link.doorbell().as_fd(), PollFlags::IN));
        }
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
    }

    fn hear(&mut self) {
        let Some(link) = &mut self.link else { return };
        let log = &self.shared.log;
        if let Err(fault) = link.hear(|event| locked(log).note(&event)) {
            self.lost(fault);
        }
    }

    fn lost(&mut self, fault: Fault) {
        let why = match fault {
            Fault::Lost(why) => why,
            Fault::Refused(refusal) => crate::apply::explain(refusal).to_owned(),
        };
        tracing::warn!("the data plane is gone ({why}); its region is kept for when it is back");
        self.link = None;
        self.backoff = BACKOFF.0;
        self.next_try = Instant::now() + self.backoff;
        self.state(|state| (state.attached, state.problem) = (false, Some(why)));
    }

    fn attach(&mut self) {
        if self.link.is_some() || Instant::now() < self.next_try {
            return;
        }
        match self.try_attach() {
            Ok(link) => {
                tracing::info!("attached to the data plane");
                self.backoff = BACKOFF.0;
                link.region.heartbeat(Side::Control);
                self.link = Some(link);
                self.state(|state| (state.attached, state.problem) = (true, None));
                self.reconcile();
            }
            Err(why) => {
                let mut state = locked(&self.shared.link);
                if state.problem.as_ref() != Some(&why) {
                    tracing::warn!("cannot attach to the data plane: {why}; trying again");
                    state.problem = Some(why);
                }
                self.backoff = (self.backoff * 2).min(BACKOFF.1);
                self.next_try = Instant::now() + self.backoff;
            }
        }
    }

    /// The data plane's region if it has one, else the one we kept, else a new one. One that was made for another setup is
    /// not offered again: a data plane that starts anew takes up the new setup.
    fn try_attach(&mut self) -> Result<Link, String> {
        let setup =
            self.pending.as_ref().or(self.current.as_ref()).map(|config| config.setup.clone());
        let kept = self.shared.region();
        let fits = |region: &Region| match (&setup, region.setup()) {
            (Some(new), Ok(old)) => plan::restart_reasons(new, &old).is_empty(),
            (None, old) => old.is_ok(),
            (Some(_), Err(_)) => false,
        };
        let socket = self.paths.run_dir.join("dataplane.sock");
        let nothing = sadb::RegionError::Unsuitable("not to be made without a configuration");
        let make = || setup.as_ref().map_or(Err(nothing), Region::create);
        let (region, doorbell) = sadb::link::connect_control(&socket, kept.filter(fits), make)
            .map_err(|error| error.to_string())?;
        let link =
            Link::new(region.clone(), doorbell).ok_or("control's end of the rings is taken")?;
        Ok(link)
    }

    /// After attaching: what is configured against what runs. Also where a restarted control finds its SAs again.
    fn reconcile(&mut self) {
        let before =
            self.shared.region().map(|region| region.sas().collect::<Vec<_>>()).unwrap_or_default();
        *locked(&self.shared.region) = self.link.as_ref().map(|link| link.region.clone());
        let pending = self.pending.is_some();
        let Some(config) = self.pending.take().or_else(|| self.current.take()) else { return };
        match self.carry_out(&config, &before, false) {
            Ok(outcome) => {
                tracing::info!(
                    "{} SAs found as configured, {} steps done",
                    outcome.unchanged,
                    outcome.steps.len()
                );
                self.current = Some(config);
                self.state(|state| state.restart.clear());
            }
            Err(error) => {
                tracing::error!("the configuration could not be applied: {error}");
                self.failed(&error);
                *(if pending { &mut self.pending } else { &mut self.current }) = Some(config);
            }
        }
    }

    fn failed(&mut self, error: &ApplyError) {
        match error {
            ApplyError::Restart(reasons) => self.state(|state| state.restart = reasons.clone()),
            ApplyError::Link(why) => self.lost(Fault::Lost(why.clone())),
            other => self.state(|state| state.problem = Some(other.to_string())),
        }
    }

    fn apply(&mut self, source: Source, dry_run: bool) -> Result<Outcome, ApplyError> {
        let base = self.paths.config.parent().unwrap_or(std::path::Path::new(""));
        let (name, config) = match source {
            Source::File => {
                (self.paths.config.display().to_string(), config::load(&self.paths.config))
            }
            Source::Text(text) => ("(request)".to_owned(), config::parse(&text, "(request)", base)),
        };
        let config = config.map_err(ApplyError::Faulty)?;
        let warnings = config.warned(&name);
        let result = self.carry_out(&config, &[], dry_run);
        let result = result.map(|done| Outcome { warnings: warnings.clone(), ..done });
        if dry_run {
            return result;
        }
        log_warnings(&warnings);
        match &result {
            Ok(outcome) => {
                tracing::info!(
                    "applied: {} steps, {} SAs unchanged",
                    outcome.steps.len(),
                    outcome.unchanged
                );
                (self.current, self.pending) = (Some(config), None);
                self.state(|state| {
                    state.problem = None;
                    state.restart.clear();
                });
            }
            Err(error) => {
                tracing::error!("not applied: {error}");
                if let ApplyError::Restart(_) = error {
                    self.pending = Some(config);
                }
                self.failed(error);
            }
        }
        result
    }

    fn carry_out(
        &mut self,
        config: &Config,
        before: &[sadb::SaStatus],
        dry_run: bool,
    ) -> Result<Outcome, ApplyError> {
        let Some(link) = &mut self.link else {
            let why = locked(&self.shared.link).problem.clone();
            return Err(ApplyError::Away(why.unwrap_or_else(|| "not yet".to_owned())));
        };
        let running = Running::of(&link.region)?;
        let plan = plan::plan(config, &running, before)?;
        let mut outcome = Outcome {
            version: crate::view::VERSION,
            applied: false,
            unchanged: plan.unchanged,
            steps: plan.steps.iter().map(plan::Step::view).collect(),
            restart: plan.restart.clone(),
            warnings: Vec::new(),
        };
        if dry_run {
            return Ok(outcome);
        }
        if !plan.restart.is_empty() {
            return Err(ApplyError::Restart(plan.restart));
        }
        let log = &self.shared.log;
        let heard = &mut |event| locked(log).note(&event);
        let current = self.current.as_ref();
        Attempt { link, epochs: &self.epochs, current, heard }.carry_out(plan)?;
        outcome.applied = true;
        Ok(outcome)
    }
}
