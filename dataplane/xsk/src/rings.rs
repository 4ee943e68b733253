//! The four rings of a port, and what may go in and come out of them.

use crate::frame::Frame;
use crate::pool::Pool;
use crate::port::Statistics;
use crate::ring::{Consumer, PeerLied, Producer};
use crate::umem::{Place, PortId, Umem};
use rustix::net::xdp::{XdpDesc, XdpDescOptions};

/// The least a network device sends: an Ethernet header. The kernel drops shorter descriptors of
/// some lengths without completing them, and their frames would be lost.
const SHORTEST: usize = 14;

/// Entries of the four rings: powers of two, at most 2^20 (checked at bind).
///
/// A port takes up to `fill` frames to receive into, and up to `completion` frames to send.
/// Leave some frames over: `fill` of all ports together should stay below the UMEM's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Frames given to the kernel to receive into.
    pub fill: u32,
    /// Frames that the kernel has sent and gives back.
    pub completion: u32,
    /// Received packets.
    pub receive: u32,
    /// Packets to send.
    pub transmit: u32,
}

impl RingSizes {
    /// All four rings of the same size.
    pub const fn all(size: u32) -> Self {
        Self { fill: size, completion: size, receive: size, transmit: size }
    }

    /// Rings for one of `ports` ports that share `umem`: all fill rings together take at most half
    /// of the frames, so that there are others to work with.
    pub fn sharing(umem: &Umem, ports: usize) -> Self {
        let each = (umem.frames() / 2 / ports.max(1)).clamp(1, 2048) as u32;
        Self::all(1 << each.ilog2())
    }

    /// The ring whose size the kernel would refuse, by name.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let named = [
            ("size the fill ring", self.fill),
            ("size the completion ring", self.completion),
            ("size the receive ring", self.receive),
            ("size the transmit ring", self.transmit),
        ];
        let wrong = |size: u32| !size.is_power_of_two() || size > 1 << 20;
        named.into_iter().find(|&(_, size)| wrong(size)).map(|(ring, _)| ring)
    }
}

impl Default for RingSizes {
    fn default() -> Self {
        Self::all(2048)
    }
}

/// Frames that one port had in its rings come home when the last end of the rings is gone.
#[derive(Debug)]
pub(crate) struct Tenancy {
    pub umem: &'static Umem,
    pub port: PortId,
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.umem.reclaim(self.port);
    }
}

/// Our end of the four rings. Every number that comes out of them is checked against the UMEM's
/// book before it becomes a frame.
#[derive(Debug)]
pub(crate) struct Rings {
    pub umem: &'static Umem,
    pub port: PortId,
    pub sizes: RingSizes,
    pub fill: Producer<u64>,
    pub receive: Consumer<XdpDesc>,
    pub transmit: Producer<XdpDesc>,
    pub completion: Consumer<u64>,
    /// Frames now on the way in, and on the way out.
    pub filling: u32,
    pub sending: u32,
    pub counts: Statistics,
}

impl Rings {
    pub fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        let ready = self.trust(|rings| rings.receive.ready());
        let before = into.len();
        for _ in 0..max.min(ready as usize) {
            let Some(desc) = self.receive.next() else { break };
            match self.arrived(desc) {
                Some(frame) => into.push(frame),
                None => self.counts.bad_descriptors += 1,
            }
        }
        if ready > 0 {
            self.receive.release();
        }
        let got = into.len() - before;
        self.counts.received += got as u64;
        got
    }

    /// A descriptor becomes a frame if it names one that we gave to receive into, and octets
    /// inside of it. `XDP_PKT_CONTD` is not asked for, so an option is a fault as well.
    #[inline]
    fn arrived(&mut self, desc: XdpDesc) -> Option<Frame> {
        let (index, start) = self.umem.locate(desc.addr)?;
        let mut frame = self.umem.claim(index, Place::Filling(self.port))?;
        self.filling = self.filling.saturating_sub(1);
        frame.place(start, desc.len as usize).ok()?;
        desc.options.is_empty().then_some(frame)
    }

    pub fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        let want = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        if want == 0 {
            return 0;
        }
        // Never more on the way than the completion ring can give back.
        let owed = self.sizes.completion.saturating_sub(self.sending);
        let room = self.trust(|rings| rings.transmit.room(want)).min(owed).min(want);
        for frame in frames.drain(..room as usize) {
            self.send(frame);
        }
        if room > 0 {
            self.transmit.publish();
        }
        room as usize
    }

    #[inline]
    fn send(&mut self, frame: Frame) {
        if frame.len() < SHORTEST || !frame.lives_in(self.umem) {
            self.counts.refused += 1;
            return;
        }
        let (addr, len) = (frame.address(), frame.len() as u32);
        if self.transmit.stage(XdpDesc { addr, len, options: XdpDescOptions::empty() }) {
            // Written before `publish` shows the descriptor to the other side.
            frame.settle(Place::Sending(self.port));
            self.sending += 1;
            self.counts.transmitted += 1;
        }
    }

    pub fn recycle(&mut self, pool: &mut Pool) {
        self.complete(pool);
        self.refill(pool);
    }

    fn complete(&mut self, pool: &mut Pool) {
        if self.trust(|rings| rings.completion.ready()) == 0 {
            return;
        }
        while let Some(address) = self.completion.next() {
            let index = self.umem.locate(address).map(|(index, _)| index);
            match index.and_then(|i| self.umem.claim(i, Place::Sending(self.port))) {
                Some(frame) => {
                    self.sending = self.sending.saturating_sub(1);
                    self.counts.completed += 1;
                    pool.put(frame);
                }
                None => self.counts.bad_descriptors += 1,
            }
        }
        self.completion.release();
    }

    fn refill(&mut self, pool: &mut Pool) {
        let want = self.sizes.fill.saturating_sub(self.filling);
        if want == 0 {
            return;
        }
        let room = self.trust(|rings| rings.fill.room(want)).min(want);
        let before = self.filling;
        for _ in 0..room {
            let Some(frame) = pool.take() else { break };
            self.lend(frame);
        }
        if self.filling > before {
            self.fill.publish();
        }
    }

    #[inline]
    fn lend(&mut self, frame: Frame) {
        if frame.lives_in(self.umem) {
            let index = frame.settle(Place::Filling(self.port));
            self.fill.stage(self.umem.address(index));
            self.filling += 1;
        }
    }

    /// Whether the other side has yet to take a packet that we gave it to send.
    pub fn unsent(&mut self) -> bool {
        self.sending > 0 && self.trust(|rings| rings.transmit.pending()) > 0
    }

    pub const fn in_flight(&self) -> usize {
        self.filling as usize + self.sending as usize
    }

    /// An impossible index counts as "nothing there".
    fn trust(&mut self, look: impl FnOnce(&mut Self) -> Result<u32, PeerLied>) -> u32 {
        look(self).unwrap_or_else(|PeerLied| {
            self.counts.bad_indices += 1;
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(miri))] // no unsafe code behind it, and the UMEMs are large
    fn sharing_leaves_half_of_the_frames_over() {
        for (frames, ports) in [(8192, 1), (8192, 3), (512, 4), (4, 8), (1 << 16, 2)] {
            let umem = Umem::new(frames, 2048).unwrap();
            let sizes = RingSizes::sharing(umem, ports);
            assert_eq!(sizes.wrong(), None);
            assert!(sizes.fill as usize * ports <= (umem.frames() / 2).max(ports));
        }
    }
}
