//! What strangers can do before they proved who they are: next to nothing (RFC 7296 §2.6, §2.21.1, RFC 8019).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Action, Endpoint, Order};
use ike::settings::*;
use wire::iana::ike::{ExchangeType, NotifyType, PayloadType};
use wire::ike::{Flags, Header, Message, Notification, Writer};
use world::configured::*;
use world::*;

fn stranger(number: u32) -> Endpoint {
    let remote = (std::net::IpAddr::from(number.to_be_bytes()), 500).into();
    Endpoint { local: (address(B), 500).into(), remote }
}

/// Anybody may call.
fn open(c: &mut Connection) {
    c.remote = Vec::new();
}

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..one(B, open) }
}

/// A's first message, as A would send it.
fn call() -> Vec<u8> {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(5);
    world.raw[0].2.clone()
}

fn answer(world: &mut World, path: Endpoint, octets: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    world.ends[B].engine.handle(world.now, path, octets, &mut out);
    let sent = |action| match action {
        Action::Send { datagram, .. } => Some(datagram),
        _ => None,
    };
    out.into_iter().filter_map(sent).collect()
}

fn with_spi(call: &[u8], spi: u32) -> Vec<u8> {
    let mut call = call.to_vec();
    call[4..8].copy_from_slice(&spi.to_be_bytes());
    call
}

#[test]
fn a_flood_is_met_with_cookies_and_no_key_exchange() {
    let limits = Limits { cookie_above: 10, half_open: 20, ..Limits::default() };
    let mut world = World::with(1, one(A, |_| ()), limited(limits));
    let call = call();
    let (mut octets_in, mut octets_out) = (0, 0);
    for number in 0..10_000_u32 {
        let octets = with_spi(&call, number + 1);
        octets_in += octets.len();
        let path = stranger(0x0a00_0000 + number);
        let mut out = Vec::new();
        world.ends[B].engine.handle(world.now, path, &octets, &mut out);
        for action in out {
            match action {
                Action::Send { datagram, .. } => octets_out += datagram.len(),
                Action::Work { .. } => world.ends[B].jobs += 1,
                _ => {}
            }
        }
    }
    assert_eq!(world.ends[B].jobs, 10);
    assert_eq!(world.ends[B].engine.half_open(), 10);
    assert!(octets_out <= octets_in);
    assert_eq!(world.ends[B].engine.counters().cookies, 9_990);
    world.run(60_000);
    assert_eq!(world.ends[B].engine.half_open(), 0, "memory returns to where it was");
    assert!(world.ends[B].engine.status().is_empty());
}

#[test]
fn one_source_cannot_use_up_what_is_for_all() {
    let limits =
        Limits { cookie_above_per_source: 2, half_open_per_source: 4, ..Limits::default() };
    let mut world = World::with(1, one(A, |_| ()), limited(limits));
    let call = call();
    for number in 0..100 {
        answer(&mut world, stranger(0x0a00_0001), &with_spi(&call, number + 1));
    }
    assert_eq!(world.ends[B].engine.half_open(), 2);
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(1_000);
    assert_eq!((world.ike_sas(A), world.children(B).len()), (1, 1));
}

#[test]
fn who_shows_its_cookie_comes_in() {
    for wrong_group in [false, true] {
        let limits = Limits { cookie_above: 0, ..Limits::default() };
        let a = |c: &mut Connection| {
            c.proposals = vec![ike_proposal(&[
                ike::algorithm::Group::Curve25519,
                ike::algorithm::Group::Ecp256,
            ])];
        };
        let b = |c: &mut Connection| {
            if wrong_group {
                c.proposals = vec![ike_proposal(&[ike::algorithm::Group::Ecp256])];
            }
        };
        let b = Settings { limits, ..one(B, b) };
        let mut world = World::with(1, one(A, a), b);
        world.order(A, Order::Up { connection: "site".into(), child: None });
        world.run(1_000);
        world.agrees(1, 1);
        // cookie, and perhaps another group with a cookie: at most two round trips more
        assert!(world.log.len() <= if wrong_group { 10 } else { 6 }, "{}", world.story());
    }
}

/// A thousand connections that take anybody, and a call that suits none: what is kept of it stays small.
#[test]
fn what_is_kept_of_a_failure_does_not_grow_with_the_configuration() {
    let mut b = one(B, open);
    let named = |number| {
        move |connection: &mut Connection| {
            open(connection);
            connection.name = format!("c{number}").into();
        }
    };
    b.connections = (0..1000).flat_map(|number| one(B, named(number)).connections).collect();
    let mut world = World::with(1, one(A, |_| ()), b);
    let mut call = call();
    let id = call[28..].windows(2).position(|window| window == [0, 20]).unwrap();
    call[28 + id + 1] = 250; // an encryption algorithm that nobody has
    answer(&mut world, stranger(0x0a00_0001), &call);
    let why = world.ends[B].engine.why_address(stranger(0x0a00_0001).remote.ip()).unwrap();
    assert_eq!(why.candidates.len(), 64);
}

#[test]
fn a_cookie_of_another_is_no_cookie() {
    let limits = Limits { cookie_above: 0, ..Limits::default() };
    let mut world = World::with(1, one(A, |_| ()), limited(limits));
    let call = call();
    let cookie = |datagram: &[u8]| {
        let message = Message::parse(datagram).unwrap();
        match message.payloads().notification(NotifyType::COOKIE) {
            Some(Notification::Cookie(cookie)) => cookie.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let answers = answer(&mut world, stranger(0x0a00_0001), &call);
    let own = cookie(&answers[0]);
    let again = |cookie: &[u8], spi: u32| {
        let call = with_spi(&call, spi);
        let message = Message::parse(&call).unwrap();
        let mut writer = Writer::new(*message.header());
        let body = [&[0, 0][..], &NotifyType::COOKIE.0.to_be_bytes(), cookie].concat();
        writer.push_raw(PayloadType::NOTIFY, false, &body);
        for payload in message.payloads().iter() {
            writer.push(payload);
        }
        writer.finish().unwrap()
    };
    let spi = u32::from_be_bytes(call[4..8].try_into().unwrap());
    let mut mangled = own.clone();
    mangled[3] ^= 1;
    for (path, octets) in [
        (stranger(0x0a00_0002), again(&own, spi)),
        (stranger(0x0a00_0001), again(&own, spi ^ 1)),
        (stranger(0x0a00_0001), again(&mangled, spi)),
        (stranger(0x0a00_0001), again(&[7; 64], spi)),
    ] {
        let answers = answer(&mut world, path, &octets);
        assert_eq!(answers.len(), 1);
        cookie(&answers[0]);
    }
    assert_eq!(world.ends[B].engine.half_open(), 0);
    assert_eq!(
        answer(&mut world, stranger(0x0a00_0001), &again(&own, spi)).len(),
        0,
        "it is being worked on"
    );
    assert_eq!(world.ends[B].engine.half_open(), 1);
}

#[test]
fn the_same_request_gets_the_same_answer_and_makes_nothing_new() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.judge(|sent| if sent.from == A && sent.number > 0 { Fate::Lost } else { Fate::Arrives });
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(20);
    let (call, first) = (world.raw[0].2.clone(), world.raw[1].2.clone());
    for _ in 0..3 {
        let path = world.path(B);
        let again = answer(&mut world, path, &call);
        assert_eq!(again, std::slice::from_ref(&first));
    }
    assert_eq!((world.ends[B].engine.half_open(), world.ends[B].jobs), (1, 1));
}

#[test]
fn short_and_long_datagrams_are_counted_and_not_answered() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    let natt = Endpoint { local: (address(B), 4500).into(), ..stranger(1) };
    for length in 0..64 {
        for octet in [0, 0xff] {
            for path in [stranger(1), natt] {
                let datagram = vec![octet; length];
                assert!(answer(&mut world, path, &datagram).is_empty(), "{length} of {octet}");
            }
        }
    }
    let counters = world.ends[B].engine.counters();
    assert_eq!(counters.keepalives, 1);
    assert!(counters.malformed > 0 && counters.without_marker > 0);
    assert!(world.ends[B].engine.status().is_empty());
}

#[test]
fn another_major_version_is_told_once_in_a_while() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    let mut call = call();
    let mut told = 0;
    for version in [0x00, 0x10, 0x30, 0xf0] {
        call[17] = version;
        let answers = answer(&mut world, stranger(1), &call);
        assert_eq!(answers.len(), usize::from(version > 0x20), "{version:x}");
        assert!(answers.iter().all(|answer| answer.len() <= call.len()));
    }
    for _ in 0..1000 {
        told += answer(&mut world, stranger(1), &call).len();
    }
    assert!(told < 110);
    call[17] = 0x21; // a minor version is ignored (RFC 7296 §2.5)
    answer(&mut world, world_path(), &call);
    assert_eq!(world.ends[B].engine.half_open(), 1);
}

fn world_path() -> Endpoint {
    Endpoint { local: (address(B), 500).into(), remote: (address(A), 500).into() }
}

#[test]
fn a_critical_payload_that_nobody_knows_is_named() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    let call = call();
    let message = Message::parse(&call).unwrap();
    for (critical, answers) in [(true, 1), (false, 0)] {
        let mut writer = Writer::new(*message.header());
        for payload in message.payloads().iter() {
            writer.push(payload);
        }
        writer.push_raw(PayloadType(200), critical, &[1, 2, 3]);
        let got = answer(&mut world, world_path(), &writer.finish().unwrap());
        assert_eq!(got.len(), answers);
        if let Some(got) = got.first() {
            let message = Message::parse(got).unwrap();
            let want = Notification::UnsupportedCriticalPayload(PayloadType(200));
            assert_eq!(message.payloads().notification(want.kind()), Some(want));
        }
    }
    assert_eq!(world.ends[B].engine.half_open(), 1, "the one that could be passed over");
}

/// Errors that nobody vouches for do not end a handshake (RFC 7296 §2.21.1), nor an SA (§2.21.4).
#[test]
fn forged_errors_end_nothing() {
    let errors = [
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::INVALID_SYNTAX,
        NotifyType::AUTHENTICATION_FAILED,
        NotifyType::INVALID_IKE_SPI,
        NotifyType::INVALID_MAJOR_VERSION,
        NotifyType::TEMPORARY_FAILURE,
    ];
    for kind in errors {
        let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
        world.order(A, Order::Up { connection: "site".into(), child: None });
        for at in 0..8 {
            world.run(6);
            let Some((_, _, Some(header), _)) =
                world.log.iter().rev().find(|(from, ..)| *from == A).cloned()
            else {
                continue;
            };
            let flags = Flags { initiator: false, version: false, response: true };
            let spis = (header.initiator_spi, header.responder_spi | at);
            let mut writer =
                Writer::new(Header::new(spis, header.exchange, flags, header.message_id));
            writer.push(wire::ike::Notify::from(kind));
            let path = world.path(A);
            world.inject(A, path, &writer.finish().unwrap());
        }
        world.run(60_000);
        world.agrees(1, 1);
    }
}

#[test]
fn a_forged_invalid_spi_is_worth_a_question_at_most() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(60_000);
    let header = world.log[2].2.unwrap();
    let flags = Flags { initiator: false, version: false, response: true };
    let spis = (header.initiator_spi, header.responder_spi);
    let mut writer = Writer::new(Header::new(spis, ExchangeType::INFORMATIONAL, flags, 9));
    writer.push(wire::ike::Notify::from(NotifyType::INVALID_IKE_SPI));
    let (path, forged, before) = (world.path(A), writer.finish().unwrap(), world.log.len());
    for _ in 0..100 {
        world.inject(A, path, &forged);
    }
    world.run(1_000);
    world.agrees(1, 1);
    assert_eq!(world.log.len(), before + 2, "one question, one answer");
}

/// Every exchange that belongs behind authentication, before it (section C5).
#[test]
fn nothing_but_ike_auth_is_heard_before_it() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.judge(|sent| if sent.from == A && sent.number > 0 { Fate::Lost } else { Fate::Arrives });
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(40);
    let auth = world.raw.iter().rev().find(|(from, ..)| *from == A).unwrap().2.clone();
    for exchange in [34, 36, 37, 38, 43, 0, 255] {
        for id in [0, 1, 2, u32::MAX] {
            let mut forged = auth.clone();
            forged[18] = exchange;
            forged[20..24].copy_from_slice(&id.to_be_bytes());
            let path = world.path(B);
            assert!(answer(&mut world, path, &forged).is_empty(), "{exchange} {id}");
        }
    }
    assert_eq!(world.ike_sas(B), 0);
    world.no_faults();
    world.run(60_000);
    world.agrees(1, 1);
}

#[test]
fn an_unknown_spi_is_answered_rarely_and_shortly() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    let flags = Flags { initiator: true, version: false, response: false };
    let mut writer = Writer::new(Header::new((7, 8), ExchangeType::INFORMATIONAL, flags, 3));
    writer.push_raw(PayloadType(200), false, &[0; 40]);
    let datagram = writer.finish().unwrap();
    let answers: Vec<_> =
        (0..1000).flat_map(|_| answer(&mut world, stranger(5), &datagram)).collect();
    assert!(!answers.is_empty() && answers.len() < 110);
    assert!(answers.iter().all(|answer| answer.len() <= datagram.len()));
}
