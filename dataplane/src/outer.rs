//! The outer headers of one SA: written in one go in front of the ESP header.
use crate::packet::Summary;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sadb::Encap;
use sadb::sa::{DontFragment, Dscp};
use wire::ecn::{self, Ecn, Ingress};
use wire::iana::IpProtocol;
use wire::{checksum, ipv4, ipv6, udp};

const TTL: u8 = 64;

/// What the outer header takes from the packet inside (RFC 4301 §5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub tos: u8,
    pub dont_fragment: bool,
}

impl Marks {
    #[inline]
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
enum Headers {
    /// The IPv4 header but for length, identification, DSCP with ECN, and DF; and the sum of its words.
    V4 {
        template: [u8; ipv4::HEADER],
        sum: u16,
    },
    V6(Ipv6Addr, Ipv6Addr),
}

/// One SA's outer headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outer {
    headers: Headers,
    encap: Encap,
    len: u8,
}

impl Outer {
    /// Both addresses are of one family: the SAD refuses any other SA.
    pub fn new(local: IpAddr, remote: IpAddr, encap: Encap) -> Self {
        let headers = match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => four(local, remote, protocol(encap)),
            (local, remote) => Headers::V6(six(local), six(remote)),
        };
        let len = crate::pmtu::outer_len(encap, matches!(headers, Headers::V6(..))) as u8;
        Self { headers, encap, len }
    }

    /// Octets in front of the ESP header.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether the UDP checksum must be computed once the ciphertext stands (RFC 8200 §8.1).
    pub fn wants_checksum(&self) -> bool {
        matches!((&self.headers, self.encap), (Headers::V6(..), Encap::Udp { .. }))
    }

    /// Whether a UDP datagram with these ports is one of this SA's.
    pub fn carries(&self, ports: Option<(u16, u16)>) -> bool {
        matches!(self.encap, Encap::Udp { local, remote } if ports == Some((local, remote)))
    }

    #[inline]
    pub fn is_v4(&self) -> bool {
        matches!(self.headers, Headers::V4 { .. })
    }

    #[inline]
    fn ip_len(&self) -> usize {
        if self.is_v4() { ipv4::HEADER } else { ipv6::HEADER }
    }

    /// Writes the headers of a packet with `esp` octets from the ESP header to the ICV. `None`: `out` is too short.
    #[inline]
    pub fn write(&self, out: &mut [u8], esp: usize, marks: Marks, sequence: u64) -> Option<()> {
        let payload_len = u16::try_from(usize::from(self.len) - self.ip_len() + esp).ok()?;
        let rest = match &self.headers {
            Headers::V4 { template, sum } => {
                let (ip, rest) = out.split_first_chunk_mut()?;
                *ip = fill(*template, *sum, payload_len, marks, sequence);
                rest
            }
            &Headers::V6(src, dst) => {
                let (ip, rest) = out.split_first_chunk_mut()?;
                six_header(src, dst, protocol(self.encap), payload_len, marks).emit(ip);
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
        let Headers::V6(src, dst) = self.headers else { return None };
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

fn protocol(encap: Encap) -> IpProtocol {
    match encap {
        Encap::Raw => IpProtocol::ESP,
        Encap::Udp { .. } => IpProtocol::UDP,
    }
}

fn four(src: Ipv4Addr, dst: Ipv4Addr, protocol: IpProtocol) -> Headers {
    let mut template = [0; ipv4::HEADER];
    ipv4::Repr {
        src,
        dst,
        protocol,
        ttl: TTL,
        tos: 0,
        id: 0,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: 0,
    }
    .emit(&mut template);
    // Only of what `fill` leaves as it is: TTL and protocol, and the addresses.
    let [.., ttl, protocol, _, _, a, b, c, d, e, f, g, h] = template;
    let sum = checksum::sum(&[ttl, protocol, a, b, c, d, e, f, g, h]);
    Headers::V4 { template, sum }
}

/// The identification must differ between packets that may be fragmented (RFC 6864 §4.3): the packet's number does.
#[inline]
fn fill(
    mut ip: [u8; ipv4::HEADER],
    sum: u16,
    payload_len: u16,
    marks: Marks,
    sequence: u64,
) -> [u8; ipv4::HEADER] {
    let first = [0x45, marks.tos];
    let total_len = payload_len.saturating_add(ipv4::HEADER as u16);
    let id = sequence as u16;
    let flags = u16::from(marks.dont_fragment) << 14;
    let words = [u16::from_be_bytes(first), total_len, id, flags, sum];
    let sum = !checksum::fold(words.into_iter().map(u64::from).sum());
    let fields = [first, total_len.to_be_bytes(), id.to_be_bytes(), flags.to_be_bytes()];
    if let Some(head) = ip.first_chunk_mut::<8>() {
        head.copy_from_slice(fields.as_flattened());
    }
    [ip[10], ip[11]] = sum.to_be_bytes();
    ip
}

#[inline]
fn six_header(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    next_header: IpProtocol,
    payload_len: u16,
    marks: Marks,
) -> ipv6::Repr {
    let (hop_limit, flow_label, traffic_class) = (TTL, 0, marks.tos);
    ipv6::Repr { src, dst, next_header, hop_limit, traffic_class, flow_label, payload_len }
}
