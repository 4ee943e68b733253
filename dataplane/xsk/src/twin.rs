//! A port in memory: the same rings and checks as a socket, with a [`Wire`] where the kernel
//! would be.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::net::xdp::{XdpDesc, XdpDescOptions};

use crate::frame::{Frame, HEADROOM};
use crate::pool::Pool;
use crate::port::{Port, Statistics};
use crate::ring::{self, Consumer, Producer};
use crate::rings::{RingSizes, Rings, Tenancy};
use crate::umem::{Place, PortId, Umem};

/// The port of the pair; give it to a worker.
#[derive(Debug)]
pub struct Twin {
    rings: Rings,
    _tenancy: Arc<Tenancy>,
}

/// The outside world of the pair. It may live on another thread than its twin; frames in their
/// rings come home when both are gone.
#[derive(Debug)]
pub struct Wire {
    fill: Consumer<u64>,
    receive: Producer<XdpDesc>,
    transmit: Consumer<XdpDesc>,
    completion: Producer<u64>,
    lost: u64,
    tenancy: Arc<Tenancy>,
}

impl Twin {
    /// A port over `umem` and its wire. Ring sizes are rounded up to powers of two.
    ///
    /// # Panics
    /// The heap has no room for the rings: a twin is for tests and benches.
    pub fn pair(umem: &'static Umem, sizes: RingSizes) -> (Self, Wire) {
        let round = |size: u32| size.clamp(1, 1 << 20).next_power_of_two();
        let sizes = RingSizes {
            fill: round(sizes.fill),
            completion: round(sizes.completion),
            receive: round(sizes.receive),
            transmit: round(sizes.transmit),
        };
        let port = umem.new_port();
        let tenancy = Arc::new(Tenancy { umem, port });
        let (fill, wire_fill) = ends(sizes.fill);
        let (wire_receive, receive) = ends(sizes.receive);
        let (transmit, wire_transmit) = ends(sizes.transmit);
        let (wire_completion, completion) = ends(sizes.completion);
        let (filling, sending, counts) = (0, 0, Statistics::default());
        let rings = Rings {
            umem,
            port,
            sizes,
            fill,
            receive,
            transmit,
            completion,
            filling,
            sending,
            counts,
        };
        let wire = Wire {
            fill: wire_fill,
            receive: wire_receive,
            transmit: wire_transmit,
            completion: wire_completion,
            lost: 0,
            tenancy: Arc::clone(&tenancy),
        };
        (Self { rings, _tenancy: tenancy }, wire)
    }
}

#[expect(clippy::panic, reason = "tests and benches only; see `Twin::pair`")]
fn ends<T: Copy>(size: u32) -> (Producer<T>, Consumer<T>) {
    ring::pair(size).unwrap_or_else(|| panic!("no memory for a ring of {size} entries"))
}

impl Port for Twin {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        self.rings.receive(into, max)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        self.rings.transmit(frames)
    }

    fn recycle(&mut self, pool: &mut Pool) {
        self.rings.recycle(pool);
    }

    fn wake(&mut self) {}

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_flight(&self) -> usize {
        self.rings.in_flight()
    }

    fn statistics(&self) -> Statistics {
        self.rings.counts
    }
}

impl Wire {
    /// A packet arrives. `false` if it was lost, as a device would lose it: no frame to receive
    /// into, receive ring full, or longer than a frame behind its headroom.
    pub fn inject(&mut self, packet: &[u8]) -> bool {
        let arrived = self.deliver(packet).is_some();
        self.lost += u64::from(!arrived);
        arrived
    }

    fn deliver(&mut self, packet: &[u8]) -> Option<()> {
        let umem = self.tenancy.umem;
        if packet.len() > umem.largest_packet() || self.receive.room(1).ok()? == 0 {
            return None;
        }
        self.fill.ready().ok()?;
        let address = self.fill.next()?;
        self.fill.release();
        let mut frame = umem.claim(umem.locate(address)?.0, Place::Filling(self.port()))?;
        frame.reset(HEADROOM);
        frame.fill(packet).ok()?;
        let (addr, len) = (frame.address(), frame.len() as u32);
        frame.settle(Place::Filling(self.port()));
        self.receive.stage(XdpDesc { addr, len, options: XdpDescOptions::empty() });
        self.receive.publish();
        Some(())
    }

    /// The oldest packet that the port has sent, if there is one.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.sent(<[u8]>::to_vec)
    }

    /// Hands the oldest packet that the port has sent to `look`, in place; `None` if there is none.
    pub fn sent<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let umem = self.tenancy.umem;
        if self.completion.room(1).ok()? == 0 {
            return None;
        }
        self.transmit.ready().ok()?;
        let desc = self.transmit.next()?;
        self.transmit.release();
        let (index, start) = umem.locate(desc.addr)?;
        let mut frame = umem.claim(index, Place::Sending(self.port()))?;
        frame.place(start, desc.len as usize).ok()?;
        let seen = look(&frame);
        frame.settle(Place::Sending(self.port()));
        self.completion.stage(desc.addr);
        self.completion.publish();
        Some(seen)
    }

    /// Carries what this wire's port has sent, up to `max` packets, to the port of `other`; answers
    /// how many were carried, those that `other` lost among them.
    pub fn carry_to(&mut self, other: &mut Self, max: usize) -> usize {
        (0..max).take_while(|_| self.sent(|packet| other.inject(packet)).is_some()).count()
    }

    /// Packets that `inject` could not deliver.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn port(&self) -> PortId {
        self.tenancy.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &[u8] = b"sixteen octets..";

    fn world(frames: u32, ring: u32) -> (&'static Umem, Pool, Twin, Wire) {
        let umem = Umem::new(frames, 2048).unwrap();
        let mut pool = Pool::keeping(umem, frames as usize);
        let (mut twin, wire) = Twin::pair(umem, RingSizes::all(ring));
        twin.recycle(&mut pool);
        (umem, pool, twin, wire)
    }

    /// Pool + spare + rings + held = all there are.
    fn conserved(umem: &Umem, pool: &Pool, twin: &Twin, held: usize) {
        assert_eq!(pool.len() + umem.spare() + twin.in_flight() + held, umem.frames());
        let census = umem.census();
        assert_eq!(census.filling + census.sending, twin.in_flight());
        assert_eq!(census.held, pool.len() + held);
    }

    #[test]
    fn packets_walk_through_and_every_frame_comes_back() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        let mut batch = Vec::new();
        let turns = if cfg!(miri) { 20 } else { 5000 };
        for n in 0..turns {
            let packet = [PACKET, &usize::to_be_bytes(n)].concat();
            assert!(wire.inject(&packet));
            assert_eq!(twin.receive(&mut batch, 4), 1);
            conserved(umem, &pool, &twin, 1);
            let index = batch[0].index();
            batch[0].push(20).unwrap().fill(7);
            assert_eq!(twin.transmit(&mut batch), 1);
            let sent = wire.sent(<[u8]>::to_vec).unwrap();
            assert_eq!((sent.len(), &sent[20..]), (44, &packet[..]));
            twin.recycle(&mut pool);
            conserved(umem, &pool, &twin, 0);
            assert!((index as usize) < umem.frames());
        }
        assert_eq!(twin.statistics().completed, turns as u64);
    }

    #[test]
    fn a_full_transmit_ring_leaves_the_rest_with_the_caller() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 4);
        let mut batch: Vec<Frame> = std::iter::from_fn(|| pool.take()).take(6).collect();
        for (n, frame) in (0..).zip(&mut batch) {
            frame.fill(&[n; 20]).unwrap();
        }
        assert_eq!((twin.transmit(&mut batch), batch.len()), (4, 2));
        assert_eq!(batch[0][0], 4, "taken from the front");
        assert_eq!(twin.transmit(&mut batch), 0);
        conserved(umem, &pool, &twin, 2);
        assert_eq!(wire.take().unwrap()[0], 0);
        assert_eq!(twin.transmit(&mut batch), 0, "sent, but its completion is not taken yet");
        twin.recycle(&mut pool);
        assert_eq!(twin.transmit(&mut batch), 1);
        conserved(umem, &pool, &twin, 1);
    }

    #[test]
    fn without_frames_or_room_the_wire_loses_packets_and_says_so() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 4);
        assert!((0..4).all(|_| wire.inject(PACKET)));
        assert!(!wire.inject(PACKET), "receive ring full");
        let mut batch = Vec::new();
        twin.receive(&mut batch, 32);
        assert!(!wire.inject(PACKET), "no frame to receive into");
        assert!(!wire.inject(&[0; 1793]), "longer than a frame");
        assert_eq!(wire.lost(), 3);
        twin.recycle(&mut pool);
        assert!(wire.inject(&[0; 1792]));
        conserved(umem, &pool, &twin, 4);
    }

    #[test]
    fn what_no_device_can_send_is_refused_and_its_frame_comes_home() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        let other = Umem::new(1, 2048).unwrap();
        let mut foreign = other.take().unwrap();
        foreign.fill(PACKET).unwrap();
        let mut short = pool.take().unwrap();
        short.fill(&[0; 13]).unwrap();
        let mut good = pool.take().unwrap();
        good.fill(PACKET).unwrap();
        let mut batch = vec![foreign, short, pool.take().unwrap(), good];
        assert_eq!((twin.transmit(&mut batch), batch.len()), (4, 0));
        assert_eq!((twin.statistics().refused, twin.statistics().transmitted), (3, 1));
        assert_eq!(wire.take().as_deref(), Some(PACKET));
        assert_eq!(other.spare(), 1);
        conserved(umem, &pool, &twin, 0);
    }

    #[test]
    fn a_descriptor_that_comes_back_twice_never_aliases() {
        let (umem, pool, mut twin, mut wire) = world(32, 8);
        assert!(wire.inject(PACKET));
        let mut batch = Vec::new();
        twin.receive(&mut batch, 8);
        let desc = |addr, len| XdpDesc { addr, len, options: XdpDescOptions::empty() };
        let again = batch[0].address();
        let lies = [
            desc(again, 16),                      // the frame we hold
            desc(umem.address(31), 16),           // a frame that was never lent
            desc(u64::MAX, 16),                   // no frame at all
            desc(umem.frames() as u64 * 2048, 1), // the first octet behind the UMEM
        ];
        assert!(lies.into_iter().all(|lie| wire.receive.stage(lie)));
        wire.receive.publish();
        assert_eq!(twin.receive(&mut batch, 8), 0);
        assert!(wire.completion.stage(again) && wire.completion.stage(u64::MAX));
        wire.completion.publish();
        let mut pool = pool;
        twin.recycle(&mut pool);
        assert_eq!(twin.statistics().bad_descriptors, 6);
        conserved(umem, &pool, &twin, 1);
        assert_eq!(&batch[0][..], PACKET);
    }

    #[test]
    fn octets_outside_the_frame_or_unknown_options_are_a_bad_descriptor() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        let mut lent = || {
            wire.fill.ready().unwrap();
            wire.fill.next().unwrap()
        };
        let long = XdpDesc { addr: lent() + 2000, len: 49, options: XdpDescOptions::empty() };
        let huge = XdpDesc { addr: lent(), len: u32::MAX, options: XdpDescOptions::empty() };
        let odd = XdpDesc { addr: lent(), len: 16, options: XdpDescOptions::XDP_PKT_CONTD };
        assert!([long, huge, odd].into_iter().all(|d| wire.receive.stage(d)));
        wire.receive.publish();
        wire.fill.release();
        let mut batch = Vec::new();
        assert_eq!((twin.receive(&mut batch, 8), twin.statistics().bad_descriptors), (0, 3));
        twin.recycle(&mut pool);
        conserved(umem, &pool, &twin, 0);
    }

    #[test]
    fn an_impossible_index_is_counted_and_nothing_moves() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        // The wire claims more completions than the ring holds.
        wire.completion.force_head(9);
        twin.recycle(&mut pool);
        assert_eq!(twin.statistics().bad_indices, 1);
        conserved(umem, &pool, &twin, 0);
    }

    #[test]
    fn frames_in_the_rings_come_home_when_both_ends_are_gone() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        assert!(wire.inject(PACKET));
        let mut frame = pool.take().unwrap();
        frame.fill(PACKET).unwrap();
        twin.transmit(&mut vec![frame]);
        drop(twin);
        assert!(wire.take().is_some(), "what was sent is still on the wire");
        drop(wire);
        assert_eq!(pool.len() + umem.spare(), umem.frames());
        assert_eq!(umem.census().filling + umem.census().sending, 0);
    }

    #[test]
    fn the_two_ends_may_be_on_two_threads() {
        let (umem, mut pool, mut twin, mut wire) = world(32, 8);
        let count = if cfg!(miri) { 30 } else { 20_000 };
        let sender = std::thread::spawn(move || {
            let (mut sent, mut seen) = (0, 0);
            while seen < count {
                if sent < count && wire.inject(&[PACKET, &u32::to_be_bytes(sent)].concat()) {
                    sent += 1;
                }
                match wire.take() {
                    Some(packet) => {
                        assert_eq!(packet[16..], u32::to_be_bytes(seen), "in order and whole");
                        seen += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
            wire
        });
        let mut batch = Vec::new();
        while !sender.is_finished() {
            twin.receive(&mut batch, 4);
            twin.transmit(&mut batch);
            twin.recycle(&mut pool);
            std::thread::yield_now();
        }
        drop(sender.join().unwrap());
        twin.recycle(&mut pool);
        conserved(umem, &pool, &twin, 0);
        assert_eq!(twin.statistics().bad_descriptors, 0);
    }

    #[test]
    fn two_twins_make_a_cable() {
        let (umem, mut pool, mut a, mut wire_a) = world(32, 8);
        let (mut b, mut wire_b) = Twin::pair(umem, RingSizes::all(8));
        b.recycle(&mut pool);
        let mut frame = pool.take().unwrap();
        frame.fill(PACKET).unwrap();
        a.transmit(&mut vec![frame]);
        assert_eq!((wire_a.carry_to(&mut wire_b, 8), wire_a.carry_to(&mut wire_b, 8)), (1, 0));
        let mut batch = Vec::new();
        assert_eq!(b.receive(&mut batch, 8), 1);
        assert_eq!(&batch[0][..], PACKET);
    }
}
