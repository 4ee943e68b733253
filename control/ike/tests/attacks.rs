//! Attacks and faults, one by one. Names begin with the row of docs/conformance.md that they belong to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Action, Endpoint, Order, Rekey};
use ike::algorithm::Group;
use ike::event::Event;
use ike::settings::*;
use ike::why::Reason;
use std::net::IpAddr;
use std::sync::Arc;
use wire::iana::ike::{
    AuthMethod, ExchangeType, KeyExchangeMethod, NotifyType, PayloadType, ProtocolId,
};
use wire::ike::{
    Contents, Delete, Flags, Header, Message, Notification, Notify, Payload, Payloads, Writer,
};
use world::configured::*;
use world::player::{Player, foreseen};
use world::*;

const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;
const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;

fn both(change: impl Fn(&mut Connection) + Copy) -> World {
    World::with(1, one(A, change), one(B, change))
}

fn up(world: &mut World) {
    world.order(A, Order::Up { connection: "site".into(), child: None });
}

fn established(change: impl Fn(&mut Connection) + Copy) -> World {
    let mut world = both(change);
    up(&mut world);
    world.run(2_000);
    world.agrees(1, 1);
    world
}

/// What B answers at once.
fn answers(world: &mut World, path: Endpoint, octets: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    world.ends[B].engine.handle(world.now, path, octets, &mut out);
    let sent = |action| match action {
        Action::Send { datagram, .. } => Some(datagram),
        Action::Work { .. } => {
            world.ends[B].jobs += 1;
            None
        }
        _ => None,
    };
    out.into_iter().filter_map(sent).collect()
}

/// A's first message, as A would send it.
fn call() -> Vec<u8> {
    let mut world = both(|_| ());
    up(&mut world);
    world.run(5);
    world.raw[0].2.clone()
}

fn to_b() -> Endpoint {
    Endpoint { local: (address(B), 500).into(), remote: (address(A), 500).into() }
}

/// A message, written anew with each payload as `change` wants it; `None`: left out.
fn rewritten(
    octets: &[u8],
    change: impl Fn(PayloadType, &[u8]) -> Option<(PayloadType, Vec<u8>)>,
) -> Vec<u8> {
    let message = Message::parse(octets).unwrap();
    let mut writer = Writer::new(*message.header());
    for raw in wire::ike::payloads(message.header().next_payload, &octets[28..]) {
        let raw = raw.unwrap();
        if let Some((kind, body)) = change(raw.kind, raw.body) {
            writer.push_raw(kind, false, &body);
        }
    }
    writer.finish().unwrap()
}

fn without(octets: &[u8], kind: PayloadType) -> Vec<u8> {
    rewritten(octets, |own, body| (own != kind).then(|| (own, body.to_vec())))
}
fn replaced(octets: &[u8], kind: PayloadType, body: &[u8]) -> Vec<u8> {
    rewritten(octets, |own, old| {
        Some((own, if own == kind { body.to_vec() } else { old.to_vec() }))
    })
}

/// Nothing that `what` left behind keeps an honest peer out.
#[track_caller]
fn honest_peer_comes_in(mut world: World) {
    world.run(60_000);
    assert_eq!(world.ends[B].engine.half_open(), 0, "it stays half open");
    assert!(world.ends[B].engine.status().is_empty());
    up(&mut world);
    world.run(2_000);
    world.agrees(1, 1);
}

// A: what strangers write -------------------------------------------------------------------------------------------

#[test]
fn a4_a_call_without_a_payload_that_it_needs_or_with_one_of_a_bad_size_makes_nothing() {
    let call = call();
    let (sa, ke, nonce) = (PayloadType::SA, PayloadType::KE, PayloadType::NONCE);
    let method = KeyExchangeMethod::CURVE25519.0.to_be_bytes();
    let public = |octet: u8, len: usize| [&method[..], &[0, 0], &vec![octet; len]].concat();
    let mut bad = vec![without(&call, sa), without(&call, ke), without(&call, nonce)];
    bad.extend([0, 15, 257].map(|len| replaced(&call, nonce, &vec![1; len])));
    bad.extend([0, 1, 31, 33, 1000].map(|len| replaced(&call, ke, &public(0xff, len))));
    bad.push(replaced(&call, ke, &[]));
    bad.push(replaced(&call, ke, &public(0, 32)));
    bad.push(replaced(&call, sa, &[]));
    for octets in bad {
        let mut world = both(|_| ());
        world.inject(B, to_b(), &octets);
        world.run(100);
        assert_eq!(world.ends[B].engine.half_open(), 0);
        assert!(world.raw.iter().all(|(.., answer)| answer.len() <= octets.len()));
        honest_peer_comes_in(world);
    }
}

/// RFC 6989: a public value outside its group ends nothing, whoever sends it.
#[test]
fn a5_a_public_value_outside_its_group_is_refused_on_its_way_through_ike() {
    let groups = [
        (Group::Ecp256, vec![0; 64]),
        (Group::Ecp384, vec![0xff; 96]),
        (Group::Curve25519, vec![0; 32]),
        (Group::Modp2048, vec![0; 256]),
        (Group::Modp2048, vec![0xff; 256]),
        (Group::Modp2048, [vec![0; 255], vec![1]].concat()),
    ];
    for (group, public) in groups {
        let change = move |c: &mut Connection| c.proposals = vec![ike_proposal(&[group])];
        let body = [&group.id().0.to_be_bytes()[..], &[0, 0], &public].concat();
        // in a request
        let mut world = both(change);
        up(&mut world);
        world.judge(|_| Fate::Lost);
        world.run(5);
        let forged = replaced(&world.raw[0].2, PayloadType::KE, &body);
        world.inject(B, to_b(), &forged);
        world.run(100);
        assert_eq!(world.ends[B].engine.half_open(), 0, "{group}");
        // in an answer, before the right one
        world.no_faults();
        let mut world = both(change);
        up(&mut world);
        world.until(1_000, "an answer", |world| world.raw.len() == 2);
        let forged = replaced(&world.raw[1].2, PayloadType::KE, &body);
        let path = world.path(A);
        world.inject(A, path, &forged);
        world.run(20_000);
        world.agrees(1, 1);
    }
}

#[test]
fn a6_as_many_proposals_and_transforms_as_a_message_holds_are_looked_through_once() {
    let transform = |last: bool, kind: u8, id: u16| {
        [&[if last { 0 } else { 3 }, 0, 0, 8, kind, 0], &id.to_be_bytes()[..]].concat()
    };
    let proposal = |last: bool, number: u8, count: u8| {
        let body: Vec<u8> = (1..=count)
            .flat_map(|at| transform(at == count, 1 + at % 9, u16::from(at) + 1000))
            .collect();
        let length = u16::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&[if last { 0 } else { 2 }, 0, length[0], length[1], number, 1, 0, count], &body[..]]
            .concat()
    };
    let call = call();
    for (proposals, transforms) in [(1, 127), (63, 100), (64, 120), (65, 1), (255, 30), (1, 255)] {
        let body: Vec<u8> =
            (1..=proposals).flat_map(|at| proposal(at == proposals, at, transforms)).collect();
        let octets = replaced(&call, PayloadType::SA, &body);
        let mut world = both(|_| ());
        let answers = answers(&mut world, to_b(), &octets);
        assert!(answers.len() <= 1 && world.ends[B].jobs == 0);
        assert_eq!(world.ends[B].engine.half_open(), 0);
        let told = world.ends[B].events.iter().map(|(_, event)| format!("{event:?}").len());
        assert!(told.sum::<usize>() < 100_000, "what is told of it is bounded");
        honest_peer_comes_in(world);
    }
}

#[test]
fn a7_notifies_of_any_shape_are_passed_over_or_refused_and_never_followed() {
    let call = call();
    let message = Message::parse(&call).unwrap();
    let kinds = [
        NotifyType::COOKIE,
        NotifyType::NAT_DETECTION_SOURCE_IP,
        NotifyType::NAT_DETECTION_DESTINATION_IP,
        NotifyType::SIGNATURE_HASH_ALGORITHMS,
        NotifyType::REKEY_SA,
        NotifyType(16_407), // REDIRECT
        NotifyType(65_535),
    ];
    for kind in kinds {
        for (protocol, spi_size) in [(0, 0), (3, 4), (1, 8), (77, 3), (0, 255)] {
            for len in [0, 1, 19, 20, 21, 65] {
                let kind = kind.0.to_be_bytes();
                let body = [&[protocol, spi_size], &kind[..], &vec![0x5a; len]].concat();
                let mut writer = Writer::new(*message.header());
                message.payloads().iter().for_each(|payload| _ = writer.push(payload));
                writer.push_raw(PayloadType::NOTIFY, false, &body);
                let octets = writer.finish().unwrap();
                let mut world = both(|_| ());
                world.inject(B, to_b(), &octets);
                world.run(50);
                assert!(world.ends[B].engine.half_open() <= 1);
                assert!(world.raw.len() <= 1);
                world.run(60_000);
                assert!(world.ends[B].engine.status().is_empty());
            }
        }
    }
}

#[test]
fn a9_certificates_by_url_are_not_asked_for_and_not_fetched() {
    let world = established(|_| ());
    for (.., octets) in &world.raw {
        let message = Message::parse(octets).unwrap();
        assert!(!message.payloads().says(NotifyType(16_392)), "HTTP_CERT_LOOKUP_SUPPORTED");
    }
}

#[test]
fn a11_noise_and_other_protocols_leave_nothing_behind() {
    let mut world = both(|_| ());
    let mut random = Seeded::new(11);
    for round in 0..20_000_usize {
        let mut octets = vec![0; round % 400];
        ike::Random::fill(&mut random, &mut octets);
        if round % 3 == 0
            && let Some(header) = octets.get_mut(16..28)
        {
            // AuthIP and ISAKMP: version 1; or IKEv2 in name
            header[1] = if round % 2 == 0 { 0x10 } else { 0x20 };
            header[8..12].copy_from_slice(&((round % 400) as u32).to_be_bytes());
        }
        let answered: usize = answers(&mut world, to_b(), &octets).iter().map(Vec::len).sum();
        assert!(answered <= octets.len());
    }
    assert_eq!(world.ends[B].jobs, 0);
    honest_peer_comes_in(world);
}

#[test]
fn a12_who_probes_learns_no_more_than_no_and_not_too_often() {
    let call = call();
    let mut world = both(|_| ());
    let mut told = 0;
    for number in 0..2_000_u32 {
        let mut octets = without(&call, PayloadType::NOTIFY);
        octets[4..8].copy_from_slice(&number.to_be_bytes());
        let id = octets[28..].windows(2).position(|window| window == [0, 20]).unwrap();
        octets[28 + id + 1] = 250; // an encryption algorithm that nobody has
        let answers = answers(&mut world, to_b(), &octets);
        for answer in &answers {
            let message = Message::parse(answer).unwrap();
            assert!(message.payloads().says(NotifyType::NO_PROPOSAL_CHOSEN));
            assert_eq!(message.payloads().iter().count(), 1, "and nothing else");
        }
        told += answers.len();
    }
    assert!((1..=110).contains(&told), "{told}");
    for (.., octets) in &world.raw {
        assert_eq!(Message::parse(octets).unwrap().payloads().vendor_ids().count(), 0);
    }
}

// B: what strangers and peers cost --------------------------------------------------------------------------------

#[test]
fn b1_under_a_flood_established_tunnels_go_on_rekeying() {
    let limits = Limits { cookie_above: 5, half_open: 10, ..Limits::default() };
    let open = |c: &mut Connection| c.remote = Vec::new();
    let b = Settings { limits, ..one(B, open) };
    let mut world = World::with(1, one(A, |_| ()), b);
    up(&mut world);
    world.run(2_000);
    world.start_traffic();
    let call = call();
    for number in 0..3_000_u32 {
        let mut octets = call.clone();
        octets[4..8].copy_from_slice(&number.to_be_bytes());
        let remote = (IpAddr::from((0x0a00_0000 + number).to_be_bytes()), 500).into();
        answers(&mut world, Endpoint { local: (address(B), 500).into(), remote }, &octets);
        if number % 500 == 0 {
            let what = if number % 1000 == 0 { Rekey::Ike } else { Rekey::Child(None) };
            world.order(A, Order::Rekey { connection: "site".into(), what });
        }
        world.run(1);
    }
    world.traffic = false;
    world.run(60_000);
    world.agrees(1, 1);
    world.no_packet_was_lost();
}

#[test]
fn b4_junk_under_the_right_spis_neither_ends_nor_disturbs_the_real_exchange() {
    let mut world = both(|_| ());
    world.judge(|sent| if sent.from == A && sent.number > 0 { Fate::Lost } else { Fate::Arrives });
    up(&mut world);
    world.run(40);
    let auth = world.raw.iter().rev().find(|(from, ..)| *from == A).unwrap().2.clone();
    for at in 0..2_000_usize {
        let mut junk = auth.clone();
        let place = 28 + at % (junk.len() - 28);
        junk[place] ^= 1 << (at % 8);
        assert!(answers(&mut world, to_b(), &junk).is_empty());
    }
    world.no_faults();
    world.run(60_000);
    world.agrees(1, 1);
    // and once it stands
    for at in 0..2_000_usize {
        let mut junk = auth.clone();
        junk[23] = 2; // the next message ID
        let place = 28 + at % (junk.len() - 28);
        junk[place] ^= 1 << (at % 8);
        assert!(answers(&mut world, to_b(), &junk).is_empty());
    }
    world.order(B, Order::Rekey { connection: "site".into(), what: Rekey::Ike });
    world.run(20_000);
    world.agrees(1, 1);
}

#[test]
fn b6_fragments_that_no_ike_sa_is_for_are_not_kept() {
    let mut world = both(|_| ());
    let header = |spis| {
        let flags = Flags { initiator: true, version: false, response: false };
        Header::new(spis, ExchangeType::IKE_AUTH, flags, 1)
    };
    for number in 1..2_000_u16 {
        for (fragment, total) in [(1, u16::MAX), (0, 1), (5, 2), (number, number)] {
            let mut writer = Writer::new(header((7, u64::from(number))));
            let body =
                [&u16::to_be_bytes(fragment)[..], &u16::to_be_bytes(total), &[9; 100]].concat();
            writer.push_raw(PayloadType(53), false, &body);
            if let Ok(octets) = writer.finish() {
                let answered: usize =
                    answers(&mut world, to_b(), &octets).iter().map(Vec::len).sum();
                assert!(answered <= octets.len());
            }
        }
    }
    honest_peer_comes_in(world);
}

/// Nothing is sent that was not asked for, and a victim is not asked twice for one request in its name.
#[test]
fn b8_a_responder_sends_nothing_again_by_itself() {
    let mut world = both(|_| ());
    world.inject(B, to_b(), &call());
    world.run(200_000);
    assert_eq!(world.raw.len(), 1, "{}", world.story());
}

/// What a request asks for can be longer than the request: then, below the threshold too, it has to bring a cookie.
#[test]
fn b8_a_terse_request_is_asked_for_a_cookie_first() {
    let mut world = both(|_| ());
    let terse = without(&call(), PayloadType::NOTIFY);
    let asked = answers(&mut world, to_b(), &terse);
    let [asked] = &asked[..] else { panic!("{} answers", asked.len()) };
    assert!(asked.len() <= terse.len(), "{} octets for {}", asked.len(), terse.len());
    assert_eq!((world.ends[B].engine.half_open(), world.ends[B].jobs), (0, 0));
    let message = Message::parse(asked).unwrap();
    let Some(Notification::Cookie(cookie)) = message.payloads().notification(NotifyType::COOKIE)
    else {
        panic!("{message:?}");
    };
    let body = [&[0, 0][..], &NotifyType::COOKIE.0.to_be_bytes(), cookie].concat();
    let mut writer = Writer::new(*Message::parse(&terse).unwrap().header());
    writer.push_raw(PayloadType::NOTIFY, false, &body);
    for payload in Message::parse(&terse).unwrap().payloads().iter() {
        writer.push(payload);
    }
    let proven = writer.finish().unwrap();
    assert!(answers(&mut world, to_b(), &proven).is_empty(), "it is being worked at");
    assert_eq!((world.ends[B].engine.half_open(), world.ends[B].jobs), (1, 1));
}

#[test]
fn b10_a_flood_of_bad_calls_is_not_a_flood_of_news() {
    let mut world = both(|_| ());
    let call = without(&call(), PayloadType::NONCE);
    let stranger = |number: u32| Endpoint {
        local: (address(B), 500).into(),
        remote: (IpAddr::from(number.to_be_bytes()), 500).into(),
    };
    let mut events = 0;
    for number in 0..10_000 {
        let mut out = Vec::new();
        let path = stranger(0x0b00_0000 + number);
        world.ends[B].engine.handle(world.now, path, &call, &mut out);
        events += out.iter().filter(|action| matches!(action, Action::Event(_))).count();
    }
    assert!(events <= 110, "{events}");
}

// C: proofs ---------------------------------------------------------------------------------------------------------

/// Both sign what they sent and what they heard: whoever changes the negotiation on the way has no tunnel through.
#[test]
fn c10_what_is_changed_on_the_way_is_found_out() {
    let drop_note = |octets: &[u8], kind: NotifyType| {
        rewritten(octets, |own, body| {
            let named = own == PayloadType::NOTIFY && body[2..4] == kind.0.to_be_bytes();
            (!named).then(|| (own, body.to_vec()))
        })
    };
    let reserved = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        octets[29] |= 0x01; // a reserved bit of the first payload
        octets
    };
    let minor = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        octets[17] |= 1;
        octets
    };
    let more = |octets: &[u8]| {
        let message = Message::parse(octets).unwrap();
        let mut writer = Writer::new(*message.header());
        message.payloads().iter().for_each(|payload| _ = writer.push(payload));
        writer.push_raw(PayloadType::VENDOR_ID, false, b"somebody in the middle");
        writer.finish().unwrap()
    };
    type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let fragmentation = |o: &[u8]| drop_note(o, NotifyType::IKEV2_FRAGMENTATION_SUPPORTED);
    let hashes = |o: &[u8]| drop_note(o, NotifyType::SIGNATURE_HASH_ALGORITHMS);
    let changes: [Change<'_>; 5] = [&fragmentation, &hashes, &reserved, &minor, &more];
    for change in changes {
        for (from, which) in [(A, 0), (B, 1)] {
            let mut world = both(|c| c.attempts = Some(1));
            world.judge(move |sent| {
                let it = sent.from == from && sent.header.is_some_and(|h| h.message_id == 0);
                if it { Fate::Lost } else { Fate::Arrives }
            });
            up(&mut world);
            world.until(1_000, "a message", |world| world.raw.len() == which + 1);
            let forged = change(&world.raw[which].2.clone());
            assert_ne!(forged, world.raw[which].2);
            let path = world.path(1 - from);
            world.inject(1 - from, path, &forged);
            world.run(200_000);
            let told = |end: usize| world.ends[end].engine.why_connection("site").is_some();
            assert!(told(A) || told(B), "{}", world.story());
            world.agrees(0, 0);
            assert!(!world.ends[A].events.iter().any(|(_, e)| matches!(e, Event::ChildUp { .. })));
        }
    }
}

/// The identity is covered octet for octet, what is reserved in it included (RFC 7296 §2.15).
#[test]
fn c4_a_proof_for_another_identity_nonce_or_message_is_none() {
    for (what, accepted) in [("as it is", true), ("reserved", false), ("identity", false)] {
        let (mut world, keys) = awaiting_auth();
        let mut player = Player::new(&keys, A, true);
        let (first, inner) = auth_of(&keys);
        let inner = changed_identity(first, &inner, what);
        let header = player.header(ExchangeType::IKE_AUTH, false, 1);
        let datagrams = player.seal(&header, first, &inner, 60_000);
        world.inject(B, to_b(), &datagrams[0]);
        world.run(100);
        assert_eq!(world.ike_sas(B), usize::from(accepted), "{what}: {}", world.story());
        let why = world.ends[B].engine.why_address(address(A)).map(|why| why.reason.clone());
        let refused = [Reason::AuthenticationFailed, Reason::IdentityRefused];
        assert!(accepted || why.is_some_and(|why| refused.contains(&why)));
    }
}

/// A world in which B awaits IKE_AUTH, A is silent, and everybody knows the keys.
fn awaiting_auth() -> (World, ike::engine::SessionKeys) {
    let mut twin = both(|_| ());
    up(&mut twin);
    let mut world = both(|_| ());
    world.judge(|sent| if sent.from == A && sent.number > 0 { Fate::Lost } else { Fate::Arrives });
    up(&mut world);
    world.run(40);
    world.ends[A].dead = true;
    (world, foreseen(twin))
}

/// The payloads of A's IKE_AUTH in a world like that.
fn auth_of(keys: &ike::engine::SessionKeys) -> (PayloadType, Vec<u8>) {
    let (world, _) = awaiting_auth();
    let auth = world.raw.iter().rev().find(|(from, ..)| *from == A).unwrap();
    Player::new(keys, B, false).open(&auth.2).unwrap()
}

fn changed_identity(first: PayloadType, inner: &[u8], what: &str) -> Vec<u8> {
    assert_eq!(first, PayloadType::ID_INITIATOR);
    let mut inner = inner.to_vec();
    match what {
        "reserved" => inner[6] ^= 1,
        "identity" => inner[8] ^= 1,
        _ => {}
    }
    inner
}

/// Sealed with the right keys, but by somebody who has not proved anything: every exchange, request or response.
#[test]
fn c5_nothing_sealed_before_authentication_makes_anything() {
    let deletes_ike = || {
        let mut contents = Contents::new();
        contents.push(Delete::Ike);
        contents
    };
    let failed = || {
        let mut contents = Contents::new();
        contents.push(Notify::from(Notification::plain(NotifyType::AUTHENTICATION_FAILED)));
        contents
    };
    for exchange in [34, 36, 37, 38, 39, 43, 44, 255].map(ExchangeType) {
        for id in [0, 1, 2] {
            for contents in [Contents::new(), deletes_ike(), failed()] {
                let (mut world, keys) = awaiting_auth();
                let mut player = Player::new(&keys, A, true);
                let datagram = player.request(exchange, id, contents);
                assert!(answers(&mut world, to_b(), &datagram).is_empty(), "{exchange} {id}");
                assert_eq!((world.ike_sas(B), world.children(B).len()), (0, 0));
                world.ends[A].dead = false;
                world.no_faults();
                world.run(60_000);
                world.agrees(1, 1);
            }
        }
    }
}

/// No proof at all, and every method with nothing in it.
#[test]
fn c3_an_empty_proof_of_any_method_is_refused() {
    for method in [None, Some(0), Some(1), Some(2), Some(9), Some(13), Some(14), Some(255)] {
        let (mut world, keys) = awaiting_auth();
        let mut player = Player::new(&keys, A, true);
        let (first, inner) = auth_of(&keys);
        let payloads = Payloads::parse_decrypted(first, &inner).unwrap();
        let mut contents = Contents::new();
        for payload in payloads.iter() {
            match payload {
                Payload::Authentication(_) => {
                    if let Some(method) = method {
                        let (method, data) = (AuthMethod(method), &[][..]);
                        contents.push(wire::ike::Authentication { method, data });
                    }
                }
                other => _ = contents.push(other),
            }
        }
        let datagram = player.request(ExchangeType::IKE_AUTH, 1, contents);
        world.inject(B, to_b(), &datagram);
        world.run(100);
        assert_eq!(world.ike_sas(B), 0, "{method:?}");
        assert!(world.ends[B].inbound.is_empty());
    }
}

// D: the state machine ----------------------------------------------------------------------------------------------

#[test]
fn d3_a_responder_that_restarts_in_the_middle_of_a_handshake_is_called_again() {
    for at in (0..60).step_by(3) {
        let mut world = World::with(1, auto(A), one(B, |_| ()));
        world.run(at);
        world.restart(B, 99, one(B, |_| ()));
        world.run(400_000);
        assert_eq!((world.ike_sas(A), world.ike_sas(B)), (1, 1), "{at}: {}", world.story());
    }
}

fn auto(end: usize) -> Settings {
    one(end, |c| {
        c.dpd = Some(Dpd { delay_ms: 10_000 });
        with_child(c, |child| {
            child.start = Start::Auto;
            child.on_dead = Then::Restart;
        });
    })
}

#[test]
fn d5_payloads_beside_a_delete_find_what_is_gone_gone() {
    let mut world = established(|_| ());
    let mut player = Player::established(&world, A);
    let spi = world.ends[B].outbound[0].spi;
    let mut contents = Contents::new();
    for _ in 0..3 {
        let spis = [spi, spi];
        contents.push(Delete::Child { protocol: ProtocolId::ESP, spis: (&spis).into() });
    }
    contents.push(Notify::rekey_sa(ProtocolId::ESP, spi));
    contents.push(Notify::from(Notification::plain(NotifyType::CHILD_SA_NOT_FOUND)));
    let datagram = player.request(INFORMATIONAL, 2, contents);
    world.inject(B, to_b(), &datagram);
    world.run(100);
    assert_eq!((world.ike_sas(B), world.children(B).len()), (1, 0));
    assert_eq!(world.downs(B).len(), 1);
    let mut contents = Contents::new();
    contents.push(Delete::Ike);
    contents.push(Delete::Ike);
    let datagram = player.request(INFORMATIONAL, 3, contents);
    world.inject(B, to_b(), &datagram);
    assert_eq!(world.ike_sas(B), 0);
}

#[test]
fn d6_a_rekey_that_names_another_protocol_replaces_nothing() {
    for protocol in [0, 1, 2, 255] {
        let mut world = established(|_| ());
        let mut player = Player::established(&world, A);
        let spi = world.ends[B].outbound[0].spi;
        let mut contents = Contents::new();
        let mut body = vec![protocol, 4];
        body.extend(NotifyType::REKEY_SA.0.to_be_bytes());
        body.extend(spi.to_be_bytes());
        contents.push_raw(PayloadType::NOTIFY, false, &body);
        contents.push_raw(PayloadType::NONCE, false, &[7; 32]);
        let datagram = player.request(CREATE, 2, contents);
        world.inject(B, to_b(), &datagram);
        world.run(1_000);
        assert!(world.ike_sas(B) == 0 || world.children(B).len() == 1, "{protocol}");
    }
}

#[test]
fn d7_selectors_of_any_shape_are_refused_or_narrowed() {
    let selector = |kind: u8, first: [u8; 4], last: [u8; 4], ports: [u16; 2]| {
        let [low, high] = ports.map(u16::to_be_bytes);
        [&[kind, 0, 0, 16], &low[..], &high, &first, &last].concat()
    };
    let good = selector(7, [10, 1, 0, 0], [10, 1, 255, 255], [0, u16::MAX]);
    let list = |count: u8, all: &[Vec<u8>]| [&[count, 0, 0, 0], &all.concat()[..]].concat();
    let bad = [
        list(0, &[]),
        list(1, &[]),
        list(255, std::slice::from_ref(&good)),
        list(1, &[selector(7, [10, 2, 0, 0], [10, 1, 0, 0], [0, 0])]),
        list(1, &[selector(8, [10, 1, 0, 0], [10, 1, 0, 0], [0, 0])]),
        list(1, &[selector(200, [10, 1, 0, 0], [10, 1, 0, 0], [0, 0])]),
        list(1, &[selector(7, [10, 1, 0, 0], [10, 1, 0, 0], [9, 8])]),
        list(255, &vec![good.clone(); 255]),
    ];
    for ts in bad {
        let mut world = established(|_| ());
        let mut player = Player::established(&world, A);
        let mut contents = Contents::new();
        contents.push_raw(PayloadType::NONCE, false, &[7; 32]);
        contents.push_raw(PayloadType(44), false, &ts);
        contents.push_raw(PayloadType(45), false, &ts);
        let datagram = player.request(CREATE, 2, contents);
        world.inject(B, to_b(), &datagram);
        world.run(1_000);
        assert!(world.ike_sas(B) == 0 || world.children(B).len() == 1);
        let out = world.ends[B].spis.0.lock().unwrap().out.len();
        assert_eq!(out, world.ends[B].inbound.len(), "SPIs that leaked");
    }
}

#[test]
fn d9_a_clock_that_jumps_ahead_replaces_what_is_due_and_nothing_leaks() {
    for hours in [1, 24, 24 * 365 * 30] {
        let with = |end| {
            one(end, |c| {
                c.lifetime = IkeLifetime { rekey: 3600, reauth: 0, over: 300, jitter: 0 };
                with_child(c, |child| {
                    child.start = Start::Auto;
                    child.lifetime = ChildLifetime {
                        rekey_seconds: 600,
                        hard_seconds: 660,
                        jitter: 0,
                        ..ChildLifetime::default()
                    };
                });
            })
        };
        let mut world = World::with(5, with(A), with(B));
        world.run(10_000);
        world.agrees(1, 1);
        world.now += hours * HOUR; // everybody slept
        world.run(300_000);
        let children = world.children(A).len();
        assert_eq!((world.ike_sas(A), children), (1, 1), "{}", world.story());
        world.agrees(1, 1);
    }
}

/// Another that proves the same identity and says that it has no other IKE SA: the old one is not worth keeping, unless
/// many may go by that name.
#[test]
fn d10_a_second_peer_of_one_identity_replaces_the_first_or_stands_beside_it() {
    for (unique, stays) in [(Unique::Replace, 1), (Unique::Keep, 1), (Unique::Never, 2)] {
        let mut world = World::with(1, one(A, |_| ()), one(B, |c| c.unique = unique));
        up(&mut world);
        world.run(2_000);
        let first = world.ends[B].engine.status()[0].remote_spi;
        world.restart(A, 2, one(A, |_| ()));
        up(&mut world);
        world.run(30_000);
        let spis: Vec<u64> =
            world.ends[B].engine.status().iter().map(|ike| ike.remote_spi).collect();
        assert_eq!(spis.len(), stays, "{unique:?}: {}", world.story());
        assert_eq!(spis.contains(&first), unique == Unique::Never, "{unique:?}");
    }
}

/// Without that word, `unique: keep` keeps what it has.
#[test]
fn d10_unique_keep_refuses_a_second_ike_sa() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |c| c.unique = Unique::Keep));
    up(&mut world);
    world.run(2_000);
    let first = world.ends[B].engine.status()[0].remote_spi;
    let what = Rekey::Reauthenticate;
    world.order(A, Order::Rekey { connection: "site".into(), what });
    world.run(10_000);
    world.agrees(1, 1);
    assert_eq!(world.ends[B].engine.status()[0].remote_spi, first);
    let why = world.ends[B].engine.why_connection("site").map(|why| why.reason.clone());
    assert_eq!(why, Some(Reason::NotUnique));
}

#[test]
fn d13_a_peer_that_gives_two_children_the_same_spi_harms_only_itself() {
    let mut world = established(|_| ());
    let mut player = Player::established(&world, A);
    let honest = world.ends[B].outbound[0].spi;
    for (id, spi) in [(2, honest), (3, 0x2000), (4, 0x2000)] {
        let mut contents = Contents::new();
        contents.push_raw(
            PayloadType::SA,
            false,
            &[
                &[0, 0, 0, 32, 1, 3, 4, 2][..],
                &u32::to_be_bytes(spi),
                &[3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0],
                &[0, 0, 0, 8, 5, 0, 0, 0],
            ]
            .concat(),
        );
        contents.push_raw(PayloadType::NONCE, false, &[7; 32]);
        for kind in [44, 45] {
            let net: [u8; 4] = if kind == 44 { [10, 1, 0, 0] } else { [10, 2, 0, 0] };
            let last = [net[0], net[1], 255, 255];
            let ts = [&[1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255][..], &net, &last].concat();
            contents.push_raw(PayloadType(kind), false, &ts);
        }
        let datagram = player.request(CREATE, id, contents);
        world.inject(B, to_b(), &datagram);
        world.run(100);
        let spis: Vec<u32> = world.ends[B].inbound.keys().copied().collect();
        let distinct: std::collections::BTreeSet<u32> = spis.iter().copied().collect();
        assert_eq!(spis.len(), distinct.len(), "ours are never the same");
    }
    world.order(B, Order::Configure(Arc::new(settings(Vec::new()))));
    world.run(200_000);
    assert!(world.ends[B].inbound.is_empty() && world.ends[B].outbound.is_empty());
    assert!(world.ends[B].spis.0.lock().unwrap().out.is_empty());
}

#[test]
fn d16_a_redirect_is_not_followed() {
    let redirect = NotifyType(16_407);
    let mut world = both(|_| ());
    up(&mut world);
    world.until(1_000, "a call", |world| !world.raw.is_empty());
    let header = world.log[0].2.unwrap();
    let flags = Flags { initiator: false, version: false, response: true };
    let mut writer =
        Writer::new(Header::new((header.initiator_spi, 77), header.exchange, flags, 0));
    let body = [&[0, 0][..], &redirect.0.to_be_bytes(), &[1, 4, 198, 51, 100, 66]].concat();
    writer.push_raw(PayloadType::NOTIFY, false, &body);
    let (path, forged) = (world.path(A), writer.finish().unwrap());
    for _ in 0..100 {
        world.inject(A, path, &forged);
    }
    world.run(20_000);
    world.agrees(1, 1);
    assert!(
        world.raw.iter().all(|(_, path, _)| path.remote.ip() != IpAddr::from([198, 51, 100, 66]))
    );
    // announced it is not either
    for (.., octets) in &world.raw {
        let message = Message::parse(octets).unwrap();
        assert!(!message.payloads().says(NotifyType(16_406)), "REDIRECT_SUPPORTED");
    }
}

/// A test of the sources: nothing else shows it on a machine that is shared. Whatever holds a key compares by `subtle`,
/// and keys have no other comparison.
#[test]
fn c14_what_is_secret_is_compared_in_constant_time() {
    let source = |path: &str| {
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
            .unwrap()
    };
    for path in
        ["src/key.rs", "src/auth.rs", "src/algorithm/integ.rs", "src/algorithm/group/curve.rs"]
    {
        assert!(source(path).contains(".ct_eq("), "{path}");
    }
    let key = source("src/key.rs");
    let derived = key.lines().filter(|line| line.contains("derive(")).collect::<String>();
    assert!(!derived.contains("PartialEq") && !derived.contains("Debug"), "{derived}");
    assert!(source("src/cookie.rs").contains("== Key::from(rest)"), "cookies are compared as keys");
}

/// CERTREQ is a hint (RFC 7296 §3.7): there is one chain to send, and it is sent.
#[test]
fn certreq_of_a_peer_that_names_nobody_we_know_changes_nothing() {
    for body in [vec![4], [&[4][..], &[7; 20 * 50]].concat(), vec![11], vec![0], vec![255; 300]] {
        let (mut world, keys) = awaiting_auth();
        let mut player = Player::new(&keys, A, true);
        let (first, inner) = auth_of(&keys);
        let payloads = Payloads::parse_decrypted(first, &inner).unwrap();
        let mut contents = Contents::new();
        payloads.iter().for_each(|payload| _ = contents.push(payload));
        contents.push_raw(PayloadType(38), false, &body);
        let datagram = player.request(ExchangeType::IKE_AUTH, 1, contents);
        world.inject(B, to_b(), &datagram);
        world.run(100);
        assert_eq!(world.ike_sas(B), 1, "{}", world.story());
    }
}
