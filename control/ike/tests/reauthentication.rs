//! Reauthentications that cross each other, again and again: make before break (RFC 7296 §2.8.3, RFC 4478) leaves exactly
//! one IKE SA with its child, and no packet meets neither.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::{Order, Rekey};
use world::configured::*;
use world::*;

fn reauthenticate(world: &mut World, end: usize) {
    let what = Rekey::Reauthenticate;
    world.order(end, Order::Rekey { connection: "site".into(), what });
}

/// All orders of four nonces.
fn orders() -> Vec<[u8; 4]> {
    let mut all = Vec::new();
    for code in 0..256_u32 {
        let order = [0, 2, 4, 6].map(|shift| (code >> shift) as u8 & 3);
        if (0..4).all(|rank| order.contains(&rank)) {
            all.push(order.map(|rank| 0x20 * (rank + 1)));
        }
    }
    assert_eq!(all.len(), 24);
    all
}

fn crossing(rounds: &[([u8; 4], u64, u64)]) {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    world.order(A, Order::Up { connection: "site".into(), child: None });
    world.run(2_000);
    world.start_traffic();
    for &([a, b, c, d], apart, gap) in rounds {
        world.nonces(A, &[a, b]);
        world.nonces(B, &[c, d]);
        reauthenticate(&mut world, A);
        world.run(apart);
        reauthenticate(&mut world, B);
        world.run(gap);
    }
    world.run(16_000);
    world.traffic = false;
    world.run(60_000);
    world.agrees(1, 1);
    world.no_packet_was_lost();
}

const APART: [u64; 7] = [0, 3, 12, 25, 40, 70, 1_000];

#[test]
fn one_crossing_leaves_one_with_a_child() {
    for order in orders() {
        APART.iter().for_each(|&apart| crossing(&[(order, apart, 0)]));
    }
}

/// The next one begins before the one before has come to rest, or right after.
#[test]
fn repeated_crossings_leave_one_with_a_child() {
    for order in orders() {
        for apart in [0, 12, 25, 70] {
            for gap in [5, 60, 2_000, 3_100] {
                crossing(&[(order, apart, gap); 4]);
            }
        }
    }
}

/// Every order after every other.
#[test]
fn the_order_of_nonces_may_change_from_crossing_to_crossing() {
    for first in orders() {
        for second in orders() {
            crossing(&[(first, 12, 60), (second, 0, 2_000), (first, 25, 30)]);
        }
    }
}
