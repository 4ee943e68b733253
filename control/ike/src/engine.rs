//! All IKE SAs. The engine finds the one a datagram is for, keeps strangers within bounds, carries what one IKE SA causes
//! to the others, and sees to it that what shall be up is up.
mod bucket;
mod crossing;
mod directory;
mod door;
mod kin;
mod orders;
mod register;
mod status;
mod wanted;

pub(crate) use directory::Directory;
pub use door::Counters;
pub use status::{ChildStatus, IkeStatus, SessionKeys};

use crate::Random;
use crate::action::{Action, Direction, Endpoint, Lineage, Order, Spis};
use crate::cookie::Cookies;
use crate::env::{Effect, Env, Tickets};
use crate::fragment::Budget;
use crate::half_open::HalfOpen;
use crate::ike_sa::{Estate, IkeSa, State, Task};
use crate::settings::{Connection, Settings};
use crate::why::{Failures, Why};
use bucket::Bucket;
use crossing::Doom;
use register::Register;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use wanted::Wanted;

/// How long an inbound half goes on receiving after another took its place, in milliseconds.
const LINGER_MS: u64 = 5_000;

/// Connection and identity of a peer.
pub(crate) type PeerName = (Arc<str>, String);

/// All IKE SAs of this gateway.
pub struct Engine {
    settings: Arc<Settings>,
    /// Of the settings, by name.
    connections: BTreeMap<Arc<str>, Arc<Connection>>,
    /// Of the settings, by address.
    directory: Directory,
    random: Box<dyn Random + Send>,
    spis: Box<dyn Spis + Send>,
    /// By our SPI.
    sas: BTreeMap<u64, IkeSa>,
    register: Register,
    /// By the peer's SPI and address, while the peer may repeat IKE_SA_INIT.
    calls: BTreeMap<(u64, SocketAddr), u64>,
    /// When each IKE SA has something to do.
    timers: BTreeSet<(u64, u64)>,
    deadlines: BTreeMap<u64, u64>,
    tickets: Tickets,
    effects: Vec<Effect>,
    failures: Failures,
    peers: BTreeMap<PeerName, BTreeSet<u64>>,
    half_open: HalfOpen,
    cookies: Cookies,
    /// Answers to strangers for whom nothing is kept, and news about them.
    strangers: Bucket,
    counters: Counters,
    /// Shared by all IKE SAs.
    fragments: Budget,
    /// Inbound halves that were replaced, by the time at which they are removed.
    lingering: BTreeMap<(u64, u32), Lineage>,
    /// IKE SAs that another takes the place of, by the time at which they are deleted.
    doomed: BTreeMap<(u64, u64), Doom>,
    wanted: Wanted,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("ike_sas", &self.sas.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Without connections: [`Order::Configure`] brings them.
    pub fn new(random: Box<dyn Random + Send>, spis: Box<dyn Spis + Send>) -> Self {
        Self {
            settings: Arc::default(),
            connections: BTreeMap::new(),
            directory: Directory::default(),
            random,
            spis,
            sas: BTreeMap::new(),
            register: Register::default(),
            calls: BTreeMap::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            tickets: Tickets::default(),
            effects: Vec::new(),
            failures: Failures::default(),
            peers: BTreeMap::new(),
            half_open: HalfOpen::default(),
            cookies: Cookies::default(),
            strangers: Bucket::default(),
            counters: Counters::default(),
            fragments: Budget::new(crate::settings::Limits::default().reassembly),
            lingering: BTreeMap::new(),
            doomed: BTreeMap::new(),
            wanted: Wanted::default(),
        }
    }

    /// A datagram came. `now` is in milliseconds, of a clock that never goes back.
    pub fn handle(&mut self, now: u64, path: Endpoint, datagram: &[u8], out: &mut Vec<Action>) {
        self.receive(now, path, datagram, out);
        self.settle(now, out);
    }

    /// Time went by.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Action>) {
        while let Some(&(at, spi)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, spi));
            self.deadlines.remove(&spi);
            self.with(spi, now, out, IkeSa::on_tick);
        }
        self.stop_lingering(now, out);
        self.settle(now, out);
    }

    /// When [`Self::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = self.timers.first().map(|(at, _)| *at);
        let lingering = self.lingering.first_key_value().map(|((at, _), _)| *at);
        let doomed = self.doomed.first_key_value().map(|((at, _), _)| *at);
        [timers, lingering, doomed, self.wanted.deadline()].into_iter().flatten().min()
    }

    /// The driver has something to say.
    pub fn order(&mut self, order: Order, now: u64, out: &mut Vec<Action>) {
        self.obey(order, now, out);
        self.settle(now, out);
    }

    /// The last failure of a connection.
    pub fn why_connection(&self, name: &str) -> Option<&Why> {
        self.failures.of_connection(name)
    }
    /// The last failure with a peer at this address.
    pub fn why_address(&self, address: IpAddr) -> Option<&Why> {
        self.failures.of_address(address)
    }

    /// Lets one IKE SA take a step, and puts it back as what it has become.
    fn with(
        &mut self,
        spi: u64,
        now: u64,
        out: &mut Vec<Action>,
        step: impl FnOnce(IkeSa, &mut Env<'_>) -> Option<IkeSa>,
    ) {
        let Some(sa) = self.sas.remove(&spi) else { return };
        self.register.leave(&sa);
        let (was_half_open, source) = (sa.is_half_open(), sa.base.path.remote.ip());
        let call = (sa.base.peer_spi, sa.base.path.remote);
        let name = peer_name(&sa);
        let after = step(sa, &mut self.env(spi, now, out));
        let is_half_open = after.as_ref().is_some_and(IkeSa::is_half_open);
        if was_half_open && !is_half_open {
            self.half_open.leave(source);
            if self.calls.get(&call) == Some(&spi) {
                self.calls.remove(&call);
            }
        }
        match after {
            Some(sa) => self.put(sa),
            None => self.forget(spi, name),
        }
    }

    fn env<'a>(&'a mut self, owner: u64, now: u64, out: &'a mut Vec<Action>) -> Env<'a> {
        Env {
            now,
            random: &mut *self.random,
            spis: &mut *self.spis,
            settings: &self.settings,
            directory: &self.directory,
            out,
            effects: &mut self.effects,
            tickets: &mut self.tickets,
            failures: &mut self.failures,
            peers: &self.peers,
            fragments: &self.fragments,
            owner,
        }
    }

    /// Keeps an IKE SA, and its place in the order of time and under its peer's name.
    fn put(&mut self, sa: IkeSa) {
        let spi = sa.base.spi;
        self.unschedule(spi);
        if let Some(at) = sa.deadline(&self.settings) {
            self.timers.insert((at, spi));
            self.deadlines.insert(spi, at);
        }
        if let Some(name) = peer_name(&sa) {
            self.peers.entry(name).or_default().insert(spi);
        }
        self.register.enter(&sa);
        self.sas.insert(spi, sa);
    }

    fn unschedule(&mut self, spi: u64) {
        if let Some(at) = self.deadlines.remove(&spi) {
            self.timers.remove(&(at, spi));
        }
    }

    fn forget(&mut self, spi: u64, name: Option<PeerName>) {
        self.unschedule(spi);
        self.unname(spi, name);
    }

    fn unname(&mut self, spi: u64, name: Option<PeerName>) {
        let Some(name) = name else { return };
        if let Some(spis) = self.peers.get_mut(&name) {
            spis.remove(&spi);
            if spis.is_empty() {
                self.peers.remove(&name);
            }
        }
    }

    /// Carries on until nothing causes anything any more.
    fn settle(&mut self, now: u64, out: &mut Vec<Action>) {
        loop {
            let mut effects = VecDeque::from(std::mem::take(&mut self.effects));
            while let Some(effect) = effects.pop_front() {
                self.effect(effect, now, out);
                effects.extend(std::mem::take(&mut self.effects));
            }
            self.execute_doomed(now, out);
            self.pursue(now, out);
            if self.effects.is_empty() {
                return;
            }
        }
    }

    fn effect(&mut self, effect: Effect, now: u64, out: &mut Vec<Action>) {
        match effect {
            Effect::Born(sa) => self.put(*sa),
            Effect::Inherit { from, to, estate } => {
                self.inherit_doom(from, to);
                self.inherit(to, *estate, now, out);
            }
            Effect::InitialContact { spi } => self.initial_contact(spi, now, out),
            Effect::Established { spi } => self.established(spi, now),
            Effect::Delete { spi, cause } => self.task(spi, Task::DeleteIke(cause), now, out),
            Effect::Outdone { spi } => self.outdone(spi, now),
            Effect::Ended { spi, connection, cause, children } => {
                self.ended(spi, &connection, cause, &children, now, out);
            }
            Effect::ChildUp { connection, child } => self.wanted.up(&connection, &child),
            Effect::ChildDown { connection, child, cause } => {
                self.child_down(&connection, &child, cause, now, out);
            }
            Effect::Reauthenticate { spi } => self.reauthenticate(spi, now, out),
            Effect::Linger { spi, lineage } => self.linger(spi, lineage, now),
            Effect::Waits { spi, lineage } => self.waits(spi, lineage, now, out),
            Effect::Buried(buried) => self.buried(&buried, now, out),
        }
    }

    fn task(&mut self, spi: u64, task: Task, now: u64, out: &mut Vec<Action>) {
        self.with(spi, now, out, |sa, env| sa.task(task, env));
    }

    /// Child SAs, and what was to be done about them, change their IKE SA. Should that be gone, so are they.
    fn inherit(&mut self, mut to: u64, estate: Estate, now: u64, out: &mut Vec<Action>) {
        let next =
            |to| self.sas.get(&to).and_then(IkeSa::established).and_then(|own| own.successor);
        while let Some(successor) = next(to) {
            to = successor;
        }
        match self.sas.get_mut(&to).and_then(IkeSa::established_mut) {
            Some(heir) => heir.inherit(estate),
            None => estate
                .children
                .into_iter()
                .for_each(|child| child.destroy(&mut self.env(to, now, out))),
        }
        self.with(to, now, out, IkeSa::proceed);
    }

    fn linger(&mut self, spi: u32, lineage: Lineage, now: u64) {
        self.lingering.insert((now.saturating_add(LINGER_MS), spi), lineage);
    }

    fn stop_lingering(&mut self, now: u64, out: &mut Vec<Action>) {
        while let Some(entry) = self.lingering.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, spi), lineage) = entry.remove_entry();
            out.push(Action::Remove { direction: Direction::Inbound, spi, lineage });
            self.spis.release(spi);
        }
    }

    /// Whether an IKE SA stands and will go on: nobody took its place, and nobody is about to delete it.
    fn stands(&self, spi: u64) -> bool {
        self.sas.get(&spi).and_then(IkeSa::established).is_some_and(|established| {
            let closing = |task: &Task| matches!(task, Task::DeleteIke(_));
            established.successor.is_none()
                && !established.asking.deletes_ike()
                && !established.queue.iter().any(closing)
        })
    }
}

fn peer_name(sa: &IkeSa) -> Option<PeerName> {
    let State::Established(established) = &sa.state else { return None };
    Some((Arc::clone(&sa.base.connection.name), established.peer.identity.to_string()))
}
