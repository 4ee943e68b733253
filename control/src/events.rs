//! What the data plane and IKE report: kept for `/v1/events`, and logged without letting strangers fill the disk.
use crate::keying::levels::Level;
use ike::event::{Event as IkeEvent, IkeName};
use sadb::{DropReason, Event};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events kept.
const KEPT: usize = 1024;
/// Lines logged in a second.
const PER_SECOND: u32 = 10;

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
    window: Instant,
    logged: u32,
    silent: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { events: VecDeque::new(), last: 0, window: Instant::now(), logged: 0, silent: 0 }
    }
}

impl Log {
    /// Keeps and logs one event. Answers that nobody waits for any more are nothing to tell of.
    pub fn note(&mut self, event: &Event) {
        let Some((kind, text)) = told(event) else { return };
        if self.may_log() {
            tracing::warn!(kind, "{text}");
        }
        self.keep(kind, text, [None, None, None]);
    }

    /// Keeps what IKE tells, and logs it if `log` says so.
    pub fn tell(&mut self, tale: Tale, log: bool) {
        let Tale { level, kind, text, connection, child, peer } = tale;
        if log && self.may_log() {
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

    /// Those with a number above `after`, oldest first.
    pub fn after(&self, after: u64) -> Vec<EventView> {
        self.events.iter().filter(|event| event.number > after).cloned().collect()
    }

    fn may_log(&mut self) -> bool {
        if self.window.elapsed() >= Duration::from_secs(1) {
            if self.silent > 0 {
                tracing::warn!("and {} more events that were not logged", self.silent);
            }
            (self.window, self.logged, self.silent) = (Instant::now(), 0, 0);
        }
        let may = self.logged < PER_SECOND;
        *(if may { &mut self.logged } else { &mut self.silent }) += 1;
        may
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
        assert_eq!(log.after(0).len(), KEPT);
        assert_eq!(log.after(9_999).len(), 1);
        assert!(log.logged <= PER_SECOND && log.silent > 9_000);
    }
}
