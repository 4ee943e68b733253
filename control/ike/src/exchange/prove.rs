//! IKE_AUTH, initiator (RFC 7296 §1.2): both prove who they are, and the first Child SA is made on the way.
use super::draft::Draft;
use super::identify::{self, Own, Peer};
use super::session::Session;
use crate::action::Ticket;
use crate::channel::Opened;
use crate::env::{Effect, Env};
use crate::event::Cause;
use crate::fix;
use crate::ike_sa::{Base, Datagram, Established, Identified, State, Task};
use crate::job::Done;
use crate::message::{Note, Part, Received};
use crate::narrow::Covered;
use crate::proposal::KeyExchange;
use crate::retransmit::{Due, Retransmission};
use crate::why::{Reason, Stage, Why};
use pki::Identity;
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType};

/// The message ID of the only IKE_AUTH request without EAP.
const ID: u32 = 1;

/// IKE_AUTH is being made, or on its way, or its answer is being checked.
#[derive(Debug)]
pub(crate) struct Proving {
    session: Session,
    /// The first Child SA; `None`: childless.
    draft: Option<Draft>,
    /// How we proved who we are.
    method: String,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Our signature is in the pool.
    Signing(Ticket),
    /// The request is sent.
    Sent(Retransmission),
    /// The peer's signature is in the pool.
    Checking { received: Box<Received>, identity: Identity, ticket: Ticket },
    /// Between two steps.
    Turning,
}

impl Proving {
    pub(crate) fn begin(base: &mut Base, session: Session, env: &mut Env<'_>) -> State {
        let draft = first_draft(base, &session, env);
        let own = identify::own(&base.connection, &session, true);
        let mut proving =
            Box::new(Self { session, draft, method: "psk".to_owned(), step: Step::Turning });
        match own {
            Own::Ready(auth) => proving.send(base, auth, env),
            Own::Pool(job) => proving.step = Step::Signing(env.work(*job)),
        }
        State::Proving(proving)
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.step {
            Step::Sent(retransmission) => Some(retransmission.deadline()),
            _ => None,
        }
    }

    pub(crate) fn on_tick(mut self: Box<Self>, base: &mut Base, env: &mut Env<'_>) -> State {
        if let Step::Sent(retransmission) = &mut self.step {
            match retransmission.due(env.now) {
                Due::Nothing => {}
                Due::Again(datagrams) => env.send(base.path, datagrams),
                Due::GiveUp => {
                    let why = base.why(env.now, Stage::Auth, Reason::Timeout);
                    let check =
                        format!("{} answered IKE_SA_INIT, but not IKE_AUTH", base.path.remote);
                    let fix = "check that UDP 4500 and fragments pass; the peer's log may say more";
                    return self.end(base, why.check(check).fix(fix), env);
                }
            }
        }
        State::Proving(self)
    }

    /// Ends without a word.
    pub(crate) fn vanish(self, base: &Base, cause: Cause, env: &mut Env<'_>) -> State {
        if let Some(draft) = self.draft {
            draft.abandon(env);
        }
        env.effect(Effect::ended(base, cause));
        State::Gone
    }

    fn end(self, base: &Base, why: Why, env: &mut Env<'_>) -> State {
        if let Some(draft) = self.draft {
            draft.abandon(env);
        }
        env.fail(why);
        env.effect(Effect::ended(base, Cause::Failed));
        State::Gone
    }

    fn send(&mut self, base: &Base, auth: Part, env: &mut Env<'_>) {
        let connection = &base.connection;
        let mut parts = identify::own_identity(connection, true);
        // The peer may have made one with us since this one was begun. It takes our word for all IKE SAs between both
        // identities (RFC 7296 §2.4), those of other connections included.
        if base.purpose.initial_contact
            && !env.has_peer(&connection.name)
            && env.directory.is_only_way(connection, base.path.remote.ip())
        {
            parts.push(Part::note(NotifyType::INITIAL_CONTACT, []));
        }
        parts.extend(identify::request(connection));
        let expected =
            connection.remote_auth.identities.first().and_then(|pattern| pattern.as_exact());
        if let Some(identity) = expected.filter(|_| connection.remote_auth.identities.len() == 1) {
            let (kind, octets) = identity.to_ike();
            parts.push(Part::IdResponder(kind, octets));
        }
        parts.push(auth);
        parts.extend(self.draft.iter().flat_map(|draft| draft.parts(KeyExchange::Ignored)));
        let datagrams =
            self.session.channel.seal(ExchangeType::IKE_AUTH, ID, false, &parts, env.random);
        env.send(base.path, &datagrams);
        self.step =
            Step::Sent(Retransmission::new(datagrams, env.settings.retransmission, env.now));
    }

    pub(crate) fn on_done(
        mut self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        done: Done,
        env: &mut Env<'_>,
    ) -> State {
        match (std::mem::replace(&mut self.step, Step::Turning), done) {
            (Step::Signing(waiting), Done::Signed(Ok(signed))) if waiting == ticket => {
                self.method = signed.scheme.to_string();
                self.send(base, Part::Auth(signed.method.0, signed.data), env);
            }
            (Step::Signing(waiting), Done::Signed(Err(check))) if waiting == ticket => {
                let why =
                    base.why(env.now, Stage::Auth, Reason::Credential).check(check.to_string());
                return self.end(base, why, env);
            }
            (Step::Checking { received, identity, ticket: waiting }, Done::Verified(result))
                if waiting == ticket =>
            {
                return match result {
                    Ok(scheme) => {
                        self.established(base, *received, identity, scheme.to_string(), env)
                    }
                    Err(check) => self.refuse(
                        base,
                        Some(&identity),
                        Reason::AuthenticationFailed,
                        check.to_string(),
                        env,
                    ),
                };
            }
            (Step::Signing(waiting) | Step::Checking { ticket: waiting, .. }, Done::Dropped)
                if waiting == ticket =>
            {
                let why = base
                    .why(env.now, Stage::Auth, Reason::Limit)
                    .check("too much to compute at once");
                return self.end(base, why, env);
            }
            (step, _) => self.step = step,
        }
        State::Proving(self)
    }

    pub(crate) fn on_datagram(
        mut self: Box<Self>,
        base: &mut Base,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) -> State {
        let header = datagram.header;
        let answer = header.exchange == ExchangeType::IKE_AUTH
            && header.flags.response
            && header.message_id == ID
            && matches!(self.step, Step::Sent(_));
        if !answer {
            return State::Proving(self);
        }
        match self.session.channel.open(datagram.octets, env.now) {
            // Forged, or the first fragments only: the request stays on its way.
            Opened::Nothing => State::Proving(self),
            Opened::Malformed(refused) => {
                self.refuse(base, None, Reason::Malformed, refused.to_string(), env)
            }
            Opened::Message(received) => self.on_answer(base, *received, env),
        }
    }

    fn on_answer(
        mut self: Box<Self>,
        base: &mut Base,
        received: Received,
        env: &mut Env<'_>,
    ) -> State {
        let Some(claimed) = received.id_responder.clone() else {
            let why = match received.error() {
                Some(error) => refused(base, error, env.now),
                None => base
                    .why(env.now, Stage::Auth, Reason::Malformed)
                    .check("the answer has no IDr payload"),
            };
            return self.end(base, why, env);
        };
        let identity = match Identity::from_ike(claimed.kind, &claimed.octets) {
            Ok(identity) => identity,
            Err(bad) => {
                return self.refuse(base, None, Reason::IdentityRefused, bad.to_string(), env);
            }
        };
        if let Err(check) = identify::accepts(&base.connection, &identity) {
            return self.refuse(base, Some(&identity), Reason::IdentityRefused, check, env);
        }
        match identify::check(
            &base.connection,
            &self.session,
            false,
            (&claimed, &identity),
            &received,
        ) {
            Ok(Peer::Proved(method)) => self.established(base, received, identity, method, env),
            Ok(Peer::Pool(job)) => {
                let (ticket, received) = (env.work(*job), Box::new(received));
                self.step = Step::Checking { received, identity, ticket };
                State::Proving(self)
            }
            Err(check) => {
                self.refuse(base, Some(&identity), Reason::AuthenticationFailed, check, env)
            }
        }
    }

    /// The peer believes that the IKE SA stands, so it is told that it does not (RFC 7296 §2.21.2).
    fn refuse(
        mut self,
        base: &Base,
        identity: Option<&Identity>,
        reason: Reason,
        check: String,
        env: &mut Env<'_>,
    ) -> State {
        let parts = [identify::failed()];
        let id = ID.saturating_add(1);
        let datagrams =
            self.session.channel.seal(ExchangeType::INFORMATIONAL, id, false, &parts, env.random);
        env.send(base.path, &datagrams);
        let mut why = base.why(env.now, Stage::Auth, reason).check(check);
        why.identity = identity.map(Identity::to_string);
        why.fix = identity.map(|identity| identity_fix(base, identity, &why.reason));
        self.end(base, why, env)
    }

    fn established(
        self,
        base: &mut Base,
        received: Received,
        identity: Identity,
        method: String,
        env: &mut Env<'_>,
    ) -> State {
        let Self { session, draft, method: own, .. } = self;
        let nonces = session.nonces.clone();
        let peer = Identified::new(identity, (own, method));
        let mut established = Established::new(base, session, peer, env);
        established.peer_reauth(base, &received, env);
        established.announce(base, env);
        let mut children = base.purpose.children.clone().into_iter();
        if let Some(draft) = draft {
            children.next();
            established.first_child(base, draft, &received, nonces, env);
        }
        for (child, packet) in children {
            if let Some(child) = base.connection.child(&child) {
                established.put(Task::Create { child: Arc::clone(child), packet });
            }
        }
        Box::new(established).proceed(base, env)
    }
}

/// The first child of those that are wanted, unless it is made later (RFC 6023).
fn first_draft(base: &Base, session: &Session, env: &mut Env<'_>) -> Option<Draft> {
    if base.connection.childless && session.peer.childless {
        return None;
    }
    let (name, packet) = base.purpose.children.first()?;
    let child = base.connection.child(name)?;
    let configured = Covered::configured(child, base.path.local.ip(), base.path.remote.ip());
    Draft::new(child, configured, packet.as_ref(), session.nonces.0.clone(), env)
}

/// The peer's error. It has our keys, but has not proved who it is.
fn refused(base: &Base, error: &Note, now: u64) -> Why {
    let why = base.why(now, Stage::Auth, Reason::PeerRefused(error.kind.to_string()));
    let name = &base.connection.name;
    match error.kind {
        NotifyType::AUTHENTICATION_FAILED => why
            .check("the peer does not accept our identity or our proof; why, only its log can say")
            .fix(format!(
                "check connections.{name}.local.id and its credential against what the peer expects"
            )),
        _ => why,
    }
}

fn identity_fix(base: &Base, identity: &Identity, reason: &Reason) -> String {
    let name = &base.connection.name;
    match reason {
        Reason::IdentityRefused => fix::identity(name, identity),
        _ => format!("check the credential of {identity} in connections.{name}.remote"),
    }
}
