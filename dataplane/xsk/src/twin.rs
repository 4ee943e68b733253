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
        if packet.len() > umem.frame_size() - HEADROOM || self.receive.room(1).ok()? == 0 {
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
