//! Lifetimes and sequence numbers: one addition each per SA and batch.
use crate::notice::Notice;
use crate::sa::{Life, Outbound};
use crate::seal::Batch;
use crate::turn::{BATCH, Facts, Turn};
use arrayvec::ArrayVec;
use sadb::DropReason;
use sadb::Totals;

/// The packets of one SA in this batch.
struct Group<'t> {
    sa: &'t Outbound,
    packets: u64,
    bytes: u64,
    /// What the SA had carried before this batch.
    before: Totals,
    expired: bool,
    /// The next number, and how many are left of those reserved.
    next: u64,
    reserved: u64,
}

type Groups<'t> = ArrayVec<Group<'t>, BATCH>;

/// Gives every packet its sequence number. Those that get none are dropped here.
pub(crate) fn number<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>) {
    let mut groups = gather(batch);
    for group in &mut groups {
        account(turn, group);
        reserve(turn, group);
    }
    let mut numbered = Batch::new();
    for mut ready in batch.drain(..) {
        match groups.get_mut(usize::from(ready.group)).map(|group| group.take(ready.ip.total_len)) {
            Some(Ok(sequence)) => {
                ready.sequence = sequence;
                numbered.push(ready);
            }
            Some(Err(why)) => {
                let facts =
                    Facts { spi: ready.sa.spi, sequence: ready.sa.numbers.last(), ip: &ready.ip };
                turn.refuse(ready.frame, why, facts);
            }
            None => turn.drop(ready.frame, DropReason::SequenceExhausted), // cannot be: gathered above
        }
    }
    *batch = numbered;
}

fn gather<'t>(batch: &mut Batch<'t>) -> Groups<'t> {
    let mut groups = Groups::new();
    for ready in batch {
        let len = ready.ip.total_len as u64;
        // from the end: packets of one SA tend to come together
        let place = groups.iter().rposition(|group| core::ptr::eq(group.sa, ready.sa));
        let place = place.unwrap_or_else(|| {
            groups.push(Group::new(ready.sa));
            groups.len() - 1
        });
        ready.group = place as u8;
        if let Some(group) = groups.get_mut(place) {
            group.packets += 1;
            group.bytes += len;
        }
    }
    groups
}

/// RFC 4301 §4.4.2.1: the packet that reaches a limit still goes, the next does not.
fn account(turn: &Turn<'_>, group: &mut Group<'_>) {
    let (sa, now) = (group.sa, turn.now);
    if sa.numbers.expired() {
        group.expired = true; // it carries nothing more, so nothing is counted
        return;
    }
    let after = sa.numbers.account(group.packets, group.bytes, now.as_secs());
    group.before = Totals {
        packets: after.packets.saturating_sub(group.packets),
        bytes: after.bytes.saturating_sub(group.bytes),
    };
    group.expired = sa.numbers.expired();
    if let Some(hard) = sa.numbers.news(&sa.lifetime, after, now) {
        turn.shared.tell(Notice::Expire { slot: sa.slot, spi: sa.spi, hard });
    }
    let limits = &sa.lifetime;
    let age = now.as_secs().saturating_sub(sa.numbers.installed());
    let late = limits.hard_seconds != 0 && age >= limits.hard_seconds;
    group.expired |= late;
    if limits.hard_packets != 0 {
        group.packets = group.packets.min(limits.hard_packets.saturating_sub(group.before.packets));
    }
}

fn reserve(turn: &Turn<'_>, group: &mut Group<'_>) {
    let sa = group.sa;
    let limit = sa.key.sequence_limit();
    let wanted = if group.expired { 0 } else { group.packets as u32 };
    if wanted == 0 {
        return group.expired = true;
    }
    // Never beyond the limit, never around (RFC 4303 §3.3.3): the rest of the numbers, then none.
    let first = sa.numbers.reserve(wanted, limit).map(|first| (first, wanted));
    let first = first.or_else(|none| {
        let left = none.left.min(wanted.into()) as u32;
        if left == 0 {
            Err(none)
        } else {
            sa.numbers.reserve(left, limit).map(|first| (first, left))
        }
    });
    match first {
        Ok((first, count)) => (group.next, group.reserved) = (first, count.into()),
        Err(_) if sa.numbers.expire() => {
            turn.shared.tell(Notice::Expire { slot: sa.slot, spi: sa.spi, hard: true });
        }
        Err(_) => {}
    }
}

impl<'t> Group<'t> {
    fn new(sa: &'t Outbound) -> Self {
        let before = Totals::default();
        Self { sa, packets: 0, bytes: 0, before, expired: false, next: 0, reserved: 0 }
    }

    /// The next number, or why there is none.
    fn take(&mut self, len: usize) -> Result<u64, DropReason> {
        let most = self.sa.lifetime.hard_bytes;
        let full = most != 0 && self.before.bytes >= most;
        if self.expired || full || self.packets == 0 {
            return Err(DropReason::Expired);
        }
        self.packets -= 1;
        self.before.bytes += len as u64;
        self.reserved = self.reserved.checked_sub(1).ok_or(DropReason::SequenceExhausted)?;
        let sequence = self.next;
        self.next += 1;
        Ok(sequence)
    }
}
