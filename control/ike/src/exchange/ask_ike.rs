//! Rekeying the IKE SA, by us (RFC 7296 §1.3.2, §2.8.2, §2.18).
use super::asking::{Asking, Question};
use super::call::first_group;
use super::session;
use crate::Key;
use crate::algorithm::{Group, Secret, Suite};
use crate::channel::Channel;
use crate::env::{Effect, Env};
use crate::event::{Cause, Event};
use crate::ike_sa::{Base, Established, IkeSa, Purpose, State, Task, Times};
use crate::job::{Done, Job};
use crate::message::{Note, Part, Received, protocol};
use crate::proposal::{self, KeyExchange, Kind};
use crate::why::{Reason, Stage};
use std::sync::Arc;
use wire::iana::ike::{KeyExchangeMethod, NotifyType};
use wire::ike::Spi;

/// About how long after a refusal it is tried again, in milliseconds.
const RETRY_MS: u64 = 30_000;
/// The same after a TEMPORARY_FAILURE.
const BUSY_MS: u64 = 1_000;
/// How often another group is tried.
const MAX_TURNS: u32 = 3;

/// An IKE SA that takes the place of this one.
#[derive(Debug)]
pub(crate) struct IkeDraft {
    spi: u64,
    nonce: Vec<u8>,
    group: Group,
    secret: Option<Secret>,
    /// The peer's SPI, the suite and the peer's nonce, once it has answered.
    answer: Option<Answer>,
    rival: Option<IkeRival>,
    turns: u32,
}

/// The peer's SPI, the suite and the peer's nonce.
type Answer = (u64, Suite, Vec<u8>);

/// An IKE SA that the peer made in place of this one at the same time.
#[derive(Clone, Debug)]
pub(crate) struct IkeRival {
    pub(crate) spi: u64,
    pub(crate) lowest_nonce: Vec<u8>,
}

impl Asking {
    /// Whether the IKE SA is being rekeyed by us, as far as the peer can tell.
    pub(crate) fn rekeys_ike(&self) -> bool {
        match self {
            Self::Sent { question, .. } => matches!(**question, Question::Ike(_)),
            Self::AgreeingIke { .. } => true,
            _ => false,
        }
    }
    /// The IKE SA that the peer made while ours is on its way.
    pub(crate) fn ike_rival(&self) -> Option<u64> {
        let draft = match self {
            Self::Sent { question, .. } => match &**question {
                Question::Ike(draft) => draft,
                _ => return None,
            },
            Self::AgreeingIke { draft, .. } => draft,
            _ => return None,
        };
        draft.rival.as_ref().map(|rival| rival.spi)
    }
    /// Whether the peer's answer is here: ours is first.
    pub(crate) fn has_rekeyed_ike(&self) -> bool {
        matches!(self, Self::AgreeingIke { .. })
    }
    /// Whether the IKE SA is being deleted by us.
    pub(crate) fn deletes_ike(&self) -> bool {
        match self {
            Self::Sent { question, .. } => matches!(**question, Question::DeleteIke(_)),
            _ => false,
        }
    }
    /// The peer rekeyed the IKE SA too. Whether our own request is on its way, so that nonces decide.
    pub(crate) fn meet_ike(&mut self, rival: IkeRival) -> bool {
        match self {
            Self::Sent { question, .. } => match &mut **question {
                Question::Ike(draft) => draft.rival = Some(rival),
                _ => return false,
            },
            // Not sent yet: not needed any more.
            Self::GeneratingIke { .. } => {
                *self = Self::Idle;
                return false;
            }
            _ => return false,
        }
        true
    }
}

/// An established IKE SA in place of `old`.
pub(crate) fn successor(
    old: (&Base, &Established),
    (spi, peer_spi): (u64, u64),
    initiator: bool,
    (suite, nonces, shared): (Suite, (Vec<u8>, Vec<u8>), &Key),
    env: &mut Env<'_>,
) -> Box<IkeSa> {
    let (base, established) = old;
    let base = Base {
        spi,
        peer_spi,
        initiator,
        connection: Arc::clone(&base.connection),
        path: base.path,
        nat: base.nat,
        born: env.now,
        purpose: Purpose::default(),
    };
    let spis = base.spis();
    let channel: Channel = established.channel.rekeyed(suite, &nonces, shared, spis, initiator);
    let lowest = nonces.0.min(nonces.1);
    let mut new = Established::on(channel, established.peer.clone(), lowest, &base, env);
    new.times = Times { reauth: established.times.reauth, ..new.times };
    Box::new(IkeSa { base, state: State::Established(Box::new(new)) })
}

impl Established {
    pub(crate) fn rekey_ike(&mut self, base: &Base, env: &mut Env<'_>) {
        if self.successor.is_some() {
            return;
        }
        let Some(group) = first_group(&base.connection.proposals) else { return };
        if self.replying.is_busy() || self.undecided {
            return self.put_later(Task::RekeyIke, BUSY_MS, env);
        }
        let (spi, nonce) = (env.ike_spi(), env.nonce());
        let draft =
            IkeDraft { spi, nonce, group, secret: None, answer: None, rival: None, turns: 0 };
        self.generate_ike(draft, env);
    }

    fn generate_ike(&mut self, draft: IkeDraft, env: &mut Env<'_>) {
        let ticket = env.work(Job::Generate { group: draft.group });
        self.asking = Asking::GeneratingIke { draft: Box::new(draft), ticket };
    }

    pub(crate) fn ike_generated(
        &mut self,
        base: &Base,
        draft: IkeDraft,
        done: Done,
        env: &mut Env<'_>,
    ) {
        let Done::Generated { secret, public } = done else {
            return self.put_later(Task::RekeyIke, BUSY_MS, env);
        };
        if self.successor.is_some() {
            return;
        }
        let parts = [
            Part::offer(protocol::IKE, Spi::Ike(draft.spi), &base.connection.proposals),
            Part::Nonce(draft.nonce.clone()),
            Part::Ke(draft.group.id().0, public),
        ];
        let draft = IkeDraft { secret: Some(secret), ..draft };
        self.ask(base, Question::Ike(Box::new(draft)), &parts, env);
    }

    pub(crate) fn on_ike_answer(
        &mut self,
        base: &Base,
        draft: IkeDraft,
        received: Received,
        env: &mut Env<'_>,
    ) {
        if let Some(error) = received.error() {
            let error = error.clone();
            return self.ike_refused(base, draft, &error, env);
        }
        match ike_answer(base, &draft, received) {
            Ok((answer, public)) => {
                let Some(secret) = draft.secret else { return };
                let ticket = env.work(Job::Agree { secret, public });
                let draft = Box::new(IkeDraft { answer: Some(answer), secret: None, ..draft });
                self.asking = Asking::AgreeingIke { draft, ticket };
            }
            // What the peer has made of it cannot be told; nobody will use it.
            Err(check) => {
                env.fail(base.why(env.now, Stage::RekeyIke, Reason::Malformed).check(check));
                self.put_later(Task::RekeyIke, RETRY_MS, env);
            }
        }
    }

    fn ike_refused(&mut self, base: &Base, draft: IkeDraft, error: &Note, env: &mut Env<'_>) {
        if let Some(rival) = draft.rival {
            return self.bequeath(rival.spi, env); // the peer's is the one that stays (RFC 7296 §2.8.2)
        }
        let wanted = error.number().and_then(|id| Group::negotiate(KeyExchangeMethod(id), None));
        let ours = |group: &Group| {
            let has = |id| {
                base.connection
                    .proposals
                    .iter()
                    .any(|p| p.of(Kind::KeyExchange).any(|t| t.id == id))
            };
            *group != draft.group && has(group.id().0)
        };
        match (error.kind, wanted.filter(ours)) {
            (NotifyType::INVALID_KE_PAYLOAD, Some(group)) if draft.turns < MAX_TURNS => {
                let turns = draft.turns.saturating_add(1);
                self.generate_ike(IkeDraft { group, turns, secret: None, ..draft }, env);
            }
            (NotifyType::TEMPORARY_FAILURE, _) => self.put_later(Task::RekeyIke, BUSY_MS, env),
            (kind, _) => {
                let mut why =
                    base.why(env.now, Stage::RekeyIke, Reason::PeerRefused(kind.to_string()));
                why.offered = base.connection.proposals.iter().map(ToString::to_string).collect();
                env.fail(why);
                self.put_later(Task::RekeyIke, RETRY_MS, env);
            }
        }
    }

    pub(crate) fn ike_agreed(
        &mut self,
        base: &Base,
        draft: IkeDraft,
        done: Done,
        env: &mut Env<'_>,
    ) {
        let (Done::Agreed(shared), Some((peer_spi, suite, nonce))) = (done, draft.answer) else {
            env.fail(
                base.why(env.now, Stage::RekeyIke, Reason::Malformed)
                    .check("the answer's public value is no good"),
            );
            return self.put_later(Task::RekeyIke, RETRY_MS, env);
        };
        let lowest = draft.nonce.clone().min(nonce.clone());
        let made = (suite, (draft.nonce, nonce), &shared);
        let new = successor((base, self), (draft.spi, peer_spi), true, made, env);
        let name = new.base.name();
        env.effect(Effect::Born(new));
        match draft.rival {
            // The one with the lowest of four nonces is closed by who made it (RFC 7296 §2.8.2).
            Some(rival) if lowest < rival.lowest_nonce => {
                env.effect(Effect::Delete { spi: draft.spi, cause: Cause::Redundant });
                self.bequeath(rival.spi, env);
            }
            rival => {
                if let Some(rival) = rival {
                    env.effect(Effect::Outdone { spi: rival.spi });
                }
                env.event(Event::IkeRekeyed { old: base.name(), new: name });
                self.bequeath(draft.spi, env);
                self.put(Task::DeleteIke(Cause::Replaced));
            }
        }
    }
}

/// The peer's SPI, the suite, its nonce and its public value; or what is wrong.
fn ike_answer(
    base: &Base,
    draft: &IkeDraft,
    received: Received,
) -> Result<(Answer, Vec<u8>), String> {
    let offers = received.sa.ok_or("the answer has no SA payload")?;
    let [answer] = offers.as_slice() else {
        return Err("the answer chose not one proposal".to_owned());
    };
    let exchange = KeyExchange::Sent(draft.group.id().0);
    let chosen = proposal::accepts(&base.connection.proposals, answer, exchange)
        .ok_or("the answer chose what we did not offer")?;
    let suite =
        session::suite(&chosen).ok_or("the answer chose algorithms that do not go together")?;
    let Spi::Ike(peer_spi @ 1..) = chosen.spi else {
        return Err("the answer's SPI cannot be one".to_owned());
    };
    let (method, public) = received.ke.ok_or("the answer has no KE payload")?;
    if method != draft.group.id().0 || suite.group() != draft.group {
        return Err("the answer's KE payload is of another method".to_owned());
    }
    let nonce = session::sound_nonce(received.nonce).ok_or("the answer has no sound nonce")?;
    Ok(((peer_spi, suite, nonce), public))
}
