//! Which frames are ours: frame → verdict, through BPF_PROG_TEST_RUN, without a NIC. Each row says how the frame
//! must be counted, from which its verdict follows; the whole table then runs again without a data plane.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests: to fail is to panic
mod common;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bpf::{Error, Limits, Program, Role, Verdict};
use common::frame::*;
use common::{BpfFs, unbound_socket};

use Role::{Inside, Outside};

/// Loopback: every network namespace has it, and a trial run needs an interface that exists.
const LOOPBACK: u32 = 1;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;
const TAGS: [&[u16]; 4] = [&[], &[VLAN], &[SERVICE_VLAN, VLAN], &[VLAN, VLAN]];

// Us outside, a peer, and somebody unknown.
const US: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const PEER: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const STRANGER: [&str; 2] = ["198.51.100.9", "2001:db8:9::9"];
// Another gateway of the same network, for which we may be a router.
const NOT_US: [&str; 2] = ["192.0.2.77", "2001:db8::77"];
// Behind us, behind the peer, our own addresses in both (one may be routed to us), and elsewhere.
const HERE: [&str; 2] = ["10.1.0.5", "fd01::5"];
const THERE: [&str; 2] = ["10.2.0.5", "fd02::5"];
const US_INSIDE: [&str; 2] = ["10.1.0.1", "fd01::1"];
const US_THERE: [&str; 2] = ["10.2.0.1", "fd02::1"];
const ELSEWHERE: [&str; 2] = ["203.0.113.5", "2001:db8:5::5"];

struct Row {
    rule: String,
    role: Role,
    frame: Vec<u8>,
    counter: &'static str,
}

fn addresses(texts: &[[&str; 2]]) -> Vec<IpAddr> {
    texts.iter().flatten().map(|text| text.parse().unwrap()).collect()
}

fn prefixes(texts: &[(&str, u8)]) -> Vec<(IpAddr, u8)> {
    texts.iter().map(|(address, length)| (address.parse().unwrap(), *length)).collect()
}

/// The program with its policy, and no socket.
fn loaded(files: &BpfFs) -> Program {
    let program = Program::load(&files.pins(), Limits::default()).unwrap();
    program.set_locals(&addresses(&[US, US_INSIDE, US_THERE])).unwrap();
    program.set_peers(&addresses(&[PEER])).unwrap();
    program.set_protected_remote(&prefixes(&[("10.2.0.0", 16), ("fd02::", 48)])).unwrap();
    program.set_protected_local(&prefixes(&[("10.1.0.0", 16), ("fd01::", 48)])).unwrap();
    program
}

fn verdict_of(counter: &str) -> Verdict {
    match counter.split('_').next() {
        Some("passed") => Verdict::Pass,
        Some("redirected") => Verdict::Redirect,
        Some("dropped") => Verdict::Drop,
        _ => panic!("{counter}"),
    }
}

/// The one counter that went up while `what` was done.
fn counted(program: &Program, what: impl FnOnce()) -> Vec<&'static str> {
    let before = program.counters().unwrap();
    what();
    let after = program.counters().unwrap();
    let grown = before
        .iter()
        .zip(&after)
        .flat_map(|(old, new)| std::iter::repeat_n(new.0, (new.1 - old.1) as usize));
    grown.collect()
}

fn check(program: &Program, rule: &str, frame: &[u8], counter: &'static str) {
    let names = counted(program, || {
        let verdict = program.judge(LOOPBACK, 0, frame).unwrap();
        assert_eq!(verdict, verdict_of(counter), "{rule}: {frame:02x?}");
    });
    assert_eq!(names, [counter], "{rule}: {frame:02x?}");
}

/// Every row in both families where the rule has no family of its own, and under every kind of tags.
fn in_all_frames(role: Role, rule: &str, counter: &'static str, packet: &[u8]) -> Vec<Row> {
    let family = packet[0] >> 4;
    let row = |tags: &[u16]| Row {
        rule: format!("{role:?}, IPv{family}, {} tags: {rule}", tags.len()),
        role,
        frame: tagged(tags, packet),
        counter,
    };
    TAGS.iter().map(|tags| row(tags)).collect()
}

/// What both families have in common: `f` makes the packet for family 0 (IPv4) or 1 (IPv6).
fn both(role: Role, rule: &str, counter: &'static str, f: impl Fn(usize) -> Packet) -> Vec<Row> {
    (0..2).flat_map(|family| in_all_frames(role, rule, counter, &f(family).build())).collect()
}

fn esp_rows() -> Vec<Row> {
    [
        both(Outside, "ESP to us", "redirected_esp", |f| packet(PEER[f], US[f], ESP, &esp())),
        both(Outside, "ESP to us from whom we do not know", "redirected_esp", |f| {
            packet(STRANGER[f], US[f], ESP, &esp())
        }),
        both(Outside, "ESP to another address of ours", "redirected_esp", |f| {
            packet(PEER[f], US_INSIDE[f], ESP, &esp())
        }),
        both(Outside, "ESP without an octet of its header", "redirected_esp", |f| {
            packet(PEER[f], US[f], ESP, &[])
        }),
        both(Outside, "ESP, but not to us", "passed", |f| packet(PEER[f], NOT_US[f], ESP, &esp())),
        both(Outside, "first fragment of ESP", "redirected_fragment", |f| {
            packet(STRANGER[f], US[f], ESP, &esp()).piece(0, true)
        }),
        both(Outside, "later fragment of ESP", "redirected_fragment", |f| {
            packet(STRANGER[f], US[f], ESP, &esp()).piece(1480, true)
        }),
        both(Outside, "last fragment of ESP", "redirected_fragment", |f| {
            packet(STRANGER[f], US[f], ESP, &esp()).piece(2960, false)
        }),
        both(Outside, "fragment of ESP, but not to us", "passed", |f| {
            packet(PEER[f], NOT_US[f], ESP, &esp()).piece(1480, false)
        }),
        both(Outside, "AH to us, which is not spoken", "passed", |f| {
            packet(PEER[f], US[f], AH, &[0; 24])
        }),
        both(Inside, "ESP on the inside, to us", "passed", |f| {
            packet(HERE[f], US_INSIDE[f], ESP, &esp())
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn udp_rows() -> Vec<Row> {
    let to_us = |f: usize, payload: &[u8]| packet(PEER[f], US[f], UDP, &udp(4500, payload));
    let rows = [
        both(Outside, "ESP in UDP", "redirected_esp_in_udp", |f| to_us(f, &esp())),
        both(Outside, "ESP in UDP from whom we do not know", "redirected_esp_in_udp", |f| {
            packet(STRANGER[f], US[f], UDP, &udp(4500, &esp()))
        }),
        both(Outside, "ESP in UDP, cut after the SPI", "redirected_esp_in_udp", |f| {
            to_us(f, &[0, 0, 0, 1])
        }),
        both(Outside, "IKE behind the non-ESP marker", "passed_ike", |f| to_us(f, &ike())),
        both(Outside, "nothing but the marker", "passed_ike", |f| to_us(f, &[0; 4])),
        both(Outside, "keepalive", "dropped_keepalive", |f| to_us(f, &[0xff])),
        both(Outside, "one octet, but no keepalive", "dropped_encap_short", |f| to_us(f, &[0xfe])),
        both(Outside, "two octets", "dropped_encap_short", |f| to_us(f, &[0xff; 2])),
        both(Outside, "three octets", "dropped_encap_short", |f| to_us(f, &[0; 3])),
        both(Outside, "no octet", "dropped_encap_short", |f| to_us(f, &[])),
        both(Outside, "IKE on port 500", "passed_ike", |f| {
            packet(PEER[f], US[f], UDP, &udp(500, &ike()))
        }),
        both(Outside, "another port", "passed", |f| packet(PEER[f], US[f], UDP, &udp(53, &esp()))),
        both(Outside, "ESP in UDP, but not to us", "passed", |f| {
            packet(PEER[f], NOT_US[f], UDP, &udp(4500, &esp()))
        }),
        both(Outside, "UDP length below its header", "passed_malformed", |f| {
            packet(PEER[f], US[f], UDP, &udp_claiming(4500, &esp(), 7))
        }),
        both(Outside, "UDP length beyond the packet", "passed_malformed", |f| {
            packet(PEER[f], US[f], UDP, &udp_claiming(4500, &esp(), 49))
        }),
        both(Outside, "UDP length that leaves a keepalive", "dropped_keepalive", |f| {
            packet(PEER[f], US[f], UDP, &udp_claiming(4500, &[0xff, 1, 2, 3], 9))
        }),
        both(Inside, "ESP in UDP on the inside, to us", "passed", |f| {
            packet(HERE[f], US_INSIDE[f], UDP, &udp(4500, &esp()))
        }),
    ];
    rows.into_iter().flatten().collect()
}

fn udp_fragment_rows() -> Vec<Row> {
    let piece = |from: &str, to: &str, offset, more| {
        packet(from, to, UDP, &udp(4500, &esp())).piece(offset, more)
    };
    let rows = [
        both(Outside, "first UDP fragment of a peer", "redirected_fragment", |f| {
            piece(PEER[f], US[f], 0, true)
        }),
        both(Outside, "later UDP fragment of a peer", "redirected_fragment", |f| {
            piece(PEER[f], US[f], 1480, false)
        }),
        both(Outside, "a peer's IKE in fragments stays together", "redirected_fragment", |f| {
            packet(PEER[f], US[f], UDP, &udp(500, &ike())).piece(0, true)
        }),
        both(Outside, "first UDP fragment of a stranger", "passed", |f| {
            piece(STRANGER[f], US[f], 0, true)
        }),
        both(Outside, "later UDP fragment of a stranger", "passed", |f| {
            piece(STRANGER[f], US[f], 1480, false)
        }),
        both(Outside, "a peer's UDP fragment, but not to us", "passed", |f| {
            piece(PEER[f], NOT_US[f], 1480, false)
        }),
        both(Outside, "a peer's TCP fragment", "passed", |f| {
            packet(PEER[f], US[f], TCP, &[0; 40]).piece(1480, false)
        }),
    ];
    rows.into_iter().flatten().collect()
}

fn plaintext_rows() -> Vec<Row> {
    let rows = [
        both(Outside, "plaintext that should be protected", "redirected_plaintext", |f| {
            packet(THERE[f], HERE[f], TCP, &[0; 20])
        }),
        both(Outside, "the same to our inner address", "redirected_plaintext", |f| {
            packet(THERE[f], US_INSIDE[f], TCP, &[0; 20])
        }),
        both(Outside, "a fragment of it", "redirected_plaintext", |f| {
            packet(THERE[f], HERE[f], TCP, &[0; 24]).piece(1480, true)
        }),
        both(Outside, "nested ESP that should be protected", "redirected_plaintext", |f| {
            packet(THERE[f], HERE[f], ESP, &esp())
        }),
        both(Outside, "IKE with us from a protected address", "passed_ike", |f| {
            packet(THERE[f], US_INSIDE[f], UDP, &udp(500, &ike()))
        }),
        both(Outside, "from a protected prefix to elsewhere", "passed", |f| {
            packet(THERE[f], ELSEWHERE[f], TCP, &[0; 20])
        }),
        both(Outside, "from elsewhere to a protected prefix", "passed", |f| {
            packet(ELSEWHERE[f], HERE[f], TCP, &[0; 20])
        }),
        both(Outside, "SSH with the gateway", "passed", |f| {
            packet(STRANGER[f], US[f], TCP, &[0; 20])
        }),
        both(Inside, "towards a protected prefix", "redirected_inside", |f| {
            packet(HERE[f], THERE[f], TCP, &[0; 20])
        }),
        both(Inside, "the same with nothing behind the IP header", "redirected_inside", |f| {
            packet(HERE[f], THERE[f], TCP, &[])
        }),
        both(Inside, "from an address that is not ours to protect", "redirected_inside", |f| {
            packet(ELSEWHERE[f], THERE[f], TCP, &[0; 20])
        }),
        both(Inside, "a fragment towards it", "redirected_inside", |f| {
            packet(HERE[f], THERE[f], UDP, &[0; 24]).piece(1480, false)
        }),
        both(Inside, "towards our own address inside it", "passed", |f| {
            packet(HERE[f], US_THERE[f], TCP, &[0; 20])
        }),
        both(Inside, "SSH with the gateway", "passed", |f| {
            packet(HERE[f], US_INSIDE[f], TCP, &[0; 20])
        }),
        both(Inside, "towards elsewhere", "passed", |f| {
            packet(HERE[f], ELSEWHERE[f], TCP, &[0; 20])
        }),
    ];
    rows.into_iter().flatten().collect()
}

/// IPv4 options and IPv6 extension headers before what counts.
fn header_rows() -> Vec<Row> {
    let v6 = |rule: &str, counter, chain: &[(u8, usize)], p: Packet| {
        in_all_frames(Outside, rule, counter, &p.chain(chain).build())
    };
    let esp6 = || packet(PEER[1], US[1], ESP, &esp());
    let natt6 = |payload: &[u8]| packet(PEER[1], US[1], UDP, &udp(4500, payload));
    let options = |count, counter, p: Packet| {
        in_all_frames(Outside, "behind IPv4 options", counter, &p.options(count).build())
    };
    let rows = [
        options(4, "redirected_esp", packet(PEER[0], US[0], ESP, &esp())),
        options(40, "redirected_esp_in_udp", packet(PEER[0], US[0], UDP, &udp(4500, &esp()))),
        options(40, "passed_ike", packet(PEER[0], US[0], UDP, &udp(4500, &ike()))),
        options(40, "redirected_plaintext", packet(THERE[0], HERE[0], TCP, &[])),
        v6("ESP behind hop-by-hop options", "redirected_esp", &[(HOPOPTS, 1)], esp6()),
        v6("ESP behind long destination options", "redirected_esp", &[(DSTOPTS, 256)], esp6()),
        v6("ESP behind a routing header", "redirected_esp", &[(ROUTING, 3)], esp6()),
        v6(
            "ESP behind four kinds of headers",
            "redirected_esp",
            &[(HOPOPTS, 1), (DSTOPTS, 2), (ROUTING, 3), (FRAGMENT, 1), (DSTOPTS, 1)],
            esp6(),
        ),
        v6("ESP behind eight headers", "redirected_esp", &[(DSTOPTS, 1); 8], esp6()),
        v6("ESP behind nine headers: too many", "passed", &[(DSTOPTS, 1); 9], esp6()),
        v6(
            "ESP in UDP behind two",
            "redirected_esp_in_udp",
            &[(HOPOPTS, 1), (DSTOPTS, 1)],
            natt6(&esp()),
        ),
        v6("IKE behind two", "passed_ike", &[(HOPOPTS, 1), (DSTOPTS, 1)], natt6(&ike())),
        v6("keepalive behind one", "dropped_keepalive", &[(HOPOPTS, 2)], natt6(&[0xff])),
        v6("one fragment is the whole packet", "redirected_esp", &[(FRAGMENT, 1)], esp6()),
        v6(
            "fragment behind hop-by-hop options",
            "redirected_fragment",
            &[],
            packet(PEER[1], US[1], ESP, &esp()).chain(&[(HOPOPTS, 1)]).piece(1280, true),
        ),
        v6(
            "first fragment, ESP behind destination options",
            "redirected_fragment",
            &[(DSTOPTS, 1)],
            packet(STRANGER[1], US[1], ESP, &esp()).piece(0, true),
        ),
        v6(
            "a peer's later fragment that names only an extension",
            "redirected_fragment",
            &[(DSTOPTS, 1)],
            packet(PEER[1], US[1], ESP, &esp()).piece(1280, false),
        ),
        v6(
            "a stranger's later fragment that names only an extension",
            "passed",
            &[(DSTOPTS, 1)],
            packet(STRANGER[1], US[1], ESP, &esp()).piece(1280, false),
        ),
        v6(
            "plaintext behind nine headers is judged by its addresses",
            "redirected_plaintext",
            &[(DSTOPTS, 1); 9],
            packet(THERE[1], HERE[1], TCP, &[]),
        ),
    ];
    rows.into_iter().flatten().collect()
}

/// What the kernel needs to live on its networks.
fn kernel_rows() -> Vec<Row> {
    let rows = |role: Role, rule: &str, counter, packets: &[Packet]| {
        packets.iter().flat_map(|p| in_all_frames(role, rule, counter, &p.build())).collect()
    };
    let icmp = |kind: u8, from: &str, to: &str, hops| {
        packet(from, to, ICMPV6, &[kind, 0, 0, 0, 0, 0, 0, 0]).hops(hops)
    };
    let all: [Vec<Row>; 11] = [
        rows(
            Outside,
            "ND to us, even from a protected address",
            "passed_nd",
            &[133, 134, 135, 136, 137].map(|kind| icmp(kind, THERE[1], US_INSIDE[1], 255)),
        ),
        rows(
            Outside,
            "what only looks like ND, from afar",
            "redirected_plaintext",
            &[icmp(135, THERE[1], US_INSIDE[1], 64), icmp(128, THERE[1], US_INSIDE[1], 255)],
        ),
        rows(
            Inside,
            "ND is never addressed beyond a router",
            "redirected_inside",
            &[icmp(135, HERE[1], THERE[1], 255)],
        ),
        rows(Inside, "ND to us", "passed", &[icmp(135, HERE[1], US_INSIDE[1], 255)]),
        rows(Inside, "from a link-local address", "passed", &[icmp(135, "fe80::1", THERE[1], 255)]),
        rows(Outside, "to a link-local address", "passed", &[icmp(135, PEER[1], "fe80::1", 255)]),
        rows(
            Outside,
            "to a multicast group",
            "passed_multicast",
            &[
                icmp(135, "fe80::1", "ff02::1:ff00:1", 255),
                packet(PEER[0], "224.0.0.5", 89, &[0; 24]),
            ],
        ),
        rows(
            Inside,
            "to a multicast group",
            "passed_multicast",
            &[
                packet(HERE[0], "239.1.2.3", UDP, &udp(5000, &[0; 8])),
                packet(HERE[1], "ff05::2", UDP, &udp(5000, &[0; 8])),
            ],
        ),
        rows(
            Inside,
            "limited broadcast",
            "passed_multicast",
            &[packet("0.0.0.0", "255.255.255.255", UDP, &udp(67, &[0; 240]))],
        ),
        ethernet_rows(),
        group_rows(),
    ];
    all.into_iter().flatten().collect()
}

/// Not IP at all.
fn ethernet_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for role in [Inside, Outside] {
        for tags in TAGS {
            for (rule, kind) in [
                ("ARP", 0x0806),
                ("LLDP", 0x88cc),
                ("802.1X", 0x888e),
                ("PPPoE", 0x8864),
                ("STP: a length, no type", 0x0026),
            ] {
                let frame = ethernet(tags, kind, &[0; 46]);
                rows.push(Row { rule: rule.into(), role, frame, counter: "passed_not_ip" });
            }
        }
        let packet = packet(PEER[0], US[0], ESP, &esp()).build();
        let frame = ethernet(&[SERVICE_VLAN, VLAN, VLAN], IPV4, &packet);
        rows.push(Row { rule: "three tags".into(), role, frame, counter: "passed_not_ip" });
    }
    rows
}

/// IP in frames for a group: whatever it says inside, nothing forwards it.
fn group_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for destination in [[0xff; 6], [0x01, 0, 0x5e, 1, 2, 3], [0x33, 0x33, 0, 0, 0, 1]] {
        for (role, from, to) in [(Inside, HERE, THERE), (Outside, THERE, HERE), (Outside, PEER, US)]
        {
            for (family, kind) in [IPV4, IPV6].into_iter().enumerate() {
                let packet = packet(from[family], to[family], ESP, &esp()).build();
                let frame = ethernet_to(destination, &[], kind, &packet);
                let rule = "IP in a frame to a group".into();
                rows.push(Row { rule, role, frame, counter: "passed_multicast" });
            }
        }
    }
    rows
}

/// IP headers that the kernel refuses, and so forwards nothing of.
fn malformed_rows() -> Vec<Row> {
    let spoil = |role, rule: &str, family: usize, change: fn(&mut Vec<u8>)| {
        let (from, to, protocol) = match role {
            Inside => (HERE, THERE, TCP),
            Outside => (PEER, US, ESP),
        };
        let mut packet = packet(from[family], to[family], protocol, &esp()).build();
        change(&mut packet);
        let frame = ethernet(&[], [IPV4, IPV6][family], &packet);
        Row { rule: rule.into(), role, frame, counter: "passed_malformed" }
    };
    let both = |rule, family, change: fn(&mut Vec<u8>)| {
        [spoil(Inside, rule, family, change), spoil(Outside, rule, family, change)]
    };
    [
        both("IPv4 type, version 6", 0, |p| p[0] = 0x65),
        both("IPv4 header of four words", 0, |p| p[0] = 0x44),
        both("IPv4 header longer than the packet", 0, |p| {
            p.truncate(40);
            p[2..4].copy_from_slice(&40_u16.to_be_bytes());
            p[0] = 0x4f;
        }),
        both("IPv4 total length below the header", 0, |p| p[2..4].copy_from_slice(&[0, 19])),
        both("IPv4 total length beyond the frame", 0, |p| p[3] += 1),
        both("IPv6 type, version 4", 1, |p| p[0] = 0x45),
        both("IPv6 payload length beyond the frame", 1, |p| p[5] += 1),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn table() -> Vec<Row> {
    [
        esp_rows(),
        udp_rows(),
        udp_fragment_rows(),
        plaintext_rows(),
        header_rows(),
        kernel_rows(),
        malformed_rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_frame_has_its_verdict_and_its_counter() {
    let files = BpfFs::new();
    let program = loaded(&files);
    let memory = vec![0; 8192];
    let socket = unbound_socket(&memory);
    program.set_socket(3, 0, socket.as_fd()).unwrap();
    let rows = table();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for row in &rows {
        program.configure(LOOPBACK, row.role, 3).unwrap();
        check(&program, &row.rule, &row.frame, row.counter);
    }
    println!("{} frames", rows.len());
}

#[test]
fn without_a_socket_what_is_ours_is_dropped_and_the_rest_goes_on() {
    let files = BpfFs::new();
    let program = loaded(&files);
    for row in table() {
        let gone = row.counter.starts_with("redirected");
        let counter = if gone { "dropped_no_dataplane" } else { row.counter };
        program.configure(LOOPBACK, row.role, 3).unwrap();
        check(&program, &row.rule, &row.frame, counter);
    }
}

#[test]
fn a_closed_socket_leaves_the_map_by_itself() {
    let files = BpfFs::new();
    let program = loaded(&files);
    program.configure(LOOPBACK, Outside, 0).unwrap();
    let frame = framed(&packet(PEER[0], US[0], ESP, &esp()).build());
    let memory = vec![0; 8192];
    let socket = unbound_socket(&memory);
    program.set_socket(0, 0, socket.as_fd()).unwrap();
    check(&program, "socket", &frame, "redirected_esp");
    program.clear_socket(0, 0).unwrap();
    check(&program, "cleared", &frame, "dropped_no_dataplane");
    program.clear_socket(0, 0).unwrap();
    program.set_socket(0, 0, socket.as_fd()).unwrap();
    check(&program, "set again", &frame, "redirected_esp");
    drop(socket);
    // the kernel closes it when nobody uses it any more: a process that another test is just starting may
    let closed = || program.judge(LOOPBACK, 0, &frame).unwrap() == Verdict::Drop;
    let patience = Instant::now() + Duration::from_secs(10);
    while !closed() && Instant::now() < patience {
        std::thread::yield_now();
    }
    check(&program, "closed", &frame, "dropped_no_dataplane");
}

#[test]
fn slots_do_not_share_sockets() {
    let files = BpfFs::new();
    let program = loaded(&files);
    let frame = framed(&packet(PEER[0], US[0], ESP, &esp()).build());
    let memory = vec![0; 8192];
    let socket = unbound_socket(&memory);
    program.set_socket(1, 0, socket.as_fd()).unwrap();
    for (slot, counter) in
        [(0, "dropped_no_dataplane"), (1, "redirected_esp"), (2, "dropped_no_dataplane")]
    {
        program.configure(LOOPBACK, Outside, slot).unwrap();
        check(&program, "slot", &frame, counter);
    }
    let refused = program.set_socket(16, 0, socket.as_fd());
    assert!(matches!(refused, Err(Error::Place { slot: 16, queue: 0 })));
}

#[test]
fn an_interface_without_a_role_passes_everything() {
    let files = BpfFs::new();
    let program = loaded(&files);
    let frame = framed(&packet(PEER[0], US[0], ESP, &esp()).build());
    check(&program, "no role", &frame, "passed_unconfigured");
}

/// Cuts a frame at every length that the kernel takes. With `telling`, the IP header says so; without, it still
/// promises the whole packet, and the kernel refuses what is less.
fn cut(
    program: &Program,
    frame: &[u8],
    telling: bool,
    expected: &[(RangeInclusive<usize>, &'static str)],
) {
    let ip = frame.len() - packet_len(frame);
    for length in 14..=frame.len() {
        let mut short = frame[..length].to_vec();
        if telling {
            tell(&mut short, ip);
        }
        let row = expected.iter().find(|(range, _)| range.contains(&length));
        let (_, counter) = row.unwrap_or_else(|| panic!("no verdict for {length} octets"));
        check(program, &format!("cut to {length} octets, telling: {telling}"), &short, counter);
    }
}

fn packet_len(frame: &[u8]) -> usize {
    let mut at = 12;
    while frame[at..at + 2] == VLAN.to_be_bytes() || frame[at..at + 2] == SERVICE_VLAN.to_be_bytes()
    {
        at += 4;
    }
    frame.len() - at - 2
}

/// Makes the IP header at `ip` say how long the packet is now, if the field is there.
fn tell(frame: &mut [u8], ip: usize) {
    let have = frame.len().saturating_sub(ip);
    match frame.get(ip).map(|octet| octet >> 4) {
        Some(4) if have >= 4 => frame[ip + 2..ip + 4].copy_from_slice(&(have as u16).to_be_bytes()),
        Some(6) if have >= 40 => {
            frame[ip + 4..ip + 6].copy_from_slice(&((have - 40) as u16).to_be_bytes());
        }
        _ => {}
    }
}

#[test]
fn frames_cut_at_every_octet() {
    let files = BpfFs::new();
    let program = loaded(&files);
    let memory = vec![0; 8192];
    let socket = unbound_socket(&memory);
    program.set_socket(0, 0, socket.as_fd()).unwrap();
    program.configure(LOOPBACK, Outside, 0).unwrap();

    // ESP, untagged: 14 Ethernet, 20 IPv4, 8 + 32 ESP.
    let frame = framed(&packet(PEER[0], US[0], ESP, &esp()).build());
    cut(&program, &frame, true, &[(14..=33, "passed_malformed"), (34..=74, "redirected_esp")]);
    cut(&program, &frame, false, &[(14..=73, "passed_malformed"), (74..=74, "redirected_esp")]);

    // The same behind one tag and two: 4 octets more each.
    for (tags, ip) in [(TAGS[1], 18), (TAGS[2], 22), (TAGS[3], 22)] {
        let frame = tagged(tags, &packet(PEER[0], US[0], ESP, &esp()).build());
        let rows = [
            (14..=ip - 1, "passed_not_ip"),
            (ip..=ip + 19, "passed_malformed"),
            (ip + 20..=ip + 60, "redirected_esp"),
        ];
        cut(&program, &frame, true, &rows);
    }

    // ESP behind 8 octets of IPv4 options.
    let frame = framed(&packet(PEER[0], US[0], ESP, &esp()).options(8).build());
    cut(&program, &frame, true, &[(14..=41, "passed_malformed"), (42..=82, "redirected_esp")]);

    // ESP in UDP over IPv4: 14, 20, 8 UDP, 40. Without a whole UDP header no port counts; with one, its length
    // promises more than there is until the last octet.
    let frame = framed(&packet(PEER[0], US[0], UDP, &udp(4500, &esp())).build());
    let rows = [
        (14..=33, "passed_malformed"),
        (34..=41, "passed"),
        (42..=81, "passed_malformed"),
        (82..=82, "redirected_esp_in_udp"),
    ];
    cut(&program, &frame, true, &rows);
    cut(
        &program,
        &frame,
        false,
        &[(14..=81, "passed_malformed"), (82..=82, "redirected_esp_in_udp")],
    );

    // The same over IPv6, behind hop-by-hop (8) and destination options (16): 14, 40, 24, 8, 40.
    let chain = [(HOPOPTS, 1), (DSTOPTS, 2)];
    let frame = framed(&packet(PEER[1], US[1], UDP, &udp(4500, &esp())).chain(&chain).build());
    let rows = [
        (14..=53, "passed_malformed"),
        (54..=85, "passed"),
        (86..=125, "passed_malformed"),
        (126..=126, "redirected_esp_in_udp"),
    ];
    cut(&program, &frame, true, &rows);
    cut(
        &program,
        &frame,
        false,
        &[(14..=125, "passed_malformed"), (126..=126, "redirected_esp_in_udp")],
    );

    // ESP over IPv6 behind the same, in two tags.
    let frame = tagged(TAGS[2], &packet(PEER[1], US[1], ESP, &esp()).chain(&chain).build());
    let rows = [
        (14..=21, "passed_not_ip"),
        (22..=61, "passed_malformed"),
        (62..=85, "passed"), // the chain is not whole: no ESP to be seen
        (86..=126, "redirected_esp"),
    ];
    cut(&program, &frame, true, &rows);

    // A later fragment of ESP over IPv6: 14, 40, 8 Fragment header, 40.
    let frame = framed(&packet(PEER[1], US[1], ESP, &esp()).piece(1280, false).build());
    let rows =
        [(14..=53, "passed_malformed"), (54..=61, "passed"), (62..=102, "redirected_fragment")];
    cut(&program, &frame, true, &rows);

    // Plaintext that should be protected is judged by addresses alone: nothing behind them is needed.
    let frame = framed(&packet(THERE[1], HERE[1], TCP, &[0; 20]).chain(&chain).build());
    cut(
        &program,
        &frame,
        true,
        &[(14..=53, "passed_malformed"), (54..=98, "redirected_plaintext")],
    );

    // ND to us from a protected address: without its ICMPv6 header it is plaintext like any other.
    let solicitation =
        packet(THERE[1], US_INSIDE[1], ICMPV6, &[135, 0, 0, 0, 0, 0, 0, 0]).hops(255);
    let rows =
        [(14..=53, "passed_malformed"), (54..=61, "redirected_plaintext"), (62..=62, "passed_nd")];
    cut(&program, &framed(&solicitation.build()), true, &rows);

    program.configure(LOOPBACK, Inside, 0).unwrap();
    for family in 0..2 {
        let ip = [20, 40][family];
        let frame = framed(&packet(HERE[family], THERE[family], TCP, &[0; 20]).build());
        let rows = [(14..=13 + ip, "passed_malformed"), (14 + ip..=34 + ip, "redirected_inside")];
        cut(&program, &frame, true, &rows);
        let rows = [(14..=33 + ip, "passed_malformed"), (34 + ip..=34 + ip, "redirected_inside")];
        cut(&program, &frame, false, &rows);
    }
}

#[test]
fn a_frame_shorter_than_ethernet_cannot_be_tried() {
    let files = BpfFs::new();
    let program = loaded(&files);
    for octets in [1, 6, 12, 13] {
        let refused = program.judge(LOOPBACK, 0, &vec![0; octets]);
        assert!(matches!(refused, Err(Error::Trial { .. })), "{octets} octets");
    }
}

#[test]
fn what_trails_the_packet_is_not_a_part_of_it() {
    let files = BpfFs::new();
    let program = loaded(&files);
    program.configure(LOOPBACK, Outside, 0).unwrap();
    for family in 0..2 {
        let keepalive = packet(PEER[family], US[family], UDP, &udp(4500, &[0xff])).build();
        let mut frame = framed(&keepalive);
        frame.extend([0; 17]);
        check(&program, "padded keepalive", &frame, "dropped_keepalive");
        // The UDP header lies in the padding: there is none.
        let mut frame = framed(&packet(PEER[family], US[family], UDP, &[]).build());
        frame.extend(udp(4500, &esp()));
        check(&program, "UDP in the padding", &frame, "passed");
    }
}

#[test]
fn a_set_is_replaced_not_added_to() {
    let files = BpfFs::new();
    let program = loaded(&files);
    program.configure(LOOPBACK, Inside, 0).unwrap();
    let to = |address: &str| {
        let from = if address.contains(':') { HERE[1] } else { HERE[0] };
        framed(&packet(from, address, TCP, &[0; 20]).build())
    };
    let protected = |address: &str, yes: bool| {
        let counter = if yes { "dropped_no_dataplane" } else { "passed" };
        check(&program, address, &to(address), counter);
    };
    protected("10.2.255.255", true);
    protected("10.3.0.1", false);
    program.set_protected_remote(&prefixes(&[("10.3.0.9", 16), ("10.2.7.0", 24)])).unwrap();
    protected("10.2.255.255", false);
    protected("10.2.7.255", true);
    protected("10.3.0.1", true); // host bits were ignored
    protected("fd02::5", false);
    // A default route of one family covers nothing of the other.
    program.set_protected_remote(&prefixes(&[("::", 0)])).unwrap();
    protected("fd02::5", true);
    protected("10.2.7.255", false);
    program.set_protected_remote(&prefixes(&[("0.0.0.0", 0)])).unwrap();
    protected("203.0.113.1", true);
    protected("fd02::5", false);
    program.set_protected_remote(&[]).unwrap();
    protected("10.2.0.5", false);
}

#[test]
fn encapsulation_ports_are_those_that_were_set() {
    let files = BpfFs::new();
    let program = loaded(&files);
    program.configure(LOOPBACK, Outside, 0).unwrap();
    let frame = |port| framed(&packet(PEER[0], US[0], UDP, &udp(port, &esp())).build());
    check(&program, "4500 unless set", &frame(4500), "dropped_no_dataplane");
    program.set_udp_encap_ports(&[4501, 10_000, 20_000, 65_535]).unwrap();
    for port in [4501, 10_000, 20_000, 65_535] {
        check(&program, "set", &frame(port), "dropped_no_dataplane");
    }
    check(&program, "no longer set", &frame(4500), "passed");
    let refused = program.set_udp_encap_ports(&[1, 2, 3, 4, 5]);
    assert!(matches!(refused, Err(Error::Full { wanted: 5, limit: 4, .. })));
}

#[test]
fn a_set_beyond_its_limit_is_refused_whole() {
    let files = BpfFs::new();
    let limits = Limits { prefixes: 2, locals: 1, peers: 1 };
    let program = Program::load(&files.pins(), limits).unwrap();
    program.set_protected_remote(&prefixes(&[("10.1.0.0", 16), ("10.2.0.0", 16)])).unwrap();
    let three = prefixes(&[("10.3.0.0", 16), ("10.4.0.0", 16), ("10.5.0.0", 16)]);
    let refused = program.set_protected_remote(&three);
    assert!(matches!(refused, Err(Error::Full { map: "protected_remote", wanted: 3, limit: 2 })));
    // A full set can be replaced by another full one.
    program.set_protected_remote(&three[..2]).unwrap();
    program.configure(LOOPBACK, Inside, 0).unwrap();
    for (to, counter) in [("10.2.0.1", "passed"), ("10.4.0.1", "dropped_no_dataplane")] {
        check(&program, to, &framed(&packet("10.9.0.1", to, TCP, &[]).build()), counter);
    }
}
