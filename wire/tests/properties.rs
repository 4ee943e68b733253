//! Properties that hold for every input: parsers never panic, what is written is read back, and the fast
//! ways of computing something agree with the plain ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*, sample::Index};
use wire::{
    checksum,
    esp::{self, Trailer},
    ethernet::{self, Ethernet, VlanTag},
    iana::{EtherType, IpProtocol},
    ip::Packet,
    ipv4::{self, Ipv4},
    ipv6::{self, Ipv6},
    prefix::{Prefix, range_to_prefixes},
    selector::{AddressRange, PortRange, Selector},
    udp::{self, Udp},
};

#[cfg(test)]
#[path = "../fuzz/src/targets.rs"]
mod targets;

/// The definition of RFC 1071 §1: 16-bit words, end-around carry.
fn plain_sum(octets: &[u8]) -> u16 {
    octets.chunks(2).fold(0, |sum: u16, pair| {
        let word = match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        };
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// One's-complement zero has two faces; a receiver takes them for the same.
fn same(a: u16, b: u16) -> bool {
    a == b || (a.wrapping_add(1) <= 1 && b.wrapping_add(1) <= 1)
}

fn v4_repr() -> impl Strategy<Value = ipv4::Repr> {
    (any::<[u32; 2]>(), any::<[u8; 3]>(), any::<u16>(), any::<[bool; 2]>(), 0..4096u16).prop_map(
        |([src, dst], [protocol, ttl, tos], id, [dont_fragment, more_fragments], eighths)| {
            ipv4::Repr {
                src: Ipv4Addr::from_bits(src),
                dst: Ipv4Addr::from_bits(dst),
                protocol: IpProtocol(protocol),
                ttl,
                tos,
                id,
                dont_fragment,
                more_fragments,
                fragment_offset: eighths * 8,
                payload_len: 0,
            }
        },
    )
}

fn v6_repr() -> impl Strategy<Value = ipv6::Repr> {
    (any::<[u128; 2]>(), any::<[u8; 2]>(), 0..1u32 << 20).prop_map(
        |([src, dst], [hop_limit, traffic_class], flow_label)| ipv6::Repr {
            src: Ipv6Addr::from_bits(src),
            dst: Ipv6Addr::from_bits(dst),
            next_header: IpProtocol::UDP,
            hop_limit,
            traffic_class,
            flow_label,
            payload_len: 0,
        },
    )
}

/// Octets that look enough like a packet to get past the first checks: random, with the version set.
fn near_packet() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![Just(0), Just(6), Just(17), Just(43), Just(44), Just(58), Just(60)];
    (vec(any::<u8>(), 0..200), any::<bool>(), protocol).prop_map(|(mut octets, v4, next)| {
        let len = octets.len() as u8;
        for (at, value) in if v4 {
            [(0, 0x45 | (len & 0xa)), (2, 0), (3, len), (6, len & 0x20), (9, next)]
        } else {
            [(0, 0x60), (4, 0), (5, len.saturating_sub(40)), (6, next), (41, len & 1)]
        } {
            if let Some(octet) = octets.get_mut(at) {
                *octet = value;
            }
        }
        octets
    })
}

fn address_range(v4: bool) -> impl Strategy<Value = AddressRange> {
    // Small numbers next to the family's ends and in between, so that ranges often touch and overlap.
    let number =
        prop_oneof![0..64u128, any::<u128>(), (0..64u128).prop_map(|down| u128::MAX - down)];
    (number.clone(), number).prop_map(move |(a, b)| {
        let address = |number: u128| -> IpAddr {
            if v4 {
                Ipv4Addr::from_bits(number as u32).into()
            } else {
                Ipv6Addr::from_bits(number).into()
            }
        };
        let (a, b) = (address(a), address(b));
        AddressRange::new(a.min(b), a.max(b)).expect("in order, and of one family")
    })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn port_range() -> impl Strategy<Value = PortRange> {
    prop_oneof![
        Just(PortRange::ANY),
        Just(PortRange::OPAQUE),
        (0..8u16, 0..8u16).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) }),
    ]
}

/// A selector over a universe so small that all of it can be tried: addresses 0…7, protocols 0…3, ports 0…7.
fn small_selector() -> impl Strategy<Value = Selector> {
    let addresses = (0..8u32, 0..8u32).prop_map(|(a, b)| {
        let [first, last] = [a.min(b), a.max(b)].map(|number| Ipv4Addr::from_bits(number).into());
        AddressRange::new(first, last).expect("in order")
    });
    let protocol = (0..4u8, 0..4u8).prop_map(|(a, b)| (a.min(b), a.max(b)));
    (addresses.clone(), addresses, protocol, port_range(), port_range()).prop_map(
        |(local, remote, protocol, local_port, remote_port)| Selector {
            local,
            remote,
            protocol,
            local_port,
            remote_port,
        },
    )
}

/// What a selector covers, written out as sets.
fn covers_by_listing(selector: &Selector, packet: &SmallPacket) -> bool {
    let in_range = |range: &AddressRange, address: u32| {
        (number(range.first())..=number(range.last())).any(|each| each == address.into())
    };
    let in_ports = |range: PortRange, port: Option<u16>| match port {
        Some(port) => {
            (0..=u16::MAX).filter(|p| *p >= range.first && *p <= range.last).any(|p| p == port)
        }
        None => [PortRange::ANY, PortRange::OPAQUE].contains(&range),
    };
    in_range(&selector.local, packet.local)
        && in_range(&selector.remote, packet.remote)
        && (selector.protocol.0..=selector.protocol.1).any(|each| each == packet.protocol)
        && in_ports(selector.local_port, packet.ports.map(|ports| ports.0))
        && in_ports(selector.remote_port, packet.ports.map(|ports| ports.1))
}

#[derive(Clone, Debug)]
struct SmallPacket {
    local: u32,
    remote: u32,
    protocol: u8,
    ports: Option<(u16, u16)>,
}

fn small_packet() -> impl Strategy<Value = SmallPacket> {
    let ports = proptest::option::of((0..8u16, 0..8u16));
    (0..8u32, 0..8u32, 0..4u8, ports).prop_map(|(local, remote, protocol, ports)| SmallPacket {
        local,
        remote,
        protocol,
        ports,
    })
}

fn matches(selector: &Selector, packet: &SmallPacket) -> bool {
    let [local, remote] = [packet.local, packet.remote].map(Ipv4Addr::from_bits);
    selector.matches(local.into(), remote.into(), packet.protocol, packet.ports)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_panic_any_parser(octets in vec(any::<u8>(), 0..300)) {
        for (_, target) in targets::TARGETS {
            target(&octets);
        }
    }

    #[test]
    fn octets_that_are_almost_packets_panic_no_parser(octets in near_packet()) {
        targets::ip(&octets);
        targets::icmp(&octets);
    }

    #[test]
    fn a_sum_is_that_of_the_definition(octets in vec(any::<u8>(), 0..3000)) {
        prop_assert_eq!(checksum::sum(&octets), plain_sum(&octets));
    }

    #[test]
    fn sums_of_even_parts_add_up(octets in vec(any::<u8>(), 0..300), at in any::<Index>()) {
        let at = at.index(octets.len() + 1) & !1;
        let (a, b) = octets.split_at(at);
        prop_assert!(same(checksum::add(checksum::sum(a), checksum::sum(b)), checksum::sum(&octets)));
    }

    #[test]
    fn an_incremental_checksum_is_the_whole_one(
        words in vec(any::<u16>(), 2..40), at in any::<Index>(), new in any::<[u16; 2]>(),
    ) {
        let octets = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let before = checksum::checksum(&octets(&words));
        let at = at.index(words.len() - 1);
        let mut changed = words.clone();
        if let Some(pair) = changed.get_mut(at..at + 2) {
            pair.copy_from_slice(&new);
        }
        let pair = |words: &[u16]| words.iter().skip(at).take(2).fold(0u32, |n, w| n << 16 | u32::from(*w));
        let whole = checksum::checksum(&octets(&changed));
        let (old, now) = (pair(&words), pair(&changed));
        prop_assert!(same(checksum::update_u32(before, old, now), whole));
        let high = checksum::update(before, (old >> 16) as u16, (now >> 16) as u16);
        prop_assert!(same(checksum::update(high, old as u16, now as u16), whole));
    }

    #[test]
    fn an_ipv4_header_is_read_as_it_was_written(repr in v4_repr(), payload in vec(any::<u8>(), 0..200)) {
        let payload_len = if repr.more_fragments { payload.len() & !7 } else { payload.len() };
        let repr = ipv4::Repr { payload_len: payload_len as u16, ..repr };
        let mut header = [0; ipv4::HEADER];
        repr.emit(&mut header);
        let octets = [&header[..], &payload].concat();
        let beyond = usize::from(repr.fragment_offset) + payload_len + ipv4::HEADER > 65_535;
        let fragment = repr.more_fragments || repr.fragment_offset != 0;
        prop_assert_eq!(Ipv4::parse(&octets).is_ok(), !(fragment && beyond));
        if let Ok(packet) = Ipv4::parse(&octets) {
            let read = ipv4::Repr {
                src: packet.src(),
                dst: packet.dst(),
                protocol: packet.protocol(),
                ttl: packet.ttl(),
                tos: packet.tos(),
                id: packet.id(),
                dont_fragment: packet.dont_fragment(),
                more_fragments: packet.more_fragments(),
                fragment_offset: packet.fragment_offset(),
                payload_len: packet.payload().len() as u16,
            };
            prop_assert_eq!(read, repr);
        }
    }

    #[test]
    fn an_ipv6_header_is_read_as_it_was_written(repr in v6_repr(), payload in vec(any::<u8>(), 0..200)) {
        let repr = ipv6::Repr { payload_len: payload.len() as u16, ..repr };
        let mut header = [0; ipv6::HEADER];
        repr.emit(&mut header);
        let octets = [&header[..], &payload].concat();
        let packet = Ipv6::parse(&octets).unwrap();
        let read = ipv6::Repr {
            src: packet.src(),
            dst: packet.dst(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            payload_len: packet.payload().len() as u16,
        };
        prop_assert_eq!(read, repr);
        prop_assert_eq!(packet.payload(), payload);
    }

    #[test]
    fn a_fragment_header_is_read_as_it_was_written(
        repr in v6_repr(), eighths in 0..4096u16, more in any::<bool>(), id in any::<u32>(),
    ) {
        let written =
            ipv6::Fragment { offset: eighths * 8, more, id, protocol: IpProtocol::UDP, header_offset: 40 };
        let next_header = IpProtocol::FRAGMENT;
        let mut header = [0; ipv6::HEADER];
        ipv6::Repr { next_header, payload_len: 8, ..repr }.emit(&mut header);
        let octets = [&header[..], &written.emit()].concat();
        let upper = ipv6::extensions(&Ipv6::parse(&octets).unwrap()).unwrap();
        prop_assert_eq!(upper.fragment, Some(written));
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(
        addresses in any::<[[u8; 6]; 2]>(), control in any::<u16>(), payload in vec(any::<u8>(), 0..60),
    ) {
        let [destination, source] = addresses;
        let header = ethernet::Header { destination, source, ethertype: EtherType::IPV6 };
        let tag = VlanTag { protocol: EtherType::VLAN, control };
        for (octets, tags) in [
            ([&header.emit()[..], &payload].concat(), vec![]),
            ([&header.emit_tagged(tag)[..], &payload].concat(), vec![tag]),
        ] {
            let frame = Ethernet::parse(&octets).unwrap();
            prop_assert_eq!([frame.destination(), frame.source()], addresses);
            prop_assert_eq!(frame.ethertype(), EtherType::IPV6);
            prop_assert_eq!(frame.tags().collect::<Vec<_>>(), tags);
            prop_assert_eq!(frame.payload(), &payload[..]);
        }
    }

    #[test]
    fn a_datagram_is_read_as_it_was_written(
        ports in any::<[u16; 2]>(), payload in vec(any::<u8>(), 0..300), ends in any::<[u128; 2]>(),
        v4 in any::<bool>(),
    ) {
        let [src, dst] = ends.map(|bits| -> IpAddr {
            if v4 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
        });
        let [source, destination] = ports;
        let mut header =
            udp::Header { source, destination, payload_len: payload.len() as u16, checksum: 0 };
        header.checksum = udp::checksum(src, dst, &[&header.emit()[..], &payload].concat());
        let octets = [&header.emit()[..], &payload].concat();
        let udp = Udp::parse(&octets).unwrap();
        prop_assert!(udp.checksum_ok(src, dst) && udp.checksum() != 0);
        prop_assert_eq!([udp.source(), udp.destination()], ports);
        prop_assert_eq!(udp.payload(), payload);
    }

    #[test]
    fn an_unfinished_checksum_is_completed_to_the_right_one(
        repr in v4_repr(), ports in any::<[u16; 2]>(), payload in vec(any::<u8>(), 0..300),
    ) {
        let (src, dst) = (repr.src, repr.dst);
        let length = (udp::HEADER + payload.len()) as u16;
        let pseudo = checksum::pseudo_v4(src, dst, IpProtocol::UDP, length);
        let [source, destination] = ports;
        let payload_len = payload.len() as u16;
        let header = udp::Header { source, destination, payload_len, checksum: pseudo };
        let mut ip = [0; ipv4::HEADER];
        let (protocol, fragment_offset, more_fragments) = (IpProtocol::UDP, 0, false);
        ipv4::Repr { protocol, fragment_offset, more_fragments, payload_len: length, ..repr }.emit(&mut ip);
        let mut octets = [&ip[..], &header.emit(), &payload].concat();
        prop_assert!(checksum::complete(&mut octets));
        let packet = Packet::parse(&octets).unwrap();
        prop_assert!(Udp::parse(packet.upper()).unwrap().checksum_ok(src.into(), dst.into()));
    }

    #[test]
    fn a_trailer_is_read_as_it_was_written(
        payload in vec(any::<u8>(), 0..2000), block in 0..=16usize, next in any::<u8>(),
    ) {
        let pad = esp::pad_len(payload.len(), block);
        let mut octets = payload.clone();
        octets.resize(payload.len() + pad + esp::TRAILER, 0xee);
        esp::emit_trailer(octets.get_mut(payload.len()..).unwrap(), IpProtocol(next)).unwrap();
        let want =
            Trailer { payload_len: payload.len(), pad_len: pad as u8, next_header: IpProtocol(next) };
        prop_assert_eq!(Trailer::parse(&octets), Ok(want));
        prop_assert!(octets.len().is_multiple_of(block.max(4)));
    }

    #[test]
    fn prefixes_cover_their_range_exactly(
        range in any::<bool>().prop_flat_map(address_range),
    ) {
        let prefixes: Vec<Prefix> = range_to_prefixes(range).collect();
        let most = if range.is_ipv4() { 62 } else { 254 };
        prop_assert!((1..=most).contains(&prefixes.len()));
        // They touch end to end, from the first address to the last: no gap, no overlap, nothing outside.
        prop_assert_eq!(prefixes.first().map(Prefix::addr), Some(range.first()));
        prop_assert_eq!(prefixes.last().map(Prefix::last), Some(range.last()));
        for (one, next) in prefixes.iter().zip(prefixes.iter().skip(1)) {
            prop_assert_eq!(number(one.last()) + 1, number(next.addr()));
            // No two can be one: neighbours of equal length are never the halves of a shorter prefix.
            let halves = one.len() == next.len()
                && Prefix::containing(one.addr(), one.len() - 1).is_ok_and(|both| both.covers(next));
            prop_assert!(!halves, "{} and {} are one prefix", one, next);
        }
        for prefix in prefixes {
            prop_assert_eq!(Prefix::new(prefix.addr(), prefix.len()), Ok(prefix));
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
    }

    #[test]
    fn a_prefix_contains_what_its_range_contains(
        bits in any::<u128>(), len in 0..=128u8, other in any::<u128>(), near in 0..4u32,
    ) {
        let prefix = Prefix::containing(Ipv6Addr::from_bits(bits).into(), len).unwrap();
        // One bit away is the address most likely to be judged wrongly.
        let close = bits ^ 1u128.rotate_left(near * 32 + u32::from(len));
        for address in [bits, other, close].map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))) {
            prop_assert_eq!(prefix.contains(address), prefix.range().contains(address));
        }
    }

    #[test]
    fn a_selector_matches_what_listing_its_members_says(
        selector in small_selector(), packet in small_packet(),
    ) {
        prop_assert_eq!(matches(&selector, &packet), covers_by_listing(&selector, &packet));
    }

    #[test]
    fn a_selector_covers_another_only_if_it_matches_all_its_packets(
        outer in small_selector(), inner in small_selector(), packets in vec(small_packet(), 64),
    ) {
        prop_assert!(inner.covers(&inner));
        if outer.covers(&inner) {
            for packet in packets {
                prop_assert!(matches(&outer, &packet) || !matches(&inner, &packet));
            }
        }
    }

    #[test]
    fn the_intersection_of_ranges_is_what_both_contain(
        a in address_range(true), b in address_range(true), probe in any::<u32>(),
    ) {
        let both = a.intersection(&b);
        for address in [a.first(), a.last(), b.first(), b.last(), Ipv4Addr::from_bits(probe).into()] {
            let want = a.contains(address) && b.contains(address);
            prop_assert_eq!(both.is_some_and(|both| both.contains(address)), want);
        }
    }
}
