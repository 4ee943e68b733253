//! Two endpoints and all that is between them, in memory, with a clock of their own: here a test owns the universe.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]

pub mod configured;
pub mod player;

use ike::Engine;
use ike::Random;
use ike::action::{Action, Direction, Endpoint, Half, Lineage, Order, Spis, Ticket};
use ike::event::{Cause, Event};
use ike::job::{Done, Job};
use ike::settings::Settings;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use wire::iana::ike::ExchangeType;
use wire::ike::Header;

/// One way through the network, in milliseconds.
pub const LATENCY: u64 = 10;
/// How long a job takes.
pub const WORK: u64 = 2;
/// How long an installation takes.
pub const INSTALL: u64 = 1;
/// How often each end sends a packet through its tunnel, once `traffic` is on.
pub const PROBE: u64 = 3;

/// Splitmix64: seeds, not secrets. Nonces can be given their first octet, so that a test decides who wins.
#[derive(Clone)]
pub struct Seeded {
    state: u64,
    pub nonces: Arc<Mutex<VecDeque<u8>>>,
}
impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, nonces: Arc::default() }
    }
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let octets = self.next().to_be_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
        if out.len() == 32
            && let Some(first) = self.nonces.lock().unwrap().pop_front()
        {
            out[0] = first;
        }
    }
}

/// SPIs in order, never twice; and which are out, so that leaks show.
#[derive(Default)]
pub struct Ledger {
    last: u32,
    pub out: BTreeSet<u32>,
    pub full: bool,
}
#[derive(Clone, Default)]
pub struct Allocator(pub Arc<Mutex<Ledger>>);
impl Spis for Allocator {
    fn reserve(&mut self) -> Option<u32> {
        let mut ledger = self.0.lock().unwrap();
        if ledger.full {
            return None;
        }
        ledger.last += 1;
        let spi = 0x1000_0000 + ledger.last;
        ledger.out.insert(spi);
        Some(spi)
    }
    fn release(&mut self, spi: u32) {
        assert!(self.0.lock().unwrap().out.remove(&spi), "{spi:#x} was given back twice");
    }
}

/// An endpoint: its engine, and what a driver and a data plane would hold.
pub struct End {
    pub engine: Engine,
    pub address: IpAddr,
    pub random: Seeded,
    pub spis: Allocator,
    /// Inbound halves by SPI.
    pub inbound: BTreeMap<u32, Half>,
    /// Outbound halves in the order of their installation: the last one of a child sends.
    pub outbound: Vec<Half>,
    pub events: Vec<(u64, Event)>,
    pub armed: BTreeSet<String>,
    /// Installations left until one is refused.
    pub refuse_after: Option<u32>,
    /// Nothing is heard, nothing is sent.
    pub dead: bool,
    /// Jobs are not run.
    pub pool_full: bool,
    pub jobs: usize,
}

/// What happens to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    Lost,
    /// It arrives twice.
    Doubled,
    /// It arrives so many milliseconds later than others.
    Late(u64),
    /// One of its octets is changed.
    Corrupt(usize),
}

/// A datagram that an end sends, for a test to judge.
pub struct Sent<'a> {
    pub from: usize,
    pub at: u64,
    /// Without the non-ESP marker; empty for a keepalive.
    pub octets: &'a [u8],
    pub header: Option<Header>,
    /// Counts the datagrams of this end, from zero.
    pub number: usize,
    pub path: Endpoint,
}
impl Sent<'_> {
    pub fn is(&self, exchange: ExchangeType, response: bool) -> bool {
        self.header.is_some_and(|h| h.exchange == exchange && h.flags.response == response)
    }
}

enum Due {
    Datagram { to: usize, path: Endpoint, octets: Vec<u8> },
    Done { end: usize, ticket: Ticket, done: Done },
    Install { end: usize, ticket: Ticket, half: Box<Half> },
    Remove { end: usize, direction: Direction, spi: u32, lineage: Lineage },
    Probe { to: usize, spi: u32, half: Box<Half> },
    Send { end: usize },
}

type Judge = Box<dyn FnMut(&Sent<'_>) -> Fate>;
type Translate = Box<dyn FnMut(usize, Endpoint) -> Endpoint>;

pub struct World {
    pub now: u64,
    pub ends: [End; 2],
    due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    judge: Judge,
    /// What the receiving end sees of a path: `(sender, path as the sender has it)`.
    translate: Translate,
    sent: [usize; 2],
    /// Every message, for tests that look at them: sender, time, header, length.
    pub log: Vec<(usize, u64, Option<Header>, usize)>,
    pub traffic: bool,
    pub probes: u64,
    /// Packets that the other end could not open.
    pub lost: Vec<(u64, usize, u32)>,
    pub raw: Vec<(usize, Endpoint, Vec<u8>)>,
}

pub const A: usize = 0;
pub const B: usize = 1;

fn end(seed: u64, address: &str) -> End {
    let (random, spis) = (Seeded::new(seed), Allocator::default());
    let address: IpAddr = address.parse().unwrap();
    spis.0.lock().unwrap().last = u32::from(address == IpAddr::from([192, 0, 2, 2])) << 16;
    End {
        engine: Engine::new(Box::new(random.clone()), Box::new(spis.clone())),
        address,
        random,
        spis,
        inbound: BTreeMap::new(),
        outbound: Vec::new(),
        events: Vec::new(),
        armed: BTreeSet::new(),
        refuse_after: None,
        dead: false,
        pool_full: false,
        jobs: 0,
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let swap = |_: usize, path: Endpoint| Endpoint { local: path.remote, remote: path.local };
        Self {
            now: 1_000,
            ends: [end(seed, "192.0.2.1"), end(seed ^ 0x5555, "192.0.2.2")],
            due: BTreeMap::new(),
            sequence: 0,
            judge: Box::new(|_| Fate::Arrives),
            translate: Box::new(swap),
            sent: [0; 2],
            log: Vec::new(),
            traffic: false,
            probes: 0,
            lost: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Both ends with these.
    pub fn with(seed: u64, a: Settings, b: Settings) -> Self {
        let mut world = Self::new(seed);
        // The side that answers is there first.
        world.order(B, Order::Configure(Arc::new(b)));
        world.order(A, Order::Configure(Arc::new(a)));
        world
    }

    /// An end loses all that it had, and begins anew: what it had asked for is done for nobody.
    pub fn restart(&mut self, of: usize, seed: u64, settings: Settings) {
        let address = self.ends[of].address.to_string();
        self.ends[of] = end(seed, &address);
        self.ends[of].spis.0.lock().unwrap().last |=
            0x4000_0000 | u32::try_from(seed).unwrap() << 20;
        self.due.retain(|_, due| match due {
            Due::Done { end, .. } | Due::Install { end, .. } | Due::Remove { end, .. } => {
                *end != of
            }
            _ => true,
        });
        self.order(of, Order::Configure(Arc::new(settings)));
    }

    pub fn judge(&mut self, judge: impl FnMut(&Sent<'_>) -> Fate + 'static) {
        self.judge = Box::new(judge);
    }
    pub fn no_faults(&mut self) {
        self.judge(|_| Fate::Arrives);
    }
    pub fn translate(&mut self, translate: impl FnMut(usize, Endpoint) -> Endpoint + 'static) {
        self.translate = Box::new(translate);
    }

    /// The first octets of the nonces that an end makes next.
    pub fn nonces(&mut self, end: usize, first: &[u8]) {
        self.ends[end].random.nonces.lock().unwrap().extend(first);
    }

    pub fn order(&mut self, end: usize, order: Order) {
        let mut out = Vec::new();
        self.ends[end].engine.order(order, self.now, &mut out);
        self.carry_out(end, out);
    }

    /// A datagram that nobody in this world sent.
    pub fn inject(&mut self, to: usize, path: Endpoint, octets: &[u8]) {
        let mut out = Vec::new();
        self.ends[to].engine.handle(self.now, path, octets, &mut out);
        self.carry_out(to, out);
    }

    fn later(&mut self, after: u64, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), due);
    }

    fn carry_out(&mut self, end: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { path, datagram } => self.send(end, path, datagram),
                Action::Work { ticket, job } => self.work(end, ticket, job),
                Action::Install { ticket, half } => {
                    self.later(INSTALL, Due::Install { end, ticket, half });
                }
                // In order with installations: requests to the data plane do not overtake each other.
                Action::Remove { direction, spi, lineage } => {
                    self.later(INSTALL, Due::Remove { end, direction, spi, lineage });
                }
                Action::Move { direction, spi, path, .. } => {
                    self.relocate(end, direction, spi, path)
                }
                Action::Trap { child, armed, .. } => {
                    if armed {
                        self.ends[end].armed.insert(child.to_string());
                    } else {
                        self.ends[end].armed.remove(&*child);
                    }
                }
                Action::Event(event) => {
                    let _ = format!("{event:?}");
                    if let Event::Failed(why) = &event {
                        assert!(!why.to_string().is_empty());
                    }
                    self.ends[end].events.push((self.now, event));
                }
            }
        }
    }

    fn send(&mut self, from: usize, path: Endpoint, datagram: Vec<u8>) {
        self.raw.push((from, path, datagram.clone()));
        let marked = path.local.port() == 4500;
        let octets = if marked { datagram.get(4..).unwrap_or(&[]) } else { &datagram[..] };
        let header = Header::parse(octets).ok().map(|(header, _)| header);
        let number = self.sent[from];
        self.sent[from] += 1;
        self.log.push((from, self.now, header, octets.len()));
        let fate = (self.judge)(&Sent { from, at: self.now, octets, header, number, path });
        let to = 1 - from;
        if self.ends[from].dead {
            return;
        }
        let path = (self.translate)(from, path);
        let arrives = |octets| Due::Datagram { to, path, octets };
        match fate {
            Fate::Lost => {}
            Fate::Arrives => self.later(LATENCY, arrives(datagram)),
            Fate::Doubled => {
                self.later(LATENCY, arrives(datagram.clone()));
                self.later(LATENCY + 1, arrives(datagram));
            }
            Fate::Late(by) => self.later(LATENCY + by, arrives(datagram)),
            Fate::Corrupt(at) => {
                let mut octets = datagram;
                let at = at % octets.len();
                octets[at] ^= 0x40;
                self.later(LATENCY, arrives(octets));
            }
        }
    }

    fn work(&mut self, end: usize, ticket: Ticket, job: Job) {
        self.ends[end].jobs += 1;
        let done = match self.ends[end].pool_full {
            true => Done::Dropped,
            false => job.run(&mut Seeded::new(self.sequence ^ 0xabcd), 1_800_000_000),
        };
        self.later(WORK, Due::Done { end, ticket, done });
    }

    fn remove(&mut self, end: usize, direction: Direction, spi: u32, lineage: Lineage) {
        let end = &mut self.ends[end];
        match direction {
            Direction::Inbound => _ = end.inbound.remove(&spi),
            Direction::Outbound => {
                end.outbound.retain(|half| half.spi != spi || half.lineage != lineage);
            }
        }
    }

    fn relocate(&mut self, end: usize, direction: Direction, spi: u32, path: Endpoint) {
        let end = &mut self.ends[end];
        let halves: Vec<&mut Half> = match direction {
            Direction::Inbound => end.inbound.get_mut(&spi).into_iter().collect(),
            Direction::Outbound => end.outbound.iter_mut().filter(|half| half.spi == spi).collect(),
        };
        halves.into_iter().for_each(|half| half.path = path);
    }

    fn install(&mut self, end: usize, ticket: Ticket, half: Half) {
        let refused = match &mut self.ends[end].refuse_after {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if refused {
            self.ends[end].refuse_after = None;
            return self.order(end, Order::Refused { ticket, why: "no room".to_owned() });
        }
        match half.direction {
            Direction::Inbound => {
                let old = self.ends[end].inbound.insert(half.spi, half);
                assert!(old.is_none(), "an SPI was installed twice");
            }
            Direction::Outbound => self.ends[end].outbound.push(half),
        }
        self.order(end, Order::Installed { ticket });
    }

    /// The next thing that happens. `false`: nothing will, before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let timers =
            (0..2).filter_map(|end| Some((self.ends[end].engine.next_deadline()?, end))).min();
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        let timer_first = match (timers, due) {
            (Some((at, _)), Some(due)) => at < due,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return false,
        };
        if timer_first {
            let (at, end) = timers.unwrap();
            if at > until {
                return false;
            }
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.ends[end].engine.tick(self.now, &mut out);
            let next = self.ends[end].engine.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that does not move on");
            self.carry_out(end, out);
            return true;
        }
        if due.unwrap() > until {
            return false;
        }
        let ((at, _), due) = self.due.pop_first().unwrap();
        self.now = self.now.max(at);
        self.happen(due);
        true
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Datagram { to, .. } if self.ends[to].dead => {}
            Due::Datagram { to, path, octets } => self.inject(to, path, &octets),
            Due::Done { end, ticket, done } => self.order(end, Order::WorkDone { ticket, done }),
            Due::Install { end, ticket, half } => self.install(end, ticket, *half),
            Due::Remove { end, direction, spi, lineage } => {
                self.remove(end, direction, spi, lineage)
            }
            Due::Probe { to, spi, half } => self.probe(to, spi, &half),
            Due::Send { end } => self.send_probe(end),
        }
    }

    /// Packets flow in both directions from now on.
    pub fn start_traffic(&mut self) {
        self.traffic = true;
        for end in 0..2 {
            self.later(PROBE, Due::Send { end });
        }
    }

    fn send_probe(&mut self, end: usize) {
        if !self.traffic {
            return;
        }
        self.later(PROBE, Due::Send { end });
        self.probes += 1;
        match self.ends[end].outbound.last().cloned() {
            Some(half) => {
                let (to, spi) = (1 - end, half.spi);
                self.later(LATENCY, Due::Probe { to, spi, half: Box::new(half) });
            }
            None => self.lost.push((self.now, end, 0)),
        }
    }

    fn probe(&mut self, to: usize, spi: u32, sent: &Half) {
        match self.ends[to].inbound.get(&spi) {
            Some(half) if half.keys == sent.keys && half.suite == sent.suite => {}
            _ => self.lost.push((self.now, 1 - to, spi)),
        }
    }

    /// Until nothing happens any more, or for so many milliseconds.
    pub fn run(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 2_000_000, "the world does not come to rest");
        }
        self.now = until;
    }

    /// Until a condition holds; fails when it does not within so many milliseconds.
    pub fn until(&mut self, milliseconds: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = self.now + milliseconds;
        while !holds(self) {
            assert!(self.step(until), "{what} did not happen: {}", self.story());
        }
    }

    pub fn story(&self) -> String {
        let mut lines = Vec::new();
        for (end, name) in [(A, "A"), (B, "B")] {
            for (at, event) in &self.ends[end].events {
                lines.push((*at, format!("{at} {name} {event:?}")));
            }
        }
        for (from, at, header, length) in &self.log {
            let of = header.map(|h| {
                let kind = if h.flags.response { "response" } else { "request" };
                format!("{} {kind} {} {:x}", h.exchange, h.message_id, h.initiator_spi >> 48)
            });
            lines.push((*at, format!("{at} {} sends {of:?} of {length}", ["A", "B"][*from])));
        }
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| format!("\n  {line}")).collect()
    }

    /// Established IKE SAs that go on.
    pub fn ike_sas(&self, end: usize) -> usize {
        self.ends[end].engine.status().iter().filter(|ike| ike.state == "established").count()
    }

    /// Child SAs that live, over all IKE SAs.
    pub fn children(&self, end: usize) -> Vec<(String, u32, u32)> {
        let all = self.ends[end].engine.status();
        let children = all.iter().flat_map(|ike| &ike.children);
        let live =
            children.filter(|child| child.state == "installed" || child.state == "inbound only");
        live.map(|child| (child.name.to_string(), child.inbound, child.outbound)).collect()
    }

    /// Each end has these IKE and Child SAs and not one more; they mirror each other, down to the keys; and nothing is
    /// left over of others.
    #[track_caller]
    pub fn agrees(&self, ike_sas: usize, children: usize) {
        for end in [A, B] {
            assert_eq!(self.ike_sas(end), ike_sas, "IKE SAs of {end}: {}", self.story());
            let own = self.children(end);
            assert_eq!(own.len(), children, "children of {end}: {own:?} {}", self.story());
            let all = self.ends[end].engine.status();
            let total: usize = all.iter().map(|ike| ike.children.len()).sum();
            assert_eq!(total, children, "children that linger at {end}: {}", self.story());
            assert_eq!(
                self.ends[end].outbound.len(),
                children,
                "outbound halves of {end}: {}",
                self.story()
            );
            assert_eq!(
                self.ends[end].inbound.len(),
                children,
                "inbound halves of {end}: {}",
                self.story()
            );
            let out = self.ends[end].spis.0.lock().unwrap().out.clone();
            let installed: BTreeSet<u32> = self.ends[end].inbound.keys().copied().collect();
            assert_eq!(out, installed, "SPIs that are out at {end}: {}", self.story());
        }
        for from in [A, B] {
            for half in &self.ends[from].outbound {
                let other = self.ends[1 - from].inbound.get(&half.spi);
                let other = other
                    .unwrap_or_else(|| panic!("no mirror of {:#x}: {}", half.spi, self.story()));
                assert_eq!(other.keys, half.keys);
                assert_eq!((other.suite, other.udp), (half.suite, half.udp));
                assert_eq!(other.other_spi, self.ends[1 - from].inbound[&half.spi].other_spi);
            }
        }
    }

    #[track_caller]
    pub fn no_packet_was_lost(&self) {
        assert!(self.probes > 0);
        assert!(self.lost.is_empty(), "lost: {:?}{}", self.lost, self.story());
    }

    pub fn downs(&self, end: usize) -> Vec<Cause> {
        let of = |(_, event): &(u64, Event)| match event {
            Event::ChildDown { cause, .. } => Some(*cause),
            _ => None,
        };
        self.ends[end].events.iter().filter_map(of).collect()
    }

    pub fn path(&self, to: usize) -> Endpoint {
        let (local, remote) = (self.ends[to].address, self.ends[1 - to].address);
        Endpoint { local: SocketAddr::new(local, 500), remote: SocketAddr::new(remote, 500) }
    }
}
