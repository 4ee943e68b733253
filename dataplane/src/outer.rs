//! The outer headers of one SA: written in one go in front of the ESP header.
use crate::packet::Summary;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sadb::Encap;
use sadb::sa::{DontFragment, Dscp};
use wire::ecn::{self, Ecn, Ingress};
use wire::iana::IpProtocol;
use wire::{ipv4, ipv6, udp};

const TTL: u8 = 64;

/// What the outer header takes from the packet inside (RFC 4301 §5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub tos: u8,
    pub dont_fragment: bool,
}

impl Marks {
    pub fn new(inner: &Summary, dscp: Dscp, ecn: bool, df: DontFragment) -> Self {
        let ingress = if ecn { Ingress::Normal } else { Ingress::Compatibility };
        let dscp = match dscp {
            Dscp::Out | Dscp::Copy => inner.tos & !3,
            Dscp::No | Dscp::In => 0,
        };
        let dont_fragment = match df {
            // "Copy" from IPv6 copies that routers may not fragment it.
            DontFragment::Copy => inner.dont_fragment,
            DontFragment::Set => true,
            DontFragment::Clear => false,
        };
        Self { tos: ecn::encapsulate(Ecn::of(inner.tos), ingress).apply(dscp), dont_fragment }
    }
}

#[derive(Clone, Copy, Debug)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// One SA's outer headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outer {
    addresses: Addresses,
    encap: Encap,
    len: usize,
}

impl Outer {
    /// Both addresses are of one family: the SAD refuses any other SA.
    pub fn new(local: IpAddr, remote: IpAddr, encap: Encap) -> Self {
        let addresses = match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => Addresses::V4(local, remote),
            (local, remote) => Addresses::V6(six(local), six(remote)),
        };
        let len = crate::pmtu::outer_len(encap, matches!(addresses, Addresses::V6(..)));
        Self { addresses, encap, len }
    }

    /// Octets in front of the ESP header.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the UDP checksum must be computed once the ciphertext stands (RFC 8200 §8.1).
    pub fn wants_checksum(&self) -> bool {
        matches!((self.addresses, self.encap), (Addresses::V6(..), Encap::Udp { .. }))
    }

    /// Whether a UDP datagram with these ports is one of this SA's.
    pub fn carries(&self, ports: Option<(u16, u16)>) -> bool {
        matches!(self.encap, Encap::Udp { local, remote } if ports == Some((local, remote)))
    }

    pub fn is_v4(&self) -> bool {
        matches!(self.addresses, Addresses::V4(..))
    }

    /// Writes the headers of a packet with `esp` octets from the ESP header to the ICV. `None`: `out` is too short.
    pub fn write(&self, out: &mut [u8], esp: usize, marks: Marks, sequence: u64) -> Option<()> {
        let (protocol, udp_len) = match self.encap {
            Encap::Raw => (IpProtocol::ESP, 0),
            Encap::Udp { .. } => (IpProtocol::UDP, udp::HEADER),
        };
        let payload_len = u16::try_from(esp + udp_len).ok()?;
        let rest = match self.addresses {
            Addresses::V4(src, dst) => {
                let (ip, rest) = out.split_first_chunk_mut()?;
                four(src, dst, protocol, payload_len, marks, sequence).emit(ip);
                rest
            }
            Addresses::V6(src, dst) => {
                let (ip, rest) = out.split_first_chunk_mut()?;
                let traffic_class = marks.tos;
                let next_header = protocol;
                let (hop_limit, flow_label) = (TTL, 0);
                ipv6::Repr {
                    src,
                    dst,
                    next_header,
                    hop_limit,
                    traffic_class,
                    flow_label,
                    payload_len,
                }
                .emit(ip);
                rest
            }
        };
        if let Encap::Udp { local, remote } = self.encap {
            let payload_len = u16::try_from(esp).ok()?;
            let header =
                udp::Header { source: local, destination: remote, payload_len, checksum: 0 };
            *rest.first_chunk_mut()? = header.emit();
        }
        Some(())
    }

    /// Fills in the UDP checksum over IPv6 of a sealed packet (RFC 3948 §2.1, RFC 8200 §8.1).
    pub fn checksum(&self, packet: &mut [u8]) -> Option<()> {
        let Addresses::V6(src, dst) = self.addresses else { return None };
        let datagram = packet.get_mut(ipv6::HEADER..)?;
        let sum = udp::checksum(src.into(), dst.into(), datagram);
        datagram.get_mut(6..8)?.copy_from_slice(&sum.to_be_bytes());
        Some(())
    }
}

fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The identification must differ between packets that may be fragmented (RFC 6864 §4.3): the packet's number does.
fn four(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: IpProtocol,
    payload_len: u16,
    marks: Marks,
    sequence: u64,
) -> ipv4::Repr {
    ipv4::Repr {
        src,
        dst,
        protocol,
        ttl: TTL,
        tos: marks.tos,
        id: sequence as u16,
        dont_fragment: marks.dont_fragment,
        more_fragments: false,
        fragment_offset: 0,
        payload_len,
    }
}
