//! What each fuzz target does with its octets. Shared by the fuzzer (nightly) and by the replay of the
//! committed corpora (`wire/tests/corpus.rs`, stable): nothing here may need either.
//!
//! A target must not panic, and what a parser accepts must be consistent with itself.

use wire::{
    Malformed, checksum,
    esp::{self, Esp, Trailer},
    ethernet::{Ethernet, Header},
    iana::{EtherType, IpProtocol},
    icmp::{self, Icmp},
    icmpv6::{self, Icmpv6},
    ip::Packet,
    ipv4::{self, Ipv4},
    ipv6::{self, Ipv6},
    natt::{self, Natt},
    selector::Selector,
    udp::Udp,
};

mod ike;

pub use ike::ike;

/// A function from octets to nothing: it panics when a rule is broken.
pub type Target = fn(&[u8]);

/// Every target by name; a name is also that of its corpus directory.
pub const TARGETS: [(&str, Target); 6] = [
    ("ethernet", ethernet),
    ("ip", ip),
    ("esp", esp),
    ("natt", natt),
    ("icmp", icmp),
    ("ike", ike),
];

/// A frame, and the packet in it.
pub fn ethernet(octets: &[u8]) {
    let frame = match Ethernet::parse(octets) {
        Ok(frame) => frame,
        Err(why) => {
            return assert!(matches!(why, Malformed::Truncated { need, have } if need > have));
        }
    };
    assert_eq!(frame.header_len() + frame.payload().len(), octets.len());
    assert!(frame.payload().is_empty() || octets.ends_with(frame.payload()));
    let (destination, source, ethertype) = (frame.destination(), frame.source(), frame.ethertype());
    let header = Header { destination, source, ethertype };
    let tags: Vec<_> = frame.tags().collect();
    match *tags {
        [] => assert!(octets.starts_with(&header.emit())),
        [tag] => assert!(octets.starts_with(&header.emit_tagged(tag))),
        _ => assert_eq!(tags.len(), 2),
    }
    if matches!(ethertype, EtherType::IPV4 | EtherType::IPV6) {
        ip(frame.payload());
    }
}

/// A packet of either family, as it is and with its IPv4 header checksum made right.
pub fn ip(octets: &[u8]) {
    packet(octets);
    let mut repaired = octets.to_vec();
    let words = usize::from(octets.first().copied().unwrap_or_default() & 0xf).max(5);
    if let Some(header) = repaired.get_mut(..words * 4) {
        if let Some(field) = header.get_mut(10..12) {
            field.fill(0);
        }
        let right = checksum::checksum(header).to_be_bytes();
        if let Some(field) = header.get_mut(10..12) {
            field.copy_from_slice(&right);
        }
        packet(&repaired);
    }
}

fn packet(octets: &[u8]) {
    let _ = Ipv4::parse(octets);
    let _ = Ipv6::parse(octets).and_then(|packet| ipv6::extensions(&packet));
    let quoted = Packet::parse_quoted(octets);
    let Ok(packet) = Packet::parse(octets) else { return };
    assert!(quoted.is_ok(), "what is whole can be quoted");
    assert_eq!(packet.octets().len(), packet.total_len());
    assert_eq!(packet.header_len() + packet.upper().len(), packet.total_len());
    assert!(octets.starts_with(packet.octets()));
    assert_eq!(packet.is_v4(), packet.src().is_ipv4() && packet.dst().is_ipv4());
    if packet.fragment().is_some_and(|fragment| fragment.offset != 0) {
        assert_eq!(packet.ports(), None);
    }
    let exact = Selector::between(packet.src().into(), packet.dst().into());
    assert!(exact.is_some_and(|exact| exact.matches_outbound(&packet)));
    if packet.protocol() == IpProtocol::UDP
        && let Ok(udp) = Udp::parse(packet.upper())
    {
        let _ = udp.checksum_ok(packet.src(), packet.dst());
        let _ = natt::classify(udp.payload());
    }
    edit(&packet);
}

/// What is changed in place is still a packet, and differs only where it was changed.
fn edit(packet: &Packet<'_>) {
    let mut edited = packet.octets().to_vec();
    let left = if packet.is_v4() {
        assert!(ipv4::set_tos(&mut edited, !packet.tos()).is_ok());
        ipv4::decrement_ttl(&mut edited)
    } else {
        assert!(ipv6::set_traffic_class(&mut edited, !packet.tos()).is_ok());
        ipv6::decrement_hop_limit(&mut edited)
    };
    assert_eq!(left, packet.ttl().checked_sub(1).filter(|left| *left > 0));
    checksum::complete(&mut edited);
    let again = Packet::parse(&edited).expect("an edited packet is a packet");
    assert_eq!(again.tos(), !packet.tos());
    assert_eq!(again.ttl(), left.unwrap_or(packet.ttl()));
    assert_eq!((again.src(), again.dst()), (packet.src(), packet.dst()));
    assert_eq!((again.protocol(), again.ports()), (packet.protocol(), packet.ports()));
    assert!(!checksum::complete(&mut edited) || again_complete(&mut edited));
}

/// Completing twice may happen only when the right checksum equals the unfinished one; then the third time
/// changes nothing either.
fn again_complete(edited: &mut [u8]) -> bool {
    let before = edited.to_vec();
    checksum::complete(edited);
    *edited == *before
}

/// An ESP packet, and its body taken for decrypted octets.
pub fn esp(octets: &[u8]) {
    let Ok(packet) = Esp::parse(octets) else { return assert!(octets.len() < esp::HEADER) };
    let header = esp::Header { spi: packet.spi(), sequence: packet.sequence() };
    assert!(octets.starts_with(&header.emit()));
    let Ok(trailer) = Trailer::parse(packet.body()) else { return };
    let mut written = packet.body().to_vec();
    if let Some(end) = written.get_mut(trailer.payload_len..) {
        end.fill(0xee);
        assert!(esp::emit_trailer(end, trailer.next_header).is_ok());
    }
    assert_eq!(written, packet.body(), "a trailer is written as it was read");
}

/// The payload of a datagram on the encapsulation port.
pub fn natt(octets: &[u8]) {
    match natt::classify(octets) {
        Natt::Keepalive => assert_eq!(octets, natt::KEEPALIVE),
        Natt::Ike(message) => {
            assert_eq!([&natt::NON_ESP_MARKER, message].concat(), octets);
        }
        Natt::Esp(packet) => {
            assert!(Esp::parse(packet).is_ok_and(|esp| esp.spi() != 0));
            esp(packet);
        }
        Natt::Malformed => assert!(octets.len() < esp::HEADER),
    }
}

/// A message of either family, and the errors that the octets, taken for a packet, would be answered with.
pub fn icmp(octets: &[u8]) {
    if let Ok(message) = Icmp::parse(octets) {
        assert!(message.is_error() || message.quoted().is_err());
        let _ = message.next_hop_mtu();
    }
    let (src, dst) = ([0xfd; 16].into(), [0xfe; 16].into());
    if let Ok(message) = Icmpv6::parse(src, dst, octets) {
        assert!(message.is_error() || message.quoted().is_err());
        let _ = message.mtu();
    }
    let mut out = [0; icmpv6::MAX_ERROR];
    let router = [192, 0, 2, 1].into();
    for written in [
        icmp::fragmentation_needed(router, octets, 1400, &mut out),
        icmp::time_exceeded(router, octets, &mut out),
        icmpv6::packet_too_big(src, octets, 1400, &mut out),
        icmpv6::time_exceeded(src, octets, &mut out),
    ] {
        assert!(written.is_err() || written.is_ok_and(|len| len <= out.len()));
    }
    if let Ok(len) = icmp::fragmentation_needed(router, octets, 1400, &mut out) {
        answer(out.get(..len).unwrap_or_default(), octets, icmp::MAX_ERROR);
    }
    if let Ok(len) = icmpv6::packet_too_big(src, octets, 1400, &mut out) {
        answer(out.get(..len).unwrap_or_default(), octets, icmpv6::MAX_ERROR);
    }
}

/// An answer goes to the sender, quotes the packet, and would not itself be answered.
fn answer(answer: &[u8], original: &[u8], most: usize) {
    assert!(answer.len() <= most);
    let packet = Packet::parse(answer).expect("an answer is a packet");
    let original = Packet::parse(original).expect("only packets are answered");
    assert_eq!(packet.dst(), original.src());
    let quoted = match (packet.v4(), packet.v6()) {
        (Some(_), _) => Icmp::parse(packet.upper()).and_then(|message| message.quoted()),
        (_, Some(v6)) => {
            Icmpv6::parse(v6.src(), v6.dst(), packet.upper()).and_then(|message| message.quoted())
        }
        _ => unreachable!("a packet is of one family"),
    };
    if let Ok(quoted) = quoted {
        assert!(original.octets().starts_with(quoted.octets()));
    }
    let mut out = [0; icmpv6::MAX_ERROR];
    let router = [192, 0, 2, 1].into();
    assert!(icmp::time_exceeded(router, answer, &mut out).is_err());
    assert!(icmpv6::packet_too_big([0xfd; 16].into(), answer, 1400, &mut out).is_err());
}
