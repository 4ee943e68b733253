//! From the file's words to what crosses to the data plane: the setup, the policies in order, the SAs.
use super::de::Field;
use super::file::{self, Action, File};
use super::negotiated::{self, Ike, Negotiated, Standing};
use super::problem::{Place, Problem, Problems};
use super::text::{Ports, Protocol};
use super::{setup, tunnel};
use sadb::{Name, Policy, Sa, SaKeys, Setup, Verdict};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use wire::selector::{AddressRange, PortRange, Selector};

/// A configuration in which nothing is wrong.
#[derive(Debug)]
pub struct Config {
    /// What is fixed when the data plane starts.
    pub setup: Setup,
    /// The SPD in order. `Protect { tunnel }` counts [`Config::tunnels`]; the numbers that the data plane knows
    /// are put in when a plan is made.
    pub policies: Vec<Policy>,
    /// One for each child with manual keys, in the order of the file.
    pub tunnels: Vec<Tunnel>,
    /// Connections that IKE negotiates, in the order of the file. In [`Config::policies`] their children count on from
    /// [`Config::tunnels`]: see [`Config::standing`].
    pub negotiated: Vec<Negotiated>,
    /// What holds for IKE as a whole.
    pub ike: Ike,
    /// What is allowed and still not good, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// A child with manual keys: one SA each way.
#[derive(Debug)]
pub struct Tunnel {
    /// `connection/child`.
    pub name: Name,
    /// From the peer.
    pub inbound: SaPlan,
    /// To the peer.
    pub outbound: SaPlan,
}

/// An SA as configured. Slot, tunnel number, epoch and first sequence number are 0 until it is installed.
#[derive(Debug)]
pub struct SaPlan {
    /// All but the keys.
    pub sa: Sa,
    /// The keys.
    pub keys: SaKeys,
    /// SHA-256 of the cipher key, by which its IV epochs are kept. `None`: no counter-mode cipher.
    pub counter_key: Option<[u8; 32]>,
}

impl Config {
    /// The warnings, one line each; `file` is what they call the file.
    pub fn warned(&self, file: &str) -> Vec<String> {
        self.warnings.iter().map(|warning| warning.warning(file)).collect()
    }
    /// The children that IKE negotiates: in [`Config::policies`] the first has the number of [`Config::tunnels`].
    pub fn standing(&self) -> impl Iterator<Item = &Standing> {
        self.negotiated.iter().flat_map(|connection| &connection.children)
    }
    /// For the core.
    pub fn settings(&self) -> ike::settings::Settings {
        ike::settings::Settings {
            connections: self.negotiated.iter().map(|one| Arc::clone(&one.settings)).collect(),
            ports: ike::settings::Ports::default(),
            limits: self.ike.limits,
            retransmission: self.ike.retransmission,
        }
    }
    /// Every SA, tunnel by tunnel, inbound first.
    pub fn sas(&self) -> impl Iterator<Item = &SaPlan> {
        self.tunnels.iter().flat_map(|tunnel| [&tunnel.inbound, &tunnel.outbound])
    }
}

/// Compiles. `None` when something is wrong; all of it is in `problems`.
pub fn compile(file: &File, problems: &Problems, base: &Path) -> Option<Config> {
    let setup = setup::compile(file, problems);
    let geometry = setup.as_ref().map(|setup| setup.geometry).unwrap_or_default();
    let mut policies = Vec::new();
    explicit(file, problems, &mut policies);
    let warnings = Problems::default();
    let mut tunnels = tunnel::Tunnels::new(problems, &warnings, base, geometry.window_max);
    let connections = file.connections.as_ref().and_then(Field::ok);
    for (name, connection) in connections.map_or(&[][..], |map| &map.0) {
        tunnels.connection(name, connection);
    }
    let (tunnels, negotiated, mut entries) = tunnels.finish();
    // Numbers of negotiated children begin behind those of manual tunnels, which are all known only now.
    for (_, policy) in &mut entries {
        if let Verdict::Protect { tunnel } = &mut policy.verdict
            && let Some(standing) = tunnel.checked_sub(negotiated::FIRST)
        {
            *tunnel = (tunnels.len() as u32).saturating_add(standing);
        }
    }
    policies.extend(entries);
    let ike = negotiated::ike(file, problems, &warnings);
    let policies = distinct(policies, problems);
    let place = |field: Option<Place>| field.unwrap_or(Place { line: 1, column: 1 });
    let data_plane = file.dataplane.as_ref().map(|field| field.place);
    if policies.len() > geometry.policies as usize {
        let (have, room) = (policies.len(), geometry.policies);
        let message =
            format!("{have} policy entries and room for {room}; raise dataplane.policies");
        problems.tell(place(data_plane), "policies", message);
    }
    let children: usize = negotiated.iter().map(|connection| connection.children.len()).sum();
    if (tunnels.len() + children) * 2 > geometry.sa_slots as usize {
        let (have, room) = ((tunnels.len() + children) * 2, geometry.sa_slots);
        let message = format!(
            "{have} SAs and room for {room}; raise dataplane.sa_slots (twice the SAs is good)"
        );
        problems.tell(place(data_plane), "sa_slots", message);
    }
    let warnings = warnings.into_sorted();
    Some(Config { setup: setup?, policies, tunnels, negotiated, ike, warnings })
        .filter(|_| problems.is_empty())
}

/// A policy entry and the place that made it.
pub(super) type Placed = (Place, Policy);

/// The policies that the operator wrote out.
fn explicit(file: &File, problems: &Problems, out: &mut Vec<Placed>) {
    let mut names = HashMap::new();
    let entries = file.policies.as_ref().and_then(Field::ok);
    for entry in entries.into_iter().flatten().filter_map(Field::ok) {
        let Some((label, name)) =
            entry.name.ok().and_then(|label| Some((label, Name::new(&label.0)?)))
        else {
            continue;
        };
        if let Some(first) = names.insert(label.0.clone(), entry.name.place.line) {
            let message = format!("this name stands in line {first} already; names must differ");
            entry.name.tell(problems, message);
        }
        let verdict = match entry.action.ok() {
            Some(Action::Bypass) => Verdict::Bypass,
            Some(Action::Discard) => Verdict::Discard,
            None => continue,
        };
        for (place, selector) in selectors(entry, problems) {
            out.push((place, Policy { name, selector, verdict }));
        }
    }
}

fn selectors(entry: &file::PolicyEntry, problems: &Problems) -> Vec<(Place, Selector)> {
    let ports = |field: &Option<Field<Ports>>| match field.as_ref().and_then(Field::ok) {
        Some(Ports(range)) => *range,
        None => PortRange::ANY,
    };
    let protocol = entry.protocol.as_ref().and_then(Field::ok).copied().unwrap_or(Protocol(None));
    let ported = [&entry.local_port, &entry.remote_port].into_iter().flatten().next();
    if let Some(field) = ported.filter(|_| {
        !protocol.has_ports() && entry.protocol.as_ref().is_none_or(|p| p.ok().is_some())
    }) {
        field.tell(problems, "a port without a protocol that has them; add protocol: tcp or udp");
    }
    let local = entry.local.ok().map(Vec::as_slice).unwrap_or_default();
    let remote = entry.remote.ok().map(Vec::as_slice).unwrap_or_default();
    let ranges = |list: &[Field<super::text::AddressSet>]| -> Vec<(Place, String, AddressRange)> {
        list.iter()
            .filter_map(|field| Some((field.place, field.text.clone(), field.ok()?.0)))
            .collect()
    };
    let sides = Sides { problems, keys: ("local", "remote") };
    let pairs =
        sides.pairs((&entry.local, ranges(local)), (&entry.remote, ranges(remote)), |range| *range);
    let selector = |(place, local, remote): (Place, AddressRange, AddressRange)| {
        let protocol = protocol.0.map_or((0, 255), |number| (number, number));
        let (local_port, remote_port) = (ports(&entry.local_port), ports(&entry.remote_port));
        (place, Selector { local, remote, protocol, local_port, remote_port })
    };
    pairs.into_iter().map(selector).collect()
}

/// A list as it stands in the file.
type Listed<A> = Field<Vec<Field<A>>>;
/// A usable entry of it, with its place and text.
type Entry<T> = (Place, String, T);

/// The two lists whose cross product is covered.
pub(super) struct Sides<'a> {
    pub problems: &'a Problems,
    pub keys: (&'a str, &'a str),
}

impl Sides<'_> {
    /// Every pair of one family. An entry whose family is missing on the other side is a fault.
    pub fn pairs<A, T: Clone>(
        &self,
        (local_field, local): (&Listed<A>, Vec<Entry<T>>),
        (remote_field, remote): (&Listed<A>, Vec<Entry<T>>),
        range: impl Fn(&T) -> AddressRange,
    ) -> Vec<(Place, T, T)> {
        let whole = |field: &Listed<A>| {
            field.ok().is_some_and(|list| list.iter().all(|f| f.ok().is_some()))
        };
        for (field, key) in [(local_field, self.keys.0), (remote_field, self.keys.1)] {
            if field.ok().is_some_and(Vec::is_empty) {
                field.tell(self.problems, format!("nothing in {key}; write at least one entry"));
            }
        }
        let v4 = |value: &T| range(value).first().is_ipv4();
        let lonely = |mine: &[Entry<T>], other: &[Entry<T>], key: &str| {
            for (place, text, value) in mine {
                if !other.iter().any(|(_, _, far)| v4(far) == v4(value)) {
                    let family = if v4(value) { "IPv4" } else { "IPv6" };
                    let message = format!(
                        "{key} has no {family} entry to go with this one; add one or remove this"
                    );
                    self.problems.tell(*place, text, message);
                }
            }
        };
        if whole(local_field) && whole(remote_field) && !local.is_empty() && !remote.is_empty() {
            lonely(&local, &remote, self.keys.1);
            lonely(&remote, &local, self.keys.0);
        }
        let mut pairs = Vec::new();
        for (_, _, near) in &local {
            let of_family = remote.iter().filter(|(_, _, far)| v4(far) == v4(near));
            pairs.extend(of_family.map(|(place, _, far)| (*place, near.clone(), far.clone())));
        }
        pairs
    }
}

/// The entries in order. A second entry for the same traffic would never be reached.
fn distinct(entries: Vec<Placed>, problems: &Problems) -> Vec<Policy> {
    let mut seen: HashMap<Selector, Name> = HashMap::new();
    let mut policies = Vec::with_capacity(entries.len());
    for (place, policy) in entries {
        if let Some(first) = seen.get(&policy.selector) {
            let message = format!(
                "the same traffic is covered by {first} before; this entry is never reached, remove one"
            );
            problems.tell(place, policy.name.as_str(), message);
        } else {
            seen.insert(policy.selector, policy.name);
        }
        policies.push(policy);
    }
    policies
}
