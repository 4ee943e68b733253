//! Traffic selectors: what both sides want protected (RFC 7296 §2.9, §3.13).
use crate::settings::{Child, Traffic};
use std::fmt;
use std::net::IpAddr;
use wire::selector::{AddressRange, PortRange, Selector};

/// Selectors of one side that an answer has at most. A responder may always narrow further.
const MAX_SELECTORS: usize = 64;
/// Pairs of selectors that a Child SA has at most.
const MAX_PAIRS: usize = 1024;

/// One side's traffic selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ts {
    /// Of that side.
    pub addresses: AddressRange,
    /// 0: any.
    pub protocol: u8,
    /// Of that side.
    pub ports: PortRange,
}

impl Ts {
    /// What both cover.
    pub(crate) fn intersection(&self, other: &Self) -> Option<Self> {
        Some(Self {
            addresses: self.addresses.intersection(&other.addresses)?,
            protocol: both_protocols(self.protocol, other.protocol)?,
            ports: both_ports(self.ports, other.ports)?,
        })
    }
    /// Whether every packet that `other` covers is covered.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.addresses.covers(&other.addresses)
            && (self.protocol == 0 || self.protocol == other.protocol)
            && self.ports.covers(other.ports)
    }
}

/// `10.1.0.0/16`, `10.1.0.1 tcp/80` with the protocol as a number: `10.1.0.1 6/80`.
impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addresses)?;
        match (self.protocol, self.ports) {
            (0, ports) if ports.is_any() => Ok(()),
            (protocol, ports) if ports.is_any() => write!(f, " {protocol}"),
            (protocol, ports) if ports.is_opaque() => write!(f, " {protocol}/opaque"),
            (protocol, PortRange { first, last }) if first == last => {
                write!(f, " {protocol}/{first}")
            }
            (protocol, PortRange { first, last }) => write!(f, " {protocol}/{first}-{last}"),
        }
    }
}

fn both_protocols(a: u8, b: u8) -> Option<u8> {
    match (a, b) {
        (0, other) | (other, 0) => Some(other),
        (a, b) => (a == b).then_some(a),
    }
}

fn both_ports(a: PortRange, b: PortRange) -> Option<PortRange> {
    if a.covers(b) {
        return Some(b);
    }
    if b.covers(a) {
        return Some(a);
    }
    let (first, last) = (a.first.max(b.first), a.last.min(b.last));
    (!a.is_opaque() && !b.is_opaque() && first <= last).then_some(PortRange { first, last })
}

/// What a Child SA covers, seen from our side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Our side.
    pub local: Vec<Ts>,
    /// The peer's side.
    pub remote: Vec<Ts>,
}

impl Covered {
    /// What the configuration says; `local` and `remote` stand for the sides' own addresses.
    pub(crate) fn configured(child: &Child, local: IpAddr, remote: IpAddr) -> Self {
        let side = |traffic: &[Traffic], own: IpAddr| -> Vec<Ts> {
            let of = |t: &Traffic| {
                let addresses = t.addresses.unwrap_or_else(|| own.into());
                Ts { addresses, protocol: t.protocol, ports: t.ports }
            };
            traffic.iter().map(of).collect()
        };
        Self { local: side(&child.local_ts, local), remote: side(&child.remote_ts, remote) }
    }

    /// What both sides want: the intersection, exactly, in the peer's order, so that what the peer put first, the packet
    /// that it is about, stays first. `None`: nothing, or more pairs than a Child SA may have.
    pub(crate) fn narrowed(&self, offered: &Self) -> Option<Self> {
        let mut both = Self {
            local: intersection(&offered.local, &self.local),
            remote: intersection(&offered.remote, &self.remote),
        };
        // A selector without a partner on the other side covers nothing.
        let pairs = |a: &Ts, others: &[Ts]| others.iter().any(|b| pair(a, b).is_some());
        both.local.retain(|ts| pairs(ts, &both.remote));
        both.remote.retain(|ts| pairs(ts, &both.local));
        (!both.local.is_empty() && both.selectors().len() <= MAX_PAIRS).then_some(both)
    }

    /// Whether everything that `other` has lies within this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let side = |ours: &[Ts], theirs: &[Ts]| {
            theirs.iter().all(|ts| ours.iter().any(|own| own.covers(ts)))
        };
        side(&self.local, &other.local) && side(&self.remote, &other.remote)
    }

    /// Whether a packet between these is covered: whether it may ride.
    pub(crate) fn includes(&self, local: &Ts, remote: &Ts) -> bool {
        self.local.iter().any(|ts| ts.covers(local))
            && self.remote.iter().any(|ts| ts.covers(remote))
    }

    /// As the data plane wants them: each of our side with each of the peer's where they fit.
    pub fn selectors(&self) -> Vec<Selector> {
        let pairs =
            self.local.iter().flat_map(|local| self.remote.iter().map(move |r| pair(local, r)));
        pairs.flatten().collect()
    }
}

/// `10.1.0.0/16 ↔ 10.2.0.0/16, 10.3.0.0/16`.
impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &[Ts]| side.iter().map(Ts::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "{} ↔ {}", side(&self.local), side(&self.remote))
    }
}

fn pair(local: &Ts, remote: &Ts) -> Option<Selector> {
    let selector = Selector::between(local.addresses, remote.addresses)?;
    let protocol = match both_protocols(local.protocol, remote.protocol)? {
        0 => (0, u8::MAX),
        one => (one, one),
    };
    Some(Selector { protocol, local_port: local.ports, remote_port: remote.ports, ..selector })
}

fn intersection(first: &[Ts], second: &[Ts]) -> Vec<Ts> {
    let all = first.iter().flat_map(|a| second.iter().filter_map(|b| a.intersection(b)));
    let mut kept: Vec<Ts> = Vec::new();
    for ts in all {
        if kept.iter().any(|known| known.covers(&ts)) {
            continue;
        }
        kept.retain(|known| !ts.covers(known));
        kept.push(ts);
        if kept.len() == MAX_SELECTORS {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(addresses: &str, protocol: u8, ports: (u16, u16)) -> Ts {
        let addresses = addresses.parse::<wire::prefix::Prefix>().unwrap().into();
        Ts { addresses, protocol, ports: PortRange { first: ports.0, last: ports.1 } }
    }
    fn any(addresses: &str) -> Ts {
        ts(addresses, 0, (0, u16::MAX))
    }
    fn covered(local: &[Ts], remote: &[Ts]) -> Covered {
        Covered { local: local.to_vec(), remote: remote.to_vec() }
    }

    #[test]
    fn an_answer_is_the_intersection_of_each_side() {
        let ours = covered(&[any("10.1.0.0/16")], &[any("10.2.0.0/16"), any("10.3.0.0/16")]);
        for (local, remote, want) in [
            (
                vec![any("0.0.0.0/0")],
                vec![any("0.0.0.0/0")],
                Some("10.1.0.0/16 ↔ 10.2.0.0/16, 10.3.0.0/16"),
            ),
            (vec![any("10.1.4.0/24")], vec![any("10.3.7.0/24")], Some("10.1.4.0/24 ↔ 10.3.7.0/24")),
            (vec![any("10.9.0.0/16")], vec![any("10.3.7.0/24")], None),
            (vec![any("::/0")], vec![any("::/0")], None),
            (
                vec![ts("10.1.0.1/32", 6, (80, 80)), any("10.1.0.0/16")],
                vec![any("10.2.0.0/16")],
                Some("10.1.0.0/16 ↔ 10.2.0.0/16"),
            ),
            (vec![ts("10.1.0.0/16", 6, (0, 65535))], vec![ts("10.2.0.0/16", 17, (0, 65535))], None),
            (vec![], vec![any("10.2.0.0/16")], None),
        ] {
            let got = ours.narrowed(&covered(&local, &remote)).map(|both| both.to_string());
            assert_eq!(got.as_deref(), want);
        }
    }

    #[test]
    fn a_family_that_one_side_lacks_is_left_out() {
        let ours = covered(&[any("10.1.0.0/16"), any("fd01::/64")], &[any("0.0.0.0/0")]);
        let both = ours.narrowed(&covered(&[any("0.0.0.0/0"), any("::/0")], &[any("10.2.0.0/16")]));
        assert_eq!(both.unwrap().to_string(), "10.1.0.0/16 ↔ 10.2.0.0/16");
    }

    /// Every small selector against every other, packet by packet.
    #[test]
    fn the_intersection_is_exact() {
        let ports = [(0, 65535), (65535, 0), (0, 1), (1, 2), (2, 2)];
        let prefixes = ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.1/32", "10.0.0.2/31"];
        let mut all = Vec::new();
        for prefix in prefixes {
            for protocol in [0, 6, 17] {
                all.extend(ports.iter().map(|&ports| ts(prefix, protocol, ports)));
            }
        }
        let carries = |ts: &Ts, address: IpAddr, protocol: u8, port: Option<u16>| {
            ts.addresses.contains(address)
                && (ts.protocol == 0 || ts.protocol == protocol)
                && ts.ports.matches(port)
        };
        for a in &all {
            for b in &all {
                let both = a.intersection(b);
                for last in 0..4 {
                    let address = IpAddr::from([10, 0, 0, last]);
                    for protocol in [6, 17] {
                        for port in [None, Some(0), Some(1), Some(2), Some(3)] {
                            let want = carries(a, address, protocol, port)
                                && carries(b, address, protocol, port);
                            let got =
                                both.is_some_and(|both| carries(&both, address, protocol, port));
                            assert_eq!(got, want, "{a} and {b}: {address} {protocol} {port:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn many_selectors_are_bounded() {
        let side = |second: u8| -> Vec<Ts> {
            (0..=254).map(|third| any(&format!("10.{second}.{third}.0/24"))).collect()
        };
        let all = covered(&side(1), &side(2));
        assert_eq!(all.narrowed(&all), None, "64 times 64 pairs are too many");
        let ours = covered(&[any("10.1.0.0/16")], &[any("10.2.0.0/16")]);
        let offered = covered(&side(1), &[any("10.2.0.0/16")]);
        assert_eq!(ours.narrowed(&offered).unwrap().local.len(), MAX_SELECTORS);
    }
}
