//! What single operations cost, by the number of peers that stand: none of them may cost more because there are others.
use super::party::{Party, converse};
use super::rates::{connect, spread};
use super::sites::{Proof, Sites};
use super::{Failed, Tell, cpu};
use crate::figures::rounded;
use crate::rng::Rng;
use ike::action::{Direction, Endpoint, Half, Order, Packet};
use ike::algorithm::Group;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// How often an operation is timed, and how many are timed at once.
const TIMES: usize = 32;
const AT_ONCE: usize = 8;

/// An operation, at one number of peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Which.
    pub operation: String,
    /// Established peers, each with a connection of its own.
    pub peers: usize,
    /// Processor time in microseconds, median.
    pub median_us: f64,
}

/// A gateway with a connection for each peer, and all its peers.
struct Crowded {
    gateway: Party,
    callers: Party,
    halves: Vec<Half>,
    peers: usize,
    random: Rng,
    now: u64,
}

/// All operations at each number of peers.
///
/// # Errors
/// [`Failed`]: a handshake that failed.
pub fn run(numbers: &[usize], tell: Tell<'_>) -> Result<Vec<Operation>, Failed> {
    let mut all = Vec::new();
    for &peers in numbers {
        let mut crowded = Crowded::new(peers, &mut all)?;
        tell(format!("{peers} peers stand"));
        crowded.time_all(&mut all);
    }
    Ok(all)
}

impl Crowded {
    /// More connections than peers at first: the last handshakes are timed.
    fn new(peers: usize, all: &mut Vec<Operation>) -> Result<Self, Failed> {
        let sites = Sites::new(Proof::Psk, Group::Curve25519)?;
        let last = (TIMES * AT_ONCE).min(peers);
        let mut gateway = Party::new(&Arc::new(sites.gateway_by_peer(peers)?));
        let mut callers = Party::new(&Arc::new(sites.peers(0, peers)?));
        gateway.halves = Some(Vec::new());
        let names = Sites::names(peers);
        let (before, timed) = names.split_at(peers.saturating_sub(last));
        connect(&sites, before, &mut callers, &mut gateway, 1)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for names in timed.chunks(AT_ONCE) {
            let (called, ()) = cpu::spent(|| callers.call(1, names));
            let (caller, responder) = converse(1, &mut callers, &mut gateway);
            let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / names.len() as f64;
            ours.push(each(responder));
            theirs.push(each(called + caller));
        }
        super::rates::established(&sites, &callers, &gateway, peers)?;
        add(all, "handshake, responder", peers, &ours);
        add(all, "handshake, initiator", peers, &theirs);
        let halves = gateway.halves.take().unwrap_or_default();
        Ok(Self { gateway, callers, halves, peers, random: Rng::new(1), now: 10_000 })
    }

    fn time_all(&mut self, all: &mut Vec<Operation>) {
        let path = Endpoint {
            local: ([192, 0, 2, 1], 4500).into(),
            remote: ([203, 0, 113, 9], 4500).into(),
        };
        self.time(all, "packets were heard", |_, half| Order::Heard { spi: half.spi });
        self.time(all, "a packet asks for a tunnel", |_, half| Order::Acquire {
            connection: Arc::clone(&half.connection),
            child: Arc::clone(&half.child),
            packet: Some(packet()),
        });
        self.time(all, "a lifetime ends: rekey begins", |_, half| Order::Expire {
            direction: Direction::Inbound,
            spi: half.spi,
            lineage: half.lineage,
            hard: false,
        });
        self.time(all, "down by order", |_, half| Order::Down {
            connection: Arc::clone(&half.connection),
            child: None,
        });
        self.measure(all, "a stranger's datagram", |party, now, _| {
            party.engine.handle(now, path, &[0xff], &mut Vec::new());
        });
        self.measure(all, "a look at the clock", |party, now, _| {
            if party.engine.next_deadline().is_some_and(|at| at <= now) {
                party.tick(now);
            }
        });
        std::mem::swap(&mut self.gateway, &mut self.callers);
        self.measure(all, "a datagram at the initiator", |party, now, _| {
            party.engine.handle(now, path, &[0xff], &mut Vec::new());
        });
        self.measure(all, "a look at the initiator's clock", |party, _, _| {
            std::hint::black_box(party.engine.next_deadline());
        });
        std::mem::swap(&mut self.gateway, &mut self.callers);
    }

    fn time(
        &mut self,
        all: &mut Vec<Operation>,
        operation: &str,
        order: impl Fn(&Party, &Half) -> Order,
    ) {
        self.measure(all, operation, |party, now, half| {
            let order = order(party, half);
            party.order(now, order);
        });
    }

    /// Each time other peers, no peer twice in a row.
    fn measure(
        &mut self,
        all: &mut Vec<Operation>,
        operation: &str,
        mut step: impl FnMut(&mut Party, u64, &Half),
    ) {
        self.random.shuffle(&mut self.halves);
        let mut each = Vec::new();
        for halves in self.halves.chunks(AT_ONCE).take(TIMES) {
            let (gateway, now) = (&mut self.gateway, self.now);
            let (spent, ()) =
                cpu::spent(|| halves.iter().for_each(|half| step(gateway, now, half)));
            gateway.sent.clear();
            each.push(spent.as_secs_f64() * 1e6 / halves.len() as f64);
        }
        add(all, operation, self.peers, &each);
    }
}

fn add(all: &mut Vec<Operation>, operation: &str, peers: usize, each: &[f64]) {
    let median_us = rounded(spread(each).median, 1);
    all.push(Operation { operation: operation.to_owned(), peers, median_us });
}

fn packet() -> Packet {
    let address = |last| IpAddr::from([10, 0, 0, last]);
    Packet { source: address(1), destination: address(2), protocol: 1, ports: None }
}
