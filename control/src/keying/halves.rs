//! Halves of Child SAs in the data plane: installed, moved and removed over the ring, with the policy entries that lead
//! into them. Belongs to the driver's thread.
use super::slots::{Pool, Slots};
use crate::apply::{Fault, Link, explain};
use crate::config::{Config, Standing};
use crate::plan::{Beside, StepView};
use ike::action::{Direction, Endpoint, Half, HalfLifetime, Lineage, Order, Packet, Ticket};
use sadb::{Encap, Event, Name, Policy, Sa, SaKeys, Suite, Verb, Verdict};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::selector::Selector;

/// The replay window of SAs whose connection says nothing.
const WINDOW: u32 = 1024;

/// What the core wants of the data plane.
#[derive(Debug)]
pub enum Errand {
    /// Install one half; answered.
    Install {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Which.
        half: Box<Half>,
    },
    /// Take one half out.
    Remove {
        /// Which way.
        direction: Direction,
        /// As it was installed.
        spi: u32,
        /// The lineage it belonged to.
        lineage: Lineage,
    },
    /// Its peer is somewhere else.
    Move {
        /// Which way.
        direction: Direction,
        /// As it was installed.
        spi: u32,
        /// The lineage it belongs to.
        lineage: Lineage,
        /// The new ends.
        path: Endpoint,
    },
}

/// What a tunnel carried, over all of its SAs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets from the peer.
    pub packets_in: u64,
    /// Octets from the peer.
    pub bytes_in: u64,
    /// Packets to the peer.
    pub packets_out: u64,
    /// Octets to the peer.
    pub bytes_out: u64,
    /// When the last came, in seconds of the clock of the data plane; 0: never.
    pub last_in: u64,
    /// When the last went.
    pub last_out: u64,
}

impl Carried {
    fn add(&mut self, status: &sadb::SaStatus) {
        let (packets, bytes, last) = match status.sa.direction {
            sadb::Direction::Inbound => {
                (&mut self.packets_in, &mut self.bytes_in, &mut self.last_in)
            }
            sadb::Direction::Outbound => {
                (&mut self.packets_out, &mut self.bytes_out, &mut self.last_out)
            }
        };
        *packets = packets.saturating_add(status.packets);
        *bytes = bytes.saturating_add(status.bytes);
        *last = (*last).max(status.last_used);
    }
}

/// One tunnel, as others may look at it.
#[derive(Clone, Debug, Default)]
pub struct Booked {
    /// What SAs carried that are gone.
    pub before: Carried,
    /// Records of those that are there.
    pub slots: HashSet<u32>,
    /// For `postern keys export`; empty unless it is allowed.
    pub keys: Vec<super::export::EspKeys>,
}

impl Booked {
    /// What it carried until now.
    pub fn carried(&self, region: &sadb::Region) -> Carried {
        let mut sum = self.before;
        self.slots.iter().filter_map(|&slot| region.sa(slot)).for_each(|status| sum.add(&status));
        sum
    }
}

/// Every tunnel that IKE made, by lineage.
#[derive(Clone, Debug, Default)]
pub struct Lineages(Arc<Mutex<BTreeMap<Lineage, Booked>>>);

impl Lineages {
    /// The book.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<Lineage, Booked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A half is found by these: an outbound SPI is the peer's choice and may come twice.
type HalfName = (Direction, u32, Lineage);

#[derive(Debug)]
struct Tunnel {
    number: u32,
    name: Name,
    connection: Arc<str>,
    child: Arc<str>,
    selectors: Vec<Selector>,
    halves: usize,
}

#[derive(Debug)]
struct Place {
    number: u32,
    standing: Standing,
}

/// What IKE has in the data plane.
#[derive(Debug, Default)]
pub struct Halves {
    slots: Slots,
    numbers: Pool,
    installed: HashMap<HalfName, Sa>,
    by_slot: HashMap<u32, HalfName>,
    tunnels: BTreeMap<Lineage, Tunnel>,
    /// Children that are configured, by name.
    standing: BTreeMap<(Arc<str>, Arc<str>), Place>,
    /// Whose tunnels those numbers are.
    owners: HashMap<u32, (Arc<str>, Arc<str>)>,
    /// The configured SPD with the numbers of its tunnels.
    configured: Vec<Policy>,
    lineages: Lineages,
    /// Packets of each inbound half when it was last looked at.
    heard: HashMap<u32, u64>,
    keep_keys: bool,
}

/// Why something could not be done.
enum Trouble {
    Refused(String),
    Lost(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refusal) => Self::Refused(explain(refusal).to_owned()),
            Fault::Lost(why) => Self::Lost(why),
        }
    }
}

impl Halves {
    /// Nothing yet. `slots` is shared with the core's thread, `lineages` with whoever looks.
    pub fn new(slots: Slots, lineages: Lineages) -> Self {
        Self { slots, lineages, ..Self::default() }
    }

    /// What a plan must leave alone, for this configuration. `slots`: how many records there are.
    pub fn beside(&mut self, config: &Config, region: &sadb::Region, slots: u32) -> Beside {
        self.share(region, slots);
        let mut standing = Vec::new();
        for child in config.standing() {
            let key = (Arc::clone(&child.connection), Arc::clone(&child.child));
            let known = self.standing.get(&key).map(|place| place.number);
            let number = known.or_else(|| self.numbers.take()).unwrap_or(u32::MAX);
            self.owners.insert(number, key.clone());
            self.standing.insert(key, Place { number, standing: child.clone() });
            standing.push(number);
        }
        let given = self.slots.lock().given().clone();
        Beside {
            slots: given,
            tunnels: self.numbers.given().clone(),
            standing,
            entries: self.entries(),
        }
    }

    /// Looks which records and tunnels are others'. They count from 0 up, so ours begin far from there.
    pub fn share(&mut self, region: &sadb::Region, slots: u32) {
        let mut pool = self.slots.lock();
        let given = pool.given();
        let others = region.sas().filter(|status| !given.contains(&status.sa.slot));
        let (foreign, manual) = others.map(|status| (status.sa.slot, status.sa.tunnel)).unzip();
        pool.share(slots, foreign, slots / 2);
        self.numbers.share(slots, manual, slots / 2);
    }

    /// The plan is made: records that its steps take are not ours.
    pub fn leave(&self, slots: impl Iterator<Item = u32>) {
        self.slots.lock().add_foreign(slots);
    }

    /// This is configured now. `configured` is its SPD with the numbers of its tunnels.
    pub fn configured(&mut self, config: &Config, configured: Vec<Policy>) {
        let kept: HashSet<_> = config
            .standing()
            .map(|child| (Arc::clone(&child.connection), Arc::clone(&child.child)))
            .collect();
        let gone: Vec<_> =
            self.standing.keys().filter(|key| !kept.contains(*key)).cloned().collect();
        for key in gone {
            if let Some(place) = self.standing.remove(&key) {
                self.numbers.give_back(place.number);
                self.owners.remove(&place.number);
            }
        }
        self.configured = configured;
        self.keep_keys = config.ike.allow_key_export;
        if !self.keep_keys {
            self.lineages.lock().values_mut().for_each(|booked| booked.keys.clear());
        }
    }

    /// Policy entries of what was negotiated, by the standing tunnel before which they belong.
    fn entries(&self) -> Vec<(u32, Vec<Policy>)> {
        let mut by_place: BTreeMap<u32, Vec<Policy>> = BTreeMap::new();
        for tunnel in self.tunnels.values() {
            let key = (Arc::clone(&tunnel.connection), Arc::clone(&tunnel.child));
            let place = self.standing.get(&key).map_or(u32::MAX, |place| place.number);
            let verdict = Verdict::Protect { tunnel: tunnel.number };
            let entries = tunnel.selectors.iter().map(|&selector| Policy {
                name: tunnel.name,
                selector,
                verdict,
            });
            by_place.entry(place).or_default().extend(entries);
        }
        by_place.into_iter().collect()
    }

    /// Does what the core wants, as far as the data plane lets it; what to tell the core. `Err`: the link is lost, and
    /// these are to be told all the same.
    pub fn carry(
        &mut self,
        errands: Vec<Errand>,
        mut link: Option<&mut Link>,
        heard: &mut dyn FnMut(Event),
    ) -> (Vec<Order>, Option<String>) {
        let mut batch = Batch::default();
        for errand in errands {
            let result = match (&mut link, &batch.lost) {
                (Some(link), None) => self.errand(errand, link, heard, &mut batch),
                _ => {
                    self.without(errand, &mut batch);
                    Ok(())
                }
            };
            if let Err(why) = result {
                batch.lost = Some(why);
            }
        }
        if let (Some(link), true, None) = (&mut link, batch.policies, &batch.lost) {
            self.settle(link, heard, &mut batch);
        }
        let done = batch.done.into_iter().map(|(ticket, _)| Order::Installed { ticket });
        let refused = batch.refused.into_iter().map(|(ticket, why)| Order::Refused { ticket, why });
        (refused.chain(done).collect(), batch.lost)
    }

    /// Nothing can be installed without a data plane. What is removed is forgotten: once it is back, SAs that nobody knows
    /// are deleted.
    fn without(&mut self, errand: Errand, batch: &mut Batch) {
        match errand {
            Errand::Install { ticket, .. } => {
                batch.refused.push((
                    ticket,
                    "no data plane is attached; start postern-dataplane".to_owned(),
                ));
            }
            Errand::Remove { direction, spi, lineage } => {
                self.forget((direction, spi, lineage), None);
            }
            Errand::Move { .. } => {}
        }
    }

    fn errand(
        &mut self,
        errand: Errand,
        link: &mut Link,
        heard: &mut dyn FnMut(Event),
        batch: &mut Batch,
    ) -> Result<(), String> {
        match errand {
            Errand::Install { ticket, half } => {
                let name = (half.direction, half.spi, half.lineage);
                match self.install(&half, link, heard, batch) {
                    Ok(()) => batch.done.push((ticket, name)),
                    Err(Trouble::Refused(why)) => batch.refused.push((ticket, why)),
                    Err(Trouble::Lost(why)) => {
                        batch.refused.push((ticket, why.clone()));
                        return Err(why);
                    }
                }
            }
            Errand::Remove { direction, spi, lineage } => {
                return self.remove((direction, spi, lineage), link, heard, batch);
            }
            Errand::Move { direction, spi, lineage, path } => {
                return self.relocate((direction, spi, lineage), path, link, heard);
            }
        }
        Ok(())
    }

    fn install(
        &mut self,
        half: &Half,
        link: &mut Link,
        heard: &mut dyn FnMut(Event),
        batch: &mut Batch,
    ) -> Result<(), Trouble> {
        let refuse = |why: &str| Trouble::Refused(why.to_owned());
        if self.installed.contains_key(&(half.direction, half.spi, half.lineage)) {
            return Err(refuse("the peer gave the SPI of the SA that this one is to replace"));
        }
        let number = match self.tunnels.get(&half.lineage) {
            Some(tunnel) => tunnel.number,
            None => self
                .numbers
                .take()
                .ok_or_else(|| refuse("all tunnels are in use; raise dataplane.sa_slots"))?,
        };
        let slot = match half.direction {
            Direction::Inbound => sadb::sa::slot_of(half.spi),
            Direction::Outbound => self.slots.lock().take(),
        };
        let sent = slot
            .ok_or_else(|| {
                refuse("no free SA slot; raise dataplane.sa_slots and restart postern-dataplane")
            })
            .and_then(|slot| {
                let sa =
                    self.sa(half, slot, number).ok_or_else(|| refuse("its name is too long"))?;
                let keys = SaKeys {
                    encryption: half.keys.encryption.expose().to_vec(),
                    integrity: half.keys.integrity.expose().to_vec(),
                };
                link.request(Verb::Add { sa: Box::new(sa), keys }, heard).map_err(Trouble::from)?;
                Ok(sa)
            });
        let sa = match sent {
            Ok(sa) => sa,
            Err(trouble) => {
                if !self.tunnels.contains_key(&half.lineage) {
                    self.numbers.give_back(number);
                }
                if let (Direction::Outbound, Some(slot)) = (half.direction, slot) {
                    self.slots.lock().give_back(slot);
                }
                return Err(trouble);
            }
        };
        self.enter(half, sa, number, batch);
        Ok(())
    }

    fn enter(&mut self, half: &Half, sa: Sa, number: u32, batch: &mut Batch) {
        let name = (half.direction, half.spi, half.lineage);
        self.owners.insert(number, (Arc::clone(&half.connection), Arc::clone(&half.child)));
        let tunnel = self.tunnels.entry(half.lineage).or_insert_with(|| Tunnel {
            number,
            name: sa.name,
            connection: Arc::clone(&half.connection),
            child: Arc::clone(&half.child),
            selectors: Vec::new(),
            halves: 0,
        });
        tunnel.halves += 1;
        if tunnel.selectors != half.selectors {
            tunnel.selectors.clone_from(&half.selectors);
            batch.policies = true;
        }
        self.installed.insert(name, sa);
        self.by_slot.insert(sa.slot, name);
        let mut book = self.lineages.lock();
        let booked = book.entry(half.lineage).or_default();
        booked.slots.insert(sa.slot);
        if self.keep_keys {
            booked.keys.push(super::export::EspKeys::of(half));
        }
    }

    fn sa(&self, half: &Half, slot: u32, tunnel: u32) -> Option<Sa> {
        let key = (Arc::clone(&half.connection), Arc::clone(&half.child));
        let template = self.standing.get(&key).map(|place| place.standing.template);
        let name = Name::new(&format!("{}/{}", half.connection, half.child))?;
        let inbound = half.direction == Direction::Inbound;
        let window = template
            .map(|template| template.replay_window)
            .filter(|&window| window > 0 || !half.suite.esn);
        let HalfLifetime {
            hard_seconds, soft_bytes, hard_bytes, soft_packets, hard_packets, ..
        } = half.lifetime;
        Some(Sa {
            name,
            slot,
            spi: half.spi,
            tunnel,
            direction: if inbound { sadb::Direction::Inbound } else { sadb::Direction::Outbound },
            encap: encap(half.udp, half.path),
            suite: Suite {
                encryption: half.suite.encryption.0,
                key_bits: half.suite.key_bits,
                integrity: half.suite.integrity.0,
            },
            local: half.path.local.ip(),
            remote: half.path.remote.ip(),
            esn: half.suite.esn,
            replay_window: if inbound { window.unwrap_or(WINDOW) } else { 0 },
            dont_fragment: template.map(|template| template.dont_fragment).unwrap_or_default(),
            dscp: template.map(|template| template.dscp).unwrap_or_default(),
            ecn: template.is_none_or(|template| template.ecn),
            iv_epoch: 0, // a negotiated key is used by one SA, which counts from its first packet
            // Rekeying by the clock is the core's affair; that an SA dies is the data plane's too, should control be gone.
            lifetime: sadb::sa::Lifetime {
                soft_packets,
                hard_packets,
                soft_bytes,
                hard_bytes,
                soft_seconds: 0,
                hard_seconds,
            },
            initial_sequence: 0,
            digest: [0; 16],
        })
    }

    fn remove(
        &mut self,
        name: HalfName,
        link: &mut Link,
        heard: &mut dyn FnMut(Event),
        batch: &mut Batch,
    ) -> Result<(), String> {
        let Some(sa) = self.installed.get(&name).copied() else { return Ok(()) };
        let status = link.region.sa(sa.slot).filter(|status| status.sa.spi == sa.spi);
        let result = link.request(Verb::Delete { slot: sa.slot, spi: sa.spi }, heard);
        batch.policies |= self.forget(name, status.as_ref());
        match result {
            Ok(()) | Err(Fault::Refused(_)) => Ok(()), // gone already is what was asked for
            Err(Fault::Lost(why)) => Err(why),
        }
    }

    /// Takes a half out of the books. True when its tunnel is gone with it.
    fn forget(&mut self, name: HalfName, last: Option<&sadb::SaStatus>) -> bool {
        let Some(sa) = self.installed.remove(&name) else { return false };
        self.by_slot.remove(&sa.slot);
        self.heard.remove(&sa.slot);
        if name.0 == Direction::Outbound {
            self.slots.lock().give_back(sa.slot);
        }
        let mut book = self.lineages.lock();
        if let Some(booked) = book.get_mut(&name.2) {
            booked.slots.remove(&sa.slot);
            if let Some(status) = last {
                booked.before.add(status);
            }
        }
        let Some(tunnel) = self.tunnels.get_mut(&name.2) else { return false };
        tunnel.halves = tunnel.halves.saturating_sub(1);
        if tunnel.halves > 0 {
            return false;
        }
        self.numbers.give_back(tunnel.number);
        self.owners.remove(&tunnel.number);
        self.tunnels.remove(&name.2);
        book.remove(&name.2);
        true
    }

    fn relocate(
        &mut self,
        name: HalfName,
        path: Endpoint,
        link: &mut Link,
        heard: &mut dyn FnMut(Event),
    ) -> Result<(), String> {
        let Some(sa) = self.installed.get_mut(&name) else { return Ok(()) };
        let udp = !matches!(sa.encap, Encap::Raw);
        let moved =
            Sa { local: path.local.ip(), remote: path.remote.ip(), encap: encap(udp, path), ..*sa };
        match link.request(Verb::Update { sa: Box::new(moved) }, heard) {
            Ok(()) => *sa = moved,
            Err(Fault::Refused(refusal)) => {
                tracing::warn!("{} stays where it was: {}", sa.name, explain(refusal));
            }
            Err(Fault::Lost(why)) => return Err(why),
        }
        Ok(())
    }

    /// Puts policy in force that goes with the SAs there are. When the data plane does not take it, what this batch
    /// installed goes again.
    fn settle(&mut self, link: &mut Link, heard: &mut dyn FnMut(Event), batch: &mut Batch) {
        match self.swap(link, heard) {
            Ok(()) => {}
            Err(Trouble::Lost(why)) => batch.lost = Some(why),
            Err(Trouble::Refused(why)) => {
                for (ticket, name) in std::mem::take(&mut batch.done) {
                    if let Err(lost) = self.remove(name, link, heard, &mut Batch::default()) {
                        batch.lost = Some(lost);
                    }
                    batch.refused.push((ticket, why.clone()));
                }
                // Without them it is what was in force before, less what was removed.
                if let (Err(Trouble::Refused(why)), None) = (self.swap(link, heard), &batch.lost) {
                    tracing::error!("policy stays as it was: {why}");
                }
            }
        }
    }

    fn swap(&self, link: &mut Link, heard: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
        let beside = Beside { entries: self.entries(), ..Beside::default() };
        let policies = beside.compose(&self.configured);
        let refused = |error: &dyn std::fmt::Display| Trouble::Refused(error.to_string());
        let (active, now) = link.region.policies().map_err(|error| refused(&error))?;
        if now == policies {
            return Ok(());
        }
        let generation = active + 1;
        link.region.stage_policies(generation, &policies).map_err(|error| refused(&error))?;
        let count = u32::try_from(policies.len()).unwrap_or(u32::MAX);
        link.request(Verb::Policies { generation, count }, heard).map_err(Trouble::from)
    }

    /// What an event of the data plane means to the core.
    pub fn order_of(&self, event: &Event) -> Option<Order> {
        match *event {
            Event::Acquire {
                tunnel,
                source,
                destination,
                protocol,
                source_port,
                destination_port,
            } => {
                let (connection, child) = self.owners.get(&tunnel).cloned()?;
                let ports = matches!(protocol, 6 | 17 | 132 | 136 | 33)
                    .then_some((source_port, destination_port));
                let packet = Some(Packet { source, destination, protocol, ports });
                Some(Order::Acquire { connection, child, packet })
            }
            Event::Expire { slot, spi, hard } => {
                let &(direction, known, lineage) = self.by_slot.get(&slot)?;
                (known == spi).then_some(Order::Expire { direction, spi, lineage, hard })
            }
            _ => None,
        }
    }

    /// Inbound SAs by which packets came since the last look: their peers live.
    pub fn heard(&mut self, region: &sadb::Region) -> Vec<Order> {
        let mut orders = Vec::new();
        for (&slot, &(direction, spi, _)) in &self.by_slot {
            if direction != Direction::Inbound {
                continue;
            }
            let Some(status) = region.sa(slot).filter(|status| status.sa.spi == spi) else {
                continue;
            };
            let before = self.heard.insert(slot, status.packets).unwrap_or(0);
            if status.packets != before {
                orders.push(Order::Heard { spi });
            }
        }
        orders
    }

    /// How many halves stay as they are while this is done to connections.
    pub fn staying(&self, steps: &[StepView]) -> usize {
        let ends = |connection: &str| {
            let is = |step: &&StepView| step.name.as_deref() == Some(connection);
            steps.iter().filter(is).any(|step| step.action != "credentials")
        };
        let stays = |tunnel: &&Tunnel| !ends(&tunnel.connection);
        self.tunnels.values().filter(stays).map(|tunnel| tunnel.halves).sum()
    }

    /// Whether any half is installed.
    pub fn is_empty(&self) -> bool {
        self.installed.is_empty()
    }

    /// Halves that a region does not have: it is another one than they were installed in.
    pub fn missing(&self, region: &sadb::Region) -> Vec<Order> {
        let there = |sa: &Sa| region.sa(sa.slot).is_some_and(|status| status.sa.spi == sa.spi);
        let lost = self.installed.iter().filter(|(_, sa)| !there(sa));
        lost.map(|(&(direction, spi, lineage), _)| Order::Expire {
            direction,
            spi,
            lineage,
            hard: true,
        })
        .collect()
    }
}

/// What came of a batch of errands.
#[derive(Default)]
struct Batch {
    done: Vec<(Ticket, HalfName)>,
    refused: Vec<(Ticket, String)>,
    /// Other policy is wanted.
    policies: bool,
    lost: Option<String>,
}

fn encap(udp: bool, path: Endpoint) -> Encap {
    match udp {
        true => Encap::Udp { local: path.local.port(), remote: path.remote.port() },
        false => Encap::Raw,
    }
}
