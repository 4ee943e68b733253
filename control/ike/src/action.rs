//! What the core asks of whoever drives it, and what it is told. Nothing here does anything: the driver has the sockets,
//! the pool and the data plane, and tests have the universe.
use crate::Key;
use crate::algorithm::Group;
use crate::event::Event;
use crate::job::{Done, Job};
use crate::settings::Settings;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use wire::iana::{EncryptionId, IntegrityId};
use wire::selector::Selector;

/// The two ends of a datagram's way. The local port says how IKE travels: on [`crate::settings::Ports::natt`] behind
/// the non-ESP marker, which the core takes off and puts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ↔ {}", self.local, self.remote)
    }
}

/// Names something that was asked for until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Action {
    /// Send a datagram.
    Send {
        /// From where to where.
        path: Endpoint,
        /// The whole UDP payload, marker included.
        datagram: Vec<u8>,
    },
    /// Expensive: to be run in a bounded pool. Answered by [`Order::WorkDone`]; one that is not run at all, because the
    /// pool is full, by [`Done::Dropped`].
    Work {
        /// Comes back with the result.
        ticket: Ticket,
        /// What is to be computed.
        job: Job,
    },
    /// Install one half of a Child SA. Answered by [`Order::Installed`] or [`Order::Refused`]. An outbound half takes
    /// over from the one that the same lineage had.
    Install {
        /// Comes back with the result.
        ticket: Ticket,
        /// Which half, with its keys.
        half: Box<Half>,
    },
    /// Take out one half of a Child SA, if it is there. Not answered.
    Remove {
        /// Which way.
        direction: Direction,
        /// As it was installed.
        spi: u32,
        /// The lineage it belonged to.
        lineage: Lineage,
    },
    /// The peer's address or port changed, and an authenticated message proved it. Not answered.
    Move {
        /// Which way.
        direction: Direction,
        /// As it was installed.
        spi: u32,
        /// The lineage it belongs to.
        lineage: Lineage,
        /// The new ends.
        path: Endpoint,
    },
    /// Whether packets that match a child's selectors shall ask for it by [`Order::Acquire`].
    Trap {
        /// Its connection.
        connection: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// From now on, or from now on not.
        armed: bool,
    },
    /// Tell whoever listens.
    Event(Event),
}

/// What the driver tells the core.
#[derive(Debug)]
pub enum Order {
    /// What is configured from now on. Connections that did not change are not touched.
    Configure(Arc<Settings>),
    /// Bring a connection up: one child, or all that it has.
    Up {
        /// Its name.
        connection: Arc<str>,
        /// `None`: all.
        child: Option<Arc<str>>,
    },
    /// Take a connection down, or one child of it. It stays down until [`Order::Up`] or, when it is on demand, until there
    /// is a packet.
    Down {
        /// Its name.
        connection: Arc<str>,
        /// `None`: with its IKE SA.
        child: Option<Arc<str>>,
    },
    /// Replace keys now.
    Rekey {
        /// Its name.
        connection: Arc<str>,
        /// What of it.
        what: Rekey,
    },
    /// A packet met a policy whose child is not up.
    Acquire {
        /// The connection.
        connection: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// The packet, when it is known.
        packet: Option<Packet>,
    },
    /// A lifetime ran out in the data plane.
    Expire {
        /// Which way.
        direction: Direction,
        /// The SA's SPI. For an outbound one it is the peer's, which is why the lineage stands beside it.
        spi: u32,
        /// As in [`Half::lineage`].
        lineage: Lineage,
        /// Dead, or only to be replaced soon.
        hard: bool,
    },
    /// Packets came by this inbound SA: its peer lives.
    Heard {
        /// Our SPI.
        spi: u32,
    },
    /// An installation is done.
    Installed {
        /// Which.
        ticket: Ticket,
    },
    /// An installation was refused, and changed nothing.
    Refused {
        /// Which.
        ticket: Ticket,
        /// The data plane's reason, in words.
        why: String,
    },
    /// A job is done.
    WorkDone {
        /// Which.
        ticket: Ticket,
        /// What came of it.
        done: Done,
    },
}

/// What to rekey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rekey {
    /// The IKE SA.
    Ike,
    /// This child, or all.
    Child(Option<Arc<str>>),
    /// All of it, with new proofs of identity: a new IKE SA, made before the old one is broken.
    Reauthenticate,
}

/// The packet that asked for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source, on our side.
    pub source: IpAddr,
    /// Destination, on the peer's side.
    pub destination: IpAddr,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// Source and destination port, when it has any.
    pub ports: Option<(u16, u16)>,
}

/// One Child SA and all that replaced it: what a tunnel's counters and policies hang on. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lineage(pub u64);

/// Which way an SA carries packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

/// One half of a Child SA, ready to be installed.
#[derive(Clone, Debug)]
pub struct Half {
    /// Which way.
    pub direction: Direction,
    /// Inbound: ours, from [`Spis`]. Outbound: the peer's.
    pub spi: u32,
    /// The SPI of the other half, which knows that it belongs to this one.
    pub other_spi: u32,
    /// Whose tunnel it serves.
    pub lineage: Lineage,
    /// As configured.
    pub connection: Arc<str>,
    /// As configured.
    pub child: Arc<str>,
    /// Outer addresses, and the ports of ESP in UDP.
    pub path: Endpoint,
    /// ESP in UDP between the ports of `path`; otherwise raw.
    pub udp: bool,
    /// What it is made of.
    pub suite: EspSuite,
    /// Its keys.
    pub keys: EspKeys,
    /// What it carries.
    pub selectors: Vec<Selector>,
    /// When it must be replaced and when it dies, jitter applied.
    pub lifetime: HalfLifetime,
}

/// The transforms of an ESP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EspSuite {
    /// Transform Type 1.
    pub encryption: EncryptionId,
    /// The Key Length attribute in bits; 0 for a cipher that has one length only, or no key.
    pub key_bits: u16,
    /// Transform Type 3; NONE for an AEAD.
    pub integrity: IntegrityId,
    /// 64-bit sequence numbers.
    pub esn: bool,
    /// The key exchange that made the keys fresh; `None`: they come from the IKE SA's alone.
    pub pfs: Option<Group>,
}

/// Keys of one half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspKeys {
    /// Cipher key with its salt behind it.
    pub encryption: Key,
    /// Empty with an AEAD.
    pub integrity: Key,
}

/// Limits of one half; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfLifetime {
    /// Replace after so many seconds.
    pub soft_seconds: u64,
    /// Dead after so many seconds.
    pub hard_seconds: u64,
    /// Replace after so many octets.
    pub soft_bytes: u64,
    /// Dead after so many octets.
    pub hard_bytes: u64,
    /// Replace after so many packets.
    pub soft_packets: u64,
    /// Dead after so many packets.
    pub hard_packets: u64,
}

/// Where inbound SPIs of Child SAs come from: whoever lays out the SAD knows which are free.
pub trait Spis {
    /// A new SPI, above 255, used by no SA of ours. `None`: the SAD is full.
    fn reserve(&mut self) -> Option<u32>;
    /// Nothing was installed under it, or what was is removed.
    fn release(&mut self, spi: u32);
}
