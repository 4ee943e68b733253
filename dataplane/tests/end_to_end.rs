//! Two gateways back to back: what goes in on one inside comes out on the other, and the wire between carries ESP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use wire::iana::IpProtocol;
use wire::{esp, ip, udp};

fn every_agreement() -> impl Iterator<Item = Agreement> {
    let flags = [false, true];
    crypto::Suite::all().flat_map(move |suite| {
        flags.into_iter().flat_map(move |outer_v6| {
            flags.into_iter().flat_map(move |udp| {
                flags.into_iter().map(move |esn| Agreement { suite, outer_v6, udp, esn })
            })
        })
    })
}

/// The wire carries nothing but ESP between the two outer addresses, unreadable.
fn check_wire(agreement: &Agreement, from: End, frame: &[u8], inner: &[u8], number: u32) {
    let packet = ip::Packet::parse(below(frame)).unwrap();
    assert_eq!(packet.src(), from.outer(agreement.outer_v6));
    assert_eq!(packet.dst(), from.other().outer(agreement.outer_v6));
    assert_eq!(packet.total_len(), frame.len() - 14, "nothing behind the packet");
    let esp = if agreement.udp {
        assert_eq!(packet.protocol(), IpProtocol::UDP);
        let datagram = udp::Udp::parse(packet.upper()).unwrap();
        assert_eq!((datagram.source(), datagram.destination()), (4500, 4500));
        assert!(datagram.checksum_ok(packet.src(), packet.dst()));
        assert_eq!(datagram.checksum() == 0, !agreement.outer_v6); // RFC 3948 §2.1, RFC 8200 §8.1
        datagram.payload()
    } else {
        assert_eq!(packet.protocol(), IpProtocol::ESP);
        packet.upper()
    };
    let header = esp::Esp::parse(esp).unwrap();
    assert_eq!((header.spi(), header.sequence()), (Agreement::spi(from), number));
    let hidden = agreement.suite.encrypts();
    let readable =
        inner.len() > 60 && esp.windows(32).any(|window| inner.windows(32).any(|w| w == window));
    assert_eq!(readable, !hidden && inner.len() > 60, "{agreement:?}");
}

#[test]
fn every_suite_carries_both_families_over_both_families_raw_and_in_udp() {
    for agreement in every_agreement() {
        let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
        let mut number = 0;
        for v6 in [false, true] {
            for len in [0, 1, 2, 3, 13, 1300] {
                number += 1;
                let packet = udp_packet(End::A, v6, len);
                let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
                check_wire(&agreement, End::A, &sealed, &packet, number);
                let opened = b.pass(OUTSIDE, &sealed, INSIDE);
                assert_eq!(below(&opened), forwarded(packet, 2), "{agreement:?} v6 {v6} len {len}");
                let answer = udp_packet(End::B, v6, len);
                let sealed = b.pass(INSIDE, &ethernet(&answer), OUTSIDE);
                check_wire(&agreement, End::B, &sealed, &answer, number);
                let opened = a.pass(OUTSIDE, &sealed, INSIDE);
                assert_eq!(below(&opened), forwarded(answer, 2));
            }
        }
    }
}

#[test]
fn link_headers_name_the_next_hop_and_vlan_tags_are_looked_through() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    let packet = udp_packet(End::A, false, 100);
    let plain = ethernet(&packet);
    let tagged = [&plain[..12], &[0x81, 0, 0, 7], &plain[12..]].concat();
    let twice = [&plain[..12], &[0x88, 0xa8, 0, 9], &tagged[12..]].concat();
    let padded = [&plain[..], &[0x55; 30]].concat();
    for frame in [plain, tagged, twice, padded] {
        let sealed = a.pass(INSIDE, &frame, OUTSIDE);
        assert_eq!(sealed[..6], PEER_MAC);
        assert_eq!(sealed[6..12], PORT_MACS[OUTSIDE]);
        let opened = b.pass(OUTSIDE, &sealed, INSIDE);
        assert_eq!(opened[..6], HOST_MAC);
        assert_eq!(opened[6..12], PORT_MACS[INSIDE]);
        assert_eq!(below(&opened), forwarded(packet.clone(), 2));
    }
}

#[test]
fn a_whole_batch_keeps_its_order_and_gets_consecutive_numbers() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    let packets: Vec<_> = (0..40).map(|n| udp_packet(End::A, n % 2 == 0, 20 + n)).collect();
    for packet in &packets {
        assert!(a.wire(INSIDE).inject(&ethernet(packet)));
    }
    a.turn();
    let sealed = a.drain(OUTSIDE);
    assert_eq!(sealed.len(), packets.len());
    for (number, frame) in (1..).zip(&sealed) {
        let packet = ip::Packet::parse(below(frame)).unwrap();
        assert_eq!(esp::Esp::parse(packet.upper()).unwrap().sequence(), number);
        assert!(b.wire(OUTSIDE).inject(frame));
    }
    b.turn();
    let opened: Vec<_> = b.drain(INSIDE).iter().map(|frame| below(frame).to_vec()).collect();
    let expected: Vec<_> = packets.into_iter().map(|packet| forwarded(packet, 2)).collect();
    assert_eq!(opened, expected);
}

#[test]
fn the_kernels_own_packets_enter_tunnels_and_leave_them_for_the_kernel_with_their_ttl() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    for v6 in [false, true] {
        let packet = udp_between(End::A.inside(v6), End::B.inside(v6), 1, 2, 99);
        let sealed = a.pass(KERNEL, &packet, OUTSIDE);
        assert_eq!(b.pass(OUTSIDE, &sealed, KERNEL), packet, "no hop is counted at either end");
    }
    // a neighbour on the inside talks to the gateway itself
    let packet = udp_between(End::A.host(false), End::A.inside(false), 1, 2, 99);
    assert_eq!(a.pass(INSIDE, &ethernet(&packet), KERNEL), packet);
}

#[test]
fn an_unfinished_checksum_is_finished_before_it_is_sealed() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    for v6 in [false, true] {
        let packet = udp_packet(End::A, v6, 50);
        let mut partial = packet.clone();
        let at = if v6 { 40 } else { 20 };
        let (src, dst) = (End::A.host(v6), End::B.host(v6));
        let pseudo = wire::checksum::pseudo(src, dst, IpProtocol::UDP, (packet.len() - at) as u32);
        partial[at + 6..at + 8].copy_from_slice(&pseudo.to_be_bytes());
        let sealed = a.pass(INSIDE, &ethernet(&partial), OUTSIDE);
        assert_eq!(below(&b.pass(OUTSIDE, &sealed, INSIDE)), forwarded(packet, 2));
    }
    assert_eq!(a.counted(sadb::Counter::ChecksumsCompleted), 2);
}

#[test]
fn a_manual_spi_that_names_another_slot_is_found_too() {
    let agreement = Agreement::usual();
    let mut b = Gateway::new(End::B);
    // slot 7 of ours, and SPIs that point at slot 0, at no slot, and at a slot that is taken by another SA
    for (slot, spi) in [(7, 0x1001), (9, 0x0800), (10, 0x0000_8abc)] {
        let mut sa = agreement.sa(End::A, End::B);
        (sa.slot, sa.spi) = (slot, spi);
        b.install(&sa, &agreement.keys(End::A));
        let pinned = b.shared.sad.pin();
        assert_eq!(pinned.inbound(spi).map(|sa| sa.slot), Some(slot), "{spi:#x}");
        assert!(pinned.inbound(spi + 1).is_none());
    }
}

#[test]
fn a_new_outbound_sa_takes_over_and_the_old_one_comes_back_when_it_is_deleted() {
    let agreement = Agreement::usual();
    let mut a = agreement.gateway(End::A);
    let mut second = agreement.sa(End::A, End::A);
    (second.slot, second.spi) = (9, 0x0000_a123);
    a.install(&second, &agreement.keys(End::A));
    let mut spi = || {
        let sealed = a.pass(INSIDE, &ethernet(&udp_packet(End::A, false, 9)), OUTSIDE);
        esp::Esp::parse(ip::Packet::parse(below(&sealed)).unwrap().upper()).unwrap().spi()
    };
    assert_eq!(spi(), 0x0000_a123);
    assert_eq!(spi(), 0x0000_a123);
    a.shared.sad.delete(9, 0x0000_a123).unwrap();
    let sealed = a.pass(INSIDE, &ethernet(&udp_packet(End::A, false, 9)), OUTSIDE);
    let esp = esp::Esp::parse(ip::Packet::parse(below(&sealed)).unwrap().upper()).unwrap().spi();
    assert_eq!(esp, Agreement::spi(End::A));
}

#[test]
fn from_one_tunnel_into_another_policy_decides_again() {
    let agreement = Agreement::usual();
    let mut hub = agreement.gateway(End::B);
    let mut onward = agreement.sa(End::B, End::B);
    (onward.slot, onward.spi, onward.tunnel) = (20, 0x0001_5777, 5);
    onward.remote = ip("198.51.100.7");
    hub.install(&onward, &agreement.keys(End::B));
    hub.tables(|world| {
        let range = |text: &str| wire::selector::AddressRange::new(ip(text), ip(text)).unwrap();
        let (spoke, far) = (range("10.1.0.5"), range("10.3.0.5"));
        world.policies.push(protect(far, spoke, TUNNEL));
        world.policies.push(protect(spoke, far, 5));
    });
    let packet = udp_between(End::A.host(false), ip("10.3.0.5"), 1, 2, 77);
    let sealed = hub.pass(OUTSIDE, &Peer::new(agreement, End::A).frame(1, &packet), OUTSIDE);
    let outer = ip::Packet::parse(below(&sealed)).unwrap();
    assert_eq!(outer.dst(), ip("198.51.100.7"));
    assert_eq!(esp::Esp::parse(outer.upper()).unwrap().spi(), 0x0001_5777);
}
