//! The face that a socket and its twin share.

use std::ops::AddAssign;
use std::os::fd::BorrowedFd;

use crate::frame::Frame;
use crate::pool::Pool;

/// One queue of one interface, driven by one worker.
///
/// A turn is: `receive`, work, `transmit`, `recycle`, `wake`. No method waits.
pub trait Port: Send {
    /// Appends up to `max` received packets to `into`; answers how many.
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize;

    /// Takes packets from the front of `frames` as far as there is room; the rest stays. Answers
    /// how many were taken. A packet that no device can send (shorter than an Ethernet header, or
    /// of another UMEM) is taken too, dropped, and counted in [`Statistics::refused`].
    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize;

    /// Brings sent frames home to `pool` and gives the port frames from it to receive into.
    fn recycle(&mut self, pool: &mut Pool);

    /// Wakes the kernel if it asked for it: at most one system call for each direction.
    fn wake(&mut self);

    /// What to poll for input when idle; `None` if this port cannot be waited for.
    fn wait_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Frames inside this port's rings and device now.
    fn in_flight(&self) -> usize;

    /// Counts since the port was made.
    fn statistics(&self) -> Statistics;
}

/// What a port has counted. All are packets or events since the port was made; sum over re-binds
/// with `+=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets received.
    pub received: u64,
    /// Packets given to the kernel to send.
    pub transmitted: u64,
    /// Packets whose frames came back from sending.
    pub completed: u64,
    /// Packets that no device could send, dropped by `transmit`.
    pub refused: u64,
    /// Descriptors that named a frame which was not where they said, or octets outside of it: a
    /// kernel or driver fault (or ours). Each was ignored.
    pub bad_descriptors: u64,
    /// Times a ring index was impossible; the ring was left alone.
    pub bad_indices: u64,
    /// Wake-up calls the kernel answered with an error other than "busy" (link down, device gone).
    pub wake_errors: u64,
    /// The kernel dropped a received packet, other reasons (`XDP_STATISTICS`).
    pub rx_dropped: u64,
    /// The kernel found a bad descriptor in the fill ring.
    pub rx_invalid: u64,
    /// The kernel found a bad descriptor in the transmit ring.
    pub tx_invalid: u64,
    /// The kernel dropped a received packet because the receive ring was full.
    pub rx_ring_full: u64,
    /// The kernel found no frame to receive into.
    pub fill_ring_empty: u64,
    /// The kernel found nothing to send.
    pub tx_ring_empty: u64,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        for (sum, n) in self.fields().into_iter().zip({ other }.fields()) {
            *sum = sum.wrapping_add(*n);
        }
    }
}

impl Statistics {
    const fn fields(&mut self) -> [&mut u64; 13] {
        [
            &mut self.received,
            &mut self.transmitted,
            &mut self.completed,
            &mut self.refused,
            &mut self.bad_descriptors,
            &mut self.bad_indices,
            &mut self.wake_errors,
            &mut self.rx_dropped,
            &mut self.rx_invalid,
            &mut self.tx_invalid,
            &mut self.rx_ring_full,
            &mut self.fill_ring_empty,
            &mut self.tx_ring_empty,
        ]
    }
}

const _: () = assert!(size_of::<Statistics>() == 13 * 8, "`fields` names every field");
