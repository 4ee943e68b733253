//! ECN, DSCP and TTL through the whole walk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use sadb::sa::Dscp;
use sadb::{Counter, DropReason};
use wire::{icmp, icmpv6, ip, ipv4, ipv6};

fn with_tos(mut packet: Vec<u8>, tos: u8) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        ipv4::set_tos(&mut packet, tos).unwrap();
    } else {
        ipv6::set_traffic_class(&mut packet, tos).unwrap();
    }
    packet
}

fn with_ttl(mut packet: Vec<u8>, ttl: u8) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        ipv4::set_ttl(&mut packet, ttl).unwrap();
    } else {
        ipv6::set_hop_limit(&mut packet, ttl).unwrap();
    }
    packet
}

fn tos(frame: &[u8]) -> u8 {
    ip::Packet::parse(below(frame)).unwrap().tos()
}

const NOT_ECT: u8 = 0;
const ECT1: u8 = 1;
const ECT0: u8 = 2;
const CE: u8 = 3;

#[test]
fn ecn_comes_out_of_the_tunnel_as_rfc_6040_figure_4_says() {
    // rows: inner; columns: outer Not-ECT, ECT(1), ECT(0), CE; None is "drop"
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT1, [Some(ECT1), Some(ECT1), Some(ECT1), Some(CE)]),
        (ECT0, [Some(ECT0), Some(ECT1), Some(ECT0), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for (inner_v6, outer_v6) in [(false, false), (false, true), (true, false), (true, true)] {
        let agreement = Agreement { outer_v6, ..Agreement::usual() };
        let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
        for (inner, row) in table {
            for (outer, expected) in (0u8..).zip(row) {
                let packet = with_tos(udp_packet(End::A, inner_v6, 40), 0x20 | inner);
                let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
                assert_eq!(tos(&sealed) & 3, inner, "normal mode copies (RFC 6040 §4.1)");
                let marked = ethernet(&with_tos(below(&sealed).to_vec(), 0x20 | outer));
                match expected {
                    Some(ecn) => assert_eq!(
                        tos(&b.pass(OUTSIDE, &marked, INSIDE)),
                        0x20 | ecn,
                        "{inner} {outer}"
                    ),
                    None => assert_eq!(b.loses(OUTSIDE, &marked), DropReason::EcnIllegal),
                }
            }
        }
    }
}

#[test]
fn compatibility_mode_sends_not_ect() {
    let mut a = Gateway::new(End::A);
    Agreement::usual().install(&mut a, |sa| sa.ecn = false);
    for ecn in 0..4 {
        let packet = with_tos(udp_packet(End::A, false, 40), 0x20 | ecn);
        assert_eq!(tos(&a.pass(INSIDE, &ethernet(&packet), OUTSIDE)), 0x20);
    }
}

#[test]
fn dscp_goes_where_the_sa_says() {
    // (rule, outer DSCP of inner 8, inner DSCP of inner 8 under outer 40)
    for (rule, out, back) in
        [(Dscp::Out, 8, 8), (Dscp::Copy, 8, 40), (Dscp::No, 0, 8), (Dscp::In, 0, 40)]
    {
        let agreement = Agreement::usual();
        let (mut a, mut b) = (Gateway::new(End::A), Gateway::new(End::B));
        agreement.install(&mut a, |sa| sa.dscp = rule);
        agreement.install(&mut b, |sa| sa.dscp = rule);
        let packet = with_tos(udp_packet(End::A, false, 40), 8 << 2);
        let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
        assert_eq!(tos(&sealed) >> 2, out, "{rule:?}");
        let marked = ethernet(&with_tos(below(&sealed).to_vec(), 40 << 2));
        assert_eq!(tos(&b.pass(OUTSIDE, &marked, INSIDE)) >> 2, back, "{rule:?}");
    }
}

#[test]
fn the_last_hop_before_the_tunnel_is_answered_from_the_inside() {
    let mut a = Agreement::usual().gateway(End::A);
    for (v6, ttl) in [(false, 1), (false, 0), (true, 1), (true, 0)] {
        let packet = with_ttl(udp_packet(End::A, v6, 40), ttl);
        let answer = a.pass(INSIDE, &ethernet(&packet), INSIDE);
        let error = ip::Packet::parse(below(&answer)).unwrap();
        assert_eq!((error.src(), error.dst()), (End::A.inside(v6), End::A.host(v6)));
        let kind = error.upper()[0];
        assert_eq!(kind, if v6 { icmpv6::TIME_EXCEEDED } else { icmp::TIME_EXCEEDED });
    }
    assert_eq!(a.dropped(DropReason::TtlExceeded), 4);
    assert_eq!(a.counted(Counter::TimeExceededSent), 4);
    let packet = with_ttl(udp_packet(End::A, false, 40), 2);
    a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
}

#[test]
fn the_last_hop_behind_the_tunnel_is_answered_through_the_tunnel() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    for v6 in [false, true] {
        let packet = with_ttl(udp_packet(End::A, v6, 40), 2);
        let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
        let back = b.pass(OUTSIDE, &sealed, OUTSIDE);
        let answer = a.pass(OUTSIDE, &back, INSIDE);
        let error = ip::Packet::parse(below(&answer)).unwrap();
        assert_eq!((error.src(), error.dst()), (End::B.inside(v6), End::A.host(v6)));
    }
}

#[test]
fn errors_are_not_answered_with_errors_and_their_number_is_bounded() {
    let mut a = Agreement::usual().gateway(End::A);
    let (src, dst) = (End::A.host(false), End::B.host(false));
    let unreachable =
        ip_packet(src, dst, wire::iana::IpProtocol::ICMP, 0, 1, &[3, 1, 0xfc, 0xfe, 0, 0, 0, 0]);
    assert_eq!(a.loses(INSIDE, &ethernet(&unreachable)), DropReason::TtlExceeded);
    assert_eq!(a.counted(Counter::TimeExceededSent), 0);
    let dying = ethernet(&with_ttl(udp_packet(End::A, false, 40), 1));
    for _ in 0..200 {
        a.feed(INSIDE, &dying);
    }
    assert_eq!(a.counted(Counter::TimeExceededSent), 50);
    assert_eq!(a.dropped(DropReason::TtlExceeded), 201);
}
