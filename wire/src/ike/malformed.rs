//! What can be wrong with an IKE message, with the numbers that show it.

use core::fmt;

use crate::iana::ike::{NotifyType, PayloadType};

/// Why octets were refused. The core of [`Refused`], which says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer octets than the format needs at this point.
    Truncated {
        /// Octets needed.
        need: usize,
        /// Octets there.
        have: usize,
    },
    /// A length field that disagrees with the octets it speaks for.
    BadLength {
        /// What the field says.
        said: usize,
        /// What is there, or what it must be.
        have: usize,
    },
    /// A count field that disagrees with how many there are.
    BadCount {
        /// What the field says.
        said: usize,
        /// How many there are.
        have: usize,
    },
    /// Something of limited length that is shorter or longer.
    BadSize {
        /// The fewest octets.
        least: usize,
        /// The most octets.
        most: usize,
        /// What is there.
        have: usize,
    },
    /// More than we look at.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are looked at.
        most: usize,
    },
    /// Nothing, where there is at least one.
    Empty,
    /// Octets behind the last payload.
    Trailing(usize),
    /// A payload that comes once came again.
    Duplicate,
    /// A payload behind the encrypted one, which is the last (RFC 7296 §3.14).
    NotLast,
    /// An encrypted payload inside an encrypted payload.
    Nested,
    /// A "last substructure" field that is wrong for its place (RFC 7296 §3.3.1, §3.3.2).
    BadLastSubstructure(u8),
    /// An SPI of a length that none of our protocols has.
    BadSpiSize(u8),
    /// The initiator's SPI is zero (RFC 7296 §3.1).
    ZeroSpi,
    /// A range that ends before it starts.
    BackwardRange,
    /// A fragment number of zero, or beyond the total (RFC 7383 §2.5).
    BadFragment {
        /// The fragment's number.
        number: u16,
        /// How many fragments it says there are.
        total: u16,
    },
    /// A pad length greater than the decrypted octets in front of it.
    BadPadLength {
        /// What it says.
        said: usize,
        /// How many octets could be padding.
        have: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { need, have } => {
                write!(f, "truncated: {need} octets needed, {have} there")
            }
            Self::BadLength { said, have } => write!(f, "length field says {said}, not {have}"),
            Self::BadCount { said, have } => write!(f, "count field says {said}, {have} there"),
            Self::BadSize { least, most, have } if least == most => {
                write!(f, "{have} octets where {least} belong")
            }
            Self::BadSize { least, most, have } => {
                write!(f, "{have} octets where {least} to {most} belong")
            }
            Self::TooMany { what, most } => write!(f, "more than {most} {what}"),
            Self::Empty => f.write_str("empty"),
            Self::Trailing(octets) => write!(f, "{octets} octets behind the last payload"),
            Self::Duplicate => f.write_str("comes twice"),
            Self::NotLast => f.write_str("is not the last payload"),
            Self::Nested => f.write_str("inside an encrypted payload"),
            Self::BadLastSubstructure(value) => {
                write!(f, "last substructure field of {value} is wrong here")
            }
            Self::BadSpiSize(size) => write!(f, "SPI of {size} octets"),
            Self::ZeroSpi => f.write_str("initiator's SPI is zero"),
            Self::BackwardRange => f.write_str("range ends before it starts"),
            Self::BadFragment { number, total } => write!(f, "fragment {number} of {total}"),
            Self::BadPadLength { said, have } => {
                write!(f, "pad length {said} exceeds the {have} octets before it")
            }
        }
    }
}

impl core::error::Error for Malformed {}

/// Why a message was refused, and where it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The header is no IKE header, so nothing can be answered.
    Header(Malformed),
    /// Another major version than 2. Above it, INVALID_MAJOR_VERSION is the answer (RFC 7296 §2.5).
    MajorVersion(u8),
    /// A payload with the critical bit whose type is not known (RFC 7296 §2.5).
    UnsupportedCritical(PayloadType),
    /// A payload is malformed.
    Payload {
        /// Which one; [`PayloadType::NONE`] is the end of the chain.
        kind: PayloadType,
        /// What is wrong with it.
        why: Malformed,
    },
}

impl Refused {
    /// The one place where a reason becomes a wire code (RFC 7296 §3.10.1). Whether it may be sent at all
    /// depends on who asked, and how often.
    pub const fn notify_type(&self) -> NotifyType {
        match self {
            Self::MajorVersion(_) => NotifyType::INVALID_MAJOR_VERSION,
            Self::UnsupportedCritical(_) => NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD,
            Self::Header(_) | Self::Payload { .. } => NotifyType::INVALID_SYNTAX,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(why) => write!(f, "IKE header: {why}"),
            Self::MajorVersion(major) => write!(f, "IKE version {major} is not 2"),
            Self::UnsupportedCritical(kind) => write!(f, "critical payload {kind} is not known"),
            Self::Payload { kind, why } => write!(f, "payload {kind}: {why}"),
        }
    }
}

impl core::error::Error for Refused {}

/// A message does not fit the length and count fields of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too long for a field of its format")
    }
}

impl core::error::Error for TooLong {}
