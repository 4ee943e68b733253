//! The mirror against a real kernel, in a network namespace of its own. Needs root and `ip`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use dataplane::bell::Bell;
use dataplane::mirror::{Mirror, View};
use dataplane::{Hop, Tags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sadb::{Interface, Name, Requirement, Role};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wire::ethernet::VlanTag;
use wire::iana::EtherType;

const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace with wan0 (192.0.2.1/24, 2001:db8::1/64) and far0, its other end in a second one at .2.
struct Net(String);

impl Net {
    fn new(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: network namespaces");
        let net = Self(format!("pdpt-{name}-{}", std::process::id()));
        let (near, far) = (&net.0, net.far());
        sh(&format!(
            "ip netns add {near}; ip netns add {far}
             ip -n {near} link add wan0 type veth peer name far0 netns {far}
             ip -n {near} link set lo up; ip -n {near} link set wan0 up; ip -n {far} link set far0 up
             ip -n {near} addr add 192.0.2.1/24 dev wan0; ip -n {near} addr add 2001:db8::1/64 dev wan0 nodad
             ip -n {far} addr add 192.0.2.2/24 dev far0; ip -n {far} addr add 2001:db8::2/64 dev far0 nodad"
        ));
        net
    }

    fn far(&self) -> String {
        format!("{}-far", self.0)
    }

    fn mirror(&self) -> (Mirror, Bell) {
        let ns = File::open(format!("/run/netns/{}", self.0)).unwrap();
        move_into_link_name_space(ns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let wan = Interface {
            name: Name::new("wan0").unwrap(),
            role: Role::Outside,
            require: Requirement::Any,
            complete_checksums: true,
        };
        let bell = Bell::new().unwrap();
        (Mirror::start(vec![wan], "postern0".into(), bell.clone()).unwrap(), bell)
    }

    fn ip(&self, line: &str) {
        sh(&format!("ip -n {} {line}", self.0));
    }

    fn batch(&self, lines: &str) {
        let mut ip = Command::new("ip")
            .args(["-n", &self.0, "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [self.0.clone(), self.far()] {
            let _ = Command::new("ip").args(["netns", "del", &ns]).status();
        }
    }
}

fn sh(line: &str) {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Takes views until one is as wanted.
fn until(mirror: &Mirror, what: &str, wanted: impl Fn(&View) -> bool) -> View {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(view) = mirror.wait(Duration::from_secs(1))
            && wanted(&view)
        {
            return view;
        }
    }
    panic!("never: {what}");
}

fn hop(view: &View, to: &str) -> Hop {
    view.fib.lookup(to.parse().unwrap())
}

fn next_of(view: &View, to: &str) -> Option<String> {
    match hop(view, to) {
        Hop::Via { next, .. } => Some(next.to_string()),
        _ => None,
    }
}

#[test]
fn what_the_kernel_has_is_dumped_and_what_it_changes_is_followed() {
    let net = Net::new("mir");
    net.ip("route add 10.0.0.0/8 via 192.0.2.2");
    let (mirror, _bell) = net.mirror();
    let view = until(&mirror, "the first view", |view| !view.interfaces.is_empty());
    assert!(view.interfaces[0].up && view.interfaces[0].mtu == 1500);
    assert!(view.locals.contains("192.0.2.1".parse().unwrap()));
    assert!(view.locals.is_broadcast("192.0.2.255".parse().unwrap()));
    assert_eq!(hop(&view, "192.0.2.1"), Hop::Local);
    assert_eq!(next_of(&view, "10.1.2.3").as_deref(), Some("192.0.2.2"));
    assert_eq!(hop(&view, "203.0.113.1"), Hop::Unreachable);

    net.ip("route add default via 192.0.2.7");
    net.ip("-6 route add fd02::/48 via 2001:db8::2 metric 50");
    let view = until(&mirror, "a default route", |v| next_of(v, "203.0.113.1").is_some());
    let view = match next_of(&view, "fd02::9") {
        Some(_) => view,
        None => until(&mirror, "a v6 route", |view| next_of(view, "fd02::9").is_some()),
    };
    assert_eq!(next_of(&view, "fd02::9").as_deref(), Some("2001:db8::2"));

    net.ip("route add 10.0.0.0/8 metric 5 nexthop via 192.0.2.8 nexthop via 192.0.2.9");
    // metric 0, the first route, stays the better one
    net.ip("route replace blackhole 10.7.0.0/16");
    let view = until(&mirror, "a blackhole", |view| hop(view, "10.7.1.1") == Hop::Unreachable);
    assert_eq!(next_of(&view, "10.1.2.3").as_deref(), Some("192.0.2.2"));
    net.ip("route del 10.0.0.0/8 via 192.0.2.2");
    until(&mirror, "the multipath route takes over", |view| {
        next_of(view, "10.1.2.3").as_deref() == Some("192.0.2.8")
    });

    // IPv4 routes of a link that goes down vanish without a word.
    net.ip("link set wan0 down");
    until(&mirror, "the routes are gone", |view| {
        !view.interfaces[0].up && hop(view, "203.0.113.1") == Hop::Unreachable
    });
    net.ip("link del wan0");
    until(&mirror, "the link is gone", |view| view.interfaces[0].ifindex == 0);
}

#[test]
#[ignore = "needs a kernel with VLANs (8021q): scripts/test runs it where there is one"]
fn vlans_on_a_port_are_ways_out_of_it() {
    let net = Net::new("vlan");
    net.ip("link add link wan0 name wan0.100 type vlan id 100");
    net.ip("link set wan0.100 address 02:00:00:00:01:00 mtu 1400 up");
    net.ip("addr add 198.51.100.1/24 dev wan0.100");
    net.ip("route add 10.100.0.0/16 via 198.51.100.2");
    let far = net.far();
    sh(&format!(
        "ip -n {far} link add link far0 name far0.100 type vlan id 100; ip -n {far} link set far0.100 up
         ip -n {far} addr add 198.51.100.2/24 dev far0.100"
    ));
    let (mirror, _bell) = net.mirror();
    let view = until(&mirror, "the VLAN is up", |view| {
        view.interfaces.first().is_some_and(|wan| wan.vlans.len() == 1)
            && next_of(view, "10.100.0.1").is_some()
    });
    let wan = &view.interfaces[0];
    assert_eq!(wan.driver, Name::new("veth"));
    let tag = |protocol, control| VlanTag { protocol, control };
    let vlan = &wan.vlans[0];
    assert_eq!((vlan.mac, vlan.mtu), ([2, 0, 0, 0, 1, 0], 1400));
    assert_eq!(vlan.tags, Tags::One(tag(EtherType::VLAN, 100)));
    assert!(vlan.addresses.contains(&"198.51.100.1".parse().unwrap()));
    assert!(view.locals.contains("198.51.100.1".parse().unwrap()));
    assert!(view.locals.is_broadcast("198.51.100.255".parse().unwrap()));
    let via = hop(&view, "10.100.0.1");
    assert!(matches!(via, Hop::Via { interface: 0, vlan: Some(0), mtu: 1400, .. }), "{via:?}");

    // Its neighbours are resolved in the VLAN.
    let address = "198.51.100.2".parse().unwrap();
    mirror.resolve(vlan.ifindex, address);
    until(&mirror, "the neighbour answers", |view| {
        view.fib.neighbour(0, Some(0), address).is_some()
    });

    // A VLAN in a VLAN, and its end.
    net.ip("link add link wan0 name wan0.7 type vlan protocol 802.1ad id 7");
    net.ip("link add link wan0.7 name wan0.7.8 type vlan id 8");
    net.ip("link set wan0.7 up");
    net.ip("link set wan0.7.8 up");
    net.ip("addr add 203.0.113.1/24 dev wan0.7.8");
    let inner = tag(EtherType::VLAN, 8);
    let two = Tags::Two { outer: tag(EtherType::SERVICE_VLAN, 7), inner };
    let view = until(&mirror, "the VLAN in the VLAN", |view| {
        view.interfaces[0].vlans.iter().any(|vlan| vlan.tags == two)
            && next_of(view, "203.0.113.2").is_some()
    });
    let Hop::Via { vlan: Some(place), mtu, .. } = hop(&view, "203.0.113.2") else { panic!() };
    assert_eq!(view.interfaces[0].vlans[usize::from(place)].tags, two);
    assert_eq!(mtu, 1496, "the second tag fits below the port's MTU");
    net.ip("link del wan0.7");
    until(&mirror, "it is gone", |view| {
        view.interfaces[0].vlans.len() == 1 && hop(view, "203.0.113.2") == Hop::Unreachable
    });
    net.ip("link set wan0.100 down");
    until(&mirror, "a VLAN that is down", |view| view.interfaces[0].vlans.is_empty());
}

#[test]
fn a_neighbour_that_a_packet_waits_for_is_resolved_by_the_kernel() {
    let net = Net::new("nei");
    let (mirror, _bell) = net.mirror();
    let view = until(&mirror, "the first view", |view| !view.interfaces.is_empty());
    let ifindex = view.interfaces[0].ifindex;
    for address in ["192.0.2.2", "2001:db8::2"] {
        let address: std::net::IpAddr = address.parse().unwrap();
        mirror.resolve(ifindex, address);
        until(&mirror, "the neighbour answers", |view| {
            view.fib.neighbour(0, None, address).is_some()
        });
    }
    mirror.resolve(ifindex, "192.0.2.77".parse().unwrap()); // nobody: no answer, no harm
    mirror.resolve(9999, "192.0.2.2".parse().unwrap()); // no such link
    net.ip("neigh del 192.0.2.2 dev wan0");
    let gone = "192.0.2.2".parse().unwrap();
    until(&mirror, "it is forgotten", |view| view.fib.neighbour(0, None, gone).is_none());
}

#[test]
fn a_flood_of_routes_ends_in_the_kernels_state() {
    let net = Net::new("bulk");
    let (mirror, _bell) = net.mirror();
    until(&mirror, "the first view", |view| !view.interfaces.is_empty());
    let each = |verb: &str, range: std::ops::Range<u32>| {
        range.fold(String::new(), |mut text, n| {
            let (a, b) = (n / 256, n % 256);
            let _ = writeln!(text, "route {verb} 10.{a}.{b}.0/24 via 192.0.2.2");
            text
        })
    };
    net.batch(&each("add", 0..20_000));
    until(&mirror, "the last of 20000 routes", |view| next_of(view, "10.78.31.1").is_some());
    net.batch(&each("del", 0..19_999));
    let view = until(&mirror, "all but one are gone", |view| next_of(view, "10.78.30.1").is_none());
    assert!(next_of(&view, "10.78.31.1").is_some() && next_of(&view, "10.0.0.1").is_none());
}
