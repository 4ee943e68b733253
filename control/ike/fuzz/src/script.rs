//! Octets as a script: which scene, and what is said in it. Whoever speaks has the keys; everything else is the fuzzer's.
use crate::scenes::{SCENES, Scene, settings_of, up};
use crate::world::player::Player;
use crate::world::*;
use ike::action::Order;
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, PayloadType};
use wire::ike::{HEADER, Header};

/// More is not said at once.
const MOST_LINES: usize = 4;

/// One message: `exchange, shape, message ID, first payload, length, length, payloads`.
struct Line<'a> {
    exchange: ExchangeType,
    shape: u8,
    /// Added to the message ID that is expected.
    ahead: u8,
    first: PayloadType,
    inner: &'a [u8],
}

// Bits of a shape.
/// A response.
pub const RESPONSE: u8 = 1;
/// The initiator flag is the wrong way round.
const MIRRORED: u8 = 2;
/// In fragments.
pub const FRAGMENTED: u8 = 4;
/// Seconds go by, not milliseconds.
const SLOW: u8 = 8;
/// Not sealed.
pub const PLAIN: u8 = 16;
/// Twice.
pub const TWICE: u8 = 32;
/// In the newest IKE SA, not the oldest.
const NEWEST: u8 = 64;

fn lines(octets: &[u8]) -> Vec<Line<'_>> {
    let mut rest = octets;
    let mut lines = Vec::new();
    while let Some((&[exchange, shape, ahead, first, high, low], more)) = rest.split_first_chunk()
        && lines.len() < MOST_LINES
    {
        let length = usize::from(u16::from_be_bytes([high, low])).min(more.len());
        let (inner, more) = more.split_at(length);
        let (exchange, first) = (ExchangeType(exchange), PayloadType(first));
        lines.push(Line { exchange, shape, ahead, first, inner });
        rest = more;
    }
    lines
}

/// A script with one line.
pub fn write(
    scene: usize,
    exchange: ExchangeType,
    shape: u8,
    first: PayloadType,
    inner: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(inner.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = [scene as u8, exchange.0, shape, 0, first.0, length[0], length[1]];
    [&head, inner].concat()
}

/// Plays a script. Nothing may panic, what is held stays bounded, and when both ends have been told to let go they hold
/// nothing and can begin anew.
pub fn sealed(octets: &[u8]) {
    let Some((scene, rest)) = octets.split_first() else { return };
    let scene = &SCENES[usize::from(*scene) % SCENES.len()];
    let (mut world, mut players) = scene.play();
    world.judge(|_| Fate::Lost);
    for line in &lines(rest) {
        say(&mut world, scene, &mut players, line);
        bounded(&world);
    }
    world.no_faults();
    world.run(240_000);
    bounded(&world);
    // Liveness checks have found what only one of them believed.
    assert_eq!(world.ike_sas(A), world.ike_sas(B), "{}", world.story());
    ends_cleanly(&mut world);
    begins_anew(&mut world);
}

fn say(world: &mut World, scene: &Scene, players: &mut [Player], line: &Line<'_>) {
    let newest = line.shape & NEWEST != 0;
    let player = if newest { players.last_mut() } else { players.first_mut() };
    let Some(player) = player else { return };
    let response = line.shape & RESPONSE != 0;
    let id = expected(world, player, response).wrapping_add((line.ahead as i8) as u32);
    let mut header = player.header(line.exchange, response, id);
    header.flags.initiator ^= line.shape & MIRRORED != 0;
    let path = player.path(world);
    let times = if line.shape & TWICE != 0 { 2 } else { 1 };
    for datagram in datagrams(player, header, line) {
        for _ in 0..times {
            world.inject(scene.target, path, &datagram);
        }
    }
    world.run(if line.shape & SLOW != 0 { 2_500 } else { 9 });
}

fn datagrams(player: &mut Player, header: Header, line: &Line<'_>) -> Vec<Vec<u8>> {
    if line.shape & PLAIN != 0 {
        let length = (HEADER + line.inner.len()) as u32;
        let header = Header { next_payload: line.first, length, ..header };
        return vec![[&header.emit()[..], line.inner].concat()];
    }
    let most = if line.shape & FRAGMENTED != 0 { 200 } else { 60_000 };
    player.seal(&header, line.first, line.inner, most)
}

/// The message ID that the other end would take: of its last request, or behind its last answer.
pub fn expected(world: &World, player: &Player, response: bool) -> u32 {
    let own = |(from, _, header, _): &(usize, u64, Option<Header>, usize)| {
        let header = header.filter(|_| *from != player.from)?;
        let same = (header.initiator_spi, header.responder_spi) == player.spis;
        (same && header.flags.response != response).then_some(header.message_id)
    };
    let last = world.log.iter().filter_map(own).max();
    match response {
        true => last.unwrap_or(0),
        false => last.map_or(0, |last| last.wrapping_add(1)),
    }
}

/// However strange: a few IKE SAs, children within their limit, no more SPIs than there are halves and halves to be.
fn bounded(world: &World) {
    for end in &world.ends {
        let status = end.engine.status();
        assert!(status.len() <= 8, "{} IKE SAs", status.len());
        assert!(end.engine.half_open() <= 2);
        assert!(end.engine.outstanding() <= 16);
        let out = end.spis.0.lock().unwrap().out.len();
        assert!(out <= 16, "{out} SPIs are out");
        assert!(end.outbound.len() <= 16);
    }
}

/// Told to let go, both ends do, with or without the other's consent.
fn ends_cleanly(world: &mut World) {
    for end in [A, B] {
        world.order(end, Order::Down { connection: "site".into(), child: None });
    }
    world.run(200_000);
    for end in &world.ends {
        let left: Vec<_> = end.engine.status().iter().map(|ike| ike.state).collect();
        assert!(left.is_empty(), "{left:?}{}", world.story());
        assert!(
            end.inbound.is_empty() && end.outbound.is_empty(),
            "halves are left{}",
            world.story()
        );
        assert!(end.spis.0.lock().unwrap().out.is_empty(), "SPIs are left{}", world.story());
        assert_eq!((end.engine.outstanding(), end.engine.half_open()), (0, 0));
    }
}

fn begins_anew(world: &mut World) {
    for end in [B, A] {
        world.order(end, Order::Configure(Arc::new(settings_of(end))));
    }
    world.order(A, up());
    world.run(3_000);
    world.agrees(1, 1);
}
