//! What must change so that what runs becomes what is configured. Nothing that stays the same is touched: its SPI,
//! numbers, window and counters go on.
use crate::config::{Config, SaPlan};
use sadb::{Direction, Name, Policy, Sa, SaStatus, Setup, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Sequence numbers left free when an SA goes on under another record: the old one may still send meanwhile.
const CARRY_GAP: u64 = 1 << 16;

/// What the region holds.
#[derive(Debug)]
pub struct Running {
    /// What the data plane was started with.
    pub setup: Setup,
    /// Its SAs.
    pub sas: Vec<SaStatus>,
    /// The active policies, in order.
    pub policies: Vec<Policy>,
    /// Their generation.
    pub generation: u64,
}

impl Running {
    /// Reads the region.
    ///
    /// # Errors
    /// When the setup or the policies are damaged.
    pub fn of(region: &sadb::Region) -> Result<Self, sadb::Corrupt> {
        let (generation, policies) = region.policies()?;
        Ok(Self { setup: region.setup()?, sas: region.sas().collect(), policies, generation })
    }
}

/// One thing to do.
#[derive(Debug)]
pub enum Step<'c> {
    /// A new SA.
    Add(Fresh<'c>),
    /// A new SA whose inbound SPI the old one still has: the old one goes first.
    Replace(Sa, Fresh<'c>),
    /// The same SA, with other limits, peer address, or header rules.
    Update {
        /// As it is.
        old: Sa,
        /// As it will be.
        new: Sa,
    },
    /// Another SPD.
    Policies(Vec<Policy>),
    /// No longer configured.
    Delete(Sa),
}

/// An SA to install.
#[derive(Debug)]
pub struct Fresh<'c> {
    /// As configured.
    pub plan: &'c SaPlan,
    /// The configured SA with slot, tunnel and first number filled in; the epoch is not.
    pub sa: Sa,
}

/// All of it, in order.
#[derive(Debug)]
pub struct Plan<'c> {
    /// Differences that the data plane can only take up when it starts.
    pub restart: Vec<String>,
    /// Adds, then updates, the policies, replacements, deletes.
    pub steps: Vec<Step<'c>>,
    /// SAs that stay as they are.
    pub unchanged: usize,
    /// The configured policies with the numbers of their tunnels, without what IKE negotiated.
    pub configured: Vec<Policy>,
}

/// There is no room for an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no free SA slot for {name}: all {slots} are in use; raise dataplane.sa_slots and restart postern-dataplane"
)]
pub struct NoSlot {
    /// The SA.
    pub name: Name,
    /// How many there are.
    pub slots: u32,
}

/// What IKE has in the data plane beside what is configured: neither its SAs nor its policy entries are the plan's.
#[derive(Debug, Default)]
pub struct Beside {
    /// Records that its SAs have or are about to have.
    pub slots: HashSet<u32>,
    /// Tunnels that it uses.
    pub tunnels: HashSet<u32>,
    /// The tunnel of each child of [`Config::standing`].
    pub standing: Vec<u32>,
    /// Policy entries of what it negotiated, by the standing child before whose own entries they are searched; each child
    /// once.
    pub entries: Vec<(u32, Vec<Policy>)>,
}

impl Beside {
    /// The whole SPD: what was negotiated stands before what stands for a child as long as nothing is.
    pub fn compose(&self, configured: &[Policy]) -> Vec<Policy> {
        let mut left: BTreeMap<u32, &[Policy]> =
            self.entries.iter().map(|(before, entries)| (*before, entries.as_slice())).collect();
        let mut all = Vec::with_capacity(configured.len());
        for policy in configured {
            if let Verdict::Protect { tunnel } = policy.verdict {
                all.extend_from_slice(left.remove(&tunnel).unwrap_or_default());
            }
            all.push(*policy);
        }
        all.extend(left.into_values().flatten());
        all
    }
}

/// What to do. `before` are SAs of a region that is gone: keys that go on with other records take up their numbers.
///
/// # Errors
/// [`NoSlot`].
pub fn plan<'c>(
    config: &'c Config,
    running: &Running,
    before: &[SaStatus],
    beside: &Beside,
) -> Result<Plan<'c>, NoSlot> {
    let own: Vec<SaStatus> = running
        .sas
        .iter()
        .filter(|status| !beside.slots.contains(&status.sa.slot))
        .copied()
        .collect();
    let running = &Running {
        setup: running.setup.clone(),
        sas: own,
        policies: running.policies.clone(),
        generation: running.generation,
    };
    let mut tunnels = tunnel_numbers(config, &running.sas, &beside.tunnels);
    let taken = running.sas.iter().map(|status| status.sa.slot).chain(beside.slots.iter().copied());
    let taken = taken.collect();
    let mut slots = Slots { taken, next: 0, count: running.setup.geometry.sa_slots };
    let mut kept = HashSet::new();
    let (mut adds, mut updates, mut replaces) = (Vec::new(), Vec::new(), Vec::new());
    let mut unchanged = 0;
    for (index, tunnel) in config.tunnels.iter().enumerate() {
        let number = tunnels.get(index).copied().unwrap_or_default();
        for plan in [&tunnel.inbound, &tunnel.outbound] {
            let same = running.sas.iter().find(|status| same_sa(&plan.sa, &status.sa, number));
            if let Some(status) = same {
                kept.insert(status.sa.slot);
                match update(plan, &status.sa) {
                    Some(new) => updates.push(Step::Update { old: status.sa, new }),
                    None => unchanged += 1,
                }
                continue;
            }
            let slot = slots.take().ok_or(NoSlot { name: plan.sa.name, slots: slots.count })?;
            let initial_sequence = carried(plan, running.sas.iter().chain(before));
            let sa = Sa { slot, tunnel: number, initial_sequence, ..plan.sa };
            adds.push(Fresh { plan, sa });
        }
    }
    let mut going: Vec<Sa> =
        running.sas.iter().map(|status| status.sa).filter(|sa| !kept.contains(&sa.slot)).collect();
    let mut steps = Vec::new();
    for fresh in adds {
        let inbound = fresh.sa.direction == Direction::Inbound;
        let clash = going
            .iter()
            .position(|sa| inbound && sa.direction == Direction::Inbound && sa.spi == fresh.sa.spi);
        match clash {
            Some(at) => replaces.push(Step::Replace(going.swap_remove(at), fresh)),
            None => steps.push(Step::Add(fresh)),
        }
    }
    steps.extend(updates);
    tunnels.extend(&beside.standing);
    let configured = numbered(&config.policies, &tunnels);
    let policies = beside.compose(&configured);
    if policies != running.policies {
        steps.push(Step::Policies(policies));
    }
    steps.extend(replaces);
    going.sort_by_key(|sa| sa.slot);
    steps.extend(going.into_iter().map(Step::Delete));
    let restart = restart_reasons(&config.setup, &running.setup);
    Ok(Plan { restart, steps, unchanged, configured })
}

struct Slots {
    taken: HashSet<u32>,
    next: u32,
    count: u32,
}
impl Slots {
    fn take(&mut self) -> Option<u32> {
        let slot = (self.next..self.count).find(|slot| !self.taken.contains(slot))?;
        self.next = slot + 1;
        Some(slot)
    }
}

/// A tunnel keeps its number as long as an SA of its name lives; new ones get free numbers.
fn tunnel_numbers(config: &Config, sas: &[SaStatus], others: &HashSet<u32>) -> Vec<u32> {
    let known: HashMap<Name, u32> =
        sas.iter().map(|status| (status.sa.name, status.sa.tunnel)).collect();
    let mut used: HashSet<u32> = known.values().chain(others).copied().collect();
    let mut free = 0;
    let number = |tunnel: &crate::config::Tunnel| {
        known.get(&tunnel.name).copied().unwrap_or_else(|| {
            while !used.insert(free) {
                free += 1;
            }
            free
        })
    };
    config.tunnels.iter().map(number).collect()
}

/// Keys, suite, ESN, window and our address agree: what differs can be updated in place.
fn same_sa(configured: &Sa, running: &Sa, tunnel: u32) -> bool {
    let identity =
        |sa: &Sa| (sa.name, sa.direction, sa.spi, sa.digest.get(..IDENTITY).map(<[u8]>::to_vec));
    identity(configured) == identity(running) && running.tunnel == tunnel
}

/// Octets of a digest that cover the keys alone.
const KEYS: usize = 5;
/// Octets that cover whatever makes it another SA, keys included.
const IDENTITY: usize = 10;

/// The running SA with what may change in place taken from the configuration; `None` when nothing differs.
fn update(plan: &SaPlan, running: &Sa) -> Option<Sa> {
    let Sa { slot, tunnel, iv_epoch, initial_sequence, .. } = *running;
    let new = Sa { slot, tunnel, iv_epoch, initial_sequence, ..plan.sa };
    (new != *running).then_some(new)
}

/// Where the numbers of this SA's keys stand, if they are in use already: a renamed SA or one of a region that is
/// gone. Its peer would take lower numbers for replays.
fn carried<'s>(plan: &SaPlan, mut sas: impl Iterator<Item = &'s SaStatus>) -> u64 {
    let keys = |sa: &Sa| sa.digest.get(..KEYS).map(<[u8]>::to_vec);
    let same = |sa: &Sa| (sa.direction, keys(sa)) == (plan.sa.direction, keys(&plan.sa));
    let Some(status) = sas.find(|status| same(&status.sa)) else { return 0 };
    match plan.sa.direction {
        Direction::Inbound => status.sequence,
        Direction::Outbound => beyond(status.sequence, plan.sa.esn),
    }
}

/// A number to go on from after `sequence`, in the space that the SA has.
pub fn beyond(sequence: u64, esn: bool) -> u64 {
    let next = sequence.saturating_add(CARRY_GAP);
    if esn { next } else { next.min(u32::MAX.into()) }
}

fn numbered(policies: &[Policy], tunnels: &[u32]) -> Vec<Policy> {
    let number = |policy: &Policy| match policy.verdict {
        Verdict::Protect { tunnel } => {
            let tunnel = tunnels.get(tunnel as usize).copied().unwrap_or(u32::MAX);
            Policy { verdict: Verdict::Protect { tunnel }, ..*policy }
        }
        _ => *policy,
    };
    policies.iter().map(number).collect()
}

/// What differs in the parts that are fixed when the data plane starts.
pub fn restart_reasons(new: &Setup, old: &Setup) -> Vec<String> {
    let mut reasons = Vec::new();
    for interface in &new.interfaces {
        match old.interfaces.iter().find(|known| known.name == interface.name) {
            None => reasons.push(format!("interface {} is new", interface.name)),
            Some(known) if known != interface => {
                reasons.push(format!("interface {} is changed", interface.name))
            }
            Some(_) => {}
        }
    }
    let gone =
        old.interfaces.iter().filter(|known| !new.interfaces.iter().any(|i| i.name == known.name));
    reasons.extend(gone.map(|interface| format!("interface {} is removed", interface.name)));
    if reasons.is_empty() && new.interfaces != old.interfaces {
        reasons.push("the interfaces stand in another order".to_owned());
    }
    let differ = |what: &str, new: &dyn std::fmt::Debug, old: &dyn std::fmt::Debug| {
        let (new, old) = (format!("{new:?}"), format!("{old:?}"));
        (new != old).then(|| format!("{what}: {old} becomes {new}"))
    };
    let (to, from) = (&new.geometry, &old.geometry);
    reasons.extend(differ("workers.cores", &new.cores, &old.cores));
    reasons.extend(differ("workers.idle", &new.idle, &old.idle));
    reasons.extend(differ("dataplane.sa_slots", &to.sa_slots, &from.sa_slots));
    reasons.extend(differ("dataplane.policies", &to.policies, &from.policies));
    reasons.extend(differ("dataplane.window_max", &to.window_max, &from.window_max));
    reasons.extend(differ("dataplane.frames", &new.frames, &old.frames));
    reasons.extend(differ("dataplane.frame_size", &new.frame_size, &old.frame_size));
    reasons.extend(differ("dataplane.tun", &new.tun, &old.tun));
    reasons.extend(differ(
        "dataplane.reassembly_slots",
        &new.reassembly_slots,
        &old.reassembly_slots,
    ));
    reasons.extend(differ("dataplane.reassembly_ms", &new.reassembly_ms, &old.reassembly_ms));
    reasons
}

/// A step as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// `add`, `replace`, `update`, `policies` or `delete`; of negotiated connections `connect`, `reconnect`, `credentials`
    /// or `disconnect`.
    pub action: String,
    /// `connection/child`, or a connection; absent for policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `inbound` or `outbound`; absent for policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Absent for policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spi: Option<u32>,
    /// What changes, in words.
    pub detail: String,
}

impl std::fmt::Display for StepView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.action)?;
        match (&self.name, &self.direction, self.spi) {
            (Some(name), Some(direction), Some(spi)) => {
                write!(f, " {name} {direction} SPI {spi:#x}")?;
            }
            (Some(name), ..) => write!(f, " {name}")?,
            _ => {}
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl Step<'_> {
    /// The record that it needs.
    pub fn takes(&self) -> Option<u32> {
        match self {
            Self::Add(fresh) | Self::Replace(_, fresh) => Some(fresh.sa.slot),
            _ => None,
        }
    }
    /// For people and programs.
    pub fn view(&self) -> StepView {
        let of = |action: &str, sa: &Sa, detail: String| StepView {
            action: action.to_owned(),
            name: Some(sa.name.to_string()),
            direction: Some(direction_name(sa.direction).to_owned()),
            spi: Some(sa.spi),
            detail,
        };
        match self {
            Self::Add(Fresh { sa, .. }) => of("add", sa, String::new()),
            Self::Replace(old, Fresh { sa, .. }) => {
                of("replace", sa, format!("{} with this SPI is deleted first", old.name))
            }
            Self::Update { old, new } => of("update", new, changed(old, new)),
            Self::Delete(sa) => of("delete", sa, String::new()),
            Self::Policies(policies) => StepView {
                action: "policies".to_owned(),
                name: None,
                direction: None,
                spi: None,
                detail: format!("{} entries", policies.len()),
            },
        }
    }
}

/// What becomes of negotiated connections. Those that stay as they are keep their SAs, also with new credentials.
pub fn connections(before: Option<&Config>, after: &Config) -> Vec<StepView> {
    let step = |action: &str, name: &str, detail: &str| StepView {
        action: action.to_owned(),
        name: Some(name.to_owned()),
        direction: None,
        spi: None,
        detail: detail.to_owned(),
    };
    let old = before.map_or(&[][..], |config| &config.negotiated);
    let mut steps = Vec::new();
    for new in &after.negotiated {
        let name = &new.settings.name;
        match old.iter().find(|old| old.settings.name == *name) {
            None => steps.push(step("connect", name, "new")),
            Some(old) if old.settings.digest != new.settings.digest => {
                steps.push(step("reconnect", name, "its SAs are closed and made anew"));
            }
            Some(old) if old.credentials != new.credentials => {
                steps.push(step(
                    "credentials",
                    name,
                    "used at its next authentication; its SAs stay",
                ));
            }
            Some(_) => {}
        }
    }
    let kept = |name: &str| after.negotiated.iter().any(|new| *new.settings.name == *name);
    let gone = old.iter().filter(|old| !kept(&old.settings.name));
    steps.extend(gone.map(|old| step("disconnect", &old.settings.name, "no longer configured")));
    steps
}

/// `inbound` or `outbound`.
pub fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn changed(old: &Sa, new: &Sa) -> String {
    let mut what = Vec::new();
    if old.remote != new.remote {
        what.push(format!("remote {} becomes {}", old.remote, new.remote));
    }
    let rest = [
        ("encap", old.encap != new.encap),
        ("dont_fragment", old.dont_fragment != new.dont_fragment),
        ("dscp", old.dscp != new.dscp),
        ("ecn", old.ecn != new.ecn),
        ("lifetime", old.lifetime != new.lifetime),
    ];
    what.extend(rest.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()));
    what.join(", ")
}
