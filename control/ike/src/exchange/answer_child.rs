//! A Child SA that the peer asks for: in IKE_AUTH, and by CREATE_CHILD_SA (RFC 7296 §1.3.1, §1.3.3, §2.25).
use super::answer_ike::IkePlan;
use super::asking::{Rival, abandon_fresh};
use super::choose_child::Denied;
use crate::Key;
use crate::action::{Direction, Ticket};
use crate::algorithm::Group;
use crate::child::{self, Agreed, Child, Fate, Fresh, Sending};
use crate::env::{Effect, Env};
use crate::ike_sa::{Base, Established, Task};
use crate::job::{Done, Job};
use crate::message::{Part, Received, protocol};
use crate::proposal::{Chosen, KeyExchange, Offer};
use crate::why::{Reason, Stage};
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType};
use wire::ike::Spi;

/// How long the old SA goes on sending after the peer rekeyed, if the peer does not delete it, in milliseconds.
const SWAP_MS: u64 = 5_000;
/// The same for a child of an IKE SA that may take the place of another, in milliseconds.
const KIN_MS: u64 = 2_000;
/// After a rekey of the peer came to nothing, ours is tried, in milliseconds.
const RETRY_MS: u64 = 10_000;

/// What is being done to answer the peer's request. While it is, the request's repetitions are not answered.
#[derive(Debug)]
pub(crate) enum Replying {
    Idle,
    /// A key exchange is in the pool.
    Agreeing {
        plan: Box<Plan>,
        ticket: Ticket,
    },
    /// A half is on its way into the data plane.
    Installing {
        fresh: Box<Fresh>,
        reply: Reply,
        half: Direction,
        ticket: Ticket,
    },
    /// A key exchange for an IKE SA is in the pool.
    AgreeingIke {
        plan: Box<IkePlan>,
        ticket: Ticket,
    },
}

/// The answer, but for what fails on the way.
#[derive(Debug)]
pub(crate) struct Reply {
    exchange: ExchangeType,
    /// IDr and AUTH, when it is IKE_AUTH: what is said whatever becomes of the child.
    before: Vec<Part>,
    parts: Vec<Part>,
    /// Ours won against it meanwhile: its inbound SPI.
    outdone: Option<u32>,
}

/// A Child SA that was agreed to.
#[derive(Debug)]
pub(crate) struct Plan {
    agreed: Agreed,
    chosen: Chosen,
    /// The group, and the peer's public value.
    exchange: Option<(Group, Vec<u8>)>,
    reply: Reply,
}
impl Replying {
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self, Self::Idle)
    }
    /// Whether the peer is about to have a new IKE SA in place of this one.
    pub(crate) fn makes_ike(&self) -> bool {
        matches!(self, Self::AgreeingIke { .. })
    }
    pub(crate) fn waits_for(&self, wanted: Ticket) -> bool {
        match self {
            Self::Idle => false,
            Self::Agreeing { ticket, .. }
            | Self::Installing { ticket, .. }
            | Self::AgreeingIke { ticket, .. } => *ticket == wanted,
        }
    }
    pub(crate) fn makes(&self, name: &str) -> bool {
        match self {
            Self::Agreeing { plan, .. } => &*plan.agreed.settings.name == name,
            Self::Installing { fresh, .. } => &*fresh.child.settings.name == name,
            Self::Idle | Self::AgreeingIke { .. } => false,
        }
    }
    /// Whether the peer is about to have a successor of this one.
    pub(crate) fn replaces(&self, inbound: u32) -> bool {
        match self {
            Self::Agreeing { plan, .. } => plan.agreed.replaces == Some(inbound),
            Self::Installing { fresh, .. } => fresh.child.replaces == Some(inbound),
            Self::Idle | Self::AgreeingIke { .. } => false,
        }
    }
    /// Ours, with the inbound SPI `by`, won against the one that is being made under `inbound`.
    pub(crate) fn outdone(&mut self, inbound: u32, by: u32) {
        match self {
            Self::Agreeing { plan, .. } if plan.agreed.inbound == inbound => {
                plan.reply.outdone = Some(by)
            }
            Self::Installing { fresh, reply, .. } if fresh.child.inbound == inbound => {
                reply.outdone = Some(by)
            }
            _ => {}
        }
    }
    pub(crate) fn abandon(self, env: &mut Env<'_>) {
        match self {
            Self::Agreeing { plan, .. } => env.spis.release(plan.agreed.inbound),
            Self::Installing { fresh, half, .. } => abandon_fresh(&fresh, half, env),
            Self::Idle | Self::AgreeingIke { .. } => {}
        }
    }
}

impl Established {
    /// CREATE_CHILD_SA of the peer.
    pub(crate) fn on_create_child(&mut self, base: &Base, received: Received, env: &mut Env<'_>) {
        let exchange = ExchangeType::CREATE_CHILD_SA;
        let for_ike = |offers: &Vec<Offer>| {
            offers.first().is_some_and(|offer| offer.protocol == protocol::IKE)
        };
        if received.sa.as_ref().is_some_and(for_ike) {
            return self.on_rekey_ike(base, received, env);
        }
        let nonces = match super::session::sound_nonce(received.nonce.clone()) {
            Some(peer) => (peer, env.nonce()),
            None => {
                return self.reply(exchange, &[Part::note(NotifyType::INVALID_SYNTAX, [])], env);
            }
        };
        let replaces = match self.replaced_by(&received) {
            Ok(replaces) => replaces,
            Err(denied) => return self.deny(exchange, Vec::new(), denied, env),
        };
        let reply = Reply { exchange, before: Vec::new(), parts: Vec::new(), outdone: None };
        self.make_child(base, &received, nonces, replaces, reply, env);
    }

    /// The Child SA of IKE_AUTH, or none, behind our proof.
    pub(crate) fn answer_first_child(
        &mut self,
        base: &Base,
        before: Vec<Part>,
        received: &Received,
        nonces: (Vec<u8>, Vec<u8>),
        env: &mut Env<'_>,
    ) {
        let exchange = ExchangeType::IKE_AUTH;
        if received.sa.is_none() {
            return self.reply(exchange, &before, env); // RFC 6023
        }
        let reply = Reply { exchange, before, parts: Vec::new(), outdone: None };
        self.make_child(base, received, nonces, None, reply, env);
    }

    fn make_child(
        &mut self,
        base: &Base,
        received: &Received,
        nonces: (Vec<u8>, Vec<u8>),
        replaces: Option<u32>,
        reply: Reply,
        env: &mut Env<'_>,
    ) {
        let exchange = match (&received.ke, reply.exchange) {
            (_, ExchangeType::IKE_AUTH) => KeyExchange::Ignored,
            (Some((method, _)), _) => KeyExchange::Sent(*method),
            (None, _) => KeyExchange::Absent,
        };
        match self.plan(base, received, nonces, replaces, exchange, env) {
            Ok((agreed, chosen, exchange)) => {
                let rival = Rival { inbound: agreed.inbound, lowest_nonce: agreed.lowest_nonce() };
                self.asking.meet(replaces, &agreed.settings.name, rival);
                self.carry_out(base, Plan { agreed, chosen, exchange, reply }, env);
            }
            Err(denied) => self.deny(reply.exchange, reply.before, denied, env),
        }
    }

    fn deny(
        &mut self,
        exchange: ExchangeType,
        mut before: Vec<Part>,
        denied: Denied,
        env: &mut Env<'_>,
    ) {
        if let Some(why) = denied.why {
            env.fail(*why);
        }
        before.push(denied.part);
        self.reply(exchange, &before, env);
    }

    fn carry_out(&mut self, base: &Base, plan: Plan, env: &mut Env<'_>) {
        match &plan.exchange {
            Some((group, public)) => {
                let ticket = env.work(Job::Exchange { group: *group, public: public.clone() });
                self.replying = Replying::Agreeing { plan: Box::new(plan), ticket };
            }
            None => self.install_asked(base, plan, None, env),
        }
    }

    pub(crate) fn replying_done(&mut self, base: &Base, done: Done, env: &mut Env<'_>) {
        match (std::mem::replace(&mut self.replying, Replying::Idle), done) {
            (Replying::Agreeing { plan, .. }, Done::Exchanged(Some(exchanged))) => {
                self.install_asked(base, *plan, Some(exchanged), env);
            }
            (Replying::Agreeing { plan, .. }, Done::Exchanged(None)) => {
                env.spis.release(plan.agreed.inbound);
                let why = base.why(env.now, Stage::CreateChild, Reason::Malformed);
                env.fail(why.check("the peer's public value is not in its group (RFC 6989)"));
                self.reply(plan.reply.exchange, &[Part::note(NotifyType::INVALID_SYNTAX, [])], env);
            }
            (Replying::Agreeing { plan, .. }, _) => {
                env.spis.release(plan.agreed.inbound);
                self.reply(
                    plan.reply.exchange,
                    &[Part::note(NotifyType::TEMPORARY_FAILURE, [])],
                    env,
                );
            }
            (Replying::AgreeingIke { plan, .. }, done) => {
                self.rekeyed_by_peer(base, *plan, done, env)
            }
            (replying, _) => self.replying = replying,
        }
    }

    /// Inbound before the peer is told that it may speak.
    fn install_asked(
        &mut self,
        base: &Base,
        plan: Plan,
        exchanged: Option<(Vec<u8>, Key)>,
        env: &mut Env<'_>,
    ) {
        let Plan { agreed, chosen, mut reply, .. } = plan;
        let (public, shared) = exchanged.unzip();
        reply.parts = answer_parts(&agreed, chosen, public, reply.exchange);
        let lineage = self.lineage(base, &agreed, env);
        let keys = (self.channel.prf(), &self.channel.keys().d);
        let (inbound, replaces) = (agreed.inbound, agreed.replaces);
        match agreed.fresh(base, lineage, keys, shared.as_ref(), env) {
            Some(fresh) => {
                let ticket = env.install(fresh.inbound.clone());
                let (fresh, half) = (Box::new(fresh), Direction::Inbound);
                self.replying = Replying::Installing { fresh, reply, half, ticket };
            }
            None => {
                env.spis.release(inbound);
                self.cannot(replaces, reply, env);
            }
        }
    }

    pub(crate) fn replying_installed(
        &mut self,
        base: &Base,
        result: Result<(), String>,
        env: &mut Env<'_>,
    ) {
        let replying = std::mem::replace(&mut self.replying, Replying::Idle);
        let Replying::Installing { fresh, reply, half, .. } = replying else {
            self.replying = replying;
            return;
        };
        match (result, half) {
            // The peer may not receive by the new one before it has our answer, so the old one sends until it is deleted.
            (Ok(()), Direction::Inbound) if fresh.child.replaces.is_some() => {
                self.made_to_wait(base, *fresh, SWAP_MS, reply, env);
            }
            // The same, where the old one is another IKE SA's: the peer reauthenticates.
            (Ok(()), Direction::Inbound) if self.has_kin(base, env) => {
                let lineage = fresh.child.lineage;
                self.made_to_wait(base, *fresh, KIN_MS, reply, env);
                env.effect(Effect::Waits { spi: base.spi, lineage });
            }
            (Ok(()), Direction::Inbound) => {
                let ticket = env.install(fresh.outbound.clone());
                self.replying =
                    Replying::Installing { fresh, reply, half: Direction::Outbound, ticket };
            }
            (Ok(()), Direction::Outbound) => self.made(base, fresh.child, reply, env),
            (Err(why), half) => {
                let child = &fresh.child;
                match half {
                    Direction::Inbound => env.spis.release(child.inbound),
                    Direction::Outbound => child::remove_inbound(child.inbound, child.lineage, env),
                }
                env.fail(
                    base.why(env.now, Stage::Install, Reason::DataPlane)
                        .child(&child.settings.name)
                        .check(why),
                );
                self.cannot(child.replaces, reply, env);
            }
        }
    }

    fn made_to_wait(
        &mut self,
        base: &Base,
        fresh: Fresh,
        wait_ms: u64,
        reply: Reply,
        env: &mut Env<'_>,
    ) {
        let until = env.now.saturating_add(wait_ms);
        let sending = Sending::Waits { half: Box::new(fresh.outbound), until };
        self.made(base, Child { sending, ..fresh.child }, reply, env);
    }

    /// Whether the peer has another IKE SA with us.
    fn has_kin(&self, base: &Base, env: &Env<'_>) -> bool {
        let name = (Arc::clone(&base.connection.name), self.peer.identity.to_string());
        let all = env.peers.get(&name);
        all.is_some_and(|spis| spis.iter().any(|spi| *spi != base.spi))
    }

    /// It cannot be installed; nothing of it is left.
    fn cannot(&mut self, replaces: Option<u32>, mut reply: Reply, env: &mut Env<'_>) {
        let kind = match reply.exchange {
            ExchangeType::IKE_AUTH => NotifyType::NO_ADDITIONAL_SAS,
            _ => NotifyType::TEMPORARY_FAILURE,
        };
        reply.before.push(Part::note(kind, []));
        self.reply(reply.exchange, &reply.before, env);
        if let Some(old) = replaces {
            self.put_later(Task::RekeyChild(old), RETRY_MS, env);
        }
    }

    fn made(&mut self, base: &Base, mut child: Child, mut reply: Reply, env: &mut Env<'_>) {
        if let Some(by) = reply.outdone {
            child.fate = Fate::Replaced(by);
            if matches!(child.sending, Sending::Waits { .. }) {
                child.sending = Sending::Never;
            }
        }
        reply.before.append(&mut reply.parts);
        self.reply(reply.exchange, &reply.before, env);
        child.announce(base, env);
        let (inbound, won) = (child.inbound, child.lives());
        let old = child.replaces.filter(|_| won);
        self.children.push(child);
        match old.map(|old| (old, self.child(old))) {
            Some((_, Some(old))) if old.lives() => old.fate = Fate::Replaced(inbound),
            Some((_, None)) => self.send_newest(env), // it was deleted meanwhile
            _ => {}
        }
    }
}

impl Established {
    /// The child that came last has nobody left to wait for.
    fn send_newest(&mut self, env: &mut Env<'_>) {
        if let Some(child) = self.children.last_mut() {
            child.send_now(env);
        }
    }
}

/// SA, and outside IKE_AUTH nonce and KE, and what both cover.
fn answer_parts(
    agreed: &Agreed,
    chosen: Chosen,
    public: Option<Vec<u8>>,
    exchange: ExchangeType,
) -> Vec<Part> {
    let key_exchange = chosen.key_exchange();
    let spi = Spi::Child(agreed.inbound);
    let mut parts = vec![Part::choice(protocol::ESP, spi, chosen.number, chosen.proposal)];
    if let Some((method, public)) = key_exchange.zip(public) {
        parts.push(Part::Ke(method, public));
    }
    if exchange == ExchangeType::CREATE_CHILD_SA {
        parts.push(Part::Nonce(agreed.nonces.1.clone()));
    }
    parts.push(Part::TsInitiator(agreed.covered.remote.clone()));
    parts.push(Part::TsResponder(agreed.covered.local.clone()));
    parts
}
