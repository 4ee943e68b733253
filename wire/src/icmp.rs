//! ICMP (RFC 792): errors that arrive, and the two that a tunnel's entry sends.

use core::{fmt, net::Ipv4Addr};

use crate::{
    Malformed, checksum,
    iana::IpProtocol,
    icmpv6,
    ip::Packet,
    ipv4::{self, Ipv4},
};

/// Octets of the header that all ICMP errors share.
pub const HEADER: usize = 8;
/// An error is at most this long, IP header included (RFC 1812 §4.3.2.3).
pub const MAX_ERROR: usize = 576;

/// Echo Reply (RFC 792).
pub const ECHO_REPLY: u8 = 0;
/// Destination Unreachable (RFC 792).
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Source Quench; obsolete (RFC 6633).
pub const SOURCE_QUENCH: u8 = 4;
/// Redirect (RFC 792).
pub const REDIRECT: u8 = 5;
/// Echo (RFC 792).
pub const ECHO: u8 = 8;
/// Time Exceeded (RFC 792).
pub const TIME_EXCEEDED: u8 = 11;
/// Parameter Problem (RFC 792).
pub const PARAMETER_PROBLEM: u8 = 12;
/// Destination Unreachable code: fragmentation needed and DF set.
pub const FRAGMENTATION_NEEDED: u8 = 4;

/// Internetwork control, as routers mark their errors (RFC 1812 §4.3.2.5).
const TOS: u8 = 0xc0;
const TTL: u8 = 64;

/// Whether messages of this type are errors, which must never be answered by errors (RFC 1122 §3.2.2).
#[inline]
pub const fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// A message as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    header: &'a [u8; HEADER],
    body: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Checks the header and the checksum over all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::BadChecksum`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let (header, body) = octets.split_first_chunk().ok_or(short)?;
        if checksum::sum(octets) != 0xffff {
            return Err(Malformed::BadChecksum);
        }
        Ok(Self { header, body })
    }

    /// The type.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.header[0]
    }
    /// The code, whose meaning depends on the type.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[1]
    }
    /// Whether this is an error message.
    #[inline]
    pub fn is_error(&self) -> bool {
        is_error(self.kind())
    }
    /// The MTU of the next hop that "fragmentation needed" reports; 0 from routers older than RFC 1191.
    /// `None` for any other message.
    pub fn next_hop_mtu(&self) -> Option<u16> {
        let wanted = self.kind() == DESTINATION_UNREACHABLE && self.code() == FRAGMENTATION_NEEDED;
        wanted.then(|| u16::from_be_bytes([self.header[6], self.header[7]]))
    }
    /// The packet an error is about, as far as it is quoted.
    ///
    /// # Errors
    /// [`Malformed::NotAnError`], or what is wrong with the quoted header.
    pub fn quoted(&self) -> Result<Packet<'a>, Malformed> {
        if !self.is_error() {
            return Err(Malformed::NotAnError(self.kind()));
        }
        Ipv4::parse_quoted(self.body).and_then(|_| Packet::parse_quoted(self.body))
    }
}

/// Why a packet is not answered with an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnswered {
    /// The packet itself is malformed.
    Malformed(Malformed),
    /// The builder is for the other family.
    WrongFamily,
    /// It is an ICMP error or redirect, or ICMP whose type cannot be seen.
    IcmpError,
    /// It is a fragment other than the first.
    LaterFragment,
    /// Its source does not name one host.
    Source,
    /// Its destination is a multicast or broadcast address.
    Destination,
    /// `out` is shorter than the answer.
    NoRoom {
        /// Octets needed.
        need: usize,
        /// Octets there.
        have: usize,
    },
}

impl fmt::Display for NotAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "packet is malformed: {why}"),
            Self::WrongFamily => f.write_str("packet is of the other IP version"),
            Self::IcmpError => f.write_str("ICMP errors are not answered with errors"),
            Self::LaterFragment => f.write_str("fragments other than the first are not answered"),
            Self::Source => f.write_str("source address does not name one host"),
            Self::Destination => f.write_str("destination is a multicast or broadcast address"),
            Self::NoRoom { need, have } => write!(f, "answer needs {need} octets, {have} there"),
        }
    }
}

impl core::error::Error for NotAnswered {}

impl From<Malformed> for NotAnswered {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// Whether an ICMP message of either family may be answered with an error: not when it is one, and not when
/// its type cannot be seen.
pub(crate) fn check_not_error(packet: &Packet<'_>) -> Result<(), NotAnswered> {
    let kind = packet.upper().first();
    let fine = match packet.protocol() {
        IpProtocol::ICMP => kind.is_some_and(|kind| !is_error(*kind)),
        IpProtocol::ICMPV6 => kind.is_some_and(|kind| icmpv6::may_be_answered(*kind)),
        _ => true,
    };
    if packet.fragment().is_some_and(|fragment| fragment.offset != 0) {
        Err(NotAnswered::LaterFragment)
    } else if fine {
        Ok(())
    } else {
        Err(NotAnswered::IcmpError)
    }
}

/// RFC 1122 §3.2.2 and RFC 1812 §4.3.2.7: what must not be answered.
fn answerable<'a>(octets: &'a [u8]) -> Result<Ipv4<'a>, NotAnswered> {
    let packet = Packet::parse(octets)?;
    let original = packet.v4().ok_or(NotAnswered::WrongFamily)?;
    check_not_error(&packet)?;
    let (src, dst) = (original.src(), original.dst());
    let [first, ..] = src.octets();
    // Net 0, loopback, multicast, class E and broadcast are nobody's address.
    if matches!(first, 0 | 127 | 224..) {
        return Err(NotAnswered::Source);
    }
    if dst.is_multicast() || dst.is_broadcast() {
        return Err(NotAnswered::Destination);
    }
    Ok(original)
}

/// Writes into `out` a whole IPv4 packet from `router_src` that tells the sender of `original` to make its
/// packets to this destination at most `mtu` octets (RFC 1191 §4), and returns its length.
///
/// # Errors
/// [`NotAnswered`] says why there must be no answer, or that `out` is too short; up to [`MAX_ERROR`] octets
/// are needed.
pub fn fragmentation_needed(
    router_src: Ipv4Addr,
    original: &[u8],
    mtu: u16,
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    let [a, b] = mtu.to_be_bytes();
    let head = [DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0, a, b];
    emit(router_src, answerable(original)?, head, out)
}

/// Writes into `out` a whole IPv4 packet from `router_src` that tells the sender of `original` that its time
/// to live ran out on the way (RFC 792), and returns its length.
///
/// # Errors
/// As [`fragmentation_needed`].
pub fn time_exceeded(
    router_src: Ipv4Addr,
    original: &[u8],
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    emit(router_src, answerable(original)?, [TIME_EXCEEDED, 0, 0, 0, 0, 0, 0, 0], out)
}

fn emit(
    src: Ipv4Addr,
    original: Ipv4<'_>,
    mut head: [u8; HEADER],
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    const ROOM: usize = MAX_ERROR - ipv4::HEADER - HEADER;
    let quote = original.octets().get(..ROOM).unwrap_or(original.octets());
    let need = ipv4::HEADER + HEADER + quote.len();
    let no_room = NotAnswered::NoRoom { need, have: out.len() };
    let out = out.get_mut(..need).ok_or(no_room)?;
    let (ip, message) = out.split_first_chunk_mut().ok_or(no_room)?;
    let (icmp, body) = message.split_first_chunk_mut().ok_or(no_room)?;
    let sum = checksum::add(checksum::sum(&head), checksum::sum(quote));
    [head[2], head[3]] = (!sum).to_be_bytes();
    *icmp = head;
    body.copy_from_slice(quote);
    ipv4::Repr {
        src,
        dst: original.src(),
        protocol: IpProtocol::ICMP,
        ttl: TTL,
        tos: TOS,
        id: 0, // never fragmented (DF), so it need not be unique (RFC 6864 §4.1)
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: (HEADER + quote.len()) as u16,
    }
    .emit(ip);
    Ok(need)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

    fn original(src: [u8; 4], dst: [u8; 4], protocol: u8, offset: u16, upper: &[u8]) -> Vec<u8> {
        let mut header = [0; 20];
        ipv4::Repr {
            src: src.into(),
            dst: dst.into(),
            protocol: IpProtocol(protocol),
            ttl: 64,
            tos: 0,
            id: 0x1234,
            dont_fragment: offset == 0,
            more_fragments: false,
            fragment_offset: offset,
            payload_len: upper.len() as u16,
        }
        .emit(&mut header);
        [&header, upper].concat()
    }

    fn usual(payload: usize) -> Vec<u8> {
        original([10, 1, 0, 2], [10, 2, 0, 2], 17, 0, &vec![0x55; payload])
    }

    /// Checksums computed by another program: type 3, code 4, next-hop MTU 1400, about a UDP datagram of 8 octets.
    #[test]
    fn fragmentation_needed_is_written_octet_for_octet() {
        let original =
            original([10, 1, 0, 2], [10, 2, 0, 2], 17, 0, &[0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        let mut out = [0xee; MAX_ERROR];
        let len = fragmentation_needed(ROUTER, &original, 1400, &mut out).unwrap();
        #[rustfmt::skip]
        let want = [
            0x45, 0xc0, 0x00, 0x38, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x26, 0x01, 10, 1, 0, 1, 10, 1, 0, 2,
            0x03, 0x04, 0xe3, 0xbe, 0x00, 0x00, 0x05, 0x78,
            0x45, 0x00, 0x00, 0x1c, 0x12, 0x34, 0x40, 0x00, 0x40, 0x11, 0x14, 0x97, 10, 1, 0, 2, 10, 2, 0, 2,
            0x13, 0x88, 0x00, 0x35, 0x00, 0x08, 0x00, 0x00,
        ];
        assert_eq!(out[..len], want);
        assert!(out[len..].iter().all(|octet| *octet == 0xee), "nothing behind it is touched");
    }

    #[test]
    fn an_error_is_read_back_with_its_mtu_and_its_quote_and_never_exceeds_576_octets() {
        for (payload, total) in [(0, 48), (8, 56), (527, 575), (528, 576), (529, 576), (8000, 576)]
        {
            let original = usual(payload);
            let mut out = [0; MAX_ERROR];
            let len = fragmentation_needed(ROUTER, &original, 1438, &mut out).unwrap();
            assert_eq!(len, total);
            let ip = Ipv4::parse(&out[..len]).unwrap();
            assert_eq!((ip.src(), ip.dst(), ip.protocol()), (ROUTER, HOST, IpProtocol::ICMP));
            let icmp = Icmp::parse(ip.payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.code(), icmp.next_hop_mtu()), (3, 4, Some(1438)));
            let quoted = icmp.quoted().unwrap();
            assert_eq!((quoted.total_len(), quoted.protocol()), (original.len(), IpProtocol::UDP));
            assert_eq!(quoted.octets(), &original[..total - 28]);

            let len = time_exceeded(ROUTER, &original, &mut out).unwrap();
            let icmp = Icmp::parse(Ipv4::parse(&out[..len]).unwrap().payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.code(), icmp.next_hop_mtu()), (11, 0, None));
            assert!(icmp.is_error() && icmp.quoted().is_ok());
        }
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let from = |src, dst| original(src, dst, 17, 0, &[0; 8]);
        let icmp = |kind: u8| original([10, 1, 0, 2], [10, 2, 0, 2], 1, 0, &[kind, 0, 0, 0]);
        let (host, peer) = ([10, 1, 0, 2], [10, 2, 0, 2]);
        let mut v6 = [0; 48];
        v6[0] = 0x60;
        (v6[5], v6[6]) = (8, 17);
        for (octets, want) in [
            (from([0, 0, 0, 0], peer), Some(NotAnswered::Source)),
            (from([0, 1, 2, 3], peer), Some(NotAnswered::Source)),
            (from([127, 0, 0, 1], peer), Some(NotAnswered::Source)),
            (from([224, 0, 0, 1], peer), Some(NotAnswered::Source)),
            (from([240, 0, 0, 1], peer), Some(NotAnswered::Source)),
            (from([255, 255, 255, 255], peer), Some(NotAnswered::Source)),
            (from([223, 255, 255, 1], peer), None),
            (from(host, [224, 0, 0, 251]), Some(NotAnswered::Destination)),
            (from(host, [255, 255, 255, 255]), Some(NotAnswered::Destination)),
            (original(host, peer, 17, 8, &[0; 8]), Some(NotAnswered::LaterFragment)),
            (original(host, peer, 1, 8, &[8; 8]), Some(NotAnswered::LaterFragment)),
            (icmp(3), Some(NotAnswered::IcmpError)),
            (icmp(4), Some(NotAnswered::IcmpError)),
            (icmp(5), Some(NotAnswered::IcmpError)),
            (icmp(11), Some(NotAnswered::IcmpError)),
            (icmp(12), Some(NotAnswered::IcmpError)),
            (original(host, peer, 1, 0, &[]), Some(NotAnswered::IcmpError)),
            (icmp(8), None),
            (icmp(0), None),
            (icmp(13), None),
            (v6.to_vec(), Some(NotAnswered::WrongFamily)),
            (vec![0x45], {
                Some(NotAnswered::Malformed(Malformed::Truncated { need: 20, have: 1 }))
            }),
        ] {
            let mut out = [0; MAX_ERROR];
            let got = fragmentation_needed(ROUTER, &octets, 1400, &mut out).err();
            assert_eq!(got, want, "{octets:02x?}");
            assert_eq!(time_exceeded(ROUTER, &octets, &mut out).err(), want);
            assert!(want.is_none() || out == [0; MAX_ERROR], "nothing is written");
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_is_left_alone() {
        let original = usual(8);
        for have in 0..56 {
            let mut out = vec![0; have];
            let want = NotAnswered::NoRoom { need: 56, have };
            assert_eq!(fragmentation_needed(ROUTER, &original, 1400, &mut out), Err(want));
        }
    }

    #[test]
    fn a_message_cut_or_changed_anywhere_is_refused() {
        let mut out = [0; MAX_ERROR];
        let len = fragmentation_needed(ROUTER, &usual(8), 1400, &mut out).unwrap();
        let message = &out[20..len];
        for have in 0..HEADER {
            let want = Malformed::Truncated { need: HEADER, have };
            assert_eq!(Icmp::parse(&message[..have]).unwrap_err(), want);
        }
        for bit in 0..message.len() * 8 {
            let mut flipped = message.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Icmp::parse(&flipped).unwrap_err(), Malformed::BadChecksum);
        }
    }

    /// Redirects and the like carry a checksum but maybe no packet; an echo quotes nothing.
    #[test]
    fn a_quote_must_be_there_and_of_this_family() {
        let message = |kind: u8, body: &[u8]| {
            let mut message = [&[kind, 0, 0, 0, 0, 0, 0, 0], body].concat();
            [message[2], message[3]] = checksum::checksum(&message).to_be_bytes();
            message
        };
        let quote = usual(8);
        for (message, want) in [
            (message(8, &quote), Some(Malformed::NotAnError(8))),
            (message(3, &[]), Some(Malformed::Truncated { need: 20, have: 0 })),
            (message(3, &quote[..19]), Some(Malformed::Truncated { need: 20, have: 19 })),
            (message(3, &[0x60; 48]), Some(Malformed::BadVersion(6))),
            (message(3, &quote[..20]), None),
            (message(3, &quote), None),
        ] {
            assert_eq!(Icmp::parse(&message).unwrap().quoted().err(), want);
        }
    }
}
