//! Two ends in every state that an IKE SA can be in, with one of them about to hear something strange.
use crate::world::configured::*;
use crate::world::player::{Player, foreseen};
use crate::world::*;
use ike::action::{Order, Rekey};
use ike::algorithm::Group;
use ike::engine::SessionKeys;
use ike::settings::{Connection, Dpd, Settings};
use std::sync::OnceLock;
use wire::iana::ike::ExchangeType;

/// A state, who is in it, and how it comes to be.
pub struct Scene {
    pub name: &'static str,
    /// The end that hears what comes.
    pub target: usize,
    build: fn() -> World,
    /// Nobody has proved anything yet: the keys are known only from a world that is the same.
    before_auth: bool,
}

const fn scene(name: &'static str, target: usize, build: fn() -> World) -> Scene {
    Scene { name, target, build, before_auth: false }
}
const fn early(name: &'static str, target: usize, build: fn() -> World) -> Scene {
    Scene { name, target, build, before_auth: true }
}

/// Their order is part of the corpus: new ones at the end.
pub const SCENES: [Scene; 22] = [
    early("init_sent", A, || beginning(|from, _| from == A)),
    early("auth_sent", A, || beginning(|from, number| from == B && number > 0)),
    early("auth_awaited", B, || beginning(|from, number| from == A && number > 0)),
    early("auth_refused", B, refused),
    scene("established_initiator", A, established),
    scene("established_responder", B, established),
    scene("child_generating", A, || after(A, child(), 1)),
    scene("child_asked", A, || unheard(&[A], child())),
    scene("child_asked_by_responder", B, || unheard(&[B], child())),
    scene("child_agreeing", A, || answered(child(), LATENCY + 1)),
    scene("child_installing", A, || answered(child(), LATENCY + WORK)),
    scene("child_answering", B, || after(A, child(), WORK + LATENCY + 1)),
    scene("child_answered", B, || answered(child(), 1)),
    scene("child_collision", A, || unheard(&[A, B], child())),
    scene("ike_asked", A, || unheard(&[A], ike_sa())),
    scene("ike_answering", B, || after(A, ike_sa(), WORK + LATENCY + 1)),
    scene("ike_replaced", A, || answered(ike_sa(), LATENCY + WORK + 1)),
    scene("ike_collision", B, || unheard(&[A, B], ike_sa())),
    scene("child_deleting", A, || unheard(&[A], down(Some("net")))),
    scene("ike_deleting", B, || unheard(&[B], down(None))),
    scene("liveness_asked", A, alone),
    scene("reauthenticating", A, || unheard(&[A], rekey(Rekey::Reauthenticate))),
];

fn rekey(what: Rekey) -> Order {
    Order::Rekey { connection: "site".into(), what }
}
fn child() -> Order {
    rekey(Rekey::Child(None))
}
fn ike_sa() -> Order {
    rekey(Rekey::Ike)
}
fn down(child: Option<&str>) -> Order {
    Order::Down { connection: "site".into(), child: child.map(Into::into) }
}

/// Both ends alike: a child with and without PFS, liveness checks.
pub fn settings_of(end: usize) -> Settings {
    one(end, |c: &mut Connection| {
        c.dpd = Some(Dpd { delay_ms: 20_000 });
        with_child(c, |child| {
            child.proposals = vec![esp_proposal(&[Group::Curve25519]), esp_proposal(&[])];
        });
    })
}

pub fn up() -> Order {
    Order::Up { connection: "site".into(), child: None }
}

pub fn begun() -> World {
    let mut world = World::with(3, settings_of(A), settings_of(B));
    world.order(A, up());
    world
}

/// IKE_SA_INIT and IKE_AUTH, with some messages lost: those of `(sender, its n-th)`.
fn beginning(lost: fn(usize, usize) -> bool) -> World {
    let mut world = begun();
    world.judge(move |sent| if lost(sent.from, sent.number) { Fate::Lost } else { Fate::Arrives });
    world.run(60);
    world
}

/// B does not believe A, and keeps its answer for a while. The keys are the same: no secret is in them.
fn refused() -> World {
    let mut world = World::new(3);
    let other = ike::Key::new(b"another one altogether".to_vec());
    let doubting = one(B, |c| {
        c.remote_auth.accept = ike::settings::Accept::Psk(std::sync::Arc::new(other.clone()));
    });
    world.order(B, Order::Configure(std::sync::Arc::new(doubting)));
    world.order(A, Order::Configure(std::sync::Arc::new(settings_of(A))));
    world.order(A, up());
    world.judge(|sent| if sent.from == B && sent.number > 0 { Fate::Lost } else { Fate::Arrives });
    world.run(60);
    world.order(B, Order::Configure(std::sync::Arc::new(settings_of(B))));
    world
}

pub fn established() -> World {
    let mut world = begun();
    world.run(2_000);
    world.agrees(1, 1);
    world
}

fn after(end: usize, order: Order, wait: u64) -> World {
    let mut world = established();
    world.order(end, order);
    world.run(wait);
    world
}

/// These ends ask, and nobody hears it.
fn unheard(ends: &[usize], order: Order) -> World {
    let mut world = established();
    world.judge(|_| Fate::Lost);
    for end in ends {
        world.order(*end, again(&order));
    }
    world.run(WORK + 1);
    world
}

fn again(order: &Order) -> Order {
    match order {
        Order::Rekey { connection, what } => {
            Order::Rekey { connection: connection.clone(), what: what.clone() }
        }
        Order::Down { connection, child } => {
            Order::Down { connection: connection.clone(), child: child.clone() }
        }
        _ => up(),
    }
}

/// A asks and B answers; so many milliseconds later, with all that follows lost.
fn answered(order: Order, wait: u64) -> World {
    let mut world = established();
    world.order(A, order);
    let create = ExchangeType::CREATE_CHILD_SA;
    world.judge(move |sent| {
        if sent.is(create, false) || sent.is(create, true) { Fate::Arrives } else { Fate::Lost }
    });
    let said = world.raw.len() + 2;
    world.until(1_000, "an answer", |world| world.raw.len() >= said);
    world.run(wait);
    world
}

/// Nothing was heard of B for long enough to ask.
fn alone() -> World {
    let mut world = established();
    world.judge(|_| Fate::Lost);
    let said = world.raw.len();
    world
        .until(60_000, "a question", |world| world.raw[said..].iter().any(|(from, ..)| *from == A));
    world
}

impl Scene {
    /// The world in that state, and whoever may speak in it: for each IKE SA one, the oldest first.
    pub fn play(&self) -> (World, Vec<Player>) {
        let world = (self.build)();
        let players = match self.before_auth {
            true => vec![self.player(&world, early_keys())],
            false => {
                let keys = world.ends[self.target].engine.keys();
                keys.iter().map(|keys| self.player(&world, keys)).collect()
            }
        };
        (world, players)
    }

    fn player(&self, world: &World, keys: &SessionKeys) -> Player {
        let status = world.ends[self.target].engine.status();
        let listener_began = status.iter().any(|ike| ike.local_spi == keys.spis.0);
        Player::new(keys, 1 - self.target, !listener_began)
    }
}

fn early_keys() -> &'static SessionKeys {
    static KEYS: OnceLock<SessionKeys> = OnceLock::new();
    KEYS.get_or_init(|| foreseen(begun()))
}
