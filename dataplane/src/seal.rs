//! From plaintext with an SA to sealed ESP on its way: number, encapsulate, seal, send.
use crate::forward::{self, Via};
use crate::number;
use crate::outer::Marks;
use crate::packet::Summary;
use crate::sa::Outbound;
use crate::stage::{self, Stage};
use crate::turn::{BATCH, Turn};
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason};
use wire::esp;
use wire::iana::IpProtocol;
use xsk::Frame;

/// A packet whose SA and way are known.
pub(crate) struct Ready<'t> {
    pub frame: Frame,
    pub ip: Summary,
    pub sa: &'t Outbound,
    pub via: Via,
    /// Its number, once it has one.
    pub sequence: u64,
    /// Which of the batch's SAs.
    pub group: u8,
}

pub(crate) type Batch<'t> = ArrayVec<Ready<'t>, BATCH>;

/// Sends a batch into its tunnels. The batch is empty afterwards.
pub(crate) fn flush<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>) {
    stage::mark(Stage::Classify);
    if batch.is_empty() {
        return;
    }
    number::number(turn, batch);
    stage::mark(Stage::Number);
    encapsulate(turn, batch);
    stage::mark(Stage::Encapsulate);
    seal(batch);
    stage::mark(Stage::Seal);
    for ready in batch.drain(..) {
        leave(turn, ready);
    }
    stage::mark(Stage::Forward);
}

/// Headers into the headroom, trailer behind; no octet of the packet moves.
fn encapsulate(turn: &mut Turn<'_>, batch: &mut Batch<'_>) {
    let mut at = 0;
    while let Some(ready) = batch.get_mut(at) {
        match wrap(ready) {
            Some(()) => at += 1,
            None => {
                let ready = batch.remove(at);
                turn.drop(ready.frame, DropReason::NoRoom);
            }
        }
    }
}

fn wrap(ready: &mut Ready<'_>) -> Option<()> {
    let Ready { frame, ip, sa, sequence, .. } = ready;
    let next_header = if ip.is_v4() { IpProtocol::IPV4 } else { IpProtocol::IPV6 };
    let sizes = sa.sizes;
    let trailer = esp::pad_len(frame.len(), sizes.block) + esp::TRAILER;
    let tail = frame.extend(trailer + sizes.icv).ok()?;
    esp::emit_trailer(tail.get_mut(..trailer)?, next_header).ok()?;
    frame.push(esp::HEADER + sizes.iv).ok()?;
    let header = esp::Header { spi: sa.spi, sequence: *sequence as u32 };
    *frame.first_chunk_mut()? = header.emit();
    let esp_len = frame.len();
    let marks = Marks::new(ip, sa.dscp, sa.ecn, sa.dont_fragment);
    sa.outer.write(frame.push(sa.outer.len()).ok()?, esp_len, marks, *sequence)
}

fn seal(batch: &mut Batch<'_>) {
    let jobs = batch.iter_mut().filter_map(|ready| {
        let packet = ready.frame.get_mut(ready.sa.outer.len()..)?;
        Some(crypto::Seal { key: &ready.sa.key, sequence: ready.sequence, packet })
    });
    crypto::seal(&mut jobs.collect::<ArrayVec<_, BATCH>>());
}

/// A packet that could not be sealed is all zeros behind its outer header, and stays.
fn leave(turn: &mut Turn<'_>, ready: Ready<'_>) {
    let Ready { mut frame, sa, via, .. } = ready;
    let spi = frame.get(sa.outer.len()..).and_then(|esp| esp.first_chunk());
    if spi != Some(&sa.spi.to_be_bytes()) {
        return turn.drop(frame, DropReason::SequenceExhausted);
    }
    if sa.outer.wants_checksum() && sa.outer.checksum(&mut frame).is_none() {
        return turn.drop(frame, DropReason::NoRoom);
    }
    turn.count(Counter::Sealed);
    forward::send(turn, frame, via, sa.outer.is_v4());
}
