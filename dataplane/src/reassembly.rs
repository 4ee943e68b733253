//! Outer packets in pieces (RFC 791 §3.2, RFC 8200 §4.5): each open one holds one frame, into which the pieces are
//! copied. Bounded in number and time; the oldest makes room.
use crate::packet::Summary;
use arrayvec::ArrayVec;
use core::net::IpAddr;
use core::time::Duration;
use sadb::DropReason;
use wire::ecn::Ecn;
use wire::ipv6::{self, Ipv6};
use wire::{checksum, ip};
use xsk::{Frame, Pool};

/// Octets before the payload, for the header: the longest that may come back.
const HEADER_ROOM: usize = 128;
/// Units of eight octets in the largest frame.
const UNITS: usize = 4096 / 8;

/// What became of a fragment.
pub(crate) enum Outcome {
    /// It waits for the others; its frame is back in the pool.
    Kept,
    /// It was the last that was missing: an IP packet without a link header.
    Whole(Frame),
    /// It is lost, and so many fragments of its packet that came before with it.
    Bad(Frame, DropReason, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// IPv4 only (RFC 791 §2.3); 0 in IPv6.
    protocol: u8,
}

/// One packet in the making.
#[derive(Debug)]
struct Slot {
    key: Key,
    until: Duration,
    /// `None`: given up. Its later fragments are refused until the time is over (RFC 5722 §3).
    frame: Option<Frame>,
    header: ArrayVec<u8, HEADER_ROOM>,
    /// Which units of eight octets have come.
    have: [u64; UNITS / 64],
    /// Octets of the whole payload, once the last fragment has come.
    total: Option<usize>,
    fragments: u64,
    /// ECN codepoints seen, a bit each (RFC 3168 §5.3).
    ecn: u8,
}

/// One fragment, taken apart.
struct Part<'f> {
    header: &'f [u8],
    payload: &'f [u8],
    at: ip::Fragment,
    /// IPv6: what the header will name once the fragment header is gone, and where.
    next: Option<(usize, u8)>,
}

/// The packets in the making.
#[derive(Debug)]
pub(crate) struct Reassembly {
    slots: Vec<Slot>,
    room: usize,
    patience: Duration,
    /// Fragments of packets that took too long or made room, not counted yet.
    late: u64,
}

impl Reassembly {
    pub fn new(room: usize, patience: Duration) -> Self {
        Self { slots: Vec::with_capacity(room), room, patience, late: 0 }
    }

    /// Frames held.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.frame.is_some()).count()
    }

    /// Takes in a fragment; `frame` starts with its IP header.
    pub fn add(&mut self, frame: Frame, ip: &Summary, now: Duration, pool: &mut Pool) -> Outcome {
        let Some(part) = part(&frame, ip) else {
            return Outcome::Bad(frame, DropReason::MalformedExtension, 0);
        };
        let at = match self.open(ip, part.at.id, now, pool) {
            Ok(at) => at,
            Err(why) => return Outcome::Bad(frame, why, 0),
        };
        let taken = self.slots.get_mut(at).map(|slot| slot.take(&part, ip.tos));
        match taken {
            Some(Ok(())) => {
                pool.put(frame);
                self.finish(at)
            }
            Some(Err(why)) => Outcome::Bad(frame, why, self.give_up(at, pool)),
            None => Outcome::Bad(frame, DropReason::FragmentTimeout, 0),
        }
    }

    /// Gives up what took too long; returns how many fragments were lost with it.
    pub fn expire(&mut self, now: Duration, pool: &mut Pool) -> u64 {
        while let Some(at) = self.slots.iter().position(|slot| slot.until <= now) {
            self.close(at, pool);
        }
        core::mem::take(&mut self.late)
    }

    fn open(
        &mut self,
        ip: &Summary,
        id: u32,
        now: Duration,
        pool: &mut Pool,
    ) -> Result<usize, DropReason> {
        let protocol = if ip.is_v4() { ip.protocol.0 } else { 0 };
        let key = Key { source: ip.source, destination: ip.destination, id, protocol };
        if let Some(at) = self.slots.iter().position(|slot| slot.key == key) {
            return Ok(at);
        }
        if self.room == 0 {
            return Err(DropReason::FragmentTimeout);
        }
        if self.slots.len() >= self.room {
            let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.until);
            if let Some((at, _)) = oldest {
                self.close(at, pool);
            }
        }
        let mut frame = pool.take().ok_or(DropReason::NoFrame)?;
        frame.reset(HEADER_ROOM);
        self.slots.push(Slot::new(key, now + self.patience, frame));
        Ok(self.slots.len() - 1)
    }

    fn finish(&mut self, at: usize) -> Outcome {
        if !self.slots.get(at).is_some_and(Slot::is_whole) {
            return Outcome::Kept;
        }
        let slot = self.slots.swap_remove(at);
        let Slot { frame, header, ecn, .. } = slot;
        let Some(mut frame) = frame else { return Outcome::Kept };
        let ecn = match congestion(ecn) {
            Ok(ecn) => ecn,
            Err(why) => return Outcome::Bad(frame, why, 0),
        };
        match behead(&mut frame, &header, ecn) {
            Some(()) => Outcome::Whole(frame),
            None => Outcome::Bad(frame, DropReason::NoRoom, 0),
        }
    }

    /// Keeps the slot, so that the rest of this packet is refused too. Returns how many fragments it had.
    fn give_up(&mut self, at: usize, pool: &mut Pool) -> u64 {
        let Some(slot) = self.slots.get_mut(at) else { return 0 };
        if let Some(frame) = slot.frame.take() {
            pool.put(frame);
        }
        core::mem::take(&mut slot.fragments)
    }

    fn close(&mut self, at: usize, pool: &mut Pool) {
        self.late += self.give_up(at, pool);
        self.slots.swap_remove(at);
    }
}

impl Slot {
    fn new(key: Key, until: Duration, frame: Frame) -> Self {
        Self {
            key,
            until,
            frame: Some(frame),
            header: ArrayVec::new(),
            have: [0; UNITS / 64],
            total: None,
            fragments: 0,
            ecn: 0,
        }
    }

    fn take(&mut self, part: &Part<'_>, tos: u8) -> Result<(), DropReason> {
        let (start, end) =
            (usize::from(part.at.offset), usize::from(part.at.offset) + part.payload.len());
        self.check(part, start, end)?;
        let frame = self.frame.as_mut().ok_or(DropReason::FragmentOverlap)?;
        let grow = end.saturating_sub(frame.len());
        frame.extend(grow).map_err(|_| DropReason::FragmentTimeout)?; // too large for a frame
        frame.get_mut(start..end).ok_or(DropReason::NoRoom)?.copy_from_slice(part.payload);
        if start == 0 {
            self.header = part.header.try_into().map_err(|_| DropReason::MalformedExtension)?;
            if let Some((at, protocol)) = part.next
                && let Some(field) = self.header.get_mut(at)
            {
                *field = protocol;
            }
        }
        if !part.at.more {
            self.total = Some(end);
        }
        self.mark(start, end);
        self.fragments += 1;
        self.ecn |= 1 << (tos & 3);
        Ok(())
    }

    /// RFC 5722 §3: no octet twice; and the last fragment's end is the end.
    fn check(&self, part: &Part<'_>, start: usize, end: usize) -> Result<(), DropReason> {
        let reach = self.frame.as_ref().map_or(0, |frame| frame.len());
        let beyond = self.total.is_some_and(|total| end > total || !part.at.more)
            || (!part.at.more && reach > end);
        let twice = units(start, end).any(|unit| self.bit(unit));
        let empty = part.payload.is_empty();
        if beyond || twice || empty { Err(DropReason::FragmentOverlap) } else { Ok(()) }
    }

    fn bit(&self, unit: usize) -> bool {
        self.have.get(unit / 64).is_some_and(|word| word >> (unit % 64) & 1 != 0)
    }

    fn mark(&mut self, start: usize, end: usize) {
        for unit in units(start, end) {
            if let Some(word) = self.have.get_mut(unit / 64) {
                *word |= 1 << (unit % 64);
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| units(0, total).all(|unit| self.bit(unit)))
    }
}

fn units(start: usize, end: usize) -> core::ops::Range<usize> {
    start / 8..end.div_ceil(8)
}

/// `None`: extension headers where no fragment may have them (RFC 8200 §4.5).
fn part<'f>(frame: &'f [u8], ip: &Summary) -> Option<Part<'f>> {
    if ip.is_v4() {
        let (header, payload) = frame.split_at_checked(ip.header_len)?;
        return Some(Part { header, payload, at: ip.fragment?, next: None });
    }
    let packet = Ipv6::parse(frame).ok()?;
    let upper = ipv6::extensions(&packet).ok()?;
    let fragment = upper.fragment.filter(|f| f.header_offset == upper.unfragmentable)?;
    let (header, rest) = frame.split_at_checked(upper.unfragmentable)?;
    let payload = rest.get(ipv6::FRAGMENT_HEADER..)?;
    let ipv6::Fragment { offset, more, id, protocol, .. } = fragment;
    let next = Some((upper.next_header_at, protocol.0));
    Some(Part { header, payload, at: ip::Fragment { offset, more, id }, next })
}

/// The ECN field of the whole (RFC 3168 §5.3): congestion on any part is congestion on all, unless a part could not
/// have carried the mark. `None`: as the first fragment had it.
fn congestion(seen: u8) -> Result<Option<Ecn>, DropReason> {
    const NOT_ECT: u8 = 1 << Ecn::NotEct as u8;
    const CE: u8 = 1 << Ecn::Ce as u8;
    match (seen & CE != 0, seen & NOT_ECT != 0) {
        (true, true) => Err(DropReason::EcnIllegal),
        (true, false) => Ok(Some(Ecn::Ce)),
        _ => Ok(None),
    }
}

/// Puts the first fragment's header before the whole payload, as if the packet had never been cut.
fn behead(frame: &mut Frame, header: &[u8], ecn: Option<Ecn>) -> Option<()> {
    frame.push(header.len()).ok()?.copy_from_slice(header);
    let total = u16::try_from(frame.len()).ok()?;
    if header.first()? >> 4 == 4 {
        four(frame, header.len(), total, ecn)
    } else {
        six(frame, total, ecn)
    }
}

fn four(frame: &mut Frame, header_len: usize, total: u16, ecn: Option<Ecn>) -> Option<()> {
    let header = frame.get_mut(..header_len)?;
    let [_, tos, l0, l1, _, _, f0, f1, _, _, c0, c1] = header.first_chunk_mut::<12>()?;
    [*l0, *l1] = total.to_be_bytes();
    (*f0, *f1, *c0, *c1) = (0, 0, 0, 0);
    *tos = ecn.map_or(*tos, |ecn| ecn.apply(*tos));
    let [s0, s1] = checksum::checksum(header).to_be_bytes();
    header.get_mut(10..12)?.copy_from_slice(&[s0, s1]);
    Some(())
}

fn six(frame: &mut Frame, total: u16, ecn: Option<Ecn>) -> Option<()> {
    ipv6::set_payload_len(frame, total.checked_sub(ipv6::HEADER as u16)?).ok()?;
    if let Some(ecn) = ecn {
        let class = Ipv6::parse_quoted(frame).ok()?.traffic_class();
        ipv6::set_traffic_class(frame, ecn.apply(class)).ok()?;
    }
    Some(())
}
