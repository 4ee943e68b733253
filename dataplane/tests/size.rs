//! MTU, DF and fragments, inner and outer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use core::time::Duration;
use sadb::sa::DontFragment;
use sadb::{Counter, DropReason};
use wire::iana::IpProtocol;
use wire::{icmp, icmpv6, ip, ipv4};

const MAX_GCM_RAW_V4: usize = 1446;

fn outer_df(frame: &[u8]) -> bool {
    ip::Packet::parse(below(frame)).unwrap().dont_fragment()
}

#[test]
fn the_largest_packet_that_fits_passes_and_one_octet_more_is_told_the_number() {
    for suite in [Agreement::GCM, Agreement::CBC, Agreement::NULL] {
        for (outer_v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
            let agreement = Agreement { suite, outer_v6, udp, esn: true };
            let mut a = agreement.gateway(End::A);
            let most = dataplane::pmtu::max_inner(1500, suite.into(), agreement.encap(), outer_v6);
            let fits = dont_fragment(udp_packet(End::A, false, most - 28));
            let sealed = a.pass(INSIDE, &ethernet(&fits), OUTSIDE);
            assert!(sealed.len() - 14 <= 1500 && sealed.len() - 14 + suite.block() > 1500);
            let over = dont_fragment(udp_packet(End::A, false, most - 27));
            let answer = a.pass(INSIDE, &ethernet(&over), INSIDE);
            let error = ip::Packet::parse(below(&answer)).unwrap();
            assert_eq!((error.src(), error.dst()), (End::A.inside(false), End::A.host(false)));
            let message = icmp::Icmp::parse(error.upper()).unwrap();
            assert_eq!(message.next_hop_mtu(), Some(most as u16), "{agreement:?}");
            assert_eq!(message.quoted().unwrap().dst(), End::B.host(false));
        }
    }
}

#[test]
fn ipv6_is_never_cut_and_never_told_less_than_1280() {
    for (mtu, told) in [(1500, 1446), (1300, 1280)] {
        let mut a = Agreement::usual().gateway(End::A);
        a.tables(|world| world.mtu(OUTSIDE, mtu));
        let answer = a.pass(INSIDE, &ethernet(&udp_packet(End::A, true, 1440)), INSIDE);
        let packet = ip::Packet::parse(below(&answer)).unwrap();
        let six = packet.v6().unwrap();
        let error = icmpv6::Icmpv6::parse(six.src(), six.dst(), packet.upper()).unwrap();
        assert_eq!(error.mtu(), Some(told));
        assert_eq!(packet.src(), End::A.inside(true));
        assert_eq!(a.dropped(DropReason::TooBig), 1);
        assert_eq!(a.counted(Counter::TooBigSent), 1);
    }
}

#[test]
fn the_kernel_is_told_by_the_destination_so_that_it_believes_it() {
    let mut a = Agreement::usual().gateway(End::A);
    let packet = dont_fragment(udp_between(End::A.inside(false), End::B.host(false), 1, 2, 1460));
    let answer = a.pass(KERNEL, &packet, KERNEL);
    let error = ip::Packet::parse(&answer).unwrap();
    assert_eq!((error.src(), error.dst()), (End::B.host(false), End::A.inside(false)));
}

#[test]
fn an_error_about_what_came_out_of_the_tunnel_goes_back_into_it() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    b.tables(|world| world.mtu(INSIDE, 1000));
    for v6 in [false, true] {
        let packet = udp_packet(End::A, v6, 1300);
        let packet = if v6 { packet } else { dont_fragment(packet) };
        let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
        let back = b.pass(OUTSIDE, &sealed, OUTSIDE);
        let error = a.pass(OUTSIDE, &back, INSIDE);
        let error = ip::Packet::parse(below(&error)).unwrap();
        assert_eq!((error.src(), error.dst()), (End::B.inside(v6), End::A.host(v6)));
    }
    // with DF clear it is cut for the narrow link
    let packet = udp_packet(End::A, false, 1300);
    let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
    let out = b.feed(OUTSIDE, &sealed);
    assert_eq!(out[INSIDE].len(), 2);
    assert_eq!(below(&joined(&out[INSIDE]))[28..], packet[28..]);
}

/// Puts IPv4 fragments back together, as a test may: all there, in order.
fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = frames[0].clone();
    for (index, frame) in frames.iter().enumerate() {
        let packet = ipv4::Ipv4::parse(below(frame)).unwrap();
        assert_eq!(packet.more_fragments(), index + 1 < frames.len());
        if index > 0 {
            assert_eq!(usize::from(packet.fragment_offset()), whole.len() - 34);
            whole.extend_from_slice(packet.payload());
        }
    }
    whole
}

#[test]
fn without_df_packets_are_cut_before_encryption_and_arrive_whole() {
    let agreement = Agreement::usual();
    for (mtu, pieces, len) in [(1500, 2, 1500), (576, 3, 1400), (1500, 2, MAX_GCM_RAW_V4 - 27)] {
        let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
        a.tables(|world| world.mtu(OUTSIDE, mtu));
        let packet = udp_packet(End::A, false, len);
        let out = a.feed(INSIDE, &ethernet(&packet));
        assert_eq!(out[OUTSIDE].len(), pieces, "mtu {mtu} len {len}");
        assert!(out[OUTSIDE].iter().all(|frame| frame.len() - 14 <= mtu.into()));
        let opened: Vec<_> =
            out[OUTSIDE].iter().map(|frame| b.pass(OUTSIDE, frame, INSIDE)).collect();
        assert_eq!(joined(&opened)[14 + 20..], packet[20..]);
        assert_eq!(a.counted(Counter::Fragmented), 1);
    }
}

#[test]
fn a_fragment_that_is_cut_again_keeps_its_place() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    a.tables(|world| world.mtu(OUTSIDE, 576));
    let packet = udp_packet(End::A, false, 1600);
    let mut arrived = Vec::new();
    for piece in cut_v4(&packet, &[800]) {
        for sealed in &a.feed(INSIDE, &ethernet(&piece))[OUTSIDE] {
            arrived.push(b.pass(OUTSIDE, sealed, INSIDE));
        }
    }
    assert!(arrived.len() >= 4);
    assert_eq!(joined(&arrived)[14 + 20..], packet[20..]);
}

#[test]
fn options_are_copied_into_later_fragments_only_if_they_ask_for_it() {
    let agreement = Agreement::usual();
    let (mut a, mut b) = (agreement.gateway(End::A), agreement.gateway(End::B));
    let plain = udp_packet(End::A, false, 1480);
    // router alert (copied) and a record route (not copied)
    let options = [0x94, 4, 0, 0, 7, 3, 4, 0];
    let mut packet = [&plain[..20], &options, &plain[20..]].concat();
    packet[0] = 0x47;
    let total = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&total);
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = wire::checksum::checksum(&packet[..28]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let out = a.feed(INSIDE, &ethernet(&packet));
    let opened: Vec<_> = out[OUTSIDE].iter().map(|frame| b.pass(OUTSIDE, frame, INSIDE)).collect();
    let options = |frame: &Vec<u8>| ipv4::Ipv4::parse(below(frame)).unwrap().options().to_vec();
    assert_eq!(
        opened.iter().map(options).collect::<Vec<_>>(),
        [vec![0x94, 4, 0, 0, 7, 3, 4, 0], vec![0x94, 4, 0, 0]]
    );
}

#[test]
fn df_of_the_outer_header_is_copied_set_or_cleared() {
    for (rule, inner, outer) in [
        (DontFragment::Copy, false, false),
        (DontFragment::Copy, true, true),
        (DontFragment::Set, false, true),
        (DontFragment::Set, true, true),
        (DontFragment::Clear, false, false),
        (DontFragment::Clear, true, false),
    ] {
        let mut a = Gateway::new(End::A);
        Agreement::usual().install(&mut a, |sa| sa.dont_fragment = rule);
        let mut packet = udp_packet(End::A, false, 100);
        ipv4::set_dont_fragment(&mut packet, inner).unwrap();
        let sealed = a.pass(INSIDE, &ethernet(&packet), OUTSIDE);
        assert_eq!(outer_df(&sealed), outer, "{rule:?} {inner}");
    }
}

#[test]
fn ipv4_identifications_differ_from_packet_to_packet() {
    let mut a = Agreement::usual().gateway(End::A);
    let mut id = || {
        let sealed = a.pass(INSIDE, &ethernet(&udp_packet(End::A, false, 9)), OUTSIDE);
        ipv4::Ipv4::parse(below(&sealed)).unwrap().id()
    };
    let ids = [id(), id(), id()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

/// Outer fragments of one ESP packet, over both families, and the packet inside.
fn outer_fragments(udp: bool, v6: bool, cuts: &[usize]) -> (Gateway, Vec<Vec<u8>>, Vec<u8>) {
    let agreement = Agreement { outer_v6: v6, udp, ..Agreement::usual() };
    let inner = udp_packet(End::A, false, 900);
    let frame = Peer::new(agreement, End::A).frame(1, &inner);
    let packet = below(&frame);
    let pieces = if v6 { cut_v6(packet, cuts) } else { cut_v4(packet, cuts) };
    let frames = pieces.iter().map(|piece| ethernet(piece)).collect();
    (agreement.gateway(End::B), frames, inner)
}

#[test]
fn outer_fragments_are_put_together_in_any_order() {
    for udp in [false, true] {
        for v6 in [false, true] {
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0]] {
                let (mut b, frames, inner) = outer_fragments(udp, v6, &[8, 504]);
                for &at in &order[..2] {
                    let out = b.feed(OUTSIDE, &frames[at]);
                    assert!(out.iter().all(Vec::is_empty));
                }
                let out = b.pass(OUTSIDE, &frames[order[2]], INSIDE);
                assert_eq!(below(&out), forwarded(inner, 1), "udp {udp} v6 {v6} {order:?}");
                assert_eq!(b.counted(Counter::Reassembled), 1);
            }
        }
    }
}

#[test]
fn overlapping_fragments_lose_the_whole_packet() {
    for v6 in [false, true] {
        let (mut b, frames, _) = outer_fragments(false, v6, &[400]);
        let (_, others, _) = outer_fragments(false, v6, &[392]);
        b.feed(OUTSIDE, &frames[0]);
        assert_eq!(b.loses(OUTSIDE, &others[1]), DropReason::FragmentOverlap);
        // RFC 5722 §3: what comes later of the same packet is lost with it
        assert_eq!(b.loses(OUTSIDE, &frames[1]), DropReason::FragmentOverlap);
        b.now += Duration::from_secs(1);
        b.turn();
        assert_eq!(b.dropped(DropReason::FragmentOverlap), 3, "the first fragment too");
        b.feed(OUTSIDE, &frames[0]);
        b.pass(OUTSIDE, &frames[1], INSIDE);
    }
}

#[test]
fn fragments_that_lie_about_the_end_are_refused() {
    let (mut b, frames, _) = outer_fragments(false, false, &[400, 800]);
    let header = &below(&frames[0])[..20];
    let lie = |offset, len, more| ethernet(&fragment_v4(header, offset, &vec![0; len], more));
    for second in [lie(800, 8, false), lie(1200, 8, true), lie(400, 0, true)] {
        let (mut b, frames, _) = outer_fragments(false, false, &[400, 800]);
        b.feed(OUTSIDE, &frames[2]); // the last: the end is known
        let why = b.loses(OUTSIDE, &second);
        assert_eq!(why, DropReason::FragmentOverlap);
    }
    // beyond 65 535 octets, and a middle that is no multiple of eight
    assert_eq!(b.loses(OUTSIDE, &lie(65528, 16, false)), DropReason::FragmentOverlap);
    assert_eq!(b.loses(OUTSIDE, &lie(8, 9, true)), DropReason::FragmentOverlap);
    // larger than a frame is no lie
    assert!(b.feed(OUTSIDE, &lie(4000, 16, false)).iter().all(Vec::is_empty));
    assert_eq!(b.umem.large().unwrap().spare(), LARGE as usize - 1);
}

#[test]
fn unfinished_reassemblies_are_bounded_in_number_and_time() {
    let (mut b, frames, _) = outer_fragments(false, false, &[400]);
    let header = below(&frames[0])[..20].to_vec();
    for id in 0..20u16 {
        let mut header = header.clone();
        header[4..6].copy_from_slice(&id.to_be_bytes());
        b.feed(OUTSIDE, &ethernet(&fragment_v4(&header, 0, &[0; 64], true)));
    }
    assert_eq!(
        b.dropped(DropReason::FragmentTimeout),
        16,
        "four may be open: the oldest made room"
    );
    b.now += Duration::from_millis(999);
    b.turn();
    assert_eq!(b.dropped(DropReason::FragmentTimeout), 16);
    b.now += Duration::from_millis(1);
    b.turn();
    assert_eq!(b.dropped(DropReason::FragmentTimeout), 20);
}

#[test]
fn fragments_of_ike_reach_the_kernel_whole() {
    let mut b = Agreement::usual().gateway(End::B);
    let (source, destination) = (End::A.outer(false), End::B.outer(false));
    let datagram = udp_datagram(source, destination, 500, 500, &[7; 600]);
    let whole = ip_packet(source, destination, IpProtocol::UDP, 0, 64, &datagram);
    let pieces = cut_v4(&whole, &[304]);
    b.feed(OUTSIDE, &ethernet(&pieces[1]));
    assert_eq!(b.pass(OUTSIDE, &ethernet(&pieces[0]), KERNEL), whole);
}

#[test]
fn congestion_on_one_fragment_is_congestion_on_the_whole() {
    for (first, second, fate) in [(2, 2, Ok(2)), (2, 3, Ok(3)), (3, 2, Ok(3)), (0, 3, Err(()))] {
        let (mut b, mut frames, _) = outer_fragments(false, false, &[400]);
        let inner = {
            let mut inner = udp_packet(End::A, false, 900);
            ipv4::set_tos(&mut inner, 2).unwrap();
            inner
        };
        let agreement = Agreement::usual();
        let sealed = Peer::new(agreement, End::A).frame(1, &inner);
        for (frame, (piece, ecn)) in
            frames.iter_mut().zip(cut_v4(below(&sealed), &[400]).into_iter().zip([first, second]))
        {
            let mut piece = piece;
            ipv4::set_tos(&mut piece, ecn).unwrap();
            *frame = ethernet(&piece);
        }
        b.feed(OUTSIDE, &frames[0]);
        match fate {
            Ok(ecn) => {
                let out = b.pass(OUTSIDE, &frames[1], INSIDE);
                assert_eq!(ip::Packet::parse(below(&out)).unwrap().tos(), ecn, "{first} {second}");
            }
            Err(()) => assert_eq!(b.loses(OUTSIDE, &frames[1]), DropReason::EcnIllegal),
        }
    }
}
