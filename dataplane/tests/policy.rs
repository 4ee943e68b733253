//! What policy lets out, in and by.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use dataplane::Notice;
use sadb::{Counter, DropReason, Verdict};
use wire::iana::IpProtocol;
use wire::selector::{AddressRange, PortRange, Selector};

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange::new(ip(first), ip(last)).unwrap()
}

fn web() -> Selector {
    Selector {
        protocol: (6, 6),
        local_port: PortRange::one(443),
        ..selector(range("10.2.0.0", "10.2.255.255"), range("10.1.0.0", "10.1.255.255"))
    }
}

fn tcp(from: u16, to: u16) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..2].copy_from_slice(&from.to_be_bytes());
    segment[2..4].copy_from_slice(&to.to_be_bytes());
    ip_packet(End::A.host(false), End::B.host(false), IpProtocol::TCP, 0, 64, &segment)
}

#[test]
fn inner_packets_must_be_inside_the_selectors() {
    let agreement = Agreement::usual();
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
    b.tables(|world| world.policies = vec![policy(web(), Verdict::Protect { tunnel: TUNNEL })]);
    let (there, here) = (End::A.host(false), End::B.host(false));
    let whole = tcp(1000, 443);
    let fragments = cut_v4(&tcp(1000, 443), &[8]);
    let cases = [
        ("as agreed", whole, None),
        ("other local port", tcp(1000, 80), Some(DropReason::BadSelector)),
        ("ports turned around", tcp(443, 1000), Some(DropReason::BadSelector)),
        ("other protocol", udp_between(there, here, 1000, 443, 20), Some(DropReason::BadSelector)),
        (
            "other source",
            udp_between(ip("10.3.0.5"), here, 1000, 443, 20),
            Some(DropReason::BadSelector),
        ),
        (
            "other destination",
            udp_between(there, ip("10.3.0.5"), 1000, 443, 20),
            Some(DropReason::BadSelector),
        ),
        ("other family", udp_packet(End::A, true, 20), Some(DropReason::BadSelector)),
        ("addresses turned around", udp_packet(End::B, false, 20), Some(DropReason::BadSelector)),
        ("first fragment shows its ports", fragments[0].clone(), None),
        ("later fragment does not", fragments[1].clone(), Some(DropReason::InnerFragment)),
    ];
    for (sequence, (what, inner, lost)) in (1..).zip(cases) {
        let frame = peer.frame(sequence, &inner);
        match lost {
            None => {
                assert_eq!(below(&b.pass(OUTSIDE, &frame, INSIDE)), forwarded(inner, 1), "{what}")
            }
            Some(why) => assert_eq!(b.loses(OUTSIDE, &frame), why, "{what}"),
        }
    }
    // without ports in the selectors, later fragments are as good as any
    b.tables(|_| {});
    let later = cut_v4(&udp_packet(End::A, false, 40), &[16])[1].clone();
    assert_eq!(below(&b.pass(OUTSIDE, &peer.frame(50, &later), INSIDE)), forwarded(later, 1));
}

#[test]
fn another_tunnels_packets_are_not_this_ones() {
    let agreement = Agreement::usual();
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
    b.tables(|world| {
        world.policies.iter_mut().for_each(|p| p.verdict = Verdict::Protect { tunnel: 4 })
    });
    assert_eq!(
        b.loses(OUTSIDE, &peer.frame(1, &udp_packet(End::A, false, 9))),
        DropReason::BadSelector
    );
}

#[test]
fn a_discard_before_the_tunnels_entry_holds_for_what_comes_out_of_the_tunnel() {
    let agreement = Agreement::usual();
    let (mut b, peer) = (agreement.gateway(End::B), Peer::new(agreement, End::A));
    b.tables(|world| {
        let host = range("10.2.0.5", "10.2.0.5");
        world
            .policies
            .insert(0, policy(selector(host, range("10.1.0.0", "10.1.0.255")), Verdict::Discard));
    });
    assert_eq!(
        b.loses(OUTSIDE, &peer.frame(1, &udp_packet(End::A, false, 9))),
        DropReason::PolicyDiscard
    );
}

#[test]
fn what_policy_says_of_leaving_traffic_is_done_in_order() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| {
        let (here, there) = (range("10.1.0.0", "10.1.255.255"), range("10.2.0.53", "10.2.0.53"));
        let dns = Selector {
            protocol: (17, 17),
            remote_port: PortRange::one(53),
            ..selector(here, there)
        };
        world.policies.insert(0, policy(dns, Verdict::Bypass));
        world.policies.insert(1, policy(selector(here, there), Verdict::Discard));
    });
    let to =
        |destination: &str, port| udp_between(End::A.host(false), ip(destination), 9, port, 30);
    let dns = to("10.2.0.53", 53);
    let out = a.pass(INSIDE, &ethernet(&dns), OUTSIDE);
    assert_eq!(below(&out), forwarded(dns, 1), "in the clear, one hop further");
    assert_eq!(a.counted(Counter::Bypassed), 1);
    assert_eq!(a.loses(INSIDE, &ethernet(&to("10.2.0.53", 54))), DropReason::PolicyDiscard);
    let sealed = a.pass(INSIDE, &ethernet(&to("10.2.0.54", 54)), OUTSIDE);
    assert_eq!(wire::ip::Packet::parse(below(&sealed)).unwrap().protocol(), IpProtocol::ESP);
    assert_eq!(
        a.loses(INSIDE, &ethernet(&to("198.51.100.9", 54))),
        DropReason::PolicyDiscard,
        "no entry"
    );
}

#[test]
fn a_later_fragment_never_slips_past_an_entry_that_hangs_on_ports() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| {
        let (here, there) = (range("10.1.0.0", "10.1.255.255"), range("10.2.0.0", "10.2.255.255"));
        let secret = Selector {
            protocol: (17, 17),
            remote_port: PortRange::one(2000),
            ..selector(here, there)
        };
        world.policies = vec![
            policy(secret, Verdict::Protect { tunnel: TUNNEL }),
            policy(selector(here, there), Verdict::Bypass),
        ];
    });
    let fragments = cut_v4(&udp_packet(End::A, false, 40), &[16]);
    let sealed = a.pass(INSIDE, &ethernet(&fragments[0]), OUTSIDE);
    assert_eq!(wire::ip::Packet::parse(below(&sealed)).unwrap().protocol(), IpProtocol::ESP);
    assert_eq!(a.loses(INSIDE, &ethernet(&fragments[1])), DropReason::InnerFragment);
}

#[test]
fn without_an_sa_the_keeper_is_asked_once_and_nothing_leaves() {
    let mut a = Gateway::new(End::A);
    for _ in 0..3 {
        let lost = a.loses(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
        assert_eq!(lost, DropReason::NoOutboundSa);
    }
    let expected = Notice::Acquire {
        tunnel: TUNNEL,
        source: End::A.host(false),
        destination: End::B.host(false),
        protocol: 17,
        source_port: 1000,
        destination_port: 2000,
    };
    assert_eq!(a.notices(), [expected]);
    a.now += core::time::Duration::from_secs(1);
    a.loses(INSIDE, &ethernet(&udp_packet(End::A, true, 9)));
    assert_eq!(a.notices().len(), 1);
}

#[test]
fn plaintext_from_outside_is_let_in_only_where_policy_does_not_want_it_protected() {
    let mut b = Agreement::usual().gateway(End::B);
    for v6 in [false, true] {
        let plain = ethernet(&udp_packet(End::A, v6, 9));
        assert_eq!(b.loses(OUTSIDE, &plain), DropReason::PlaintextOutside);
    }
    assert!(matches!(
        b.notices()[..],
        [Notice::Audit { reason: DropReason::PlaintextOutside, .. }]
    ));
    let stranger = udp_between(ip("198.51.100.9"), End::B.host(false), 1, 2, 9);
    let out = b.pass(OUTSIDE, &ethernet(&stranger), INSIDE);
    assert_eq!(below(&out), forwarded(stranger, 1));
    let to_us = udp_between(ip("198.51.100.9"), End::B.outer(false), 1, 22, 9);
    assert_eq!(b.pass(OUTSIDE, &ethernet(&to_us), KERNEL), to_us);
    // IP in IP without an SA is not decapsulated
    let inner = udp_packet(End::A, false, 9);
    let tunnelled =
        ip_packet(End::A.outer(false), End::B.outer(false), IpProtocol::IPV4, 0, 64, &inner);
    assert_eq!(b.pass(OUTSIDE, &ethernet(&tunnelled), KERNEL), tunnelled);
}

#[test]
fn plaintext_in_fragments_is_judged_too() {
    let mut b = Agreement::usual().gateway(End::B);
    for piece in cut_v4(&udp_packet(End::A, false, 40), &[16]) {
        assert_eq!(b.loses(OUTSIDE, &ethernet(&piece)), DropReason::PlaintextOutside);
    }
    b.tables(|world| world.policies = vec![policy(web(), Verdict::Protect { tunnel: TUNNEL })]);
    let hidden = cut_v4(&tcp(1000, 443), &[8])[1].clone();
    assert_eq!(b.loses(OUTSIDE, &ethernet(&hidden)), DropReason::InnerFragment);
}
