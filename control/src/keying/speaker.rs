//! The core's thread: datagrams, time and orders go in; what comes out is sent, computed, installed and told.
use super::Kernel;
use super::halves::Errand;
use super::levels::{Level, Levels};
use super::pool::Pool;
use super::slots::Slots;
use super::sockets::{LARGEST, Sockets};
use crate::events::Tale;
use ike::Engine;
use ike::action::{Action, Endpoint, Order, Ticket};
use ike::event::Event;
use ike::job::{Done, Job};
use ike::settings::{Ports, Settings};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Datagrams taken from one socket before the others have their turn.
const BATCH: usize = 64;
/// Words taken before sockets have their turn.
const WORDS: usize = 1024;
/// Between attempts to bind sockets.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest sleep.
const REST: Duration = Duration::from_secs(5);

/// Somebody who wants to see the core.
pub type Look = Box<dyn FnOnce(&Engine, u64) + Send>;

/// What the thread is told.
pub enum Word {
    /// For the core.
    Order(Order),
    /// What is configured, and how the pool is to be.
    Configure {
        /// For the core.
        settings: Arc<Settings>,
        /// Threads of the pool.
        threads: Option<usize>,
        /// CPUs of packet workers.
        busy: Vec<u16>,
    },
    /// A look at the core. The number is its clock.
    Look(Look),
    /// How much is logged of a peer.
    Level(String, Level),
    /// The end.
    Stop,
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Configure { .. } => f.write_str("Configure"),
            Self::Look(_) => f.write_str("Look"),
            Self::Level(peer, level) => write!(f, "Level({peer}, {level})"),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// To talk to the thread.
#[derive(Clone, Debug)]
pub struct Speaker {
    inbox: Sender<Word>,
    wake: Arc<OwnedFd>,
}

/// Where what the core wants goes.
pub struct Outlets {
    /// To the data plane.
    pub errands: Box<dyn Fn(Vec<Errand>) + Send>,
    /// To whoever listens; the flag says whether to log it too.
    pub tell: Box<dyn Fn(Tale, bool) + Send>,
    /// What keeps IKE from being spoken; `None`: nothing any more.
    pub problem: Box<dyn Fn(Option<String>) + Send>,
}

impl std::fmt::Debug for Outlets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outlets")
    }
}

/// A thread that is to be started: its inbox has an address before it runs.
#[derive(Debug)]
pub struct Seat {
    words: Receiver<Word>,
    speaker: Speaker,
}

impl Seat {
    /// A seat for the thread.
    ///
    /// # Errors
    /// When the kernel gives no eventfd.
    pub fn new() -> std::io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (inbox, words) = channel();
        Ok(Self { words, speaker: Speaker { inbox, wake } })
    }
    /// To talk to it.
    pub fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }
    /// Starts the thread.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(
        self,
        slots: Slots,
        outlets: Outlets,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let engine = Engine::new(Box::new(Kernel), Box::new(slots));
        let mut room = Room {
            words: self.words,
            speaker: self.speaker,
            engine,
            outlets,
            began: Instant::now(),
            sockets: None,
            next_try: Instant::now(),
            wanted: None,
            pool: None,
            levels: Levels::default(),
            out: Vec::new(),
        };
        std::thread::Builder::new().name("ike".to_owned()).spawn(move || room.run())
    }
}

impl Speaker {
    /// Tells the thread something.
    pub fn say(&self, word: Word) {
        if self.inbox.send(word).is_ok() {
            let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        }
    }
    /// An order for the core.
    pub fn order(&self, order: Order) {
        self.say(Word::Order(order));
    }
    /// Looks at the core; `None` when its thread has ended.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine, u64) -> T + Send + 'static,
    ) -> Option<T> {
        let (send, receive) = oneshot::channel();
        self.say(Word::Look(Box::new(move |engine, now| {
            let _ = send.send(look(engine, now));
        })));
        receive.await.ok()
    }
}

struct Room {
    words: Receiver<Word>,
    speaker: Speaker,
    engine: Engine,
    outlets: Outlets,
    began: Instant,
    sockets: Option<Sockets>,
    next_try: Instant,
    /// Ports to bind, once something is configured.
    wanted: Option<Ports>,
    pool: Option<Pool>,
    levels: Levels,
    out: Vec<Action>,
}

impl Room {
    fn run(&mut self) {
        let mut buffer = vec![0; LARGEST];
        loop {
            self.bind();
            self.wait();
            for _ in 0..WORDS {
                match self.words.try_recv() {
                    Ok(Word::Stop) => return,
                    Ok(word) => self.take(word),
                    Err(_) => break,
                }
            }
            self.listen(&mut buffer);
            let now = self.now();
            self.engine.tick(now, &mut self.out);
            self.act();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Until somebody says something, a datagram comes, or the core has something to do.
    fn wait(&self) {
        let now = self.now();
        let mut rest = REST;
        if let Some(at) = self.engine.next_deadline() {
            rest = rest.min(Duration::from_millis(at.saturating_sub(now)));
        }
        if self.sockets.is_none() && self.wanted.is_some() {
            rest = rest.min(self.next_try.saturating_duration_since(Instant::now()));
        }
        let timeout =
            Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() };
        let mut fds = vec![PollFd::from_borrowed_fd(self.speaker.wake.as_fd(), PollFlags::IN)];
        if let Some(sockets) = &self.sockets {
            fds.extend(sockets.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
        let _ = rustix::io::read(&*self.speaker.wake, &mut [0; 8]);
    }

    fn bind(&mut self) {
        let Some(ports) = self.wanted.filter(|_| self.sockets.is_none()) else { return };
        if Instant::now() < self.next_try {
            return;
        }
        match Sockets::open(ports) {
            Ok(sockets) => {
                tracing::info!("IKE on UDP ports {} and {}", ports.ike, ports.natt);
                self.sockets = Some(sockets);
                (self.outlets.problem)(None);
            }
            Err(why) => {
                self.next_try = Instant::now() + AGAIN;
                (self.outlets.problem)(Some(why));
            }
        }
    }

    fn take(&mut self, word: Word) {
        let now = self.now();
        match word {
            Word::Order(order) => self.engine.order(order, now, &mut self.out),
            Word::Configure { settings, threads, busy } => self.configure(settings, threads, &busy),
            Word::Look(look) => look(&self.engine, now),
            Word::Level(peer, level) => self.levels.set(&peer, level),
            Word::Stop => {}
        }
    }

    /// Ports are taken only when there is somebody to talk to, so that another daemon can have them otherwise.
    fn configure(&mut self, settings: Arc<Settings>, threads: Option<usize>, busy: &[u16]) {
        let now = self.now();
        self.wanted = (!settings.connections.is_empty()).then_some(settings.ports);
        if self.wanted.is_some() && self.pool.is_none() {
            let speaker = self.speaker.clone();
            let done = move |ticket, done| speaker.order(Order::WorkDone { ticket, done });
            match Pool::start(threads, busy, done) {
                Ok(pool) => self.pool = Some(pool),
                Err(error) => tracing::error!("no threads for key exchange: {error}"),
            }
        }
        self.bind();
        self.engine.order(Order::Configure(settings), now, &mut self.out);
    }

    fn listen(&mut self, buffer: &mut [u8]) {
        let Some(sockets) = self.sockets.take() else { return };
        let now = self.now();
        sockets.receive(BATCH, buffer, |path, datagram| {
            self.trace("from", path, datagram);
            self.engine.handle(now, path, datagram, &mut self.out);
        });
        self.sockets = Some(sockets);
    }

    fn act(&mut self) {
        let mut errands = Vec::new();
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Send { path, datagram } => self.send(path, &datagram),
                Action::Work { ticket, job } => self.work(ticket, job),
                Action::Install { ticket, half } => errands.push(Errand::Install { ticket, half }),
                Action::Remove { direction, spi, lineage } => {
                    errands.push(Errand::Remove { direction, spi, lineage });
                }
                Action::Move { direction, spi, lineage, path } => {
                    errands.push(Errand::Move { direction, spi, lineage, path });
                }
                // Policy for every child stands whether it is up or not, and each packet that waits is told to the core,
                // which knows what it wants to hear of.
                Action::Trap { .. } => {}
                Action::Event(event) => self.tell(&event),
            }
        }
        if !errands.is_empty() {
            (self.outlets.errands)(errands);
        }
    }

    fn send(&mut self, path: Endpoint, datagram: &[u8]) {
        self.trace("to", path, datagram);
        if let Some(sockets) = &self.sockets
            && let Err(error) = sockets.send(path, datagram)
            && self.levels.allow(Level::Debug, None, Some(path.remote.ip()))
        {
            // It will be sent again; if nothing ever comes back, the core says that the peer does not answer.
            tracing::info!("{path}: cannot send: {error}");
        }
    }

    fn work(&self, ticket: Ticket, job: Job) {
        let full = match &self.pool {
            Some(pool) => pool.run(ticket, job).is_err(),
            None => true,
        };
        if full {
            self.speaker.order(Order::WorkDone { ticket, done: Done::Dropped });
        }
    }

    fn tell(&self, event: &Event) {
        let tale = Tale::of(event);
        let peer = tale.peer.as_deref().and_then(|peer| peer.parse().ok());
        let allowed = self.levels.allow(tale.level, tale.connection.as_deref(), peer);
        (self.outlets.tell)(tale, allowed);
    }

    /// One line for each message of a peer that somebody wants to see closely.
    fn trace(&self, word: &str, path: Endpoint, datagram: &[u8]) {
        let peer = path.remote.ip();
        if !self.levels.any(Level::Debug) {
            return;
        }
        let settings = self.connection_of(path);
        if self.levels.allow(Level::Debug, settings.as_deref(), Some(peer)) {
            let name = settings.unwrap_or_default();
            tracing::info!("{name} {word} {}: {}", path.remote, described(datagram));
        }
    }

    /// The connection of an established IKE SA with this peer.
    fn connection_of(&self, path: Endpoint) -> Option<String> {
        let status = self.engine.status();
        let of = status.iter().find(|sa| sa.path.remote.ip() == path.remote.ip());
        of.map(|sa| sa.connection.to_string())
    }
}

/// A message's header in words.
fn described(datagram: &[u8]) -> String {
    let message = datagram.strip_prefix(&[0; 4]).unwrap_or(datagram);
    let length = message.len();
    match wire::ike::Header::parse(message) {
        Ok((header, _)) => {
            let kind = if header.flags.response { "response" } else { "request" };
            let (exchange, id) = (header.exchange, header.message_id);
            format!("{exchange} {kind} {id}, {length} octets")
        }
        Err(_) => format!("{length} octets that are no IKE message"),
    }
}
