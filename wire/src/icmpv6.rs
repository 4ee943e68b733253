//! ICMPv6 (RFC 4443): errors that arrive, and the two that a tunnel's entry sends.

use core::net::Ipv6Addr;

pub use crate::icmp::NotAnswered;
use crate::{
    Malformed, checksum,
    iana::IpProtocol,
    icmp,
    ip::Packet,
    ipv6::{self, Ipv6},
};

/// Octets of the header that all ICMPv6 errors share.
pub const HEADER: usize = 8;
/// An error is at most this long, IPv6 header included (RFC 4443 §2.4(c)).
pub const MAX_ERROR: usize = ipv6::MIN_MTU;

/// Destination Unreachable (RFC 4443 §3.1).
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// Packet Too Big (RFC 4443 §3.2).
pub const PACKET_TOO_BIG: u8 = 2;
/// Time Exceeded (RFC 4443 §3.3).
pub const TIME_EXCEEDED: u8 = 3;
/// Parameter Problem (RFC 4443 §3.4).
pub const PARAMETER_PROBLEM: u8 = 4;
/// Echo Request (RFC 4443 §4.1).
pub const ECHO_REQUEST: u8 = 128;
/// Echo Reply (RFC 4443 §4.2).
pub const ECHO_REPLY: u8 = 129;
/// Router Solicitation (RFC 4861 §4.1), the first of the neighbour discovery messages.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Redirect (RFC 4861 §4.5), the last of the neighbour discovery messages.
pub const REDIRECT: u8 = 137;

const HOP_LIMIT: u8 = 64;
/// CS6, as the IPv4 twin marks its errors.
const TRAFFIC_CLASS: u8 = 0xc0;

/// Whether messages of this type are errors (RFC 4443 §2.1).
#[inline]
pub const fn is_error(kind: u8) -> bool {
    kind < 128
}

/// Whether a message of this type may be answered with an error (RFC 4443 §2.4(e)).
#[inline]
pub const fn may_be_answered(kind: u8) -> bool {
    !is_error(kind) && kind != REDIRECT
}

/// A message as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6<'a> {
    header: &'a [u8; HEADER],
    body: &'a [u8],
}

impl<'a> Icmpv6<'a> {
    /// Checks the header, and the checksum over `octets` and the pseudo-header of these addresses.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::BadChecksum`].
    pub fn parse(src: Ipv6Addr, dst: Ipv6Addr, octets: &'a [u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let (header, body) = octets.split_first_chunk().ok_or(short)?;
        let pseudo = checksum::pseudo_v6(src, dst, IpProtocol::ICMPV6, octets.len() as u32);
        if checksum::add(pseudo, checksum::sum(octets)) != 0xffff {
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
    /// The MTU of the next hop that Packet Too Big reports, as it was sent: it may be absurd.
    /// `None` for any other message.
    pub fn mtu(&self) -> Option<u32> {
        let [.., a, b, c, d] = *self.header;
        (self.kind() == PACKET_TOO_BIG).then_some(u32::from_be_bytes([a, b, c, d]))
    }
    /// The packet an error is about, as far as it is quoted.
    ///
    /// # Errors
    /// [`Malformed::NotAnError`], or what is wrong with the quoted headers.
    pub fn quoted(&self) -> Result<Packet<'a>, Malformed> {
        if !self.is_error() {
            return Err(Malformed::NotAnError(self.kind()));
        }
        Ipv6::parse_quoted(self.body).and_then(|_| Packet::parse_quoted(self.body))
    }
}

/// RFC 4443 §2.4(e): what must not be answered. Packet Too Big alone may answer multicast (§2.4(e.3)), since
/// path MTU discovery works for it too.
fn answerable(octets: &[u8], multicast: bool) -> Result<Ipv6<'_>, NotAnswered> {
    let packet = Packet::parse(octets)?;
    let original = packet.v6().ok_or(NotAnswered::WrongFamily)?;
    icmp::check_not_error(&packet)?;
    let src = original.src();
    if src.is_unspecified() || src.is_multicast() || src.is_loopback() {
        return Err(NotAnswered::Source);
    }
    if original.dst().is_multicast() && !multicast {
        return Err(NotAnswered::Destination);
    }
    Ok(original)
}

/// Writes into `out` a whole IPv6 packet from `router_src` that tells the sender of `original` to make its
/// packets to this destination at most `mtu` octets (RFC 4443 §3.2), and returns its length.
///
/// # Errors
/// [`NotAnswered`] says why there must be no answer, or that `out` is too short; up to [`MAX_ERROR`] octets
/// are needed.
pub fn packet_too_big(
    router_src: Ipv6Addr,
    original: &[u8],
    mtu: u32,
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    let [a, b, c, d] = mtu.to_be_bytes();
    emit(router_src, answerable(original, true)?, [PACKET_TOO_BIG, 0, 0, 0, a, b, c, d], out)
}

/// Writes into `out` a whole IPv6 packet from `router_src` that tells the sender of `original` that its hop
/// limit ran out on the way (RFC 4443 §3.3), and returns its length.
///
/// # Errors
/// As [`packet_too_big`].
pub fn time_exceeded(
    router_src: Ipv6Addr,
    original: &[u8],
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    emit(router_src, answerable(original, false)?, [TIME_EXCEEDED, 0, 0, 0, 0, 0, 0, 0], out)
}

fn emit(
    src: Ipv6Addr,
    original: Ipv6<'_>,
    mut head: [u8; HEADER],
    out: &mut [u8],
) -> Result<usize, NotAnswered> {
    const ROOM: usize = MAX_ERROR - ipv6::HEADER - HEADER;
    let quote = original.octets().get(..ROOM).unwrap_or(original.octets());
    let length = HEADER + quote.len();
    let no_room = NotAnswered::NoRoom { need: ipv6::HEADER + length, have: out.len() };
    let out = out.get_mut(..ipv6::HEADER + length).ok_or(no_room)?;
    let (ip, message) = out.split_first_chunk_mut().ok_or(no_room)?;
    let (icmp, body) = message.split_first_chunk_mut().ok_or(no_room)?;
    let dst = original.src();
    let pseudo = checksum::pseudo_v6(src, dst, IpProtocol::ICMPV6, length as u32);
    let sum = checksum::add(pseudo, checksum::add(checksum::sum(&head), checksum::sum(quote)));
    [head[2], head[3]] = (!sum).to_be_bytes();
    *icmp = head;
    body.copy_from_slice(quote);
    ipv6::Repr {
        src,
        dst,
        next_header: IpProtocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        traffic_class: TRAFFIC_CLASS,
        flow_label: 0,
        payload_len: length as u16,
    }
    .emit(ip);
    Ok(ipv6::HEADER + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "fd01::2";
    const PEER: &str = "fd02::2";

    fn router() -> Ipv6Addr {
        "fd01::1".parse().unwrap()
    }

    fn original(src: &str, dst: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        ipv6::Repr {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            next_header: IpProtocol(next_header),
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: payload.len() as u16,
        }
        .emit(&mut header);
        [&header, payload].concat()
    }

    /// Checksum computed by another program: type 2, MTU 1400, about a UDP datagram of 8 octets.
    #[test]
    fn packet_too_big_is_written_octet_for_octet() {
        let original = original(HOST, PEER, 17, &[0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        let mut out = [0xee; MAX_ERROR];
        let len = packet_too_big(router(), &original, 1400, &mut out).unwrap();
        #[rustfmt::skip]
        let want = [
            0x6c, 0, 0, 0, 0, 56, 58, 64,
            0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
            0x02, 0x00, 0x7e, 0xf8, 0x00, 0x00, 0x05, 0x78,
            0x60, 0, 0, 0, 0, 8, 17, 64,
            0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
            0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
            0x13, 0x88, 0x00, 0x35, 0x00, 0x08, 0x00, 0x00,
        ];
        assert_eq!(out[..len], want);
        assert!(out[len..].iter().all(|octet| *octet == 0xee), "nothing behind it is touched");
    }

    #[test]
    fn an_error_is_read_back_and_never_exceeds_the_minimum_mtu() {
        for (payload, total) in [(0, 88), (1191, 1279), (1192, 1280), (1193, 1280), (8000, 1280)] {
            let original = original(HOST, PEER, 17, &vec![0x55; payload]);
            let mut out = [0; MAX_ERROR];
            let len = packet_too_big(router(), &original, 1400, &mut out).unwrap();
            assert_eq!(len, total);
            let ip = Ipv6::parse(&out[..len]).unwrap();
            assert_eq!((ip.src(), ip.dst()), (router(), HOST.parse().unwrap()));
            let icmp = Icmpv6::parse(ip.src(), ip.dst(), ip.payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.code(), icmp.mtu()), (2, 0, Some(1400)));
            let quoted = icmp.quoted().unwrap();
            assert_eq!(
                (quoted.total_len(), quoted.octets()),
                (original.len(), &original[..total - 48])
            );

            let len = time_exceeded(router(), &original, &mut out).unwrap();
            let ip = Ipv6::parse(&out[..len]).unwrap();
            let icmp = Icmpv6::parse(ip.src(), ip.dst(), ip.payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.mtu(), icmp.quoted().is_ok()), (3, None, true));
        }
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let icmp = |kind: u8| original(HOST, PEER, 58, &[kind, 0, 0, 0]);
        let fragment = |offset: u8, kind: u8| {
            original(HOST, PEER, 44, &[58, 0, 0, offset, 0, 0, 0, 1, kind, 0, 0, 0])
        };
        let udp = |src, dst| original(src, dst, 17, &[0; 8]);
        let error = Some(NotAnswered::IcmpError);
        for (octets, too_big, exceeded) in [
            (udp("::", PEER), Some(NotAnswered::Source), Some(NotAnswered::Source)),
            (udp("::1", PEER), Some(NotAnswered::Source), Some(NotAnswered::Source)),
            (udp("ff02::1", PEER), Some(NotAnswered::Source), Some(NotAnswered::Source)),
            // Packet Too Big may answer multicast (RFC 4443 §2.4(e.3)).
            (udp(HOST, "ff0e::1"), None, Some(NotAnswered::Destination)),
            (icmp(1), error, error),
            (icmp(127), error, error),
            (icmp(REDIRECT), error, error),
            (icmp(ECHO_REQUEST), None, None),
            (icmp(ROUTER_SOLICITATION), None, None),
            (original(HOST, PEER, 58, &[]), error, error),
            (fragment(0, 128), None, None),
            (fragment(0, 2), error, error),
            (fragment(8, 128), Some(NotAnswered::LaterFragment), Some(NotAnswered::LaterFragment)),
            (
                vec![0x45; 20],
                { Some(NotAnswered::Malformed(Malformed::BadLength { said: 0x4545, have: 20 })) },
                { Some(NotAnswered::Malformed(Malformed::BadLength { said: 0x4545, have: 20 })) },
            ),
        ] {
            let mut out = [0; MAX_ERROR];
            assert_eq!(packet_too_big(router(), &octets, 1400, &mut out).err(), too_big);
            assert_eq!(time_exceeded(router(), &octets, &mut out).err(), exceeded);
        }
    }

    #[test]
    fn a_message_cut_or_changed_anywhere_is_refused() {
        let mut out = [0; MAX_ERROR];
        let original = original(HOST, PEER, 17, &[0x55; 8]);
        let len = packet_too_big(router(), &original, 1400, &mut out).unwrap();
        let (src, dst, message) = (router(), HOST.parse().unwrap(), &out[40..len]);
        for have in 0..HEADER {
            let want = Malformed::Truncated { need: HEADER, have };
            assert_eq!(Icmpv6::parse(src, dst, &message[..have]).unwrap_err(), want);
        }
        for bit in 0..message.len() * 8 {
            let mut flipped = message.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Icmpv6::parse(src, dst, &flipped).unwrap_err(), Malformed::BadChecksum);
        }
        // The pseudo-header counts too: the same octets between other addresses are wrong.
        let elsewhere = "fd01::3".parse().unwrap();
        assert_eq!(Icmpv6::parse(src, elsewhere, message).unwrap_err(), Malformed::BadChecksum);
    }

    #[test]
    fn a_buffer_that_is_too_short_is_left_alone() {
        let original = original(HOST, PEER, 17, &[0x55; 8]);
        for have in 0..96 {
            let mut out = vec![0; have];
            let want = NotAnswered::NoRoom { need: 96, have };
            assert_eq!(packet_too_big(router(), &original, 1400, &mut out), Err(want));
        }
    }
}
