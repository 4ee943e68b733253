//! Outer packets that no frame of the UMEM holds: Linux seals what it sends itself as one ESP packet of any size,
//! and cuts that.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use core::time::Duration;
use proptest::prelude::*;
use sadb::{Counter, DropReason};
use wire::iana::IpProtocol;
use wire::{esp, ip, ipv4};
use xsk::Pool;

/// Octets of payload in one outer fragment.
const PIECE: usize = 1480;

fn cuts(len: usize, piece: usize) -> Vec<usize> {
    (piece..len).step_by(piece).collect()
}

/// An outer packet in pieces, each in a frame.
fn pieces(packet: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let cut = if packet[0] >> 4 == 4 {
        cut_v4(packet, &cuts(packet.len() - 20, piece))
    } else {
        cut_v6(packet, &cuts(packet.len() - 40, piece - 16))
    };
    cut.iter().map(|piece| ethernet(piece)).collect()
}

/// Gives an IPv4 packet another Identification.
fn renumber(mut packet: Vec<u8>, id: u16) -> Vec<u8> {
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = wire::checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An inner packet whose outer packet has `len` octets, or a few less, and that outer packet.
fn sealed(agreement: Agreement, len: usize, to: core::net::IpAddr) -> (Vec<u8>, Vec<u8>) {
    let most = dataplane::pmtu::max_inner(
        len,
        agreement.suite.into(),
        agreement.encap(),
        agreement.outer_v6,
    );
    let headers = if to.is_ipv6() { 48 } else { 28 };
    let inner = udp_between(End::A.host(to.is_ipv6()), to, 1000, 2000, most - headers);
    let outer = Peer::new(agreement, End::A).frame(1, &inner);
    (inner, below(&outer).to_vec())
}

/// Puts inner IPv4 fragments back together: all there, in order, none longer than `mtu`.
fn joined(frames: &[Vec<u8>], mtu: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let packet = ipv4::Ipv4::parse(below(frame)).unwrap();
        assert_eq!(packet.more_fragments(), index + 1 < frames.len());
        assert_eq!(usize::from(packet.fragment_offset()), payload.len());
        assert!(packet.total_len() <= mtu);
        payload.extend_from_slice(packet.payload());
    }
    payload
}

/// Everything that comes out while the pieces go in.
fn feed_all<'f>(
    b: &mut Gateway,
    frames: impl IntoIterator<Item = &'f Vec<u8>>,
) -> [Vec<Vec<u8>>; 3] {
    let mut all = [const { Vec::new() }; 3];
    for frame in frames {
        for (all, out) in all.iter_mut().zip(b.feed(OUTSIDE, frame)) {
            all.extend(out);
        }
    }
    all
}

/// Nothing waits, and every large frame is at home.
fn at_rest(b: &Gateway) {
    b.conserved();
    assert_eq!(b.umem.large().unwrap().spare(), LARGE as usize);
}

const LENGTHS: [usize; 4] = [3_100, 9_000, 65_500, 65_535];

#[test]
fn an_outer_packet_of_any_size_is_opened_whatever_the_order_of_its_pieces() {
    for len in LENGTHS {
        for (outer_v6, udp) in [(false, false), (true, false), (false, true)] {
            let agreement = Agreement { outer_v6, udp, ..Agreement::usual() };
            let (inner, outer) = sealed(agreement, len, End::B.host(false));
            let mut frames = pieces(&outer, PIECE);
            for order in ["forward", "backward", "odd pieces first"] {
                let mut b = agreement.gateway(End::B);
                if order == "odd pieces first" {
                    let (odd, even): (Vec<_>, Vec<_>) = frames
                        .chunks(2)
                        .map(|pair| (pair.get(1).cloned(), pair[0].clone()))
                        .unzip();
                    frames = odd.into_iter().flatten().chain(even).collect();
                }
                let out = feed_all(&mut b, &frames);
                let case = format!("{len} v6 {outer_v6} udp {udp} {order}: {:?}", b.drops());
                assert!(joined(&out[INSIDE], 1500) == inner[20..], "{case}");
                assert_eq!((b.counted(Counter::Reassembled), b.counted(Counter::Opened)), (1, 1));
                at_rest(&b);
                frames.reverse();
            }
        }
    }
}

#[test]
fn what_is_for_the_gateway_itself_arrives_in_one_piece() {
    for len in LENGTHS {
        for v6 in [false, true] {
            let agreement = Agreement::usual();
            let (inner, outer) = sealed(agreement, len, End::B.inside(v6));
            let mut b = agreement.gateway(End::B);
            let out = feed_all(&mut b, &pieces(&outer, PIECE));
            assert!(out[KERNEL] == [inner], "{len} v6 {v6}: {:?}", b.drops());
            at_rest(&b);
        }
    }
}

#[test]
fn a_large_ike_message_in_pieces_reaches_the_kernel_whole() {
    let mut b = Agreement::usual().gateway(End::B);
    let (source, destination) = (End::A.outer(false), End::B.outer(false));
    let datagram = udp_datagram(source, destination, 500, 500, &[7; 6000]);
    let whole = ip_packet(source, destination, IpProtocol::UDP, 0, 64, &datagram);
    let out = feed_all(&mut b, &pieces(&whole, PIECE));
    assert!(out[KERNEL] == [whole]);
    at_rest(&b);
}

#[test]
fn a_large_packet_that_must_not_be_cut_is_answered_into_the_tunnel() {
    for v6 in [false, true] {
        let agreement = Agreement::usual();
        let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
        let inner = udp_packet(End::A, v6, 3000);
        let inner = if v6 { inner } else { dont_fragment(inner) };
        let outer = Peer::new(agreement, End::A).frame(1, &inner);
        let out = feed_all(&mut b, &pieces(below(&outer), PIECE));
        assert_eq!((out[INSIDE].len(), out[OUTSIDE].len()), (0, 1));
        assert_eq!(b.dropped(DropReason::TooBig), 1);
        let error = a.pass(OUTSIDE, &out[OUTSIDE][0], INSIDE);
        let error = ip::Packet::parse(below(&error)).unwrap();
        assert_eq!((error.src(), error.dst()), (End::B.inside(v6), End::A.host(v6)));
        at_rest(&b);
    }
}

#[test]
fn no_piece_is_longer_than_a_frame_holds_however_wide_the_link() {
    let agreement = Agreement::usual();
    let (inner, outer) = sealed(agreement, 9_000, End::B.host(false));
    let mut b = agreement.gateway(End::B);
    b.tables(|world| world.mtu(INSIDE, 9000));
    let out = feed_all(&mut b, &pieces(&outer, PIECE));
    assert!(joined(&out[INSIDE], b.umem.largest_packet()) == inner[20..]);
    at_rest(&b);
}

#[test]
fn a_small_packet_in_much_padding_leaves_in_an_ordinary_frame() {
    // RFC 4303 §2.7: what follows the inner packet hides its length
    let agreement = Agreement::usual();
    let peer = Peer::new(agreement, End::A);
    for (to, port) in [(End::B.host(false), INSIDE), (End::B.inside(false), KERNEL)] {
        let inner = udp_between(End::A.host(false), to, 1000, 2000, 100);
        let mut body = inner.clone();
        body.resize(5000 - esp::TRAILER, 0);
        body.resize(5000, 0);
        esp::emit_trailer(&mut body[4998..], IpProtocol::IPV4).unwrap();
        let outer = peer.outer(&peer.esp(1, &body), 0);
        let mut b = agreement.gateway(End::B);
        let out = feed_all(&mut b, &pieces(&outer, PIECE));
        let came: Vec<_> =
            out[port].iter().map(|f| if port == KERNEL { f } else { below(f) }).collect();
        assert_eq!(came, [&forwarded(inner, u8::from(port == INSIDE))[..]]);
        at_rest(&b);
        let sa = b.shared.region.sa(7).unwrap();
        assert_eq!((sa.packets, sa.bytes), (1, 128), "padding does not count");
    }
}

#[test]
fn options_before_the_payload_find_room() {
    let agreement = Agreement::usual();
    let (inner, outer) = sealed(agreement, 65_500, End::B.inside(false));
    let mut header = [&outer[..20], &[1; 28]].concat();
    header[0] = 0x4c;
    let mut b = agreement.gateway(End::B);
    let payload = &outer[20..];
    for (index, piece) in payload.chunks(PIECE).enumerate() {
        let at = index * PIECE;
        let mut frame = [&header[..], piece].concat();
        let total = (frame.len() as u16).to_be_bytes();
        let more = u16::from(at + piece.len() < payload.len()) << 13;
        frame[2..4].copy_from_slice(&total);
        frame[6..8].copy_from_slice(&((at / 8) as u16 | more).to_be_bytes());
        frame[10..12].copy_from_slice(&[0, 0]);
        let sum = wire::checksum::checksum(&frame[..48]);
        frame[10..12].copy_from_slice(&sum.to_be_bytes());
        let out = b.feed(OUTSIDE, &ethernet(&frame));
        if more == 0 {
            assert!(out[KERNEL] == [inner.clone()]);
        }
    }
    at_rest(&b);
}

#[test]
fn a_lost_piece_loses_the_packet_and_gives_the_frame_back() {
    for len in LENGTHS {
        for v6 in [false, true] {
            let agreement = Agreement { outer_v6: v6, ..Agreement::usual() };
            let (_, outer) = sealed(agreement, len, End::B.host(false));
            let frames = pieces(&outer, PIECE);
            for lost in [0, frames.len() / 2, frames.len() - 1] {
                let mut b = agreement.gateway(End::B);
                let rest = frames.iter().enumerate().filter(|(at, _)| *at != lost);
                let out = feed_all(&mut b, rest.map(|(_, frame)| frame));
                assert!(out.iter().all(Vec::is_empty));
                b.now += Duration::from_secs(1);
                b.turn();
                assert_eq!(b.dropped(DropReason::FragmentTimeout), frames.len() as u64 - 1);
                at_rest(&b);
            }
        }
    }
}

#[test]
fn an_overlap_loses_a_large_packet_and_gives_the_frame_back() {
    for v6 in [false, true] {
        let agreement = Agreement { outer_v6: v6, ..Agreement::usual() };
        let (_, outer) = sealed(agreement, 9_000, End::B.host(false));
        let (frames, shifted) = (pieces(&outer, PIECE), pieces(&outer, PIECE - 8));
        let mut b = agreement.gateway(End::B);
        feed_all(&mut b, &frames[..4]);
        assert_eq!(b.umem.large().unwrap().spare(), 1);
        assert_eq!(b.loses(OUTSIDE, &shifted[4]), DropReason::FragmentOverlap);
        at_rest(&b);
        let out = feed_all(&mut b, &frames[4..]);
        assert!(out.iter().all(Vec::is_empty), "RFC 5722 §3: the rest is lost with it");
        assert_eq!(b.dropped(DropReason::FragmentOverlap), frames.len() as u64 + 1);
    }
}

#[test]
fn a_hole_between_pieces_that_are_no_multiple_of_eight_is_never_filled_with_what_lay_there() {
    let agreement = Agreement::usual();
    let (_, outer) = sealed(agreement, 3_100, End::B.host(false));
    let mut b = agreement.gateway(End::B);
    let (header, payload) = outer.split_at(20);
    for (from, to) in [(0, 1476), (1480, 3000), (3000, payload.len())] {
        let more = to < payload.len();
        let piece = fragment_v4(header, from, &payload[from..to], more);
        let out = b.feed(OUTSIDE, &ethernet(&piece));
        assert!(out.iter().all(Vec::is_empty));
    }
    assert_eq!(b.counted(Counter::Reassembled), 0);
}

#[test]
fn when_large_frames_run_out_the_oldest_packet_makes_room() {
    let agreement = Agreement::usual();
    let (inner, outer) = sealed(agreement, 9_000, End::B.inside(false));
    let mut b = agreement.gateway(End::B);
    let packets: Vec<_> = (1..=3).map(|id| pieces(&renumber(outer.clone(), id), PIECE)).collect();
    for packet in &packets {
        feed_all(&mut b, &packet[..4]);
        b.now += Duration::from_millis(10);
    }
    assert_eq!(b.umem.large().unwrap().spare(), 0);
    assert_eq!(b.dropped(DropReason::FragmentTimeout), 4, "the first of three gave up its frame");
    assert_eq!(b.loses(OUTSIDE, &packets[0][4]), DropReason::FragmentTimeout);
    let out = feed_all(&mut b, &packets[2][4..]);
    assert!(out[KERNEL] == [inner]);
    feed_all(&mut b, &packets[1][4..]); // a replay of the same number, but whole
    assert_eq!(b.counted(Counter::Reassembled), 2);
    at_rest(&b);
}

#[test]
fn without_a_large_frame_the_packet_is_lost_and_small_ones_go_on() {
    let agreement = Agreement::usual();
    let (inner, outer) = sealed(agreement, 9_000, End::B.inside(false));
    let mut b = agreement.gateway(End::B);
    let mut other = Pool::keeping(b.umem, 1); // another worker has them all
    let held: Vec<_> = core::iter::from_fn(|| other.take_large()).collect();
    let frames = pieces(&outer, PIECE);
    assert!(b.wire(OUTSIDE).inject(&frames[0]) && b.wire(OUTSIDE).inject(&frames[1]));
    b.benches[0].worker.turn(b.now);
    assert_eq!(b.dropped(DropReason::NoFrame), 2, "both pieces");
    drop(held);
    assert_eq!(b.loses(OUTSIDE, &frames[2]), DropReason::NoFrame, "part of a packet that is lost");
    let small = udp_packet(End::A, false, 900);
    let peer = Peer::new(agreement, End::A);
    let small = pieces(&renumber(below(&peer.frame(2, &small)).to_vec(), 9), 400);
    assert_eq!(feed_all(&mut b, &small)[INSIDE].len(), 1);
    let again = pieces(&renumber(outer, 10), PIECE);
    assert!(feed_all(&mut b, &again)[KERNEL] == [inner]);
    b.now += Duration::from_secs(1);
    b.turn();
    at_rest(&b);
}

#[test]
fn both_ends_of_an_sa_count_the_octets_of_inner_packets() {
    for suite in [Agreement::GCM, Agreement::CBC, Agreement::NULL] {
        let agreement = Agreement { suite, ..Agreement::usual() };
        let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
        let mut octets = 0;
        for len in [0, 1, 13, 500, 1300, 1500] {
            let packet = udp_packet(End::A, false, len);
            let sealed = a.feed(INSIDE, &ethernet(&packet));
            octets += packet.len() + 20 * (sealed[OUTSIDE].len() - 1);
            feed_all(&mut b, &sealed[OUTSIDE]);
        }
        let count = |gateway: &Gateway| {
            let sa = gateway.shared.region.sa(7).unwrap();
            (sa.packets, sa.bytes)
        };
        assert_eq!(count(&a), count(&b), "{suite}");
        assert_eq!(count(&a), (7, octets as u64), "{suite}");
    }
}

#[test]
fn a_byte_lifetime_ends_with_the_same_packet_at_both_ends() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (Gateway::new(End::A), Gateway::new(End::B));
    for gateway in [&mut a, &mut b] {
        agreement.install(gateway, |sa| sa.lifetime.hard_bytes = 250);
    }
    for _ in 0..3 {
        let sealed = a.pass(INSIDE, &ethernet(&udp_packet(End::A, false, 72)), OUTSIDE);
        b.pass(OUTSIDE, &sealed, INSIDE);
    }
    assert_eq!(a.loses(INSIDE, &ethernet(&udp_packet(End::A, false, 72))), DropReason::Expired);
    let more = Peer::new(agreement, End::A).frame(9, &udp_packet(End::A, false, 72));
    assert_eq!(b.loses(OUTSIDE, &more), DropReason::Expired);
    for gateway in [&a, &b] {
        let sa = gateway.shared.region.sa(7).unwrap();
        assert_eq!((sa.packets, sa.bytes), (3, 300), "{:?}", gateway.end);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn pieces_of_nothing_in_any_place_end_somewhere(
        parts in proptest::collection::vec((0u16..6, 0usize..8192, 0usize..1500, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut b = Agreement::usual().gateway(End::B);
        let outer = |v6| ip_packet(End::A.outer(v6), End::B.outer(v6), IpProtocol::ESP, 0, 64, &[7; 16]);
        let header = outer(false)[..20].to_vec();
        for (id, offset, len, more, v6) in parts {
            let payload = vec![id as u8; len];
            let packet = if v6 {
                let whole = [&outer(true)[..40], &vec![0; offset * 8], &payload, &[0; 8]].concat();
                let cuts = if more { vec![offset * 8, offset * 8 + len - len % 8] } else { vec![offset * 8] };
                cut_v6(&whole, &cuts).swap_remove(1)
            } else {
                fragment_v4(&renumber(header.clone(), id), offset * 8, &payload, more)
            };
            b.wire(OUTSIDE).inject(&ethernet(&packet));
            b.turn(); // asserts that frames are conserved
            b.now += Duration::from_millis(7);
        }
        b.now += Duration::from_secs(5);
        b.turn();
        at_rest(&b);
    }
}
