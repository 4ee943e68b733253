//! Opening a batch: ICVs first, then the windows once more, since a twin may share the batch (RFC 4303 §3.4.3).
use crate::inner;
use crate::lookup::replayed;
use crate::notice::Notice;
use crate::packet::Summary;
use crate::sa::{Inbound, Life};
use crate::stage::{self, Stage};
use crate::turn::{BATCH, Facts, Turn};
use arrayvec::ArrayVec;
use sadb::{DropReason, SaDrop};
use xsk::Frame;

/// An ESP packet with its SA; the frame holds it from the ESP header to the ICV.
pub(crate) struct Sealed<'t> {
    pub frame: Frame,
    pub sa: &'t Inbound,
    /// All 64 bits with ESN.
    pub sequence: u64,
    /// Of the outer header.
    pub flow_label: u32,
    /// Of the outer header.
    pub tos: u8,
    /// What has become of it so far.
    pub fate: Result<(), DropReason>,
}

pub(crate) type Batch<'t> = ArrayVec<Sealed<'t>, BATCH>;

/// Opens a batch and sends on what was inside. The batch is empty afterwards. `headers` has a place for each packet.
pub(crate) fn flush<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>, headers: &mut [Summary]) {
    stage::mark(Stage::Classify);
    if batch.is_empty() {
        return;
    }
    open(batch);
    stage::mark(Stage::Open);
    let mut tally = Tally::default();
    let (mut before, mut rest) = (None, &mut *headers);
    for sealed in batch.iter_mut() {
        let Some((ip, behind)) = rest.split_first_mut() else { break };
        rest = behind;
        sealed.fate = sealed.fate.and_then(|()| fresh(sealed));
        if sealed.fate.is_ok() {
            sealed.fate = inner::unwrap(turn, sealed, ip, before);
            tally.add(turn, sealed);
            before = sealed.fate.is_ok().then_some((sealed.sa, &*ip));
        }
    }
    tally.settle(turn);
    inner::send(turn, batch, headers);
    stage::mark(Stage::Forward);
}

fn open(batch: &mut Batch<'_>) {
    let mut jobs = ArrayVec::<_, BATCH>::new();
    for Sealed { frame, sa, sequence, .. } in batch.iter_mut() {
        jobs.push(crypto::Open::new(&sa.key, *sequence, frame));
    }
    crypto::open(&mut jobs);
    let verdicts: ArrayVec<bool, BATCH> = jobs.iter().map(|job| job.verdict.is_ok()).collect();
    drop(jobs);
    for (sealed, genuine) in batch.iter_mut().zip(verdicts) {
        sealed.fate = if genuine { Ok(()) } else { Err(bad_icv(sealed)) };
    }
}

/// Marks the number as received, unless it was before. The window moves when the tally is settled.
#[inline]
fn fresh(sealed: &Sealed<'_>) -> Result<(), DropReason> {
    sealed.sa.window.mark(sealed.sequence).map_err(|why| replayed(sealed.sa, why))
}

#[cold]
fn bad_icv(sealed: &Sealed<'_>) -> DropReason {
    sealed.sa.window.count(SaDrop::BadIcv, 1);
    DropReason::BadIcv
}

/// Ends a packet of a known SA, audited.
#[cold]
pub(crate) fn refuse(
    turn: &mut Turn<'_>,
    frame: Frame,
    why: DropReason,
    sa: &Inbound,
    sequence: u64,
    flow_label: u32,
) {
    let (source, destination) = (sa.remote, sa.local); // they were compared
    turn.refuse(frame, why, Facts { spi: sa.spi, sequence, source, destination, flow_label });
}

/// What one SA carried, as its sender counted it: inner packets and their octets; and the highest number received.
/// Added up as long as its packets come one after another.
#[derive(Default)]
struct Tally<'t> {
    sa: Option<&'t Inbound>,
    packets: u64,
    bytes: u64,
    highest: u64,
}

impl<'t> Tally<'t> {
    fn add(&mut self, turn: &Turn<'_>, opened: &Sealed<'t>) {
        if !self.sa.is_some_and(|before| core::ptr::eq(before, opened.sa)) {
            core::mem::take(self).settle(turn);
            self.sa = Some(opened.sa);
        }
        self.packets += 1;
        self.bytes += opened.frame.len() as u64;
        self.highest = self.highest.max(opened.sequence);
    }

    fn settle(self, turn: &Turn<'_>) {
        let Some(sa) = self.sa else { return };
        sa.window.advance(self.highest);
        let totals = sa.window.account(self.packets, self.bytes, turn.now.as_secs());
        if let Some(hard) = sa.window.news(&sa.lifetime, totals, turn.now) {
            turn.shared.tell(Notice::Expire { slot: sa.slot, spi: sa.spi, hard });
        }
    }
}
