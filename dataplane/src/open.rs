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
    pub outer: Summary,
    pub sa: &'t Inbound,
    /// All 64 bits with ESN.
    pub sequence: u64,
}

pub(crate) type Batch<'t> = ArrayVec<Sealed<'t>, BATCH>;

/// Opens a batch and sends on what was inside. The batch is empty afterwards.
pub(crate) fn flush<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>) {
    stage::mark(Stage::Classify);
    if batch.is_empty() {
        return;
    }
    let verdicts = open(batch);
    stage::mark(Stage::Open);
    let mut tally = Tally::default();
    for (sealed, genuine) in batch.drain(..).zip(verdicts) {
        let committed = if genuine { commit(&sealed) } else { Err(bad_icv(&sealed)) };
        if let Err(why) = committed {
            refuse(turn, sealed, why);
            continue;
        }
        let sa = sealed.sa;
        let octets = inner::admit(turn, sealed);
        tally.add(turn, sa, octets);
    }
    tally.settle(turn);
    stage::mark(Stage::Forward);
}

fn open(batch: &mut Batch<'_>) -> ArrayVec<bool, BATCH> {
    let jobs = batch
        .iter_mut()
        .map(|Sealed { frame, sa, sequence, .. }| crypto::Open::new(&sa.key, *sequence, frame));
    let mut jobs: ArrayVec<crypto::Open<'_>, BATCH> = jobs.collect();
    crypto::open(&mut jobs);
    jobs.iter().map(|job| job.verdict.is_ok()).collect()
}

fn commit(sealed: &Sealed<'_>) -> Result<(), DropReason> {
    sealed.sa.window.commit(sealed.sequence).map_err(|why| replayed(sealed.sa, why))
}

fn bad_icv(sealed: &Sealed<'_>) -> DropReason {
    sealed.sa.window.count(SaDrop::BadIcv, 1);
    DropReason::BadIcv
}

/// Ends a packet of a known SA, audited.
pub(crate) fn refuse(turn: &mut Turn<'_>, sealed: Sealed<'_>, why: DropReason) {
    let Sealed { frame, outer, sa, sequence } = sealed;
    turn.refuse(frame, why, Facts { spi: sa.spi, sequence, ip: &outer });
}

/// What one SA carried, as its sender counted it: inner packets and their octets. Added up as long as its packets come one after another.
#[derive(Default)]
struct Tally<'t> {
    sa: Option<&'t Inbound>,
    packets: u64,
    bytes: u64,
}

impl<'t> Tally<'t> {
    fn add(&mut self, turn: &Turn<'_>, sa: &'t Inbound, octets: usize) {
        if !self.sa.is_some_and(|before| core::ptr::eq(before, sa)) {
            core::mem::take(self).settle(turn);
            self.sa = Some(sa);
        }
        self.packets += 1;
        self.bytes += octets as u64;
    }

    fn settle(self, turn: &Turn<'_>) {
        let Some(sa) = self.sa else { return };
        let totals = sa.window.account(self.packets, self.bytes, turn.now.as_secs());
        if let Some(hard) = sa.window.news(&sa.lifetime, totals, turn.now) {
            turn.shared.tell(Notice::Expire { slot: sa.slot, spi: sa.spi, hard });
        }
    }
}
