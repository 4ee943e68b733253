//! Whatever comes in by any port: nothing panics, and no frame is lost or doubled.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use proptest::prelude::*;

/// Frames that get far: so that their mutations do too.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (outer_v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let agreement = Agreement { outer_v6, udp, ..Agreement::usual() };
        let peer = Peer::new(agreement, End::A);
        for v6 in [false, true] {
            seeds.push(peer.frame(1, &udp_packet(End::A, v6, 60)));
            let whole = peer.frame(2, &udp_packet(End::A, v6, 600));
            let pieces = if outer_v6 {
                cut_v6(below(&whole), &[304])
            } else {
                cut_v4(below(&whole), &[304])
            };
            seeds.extend(pieces.iter().map(|piece| ethernet(piece)));
        }
    }
    for v6 in [false, true] {
        seeds.push(ethernet(&udp_packet(End::B, v6, 60)));
        seeds.push(ethernet(&udp_packet(End::B, v6, 1500)));
        seeds.push(ethernet(&udp_packet(End::A, v6, 60)));
        seeds.push(ethernet(&dont_fragment_v4(udp_packet(End::B, v6, 1490))));
    }
    seeds
}

fn dont_fragment_v4(packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 { dont_fragment(packet) } else { packet }
}

#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Cut(usize),
    Grow(usize),
    Repeat(usize, usize),
    /// Makes the IPv4 header checksum right again, so that the rest is looked at.
    Heal,
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (0usize..120, any::<u8>()).prop_map(|(at, to)| Change::Set(at, to)),
        1 => (0usize..700).prop_map(Change::Cut),
        1 => (0usize..300).prop_map(Change::Grow),
        1 => (0usize..120, 1usize..60).prop_map(|(at, len)| Change::Repeat(at, len)),
        4 => Just(Change::Heal),
    ]
}

fn apply(frame: &mut Vec<u8>, change: &Change) {
    let len = frame.len();
    match *change {
        Change::Set(at, to) if at < len => frame[at] = to,
        Change::Cut(at) => frame.truncate(at),
        Change::Grow(n) => frame.resize((len + n).min(1700), 0x5a),
        Change::Repeat(at, n) if at + n < len && len + n < 1700 => {
            let part = frame[at..at + n].to_vec();
            frame.splice(at..at, part);
        }
        Change::Heal if len >= 34 && frame[14] >> 4 == 4 => {
            frame[24..26].copy_from_slice(&[0, 0]);
            let sum = wire::checksum::checksum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn mutated_frames_into_every_port_end_somewhere(
        frames in proptest::collection::vec(
            (0usize..3, any::<proptest::sample::Index>(), proptest::collection::vec(any_change(), 0..6)), 1..120),
        (outer_v6, udp) in any::<(bool, bool)>(),
    ) {
        let seeds = seeds();
        let mut b = Agreement { outer_v6, udp, ..Agreement::usual() }.gateway(End::B);
        for batch in frames.chunks(16) {
            for (port, seed, changes) in batch {
                let mut frame = seed.get(&seeds).clone();
                if *port == KERNEL { frame.drain(..14); }
                changes.iter().for_each(|change| apply(&mut frame, change));
                b.wire(*port).inject(&frame);
            }
            b.turn(); // asserts that frames are conserved
            for port in [INSIDE, OUTSIDE, KERNEL] { b.drain(port); }
            b.now += core::time::Duration::from_millis(400);
        }
        b.now += core::time::Duration::from_secs(5);
        b.turn();
    }

    #[test]
    fn noise_into_every_port_ends_somewhere(
        frames in proptest::collection::vec((0usize..3, proptest::collection::vec(any::<u8>(), 0..400)), 1..60),
    ) {
        let mut b = Agreement::usual().gateway(End::B);
        for (port, frame) in &frames {
            b.wire(*port).inject(frame);
        }
        b.turn();
    }
}
