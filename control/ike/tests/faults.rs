//! The k-th message of every exchange is lost, doubled, late or corrupt (RFC 7296 §2.1); and the data plane refuses at each
//! of the steps of an installation.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Order, Rekey};
use ike::algorithm::Group;
use ike::event::Cause;
use ike::settings::{Connection, Then};
use ike::why::Reason;
use wire::iana::ike::ExchangeType;
use world::configured::*;
use world::*;

const FATES: [Fate; 7] = [
    Fate::Lost,
    Fate::Doubled,
    Fate::Late(5),
    Fate::Late(600),
    Fate::Late(3_000),
    Fate::Corrupt(40),
    Fate::Corrupt(3),
];

fn world() -> World {
    let with = |end| {
        one(end, |c| {
            with_child(c, |child| child.proposals = vec![esp_proposal(&[Group::Curve25519])])
        })
    };
    World::with(3, with(A), with(B))
}

fn up(world: &mut World) {
    world.order(A, Order::Up { connection: "site".into(), child: None });
}

fn kth(world: &mut World, from: usize, k: usize, fate: Fate) {
    let mut count = 0;
    world.judge(move |sent| {
        if sent.from != from {
            return Fate::Arrives;
        }
        count += 1;
        if count == k + 1 { fate } else { Fate::Arrives }
    });
}

#[test]
fn a_handshake_survives_the_fate_of_any_message() {
    for fate in FATES {
        for from in [A, B] {
            for k in 0..3 {
                let mut world = world();
                kth(&mut world, from, k, fate);
                up(&mut world);
                world.run(40_000);
                world.agrees(1, 1);
            }
        }
    }
}

#[test]
fn any_rekey_and_delete_survives_the_fate_of_any_message() {
    for what in [Rekey::Child(None), Rekey::Ike] {
        for fate in FATES {
            for from in [A, B] {
                for k in 0..4 {
                    let mut world = world();
                    up(&mut world);
                    world.run(2_000);
                    world.start_traffic();
                    world.run(50);
                    kth(&mut world, from, k, fate);
                    world.order(A, Order::Rekey { connection: "site".into(), what: what.clone() });
                    world.run(60_000);
                    world.traffic = false;
                    world.run(100);
                    world.agrees(1, 1);
                    world.no_packet_was_lost();
                    world.order(B, Order::Down { connection: "site".into(), child: None });
                    world.run(60_000);
                    world.agrees(0, 0);
                }
            }
        }
    }
}

#[test]
fn half_of_all_messages_are_lost_and_everything_comes_up_all_the_same() {
    for seed in 0..20 {
        let mut world = world();
        let mut random = Seeded::new(seed);
        world.judge(move |_| {
            let mut octet = [0];
            ike::Random::fill(&mut random, &mut octet);
            if octet[0] < 100 { Fate::Lost } else { Fate::Arrives }
        });
        up(&mut world);
        world.run(300_000);
        world.no_faults();
        world.run(300_000);
        assert_eq!((world.ike_sas(A), world.ike_sas(B)), (1, 1), "seed {seed}: {}", world.story());
        world.agrees(1, 1);
    }
}

/// Initiator and responder, inbound and outbound (the data plane's steps), of the first child and of a rekey.
#[test]
fn a_refused_installation_leaves_nothing_behind() {
    for end in [A, B] {
        for step in [0, 1] {
            let mut world = world();
            world.ends[end].refuse_after = Some(step);
            up(&mut world);
            world.until(5_000, "a refusal", |world| world.ends[end].refuse_after.is_none());
            world.run(400);
            world.agrees(1, 0);
            world.run(60_000); // A wants it, and tries again
            world.agrees(1, 1);
        }
    }
}

#[test]
fn a_rekey_that_the_data_plane_refuses_leaves_the_old_child_as_it_was() {
    for end in [A, B] {
        for step in [0, 1] {
            for asks in [A, B] {
                let mut world = world();
                up(&mut world);
                world.run(2_000);
                world.start_traffic();
                world.run(50);
                let before = world.children(A);
                world.ends[end].refuse_after = Some(step);
                world.order(
                    asks,
                    Order::Rekey { connection: "site".into(), what: Rekey::Child(None) },
                );
                world.run(300);
                // The responder's outbound half is installed after the initiator's all are: there is no way back then, and
                // a new child is made.
                let late = end != asks && step == 1;
                if !late {
                    assert_eq!(world.children(A), before, "{end} {step} {asks} {}", world.story());
                }
                world.run(60_000);
                world.traffic = false;
                world.run(10_000);
                if !late {
                    world.agrees(1, 1);
                    world.no_packet_was_lost();
                }
            }
        }
    }
}

/// The responder's outbound half is installed after its answer is sent: when the old child is deleted, or after a while. If it
/// is refused then, the child goes at both ends, and whoever wants it makes another.
#[test]
fn an_outbound_half_that_is_refused_after_the_answer_takes_the_child_along() {
    for end in [A, B] {
        let mut world = world();
        up(&mut world);
        world.run(2_000);
        world.ends[end].refuse_after = Some(1);
        let what = Rekey::Child(None);
        world.order(1 - end, Order::Rekey { connection: "site".into(), what });
        world.until(5_000, "a refusal", |world| world.ends[end].refuse_after.is_none());
        world.run(100);
        assert_eq!((world.children(A).len(), world.children(B).len()), (0, 0));
        assert!(world.downs(1 - end).contains(&Cause::Peer), "the peer was told");
        assert!(world.downs(end).contains(&Cause::Failed));
        let why = world.ends[end].engine.why_connection("site").unwrap();
        assert_eq!((&why.reason, why.check.as_deref()), (&Reason::DataPlane, Some("no room")));
        world.run(60_000);
        // Only A was told to connect; to B it is a peer's child that the peer may make again.
        world.agrees(1, usize::from(end == A));
    }
}

/// The peer does not delete the old child: the new one is to send all the same, and is refused. The old one goes on.
#[test]
fn an_outbound_half_that_is_refused_after_a_while_leaves_the_old_child() {
    let mut world = world();
    up(&mut world);
    world.run(2_000);
    let before = world.children(B);
    world.ends[B].refuse_after = Some(1);
    let what = Rekey::Child(None);
    world.order(A, Order::Rekey { connection: "site".into(), what });
    // A's Delete of the old child does not get through for so long.
    let until = world.now + 5_600;
    world.judge(move |sent| {
        let delete = sent.from == A && sent.is(ExchangeType::INFORMATIONAL, false);
        if delete && sent.at < until { Fate::Lost } else { Fate::Arrives }
    });
    world.until(6_000, "a refusal", |world| world.ends[B].refuse_after.is_none());
    assert_eq!(world.children(B).first(), before.first(), "{}", world.story());
    world.run(100_000);
    // A deleted the old one as well, and wants one.
    world.agrees(1, 1);
}

/// The same where the old child is another IKE SA's: reauthentication.
#[test]
fn an_outbound_half_that_is_refused_while_reauthenticating_leaves_no_halves() {
    for end in [A, B] {
        for step in [0, 1] {
            let restart = |c: &mut Connection| {
                with_child(c, |child| child.on_close = Then::Restart);
            };
            let mut world = World::with(3, one(A, restart), one(B, |_| ()));
            up(&mut world);
            world.run(2_000);
            world.ends[end].refuse_after = Some(step);
            let what = Rekey::Reauthenticate;
            world.order(A, Order::Rekey { connection: "site".into(), what });
            world.until(20_000, "a refusal", |world| world.ends[end].refuse_after.is_none());
            world.run(200_000);
            world.agrees(1, 1);
        }
    }
}

#[test]
fn no_spi_left_is_a_failed_child_and_not_a_failed_ike_sa() {
    for end in [A, B] {
        let mut world = world();
        world.ends[end].spis.0.lock().unwrap().full = true;
        up(&mut world);
        world.run(900);
        world.agrees(1, 0);
        world.ends[end].spis.0.lock().unwrap().full = false;
        world.run(60_000);
        world.agrees(1, 1);
    }
}

#[test]
fn a_full_pool_is_got_over() {
    for end in [A, B] {
        let mut world = world();
        world.ends[end].pool_full = true;
        up(&mut world);
        world.run(1_000);
        world.ends[end].pool_full = false;
        world.run(120_000);
        world.agrees(1, 1);
    }
}

/// Every octet of every message, one at a time: what is not authenticated changes nothing.
#[test]
fn no_corrupt_octet_ends_a_handshake() {
    for from in [A, B] {
        for k in 0..2 {
            for octet in (0..280).step_by(7) {
                let mut world = world();
                kth(&mut world, from, k, Fate::Corrupt(octet));
                up(&mut world);
                world.run(60_000);
                world.agrees(1, 1);
            }
        }
    }
}
