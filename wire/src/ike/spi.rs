//! SPIs of either kind, where a field says how long they are (RFC 7296 §3.3.1, §3.10).

use core::fmt;

use super::{Malformed, Out};

/// An SPI with its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Spi {
    /// None: it is in the IKE header, or no SA is meant.
    #[default]
    None,
    /// Of AH or ESP: four octets.
    Child(u32),
    /// Of IKE: eight octets.
    Ike(u64),
}

impl Spi {
    /// An SPI of all of `octets`.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        if let Ok(octets) = octets.try_into() {
            Ok(Self::Child(u32::from_be_bytes(octets)))
        } else if let Ok(octets) = octets.try_into() {
            Ok(Self::Ike(u64::from_be_bytes(octets)))
        } else if octets.is_empty() {
            Ok(Self::None)
        } else {
            Err(Malformed::BadSpiSize(octets.len() as u8)) // its length came from one octet
        }
    }

    /// Octets it takes: 0, 4 or 8.
    pub const fn size(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Child(_) => 4,
            Self::Ike(_) => 8,
        }
    }

    pub(super) fn emit(self, out: &mut Out) {
        match self {
            Self::None => (),
            Self::Child(spi) => out.put(&spi.to_be_bytes()),
            Self::Ike(spi) => out.put(&spi.to_be_bytes()),
        }
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Child(spi) => write!(f, "{spi:08x}"),
            Self::Ike(spi) => write!(f, "{spi:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_spi_has_no_or_four_or_eight_octets() {
        for size in 0..=u8::MAX {
            let octets = vec![0x12; usize::from(size)];
            let want = match size {
                0 => Ok(Spi::None),
                4 => Ok(Spi::Child(0x1212_1212)),
                8 => Ok(Spi::Ike(0x1212_1212_1212_1212)),
                _ => Err(Malformed::BadSpiSize(size)),
            };
            assert_eq!(Spi::parse(&octets), want);
            if let Ok(spi) = want {
                let mut out = Out::default();
                spi.emit(&mut out);
                assert_eq!((out.octets(), spi.size()), (&octets[..], size));
            }
        }
    }
}
