//! The keeper: the thread that does everything that is not a packet. It takes control's requests from the ring, keeps
//! SAD, SPD, the XDP program's maps and the kernel's routes in step, tells control what happened, and keeps the
//! status in the region.
//!
//! Order when policy changes, so that nothing slips out in between (RFC 4301 §5.1 asks for one decision, and three
//! places hold a copy of it): the XDP maps and the kernel's routes first get the union of old and new, then the SPD
//! is swapped, then the old part is taken away. If the maps cannot take it, the SPD stays.
use crate::bell::Bell;
use crate::mirror::{Mirror, View};
use crate::news::News;
use crate::ports::{PortError, Ports, Row};
use crate::routes::{KernelRoutes, Prefix, Wanted, prefixes, protected};
use crate::seat::Seat;
use crate::spd::Spd;
use crate::tables::{Shared, Tables};
use core::net::IpAddr;
use core::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sadb::errors::{Bad, PushError};
use sadb::link::{Accepted, ControlLink, Listener};
use sadb::{
    DataPlane, Direction, Event, Policy, Refusal, Request, Sa, SaKeys, Side, Verb, Verdict, clock,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest wait between two looks at the notices of the workers.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Heartbeat, lifetimes, status.
const TICK: Duration = Duration::from_millis(200);
/// The slower part of it: are the programs still attached, do closed interfaces come back.
const SLOW_TICK: Duration = Duration::from_secs(1);
/// Requests taken in one go before packets' notices are looked at again.
const REQUESTS: usize = 256;

/// Everything the keeper keeps.
pub struct Keeper {
    shared: Arc<Shared>,
    requests: DataPlane,
    ring_broken: bool,
    ports: Ports,
    seats: Vec<Arc<Seat>>,
    mirror: Mirror,
    view: View,
    routes: KernelRoutes,
    /// `None` until control has said what policy is: what an earlier process left in maps and routes stays.
    policies: Option<Vec<Policy>>,
    listener: Listener,
    control: Option<ControlLink>,
    news: News,
    bell: Bell,
    encap_ports: Vec<u16>,
}

/// What [`Keeper::new`] takes.
pub struct Parts {
    /// What the workers see too.
    pub shared: Arc<Shared>,
    /// The data plane's end of the rings.
    pub requests: DataPlane,
    /// The interfaces, bound.
    pub ports: Ports,
    /// One per worker.
    pub seats: Vec<Arc<Seat>>,
    /// Follows the kernel.
    pub mirror: Mirror,
    /// Its first view.
    pub view: View,
    /// The kernel's routes into the TUN device.
    pub routes: KernelRoutes,
    /// Where control and readers come in.
    pub listener: Listener,
    /// Control, as it is connected now.
    pub control: Option<ControlLink>,
    /// Rung by the mirror and by signals.
    pub bell: Bell,
}

impl Keeper {
    /// Takes over. Call [`Keeper::adopt`] before the workers start.
    pub fn new(parts: Parts) -> Self {
        let Parts { shared, requests, ports, seats, mirror, view, routes, listener, control, bell } =
            parts;
        Self {
            shared,
            requests,
            ring_broken: false,
            ports,
            seats,
            mirror,
            view,
            routes,
            policies: None,
            listener,
            control,
            news: News::default(),
            bell,
            encap_ports: Vec::new(),
        }
    }

    /// Takes back what stands in the region: SAs with their keys, numbers and windows, and policy. Returns how many
    /// SAs live on.
    pub fn adopt(&mut self) -> usize {
        let mut found: Vec<(Sa, SaKeys)> = Vec::new();
        for record in self.requests.adopt() {
            match record {
                Ok(pair) => found.push(pair),
                Err(error) => {
                    tracing::error!(%error, "an SA's record is damaged; it stays out of use")
                }
            }
        }
        // The later of two outbound SAs of one tunnel is the one to send by, as before.
        let installed =
            |sa: &Sa| self.shared.region.sa(sa.slot).map_or(0, |status| status.installed);
        found.sort_by_key(|(sa, _)| installed(sa));
        let mut adopted = 0;
        for (sa, keys) in &found {
            match self.shared.sad.add(sa, keys, &self.shared.region) {
                Ok(()) => adopted += 1,
                Err(refusal) => {
                    tracing::error!(name = %sa.name, spi = sa.spi, ?refusal, "SA not adopted")
                }
            }
        }
        self.tell_sas();
        match self.shared.region.policies() {
            Ok((0, _)) => {}
            Ok((_, policies)) => {
                if let Err(error) = self.set_policies(policies) {
                    tracing::error!(%error, "policy of the region not adopted");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the region's policy is damaged; control must send it again")
            }
        }
        self.publish_view();
        adopted
    }

    /// Attaches the program and binds the interfaces: per interface, one port for each worker. After
    /// [`Keeper::adopt`], so that the program knows what is protected before it sees a frame.
    ///
    /// # Errors
    /// An interface that cannot be used and will not cure itself.
    pub fn open(&mut self) -> Result<Vec<Row>, (sadb::Name, PortError)> {
        // What a data plane before us wrote is not so until it is bound again.
        self.ports.publish(&self.shared.region, &self.view.interfaces, &self.seats);
        let rows = self.ports.open(&self.view.interfaces)?;
        self.ports.publish(&self.shared.region, &self.view.interfaces, &self.seats);
        Ok(rows)
    }

    /// Runs until `stop`, or until `alive` says that a worker has ended.
    pub fn run(&mut self, stop: &AtomicBool, alive: impl Fn() -> bool) {
        let (mut tick_at, mut slow_at) = (Duration::ZERO, Duration::ZERO);
        while !stop.load(Ordering::Acquire) && alive() && self.mirror.is_alive() {
            self.wait();
            self.bell.answer();
            let now = clock::now();
            self.notices(now);
            self.requests();
            self.accept();
            self.take_view();
            if now >= tick_at {
                tick_at = now + TICK;
                self.tick(now);
            }
            if now >= slow_at {
                slow_at = now + SLOW_TICK;
                self.slow_tick();
            }
            self.send_events();
        }
    }

    fn wait(&self) {
        let mut fds = vec![
            PollFd::new(&self.bell, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        if let Some(control) = &self.control {
            fds.push(PollFd::new(&control.doorbell, PollFlags::IN));
        }
        let _ = poll(&mut fds, Some(&WAIT)); // EINTR: the loop comes round
    }

    fn tick(&mut self, now: Duration) {
        let Self { shared, news, .. } = self;
        shared.region.heartbeat(Side::DataPlane);
        shared.sad.tick(now, |notice| _ = news.notice(notice, now));
        news.flush(now);
        self.ports.publish(&self.shared.region, &self.view.interfaces, &self.seats);
    }

    fn slow_tick(&mut self) {
        self.ports.check_attachments();
        self.ports.look_after(&self.view.interfaces, &self.seats);
    }

    fn notices(&mut self, now: Duration) {
        while let Some(notice) = self.shared.notices.pop() {
            if let Some((ifindex, address)) = self.news.notice(notice, now) {
                self.mirror.resolve(ifindex, address);
            }
        }
    }

    // ---- control ----

    fn accept(&mut self) {
        if let Some(control) = &self.control
            && control.doorbell.drain().is_err()
        {
            tracing::warn!(pid = control.pid, "control is gone; traffic goes on");
            self.control = None;
        }
        loop {
            match self.listener.accept(Some(&self.shared.region)) {
                Ok(Some(Accepted::Control(link))) => {
                    tracing::info!(pid = link.pid, "control is connected");
                    self.control = Some(link);
                    self.ring_broken = false; // a new writer: look again
                }
                Ok(Some(Accepted::Reader)) => {}
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "a connection was turned down"),
            }
        }
    }

    fn send_events(&mut self) {
        let mut sent = false;
        while let Some(event) = self.news.next() {
            match self.requests.push(event) {
                Ok(()) => sent = true,
                Err(PushError::Full { .. }) => break,
                Err(error) => tracing::error!(%error, ?event, "event not sent"),
            }
            self.news.sent();
        }
        if let Some(control) = self.control.as_ref().filter(|_| sent) {
            let _ = control.doorbell.ring(); // if it is gone, the next look finds out
        }
    }

    fn requests(&mut self) {
        let mut sas = false;
        for _ in 0..REQUESTS {
            match self.requests.pop() {
                Ok(Some(request)) => {
                    sas |= !matches!(request.verb, Verb::Policies { .. } | Verb::Ping);
                    let Request { id, verb } = request;
                    let result = self.request(verb);
                    if let Err(refusal) = result {
                        tracing::warn!(id, ?refusal, "request refused");
                    }
                    self.news.push(Event::Done { id, result });
                }
                Ok(None) => break,
                Err(Bad::Request { id, refusal, source }) => {
                    tracing::warn!(id, %source, ?refusal, "malformed request");
                    self.news.push(Event::Done { id, result: Err(refusal) });
                }
                Err(Bad::PeerLied(error)) => {
                    if !core::mem::replace(&mut self.ring_broken, true) {
                        tracing::error!(%error, "the request ring is not read until control repairs it; traffic goes on");
                    }
                    break;
                }
            }
        }
        if sas {
            self.tell_sas();
        }
    }

    fn request(&mut self, verb: Verb) -> Result<(), Refusal> {
        match verb {
            Verb::Add { sa, keys } => self.add(&sa, &keys),
            Verb::Update { sa } => {
                self.shared.sad.update(&sa)?;
                self.requests.update(&sa)
            }
            Verb::Delete { slot, spi } => {
                self.shared.sad.delete(slot, spi)?;
                self.requests.retire(slot)
            }
            Verb::Flush => self.flush(),
            Verb::Policies { generation, count } => self.policies(generation, count),
            Verb::Ping => Ok(()),
        }
    }

    /// Record first, then the SA: a worker that finds the SA finds its numbers.
    fn add(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), Refusal> {
        self.shared.sad.check(sa, keys)?;
        self.requests.install(sa, keys)?;
        self.shared.sad.add(sa, keys, &self.shared.region).inspect_err(|_| {
            let _ = self.requests.retire(sa.slot); // it was just written: it is there
        })
    }

    fn flush(&mut self) -> Result<(), Refusal> {
        for slot in self.shared.sad.flush() {
            self.requests.retire(slot)?;
        }
        Ok(())
    }

    // ---- policy ----

    fn policies(&mut self, generation: u64, count: u32) -> Result<(), Refusal> {
        let bad = |error: &dyn core::fmt::Display| {
            tracing::error!(%error, generation, "policy refused; the one before stays");
            Refusal::BadPolicy
        };
        let region = &self.shared.region;
        let policies = region.staged(generation, count).map_err(|error| bad(&error))?;
        let tunnels = region.setup().map_err(|error| bad(&error))?.geometry.sa_slots;
        let known = |policy: &Policy| match policy.verdict {
            Verdict::Protect { tunnel } => tunnel < tunnels,
            Verdict::Bypass | Verdict::Discard => true,
        };
        if !policies.iter().all(known) {
            return Err(Refusal::UnknownTunnel);
        }
        let before = self.policies.clone();
        self.set_policies(policies).map_err(|error| bad(&error))?;
        if let Err(error) = self.shared.region.activate(generation) {
            let _ = self.set_policies(before.unwrap_or_default());
            return Err(bad(&error));
        }
        tracing::info!(generation, count, "policy in force");
        Ok(())
    }

    /// Tighten, swap, relax.
    fn set_policies(&mut self, policies: Vec<Policy>) -> Result<(), bpf::Error> {
        let old = self.policies.as_deref().unwrap_or_default();
        let both: Vec<Policy> = old.iter().chain(&policies).copied().collect();
        if self.policies.is_some()
            && let Err(error) = set_protected(self.ports.program(), &both)
        {
            let _ = set_protected(self.ports.program(), old);
            return Err(error);
        }
        self.routes.apply(&self.wanted(&both));
        self.publish_spd(Spd::new(&policies));
        // The union stands, so this only takes away, and keeping too much is the safe side. Not so for the first
        // policy: until now the maps hold what an earlier process left, which stays in force up to here.
        match set_protected(self.ports.program(), &policies) {
            Err(error) if self.policies.is_none() => {
                self.publish_spd(Spd::default());
                return Err(error);
            }
            Err(error) => tracing::error!(%error, "prefixes without policy stay protected"),
            Ok(()) => {}
        }
        self.routes.apply(&self.wanted(&policies));
        self.policies = Some(policies);
        Ok(())
    }

    fn wanted(&self, policies: &[Policy]) -> Wanted {
        let ports = self.shared.sad.encap_ports();
        Wanted::new(policies, &self.view.locals, &self.view.inside, &ports)
    }

    fn apply_routes(&mut self) {
        if let Some(policies) = &self.policies {
            let wanted = self.wanted(policies);
            self.routes.apply(&wanted);
        }
    }

    fn publish_spd(&self, spd: Spd) {
        let now = self.shared.tables.load();
        self.shared.tables.store(Arc::new(Tables {
            spd,
            generation: now.generation + 1,
            ..Tables::clone(&now)
        }));
    }

    // ---- the kernel's tables ----

    fn take_view(&mut self) {
        let Some(view) = self.mirror.take() else { return };
        let tun = view.tun;
        let tun_back = tun != self.view.tun && tun.is_some_and(|(_, up)| up);
        self.tell_links(&view);
        self.view = view;
        self.publish_view();
        if tun.is_none() {
            tracing::error!(
                "the TUN device is gone: the gateway's own traffic into tunnels is black-holed"
            );
        } else if let Some((ifindex, _)) = tun.filter(|_| tun_back)
            && let Err(error) = self.routes.reread(ifindex)
        {
            tracing::warn!(%error, "routes of the gateway's own traffic");
        }
        self.apply_routes();
        self.ports.look_after(&self.view.interfaces, &self.seats);
    }

    fn tell_links(&mut self, view: &View) {
        for (before, after) in self.view.interfaces.iter().zip(&view.interfaces) {
            if (before.up, before.ifindex) != (after.up, after.ifindex) {
                tracing::info!(name = %after.name, up = after.up, ifindex = after.ifindex, "link");
                self.news.push(Event::Interface { name: after.name, up: after.up });
            }
        }
    }

    /// Locals into the program before the workers see them, then routes, neighbours and links for all.
    fn publish_view(&mut self) {
        let locals: BTreeSet<IpAddr> =
            self.view.locals.iter().filter(|a| !a.is_loopback()).collect();
        let locals: Vec<IpAddr> = locals.into_iter().collect();
        if let Err(error) = self.ports.program().set_locals(&locals) {
            tracing::error!(%error, "the XDP program does not know the gateway's addresses");
        }
        let now = self.shared.tables.load();
        self.shared.tables.store(Arc::new(Tables {
            spd: now.spd.clone(),
            fib: core::mem::take(&mut self.view.fib),
            locals: self.view.locals.clone(),
            interfaces: self.view.interfaces.clone(),
            generation: now.generation + 1,
        }));
    }

    /// What the program must know of the SAs: peers, and the ports on which ESP may come.
    fn tell_sas(&mut self) {
        let installed = self.shared.sad.installed();
        let inbound = installed.iter().filter(|sa| sa.direction == Direction::Inbound);
        let peers: BTreeSet<IpAddr> = inbound.map(|sa| sa.remote).collect();
        let peers: Vec<IpAddr> = peers.into_iter().collect();
        let ports = self.shared.sad.encap_ports();
        let program = self.ports.program();
        let outcome = program.set_udp_encap_ports(&ports).and_then(|()| program.set_peers(&peers));
        if let Err(error) = outcome {
            tracing::error!(%error, "the XDP program does not know all SAs");
        }
        if self.encap_ports != ports {
            self.encap_ports = ports; // IKE shares these ports and must stay out of the tunnels
            self.apply_routes();
        }
    }
}

/// Both prefix sets of the program, from the protecting entries.
fn set_protected(program: &bpf::Program, policies: &[Policy]) -> Result<(), bpf::Error> {
    let (local, remote) = protected_prefixes(policies);
    program.set_protected_local(&local)?;
    program.set_protected_remote(&remote)
}

fn protected_prefixes(policies: &[Policy]) -> (Vec<Prefix>, Vec<Prefix>) {
    let local: BTreeSet<Prefix> =
        protected(policies).flat_map(|(local, _)| prefixes(local)).collect();
    let remote: BTreeSet<Prefix> =
        protected(policies).flat_map(|(_, remote)| prefixes(remote)).collect();
    (local.into_iter().collect(), remote.into_iter().collect())
}
