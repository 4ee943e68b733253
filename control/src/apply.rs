//! Carrying out a plan over the rings: all of it or nothing. Each step that succeeded knows how to be undone.
use crate::config::{Config, Faulty, SaPlan};
use crate::epochs::{EpochError, Epochs};
use crate::plan::{Fresh, NoSlot, Plan, Step, StepView};
use rustix::event::{PollFd, PollFlags, Timespec};
use sadb::link::{Doorbell, LinkError};
use sadb::{
    Control, Direction, Event, Policy, PushError, Refusal, Region, Request, Sa, SaKeys, SaStatus,
    Verb,
};
use std::time::{Duration, Instant};

/// How long the data plane may take for one request. It does no I/O for any of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a configuration was not applied. Nothing was changed, unless the message says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file is wrong.
    #[error("{0}")]
    Faulty(Faulty),
    /// There is no data plane.
    #[error(
        "postern-dataplane is not attached ({0}); nothing was applied. Start it, then apply again"
    )]
    Away(String),
    /// What differs is fixed while the data plane runs.
    #[error(
        "needs a restart of postern-dataplane: {}. Nothing was applied; restart it and this configuration is taken up",
        .0.join("; ")
    )]
    Restart(Vec<String>),
    /// No slot is free.
    #[error("{0}; nothing was applied")]
    NoSlot(#[from] NoSlot),
    /// No epoch for a manual counter-mode key.
    #[error("{0}; nothing was applied")]
    Epoch(#[from] EpochError),
    /// The data plane said no to one step.
    #[error("postern-dataplane refused \"{step}\": {}{}", explain(*.refusal), rolled_back(.not_undone))]
    Refused {
        /// The step.
        step: Box<StepView>,
        /// Its reason.
        refusal: Refusal,
        /// What could not be put back as it was, with the reason; usually empty.
        not_undone: Vec<String>,
    },
    /// The link broke or the data plane does not answer.
    #[error(
        "{0}; how far it came is unknown. What ran before is restored when postern-dataplane is back"
    )]
    Link(String),
    /// The region is damaged.
    #[error("{0}; nothing was applied. Restart postern-dataplane")]
    Region(#[from] sadb::Corrupt),
}

fn rolled_back(not_undone: &[String]) -> String {
    match not_undone {
        [] => "; everything is as it was before".to_owned(),
        left => format!("; put back as it was, except: {}", left.join("; ")),
    }
}

/// A refusal in words, with what to do.
pub fn explain(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownVerb => {
            "it does not know this request; start both programs from one release"
        }
        Refusal::BadSlot => "it has no such SA slot; restart both programs",
        Refusal::SlotTaken => "the SA's slot is still in use; try again",
        Refusal::SpiInUse => "another SA has this SPI; choose another",
        Refusal::ReservedSpi => "SPIs 0 to 255 are reserved",
        Refusal::UnknownSuite => "it does not run this suite; choose another",
        Refusal::BadKeyLength => "the key's length does not fit the suite",
        Refusal::BadAddresses => "the outer addresses or ports cannot be used together",
        Refusal::BadWindow => "the replay window does not fit; see dataplane.window_max",
        Refusal::NoSuchSa => "there is no such SA",
        Refusal::BadPolicy => "a policy entry is damaged or cannot be used",
        Refusal::UnknownTunnel => "a policy entry names a tunnel that it does not have",
        Refusal::BadSequence => "the first sequence number does not fit the SA",
        Refusal::WeakKey => {
            "the key is one of the few with which its cipher protects hardly anything; make another"
        }
    }
}

/// An attached data plane.
#[derive(Debug)]
pub struct Link {
    /// The region both use.
    pub region: Region,
    control: Control,
    doorbell: Doorbell,
    next: u64,
}

/// Why one request came to nothing.
#[derive(Debug)]
pub enum Fault {
    /// The data plane said no, and changed nothing.
    Refused(Refusal),
    /// It is gone, hangs, or writes nonsense.
    Lost(String),
}
impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        Self::Lost(error.to_string())
    }
}

impl Link {
    /// `None` when control's end of the rings is taken.
    pub fn new(region: Region, doorbell: Doorbell) -> Option<Self> {
        let control = region.control()?;
        Some(Self { region, control, doorbell, next: 1 })
    }

    /// To poll for events and for the end of the data plane.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Takes the events that wait. `Err`: drop the link.
    pub fn hear(&mut self, mut heard: impl FnMut(Event)) -> Result<(), Fault> {
        self.doorbell.drain()?;
        loop {
            match self.control.pop() {
                Ok(None) => return Ok(()),
                Ok(Some(event)) => heard(event),
                Err(sadb::EventError::Corrupt(corrupt)) => {
                    tracing::warn!("an event could not be read: {corrupt}");
                }
                Err(sadb::EventError::PeerLied(lied)) => return Err(Fault::Lost(lied.to_string())),
            }
        }
    }

    /// Sends one request and waits for its answer. Other events that come meanwhile go to `heard`.
    pub fn request(&mut self, verb: Verb, heard: &mut dyn FnMut(Event)) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        let id = self.next;
        self.next += 1;
        let request = Request { id, verb };
        while let Err(error) = self.control.push(&request) {
            match error {
                PushError::Full { .. } => self.wait(deadline)?,
                error => return Err(Fault::Lost(error.to_string())),
            }
        }
        self.doorbell.ring()?;
        loop {
            let mut answer = None;
            self.hear(|event| match event {
                Event::Done { id: done, result } if done == id => answer = Some(result),
                event => heard(event),
            })?;
            match answer {
                Some(Ok(())) => return Ok(()),
                Some(Err(refusal)) => return Err(Fault::Refused(refusal)),
                None => self.wait(deadline)?,
            }
        }
    }

    /// Until the doorbell rings, at most 100 ms; an error past the deadline.
    fn wait(&self, deadline: Instant) -> Result<(), Fault> {
        if Instant::now() >= deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Fault::Lost(format!(
                "postern-dataplane did not answer within {seconds} s"
            )));
        }
        let mut fds = [PollFd::new(&self.doorbell, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
        Ok(())
    }
}

/// How to take back a step.
enum Undo {
    Delete(Sa),
    Update(Sa),
    Policies(Vec<Policy>),
    Restore(SaStatus),
}

/// One attempt at a plan.
pub struct Attempt<'a> {
    /// Where to.
    pub link: &'a mut Link,
    /// Where epochs come from.
    pub epochs: &'a Epochs,
    /// What runs now, as far as it is known: the keys of deleted SAs are taken from it when they must come back.
    pub current: Option<&'a Config>,
    /// Events that come meanwhile.
    pub heard: &'a mut dyn FnMut(Event),
}

impl Attempt<'_> {
    /// Carries out every step, or puts everything back.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn carry_out(&mut self, plan: Plan<'_>) -> Result<(), ApplyError> {
        let mut steps = plan.steps;
        self.take_epochs(&mut steps)?;
        let mut undo = Vec::new();
        for step in steps {
            let view = step.view();
            match self.step(step, &mut undo) {
                Ok(()) => {}
                Err(Fault::Lost(why)) => return Err(ApplyError::Link(why)),
                Err(Fault::Refused(refusal)) => {
                    let not_undone = self.roll_back(undo)?;
                    return Err(ApplyError::Refused { step: Box::new(view), refusal, not_undone });
                }
            }
        }
        Ok(())
    }

    /// Every outbound counter-mode SA gets an epoch of its own, on disk before the first request goes out.
    fn take_epochs(&self, steps: &mut [Step<'_>]) -> Result<(), EpochError> {
        let mut fresh: Vec<&mut Fresh<'_>> = steps
            .iter_mut()
            .filter_map(|step| match step {
                Step::Add(fresh) | Step::Replace(_, fresh) => Some(fresh),
                _ => None,
            })
            .filter(|fresh| epoch_key(fresh.plan).is_some())
            .collect();
        let keys: Vec<_> = fresh.iter().filter_map(|fresh| epoch_key(fresh.plan)).collect();
        let epochs = self.epochs.take(&keys)?;
        fresh.iter_mut().zip(epochs).for_each(|(fresh, epoch)| fresh.sa.iv_epoch = epoch);
        Ok(())
    }

    fn step(&mut self, step: Step<'_>, undo: &mut Vec<Undo>) -> Result<(), Fault> {
        match step {
            Step::Add(fresh) => self.add(fresh.sa, fresh.plan.keys.clone(), undo),
            Step::Replace(old, fresh) => {
                self.delete(old, undo)?;
                self.add(fresh.sa, fresh.plan.keys.clone(), undo)
            }
            Step::Update { old, new } => {
                self.send(Verb::Update { sa: Box::new(new) })?;
                undo.push(Undo::Update(old));
                Ok(())
            }
            Step::Policies(policies) => {
                let old =
                    self.link.region.policies().map(|(_, policies)| policies).unwrap_or_default();
                self.policies(&policies)?;
                undo.push(Undo::Policies(old));
                Ok(())
            }
            Step::Delete(sa) => self.delete(sa, undo),
        }
    }

    fn send(&mut self, verb: Verb) -> Result<(), Fault> {
        self.link.request(verb, self.heard)
    }

    fn add(&mut self, sa: Sa, keys: SaKeys, undo: &mut Vec<Undo>) -> Result<(), Fault> {
        self.send(Verb::Add { sa: Box::new(sa), keys })?;
        undo.push(Undo::Delete(sa));
        Ok(())
    }

    fn delete(&mut self, sa: Sa, undo: &mut Vec<Undo>) -> Result<(), Fault> {
        let status = self.link.region.sa(sa.slot);
        match self.send(Verb::Delete { slot: sa.slot, spi: sa.spi }) {
            // Gone already is what was asked for.
            Ok(()) | Err(Fault::Refused(Refusal::NoSuchSa)) => {}
            Err(fault) => return Err(fault),
        }
        undo.extend(status.map(Undo::Restore));
        Ok(())
    }

    fn policies(&mut self, policies: &[Policy]) -> Result<(), Fault> {
        let lost = |error: &dyn std::fmt::Display| Fault::Lost(error.to_string());
        let (active, _) = self.link.region.policies().map_err(|error| lost(&error))?;
        let generation = active + 1;
        self.link.region.stage_policies(generation, policies).map_err(|error| lost(&error))?;
        let count = u32::try_from(policies.len()).unwrap_or(u32::MAX);
        self.send(Verb::Policies { generation, count })
    }

    /// Takes back what was done, the last step first. Says what could not be put back.
    fn roll_back(&mut self, undo: Vec<Undo>) -> Result<Vec<String>, ApplyError> {
        let mut left = Vec::new();
        for undo in undo.into_iter().rev() {
            let (what, result) = match undo {
                Undo::Delete(sa) => {
                    let verb = Verb::Delete { slot: sa.slot, spi: sa.spi };
                    (format!("{} SPI {:#x} stays", sa.name, sa.spi), self.send(verb))
                }
                Undo::Update(sa) => {
                    let verb = Verb::Update { sa: Box::new(sa) };
                    (format!("{} SPI {:#x} stays changed", sa.name, sa.spi), self.send(verb))
                }
                Undo::Policies(policies) => {
                    ("the policies stay changed".to_owned(), self.policies(&policies))
                }
                Undo::Restore(status) => match self.restoring(&status) {
                    Ok(verb) => (
                        format!("{} SPI {:#x} is gone", status.sa.name, status.sa.spi),
                        self.send(verb),
                    ),
                    Err(why) => {
                        left.push(format!(
                            "{} SPI {:#x} is gone, {why}",
                            status.sa.name, status.sa.spi
                        ));
                        continue;
                    }
                },
            };
            match result {
                Ok(()) => {}
                Err(Fault::Refused(refusal)) => left.push(format!("{what}, {}", explain(refusal))),
                Err(Fault::Lost(why)) => return Err(ApplyError::Link(why)),
            }
        }
        Ok(left)
    }

    /// The request that brings back an SA that was deleted, with its numbers going on and, for counter modes, a new
    /// epoch: the old one was in use.
    fn restoring(&self, status: &SaStatus) -> Result<Verb, String> {
        let same = |plan: &&SaPlan| plan.sa.digest == status.sa.digest;
        let plan = self.current.and_then(|config| config.sas().find(same));
        let plan = plan.ok_or("its keys are not known any more")?;
        let mut sa = Sa { initial_sequence: status.sequence, ..status.sa };
        if let Some(key) = epoch_key(plan) {
            let epochs = self.epochs.take(&[key]).map_err(|error| error.to_string())?;
            sa.iv_epoch = epochs.first().copied().ok_or("it got no epoch")?;
        }
        if sa.direction == Direction::Outbound {
            sa.initial_sequence = crate::plan::beyond(status.sequence, sa.esn);
        }
        Ok(Verb::Add { sa: Box::new(sa), keys: plan.keys.clone() })
    }
}

fn epoch_key(plan: &SaPlan) -> Option<[u8; 32]> {
    plan.counter_key.filter(|_| plan.sa.direction == Direction::Outbound)
}
