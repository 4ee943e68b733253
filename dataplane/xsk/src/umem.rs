//! The UMEM: memory cut into frames, and the book in which the place of each frame is written.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use rustix::io::Errno;
use thiserror::Error;

use crate::frame::{Frame, HEADROOM};
use crate::memory::Memory;
use crate::socket::Sharer;

/// log2 of the size of a large frame: the longest IP packet fits (RFC 791 §3.1), and a start inside
/// of it still is 16 bits.
const LARGE_SHIFT: u32 = 16;

/// Why there is no UMEM.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UmemError {
    /// The kernel takes powers of two from 2048 octets up to one page.
    #[error("a UMEM frame of {0} octets is not possible: set `frame_size` to 2048 or 4096")]
    FrameSize(u32),
    /// Nothing to put packets in, or more than can be counted.
    #[error("a UMEM of {0} frames is not possible: set `frames` between 1 and 2^24")]
    Frames(u32),
    /// The machine is short of memory.
    #[error("no memory for a UMEM of {octets} octets ({errno}): lower `frames` or free memory")]
    NoMemory {
        /// What was asked for.
        octets: usize,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Where a frame is. One value per frame, written only by whoever has the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the spare queue of the UMEM.
    Spare,
    /// A `Frame` value exists.
    Held,
    /// In a port's rings, on the way in: fill ring, device, receive ring.
    Filling(PortId),
    /// In a port's rings, on the way out: transmit ring, device, completion ring.
    Sending(PortId),
}

impl Place {
    #[inline]
    const fn code(self) -> u32 {
        match self {
            Self::Spare => 0,
            Self::Held => 1,
            Self::Filling(PortId(id)) => id << 2 | 2,
            Self::Sending(PortId(id)) => id << 2 | 3,
        }
    }
}

/// A port's name in the book; never used twice in one process (2^30 binds are more than a life).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortId(u32);

/// How long the frames of a closed zero-copy socket rest. Its device may go on writing into them
/// until the kernel's deferred work has emptied the hardware ring; copy mode needs no rest, because
/// closing waits for the last receiver (`synchronize_net` in `xsk_release`).
const REST: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Resting {
    port: PortId,
    since: Instant,
}

/// How many frames are where, counted from the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the spare queue.
    pub spare: usize,
    /// Held by code, in pools or on the walk.
    pub held: usize,
    /// Given to ports to receive into.
    pub filling: usize,
    /// Given to ports to send.
    pub sending: usize,
}

/// Frames of one size in one block of memory, for all the ports of a NUMA node.
///
/// It lives as long as the process: a frame may be in a device's hands when everything else has
/// gone, and a reference of 'static keeps a [`Frame`] at 16 octets.
#[derive(Debug)]
pub struct Umem {
    memory: Memory,
    frames: u32,
    /// log2 of the frame size.
    shift: u32,
    places: Box<[AtomicU32]>,
    /// Frames nobody has: pools refill from here and spill to here, dropped frames come here.
    spare: ArrayQueue<u32>,
    /// Frames for packets that no frame of this UMEM holds; no socket ever sees them.
    large: Option<&'static Self>,
    ports: AtomicU32,
    resting: Mutex<Vec<Resting>>,
    /// The live sockets, for `XDP_SHARED_UMEM`; locked for the whole of a bind and of a close.
    pub(crate) sharers: Mutex<Vec<Sharer>>,
}

impl Umem {
    /// Memory for `frames` frames of `frame_size` octets (2048 or 4096), all spare.
    ///
    /// # Errors
    /// A size the kernel would refuse, or no memory.
    pub fn new(frames: u32, frame_size: u32) -> Result<&'static Self, UmemError> {
        Self::with_large(frames, frame_size, 0)
    }

    /// As [`Umem::new`], and beside it memory for `large` frames of 65 536 octets: for packets that
    /// are put together here. They have a book of their own, [`Umem::large`], and no device can
    /// receive into them or send them.
    ///
    /// # Errors
    /// As [`Umem::new`].
    pub fn with_large(
        frames: u32,
        frame_size: u32,
        large: u32,
    ) -> Result<&'static Self, UmemError> {
        let shift = Self::shift(frame_size)?;
        let large = (large > 0).then(|| Self::lay_out(large, LARGE_SHIFT, None)).transpose()?;
        Self::lay_out(frames, shift, large)
    }

    fn lay_out(
        frames: u32,
        shift: u32,
        large: Option<&'static Self>,
    ) -> Result<&'static Self, UmemError> {
        if frames == 0 || frames > 1 << 24 {
            return Err(UmemError::Frames(frames));
        }
        let octets = (frames as usize) << shift;
        let memory =
            Memory::anonymous(octets).map_err(|errno| UmemError::NoMemory { octets, errno })?;
        let spare = ArrayQueue::new(frames as usize);
        // The lowest frames leave first; the queue has room for every frame there is.
        (0..frames).for_each(|index| _ = spare.push(index));
        Ok(Box::leak(Box::new(Self {
            memory,
            frames,
            shift,
            places: (0..frames).map(|_| AtomicU32::new(Place::Spare.code())).collect(),
            spare,
            large,
            ports: AtomicU32::new(1),
            resting: Mutex::default(),
            sharers: Mutex::default(),
        })))
    }

    const fn shift(frame_size: u32) -> Result<u32, UmemError> {
        match frame_size {
            2048 => Ok(11),
            4096 => Ok(12),
            _ => Err(UmemError::FrameSize(frame_size)),
        }
    }

    /// How many frames there are in all.
    pub const fn frames(&self) -> usize {
        self.frames as usize
    }

    /// Octets in a frame, headroom and tailroom included.
    #[inline]
    pub const fn frame_size(&self) -> usize {
        1 << self.shift
    }

    /// The longest packet that can be received: what a frame holds behind its headroom.
    pub const fn largest_packet(&self) -> usize {
        self.frame_size() - HEADROOM
    }

    /// The book of the large frames, if there are any.
    pub const fn large(&self) -> Option<&'static Self> {
        self.large
    }

    /// Whether this is a book of large frames.
    #[inline]
    pub(crate) const fn is_large(&self) -> bool {
        self.shift == LARGE_SHIFT
    }

    /// How many frames lie in the spare queue now.
    pub fn spare(&self) -> usize {
        self.spare.len()
    }

    /// Reads the whole book: for tests and for a status page, not for the walk.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for place in &self.places {
            let place = place.load(Ordering::Acquire);
            *match (place, place & 3) {
                (0, _) => &mut census.spare,
                (1, _) => &mut census.held,
                (_, 2) => &mut census.filling,
                _ => &mut census.sending,
            } += 1;
        }
        census
    }

    #[inline]
    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn new_port(&self) -> PortId {
        PortId(self.ports.fetch_add(1, Ordering::Relaxed) & ((1 << 30) - 1))
    }

    /// Address of a frame's first octet, as descriptors count: from the start of the UMEM.
    #[inline]
    pub(crate) const fn address(&self, index: u32) -> u64 {
        (index as u64) << self.shift
    }

    /// Splits a descriptor's address into frame and offset; `None` if it is outside the UMEM.
    #[inline]
    pub(crate) fn locate(&self, address: u64) -> Option<(u32, u16)> {
        let index = u32::try_from(address >> self.shift).ok().filter(|&i| i < self.frames)?;
        let offset = u16::try_from(address & (self.frame_size() as u64 - 1)).ok()?;
        Some((index, offset))
    }

    /// The one way from a number to a frame: only if the book says the frame is at `from`.
    ///
    /// Load and store need not be one operation: a frame's entry is changed only by whoever has
    /// the frame, and `from` names the caller (a port's ring end, or the spare queue's popper).
    /// Acquire pairs with the Release in `settle`, so the octets move with the frame.
    #[inline]
    pub(crate) fn claim(&'static self, index: u32, from: Place) -> Option<Frame> {
        let place = self.places.get(index as usize)?;
        if place.load(Ordering::Acquire) != from.code() {
            return None;
        }
        place.store(Place::Held.code(), Ordering::Release);
        Some(Frame::held(self, index))
    }

    /// Writes down that the holder of a frame has put it `to`. Called by [`Frame`] only, which
    /// gives itself up for it.
    #[inline]
    pub(crate) fn settle(&self, index: u32, to: Place) {
        if let Some(place) = self.places.get(index as usize) {
            place.store(to.code(), Ordering::Release);
        }
        if to == Place::Spare {
            // Cannot be full: it has room for all frames, and each is in it at most once.
            let _ = self.spare.push(index);
        }
    }

    /// A spare frame, if there is one.
    pub(crate) fn take(&'static self) -> Option<Frame> {
        let index = self.spare.pop().or_else(|| {
            // Somebody else is at it: then the frames are on their way.
            let mut resting = self.resting.try_lock().ok().filter(|list| !list.is_empty())?;
            self.wake_rested(&mut resting, Instant::now());
            self.spare.pop()
        })?;
        self.claim(index, Place::Spare)
    }

    /// Takes home all frames of a port whose rings are gone.
    pub(crate) fn reclaim(&self, port: PortId) {
        let gone = [Place::Filling(port).code(), Place::Sending(port).code()];
        for (index, place) in (0..self.frames).zip(&self.places) {
            if gone.contains(&place.load(Ordering::Acquire)) {
                self.settle(index, Place::Spare);
            }
        }
    }

    /// Lets the frames of a closed zero-copy socket rest before they come home.
    pub(crate) fn rest(&self, port: PortId, since: Instant) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.push(Resting { port, since });
    }

    /// Brings home what has rested long enough at `now`.
    fn wake_rested(&self, resting: &mut Vec<Resting>, now: Instant) {
        let rested = |r: &Resting| now.saturating_duration_since(r.since) >= REST;
        resting.extract_if(.., |r| rested(r)).for_each(|r| self.reclaim(r.port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_the_kernel_would_refuse_are_refused() {
        for size in [0, 1024, 2047, 3000, 8192, u32::MAX] {
            assert_eq!(Umem::new(4, size).unwrap_err(), UmemError::FrameSize(size));
        }
        assert_eq!(Umem::new(0, 2048).unwrap_err(), UmemError::Frames(0));
        assert_eq!(Umem::new(u32::MAX, 2048).unwrap_err(), UmemError::Frames(u32::MAX));
    }

    #[test]
    fn a_frame_is_claimed_once_and_only_from_its_place() {
        let umem = Umem::new(2, 2048).unwrap();
        let (ours, theirs) = (umem.new_port(), umem.new_port());
        let frame = umem.take().unwrap();
        let index = frame.settle(Place::Filling(ours));
        assert!(umem.claim(index, Place::Filling(theirs)).is_none(), "another port's");
        assert!(umem.claim(index, Place::Sending(ours)).is_none(), "the other direction");
        assert!(umem.claim(index, Place::Spare).is_none());
        let frame = umem.claim(index, Place::Filling(ours)).unwrap();
        assert!(umem.claim(index, Place::Filling(ours)).is_none(), "handed back twice");
        assert!(umem.claim(2, Place::Spare).is_none(), "no such frame");
        drop(frame);
        assert_eq!(umem.spare(), 2);
    }

    #[test]
    fn large_frames_have_a_book_of_their_own() {
        let umem = Umem::with_large(2, 2048, 1).unwrap();
        let large = umem.large().unwrap();
        let frame = large.take().unwrap();
        assert!(frame.is_large() && !umem.take().unwrap().is_large());
        assert_eq!((large.frames(), large.spare(), umem.spare()), (1, 0, 2));
        drop(frame);
        assert_eq!((large.spare(), umem.spare()), (1, 2));
        assert!(Umem::new(2, 2048).unwrap().large().is_none());
    }

    #[test]
    fn addresses_outside_the_umem_name_no_frame() {
        let umem = Umem::new(4, 2048).unwrap();
        assert_eq!(umem.locate(2048 + 300), Some((1, 300)));
        assert_eq!(umem.locate(4 * 2048 - 1), Some((3, 2047)));
        assert_eq!(umem.locate(4 * 2048), None);
        assert_eq!(umem.locate(u64::MAX), None);
    }

    #[test]
    fn frames_of_a_zero_copy_socket_rest_before_they_come_home() {
        let umem = Umem::new(4, 2048).unwrap();
        let port = umem.new_port();
        umem.take().unwrap().settle(Place::Filling(port));
        umem.take().unwrap().settle(Place::Sending(port));
        let closed = Instant::now();
        umem.rest(port, closed);
        let wake = |at| umem.wake_rested(&mut umem.resting.lock().unwrap(), at);
        wake(closed + REST / 2);
        assert_eq!(umem.census(), Census { spare: 2, held: 0, filling: 1, sending: 1 });
        wake(closed + REST);
        assert_eq!(umem.census(), Census { spare: 4, ..Census::default() });
    }
}
