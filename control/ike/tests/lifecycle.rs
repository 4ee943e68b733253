//! What happens in the life of a connection beside rekeys: on demand, at the same time, dead peers, NATs, new
//! configurations, reauthentication.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Endpoint, Order, Packet, Rekey};
use ike::event::{Cause, Event};
use ike::settings::*;
use ike::why::Reason;
use std::net::IpAddr;
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType};
use world::configured::*;
use world::*;

fn up(world: &mut World) {
    world.order(A, Order::Up { connection: "site".into(), child: None });
}

fn auto(end: usize) -> Settings {
    one(end, |c| with_child(c, |child| child.start = Start::Auto))
}

/// B would drop at once what INITIAL_CONTACT says is lost (RFC 7296 §2.4).
#[test]
fn a_second_connection_of_the_same_identities_does_not_end_the_first() {
    let voice = |end: usize| {
        let nets = ["10.3.0.0/16", "10.4.0.0/16"];
        Arc::new(child("voice", nets[end], nets[1 - end]))
    };
    let mut second = connection(A);
    second.name = "second".into();
    second.children = vec![voice(A)];
    let b = one(B, |c| c.children.push(voice(B)));
    let mut world = World::with(1, settings(vec![connection(A), second]), b);
    for name in ["site", "second"] {
        world.order(A, Order::Up { connection: name.into(), child: None });
        world.run(1_000);
    }
    world.agrees(2, 2);
}

#[test]
fn auto_needs_no_order() {
    let mut world = World::with(1, auto(A), one(B, |_| ()));
    world.run(1_000);
    world.agrees(1, 1);
}

/// Both ends begin at once: one IKE SA and one child are left, with every order of nonces and delays.
#[test]
fn simultaneous_initiation_leaves_one() {
    for seed in 0..8 {
        for late in [0, 3, 12, 25, 40, 100] {
            let mut world = World::new(seed);
            let mut first = true;
            world.judge(move |sent| {
                let it = sent.from == A
                    && sent.is(ExchangeType::IKE_SA_INIT, false)
                    && std::mem::take(&mut first);
                if it { Fate::Late(late) } else { Fate::Arrives }
            });
            for end in [A, B] {
                world.order(end, Order::Configure(Arc::new(auto(end))));
            }
            world.run(60_000);
            world.agrees(1, 1);
        }
    }
}

/// A lets the first IKE SA go for the second, whose child B took down on purpose: B has what it wants.
#[test]
fn a_child_that_the_peer_took_down_is_not_asked_for_when_its_twin_is_replaced() {
    let mut second = connection(B);
    second.name = "second".into();
    let b = settings(vec![connection(B), second]);
    let mut world = World::with(1, one(A, |_| ()), b);
    for name in ["site", "second"] {
        world.order(B, Order::Up { connection: name.into(), child: None });
        world.run(1_000);
    }
    assert_eq!((world.ike_sas(A), world.children(A).len()), (2, 2), "{}", world.story());
    let child = Some("net".into());
    world.order(B, Order::Down { connection: "second".into(), child });
    world.run(60_000);
    assert_eq!((world.ike_sas(A), world.children(A).len()), (1, 0), "{}", world.story());
}

#[test]
fn on_demand_waits_for_a_packet() {
    let demand = |end| {
        one(end, |c| {
            with_child(c, |child| (child.start, child.on_close) = (Start::OnDemand, Then::Trap));
        })
    };
    let mut world = World::with(1, demand(A), demand(B));
    world.run(10_000);
    world.agrees(0, 0);
    assert!(world.ends[A].armed.contains("net"));
    let packet = Packet {
        source: "10.1.0.7".parse().unwrap(),
        destination: "10.2.0.9".parse().unwrap(),
        protocol: 6,
        ports: Some((40_000, 80)),
    };
    let acquire =
        || Order::Acquire { connection: "site".into(), child: "net".into(), packet: Some(packet) };
    for _ in 0..3 {
        world.order(A, acquire());
    }
    world.run(1_000);
    world.agrees(1, 1);
    assert_eq!(world.log.len(), 4);
    // what was asked for first is part of the whole
    assert_eq!(
        world.ends[A].engine.status()[0].children[0].covered.to_string(),
        "10.1.0.0/16 ↔ 10.2.0.0/16"
    );
    world.order(A, Order::Down { connection: "site".into(), child: None });
    world.run(10_000);
    world.agrees(0, 0);
    world.order(B, acquire());
    world.run(1_000);
    world.agrees(1, 1);
}

#[test]
fn a_packet_for_a_child_that_is_not_armed_is_nobodys() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.order(A, Order::Acquire { connection: "site".into(), child: "net".into(), packet: None });
    world.run(1_000);
    assert!(world.log.is_empty());
}

fn dead_peer(then: Then) -> World {
    let with = |end| {
        one(end, |c| {
            c.dpd = Some(Dpd { delay_ms: 10_000 });
            with_child(c, |child| child.on_dead = then);
        })
    };
    let mut world = World::with(1, with(A), one(B, |_| ()));
    up(&mut world);
    world.run(2_000);
    world.agrees(1, 1);
    world.ends[B].dead = true;
    world.until(200_000, "the end", |world| world.ike_sas(A) == 0);
    assert!(world.downs(A).contains(&Cause::Dead));
    world
}

#[test]
fn dpd_clear() {
    let mut world = dead_peer(Then::Clear);
    world.run(1_000);
    assert!(world.ends[A].inbound.is_empty() && world.ends[A].outbound.is_empty());
    let before = world.log.len();
    world.run(100_000);
    assert_eq!(world.log.len(), before, "nothing is tried again");
}

/// `start` says what is done at the start; `clear` holds until an order or a new configuration.
#[test]
fn clear_stays_down_however_it_was_started() {
    for start in [Start::Auto, Start::OnDemand, Start::Manual] {
        for close in [true, false] {
            let with = |end| {
                one(end, |c| {
                    c.dpd = Some(Dpd { delay_ms: 10_000 });
                    with_child(c, |child| child.start = start);
                })
            };
            let mut world = World::with(1, with(A), one(B, |_| ()));
            up(&mut world);
            world.run(2_000);
            world.agrees(1, 1);
            world.ends[B].dead = !close;
            world.order(B, Order::Down { connection: "site".into(), child: None });
            world.until(200_000, "the end", |world| world.ike_sas(A) == 0);
            world.run(20_000);
            world.ends[B].dead = false;
            let before = world.log.len();
            let (connection, child) = ("site".into(), "net".into());
            world.order(A, Order::Acquire { connection, child, packet: None });
            world.run(300_000);
            assert!(world.ends[A].armed.is_empty(), "{start:?} {close}");
            assert_eq!(world.log.len(), before, "{start:?} {close}: {}", world.story());
            up(&mut world);
            world.run(2_000);
            assert_eq!(world.children(A).len(), 1, "{start:?} {close}: {}", world.story());
        }
    }
}

/// A peer that closes one child of an IKE SA: the child is treated as the file says, whatever `start` says.
#[test]
fn on_close_decides_over_a_single_child() {
    for (then, children, armed) in
        [(Then::Clear, 0, false), (Then::Trap, 0, true), (Then::Restart, 1, false)]
    {
        let with = |c: &mut Connection| {
            with_child(c, |child| (child.start, child.on_close) = (Start::Auto, then));
        };
        let mut world = World::with(1, one(A, with), one(B, |_| ()));
        world.run(2_000);
        world.agrees(1, 1);
        let child = Some("net".into());
        world.order(B, Order::Down { connection: "site".into(), child });
        world.run(100_000);
        assert_eq!(world.children(A).len(), children, "{then:?}: {}", world.story());
        assert_eq!(world.ends[A].armed.contains("net"), armed, "{then:?}");
    }
}

/// A new configuration begins anew, also what was cleared.
#[test]
fn a_changed_connection_is_no_longer_cleared() {
    let mut world = World::with(1, auto(A), one(B, |_| ()));
    world.run(2_000);
    world.order(B, Order::Down { connection: "site".into(), child: None });
    world.run(20_000);
    world.agrees(0, 0);
    let mut changed = connection(A);
    changed.digest = [1; 16];
    changed.children = auto(A).connections[0].children.clone();
    world.order(A, Order::Configure(Arc::new(settings(vec![changed]))));
    world.run(20_000);
    world.agrees(1, 1);
}

#[test]
fn dpd_restart() {
    let mut world = dead_peer(Then::Restart);
    world.run(5_000);
    world.ends[B].dead = false;
    world.run(200_000);
    assert_eq!((world.ike_sas(A), world.children(A).len()), (1, 1));
}

#[test]
fn dpd_trap() {
    let mut world = dead_peer(Then::Trap);
    world.run(1_000);
    assert!(world.ends[A].armed.contains("net"));
    world.ends[B].dead = false;
    world.order(A, Order::Acquire { connection: "site".into(), child: "net".into(), packet: None });
    world.run(1_000);
    assert_eq!(world.children(A).len(), 1);
}

#[test]
fn a_peer_that_sends_packets_is_not_asked_whether_it_lives() {
    let with = |end| one(end, |c| c.dpd = Some(Dpd { delay_ms: 10_000 }));
    let mut world = World::with(1, with(A), one(B, |_| ()));
    up(&mut world);
    world.run(2_000);
    let (before, spi) = (world.log.len(), *world.ends[A].inbound.keys().next().unwrap());
    for _ in 0..10 {
        world.order(A, Order::Heard { spi });
        world.run(9_000);
    }
    world.order(A, Order::Heard { spi });
    assert_eq!(world.log.len(), before);
    world.run(11_000);
    assert_eq!(world.log.len(), before + 2, "a question and an answer");
}

#[test]
fn a_peer_that_comes_back_replaces_what_it_lost() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    up(&mut world);
    world.run(2_000);
    let mut fresh = World::with(99, one(A, |_| ()), one(B, |_| ()));
    std::mem::swap(&mut world.ends[A], &mut fresh.ends[A]);
    up(&mut world);
    world.run(20_000);
    world.agrees(1, 1);
}

/// Make before break: the old IKE SA goes when the new one has a child, and no packet is lost.
#[test]
fn reauthentication_makes_before_it_breaks() {
    for end in [A, B] {
        let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
        up(&mut world);
        world.run(2_000);
        let lineage = world.ends[A].outbound[0].lineage;
        let before = world.ends[A].engine.status()[0].local_spi;
        world.start_traffic();
        world.run(50);
        world.order(end, Order::Rekey { connection: "site".into(), what: Rekey::Reauthenticate });
        world.run(30_000);
        world.traffic = false;
        world.run(100);
        world.agrees(1, 1);
        world.no_packet_was_lost();
        assert_ne!(world.ends[A].engine.status()[0].local_spi, before);
        assert_eq!(world.ends[A].outbound[0].lineage, lineage);
    }
}

/// Both ends do it at once.
#[test]
fn crossing_reauthentications_leave_one() {
    for apart in [0, 3, 12, 25, 40, 70] {
        let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
        up(&mut world);
        world.run(2_000);
        for end in [A, B] {
            let what = Rekey::Reauthenticate;
            world.order(end, Order::Rekey { connection: "site".into(), what });
            world.run(apart);
        }
        world.run(60_000);
        world.agrees(1, 1);
    }
}

/// RFC 4478: the responder says how long it is content.
#[test]
fn the_initiator_reauthenticates_in_time() {
    let b = |c: &mut Connection| {
        c.lifetime = IkeLifetime { rekey: 0, reauth: 100, over: 10, jitter: 0 }
    };
    let mut world = World::with(1, one(A, |_| ()), one(B, b));
    up(&mut world);
    world.run(2_000);
    let first = world.ends[A].engine.status()[0].local_spi;
    world.run(99_000);
    world.agrees(1, 1);
    assert_ne!(world.ends[A].engine.status()[0].local_spi, first);
    world.run(1_000_000);
    world.agrees(1, 1);
}

/// Eight hours with rekeys of both and traffic all the time.
#[test]
fn a_working_day() {
    let with = |end| {
        one(end, |c| {
            c.lifetime = IkeLifetime { rekey: 3600, reauth: 0, over: 300, jitter: 20 };
            c.dpd = Some(Dpd { delay_ms: 30_000 });
            with_child(c, |child| {
                child.start = Start::Auto;
                child.lifetime = ChildLifetime {
                    rekey_seconds: 600,
                    hard_seconds: 700,
                    jitter: 20,
                    ..ChildLifetime::default()
                };
            });
        })
    };
    let mut world = World::with(5, with(A), with(B));
    world.run(1_000);
    for _ in 0..480 {
        world.start_traffic();
        world.run(300);
        world.traffic = false;
        world.run(59_700);
        assert_eq!((world.ike_sas(A), world.ike_sas(B)), (1, 1), "{}", world.story());
    }
    world.run(6_000);
    world.no_packet_was_lost();
    let rekeys = |(_, event): &&(u64, Event)| matches!(event, Event::IkeRekeyed { .. });
    assert!(world.ends[A].events.iter().filter(rekeys).count() >= 7);
    let ups =
        |(_, event): &&(u64, Event)| matches!(event, Event::ChildUp { replaces: Some(_), .. });
    assert!(world.ends[A].events.iter().filter(ups).count() >= 40);
    assert!(
        !world.ends[A].events.iter().any(|(_, event)| matches!(event, Event::Failed(_))),
        "{}",
        world.story()
    );
}

// NAT --------------------------------------------------------------------------------------------------------------

/// A is behind a NAT at 203.0.113.9 that maps each of its ports.
fn behind_nat(world: &mut World, first_port: u16) {
    let outside: std::net::IpAddr = "203.0.113.9".parse().unwrap();
    let inside = address(A);
    world.translate(move |from, path| {
        if from == A {
            let port = first_port + path.local.port() / 4000;
            return Endpoint { local: path.remote, remote: (outside, port).into() };
        }
        let port = if path.remote.port() == first_port { 500 } else { 4500 };
        Endpoint { local: (inside, port).into(), remote: path.local }
    });
}

fn nat_world(port: u16) -> World {
    let b = |c: &mut Connection| {
        c.remote = vec!["203.0.113.9".parse::<std::net::IpAddr>().unwrap().into()]
    };
    let a = |c: &mut Connection| c.keepalive_ms = 20_000;
    let mut world = World::with(1, one(A, a), one(B, b));
    behind_nat(&mut world, port);
    up(&mut world);
    world.run(2_000);
    world
}

#[test]
fn a_nat_is_found_and_everything_goes_to_port_4500() {
    let world = nat_world(61_000);
    world.agrees(1, 1);
    let (a, b) = (&world.ends[A].outbound[0], &world.ends[B].outbound[0]);
    assert!(a.udp && b.udp);
    assert_eq!((a.path.local.port(), a.path.remote.port()), (4500, 4500));
    assert_eq!(b.path.remote, "203.0.113.9:61001".parse().unwrap());
    assert_eq!(world.ends[A].engine.status()[0].nat, (true, false));
    assert_eq!(world.ends[B].engine.status()[0].nat, (false, true));
}

#[test]
fn only_who_is_behind_the_nat_keeps_it_open() {
    let mut world = nat_world(61_000);
    world.raw.clear();
    world.run(100_000);
    let keepalives = |end| {
        world.raw.iter().filter(|(from, _, octets)| *from == end && octets == &[0xff]).count()
    };
    assert_eq!((keepalives(A), keepalives(B)), (5, 0));
}

#[test]
fn a_new_mapping_is_followed_when_the_peer_proves_itself_from_there() {
    let mut world = nat_world(61_000);
    let spoofed = Endpoint {
        local: (address(B), 4500).into(),
        remote: "198.51.100.66:4500".parse().unwrap(),
    };
    let last =
        world.raw.iter().rev().find(|(from, path, _)| *from == A && path.local.port() == 4500);
    let repeated = last.unwrap().2.clone();
    world.inject(B, spoofed, &repeated);
    assert_eq!(
        world.ends[B].outbound[0].path.remote,
        "203.0.113.9:61001".parse().unwrap(),
        "a repetition moves nothing"
    );
    behind_nat(&mut world, 62_000);
    world.order(A, Order::Rekey { connection: "site".into(), what: Rekey::Child(None) });
    world.run(20_000);
    world.agrees(1, 1);
    assert_eq!(world.ends[B].outbound[0].path.remote, "203.0.113.9:62001".parse().unwrap());
    assert!(world.ends[B].inbound.values().all(|half| half.path.remote.port() == 62_001));
}

#[test]
fn encapsulation_can_be_forced() {
    for end in [A, B] {
        let with = |own: usize| {
            one(own, |c| c.encap = if own == end { Encap::Force } else { Encap::Auto })
        };
        let mut world = World::with(1, with(A), with(B));
        up(&mut world);
        world.run(2_000);
        world.agrees(1, 1);
        assert!(world.ends[A].outbound[0].udp && world.ends[B].outbound[0].udp);
    }
}

// Configuration ----------------------------------------------------------------------------------------------------

#[test]
fn what_did_not_change_is_not_touched() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    up(&mut world);
    world.run(2_000);
    let before = world.children(A);
    world.order(A, Order::Configure(Arc::new(one(A, |_| ()))));
    world.run(10_000);
    assert_eq!(world.children(A), before);
    world.agrees(1, 1);
}

#[test]
fn a_connection_that_is_gone_takes_its_sas_along() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    up(&mut world);
    world.run(2_000);
    world.order(B, Order::Configure(Arc::new(settings(Vec::new()))));
    world.run(10_000);
    world.agrees(0, 0);
    assert_eq!(world.downs(B), [Cause::Configuration]);
}

#[test]
fn a_connection_that_changed_is_made_anew() {
    let mut world = World::with(1, auto(A), one(B, |_| ()));
    world.run(2_000);
    let before = world.children(A);
    let mut changed = auto(A);
    let mut connection = connection(A);
    connection.digest = [1; 16];
    connection.children = changed.connections[0].children.clone();
    changed.connections = vec![Arc::new(connection)];
    world.order(A, Order::Configure(Arc::new(changed)));
    world.run(60_000);
    world.agrees(1, 1);
    assert_ne!(world.children(A), before);
}

#[test]
fn configurations_may_change_at_every_step_of_a_handshake() {
    for at in 0..80 {
        let mut world = World::with(1, auto(A), one(B, |_| ()));
        world.run(at);
        world.order(B, Order::Configure(Arc::new(settings(Vec::new()))));
        world.order(A, Order::Configure(Arc::new(settings(Vec::new()))));
        world.run(200_000);
        assert_eq!(
            (world.children(A).len(), world.children(B).len()),
            (0, 0),
            "{at}: {}",
            world.story()
        );
        assert!(world.ends[A].spis.0.lock().unwrap().out.is_empty(), "{at} {}", world.story());
        assert!(world.ends[B].spis.0.lock().unwrap().out.is_empty(), "{at} {}", world.story());
    }
}

// Failures, with their reasons -------------------------------------------------------------------------------------

#[test]
fn a_wrong_psk_is_told_on_both_sides() {
    let other = |c: &mut Connection| {
        let psk = Arc::new(ike::Key::new(b"another one altogether".to_vec()));
        c.remote_auth.accept = Accept::Psk(psk);
    };
    let mut world = World::with(1, one(A, |_| ()), one(B, other));
    up(&mut world);
    world.run(900);
    let why = world.ends[B].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::AuthenticationFailed);
    assert_eq!(why.check.as_deref(), Some("the pre-shared keys differ"));
    let why = world.ends[A].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::PeerRefused(NotifyType::AUTHENTICATION_FAILED.to_string()));
    world.agrees(0, 0);
}

#[test]
fn an_identity_that_nobody_expects_is_told_with_the_line_that_would() {
    let other = |c: &mut Connection| {
        c.remote_auth.identities = vec!["*.elsewhere.example".parse().unwrap()];
    };
    let mut world = World::with(1, one(A, |_| ()), one(B, other));
    up(&mut world);
    world.run(900);
    let why = world.ends[B].engine.why_address(address(A)).unwrap();
    assert_eq!(why.reason, Reason::IdentityRefused);
    assert_eq!(
        why.candidates[0].to_string(),
        "site: remote.id: the peer has a.example.com, we have *.elsewhere.example"
    );
    assert_eq!(
        why.check.as_deref(),
        Some("a.example.com is not one label and then .elsewhere.example")
    );
    assert_eq!(why.fix.as_deref(), Some("connections.site.remote.id: \"a.example.com\""));
}

#[test]
fn proposals_without_a_match_name_the_first_difference() {
    let other =
        |c: &mut Connection| c.proposals = vec![ike_proposal(&[ike::algorithm::Group::Ecp384])];
    let mut world = World::with(1, one(A, |_| ()), one(B, other));
    up(&mut world);
    world.run(900);
    let why = world.ends[B].engine.why_address(address(A)).unwrap().clone();
    assert_eq!(why.reason, Reason::NoProposalChosen);
    assert_eq!(
        (why.candidates[0].field.as_str(), why.candidates[0].ours.as_str()),
        ("key exchange", "ECP_384")
    );
    assert!(
        world.ends[A].engine.why_connection("site").is_none(),
        "an error that nobody vouches for ends nothing"
    );
    world.run(60_000);
    let why = world.ends[A].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::PeerRefused("NO_PROPOSAL_CHOSEN".to_owned()));
}

#[test]
fn selectors_without_a_match_name_the_side() {
    let other = |c: &mut Connection| {
        with_child(c, |child| child.remote_ts = vec![traffic("10.9.0.0/16")]);
    };
    let mut world = World::with(1, one(A, |_| ()), one(B, other));
    up(&mut world);
    world.run(900);
    world.agrees(1, 0);
    let why = world.ends[B].engine.why_connection("site").unwrap();
    assert_eq!(
        (&why.reason, why.candidates[0].field.as_str()),
        (&Reason::TsUnacceptable, "remote_ts")
    );
    let why = world.ends[A].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::PeerRefused("TS_UNACCEPTABLE".to_owned()));
}

#[test]
fn selectors_are_narrowed_to_what_both_want() {
    let wide = |c: &mut Connection| {
        with_child(c, |child| child.remote_ts = vec![traffic("10.0.0.0/8")]);
    };
    let mut world = World::with(1, one(A, wide), one(B, |_| ()));
    up(&mut world);
    world.run(900);
    world.agrees(1, 1);
    assert_eq!(
        world.ends[A].engine.status()[0].children[0].covered.to_string(),
        "10.1.0.0/16 ↔ 10.2.0.0/16"
    );
}

#[test]
fn a_peer_that_is_not_there_is_a_timeout() {
    let mut world = World::with(1, one(A, |c| c.attempts = Some(1)), one(B, |_| ()));
    world.ends[B].dead = true;
    up(&mut world);
    world.run(100_000);
    let why = world.ends[A].engine.why_connection("site").unwrap();
    assert_eq!(why.reason, Reason::Timeout);
    world.agrees(0, 0);
    assert_eq!(world.ends[A].engine.outstanding(), 0);
}

// Other shapes -----------------------------------------------------------------------------------------------------

#[test]
fn a_childless_ike_sa_gets_its_child_afterwards() {
    let mut world = World::with(1, one(A, |c| c.childless = true), one(B, |_| ()));
    up(&mut world);
    world.run(900);
    world.agrees(1, 1);
    assert_eq!(world.log.len(), 6);
}

#[test]
fn several_children_share_one_ike_sa() {
    let more = |c: &mut Connection| {
        let (a, b) = if c.local == [address(A)] { ("1", "2") } else { ("2", "1") };
        let nets = |third: &str| (format!("10.{a}.{third}.0/24"), format!("10.{b}.{third}.0/24"));
        let children = ["1", "2", "3"].map(|third| {
            let (local, remote) = nets(third);
            Arc::new(child(&format!("net-{third}"), &local, &remote))
        });
        c.children = children.to_vec();
    };
    let mut world = World::with(1, one(A, more), one(B, more));
    up(&mut world);
    world.run(2_000);
    world.agrees(1, 3);
    world.order(B, Order::Rekey { connection: "site".into(), what: Rekey::Child(None) });
    world.run(30_000);
    world.agrees(1, 3);
}

#[test]
fn a_suite_with_separate_integrity_works() {
    let cbc = |c: &mut Connection| with_child(c, |child| child.proposals = vec![cbc_proposal()]);
    let mut world = World::with(1, one(A, cbc), one(B, cbc));
    up(&mut world);
    world.run(900);
    world.agrees(1, 1);
    assert_eq!(world.ends[A].outbound[0].keys.integrity.len(), 32);
}

/// IPv6 outside, IPv4 inside, and a NAT that nobody expects there all the same.
#[test]
fn ipv6_endpoints_come_up_rekey_and_find_a_nat() {
    let outside = ["2001:db8:1::1", "2001:db8:2::2"].map(|text| text.parse::<IpAddr>().unwrap());
    for nat in [false, true] {
        let with = |end: usize| {
            one(end, move |c| {
                c.local = vec![outside[end]];
                c.remote = vec![outside[1 - end].into()];
            })
        };
        let mut world = World::new(1);
        for end in [B, A] {
            world.ends[end].address = outside[end];
            world.order(end, Order::Configure(Arc::new(with(end))));
        }
        if nat {
            world.translate(nat_before_a);
        }
        up(&mut world);
        world.run(2_000);
        world.agrees(1, 1);
        for what in [Rekey::Child(None), Rekey::Ike] {
            world.order(A, Order::Rekey { connection: "site".into(), what });
            world.run(10_000);
            world.agrees(1, 1);
        }
        let half = &world.ends[A].outbound[0];
        assert_eq!((half.path.remote.ip(), half.udp), (outside[B], nat));
    }
}

/// A NAT in front of A: B sees another port.
fn nat_before_a(from: usize, path: Endpoint) -> Endpoint {
    let mut seen = Endpoint { local: path.remote, remote: path.local };
    match from {
        A => seen.remote.set_port(seen.remote.port() + 1000),
        _ => seen.local.set_port(seen.local.port() - 1000),
    }
    seen
}

/// `encap: never`: a NAT is found, IKE goes around it by port 4500, ESP stays as it is.
#[test]
fn encapsulation_can_be_forbidden() {
    let never = |end| one(end, |c| c.encap = Encap::Never);
    let mut world = World::with(1, never(A), never(B));
    world.translate(nat_before_a);
    up(&mut world);
    world.run(2_000);
    world.agrees(1, 1);
    assert_eq!(world.ends[A].engine.status()[0].nat, (true, false));
    for end in [A, B] {
        assert!(!world.ends[end].outbound[0].udp);
        assert!(world.ends[end].inbound.values().all(|half| !half.udp));
    }
}
