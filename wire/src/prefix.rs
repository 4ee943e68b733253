//! Address prefixes, and ranges as the fewest prefixes that cover them.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::selector::AddressRange;

/// An address prefix such as `10.0.0.0/8` or `2001:db8::/32`. Made only by checked constructors: the length
/// fits the family and no bit is set behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why something is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPrefix {
    /// The part before the slash is not an IP address.
    Address,
    /// There is no slash, or what follows it is not a number of at most three digits.
    Length,
    /// The length exceeds the address.
    TooLong {
        /// What was written.
        len: u8,
        /// 32 or 128.
        max: u8,
    },
    /// Bits are set behind the prefix's length.
    HostBits {
        /// The prefix that was probably meant.
        meant: Prefix,
    },
}

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => {
                f.write_str("not an IP address; write a prefix as 10.0.0.0/8 or 2001:db8::/32")
            }
            Self::Length => {
                f.write_str("no prefix length; write a prefix as 10.0.0.0/8 or 2001:db8::/32")
            }
            Self::TooLong { len, max } => write!(f, "prefix length {len} is more than {max}"),
            Self::HostBits { meant } => {
                write!(f, "bits are set behind the prefix length; write {meant}")
            }
        }
    }
}

impl core::error::Error for BadPrefix {}

/// The address as a number, left-aligned in 128 bits, so that both families are computed alike.
const fn to_bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => (addr.to_bits() as u128) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// The reverse of [`to_bits`].
const fn from_bits(bits: u128, is_v4: bool) -> IpAddr {
    if is_v4 {
        IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

/// `len` ones, left-aligned.
const fn mask(len: u8) -> u128 {
    match len {
        0 => 0,
        1..=127 => u128::MAX << (128 - len),
        _ => u128::MAX,
    }
}

impl Prefix {
    /// All of IPv4.
    pub const ALL_V4: Self = Self { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), len: 0 };
    /// All of IPv6.
    pub const ALL_V6: Self = Self { addr: IpAddr::V6(Ipv6Addr::UNSPECIFIED), len: 0 };

    /// Checks length and host bits.
    ///
    /// # Errors
    /// [`BadPrefix::TooLong`] or [`BadPrefix::HostBits`].
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, BadPrefix> {
        let prefix = Self::containing(addr, len)?;
        if prefix.addr == addr { Ok(prefix) } else { Err(BadPrefix::HostBits { meant: prefix }) }
    }

    /// The prefix of this length that `addr` lies in.
    ///
    /// # Errors
    /// [`BadPrefix::TooLong`].
    pub fn containing(addr: IpAddr, len: u8) -> Result<Self, BadPrefix> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        if len > max {
            return Err(BadPrefix::TooLong { len, max });
        }
        Ok(Self { addr: from_bits(to_bits(addr) & mask(len), addr.is_ipv4()), len })
    }

    /// The prefix that holds one address.
    pub const fn host(addr: IpAddr) -> Self {
        Self { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
    }

    /// The first address.
    #[inline]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }
    /// How many leading bits count.
    #[inline]
    #[allow(clippy::len_without_is_empty)] // a prefix length, not a container's
    pub const fn len(&self) -> u8 {
        self.len
    }
    /// Whether this is an IPv4 prefix.
    #[inline]
    pub const fn is_ipv4(&self) -> bool {
        self.addr.is_ipv4()
    }
    /// The last address.
    pub const fn last(&self) -> IpAddr {
        from_bits(to_bits(self.addr) | !mask(self.len), self.addr.is_ipv4())
    }
    /// Whether `addr`, of the same family, lies in it.
    #[inline]
    pub const fn contains(&self, addr: IpAddr) -> bool {
        self.is_ipv4() == addr.is_ipv4()
            && (to_bits(self.addr) ^ to_bits(addr)) & mask(self.len) == 0
    }
    /// Whether every address of `other` lies in it.
    pub const fn covers(&self, other: &Self) -> bool {
        self.len <= other.len && self.contains(other.addr)
    }
    /// The same addresses as a range.
    pub fn range(&self) -> AddressRange {
        AddressRange::from(*self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let (addr, len) = text.split_once('/').ok_or(BadPrefix::Length)?;
        let addr = addr.parse().map_err(|_| BadPrefix::Address)?;
        let plain = (1..=3).contains(&len.len()) && len.bytes().all(|digit| digit.is_ascii_digit());
        let len = len.parse::<u16>().ok().filter(|_| plain).ok_or(BadPrefix::Length)?;
        Self::new(addr, u8::try_from(len).unwrap_or(u8::MAX))
    }
}

/// The fewest prefixes that cover exactly `range`, in ascending order.
pub fn range_to_prefixes(range: AddressRange) -> Prefixes {
    let is_v4 = range.first().is_ipv4();
    let low = if is_v4 { !mask(32) } else { 0 };
    Prefixes { next: Some(to_bits(range.first())), last: to_bits(range.last()) | low, is_v4 }
}

/// The iterator of [`range_to_prefixes`].
#[derive(Clone, Debug)]
pub struct Prefixes {
    next: Option<u128>,
    last: u128,
    is_v4: bool,
}

impl Iterator for Prefixes {
    type Item = Prefix;

    fn next(&mut self) -> Option<Prefix> {
        let first = self.next?;
        // The largest block that starts here is bounded by alignment and by what is left of the range.
        let aligned = 128 - first.trailing_zeros();
        let fits = (aligned..=128).find(|len| first | !mask(*len as u8) <= self.last)?;
        let end = first | !mask(fits as u8);
        self.next = end.checked_add(1).filter(|next| *next <= self.last);
        Some(Prefix { addr: from_bits(first, self.is_v4), len: fits as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> AddressRange {
        AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_prefix_is_written_as_it_is_read() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::/32", "::1/128"]
        {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_prefix_is_refused_with_the_reason() {
        let meant = |text: &str| BadPrefix::HostBits { meant: text.parse().unwrap() };
        for (text, want) in [
            ("", BadPrefix::Length),
            ("10.0.0.0", BadPrefix::Length),
            ("10.0.0.0/", BadPrefix::Length),
            ("10.0.0.0/+8", BadPrefix::Length),
            ("10.0.0.0/ 8", BadPrefix::Length),
            ("10.0.0.0/8/8", BadPrefix::Length),
            ("10.0.0.0/0008", BadPrefix::Length),
            ("10.0.0/8", BadPrefix::Address),
            ("/8", BadPrefix::Address),
            ("fe80::1%eth0/64", BadPrefix::Address),
            ("10.0.0.0/33", BadPrefix::TooLong { len: 33, max: 32 }),
            ("10.0.0.0/999", BadPrefix::TooLong { len: 255, max: 32 }),
            ("::/129", BadPrefix::TooLong { len: 129, max: 128 }),
            ("10.1.2.3/8", meant("10.0.0.0/8")),
            ("10.0.0.1/0", meant("0.0.0.0/0")),
            ("2001:db8::1/64", meant("2001:db8::/64")),
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(want), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_contains_its_ends_and_not_their_neighbours() {
        let v4: Prefix = "10.1.2.0/23".parse().unwrap();
        let v6: Prefix = "fd01::/48".parse().unwrap();
        for (prefix, address, want) in [
            (v4, "10.1.2.0", true),
            (v4, "10.1.3.255", true),
            (v4, "10.1.1.255", false),
            (v4, "10.1.4.0", false),
            (v4, "::a01:200", false),
            (v6, "fd01::", true),
            (v6, "fd01:0:0:ffff:ffff:ffff:ffff:ffff", true),
            (v6, "fd01:0:1::", false),
            (v6, "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            (Prefix::ALL_V4, "255.255.255.255", true),
            (Prefix::ALL_V4, "::", false),
            (Prefix::ALL_V6, "::", true),
        ] {
            assert_eq!(prefix.contains(address.parse().unwrap()), want, "{prefix} {address}");
        }
        assert_eq!(v4.range(), range("10.1.2.0", "10.1.3.255"));
        assert!(v4.covers(&Prefix::host(v4.last())) && !Prefix::host(v4.addr()).covers(&v4));
    }

    #[test]
    fn a_range_becomes_the_fewest_prefixes() {
        for (first, last, want) in [
            ("10.0.0.0", "10.255.255.255", &["10.0.0.0/8"][..]),
            ("0.0.0.0", "255.255.255.255", &["0.0.0.0/0"]),
            ("255.255.255.255", "255.255.255.255", &["255.255.255.255/32"]),
            ("10.0.0.1", "10.0.0.6", &["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["::/0"]),
            ("fd01::", "fd02:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["fd01::/16", "fd02::/16"]),
        ] {
            let got: Vec<_> =
                range_to_prefixes(range(first, last)).map(|prefix| prefix.to_string()).collect();
            assert_eq!(got, want);
        }
        // The worst case: one prefix up and one down for almost every bit.
        assert_eq!(range_to_prefixes(range("0.0.0.1", "255.255.255.254")).count(), 62);
        let v6 = range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
        assert_eq!(range_to_prefixes(v6).count(), 254);
    }
}
