//! Requests are sent again until they are answered (RFC 7296 §2.1, §2.4); answers never by themselves.
use crate::settings::Schedule;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Retransmission {
    datagrams: Vec<Vec<u8>>,
    schedule: Schedule,
    left: u32,
    wait: u64,
    due: u64,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<'a> {
    /// Nothing yet.
    Nothing,
    /// These octets again.
    Again(&'a [Vec<u8>]),
    /// The peer does not answer.
    GiveUp,
}

impl Retransmission {
    /// Sent for the first time at `now`.
    pub(crate) fn new(datagrams: Vec<Vec<u8>>, schedule: Schedule, now: u64) -> Self {
        let wait = schedule.first_ms.max(1);
        let due = now.saturating_add(wait);
        Self { datagrams, schedule, left: schedule.tries, wait, due }
    }
    /// When [`Self::due`] has something to say next.
    pub(crate) fn deadline(&self) -> u64 {
        self.due
    }
    /// Asks at `now`; what comes back is to be done.
    pub(crate) fn due(&mut self, now: u64) -> Due<'_> {
        if now < self.due {
            return Due::Nothing;
        }
        let Some(left) = self.left.checked_sub(1) else { return Due::GiveUp };
        self.left = left;
        let grown = self.wait.saturating_mul(self.schedule.factor_tenths.max(10)) / 10;
        self.wait = grown.min(self.schedule.cap_ms.max(self.schedule.first_ms)).max(1);
        self.due = now.saturating_add(self.wait);
        Due::Again(&self.datagrams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_then_the_sender_gives_up() {
        let schedule = Schedule { first_ms: 100, factor_tenths: 20, cap_ms: 300, tries: 3 };
        let mut request = Retransmission::new(vec![vec![1]], schedule, 1000);
        assert_eq!(request.due(1099), Due::Nothing);
        for at in [1100, 1300, 1600] {
            assert_eq!(request.deadline(), at);
            assert_eq!(request.due(at), Due::Again(&[vec![1]]));
            assert_eq!(request.due(at), Due::Nothing, "once");
        }
        assert_eq!(request.deadline(), 1900);
        assert_eq!(request.due(1900), Due::GiveUp);
    }
}
