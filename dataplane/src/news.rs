//! Events on their way up to control: rate-limited, coalesced, and kept while the ring is full or nobody reads it.
use crate::notice::Notice;
use core::net::IpAddr;
use core::time::Duration;
use sadb::Event;
use std::collections::{HashMap, VecDeque};

/// At most one Acquire per tunnel in this time (RFC 2367 §3.1.6 asks for one; control repeats as IKE needs).
const ACQUIRE_GAP: Duration = Duration::from_secs(1);
/// Audit events of one reason within this time become one, with a count.
const AUDIT_GAP: Duration = Duration::from_secs(1);
/// Events kept for control. Beyond this the oldest that is not an answer is forgotten, and counted.
const KEPT: usize = 4096;

/// What waits to go up.
#[derive(Debug, Default)]
pub struct News {
    queue: VecDeque<Event>,
    acquired: HashMap<u32, Duration>,
    audits: HashMap<u16, Audit>,
    lost: u64,
}

#[derive(Debug)]
struct Audit {
    said: Duration,
    /// The latest that was not said yet; its `count` is the sum.
    pending: Option<Event>,
}

impl News {
    /// Takes an event that must not be lost.
    pub fn push(&mut self, event: Event) {
        if self.queue.len() >= KEPT {
            let answer = |event: &Event| matches!(event, Event::Done { .. });
            let at = self.queue.iter().position(|event| !answer(event)).unwrap_or(0);
            self.queue.remove(at);
            self.lost += 1;
        }
        self.queue.push_back(event);
    }

    /// Takes a worker's notice. `now`: any monotonic clock. Gives a neighbour to resolve back to the caller.
    pub fn notice(&mut self, notice: Notice, now: Duration) -> Option<(u32, IpAddr)> {
        match notice {
            Notice::Resolve { ifindex, address } => return Some((ifindex, address)),
            Notice::Expire { slot, spi, hard } => self.push(Event::Expire { slot, spi, hard }),
            Notice::Acquire {
                tunnel,
                source,
                destination,
                protocol,
                source_port,
                destination_port,
            } => {
                let last = self.acquired.insert(tunnel, now);
                match last {
                    Some(last) if now.saturating_sub(last) < ACQUIRE_GAP => {
                        self.acquired.insert(tunnel, last);
                    }
                    _ => self.push(Event::Acquire {
                        tunnel,
                        source,
                        destination,
                        protocol,
                        source_port,
                        destination_port,
                    }),
                }
            }
            Notice::Audit { reason, spi, sequence, source, destination, flow_label, count } => {
                let reason = reason as u16;
                let event =
                    Event::Audit { reason, spi, sequence, source, destination, flow_label, count };
                self.audit(reason, event, now);
            }
        }
        None
    }

    fn audit(&mut self, reason: u16, event: Event, now: Duration) {
        let Some(audit) = self.audits.get_mut(&reason) else {
            self.audits.insert(reason, Audit { said: now, pending: None });
            return self.push(event);
        };
        audit.pending = Some(match audit.pending.take() {
            Some(before) => merged(before, event),
            None => event,
        });
        self.flush(now);
    }

    /// Says what was held back long enough. Call now and then.
    pub fn flush(&mut self, now: Duration) {
        let due =
            self.audits.values_mut().filter(|audit| now.saturating_sub(audit.said) >= AUDIT_GAP);
        let mut ready = Vec::new();
        for audit in due {
            if let Some(event) = audit.pending.take() {
                audit.said = now;
                ready.push(event);
            }
        }
        self.acquired.retain(|_, last| now.saturating_sub(*last) < ACQUIRE_GAP);
        ready.into_iter().for_each(|event| self.push(event));
    }

    /// The next event, which stays until [`News::sent`].
    pub fn next(&self) -> Option<&Event> {
        self.queue.front()
    }

    /// The next event is in the ring.
    pub fn sent(&mut self) {
        self.queue.pop_front();
    }

    /// Events forgotten because too many waited.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// The later one, standing for both.
fn merged(before: Event, mut after: Event) -> Event {
    if let (Event::Audit { count: earlier, .. }, Event::Audit { count, .. }) = (before, &mut after)
    {
        *count = count.saturating_add(earlier);
    }
    after
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sadb::DropReason;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn acquire(tunnel: u32) -> Notice {
        let address = IpAddr::from([10, 0, 0, 1]);
        Notice::Acquire {
            tunnel,
            source: address,
            destination: address,
            protocol: 6,
            source_port: 1,
            destination_port: 2,
        }
    }

    fn audit(reason: DropReason, count: u32) -> Notice {
        let address = IpAddr::from([10, 0, 0, 1]);
        Notice::Audit {
            reason,
            spi: 9,
            sequence: 1,
            source: address,
            destination: address,
            flow_label: 0,
            count,
        }
    }

    fn drain(news: &mut News) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = news.next() {
            all.push(*event);
            news.sent();
        }
        all
    }

    #[test]
    fn a_tunnel_asks_for_an_sa_at_most_once_a_second() {
        let mut news = News::default();
        for (tunnel, time, said) in
            [(1, 0, 1), (1, 500, 0), (2, 500, 1), (1, 999, 0), (1, 1000, 1), (1, 1900, 0)]
        {
            assert!(news.notice(acquire(tunnel), at(time)).is_none());
            assert_eq!(drain(&mut news).len(), said, "tunnel {tunnel} at {time} ms");
        }
    }

    #[test]
    fn audits_of_one_reason_are_summed_and_none_is_forgotten() {
        let mut news = News::default();
        let counts = |events: Vec<Event>| -> Vec<u32> {
            events
                .iter()
                .map(|e| if let Event::Audit { count, .. } = e { *count } else { 0 })
                .collect()
        };
        news.notice(audit(DropReason::BadIcv, 3), at(0));
        news.notice(audit(DropReason::NoSa, 1), at(0));
        assert_eq!(counts(drain(&mut news)), [3, 1], "the first of each reason at once");
        news.notice(audit(DropReason::BadIcv, 4), at(10));
        news.notice(audit(DropReason::BadIcv, 5), at(20));
        assert_eq!(drain(&mut news), []);
        news.flush(at(1000));
        assert_eq!(counts(drain(&mut news)), [9]);
    }

    #[test]
    fn answers_outlive_other_events_when_nobody_reads() {
        let mut news = News::default();
        news.push(Event::Done { id: 1, result: Ok(()) });
        for spi in 0..KEPT as u32 {
            news.push(Event::Expire { slot: 0, spi, hard: false });
        }
        assert_eq!(news.lost(), 1);
        let all = drain(&mut news);
        assert_eq!((all.len(), all[0]), (KEPT, Event::Done { id: 1, result: Ok(()) }));
        assert_eq!(all[1], Event::Expire { slot: 0, spi: 1, hard: false });
    }

    #[test]
    fn a_neighbour_to_resolve_is_the_keepers_errand() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let notice = Notice::Resolve { ifindex: 3, address };
        assert_eq!(News::default().notice(notice, at(0)), Some((3, address)));
    }
}
