//! Very many peers connect at once while established tunnels want new keys.
//!
//! The clock is played, and moves with the gateway's processor time: every datagram, job and timer costs the gateway what
//! it really cost this thread, so whatever waits behind a crowd waits as long as it would. The gateway has what the product
//! has: one thread for the engine, which takes words of its pool before datagrams; a pool of one thread with an end to its
//! queue; a socket buffer with an end. Peers cost nothing and send again as our engine does.
use super::party::{Kernel, Party, Sent, Tally, UNIX_NOW, engine, turned};
use super::sites::{Proof, Sites};
use super::{Failed, Tell, cpu};
use crate::figures::rounded;
use ike::Engine;
use ike::action::{Action, Endpoint, Order, Ticket};
use ike::algorithm::Group;
use ike::event::Event;
use ike::job::{Done, Job};
use ike::settings::Settings;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One way through the network, in nanoseconds.
const LATENCY: u64 = 1_000_000;
/// Between two first datagrams of the crowd: what 500 octets take on a link of 1 Gbit/s.
const PACE: usize = 4_000;
/// Octets that wait in the gateway's socket buffer, each datagram with what the kernel keeps beside it: twice what the
/// product asks for, as the kernel does it.
const BUFFER: usize = 2 * (8 << 20);
const BESIDE: usize = 768;
/// Jobs that wait for the gateway's pool.
const POOL: usize = 1024;
/// When the crowd comes; tunnels have been rekeyed a few times by then.
const CROWD: u64 = 20_000_000_000;
/// Lifetimes of the tunnels in seconds: IKE SA, and child, which dies after twice as long.
const LIFETIMES: (u64, u64) = (7, 4);
/// A tunnel that is this late in milliseconds will not come any more.
const PATIENCE: u64 = 120_000;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How everybody proves who they are.
    pub proof: Proof,
    /// Peers that connect at once.
    pub peers: usize,
    /// Tunnels that stand before.
    pub tunnels: usize,
    /// The gateway's processor is so many times slower than this one.
    pub slowness: u32,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Storm {
    /// How everybody proves who they are.
    pub proof: String,
    /// Peers that connected at once.
    pub peers: usize,
    /// Those that are established at the end.
    pub established: usize,
    /// Seconds of the played clock until the last of them stood.
    pub seconds: f64,
    /// Wall seconds that playing took.
    pub wall_seconds: f64,
    /// Processor seconds of the gateway's engine meanwhile, and of its pool.
    pub engine_seconds: f64,
    /// See there.
    pub pool_seconds: f64,
    /// Datagrams that peers sent, and those of them that found the socket buffer full.
    pub datagrams: u64,
    /// See there.
    pub overflowed: u64,
    /// Cookies that were asked for, and calls beyond the limit of half-open IKE SAs.
    pub cookies: u64,
    /// See there.
    pub turned_away: u64,
    /// Jobs that the pool had no place for.
    pub jobs_dropped: u64,
    /// Tunnels that stood before.
    pub tunnels: usize,
    /// How often their SAs were replaced while the crowd was there: IKE SAs and Child SAs.
    pub rekeys: usize,
    /// The longest that a Child SA of theirs was in use, in seconds; at `hard_seconds` it would have died.
    pub oldest_seconds: f64,
    /// See there.
    pub hard_seconds: u64,
    /// Tunnels of which an SA ended in any other way than by being replaced in time.
    pub missed_rekeys: usize,
}

enum Due {
    ToGateway(Endpoint, Vec<u8>),
    ToPeers { crowd: bool, path: Endpoint, octets: Vec<u8> },
    Done(Ticket, Done),
    Call(usize),
}

/// In the order of time, then of coming.
struct Later(u64, u64, Due);
impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Later {}
impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

#[derive(Default)]
struct Agenda {
    due: BinaryHeap<Reverse<Later>>,
    count: u64,
}

impl Agenda {
    fn add(&mut self, at: u64, due: Due) {
        self.count += 1;
        self.due.push(Reverse(Later(at, self.count, due)));
    }
    fn next(&self) -> Option<u64> {
        self.due.peek().map(|Reverse(later)| later.0)
    }
}

/// The one that answers, with its thread, its pool and its socket.
struct Gateway {
    engine: Engine,
    slowness: u32,
    /// Until when the engine's thread, and the pool's, is at work.
    busy: u64,
    pool_busy: u64,
    words: VecDeque<Order>,
    socket: VecDeque<Sent>,
    waiting: usize,
    jobs: VecDeque<u64>,
    spent: Duration,
    pool_spent: Duration,
    overflowed: u64,
    dropped: u64,
    tally: Tally,
    watch: Watch,
}

/// Looks after the tunnels that stood before.
#[derive(Default)]
struct Watch {
    /// Connection of theirs.
    connection: Option<Arc<str>>,
    /// When each Child SA came up, by inbound SPI, and the one that it replaced.
    born: BTreeMap<u32, u64>,
    rekeys: usize,
    oldest: u64,
    missed: usize,
}

impl Watch {
    fn see(&mut self, event: &Event, now: u64) {
        use ike::event::Cause;
        let ours = |name: &Arc<str>| self.connection.as_ref() == Some(name);
        match event {
            Event::ChildUp { child, replaces, .. } if ours(&child.connection) => {
                self.born.insert(child.inbound, now);
                if let Some(born) = replaces.and_then(|old| self.born.remove(&old)) {
                    self.rekeys += 1;
                    self.aged(now.saturating_sub(born));
                }
            }
            Event::IkeRekeyed { old, .. } if ours(&old.connection) => self.rekeys += 1,
            Event::ChildDown { child, cause } if ours(&child.connection) => {
                self.born.remove(&child.inbound);
                self.missed += usize::from(*cause != Cause::Replaced);
            }
            Event::IkeDown { ike, cause } if ours(&ike.connection) => {
                self.missed += usize::from(*cause != Cause::Replaced);
            }
            _ => {}
        }
    }

    /// A Child SA was in use for so long, in milliseconds.
    fn aged(&mut self, age: u64) {
        self.oldest = self.oldest.max(age);
        // The data plane had taken it out before.
        self.missed += usize::from(age > LIFETIMES.1 * 2 * 1000);
    }

    /// It is over: what stands is as old as it is, even if the gateway was too busy to look at it.
    fn end(&mut self, now: u64) {
        for born in core::mem::take(&mut self.born).into_values() {
            self.aged(now.saturating_sub(born));
        }
    }
}

fn milliseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000_000
}
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Gateway {
    fn new(settings: &Arc<Settings>) -> Self {
        let mut gateway = Self {
            engine: engine(),
            slowness: 1,
            busy: 0,
            pool_busy: 0,
            words: VecDeque::new(),
            socket: VecDeque::new(),
            waiting: 0,
            jobs: VecDeque::new(),
            spent: Duration::ZERO,
            pool_spent: Duration::ZERO,
            overflowed: 0,
            dropped: 0,
            tally: Tally::default(),
            watch: Watch::default(),
        };
        gateway.engine.order(Order::Configure(Arc::clone(settings)), 0, &mut Vec::new());
        gateway
    }

    /// A datagram reaches the socket.
    fn arrive(&mut self, sent: Sent) {
        let size = sent.1.len() + BESIDE;
        if self.waiting + size > BUFFER {
            self.overflowed += 1;
            return;
        }
        self.waiting += size;
        self.socket.push_back(sent);
    }

    /// When its thread has something to do.
    fn next(&self) -> Option<u64> {
        let at = match self.words.is_empty() && self.socket.is_empty() {
            false => Some(self.busy),
            true => self.engine.next_deadline().map(|at| at.saturating_mul(1_000_000)),
        };
        at.map(|at| at.max(self.busy))
    }

    /// One word or datagram, and what time brought.
    fn turn(&mut self, now: u64, agenda: &mut Agenda) {
        let mut out = Vec::new();
        let clock = milliseconds(now);
        let (word, datagram) = (self.words.pop_front(), None);
        let datagram = if word.is_none() { self.socket.pop_front() } else { datagram };
        let (spent, ()) = cpu::spent(|| {
            if let Some(word) = word {
                self.engine.order(word, clock, &mut out);
            }
            if let Some((path, octets)) = &datagram {
                self.engine.handle(clock, turned(*path), octets, &mut out);
            }
            if self.engine.next_deadline().is_some_and(|at| at <= clock) {
                self.engine.tick(clock, &mut out);
            }
        });
        if let Some((_, octets)) = &datagram {
            self.waiting = self.waiting.saturating_sub(octets.len() + BESIDE);
        }
        self.spent += spent;
        self.busy = now.saturating_add(nanoseconds(spent * self.slowness)).max(now + 1);
        self.carry_out(out, agenda);
    }

    fn carry_out(&mut self, out: Vec<Action>, agenda: &mut Agenda) {
        for action in out {
            match action {
                Action::Send { path, datagram } => {
                    let crowd = is_crowd(path.remote.ip());
                    let due = Due::ToPeers { crowd, path, octets: datagram };
                    agenda.add(self.busy + LATENCY, due);
                }
                Action::Work { ticket, job } => self.work(ticket, job, agenda),
                Action::Install { ticket, .. } => self.words.push_back(Order::Installed { ticket }),
                Action::Event(event) => {
                    self.watch.see(&event, milliseconds(self.busy));
                    self.tally.count(&event);
                }
                Action::Remove { .. } | Action::Move { .. } | Action::Trap { .. } => {}
            }
        }
    }

    /// The pool takes jobs one after another. It is known at once when each ends, so it is run at once.
    fn work(&mut self, ticket: Ticket, job: Job, agenda: &mut Agenda) {
        while self.jobs.front().is_some_and(|begins| *begins <= self.busy) {
            self.jobs.pop_front();
        }
        let own = matches!(job, Job::Generate { .. } | Job::Agree { .. });
        if !own && self.jobs.len() >= POOL {
            self.dropped += 1;
            return self.words.push_back(Order::WorkDone { ticket, done: Done::Dropped });
        }
        let (spent, done) = cpu::spent(|| job.run(&mut Kernel, UNIX_NOW));
        self.pool_spent += spent;
        let begins = self.pool_busy.max(self.busy);
        let lasts = nanoseconds(spent * self.slowness);
        self.pool_busy = begins.saturating_add(lasts);
        // What the gateway began itself always has a place, and goes first.
        let ends = if own { self.busy.saturating_add(lasts) } else { self.pool_busy };
        self.jobs.extend((!own).then_some(begins));
        agenda.add(ends, Due::Done(ticket, done));
    }
}

/// Whose addresses are those of the crowd: all that do not stand before have such.
fn is_crowd(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets().starts_with(&[198]))
}

struct Play {
    now: u64,
    agenda: Agenda,
    gateway: Gateway,
    crowd: Party,
    tunnels: Party,
    names: Vec<Arc<str>>,
    datagrams: u64,
    wanted: usize,
}

/// Plays it.
///
/// # Errors
/// [`Failed`]: the tunnels did not come up in the first place.
pub fn run(plan: Plan, tell: Tell<'_>) -> Result<Storm, Failed> {
    let began = Instant::now();
    let mut play = Play::new(plan)?;
    play.until(CROWD);
    play.gateway.slowness = plan.slowness;
    let before = (play.gateway.spent, play.gateway.pool_spent, play.gateway.watch.rekeys);
    for (number, at) in (0..plan.peers).zip((CROWD..).step_by(PACE)) {
        play.agenda.add(at, Due::Call(number));
    }
    for second in 1..=PATIENCE / 1000 {
        if play.until(CROWD + second * 1_000_000_000) {
            break;
        }
        if second % 5 == 0 {
            let up = play.crowd.tally.ike_up;
            tell(format!("{second} s played: {up} of {} are connected", plan.peers));
        }
    }
    let finished = play.now;
    // Whatever the crowd delayed shows within one lifetime more.
    play.wanted = usize::MAX;
    play.until(finished + 2 * LIFETIMES.0 * 1_000_000_000);
    play.gateway.watch.end(milliseconds(play.now));
    let Play { gateway, crowd, .. } = &play;
    let counters = gateway.engine.counters();
    let lasting = |duration: Duration| rounded(duration.as_secs_f64(), 3);
    Ok(Storm {
        proof: plan.proof.name().to_owned(),
        peers: plan.peers,
        established: crowd.tally.ike_up,
        seconds: rounded((finished - CROWD) as f64 / 1e9, 3),
        wall_seconds: lasting(began.elapsed()),
        engine_seconds: lasting(gateway.spent - before.0),
        pool_seconds: lasting(gateway.pool_spent - before.1),
        datagrams: play.datagrams,
        overflowed: gateway.overflowed,
        cookies: counters.cookies,
        turned_away: counters.too_many,
        jobs_dropped: gateway.dropped,
        tunnels: plan.tunnels,
        rekeys: gateway.watch.rekeys - before.2,
        oldest_seconds: gateway.watch.oldest as f64 / 1e3,
        hard_seconds: LIFETIMES.1 * 2,
        missed_rekeys: gateway.watch.missed,
    })
}

impl Play {
    fn new(plan: Plan) -> Result<Self, Failed> {
        let crowd = Sites::new(plan.proof, Group::Curve25519)?;
        let tunnels = crowd.established_before(LIFETIMES);
        let connections = vec![Arc::new(crowd.gateway()?), Arc::new(tunnels.gateway()?)];
        let settings = Arc::new(Settings { connections, ..Settings::default() });
        let mut play = Self {
            now: 1_000_000,
            agenda: Agenda::default(),
            gateway: Gateway::new(&settings),
            crowd: Party::new(&Arc::new(crowd.peers(0, plan.peers)?)),
            tunnels: Party::new(&Arc::new(tunnels.peers(0, plan.tunnels)?)),
            names: Sites::names(plan.peers),
            datagrams: 0,
            wanted: plan.peers,
        };
        play.begin(&tunnels, plan.tunnels)?;
        Ok(play)
    }

    /// The tunnels come up one after another, and are watched from then on.
    fn begin(&mut self, sites: &Sites, count: usize) -> Result<(), Failed> {
        for name in Sites::names(count) {
            self.tunnels.call(milliseconds(self.now), &[name]);
            self.dispatch();
            self.until(self.now + 5_000_000);
        }
        self.until(self.now + 50_000_000);
        if self.tunnels.tally.ike_up < count {
            return super::rates::established(sites, &self.tunnels, &self.tunnels, count);
        }
        self.gateway.watch.connection = Some(sites.domain.as_str().into());
        Ok(())
    }

    /// Lets everything happen that is due by then. True: as many as are wanted stood before.
    fn until(&mut self, end: u64) -> bool {
        loop {
            if self.crowd.tally.ike_up >= self.wanted {
                return true;
            }
            let of =
                |party: &Party| party.engine.next_deadline().map(|at| at.saturating_mul(1_000_000));
            let peers = [of(&self.crowd), of(&self.tunnels)];
            let times = [self.agenda.next(), self.gateway.next(), peers[0], peers[1]];
            let Some(at) = times.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(at);
            self.happen(times, at);
            self.dispatch();
        }
    }

    fn happen(&mut self, [agenda, gateway, crowd, _]: [Option<u64>; 4], at: u64) {
        let clock = milliseconds(self.now);
        if agenda == Some(at) {
            let Some(Reverse(Later(_, _, due))) = self.agenda.due.pop() else { return };
            match due {
                Due::ToGateway(path, octets) => self.gateway.arrive((path, octets)),
                Due::ToPeers { crowd, path, octets } => {
                    let party = if crowd { &mut self.crowd } else { &mut self.tunnels };
                    party.hear(clock, &[(path, octets)]);
                }
                Due::Done(ticket, done) => {
                    self.gateway.words.push_back(Order::WorkDone { ticket, done });
                }
                Due::Call(number) => {
                    let name = self.names.get(number).cloned();
                    self.crowd.call(clock, name.as_slice());
                }
            }
        } else if gateway == Some(at) {
            self.gateway.turn(self.now, &mut self.agenda);
        } else if crowd == Some(at) {
            self.crowd.tick(clock);
        } else {
            self.tunnels.tick(clock);
        }
    }

    /// What peers want to send is on its way.
    fn dispatch(&mut self) {
        for party in [&mut self.crowd, &mut self.tunnels] {
            for (path, octets) in party.sent.drain(..) {
                self.datagrams += 1;
                self.agenda.add(self.now + LATENCY, Due::ToGateway(path, octets));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(slowness: u32) -> Storm {
        let plan = Plan { proof: Proof::Psk, peers: 40, tunnels: 3, slowness };
        run(plan, &mut |_| {}).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn a_gateway_that_is_fast_enough_misses_no_rekey() {
        let storm = played(1);
        assert_eq!((storm.established, storm.missed_rekeys), (40, 0), "{storm:?}");
        assert!(storm.rekeys >= storm.tunnels, "{storm:?}");
    }

    #[test]
    fn a_gateway_that_is_too_slow_is_found_out() {
        let storm = played(100_000);
        assert!(storm.missed_rekeys > 0, "{storm:?}");
    }
}
