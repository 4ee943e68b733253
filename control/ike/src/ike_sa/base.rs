//! What an IKE SA has in every state.
use crate::action::{Endpoint, Packet};
use crate::event::IkeName;
use crate::settings::{Connection, Encap, Settings};
use crate::why::{Reason, Stage, Why};
use std::sync::Arc;

/// What an IKE SA has in every state.
#[derive(Debug)]
pub(crate) struct Base {
    /// Ours.
    pub(crate) spi: u64,
    /// The peer's; 0 until it is known.
    pub(crate) peer_spi: u64,
    /// Whether we began it: whose SPI stands first, and who sets the Initiator flag.
    pub(crate) initiator: bool,
    /// Until the peer's identity is known, the best guess by its address.
    pub(crate) connection: Arc<Connection>,
    pub(crate) path: Endpoint,
    pub(crate) nat: Nat,
    /// When it began, in milliseconds.
    pub(crate) born: u64,
    pub(crate) purpose: Purpose,
}

/// Where there are NATs between us (RFC 7296 §2.23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nat {
    /// In front of us.
    pub(crate) local: bool,
    /// In front of the peer.
    pub(crate) remote: bool,
    /// Whether ESP travels in UDP.
    pub(crate) udp: bool,
}

/// Why we began an IKE SA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purpose {
    /// Child SAs to make: the first in IKE_AUTH, the others when it is established.
    pub(crate) children: Vec<(Arc<str>, Option<Packet>)>,
    /// The IKE SA whose place it takes: reauthentication.
    pub(crate) replaces: Option<u64>,
    /// We have no other IKE SA with the peer.
    pub(crate) initial_contact: bool,
}

impl Base {
    /// Initiator's and responder's, as the header has them.
    pub(crate) fn spis(&self) -> (u64, u64) {
        if self.initiator { (self.spi, self.peer_spi) } else { (self.peer_spi, self.spi) }
    }

    pub(crate) fn name(&self) -> IkeName {
        IkeName {
            connection: Arc::clone(&self.connection.name),
            local_spi: self.spi,
            remote_spi: self.peer_spi,
            path: self.path,
        }
    }

    pub(crate) fn half_open_until(&self, settings: &Settings) -> u64 {
        self.born.saturating_add(settings.limits.half_open_ms)
    }

    pub(crate) fn why(&self, now: u64, stage: Stage, reason: Reason) -> Why {
        Why::new(now, self.path.remote, stage, reason).connection(&self.connection.name)
    }

    /// What was found out about NATs, and whether ESP goes in UDP then.
    pub(crate) fn found_nat(&mut self, local: bool, remote: bool) {
        let udp = match self.connection.encap {
            Encap::Auto => local || remote,
            Encap::Force => true,
            Encap::Never => false,
        };
        self.nat = Nat { local, remote, udp };
    }

    /// From 500 to 4500 when there is a NAT, or ESP shall be in UDP (RFC 7296 §2.23).
    pub(crate) fn float(&mut self, settings: &Settings) {
        let ports = settings.ports;
        let away = self.path.local.port() == ports.ike;
        if away && (self.nat.local || self.nat.remote || self.nat.udp) {
            self.path.local.set_port(ports.natt);
            if self.path.remote.port() == self.connection.remote_port {
                self.path.remote.set_port(ports.natt);
            }
        }
    }
}
