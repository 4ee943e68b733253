//! A packet on its walk: the frame that holds it, and what its headers said when they were checked.
use crate::spd::Flow;
use core::net::{IpAddr, Ipv4Addr};
use sadb::DropReason;
use wire::iana::IpProtocol;
use wire::ipv4::Ipv4;
use wire::{Malformed, ip};
use xsk::Frame;

/// Whose packet it is: decides whether its TTL counts down and where an error about it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A neighbour on the plaintext side.
    Inside {
        /// Where it arrived.
        port: usize,
    },
    /// In the clear from the ciphertext side.
    Outside,
    /// Out of a tunnel.
    Tunnel,
    /// The gateway's own kernel.
    Kernel,
    /// An ICMP error of our making.
    Ours,
}

impl Origin {
    /// Whether we forward it for somebody else (RFC 1812 §5.3.1): then its TTL counts down.
    pub fn is_forwarded(self) -> bool {
        matches!(self, Self::Inside { .. } | Self::Outside | Self::Tunnel)
    }
}

/// The facts of a checked IP header, by value, so that they outlive the borrow of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Upper-layer protocol, behind IPv6 extension headers.
    pub protocol: IpProtocol,
    /// DSCP and ECN.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Whether a router must not fragment it; always in IPv6.
    pub dont_fragment: bool,
    /// Octets before the upper layer.
    pub header_len: usize,
    /// Octets in all.
    pub total_len: usize,
    /// Source and destination port as policy compares them.
    pub ports: Option<(u16, u16)>,
    /// Which fragment it is, if it is one.
    pub fragment: Option<ip::Fragment>,
    /// IPv6 only; else 0.
    pub flow_label: u32,
}

impl Summary {
    /// Of no packet.
    pub(crate) const BLANK: Self = Self {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: IpProtocol(0),
        tos: 0,
        ttl: 0,
        dont_fragment: false,
        header_len: 0,
        total_len: 0,
        ports: None,
        fragment: None,
        flow_label: 0,
    };

    /// Checks an IP packet; octets behind it are link padding.
    ///
    /// # Errors
    /// The drop reason that names the fault.
    pub fn of(octets: &[u8]) -> Result<Self, DropReason> {
        let mut summary = Self::BLANK;
        summary.read(octets)?;
        Ok(summary)
    }

    /// [`Summary::of`] in the place where the summary will stay: on the walk it is never moved, since that would wait
    /// for every field to be written.
    #[inline(always)]
    pub(crate) fn read(&mut self, octets: &[u8]) -> Result<(), DropReason> {
        match octets.first() {
            Some(0x40..0x50) => self.note(&Ipv4::parse(octets).map_err(reason)?.into()),
            _ => self.read_six(octets)?,
        }
        Ok(())
    }

    #[inline(never)]
    fn read_six(&mut self, octets: &[u8]) -> Result<(), DropReason> {
        self.note(&ip::Packet::parse(octets).map_err(reason)?);
        Ok(())
    }

    #[inline(always)]
    fn note(&mut self, packet: &ip::Packet<'_>) {
        self.source = packet.src();
        self.destination = packet.dst();
        self.protocol = packet.protocol();
        self.tos = packet.tos();
        self.ttl = packet.ttl();
        self.dont_fragment = packet.dont_fragment();
        self.header_len = packet.header_len();
        self.total_len = packet.total_len();
        self.ports = packet.ports();
        self.fragment = packet.fragment();
        self.flow_label = packet.flow_label();
    }

    /// Whether it is IPv4.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// Whether it is a fragment that does not show the upper layer's header.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }

    /// Whether policy sees no difference.
    #[inline(always)]
    pub(crate) fn is_of_flow(&self, other: &Self) -> bool {
        self.destination == other.destination
            && self.source == other.source
            && self.protocol == other.protocol
            && self.ports == other.ports
    }

    /// As policy sees what leaves: the source is on our side.
    #[inline(always)]
    pub fn leaving(&self) -> Flow {
        Flow {
            local: self.source,
            remote: self.destination,
            protocol: self.protocol.0,
            ports: self.ports,
        }
    }

    /// As policy sees what arrives: the source is on the peer's side.
    #[inline(always)]
    pub fn arriving(&self) -> Flow {
        Flow {
            local: self.destination,
            remote: self.source,
            protocol: self.protocol.0,
            ports: self.ports.map(|(source, destination)| (destination, source)),
        }
    }
}

fn reason(why: Malformed) -> DropReason {
    match why {
        Malformed::BadExtension { .. } | Malformed::TooManyExtensions | Malformed::Jumbogram => {
            DropReason::MalformedExtension
        }
        Malformed::BadFragment { .. } => DropReason::FragmentOverlap,
        _ => DropReason::MalformedIp,
    }
}

/// A plain IP packet on its walk: the frame holds it and nothing else.
#[derive(Debug)]
pub(crate) struct Plain {
    pub frame: Frame,
    pub ip: Summary,
    pub origin: Origin,
}
