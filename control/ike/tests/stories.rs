//! Collisions in which more than one thing goes wrong at once (RFC 7296 §2.8, §2.25): requests and deletions that are late
//! together, ends that want different key exchanges. Each with every order of the four nonces, for Child SAs and for the IKE SA.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Order, Rekey};
use ike::algorithm::Group;
use ike::settings::Connection;
use std::sync::Arc;
use wire::iana::ike::ExchangeType;
use world::configured::*;
use world::*;

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// Whose nonce is the lowest of four: first octets of A's (as initiator, as responder), and of B's.
const LOWEST: [([u8; 2], [u8; 2]); 4] = [
    ([0x00, 0x80], [0x90, 0xa0]),
    ([0x80, 0x00], [0x90, 0xa0]),
    ([0x80, 0x90], [0x00, 0xa0]),
    ([0x80, 0x90], [0xa0, 0x00]),
];
const BOTH: [Rekey; 2] = [Rekey::Child(None), Rekey::Ike];

/// Up, with traffic in both directions.
fn established(a: impl Fn(&mut Connection), b: impl Fn(&mut Connection)) -> World {
    let mut world = World::with(7, one(A, a), one(B, b));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    world.agrees(1, 1);
    world.start_traffic();
    world.run(100);
    world
}

fn same() -> World {
    established(|_| (), |_| ())
}

fn rekey(world: &mut World, end: usize, what: &Rekey) {
    world.order(end, Order::Rekey { connection: "site".into(), what: what.clone() });
}

fn both_rekey(world: &mut World, what: &Rekey, (a, b): ([u8; 2], [u8; 2])) {
    world.nonces(A, &a);
    world.nonces(B, &b);
    rekey(world, A, what);
    rekey(world, B, what);
}

/// One survivor on both sides, and no packet was lost.
#[track_caller]
fn settled(world: &mut World) {
    world.run(30_000);
    world.no_faults();
    world.traffic = false;
    world.run(30_000);
    world.agrees(1, 1);
    world.no_packet_was_lost();
}

/// The first message of each kind has its own fate: `(sender, exchange, whether it is a response, fate)`.
fn judge_first(world: &mut World, fates: Vec<(usize, ExchangeType, bool, Fate)>) {
    let mut left = fates;
    world.judge(move |sent| {
        let at = left.iter().position(|(from, exchange, response, _)| {
            sent.from == *from && sent.is(*exchange, *response)
        });
        at.map_or(Fate::Arrives, |at| left.remove(at).3)
    });
}

/// A's first choice needs a key exchange and B's does not, so that one rekey is half done when the other is over.
fn pfs_first(c: &mut Connection) {
    let proposals = vec![esp_proposal(&[Group::Curve25519]), esp_proposal(&[])];
    with_child(c, |child| child.proposals = proposals.clone());
}
fn pfs_last(c: &mut Connection) {
    let proposals = vec![esp_proposal(&[]), esp_proposal(&[Group::Curve25519])];
    with_child(c, |child| child.proposals = proposals.clone());
}

#[test]
fn collision_mixed() {
    for nonces in LOWEST {
        for late in [0, 1, 3, 12] {
            let mut world = established(pfs_first, pfs_last);
            judge_first(&mut world, vec![(B, CREATE, false, Fate::Late(late))]);
            both_rekey(&mut world, &Rekey::Child(None), nonces);
            settled(&mut world);
        }
    }
}

#[test]
fn collision_mixed_ike() {
    let groups = |groups: &'static [Group]| {
        move |c: &mut Connection| c.proposals = vec![ike_proposal(groups)]
    };
    for nonces in LOWEST {
        for late in [0, 1, 3, 12] {
            let mut world = established(
                groups(&[Group::Curve25519, Group::Ecp256]),
                groups(&[Group::Ecp256, Group::Curve25519]),
            );
            judge_first(&mut world, vec![(B, CREATE, false, Fate::Late(late))]);
            both_rekey(&mut world, &Rekey::Ike, nonces);
            settled(&mut world);
        }
    }
}

/// The answer to one request comes after the deletion that follows the other.
#[test]
fn collision_delayed_response_delete() {
    for what in &BOTH {
        for nonces in LOWEST {
            for from in [A, B] {
                for (late, late_delete) in [(15, 0), (45, 0), (45, 30), (400, 0)] {
                    let mut world = same();
                    judge_first(
                        &mut world,
                        vec![
                            (from, CREATE, true, Fate::Late(late)),
                            (1 - from, INFORMATIONAL, false, Fate::Late(late_delete)),
                        ],
                    );
                    both_rekey(&mut world, what, nonces);
                    settled(&mut world);
                }
            }
        }
    }
}

/// A request is so late that it meets the deletion of what it wants to replace; and the deletion is late as well.
#[test]
fn collision_delayed_request_and_delete() {
    for what in &BOTH {
        for nonces in LOWEST {
            for from in [A, B] {
                for (late, late_delete) in [(25, 5), (30, 30), (30, 60), (60, 30), (300, 280)] {
                    let mut world = same();
                    judge_first(
                        &mut world,
                        vec![
                            (from, CREATE, false, Fate::Late(late)),
                            (A, INFORMATIONAL, false, Fate::Late(late_delete)),
                            (B, INFORMATIONAL, false, Fate::Late(late_delete)),
                        ],
                    );
                    both_rekey(&mut world, what, nonces);
                    settled(&mut world);
                }
            }
        }
    }
}

/// A request comes when the other's exchange, its deletion included, is over; so does the deletion of what it made.
#[test]
fn collision_delayed_request_more_delete() {
    for what in &BOTH {
        for nonces in LOWEST {
            for from in [A, B] {
                for (late, lost) in [(70, true), (70, false), (450, true)] {
                    let mut world = same();
                    let fate = if lost { Fate::Lost } else { Fate::Late(120) };
                    judge_first(
                        &mut world,
                        vec![
                            (from, CREATE, false, Fate::Late(late)),
                            (from, INFORMATIONAL, false, fate),
                        ],
                    );
                    both_rekey(&mut world, what, nonces);
                    settled(&mut world);
                }
            }
        }
    }
}

fn groups_of(what: &Rekey, groups: &'static [Group]) -> impl Fn(&mut Connection) {
    let child = matches!(what, Rekey::Child(_));
    move |c: &mut Connection| match child {
        true => with_child(c, |child| child.proposals = vec![esp_proposal(groups)]),
        false => c.proposals = vec![ike_proposal(groups)],
    }
}

/// One end's first group is refused while the rekeys cross, and its second request is late as well.
#[test]
fn collision_ke_invalid_delayed_retry() {
    for what in &BOTH {
        for nonces in LOWEST {
            for late in [0, 12, 30, 300] {
                let mut world = established(
                    groups_of(what, &[Group::Curve25519, Group::Ecp256]),
                    groups_of(what, &[Group::Ecp256]),
                );
                let mut request = 0;
                world.judge(move |sent| {
                    request += usize::from(sent.from == A && sent.is(CREATE, false));
                    let second = sent.from == A && sent.is(CREATE, false) && request == 2;
                    if second { Fate::Late(late) } else { Fate::Arrives }
                });
                both_rekey(&mut world, what, nonces);
                settled(&mut world);
            }
        }
    }
}

/// Both are refused their first group: each wants the other's second choice.
#[test]
fn collision_ke_invalid_both_ways() {
    for what in &BOTH {
        for nonces in LOWEST {
            let mut world = established(
                groups_of(what, &[Group::Curve25519, Group::Ecp256]),
                groups_of(what, &[Group::Ecp384, Group::Ecp256]),
            );
            both_rekey(&mut world, what, nonces);
            settled(&mut world);
        }
    }
}

/// Of the two deletions that follow a collision, one is lost or late.
#[test]
fn collision_delete_after_collision_is_lost_or_late() {
    for what in &BOTH {
        for nonces in LOWEST {
            for from in [A, B] {
                for fate in [Fate::Lost, Fate::Late(40), Fate::Late(700), Fate::Doubled] {
                    for response in [false, true] {
                        let mut world = same();
                        judge_first(&mut world, vec![(from, INFORMATIONAL, response, fate)]);
                        both_rekey(&mut world, what, nonces);
                        settled(&mut world);
                    }
                }
            }
        }
    }
}

/// A lifetime ends for good on one side while the other side's rekey is under way.
#[test]
fn collision_with_a_hard_lifetime() {
    for (rekeys, expires) in [(A, B), (B, A)] {
        for after in [0, 5, 12, 18, 25, 40] {
            let mut world = same();
            let half = world.ends[expires].outbound[0].clone();
            let (direction, spi, lineage) = (half.direction, half.spi, half.lineage);
            world.traffic = false;
            rekey(&mut world, rekeys, &Rekey::Child(None));
            world.run(after);
            world.order(expires, Order::Expire { direction, spi, lineage, hard: true });
            world.run(60_000);
            let children = world.children(A).len();
            assert!(children <= 1, "{}", world.story());
            world.agrees(1, children);
        }
    }
}

// Streams that cross -------------------------------------------------------------------------------------------------

/// What somebody may want, and how it is said.
fn orders() -> [(&'static str, Order); 6] {
    let site = || Arc::from("site");
    [
        ("up", Order::Up { connection: site(), child: None }),
        ("rekey the child", Order::Rekey { connection: site(), what: Rekey::Child(None) }),
        ("rekey the IKE SA", Order::Rekey { connection: site(), what: Rekey::Ike }),
        ("reauthenticate", Order::Rekey { connection: site(), what: Rekey::Reauthenticate }),
        ("delete the child", Order::Down { connection: site(), child: Some("net".into()) }),
        ("delete the IKE SA", Order::Down { connection: site(), child: None }),
    ]
}

/// Every pair of orders, one at each end, at every distance at which their messages can meet: both ends know the same in
/// the end, and nothing is left over.
#[test]
fn crossing_streams() {
    for up in [true, false] {
        for at_a in 0..orders().len() {
            for at_b in 0..orders().len() {
                for apart in [0, 1, 4, 9, 11, 13, 22, 24, 35] {
                    let mut world = World::with(5, one(A, |_| ()), one(B, |_| ()));
                    if up {
                        world.order(A, Order::Up { connection: "site".into(), child: None });
                        world.run(2_000);
                    }
                    let [(name_a, a), (name_b, b)] =
                        [at_a, at_b].map(|at| orders().into_iter().nth(at).unwrap());
                    world.order(A, a);
                    world.run(apart);
                    world.order(B, b);
                    world.run(120_000);
                    let (ike_sas, children) = (world.ike_sas(A), world.children(A).len());
                    let what = format!("{name_a}, {name_b}, {apart} ms later, up: {up}");
                    assert!(ike_sas <= 1 && children <= 1, "{what}: {}", world.story());
                    assert_eq!(world.ike_sas(B), ike_sas, "{what}: {}", world.story());
                    assert_eq!(world.children(B).len(), children, "{what}: {}", world.story());
                    world.agrees(ike_sas, children);
                }
            }
        }
    }
}
