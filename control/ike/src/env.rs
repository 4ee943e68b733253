//! What an IKE SA is given to work with, and what it may cause beyond itself.
use crate::Random;
use crate::action::{Action, Direction, Endpoint, Half, Lineage, Spis, Ticket};
use crate::engine::{Directory, PeerName};
use crate::event::{Cause, Event};
use crate::fragment::Budget;
use crate::ike_sa::{Base, Estate, IkeSa};
use crate::job::Job;
use crate::settings::{self, Settings};
use crate::why::{Failures, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Connections that a failure names. There may be thousands, and strangers fail as often as they like.
pub(crate) const MOST_CANDIDATES: usize = 64;
/// Octets of a nonce of ours.
pub(crate) const NONCE: usize = 32;

/// Time, randomness and where everything goes that comes of a step.
pub(crate) struct Env<'a> {
    /// Milliseconds, monotonic.
    pub(crate) now: u64,
    pub(crate) random: &'a mut dyn Random,
    pub(crate) spis: &'a mut dyn Spis,
    pub(crate) settings: &'a Settings,
    pub(crate) directory: &'a Directory,
    pub(crate) out: &'a mut Vec<Action>,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) failures: &'a mut Failures,
    /// Connection and identity of every peer that has an IKE SA.
    pub(crate) peers: &'a BTreeMap<PeerName, BTreeSet<u64>>,
    /// What all may hold of messages that are not complete.
    pub(crate) fragments: &'a Budget,
    /// Which IKE SA is at work: tickets come back to it.
    pub(crate) owner: u64,
}

/// Lineages that are remembered. A peer can narrow in many ways.
const MAX_KIN: usize = 100_000;

/// Connection, child, the peer's identity, and what is covered: SAs that agree in all of it serve one tunnel, whichever
/// IKE SA made them.
pub(crate) type Kinship = (Arc<str>, Arc<str>, String, String);

/// Tickets given out, and to whom what comes back belongs.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    last: u64,
    lineage: u64,
    kin: BTreeMap<Kinship, Lineage>,
    owners: BTreeMap<Ticket, u64>,
}

impl Tickets {
    fn give(&mut self, owner: u64) -> Ticket {
        self.last = self.last.wrapping_add(1);
        let ticket = Ticket(self.last);
        self.owners.insert(ticket, owner);
        ticket
    }
    /// What is kin shares a lineage; `None` has no kin.
    fn lineage(&mut self, of: Option<Kinship>) -> Lineage {
        if let Some(known) = of.as_ref().and_then(|of| self.kin.get(of)) {
            return *known;
        }
        self.lineage = self.lineage.wrapping_add(1);
        let new = Lineage(self.lineage);
        if let Some(of) = of.filter(|_| self.kin.len() < MAX_KIN) {
            self.kin.insert(of, new);
        }
        new
    }
    /// Whose it is; it is used up.
    pub(crate) fn redeem(&mut self, ticket: Ticket) -> Option<u64> {
        self.owners.remove(&ticket)
    }
    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        self.owners.len()
    }
}

/// What a step of one IKE SA means to the rest of the engine.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A rekey made an IKE SA.
    Born(Box<IkeSa>),
    /// All that an IKE SA had goes to another.
    Inherit { from: u64, to: u64, estate: Box<Estate> },
    /// The peer says that it has no other IKE SA with us.
    InitialContact { spi: u64 },
    /// An IKE SA is authenticated.
    Established { spi: u64 },
    /// An IKE SA, this one's competitor, shall be deleted.
    Delete { spi: u64, cause: Cause },
    /// An IKE SA that the peer made lost against ours: the peer shall delete it, and if it does not, we forget it.
    Outdone { spi: u64 },
    /// An IKE SA is no more, or never was. The children that it had, or was meant to have.
    Ended { spi: u64, connection: Arc<str>, cause: Cause, children: Vec<Arc<str>> },
    /// A Child SA is there.
    ChildUp { connection: Arc<str>, child: Arc<str> },
    /// A Child SA is gone, or could not be made.
    ChildDown { connection: Arc<str>, child: Arc<str>, cause: Cause },
    /// A new IKE SA shall be made in place of this one.
    Reauthenticate { spi: u64 },
    /// An inbound half goes on receiving for a while.
    Linger { spi: u32, lineage: Lineage },
    /// A child's outbound half waits until the initiator must have installed its own: in vain, if no other IKE SA of the
    /// peer has a child of the lineage that sends meanwhile.
    Waits { spi: u64, lineage: Lineage },
    /// A child went with its IKE SA. Another of the lineage may take over.
    Buried(Buried),
}

/// What is left in the data plane of a child whose IKE SA ended.
#[derive(Debug)]
pub(crate) struct Buried {
    pub(crate) peer: PeerName,
    pub(crate) lineage: Lineage,
    pub(crate) inbound: u32,
    /// `None`: it did not send.
    pub(crate) outbound: Option<u32>,
    /// Late packets are received for a while in any case.
    pub(crate) lingers: bool,
}

impl Effect {
    pub(crate) fn child_down(base: &Base, child: &settings::Child, cause: Cause) -> Self {
        let (connection, child) = (Arc::clone(&base.connection.name), Arc::clone(&child.name));
        Self::ChildDown { connection, child, cause }
    }
    pub(crate) fn ended(base: &Base, cause: Cause) -> Self {
        let children = base.purpose.children.iter().map(|(child, _)| Arc::clone(child)).collect();
        Self::Ended {
            spi: base.spi,
            connection: Arc::clone(&base.connection.name),
            cause,
            children,
        }
    }
}

impl Env<'_> {
    /// An SPI for an inbound half. An allocator that gives one twice would be found out by the data plane.
    pub(crate) fn reserve(&mut self) -> Option<u32> {
        self.spis.reserve().filter(|&spi| spi > 255)
    }
    pub(crate) fn remove(&mut self, direction: Direction, spi: u32, lineage: Lineage) {
        self.out.push(Action::Remove { direction, spi, lineage });
    }
    pub(crate) fn send(&mut self, path: Endpoint, datagrams: &[Vec<u8>]) {
        let marked = path.local.port() == self.settings.ports.natt;
        for datagram in datagrams {
            let mut octets = if marked { vec![0; 4] } else { Vec::new() }; // RFC 3948 §2.2
            octets.extend_from_slice(datagram);
            self.out.push(Action::Send { path, datagram: octets });
        }
    }
    pub(crate) fn work(&mut self, job: Job) -> Ticket {
        let ticket = self.tickets.give(self.owner);
        self.out.push(Action::Work { ticket, job });
        ticket
    }
    pub(crate) fn install(&mut self, half: Half) -> Ticket {
        let ticket = self.tickets.give(self.owner);
        self.out.push(Action::Install { ticket, half: Box::new(half) });
        ticket
    }
    pub(crate) fn event(&mut self, event: Event) {
        self.out.push(Action::Event(event));
    }
    pub(crate) fn fail(&mut self, mut why: Why) {
        why.candidates.truncate(MOST_CANDIDATES); // the nearest come first
        self.failures.remember(why.clone());
        self.event(Event::Failed(Box::new(why)));
    }
    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
    pub(crate) fn lineage(&mut self, of: Option<Kinship>) -> Lineage {
        self.tickets.lineage(of)
    }
    /// Whether a peer of this connection has an IKE SA with us.
    pub(crate) fn has_peer(&self, connection: &Arc<str>) -> bool {
        let from = (Arc::clone(connection), String::new());
        self.peers.range(from..).next().is_some_and(|((name, _), _)| name == connection)
    }
    /// A nonce: at least half the key of any PRF we have (RFC 7296 §2.10).
    pub(crate) fn nonce(&mut self) -> Vec<u8> {
        let mut nonce = vec![0; NONCE];
        self.random.fill(&mut nonce);
        nonce
    }
    /// An SPI for an IKE SA; never zero.
    pub(crate) fn ike_spi(&mut self) -> u64 {
        loop {
            let spi = self.number();
            if spi != 0 {
                return spi;
            }
        }
    }
    fn number(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.random.fill(&mut octets);
        u64::from_be_bytes(octets)
    }
    /// `whole` less up to `percent` of it.
    pub(crate) fn jittered(&mut self, whole: u64, percent: u8) -> u64 {
        let most = u128::from(whole) * u128::from(percent.min(100)) / 100;
        let less = u128::from(self.number()) % most.saturating_add(1);
        whole.saturating_sub(u64::try_from(less).unwrap_or(0))
    }
    /// A wait between half of `milliseconds` and all of it.
    pub(crate) fn wait(&mut self, milliseconds: u64) -> u64 {
        self.jittered(milliseconds, 50)
    }
}
