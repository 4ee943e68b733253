//! What the kernel has told us: links, addresses, routes of the main table and neighbours. Pure state; messages go
//! in by [`Kernel::apply`], whether they come from a dump or as a notification.
use crate::fib::{Neighbour, Route, RouteKind};
use crate::tables::Tags;
use core::net::IpAddr;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, VlanProtocol,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Rt};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wire::ethernet::VlanTag;
use wire::iana::EtherType;

/// One link of the kernel's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name now.
    pub name: String,
    /// Its Ethernet address; zeros where there is none.
    pub mac: [u8; 6],
    /// In octets, without the link header.
    pub mtu: u32,
    /// Administratively up, and with a carrier.
    pub up: bool,
    /// What makes a virtual link: `veth`, `vlan`, `bond`.
    pub kind: Option<String>,
    /// The device behind a real one: its bus, and its name there.
    pub device: Option<(String, String)>,
    /// The link below a VLAN, and the VLAN's tag.
    pub vlan: Option<(u32, VlanTag)>,
}

/// What a message did to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that anybody looks at.
    None,
    /// Something to publish.
    Changed,
    /// The kernel changes routes without telling in this case (IPv4 on link down), or the change can not be told
    /// from the message alone (one leg of a multipath route): read all again.
    Resync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    metric: u32,
    kind: RouteKind,
    mtu: Option<u16>,
    legs: bool,
}

/// The kernel's tables as far as packets need them.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    links: BTreeMap<u32, Link>,
    addresses: BTreeSet<(u32, IpAddr, u8)>,
    routes: HashMap<(IpAddr, u8), Vec<Candidate>>,
    neighbours: HashMap<(u32, IpAddr), ([u8; 6], bool)>,
}

impl Kernel {
    /// Takes one message in.
    pub fn apply(&mut self, message: &Rt, flags: u16) -> Effect {
        match message {
            // What a bridge says of its ports: half of a link's attributes, and "deleted" when one leaves the bridge.
            Rt::NewLink(link) | Rt::DelLink(link)
                if link.header.interface_family == AddressFamily::Bridge =>
            {
                Effect::None
            }
            Rt::NewLink(link) => self.new_link(link),
            Rt::DelLink(link) => self.delete_link(link.header.index),
            Rt::NewAddress(address) => self.address(address, true),
            Rt::DelAddress(address) => self.address(address, false),
            Rt::NewRoute(route) => self.new_route(route, flags),
            Rt::DelRoute(route) => self.delete_route(route),
            Rt::NewNeighbour(neighbour) => self.neighbour(neighbour, true),
            Rt::DelNeighbour(neighbour) => self.neighbour(neighbour, false),
            _ => Effect::None,
        }
    }

    /// The link of this name, with its number.
    pub fn link(&self, name: &str) -> Option<(u32, &Link)> {
        self.links.iter().find(|(_, link)| link.name == name).map(|(&index, link)| (index, link))
    }

    /// The VLANs on a link, and those in such VLANs, with their tags.
    pub fn vlans_on(&self, port: u32) -> impl Iterator<Item = (u32, &Link, Tags)> {
        self.links.iter().filter_map(move |(&index, link)| {
            let (below, tag) = link.vlan?;
            if below == port {
                return Some((index, link, Tags::One(tag)));
            }
            let (lowest, outer) = self.links.get(&below)?.vlan?;
            (lowest == port).then_some((index, link, Tags::Two { outer, inner: tag }))
        })
    }

    /// Addresses on a link, with prefix lengths.
    pub fn addresses_on(&self, ifindex: u32) -> impl Iterator<Item = (IpAddr, u8)> {
        self.addresses.iter().filter(move |(on, ..)| *on == ifindex).map(|&(_, a, len)| (a, len))
    }

    /// Every address of the gateway.
    pub fn locals(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|&(_, address, _)| address)
    }

    /// The best route of each prefix, and a host route for each local address.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        let learned = self.routes.iter().filter_map(|(&(destination, prefix_len), candidates)| {
            let best = candidates.iter().min_by_key(|candidate| candidate.metric)?;
            let Candidate { metric, kind, mtu, .. } = *best;
            Some(Route { destination, prefix_len, metric, kind, mtu })
        });
        let local = self.locals().map(|destination| Route {
            destination,
            prefix_len: if destination.is_ipv4() { 32 } else { 128 },
            metric: 0,
            kind: RouteKind::Local,
            mtu: None,
        });
        learned.chain(local)
    }

    /// Neighbours that can be sent to.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> {
        let each = self.neighbours.iter();
        each.map(|(&(ifindex, address), &(mac, _))| Neighbour { ifindex, address, mac })
    }

    /// Whether this neighbour is known but has not been heard of for a while.
    pub fn is_stale(&self, ifindex: u32, address: IpAddr) -> bool {
        self.neighbours.get(&(ifindex, address)).is_some_and(|&(_, stale)| stale)
    }

    fn new_link(&mut self, message: &LinkMessage) -> Effect {
        let mut link = Link {
            up: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            ..Link::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(octets) => {
                    link.mac = octets.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::LinkInfo(info) => link.kind = kind(info),
                _ => {}
            }
        }
        if link.name.is_empty() {
            return Effect::None;
        }
        link.vlan = vlan(message);
        link.device = device(message);
        match self.links.insert(message.header.index, link.clone()) {
            Some(before) if before == link => Effect::None,
            Some(before) if before.up && !link.up => Effect::Resync,
            _ => Effect::Changed,
        }
    }

    fn delete_link(&mut self, index: u32) -> Effect {
        self.addresses.retain(|(on, ..)| *on != index);
        self.neighbours.retain(|(on, _), _| *on != index);
        if self.links.remove(&index).is_some() { Effect::Resync } else { Effect::None }
    }

    fn address(&mut self, message: &AddressMessage, present: bool) -> Effect {
        let attributes = message.attributes.iter();
        let local = attributes.clone().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
        let plain = attributes.clone().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
        let Some(address) = local.or(plain) else { return Effect::None };
        let key = (message.header.index, address, message.header.prefix_len);
        match present {
            true if self.addresses.insert(key) => Effect::Changed,
            false if self.addresses.remove(&key) => Effect::Resync,
            _ => Effect::None,
        }
    }

    fn new_route(&mut self, message: &RouteMessage, flags: u16) -> Effect {
        let Some((key, candidate)) = candidate(message) else { return Effect::None };
        let candidates = self.routes.entry(key).or_default();
        if candidates.contains(&candidate) {
            return Effect::None;
        }
        let same = candidates.iter().filter(|other| other.metric == candidate.metric).count();
        let append = key.0.is_ipv6() && flags & NLM_F_APPEND != 0 && same > 0;
        if append || (flags & NLM_F_REPLACE != 0 && same > 1) {
            return Effect::Resync;
        }
        if flags & NLM_F_REPLACE != 0 {
            candidates.retain(|other| other.metric != candidate.metric);
        }
        candidates.push(candidate);
        Effect::Changed
    }

    fn delete_route(&mut self, message: &RouteMessage) -> Effect {
        let Some((key, gone)) = candidate(message) else { return Effect::None };
        let Some(candidates) = self.routes.get_mut(&key) else { return Effect::None };
        let alike = |other: &Candidate| other.metric == gone.metric;
        if candidates.iter().any(|other| alike(other) && (other.legs || gone.legs)) {
            return Effect::Resync;
        }
        let Some(at) = candidates.iter().position(|other| alike(other) && other.kind == gone.kind)
        else {
            return if candidates.iter().any(alike) { Effect::Resync } else { Effect::None };
        };
        candidates.remove(at);
        if candidates.is_empty() {
            self.routes.remove(&key);
        }
        Effect::Changed
    }

    fn neighbour(&mut self, message: &NeighbourMessage, present: bool) -> Effect {
        let (mut address, mut mac) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(to)) => {
                    address = Some(IpAddr::V4(*to));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(to)) => {
                    address = Some(IpAddr::V6(*to));
                }
                NeighbourAttribute::LinkLayerAddress(octets) => {
                    mac = <[u8; 6]>::try_from(octets.as_slice()).ok();
                }
                _ => {}
            }
        }
        let Some(address) = address else { return Effect::None };
        let key = (message.header.ifindex, address);
        let stale = message.header.state == NeighbourState::Stale;
        let before = match mac.filter(|_| present && usable(message.header.state)) {
            Some(mac) => (self.neighbours.insert(key, (mac, stale)), Some(mac)),
            None => (self.neighbours.remove(&key), None),
        };
        if before.0.map(|(mac, _)| mac) == before.1 { Effect::None } else { Effect::Changed }
    }
}

fn kind(info: &[LinkInfo]) -> Option<String> {
    info.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

/// The link below (`IFLA_LINK`) and the tag of a VLAN; `None` also where the link below is in another namespace, in
/// which its number means another link.
fn vlan(message: &LinkMessage) -> Option<(u32, VlanTag)> {
    let (mut below, mut data) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(index) => below = Some(*index),
            LinkAttribute::LinkNetNsId(_) => return None,
            LinkAttribute::LinkInfo(info) => {
                data = info.iter().find_map(|info| match info {
                    LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let mut tag = VlanTag { protocol: EtherType::VLAN, control: 0 };
    for item in data? {
        match item {
            InfoVlan::Id(id) => tag.control = id & 0x0fff,
            InfoVlan::Protocol(VlanProtocol::Ieee8021Ad) => tag.protocol = EtherType::SERVICE_VLAN,
            _ => {}
        }
    }
    Some((below?, tag))
}

fn device(message: &LinkMessage) -> Option<(String, String)> {
    let (mut bus, mut name) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::ParentDevBusName(text) => bus = Some(text.clone()),
            LinkAttribute::ParentDevName(text) => name = Some(text.clone()),
            _ => {}
        }
    }
    bus.zip(name)
}

/// States in which the kernel itself would send to the address (`NUD_VALID`, net/neighbour.h).
fn usable(state: NeighbourState) -> bool {
    use NeighbourState as S;
    matches!(state, S::Permanent | S::Noarp | S::Reachable | S::Probe | S::Stale | S::Delay)
}

/// A route of the main table that packets may take; `None` for all others.
fn candidate(message: &RouteMessage) -> Option<((IpAddr, u8), Candidate)> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let mut candidate =
        Candidate { metric: 0, kind: RouteKind::Unreachable, mtu: None, legs: false };
    let (mut destination, mut gateway, mut ifindex) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(to) => destination = address(to),
            RouteAttribute::Gateway(to) => gateway = address(to),
            RouteAttribute::Via(to) => gateway = via(to),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Priority(metric) => candidate.metric = *metric,
            RouteAttribute::Metrics(metrics) => candidate.mtu = mtu(metrics),
            RouteAttribute::MultiPath(legs) => {
                let leg = legs.iter().find(|leg| alive(leg)).or(legs.first())?;
                candidate.legs = legs.len() > 1;
                (gateway, ifindex) = (leg_gateway(leg), Some(leg.interface_index));
            }
            _ => {}
        }
    }
    let plain = header.tos == 0 && header.source_prefix_length == 0;
    if table != u32::from(RouteHeader::RT_TABLE_MAIN)
        || !plain
        || header.flags.contains(RouteFlags::Cloned)
    {
        return None;
    }
    candidate.kind = match (header.kind, ifindex) {
        (RouteType::Unicast, Some(ifindex)) => RouteKind::Via { gateway, ifindex },
        (RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit, _) => {
            RouteKind::Unreachable
        }
        _ => return None,
    };
    let zero = default_destination(header.address_family)?;
    Some(((destination.unwrap_or(zero), header.destination_prefix_length), candidate))
}

fn default_destination(family: netlink_packet_route::AddressFamily) -> Option<IpAddr> {
    use netlink_packet_route::AddressFamily as F;
    match family {
        F::Inet => Some(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)),
        F::Inet6 => Some(IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED)),
        _ => None,
    }
}

fn alive(leg: &RouteNextHop) -> bool {
    !leg.flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown)
}

fn leg_gateway(leg: &RouteNextHop) -> Option<IpAddr> {
    leg.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(to) => address(to),
        RouteAttribute::Via(to) => via(to),
        _ => None,
    })
}

fn address(route: &RouteAddress) -> Option<IpAddr> {
    match route {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn via(route: &RouteVia) -> Option<IpAddr> {
    match route {
        RouteVia::Inet(address) => Some(IpAddr::V4(*address)),
        RouteVia::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn mtu(metrics: &[RouteMetric]) -> Option<u16> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => u16::try_from(*mtu).ok(),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use netlink_packet_route::link::InfoKind;

    fn route(to: &str, len: u8, metric: u32, oif: u32, gateway: Option<&str>) -> RouteMessage {
        let to: IpAddr = to.parse().unwrap();
        let mut message = RouteMessage::default();
        message.header.address_family =
            if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.destination_prefix_length = len;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Oif(oif));
        message.attributes.push(RouteAttribute::Priority(metric));
        if len > 0 {
            message.attributes.push(RouteAttribute::Destination(to.into()));
        }
        if let Some(gateway) = gateway {
            let gateway: IpAddr = gateway.parse().unwrap();
            message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        }
        message
    }

    fn link(index: u32, name: &str, up: bool) -> Rt {
        let mut message = LinkMessage::default();
        message.header.index = index;
        if up {
            message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        }
        message.attributes.push(LinkAttribute::IfName(name.into()));
        message.attributes.push(LinkAttribute::Mtu(1500));
        message.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]));
        Rt::NewLink(message)
    }

    fn neighbour(state: NeighbourState, mac: u8) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 3;
        message.header.state = state;
        let to = NeighbourAddress::Inet("192.0.2.1".parse().unwrap());
        message.attributes.push(NeighbourAttribute::Destination(to));
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, mac]));
        message
    }

    fn best(kernel: &Kernel) -> Vec<(u32, RouteKind)> {
        kernel.routes().map(|route| (route.metric, route.kind)).collect()
    }

    #[test]
    fn the_lowest_metric_of_a_prefix_wins_and_the_next_takes_over_when_it_goes() {
        let mut kernel = Kernel::default();
        let near = route("10.0.0.0", 8, 10, 3, Some("192.0.2.1"));
        let far = route("10.0.0.0", 8, 20, 4, None);
        assert_eq!(kernel.apply(&Rt::NewRoute(far.clone()), 0), Effect::Changed);
        assert_eq!(kernel.apply(&Rt::NewRoute(near.clone()), 0), Effect::Changed);
        assert_eq!(kernel.apply(&Rt::NewRoute(near.clone()), 0), Effect::None, "said twice");
        let gateway = Some("192.0.2.1".parse().unwrap());
        assert_eq!(best(&kernel), [(10, RouteKind::Via { gateway, ifindex: 3 })]);
        assert_eq!(kernel.apply(&Rt::DelRoute(near.clone()), 0), Effect::Changed);
        assert_eq!(best(&kernel), [(20, RouteKind::Via { gateway: None, ifindex: 4 })]);
        assert_eq!(kernel.apply(&Rt::DelRoute(near), 0), Effect::None, "gone already");
        assert_eq!(kernel.apply(&Rt::DelRoute(far), 0), Effect::Changed);
        assert_eq!(best(&kernel), []);
    }

    #[test]
    fn a_replaced_route_leaves_nothing_of_the_old_one() {
        let mut kernel = Kernel::default();
        kernel.apply(&Rt::NewRoute(route("0.0.0.0", 0, 0, 3, Some("192.0.2.1"))), 0);
        let new = route("0.0.0.0", 0, 0, 4, Some("192.0.2.9"));
        assert_eq!(kernel.apply(&Rt::NewRoute(new), NLM_F_REPLACE), Effect::Changed);
        let gateway = Some("192.0.2.9".parse().unwrap());
        assert_eq!(best(&kernel), [(0, RouteKind::Via { gateway, ifindex: 4 })]);
    }

    #[test]
    fn other_tables_and_cloned_and_tos_routes_are_not_ours_to_follow() {
        let mut kernel = Kernel::default();
        let mut own = route("10.2.0.0", 16, 100, 9, None);
        own.attributes.push(RouteAttribute::Table(4500));
        let mut cloned = route("10.2.0.0", 16, 0, 9, None);
        cloned.header.flags = RouteFlags::Cloned;
        let mut tos = route("10.2.0.0", 16, 0, 9, None);
        tos.header.tos = 8;
        for message in [own, cloned, tos] {
            assert_eq!(kernel.apply(&Rt::NewRoute(message), 0), Effect::None);
        }
        assert_eq!(best(&kernel), []);
    }

    #[test]
    fn a_multipath_route_goes_by_its_first_living_leg_and_a_lost_leg_asks_for_a_resync() {
        let leg = |ifindex, flags| {
            let mut leg = RouteNextHop::default();
            leg.interface_index = ifindex;
            leg.flags = flags;
            leg
        };
        let mut message = route("10.0.0.0", 8, 0, 0, None);
        message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
        message.attributes.push(RouteAttribute::MultiPath(vec![
            leg(3, RouteNextHopFlags::Dead),
            leg(4, RouteNextHopFlags::empty()),
        ]));
        let mut kernel = Kernel::default();
        assert_eq!(kernel.apply(&Rt::NewRoute(message), 0), Effect::Changed);
        assert_eq!(best(&kernel), [(0, RouteKind::Via { gateway: None, ifindex: 4 })]);
        let one = Rt::DelRoute(route("10.0.0.0", 8, 0, 3, None));
        assert_eq!(kernel.apply(&one, 0), Effect::Resync);
    }

    #[test]
    fn a_link_that_goes_down_asks_for_a_resync_because_ipv4_routes_go_silently() {
        let mut kernel = Kernel::default();
        assert_eq!(kernel.apply(&link(3, "wan0", true), 0), Effect::Changed);
        assert_eq!(kernel.apply(&link(3, "wan0", true), 0), Effect::None);
        assert_eq!(kernel.apply(&link(3, "wan0", false), 0), Effect::Resync);
        assert_eq!(kernel.apply(&link(7, "lan0", true), 0), Effect::Changed);
        assert_eq!(kernel.link("lan0").map(|(index, link)| (index, link.mtu)), Some((7, 1500)));
    }

    fn vlan_link(index: u32, name: &str, below: u32, protocol: VlanProtocol, id: u16) -> Rt {
        let Rt::NewLink(mut message) = link(index, name, true) else { unreachable!() };
        let data = InfoData::Vlan(vec![InfoVlan::Protocol(protocol), InfoVlan::Id(id)]);
        let info = vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(data)];
        message.attributes.extend([LinkAttribute::Link(below), LinkAttribute::LinkInfo(info)]);
        Rt::NewLink(message)
    }

    #[test]
    fn vlans_are_followed_down_to_their_port_over_two_tags_and_no_further() {
        use VlanProtocol::{Ieee8021Ad as Service, Ieee8021Q as Customer};
        let mut kernel = Kernel::default();
        for message in [
            link(3, "wan0", true),
            vlan_link(10, "wan0.100", 3, Customer, 100),
            vlan_link(11, "wan0.7", 3, Service, 7),
            vlan_link(12, "wan0.7.8", 11, Customer, 8),
            vlan_link(13, "wan0.7.8.9", 12, Customer, 9),
            vlan_link(14, "lan0.5", 4, Customer, 5),
            vlan_link(15, "self", 15, Customer, 5), // no kernel says so; nothing must loop
        ] {
            assert_eq!(kernel.apply(&message, 0), Effect::Changed);
        }
        let tag = |protocol, control| VlanTag { protocol, control };
        let (inner, outer) = (tag(EtherType::VLAN, 8), tag(EtherType::SERVICE_VLAN, 7));
        let found: Vec<_> = kernel.vlans_on(3).map(|(index, _, tags)| (index, tags)).collect();
        let wanted = [
            (10, Tags::One(tag(EtherType::VLAN, 100))),
            (11, Tags::One(outer)),
            (12, Tags::Two { outer, inner }),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_vlan_of_another_namespaces_link_is_not_taken_for_one_of_ours() {
        let Rt::NewLink(mut message) = vlan_link(10, "v", 3, VlanProtocol::Ieee8021Q, 1) else {
            unreachable!()
        };
        message.attributes.push(LinkAttribute::LinkNetNsId(0));
        let mut kernel = Kernel::default();
        kernel.apply(&Rt::NewLink(message), 0);
        assert_eq!(kernel.vlans_on(3).count(), 0);
    }

    #[test]
    fn a_link_that_leaves_a_bridge_is_still_there() {
        let mut kernel = Kernel::default();
        kernel.apply(&link(3, "wan0", true), 0);
        let Rt::NewLink(mut message) = link(3, "wan0", false) else { unreachable!() };
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(kernel.apply(&Rt::NewLink(message.clone()), 0), Effect::None);
        assert_eq!(kernel.apply(&Rt::DelLink(message), 0), Effect::None);
        assert!(kernel.link("wan0").is_some_and(|(_, link)| link.up));
    }

    #[test]
    fn only_neighbours_that_can_be_sent_to_are_kept() {
        let mut kernel = Kernel::default();
        for (state, effect, known) in [
            (NeighbourState::Incomplete, Effect::None, 0),
            (NeighbourState::Reachable, Effect::Changed, 1),
            (NeighbourState::Stale, Effect::None, 1),
            (NeighbourState::Failed, Effect::Changed, 0),
        ] {
            let message = Rt::NewNeighbour(neighbour(state, 1));
            assert_eq!(kernel.apply(&message, 0), effect, "{state:?}");
            assert_eq!(kernel.neighbours().count(), known, "{state:?}");
        }
        kernel.apply(&Rt::NewNeighbour(neighbour(NeighbourState::Reachable, 1)), 0);
        let moved = Rt::NewNeighbour(neighbour(NeighbourState::Reachable, 2));
        assert_eq!(kernel.apply(&moved, 0), Effect::Changed, "another Ethernet address");
        let gone = Rt::DelNeighbour(neighbour(NeighbourState::Reachable, 2));
        assert_eq!(kernel.apply(&gone, 0), Effect::Changed);
    }
}
