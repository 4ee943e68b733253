//! INFORMATIONAL (RFC 7296 §1.4, §1.4.1): deletes, errors, and the question whether anybody is there.
use super::asking::{Asking, Question};
use crate::child::{Child, Fate};
use crate::env::Env;
use crate::event::Cause;
use crate::ike_sa::{Base, Established};
use crate::message::{Part, Received, protocol};
use crate::why::{Reason, Stage};
use wire::iana::ike::{ExchangeType, NotifyType};

const EXCHANGE: ExchangeType = ExchangeType::INFORMATIONAL;
/// Deletes that are remembered for Child SAs which are still elsewhere.
const MOST_EARLY: usize = 1024;

impl Established {
    pub(crate) fn on_informational(&mut self, base: &Base, received: Received, env: &mut Env<'_>) {
        if received.deletes.iter().any(|(kind, _)| *kind == protocol::IKE) {
            return self.on_delete_ike(env);
        }
        if received.has(NotifyType::AUTHENTICATION_FAILED) {
            return self.on_not_believed(base, env);
        }
        let asked = received.deletes.iter().filter(|(kind, _)| *kind == protocol::ESP);
        let mut deleted = Vec::new();
        for outbound in asked.flat_map(|(_, spis)| spis) {
            let ours = self.on_delete_child(base, *outbound, env);
            let early = ours.is_none() && (self.undecided || self.asking.is_behind());
            self.deleted_early.extend(early.then_some(*outbound));
            self.deleted_early.truncate(MOST_EARLY);
            deleted.extend(ours);
        }
        let parts = if deleted.is_empty() { Vec::new() } else { vec![Part::DeleteEsp(deleted)] };
        self.reply(EXCHANGE, &parts, env);
    }

    /// Child SAs that the peer deleted here while they were still elsewhere, or still being made.
    pub(crate) fn delete_late(&mut self, base: &Base, env: &mut Env<'_>) {
        if !self.undecided && !self.asking.is_behind() {
            for outbound in std::mem::take(&mut self.deleted_early) {
                self.on_delete_child(base, outbound, env);
            }
        }
    }

    /// The IKE SA ends, and our own wish that it should, or should be rekeyed, with it (RFC 7296 §2.25.2).
    fn on_delete_ike(&mut self, env: &mut Env<'_>) {
        self.reply(EXCHANGE, &[], env);
        let ours = match &self.asking {
            Asking::Sent { question, .. } => match **question {
                Question::DeleteIke(cause) => Some(cause),
                _ => None,
            },
            _ => None,
        };
        // The peer did not see that we were rekeying too: what it made is what stays.
        if let Some(rival) = self.asking.ike_rival() {
            self.bequeath(rival, env);
        }
        self.end = Some(ours.unwrap_or(Cause::Peer));
    }

    /// The peer found our proof wrong after we believed that all was well (RFC 7296 §2.21.2).
    fn on_not_believed(&mut self, base: &Base, env: &mut Env<'_>) {
        let reason = Reason::PeerRefused(NotifyType::AUTHENTICATION_FAILED.to_string());
        env.fail(
            base.why(env.now, Stage::Auth, reason)
                .check("the peer does not accept our identity or our proof"),
        );
        self.reply(EXCHANGE, &[], env);
        self.end = Some(Cause::Failed);
    }

    /// The peer deletes the child that it receives by `outbound`. What comes back is our inbound SPI, for the answer;
    /// nothing when it is gone, or when we are deleting it ourselves (RFC 7296 §1.4.1, §2.25.1).
    fn on_delete_child(&mut self, base: &Base, outbound: u32, env: &mut Env<'_>) -> Option<u32> {
        let at = self.children.iter().position(|child| child.outbound == outbound)?;
        let ours = self.children.get(at).is_some_and(|child| self.asking.deletes(child.inbound));
        let inbound = self.children.get(at)?.inbound;
        if self.asking.succeeds(inbound) {
            return self.leave(inbound);
        }
        let mut child = self.children.remove(at);
        let cause = match child.fate {
            Fate::Lives if child.replaces.is_some_and(|old| self.reinstate(old, inbound)) => {
                Cause::Redundant
            }
            Fate::Lives => Cause::Peer,
            Fate::Replaced(_) | Fate::Left => Cause::Replaced,
            Fate::Closing(cause) => cause,
        };
        // The new one sends before the old one is taken out.
        self.promote(&mut child, env);
        child.remove(base, cause, env);
        (!ours).then_some(inbound)
    }

    /// Ours has an answer, and will take its place in a moment.
    fn leave(&mut self, inbound: u32) -> Option<u32> {
        let child = self.child(inbound)?;
        let first = std::mem::replace(&mut child.fate, Fate::Left) != Fate::Left;
        first.then_some(inbound)
    }

    /// The peer's successor of `old` lost against ours, which is on its way: `old` is as it was.
    pub(crate) fn reinstate(&mut self, old: u32, by: u32) -> bool {
        let replaced =
            |child: &&mut Child| child.inbound == old && child.fate == Fate::Replaced(by);
        let old = self.children.iter_mut().find(replaced);
        old.map(|old| old.fate = Fate::Lives).is_some()
    }

    /// Asks the peer to let go of Child SAs. It may know one that did not come to be on our side.
    pub(crate) fn delete_children(
        &mut self,
        base: &Base,
        inbound: Vec<u32>,
        cause: Cause,
        env: &mut Env<'_>,
    ) {
        if self.successor.is_some() {
            return;
        }
        for child in self.children.iter_mut().filter(|child| inbound.contains(&child.inbound)) {
            child.fate = match child.fate {
                Fate::Lives => Fate::Closing(cause),
                known => known,
            };
        }
        let parts = [Part::DeleteEsp(inbound.clone())];
        self.ask(base, Question::DeleteChildren(inbound, cause), &parts, env);
    }

    /// The peer has let go of them.
    pub(crate) fn on_deleted(
        &mut self,
        base: &Base,
        inbound: &[u32],
        cause: Cause,
        env: &mut Env<'_>,
    ) {
        let gone: Vec<Child> =
            self.children.extract_if(.., |child| inbound.contains(&child.inbound)).collect();
        for mut child in gone {
            self.promote(&mut child, env);
            let replaced = matches!(child.fate, Fate::Replaced(_) | Fate::Left);
            let cause = match cause {
                Cause::Expired if replaced => Cause::Replaced,
                cause => cause,
            };
            child.remove(base, cause, env);
        }
    }
}
