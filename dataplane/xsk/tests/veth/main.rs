//! Our sockets against another implementation, over veth: as root, in a namespace of their own.
//!
//! veth has native XDP and copy mode only; zero copy needs a NIC and is not tested here.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod far;
mod lab;

use std::os::fd::AsFd;

use far::Far;
use lab::{Veth, alone, ip, length, packet, until};
use xsk::{BindFault, BindMode, Frame, Mode, Pool, Port, RingSizes, Socket, Umem};

/// A socket, its worker's pool, and what it has received.
struct Near {
    umem: &'static Umem,
    socket: Socket,
    pool: Pool,
    held: Vec<Frame>,
}

impl Near {
    fn open(umem: &'static Umem, veth: &Veth, queue: u32, ring: u32) -> Self {
        let mut near = Self {
            umem,
            socket: bind(umem, veth, queue, ring),
            pool: Pool::new(umem),
            held: Vec::new(),
        };
        near.socket.recycle(&mut near.pool);
        veth.near.feed(queue, near.socket.as_fd());
        near
    }

    fn turn(&mut self) {
        self.socket.receive(&mut self.held, 64);
        self.socket.recycle(&mut self.pool);
        self.socket.wake();
    }

    fn frame(&mut self, packet: &[u8]) -> Frame {
        let mut frame = self.pool.take().expect("a free frame");
        frame.fill(packet).unwrap();
        frame
    }

    /// Pool + spare + rings + held = all there are, and the book agrees.
    fn conserved(&self) {
        let (held, flying) = (self.pool.len() + self.held.len(), self.socket.in_flight());
        assert_eq!(held + self.umem.spare() + flying, self.umem.frames());
        let census = self.umem.census();
        assert_eq!((census.held, census.filling + census.sending), (held, flying));
    }
}

/// Binding again just after a close is refused until the kernel has done its deferred work.
fn bind(umem: &'static Umem, veth: &Veth, queue: u32, ring: u32) -> Socket {
    let mut socket = None;
    until("the queue to come free", || {
        let sizes = RingSizes::all(ring);
        match Socket::bind(umem, veth.near.ifindex, queue, BindMode::Any, sizes) {
            Ok(bound) => socket = Some(bound),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        socket.is_some()
    });
    socket.unwrap()
}

#[test]
fn packets_arrive_whole_in_both_directions() {
    alone(|| {
        let veth = Veth::new("both", 1);
        let mut far = Far::open(&veth.far, 0);
        let mut near = Near::open(Umem::new(512, 2048).unwrap(), &veth, 0, 128);
        assert_eq!(near.socket.mode(), Mode::Copy, "veth has no zero copy");
        let count = 5000;
        let (mut sent, mut there, mut back) = (0, 0, 0);
        until("all packets to come back", || {
            // A small window: what is lost, is lost by us and not by a full queue.
            if sent < count && sent - back < 64 && far.send(&packet(sent, length(sent))) {
                sent += 1;
            }
            near.turn();
            near.conserved();
            for frame in &near.held {
                assert_eq!(frame[..], packet(there, length(there)), "packet {there}");
                there += 1;
            }
            near.socket.transmit(&mut near.held);
            assert!(near.held.is_empty(), "the ring has room for the window");
            near.socket.wake();
            for packet_back in far.received() {
                assert_eq!(packet_back, packet(back, length(back)), "packet {back}");
                back += 1;
            }
            back == count
        });
        let seen = near.socket.statistics();
        assert_eq!((seen.received, seen.transmitted), (u64::from(count), u64::from(count)));
        assert_eq!((seen.bad_descriptors, seen.bad_indices, seen.tx_invalid), (0, 0, 0));
        until("all completions", || {
            near.turn();
            near.socket.statistics().completed == u64::from(count)
        });
        near.conserved();
    });
}

#[test]
fn moved_heads_are_sent_from_where_they_are() {
    alone(|| {
        let veth = Veth::new("head", 1);
        let mut far = Far::open(&veth.far, 0);
        let mut near = Near::open(Umem::new(512, 2048).unwrap(), &veth, 0, 64);
        for n in 0..300_u32 {
            let whole = packet(n, 600);
            assert!(far.send(&whole));
            until("the packet", || {
                near.turn();
                !near.held.is_empty()
            });
            let frame = &mut near.held[0];
            assert_eq!(frame.headroom(), xsk::HEADROOM, "where the kernel puts it");
            // Another Ethernet header before it, at each offset down to the frame's first octet;
            // or the packet shortened from its head; or one that ends with the frame.
            let expected = match n % 3 {
                0 => {
                    let header = packet(n, 14 + (n as usize * 7) % 243);
                    frame.push(header.len()).unwrap().copy_from_slice(&header);
                    [header, whole].concat()
                }
                1 => {
                    frame.pull(14 + n as usize);
                    frame[..14].copy_from_slice(&whole[..14]);
                    [&whole[..14], &whole[28 + n as usize..]].concat()
                }
                _ => {
                    frame.reset(2048 - 1514);
                    frame.fill(&packet(n, 1514)).unwrap();
                    assert_eq!(frame.tailroom(), 0);
                    packet(n, 1514)
                }
            };
            near.socket.transmit(&mut near.held);
            let mut got = Vec::new();
            until("the answer", || {
                near.turn();
                got.extend(far.received());
                !got.is_empty()
            });
            assert_eq!(got, [expected], "packet {n}");
        }
        assert_eq!(near.socket.statistics().tx_invalid, 0);
        near.conserved();
    });
}

#[test]
fn two_interfaces_share_the_umem_and_forward_without_a_copy() {
    alone(|| {
        let (lan, wan) = (Veth::new("lan", 1), Veth::new("wan", 1));
        let (mut host, mut peer) = (Far::open(&lan.far, 0), Far::open(&wan.far, 0));
        let umem = Umem::new(512, 2048).unwrap();
        let mut inside = Near::open(umem, &lan, 0, 64);
        let mut outside = Near::open(umem, &wan, 0, 64);
        assert_eq!((inside.socket.shares_umem(), outside.socket.shares_umem()), (false, true));
        let count = 5000;
        let (mut sent, mut there) = (0, 0);
        until("all packets to cross", || {
            if sent < count && sent - there < 32 && host.send(&packet(sent, length(sent))) {
                sent += 1;
            }
            inside.turn();
            let places: Vec<_> = inside.held.iter().map(|f| (f.index(), f.as_ptr())).collect();
            outside.held.append(&mut inside.held);
            for (frame, place) in outside.held.iter().zip(places) {
                assert_eq!((frame.index(), frame.as_ptr()), place, "the same octets");
            }
            outside.socket.transmit(&mut outside.held);
            assert!(outside.held.is_empty());
            // Completions go to the outside pool, receive frames leave the inside pool: the spare
            // queue brings them round.
            outside.socket.recycle(&mut outside.pool);
            outside.socket.wake();
            let pools = inside.pool.len() + outside.pool.len();
            let flying = inside.socket.in_flight() + outside.socket.in_flight();
            assert_eq!(pools + flying + umem.spare(), umem.frames());
            for arrived in peer.received() {
                assert_eq!(arrived, packet(there, length(there)));
                there += 1;
            }
            there == count
        });
        assert_eq!(outside.socket.statistics().refused, 0);
    });
}

#[test]
fn full_rings_lose_nothing_of_ours_and_recover() {
    alone(|| {
        let veth = Veth::new("full", 1);
        let mut far = Far::open(&veth.far, 0);
        let umem = Umem::new(256, 2048).unwrap();
        let mut near = Near::open(umem, &veth, 0, 16);

        // In: 16 fit, the kernel drops and counts the others.
        for n in 0..100 {
            until("a far frame", || far.send(&packet(n, 60)));
        }
        until("the drops to be counted", || {
            let seen = near.socket.statistics();
            seen.rx_ring_full + seen.fill_ring_empty + seen.rx_dropped >= 84
        });
        near.socket.receive(&mut near.held, 1000);
        assert_eq!(near.held.len(), 16);
        near.conserved();
        near.held.clear();
        near.socket.recycle(&mut near.pool);
        until("a far frame", || far.send(&packet(1000, 60)));
        until("packets to flow again", || {
            near.turn();
            !near.held.is_empty()
        });
        assert_eq!(near.held[0][..], packet(1000, 60));
        near.held.clear();

        // Out: the ring takes 16, the rest stays with the caller, in order.
        let mut batch: Vec<Frame> = (0..100).map(|n| near.frame(&packet(n, 80))).collect();
        assert_eq!(near.socket.transmit(&mut batch), 16);
        assert_eq!(near.socket.transmit(&mut batch), 0);
        assert_eq!((batch.len(), &batch[0][..]), (84, &packet(16, 80)[..]));
        let mut got = Vec::new();
        until("all to leave", || {
            near.turn();
            near.socket.transmit(&mut batch);
            got.extend(far.received());
            got.len() == 100
        });
        assert!((0..).zip(&got).all(|(n, p)| *p == packet(n, 80)));
        near.turn();
        near.conserved();
    });
}

#[test]
fn frames_of_a_closed_socket_come_home_and_the_queue_can_be_bound_again() {
    alone(|| {
        let veth = Veth::new("bind", 1);
        let mut far = Far::open(&veth.far, 0);
        let umem = Umem::new(256, 2048).unwrap();
        for round in 0..5 {
            let mut near = Near::open(umem, &veth, 0, 64);
            // Some frames in each ring when it closes: received, to be sent, completed.
            (0..8).for_each(|n| assert!(far.send(&packet(n, 60))));
            let mut batch: Vec<Frame> = (0..8).map(|n| near.frame(&packet(n, 60))).collect();
            near.socket.transmit(&mut batch);
            if round % 2 == 0 {
                near.socket.wake();
            }
            assert!(near.socket.in_flight() > 64);
            drop(near);
            let census = umem.census();
            assert_eq!((census.filling, census.sending), (0, 0));
            assert_eq!(umem.spare(), umem.frames());
            far.received();
        }
        let mut near = Near::open(umem, &veth, 0, 64);
        until("traffic after all that", || {
            far.send(&packet(7, 100));
            near.turn();
            !near.held.is_empty()
        });
        assert_eq!(near.held[0][..], packet(7, 100));
        near.conserved();
    });
}

#[test]
fn each_queue_has_its_socket() {
    alone(|| {
        let veth = Veth::new("mq", 2);
        let umem = Umem::new(512, 2048).unwrap();
        let mut ends: Vec<(Far, Near)> =
            (0..2).map(|q| (Far::open(&veth.far, q), Near::open(umem, &veth, q, 64))).collect();
        for n in 0..500 {
            let (far, near) = &mut ends[n as usize % 2];
            assert!(far.send(&packet(n, length(n))));
            until("the packet on its queue", || {
                near.turn();
                !near.held.is_empty()
            });
            assert_eq!(near.held[0][..], packet(n, length(n)));
            near.socket.transmit(&mut near.held);
            let mut back = Vec::new();
            until("the packet back on its queue", || {
                near.turn();
                back.extend(far.received());
                !back.is_empty()
            });
            assert_eq!(back, [packet(n, length(n))]);
        }
        for (_, near) in &ends {
            let seen = near.socket.statistics();
            assert_eq!((seen.received, seen.transmitted), (250, 250));
        }
        let pools: usize = ends.iter().map(|(_, n)| n.pool.len() + n.socket.in_flight()).sum();
        assert_eq!(pools + umem.spare(), umem.frames());
    });
}

#[test]
fn a_refused_bind_says_what_is_wrong() {
    alone(|| {
        let veth = Veth::new("err", 1);
        let umem = Umem::new(256, 2048).unwrap();
        let try_bind = |ifindex, queue, mode| {
            Socket::bind(umem, ifindex, queue, mode, RingSizes::all(64)).map(|s| s.mode())
        };
        let fault = |ifindex, queue, mode| try_bind(ifindex, queue, mode).unwrap_err().fault;
        let near = veth.near.ifindex;
        assert_eq!(fault(near, 0, BindMode::ZeroCopy), BindFault::NoZeroCopy);
        assert_eq!(fault(9999, 0, BindMode::Any), BindFault::NoInterface);
        assert_eq!(fault(near, 1, BindMode::Any), BindFault::NoQueue);
        let first = bind(umem, &veth, 0, 64);
        assert_eq!(fault(near, 0, BindMode::Copy), BindFault::Busy, "bound by ourselves");
        assert_eq!(fault(near, 0, BindMode::Any), BindFault::Busy);
        let other = Umem::new(256, 2048).unwrap();
        let busy = Socket::bind(other, near, 0, BindMode::Copy, RingSizes::all(64)).unwrap_err();
        assert!(busy.is_transient(), "bound by somebody else: {busy}");
        drop(first);
        assert_eq!((umem.spare(), other.spare()), (256, 256), "no frame is lost on the way");
    });
}

#[test]
fn an_interface_that_goes_away_takes_no_frame_with_it() {
    alone(|| {
        let (old, other) = (Veth::new("old", 1), Veth::new("new", 1));
        let umem = Umem::new(256, 2048).unwrap();
        // The first socket registers the UMEM, and its interface is the one that goes.
        let mut near = Near::open(umem, &old, 0, 64);
        let frame = near.frame(&packet(0, 60));
        near.socket.transmit(&mut vec![frame]);
        ip("link del xsktoldn");
        near.socket.wake();
        assert_eq!(near.socket.statistics().wake_errors, 1, "the device is gone");
        near.conserved();
        // Nobody to share with any more, though the dead socket still stands in the list.
        let mut far = Far::open(&other.far, 0);
        let mut alive = Near::open(umem, &other, 0, 64);
        assert!(!alive.socket.shares_umem());
        drop(near);
        assert!(far.send(&packet(1, 60)));
        until("traffic on the other interface", || {
            alive.turn();
            !alive.held.is_empty()
        });
        alive.conserved();
    });
}

#[test]
fn one_wake_up_sends_more_than_the_kernels_default() {
    alone(|| {
        let veth = Veth::new("bud", 1);
        let _far = Far::open(&veth.far, 0);
        let mut near = Near::open(Umem::new(512, 2048).unwrap(), &veth, 0, 128);
        let mut batch: Vec<Frame> = (0..64).map(|n| near.frame(&packet(n, 60))).collect();
        assert_eq!(near.socket.transmit(&mut batch), 64);
        near.socket.wake();
        // XDP_MAX_TX_SKB_BUDGET came with Linux 6.17; before it, 32 leave by one call.
        let at_once = if kernel() >= (6, 17) { 64 } else { 32 };
        until("the completions of one wake-up", || {
            near.socket.recycle(&mut near.pool);
            near.socket.statistics().completed >= at_once
        });
        assert_eq!(near.socket.statistics().completed, at_once);
    });
}

fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_str().unwrap().to_owned();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
