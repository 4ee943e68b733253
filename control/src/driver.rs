//! The thread that holds the link to the data plane: attaches and attaches again, keeps the region for a data plane
//! that restarts, brings what runs in line with what is configured, and listens to events.
use crate::apply::{ApplyError, Attempt, Fault, Link};
use crate::config::{self, Config};
use crate::epochs::Epochs;
use crate::events::Log;
use crate::keying::speaker::{Outlets, Seat};
use crate::keying::{Errand, Halves, Lineages, Speaker, Word, slots::Slots};
use crate::plan::{self, Running, StepView};
use ike::settings::Start;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use sadb::{Region, Side};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// What keeps IKE from being spoken.
    pub ike: Option<String>,
}

/// A negotiated connection's name, and its children with when they start.
pub type Known = (String, Vec<(String, Start)>);

/// What the API may look at while the driver works.
#[derive(Debug, Default)]
pub struct Shared {
    region: Mutex<Option<Region>>,
    link: Mutex<LinkState>,
    /// Events, newest last.
    pub log: Mutex<Log>,
    /// Tunnels that IKE made, with what they carried.
    pub lineages: Lineages,
    /// Whether `postern keys export` is allowed.
    pub key_export: AtomicBool,
    /// Names of connections that are negotiated, with their children and when those start.
    pub connections: Mutex<Vec<Known>>,
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
    Errands(Vec<Errand>),
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
    /// The thread that speaks IKE.
    pub speaker: Speaker,
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
        let (seat, slots) = (Seat::new()?, Slots::default());
        let speaker = seat.speaker();
        let driver =
            Self { commands, wake: Arc::clone(&wake), shared: Arc::clone(&shared), speaker };
        let halves = Halves::new(slots.clone(), shared.lineages.clone());
        let ike = seat.start(slots, driver.outlets())?;
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
            speaker: driver.speaker.clone(),
            halves,
            ike: Some(ike),
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

    /// Where what the core wants goes.
    fn outlets(&self) -> Outlets {
        let (errands, tell, problem) = (self.clone(), self.clone(), self.clone());
        Outlets {
            errands: Box::new(move |list| errands.send(Command::Errands(list))),
            tell: Box::new(move |tale, log| locked(&tell.shared.log).tell(tale, log)),
            problem: Box::new(move |why| {
                let mut state = locked(&problem.shared.link);
                if let Some(why) = why.as_ref().filter(|why| state.ike.as_ref() != Some(why)) {
                    tracing::error!("IKE cannot be spoken: {why}; trying again");
                }
                state.ike = why;
            }),
        }
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
    speaker: Speaker,
    /// What IKE has in the data plane.
    halves: Halves,
    /// Its thread, until it is joined.
    ike: Option<std::thread::JoinHandle<()>>,
    next_try: Instant,
    backoff: Duration,
    next_beat: Instant,
}

/// Events that came while something else was done.
#[derive(Default)]
struct Ears(Vec<sadb::Event>);

impl Ears {
    /// Notes each event for people, and keeps it for the core.
    fn listen<'a>(&'a mut self, log: &'a Mutex<Log>) -> impl FnMut(sadb::Event) + 'a {
        |event| {
            locked(log).note(&event);
            if let sadb::Event::Acquire { .. } | sadb::Event::Expire { .. } = event {
                self.0.push(event);
            }
        }
    }
}

impl Room {
    fn run(&mut self) {
        self.work();
        self.speaker.say(Word::Stop);
        if let Some(ike) = self.ike.take() {
            let _ = ike.join();
        }
    }

    fn work(&mut self) {
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
            let mut errands = Vec::new();
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Stop => return,
                    Command::Errands(more) => errands.extend(more),
                    Command::Apply { source, dry_run, reply } => {
                        self.carry(std::mem::take(&mut errands));
                        let _ = reply.send(self.apply(source, dry_run));
                    }
                }
            }
            self.carry(errands);
        }
    }

    /// What the core wants of the data plane. Many errands at once change the policy once.
    fn carry(&mut self, errands: Vec<Errand>) {
        if errands.is_empty() {
            return;
        }
        let mut ears = Ears::default();
        let (orders, lost) = {
            let mut heard = ears.listen(&self.shared.log);
            self.halves.carry(errands, self.link.as_mut(), &mut heard)
        };
        orders.into_iter().for_each(|order| self.speaker.order(order));
        self.tell_core(ears);
        if let Some(why) = lost {
            self.lost(Fault::Lost(why));
        }
    }

    fn tell_core(&self, ears: Ears) {
        let orders = ears.0.iter().filter_map(|event| self.halves.order_of(event));
        orders.for_each(|order| self.speaker.order(order));
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
        locked(&self.shared.log).settle();
        if let Some(link) = &self.link {
            link.region.heartbeat(Side::Control);
            let orders = self.halves.heard(&link.region);
            orders.into_iter().for_each(|order| self.speaker.order(order));
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
        let mut ears = Ears::default();
        let heard = link.hear(ears.listen(&self.shared.log));
        self.tell_core(ears);
        if let Err(fault) = heard {
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
        if let Some(link) = &self.link {
            // SAs that a new region does not have are no more; the core makes others.
            let lost = self.halves.missing(&link.region);
            lost.into_iter().for_each(|order| self.speaker.order(order));
        }
        let pending = self.pending.is_some();
        let Some(config) = self.pending.take().or_else(|| self.current.take()) else { return };
        match self.carry_out(&config, &before, false) {
            Ok(outcome) => {
                tracing::info!(
                    "{} SAs found as configured, {} steps done",
                    outcome.unchanged,
                    outcome.steps.len()
                );
                self.tell_configuration(&config);
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

    /// What the core does from now on. Connections that did not change are not touched by it.
    fn tell_configuration(&self, config: &Config) {
        let children = |one: &config::Negotiated| {
            let of = |child: &Arc<ike::settings::Child>| (child.name.to_string(), child.start);
            (one.settings.name.to_string(), one.settings.children.iter().map(of).collect())
        };
        *locked(&self.shared.connections) = config.negotiated.iter().map(children).collect();
        self.shared.key_export.store(config.ike.allow_key_export, Ordering::Relaxed);
        self.speaker.say(Word::Configure {
            settings: Arc::new(config.settings()),
            threads: config.ike.threads,
            busy: config.setup.cores.clone(),
        });
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
                self.tell_configuration(&config);
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
        let slots = running.setup.geometry.sa_slots;
        let beside = self.halves.beside(config, &link.region, slots);
        let mut plan = plan::plan(config, &running, before, &beside)?;
        let steps = plan.steps.iter().map(plan::Step::view);
        let connections = plan::connections(self.current.as_ref(), config);
        let mut outcome = Outcome {
            version: crate::view::VERSION,
            applied: false,
            unchanged: plan.unchanged + self.halves.staying(&connections),
            steps: steps.chain(connections).collect(),
            restart: plan.restart.clone(),
            warnings: Vec::new(),
        };
        if dry_run {
            return Ok(outcome);
        }
        if !plan.restart.is_empty() {
            return Err(ApplyError::Restart(plan.restart));
        }
        self.halves.leave(plan.steps.iter().filter_map(plan::Step::takes));
        let configured = std::mem::take(&mut plan.configured);
        let mut ears = Ears::default();
        let current = self.current.as_ref();
        let done = {
            let heard = &mut ears.listen(&self.shared.log);
            Attempt { link, epochs: &self.epochs, current, heard }.carry_out(plan)
        };
        let region = link.region.clone();
        self.halves.share(&region, slots);
        if done.is_ok() {
            self.halves.configured(config, configured);
        }
        self.tell_core(ears);
        done?;
        outcome.applied = true;
        Ok(outcome)
    }
}
