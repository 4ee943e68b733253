//! Lifetimes, numbers that run out, neighbours that do not answer, and packets that change hands.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use core::time::Duration;
use dataplane::Notice;
use sadb::sa::Lifetime;
use sadb::{Counter, DropReason, Refusal};
use wire::{esp, ip};

fn numbers(frames: &[Vec<u8>]) -> Vec<u32> {
    let number = |frame: &Vec<u8>| {
        let packet = ip::Packet::parse(below(frame)).unwrap();
        esp::Esp::parse(packet.upper()).unwrap().sequence()
    };
    frames.iter().map(number).collect()
}

fn expire(spi: u32, slot: u32, hard: bool) -> Notice {
    Notice::Expire { slot, spi, hard }
}

#[test]
fn numbers_stop_at_their_limit_and_never_start_again() {
    let agreement = Agreement { esn: false, ..Agreement::usual() };
    let mut a = Gateway::new(End::A);
    agreement.install(&mut a, |sa| sa.initial_sequence = u64::from(u32::MAX) - 3);
    for _ in 0..6 {
        assert!(a.wire(INSIDE).inject(&ethernet(&udp_packet(End::A, false, 9))));
    }
    a.turn();
    assert_eq!(numbers(&a.drain(OUTSIDE)), [u32::MAX - 2, u32::MAX - 1, u32::MAX]);
    assert_eq!(a.dropped(DropReason::SequenceExhausted), 3);
    for _ in 0..3 {
        a.loses(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
    }
    let told = a.notices();
    let spi = Agreement::spi(End::A);
    assert_eq!(
        told.iter().filter(|notice| **notice == expire(spi, 7, true)).count(),
        1,
        "{told:?}"
    );
}

#[test]
fn a_packet_lifetime_warns_once_ends_once_and_is_exact() {
    let mut a = Gateway::new(End::A);
    let lifetime = Lifetime { soft_packets: 4, hard_packets: 7, ..Lifetime::default() };
    Agreement::usual().install(&mut a, |sa| sa.lifetime = lifetime);
    let spi = Agreement::spi(End::A);
    let mut sent = 0;
    for (packets, notices) in [
        (3, vec![]),
        (2, vec![expire(spi, 7, false)]),
        (1, vec![]),
        (5, vec![expire(spi, 7, true)]),
        (1, vec![]),
    ] {
        for _ in 0..packets {
            assert!(a.wire(INSIDE).inject(&ethernet(&udp_packet(End::A, false, 9))));
        }
        a.turn();
        sent += a.drain(OUTSIDE).len();
        let told: Vec<_> =
            a.notices().into_iter().filter(|n| matches!(n, Notice::Expire { .. })).collect();
        assert_eq!(told, notices, "after {packets} more");
    }
    assert_eq!(sent, 7);
    assert_eq!(a.dropped(DropReason::Expired), 5);
}

#[test]
fn a_byte_lifetime_ends_with_the_packet_that_reaches_it() {
    let mut a = Gateway::new(End::A);
    let lifetime = Lifetime { hard_bytes: 250, ..Lifetime::default() };
    Agreement::usual().install(&mut a, |sa| sa.lifetime = lifetime);
    for _ in 0..5 {
        assert!(a.wire(INSIDE).inject(&ethernet(&udp_packet(End::A, false, 72)))); // 100 octets each
    }
    a.turn();
    assert_eq!(a.drain(OUTSIDE).len(), 3);
    assert_eq!(a.dropped(DropReason::Expired), 2);
}

#[test]
fn a_time_lifetime_ends_both_directions_and_idle_sas_too() {
    let agreement = Agreement::usual();
    let lifetime = Lifetime { soft_seconds: 60, hard_seconds: 100, ..Lifetime::default() };
    let (mut a, mut b) = (Gateway::new(End::A), Gateway::new(End::B));
    agreement.install(&mut a, |sa| sa.lifetime = lifetime);
    agreement.install(&mut b, |sa| sa.lifetime = lifetime);
    let peer = Peer::new(agreement, End::A);
    let inner = udp_packet(End::A, false, 9);
    b.pass(OUTSIDE, &peer.frame(1, &inner), INSIDE);
    for gateway in [&mut a, &mut b] {
        gateway.now += Duration::from_secs(61);
        let mut told = Vec::new();
        for _ in 0..2 {
            gateway.shared.sad.tick(gateway.now, |notice| told.push(notice));
        }
        assert_eq!(told.len(), 2, "each SA once: {told:?}");
        gateway.now += Duration::from_secs(60);
    }
    assert_eq!(a.loses(INSIDE, &ethernet(&inner)), DropReason::Expired);
    b.feed(OUTSIDE, &peer.frame(2, &inner)); // the batch that notices may still pass
    assert_eq!(b.loses(OUTSIDE, &peer.frame(3, &inner)), DropReason::Expired);
}

#[test]
fn a_packet_waits_for_its_neighbour_and_goes_when_it_is_known() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| world.neighbours.clear());
    for _ in 0..3 {
        let out = a.feed(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
        assert!(out.iter().all(Vec::is_empty));
    }
    let asked = Notice::Resolve { ifindex: 11, address: End::B.outer(false) };
    assert_eq!(a.notices(), [asked], "asked once");
    assert_eq!(a.counted(Counter::WaitedForNeighbour), 3);
    a.tables(|_| {});
    a.turn();
    assert_eq!(numbers(&a.drain(OUTSIDE)), [1, 2, 3]);
}

#[test]
fn waiting_is_bounded_in_number_and_time() {
    let mut a = Agreement::usual().gateway(End::A);
    a.tables(|world| world.neighbours.clear());
    for _ in 0..80 {
        a.feed(INSIDE, &ethernet(&udp_packet(End::A, false, 9)));
    }
    assert_eq!(a.dropped(DropReason::NoNeighbour), 16, "64 may wait");
    a.now += Duration::from_secs(1);
    a.turn();
    assert_eq!(a.dropped(DropReason::NoNeighbour), 80);
}

#[test]
fn no_way_out_is_named() {
    let mut a = Agreement::usual().gateway(End::A);
    let packet = ethernet(&udp_packet(End::A, false, 9));
    a.tables(|world| world.interfaces[OUTSIDE].up = false);
    assert_eq!(a.loses(INSIDE, &packet), DropReason::InterfaceDown);
    a.tables(|world| world.routes.retain(|route| route.prefix_len != 0));
    assert_eq!(a.loses(INSIDE, &packet), DropReason::NoRoute);
    a.tables(|world| world.interfaces[OUTSIDE].ifindex = 99);
    assert_eq!(a.loses(INSIDE, &packet), DropReason::InterfaceDown, "a link that is not ours");
}

#[test]
fn a_full_transmit_ring_keeps_frames_and_then_drops_them_by_name() {
    let mut a = Gateway::with(End::A, 1, 2048, 2048);
    Agreement::usual().install(&mut a, |_| {});
    let packet = ethernet(&udp_packet(End::A, false, 9));
    for _ in 0..40 {
        for _ in 0..32 {
            assert!(a.wire(INSIDE).inject(&packet));
        }
        a.turn(); // nobody takes what is sent: 64 in the ring, 1024 in the queue
    }
    assert_eq!(a.dropped(DropReason::TxFull), 40 * 32 - 64 - 1024);
    let mut out = 0;
    loop {
        let taken = a.drain(OUTSIDE).len();
        if taken == 0 && !a.turn() {
            break;
        }
        out += taken;
    }
    assert_eq!(out, 64 + 1024, "what was kept leaves when there is room");
}

#[test]
fn an_empty_umem_is_named_and_survived() {
    let mut a = Gateway::with(End::A, 1, 200, 2048); // three rings of 64 take nearly all
    Agreement::usual().install(&mut a, |_| {});
    let packet = ethernet(&udp_packet(End::A, false, 1500));
    for _ in 0..30 {
        assert!(a.wire(INSIDE).inject(&packet));
    }
    a.turn();
    assert!(a.dropped(DropReason::NoFrame) > 0);
}

#[test]
fn packets_change_hands_to_the_worker_that_owns_their_sa() {
    let agreement = Agreement::usual();
    let mut a = Gateway::with(End::A, 2, FRAMES, 2048);
    agreement.install(&mut a, |_| {}); // slot 7: worker 1 of 2
    for n in 0..5 {
        assert!(a.wire(INSIDE).inject(&ethernet(&udp_packet(End::A, false, 9 + n))));
    }
    assert!(!a.benches[1].worker.has_mail());
    let now = a.now;
    a.benches[0].worker.turn(now);
    a.conserved();
    assert_eq!((a.shared.in_handoff(), a.drain(OUTSIDE).len()), (5, 0));
    assert!(a.benches[1].worker.has_mail());
    a.benches[1].worker.turn(now);
    a.conserved();
    let out: Vec<_> = core::iter::from_fn(|| a.benches[1].wires[OUTSIDE].take()).collect();
    assert_eq!(numbers(&out), [1, 2, 3, 4, 5], "in the order of their arrival");
    assert_eq!(a.counted(Counter::HandedOff), 5);
    // what the owner itself receives, it keeps
    assert!(a.benches[1].wires[INSIDE].inject(&ethernet(&udp_packet(End::A, false, 9))));
    a.benches[1].worker.turn(now);
    assert!(a.benches[1].wires[OUTSIDE].take().is_some());
}

#[test]
fn a_full_inbox_drops_by_name() {
    let mut a = Gateway::with(End::A, 2, 4096, 2048);
    Agreement::usual().install(&mut a, |_| {});
    let now = a.now;
    for _ in 0..36 {
        for _ in 0..32 {
            assert!(a.wire(INSIDE).inject(&ethernet(&udp_packet(End::A, false, 9))));
        }
        a.benches[0].worker.turn(now);
    }
    a.conserved();
    assert_eq!(a.shared.in_handoff(), 1024);
    assert_eq!(a.dropped(DropReason::HandoffFull), 36 * 32 - 1024);
}

#[test]
fn two_workers_share_one_window() {
    let agreement = Agreement::usual();
    let mut b = Gateway::with(End::B, 2, FRAMES, 2048);
    agreement.install(&mut b, |_| {});
    let peer = Peer::new(agreement, End::A);
    let frame = peer.frame(1, &udp_packet(End::A, false, 9));
    for bench in 0..2 {
        assert!(b.benches[bench].wires[OUTSIDE].inject(&frame));
    }
    b.turn();
    assert_eq!(b.drain(INSIDE).len(), 1);
    assert_eq!(b.dropped(DropReason::ReplayDuplicate), 1);
}

#[test]
fn what_an_sa_must_not_be_is_refused() {
    let agreement = Agreement::usual();
    let b = Gateway::new(End::B);
    let good = agreement.sa(End::A, End::B);
    let keys = agreement.keys(End::A);
    let change = |change: fn(&mut sadb::Sa)| {
        let mut sa = good;
        change(&mut sa);
        b.shared.sad.check(&sa, &keys)
    };
    assert_eq!(change(|_| {}), Ok(()));
    assert_eq!(change(|sa| sa.slot = 64), Err(Refusal::BadSlot));
    assert_eq!(change(|sa| sa.tunnel = 64), Err(Refusal::UnknownTunnel));
    assert_eq!(change(|sa| sa.spi = 255), Err(Refusal::ReservedSpi));
    assert_eq!(change(|sa| sa.suite.encryption = 999), Err(Refusal::UnknownSuite));
    assert_eq!(change(|sa| sa.suite.key_bits = 256), Err(Refusal::BadKeyLength));
    assert_eq!(change(|sa| sa.remote = ip("2001:db8::9")), Err(Refusal::BadAddresses));
    assert_eq!(change(|sa| sa.remote = ip("224.0.0.1")), Err(Refusal::BadAddresses));
    assert_eq!(change(|sa| sa.replay_window = 0), Err(Refusal::BadWindow));
    assert_eq!(change(|sa| sa.replay_window = 33), Err(Refusal::BadWindow));
    let mut out = agreement.sa(End::B, End::B);
    out.initial_sequence = 1 << 40;
    assert_eq!(b.shared.sad.check(&out, &keys), Err(Refusal::BadSequence));
}

#[test]
fn an_sa_is_changed_in_place_and_removed_without_a_trace() {
    let agreement = Agreement::usual();
    let mut a = agreement.gateway(End::A);
    let packet = ethernet(&udp_packet(End::A, false, 9));
    a.pass(INSIDE, &packet, OUTSIDE);
    let mut moved = agreement.sa(End::A, End::A);
    moved.remote = ip("198.51.100.9");
    moved.encap = sadb::Encap::Udp { local: 4500, remote: 6000 };
    a.shared.sad.update(&moved).unwrap();
    let sealed = a.pass(INSIDE, &packet, OUTSIDE);
    let outer = ip::Packet::parse(below(&sealed)).unwrap();
    assert_eq!((outer.dst(), outer.ports()), (moved.remote, Some((4500, 6000))));
    let header = esp::Esp::parse(&outer.upper()[8..]).unwrap();
    assert_eq!(header.sequence(), 2, "the numbers go on");
    let mut other = moved;
    other.spi ^= 1;
    assert_eq!(a.shared.sad.update(&other), Err(Refusal::NoSuchSa));
    assert_eq!(a.shared.sad.delete(7, other.spi), Err(Refusal::NoSuchSa));
    assert_eq!(a.shared.sad.flush().len(), 2);
    assert_eq!(a.loses(INSIDE, &packet), DropReason::NoOutboundSa);
    assert_eq!(
        a.loses(OUTSIDE, &Peer::new(agreement, End::B).frame(1, &udp_packet(End::B, false, 9))),
        DropReason::NoSa
    );
}
