//! Lifetimes and sequence numbers: one addition each for packets of one SA that follow one another.
use crate::notice::Notice;
use crate::packet::Summary;
use crate::sa::{Life, Outbound};
use crate::seal::{Batch, Packet};
use crate::turn::{Facts, Turn};
use sadb::DropReason;
use sadb::Totals;

/// What the packets of one run may have.
struct Group<'t> {
    sa: &'t Outbound,
    packets: u64,
    bytes: u64,
    /// What the SA had carried before this run.
    before: Totals,
    expired: bool,
    /// The next number, and how many are left of those reserved.
    next: u64,
    reserved: u64,
}

/// Gives every packet its sequence number. Those that get none are refused.
pub(crate) fn number(turn: &mut Turn<'_>, batch: &mut Batch<'_>) {
    for (run, packets) in batch.runs_mut() {
        let mut group = Group::of(run.sa, packets);
        account(turn, &mut group);
        reserve(turn, &mut group);
        for packet in packets {
            match group.take(packet.frame.len()) {
                Ok(sequence) => packet.sequence = sequence,
                Err(why) => refuse(turn, run.sa, packet, why),
            }
        }
    }
}

/// The frame still holds nothing but the packet, whose header was checked when it came.
#[cold]
fn refuse(turn: &mut Turn<'_>, sa: &Outbound, packet: &mut Packet, why: DropReason) {
    packet.refused = Some(why);
    if let Ok(ip) = Summary::of(&packet.frame) {
        turn.audit(why, Facts::of(sa.spi, sa.numbers.last(), &ip));
    }
}

/// RFC 4301 §4.4.2.1: the packet that reaches a limit still goes, the next does not.
#[inline]
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

#[inline]
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
    fn of(sa: &'t Outbound, packets: &[Packet]) -> Self {
        let bytes = packets.iter().map(|packet| packet.frame.len() as u64).sum();
        let (packets, before) = (packets.len() as u64, Totals::default());
        Self { sa, packets, bytes, before, expired: false, next: 0, reserved: 0 }
    }

    /// The next number, or why there is none.
    #[inline]
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
