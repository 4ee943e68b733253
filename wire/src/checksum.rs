//! The Internet checksum (RFC 1071): whole, incremental (RFC 1624), pseudo-headers, and the completion of
//! checksums that a sender on the same machine left to hardware.
//!
//! A *sum* here is a folded 16-bit one's-complement sum, not yet complemented; a *checksum* is its complement.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{iana::IpProtocol, ip};

/// Folds carries back in until 16 bits are left.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The one's-complement sum of two sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// The sum of `octets`; an odd last octet counts as if a zero followed it.
#[inline]
pub fn sum(octets: &[u8]) -> u16 {
    // Added up in the machine's own order and swapped once at the end (RFC 1071 §2(B)): 32-bit words in
    // 64-bit accumulators cannot overflow below 2^32 words, and the loop vectorises.
    let (words, rest) = octets.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_ne_bytes(last));
    u16::from_be(fold(total))
}

/// The checksum of `octets`.
#[inline]
pub fn checksum(octets: &[u8]) -> u16 {
    !sum(octets)
}

/// The sum of the IPv4 pseudo-header (RFC 9293 §3.1, RFC 768).
#[inline]
pub fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: IpProtocol, length: u16) -> u16 {
    let addresses = u64::from(src.to_bits()) + u64::from(dst.to_bits());
    fold(addresses + u64::from(protocol.0) + u64::from(length))
}

/// The sum of the IPv6 pseudo-header (RFC 8200 §8.1); `length` is that of the upper-layer packet.
#[inline]
pub fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, protocol: IpProtocol, length: u32) -> u16 {
    let addresses = add(sum(&src.octets()), sum(&dst.octets()));
    fold(u64::from(addresses) + u64::from(protocol.0) + u64::from(length))
}

/// The sum of the pseudo-header of whichever family the addresses are; when they differ in family, the
/// sum is that of an IPv6 pseudo-header with the IPv4 side mapped.
#[inline]
pub fn pseudo(src: IpAddr, dst: IpAddr, protocol: IpProtocol, length: u32) -> u16 {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let addresses = u64::from(src.to_bits()) + u64::from(dst.to_bits());
            fold(addresses + u64::from(protocol.0) + u64::from(length))
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => pseudo_v6(src, dst, protocol, length),
        (IpAddr::V4(src), IpAddr::V6(dst)) => {
            pseudo_v6(src.to_ipv6_mapped(), dst, protocol, length)
        }
        (IpAddr::V6(src), IpAddr::V4(dst)) => {
            pseudo_v6(src, dst.to_ipv6_mapped(), protocol, length)
        }
    }
}

/// The checksum after one 16-bit word it covers has changed from `old` to `new` (RFC 1624 equation 3).
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !add(add(!checksum, !old), new)
}

/// [`update`] for a 32-bit word on an even offset.
#[inline]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let high = update(checksum, (old >> 16) as u16, (new >> 16) as u16);
    update(high, old as u16, new as u16)
}

/// Completes a checksum that the sender left to hardware, in a whole IP packet.
///
/// A local sender (veth, TUN, a virtual machine) may hand over TCP and UDP packets whose checksum field holds
/// only the pseudo-header's sum. Inside a tunnel nobody would ever finish it. `true` when the field was in
/// that state and has been rewritten. A packet whose *right* checksum happens to equal that sum is rewritten
/// to the same value, so a false match does no harm. Fragments and anything malformed are left alone.
pub fn complete(packet: &mut [u8]) -> bool {
    let whole = ip::Packet::parse(packet).ok().filter(|packet| packet.fragment().is_none());
    let Some(whole) = whole else { return false };
    let (src, dst, protocol) = (whole.src(), whole.dst(), whole.protocol());
    let upper = whole.header_len()..whole.total_len();
    packet.get_mut(upper).is_some_and(|upper| complete_upper(upper, src, dst, protocol))
}

/// [`complete`] for a packet whose headers were read before: `upper` is all that follows them, and the packet is no
/// fragment.
#[inline]
pub fn complete_upper(upper: &mut [u8], src: IpAddr, dst: IpAddr, protocol: IpProtocol) -> bool {
    let (field_at, least) = match protocol {
        IpProtocol::TCP => (16, 20),
        IpProtocol::UDP => (6, 8),
        _ => return false,
    };
    let length = u32::try_from(upper.len()).ok().filter(|length| *length >= least);
    let field = upper.get(field_at..).and_then(|rest| rest.first_chunk::<2>());
    let (Some(length), Some(field)) = (length, field) else { return false };
    let field = u16::from_be_bytes(*field);
    // UDP's zero means "no checksum" (RFC 768), not "not finished".
    if field != pseudo(src, dst, protocol, length) || (field == 0 && protocol == IpProtocol::UDP) {
        return false;
    }
    finish(upper, field_at, protocol)
}

/// The field holds the pseudo-header's sum already, so summing the upper layer covers both.
fn finish(upper: &mut [u8], field_at: usize, protocol: IpProtocol) -> bool {
    let checksum = match (protocol, checksum(upper)) {
        (IpProtocol::UDP, 0) => 0xffff,
        (_, checksum) => checksum,
    };
    let field = upper.get_mut(field_at..).and_then(|rest| rest.first_chunk_mut::<2>());
    field.map(|field| *field = checksum.to_be_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ipv4, ipv6, udp};

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&octets), 0xddf2);
        assert_eq!(checksum(&octets), !0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_section_4() {
        // The old equation gives 0xffff here; equation 3 must give zero.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn every_length_sums_as_the_definition_does() {
        let octets: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(197).wrapping_add(211)).collect();
        for len in 0..=octets.len() {
            let mut want = 0u32;
            for pair in octets[..len].chunks(2) {
                want += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
                want = (want & 0xffff) + (want >> 16);
            }
            assert_eq!(u32::from(sum(&octets[..len])), want, "{len} octets");
        }
        assert_eq!(sum(&[0xff; 65_536]), 0xffff);
    }

    #[test]
    fn folding_keeps_every_carry() {
        for (wide, want) in
            [(0, 0), (0xffff, 0xffff), (0x1_0000, 1), (0x1_fffe, 0xffff), (u64::MAX, 0xffff)]
        {
            assert_eq!(fold(wide), want, "{wide:#x}");
        }
    }

    const SRC4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
    const DST4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

    fn v4(protocol: IpProtocol, upper: &[u8], more_fragments: bool) -> Vec<u8> {
        let mut header = [0; 20];
        ipv4::Repr {
            src: SRC4,
            dst: DST4,
            protocol,
            ttl: 64,
            tos: 0,
            id: 1,
            dont_fragment: false,
            more_fragments,
            fragment_offset: 0,
            payload_len: upper.len() as u16,
        }
        .emit(&mut header);
        [&header, upper].concat()
    }

    fn datagram(checksum: u16, payload: &[u8]) -> Vec<u8> {
        let payload_len = payload.len() as u16;
        let header = udp::Header { source: 5000, destination: 53, payload_len, checksum };
        [&header.emit(), payload].concat()
    }

    #[test]
    fn an_unfinished_udp_checksum_is_completed_over_ipv4() {
        let payload = b"unfinished";
        let partial = pseudo_v4(SRC4, DST4, IpProtocol::UDP, 18);
        let mut packet = v4(IpProtocol::UDP, &datagram(partial, payload), false);
        assert!(complete(&mut packet));
        let udp = udp::Udp::parse(&packet[20..]).unwrap();
        assert!(udp.checksum_ok(SRC4.into(), DST4.into()));
        assert_eq!(udp.checksum(), udp::checksum(SRC4.into(), DST4.into(), &datagram(0, payload)));
        assert!(!complete(&mut packet), "a finished one is left alone");
    }

    #[test]
    fn an_unfinished_tcp_checksum_is_completed_over_ipv6_behind_extension_headers() {
        let (src, dst) = ("fd01::1".parse().unwrap(), "fd02::1".parse().unwrap());
        let mut tcp = [7u8; 32];
        [tcp[16], tcp[17]] = pseudo_v6(src, dst, IpProtocol::TCP, 32).to_be_bytes();
        let mut header = [0; 40];
        let next_header = IpProtocol::DSTOPTS;
        ipv6::Repr {
            src,
            dst,
            next_header,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: 40,
        }
        .emit(&mut header);
        let mut packet = [&header[..], &[6, 0, 1, 4, 0, 0, 0, 0], &tcp].concat();
        assert!(complete(&mut packet));
        let pseudo = pseudo_v6(src, dst, IpProtocol::TCP, 32);
        assert_eq!(add(pseudo, sum(&packet[48..])), 0xffff);
    }

    #[test]
    fn what_is_not_an_unfinished_checksum_is_left_alone() {
        let partial = pseudo_v4(SRC4, DST4, IpProtocol::UDP, 18);
        let unfinished = datagram(partial, b"unfinished");
        let mut cut = v4(IpProtocol::UDP, &unfinished, false);
        cut.truncate(30);
        for (why, packet) in [
            ("no checksum", v4(IpProtocol::UDP, &datagram(0, b"unfinished"), false)),
            ("a wrong checksum", v4(IpProtocol::UDP, &datagram(partial ^ 1, b"unfinished"), false)),
            ("a first fragment", v4(IpProtocol::UDP, &datagram(partial, b"unfinish"), true)),
            ("another protocol", v4(IpProtocol::SCTP, &unfinished, false)),
            ("a TCP header cut short", v4(IpProtocol::TCP, &[0; 19], false)),
            ("a packet cut short", cut),
            ("nothing", vec![]),
        ] {
            let mut changed = packet.clone();
            assert!(!complete(&mut changed), "{why}");
            assert_eq!(changed, packet, "{why}");
        }
    }
}
