//! IKE_AUTH, responder (RFC 7296 §1.2, §2.15, §2.16, §2.21.2): who is it, does it prove that, and which connection is
//! it for.
use super::answer::candidates;
use super::identify::{self, Own, Peer};
use super::session::Session;
use crate::action::Ticket;
use crate::channel::Opened;
use crate::env::{Effect, Env};
use crate::event::Cause;
use crate::fix;
use crate::ike_sa::{Base, Datagram, Established, Ghost, Identified, State};
use crate::job::Done;
use crate::message::{Identification, Part, Received};
use crate::proposal::{Kind, Proposal};
use crate::settings::{Accept, Connection, Unique};
use crate::why::{Candidate, Reason, Stage, Why};
use crate::window::{Place, Requests};
use pki::Identity;
use std::sync::Arc;
use wire::iana::ike::{AuthMethod, ExchangeType, NotifyType};

const EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;

/// IKE_AUTH is awaited, or being checked and answered.
#[derive(Debug)]
pub(crate) struct Judging {
    session: Session,
    requests: Requests,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Nobody has asked yet.
    Waiting,
    /// The peer's signature is in the pool.
    Checking { case: Box<Case>, ticket: Ticket },
    /// The peer is who it says; our signature is in the pool.
    Signing { case: Box<Case>, method: String, ticket: Ticket },
    /// Between two steps.
    Turning,
}

/// The peer's request, and who it says it is.
#[derive(Debug)]
struct Case {
    received: Received,
    identity: Identity,
}

/// In what a connection differs from the peer: the later, the nearer it came.
#[derive(Debug)]
enum Mismatch {
    /// Who it says it is.
    Identity { check: String },
    /// How it proves that.
    Method { offered: String },
    /// What was chosen in IKE_SA_INIT by the proposals of another connection.
    Proposals { suite: String },
}

impl Mismatch {
    /// The field, with what the peer has there and what we have.
    fn candidate(&self, connection: &Connection, identity: &Identity) -> Candidate {
        let list = |all: Vec<String>, or: &str| all.join(or);
        let auth = &connection.remote_auth;
        let (field, offered, ours) = match self {
            Self::Identity { .. } => {
                let patterns = auth.identities.iter().map(ToString::to_string).collect();
                ("remote.id", identity.to_string(), list(patterns, " or "))
            }
            Self::Method { offered } => {
                ("authentication method", offered.clone(), auth.accept.name().to_owned())
            }
            Self::Proposals { suite } => {
                let proposals = connection.proposals.iter().map(ToString::to_string).collect();
                ("proposals", suite.clone(), list(proposals, ", "))
            }
        };
        Candidate { name: connection.name.to_string(), field: field.to_owned(), offered, ours }
    }
    fn rank(&self) -> u8 {
        match self {
            Self::Identity { .. } => 0,
            Self::Method { .. } => 1,
            Self::Proposals { .. } => 2,
        }
    }
    fn reason(&self) -> Reason {
        match self {
            Self::Identity { .. } => Reason::IdentityRefused,
            Self::Method { .. } => Reason::AuthenticationFailed,
            Self::Proposals { .. } => Reason::NoProposalChosen,
        }
    }
    fn check(&self, connection: &Connection) -> String {
        match self {
            Self::Identity { check } => check.clone(),
            Self::Method { offered } => {
                identify::other_method(offered, connection.remote_auth.accept.name())
            }
            Self::Proposals { suite } => {
                format!("IKE_SA_INIT chose {suite}, which {} does not accept", connection.name)
            }
        }
    }
    fn fix(&self, connection: &Connection, identity: &Identity) -> String {
        match self {
            Self::Identity { .. } => fix::identity(&connection.name, identity),
            Self::Method { .. } => identify::method_fix(connection),
            Self::Proposals { suite } => {
                format!("connections.{}.proposals: [{suite}]", connection.name)
            }
        }
    }
}

/// No connection is for this peer. What the nearest one lacks comes first.
fn nobody(
    base: &Base,
    identity: &Identity,
    mut different: Vec<(Arc<Connection>, Mismatch)>,
    now: u64,
) -> Why {
    different.sort_by_key(|(_, mismatch)| std::cmp::Reverse(mismatch.rank()));
    let reason =
        different.first().map_or(Reason::IdentityRefused, |(_, mismatch)| mismatch.reason());
    let mut why = Why::new(now, base.path.remote, Stage::Auth, reason);
    why.identity = Some(identity.to_string());
    why.candidates = different
        .iter()
        .map(|(connection, mismatch)| mismatch.candidate(connection, identity))
        .collect();
    let Some((connection, mismatch)) = different.first() else { return why };
    why = why.check(mismatch.check(connection)).fix(mismatch.fix(connection, identity));
    // Whose failure it is, is known when it is the only one, or the peer is one that it expects.
    match (different.len(), mismatch) {
        (2.., Mismatch::Identity { .. }) => why,
        _ => why.connection(&connection.name),
    }
}

impl Judging {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, requests: Requests::starting_at(1), step: Step::Waiting }
    }

    pub(crate) fn on_tick(self: Box<Self>, base: &Base, env: &mut Env<'_>) -> State {
        if env.now < base.half_open_until(env.settings) {
            return State::Judging(self);
        }
        if matches!(self.step, Step::Waiting) {
            let why = base.why(env.now, Stage::Auth, Reason::Timeout);
            env.fail(why.check("the peer began, and never proved who it is"));
        }
        State::Gone
    }

    pub(crate) fn on_datagram(
        self: Box<Self>,
        base: &mut Base,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) -> State {
        let header = datagram.header;
        if header.exchange == ExchangeType::IKE_SA_INIT {
            if datagram.octets == self.session.messages.0 {
                env.send(datagram.path, std::slice::from_ref(&self.session.messages.1));
            }
            return State::Judging(self);
        }
        let request = header.exchange == EXCHANGE
            && !header.flags.response
            && header.flags.initiator
            && self.requests.place(header.message_id) == Place::New
            && matches!(self.step, Step::Waiting);
        match request {
            true => self.on_request(base, datagram, env),
            false => State::Judging(self),
        }
    }

    fn on_request(
        mut self: Box<Self>,
        base: &mut Base,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) -> State {
        match self.session.channel.open(datagram.octets, env.now) {
            Opened::Nothing => State::Judging(self), // forged: the real one may still come
            Opened::Malformed(refused) => {
                base.path = datagram.path;
                let why =
                    base.why(env.now, Stage::Auth, Reason::Malformed).check(refused.to_string());
                let part = Part::refusal(&refused);
                self.refuse(base, why, part, env)
            }
            Opened::Message(received) => {
                base.path = datagram.path; // to port 4500, if the peer found a NAT
                self.on_claim(base, *received, env)
            }
        }
    }

    fn on_claim(self: Box<Self>, base: &mut Base, received: Received, env: &mut Env<'_>) -> State {
        let Some(claimed) = received.id_initiator.clone() else {
            let why = base
                .why(env.now, Stage::Auth, Reason::Malformed)
                .check("the request has no IDi payload");
            return self.refuse(base, why, Part::note(NotifyType::INVALID_SYNTAX, []), env);
        };
        let identity = match Identity::from_ike(claimed.kind, &claimed.octets) {
            Ok(identity) => identity,
            Err(bad) => {
                let why =
                    base.why(env.now, Stage::Auth, Reason::IdentityRefused).check(bad.to_string());
                return self.refuse(base, why, identify::failed(), env);
            }
        };
        match self.connection_for(base, &identity, &received, env) {
            Ok(connection) => base.connection = connection,
            Err(why) => return self.refuse(base, *why, identify::failed(), env),
        }
        self.on_identified(base, claimed, Case { received, identity }, env)
    }

    fn on_identified(
        mut self: Box<Self>,
        base: &Base,
        claimed: Identification,
        case: Case,
        env: &mut Env<'_>,
    ) -> State {
        let checked = identify::check(
            &base.connection,
            &self.session,
            true,
            (&claimed, &case.identity),
            &case.received,
        );
        match checked {
            Ok(Peer::Proved(method)) => self.proved(base, case, method, env),
            Ok(Peer::Pool(job)) => {
                let ticket = env.work(*job);
                self.step = Step::Checking { case: Box::new(case), ticket };
                State::Judging(self)
            }
            Err(check) => self.not_proved(base, &case, check, env),
        }
    }

    fn not_proved(self, base: &Base, case: &Case, check: String, env: &mut Env<'_>) -> State {
        let mut why = base.why(env.now, Stage::Auth, Reason::AuthenticationFailed).check(check);
        why.identity = Some(case.identity.to_string());
        let (name, identity) = (&base.connection.name, &case.identity);
        let why =
            why.fix(format!("check the credential of {identity} in connections.{name}.remote"));
        self.refuse(base, why, identify::failed(), env)
    }

    /// The first that fits the addresses, accepts the identity, takes this kind of proof, and would have chosen these
    /// algorithms. What each of the others lacks is told.
    fn connection_for(
        &self,
        base: &Base,
        identity: &Identity,
        received: &Received,
        env: &Env<'_>,
    ) -> Result<Arc<Connection>, Box<Why>> {
        let mut different = Vec::new();
        let wanted = received
            .id_responder
            .as_ref()
            .and_then(|id| Identity::from_ike(id.kind, &id.octets).ok());
        let mut fitting = candidates(env, base.path);
        // The peer says whom it wants to talk to: those come first.
        fitting.sort_by_key(|connection| {
            wanted.as_ref().is_some_and(|id| *id != connection.local_auth.identity)
        });
        for connection in fitting {
            match self.differs(&connection, identity, received) {
                None => return Ok(connection),
                Some(mismatch) => different.push((connection, mismatch)),
            }
        }
        Err(Box::new(nobody(base, identity, different, env.now)))
    }

    /// The first in which a connection differs from what the peer brings.
    fn differs(
        &self,
        connection: &Connection,
        identity: &Identity,
        received: &Received,
    ) -> Option<Mismatch> {
        if let Err(check) = identify::accepts(connection, identity) {
            return Some(Mismatch::Identity { check });
        }
        let by_key =
            received.auth.as_ref().is_some_and(|(method, _)| *method == AuthMethod::SHARED_KEY.0);
        if by_key != matches!(connection.remote_auth.accept, Accept::Psk(_)) {
            let method = received.auth.as_ref().map(|(method, _)| AuthMethod(*method));
            return Some(Mismatch::Method { offered: identify::method_name(method) });
        }
        let suite = self.session.channel.suite();
        let has = |proposal: &Proposal, kind, id: u16| {
            proposal.of(kind).any(|transform| transform.id == id)
        };
        let takes = |proposal: &Proposal| {
            proposal
                .of(Kind::Encryption)
                .any(|own| (own.id, own.key_bits) == (suite.encr().id().0, suite.encr().key_bits()))
                && has(proposal, Kind::Prf, suite.prf().id().0)
                && has(proposal, Kind::KeyExchange, suite.group().id().0)
                && suite.integ().is_none_or(|integ| has(proposal, Kind::Integrity, integ.id().0))
        };
        let taken = connection.proposals.iter().any(takes);
        (!taken).then(|| Mismatch::Proposals { suite: suite.to_string() })
    }

    /// The peer is who it says. May it have this IKE SA, and who are we?
    fn proved(
        mut self: Box<Self>,
        base: &Base,
        case: Case,
        method: String,
        env: &mut Env<'_>,
    ) -> State {
        let known =
            env.peers.contains_key(&(Arc::clone(&base.connection.name), case.identity.to_string()));
        if base.connection.unique == Unique::Keep
            && known
            && !case.received.has(NotifyType::INITIAL_CONTACT)
        {
            let why = base
                .why(env.now, Stage::Auth, Reason::NotUnique)
                .check("`unique: keep` keeps the IKE SA that it has");
            return self.refuse(base, why, identify::failed(), env);
        }
        match identify::own(&base.connection, &self.session, false) {
            Own::Ready(auth) => self.established(base, case, method, ("psk".to_owned(), auth), env),
            Own::Pool(job) => {
                let (ticket, case) = (env.work(*job), Box::new(case));
                self.step = Step::Signing { case, method, ticket };
                State::Judging(self)
            }
        }
    }

    pub(crate) fn on_done(
        mut self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        done: Done,
        env: &mut Env<'_>,
    ) -> State {
        match (std::mem::replace(&mut self.step, Step::Turning), done) {
            (Step::Checking { case, ticket: waiting }, Done::Verified(result))
                if waiting == ticket =>
            {
                match result {
                    Ok(scheme) => self.proved(base, *case, scheme.to_string(), env),
                    Err(check) => self.not_proved(base, &case, check.to_string(), env),
                }
            }
            (Step::Signing { case, method, ticket: waiting }, Done::Signed(result))
                if waiting == ticket =>
            {
                match result {
                    Ok(signed) => {
                        let auth = Part::Auth(signed.method.0, signed.data);
                        self.established(
                            base,
                            *case,
                            method,
                            (signed.scheme.to_string(), auth),
                            env,
                        )
                    }
                    Err(check) => {
                        let why = base
                            .why(env.now, Stage::Auth, Reason::Credential)
                            .check(check.to_string());
                        self.refuse(base, why, identify::failed(), env)
                    }
                }
            }
            // The pool is full: the peer asks again.
            (
                Step::Checking { ticket: waiting, .. } | Step::Signing { ticket: waiting, .. },
                Done::Dropped,
            ) if waiting == ticket => {
                self.step = Step::Waiting;
                State::Judging(self)
            }
            (step, _) => {
                self.step = step;
                State::Judging(self)
            }
        }
    }

    fn established(
        self,
        base: &Base,
        case: Case,
        method: String,
        (own_method, auth): (String, Part),
        env: &mut Env<'_>,
    ) -> State {
        let Case { received, identity } = case;
        let nonces = self.session.nonces.clone();
        let mut before = identify::own_identity(&base.connection, false);
        before.push(auth);
        let reauth = base.connection.lifetime.reauth;
        if let Some(seconds) = u32::try_from(reauth).ok().filter(|&seconds| seconds > 0) {
            before.push(Part::note(NotifyType::AUTH_LIFETIME, seconds.to_be_bytes())); // RFC 4478
        }
        let peer = Identified::new(identity, (own_method, method));
        let mut established = Established::new(base, self.session, peer, env);
        established.times.reauth = None; // the initiator does it
        if received.has(NotifyType::INITIAL_CONTACT) {
            env.effect(Effect::InitialContact { spi: base.spi });
        }
        established.announce(base, env);
        established.answer_first_child(base, before, &received, nonces, env);
        State::Established(Box::new(established))
    }

    /// Says no, and keeps the answer for a while in case it is lost.
    fn refuse(mut self, base: &Base, why: Why, part: Part, env: &mut Env<'_>) -> State {
        env.fail(why);
        let id = self.requests.current();
        let datagrams = self.session.channel.seal(EXCHANGE, id, true, &[part], env.random);
        env.send(base.path, &datagrams);
        self.requests.answered(datagrams);
        env.effect(Effect::ended(base, Cause::Failed));
        State::Ghost(Box::new(Ghost::new(self.session.channel, self.requests, env.now)))
    }
}
