//! How many IKE SAs strangers may hold half open, and when they must show a cookie first (RFC 7296 §2.6, RFC 8019 §3).
use crate::settings::Limits;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The half-open IKE SAs that others began.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    total: usize,
    by_source: BTreeMap<IpAddr, usize>,
}

/// What a new stranger gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// An answer.
    Welcome,
    /// A cookie, unless it brought one.
    Cookie,
    /// Silence.
    Full,
}

impl HalfOpen {
    /// Looks, and changes nothing.
    pub(crate) fn admit(&self, source: IpAddr, limits: &Limits) -> Admission {
        let of_source = self.by_source.get(&source_of(source)).copied().unwrap_or_default();
        if self.total >= limits.half_open || of_source >= limits.half_open_per_source {
            Admission::Full
        } else if self.total >= limits.cookie_above || of_source >= limits.cookie_above_per_source {
            Admission::Cookie
        } else {
            Admission::Welcome
        }
    }
    /// One more.
    pub(crate) fn enter(&mut self, source: IpAddr) {
        self.total = self.total.saturating_add(1);
        let count = self.by_source.entry(source_of(source)).or_default();
        *count = count.saturating_add(1);
    }
    /// One less: it was established, or given up.
    pub(crate) fn leave(&mut self, source: IpAddr) {
        self.total = self.total.saturating_sub(1);
        let source = source_of(source);
        let Some(count) = self.by_source.get_mut(&source) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.by_source.remove(&source);
        }
    }
    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn source_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_boundary() {
        let limits = Limits {
            cookie_above: 4,
            half_open: 5,
            cookie_above_per_source: 1,
            half_open_per_source: 2,
            ..Limits::default()
        };
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut open = HalfOpen::default();
        for want in [Admission::Welcome, Admission::Cookie, Admission::Full] {
            assert_eq!(open.admit(source(1), &limits), want);
            open.enter(source(1));
        }
        assert_eq!(open.admit(source(2), &limits), Admission::Welcome, "others are not affected");
        open.enter(source(2));
        assert_eq!(open.admit(source(3), &limits), Admission::Cookie);
        open.enter(source(3));
        assert_eq!(open.admit(source(4), &limits), Admission::Full);
        for last in [1, 1, 1, 2, 3] {
            open.leave(source(last));
        }
        assert_eq!((open.total(), open.by_source.len()), (0, 0), "memory returns to where it was");
    }

    #[test]
    fn a_slash_64_is_one_source() {
        let (near, far): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::ffff:1".parse().unwrap());
        assert_eq!(source_of(near), source_of(far));
        assert_ne!(source_of(near), source_of("2001:db8:0:1::1".parse().unwrap()));
    }
}
