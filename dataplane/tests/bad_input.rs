//! What is wrong with a packet decides under which name it is lost, and nothing of the SA moves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use dataplane::Notice;
use sadb::{Counter, DropReason};
use wire::esp;
use wire::iana::IpProtocol;

fn gateway() -> (Gateway, Peer) {
    let agreement = Agreement::usual();
    (agreement.gateway(End::B), Peer::new(agreement, End::A))
}

fn sealed(peer: &Peer, sequence: u64) -> Vec<u8> {
    peer.frame(sequence, &udp_packet(End::A, false, 64))
}

fn highest(gateway: &Gateway) -> u64 {
    gateway.shared.region.sa(7).unwrap().sequence
}

/// A frame with its IPv4 header changed by `change` and its checksum made right again.
fn outer(frame: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut frame = frame.to_vec();
    change(&mut frame[14..]);
    frame[24..26].copy_from_slice(&[0, 0]);
    let sum = wire::checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn outer_headers_that_lie_are_named() {
    let (mut b, peer) = gateway();
    let good = sealed(&peer, 1);
    let total = u16::from_be_bytes([good[16], good[17]]);
    let mut arp = good.clone();
    arp[12..14].copy_from_slice(&[8, 6]);
    let mut six = good.clone();
    six[12..14].copy_from_slice(&[0x86, 0xdd]);
    let mut sum = good.clone();
    sum[24] ^= 1;
    let cases = [
        ("empty", Vec::new(), DropReason::MalformedEthernet),
        ("half an Ethernet header", good[..13].to_vec(), DropReason::MalformedEthernet),
        ("half a VLAN tag", [&good[..12], &[0x81, 0, 0]].concat(), DropReason::MalformedEthernet),
        ("no IP at all", good[..14].to_vec(), DropReason::MalformedIp),
        ("half an IP header", good[..33].to_vec(), DropReason::MalformedIp),
        ("ARP", arp, DropReason::UnexpectedProtocol),
        ("EtherType of the other family", six, DropReason::MalformedIp),
        ("checksum", sum, DropReason::MalformedIp),
        ("version 5", outer(&good, |ip| ip[0] = 0x55), DropReason::MalformedIp),
        ("IHL 4", outer(&good, |ip| ip[0] = 0x44), DropReason::MalformedIp),
        (
            "total length beyond the frame",
            outer(&good, |ip| ip[2..4].copy_from_slice(&(total + 1).to_be_bytes())),
            DropReason::MalformedIp,
        ),
        (
            "total length below the header",
            outer(&good, |ip| ip[2..4].copy_from_slice(&[0, 19])),
            DropReason::MalformedIp,
        ),
        ("no ESP header", outer(&good, |ip| ip[2..4].copy_from_slice(&[0, 27])), DropReason::Runt),
    ];
    for (what, frame, why) in cases {
        assert_eq!(b.loses(OUTSIDE, &frame), why, "{what}");
    }
    assert_eq!(highest(&b), 0);
    b.pass(OUTSIDE, &good, INSIDE);
}

#[test]
fn every_truncation_is_survived_and_counted() {
    for udp in [false, true] {
        for outer_v6 in [false, true] {
            let agreement = Agreement { udp, outer_v6, ..Agreement::usual() };
            let mut b = agreement.gateway(End::B);
            let good = sealed(&Peer::new(agreement, End::A), 1);
            for len in 0..good.len() {
                b.loses(OUTSIDE, &good[..len]);
            }
            b.pass(OUTSIDE, &good, INSIDE);
        }
    }
}

#[test]
fn every_length_of_esp_is_a_runt_or_a_forgery() {
    for suite in crypto::Suite::all() {
        let agreement = Agreement { suite, ..Agreement::usual() };
        let mut b = agreement.gateway(End::B);
        let peer = Peer::new(agreement, End::A);
        let least = 8 + suite.iv_len() + suite.icv_len() + 2;
        for len in 8..200usize {
            let mut packet =
                esp::Header { spi: Agreement::spi(End::A), sequence: 5 }.emit().to_vec();
            packet.resize(len, 0xa5);
            let whole =
                len >= least && (len - 8 - suite.iv_len() - suite.icv_len()) % suite.block() == 0;
            let why = if whole { DropReason::BadIcv } else { DropReason::Runt };
            assert_eq!(b.loses(OUTSIDE, &ethernet(&peer.outer(&packet, 0))), why, "{suite} {len}");
        }
        assert_eq!(highest(&b), 0);
    }
}

#[test]
fn spis_are_judged_before_anything_else() {
    let (mut b, peer) = gateway();
    let at = 14 + 20;
    for spi in [0u32, 1, 255] {
        let mut frame = sealed(&peer, 1);
        frame[at..at + 4].copy_from_slice(&spi.to_be_bytes());
        assert_eq!(b.loses(OUTSIDE, &frame), DropReason::ReservedSpi, "{spi}");
    }
    // the slot is right, the random bits are not; and slots that are not there
    for spi in [Agreement::spi(End::A) ^ 1, 256, 0xffff_ffff, Agreement::spi(End::B)] {
        let mut frame = sealed(&peer, 1);
        frame[at..at + 4].copy_from_slice(&spi.to_be_bytes());
        assert_eq!(b.loses(OUTSIDE, &frame), DropReason::NoSa, "{spi:#x}");
    }
    let audit = b.notices();
    assert_eq!(audit.len(), 1, "one a second: {audit:?}");
    assert!(
        matches!(audit[0], Notice::Audit { reason: DropReason::NoSa, source, .. } if source == End::A.outer(false))
    );
}

#[test]
fn the_right_spi_from_the_wrong_place_is_refused() {
    for (mine, theirs, why) in [
        // (what the SA says, how the packet comes)
        ((false, false), (true, false), DropReason::WrongAddress),
        ((true, false), (false, false), DropReason::WrongAddress),
        ((false, false), (false, true), DropReason::WrongEncap),
        ((false, true), (false, false), DropReason::WrongEncap),
        ((true, true), (true, false), DropReason::WrongEncap),
    ] {
        let agreed = Agreement { outer_v6: mine.0, udp: mine.1, ..Agreement::usual() };
        let used = Agreement { outer_v6: theirs.0, udp: theirs.1, ..Agreement::usual() };
        let mut b = agreed.gateway(End::B);
        assert_eq!(
            b.loses(OUTSIDE, &sealed(&Peer::new(used, End::A), 1)),
            why,
            "{mine:?} {theirs:?}"
        );
        assert_eq!(highest(&b), 0);
    }
    let (mut b, peer) = gateway();
    let stranger = outer(&sealed(&peer, 1), |ip| ip[15] = 77);
    assert_eq!(b.loses(OUTSIDE, &stranger), DropReason::WrongAddress);
}

#[test]
fn udp_ports_must_be_the_agreed_ones() {
    let agreement = Agreement { udp: true, ..Agreement::usual() };
    let mut b = agreement.gateway(End::B);
    let mut moved = agreement.sa(End::A, End::B);
    (moved.slot, moved.spi) = (9, 0x0000_a777);
    moved.encap = sadb::Encap::Udp { local: 4501, remote: 4500 };
    b.install(&moved, &agreement.keys(End::A));
    let peer = Peer::new(agreement, End::A);
    let esp = peer.esp(1, &[0; 30][..30]);
    let send = |from: u16, to: u16| {
        let (source, destination) = (End::A.outer(false), End::B.outer(false));
        let datagram = udp_datagram(source, destination, from, to, &esp);
        ethernet(&ip_packet(source, destination, IpProtocol::UDP, 0, 64, &datagram))
    };
    assert_eq!(b.loses(OUTSIDE, &send(4501, 4500)), DropReason::WrongAddress);
    assert_eq!(b.loses(OUTSIDE, &send(4500, 4501)), DropReason::WrongEncap);
}

#[test]
fn datagrams_on_the_encapsulation_port_are_told_apart() {
    let agreement = Agreement { udp: true, ..Agreement::usual() };
    let mut b = agreement.gateway(End::B);
    let (source, destination) = (End::A.outer(false), End::B.outer(false));
    let send = |to: u16, payload: &[u8]| {
        let datagram = udp_datagram(source, destination, 4500, to, payload);
        ip_packet(source, destination, IpProtocol::UDP, 0, 64, &datagram)
    };
    let out = b.feed(OUTSIDE, &ethernet(&send(4500, &[0xff])));
    assert!(out.iter().all(Vec::is_empty));
    assert_eq!(b.counted(Counter::Keepalives), 1);
    for bad in [&[0xfe][..], &[], &[1, 2, 3], &[1, 2, 3, 4, 5, 6, 7]] {
        assert_eq!(
            b.loses(OUTSIDE, &ethernet(&send(4500, bad))),
            DropReason::MalformedEncap,
            "{bad:?}"
        );
    }
    let ike = send(4500, &[0, 0, 0, 0, 9, 9, 9]);
    assert_eq!(b.pass(OUTSIDE, &ethernet(&ike), KERNEL), ike);
    let ike = send(500, &[9; 40]);
    assert_eq!(b.pass(OUTSIDE, &ethernet(&ike), KERNEL), ike);
    // a length that lies
    let mut lie = send(4500, &[7; 40]);
    lie[24..26].copy_from_slice(&[0, 200]);
    assert_eq!(b.loses(OUTSIDE, &ethernet(&lie)), DropReason::MalformedTransport);
    // octets behind the datagram, inside the IP packet: trimmed, so the ESP packet still opens
    let peer = Peer::new(agreement, End::A);
    let good = peer.frame(1, &udp_packet(End::A, false, 20));
    let mut long = good[14..].to_vec();
    long.extend_from_slice(&[0xee; 6]);
    let total = (long.len() as u16).to_be_bytes();
    let long = outer(&[&good[..14], &long].concat(), |ip| ip[2..4].copy_from_slice(&total));
    b.pass(OUTSIDE, &long, INSIDE);
}

#[test]
fn replays_are_late_or_twice_and_twins_in_one_batch_are_told_apart() {
    let agreement = Agreement { esn: false, ..Agreement::usual() };
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A)); // a window of 64
    for sequence in [1, 5, 3, 100] {
        b.pass(OUTSIDE, &sealed(&peer, sequence), INSIDE);
    }
    assert_eq!(b.loses(OUTSIDE, &sealed(&peer, 100)), DropReason::ReplayDuplicate);
    assert_eq!(b.loses(OUTSIDE, &sealed(&peer, 5)), DropReason::ReplayLate);
    b.pass(OUTSIDE, &sealed(&peer, 99), INSIDE);
    let twin = sealed(&peer, 101);
    for _ in 0..3 {
        assert!(b.wire(OUTSIDE).inject(&twin));
    }
    b.turn();
    assert_eq!(b.drain(INSIDE).len(), 1);
    let status = b.shared.region.sa(7).unwrap();
    assert_eq!((status.replay_duplicate, status.replay_late, status.sequence), (3, 1, 101));
    assert_eq!(status.packets, 6);
}

#[test]
fn with_extended_numbers_what_is_left_of_the_window_is_taken_for_the_next_round_and_fails_there() {
    let (mut b, peer) = gateway(); // RFC 4303 Appendix A2.2, case A
    b.pass(OUTSIDE, &sealed(&peer, 5), INSIDE);
    b.pass(OUTSIDE, &sealed(&peer, 1000), INSIDE);
    assert_eq!(b.loses(OUTSIDE, &sealed(&peer, 5)), DropReason::BadIcv);
    assert_eq!(highest(&b), 1000);
}

#[test]
fn number_zero_is_never_sent_so_never_accepted() {
    let mut b = Agreement { esn: false, ..Agreement::usual() }.gateway(End::B);
    let peer = Peer::new(Agreement { esn: false, ..Agreement::usual() }, End::A);
    assert_eq!(b.loses(OUTSIDE, &sealed(&peer, 0)), DropReason::SequenceZero);
}

#[test]
fn a_forged_number_far_ahead_does_not_move_the_window() {
    for esn in [false, true] {
        let agreement = Agreement { esn, ..Agreement::usual() };
        let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
        b.pass(OUTSIDE, &sealed(&peer, 7), INSIDE);
        let mut forged = sealed(&peer, 8);
        forged[14 + 20 + 4..14 + 20 + 8].copy_from_slice(&0x7fff_ff00u32.to_be_bytes());
        assert_eq!(b.loses(OUTSIDE, &forged), DropReason::BadIcv);
        assert_eq!(highest(&b), 7);
        assert_eq!(b.shared.region.sa(7).unwrap().bad_icv, 1);
        b.pass(OUTSIDE, &sealed(&peer, 8), INSIDE);
    }
}

#[test]
fn a_flipped_bit_anywhere_behind_the_spi_is_a_bad_icv_and_changes_nothing() {
    for suite in [Agreement::GCM, Agreement::CBC, Agreement::NULL] {
        let agreement = Agreement { suite, esn: false, ..Agreement::usual() };
        let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
        let good = peer.frame(9, &udp_packet(End::A, false, 8));
        for at in 14 + 20 + 4..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(
                    b.loses(OUTSIDE, &bad),
                    DropReason::BadIcv,
                    "{suite} octet {at} bit {bit}"
                );
            }
        }
        assert_eq!(highest(&b), 0);
        b.pass(OUTSIDE, &good, INSIDE);
    }
}

#[test]
fn trailers_of_a_malicious_peer_are_named() {
    let (mut b, peer) = gateway();
    let inner = udp_packet(End::A, false, 24); // 52 octets
    let body = |pad: &[u8], next: u8| [&inner[..], pad, &[pad.len() as u8, next]].concat();
    let mut beyond = body(&[1, 2], 4);
    let at = beyond.len() - 2;
    let cases = [
        (
            "pad length beyond",
            {
                beyond[at] = 200;
                beyond.clone()
            },
            DropReason::BadPadLength,
        ),
        (
            "pad length one beyond",
            {
                beyond[at] = (at + 1) as u8;
                beyond.clone()
            },
            DropReason::BadPadLength,
        ),
        ("padding of zeros", body(&[0, 0], 4), DropReason::BadPadding),
        ("padding backwards", body(&[2, 1], 4), DropReason::BadPadding),
        ("dummy", body(&[1, 2], 59), DropReason::Dummy),
        ("a TCP segment", body(&[1, 2], 6), DropReason::BadNextHeader),
        ("says IPv6", body(&[1, 2], 41), DropReason::MalformedInner),
        ("nothing inside", vec![1, 2, 2, 4], DropReason::MalformedInner),
    ];
    for (sequence, (what, body, why)) in (1..).zip(cases) {
        let frame = ethernet(&peer.outer(&peer.esp(sequence, &body), 0));
        assert_eq!(b.loses(OUTSIDE, &frame), why, "{what}");
        assert_eq!(highest(&b), sequence, "its number is used up all the same");
    }
}

#[test]
fn padding_for_traffic_flow_confidentiality_is_cut_by_the_inner_length() {
    let (mut b, peer) = gateway();
    for (sequence, v6) in [(1, false), (2, true)] {
        let inner = udp_packet(End::A, v6, 31);
        let next = if v6 { 41 } else { 4 };
        let mut body = [&inner[..], &[0xcc; 77]].concat();
        let pad = esp::pad_len(body.len(), 4);
        body.extend((1..=pad as u8).chain([pad as u8, next]));
        let out = b.pass(OUTSIDE, &ethernet(&peer.outer(&peer.esp(sequence, &body), 0)), INSIDE);
        assert_eq!(below(&out), forwarded(inner, 1));
    }
}

#[test]
fn inner_packets_that_lie_are_malformed() {
    let (mut b, peer) = gateway();
    let good = udp_packet(End::A, false, 40);
    let change = |at: usize, to: u8| {
        let mut packet = good.clone();
        packet[at] = to;
        packet[10..12].copy_from_slice(&[0, 0]);
        let sum = wire::checksum::checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let mut sum = good.clone();
    sum[10] ^= 0x80;
    let mut six = udp_packet(End::A, true, 40);
    six[5] += 1;
    let long_chain = ip_packet(
        End::A.host(true),
        End::B.host(true),
        IpProtocol::HOPOPTS,
        0,
        9,
        &[60, 0, 1, 4, 0, 0, 0, 0].repeat(20),
    );
    let cases = [
        ("longer than it is", change(3, 200)),
        ("shorter than its header", change(3, 19)),
        ("header of 60 octets", change(0, 0x4f)),
        ("header of 4 words", change(0, 0x44)),
        ("checksum", sum),
        ("IPv6 longer than it is", six),
        ("endless extension headers", long_chain),
        ("20 octets of nothing", vec![0x40; 20]),
    ];
    for (sequence, (what, inner)) in (1..).zip(cases) {
        assert_eq!(
            b.loses(OUTSIDE, &peer.frame(sequence, &inner)),
            DropReason::MalformedInner,
            "{what}"
        );
    }
}

#[test]
fn martians_do_not_come_out_of_tunnels() {
    let agreement = Agreement::usual();
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
    b.tables(|world| {
        // even when the selectors would let everything in
        let all = |first, last| wire::selector::AddressRange::new(ip(first), ip(last)).unwrap();
        let v4 = all("0.0.0.0", "255.255.255.255");
        let v6 = all("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        world.policies = vec![protect(v4, v4, TUNNEL), protect(v6, v6, TUNNEL)];
    });
    let (there, here) = (End::A.host(false), End::B.host(false));
    let (there6, here6) = (End::A.host(true), End::B.host(true));
    let cases = [
        (ip("127.0.0.1"), here),
        (there, ip("127.0.0.1")),
        (ip("0.0.0.0"), here),
        (there, ip("224.0.0.5")),
        (there, ip("255.255.255.255")),
        (there, ip("10.2.255.255")),
        (ip("169.254.1.1"), here),
        (End::B.inside(false), here),
        (End::B.outer(false), here),
        (ip("::1"), here6),
        (there6, ip("ff02::1")),
        (there6, ip("fe80::1")),
        (ip("::ffff:10.1.0.5"), here6),
    ];
    for (sequence, (source, destination)) in (1..).zip(cases) {
        let inner = udp_between(source, destination, 1, 2, 8);
        assert_eq!(
            b.loses(OUTSIDE, &peer.frame(sequence, &inner)),
            DropReason::Martian,
            "{source} {destination}"
        );
    }
}

#[test]
fn esp_inside_esp_to_ourselves_goes_no_further() {
    let agreement = Agreement::usual();
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
    let to = End::B.inside(false);
    let nest = ip_packet(End::A.host(false), to, IpProtocol::ESP, 0, 64, &[9; 40]);
    assert_eq!(b.loses(OUTSIDE, &peer.frame(1, &nest)), DropReason::Nested);
    let nest = udp_between(End::A.host(false), to, 4500, 4500, 40);
    assert_eq!(b.loses(OUTSIDE, &peer.frame(2, &nest)), DropReason::Nested);
    // and outbound: a policy that covers the tunnel's own packets would make it carry itself
    let mut a = agreement.gateway(End::A);
    a.tables(|world| {
        let one = |address| wire::selector::AddressRange::new(address, address).unwrap();
        world.policies = vec![protect(one(End::A.outer(false)), one(End::B.outer(false)), TUNNEL)];
    });
    let own = ip_packet(End::A.outer(false), End::B.outer(false), IpProtocol::ESP, 0, 64, &[9; 40]);
    assert_eq!(a.loses(KERNEL, &own), DropReason::Nested);
}

#[test]
fn a_peer_with_the_keys_but_without_the_addresses_is_refused_and_audited() {
    let (mut b, peer) = gateway();
    let stranger = udp_between(ip("10.9.0.5"), End::B.host(false), 1, 2, 8);
    assert_eq!(b.loses(OUTSIDE, &peer.frame(1, &stranger)), DropReason::BadSelector);
    let notices = b.notices();
    let expected = Notice::Audit {
        reason: DropReason::BadSelector,
        spi: Agreement::spi(End::A),
        sequence: 1,
        source: End::A.outer(false),
        destination: End::B.outer(false),
        flow_label: 0,
        count: 1,
    };
    assert_eq!(notices, [expected]);
}

#[test]
fn a_packet_that_leaves_no_room_for_headers_in_its_frame_is_too_big_however_wide_the_link() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| world.mtu(OUTSIDE, 9000));
    let packet = udp_packet(End::A, false, 1740);
    assert_eq!(a.feed(INSIDE, &ethernet(&packet))[OUTSIDE].len(), 2, "in two pieces");
    assert_eq!(a.loses(INSIDE, &ethernet(&dont_fragment(packet))), DropReason::TooBig);
}
