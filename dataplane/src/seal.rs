//! From plaintext with an SA to sealed ESP on its way: number, encapsulate, seal, send.
use crate::forward::{self, Via};
use crate::link::Link;
use crate::number;
use crate::outer::Marks;
use crate::sa::Outbound;
use crate::stage::{self, Stage};
use crate::turn::{BATCH, Turn};
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason};
use wire::esp;
use wire::iana::IpProtocol;
use xsk::Frame;

/// Packets on their way into tunnels. They keep their places until all leave: nothing is moved in between.
#[derive(Default)]
pub(crate) struct Batch<'t> {
    runs: ArrayVec<Run<'t>, BATCH>,
    packets: ArrayVec<Packet, BATCH>,
    ways: ArrayVec<Via, BATCH>,
}

/// Where a run goes.
#[derive(Clone, Copy)]
pub(crate) enum Way<'t> {
    /// As it stands in the tables.
    Known(&'t Via),
    /// As it stands in the batch.
    Kept(usize),
}

/// Packets of one SA that follow one another: what they have in common.
pub(crate) struct Run<'t> {
    pub sa: &'t Outbound,
    way: Way<'t>,
    /// The largest inner packet that fits the way.
    most: usize,
    count: usize,
}

/// One of them.
pub(crate) struct Packet {
    pub frame: Frame,
    pub marks: Marks,
    pub v4: bool,
    /// Why it does not leave.
    pub refused: Option<DropReason>,
    /// Its number, once it has one.
    pub sequence: u64,
}

impl<'t> Batch<'t> {
    /// Whether it must be sent before anything else is added.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.packets.is_full() || self.ways.is_full()
    }

    /// The largest packet that fits, if the packet before was one of this SA: they tend to come together, and then
    /// go the same way.
    #[inline]
    pub fn most(&self, sa: &Outbound) -> Option<usize> {
        self.runs.last().filter(|run| core::ptr::eq(run.sa, sa)).map(|run| run.most)
    }

    /// Takes note of a way that stands nowhere else. The batch must not be full.
    pub fn keep(&mut self, via: Via) -> Way<'t> {
        self.ways.push(via);
        Way::Kept(self.ways.len() - 1)
    }

    /// The SA of the packet before, if it is this tunnel's.
    #[inline]
    pub fn sender(&self, tunnel: u32) -> Option<&'t Outbound> {
        self.runs.last().map(|run| run.sa).filter(|sa| sa.tunnel == tunnel)
    }

    /// The next packets are of this SA and go this way, in frames of at most so many octets. The batch must not be
    /// full.
    #[inline]
    pub fn begin(&mut self, sa: &'t Outbound, way: Way<'t>, largest: usize) -> usize {
        let mtu = way.via(&self.ways).map_or(0, |via| via.mtu);
        let most = sa.max_inner(usize::from(mtu).min(largest));
        if self.runs.last().is_some_and(|run| run.count == 0) {
            self.runs.pop(); // what it was for was too big
        }
        self.runs.push(Run { sa, way, most, count: 0 });
        most
    }

    /// Adds a packet of the SA that was begun.
    #[inline]
    pub fn push(&mut self, packet: Packet) {
        if let Some(run) = self.runs.last_mut() {
            run.count += 1;
            self.packets.push(packet);
        }
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.runs.clear();
        self.ways.clear();
    }

    /// Every run with its packets.
    pub fn runs_mut(&mut self) -> impl Iterator<Item = (&Run<'t>, &mut [Packet])> {
        pairs(&self.runs, &mut self.packets)
    }
}

fn pairs<'b, 't>(
    runs: &'b [Run<'t>],
    mut packets: &'b mut [Packet],
) -> impl Iterator<Item = (&'b Run<'t>, &'b mut [Packet])> {
    runs.iter().map_while(move |run| {
        let (these, others) = core::mem::take(&mut packets).split_at_mut_checked(run.count)?;
        packets = others;
        Some((run, these))
    })
}

impl Way<'_> {
    #[inline]
    fn via<'b>(&'b self, kept: &'b [Via]) -> Option<&'b Via> {
        match *self {
            Self::Known(via) => Some(via),
            Self::Kept(at) => kept.get(at),
        }
    }
}

/// Sends a batch into its tunnels. The batch is empty afterwards.
pub(crate) fn flush<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>) {
    stage::mark(Stage::Classify);
    if batch.packets.is_empty() {
        return batch.clear();
    }
    number::number(turn, batch);
    stage::mark(Stage::Number);
    let mut jobs = ArrayVec::new();
    for (run, packets) in batch.runs_mut() {
        encapsulate(run.sa, packets, &mut jobs);
    }
    stage::mark(Stage::Encapsulate);
    let refused = crypto::seal(&mut jobs);
    drop(jobs);
    stage::mark(Stage::Seal);
    if refused > 0 {
        batch.runs_mut().for_each(|(run, packets)| mark_unsealed(run.sa, packets));
    }
    for (run, packets) in pairs(&batch.runs, &mut batch.packets) {
        let link = run.way.via(&batch.ways).and_then(|via| forward::link(turn.tables, via));
        finish(run.sa, link, packets);
    }
    leave(turn, batch);
    stage::mark(Stage::Forward);
}

/// Headers into the headroom, trailer behind; no octet of the packet moves. What is to be sealed goes to `jobs`.
fn encapsulate<'p>(
    sa: &'p Outbound,
    packets: &'p mut [Packet],
    jobs: &mut ArrayVec<crypto::Seal<'p>, BATCH>,
) {
    for packet in packets.iter_mut().filter(|packet| packet.refused.is_none()) {
        match wrap(sa, packet) {
            Some(()) => {
                let sequence = packet.sequence;
                let packet = packet.frame.get_mut(sa.outer.len()..).unwrap_or_default();
                jobs.push(crypto::Seal { key: &sa.key, sequence, packet });
            }
            None => packet.refused = Some(DropReason::NoRoom),
        }
    }
}

#[inline]
fn wrap(sa: &Outbound, packet: &mut Packet) -> Option<()> {
    let Packet { frame, marks, v4, sequence, .. } = packet;
    let next_header = if *v4 { IpProtocol::IPV4 } else { IpProtocol::IPV6 };
    let sizes = sa.sizes;
    let pad = sizes.pad_len(frame.len());
    let tail = frame.extend(pad + esp::TRAILER + sizes.icv).ok()?;
    trail(tail, pad, next_header)?;
    let esp_len = esp::HEADER + sizes.iv + frame.len();
    let head = frame.push(sa.outer.len() + esp::HEADER + sizes.iv).ok()?;
    let (outer, head) = head.split_at_mut_checked(sa.outer.len())?;
    *head.first_chunk_mut()? = esp::Header { spi: sa.spi, sequence: *sequence as u32 }.emit();
    sa.outer.write(outer, esp_len, *marks, *sequence)
}

/// Padding and trailer at the head of `tail`. The ICV comes behind them later, so a longer piece of the padding's
/// ramp may be written, of a length that the compiler knows.
#[inline]
fn trail(tail: &mut [u8], pad: usize, next_header: IpProtocol) -> Option<()> {
    const RAMP: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    match tail.first_chunk_mut() {
        Some(ramp) if pad <= RAMP.len() => *ramp = RAMP,
        _ => return esp::emit_trailer(tail.get_mut(..pad + esp::TRAILER)?, next_header).ok(),
    }
    *tail.get_mut(pad..)?.first_chunk_mut()? = [pad as u8, next_header.0];
    Some(())
}

/// A packet that could not be sealed is all zeros behind its outer header, and stays.
#[cold]
fn mark_unsealed(sa: &Outbound, packets: &mut [Packet]) {
    for packet in packets.iter_mut().filter(|packet| packet.refused.is_none()) {
        let spi = packet.frame.get(sa.outer.len()..).and_then(|esp| esp.first_chunk());
        if spi != Some(&sa.spi.to_be_bytes()) {
            packet.refused = Some(DropReason::SequenceExhausted);
        }
    }
}

/// Up to the link header.
fn finish(sa: &Outbound, link: Option<Link<'_>>, packets: &mut [Packet]) {
    let cover = link.map(|link| link.header(sa.outer.is_v4()));
    for packet in packets.iter_mut().filter(|packet| packet.refused.is_none()) {
        let frame = &mut packet.frame;
        let done = match (&cover, sa.outer.wants_checksum() && sa.outer.checksum(frame).is_none()) {
            (_, true) => Err(DropReason::NoRoom),
            (Some(cover), false) => cover.put(frame),
            (None, false) => Ok(()),
        };
        packet.refused = done.err();
    }
}

fn leave(turn: &mut Turn<'_>, batch: &mut Batch<'_>) {
    let mut packets = batch.packets.drain(..);
    for run in &batch.runs {
        let Some(via) = run.way.via(&batch.ways) else { continue };
        let link = forward::link(turn.tables, via).is_some();
        for Packet { frame, refused, .. } in packets.by_ref().take(run.count) {
            if let Some(why) = refused {
                turn.drop(frame, why);
                continue;
            }
            turn.count(Counter::Sealed);
            match link {
                true => turn.enqueue(via.interface, frame, DropReason::TxFull),
                false => forward::send(turn, frame, *via, run.sa.outer.is_v4()),
            }
        }
    }
    drop(packets);
    batch.clear();
}
