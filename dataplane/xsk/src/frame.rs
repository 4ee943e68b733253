//! A frame: a packet in the UMEM, owned, with a start that moves.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::slice;

use thiserror::Error;

use crate::umem::{Place, Umem};

/// Octets before a received packet (`XDP_PACKET_HEADROOM`), and of a fresh frame.
pub const HEADROOM: usize = 256;

/// The frame has no room for that many octets on that side.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{need} octets wanted and {have} free on that side of the frame")]
pub struct NoRoom {
    /// Octets asked for.
    pub need: usize,
    /// Octets that are free there.
    pub have: usize,
}

/// A packet in its frame. Not `Clone`: holding the value is holding the frame, and dropping it
/// sends the frame to the spare queue (a [`crate::Pool`] is the faster way home).
///
/// Dereferences to the packet's octets. The packet lies somewhere inside the frame; [`Frame::push`]
/// and [`Frame::pull`] move its start, [`Frame::extend`] and [`Frame::truncate`] its end.
#[must_use = "dropping a frame drops its packet; count the reason"]
pub struct Frame {
    umem: &'static Umem,
    index: u32,
    start: u16,
    len: u16,
}

const _: () = assert!(size_of::<Frame>() == 16, "batches of frames stay small");
const _: () = assert!(size_of::<Option<Frame>>() == 16);

impl Frame {
    /// Only `Umem::claim` calls this, having just written `Place::Held` for `index`.
    #[inline]
    pub(crate) const fn held(umem: &'static Umem, index: u32) -> Self {
        Self { umem, index, start: HEADROOM as u16, len: 0 }
    }

    /// Gives the frame up to a ring: writes the place down and answers the frame's number.
    #[inline]
    pub(crate) fn settle(self, to: Place) -> u32 {
        let index = self.index;
        self.umem.settle(index, to);
        mem::forget(self); // the place is written; `drop` would write another
        index
    }

    /// Sets where the packet lies, if that is inside the frame.
    #[inline]
    pub(crate) fn place(&mut self, start: u16, len: usize) -> Result<(), NoRoom> {
        let have = self.umem.frame_size().saturating_sub(usize::from(start));
        let fits = u16::try_from(len).ok().filter(|_| len <= have);
        self.len = fits.ok_or(NoRoom { need: len, have })?;
        self.start = start;
        Ok(())
    }

    /// The packet's address as a descriptor carries it.
    #[inline]
    pub(crate) const fn address(&self) -> u64 {
        self.umem.address(self.index) + self.start as u64
    }

    /// Whether it is one of the large frames, which no device can send ([`Umem::with_large`]).
    #[inline]
    pub const fn is_large(&self) -> bool {
        self.umem.is_large()
    }

    #[inline]
    pub(crate) fn lives_in(&self, umem: &Umem) -> bool {
        std::ptr::eq(self.umem, umem)
    }

    /// The frame's number in its UMEM: the same from receive to transmit, since nothing is copied.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Octets of the packet. The slice knows as well, but would have to be looked for.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no octet.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets free before the packet.
    #[inline]
    pub const fn headroom(&self) -> usize {
        self.start as usize
    }

    /// Octets free behind the packet; no packet grows beyond 65 535.
    #[inline]
    pub const fn tailroom(&self) -> usize {
        let (free, growth) = (self.umem.frame_size() - self.end(), u16::MAX - self.len);
        if free < growth as usize { free } else { growth as usize }
    }

    #[inline]
    const fn end(&self) -> usize {
        self.start as usize + self.len as usize
    }

    /// Grows the packet by `n` octets at its head and returns them, with whatever lay there.
    ///
    /// # Errors
    /// Less than `n` octets of headroom; nothing has changed.
    #[inline]
    pub fn push(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        let room = NoRoom { need: n, have: self.headroom() };
        let start = self.headroom().checked_sub(n).ok_or(room)?;
        self.place(start as u16, self.len() + n)?;
        Ok(self.octets_mut(start..start + n))
    }

    /// Takes `n` octets off the head; all of them if there are fewer.
    #[inline]
    pub fn pull(&mut self, n: usize) {
        let n = n.min(self.len());
        // Only an empty packet can start at 65 536, the end of a large frame; it starts before.
        self.start = self.start.saturating_add(n as u16);
        self.len -= n as u16;
    }

    /// Grows the packet by `n` octets at its tail and returns them, with whatever lay there.
    ///
    /// # Errors
    /// Less than `n` octets of tailroom; nothing has changed.
    #[inline]
    pub fn extend(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        let (end, have) = (self.end(), self.tailroom());
        if n > have {
            return Err(NoRoom { need: n, have });
        }
        self.len += n as u16;
        Ok(self.octets_mut(end..end + n))
    }

    /// Cuts the packet to `len` octets; does nothing if it is not longer.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len().min(len) as u16;
    }

    /// Makes the packet empty, with `headroom` octets before it (at most the whole frame, or 65 535).
    #[inline]
    pub fn reset(&mut self, headroom: usize) {
        self.start = headroom.min(self.umem.frame_size()).min(usize::from(u16::MAX)) as u16;
        self.len = 0;
    }

    /// Makes `packet` the packet, copied to where the present one starts.
    ///
    /// # Errors
    /// `packet` is longer than the frame from there on; nothing has changed.
    pub fn fill(&mut self, packet: &[u8]) -> Result<(), NoRoom> {
        self.place(self.start, packet.len())?;
        self.copy_from_slice(packet);
        Ok(())
    }

    /// Overwrites the whole frame, so that a read after its return is seen for what it is.
    #[inline]
    pub(crate) fn poison(&mut self) {
        if cfg!(debug_assertions) && !cfg!(miri) {
            self.octets_mut(0..self.umem.frame_size()).fill(0xD6);
        }
    }

    /// The address of `range` in the frame. All callers hold `range` inside the frame; the check
    /// stays, since memory safety rests on it.
    #[inline(always)]
    fn address_of(&self, range: &Range<usize>) -> NonNull<u8> {
        if range.start > range.end || range.end > self.umem.frame_size() {
            self.has_not(range);
        }
        let at = self.umem.address(self.index) as usize + range.start;
        // SAFETY: `Umem::claim` made this frame of an index that the UMEM has, so all of the frame is
        // inside its memory, and so is `range`, by the check above. Test: `frames_do_not_alias`.
        unsafe { self.umem.memory().base().add(at) }
    }

    #[cold]
    fn has_not(&self, range: &Range<usize>) -> ! {
        unreachable!("frame {} has no octets {range:?}", self.index)
    }

    #[inline]
    fn octets(&self, range: Range<usize>) -> &[u8] {
        let at = self.address_of(&range);
        // SAFETY: the octets are inside this frame (checked above) and were zeroed when mapped; the
        // UMEM is 'static; this is the only `Frame` of its number (`Umem::claim`), so nothing else
        // writes there while it is borrowed. Test: `frames_do_not_alias`.
        unsafe { slice::from_raw_parts(at.as_ptr(), range.len()) }
    }

    #[inline]
    fn octets_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        let at = self.address_of(&range);
        // SAFETY: as in `octets`, and `&mut self` rules out a second slice over this frame.
        // Test: `frames_do_not_alias`.
        unsafe { slice::from_raw_parts_mut(at.as_ptr(), range.len()) }
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.octets(self.headroom()..self.end())
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.octets_mut(self.headroom()..self.end())
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.poison();
        self.umem.settle(self.index, Place::Spare);
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {}[{}..{}]", self.index, self.start, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_do_not_alias() {
        let umem = Umem::new(3, 2048).unwrap();
        let mut frames: Vec<Frame> = std::iter::from_fn(|| umem.take()).collect();
        for (n, frame) in (1..).zip(&mut frames) {
            frame.reset(0);
            frame.extend(2048).unwrap().fill(n);
        }
        let [first, second, third] = frames.as_mut_slice() else { panic!("three frames") };
        let (a, b, c): (&mut [u8], &mut [u8], &[u8]) = (first, second, third);
        a.fill(0xA); // three slices live at once: Miri objects if two of them touch
        b.fill(0xB);
        assert!(a.iter().all(|&o| o == 0xA) && b.iter().all(|&o| o == 0xB));
        assert!(c.iter().all(|&o| o == 3));
    }

    #[test]
    fn headers_are_pushed_and_popped_in_place() {
        let umem = Umem::new(1, 2048).unwrap();
        let mut frame = umem.take().unwrap();
        frame.fill(b"payload").unwrap();
        let at = frame.as_ptr();
        frame.push(4).unwrap().copy_from_slice(b"HEAD");
        frame.extend(4).unwrap().copy_from_slice(b"tail");
        assert_eq!(&frame[..], b"HEADpayloadtail");
        assert_eq!(frame.headroom(), HEADROOM - 4);
        frame.pull(4);
        frame.truncate(7);
        assert_eq!((&frame[..], frame.as_ptr()), (&b"payload"[..], at), "nothing was copied");
    }

    #[test]
    fn a_packet_cannot_grow_out_of_its_frame() {
        let umem = Umem::new(1, 2048).unwrap();
        let mut frame = umem.take().unwrap();
        frame.fill(b"x").unwrap();
        assert_eq!(frame.push(257).unwrap_err(), NoRoom { need: 257, have: 256 });
        assert_eq!(frame.extend(1792).unwrap_err(), NoRoom { need: 1792, have: 1791 });
        assert_eq!(frame.push(usize::MAX).unwrap_err().have, 256);
        assert_eq!(frame.extend(usize::MAX).unwrap_err().have, 1791);
        assert_eq!(frame.fill(&[0; 1793]).unwrap_err(), NoRoom { need: 1793, have: 1792 });
        assert_eq!(&frame[..], b"x", "a refusal changes nothing");
        frame.push(256).unwrap();
        frame.extend(1791).unwrap();
        assert_eq!((frame.len(), frame.headroom(), frame.tailroom()), (2048, 0, 0));
    }

    #[test]
    fn pulling_and_cutting_stop_at_the_packets_ends() {
        let umem = Umem::new(1, 4096).unwrap();
        let mut frame = umem.take().unwrap();
        frame.fill(b"abc").unwrap();
        frame.truncate(100);
        assert_eq!(&frame[..], b"abc");
        frame.pull(usize::MAX);
        assert!(frame.is_empty());
        assert_eq!(frame.headroom(), HEADROOM + 3);
        frame.reset(usize::MAX);
        assert_eq!((frame.headroom(), frame.tailroom()), (4096, 0));
    }

    #[test]
    fn the_longest_packet_fits_a_large_frame_and_not_an_octet_more() {
        let umem = Umem::with_large(1, 2048, 1).unwrap();
        let mut frame = umem.large().and_then(Umem::take).unwrap();
        frame.reset(0);
        assert_eq!(frame.tailroom(), 65_535);
        frame.extend(65_535).unwrap().fill(7);
        assert_eq!((frame.tailroom(), frame.extend(1).unwrap_err().have), (0, 0));
        frame.pull(20);
        assert_eq!((frame.len(), frame.tailroom(), frame.headroom()), (65_515, 1, 20));
        frame.extend(1).unwrap().fill(8);
        assert_eq!((frame[0], frame[65_514], frame[65_515]), (7, 7, 8));
        frame.pull(usize::MAX);
        assert!(frame.is_empty() && frame.headroom() == 65_535);
        frame.reset(usize::MAX);
        assert_eq!((frame.headroom(), frame.tailroom()), (65_535, 1));
    }

    #[test]
    #[cfg(all(debug_assertions, not(miri)))]
    fn a_returned_frame_is_poisoned() {
        let umem = Umem::new(1, 2048).unwrap();
        let mut frame = umem.take().unwrap();
        frame.fill(b"secret").unwrap();
        drop(frame);
        let mut frame = umem.take().unwrap();
        assert!(frame.extend(6).unwrap().iter().all(|&o| o == 0xD6));
    }
}
