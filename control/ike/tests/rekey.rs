//! Rekeying of Child SAs and of the IKE SA, by one end and by both at once (RFC 7296 §2.8, §2.25).
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
use std::cell::Cell;
use std::rc::Rc;
use wire::iana::ike::ExchangeType;
use world::configured::*;
use world::*;

/// Whose nonce is the lowest of four: the two that A's exchange has (its own, B's answer), and the two of B's.
const LOWEST: [([u8; 2], [u8; 2]); 4] = [
    // (first octets of A's nonces: as initiator, as responder), the same of B
    ([0x00, 0x80], [0x90, 0xa0]),
    ([0x80, 0x00], [0x90, 0xa0]),
    ([0x80, 0x90], [0x00, 0xa0]),
    ([0x80, 0x90], [0xa0, 0x00]),
];

fn established(pfs: bool) -> World {
    established_with(if pfs { &[Group::Curve25519] } else { &[] }, &[])
}

fn established_with(a: &'static [Group], b: &'static [Group]) -> World {
    let b = if b.is_empty() { a } else { b };
    let with = |end, groups: &'static [Group]| {
        one(end, |c| with_child(c, |child| child.proposals = vec![esp_proposal(groups)]))
    };
    let mut world = World::with(7, with(A, a), with(B, b));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    world.agrees(1, 1);
    world.start_traffic();
    world.run(100);
    world
}

fn rekey_child(world: &mut World, end: usize) {
    world.order(end, Order::Rekey { connection: "site".into(), what: Rekey::Child(None) });
}
fn rekey_ike(world: &mut World, end: usize) {
    world.order(end, Order::Rekey { connection: "site".into(), what: Rekey::Ike });
}

#[track_caller]
fn settled(world: &mut World) {
    world.run(20_000);
    world.traffic = false;
    world.run(1_000);
    world.agrees(1, 1);
    world.no_packet_was_lost();
}

#[test]
fn regular() {
    for pfs in [false, true] {
        for end in [A, B] {
            let mut world = established(pfs);
            let before = world.children(end);
            rekey_child(&mut world, end);
            settled(&mut world);
            assert_ne!(world.children(end), before);
            assert_eq!(world.downs(A), [Cause::Replaced]);
            assert_eq!(world.downs(B), [Cause::Replaced]);
        }
    }
}

#[test]
fn a_rekeyed_child_keeps_its_lineage() {
    let mut world = established(false);
    let lineage = world.ends[A].outbound[0].lineage;
    for _ in 0..3 {
        rekey_child(&mut world, B);
        world.run(20_000);
    }
    assert_eq!(world.ends[A].outbound[0].lineage, lineage);
    world.traffic = false;
    settled_without_probe(&mut world);
}

fn settled_without_probe(world: &mut World) {
    world.run(20_000);
    world.agrees(1, 1);
}

/// The responder wants a group that is not the initiator's first.
#[test]
fn ke_invalid() {
    let mut world = established_with(&[Group::Curve25519, Group::Ecp256], &[Group::Ecp256]);
    rekey_child(&mut world, A);
    settled(&mut world);
    assert_eq!(world.ends[A].outbound[0].suite.pfs, Some(Group::Ecp256));
}

#[test]
fn regular_ike() {
    for end in [A, B] {
        let mut world = established(false);
        let before = world.ends[A].engine.status()[0].local_spi;
        rekey_ike(&mut world, end);
        settled(&mut world);
        assert_ne!(world.ends[A].engine.status()[0].local_spi, before);
        rekey_child(&mut world, 1 - end);
        world.traffic = false;
        settled_without_probe(&mut world);
    }
}

#[test]
fn collision() {
    for pfs in [false, true] {
        for (a, b) in LOWEST {
            let mut world = established(pfs);
            world.nonces(A, &a);
            world.nonces(B, &b);
            rekey_child(&mut world, A);
            rekey_child(&mut world, B);
            settled(&mut world);
        }
    }
}

#[test]
fn collision_ike() {
    for (a, b) in LOWEST {
        let mut world = established(false);
        world.nonces(A, &a);
        world.nonces(B, &b);
        rekey_ike(&mut world, A);
        rekey_ike(&mut world, B);
        settled(&mut world);
        rekey_child(&mut world, A);
        world.traffic = false;
        settled_without_probe(&mut world);
    }
}

/// The `k`-th CREATE_CHILD_SA message after this moment has its own fate.
fn judge_nth(world: &mut World, from: usize, response: bool, fate: Fate) {
    let left = Rc::new(Cell::new(true));
    world.judge(move |sent| {
        let it =
            sent.from == from && sent.is(ExchangeType::CREATE_CHILD_SA, response) && left.get();
        if it {
            left.set(false);
            fate
        } else {
            Fate::Arrives
        }
    });
}

#[test]
fn collision_delayed_response() {
    for (a, b) in LOWEST {
        for from in [A, B] {
            for late in [15, 40, 200] {
                let mut world = established(false);
                world.nonces(A, &a);
                world.nonces(B, &b);
                judge_nth(&mut world, from, true, Fate::Late(late));
                rekey_child(&mut world, A);
                rekey_child(&mut world, B);
                settled(&mut world);
            }
        }
    }
}

#[test]
fn collision_delayed_request() {
    for (a, b) in LOWEST {
        for from in [A, B] {
            for late in [12, 25, 50, 400] {
                let mut world = established(false);
                world.nonces(A, &a);
                world.nonces(B, &b);
                judge_nth(&mut world, from, false, Fate::Late(late));
                rekey_child(&mut world, A);
                rekey_child(&mut world, B);
                settled(&mut world);
            }
        }
    }
}

#[test]
fn collision_dropped_request() {
    for (a, b) in LOWEST {
        for from in [A, B] {
            let mut world = established(false);
            world.nonces(A, &a);
            world.nonces(B, &b);
            judge_nth(&mut world, from, false, Fate::Lost);
            rekey_child(&mut world, A);
            rekey_child(&mut world, B);
            settled(&mut world);
        }
    }
}

#[test]
fn collision_ke_invalid() {
    for (a, b) in LOWEST {
        for late in [0, 30, 300] {
            // each sends the other's second choice
            let mut world = established_with(&[Group::Curve25519, Group::Ecp256], &[Group::Ecp256]);
            world.nonces(A, &a);
            world.nonces(B, &b);
            judge_nth(&mut world, A, false, Fate::Late(late));
            rekey_child(&mut world, A);
            rekey_child(&mut world, B);
            settled(&mut world);
        }
    }
}

/// One rekeys while the other deletes: the child ends, on both sides.
#[test]
fn collision_delete() {
    for (rekeys, deletes) in [(A, B), (B, A)] {
        for fate in [Fate::Arrives, Fate::Lost, Fate::Late(30)] {
            let mut world = established(false);
            judge_nth(&mut world, rekeys, false, fate);
            rekey_child(&mut world, rekeys);
            world.order(
                deletes,
                Order::Down { connection: "site".into(), child: Some("net".into()) },
            );
            world.run(30_000);
            world.agrees(1, 0);
        }
    }
}

/// Rekey of the child on one side and of the IKE SA on the other (RFC 7296 §2.25.1).
#[test]
fn collision_ike_rekey() {
    for (child, ike) in [(A, B), (B, A)] {
        for late in [0, 12, 50] {
            let mut world = established(false);
            judge_nth(&mut world, child, false, Fate::Late(late));
            rekey_child(&mut world, child);
            rekey_ike(&mut world, ike);
            settled(&mut world);
        }
    }
}

/// The child is rekeyed while the IKE SA is deleted: nothing is left.
#[test]
fn collision_ike_delete() {
    for (child, ike) in [(A, B), (B, A)] {
        let mut world = established(false);
        rekey_child(&mut world, child);
        world.order(ike, Order::Down { connection: "site".into(), child: None });
        world.run(30_000);
        world.agrees(0, 0);
    }
}

#[test]
fn both_delete_the_same_child() {
    let mut world = established(false);
    for end in [A, B] {
        world.order(end, Order::Down { connection: "site".into(), child: Some("net".into()) });
    }
    world.run(30_000);
    world.agrees(1, 0);
}

#[test]
fn both_delete_the_ike_sa() {
    let mut world = established(false);
    for end in [A, B] {
        world.order(end, Order::Down { connection: "site".into(), child: None });
    }
    world.run(30_000);
    world.agrees(0, 0);
}

#[test]
fn collision_ike_delayed_or_dropped() {
    for (a, b) in LOWEST {
        for from in [A, B] {
            for response in [false, true] {
                for fate in
                    [Fate::Late(12), Fate::Late(30), Fate::Late(300), Fate::Lost, Fate::Doubled]
                {
                    let mut world = established(false);
                    world.nonces(A, &a);
                    world.nonces(B, &b);
                    judge_nth(&mut world, from, response, fate);
                    rekey_ike(&mut world, A);
                    rekey_ike(&mut world, B);
                    settled(&mut world);
                }
            }
        }
    }
}

/// Rekey and delete of the IKE SA cross.
#[test]
fn ike_rekey_and_ike_delete() {
    for (rekeys, deletes) in [(A, B), (B, A)] {
        for late in [0, 12, 40] {
            let mut world = established(false);
            judge_nth(&mut world, rekeys, false, Fate::Late(late));
            rekey_ike(&mut world, rekeys);
            world.order(deletes, Order::Down { connection: "site".into(), child: None });
            world.run(60_000);
            world.traffic = false;
            assert_eq!(world.ike_sas(A), world.ike_sas(B), "{}", world.story());
            assert_eq!(world.children(A).len(), world.children(B).len(), "{}", world.story());
        }
    }
}

#[test]
fn a_hard_expire_brings_a_new_child() {
    for end in [A, B] {
        let mut world = established(false);
        let half = world.ends[end].outbound[0].clone();
        let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
        world.traffic = false;
        world.order(end, Order::Expire { direction, spi, lineage, hard: true });
        world.run(30_000);
        // A asked for it, so A makes it anew; B only answers.
        let expected = usize::from(end == A);
        world.agrees(1, expected);
    }
}

#[test]
fn a_soft_expire_is_a_rekey_and_a_second_one_nothing() {
    for end in [A, B] {
        let mut world = established(true);
        let half = world.ends[end].outbound[0].clone();
        let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
        for _ in 0..3 {
            world.order(end, Order::Expire { direction, spi, lineage, hard: false });
        }
        settled(&mut world);
        assert_eq!(world.downs(A), [Cause::Replaced]);
    }
}

/// As [`collision_delete`], with the delete or its answer lost or late.
#[test]
fn collision_delete_drop_or_delay() {
    for (rekeys, deletes) in [(A, B), (B, A)] {
        for response in [false, true] {
            for fate in [Fate::Lost, Fate::Late(15), Fate::Late(30), Fate::Late(700)] {
                let mut world = established(false);
                let mut left = true;
                world.judge(move |sent| {
                    let from = if response { rekeys } else { deletes };
                    let it = sent.from == from && sent.is(ExchangeType::INFORMATIONAL, response);
                    if it && std::mem::take(&mut left) { fate } else { Fate::Arrives }
                });
                rekey_child(&mut world, rekeys);
                let down = Order::Down { connection: "site".into(), child: Some("net".into()) };
                world.order(deletes, down);
                world.traffic = false;
                world.run(40_000);
                // Who came first at the other end decides; both must know the same.
                let children = world.children(A).len();
                world.agrees(1, children);
            }
        }
    }
}

/// A request of the collision is late by more than the whole of the other's exchange, deletion included.
#[test]
fn collision_delayed_request_more() {
    for (a, b) in LOWEST {
        for from in [A, B] {
            for (late, late_delete) in [(70, 0), (70, 40), (35, 60), (900, 450)] {
                let mut world = established(true);
                world.nonces(A, &a);
                world.nonces(B, &b);
                let (mut request, mut delete) = (true, true);
                world.judge(move |sent| {
                    if sent.from == from
                        && sent.is(ExchangeType::CREATE_CHILD_SA, false)
                        && std::mem::take(&mut request)
                    {
                        return Fate::Late(late);
                    }
                    if sent.is(ExchangeType::INFORMATIONAL, false) && std::mem::take(&mut delete) {
                        return Fate::Late(late_delete);
                    }
                    Fate::Arrives
                });
                rekey_child(&mut world, A);
                rekey_child(&mut world, B);
                settled(&mut world);
            }
        }
    }
}

/// Everything that can cross, at every offset and with random fates of all messages: one survivor on both sides.
#[test]
fn any_two_orders_at_any_time_leave_both_sides_agreeing() {
    let orders = |which: u8| match which % 4 {
        0 => Order::Rekey { connection: "site".into(), what: Rekey::Child(None) },
        1 => Order::Rekey { connection: "site".into(), what: Rekey::Ike },
        2 => Order::Rekey { connection: "site".into(), what: Rekey::Reauthenticate },
        _ => Order::Up { connection: "site".into(), child: None },
    };
    for seed in 0..1500_u64 {
        let mut random = Seeded::new(seed);
        let mut dice = [0; 8];
        ike::Random::fill(&mut random, &mut dice);
        let mut world = established(dice[7] % 2 == 0);
        world.traffic = false;
        let mut fates = Seeded::new(seed ^ 0x77);
        world.judge(move |_| {
            let mut octet = [0; 2];
            ike::Random::fill(&mut fates, &mut octet);
            match octet[0] {
                0..20 => Fate::Lost,
                20..40 => Fate::Doubled,
                40..120 => Fate::Late(u64::from(octet[1])),
                _ => Fate::Arrives,
            }
        });
        for pair in dice[..6].chunks(2) {
            world.order(A, orders(pair[0]));
            world.run(u64::from(pair[1] % 40));
            world.order(B, orders(pair[1] >> 3));
            world.run(u64::from(pair[0] % 50));
        }
        world.run(60_000);
        world.no_faults();
        world.run(120_000);
        assert_eq!((world.ike_sas(A), world.ike_sas(B)), (1, 1), "seed {seed}: {}", world.story());
        world.agrees(1, 1);
    }
}
