//! What the configuration says, in the core's words. Control makes it from the file; the core only reads it.
use crate::Key;
use crate::proposal::Proposal;
use pki::{Certificate, Identity, Pattern, PrivateKey, PublicKey, Trust};
use std::net::IpAddr;
use std::sync::Arc;
use wire::selector::{AddressRange, PortRange};

/// Everything that is configured.
#[derive(Debug, Default)]
pub struct Settings {
    /// In the order of the file: of two that fit a peer equally well, the first is taken.
    pub connections: Vec<Arc<Connection>>,
    /// Where IKE is spoken.
    pub ports: Ports,
    /// How much strangers and peers may cost.
    pub limits: Limits,
    /// When a request is sent again.
    pub retransmission: Schedule,
}

impl Settings {
    /// The connection with this name.
    pub fn connection(&self, name: &str) -> Option<&Arc<Connection>> {
        self.connections.iter().find(|connection| &*connection.name == name)
    }
}

/// Our UDP ports (RFC 7296 §2, RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Without a marker: 500.
    pub ike: u16,
    /// With the non-ESP marker, shared with ESP in UDP: 4500.
    pub natt: u16,
}
impl Default for Ports {
    fn default() -> Self {
        Self { ike: 500, natt: 4500 }
    }
}

/// Bounds on what others may make us do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Half-open IKE SAs above which every stranger needs a cookie.
    pub cookie_above: usize,
    /// Half-open IKE SAs above which nobody new is answered.
    pub half_open: usize,
    /// Half-open IKE SAs of one source address above which that source needs a cookie.
    pub cookie_above_per_source: usize,
    /// Half-open IKE SAs of one source address above which it is not answered. Generous: a whole site may sit behind one
    /// address.
    pub half_open_per_source: usize,
    /// Child SAs of one IKE SA.
    pub children: usize,
    /// CREATE_CHILD_SA requests that a peer may make in a minute.
    pub creations_per_minute: u32,
    /// How long an exchange that a stranger began may stay half open, in milliseconds.
    pub half_open_ms: u64,
    /// Octets of messages that are not complete (RFC 7383), over all peers. Those that have not proved who they are may have
    /// half of it.
    pub reassembly: usize,
}
impl Default for Limits {
    fn default() -> Self {
        Self {
            cookie_above: 64,
            half_open: 4096,
            cookie_above_per_source: 8,
            half_open_per_source: 512,
            children: 256,
            creations_per_minute: 240,
            half_open_ms: 30_000,
            reassembly: 16 << 20,
        }
    }
}

/// When an unanswered request is sent again, and when its sender gives up (RFC 7296 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The first wait, in milliseconds.
    pub first_ms: u64,
    /// Each wait is so many tenths of the one before.
    pub factor_tenths: u64,
    /// No wait is longer, in milliseconds.
    pub cap_ms: u64,
    /// How many times the request is sent again before its sender gives up.
    pub tries: u32,
}
impl Default for Schedule {
    fn default() -> Self {
        Self { first_ms: 1000, factor_tenths: 18, cap_ms: 30_000, tries: 8 }
    }
}

/// One peer, or one kind of peer.
#[derive(Debug)]
pub struct Connection {
    /// As in the file.
    pub name: Arc<str>,
    /// A digest of everything below but credentials: a connection whose digest stays goes on undisturbed when a new
    /// configuration is applied, and new credentials are used at its next authentication.
    pub digest: [u8; 16],
    /// Our addresses; the first of the peer's family is used to initiate. Empty: any, and we never initiate.
    pub local: Vec<IpAddr>,
    /// Addresses that the peer may have. Empty: any. We initiate to the first when it is a single address.
    pub remote: Vec<AddressRange>,
    /// The port to initiate to: 500.
    pub remote_port: u16,
    /// How we prove who we are.
    pub local_auth: LocalAuth,
    /// What the peer must prove.
    pub remote_auth: RemoteAuth,
    /// For the IKE SA, the best first.
    pub proposals: Vec<Proposal>,
    /// What is protected.
    pub children: Vec<Arc<Child>>,
    /// When the IKE SA is replaced.
    pub lifetime: IkeLifetime,
    /// Liveness checks; `None`: never.
    pub dpd: Option<Dpd>,
    /// ESP in UDP.
    pub encap: Encap,
    /// RFC 7383; `None`: never fragment, and do not announce it.
    pub fragmentation: Option<Fragmentation>,
    /// When one peer has two IKE SAs.
    pub unique: Unique,
    /// Allow algorithms that can be broken. Proposals without them are the configuration's business; the core reports it.
    pub legacy: bool,
    /// Milliseconds between NAT keepalives while we are behind a NAT (RFC 3948 §4); 0: none.
    pub keepalive_ms: u64,
    /// Bring the IKE SA up without a Child SA (RFC 6023) when the peer can do so.
    pub childless: bool,
    /// How often an initiation that fails is begun anew; `None`: for ever.
    pub attempts: Option<u32>,
}

impl Connection {
    /// The child with this name.
    pub fn child(&self, name: &str) -> Option<&Arc<Child>> {
        self.children.iter().find(|child| &*child.name == name)
    }
    /// Where to initiate from and to. `None`: only the peer can begin.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        let remote = self.remote.first().filter(|range| range.first() == range.last())?.first();
        let local = self.local.iter().find(|local| local.is_ipv4() == remote.is_ipv4())?;
        Some((*local, remote))
    }
    /// How well these addresses fit: `None` not at all; higher is more specific.
    pub fn fits(&self, local: IpAddr, remote: IpAddr) -> Option<u8> {
        if !self.local.is_empty() && !self.local.contains(&local) {
            return None;
        }
        let exact = |range: &AddressRange| range.first() == range.last();
        match self.remote.iter().find(|range| range.contains(remote)) {
            Some(range) => Some(if exact(range) { 2 } else { 1 }),
            None => self.remote.is_empty().then_some(0),
        }
    }
}

/// Our identity and how we prove it.
#[derive(Clone, Debug)]
pub struct LocalAuth {
    /// What we send as ID.
    pub identity: Identity,
    /// How it is proved.
    pub credential: Credential,
}

/// What we prove our identity with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A shared key (RFC 7296 §2.15).
    Psk(Arc<Key>),
    /// A signature, with the certificates that are sent along: our own first.
    Certificate {
        /// Its key.
        key: Arc<PrivateKey>,
        /// Our own, then intermediates.
        chain: Vec<Certificate>,
    },
    /// A signature with a key that the peer knows (RFC 7670); sent along.
    RawKey(Arc<PrivateKey>),
}

/// The identities that a peer may have, and how it must prove the one it claims.
#[derive(Clone, Debug)]
pub struct RemoteAuth {
    /// One of these must match; empty: any that the proof covers.
    pub identities: Vec<Pattern>,
    /// How. The peer cannot choose.
    pub accept: Accept,
}

/// The one way in which a peer may prove its identity.
#[derive(Clone, Debug)]
pub enum Accept {
    /// A shared key.
    Psk(Arc<Key>),
    /// A signature with a certificate that leads to one of these anchors and carries the identity.
    Certificate(Arc<Trust>),
    /// A signature with one of these keys.
    RawKey(Vec<Arc<PublicKey>>),
}

impl Accept {
    /// As in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Psk(_) => "psk",
            Self::Certificate(_) => "certificate",
            Self::RawKey(_) => "raw key",
        }
    }
}

/// When the IKE SA is replaced. Seconds; 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeLifetime {
    /// Rekeyed after so long.
    pub rekey: u64,
    /// Reauthenticated, by a new IKE SA that is made before the old one is broken.
    pub reauth: u64,
    /// After the rekey was due, so much more until the IKE SA dies.
    pub over: u64,
    /// Up to this share of `rekey` and `reauth`, in percent, is taken off at random.
    pub jitter: u8,
}
impl Default for IkeLifetime {
    fn default() -> Self {
        Self { rekey: 4 * 3600, reauth: 0, over: 1440, jitter: 10 }
    }
}

/// Dead peer detection by liveness checks (RFC 7296 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpd {
    /// A check when nothing was heard for so many milliseconds.
    pub delay_ms: u64,
}

/// Whether ESP travels in UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encap {
    /// When there is a NAT between us.
    #[default]
    Auto,
    /// Always: we say that we are behind a NAT.
    Force,
    /// Never, also with a NAT between us.
    Never,
}

/// IKE fragmentation (RFC 7383).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragmentation {
    /// The largest IP packet we send, in octets.
    pub size: u16,
}
impl Default for Fragmentation {
    fn default() -> Self {
        Self { size: 1280 }
    }
}

/// What happens when a peer that has an IKE SA makes another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unique {
    /// The new one replaces the old one.
    #[default]
    Replace,
    /// The new one is refused.
    Keep,
    /// A peer may have many.
    Never,
}

/// What one Child SA protects, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Child {
    /// As in the file.
    pub name: Arc<str>,
    /// Our side.
    pub local_ts: Vec<Traffic>,
    /// The peer's side.
    pub remote_ts: Vec<Traffic>,
    /// For ESP, the best first. Groups in them mean PFS.
    pub proposals: Vec<Proposal>,
    /// When it is replaced.
    pub lifetime: ChildLifetime,
    /// When it is made.
    pub start: Start,
    /// What is done when the peer is dead.
    pub on_dead: Then,
    /// What is done when the peer closes it.
    pub on_close: Then,
}

/// One traffic selector of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// `None`: that side's own outer address.
    pub addresses: Option<AddressRange>,
    /// 0: any.
    pub protocol: u8,
    /// Of that side.
    pub ports: PortRange,
}

/// When a Child SA is replaced and when it dies. Whichever limit is reached first counts; 0: no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLifetime {
    /// Replaced after so many seconds.
    pub rekey_seconds: u64,
    /// Dead after so many seconds.
    pub hard_seconds: u64,
    /// Replaced after so many octets.
    pub rekey_bytes: u64,
    /// Dead after so many octets.
    pub hard_bytes: u64,
    /// Replaced after so many packets.
    pub rekey_packets: u64,
    /// Dead after so many packets.
    pub hard_packets: u64,
    /// Up to this share of each `rekey` limit, in percent, is taken off at random.
    pub jitter: u8,
}
impl Default for ChildLifetime {
    fn default() -> Self {
        Self {
            rekey_seconds: 3600,
            hard_seconds: 3960,
            rekey_bytes: 0,
            hard_bytes: 0,
            rekey_packets: 0,
            hard_packets: 0,
            jitter: 10,
        }
    }
}

/// When a Child SA is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At once.
    #[default]
    Auto,
    /// When there is a packet for it.
    OnDemand,
    /// By order, or by the peer.
    Manual,
}

/// What is done when a Child SA is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Make it anew.
    Restart,
    /// Make it anew when there is a packet for it.
    Trap,
    /// Nothing, until it is ordered up or the configuration changes; its trap is taken away.
    #[default]
    Clear,
}
