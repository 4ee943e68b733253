//! Routes over VLANs of our ports: frames arrive tagged and leave tagged, with one tag or two.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use core::net::IpAddr;
use dataplane::{Notice, RouteKind, Tags, Vlan};
use sadb::{Counter, DropReason};
use wire::ethernet::{Ethernet, VlanTag};
use wire::iana::{EtherType, IpProtocol};
use wire::{icmp, ip};

const VLAN_MAC: [u8; 6] = [2, 0, 0, 0, 7, 1];

const fn tag(protocol: EtherType, control: u16) -> VlanTag {
    VlanTag { protocol, control }
}

const ONE: Tags = Tags::One(tag(EtherType::VLAN, 100));
const TWO: Tags =
    Tags::Two { outer: tag(EtherType::SERVICE_VLAN, 7), inner: tag(EtherType::VLAN, 8) };

fn vlan(ifindex: u32, tags: Tags, addresses: Vec<IpAddr>) -> Vlan {
    Vlan { ifindex, mac: VLAN_MAC, mtu: 1500, tags, addresses }
}

/// Moves the routes and neighbours of a port to a VLAN on it.
fn over(world: &mut World, port: usize, vlan: Vlan) {
    let (from, to) = (port as u32 + 10, vlan.ifindex);
    for route in &mut world.routes {
        if let RouteKind::Via { ifindex, .. } = &mut route.kind
            && *ifindex == from
        {
            *ifindex = to;
        }
    }
    let neighbours = world.neighbours.iter_mut().filter(|neighbour| neighbour.ifindex == from);
    neighbours.for_each(|neighbour| neighbour.ifindex = to);
    world.interfaces[port].vlans.push(vlan);
}

fn tags_of(frame: &[u8]) -> Vec<VlanTag> {
    Ethernet::parse(frame).unwrap().tags().collect()
}

fn listed(tags: Tags) -> Vec<VlanTag> {
    match tags {
        Tags::One(tag) => vec![tag],
        Tags::Two { outer, inner } => vec![outer, inner],
    }
}

/// As a host behind a VLAN sends it.
fn tagged(tags: Tags, packet: &[u8]) -> Vec<u8> {
    let plain = ethernet(packet);
    let mut frame = plain[..12].to_vec();
    for tag in listed(tags) {
        frame.extend(tag.protocol.0.to_be_bytes());
        frame.extend((tag.control | 0xa000).to_be_bytes()); // with a priority
    }
    frame.extend(&plain[12..]);
    frame
}

fn gateway(end: End, inside: Tags, outside: Tags) -> Gateway {
    let gateway = Agreement::usual().gateway(end);
    gateway.tables(|world| {
        over(world, INSIDE, vlan(30, inside, vec![]));
        over(world, OUTSIDE, vlan(31, outside, vec![]));
    });
    gateway
}

#[test]
fn what_arrives_in_one_vlan_crosses_the_wire_in_another_and_leaves_in_a_third() {
    for (inside, outside) in [(ONE, TWO), (TWO, ONE), (ONE, ONE), (TWO, TWO)] {
        let (mut a, mut b) = (gateway(End::A, inside, outside), gateway(End::B, inside, outside));
        for v6 in [false, true] {
            for len in [0, 1, 1000] {
                let packet = udp_packet(End::A, v6, len);
                let sealed = a.pass(INSIDE, &tagged(inside, &packet), OUTSIDE);
                let link = Ethernet::parse(&sealed).unwrap();
                assert_eq!((link.source(), link.destination()), (VLAN_MAC, PEER_MAC));
                assert_eq!(tags_of(&sealed), listed(outside));
                let outer = ip::Packet::parse(link.payload()).unwrap();
                assert_eq!(outer.protocol(), IpProtocol::ESP);
                assert_eq!(outer.total_len(), link.payload().len());

                let opened = b.pass(OUTSIDE, &sealed, INSIDE);
                let link = Ethernet::parse(&opened).unwrap();
                assert_eq!((link.source(), link.destination()), (VLAN_MAC, HOST_MAC));
                assert_eq!(tags_of(&opened), listed(inside));
                assert_eq!(link.payload(), forwarded(packet, 2));
            }
        }
    }
}

#[test]
fn a_port_with_vlans_still_sends_untagged_where_the_route_says_so() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| world.interfaces[OUTSIDE].vlans.push(vlan(31, ONE, vec![])));
    let sealed = a.pass(INSIDE, &ethernet(&udp_packet(End::A, false, 9)), OUTSIDE);
    let link = Ethernet::parse(&sealed).unwrap();
    assert_eq!((link.source(), link.header_len()), (PORT_MACS[OUTSIDE], 14));
}

#[test]
fn what_waits_for_a_neighbour_in_a_vlan_leaves_there_though_the_list_changed() {
    let mut a = Agreement::usual().gateway(End::A);
    let other = |id| Tags::One(tag(EtherType::VLAN, id));
    a.tables(|world| {
        over(world, OUTSIDE, vlan(31, ONE, vec![]));
        world.neighbours.retain(|neighbour| neighbour.ifindex != 31);
    });
    a.feed(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
    let resolve = Notice::Resolve { ifindex: 31, address: End::B.outer(false) };
    assert_eq!(a.notices(), [resolve]);
    assert_eq!(a.counted(Counter::WaitedForNeighbour), 1);

    // Another VLAN takes its place in the list, and has a neighbour of the same address.
    a.tables(|world| {
        over(world, OUTSIDE, vlan(29, other(5), vec![]));
        world.interfaces[OUTSIDE].vlans.push(vlan(31, ONE, vec![]));
    });
    a.turn();
    assert_eq!(a.drain(OUTSIDE), Vec::<Vec<u8>>::new(), "not into another VLAN");

    a.tables(|world| {
        world.interfaces[OUTSIDE].vlans.push(vlan(29, other(5), vec![]));
        over(world, OUTSIDE, vlan(31, ONE, vec![]));
    });
    a.turn();
    let out = a.drain(OUTSIDE);
    assert_eq!(out.len(), 1);
    assert_eq!(tags_of(&out[0]), listed(ONE));
}

#[test]
fn what_waits_when_its_vlan_goes_is_dropped_by_name() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| {
        over(world, OUTSIDE, vlan(31, ONE, vec![]));
        world.neighbours.retain(|neighbour| neighbour.ifindex != 31);
    });
    a.feed(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
    a.tables(|_| {});
    a.turn();
    assert_eq!(a.dropped(DropReason::InterfaceDown), 1);
    assert_eq!(a.drain(OUTSIDE), Vec::<Vec<u8>>::new());
}

#[test]
fn an_error_goes_back_into_the_vlan_from_the_gateways_address_there() {
    let mut a = Agreement::usual().gateway(End::A);
    let ours: IpAddr = ip("10.1.77.1");
    a.tables(|world| {
        let decoy = vlan(29, Tags::One(tag(EtherType::VLAN, 5)), vec![ip("10.1.99.1")]);
        world.interfaces[INSIDE].vlans.push(decoy);
        over(world, INSIDE, vlan(30, TWO, vec![ours]));
        let mut narrow = vlan(31, ONE, vec![]);
        narrow.mtu = 1000;
        over(world, OUTSIDE, narrow);
    });
    let packet = dont_fragment(udp_packet(End::A, false, 1200));
    let out = a.feed(INSIDE, &tagged(TWO, &packet));
    assert_eq!(a.dropped(DropReason::TooBig), 1);
    let [error] = out[INSIDE].as_slice() else { panic!("{out:?}") };
    let link = Ethernet::parse(error).unwrap();
    assert_eq!((link.source(), link.destination()), (VLAN_MAC, HOST_MAC));
    assert_eq!(tags_of(error), listed(TWO));
    let answer = ip::Packet::parse(link.payload()).unwrap();
    assert_eq!((answer.src(), answer.dst()), (ours, End::A.host(false)));
    let message = icmp::Icmp::parse(answer.upper()).unwrap();
    let agreement = Agreement::usual();
    let most =
        dataplane::pmtu::max_inner(1000, agreement.suite.into(), agreement.encap(), false) as u16;
    assert_eq!(message.next_hop_mtu(), Some(most), "of the VLAN, not of the port");
}
