//! One end: the engine of the product, and whatever a driver would do for it, done at once in this thread. Jobs of the
//! pool are run where they are asked for, and counted; installations always succeed.
use super::cpu;
use ike::action::{Action, Direction, Endpoint, Half, Order, Spis, Ticket};
use ike::event::{Cause, Event};
use ike::job::Job;
use ike::settings::Settings;
use ike::{Engine, Random};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01T00:00:00Z: a time at which the bench's certificates are valid.
pub const UNIX_NOW: u64 = 1_767_225_600;

/// A datagram and its way as the sender sees it.
pub type Sent = (Endpoint, Vec<u8>);

/// The same way, as the receiver sees it.
pub fn turned(path: Endpoint) -> Endpoint {
    Endpoint { local: path.remote, remote: path.local }
}

/// The kernel's randomness, asked for as the product asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Random for Kernel {
    fn fill(&mut self, out: &mut [u8]) {
        while getrandom::fill(out).is_err() {
            std::thread::yield_now();
        }
    }
}

/// SPIs in order.
struct Counting(u32);

impl Spis for Counting {
    fn reserve(&mut self) -> Option<u32> {
        self.0 = self.0.checked_add(1)?;
        Some(self.0)
    }
    fn release(&mut self, _: u32) {}
}

/// An engine of the product.
pub fn engine() -> Engine {
    Engine::new(Box::new(Kernel), Box::new(Counting(0x1000)))
}

/// What an end did so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// IKE SAs that became established.
    pub ike_up: usize,
    /// Child SAs that came up, and those of them that replaced one.
    pub child_up: (usize, usize),
    /// SAs that are gone, by cause and connection.
    pub down: BTreeMap<(String, Arc<str>), usize>,
    /// Failures.
    pub failed: usize,
    /// The last of them.
    pub why: Option<String>,
}

impl Tally {
    /// Counts an event.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::IkeUp { .. } => self.ike_up += 1,
            Event::ChildUp { replaces, .. } => {
                self.child_up.0 += 1;
                self.child_up.1 += usize::from(replaces.is_some());
            }
            Event::IkeDown { ike, cause } => self.down(*cause, &ike.connection),
            Event::ChildDown { child, cause } => self.down(*cause, &child.connection),
            Event::Failed(why) => {
                self.failed += 1;
                self.why = Some(why.to_string());
            }
            Event::IkeRekeyed { .. } | Event::Moved { .. } => {}
        }
    }
    fn down(&mut self, cause: Cause, connection: &Arc<str>) {
        *self.down.entry((cause.to_string(), Arc::clone(connection))).or_default() += 1;
    }
}

/// Jobs of the pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jobs {
    /// How many.
    pub count: u64,
    /// Processor time in them.
    pub spent: Duration,
}

/// One end.
pub struct Party {
    /// The core.
    pub engine: Engine,
    /// What waits for the wire.
    pub sent: Vec<Sent>,
    /// What happened.
    pub tally: Tally,
    /// What the pool would have done.
    pub jobs: Jobs,
    /// What the wall clock says, against which certificates are held.
    pub unix_now: u64,
    /// The last halves that were installed, as far as somebody wants to see them.
    pub halves: Option<Vec<Half>>,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Party {
    /// With this configuration, at time 0.
    pub fn new(settings: &Arc<Settings>) -> Self {
        let mut party = Self {
            engine: engine(),
            sent: Vec::new(),
            tally: Tally::default(),
            jobs: Jobs::default(),
            unix_now: UNIX_NOW,
            halves: None,
        };
        party.order(0, Order::Configure(Arc::clone(settings)));
        party
    }

    /// Tells the core something, and does what it wants.
    pub fn order(&mut self, now: u64, order: Order) {
        let mut out = Vec::new();
        self.engine.order(order, now, &mut out);
        self.carry_out(now, out);
    }

    /// Gives the core what came from the wire.
    pub fn hear(&mut self, now: u64, datagrams: &[Sent]) {
        for (path, datagram) in datagrams {
            let mut out = Vec::new();
            self.engine.handle(now, turned(*path), datagram, &mut out);
            self.carry_out(now, out);
        }
    }

    /// Brings these connections up.
    pub fn call(&mut self, now: u64, connections: &[Arc<str>]) {
        for connection in connections {
            self.order(now, Order::Up { connection: Arc::clone(connection), child: None });
        }
    }

    /// Time went by.
    pub fn tick(&mut self, now: u64) {
        let mut out = Vec::new();
        self.engine.tick(now, &mut out);
        self.carry_out(now, out);
    }

    fn carry_out(&mut self, now: u64, mut actions: Vec<Action>) {
        while !actions.is_empty() {
            let mut next = Vec::new();
            for action in actions {
                match action {
                    Action::Send { path, datagram } => self.sent.push((path, datagram)),
                    Action::Work { ticket, job } => self.work(now, ticket, job, &mut next),
                    Action::Install { ticket, half } => {
                        self.keep(*half);
                        self.engine.order(Order::Installed { ticket }, now, &mut next);
                    }
                    Action::Event(event) => self.tally.count(&event),
                    Action::Remove { .. } | Action::Move { .. } | Action::Trap { .. } => {}
                }
            }
            actions = next;
        }
    }

    fn work(&mut self, now: u64, ticket: Ticket, job: Job, out: &mut Vec<Action>) {
        let clock = self.unix_now;
        let (spent, done) = cpu::spent(|| job.run(&mut Kernel, clock));
        self.jobs.count += 1;
        self.jobs.spent += spent;
        self.engine.order(Order::WorkDone { ticket, done }, now, out);
    }

    fn keep(&mut self, half: Half) {
        if let Some(halves) = &mut self.halves
            && half.direction == Direction::Inbound
        {
            halves.push(half);
        }
    }
}

/// Carries datagrams to and fro until nobody has anything to say. Processor time of each end: the caller's, and that of the
/// one who is called.
pub fn converse(now: u64, caller: &mut Party, called: &mut Party) -> (Duration, Duration) {
    let mut spent = (Duration::ZERO, Duration::ZERO);
    while !caller.sent.is_empty() || !called.sent.is_empty() {
        let request = std::mem::take(&mut caller.sent);
        spent.1 += cpu::spent(|| called.hear(now, &request)).0;
        let answer = std::mem::take(&mut called.sent);
        spent.0 += cpu::spent(|| caller.hear(now, &answer)).0;
    }
    spent
}
