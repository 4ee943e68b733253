//! What the data plane reports: kept for `/v1/events`, and logged without letting strangers fill the disk.
use sadb::{DropReason, Event};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events kept.
const KEPT: usize = 256;
/// Lines logged in a second.
const PER_SECOND: u32 = 10;

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// Counts from 1 since control started.
    pub number: u64,
    /// Seconds since 1970, UTC.
    pub time: u64,
    /// `acquire`, `expire`, `audit` or `interface`.
    pub kind: &'static str,
    /// In words.
    pub text: String,
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
        self.last += 1;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.may_log() {
            tracing::warn!(kind, "{text}");
        }
        self.events.push_back(EventView { number: self.last, time, kind, text });
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
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
