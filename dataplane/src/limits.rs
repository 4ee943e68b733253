//! How often a worker says something: the keeper and the network must not drown in what one packet can cause.
use core::time::Duration;
use sadb::DropReason;

const SECOND: Duration = Duration::from_secs(1);
/// ICMP errors per second and worker, and how many may come at once (as Linux's `icmp_msgs_per_sec`).
const ICMP_RATE: f64 = 1000.0;
const ICMP_BURST: f64 = 50.0;
/// Tunnels whose last Acquire is remembered; more share a place.
const TUNNELS: usize = 64;

#[derive(Clone, Copy, Default)]
struct Audit {
    next: Duration,
    missed: u32,
}

pub(crate) struct Limits {
    audits: [Audit; DropReason::COUNT],
    /// Tunnel, and when it may be asked for again.
    acquires: [(u32, Duration); TUNNELS],
    icmp_tokens: f64,
    icmp_at: Duration,
}

impl Limits {
    pub fn new() -> Self {
        Self {
            audits: [Audit::default(); DropReason::COUNT],
            acquires: [(0, Duration::ZERO); TUNNELS],
            icmp_tokens: ICMP_BURST,
            icmp_at: Duration::ZERO,
        }
    }

    /// How many events this one speaks for; `None` when it is too soon, and it is kept for the next.
    pub fn audit(&mut self, why: DropReason, now: Duration) -> Option<u32> {
        let audit = self.audits.get_mut(why as usize)?;
        audit.missed = audit.missed.saturating_add(1);
        if now < audit.next {
            return None;
        }
        audit.next = now + SECOND;
        Some(core::mem::take(&mut audit.missed))
    }

    /// Whether the keeper should hear that this tunnel wants an SA.
    pub fn acquire(&mut self, tunnel: u32, now: Duration) -> bool {
        let Some(place) = self.acquires.get_mut(tunnel as usize % TUNNELS) else { return false };
        if place.0 == tunnel && now < place.1 {
            return false;
        }
        *place = (tunnel, now + SECOND);
        true
    }

    /// Whether one more ICMP error may be sent (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)).
    pub fn may_answer(&mut self, now: Duration) -> bool {
        let since = now.saturating_sub(self.icmp_at).as_secs_f64();
        self.icmp_at = now;
        self.icmp_tokens = (self.icmp_tokens + since * ICMP_RATE).min(ICMP_BURST);
        self.icmp_tokens >= 1.0
    }

    /// One was sent.
    pub fn answered(&mut self) {
        self.icmp_tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_audit_a_second_for_each_reason_and_none_is_forgotten() {
        let mut limits = Limits::new();
        let at = Duration::from_millis;
        assert_eq!(limits.audit(DropReason::BadIcv, at(5000)), Some(1));
        assert_eq!(limits.audit(DropReason::BadIcv, at(5001)), None);
        assert_eq!(limits.audit(DropReason::NoSa, at(5001)), Some(1));
        assert_eq!(limits.audit(DropReason::BadIcv, at(5999)), None);
        assert_eq!(limits.audit(DropReason::BadIcv, at(6000)), Some(3));
    }

    #[test]
    fn a_tunnel_is_asked_for_once_a_second() {
        let mut limits = Limits::new();
        let at = Duration::from_millis;
        assert!(limits.acquire(7, at(5000)));
        assert!(!limits.acquire(7, at(5999)));
        assert!(limits.acquire(8, at(5999)));
        assert!(limits.acquire(7, at(6000)));
    }

    #[test]
    fn icmp_errors_come_in_a_burst_and_then_at_the_rate() {
        let mut limits = Limits::new();
        let start = Duration::from_secs(100);
        let mut answer = |now| {
            let may = limits.may_answer(now);
            if may {
                limits.answered();
            }
            may
        };
        assert_eq!((0..1000).filter(|_| answer(start)).count(), 50);
        let later = start + Duration::from_millis(10);
        assert_eq!((0..1000).filter(|_| answer(later)).count(), 10);
    }
}
