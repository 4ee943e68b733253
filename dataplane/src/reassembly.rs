//! Outer packets in pieces (RFC 791 §3.2, RFC 8200 §4.5): each open one holds one frame, into which the pieces are
//! copied: an ordinary one, and a large one from the piece on that does not fit. Bounded in number and time, large
//! frames too; the oldest makes room. The largest packet has 65,535 octets, header included.
use crate::packet::Summary;
use arrayvec::ArrayVec;
use core::net::IpAddr;
use core::time::Duration;
use sadb::DropReason;
use wire::ecn::Ecn;
use wire::ipv6::{self, Ipv6};
use wire::{checksum, ip, ipv4};
use xsk::{Frame, Pool};

/// Octets before the payload in an ordinary frame, for the header: the longest that may come back.
const HEADER_ROOM: usize = 128;
/// Units of eight octets in the largest packet.
const UNITS: usize = 65_536 / 8;

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
    /// Or why it was given up: its later fragments are refused until the time is over (RFC 5722 §3).
    frame: Result<Frame, DropReason>,
    header: ArrayVec<u8, HEADER_ROOM>,
    /// Which units of eight octets have come.
    have: [u64; UNITS / 64],
    /// How many octets have come: none counts twice, so all have come when the count is full.
    got: usize,
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
        self.slots.iter().filter(|slot| slot.frame.is_ok()).count()
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
        match self.take(at, &part, ip.tos, pool) {
            Ok(()) => {
                pool.put(frame);
                self.finish(at)
            }
            Err(why) => Outcome::Bad(frame, why, self.give_up(at, why, pool)),
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

    fn take(
        &mut self,
        at: usize,
        part: &Part<'_>,
        tos: u8,
        pool: &mut Pool,
    ) -> Result<(), DropReason> {
        let slot = self.slots.get(at).ok_or(DropReason::FragmentTimeout)?;
        slot.check(part)?;
        let large = if slot.is_outgrown(part.end()) { Some(self.large(pool)?) } else { None };
        let slot = self.slots.get_mut(at).ok_or(DropReason::FragmentTimeout)?;
        if let Some(large) = large {
            pool.put(slot.move_to(large)?);
        }
        slot.take(part, tos)
    }

    /// A large frame; if none is free, the oldest packet in one of ours makes room.
    fn large(&mut self, pool: &mut Pool) -> Result<Frame, DropReason> {
        if let Some(frame) = pool.take_large() {
            return Ok(frame);
        }
        let large = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_large());
        let (oldest, _) = large.min_by_key(|(_, slot)| slot.until).ok_or(DropReason::NoFrame)?;
        self.late += self.give_up(oldest, DropReason::FragmentTimeout, pool);
        pool.take_large().ok_or(DropReason::NoFrame)
    }

    fn finish(&mut self, at: usize) -> Outcome {
        if !self.slots.get(at).is_some_and(Slot::is_whole) {
            return Outcome::Kept;
        }
        let slot = self.slots.swap_remove(at);
        let Slot { frame, header, ecn, .. } = slot;
        let Ok(mut frame) = frame else { return Outcome::Kept };
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
    fn give_up(&mut self, at: usize, why: DropReason, pool: &mut Pool) -> u64 {
        let Some(slot) = self.slots.get_mut(at) else { return 0 };
        if slot.frame.is_ok()
            && let Ok(frame) = core::mem::replace(&mut slot.frame, Err(why))
        {
            pool.put(frame);
        }
        core::mem::take(&mut slot.fragments)
    }

    fn close(&mut self, at: usize, pool: &mut Pool) {
        self.late += self.give_up(at, DropReason::FragmentTimeout, pool);
        self.slots.swap_remove(at);
    }
}

impl Slot {
    fn new(key: Key, until: Duration, frame: Frame) -> Self {
        Self {
            key,
            until,
            frame: Ok(frame),
            header: ArrayVec::new(),
            have: [0; UNITS / 64],
            got: 0,
            total: None,
            fragments: 0,
            ecn: 0,
        }
    }

    fn take(&mut self, part: &Part<'_>, tos: u8) -> Result<(), DropReason> {
        let (start, end) = (part.start(), part.end());
        let frame = self.frame.as_mut().map_err(|why| *why)?;
        let grow = end.saturating_sub(frame.len());
        frame.extend(grow).map_err(|_| DropReason::NoRoom)?; // cannot be: longer than an IP packet
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
        self.got += part.payload.len();
        self.fragments += 1;
        self.ecn |= 1 << (tos & 3);
        Ok(())
    }

    /// RFC 5722 §3: no octet twice; and the last fragment's end is the end.
    fn check(&self, part: &Part<'_>) -> Result<(), DropReason> {
        let (start, end) = (part.start(), part.end());
        let reach = self.frame.as_ref().map_err(|why| *why)?.len();
        let beyond = self.total.is_some_and(|total| end > total || !part.at.more)
            || (!part.at.more && reach > end);
        let twice = units(start, end).any(|unit| self.bit(unit));
        let empty = part.payload.is_empty();
        if beyond || twice || empty { Err(DropReason::FragmentOverlap) } else { Ok(()) }
    }

    /// Whether a payload up to `end` needs a large frame.
    fn is_outgrown(&self, end: usize) -> bool {
        self.frame
            .as_ref()
            .is_ok_and(|frame| !frame.is_large() && end > frame.len() + frame.tailroom())
    }

    fn is_large(&self) -> bool {
        self.frame.as_ref().is_ok_and(Frame::is_large)
    }

    /// Goes on in a large frame, with just so much room before the payload that the longest packet fits. Returns the
    /// frame it had.
    fn move_to(&mut self, mut large: Frame) -> Result<Frame, DropReason> {
        let frame = self.frame.as_mut().map_err(|why| *why)?;
        large.reset(if self.key.source.is_ipv4() { ipv4::HEADER } else { ipv6::HEADER });
        large.fill(frame).map_err(|_| DropReason::NoRoom)?;
        Ok(core::mem::replace(frame, large))
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
        self.total == Some(self.got)
    }
}

impl Part<'_> {
    fn start(&self) -> usize {
        usize::from(self.at.offset)
    }

    fn end(&self) -> usize {
        self.start() + self.payload.len()
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
    make_room(frame, header.len())?;
    frame.push(header.len()).ok()?.copy_from_slice(header);
    let total = u16::try_from(frame.len()).ok()?;
    if header.first()? >> 4 == 4 {
        four(frame, header.len(), total, ecn)
    } else {
        six(frame, total, ecn)
    }
}

/// Options and extension headers need more room than a large frame keeps for a plain header.
fn make_room(frame: &mut Frame, header_len: usize) -> Option<()> {
    let (len, lack) = (frame.len(), header_len.saturating_sub(frame.headroom()));
    if lack > 0 {
        frame.extend(lack).ok()?;
        frame.copy_within(..len, lack);
        frame.pull(lack);
    }
    Some(())
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
