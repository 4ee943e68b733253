//! Handshakes per second and core: peers in small groups, each with a fresh engine at either end in every round.
use super::party::{Jobs, Party, converse};
use super::sites::{Proof, Sites, alone};
use super::{Failed, Tell, cpu};
use crate::figures::{Spread, rounded};
use ike::algorithm::Group;
use ike::settings::Settings;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Peers that connect at the same time: fewer than those above which a gateway asks for cookies.
const ABREAST: usize = 32;

/// What a case is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds; cases take turns in them.
    pub rounds: usize,
    /// Handshakes of a case in each.
    pub handshakes: usize,
}

/// One case and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// How both ends proved who they are.
    pub proof: String,
    /// The key exchange.
    pub group: String,
    /// Handshakes in all rounds.
    pub handshakes: usize,
    /// Per second and core: the one that answers.
    pub responder_per_second: f64,
    /// The one that calls.
    pub initiator_per_second: f64,
    /// Both ends on one core.
    pub both_per_second: f64,
    /// Processor time of a handshake at the end that answers, in microseconds, over the rounds.
    pub responder_us: Spread,
    /// At the end that calls.
    pub initiator_us: Spread,
    /// Of the responder's, what is in jobs that the product gives to its pool, median.
    pub responder_jobs_us: f64,
    /// And what is left for the engine's one thread, median.
    pub responder_engine_us: f64,
    /// Jobs of a handshake at the end that answers.
    pub responder_jobs: f64,
    /// Datagrams of a handshake, both ways, and their octets.
    pub datagrams: f64,
    /// UDP payload of them.
    pub octets: f64,
}

struct Case {
    sites: Sites,
    gateway: Arc<Settings>,
    peers: Arc<Settings>,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    handshakes: usize,
    initiator: Duration,
    responder: Duration,
    jobs: Jobs,
    datagrams: usize,
    octets: usize,
}

/// Runs every case in every round, another one first each time.
///
/// # Errors
/// [`Failed`]: a handshake that failed.
pub fn run(plan: Plan, cases: &[(Proof, Group)], tell: Tell<'_>) -> Result<Vec<Rate>, Failed> {
    let build = |&(proof, group): &(Proof, Group)| {
        let sites = Sites::new(proof, group)?;
        let (gateway, peers) = (alone(sites.gateway()?), sites.peers(0, plan.handshakes)?);
        Ok(Case { sites, gateway, peers: Arc::new(peers), rounds: Vec::new() })
    };
    let mut all = cases.iter().map(build).collect::<Result<Vec<Case>, Failed>>()?;
    for round in 0..plan.rounds {
        let count = all.len().max(1);
        for turn in 0..all.len() {
            if let Some(case) = all.get_mut((round + turn) % count) {
                case.rounds.push(one_round(case, plan.handshakes)?);
            }
        }
        tell(format!("round {} of {} done", round + 1, plan.rounds));
    }
    Ok(all.iter().map(Case::rate).collect())
}

fn one_round(case: &Case, handshakes: usize) -> Result<Round, Failed> {
    let (mut caller, mut called) = (Party::new(&case.peers), Party::new(&case.gateway));
    let mut round = Round { handshakes, ..Round::default() };
    for names in Sites::names(handshakes).chunks(ABREAST) {
        round.initiator += cpu::spent(|| caller.call(1, names)).0;
        while !caller.sent.is_empty() || !called.sent.is_empty() {
            round.carry(&caller);
            let request = std::mem::take(&mut caller.sent);
            round.responder += cpu::spent(|| called.hear(1, &request)).0;
            round.carry(&called);
            let answer = std::mem::take(&mut called.sent);
            round.initiator += cpu::spent(|| caller.hear(1, &answer)).0;
        }
    }
    round.jobs = called.jobs;
    established(&case.sites, &caller, &called, handshakes)?;
    Ok(round)
}

impl Round {
    fn carry(&mut self, from: &Party) {
        self.datagrams += from.sent.len();
        self.octets += from.sent.iter().map(|(_, octets)| octets.len()).sum::<usize>();
    }
    fn each(&self, duration: Duration) -> f64 {
        duration.as_secs_f64() * 1e6 / self.handshakes.max(1) as f64
    }
}

/// Both ends must say that so many stand: a handshake that failed is no measurement.
///
/// # Errors
/// [`Failed::NotEstablished`] with the last reason.
pub fn established(
    sites: &Sites,
    caller: &Party,
    called: &Party,
    wanted: usize,
) -> Result<(), Failed> {
    let of = |party: &Party| party.tally.ike_up.min(party.tally.child_up.0);
    let up = of(caller).min(of(called));
    let why = || caller.tally.why.clone().or_else(|| called.tally.why.clone());
    match up == wanted {
        true => Ok(()),
        false => Err(Failed::NotEstablished {
            proof: sites.proof(),
            group: sites.group().to_string(),
            up,
            wanted,
            why: why().unwrap_or_else(|| "nobody says why".to_owned()),
        }),
    }
}

/// Converses at time `now`.
///
/// # Errors
/// As [`established`].
pub fn connect(
    sites: &Sites,
    names: &[Arc<str>],
    caller: &mut Party,
    called: &mut Party,
    now: u64,
) -> Result<(), Failed> {
    let before = called.tally.ike_up;
    for names in names.chunks(ABREAST) {
        caller.call(now, names);
        converse(now, caller, called);
    }
    match called.tally.ike_up == before + names.len() {
        true => Ok(()),
        false => established(sites, caller, called, before + names.len()),
    }
}

impl Case {
    fn rate(&self) -> Rate {
        let of = |what: &dyn Fn(&Round) -> f64| -> Spread {
            spread(&self.rounds.iter().map(what).collect::<Vec<_>>())
        };
        let responder = of(&|round| round.each(round.responder));
        let initiator = of(&|round| round.each(round.initiator));
        let jobs = of(&|round| round.each(round.jobs.spent)).median;
        let count = self.rounds.iter().map(|round| round.handshakes).sum::<usize>();
        let mean = |what: &dyn Fn(&Round) -> usize| {
            rounded(self.rounds.iter().map(what).sum::<usize>() as f64 / count.max(1) as f64, 2)
        };
        let per_second = |microseconds: f64| rounded(1e6 / microseconds, 0);
        Rate {
            proof: self.sites.proof().name().to_owned(),
            group: self.sites.group().to_string(),
            handshakes: count,
            responder_per_second: per_second(responder.median),
            initiator_per_second: per_second(initiator.median),
            both_per_second: per_second(responder.median + initiator.median),
            responder_us: responder,
            initiator_us: initiator,
            responder_jobs_us: jobs,
            responder_engine_us: rounded(responder.median - jobs, 1),
            responder_jobs: mean(&|round| usize::try_from(round.jobs.count).unwrap_or_default()),
            datagrams: mean(&|round| round.datagrams),
            octets: mean(&|round| round.octets),
        }
    }
}

/// Median and outer tenths, rounded.
pub fn spread(each: &[f64]) -> Spread {
    let Spread { median, p10, p90 } = Spread::of(each);
    Spread { median: rounded(median, 1), p10: rounded(p10, 1), p90: rounded(p90, 1) }
}
