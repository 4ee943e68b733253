//! Replays the committed fuzz corpus on the stable compiler: what a fuzzer once found stays fixed. And makes its seeds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever is not as expected shall fail them"
)]

#[path = "../fuzz/src/scenes.rs"]
mod scenes;
#[path = "../fuzz/src/script.rs"]
mod script;
mod world;

use ike::action::{Order, Rekey};
use scenes::SCENES;
use std::collections::BTreeMap;
use std::{fs, path::Path};
use wire::iana::ike::{ExchangeType, PayloadType};
use world::player::Player;
use world::*;

/// Fewer seeds for one scene than this means that somebody lost some.
const LEAST: usize = 15;

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/sealed")
}

#[test]
fn every_committed_seed_passes() {
    let mut seeds = BTreeMap::new();
    for entry in fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let octets = fs::read(&path).unwrap();
        eprintln!("{}", path.display()); // shown when it fails
        script::sealed(&octets);
        let scene = octets.first().map(|scene| usize::from(*scene) % SCENES.len());
        *seeds.entry(scene).or_insert(0_usize) += 1;
    }
    for (at, scene) in SCENES.iter().enumerate() {
        let count = seeds.get(&Some(at)).copied().unwrap_or_default();
        assert!(count >= LEAST, "{} has {count} seeds, {LEAST} needed", scene.name);
    }
}

/// The scenes are what their names say: in each of them somebody can be heard.
#[test]
fn in_every_scene_what_is_sealed_with_its_keys_is_heard() {
    for scene in &SCENES {
        let (mut world, mut players) = scene.play();
        let player = players.first_mut().unwrap();
        let id = match scene.name {
            "auth_awaited" | "auth_refused" => 1,
            _ => script::expected(&world, player, false),
        };
        world.judge(|_| Fate::Lost);
        let exchange = match id {
            1 => ExchangeType::IKE_AUTH,
            _ => ExchangeType::INFORMATIONAL,
        };
        let datagram = player.request(exchange, id, wire::ike::Contents::new());
        let path = player.path(&world);
        let before = world.raw.len();
        world.inject(scene.target, path, &datagram);
        world.run(9);
        let answer = |(from, _, octets): &(usize, ike::action::Endpoint, Vec<u8>)| {
            let header = wire::ike::Header::parse(octets).unwrap().0;
            *from == scene.target
                && (header.exchange, header.message_id) == (exchange, id)
                && header.flags.response
                && player.open(octets).is_some()
        };
        let heard = world.raw[before..].iter().any(answer);
        let nothing = ["init_sent", "auth_sent", "child_answering", "ike_answering"];
        assert_eq!(heard, !nothing.contains(&scene.name), "{}", scene.name);
    }
}

struct Said {
    from: usize,
    exchange: ExchangeType,
    response: bool,
    first: PayloadType,
    inner: Vec<u8>,
}

/// What two honest ends say to each other when this is ordered.
fn said(end: usize, order: Option<Order>) -> Vec<Said> {
    let mut world = scenes::established();
    let players = [Player::established(&world, A), Player::established(&world, B)];
    match order {
        Some(order) => world.order(end, order),
        None => world.run(30_000),
    }
    world.run(3_000);
    let open = |(from, _, octets): &(usize, ike::action::Endpoint, Vec<u8>)| {
        let header = wire::ike::Header::parse(octets).ok()?.0;
        let (first, inner) = players[1 - *from].open(octets)?;
        let (exchange, response) = (header.exchange, header.flags.response);
        Some(Said { from: *from, exchange, response, first, inner })
    };
    world.raw.iter().filter_map(open).collect()
}

/// `cargo test -p postern-ike --test corpus -- --ignored` writes the seeds anew: in each scene, every message that an
/// honest peer sends in any.
#[test]
#[ignore = "writes files into the repository"]
fn write_the_seeds() {
    let site = || "site".into();
    let mut all = Vec::new();
    for end in [A, B] {
        all.extend(said(end, None));
        for what in [Rekey::Child(None), Rekey::Ike] {
            all.extend(said(end, Some(Order::Rekey { connection: site(), what })));
        }
        for child in [None, Some("net".into())] {
            all.extend(said(end, Some(Order::Down { connection: site(), child })));
        }
    }
    fs::create_dir_all(corpus()).unwrap();
    for (at, scene) in SCENES.iter().enumerate() {
        let mut known = Vec::new();
        for line in all.iter().filter(|line| line.from != scene.target) {
            let mut shape = if line.response { script::RESPONSE } else { 0 };
            if scene.name == "init_sent" {
                shape |= script::PLAIN;
            }
            for shape in [shape, shape | script::FRAGMENTED | script::TWICE] {
                let octets = script::write(at, line.exchange, shape, line.first, &line.inner);
                if !known.contains(&octets) {
                    let name = format!("{}_{:02}", scene.name, known.len());
                    fs::write(corpus().join(name), &octets).unwrap();
                    known.push(octets);
                }
            }
        }
    }
}
