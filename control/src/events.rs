//! What the data plane and IKE report: kept for `/v1/events`, and logged without letting strangers fill the disk.
use crate::keying::levels::Level;
use ike::event::{Event as IkeEvent, IkeName};
use sadb::{DropReason, Event};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events kept.
const KEPT: usize = 1024;
/// Lines logged in a second.
const PER_SECOND: u32 = 30;
/// The same of one kind with one peer, so that no peer silences the others.
const PER_PEER: u32 = 5;
/// Kinds and peers that are told apart in a second.
const TOLD_APART: usize = 64;

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventView {
    /// Counts from 1 since control started.
    pub number: u64,
    /// Seconds since 1970, UTC.
    pub time: u64,
    /// `acquire`, `expire`, `audit` or `interface`; of IKE `ike-up`, `ike-rekeyed`, `ike-down`, `child-up`,
    /// `child-rekeyed`, `child-down`, `moved` or `failed`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The connection that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The child that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// An event of IKE, as it is told.
#[derive(Clone, Debug)]
pub struct Tale {
    /// How closely a peer must be watched for it to be logged.
    pub level: Level,
    /// As in [`EventView::kind`].
    pub kind: &'static str,
    /// In words.
    pub text: String,
    /// The connection that it is about.
    pub connection: Option<String>,
    /// The child that it is about.
    pub child: Option<String>,
    /// The peer's address.
    pub peer: Option<String>,
}

impl Tale {
    fn ike(kind: &'static str, ike: &IkeName, text: String) -> Self {
        Self {
            level: Level::Info,
            kind,
            text,
            connection: Some(ike.connection.to_string()),
            child: None,
            peer: Some(ike.path.remote.ip().to_string()),
        }
    }
    fn child(kind: &'static str, child: &ike::event::ChildName, text: String) -> Self {
        Self {
            level: Level::Info,
            kind,
            text,
            connection: Some(child.connection.to_string()),
            child: Some(child.child.to_string()),
            peer: None,
        }
    }
    /// What happened, in words.
    pub fn of(event: &IkeEvent) -> Self {
        match event {
            IkeEvent::IkeUp { ike, identity, methods, suite, initiator } => {
                let who = if *initiator { "we began" } else { "the peer began" };
                let (ours, theirs) = methods;
                let text = format!(
                    "{} is up with {identity} at {}: {suite}; proofs {ours} and {theirs}; {who}",
                    ike.connection, ike.path.remote
                );
                Self::ike("ike-up", ike, text)
            }
            IkeEvent::IkeRekeyed { old, new } => {
                let text = format!(
                    "{}: new keys for the IKE SA, {:016x} replaces {:016x}",
                    new.connection, new.local_spi, old.local_spi
                );
                Self::ike("ike-rekeyed", new, text)
            }
            IkeEvent::IkeDown { ike, cause } => {
                let text = format!("{} is down with {}: {cause}", ike.connection, ike.path.remote);
                Self::ike("ike-down", ike, text)
            }
            IkeEvent::ChildUp { child, covered, suite, replaces } => {
                let name = format!("{}/{}", child.connection, child.child);
                let spis = format!("SPIs {:#010x} in, {:#010x} out", child.inbound, child.outbound);
                match replaces {
                    None => {
                        let text = format!("{name} is up: {covered}, {suite}, {spis}");
                        Self::child("child-up", child, text)
                    }
                    Some(old) => {
                        let text = format!("{name} has new keys, {spis}; {old:#010x} goes");
                        Self::child("child-rekeyed", child, text)
                    }
                }
            }
            IkeEvent::ChildDown { child, cause } => {
                let text = format!(
                    "{}/{} with SPI {:#010x} is down: {cause}",
                    child.connection, child.child, child.inbound
                );
                Self::child("child-down", child, text)
            }
            IkeEvent::Moved { ike, path } => {
                let text = format!("the peer of {} is at {} now", ike.connection, path.remote);
                Self::ike("moved", ike, text)
            }
            IkeEvent::Failed(why) => Self {
                level: Level::Warn,
                kind: "failed",
                text: why.to_string(),
                connection: why.connection.as_deref().map(str::to_owned),
                child: why.child.as_deref().map(str::to_owned),
                peer: Some(why.peer.ip().to_string()),
            },
        }
    }
}

/// The newest events.
#[derive(Debug)]
pub struct Log {
    events: VecDeque<EventView>,
    last: u64,
    throttle: Throttle,
}

impl Default for Log {
    fn default() -> Self {
        Self { events: VecDeque::new(), last: 0, throttle: Throttle::new(Instant::now()) }
    }
}

/// Lines of one second: so many in all, and so many of one kind with one peer. What is left out is counted by both.
#[derive(Debug)]
struct Throttle {
    window: Instant,
    logged: u32,
    /// Logged and left out, by kind and by whom it is about.
    by: BTreeMap<(&'static str, String), (u32, u32)>,
    /// Left out of those that are not told apart.
    others: u32,
}

impl Throttle {
    fn new(now: Instant) -> Self {
        Self { window: now, logged: 0, by: BTreeMap::new(), others: 0 }
    }

    /// Whether one more may be logged.
    fn may_log(&mut self, kind: &'static str, about: &str) -> bool {
        let key = (kind, about.to_owned());
        if self.by.len() >= TOLD_APART && !self.by.contains_key(&key) {
            let may = self.logged < PER_SECOND;
            *(if may { &mut self.logged } else { &mut self.others }) += 1;
            return may;
        }
        let (logged, silent) = self.by.entry(key).or_default();
        let may = self.logged < PER_SECOND && *logged < PER_PEER;
        if may {
            *logged += 1;
            self.logged += 1;
        } else {
            *silent += 1;
        }
        may
    }

    /// When the second is over: a line for each kind and peer of which something was left out.
    fn settle(&mut self, now: Instant) -> Vec<String> {
        if now.saturating_duration_since(self.window) < Duration::from_secs(1) {
            return Vec::new();
        }
        let Self { by, others, .. } = std::mem::replace(self, Self::new(now));
        let line = |((kind, about), (_, silent)): ((&str, String), (u32, u32))| {
            (silent > 0).then(|| match about.is_empty() {
                true => format!("{silent} more events of kind {kind} were not logged"),
                false => {
                    format!("{silent} more events of kind {kind} with {about} were not logged")
                }
            })
        };
        let more = (others > 0).then(|| format!("{others} more events of others were not logged"));
        by.into_iter().filter_map(line).chain(more).collect()
    }
}

/// Events behind a number.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The oldest first.
    pub events: Vec<EventView>,
    /// Events between that number and the first of these that are not kept any more.
    pub lost: u64,
}

impl Log {
    /// Keeps and logs one event. Answers that nobody waits for any more are nothing to tell of.
    pub fn note(&mut self, event: &Event) {
        let Some((kind, text)) = told(event) else { return };
        if self.may_log(kind, "") {
            tracing::warn!(kind, "{text}");
        }
        self.keep(kind, text, [None, None, None]);
    }

    /// Keeps what IKE tells, and logs it if `log` says so.
    pub fn tell(&mut self, tale: Tale, log: bool) {
        let Tale { level, kind, text, connection, child, peer } = tale;
        let about = peer.as_deref().or(connection.as_deref()).unwrap_or_default();
        if log && self.may_log(kind, about) {
            match level {
                Level::Warn => tracing::warn!(kind, "{text}"),
                _ => tracing::info!(kind, "{text}"),
            }
        }
        self.keep(kind, text, [connection, child, peer]);
    }

    fn keep(&mut self, kind: &str, text: String, about: [Option<String>; 3]) {
        self.last += 1;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let [connection, child, peer] = about;
        let (number, kind) = (self.last, kind.to_owned());
        self.events.push_back(EventView { number, time, kind, text, connection, child, peer });
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    /// The number of the newest event; 0: there was none yet.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Those with a number above `after`. Whoever has seen more than there was listens to a control that ended, and hears
    /// everything of this one; 0 asks for all that is kept, and misses nothing.
    pub fn after(&self, after: u64) -> News {
        let after = if after > self.last { 0 } else { after };
        let first = self.events.front().map_or(self.last, |event| event.number.saturating_sub(1));
        let lost = if after == 0 { 0 } else { first.saturating_sub(after) };
        let events = self.events.iter().filter(|event| event.number > after).cloned().collect();
        News { events, lost }
    }

    /// Says what was not logged in the second before. To be called now and then, also when nothing happens.
    pub fn settle(&mut self) {
        for line in self.throttle.settle(Instant::now()) {
            tracing::warn!("{line}");
        }
    }

    fn may_log(&mut self, kind: &'static str, about: &str) -> bool {
        self.settle();
        self.throttle.may_log(kind, about)
    }
}

fn told(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::Done { .. } => return None,
        Event::Acquire { tunnel, source, destination, protocol, source_port, destination_port } => {
            let from =
                format!("{source} port {source_port}, {destination} port {destination_port}");
            (
                "acquire",
                format!(
                    "no outbound SA for tunnel {tunnel}: a packet from {from}, protocol {protocol}"
                ),
            )
        }
        Event::Expire { spi, hard, .. } => {
            let what = if *hard {
                "is past its hard lifetime and carries nothing more"
            } else {
                "will expire soon"
            };
            ("expire", format!("the SA with SPI {spi:#x} {what}"))
        }
        Event::Audit { reason, spi, sequence, source, destination, flow_label, count } => {
            let name =
                DropReason::from_index(usize::from(*reason)).map_or("unknown", DropReason::name);
            let label = if *flow_label == 0 {
                String::new()
            } else {
                format!(", flow label {flow_label:#x}")
            };
            let text = format!(
                "{name}: {count} packets from {source} to {destination}, SPI {spi:#x}, sequence {sequence}{label}"
            );
            ("audit", text)
        }
        Event::Interface { name, up } => {
            ("interface", format!("{name} is {}", if *up { "up" } else { "down" }))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_kept_short() {
        let mut log = Log::default();
        for spi in 0..10_000 {
            log.note(&Event::Expire { slot: 0, spi, hard: true });
        }
        log.note(&Event::Done { id: 1, result: Ok(()) });
        assert_eq!(log.after(0).events.len(), KEPT);
        assert_eq!(log.after(9_999).events.len(), 1);
        assert!(log.throttle.logged <= PER_SECOND);
    }

    #[test]
    fn what_is_not_logged_is_counted_by_kind_and_peer() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let mut lines = |kind, about, count| {
            (0..count).filter(|_| throttle.may_log(kind, about)).count() as u32
        };
        assert_eq!(lines("failed", "192.0.2.1", 1_000), PER_PEER);
        assert_eq!(lines("failed", "192.0.2.2", 3), 3, "one peer does not silence another");
        assert_eq!(lines("ike-up", "192.0.2.1", 7), PER_PEER);
        assert!(throttle.settle(start + Duration::from_millis(999)).is_empty());
        let second = start + Duration::from_secs(1);
        assert_eq!(
            throttle.settle(second),
            [
                "995 more events of kind failed with 192.0.2.1 were not logged",
                "2 more events of kind ike-up with 192.0.2.1 were not logged",
            ]
        );
        assert!(throttle.may_log("failed", "192.0.2.1"), "the next second begins from nothing");
        assert!(throttle.settle(second + Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn strangers_cannot_make_the_throttle_grow() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let logged =
            (0..10_000).filter(|n| throttle.may_log("failed", &format!("peer {n}"))).count();
        assert_eq!((logged as u32, throttle.by.len()), (PER_SECOND, TOLD_APART));
        let lines = throttle.settle(start + Duration::from_secs(1));
        let counts = lines.iter().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
        assert_eq!(counts.sum::<u32>(), 10_000 - PER_SECOND, "none is lost without a word");
    }

    #[test]
    fn whoever_comes_too_late_is_told_how_many_events_are_lost() {
        let mut log = Log::default();
        let note = |log: &mut Log, count: u32| {
            (0..count).for_each(|spi| log.note(&Event::Expire { slot: 0, spi, hard: true }));
        };
        note(&mut log, 10);
        assert_eq!((log.after(10).lost, log.after(3).lost, log.after(0).lost), (0, 0, 0));
        note(&mut log, KEPT as u32);
        let late = log.after(3);
        assert_eq!((late.lost, late.events.len()), (7, KEPT));
        assert_eq!(late.events[0].number, 11);
        assert_eq!(log.after(10).lost, 0);
        // Its number is from before control was started anew.
        assert_eq!(log.after(1 << 40).events.len(), KEPT);
    }
}
