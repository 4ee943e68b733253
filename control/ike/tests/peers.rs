//! What a peer can do that has proved who it is: everything that the RFC forbids, sealed with the right keys.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Endpoint, Order, Rekey};
use ike::algorithm::Group;
use ike::event::{Cause, Event};
use ike::protect;
use ike::settings::*;
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use wire::ike::{Contents, Delete, Flags, Header, Message, Notification, Notify, Payloads};
use world::configured::*;
use world::*;

fn up_with(change: impl Fn(&mut Connection) + Copy) -> World {
    let mut world = World::with(11, one(A, change), one(B, change));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    world.agrees(1, 1);
    world
}

fn up() -> World {
    up_with(|_| ())
}

/// Plays `from`, whose next request has this message ID: seals with the keys that the other end has, and reads the answer.
struct Player {
    from: usize,
    id: u32,
    sealer: protect::Sealer,
    opener: protect::Opener,
    spis: (u64, u64),
    initiator: bool,
}

impl Player {
    fn new(world: &World, from: usize) -> Self {
        let keys = world.ends[1 - from].engine.keys().remove(0);
        let initiator = world.ends[from].engine.status()[0].initiator;
        let (sealer, opener) = protect::pair(&keys.suite, &keys.keys, initiator);
        Self { from, id: if initiator { 2 } else { 0 }, sealer, opener, spis: keys.spis, initiator }
    }

    fn seal(&mut self, exchange: ExchangeType, contents: Contents) -> Vec<u8> {
        let flags = Flags { initiator: self.initiator, version: false, response: false };
        let header = Header::new(self.spis, exchange, flags, self.id);
        let first = contents.first();
        // counter-mode IVs of these keys may repeat here: nobody listens
        self.sealer.seal(&mut Seeded::new(5), &header, first, &contents.finish().unwrap()).unwrap()
    }

    fn path(&self, world: &World) -> Endpoint {
        world.path(1 - self.from)
    }

    /// The notifies and the number of deleted SPIs in the answer; `None`: there was none.
    fn ask(
        &mut self,
        world: &mut World,
        exchange: ExchangeType,
        contents: Contents,
    ) -> Option<(Vec<NotifyType>, usize)> {
        let datagram = self.seal(exchange, contents);
        let path = self.path(world);
        let before = world.raw.len();
        world.inject(1 - self.from, path, &datagram);
        world.run(9);
        self.id = self.id.wrapping_add(1);
        let (_, _, answer) = world.raw[before..].iter().find(|(from, ..)| *from != self.from)?;
        let message = Message::parse(answer).unwrap();
        let opened = self.opener.open(&message.sealed().unwrap()).unwrap();
        let payloads = Payloads::parse_decrypted(opened.first, opened.payloads.expose()).unwrap();
        let deleted = payloads.deletes().map(|delete| match delete {
            Delete::Ike => 0,
            Delete::Child { spis, .. } => spis.iter().count(),
        });
        Some((payloads.notifies().map(|notify| notify.kind()).collect(), deleted.sum()))
    }
}

fn deleting(spis: &[u32]) -> Contents {
    let mut contents = Contents::new();
    contents.push(Delete::Child { protocol: ProtocolId::ESP, spis: spis.into() });
    contents
}

/// A CREATE_CHILD_SA request as we would make it, with what a test puts in front.
fn creating(front: impl Fn(&mut Contents), spi: u32, selectors: &str, remote: &str) -> Contents {
    use wire::ike::*;
    let mut contents = Contents::new();
    front(&mut contents);
    let transforms = [
        Transform::encryption(wire::iana::EncryptionId::ENCR_AES_GCM_16, Some(256)),
        Transform::sequence_numbers(wire::iana::ike::EsnId::NO_ESN),
    ];
    let proposal = [Proposal {
        number: 1,
        protocol: ProtocolId::ESP,
        spi: Spi::Child(spi),
        transforms: (&transforms).into(),
    }];
    contents.push(SecurityAssociation { proposals: (&proposal).into() });
    contents.push(Nonce(&[7; 32]));
    let ts = |net: &str| {
        let range: wire::selector::AddressRange =
            net.parse::<wire::prefix::Prefix>().unwrap().into();
        [TrafficSelector::from(range)]
    };
    let (from, to) = (ts(selectors), ts(remote));
    contents.push(Payload::TsInitiator(TrafficSelectors { selectors: (&from).into() }));
    contents.push(Payload::TsResponder(TrafficSelectors { selectors: (&to).into() }));
    contents
}

const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;
const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;

#[test]
fn deletes_of_what_is_not_there_are_answered_with_nothing() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    for spis in
        [vec![1], vec![0], vec![u32::MAX; 1000], world.ends[B].inbound.keys().copied().collect()]
    {
        assert_eq!(player.ask(&mut world, INFORMATIONAL, deleting(&spis)), Some((Vec::new(), 0)));
        assert_eq!(world.children(B).len(), 1);
    }
    let spi = world.ends[B].outbound[0].spi;
    assert_eq!(
        player.ask(&mut world, INFORMATIONAL, deleting(&[spi, spi, spi])),
        Some((Vec::new(), 1))
    );
    assert_eq!(world.downs(B), [Cause::Peer]);
    assert_eq!(player.ask(&mut world, INFORMATIONAL, deleting(&[spi])), Some((Vec::new(), 0)));
}

#[test]
fn a_delete_for_another_protocol_deletes_nothing() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let spi = world.ends[B].outbound[0].spi;
    for protocol in [0, 2, 4, 255] {
        let mut contents = Contents::new();
        let spis = [spi];
        contents.push(Delete::Child { protocol: ProtocolId(protocol), spis: (&spis).into() });
        assert_eq!(
            player.ask(&mut world, INFORMATIONAL, contents),
            Some((Vec::new(), 0)),
            "{protocol}"
        );
    }
    assert_eq!(world.children(B).len(), 1);
}

#[test]
fn responder_lost_sa() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    for spi in [0, 1, 0x1234_5678] {
        let rekey =
            |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, spi));
        let answer =
            player.ask(&mut world, CREATE, creating(rekey, 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
        assert_eq!(answer, Some((vec![NotifyType::CHILD_SA_NOT_FOUND], 0)));
    }
    assert_eq!(world.children(B).len(), 1);
}

#[test]
fn reserved_spis_of_a_peer_are_refused() {
    for spi in [0, 1, 255] {
        let mut world = up();
        let mut player = Player::new(&world, A);
        let answer =
            player.ask(&mut world, CREATE, creating(|_| (), spi, "10.1.0.0/16", "10.2.0.0/16"));
        assert_eq!(answer, Some((vec![NotifyType::INVALID_SYNTAX], 0)));
        assert_eq!(world.children(B).len(), 1);
    }
}

#[test]
fn a_rekey_with_wider_selectors_is_narrowed_to_policy() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let old = world.ends[B].outbound[0].spi;
    let rekey = |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, old));
    let answer = player.ask(&mut world, CREATE, creating(rekey, 0x2000, "0.0.0.0/0", "0.0.0.0/0"));
    assert_eq!(answer, Some((Vec::new(), 0)));
    let status = world.ends[B].engine.status();
    let new = status[0].children.iter().find(|child| child.outbound == 0x2000).unwrap();
    assert_eq!(new.covered.to_string(), "10.2.0.0/16 ↔ 10.1.0.0/16");
    let answer =
        player.ask(&mut world, CREATE, creating(|_| (), 0x2001, "10.9.0.0/16", "10.2.0.0/16"));
    assert_eq!(answer, Some((vec![NotifyType::TS_UNACCEPTABLE], 0)));
}

#[test]
fn children_have_a_limit_and_so_has_their_making() {
    let limits = Limits { children: 4, creations_per_minute: 10, ..Limits::default() };
    let mut world = World::with(11, one(A, |_| ()), Settings { limits, ..one(B, |_| ()) });
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    let mut player = Player::new(&world, A);
    let mut errors = Vec::new();
    for number in 0..12 {
        let contents = creating(|_| (), 0x2000 + number, "10.1.0.0/16", "10.2.0.0/16");
        errors.extend(player.ask(&mut world, CREATE, contents).unwrap().0);
    }
    assert_eq!(world.children(B).len(), 4);
    let count = |kind| errors.iter().filter(|error| **error == kind).count();
    assert_eq!(
        (count(NotifyType::NO_ADDITIONAL_SAS), count(NotifyType::TEMPORARY_FAILURE)),
        (7, 2)
    );
}

#[test]
fn ike_auth_again_changes_nothing() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let answer = player.ask(&mut world, ExchangeType::IKE_AUTH, Contents::new());
    assert_eq!(answer, Some((vec![NotifyType::INVALID_SYNTAX], 0)));
    assert_eq!((world.ike_sas(B), world.children(B).len()), (1, 1));
}

#[test]
fn a_critical_payload_is_refused_and_the_ike_sa_stays() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    for kind in [1, 32, 49, 255] {
        for critical in [true, false] {
            let mut contents = Contents::new();
            contents.push_raw(PayloadType(kind), critical, &[1, 2, 3, 4]);
            let want =
                if critical { vec![NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD] } else { Vec::new() };
            assert_eq!(player.ask(&mut world, INFORMATIONAL, contents), Some((want, 0)), "{kind}");
        }
    }
    assert_eq!(world.ike_sas(B), 1);
}

#[test]
fn message_ids_outside_the_window_are_not_heard() {
    let mut world = up();
    for ahead in [1, 2, 100, u32::MAX - 2] {
        let mut player = Player::new(&world, A);
        player.id = player.id.wrapping_add(ahead);
        assert_eq!(player.ask(&mut world, INFORMATIONAL, Contents::new()), None, "{ahead}");
    }
    let mut player = Player::new(&world, A);
    assert!(player.ask(&mut world, INFORMATIONAL, Contents::new()).is_some());
}

#[test]
fn a_repeated_request_is_done_once_and_answered_each_time() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let datagram = player.seal(CREATE, creating(|_| (), 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
    let path = player.path(&world);
    for _ in 0..5 {
        world.inject(B, path, &datagram);
        world.run(5);
    }
    assert_eq!(world.children(B).len(), 2);
    let answers: Vec<_> = world.raw.iter().filter(|(from, ..)| *from == B).rev().take(5).collect();
    assert!(answers.windows(2).all(|pair| pair[0].2 == pair[1].2));
}

/// Any octets at all, sealed with the right keys, in every exchange: no panic, and memory returns to where it was.
#[test]
fn sealed_nonsense_is_survived() {
    let mut random = Seeded::new(77);
    for round in 0..400_u32 {
        let mut world = up();
        let mut player = Player::new(&world, if round % 2 == 0 { A } else { B });
        for _ in 0..3 {
            let mut shape = [0_u8; 8];
            ike::Random::fill(&mut random, &mut shape);
            let mut contents = Contents::new();
            for _ in 0..shape[0] % 6 {
                let mut body = vec![0; usize::from(shape[1] % 60)];
                ike::Random::fill(&mut random, &mut body);
                let mut kind = [0];
                ike::Random::fill(&mut random, &mut kind);
                contents.push_raw(PayloadType(33 + kind[0] % 22), kind[0] > 200, &body);
            }
            let exchange = ExchangeType(34 + shape[2] % 5);
            let datagram = player.seal(exchange, contents);
            let (to, path) = (1 - player.from, player.path(&world));
            world.inject(to, path, &datagram);
            world.run(9);
            player.id += 1;
        }
        for end in [A, B] {
            world.order(end, Order::Configure(Arc::new(settings(Vec::new()))));
        }
        world.run(200_000);
        for end in [A, B] {
            assert!(
                world.ends[end].spis.0.lock().unwrap().out.is_empty(),
                "{round}: {}",
                world.story()
            );
            assert!(world.ends[end].engine.status().is_empty());
            assert!(world.ends[end].inbound.is_empty() && world.ends[end].outbound.is_empty());
        }
    }
}

// Rekey stories with a peer that does not do its part ---------------------------------------------------------------

/// The peer deletes the new child instead of the old one.
#[test]
fn responder_incorrect_delete() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let old = world.ends[B].outbound[0].spi;
    let rekey = |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, old));
    player.ask(&mut world, CREATE, creating(rekey, 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
    player.ask(&mut world, INFORMATIONAL, deleting(&[0x2000]));
    world.run(10_000);
    assert_eq!(world.children(B).len(), 1);
    assert_eq!(world.ends[B].outbound.last().unwrap().spi, old, "the old one goes on");
}

/// The peer rekeys and never deletes the old child: after a while the new one sends all the same.
#[test]
fn delete_timeout() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let old = world.ends[B].outbound[0].spi;
    let rekey = |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, old));
    player.ask(&mut world, CREATE, creating(rekey, 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
    assert_eq!(world.ends[B].outbound.last().unwrap().spi, old);
    world.run(10_000);
    assert_eq!(world.ends[B].outbound.last().unwrap().spi, 0x2000);
}

/// A soft lifetime of a child that the peer has replaced already asks for nothing.
#[test]
fn responder_ignore_soft_expire() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let half = world.ends[B].outbound[0].clone();
    let rekey =
        |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, half.spi));
    player.ask(&mut world, CREATE, creating(rekey, 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
    let before = world.log.len();
    let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
    world.order(B, Order::Expire { direction, spi, lineage, hard: false });
    world.run(100);
    assert_eq!(world.log.len(), before);
}

/// A hard one deletes it, and the new one sends.
#[test]
fn responder_handle_hard_expire() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let half = world.ends[B].outbound[0].clone();
    let rekey =
        |contents: &mut Contents| _ = contents.push(Notify::rekey_sa(ProtocolId::ESP, half.spi));
    player.ask(&mut world, CREATE, creating(rekey, 0x2000, "10.1.0.0/16", "10.2.0.0/16"));
    let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
    world.order(B, Order::Expire { direction, spi, lineage, hard: true });
    world.run(2_000);
    let sending: Vec<u32> = world.ends[B].outbound.iter().map(|half| half.spi).collect();
    assert_eq!(sending, [0x2000]);
}

/// The responder deletes the old child right after the rekey, before the initiator does.
#[test]
fn responder_delete() {
    let mut world = up_with(|c| {
        with_child(c, |child| child.proposals = vec![esp_proposal(&[Group::Curve25519])])
    });
    world.start_traffic();
    world.order(A, Order::Rekey { connection: "site".into(), what: Rekey::Child(None) });
    let half = world.ends[B].outbound[0].clone();
    world.until(1_000, "the rekey", |world| {
        world.children(B).len() == 1 && world.ends[B].inbound.len() == 2
    });
    let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
    world.order(B, Order::Expire { direction, spi, lineage, hard: true });
    world.run(20_000);
    world.traffic = false;
    world.run(1_000);
    world.agrees(1, 1);
    world.no_packet_was_lost();
}

/// A peer that lost only the Child SA: a new one is made from scratch.
#[test]
fn a_child_that_the_peer_lost_is_made_anew() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let spi = world.ends[B].outbound[0].spi;
    player.ask(&mut world, INFORMATIONAL, deleting(&[spi])); // A knows nothing of it
    let mut fresh = up();
    // A's own numbers would collide with the player's request, so B asks.
    std::mem::swap(&mut fresh.ends[A], &mut world.ends[A]);
    world.order(B, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    assert_eq!(world.children(B).len(), 1);
}

#[test]
fn an_informational_that_says_authentication_failed_ends_it() {
    let mut world = up();
    let mut player = Player::new(&world, A);
    let mut contents = Contents::new();
    contents.push(Notify::from(Notification::plain(NotifyType::AUTHENTICATION_FAILED)));
    assert!(player.ask(&mut world, INFORMATIONAL, contents).is_some());
    assert_eq!(world.ike_sas(B), 0);
    let down =
        |(_, event): &(u64, Event)| matches!(event, Event::IkeDown { cause: Cause::Failed, .. });
    assert!(world.ends[B].events.iter().any(down));
}

#[test]
fn the_peers_nonce_and_spi_of_an_ike_rekey_are_checked() {
    for (spi, nonce) in [(0_u64, 32), (5, 15), (5, 257)] {
        let mut world = up();
        let mut player = Player::new(&world, A);
        use wire::ike::*;
        let transforms = [
            Transform::encryption(wire::iana::EncryptionId::ENCR_AES_GCM_16, Some(256)),
            Transform::prf(wire::iana::ike::PrfId(6)),
            Transform::key_exchange(wire::iana::ike::KeyExchangeMethod::CURVE25519),
        ];
        let proposal = [Proposal {
            number: 1,
            protocol: ProtocolId::IKE,
            spi: Spi::Ike(spi),
            transforms: (&transforms).into(),
        }];
        let mut contents = Contents::new();
        contents.push(SecurityAssociation { proposals: (&proposal).into() });
        contents.push_raw(PayloadType::NONCE, false, &vec![3; nonce]);
        contents.push(KeyExchange {
            method: wire::iana::ike::KeyExchangeMethod::CURVE25519,
            public: &[9; 32],
        });
        let answer = player.ask(&mut world, CREATE, contents);
        assert_eq!(answer, Some((vec![NotifyType::INVALID_SYNTAX], 0)), "{spi} {nonce}");
    }
}
