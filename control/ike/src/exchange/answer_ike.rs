//! Rekeying the IKE SA, by the peer (RFC 7296 §1.3.2, §2.8.2, §2.18, §2.25.2).
use super::answer_child::Replying;
use super::ask_ike::{IkeRival, successor};
use super::session;
use crate::algorithm::Suite;
use crate::env::{Effect, Env};
use crate::event::Event;
use crate::ike_sa::{Base, Established};
use crate::job::{Done, Job};
use crate::message::{Part, Received, protocol};
use crate::proposal::{self, Chosen, KeyExchange};
use crate::why::{Reason, Stage};
use wire::iana::ike::{ExchangeType, NotifyType};
use wire::ike::Spi;

const EXCHANGE: ExchangeType = ExchangeType::CREATE_CHILD_SA;

/// An IKE SA that the peer asks for in place of this one.
#[derive(Debug)]
pub(crate) struct IkePlan {
    chosen: Chosen,
    suite: Suite,
    peer_spi: u64,
    /// Initiator's and responder's.
    nonces: (Vec<u8>, Vec<u8>),
}

impl Established {
    pub(crate) fn on_rekey_ike(&mut self, base: &Base, received: Received, env: &mut Env<'_>) {
        let busy = self.successor.is_some()
            || self.undecided
            || self.asking.touches_children()
            || self.asking.deletes_ike()
            || self.asking.has_rekeyed_ike()
            || self.asking.ike_rival().is_some();
        if busy {
            return self.reply(EXCHANGE, &[Part::note(NotifyType::TEMPORARY_FAILURE, [])], env);
        }
        match plan(base, received, env) {
            Ok((plan, public)) => {
                let ticket = env.work(Job::Exchange { group: plan.suite.group(), public });
                self.replying = Replying::AgreeingIke { plan: Box::new(plan), ticket };
            }
            Err(part) => self.reply(EXCHANGE, &[part], env),
        }
    }

    pub(crate) fn rekeyed_by_peer(
        &mut self,
        base: &Base,
        plan: IkePlan,
        done: Done,
        env: &mut Env<'_>,
    ) {
        let (public, shared) = match done {
            Done::Exchanged(Some(exchanged)) => exchanged,
            Done::Exchanged(None) => {
                env.fail(
                    base.why(env.now, Stage::RekeyIke, Reason::Malformed)
                        .check("the peer's public value is no good"),
                );
                return self.reply(EXCHANGE, &[Part::note(NotifyType::INVALID_SYNTAX, [])], env);
            }
            _ => {
                return self.reply(EXCHANGE, &[Part::note(NotifyType::TEMPORARY_FAILURE, [])], env);
            }
        };
        if self.asking.has_rekeyed_ike()
            || self.asking.ike_rival().is_some()
            || self.successor.is_some()
        {
            return self.reply(EXCHANGE, &[Part::note(NotifyType::TEMPORARY_FAILURE, [])], env);
        }
        let spi = env.ike_spi();
        let lowest_nonce = plan.nonces.0.clone().min(plan.nonces.1.clone());
        let (method, own_nonce) = (plan.suite.group().id().0, plan.nonces.1.clone());
        let made = (plan.suite, plan.nonces, &shared);
        let mut new = successor((base, self), (spi, plan.peer_spi), false, made, env);
        let parts = [
            Part::choice(protocol::IKE, Spi::Ike(spi), plan.chosen.number, plan.chosen.proposal),
            Part::Nonce(own_nonce),
            Part::Ke(method, public),
        ];
        self.reply(EXCHANGE, &parts, env);
        env.event(Event::IkeRekeyed { old: base.name(), new: new.base.name() });
        // While ours is on its way as well, everything stays here until it is known which of both stays.
        let undecided = self.asking.meet_ike(IkeRival { spi, lowest_nonce });
        if let Some(new) = new.established_mut() {
            new.undecided = undecided;
        }
        env.effect(Effect::Born(new));
        if !undecided {
            self.bequeath(spi, env);
        }
    }
}

fn plan(base: &Base, received: Received, env: &mut Env<'_>) -> Result<(IkePlan, Vec<u8>), Part> {
    let syntax = || Part::note(NotifyType::INVALID_SYNTAX, []);
    let peer = session::sound_nonce(received.nonce).ok_or_else(syntax)?;
    let (method, public) = received.ke.ok_or_else(syntax)?;
    let offers = received.sa.unwrap_or_default();
    let (name, ours) = (&base.connection.name, &base.connection.proposals);
    let chosen = proposal::choose(name, ours, &offers, protocol::IKE, KeyExchange::Sent(method));
    let chosen = chosen.map_err(|candidates| {
        let mut why = base.why(env.now, Stage::RekeyIke, Reason::NoProposalChosen);
        why.offered = offers.iter().map(|offer| offer.proposal.to_string()).collect();
        why.candidates = candidates;
        env.fail(why);
        Part::note(NotifyType::NO_PROPOSAL_CHOSEN, [])
    })?;
    let suite =
        session::suite(&chosen).ok_or_else(|| Part::note(NotifyType::NO_PROPOSAL_CHOSEN, []))?;
    let wanted = suite.group().id().0;
    if wanted != method {
        return Err(Part::note(NotifyType::INVALID_KE_PAYLOAD, wanted.to_be_bytes()));
    }
    let Spi::Ike(peer_spi @ 1..) = chosen.spi else { return Err(syntax()) };
    Ok((IkePlan { chosen, suite, peer_spi, nonces: (peer, env.nonce()) }, public))
}
