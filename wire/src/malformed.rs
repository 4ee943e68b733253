//! What can be wrong with octets from the network, with the numbers that show it.

use core::fmt;

use crate::iana::IpProtocol;

/// Why a `parse` refused its octets. Small and `Copy`: the packet path counts it and never formats it.
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
        /// What is there.
        have: usize,
    },
    /// The IP version in the first nibble is not the one expected.
    BadVersion(u8),
    /// An IPv4 IHL below 5 (in 32-bit words, RFC 791 §3.1).
    BadHeaderLength(u8),
    /// The checksum does not cover what it should.
    BadChecksum,
    /// An IPv6 extension header where it must not be, twice, or of a kind that must be refused
    /// (RFC 8200 §4.1, RFC 5095 §3).
    BadExtension {
        /// The Next Header number of the offending header.
        protocol: IpProtocol,
    },
    /// More IPv6 extension headers than [`crate::ipv6::MAX_EXTENSIONS`].
    TooManyExtensions,
    /// Payload length zero with a hop-by-hop header: a jumbogram (RFC 2675), or a lie.
    Jumbogram,
    /// A fragment that ends beyond octet 65 535, or that is not the last and does not end on a multiple
    /// of eight (RFC 791 §3.2, RFC 8200 §4.5).
    BadFragment {
        /// Where the fragment starts in the whole packet, in octets.
        offset: usize,
        /// How long it is.
        length: usize,
    },
    /// ESP padding is not 1, 2, 3 … (RFC 4303 §2.4).
    BadPadding {
        /// The index of the first wrong padding octet.
        at: usize,
    },
    /// An ESP pad length greater than the octets in front of it.
    BadPadLength {
        /// What the trailer says.
        said: usize,
        /// How many octets could be padding.
        have: usize,
    },
    /// An ICMP message that is not an error, where an error was expected.
    NotAnError(u8),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { need, have } => {
                write!(f, "truncated: {need} octets needed, {have} there")
            }
            Self::BadLength { said, have } => {
                write!(f, "length field says {said}, {have} octets there")
            }
            Self::BadVersion(version) => write!(f, "IP version {version} is not the one expected"),
            Self::BadHeaderLength(words) => {
                write!(f, "IPv4 header length of {words} words, 5 needed")
            }
            Self::BadChecksum => f.write_str("checksum is wrong"),
            Self::BadExtension { protocol } => {
                write!(f, "extension header {protocol} not allowed here")
            }
            Self::TooManyExtensions => f.write_str("too many IPv6 extension headers"),
            Self::Jumbogram => f.write_str("IPv6 jumbograms are not accepted"),
            Self::BadFragment { offset, length } => {
                write!(f, "impossible fragment: {length} octets at {offset}")
            }
            Self::BadPadding { at } => {
                write!(f, "ESP padding octet {at} is not {}", at.wrapping_add(1))
            }
            Self::BadPadLength { said, have } => {
                write!(f, "ESP pad length {said} exceeds the {have} octets before it")
            }
            Self::NotAnError(kind) => write!(f, "ICMP type {kind} is not an error message"),
        }
    }
}

impl core::error::Error for Malformed {}
