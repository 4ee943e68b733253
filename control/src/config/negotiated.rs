//! Connections whose keys IKE negotiates: from the file's words to the core's settings, and the policy entries that stand
//! whether a peer is connected or not, so that nothing goes out in the clear meanwhile.
use super::credentials::{local_end, place_of, remote_end};
use super::de::{Either, Field, Many};
use super::file::{self, Child, Connection, File};
use super::problem::{Place, Problems};
use super::proposals::{self, EspProposal, IkeProposal};
use super::text::{Address, Label, Peers, Span, TrafficSelectorText};
use super::tunnel::{Covers, Tunnels};
use ike::proposal::{Kind, Proposal, Transform};
use ike::settings::{
    Accept, ChildLifetime, Credential, Dpd, Encap, Fragmentation, IkeLifetime, Limits, LocalAuth,
    RemoteAuth, Schedule, Start, Then, Traffic, Unique,
};
use pki::{Certificate, Identity, Pattern};
use sadb::{Name, Policy, Sa, Verdict};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use wire::selector::{AddressRange, PortRange, Selector};

/// Standing children are numbered from here until it is known how many manual tunnels there are.
pub(super) const FIRST: u32 = 1 << 31;

/// A connection that IKE negotiates.
#[derive(Debug)]
pub struct Negotiated {
    /// For the core.
    pub settings: Arc<ike::settings::Connection>,
    /// Changes when a PSK, key or certificate does.
    pub credentials: [u8; 16],
    /// Its children, in the order of the file.
    pub children: Vec<Standing>,
}

/// What the data plane is told of a child whatever is negotiated.
#[derive(Clone, Debug)]
pub struct Standing {
    /// `connection/child`.
    pub name: Name,
    /// Its connection.
    pub connection: Arc<str>,
    /// As in the file.
    pub child: Arc<str>,
    /// Replay window, DF, DSCP and ECN of its SAs; the rest of it comes of the negotiation.
    pub template: Sa,
}

/// What holds for IKE as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ike {
    /// Bounds on strangers and peers.
    pub limits: Limits,
    /// When requests are sent again.
    pub retransmission: Schedule,
    /// Threads of the pool; `None`: as the CPUs suggest.
    pub threads: Option<usize>,
    /// `postern keys export` works.
    pub allow_key_export: bool,
}

/// What stands under `ike`.
pub(super) fn ike(file: &File, problems: &Problems, warnings: &Problems) -> Ike {
    let none = file::Ike::default();
    let ike = file.ike.as_ref().and_then(Field::ok).unwrap_or(&none);
    let number = |field: &Option<Field<u32>>| field.as_ref().and_then(Field::ok).copied();
    let size = |field| number(field).map(|number| number as usize);
    let (limits, schedule) = (Limits::default(), Schedule::default());
    if let Some(field) =
        ike.threads.as_ref().filter(|field| field.ok().is_some_and(|n| !(1..=64).contains(n)))
    {
        field.tell(problems, "out of range; 1 to 64 is possible");
    }
    let export = ike.allow_key_export.as_ref();
    let allow_key_export = export.and_then(Field::ok).copied().unwrap_or(false);
    if let Some(field) = export.filter(|_| allow_key_export) {
        let message =
            "whoever is root here can decrypt all traffic with exported keys; for tests only";
        field.tell(warnings, message);
    }
    let first = ike.retransmit_first.as_ref().and_then(Field::ok);
    Ike {
        limits: Limits {
            cookie_above: size(&ike.cookie_above).unwrap_or(limits.cookie_above),
            half_open: size(&ike.half_open).unwrap_or(limits.half_open),
            half_open_per_source: size(&ike.half_open_per_source)
                .unwrap_or(limits.half_open_per_source),
            ..limits
        },
        retransmission: Schedule {
            first_ms: first.map_or(schedule.first_ms, |span| span.0.max(100)),
            tries: number(&ike.retransmit_tries).unwrap_or(schedule.tries),
            ..schedule
        },
        threads: size(&ike.threads),
        allow_key_export,
    }
}

/// Addresses and identities of both ends.
struct Ends {
    local: Vec<IpAddr>,
    /// Empty: from anywhere.
    remote: Vec<AddressRange>,
    /// The file says `any` in so many words.
    any: bool,
    port: u16,
}

impl Ends {
    /// Where we connect from and to, as the core decides it.
    fn single(&self) -> Option<(IpAddr, IpAddr)> {
        let remote = self.remote.first().filter(|range| range.first() == range.last())?.first();
        let local = self.local.iter().find(|local| local.is_ipv4() == remote.is_ipv4())?;
        Some((*local, remote))
    }
}

/// Legacy algorithms of one connection: allowed or not, and where it would say so.
struct Legacy<'c> {
    allowed: bool,
    used: bool,
    name: &'c Field<String>,
    line: u32,
}

impl Tunnels<'_> {
    /// One connection that IKE negotiates.
    pub(super) fn negotiate(
        &mut self,
        name: &Field<String>,
        label: Option<&Label>,
        whole: &Field<Connection>,
        connection: &Connection,
    ) {
        let ends = self.ends(connection);
        let credential = self.credential(name, connection);
        let accept = self.accept(name, connection);
        let allowed = connection.legacy.as_ref();
        let mut legacy = Legacy {
            allowed: allowed.and_then(Field::ok).copied().unwrap_or(false),
            used: false,
            name,
            line: allowed.map_or(name.place, |field| field.place).line,
        };
        let proposals = self.ike_proposals(connection, &mut legacy);
        let encap = self.encapsulation(connection);
        let (Some(label), Some(ends)) = (label, ends) else { return };
        let name_of: Arc<str> = Arc::from(label.0.as_str());
        let (children, standing) = self.children(label, &name_of, connection, &ends, &mut legacy);
        if let Some(field) = allowed.filter(|_| legacy.allowed && !legacy.used) {
            field.tell(self.warnings, "nothing in this connection is legacy; remove the key");
        }
        let (Some((credential, leaf)), Some(accept), Some(proposals), Some(encap)) =
            (credential, accept, proposals, encap)
        else {
            return;
        };
        let mut secrets = credential.digest;
        secrets.update(accept.digest.finalize());
        let Some(identity) = self.identity(name, connection, &ends, leaf.as_ref()) else { return };
        let Some(identities) = self.identities(name, connection, &ends, &accept.value) else {
            return;
        };
        let mut settings = ike::settings::Connection {
            name: name_of,
            digest: [0; 16],
            local: ends.local,
            remote: ends.remote,
            remote_port: ends.port,
            local_auth: LocalAuth { identity, credential: credential.value },
            remote_auth: RemoteAuth { identities, accept: accept.value },
            proposals,
            children,
            lifetime: lifetime(connection),
            dpd: span(&connection.dpd, 30_000).map(|delay_ms| Dpd { delay_ms }),
            encap,
            fragmentation: self.fragmentation(connection),
            unique: match connection.unique.as_ref().and_then(Field::ok) {
                None | Some(file::Unique::Replace) => Unique::Replace,
                Some(file::Unique::Keep) => Unique::Keep,
                Some(file::Unique::Never) => Unique::Never,
            },
            legacy: legacy.allowed,
            keepalive_ms: span(&connection.keepalive, 20_000).unwrap_or(0),
            childless: value(&connection.childless).unwrap_or(false),
            attempts: value(&connection.attempts).filter(|&attempts| attempts > 0),
        };
        settings.digest = digest(&settings, &standing);
        self.reachable(whole, &settings);
        let mut credentials = [0; 16];
        credentials.iter_mut().zip(secrets.finalize()).for_each(|(to, from)| *to = from);
        let settings = Arc::new(settings);
        self.negotiated.push(Negotiated { settings, credentials, children: standing });
    }

    fn ends(&self, connection: &Connection) -> Option<Ends> {
        let local = match connection.local.as_ref() {
            None => Vec::new(),
            Some(field) => match field.ok()? {
                Either::Text(text) => {
                    let Address(address) = self.parsed(field, text)?;
                    vec![address]
                }
                Either::Map(end) => {
                    listed(&end.address)?.into_iter().map(|Address(address)| address).collect()
                }
            },
        };
        let mut port = 500;
        let remote: Vec<Peers> = match connection.remote.as_ref() {
            None => Vec::new(),
            Some(field) => match field.ok()? {
                Either::Text(text) => vec![self.parsed(field, text)?],
                Either::Map(end) => {
                    port = self.port(&end.port)?;
                    listed(&end.address)?
                }
            },
        };
        // Whoever writes addresses beside `any` means any.
        let any = remote.iter().any(|peers| peers.0.is_none());
        let remote =
            if any { Vec::new() } else { remote.into_iter().filter_map(|it| it.0).collect() };
        Some(Ends { local, remote, any, port })
    }

    fn parsed<T: FromStr<Err = String>, F>(&self, field: &Field<F>, text: &str) -> Option<T> {
        text.parse().map_err(|why: String| field.tell(self.problems, why)).ok()
    }

    fn port(&self, field: &Option<Field<u16>>) -> Option<u16> {
        let Some(field) = field else { return Some(500) };
        let port = *field.ok()?;
        if port == 0 {
            field.tell(self.problems, "port 0 cannot be sent to; 500 is usual");
        }
        Some(port)
    }

    /// A child that we are to begin needs to know where.
    fn reachable(&self, whole: &Field<Connection>, settings: &ike::settings::Connection) {
        if settings.ends().is_some() {
            return;
        }
        if let (Some(_), Some(remote)) = (settings.local.first(), settings.remote.first())
            && remote.first() == remote.last()
        {
            let message = "local has no address of the remote's family; add one";
            whole.tell(self.problems, message);
            return;
        }
        let ondemand = settings.children.iter().find(|child| child.start == Start::OnDemand);
        if let Some(child) = ondemand {
            let message = format!(
                "{} starts on demand, and it is not known where to connect to: write one address for each of local \
                 and remote, or start: manual",
                child.name
            );
            whole.tell(self.problems, message);
        }
    }

    fn encapsulation(&self, connection: &Connection) -> Option<Encap> {
        let Some(field) = &connection.encap else { return Some(Encap::Auto) };
        match field.ok()? {
            file::Encap::Auto => Some(Encap::Auto),
            file::Encap::Force => Some(Encap::Force),
            file::Encap::Never => Some(Encap::Never),
            file::Encap::None | file::Encap::Udp(_) => {
                let message =
                    "only for manual keys; where keys are negotiated write auto, force or never";
                field.tell(self.problems, message);
                None
            }
        }
    }

    fn fragmentation(&self, connection: &Connection) -> Option<Fragmentation> {
        let Some(field) = &connection.fragmentation else { return Some(Fragmentation::default()) };
        let size = field.ok().copied().filter(|&size| size != 0)?;
        if size < 576 {
            field.tell(self.problems, "too small; 576 is the least, 1280 is usual, 0 means never");
        }
        Some(Fragmentation { size })
    }

    fn identity(
        &self,
        name: &Field<String>,
        connection: &Connection,
        ends: &Ends,
        leaf: Option<&Certificate>,
    ) -> Option<Identity> {
        let field = local_end(connection).and_then(|end| end.id.as_ref());
        let id = match field {
            Some(field) => Some(field.ok()?.0.clone()),
            None => None,
        };
        match (id, leaf) {
            (Some(id), Some(leaf)) if !leaf.carries(&id) => {
                let has: Vec<_> = leaf.identities().iter().map(ToString::to_string).collect();
                let message = format!(
                    "our certificate does not carry this name, so peers will refuse it; it has {}",
                    has.join(", ")
                );
                if let Some(field) = field {
                    field.tell(self.problems, message);
                }
                None
            }
            (Some(id), _) => Some(id),
            (None, Some(leaf)) => leaf.identities().into_iter().next(),
            (None, None) => {
                let own = ends.single().map(|(local, _)| local).or(ends.local.first().copied());
                if own.is_none() {
                    let place = place_of(&connection.local, name);
                    let message =
                        "we have no name here; write id under local, like id: gw-a.example.com";
                    self.problems.tell(place, "local", message);
                }
                own.map(identity_of)
            }
        }
    }

    fn identities(
        &self,
        name: &Field<String>,
        connection: &Connection,
        ends: &Ends,
        accept: &Accept,
    ) -> Option<Vec<Pattern>> {
        let field = remote_end(connection).and_then(|end| end.id.as_ref());
        if let Some(field) = field {
            let mut patterns = Vec::new();
            for one in &field.ok()?.0 {
                patterns.push(one.ok()?.0.clone());
            }
            if patterns.is_empty() {
                field.tell(
                    self.problems,
                    "no identity; write at least one, or id: \"*\" for anybody",
                );
                return None;
            }
            return Some(patterns);
        }
        if let Accept::Certificate(_) = accept {
            let place = place_of(&connection.remote, name);
            let message = "whom of this CA's certificates do we accept? write id under remote, like \
                           id: gw-b.example.com, or id: \"*\" for all of them";
            self.problems.tell(place, "remote", message);
            return None;
        }
        if matches!(accept, Accept::Psk(_)) && ends.remote.is_empty() && !ends.any {
            let place = place_of(&connection.remote, name);
            let message = "who is the peer? write its address, like remote: 192.0.2.2, or id under remote; \
                           remote: any takes everybody who has the PSK";
            self.problems.tell(place, "remote", message);
            return None;
        }
        let only = |range: &AddressRange| range.first() == range.last();
        let exact = ends.remote.iter().filter(|range| only(range)).map(AddressRange::first);
        let exact: Vec<_> = exact.map(|address| Pattern::exact(identity_of(address))).collect();
        Some(if exact.len() == ends.remote.len() { exact } else { Vec::new() })
    }

    fn ike_proposals(
        &self,
        connection: &Connection,
        legacy: &mut Legacy<'_>,
    ) -> Option<Vec<Proposal>> {
        let Some(field) = &connection.proposals else {
            return IkeProposal::from_str(proposals::IKE).ok().map(|usual| vec![usual.proposal]);
        };
        let mut all = Vec::new();
        for one in &field.ok()?.0 {
            let IkeProposal { proposal, legacy: weak } = one.ok()?;
            self.weak(one, weak, legacy);
            all.push(proposal.clone());
        }
        if all.is_empty() {
            field.tell(self.problems, "no proposal; write at least one, or leave the key out");
        }
        Some(all)
    }

    /// Legacy algorithms are refused unless the connection asks for them, and told of even then.
    fn weak<T>(&self, field: &Field<T>, weak: &[String], legacy: &mut Legacy<'_>) {
        if weak.is_empty() {
            return;
        }
        legacy.used = true;
        let (names, line, connection) = (weak.join(", "), legacy.line, &legacy.name.text);
        if legacy.allowed {
            let message = format!(
                "{names} can be broken. It is used because line {line} says so; move away from it"
            );
            field.tell(self.warnings, message);
        } else {
            let message = format!(
                "{names} can be broken; remove it. Only for a peer that can do nothing better, write legacy: true \
                 under connection {connection} (line {line})"
            );
            field.tell(self.problems, message);
        }
    }

    fn children(
        &mut self,
        label: &Label,
        connection_name: &Arc<str>,
        connection: &Connection,
        ends: &Ends,
        legacy: &mut Legacy<'_>,
    ) -> (Vec<Arc<ike::settings::Child>>, Vec<Standing>) {
        let (mut children, mut standing) = (Vec::new(), Vec::new());
        for (name, child) in connection.children.ok().into_iter().flat_map(|map| &map.0) {
            let full = self.full_name(label, name);
            let Some(child) = child.ok() else { continue };
            let compiled = self.negotiated_child(name, child, legacy);
            let template = self.template(child);
            let (Some(full), Some(compiled), Some(template)) = (full, compiled, template) else {
                continue;
            };
            let before: usize = self.negotiated.iter().map(|one| one.children.len()).sum();
            let number = FIRST.saturating_add((before + standing.len()) as u32);
            self.stand(full, child, ends, number);
            standing.push(Standing {
                name: full,
                connection: Arc::clone(connection_name),
                child: Arc::clone(&compiled.name),
                template,
            });
            children.push(Arc::new(compiled));
        }
        (children, standing)
    }

    fn negotiated_child(
        &self,
        name: &Field<String>,
        child: &Child,
        legacy: &mut Legacy<'_>,
    ) -> Option<ike::settings::Child> {
        let start = match value(&child.start) {
            None | Some(file::Start::Auto) => Start::Auto,
            Some(file::Start::Ondemand) => Start::OnDemand,
            Some(file::Start::Manual) => Start::Manual,
        };
        let usual = match start {
            Start::Auto => Then::Restart,
            Start::OnDemand => Then::Trap,
            Start::Manual => Then::Clear,
        };
        let then = |field: &Option<Field<file::Then>>, usual| match value(field) {
            None => usual,
            Some(file::Then::Restart) => Then::Restart,
            Some(file::Then::Trap) => Then::Trap,
            Some(file::Then::Clear) => Then::Clear,
        };
        let on_dead = then(&child.on_dead, usual);
        Some(ike::settings::Child {
            name: Arc::from(name.ok()?.as_str()),
            local_ts: traffic(&child.local_ts)?,
            remote_ts: traffic(&child.remote_ts)?,
            proposals: self.esp_proposals(child, legacy)?,
            lifetime: child_lifetime(child),
            start,
            on_dead,
            on_close: then(&child.on_close, on_dead),
        })
    }

    fn esp_proposals(&self, child: &Child, legacy: &mut Legacy<'_>) -> Option<Vec<Proposal>> {
        let esn = match child.esn.as_ref().map(|field| field.ok().copied()) {
            None => vec![Transform::esn(true), Transform::esn(false)],
            Some(on) => vec![Transform::esn(on?)],
        };
        let with_esn = |proposal: &Proposal| {
            let says = proposal.of(Kind::Esn).next().is_some();
            let more = esn.iter().filter(|_| !says);
            Proposal { transforms: proposal.transforms.iter().chain(more).copied().collect() }
        };
        let Some(field) = &child.esp else {
            let usual = EspProposal::from_str(proposals::ESP).ok()?;
            return Some(vec![with_esn(&usual.proposal)]);
        };
        let mut all = Vec::new();
        for one in &field.ok()?.0 {
            let EspProposal { proposal, legacy: weak } = one.ok()?;
            self.weak(one, weak, legacy);
            all.push(with_esn(proposal));
        }
        if all.is_empty() {
            field.tell(self.problems, "no proposal; write at least one, or leave the key out");
        }
        Some(all)
    }

    /// Policy entries that stand while nobody is connected: packets wait for a tunnel, or are thrown away, and never go
    /// out in the clear. A side that is somebody's own address has none while that is not known.
    fn stand(&mut self, name: Name, child: &Child, ends: &Ends, number: u32) {
        let verdict = Verdict::Protect { tunnel: number };
        let selectors: Vec<(Place, Selector)> = match (&child.local_ts, &child.remote_ts) {
            (Some(local), Some(remote)) => self.selectors(local, remote),
            (local, remote) => {
                let Some((ours, theirs)) = ends.single() else { return };
                let side = |list: &Option<Covers>, own| sides(list.as_ref(), own);
                let (local, remote) = (side(local, ours), side(remote, theirs));
                let pairs = local.iter().flat_map(|l| remote.iter().map(move |r| (l, r)));
                pairs.filter_map(|((at, l), (_, r))| Some((*at, pair(l, r)?))).collect()
            }
        };
        let entries = selectors
            .into_iter()
            .map(|(place, selector)| (place, Policy { name, selector, verdict }));
        self.entries.extend(entries);
    }
}

/// The traffic selectors of one side with their places; its own address when there are none.
fn sides(list: Option<&Covers>, own: IpAddr) -> Vec<(Place, TrafficSelectorText)> {
    let own = AddressRange::new(own, own);
    let own = own.map(|addresses| TrafficSelectorText {
        addresses,
        protocol: super::text::Protocol(None),
        ports: PortRange::ANY,
    });
    let start = Place { line: 1, column: 1 };
    match list {
        None => own.into_iter().map(|own| (start, own)).collect(),
        Some(field) => {
            let all = field.ok().map(Vec::as_slice).unwrap_or_default();
            all.iter().filter_map(|one| Some((one.place, *one.ok()?))).collect()
        }
    }
}

fn pair(local: &TrafficSelectorText, remote: &TrafficSelectorText) -> Option<Selector> {
    let selector = Selector::between(local.addresses, remote.addresses)?;
    let protocol =
        local.protocol.0.or(remote.protocol.0).map_or((0, 255), |number| (number, number));
    Some(Selector { protocol, local_port: local.ports, remote_port: remote.ports, ..selector })
}

fn value<T: Copy>(field: &Option<Field<T>>) -> Option<T> {
    field.as_ref().and_then(Field::ok).copied()
}

/// In milliseconds; `None`: never.
fn span(field: &Option<Field<Span>>, usual: u64) -> Option<u64> {
    Some(value(field).map_or(usual, |span| span.0)).filter(|&ms| ms != 0)
}

fn listed<T: Copy>(field: &Option<Field<Many<T>>>) -> Option<Vec<T>> {
    match field {
        None => Some(Vec::new()),
        Some(field) => field.ok()?.0.iter().map(|one| one.ok().copied()).collect(),
    }
}

fn identity_of(address: IpAddr) -> Identity {
    match address {
        IpAddr::V4(v4) => Identity::Ipv4(v4),
        IpAddr::V6(v6) => Identity::Ipv6(v6),
    }
}

fn traffic(field: &Option<Covers>) -> Option<Vec<Traffic>> {
    let own = Traffic { addresses: None, protocol: 0, ports: PortRange::ANY };
    let Some(field) = field else { return Some(vec![own]) };
    let of = |one: &Field<TrafficSelectorText>| {
        let TrafficSelectorText { addresses, protocol, ports } = *one.ok()?;
        Some(Traffic { addresses: Some(addresses), protocol: protocol.0.unwrap_or(0), ports })
    };
    field.ok()?.iter().map(of).collect()
}

fn lifetime(connection: &Connection) -> IkeLifetime {
    let usual = IkeLifetime::default();
    let Some(life) = connection.lifetime.as_ref().and_then(Field::ok) else { return usual };
    let seconds = |field: &Option<Field<Span>>| value(field).map(Span::seconds);
    let rekey = seconds(&life.rekey).unwrap_or(usual.rekey);
    let reauth = seconds(&life.reauth).unwrap_or(0);
    let least = [rekey, reauth].into_iter().filter(|&time| time != 0).min().unwrap_or(0);
    IkeLifetime {
        rekey,
        reauth,
        over: seconds(&life.over).unwrap_or((least / 10).max(5)),
        jitter: value(&life.jitter).unwrap_or(usual.jitter).min(50),
    }
}

fn child_lifetime(child: &Child) -> ChildLifetime {
    let usual = ChildLifetime::default();
    let Some(life) = child.lifetime.as_ref().and_then(Field::ok) else { return usual };
    // A hard limit that is not said comes a tenth after the soft one, so that a rekey has its time.
    let pair = |soft: &Option<Field<u64>>, hard: &Option<Field<u64>>, usual: (u64, u64)| match (
        value(soft),
        value(hard),
    ) {
        (None, None) => usual,
        (Some(soft), None) => (soft, soft.saturating_add((soft / 10).max(u64::from(soft != 0)))),
        (None, Some(hard)) => (hard - hard / 10, hard),
        (Some(soft), Some(hard)) => (soft, hard),
    };
    let (rekey_seconds, hard_seconds) =
        pair(&life.soft_seconds, &life.hard_seconds, (usual.rekey_seconds, usual.hard_seconds));
    let (rekey_bytes, hard_bytes) = pair(&life.soft_bytes, &life.hard_bytes, (0, 0));
    let (rekey_packets, hard_packets) = pair(&life.soft_packets, &life.hard_packets, (0, 0));
    let jitter = value(&life.jitter).unwrap_or(usual.jitter).min(50);
    ChildLifetime {
        rekey_seconds,
        hard_seconds,
        rekey_bytes,
        hard_bytes,
        rekey_packets,
        hard_packets,
        jitter,
    }
}

/// Over everything but credentials: with the same digest a connection goes on undisturbed.
fn digest(settings: &ike::settings::Connection, standing: &[Standing]) -> [u8; 16] {
    let ike::settings::Connection {
        name, local, remote, remote_port, local_auth, remote_auth, ..
    } = settings;
    let proves = match &local_auth.credential {
        Credential::Psk(_) => "psk",
        Credential::Certificate { .. } => "certificate",
        Credential::RawKey(_) => "raw key",
    };
    let identities: Vec<_> = remote_auth.identities.iter().map(ToString::to_string).collect();
    let mut digest = Sha256::new();
    digest.update(format!(
        "{name} {local:?} {remote:?} {remote_port} {proves} {}",
        local_auth.identity
    ));
    digest.update(format!("{} {identities:?}", remote_auth.accept.name()));
    digest.update(format!("{:?} {:?}", settings.proposals, settings.children));
    digest.update(format!("{:?} {:?} {:?}", settings.lifetime, settings.dpd, settings.encap));
    digest
        .update(format!("{:?} {:?} {}", settings.fragmentation, settings.unique, settings.legacy));
    digest.update(format!(
        "{} {} {:?}",
        settings.keepalive_ms, settings.childless, settings.attempts
    ));
    standing.iter().for_each(|one| digest.update(format!("{:?}", one.template)));
    let mut out = [0; 16];
    out.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    out
}
