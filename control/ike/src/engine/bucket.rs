//! A token bucket.

/// Tokens in a second.
const RATE: u64 = 50;
/// Tokens that can gather.
const DEPTH: u64 = 100;

/// So many in a second, and no more than so many at once.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Thousandths of a token.
    level: u64,
    filled: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { level: DEPTH * 1000, filled: 0 }
    }
}

impl Bucket {
    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let since = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        self.level = self.level.saturating_add(since.saturating_mul(RATE)).min(DEPTH * 1000);
        match self.level.checked_sub(1000) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_with_time_and_do_not_pile_up() {
        let mut bucket = Bucket::default();
        let taken =
            |bucket: &mut Bucket, now| (0..1000).filter(|_| bucket.take(now)).count() as u64;
        assert_eq!(taken(&mut bucket, 0), DEPTH);
        assert_eq!(taken(&mut bucket, 1000), RATE);
        assert_eq!(taken(&mut bucket, 1_000_000), DEPTH);
        assert_eq!(taken(&mut bucket, 0), 0, "a clock that goes back gives nothing");
    }
}
