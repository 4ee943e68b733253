//! Places for a batch of packets, where whatever is done beside them shows.
use std::ops::Range;

/// What no kernel may touch.
const CANARY: u8 = 0xc5;

/// Octets before the first packet and behind the last one that are looked at.
const MARGIN: usize = 64;

pub trait Room {
    /// Puts packets where the last ones lay.
    fn lay<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>);
    /// All of them at once.
    fn packets(&mut self) -> Vec<&mut [u8]>;
    /// Whether what lies around the packets is as it was.
    fn is_clean(&self) -> bool;
}

/// Octets between one packet and the next: mostly none, so that what is read or written beyond a packet's end
/// is another packet's, and enough of odd numbers to have every alignment.
const GAPS: [usize; 7] = [0, 1, 0, 3, 0, 17, 0];

/// Packets back to back in one buffer.
#[derive(Default)]
pub struct Buffer {
    /// Octets from a cache line's start to the first packet's.
    shift: usize,
    octets: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Buffer {
    pub fn shifted(shift: usize) -> Self {
        Self { shift, ..Self::default() }
    }
}

impl Room for Buffer {
    fn lay<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>) {
        let packets: Vec<_> = packets.collect();
        let room: usize = packets.iter().map(|packet| packet.len() + 17).sum();
        self.octets.clear();
        self.octets.reserve(room + 5 * MARGIN); // from here on it stays where it is
        let aligned = self.octets.as_ptr().align_offset(64);
        self.octets.resize(aligned + MARGIN + self.shift, CANARY);
        self.spans.clear();
        for (packet, gap) in packets.into_iter().zip(GAPS.into_iter().cycle()) {
            self.spans.push(self.octets.len()..self.octets.len() + packet.len());
            self.octets.extend(packet);
            self.octets.resize(self.octets.len() + gap, CANARY);
        }
        self.octets.resize(self.octets.len() + MARGIN, CANARY);
    }

    fn packets(&mut self) -> Vec<&mut [u8]> {
        let mut rest = self.octets.as_mut_slice();
        let mut at = 0;
        let mut packets = Vec::new();
        for span in &self.spans {
            let (packet, behind) = rest[span.start - at..].split_at_mut(span.len());
            packets.push(packet);
            rest = behind;
            at = span.end;
        }
        packets
    }

    fn is_clean(&self) -> bool {
        let starts = self.spans.iter().map(|span| span.start).chain([self.octets.len()]);
        let ends = [0].into_iter().chain(self.spans.iter().map(|span| span.end));
        let mut between = ends.zip(starts).flat_map(|(end, start)| &self.octets[end..start]);
        between.all(|octet| *octet == CANARY)
    }
}

/// Every packet is an allocation of its own, of its very length: what is read beyond it Miri sees, and what is
/// written there the allocator may.
#[derive(Default)]
pub struct Boxes(Vec<Box<[u8]>>);

impl Room for Boxes {
    fn lay<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>) {
        self.0 = packets.map(Box::from).collect();
    }

    fn packets(&mut self) -> Vec<&mut [u8]> {
        self.0.iter_mut().map(|packet| &mut **packet).collect()
    }

    fn is_clean(&self) -> bool {
        true
    }
}

/// Octets of a page.
const PAGE: usize = 4096;
/// Pages for one packet, between two that nobody may touch.
const PAGES: usize = 3;

/// Every packet on pages of its own, its first or its last octet beside a page that nobody may touch: who reads
/// there is killed. Not more packets than [`Pages::MOST`] at once.
pub struct Pages {
    slots: Vec<&'static mut [u8]>,
    lens: Vec<usize>,
    /// Whether the packets end at the ends of their pages, or else begin at their starts.
    pub at_end: bool,
}

#[cfg(not(miri))]
impl Pages {
    pub const MOST: usize = 16;

    /// Mapped for as long as the process lives.
    pub fn new() -> Self {
        let guarded = (PAGES + 1) * PAGE;
        let slots = map(Self::MOST * guarded + PAGE)
            .chunks_exact_mut(guarded)
            .map(|slot| {
                let (guard, room) = slot.split_at_mut(PAGE);
                forbid(guard);
                room
            })
            .collect();
        Self { slots, lens: Vec::new(), at_end: true }
    }

    fn span(&self, len: usize) -> Range<usize> {
        let start = if self.at_end { PAGES * PAGE - len } else { 0 };
        start..start + len
    }
}

/// Fresh pages, the last of which is forbidden.
#[cfg(not(miri))]
fn map(len: usize) -> &'static mut [u8] {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a mapping that the kernel places overlaps nothing.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE) }
        .unwrap();
    // SAFETY: `len` readable and writable octets begin at `start`, zeros; nobody else knows of them and nobody unmaps them.
    let pages = unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), len) };
    let (pages, last) = pages.split_at_mut(len - PAGE);
    forbid(last);
    pages
}

/// Nobody may touch these pages from now on.
#[cfg(not(miri))]
fn forbid(pages: &'static mut [u8]) {
    use rustix::mm::{MprotectFlags, mprotect};
    // SAFETY: whole pages of a mapping; the only reference to them is this one, which ends here.
    unsafe { mprotect(pages.as_mut_ptr().cast(), pages.len(), MprotectFlags::empty()) }.unwrap();
}

#[cfg(not(miri))]
impl Room for Pages {
    fn lay<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>) {
        self.lens.clear();
        for (at, packet) in packets.enumerate() {
            self.lens.push(packet.len());
            let span = self.span(packet.len());
            let slot = &mut self.slots[at];
            slot[span.start.saturating_sub(MARGIN)..span.start].fill(CANARY);
            slot[span.end..(span.end + MARGIN).min(PAGES * PAGE)].fill(CANARY);
            slot[span].copy_from_slice(packet);
        }
    }

    fn packets(&mut self) -> Vec<&mut [u8]> {
        let spans: Vec<_> = self.lens.iter().map(|len| self.span(*len)).collect();
        self.slots.iter_mut().zip(spans).map(|(slot, span)| &mut slot[span]).collect()
    }

    fn is_clean(&self) -> bool {
        self.slots.iter().zip(&self.lens).all(|(slot, len)| {
            let span = self.span(*len);
            let before = &slot[span.start.saturating_sub(MARGIN)..span.start];
            let behind = &slot[span.end..(span.end + MARGIN).min(PAGES * PAGE)];
            before.iter().chain(behind).all(|octet| *octet == CANARY)
        })
    }
}
