//! Two real data planes in network namespaces, this test in the part of control. Needs root, `ip`, `ping` and
//! `tcpdump`; fails loudly without.
//!
//! ```text
//! lan-a ── lan0 gw-a wan0 ── bridge (observer) ── wan0 gw-b lan0 ── lan-b
//! ```
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod lab;

use lab::{Gateway, Lab, Side, Sniffer, eventually};
use sadb::{Event, Refusal, Verb, XdpMode};

#[test]
fn traffic_crosses_and_survives_the_death_of_either_process() {
    let lab = Lab::new("life");
    const PLAIN: &str = "net 10.0.0.0/8 or net fd01::/48 or net fd02::/48";
    let plain = Sniffer::start(&lab, PLAIN);
    lab.ping("la", "10.2.0.2");
    plain.catches_up(&lab);
    assert!(
        plain.stop().len() >= 2,
        "without us the kernels carry it in the clear, and the observer sees it"
    );
    let [mut a, mut b] = lab.gateways();
    a.install(Side::A);
    b.install(Side::B);

    // v4 and v6 through the tunnel, both ways, and nothing but ESP between the gateways.
    let plain = Sniffer::start(&lab, PLAIN);
    let esp = Sniffer::start(&lab, "esp and src 192.0.2.1");
    lab.ping("la", "10.2.0.2");
    lab.ping("lb", "10.1.0.2");
    lab.ping("la", "fd02::2");
    lab.tcp("la", "lb", "10.2.0.2:5001", 4_000_000);
    lab.tcp("lb", "la", "[fd01::2]:5001", 4_000_000);

    // The gateways' own traffic: from the kernel by the TUN, and to it.
    lab.ping("ga", "10.2.0.2");
    lab.ping("la", "10.2.0.1");
    lab.ping("ga", "fd02::1");
    lab.tcp("ga", "lb", "10.2.0.2:5003", 1_000_000);

    // Control dies: traffic goes on. A new one gets the region back and finds its SAs.
    a.drop_control();
    lab.ping("la", "10.2.0.2");
    a.connect();
    assert_eq!(a.region().sas().count(), 2, "the SAs are still there");
    assert_eq!(a.ask(Verb::Ping), Ok(()));

    // The data plane dies: nothing leaves in the clear, SSH-like traffic of the gateway goes on.
    let before = a.sequence();
    assert!(before > 0, "packets were numbered");
    a.kill();
    assert!(!lab.try_ping("la", "10.2.0.2"), "nobody carries it");
    assert!(!lab.try_ping("ga", "10.2.0.2"), "the kernel's own traffic is black-holed too");
    lab.ping("ga", "192.0.2.2");

    // It comes back: the same SAs, numbers go on upward.
    a.spawn();
    a.connect();
    assert_eq!(a.region().sas().count(), 2, "adopted");
    lab.ping("la", "10.2.0.2");
    lab.tcp("la", "lb", "10.2.0.2:5002", 1_000_000);
    assert!(a.sequence() > before, "{} after {before}", a.sequence());
    esp.catches_up(&lab);
    plain.catches_up(&lab);
    let numbers = esp.stop().iter().map(|line| lab::sequence_number(line)).collect::<Vec<_>>();
    assert!(numbers.len() > 100, "the observer saw ESP: {}", numbers.len());
    let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "no number was used twice under one key");
    assert_eq!(plain.stop(), Vec::<String>::new(), "nothing of it in the clear");
    a.stop();
    b.stop();
}

#[test]
fn control_may_die_without_a_packet_lost() {
    let lab = Lab::new("ctl");
    let [mut a, mut b] = lab.gateways();
    a.install(Side::A);
    b.install(Side::B);
    lab.ping("la", "10.2.0.2");
    let load = lab.load("la", "10.2.0.2");
    for _ in 0..10 {
        let before = a.sequence();
        a.drop_control();
        a.connect();
        eventually("traffic goes on", || a.sequence() > before + 20);
    }
    let (sent, received) = load.stop();
    assert!(sent > 200 && received + 1 >= sent, "{received} of {sent}: one may be on its way");
    a.stop();
    b.stop();
}

#[test]
fn no_number_is_used_twice_however_often_the_data_plane_is_killed() {
    let lab = Lab::new("kill");
    let [mut a, mut b] = lab.gateways();
    a.install(Side::A);
    b.install(Side::B);
    lab.ping("la", "10.2.0.2");
    let esp = Sniffer::start(&lab, "esp and src 192.0.2.1");
    let load = lab.load("la", "10.2.0.2");
    for _ in 0..5 {
        let before = a.sequence();
        eventually("traffic goes on", || a.sequence() > before + 30);
        a.kill();
        a.spawn();
        a.connect();
    }
    lab.ping("la", "10.2.0.2");
    let (sent, received) = load.stop();
    assert!(received > 100 && received < sent, "{received} of {sent}");
    esp.catches_up(&lab);
    let numbers: Vec<_> = esp.stop().iter().map(|line| lab::sequence_number(line)).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "upward only: {numbers:?}");
    assert!(b.region().sas().all(|sa| sa.replay_duplicate == 0));
    a.stop();
    b.stop();
}

#[test]
fn a_tunnel_for_everything_leaves_ike_and_the_lan_alone() {
    let lab = Lab::new("full");
    let [mut a, mut b] = lab.gateways();
    a.install(Side::A);
    b.install(Side::B);
    a.full_tunnel();
    lab.ping("la", "10.2.0.2");
    lab.ping("ga", "10.2.0.2");
    lab.ping("ga", "10.1.0.2");
    let ike = Sniffer::start(&lab, "udp and src 192.0.2.1");
    lab.udp("ga", "0.0.0.0:500", "192.0.2.2:500"); // IKE, source not chosen by the sender
    lab.udp("ga", "192.0.2.1:22", "192.0.2.2:4242"); // an answer from an address without policy
    lab.udp("ga", "0.0.0.0:2222", "192.0.2.2:2222"); // the gateway's own, into the tunnel: B discards it
    lab.ping("ga", "10.2.0.2");
    ike.catches_up(&lab);
    let seen = ike.stop();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].contains("192.0.2.1.500 >") && seen[1].contains("192.0.2.1.22 >"), "{seen:?}");
    a.stop();
    b.stop();
}

#[test]
fn two_workers_share_the_queues_and_lose_no_frame() {
    let lab = Lab::new("two");
    lab.two_queues();
    let [mut a, mut b] = [Gateway::new(&lab, Side::A), Gateway::new(&lab, Side::B)];
    for gateway in [&mut a, &mut b] {
        gateway.two_workers();
        gateway.spawn();
        gateway.connect();
        gateway.install(gateway.side());
    }
    assert_eq!(a.interface("wan0").queues, 2, "{}", a.log());
    lab.ping("la", "10.2.0.2");
    for port in 5001..5009 {
        lab.tcp("la", "lb", &format!("10.2.0.2:{port}"), 500_000);
        lab.tcp("lb", "ga", &format!("10.1.0.1:{port}"), 100_000);
    }
    a.stop();
    b.stop();
}

/// The gateways joined by a VLAN alone, then by a VLAN in a VLAN; the LAN of B is in a VLAN as well.
#[test]
#[ignore = "needs a kernel with VLANs (8021q): scripts/test runs it where there is one"]
fn a_tunnel_runs_over_vlans() {
    for (name, protocol, mtu) in [("vlan", None, 1500), ("qinq", Some("802.1ad"), 1496)] {
        let lab = Lab::new(name);
        let wan = lab.wan_over_vlans(protocol);
        lab.lan_b_over_a_vlan();
        let [mut a, mut b] = lab.gateways();
        a.install(Side::A);
        b.install(Side::B);
        let esp = Sniffer::start(&lab, &format!("{wan} and esp and src 192.0.2.1"));
        let untagged = Sniffer::start(&lab, "esp and not vlan");
        let plain = Sniffer::start(&lab, &format!("{wan} and (net 10.0.0.0/8 or net fd01::/48)"));
        lab.ping("la", "10.2.0.2");
        lab.ping("lb", "10.1.0.2");
        lab.ping("la", "fd02::2");
        lab.ping("ga", "10.2.0.2");
        lab.tcp("la", "lb", "10.2.0.2:5001", 1_000_000); // with full-size packets
        lab.tcp("lb", "la", "[fd01::2]:5001", 1_000_000);
        assert!(lab.path_mtu("la", "10.2.0.2") <= mtu - 54, "the VLAN's MTU counts");
        assert!(esp.stop().len() > 100, "the observer saw tagged ESP");
        assert_eq!(untagged.stop(), Vec::<String>::new());
        assert_eq!(plain.stop(), Vec::<String>::new());
        a.stop();
        b.stop();
    }
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_bound_again() {
    let lab = Lab::new("flap");
    let [mut a, mut b] = lab.gateways();
    a.install(Side::A);
    b.install(Side::B);
    lab.ping("la", "10.2.0.2");
    lab.delete_wan_a();
    eventually("the interface is shown as down", || a.interface("wan0").ifindex == 0);
    lab.make_wan_a();
    eventually("the interface is bound again", || {
        let wan = a.interface("wan0");
        wan.rebinds >= 1 && wan.queues > 0
    });
    lab.ping("la", "10.2.0.2");
    lab.down_up("ga", "wan0");
    lab.ping("la", "10.2.0.2");
    a.stop();
    b.stop();
}

#[test]
fn control_is_answered_refused_and_told() {
    let lab = Lab::new("ask");
    let mut a = lab.gateway(Side::A);
    a.install(Side::A);
    let [inbound, outbound] = lab::sas(Side::A);
    assert_eq!(a.add(&inbound), Err(Refusal::SlotTaken));
    let mut twin = inbound;
    (twin.slot, twin.spi) = (7, 77);
    assert_eq!(a.add(&twin), Err(Refusal::ReservedSpi));
    assert_eq!(a.ask(Verb::Delete { slot: 9, spi: 1 }), Err(Refusal::NoSuchSa));
    assert_eq!(a.ask(Verb::Policies { generation: 9, count: 1 }), Err(Refusal::BadPolicy));

    // Without an outbound SA a packet asks for one, once.
    assert_eq!(a.ask(Verb::Delete { slot: outbound.slot, spi: outbound.spi }), Ok(()));
    assert!(!lab.try_ping("la", "10.2.0.2"));
    let acquire = a.event(|event| matches!(event, Event::Acquire { .. }));
    let Event::Acquire { tunnel, destination, .. } = acquire else { panic!("{acquire:?}") };
    assert_eq!((tunnel, destination), (0, "10.2.0.2".parse().unwrap()));

    // A reader sees what control sees; a second data plane is turned away.
    let reader = sadb::link::connect_reader(&a.socket()).unwrap();
    assert_eq!(reader.sas().count(), 1);
    assert_eq!(reader.interfaces().len(), 2);
    assert!(a.second_instance_ends());
    assert!(!a.detach(), "not under a data plane that runs");
    assert!(lab.links("ga").contains("postern0"));

    // Policy goes: the routes of the gateway's own traffic go with it.
    assert!(lab.routes("ga").contains("10.2.0.0/16"));
    a.policies(&[]);
    eventually("the routes are gone", || lab.routes("ga").is_empty());
    a.stop();
    assert!(a.detach());
    assert!(!lab.links("ga").contains("postern0"));
}

#[test]
fn zero_copy_that_is_required_and_not_there_is_refused_with_advice() {
    let lab = Lab::new("zc");
    let mut a = Gateway::new(&lab, Side::A);
    a.require_zero_copy();
    a.spawn();
    a.try_connect();
    let log = a.wait_for_end();
    assert!(log.contains("require"), "{log}");
    for name in ["lan0", "wan0"] {
        let status = a.interface(name);
        assert_eq!((status.mode, status.queues), (XdpMode::Down, 0), "said before it was bound");
        assert_eq!(status.driver, sadb::Name::new("veth"));
    }
}
