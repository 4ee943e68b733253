//! Connections and their children: SAs and the policy entries that lead into them.
use super::compile::{Placed, SaPlan, Sides, Tunnel};
use super::de::{Either, Field};
use super::file::{self, Child, Connection, DontFragment, Dscp, Manual, ManualSa};
use super::negotiated::Negotiated;
use super::problem::{Place, Problems};
use super::setup::not_a_power;
use super::suites::SuiteName;
use super::text::{Address, Label, Secret, Text, TrafficSelectorText, hexadecimal};
use sadb::{Direction, Encap, Name, Policy, Sa, SaKeys, Verdict};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use wire::selector::{PortRange, Selector};
use zeroize::Zeroizing;

/// Collects tunnels, and what must be unique across all of them.
pub struct Tunnels<'a> {
    pub(super) problems: &'a Problems,
    /// What is allowed and still not good.
    pub(super) warnings: &'a Problems,
    pub(super) base: &'a Path,
    window_max: u32,
    tunnels: Vec<Tunnel>,
    pub(super) entries: Vec<Placed>,
    pub(super) negotiated: Vec<Negotiated>,
    /// An inbound SPI is looked up alone; an outbound one belongs to its peer.
    spis: HashMap<(Option<IpAddr>, u32), (Name, Place)>,
    /// Digests of keys seen, and where.
    keys: HashMap<[u8; 32], Place>,
}

/// The traffic selectors of one side, as they stand in the file.
pub(super) type Covers = Field<Vec<Field<TrafficSelectorText>>>;

/// What a connection says for all of its children.
struct Outer {
    local: IpAddr,
    remote: IpAddr,
    encap: Encap,
}

/// Whether a connection allows legacy algorithms, and where it would say so.
struct Legacy<'c> {
    allowed: bool,
    connection: &'c str,
    line: u32,
    used: bool,
}

impl<'a> Tunnels<'a> {
    /// Nothing yet. `window_max` bounds replay windows, `base` is where relative paths of key files begin.
    pub fn new(
        problems: &'a Problems,
        warnings: &'a Problems,
        base: &'a Path,
        window_max: u32,
    ) -> Self {
        let (tunnels, entries) = (Vec::new(), Vec::new());
        let (spis, keys) = (HashMap::new(), HashMap::new());
        let negotiated = Vec::new();
        Self { problems, warnings, base, window_max, tunnels, entries, negotiated, spis, keys }
    }

    /// The tunnels with manual keys, the negotiated connections, and the policy entries of both, in the order of the file.
    pub fn finish(self) -> (Vec<Tunnel>, Vec<Negotiated>, Vec<Placed>) {
        (self.tunnels, self.negotiated, self.entries)
    }

    /// Adds every child of one connection.
    pub fn connection(&mut self, name: &Field<String>, connection: &Field<Connection>) {
        let label = name.ok().map(|text| Label::from_str(text));
        if let Some(Err(why)) = &label {
            name.tell(self.problems, why.clone());
        }
        let whole = connection;
        let Some(connection) = connection.ok() else { return };
        let children = connection.children.ok();
        let is_manual =
            |(_, child): &(_, Field<Child>)| child.ok().is_some_and(|c| c.manual.is_some());
        let manual = children.is_none_or(|children| children.0.iter().any(is_manual));
        if children.is_some_and(|children| children.0.is_empty()) {
            connection.children.tell(self.problems, "no children; a connection needs at least one");
            return;
        }
        if !manual {
            let label = label.as_ref().and_then(|label| label.as_ref().ok());
            return self.negotiate(name, label, whole, connection);
        }
        self.only_negotiated(connection);
        let outer = self.outer(whole, connection);
        let Some(children) = children else { return };
        let allowed = connection.legacy.as_ref();
        let mut legacy = Legacy {
            allowed: allowed.and_then(Field::ok).copied().unwrap_or(false),
            connection: &name.text,
            line: allowed.map_or(name.place, |field| field.place).line,
            used: false,
        };
        for (child_name, child) in &children.0 {
            let full =
                label.as_ref().and_then(|label| self.full_name(label.as_ref().ok()?, child_name));
            self.child(full, outer.as_ref(), child, &mut legacy);
        }
        if let Some(field) = allowed.filter(|_| legacy.allowed && !legacy.used) {
            field.tell(self.warnings, "nothing in this connection is legacy; remove the key");
        }
    }

    /// Keys that mean something only where keys are negotiated.
    fn only_negotiated(&self, connection: &Connection) {
        let here = |there: Option<Place>, key: &str| {
            if let Some(place) = there {
                let message = "only for connections that are negotiated; remove it, or remove manual from the children";
                self.problems.tell(place, key, message);
            }
        };
        here(connection.psk.as_ref().map(|field| field.place), "psk");
        here(connection.proposals.as_ref().map(|field| field.place), "proposals");
        here(connection.lifetime.as_ref().map(|field| field.place), "lifetime");
        here(connection.dpd.as_ref().map(|field| field.place), "dpd");
        here(connection.fragmentation.as_ref().map(|field| field.place), "fragmentation");
        here(connection.unique.as_ref().map(|field| field.place), "unique");
        here(connection.keepalive.as_ref().map(|field| field.place), "keepalive");
        here(connection.childless.as_ref().map(|field| field.place), "childless");
        here(connection.attempts.as_ref().map(|field| field.place), "attempts");
        for child in
            connection.children.ok().into_iter().flat_map(|c| &c.0).filter_map(|(_, c)| c.ok())
        {
            here(child.esp.as_ref().map(|field| field.place), "esp");
            here(child.start.as_ref().map(|field| field.place), "start");
            here(child.on_dead.as_ref().map(|field| field.place), "on_dead");
            here(child.on_close.as_ref().map(|field| field.place), "on_close");
        }
    }

    pub(super) fn full_name(&self, connection: &Label, child: &Field<String>) -> Option<Name> {
        let text = match Label::from_str(child.ok()?) {
            Ok(label) => format!("{}/{}", connection.0, label.0),
            Err(why) => {
                child.tell(self.problems, why);
                return None;
            }
        };
        let name = Name::new(&text);
        if name.is_none() {
            let message = format!(
                "'{text}' is {} characters long; at most 47 are possible together",
                text.len()
            );
            child.tell(self.problems, message);
        }
        name
    }

    fn outer(&self, whole: &Field<Connection>, connection: &Connection) -> Option<Outer> {
        let encap = match connection.encap.as_ref() {
            None => Some(Encap::Raw),
            Some(field) => field.ok().and_then(|encap| self.encap(encap, field)),
        };
        let local = self.end(whole, &connection.local, "local");
        let remote = self.end(whole, &connection.remote, "remote");
        let (local, remote) = (local?, remote?);
        if local.is_ipv4() != remote.is_ipv4() {
            let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!(
                "local is {family} and remote is not; both ends of a tunnel need one family"
            );
            self.tell_at(&connection.remote, message);
            return None;
        }
        if local == remote {
            self.tell_at(&connection.remote, "the same as local; write the peer's address");
            return None;
        }
        Some(Outer { local, remote, encap: encap? })
    }

    fn tell_at<T>(&self, field: &Option<Field<T>>, message: impl Into<String>) {
        if let Some(field) = field {
            field.tell(self.problems, message);
        }
    }

    /// One end of a tunnel with manual keys: an address and nothing more.
    fn end<T>(
        &self,
        whole: &Field<Connection>,
        field: &Option<Field<Either<T>>>,
        key: &str,
    ) -> Option<IpAddr> {
        let Some(field) = field else {
            whole.tell(self.problems, format!("the key '{key}' is missing here; add it"));
            return None;
        };
        match field.ok()? {
            Either::Text(text) => match text.parse() {
                Ok(Address(address)) => Some(address),
                Err(why) => {
                    field.tell(self.problems, why);
                    None
                }
            },
            Either::Map(_) => {
                field.tell(
                    self.problems,
                    "manual keys need no more than an address; write it alone",
                );
                None
            }
        }
    }

    fn encap(&self, encap: &file::Encap, field: &Field<file::Encap>) -> Option<Encap> {
        let ports = match encap {
            file::Encap::None => return Some(Encap::Raw),
            file::Encap::Udp(ports) => ports,
            _ => {
                field.tell(
                    self.problems,
                    "only for connections that are negotiated; write none or udp",
                );
                return None;
            }
        };
        let Some(field) = ports else { return Some(Encap::Udp { local: 4500, remote: 4500 }) };
        let ports = field.ok()?;
        let port = |field: &Option<Field<u16>>| {
            let Some(field) = field else { return Some(4500) };
            let port = *field.ok()?;
            if port == 0 {
                field.tell(self.problems, "port 0 cannot be sent to; 4500 is usual");
            }
            Some(port)
        };
        Some(Encap::Udp { local: port(&ports.local)?, remote: port(&ports.remote)? })
    }

    fn child(
        &mut self,
        name: Option<Name>,
        outer: Option<&Outer>,
        field: &Field<Child>,
        legacy: &mut Legacy<'_>,
    ) {
        let Some(child) = field.ok() else { return };
        let missing = |key: &str| {
            field.tell(self.problems, format!("the key '{key}' is missing here; add it"));
        };
        let (local_ts, remote_ts) = (child.local_ts.as_ref(), child.remote_ts.as_ref());
        for (key, list) in [("local_ts", local_ts), ("remote_ts", remote_ts)] {
            if list.is_none() {
                missing(key);
            }
        }
        let selectors =
            local_ts.zip(remote_ts).map(|(local, remote)| self.selectors(local, remote));
        let template = self.template(child);
        let Some(manual) = &child.manual else { return missing("manual") };
        let Some(manual) = manual.ok() else { return };
        let suite = self.suite(manual, legacy);
        let unnamed = Name::new("?");
        let mut sa = |direction, field: &Field<ManualSa>| {
            let (name, spi) = (name.or(unnamed)?, field.ok()?.spi.ok());
            let keys = suite.and_then(|suite| self.keys(suite, field));
            if let Some(spi) = spi {
                let peer =
                    outer.map(|outer| outer.remote).filter(|_| direction == Direction::Outbound);
                if outer.is_some() || direction == Direction::Inbound {
                    self.unique_spi(peer, spi.0, name, &field.ok()?.spi);
                }
            }
            Some((spi?.0, keys?))
        };
        let inbound = sa(Direction::Inbound, &manual.inbound);
        let outbound = sa(Direction::Outbound, &manual.outbound);
        let number = self.tunnels.len() as u32;
        let (Some(name), Some(outer), Some(suite), Some(inbound), Some(outbound), Some(template)) =
            (name, outer, suite, inbound, outbound, template)
        else {
            return;
        };
        let plan = |direction, (spi, keys): (u32, SaKeys)| {
            let (local, remote, encap) = (outer.local, outer.remote, outer.encap);
            let replay_window =
                if direction == Direction::Inbound { template.replay_window } else { 0 };
            let sa = Sa {
                name,
                spi,
                direction,
                encap,
                suite: suite.suite(),
                local,
                remote,
                replay_window,
                ..template
            };
            sealed(sa, keys, suite.cipher.counter_mode())
        };
        let inbound = plan(Direction::Inbound, inbound);
        let outbound = plan(Direction::Outbound, outbound);
        self.tunnels.push(Tunnel { name, inbound, outbound });
        let verdict = Verdict::Protect { tunnel: number };
        let entries = selectors
            .into_iter()
            .flatten()
            .map(|(place, selector)| (place, Policy { name, selector, verdict }));
        self.entries.extend(entries);
    }

    fn suite(&self, manual: &Manual, legacy: &mut Legacy<'_>) -> Option<SuiteName> {
        let suite = *manual.esp.ok()?;
        self.legacy(suite, &manual.esp, legacy);
        match &manual.counter_mode {
            None if suite.cipher.counter_mode() => manual.esp.tell(
                self.problems,
                "a counter-mode cipher under a key that outlives restarts must not repeat an IV; \
                 add counter_mode: epoch beside it (and see docs/configuration.md on manual keys), or use ENCR_AES_CBC",
            ),
            Some(field) if !suite.cipher.counter_mode() => {
                let name = suite.cipher_name();
                field.tell(self.problems, format!("{name} is no counter-mode cipher; remove counter_mode"));
            }
            _ => {}
        }
        Some(suite)
    }

    /// Legacy algorithms are refused unless the connection asks for them, and told of even then.
    fn legacy(&self, suite: SuiteName, field: &Field<SuiteName>, legacy: &mut Legacy<'_>) {
        let dangers = suite.dangers();
        if dangers.is_empty() {
            return;
        }
        legacy.used = true;
        let why: Vec<_> =
            dangers.iter().map(|(name, why)| format!("{name} is legacy: {why}")).collect();
        let (why, Legacy { connection, line, allowed, .. }) = (why.join("; "), &*legacy);
        let better = "ENCR_AES_GCM_16_256";
        if *allowed {
            let message =
                format!("{why}. It is used because line {line} says so; move to {better}");
            field.tell(self.warnings, message);
        } else {
            let message = format!(
                "{why}. Use {better}; only for a peer that can do nothing better, write legacy: true under \
                 connection {connection} (line {line})"
            );
            field.tell(self.problems, message);
        }
    }

    fn unique_spi(
        &mut self,
        peer: Option<IpAddr>,
        spi: u32,
        name: Name,
        field: &Field<super::text::SpiNumber>,
    ) {
        let Some((first, place)) = self.spis.insert((peer, spi), (name, field.place)) else {
            return;
        };
        let which = if peer.is_some() { "outbound SPI for this peer" } else { "inbound SPI" };
        let message = format!("{first} has this {which} in line {}; choose another", place.line);
        field.tell(self.problems, message);
    }

    /// The keys of one SA, each of the length its suite asks for, and none of them seen before.
    fn keys(&mut self, suite: SuiteName, field: &Field<ManualSa>) -> Option<SaKeys> {
        let sa = field.ok()?;
        let (octets, salt) = (suite.key_octets(), suite.cipher.salt);
        let expected = match salt {
            0 => format!("{octets} octets"),
            salt => format!("{} octets, {octets} of key and then {salt} of salt", octets + salt),
        };
        let cipher = suite.cipher_name();
        let algorithm = cipher.as_str();
        let encryption = Want { key: "key", algorithm, octets: octets + salt, expected };
        let encryption = self.key(field, &sa.key, &encryption);
        if let (Some(key), Some(field)) = (&encryption, &sa.key)
            && suite.cipher.collapses(key)
        {
            let message = "neighbouring thirds of this key are the same, which leaves single encryption; make another key";
            self.problems.tell(field.place, "(secret)", message);
        }
        let (algorithm, octets) = suite.integrity.map_or((algorithm, 0), |i| (i.name(), i.key));
        let expected = format!("{octets} octets");
        let integrity = Want { key: "integrity_key", algorithm, octets, expected };
        let integrity = self.key(field, &sa.integrity_key, &integrity);
        Some(SaKeys { encryption: encryption?.to_vec(), integrity: integrity?.to_vec() })
    }

    fn key(
        &mut self,
        sa: &Field<ManualSa>,
        secret: &Option<Field<Secret>>,
        want: &Want<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let Want { key, algorithm, octets, expected } = want;
        let secret = match (secret, octets) {
            (None, 0) => return Some(Zeroizing::default()),
            (None, _) => {
                let message = format!(
                    "'{key}' is missing; {algorithm} takes {expected} ({} hexadecimal digits)",
                    octets * 2
                );
                self.problems.tell(sa.place, &sa.text, message);
                return None;
            }
            (Some(field), 0) => {
                let message = format!("{algorithm} takes no {key}; remove it");
                self.problems.tell(field.place, "(secret)", message);
                return None;
            }
            (Some(field), _) => field,
        };
        let value = self.reveal(secret)?;
        if value.len() != *octets {
            let have = value.len();
            let message = format!(
                "{have} octets; {algorithm} takes {expected} ({} hexadecimal digits)",
                octets * 2
            );
            self.problems.tell(secret.place, "(secret)", message);
            return None;
        }
        if let Some(first) = self.keys.insert(Sha256::digest(&*value).into(), secret.place) {
            let message = format!(
                "the same key as in line {}; every SA and direction needs its own",
                first.line
            );
            self.problems.tell(secret.place, "(secret)", message);
        }
        Some(value)
    }

    fn reveal(&self, secret: &Field<Secret>) -> Option<Zeroizing<Vec<u8>>> {
        let (field, text) = match secret.ok()? {
            Secret::Inline(octets) => return Some(octets.clone()),
            Secret::File(field) => (field, key_file(&self.base.join(field.ok()?))),
            Secret::Env(field) => (field, environment(field.ok()?)),
        };
        let octets = text.and_then(|text| hexadecimal(&text));
        octets.map_err(|why| field.tell(self.problems, why)).ok()
    }

    /// A secret that is text, or a file of whatever kind: its octets as they are.
    pub(super) fn reveal_text(&self, secret: &Field<Text>) -> Option<Zeroizing<Vec<u8>>> {
        let (field, octets) = match &secret.ok()?.0 {
            Secret::Inline(octets) => return Some(octets.clone()),
            Secret::File(field) => (field, secret_file(&self.base.join(field.ok()?), SECRET_LIMIT)),
            Secret::Env(field) => {
                let text = environment(field.ok()?);
                (field, text.map(|text| Zeroizing::new(text.as_bytes().to_vec())))
            }
        };
        octets.map_err(|why| field.tell(self.problems, why)).ok()
    }

    /// Every pair of one family, with the protocol and ports that both sides agree on.
    pub(super) fn selectors(&self, local: &Covers, remote: &Covers) -> Vec<(Place, Selector)> {
        let parts = |field: &Covers| -> Vec<(Place, String, TrafficSelectorText)> {
            let list = field.ok().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|f| Some((f.place, f.text.clone(), *f.ok()?))).collect()
        };
        let sides = Sides { problems: self.problems, keys: ("local_ts", "remote_ts") };
        let pairs = sides.pairs((local, parts(local)), (remote, parts(remote)), |ts| ts.addresses);
        pairs
            .into_iter()
            .filter_map(|(place, local, remote)| self.selector(place, local, remote))
            .collect()
    }

    fn selector(
        &self,
        place: Place,
        local: TrafficSelectorText,
        remote: TrafficSelectorText,
    ) -> Option<(Place, Selector)> {
        let protocol = match (local.protocol.0, remote.protocol.0) {
            (Some(near), Some(far)) if near != far => {
                let message = format!(
                    "local_ts asks for protocol {near} and this for {far}; write children of their own for each"
                );
                self.problems.tell(place, "remote_ts", message);
                return None;
            }
            (near, far) => near.or(far).map_or((0, 255), |number| (number, number)),
        };
        let (local_port, remote_port): (PortRange, PortRange) = (local.ports, remote.ports);
        Some((
            place,
            Selector {
                local: local.addresses,
                remote: remote.addresses,
                protocol,
                local_port,
                remote_port,
            },
        ))
    }

    /// What both directions share; addresses, SPI and suite are filled in later.
    pub(super) fn template(&self, child: &Child) -> Option<Sa> {
        let esn = child.esn.as_ref().map_or(Some(true), |field| field.ok().copied());
        let replay_window = match &child.replay_window {
            None => self.window_max.min(1024),
            Some(field) => self.window(field, esn?)?,
        };
        let dont_fragment = match child.dont_fragment.as_ref().and_then(Field::ok) {
            None | Some(DontFragment::Copy) => sadb::sa::DontFragment::Copy,
            Some(DontFragment::Set) => sadb::sa::DontFragment::Set,
            Some(DontFragment::Clear) => sadb::sa::DontFragment::Clear,
        };
        let dscp = match child.dscp.as_ref().and_then(Field::ok) {
            None | Some(Dscp::Out) => sadb::sa::Dscp::Out,
            Some(Dscp::Copy) => sadb::sa::Dscp::Copy,
            Some(Dscp::In) => sadb::sa::Dscp::In,
            Some(Dscp::No) => sadb::sa::Dscp::No,
        };
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        Some(Sa {
            name: Name::new("?")?,
            slot: 0,
            spi: 0,
            tunnel: 0,
            direction: Direction::Inbound,
            encap: Encap::Raw,
            suite: sadb::Suite { encryption: 0, key_bits: 0, integrity: 0 },
            local: nowhere,
            remote: nowhere,
            esn: esn?,
            replay_window,
            dont_fragment,
            dscp,
            ecn: child.ecn.as_ref().and_then(Field::ok).copied().unwrap_or(true),
            iv_epoch: 0,
            lifetime: self.lifetime(child),
            initial_sequence: 0,
            digest: [0; 16],
        })
    }

    fn window(&self, field: &Field<u32>, esn: bool) -> Option<u32> {
        let window = *field.ok()?;
        let message = match window {
            0 if !esn => return Some(0),
            0 => "ESN needs a replay window: the upper half of the number is inferred from it (RFC 4303 App. A); \
                  write 1024, or esn: false"
                .to_owned(),
            _ if !window.is_power_of_two() => not_a_power(window),
            1..32 => "too narrow; 32 is the least (RFC 4303 §3.4.3)".to_owned(),
            _ if window > self.window_max => {
                format!("wider than dataplane.window_max, which is {}; raise that or narrow this", self.window_max)
            }
            _ => return Some(window),
        };
        field.tell(self.problems, message);
        None
    }

    fn lifetime(&self, child: &Child) -> sadb::sa::Lifetime {
        let Some(field) = child.lifetime.as_ref().and_then(Field::ok) else {
            return Default::default();
        };
        let number =
            |field: &Option<Field<u64>>| field.as_ref().and_then(Field::ok).copied().unwrap_or(0);
        let pair = |soft: &Option<Field<u64>>, hard: &Option<Field<u64>>| {
            let limits = (number(soft), number(hard));
            if let (Some(field), (soft, hard)) = (soft, limits)
                && hard != 0
                && soft >= hard
            {
                field.tell(
                    self.problems,
                    format!("the soft limit must come before the hard one, {hard}"),
                );
            }
            limits
        };
        let (soft_packets, hard_packets) = pair(&field.soft_packets, &field.hard_packets);
        let (soft_bytes, hard_bytes) = pair(&field.soft_bytes, &field.hard_bytes);
        let (soft_seconds, hard_seconds) = pair(&field.soft_seconds, &field.hard_seconds);
        sadb::sa::Lifetime {
            soft_packets,
            hard_packets,
            soft_bytes,
            hard_bytes,
            soft_seconds,
            hard_seconds,
        }
    }
}

/// What a suite asks of a key.
struct Want<'n> {
    key: &'static str,
    algorithm: &'n str,
    octets: usize,
    expected: String,
}

/// The largest file of a private key, in octets.
const SECRET_LIMIT: u64 = 1 << 20;

fn key_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let octets = secret_file(path, 4096)?;
    let text = std::str::from_utf8(&octets);
    let unreadable = |_| format!("the key file {} is not text", path.display());
    text.map(|text| Zeroizing::new(text.to_owned())).map_err(unreadable)
}

/// A file that its owner alone may read.
fn secret_file(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let unreadable =
        |error: std::io::Error| format!("the key file {} cannot be read: {error}", path.display());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(format!(
            "others than its owner may read the key file {shown}; chmod 600 {shown}"
        ));
    }
    let mut octets = Zeroizing::new(Vec::new());
    file.take(limit).read_to_end(&mut octets).map_err(unreadable)?;
    Ok(octets)
}

fn environment(name: &str) -> Result<Zeroizing<String>, String> {
    let odd = name.is_empty() || name.contains(['=', '\0']);
    let value = if odd { None } else { std::env::var(name).ok() };
    value.map(Zeroizing::new).ok_or_else(|| {
        format!("the environment variable {name} is not set for the process that reads this file; set it or use {{file: …}}")
    })
}

/// The digest: 5 octets over the keys, 5 over what makes it another SA (keys, suite, ESN, window, our address), 6 over
/// everything. A difference in the last part alone can be updated in place; see `plan`.
fn sealed(mut sa: Sa, keys: SaKeys, counter_mode: bool) -> SaPlan {
    let mut material = Sha256::new();
    material.update(b"postern sa 1");
    for key in [&keys.encryption, &keys.integrity] {
        material.update((key.len() as u64).to_be_bytes());
        material.update(key);
    }
    let mut identity = material.clone();
    // Spelled out, so that another version of ours finds the same digest.
    let Sa { name, spi, suite, local, .. } = sa;
    identity.update(format!("{name} {spi} {} {local}", sa.direction as u8));
    identity.update(format!(" {} {} {}", suite.encryption, suite.key_bits, suite.integrity));
    identity.update(format!(" {} {}", u8::from(sa.esn), sa.replay_window));
    let mut whole = identity.clone();
    let ports = match sa.encap {
        Encap::Raw => (0, 0),
        Encap::Udp { local, remote } => (local, remote),
    };
    whole.update(format!("{} {} {}", sa.remote, ports.0, ports.1));
    whole.update(format!(" {} {} {}", sa.dont_fragment as u8, sa.dscp as u8, u8::from(sa.ecn)));
    let life = sa.lifetime;
    for limit in [life.soft_packets, life.hard_packets, life.soft_bytes, life.hard_bytes] {
        whole.update(limit.to_be_bytes());
    }
    for limit in [life.soft_seconds, life.hard_seconds] {
        whole.update(limit.to_be_bytes());
    }
    let parts = [(material, 0..5), (identity, 5..10), (whole, 10..16)];
    for (digest, part) in parts {
        let to = sa.digest.get_mut(part).unwrap_or_default();
        to.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    }
    let counter_key = counter_mode.then(|| Sha256::digest(&keys.encryption).into());
    SaPlan { sa, keys, counter_key }
}
