//! Child SAs in a data plane that is played here: installed with the policy that leads into them, refused at each step,
//! left alone by what else is applied.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
mod played;

use control::apply::{Attempt, Link};
use control::config::{self, Config};
use control::epochs::Epochs;
use control::keying::{Errand, Halves, Lineages, slots::Slots};
use control::plan::{self, Running, Step};
use ike::Key;
use ike::action::{
    Direction, Endpoint, EspKeys, EspSuite, Half, HalfLifetime, Lineage, Order, Spis, Ticket,
};
use played::Played;
use sadb::{Region, Verdict};
use std::path::Path;
use std::sync::atomic::Ordering;
use wire::iana::{EncryptionId, IntegrityId};
use wire::prefix::Prefix;
use wire::selector::Selector;

const NEGOTIATED: &str = "  ike-b:
    local: 192.0.2.1
    remote: 192.0.2.9
    psk: \"a long and random shared key\"
    children:
      net: { local_ts: [10.7.0.0/24], remote_ts: [10.8.0.0/16] }
";

fn configuration() -> Config {
    let text = format!("{}{NEGOTIATED}", include_str!("broken/base.yaml"));
    config::parse(&text, "f", Path::new("/nonexistent")).unwrap_or_else(|why| panic!("{why}"))
}

struct World {
    link: Link,
    halves: Halves,
    slots: Slots,
    lineages: Lineages,
    config: Config,
    played: Played,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let played = Played::start(directory.path());
        let config = configuration();
        let socket = directory.path().join("dataplane.sock");
        let make = || Region::create(&config.setup);
        let (region, doorbell) = sadb::link::connect_control(&socket, None, make).unwrap();
        let link = Link::new(region, doorbell).unwrap();
        let (slots, lineages) = (Slots::default(), Lineages::default());
        let halves = Halves::new(slots.clone(), lineages.clone());
        let mut world = Self { link, halves, slots, lineages, config, played, directory };
        assert!(world.played.region().setup().is_ok(), "it is attached");
        assert_eq!(world.apply().len(), 5, "four SAs and the policies");
        world.played.seen();
        world
    }

    /// Applies the configuration; what that took.
    fn apply(&mut self) -> Vec<String> {
        let region = self.link.region.clone();
        let running = Running::of(&region).unwrap();
        let slots = running.setup.geometry.sa_slots;
        let beside = self.halves.beside(&self.config, &region, slots);
        let mut plan = plan::plan(&self.config, &running, &[], &beside).unwrap();
        let steps = plan.steps.iter().map(|step| step.view().to_string()).collect();
        self.halves.leave(plan.steps.iter().filter_map(Step::takes));
        let configured = std::mem::take(&mut plan.configured);
        let epochs = Epochs::new(self.directory.path());
        let (link, heard) = (&mut self.link, &mut |_| {});
        Attempt { link, epochs: &epochs, current: None, heard }.carry_out(plan).unwrap();
        self.halves.share(&region, slots);
        self.halves.configured(&self.config, configured);
        steps
    }

    fn carry(&mut self, errands: Vec<Errand>) -> Vec<Order> {
        let (orders, lost) = self.halves.carry(errands, Some(&mut self.link), &mut |_| {});
        assert_eq!(lost, None);
        orders
    }

    fn pair(&mut self, lineage: u64) -> [Half; 2] {
        let ours = self.slots.reserve().unwrap();
        let of = |direction, spi, other_spi| Half {
            direction,
            spi,
            other_spi,
            lineage: Lineage(lineage),
            connection: "ike-b".into(),
            child: "net".into(),
            path: path("192.0.2.9:500"),
            udp: false,
            suite: EspSuite {
                encryption: EncryptionId::ENCR_AES_GCM_16,
                key_bits: 256,
                integrity: IntegrityId::NONE,
                esn: true,
                pfs: None,
            },
            keys: EspKeys { encryption: Key::new(vec![7; 36]), integrity: Key::default() },
            selectors: vec![narrowed()],
            lifetime: HalfLifetime { hard_seconds: 60, ..HalfLifetime::default() },
        };
        let theirs = ours ^ 0xc0ff_0000;
        [of(Direction::Inbound, ours, theirs), of(Direction::Outbound, theirs, ours)]
    }

    fn shown(&self) -> Vec<(String, u32)> {
        let (_, policies) = self.link.region.policies().unwrap();
        let of = |policy: &sadb::Policy| match policy.verdict {
            Verdict::Protect { tunnel } => Some((policy.name.to_string(), tunnel)),
            _ => None,
        };
        policies.iter().filter_map(of).filter(|(name, _)| name == "ike-b/net").collect()
    }

    fn sas(&self) -> usize {
        self.link.region.sas().filter(|status| status.sa.name.as_str() == "ike-b/net").count()
    }
}

fn path(remote: &str) -> Endpoint {
    Endpoint { local: "192.0.2.1:500".parse().unwrap(), remote: remote.parse().unwrap() }
}
fn narrowed() -> Selector {
    let range = |text: &str| text.parse::<Prefix>().unwrap().into();
    Selector::between(range("10.7.0.0/24"), range("10.8.1.0/24")).unwrap()
}
fn install(number: u64, half: &Half) -> Errand {
    Errand::Install { ticket: Ticket(number), half: Box::new(half.clone()) }
}
fn remove(half: &Half) -> Errand {
    Errand::Remove { direction: half.direction, spi: half.spi, lineage: half.lineage }
}
fn installed(orders: &[Order]) -> Vec<u64> {
    let of = |order: &Order| match order {
        Order::Installed { ticket } => ticket.0,
        other => panic!("{other:?}"),
    };
    orders.iter().map(of).collect()
}
fn is_refused(orders: &[Order]) -> bool {
    matches!(orders, [Order::Refused { .. }])
}

#[test]
fn what_was_negotiated_is_searched_before_what_stands_and_leaves_no_trace() {
    let mut world = World::new();
    let standing = world.shown();
    assert_eq!(standing.len(), 1, "nothing leaves in the clear while nobody is connected");
    let [inbound, outbound] = world.pair(1);
    assert_eq!(installed(&world.carry(vec![install(1, &inbound)])), [1]);
    assert_eq!(installed(&world.carry(vec![install(2, &outbound)])), [2]);
    assert_eq!(world.played.seen(), ["add", "policies", "add"]);
    let shown = world.shown();
    assert_eq!((shown.len(), &shown[1]), (2, &standing[0]));
    assert_ne!(shown[0].1, standing[0].1, "a narrowed SA takes no packet that it does not cover");
    assert_eq!(world.sas(), 2);

    // A rekey of the same lineage leaves policy alone.
    let fresh = world.pair(1);
    world.played.seen();
    let errands =
        vec![install(3, &fresh[0]), install(4, &fresh[1]), remove(&inbound), remove(&outbound)];
    assert_eq!(installed(&world.carry(errands)), [3, 4]);
    assert_eq!(world.played.seen(), ["add", "add", "delete", "delete"]);
    assert_eq!((world.shown(), world.lineages.lock().len()), (shown, 1));

    world.carry(vec![remove(&fresh[1]), remove(&fresh[0])]);
    assert_eq!((world.sas(), world.shown()), (0, standing));
    assert!(world.halves.is_empty() && world.lineages.lock().is_empty());
}

#[test]
fn a_refusal_at_any_step_changes_nothing() {
    let mut world = World::new();
    let before = world.shown();
    for step in [0, 1] {
        let [inbound, _] = world.pair(1);
        world.played.behaviour.refuse.store(step, Ordering::SeqCst);
        let orders = world.carry(vec![install(1, &inbound)]);
        assert!(is_refused(&orders), "step {step}: {orders:?}");
        assert_eq!((world.sas(), world.shown()), (0, before.clone()), "step {step}");
        world.slots.release(inbound.spi);
    }
    let [inbound, outbound] = world.pair(1);
    world.carry(vec![install(1, &inbound)]);
    world.played.behaviour.refuse.store(0, Ordering::SeqCst);
    assert!(is_refused(&world.carry(vec![install(2, &outbound)])));
    assert_eq!(world.sas(), 1, "the inbound half is the core's to remove");
    world.carry(vec![remove(&inbound)]);
    assert_eq!((world.sas(), world.shown()), (0, before));
    // A peer that names one SPI twice is refused, and what it has stays.
    let [inbound, _] = world.pair(1);
    assert_eq!(installed(&world.carry(vec![install(3, &inbound)])), [3]);
    assert!(is_refused(&world.carry(vec![install(4, &inbound)])));
    assert_eq!(world.sas(), 1);
    world.carry(vec![remove(&inbound)]);
    world.slots.release(inbound.spi);
    // All that was given came back.
    assert_eq!(world.slots.lock().given().len(), 1, "the SPI that the core still holds");
}

#[test]
fn applying_again_leaves_negotiated_sas_and_their_policy_alone() {
    let mut world = World::new();
    let [inbound, outbound] = world.pair(1);
    world.carry(vec![install(1, &inbound), install(2, &outbound)]);
    let shown = world.shown();
    assert_eq!(world.apply(), [""; 0]);
    assert_eq!((world.sas(), world.shown()), (2, shown));
}

#[test]
fn without_a_data_plane_installations_are_refused() {
    let mut world = World::new();
    let [inbound, _] = world.pair(1);
    let (orders, lost) = world.halves.carry(vec![install(1, &inbound)], None, &mut |_| {});
    assert!(is_refused(&orders) && lost.is_none());
}

#[test]
fn events_of_the_data_plane_find_their_child() {
    let mut world = World::new();
    let tunnel = world.shown()[0].1;
    let acquire = |tunnel| sadb::Event::Acquire {
        tunnel,
        source: "10.7.0.1".parse().unwrap(),
        destination: "10.8.0.1".parse().unwrap(),
        protocol: 6,
        source_port: 1024,
        destination_port: 80,
    };
    let Some(Order::Acquire { connection, child, packet }) =
        world.halves.order_of(&acquire(tunnel))
    else {
        panic!()
    };
    assert_eq!((&*connection, &*child), ("ike-b", "net"));
    assert_eq!(packet.unwrap().ports, Some((1024, 80)));
    assert!(world.halves.order_of(&acquire(0)).is_none(), "a manual tunnel's");

    let [inbound, outbound] = world.pair(7);
    world.carry(vec![install(1, &inbound), install(2, &outbound)]);
    let slot = sadb::sa::slot_of(inbound.spi).unwrap();
    let expire = sadb::Event::Expire { slot, spi: inbound.spi, hard: false };
    let order = world.halves.order_of(&expire);
    assert!(
        matches!(
            order,
            Some(Order::Expire {
                lineage: Lineage(7),
                direction: Direction::Inbound,
                hard: false,
                ..
            })
        ),
        "{order:?}"
    );
    // The peer is somewhere else now.
    let (direction, spi, lineage) = (outbound.direction, outbound.spi, outbound.lineage);
    world.carry(vec![Errand::Move { direction, spi, lineage, path: path("192.0.2.77:500") }]);
    let moved = world.link.region.sas().any(|status| status.sa.remote.to_string() == "192.0.2.77");
    assert!(moved);
    // Another region: nothing of it is there.
    let other = Region::on_heap(&world.config.setup).unwrap();
    assert_eq!(world.halves.missing(&other).len(), 2);
    assert_eq!(world.halves.missing(&world.link.region).len(), 0);
}
