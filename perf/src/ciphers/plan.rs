//! What to run.
use core::fmt;
use core::str::FromStr;
use crypto::{Backend, Suite};
use rivals::Tier;

/// How many packets and SAs there are, and where the packets lie.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
pub enum Scenario {
    /// 32 packed buffers, one SA: everything is in the first cache.
    #[serde(rename = "hot")]
    #[value(name = "hot")]
    Hot,
    /// 1024 frames of 2048 octets, the payload at octet 306; one SA.
    #[serde(rename = "1024x1")]
    #[value(name = "1024x1")]
    OneSa,
    /// The same frames, and 1024 SAs in turn.
    #[serde(rename = "1024x1024")]
    #[value(name = "1024x1024")]
    ManySas,
}

impl Scenario {
    /// As it stands on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::OneSa => "1024x1",
            Self::ManySas => "1024x1024",
        }
    }

    /// SAs, used in turn.
    pub const fn sas(self) -> usize {
        match self {
            Self::Hot | Self::OneSa => 1,
            Self::ManySas => 1024,
        }
    }
}

/// Octets of payload and trailer in a packet, rounded up to the suite's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All of the same.
    Fixed(u16),
    /// 64, 576 and 1420 octets, 7:4:1, in random order.
    Imix,
}

/// The largest that has room in a frame of 16,384 octets.
const LARGEST: u16 = 16_000;
/// The smallest that every library takes.
const SMALLEST: u16 = 16;

/// Not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size: give octets from {SMALLEST} to {LARGEST}, or IMIX")]
pub struct BadSize(String);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        if text.eq_ignore_ascii_case("imix") {
            return Ok(Self::Imix);
        }
        let fits = |len: &u16| (SMALLEST..=LARGEST).contains(len);
        text.parse().ok().filter(fits).map(Self::Fixed).ok_or_else(|| BadSize(text.into()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(len) => len.fmt(f),
            Self::Imix => f.pad("IMIX"),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Suites.
    pub suites: Vec<Suite>,
    /// Scenarios.
    pub scenarios: Vec<Scenario>,
    /// Sizes.
    pub sizes: Vec<Size>,
    /// Ours; `portable` comes first, and the last is the one that the targets are about.
    pub backends: Vec<&'static Backend>,
    /// Codes of libipsec-mb.
    pub tiers: Vec<Tier>,
    /// Whether other libraries run at all.
    pub rivals: bool,
    /// How often each contender runs in a case, after one round that is not counted.
    pub rounds: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_length_or_imix() {
        assert_eq!("1420".parse(), Ok(Size::Fixed(1420)));
        assert_eq!("imix".parse(), Ok(Size::Imix));
        for text in ["15", "16001", "", "x"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize(text.into())));
        }
    }
}
