//! When one peer has two IKE SAs: because both ends began one, because it came back, because the old one is
//! reauthenticated.
use super::{Engine, peer_name};
use crate::action::Action;
use crate::child::Sending;
use crate::event::Cause;
use crate::ike_sa::{IkeSa, Purpose, Task};
use crate::settings::Unique;
use std::sync::Arc;

/// How long the one that must go may wait for its peer to delete it, in milliseconds.
const COURTESY_MS: u64 = 15_000;
/// How long an old one stays after the new one stands, so that no packet meets neither, in milliseconds.
const OVERLAP_MS: u64 = 3_000;
/// After a reauthentication that came to nothing, in milliseconds.
const REAUTH_RETRY_MS: u64 = 30_000;

/// How long one that must go waits for each of its children to send by another IKE SA: how often it is looked, in
/// milliseconds, and how many times.
const PATIENCE: (u64, u32) = (250, 40);
/// How many times when we made the other to replace it: less, so that it is told before the peer's patience ends.
const OWN_PATIENCE: u32 = 20;

/// Why an IKE SA must go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doom {
    cause: Cause,
    /// The one that was made to replace it. Should that have no children, it goes instead.
    by: Option<u64>,
    /// How often it was looked whether it may go.
    looks: u32,
}

/// What two IKE SAs are compared by.
struct Facts {
    spi: u64,
    initiator: bool,
    born: u64,
    since: u64,
    lowest_nonce: Vec<u8>,
}

impl Facts {
    fn of(sa: &IkeSa) -> Option<Self> {
        let established = sa.established()?;
        let (base, since) = (&sa.base, established.since);
        let lowest_nonce = established.lowest_nonce.clone();
        Some(Self {
            spi: base.spi,
            initiator: base.initiator,
            born: base.born,
            since,
            lowest_nonce,
        })
    }
    /// Each was begun before the other stood: nobody meant there to be two. Which of them stood first may look different
    /// from the other end, so it must not count.
    fn crosses(&self, other: &Self) -> bool {
        self.born <= other.since && other.born <= self.since
    }
}

impl Engine {
    /// An IKE SA is authenticated. Which of those with the same peer shall stay?
    pub(super) fn established(&mut self, spi: u64, now: u64) {
        let Some(sa) = self.sas.get(&spi) else { return };
        self.wanted.attempt_done(&sa.base.connection.name, spi);
        let (unique, replaces) = (sa.base.connection.unique, sa.base.purpose.replaces);
        let (Some(new), Some(name)) = (Facts::of(sa), peer_name(sa)) else { return };
        if unique == Unique::Never {
            return;
        }
        let known = self.peers.get(&name).cloned().unwrap_or_default();
        for other in known.into_iter().filter(|other| *other != spi && Some(*other) != replaces) {
            let Some(old) = self.sas.get(&other).and_then(Facts::of).filter(|_| self.stands(other))
            else {
                continue;
            };
            self.rank(&new, &old, unique, now);
        }
    }

    fn rank(&mut self, new: &Facts, old: &Facts, unique: Unique, now: u64) {
        if new.crosses(old) {
            // As for simultaneous rekeys: the one with the lowest nonce is closed by who made it (RFC 7296 §2.8).
            let loser = if new.lowest_nonce < old.lowest_nonce { new } else { old };
            let wait = if loser.initiator { 0 } else { COURTESY_MS };
            self.doom(loser.spi, wait, (Cause::Redundant, None), now);
        } else if unique == Unique::Replace {
            self.doom(old.spi, OVERLAP_MS, (Cause::Replaced, None), now);
        }
    }

    /// The peer's lost.
    pub(super) fn outdone(&mut self, spi: u64, now: u64) {
        self.doom(spi, COURTESY_MS, (Cause::Redundant, None), now);
    }

    fn doom(&mut self, spi: u64, wait: u64, (cause, by): (Cause, Option<u64>), now: u64) {
        self.doomed.insert((now.saturating_add(wait), spi), Doom { cause, by, looks: 0 });
    }

    /// The peer has no other IKE SA with us: it has lost those from before this one was begun (RFC 7296 §2.4).
    pub(super) fn initial_contact(&mut self, spi: u64, now: u64, out: &mut Vec<Action>) {
        let Some(sa) = self.sas.get(&spi) else { return };
        let (born, Some(name)) = (sa.base.born, peer_name(sa)) else { return };
        if sa.base.connection.unique == Unique::Never {
            return; // others may go by the same name
        }
        let lost = self.peers.get(&name).cloned().unwrap_or_default();
        let before = |other: &u64| {
            let since = self
                .sas
                .get(other)
                .and_then(IkeSa::established)
                .map(|established| established.since);
            *other != spi && since.is_some_and(|since| since < born)
        };
        let lost: Vec<u64> = lost.into_iter().filter(before).collect();
        for other in lost {
            self.with(other, now, out, |sa, env| sa.vanish(Cause::Peer, env));
        }
    }

    /// Deletes those whose time has come: the doomed, and those whose successor has all that it needs.
    pub(super) fn execute_doomed(&mut self, now: u64, out: &mut Vec<Action>) {
        while let Some(entry) = self.doomed.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, spi), doom) = entry.remove_entry();
            if !self.stands(spi) || !self.has_better(spi) {
                continue;
            }
            match (self.is_relieved(spi), doom.by) {
                (true, _) => self.execute(spi, doom.cause, now, out),
                (false, by) if doom.looks < by.map_or(PATIENCE.1, |_| OWN_PATIENCE) => {
                    let looks = doom.looks.saturating_add(1);
                    self.doomed
                        .insert((now.saturating_add(PATIENCE.0), spi), Doom { looks, ..doom });
                }
                // Nothing came of the reauthentication, so the old one stays.
                (false, Some(new)) if self.stands(new) => {
                    self.task(new, Task::DeleteIke(Cause::Failed), now, out);
                }
                (false, _) => self.execute(spi, doom.cause, now, out),
            }
        }
    }

    fn execute(&mut self, spi: u64, cause: Cause, now: u64, out: &mut Vec<Action>) {
        let unused = |sa: &IkeSa| {
            let established = sa.established();
            !sa.base.initiator
                && established.is_some_and(|own| own.is_idle() && own.children.is_empty())
        };
        match cause {
            // Its peer may never have known that it came to be.
            Cause::Redundant if self.sas.get(&spi).is_some_and(unused) => {
                self.with(spi, now, out, |sa, env| sa.vanish(cause, env));
            }
            _ => {
                self.give_way(spi, now, out);
                self.task(spi, Task::DeleteIke(cause), now, out);
            }
        }
    }

    /// What was to be done about an IKE SA is to be done about its successor.
    pub(super) fn inherit_doom(&mut self, from: u64, to: u64) {
        let planned = self.doomed.iter().find(|((_, spi), _)| *spi == from);
        if let Some((&(at, _), &doom)) = planned {
            self.doomed.remove(&(at, from));
            self.doomed.insert((at, to), doom);
        }
    }

    /// Whether its peer has another IKE SA that is not about to go as well: the last one stays, whatever was planned.
    fn has_better(&self, spi: u64) -> bool {
        let Some(name) = self.sas.get(&spi).and_then(peer_name) else { return false };
        let others = self.peers.get(&name).into_iter().flatten();
        others.copied().any(|other| other != spi && self.stays(other))
    }

    /// It stands, and nothing is planned against it.
    fn stays(&self, spi: u64) -> bool {
        self.stands(spi) && !self.doomed.keys().any(|(_, doomed)| *doomed == spi)
    }

    /// Whether all that an IKE SA carries could be carried by others of its peer that stay: their children send, so both
    /// ends have them.
    fn is_relieved(&self, spi: u64) -> bool {
        let Some(name) = self.sas.get(&spi).and_then(peer_name) else { return true };
        let children = |spi: &u64| {
            let own = self.sas.get(spi).and_then(IkeSa::established);
            own.map_or(&[][..], |own| &own.children)
        };
        let others = self.peers.get(&name).into_iter().flatten();
        let others: Vec<_> = others
            .filter(|other| **other != spi && self.stays(**other))
            .flat_map(children)
            .collect();
        children(&spi).iter().filter(|child| child.lives()).all(|child| {
            others.iter().any(|other| {
                other.settings.name == child.settings.name
                    && other.lives()
                    && matches!(other.sending, Sending::Ready)
            })
        })
    }

    /// A new IKE SA with all that this one has, before it is broken (RFC 7296 §2.8.3, RFC 4478).
    pub(super) fn reauthenticate(&mut self, spi: u64, now: u64, out: &mut Vec<Action>) {
        let Some(sa) = self.sas.get(&spi).filter(|_| self.stands(spi)) else { return };
        let Some(established) = sa.established() else { return };
        let connection = Arc::clone(&sa.base.connection);
        // Also those that are being made, here or by another IKE SA that it takes the place of.
        let wanted = connection
            .children
            .iter()
            .filter(|child| established.has_child(&child.name) || self.has(&connection, child));
        let children = wanted.map(|child| (Arc::clone(&child.name), None)).collect();
        let purpose = Purpose { children, replaces: Some(spi), initial_contact: false };
        let replaces = |other: &u64| self.sas.get(other).and_then(|sa| sa.base.purpose.replaces);
        let begun = self.of_connection(&connection.name).any(|other| replaces(&other) == Some(spi));
        if connection.ends().is_some() && !begun && self.stays(spi) {
            self.begin(&connection, purpose, now, out);
        }
        // In case that nothing comes of it.
        if let Some(established) = self.sas.get_mut(&spi).and_then(IkeSa::established_mut) {
            established.times.reauth = Some(now.saturating_add(REAUTH_RETRY_MS));
        }
        self.with(spi, now, out, IkeSa::proceed);
    }

    /// A successor stands and has made all its children: the old one may go.
    pub(super) fn succeeded(&mut self, spi: u64, now: u64) {
        let Some(sa) = self.sas.get_mut(&spi) else { return };
        let ready = sa.established().is_some_and(|established| established.is_idle());
        if let Some(old) = sa.base.purpose.replaces.take_if(|_| ready) {
            self.doom(old, 0, (Cause::Replaced, Some(spi)), now);
        }
    }
}
