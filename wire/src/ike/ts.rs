//! The Traffic Selector payloads (RFC 7296 §3.13).

use core::{fmt, net::IpAddr};

use super::{List, Malformed, Out, list::Element, octets};
use crate::{
    iana::{IpProtocol, ike::TsType},
    selector::{AddressRange, PortRange},
};

/// The most selectors in one payload.
pub const MAX_SELECTORS: usize = 128;

const HEADER: usize = 4;
const PORTS: usize = 4;

/// Which addresses, protocols and ports one side of a Child SA has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    /// The upper-layer protocol; 0 is any.
    pub protocol: IpProtocol,
    /// Ports, or ICMP type and code; [`PortRange::ANY`] and [`PortRange::OPAQUE`] as there.
    pub ports: PortRange,
    /// The addresses.
    pub addresses: AddressRange,
}

/// The selectors of one side. Types that are not addresses of IP are passed over: nothing is agreed about
/// them, which narrows them away (RFC 7296 §2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficSelectors<'a> {
    /// The selectors; none when all were passed over.
    pub selectors: List<'a, TrafficSelector>,
}

impl From<AddressRange> for TrafficSelector {
    /// Everything to or from these addresses.
    fn from(addresses: AddressRange) -> Self {
        Self { protocol: IpProtocol(0), ports: PortRange::ANY, addresses }
    }
}

impl<'a> TrafficSelectors<'a> {
    /// Checks number and length of the selectors, and that no range is turned around.
    ///
    /// # Errors
    /// What is wrong; [`Malformed::Empty`] without selectors.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[said, ..], octets) = octets::take::<4>(body)?;
        let octets = octets::not_empty(octets)?;
        let (selectors, have) = List::parse(octets, ("traffic selectors", MAX_SELECTORS))?;
        let said = usize::from(said);
        if said != have {
            return Err(Malformed::BadCount { said, have });
        }
        Ok(Self { selectors })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put_count(self.selectors.iter().count());
        out.put(&[0, 0, 0]);
        self.selectors.emit(out);
    }
}

/// An address of `N` octets from each end.
fn ends<const N: usize>(octets: &[u8]) -> Result<([u8; N], [u8; N]), Malformed> {
    let (first, rest) = octets::take::<N>(octets)?;
    Ok((*first, octets::exactly::<N>(rest)?))
}

fn addresses(kind: TsType, octets: &[u8]) -> Result<Option<AddressRange>, Malformed> {
    let (first, last): (IpAddr, IpAddr) = match kind {
        TsType::TS_IPV4_ADDR_RANGE => {
            let (first, last) = ends::<4>(octets)?;
            (first.into(), last.into())
        }
        TsType::TS_IPV6_ADDR_RANGE => {
            let (first, last) = ends::<16>(octets)?;
            (first.into(), last.into())
        }
        _ => return Ok(None),
    };
    AddressRange::new(first, last).ok_or(Malformed::BackwardRange).map(Some)
}

/// Port numbers in order, or OPAQUE; no other range ends before it starts.
fn ports([a, b, c, d]: [u8; PORTS]) -> Result<PortRange, Malformed> {
    let ports = PortRange { first: u16::from_be_bytes([a, b]), last: u16::from_be_bytes([c, d]) };
    let fine = ports == PortRange::OPAQUE || !ports.is_opaque();
    if fine { Ok(ports) } else { Err(Malformed::BackwardRange) }
}

impl<'a> Element<'a> for TrafficSelector {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        let (&[kind, protocol, a, b], _) = octets::take::<HEADER>(octets)?;
        let said = u16::from_be_bytes([a, b]);
        let (whole, rest) = octets::split_stated(octets, said, HEADER)?;
        let kind = TsType(kind);
        if !matches!(kind, TsType::TS_IPV4_ADDR_RANGE | TsType::TS_IPV6_ADDR_RANGE) {
            return Ok((None, rest));
        }
        let (_, inside) = octets::take::<HEADER>(whole)?;
        let (range, inside) = octets::take::<PORTS>(inside)?;
        let (protocol, ports) = (IpProtocol(protocol), ports(*range)?);
        let addresses = addresses(kind, inside)?;
        Ok((addresses.map(|addresses| Self { protocol, ports, addresses }), rest))
    }

    fn emit(&self, _last: bool, out: &mut Out) {
        let start = out.position();
        let v4 = self.addresses.is_ipv4();
        let kind = if v4 { TsType::TS_IPV4_ADDR_RANGE } else { TsType::TS_IPV6_ADDR_RANGE };
        out.put(&[kind.0, self.protocol.0, 0, 0]);
        out.put(&self.ports.first.to_be_bytes());
        out.put(&self.ports.last.to_be_bytes());
        for address in [self.addresses.first(), self.addresses.last()] {
            match address {
                IpAddr::V4(address) => out.put(&address.octets()),
                IpAddr::V6(address) => out.put(&address.octets()),
            }
        }
        out.patch_length(start + 2, start);
    }
}

/// `10.0.0.0/8`, `10.0.0.1[TCP]`, `10.0.0.1[UDP/53]`, `10.0.0.1[0/1024-2047]`.
impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addresses)?;
        let PortRange { first, last } = self.ports;
        let any = self.protocol.0 == 0;
        match self.ports {
            PortRange::ANY if any => return Ok(()),
            _ if any => write!(f, "[0")?,
            _ => write!(f, "[{}", self.protocol)?,
        }
        match self.ports {
            PortRange::ANY => write!(f, "]"),
            PortRange::OPAQUE => write!(f, "/OPAQUE]"),
            _ if first == last => write!(f, "/{first}]"),
            _ => write!(f, "/{first}-{last}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::Prefix;

    fn selector(prefix: &str) -> TrafficSelector {
        prefix.parse::<Prefix>().unwrap().range().into()
    }

    fn emitted(selectors: &[TrafficSelector]) -> Vec<u8> {
        let mut out = Out::default();
        TrafficSelectors { selectors: selectors.into() }.emit(&mut out);
        out.finish().unwrap()
    }

    /// The example of RFC 7296 §2.9 (192.0.1.0 to 192.0.1.255), and one of IPv6 laid out by hand.
    #[rustfmt::skip]
    const OCTETS: [u8; 60] = [
        2, 0, 0, 0,
        7, 0, 0, 16, 0, 0, 255, 255, 192, 0, 1, 0, 192, 0, 1, 255,
        8, 17, 0, 40, 0, 53, 0, 53,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
    ];

    #[test]
    fn selectors_are_written_and_read_octet_for_octet() {
        let [first, last] = ["2001:db8::", "2001:db8::9"].map(|end| end.parse().unwrap());
        let addresses = AddressRange::new(first, last).unwrap();
        let (protocol, ports) = (IpProtocol::UDP, PortRange::one(53));
        let want = [selector("192.0.1.0/24"), TrafficSelector { protocol, ports, addresses }];
        let read = TrafficSelectors::parse(&OCTETS).unwrap();
        assert_eq!(read, TrafficSelectors { selectors: (&want).into() });
        assert_eq!(emitted(&want), OCTETS);
        let shown = want.map(|each| each.to_string());
        assert_eq!(shown, ["192.0.1.0/24", "2001:db8::-2001:db8::9[UDP/53]"]);
    }

    #[test]
    fn counts_lengths_and_ranges_that_lie_are_refused() {
        let with = |at: usize, value: u8| {
            let mut octets = OCTETS;
            octets[at] = value;
            octets
        };
        for (octets, why) in [
            (with(0, 0), Malformed::BadCount { said: 0, have: 2 }),
            (with(0, 1), Malformed::BadCount { said: 1, have: 2 }),
            (with(0, 255), Malformed::BadCount { said: 255, have: 2 }),
            (with(7, 0), Malformed::BadLength { said: 0, have: 4 }),
            (with(7, 15), Malformed::BadSize { least: 4, most: 4, have: 3 }),
            (with(7, 17), Malformed::BadSize { least: 4, most: 4, have: 5 }),
            (with(7, 11), Malformed::Truncated { need: 4, have: 3 }),
            (with(23, 41), Malformed::BadLength { said: 41, have: 40 }),
            (with(6, 1), Malformed::BadLength { said: 0x110, have: 56 }),
            (with(4, 8), Malformed::Truncated { need: 16, have: 8 }),
            (with(20, 7), Malformed::BadSize { least: 4, most: 4, have: 28 }),
            (with(12, 193), Malformed::BackwardRange),
            (with(24, 1), Malformed::BackwardRange),
        ] {
            assert_eq!(TrafficSelectors::parse(&octets), Err(why));
        }
        assert_eq!(TrafficSelectors::parse(&[0; 4]), Err(Malformed::Empty));
        assert!(TrafficSelectors::parse(&[1, 0, 0]).is_err());
    }

    #[test]
    fn of_backward_port_ranges_only_opaque_means_something() {
        for (first, last, fine) in
            [(65535, 0, true), (1, 0, false), (65535, 1, false), (0, 65535, true), (7, 7, true)]
        {
            let ports = PortRange { first, last };
            let octets = emitted(&[TrafficSelector { ports, ..selector("10.0.0.1/32") }]);
            assert_eq!(TrafficSelectors::parse(&octets).is_ok(), fine, "{first}-{last}");
        }
    }

    #[test]
    fn types_that_are_not_addresses_are_passed_over() {
        let label = [10, 0, 0, 6, b'x', b'y'];
        let octets = [&[3, 0, 0, 0][..], &label, &OCTETS[4..20], &label].concat();
        let read = TrafficSelectors::parse(&octets).unwrap();
        assert!(read.selectors.iter().eq([selector("192.0.1.0/24")]));
        let only = [&[1, 0, 0, 0][..], &label].concat();
        assert!(TrafficSelectors::parse(&only).unwrap().selectors.is_empty());
        let cut = [&[1, 0, 0, 0][..], &label[..5]].concat();
        assert!(TrafficSelectors::parse(&cut).is_err());
    }

    #[test]
    fn as_many_selectors_as_the_limit_and_not_one_more() {
        for count in [1, MAX_SELECTORS - 1, MAX_SELECTORS, MAX_SELECTORS + 1, 255] {
            let octets = emitted(&vec![selector("10.0.0.0/8"); count]);
            let why = Malformed::TooMany { what: "traffic selectors", most: MAX_SELECTORS };
            let want = (count > MAX_SELECTORS).then_some(why);
            assert_eq!(TrafficSelectors::parse(&octets).err(), want, "{count}");
        }
    }

    #[test]
    fn a_selector_shows_what_it_restricts() {
        let of = |protocol, first, last| {
            let (protocol, ports) = (IpProtocol(protocol), PortRange { first, last });
            TrafficSelector { protocol, ports, ..selector("10.0.0.1/32") }.to_string()
        };
        for (shown, want) in [
            (of(0, 0, 65535), "10.0.0.1"),
            (of(6, 0, 65535), "10.0.0.1[TCP]"),
            (of(17, 53, 53), "10.0.0.1[UDP/53]"),
            (of(0, 1024, 2047), "10.0.0.1[0/1024-2047]"),
            (of(6, 65535, 0), "10.0.0.1[TCP/OPAQUE]"),
        ] {
            assert_eq!(shown, want);
        }
    }
}
