//! Where a packet goes next: routes and neighbours as the kernel last told us, laid flat for lookup. The mirror
//! builds one, publishes it in [`crate::Tables`] and never changes it again.
use crate::forward::Via;
use crate::ranges::{Number, Ranges};
use crate::tables::InterfaceInfo;
use core::net::IpAddr;
use std::collections::HashMap;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// To an address of the gateway itself.
    Local,
    /// Out of a link, through `gateway` or straight to the destination.
    Via {
        /// `None` on a link where the destination itself is the neighbour.
        gateway: Option<IpAddr>,
        /// The link, as the kernel numbers it.
        ifindex: u32,
    },
    /// blackhole, unreachable, prohibit.
    Unreachable,
}

/// One route of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its family is the route's family; host bits are ignored.
    pub destination: IpAddr,
    /// 0..=32 or 0..=128.
    pub prefix_len: u8,
    /// Lower wins between equal prefixes.
    pub metric: u32,
    /// Where it leads.
    pub kind: RouteKind,
    /// The route's own MTU, if it has one.
    pub mtu: Option<u16>,
}

/// A neighbour that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The link, as the kernel numbers it.
    pub ifindex: u32,
    /// Its address on that link.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// What the lookup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// The gateway itself.
    Local,
    /// Out of one of our ports.
    Via {
        /// Index of the port and of the interface in [`crate::Tables::interfaces`].
        interface: usize,
        /// Index of the VLAN in the interface's; `None`: untagged.
        vlan: Option<u16>,
        /// The neighbour's address.
        next: IpAddr,
        /// `None`: not resolved (yet).
        mac: Option<Mac>,
        /// The least of route and link.
        mtu: u16,
    },
    /// Out of a link that is not one of our ports.
    Foreign {
        /// The link, as the kernel numbers it.
        ifindex: u32,
    },
    /// No route, or one that says so.
    Unreachable,
}

/// The smallest MTU that IPv4 allows (RFC 791 §3.2).
const MTU_MIN: u16 = 68;

#[derive(Clone, Copy, Debug)]
enum Target {
    Nowhere,
    Local,
    /// Of a gateway the Ethernet address is looked up beforehand: most packets take few gateways.
    Gateway(Via),
    Link {
        link: Link,
        mtu: u16,
    },
    Foreign {
        ifindex: u32,
    },
}

/// A port's own link, or a VLAN on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Link {
    interface: usize,
    vlan: Option<u16>,
}

type Neighbours = HashMap<(Link, IpAddr), Mac>;

/// Our links by the kernel's numbers, with their MTU.
type Links = HashMap<u32, (Link, u16)>;

fn links(interfaces: &[InterfaceInfo]) -> Links {
    let vlans = interfaces.iter().enumerate().flat_map(|(interface, info)| {
        (0u16..).zip(&info.vlans).map(move |(place, vlan)| {
            (vlan.ifindex, (Link { interface, vlan: Some(place) }, vlan.mtu))
        })
    });
    let ports = interfaces.iter().enumerate();
    let ports =
        ports.map(|(interface, info)| (info.ifindex, (Link { interface, vlan: None }, info.mtu)));
    // A VLAN that is a port itself has an XDP program and rings of its own: the later entry counts.
    vlans.chain(ports).filter(|(ifindex, _)| *ifindex != 0).collect()
}

/// An immutable snapshot of routes and neighbours.
#[derive(Clone, Debug)]
pub struct Fib {
    v4: Ranges<u32, Target>,
    v6: Ranges<u128, Target>,
    neighbours: Neighbours,
}

impl Default for Fib {
    fn default() -> Self {
        Self::new(&[], &[], &[])
    }
}

impl Fib {
    /// Lays the routes flat. `interfaces` are our ports, with their VLANs: a route over any other link is
    /// [`Hop::Foreign`].
    pub fn new(routes: &[Route], neighbours: &[Neighbour], interfaces: &[InterfaceInfo]) -> Self {
        let mut routes = routes.to_vec();
        routes.sort_by_key(|route| core::cmp::Reverse(route.metric)); // of equal prefixes the last counts
        let links = links(interfaces);
        let neighbours: Neighbours = neighbours
            .iter()
            .filter_map(|neighbour| {
                let (link, _) = links.get(&neighbour.ifindex)?;
                Some(((*link, neighbour.address), neighbour.mac))
            })
            .collect();
        let target = |route: &Route| Target::of(route, &links, &neighbours);
        let v4 = routes.iter().filter_map(|route| match route.destination {
            IpAddr::V4(to) => Some((to.to_bits(), route.prefix_len.min(32), target(route))),
            IpAddr::V6(_) => None,
        });
        let v6 = routes.iter().filter_map(|route| match route.destination {
            IpAddr::V6(to) => Some((to.to_bits(), route.prefix_len.min(128), target(route))),
            IpAddr::V4(_) => None,
        });
        let v4 = Ranges::from_prefixes(Target::Nowhere, v4);
        let v6 = Ranges::from_prefixes(Target::Nowhere, v6);
        Self { v4, v6, neighbours }
    }

    /// The way to `destination` if it leads through a gateway: as it stands here, not copied.
    #[inline]
    pub(crate) fn gateway(&self, destination: IpAddr) -> Option<&Via> {
        let target = match destination.into() {
            Number::V4(number) => self.v4.lookup(number),
            Number::V6(number) => self.v6.lookup(number),
        };
        match target? {
            Target::Gateway(via) => Some(via),
            _ => None,
        }
    }

    /// Longest prefix match, then the neighbour behind it.
    pub fn lookup(&self, destination: IpAddr) -> Hop {
        let target = match destination.into() {
            Number::V4(number) => self.v4.lookup(number),
            Number::V6(number) => self.v6.lookup(number),
        };
        match *target.unwrap_or(&Target::Nowhere) {
            Target::Nowhere => Hop::Unreachable,
            Target::Local => Hop::Local,
            Target::Foreign { ifindex } => Hop::Foreign { ifindex },
            Target::Gateway(Via { interface, vlan, next, mac, mtu }) => {
                Hop::Via { interface, vlan, next, mac, mtu }
            }
            Target::Link { link: Link { interface, vlan }, mtu } => {
                let mac = self.neighbour(interface, vlan, destination);
                Hop::Via { interface, vlan, next: destination, mac, mtu }
            }
        }
    }

    /// The Ethernet address of `next` on one of our ports, or on a VLAN there.
    pub fn neighbour(&self, interface: usize, vlan: Option<u16>, next: IpAddr) -> Option<Mac> {
        self.neighbours.get(&(Link { interface, vlan }, next)).copied()
    }
}

impl Target {
    fn of(route: &Route, links: &Links, neighbours: &Neighbours) -> Self {
        let (gateway, ifindex) = match route.kind {
            RouteKind::Local => return Self::Local,
            RouteKind::Unreachable => return Self::Nowhere,
            RouteKind::Via { gateway, ifindex } => (gateway, ifindex),
        };
        let Some(&(link, most)) = links.get(&ifindex) else { return Self::Foreign { ifindex } };
        let mtu = route.mtu.map_or(most, |mtu| mtu.min(most)).max(MTU_MIN);
        match gateway {
            Some(gateway) => {
                let (mac, Link { interface, vlan }) = (neighbours.get(&(link, gateway)), link);
                Self::Gateway(Via { interface, vlan, next: gateway, mac: mac.copied(), mtu })
            }
            None => Self::Link { link, mtu },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Tags, Vlan};
    use sadb::{Name, Role};
    use wire::ethernet::VlanTag;
    use wire::iana::EtherType;

    fn interface(port: usize, ifindex: u32, mtu: u16) -> InterfaceInfo {
        InterfaceInfo {
            port,
            ifindex,
            mac: [2, 0, 0, 0, 0, port as u8],
            mtu,
            role: Role::Outside,
            name: Name::new("wan0").unwrap(),
            up: true,
            complete_checksums: true,
            addresses: Vec::new(),
            vlans: Vec::new(),
            driver: None,
        }
    }

    fn vlan(ifindex: u32, mtu: u16) -> Vlan {
        let tags = Tags::One(VlanTag { protocol: EtherType::VLAN, control: ifindex as u16 });
        Vlan { ifindex, mac: [2, 0, 0, 0, 1, 0], mtu, tags, addresses: Vec::new() }
    }

    fn route(to: &str, prefix_len: u8, kind: RouteKind) -> Route {
        Route { destination: to.parse().unwrap(), prefix_len, metric: 0, kind, mtu: None }
    }

    fn via(gateway: Option<&str>, ifindex: u32) -> RouteKind {
        RouteKind::Via { gateway: gateway.map(|g| g.parse().unwrap()), ifindex }
    }

    #[test]
    fn the_longest_prefix_decides_and_its_neighbour_is_found() {
        let ports = [interface(0, 7, 1500), interface(1, 9, 9000)];
        let routes = [
            route("0.0.0.0", 0, via(Some("192.0.2.1"), 7)),
            route("192.0.2.0", 24, via(None, 7)),
            route("10.0.0.0", 8, via(None, 9)),
            route("10.1.0.0", 16, RouteKind::Unreachable),
            route("10.2.0.9", 32, RouteKind::Local),
            route("10.3.0.0", 16, via(None, 55)),
        ];
        let mac = [2, 0, 0, 0, 0, 0xfe];
        let neighbours = [Neighbour { ifindex: 7, address: "192.0.2.1".parse().unwrap(), mac }];
        let fib = Fib::new(&routes, &neighbours, &ports);
        let look = |to: &str| fib.lookup(to.parse().unwrap());
        let gateway = "192.0.2.1".parse().unwrap();
        assert_eq!(
            look("198.51.100.7"),
            Hop::Via { interface: 0, vlan: None, next: gateway, mac: Some(mac), mtu: 1500 }
        );
        let next = "10.9.9.9".parse().unwrap();
        let hop = Hop::Via { interface: 1, vlan: None, next, mac: None, mtu: 9000 };
        assert_eq!(look("10.9.9.9"), hop);
        assert_eq!(look("10.1.2.3"), Hop::Unreachable);
        assert_eq!(look("10.2.0.9"), Hop::Local);
        assert_eq!(look("10.3.1.1"), Hop::Foreign { ifindex: 55 });
        assert_eq!(look("2001:db8::1"), Hop::Unreachable);
    }

    #[test]
    fn a_route_over_a_vlan_leads_out_of_its_port_and_neighbours_of_each_link_are_apart() {
        let mut ports = [interface(0, 7, 1500), interface(1, 9, 9000), interface(2, 22, 1500)];
        ports[0].vlans = vec![vlan(20, 1500), vlan(21, 1400), vlan(22, 1300)];
        let next = "192.0.2.1".parse().unwrap();
        let neighbour = |ifindex: u32| Neighbour {
            ifindex,
            address: next,
            mac: [2, 0, 0, 0, 9, ifindex as u8],
        };
        let routes = [
            route("10.7.0.0", 16, via(Some("192.0.2.1"), 7)),
            route("10.20.0.0", 16, via(Some("192.0.2.1"), 20)),
            route("10.21.0.0", 16, via(Some("192.0.2.1"), 21)),
            route("10.22.0.0", 16, via(Some("192.0.2.1"), 22)),
            route("10.23.0.0", 16, via(Some("192.0.2.1"), 23)),
        ];
        let fib = Fib::new(&routes, &[neighbour(7), neighbour(21), neighbour(23)], &ports);
        for (to, interface, vlan, mac, mtu) in [
            ("10.7.0.1", 0, None, Some(neighbour(7).mac), 1500),
            ("10.20.0.1", 0, Some(0), None, 1500),
            ("10.21.0.1", 0, Some(1), Some(neighbour(21).mac), 1400),
            ("10.22.0.1", 2, None, None, 1500), // a VLAN that is a port itself
        ] {
            let hop = Hop::Via { interface, vlan, next, mac, mtu };
            assert_eq!(fib.lookup(to.parse().unwrap()), hop, "{to}");
        }
        let gone = fib.lookup("10.23.0.1".parse().unwrap());
        assert_eq!(gone, Hop::Foreign { ifindex: 23 }, "a VLAN that is down is not in the list");
    }

    #[test]
    fn the_lower_metric_wins_between_equal_prefixes_and_the_route_mtu_can_only_shrink() {
        let ports = [interface(0, 7, 1500), interface(1, 9, 9000)];
        let mut near = route("2001:db8::", 32, via(None, 9));
        (near.metric, near.mtu) = (10, Some(1280));
        let mut far = route("2001:db8::", 32, via(None, 7));
        far.metric = 1024;
        for routes in [[near, far], [far, near]] {
            let hop = Fib::new(&routes, &[], &ports).lookup("2001:db8::1".parse().unwrap());
            assert!(matches!(hop, Hop::Via { interface: 1, mtu: 1280, .. }), "{hop:?}");
        }
    }
}
