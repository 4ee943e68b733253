//! IKE_SA_INIT, initiator (RFC 7296 §1.2). Until the peer has proved who it is, an answer may be anybody's: errors are
//! hints, and only a sound answer leads on (§2.21.1).
use super::prove::Proving;
use super::session::{self, Abilities, Session};
use crate::algorithm::{Group, Secret, Suite};
use crate::channel::Channel;
use crate::env::{Effect, Env};
use crate::event::Cause;
use crate::ike_sa::{Base, Datagram, State};
use crate::job::{Done, Job};
use crate::message::{Part, Received, protocol};
use crate::proposal::{self, KeyExchange, Kind, Proposal};
use crate::retransmit::{Due, Retransmission};
use crate::why::{Reason, Stage, Why};
use crate::{Key, action::Ticket};
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, KeyExchangeMethod, NotifyType};
use wire::ike::Spi;

/// How many cookies and other groups are followed before an answer must come: §2.6 and §1.2 together need three.
const MAX_TURNS: u32 = 8;

/// IKE_SA_INIT is being made, or on its way.
#[derive(Debug)]
pub(crate) struct Calling {
    nonce: Vec<u8>,
    group: Group,
    cookie: Option<Vec<u8>>,
    turns: u32,
    /// The last error that nobody vouched for.
    hint: Option<Why>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// A public value is in the pool.
    Generating(Ticket),
    /// The request is sent.
    Sent(Sent),
    /// An answer is here, and the shared secret in the pool. Should the answer's public value be no good, the request is
    /// still waiting for a better answer.
    Agreeing { heard: Box<Heard>, sent: Waiting, ticket: Ticket },
    /// Between two steps.
    Turning,
}

#[derive(Debug)]
struct Sent {
    secret: Secret,
    waiting: Waiting,
}

#[derive(Debug)]
struct Waiting {
    public: Vec<u8>,
    request: Vec<u8>,
    retransmission: Retransmission,
}

/// A sound answer.
#[derive(Debug)]
struct Heard {
    peer_spi: u64,
    suite: Suite,
    public: Vec<u8>,
    nonce: Vec<u8>,
    octets: Vec<u8>,
    nat: (bool, bool),
    abilities: Abilities,
}

impl Calling {
    /// Begins. `None`: the connection has no key exchange that this build knows.
    pub(crate) fn begin(base: &Base, env: &mut Env<'_>) -> Option<State> {
        let group = first_group(&base.connection.proposals)?;
        let ticket = env.work(Job::Generate { group });
        let (nonce, step) = (env.nonce(), Step::Generating(ticket));
        let calling = Self { nonce, group, cookie: None, turns: 0, hint: None, step };
        Some(State::Calling(Box::new(calling)))
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.step {
            Step::Sent(sent) => Some(sent.waiting.retransmission.deadline()),
            _ => None,
        }
    }

    pub(crate) fn on_tick(mut self: Box<Self>, base: &mut Base, env: &mut Env<'_>) -> State {
        if let Step::Sent(Sent { waiting, .. }) = &mut self.step {
            match waiting.retransmission.due(env.now) {
                Due::Nothing => {}
                Due::Again(datagrams) => env.send(base.path, datagrams),
                Due::GiveUp => return self.give_up(base, env),
            }
        }
        State::Calling(self)
    }

    fn give_up(self, base: &Base, env: &mut Env<'_>) -> State {
        let timeout = base
            .why(env.now, Stage::Init, Reason::Timeout)
            .check(format!("no answer from {} to IKE_SA_INIT", base.path.remote))
            .fix("check the address, that UDP 500 and 4500 pass, and that the peer runs");
        env.fail(self.hint.unwrap_or(timeout));
        env.effect(Effect::ended(base, Cause::Failed));
        State::Gone
    }

    /// The request, with what was learnt since the first time.
    fn request(&self, base: &Base, public: &[u8], env: &mut Env<'_>) -> Vec<u8> {
        let mut parts = Vec::new();
        if let Some(cookie) = &self.cookie {
            parts.push(Part::note(NotifyType::COOKIE, cookie.clone()));
        }
        parts.push(Part::offer(protocol::IKE, Spi::None, &base.connection.proposals));
        parts.push(Part::Ke(self.group.id().0, public.to_vec()));
        parts.push(Part::Nonce(self.nonce.clone()));
        parts.extend(session::announcements(base, env.random));
        crate::channel::plain(base.spis(), true, ExchangeType::IKE_SA_INIT, false, &parts)
    }

    fn send(&mut self, base: &Base, secret: Secret, public: Vec<u8>, env: &mut Env<'_>) {
        let request = self.request(base, &public, env);
        let datagrams = vec![request.clone()];
        env.send(base.path, &datagrams);
        let retransmission = Retransmission::new(datagrams, env.settings.retransmission, env.now);
        self.step =
            Step::Sent(Sent { secret, waiting: Waiting { public, request, retransmission } });
    }

    pub(crate) fn on_done(
        mut self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        done: Done,
        env: &mut Env<'_>,
    ) -> State {
        match (std::mem::replace(&mut self.step, Step::Turning), done) {
            (Step::Generating(waiting), Done::Generated { secret, public })
                if waiting == ticket =>
            {
                self.send(base, secret, public, env);
            }
            (Step::Generating(waiting), Done::Dropped) if waiting == ticket => {
                return self.give_up(base, env);
            }
            (Step::Agreeing { heard, sent, ticket: waiting }, Done::Agreed(shared))
                if waiting == ticket =>
            {
                return self.agreed(base, *heard, sent, &shared, env);
            }
            (Step::Agreeing { sent, ticket: waiting, .. }, Done::BadPublic(secret))
                if waiting == ticket =>
            {
                let why = base.why(env.now, Stage::Init, Reason::Malformed);
                self.hint =
                    Some(why.check("the answer's public value is not in its group (RFC 6989)"));
                self.step = Step::Sent(Sent { secret, waiting: sent });
            }
            (Step::Agreeing { ticket: waiting, .. }, Done::Dropped) if waiting == ticket => {
                return self.give_up(base, env);
            }
            (step, _) => self.step = step,
        }
        State::Calling(self)
    }

    fn agreed(
        self,
        base: &mut Base,
        heard: Heard,
        sent: Waiting,
        shared: &Key,
        env: &mut Env<'_>,
    ) -> State {
        base.peer_spi = heard.peer_spi;
        base.found_nat(heard.nat.0, heard.nat.1);
        base.float(env.settings);
        let nonces = (self.nonce, heard.nonce);
        let channel = Channel::new(
            base,
            heard.suite,
            &nonces,
            shared,
            (heard.abilities.fragmentation, env.fragments),
        );
        let messages = (sent.request, heard.octets);
        let session = Session { channel, nonces, messages, peer: heard.abilities };
        Proving::begin(base, session, env)
    }

    pub(crate) fn on_datagram(
        mut self: Box<Self>,
        base: &mut Base,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) -> State {
        let header = datagram.header;
        let answer = header.exchange == ExchangeType::IKE_SA_INIT
            && header.flags.response
            && !header.flags.initiator
            && header.message_id == 0;
        let Some(received) = answer.then(|| crate::channel::read_plain(datagram.octets)).flatten()
        else {
            return State::Calling(self);
        };
        match std::mem::replace(&mut self.step, Step::Turning) {
            Step::Sent(sent) => self.on_answer(base, sent, received, datagram, env),
            step => self.step = step,
        }
        State::Calling(self)
    }

    /// Looks at an answer that anybody may have sent.
    fn on_answer(
        &mut self,
        base: &Base,
        sent: Sent,
        received: Received,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) {
        if let Some(cookie) = received.note(NotifyType::COOKIE) {
            return self.on_cookie(base, sent, cookie.data.clone(), env);
        }
        if let Some(wanted) = received.note(NotifyType::INVALID_KE_PAYLOAD) {
            let wanted =
                wanted.number().and_then(|id| Group::negotiate(KeyExchangeMethod(id), None));
            return self.on_other_group(base, sent, wanted, env);
        }
        if let Some(error) = received.error() {
            self.hint = Some(refused(base, error.kind, env.now));
            self.step = Step::Sent(sent);
            return;
        }
        match self.heard(base, received, datagram) {
            Ok(heard) => {
                let job = Job::Agree { secret: sent.secret, public: heard.public.clone() };
                let (ticket, heard) = (env.work(job), Box::new(heard));
                self.step = Step::Agreeing { heard, sent: sent.waiting, ticket };
            }
            Err(check) => {
                self.hint = Some(base.why(env.now, Stage::Init, Reason::Malformed).check(check));
                self.step = Step::Sent(sent);
            }
        }
    }

    fn turn(&mut self) -> bool {
        self.turns = self.turns.saturating_add(1);
        self.turns <= MAX_TURNS
    }

    /// The same again with the cookie (RFC 7296 §2.6).
    fn on_cookie(&mut self, base: &Base, sent: Sent, cookie: Vec<u8>, env: &mut Env<'_>) {
        let good = (1..=64).contains(&cookie.len()) && self.cookie.as_ref() != Some(&cookie);
        if !good || !self.turn() {
            self.step = Step::Sent(sent);
            return;
        }
        self.cookie = Some(cookie);
        self.send(base, sent.secret, sent.waiting.public, env);
    }

    /// The same again with another group, if it is one of ours.
    fn on_other_group(
        &mut self,
        base: &Base,
        sent: Sent,
        wanted: Option<Group>,
        env: &mut Env<'_>,
    ) {
        let ours = |group: &Group| {
            let of =
                |proposal: &Proposal| proposal.of(Kind::KeyExchange).any(|t| t.id == group.id().0);
            *group != self.group && base.connection.proposals.iter().any(of)
        };
        match wanted.filter(ours) {
            Some(group) if self.turn() => {
                self.group = group;
                self.step = Step::Generating(env.work(Job::Generate { group }));
            }
            _ => {
                self.hint = Some(refused(base, NotifyType::INVALID_KE_PAYLOAD, env.now));
                self.step = Step::Sent(sent);
            }
        }
    }

    /// Whether the answer is sound; what is wrong with it otherwise.
    fn heard(
        &self,
        base: &Base,
        received: Received,
        datagram: Datagram<'_>,
    ) -> Result<Heard, String> {
        let header = datagram.header;
        if header.responder_spi == 0 {
            return Err("the answer has no SPI".to_owned());
        }
        let nat = session::detect_nat(
            &received,
            (header.initiator_spi, header.responder_spi),
            datagram.path,
        );
        let abilities = Abilities::of(&received);
        let offers = received.sa.ok_or("the answer has no SA payload")?;
        let [answer] = offers.as_slice() else {
            return Err("the answer chose not one proposal".to_owned());
        };
        let exchange = KeyExchange::Sent(self.group.id().0);
        let chosen = proposal::accepts(&base.connection.proposals, answer, exchange)
            .ok_or("the answer chose what we did not offer")?;
        let suite =
            session::suite(&chosen).ok_or("the answer chose algorithms that do not go together")?;
        let (method, public) = received.ke.ok_or("the answer has no KE payload")?;
        if method != self.group.id().0 || suite.group() != self.group {
            return Err("the answer's KE payload is of another method".to_owned());
        }
        let nonce = session::sound_nonce(received.nonce).ok_or("the answer has no sound nonce")?;
        Ok(Heard {
            peer_spi: header.responder_spi,
            suite,
            public,
            nonce,
            octets: datagram.octets.to_vec(),
            nat,
            abilities,
        })
    }
}

/// The first method that is proposed and in this build.
pub(crate) fn first_group(proposals: &[Proposal]) -> Option<Group> {
    let ids = proposals.iter().flat_map(|proposal| proposal.of(Kind::KeyExchange));
    ids.filter_map(|transform| Group::negotiate(KeyExchangeMethod(transform.id), None)).next()
}

/// What the peer's refusal may mean. It is not authenticated, so it only explains a time-out later.
fn refused(base: &Base, kind: NotifyType, now: u64) -> Why {
    let mut why = base.why(now, Stage::Init, Reason::PeerRefused(kind.to_string()));
    why.offered = base.connection.proposals.iter().map(|proposal| proposal.to_string()).collect();
    let name = Arc::clone(&base.connection.name);
    match kind {
        NotifyType::NO_PROPOSAL_CHOSEN => why.check("the peer accepts none of our proposals").fix(format!(
            "put a proposal of the peer's into connections.{name}.proposals; its log says which it takes"
        )),
        NotifyType::INVALID_KE_PAYLOAD => why.check("the peer wants another key exchange method than we have").fix(
            format!("put the peer's method into connections.{name}.proposals"),
        ),
        _ => why,
    }
}
