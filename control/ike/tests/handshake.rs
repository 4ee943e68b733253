//! IKE_SA_INIT and IKE_AUTH between two of us.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]
mod world;

use ike::action::Order;
use ike::event::Event;
use wire::iana::ike::ExchangeType;
use world::configured::*;
use world::*;

fn up(world: &mut World) {
    world.order(A, Order::Up { connection: "site".into(), child: None });
}

#[test]
fn two_round_trips_make_an_ike_sa_and_a_child() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    up(&mut world);
    world.run(1_000);
    world.agrees(1, 1);
    assert_eq!(world.log.len(), 4, "{}", world.story());
    let exchanges: Vec<_> =
        world.log.iter().map(|(_, _, header, _)| header.unwrap().exchange).collect();
    use ExchangeType as E;
    assert_eq!(exchanges, [E::IKE_SA_INIT, E::IKE_SA_INIT, E::IKE_AUTH, E::IKE_AUTH]);
    let status = world.ends[A].engine.status();
    assert_eq!(status[0].identity.as_deref(), Some("b.example.com"));
    assert_eq!(status[0].children[0].covered.to_string(), "10.1.0.0/16 ↔ 10.2.0.0/16");
    assert!(world.ends[B].inbound.values().all(|half| half.suite.esn && !half.udp));
}

#[test]
fn inbound_stands_before_the_peer_is_told() {
    let mut world = World::with(1, one(A, |_| ()), one(B, |_| ()));
    up(&mut world);
    world.until(1_000, "the answer", |world| world.log.len() == 4);
    assert_eq!((world.ends[B].inbound.len(), world.ends[B].outbound.len()), (1, 1));
    assert_eq!(world.ends[A].inbound.len(), 0);
    let told = |(_, event): &(u64, Event)| matches!(event, Event::IkeUp { .. });
    assert!(world.ends[B].events.iter().any(told));
}
