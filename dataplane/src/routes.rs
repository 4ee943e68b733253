//! How the kernel's own traffic enters tunnels: a routing table and a few rules of our own.
//!
//! Table [`TABLE`] holds, for each prefix behind a peer that policy protects, a route into the TUN device (metric
//! [`METRIC_TUN`]) and a blackhole of the same prefix behind it (metric [`METRIC_BLACKHOLE`]), so that traffic fails
//! closed when the device is taken away or down. The route carries a preferred source inside the policy's local
//! selector when the gateway has such an address, so that an unbound socket gets one that policy covers. Rules, in order:
//!
//! | priority | rule | why |
//! |---|---|---|
//! | 4498 | locally sent UDP from port 500 or an ESP-in-UDP port → `main` | IKE to a peer must not enter the tunnel it makes, even when the peer lies inside a protected prefix such as 0.0.0.0/0 |
//! | 4499 | from a gateway address that no local selector covers → `main` | answers of SSH, BGP and so on keep their way |
//! | 4500 | everything → table 4500 | what policy protects |
//!
//! Destinations that the main table has behind *inside* interfaces are `throw` routes: a neighbour on the LAN is not
//! sent into the tunnel because policy says 0.0.0.0/0. A protected prefix of the same length wins over the throw.
//!
//! ESP itself never meets this table: the data plane sends it by [`crate::fib`], which mirrors the main table only.
//! Nothing here decides what may travel: a packet that comes in by the TUN is judged by the SPD like any other.
//! All is removed with the last protecting policy and by `--detach`; it is adopted, not rebuilt, by a restart.
use crate::netlink::{Netlink, NetlinkError};
use crate::tables::LocalAddresses;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage as Rt};
use rustix::io::Errno;
use sadb::{Policy, Verdict};
use std::collections::BTreeSet;
use wire::selector::AddressRange;

/// The routing table of ours.
pub const TABLE: u32 = 4500;
/// Metric of the routes into the TUN device.
pub const METRIC_TUN: u32 = 100;
/// Metric of the blackholes behind them.
pub const METRIC_BLACKHOLE: u32 = 9999;
/// Priority of the rule that lets IKE by; the two others follow.
const PRIORITY_IKE: u32 = 4498;
const PRIORITY_SOURCE: u32 = 4499;
const PRIORITY_TABLE: u32 = 4500;
/// `rtm_protocol` and `FRA_PROTOCOL` of everything that is ours, so that it can be found again.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(145);
/// The port of IKE (RFC 7296 §2).
const IKE: u16 = 500;

/// An address and a prefix length.
pub type Prefix = (IpAddr, u8);

/// A route of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Into the TUN device.
    Tunnel {
        /// What it covers.
        to: Prefix,
        /// The source that an unbound socket gets.
        source: Option<IpAddr>,
    },
    /// Nowhere, if the device is gone.
    Blackhole {
        /// What it covers.
        to: Prefix,
    },
    /// Back to the main table.
    Throw {
        /// What it covers.
        to: Prefix,
    },
}

/// A rule of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Locally sent UDP from this port.
    Ike {
        /// The family: each has its own rules.
        v6: bool,
        /// The local UDP port.
        port: u16,
    },
    /// From this address.
    Source {
        /// An address of the gateway's.
        from: IpAddr,
    },
    /// Everything.
    Table {
        /// The family: each has its own rules.
        v6: bool,
    },
}

/// What should stand in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// In table [`TABLE`].
    pub entries: BTreeSet<Entry>,
    /// Before the main table.
    pub rules: BTreeSet<Rule>,
}

impl Wanted {
    /// What policy asks for, given the gateway's addresses, what lies behind inside interfaces, and the UDP ports on
    /// which IKE and ESP share a socket.
    pub fn new(
        policies: &[Policy],
        locals: &LocalAddresses,
        inside: &BTreeSet<Prefix>,
        encap_ports: &[u16],
    ) -> Self {
        let mut addresses: Vec<IpAddr> = locals.iter().filter(|address| usual(*address)).collect();
        addresses.sort_unstable();
        let mut wanted = Self::default();
        let mut tunnels = std::collections::BTreeMap::new();
        for (local, remote) in protected(policies) {
            let source = addresses.iter().copied().find(|address| local.contains(*address));
            for to in prefixes(remote) {
                let known = tunnels.entry(to).or_insert(source);
                *known = known.or(source);
            }
        }
        for v6 in [false, true] {
            if tunnels.keys().any(|(to, _)| to.is_ipv6() == v6) {
                wanted.add_rules(v6, policies, &addresses, encap_ports);
                let throws = inside.iter().filter(|to| to.0.is_ipv6() == v6);
                let throws = throws.filter(|to| !tunnels.contains_key(to));
                wanted.entries.extend(throws.map(|&to| Entry::Throw { to }));
            }
        }
        for (to, source) in tunnels {
            wanted.entries.extend([Entry::Tunnel { to, source }, Entry::Blackhole { to }]);
        }
        wanted
    }

    fn add_rules(&mut self, v6: bool, policies: &[Policy], addresses: &[IpAddr], ports: &[u16]) {
        self.rules.insert(Rule::Table { v6 });
        let ports = ports.iter().copied().chain([IKE]);
        self.rules.extend(ports.map(|port| Rule::Ike { v6, port }));
        let free = addresses.iter().filter(|address| address.is_ipv6() == v6);
        let free = free.filter(|a| !protected(policies).any(|(local, _)| local.contains(**a)));
        self.rules.extend(free.map(|&from| Rule::Source { from }));
    }
}

/// What protecting entries cover: local and remote ranges.
pub fn protected(policies: &[Policy]) -> impl Iterator<Item = (AddressRange, AddressRange)> + '_ {
    let protect = policies.iter().filter(|p| matches!(p.verdict, Verdict::Protect { .. }));
    protect.map(|policy| (policy.selector.local, policy.selector.remote))
}

/// The fewest prefixes that make up a range.
pub fn prefixes(range: AddressRange) -> impl Iterator<Item = Prefix> {
    wire::prefix::range_to_prefixes(range).map(|prefix| (prefix.addr(), prefix.len()))
}

/// Not loopback and not link-local: an address that a packet through a tunnel can come from.
fn usual(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

/// Our hand in the kernel's routing.
pub struct KernelRoutes {
    netlink: Netlink,
    tun: u32,
    standing: Wanted,
}

impl KernelRoutes {
    /// Adopts what an earlier process left, and takes away what it cannot read. `tun`: number of the TUN device.
    pub fn adopt(tun: u32) -> Result<Self, NetlinkError> {
        let mut routes = Self { netlink: Netlink::open(0)?, tun, standing: Wanted::default() };
        routes.reread(tun)?;
        Ok(routes)
    }

    /// Reads again what stands in the kernel: the device was down (which flushes its routes) or is a new one.
    pub fn reread(&mut self, tun: u32) -> Result<(), NetlinkError> {
        (self.tun, self.standing) = (tun, Wanted::default());
        for message in own_rules(&mut self.netlink)? {
            match rule_of(&message) {
                Some(rule) => _ = self.standing.rules.insert(rule),
                None => drop_rule(&mut self.netlink, message)?,
            }
        }
        for message in own_routes(&mut self.netlink)? {
            match entry_of(&message, tun) {
                Some(entry) => _ = self.standing.entries.insert(entry),
                None => drop_route(&mut self.netlink, message)?,
            }
        }
        Ok(())
    }

    /// Makes the kernel's state the wanted one: new entries first, then the rules, then what goes. A step that the
    /// kernel refuses is said loudly and tried again with the next change; the others are taken all the same.
    pub fn apply(&mut self, wanted: &Wanted) {
        // Rules that let IKE and answers by come before the rule that captures, entries before all of them.
        let entries: Vec<_> = wanted.entries.difference(&self.standing.entries).copied().collect();
        let rules: Vec<_> = wanted.rules.difference(&self.standing.rules).copied().collect();
        for entry in entries {
            if self.said(|routes| routes.add_entry(entry)) {
                self.standing.entries.insert(entry);
            }
        }
        for rule in rules {
            if self.said(|routes| routes.add_rule(rule)) {
                self.standing.rules.insert(rule);
            }
        }
        self.take_away(wanted);
    }

    fn take_away(&mut self, wanted: &Wanted) {
        let rules: Vec<_> = self.standing.rules.difference(&wanted.rules).copied().collect();
        for rule in rules.into_iter().rev() {
            self.standing.rules.remove(&rule);
            self.said(|routes| drop_rule(&mut routes.netlink, rule_message(rule)));
        }
        let entries: Vec<_> = self.standing.entries.difference(&wanted.entries).copied().collect();
        for entry in entries {
            self.standing.entries.remove(&entry);
            // A tunnel route that only changed its source was replaced in place.
            if let Entry::Tunnel { to, .. } = entry
                && wanted
                    .entries
                    .iter()
                    .any(|e| matches!(e, Entry::Tunnel { to: t, .. } if *t == to))
            {
                continue;
            }
            self.said(|routes| drop_route(&mut routes.netlink, entry_message(entry, routes.tun)));
        }
    }

    fn said(&mut self, step: impl FnOnce(&mut Self) -> Result<(), NetlinkError>) -> bool {
        let outcome = step(self);
        if let Err(error) = &outcome {
            tracing::warn!(%error, "routes of the gateway's own traffic");
        }
        outcome.is_ok()
    }

    fn add_entry(&mut self, entry: Entry) -> Result<(), NetlinkError> {
        let message = Rt::NewRoute(entry_message(entry, self.tun));
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.netlink.change(format!("add the route {entry:?}"), message, flags)
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), NetlinkError> {
        let message = Rt::NewRule(rule_message(rule));
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match self.netlink.change(format!("add the rule {rule:?}"), message, flags) {
            Err(NetlinkError::Refused { errno: Errno::EXIST, .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Sets a link up.
pub fn set_up(ifindex: u32) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    Netlink::open(0)?.change("set the TUN device up", Rt::SetLink(message), 0)
}

/// Takes away all routes and rules of ours, and the TUN device.
pub fn remove_all(tun: &str) -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open(0)?;
    for rule in own_rules(&mut netlink)? {
        drop_rule(&mut netlink, rule)?;
    }
    for route in own_routes(&mut netlink)? {
        drop_route(&mut netlink, route)?;
    }
    let mut kernel = crate::kernel::Kernel::default();
    for link in netlink.dump(Rt::GetLink(LinkMessage::default()))? {
        kernel.apply(&link, 0);
    }
    let Some((index, _)) = kernel.link(tun) else { return Ok(()) };
    let mut message = LinkMessage::default();
    message.header.index = index;
    netlink.change("remove the TUN device", Rt::DelLink(message), 0)
}

fn families() -> [AddressFamily; 2] {
    [AddressFamily::Inet, AddressFamily::Inet6]
}

fn own_routes(netlink: &mut Netlink) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut own = Vec::new();
    for family in families() {
        let mut ask = RouteMessage::default();
        ask.header.address_family = family;
        let table = RouteAttribute::Table(TABLE);
        own.extend(netlink.dump(Rt::GetRoute(ask))?.into_iter().filter_map(
            |message| match message {
                Rt::NewRoute(route)
                    if route.header.protocol == PROTOCOL && route.attributes.contains(&table) =>
                {
                    Some(route)
                }
                _ => None,
            },
        ));
    }
    Ok(own)
}

fn own_rules(netlink: &mut Netlink) -> Result<Vec<RuleMessage>, NetlinkError> {
    let mut own = Vec::new();
    let mark = RuleAttribute::Protocol(PROTOCOL);
    for family in families() {
        let mut ask = RuleMessage::default();
        ask.header.family = family;
        own.extend(netlink.dump(Rt::GetRule(ask))?.into_iter().filter_map(
            |message| match message {
                Rt::NewRule(rule) if rule.attributes.contains(&mark) => Some(rule),
                _ => None,
            },
        ));
    }
    Ok(own)
}

fn drop_route(netlink: &mut Netlink, mut route: RouteMessage) -> Result<(), NetlinkError> {
    // What the kernel adds when it lists a route it does not take back.
    route.attributes.retain(|attribute| {
        use RouteAttribute as A;
        matches!(attribute, A::Destination(_) | A::Table(_) | A::Priority(_) | A::Oif(_))
    });
    if route.header.kind != RouteType::Unicast {
        route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
    }
    route.header.flags = Default::default();
    gone(netlink.change("remove a route of ours", Rt::DelRoute(route), 0))
}

fn drop_rule(netlink: &mut Netlink, rule: RuleMessage) -> Result<(), NetlinkError> {
    gone(netlink.change("remove a rule of ours", Rt::DelRule(rule), 0))
}

/// Whoever took it away before us did what we wanted.
fn gone(outcome: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match outcome {
        Err(NetlinkError::Refused { errno: Errno::NOENT | Errno::SRCH | Errno::NODEV, .. }) => {
            Ok(())
        }
        outcome => outcome,
    }
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn entry_message(entry: Entry, tun: u32) -> RouteMessage {
    let (to, metric, kind) = match entry {
        Entry::Tunnel { to, .. } => (to, METRIC_TUN, RouteType::Unicast),
        Entry::Blackhole { to } => (to, METRIC_BLACKHOLE, RouteType::BlackHole),
        Entry::Throw { to } => (to, METRIC_BLACKHOLE, RouteType::Throw),
    };
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(to.0);
    message.header.destination_prefix_length = to.1;
    message.header.protocol = PROTOCOL;
    message.header.scope = RouteScope::Universe;
    message.header.kind = kind;
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.attributes.push(RouteAttribute::Table(TABLE));
    message.attributes.push(RouteAttribute::Priority(metric));
    if to.1 > 0 {
        message.attributes.push(RouteAttribute::Destination(to.0.into()));
    }
    if let Entry::Tunnel { source, .. } = entry {
        if to.0.is_ipv4() {
            message.header.scope = RouteScope::Link;
        }
        message.attributes.push(RouteAttribute::Oif(tun));
        message.attributes.extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
    }
    message
}

fn entry_of(message: &RouteMessage, tun: u32) -> Option<Entry> {
    use netlink_packet_route::route::RouteAddress;
    let plain = |address: &RouteAddress| match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    };
    let zero = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut to = (zero, message.header.destination_prefix_length);
    let (mut source, mut oif) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to.0 = plain(address)?,
            RouteAttribute::PrefSource(address) => source = plain(address),
            RouteAttribute::Oif(index) => oif = Some(*index),
            _ => {}
        }
    }
    match message.header.kind {
        RouteType::Unicast if oif == Some(tun) => Some(Entry::Tunnel { to, source }),
        RouteType::BlackHole => Some(Entry::Blackhole { to }),
        RouteType::Throw => Some(Entry::Throw { to }),
        _ => None,
    }
}

fn rule_message(rule: Rule) -> RuleMessage {
    let (v6, priority, table) = match rule {
        Rule::Ike { v6, .. } => (v6, PRIORITY_IKE, u32::from(RouteHeader::RT_TABLE_MAIN)),
        Rule::Source { from } => {
            (from.is_ipv6(), PRIORITY_SOURCE, u32::from(RouteHeader::RT_TABLE_MAIN))
        }
        Rule::Table { v6 } => (v6, PRIORITY_TABLE, TABLE),
    };
    let mut message = RuleMessage::default();
    message.header.family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Priority(priority));
    message.attributes.push(RuleAttribute::Table(table));
    message.attributes.push(RuleAttribute::Protocol(PROTOCOL));
    match rule {
        Rule::Ike { port, .. } => message.attributes.extend([
            RuleAttribute::Iifname("lo".into()),
            RuleAttribute::IpProtocol(IpProtocol::Udp),
            RuleAttribute::SourcePortRange(RulePortRange { start: port, end: port }),
        ]),
        Rule::Source { from } => {
            message.header.src_len = if v6 { 128 } else { 32 };
            message.attributes.push(RuleAttribute::Iifname("lo".into()));
            message.attributes.push(RuleAttribute::Source(from));
        }
        Rule::Table { .. } => {}
    }
    message
}

fn rule_of(message: &RuleMessage) -> Option<Rule> {
    let v6 = message.header.family == AddressFamily::Inet6;
    let found = |pick: fn(&RuleAttribute) -> Option<Rule>| message.attributes.iter().find_map(pick);
    let rule = found(|attribute| match attribute {
        RuleAttribute::SourcePortRange(range) => Some(Rule::Ike { v6: false, port: range.start }),
        RuleAttribute::Source(from) => Some(Rule::Source { from: *from }),
        _ => None,
    });
    let rule = match rule {
        Some(Rule::Ike { port, .. }) => Rule::Ike { v6, port },
        Some(rule) => rule,
        None => Rule::Table { v6 },
    };
    let ours = rule_message(rule);
    let same = |attribute: &RuleAttribute| message.attributes.contains(attribute);
    ours.attributes.iter().all(same).then_some(rule)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sadb::Name;
    use wire::selector::{PortRange, Selector};

    fn policy(local: &str, remote: &str, verdict: Verdict) -> Policy {
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap();
            AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
        };
        Policy {
            name: Name::new("test").unwrap(),
            selector: Selector {
                local: range(local),
                remote: range(remote),
                protocol: (0, 255),
                local_port: PortRange::ANY,
                remote_port: PortRange::ANY,
            },
            verdict,
        }
    }

    fn locals(addresses: &[&str]) -> LocalAddresses {
        LocalAddresses::new(addresses.iter().map(|a| a.parse().unwrap()), [])
    }

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        (address.parse().unwrap(), length.parse().unwrap())
    }

    const TUNNEL: Verdict = Verdict::Protect { tunnel: 1 };

    #[test]
    fn a_protected_prefix_gets_a_tunnel_route_with_a_covered_source_and_a_blackhole_behind_it() {
        let policies = [policy("10.1.0.0-10.1.255.255", "10.2.0.0-10.2.255.255", TUNNEL)];
        let locals = locals(&["127.0.0.1", "192.0.2.1", "10.1.0.1"]);
        let wanted = Wanted::new(&policies, &locals, &BTreeSet::new(), &[4500]);
        let to = prefix("10.2.0.0/16");
        let source = Some("10.1.0.1".parse().unwrap());
        let entries = [Entry::Tunnel { to, source }, Entry::Blackhole { to }];
        assert_eq!(wanted.entries, BTreeSet::from(entries));
        let rules = [
            Rule::Ike { v6: false, port: 500 },
            Rule::Ike { v6: false, port: 4500 },
            Rule::Source { from: "192.0.2.1".parse().unwrap() },
            Rule::Table { v6: false },
        ];
        assert_eq!(wanted.rules, BTreeSet::from(rules), "and nothing for IPv6");
    }

    #[test]
    fn a_default_route_into_the_tunnel_leaves_the_networks_inside_alone() {
        let policies = [policy("10.1.0.0-10.1.255.255", "0.0.0.0-255.255.255.255", TUNNEL)];
        let inside = BTreeSet::from([prefix("10.1.0.0/24"), prefix("fd01::/64")]);
        let wanted = Wanted::new(&policies, &locals(&["10.1.0.1"]), &inside, &[]);
        assert!(wanted.entries.contains(&Entry::Throw { to: prefix("10.1.0.0/24") }));
        assert!(
            !wanted.entries.contains(&Entry::Throw { to: prefix("fd01::/64") }),
            "no v6 policy"
        );
        let same = [policy("10.9.0.0-10.9.0.255", "10.1.0.0-10.1.0.255", TUNNEL)];
        let wanted = Wanted::new(&same, &locals(&[]), &inside, &[]);
        assert!(
            !wanted.entries.contains(&Entry::Throw { to: prefix("10.1.0.0/24") }),
            "policy wins"
        );
    }

    #[test]
    fn nothing_stands_without_a_protecting_policy() {
        let policies = [policy("10.1.0.0-10.1.0.1", "10.2.0.0-10.2.0.1", Verdict::Bypass)];
        let inside = BTreeSet::from([prefix("10.1.0.0/24")]);
        let wanted = Wanted::new(&policies, &locals(&["10.1.0.1"]), &inside, &[4500]);
        assert_eq!(wanted, Wanted::default());
    }

    #[test]
    fn what_we_ask_the_kernel_for_is_known_again_when_it_lists_it() {
        for entry in [
            Entry::Tunnel { to: prefix("10.2.0.0/16"), source: Some("10.1.0.1".parse().unwrap()) },
            Entry::Tunnel { to: prefix("::/0"), source: None },
            Entry::Blackhole { to: prefix("0.0.0.0/0") },
            Entry::Throw { to: prefix("fd01::/64") },
        ] {
            assert_eq!(entry_of(&entry_message(entry, 7), 7), Some(entry));
        }
        let stale = entry_message(Entry::Tunnel { to: prefix("10.2.0.0/16"), source: None }, 7);
        assert_eq!(entry_of(&stale, 8), None, "through a device that is another one now");
        for rule in [
            Rule::Ike { v6: true, port: 4501 },
            Rule::Source { from: "192.0.2.1".parse().unwrap() },
            Rule::Table { v6: true },
        ] {
            assert_eq!(rule_of(&rule_message(rule)), Some(rule));
        }
    }
}
