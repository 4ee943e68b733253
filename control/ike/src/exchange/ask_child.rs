//! A Child SA that we ask for: in IKE_AUTH, and by CREATE_CHILD_SA (RFC 7296 §1.3.1, §1.3.3, §2.8).
use super::asking::{Asking, Question, Rival};
use super::draft::Draft;
use crate::Key;
use crate::action::{Direction, Packet};
use crate::algorithm::Group;
use crate::child::{self, Agreed, Child, Fate, Fresh, Sending};
use crate::env::{Effect, Env};
use crate::event::{Cause, Event};
use crate::ike_sa::{Base, Established, Task};
use crate::job::{Done, Job};
use crate::message::{Note, Received};
use crate::narrow::Covered;
use crate::proposal::{KeyExchange, Kind, Proposal};
use crate::settings;
use crate::why::{Reason, Stage, Why};
use std::sync::Arc;
use wire::iana::ike::{KeyExchangeMethod, NotifyType};

/// How often another group is tried.
const MAX_TURNS: u32 = 3;
/// About how long after a refusal a rekey is tried again, in milliseconds.
const RETRY_MS: u64 = 10_000;
/// The same after a TEMPORARY_FAILURE: the peer is busy with something that ends soon.
const BUSY_MS: u64 = 1_000;

impl Established {
    /// The Child SA that was asked for in IKE_AUTH. Should it fail, the IKE SA stands all the same (RFC 7296 §1.2).
    pub(crate) fn first_child(
        &mut self,
        base: &Base,
        draft: Draft,
        received: &Received,
        (_, nr): (Vec<u8>, Vec<u8>),
        env: &mut Env<'_>,
    ) {
        if received.sa.is_none() {
            let error = received.error().cloned();
            return self.child_refused(base, draft, (error, Stage::Auth), env);
        }
        match draft.answered(received, nr, KeyExchange::Ignored) {
            Ok(agreed) => self.install(base, agreed, None, None, env),
            Err(check) => self.child_unsound(base, draft, check, env),
        }
    }

    /// A new Child SA, unless it stands already.
    pub(crate) fn create(
        &mut self,
        base: &Base,
        child: &Arc<settings::Child>,
        packet: Option<Packet>,
        env: &mut Env<'_>,
    ) {
        if self.successor.is_some() || self.has_child(&child.name) {
            return;
        }
        let offered = Covered::configured(child, base.path.local.ip(), base.path.remote.ip());
        let nonce = env.nonce();
        match Draft::new(child, offered, packet.as_ref(), nonce, env) {
            Some(draft) => self.generate(base, draft, env),
            None => self.no_room(base, child, env),
        }
    }

    fn no_room(&mut self, base: &Base, child: &Arc<settings::Child>, env: &mut Env<'_>) {
        let why = base.why(env.now, Stage::CreateChild, Reason::Limit).child(&child.name);
        env.fail(why.check("the SAD is full").fix("raise dataplane.sa_slots"));
        env.effect(Effect::child_down(base, child, Cause::Failed));
    }

    /// A successor of the Child SA with this inbound SPI.
    pub(crate) fn rekey_child(&mut self, base: &Base, inbound: u32, env: &mut Env<'_>) {
        let Some(old) = self.child(inbound).filter(|child| child.lives()) else { return };
        // The peer made it, and may not know yet that it has.
        let waits = matches!(old.sending, Sending::Waits { .. });
        let (settings, offered) = (Arc::clone(&old.settings), old.covered.clone());
        if waits || self.replying.replaces(inbound) {
            return self.put_later(Task::RekeyChild(inbound), BUSY_MS, env);
        }
        let nonce = env.nonce();
        match Draft::new(&settings, offered, None, nonce, env) {
            Some(draft) => {
                let draft = Draft { replaces: Some(inbound), ..draft };
                self.generate(base, draft, env);
            }
            None => self.put_later(Task::RekeyChild(inbound), RETRY_MS, env),
        }
    }

    fn generate(&mut self, base: &Base, draft: Draft, env: &mut Env<'_>) {
        match draft.group {
            Some(group) => {
                let (ticket, draft) = (env.work(Job::Generate { group }), Box::new(draft));
                self.asking = Asking::Generating { draft, ticket };
            }
            None => self.ask_child(base, draft, env),
        }
    }

    fn ask_child(&mut self, base: &Base, draft: Draft, env: &mut Env<'_>) {
        let parts = draft.parts(draft.exchange());
        self.ask(base, Question::Child(Box::new(draft)), &parts, env);
    }

    pub(crate) fn asking_done(&mut self, base: &mut Base, done: Done, env: &mut Env<'_>) {
        match (std::mem::replace(&mut self.asking, Asking::Idle), done) {
            (Asking::Generating { draft, .. }, Done::Generated { secret, public }) => {
                let draft = Draft { secret: Some(secret), public, ..*draft };
                self.still_wanted(base, draft, env);
            }
            (Asking::Agreeing { agreed, rival, .. }, Done::Agreed(shared)) => {
                self.install(base, *agreed, rival, Some(&shared), env);
            }
            (Asking::Agreeing { agreed, .. }, _) => {
                env.spis.release(agreed.inbound);
                let why = base
                    .why(env.now, Stage::CreateChild, Reason::Malformed)
                    .child(&agreed.settings.name);
                env.fail(why.check("the answer's public value is not in its group (RFC 6989)"));
                self.put(Task::DeleteChildren(vec![agreed.inbound], Cause::Failed));
                self.failed(base, agreed.replaces, &agreed.settings, env);
            }
            (Asking::Generating { draft, .. }, _) => {
                let (replaces, settings) = (draft.replaces, Arc::clone(&draft.settings));
                draft.abandon(env);
                self.failed(base, replaces, &settings, env);
            }
            (Asking::GeneratingIke { draft, .. }, done) => {
                self.ike_generated(base, *draft, done, env)
            }
            (Asking::AgreeingIke { draft, .. }, done) => self.ike_agreed(base, *draft, done, env),
            (asking, _) => self.asking = asking,
        }
    }

    /// While a public value was made, the peer may have done, or undone, what we were about to do.
    fn still_wanted(&mut self, base: &Base, draft: Draft, env: &mut Env<'_>) {
        let wanted = match draft.replaces {
            Some(old) => self.child(old).is_some_and(|old| old.lives()),
            None => !self.has_child(&draft.settings.name),
        };
        match wanted {
            true => self.ask_child(base, draft, env),
            false => draft.abandon(env),
        }
    }

    pub(crate) fn on_child_answer(
        &mut self,
        base: &Base,
        draft: Draft,
        received: Received,
        env: &mut Env<'_>,
    ) {
        if let Some(error) = received.error() {
            let refusal = (Some(error.clone()), draft.stage());
            return self.child_refused(base, draft, refusal, env);
        }
        let nonce = super::session::sound_nonce(received.nonce.clone());
        let agreed = match nonce {
            Some(nonce) => draft.answered(&received, nonce, draft.exchange()),
            None => Err("the answer has no sound nonce".to_owned()),
        };
        let agreed = match agreed {
            Ok(agreed) => agreed,
            Err(check) => return self.child_unsound(base, draft, check, env),
        };
        match (agreed.suite.pfs, received.ke, draft.secret) {
            (None, _, _) => self.install(base, agreed, draft.rival, None, env),
            (Some(group), Some((method, public)), Some(secret))
                if method == group.id().0 && draft.group == Some(group) =>
            {
                let ticket = env.work(Job::Agree { secret, public });
                self.asking =
                    Asking::Agreeing { agreed: Box::new(agreed), rival: draft.rival, ticket };
            }
            (Some(_), _, secret) => {
                let draft = Draft { secret, ..draft };
                self.child_unsound(
                    base,
                    draft,
                    "the answer's KE payload is missing or of another method".to_owned(),
                    env,
                );
            }
        }
    }

    /// Cuts the keys, and hears before the peer speaks: the inbound half first.
    fn install(
        &mut self,
        base: &Base,
        agreed: Agreed,
        rival: Option<Rival>,
        shared: Option<&Key>,
        env: &mut Env<'_>,
    ) {
        // The one with the lowest of four nonces is closed by who made it (RFC 7296 §2.8.1).
        let lost_to = rival
            .as_ref()
            .filter(|rival| agreed.lowest_nonce() < rival.lowest_nonce)
            .map(|rival| rival.inbound);
        if let Some(rival) = rival.filter(|_| lost_to.is_none()) {
            self.outdo(&rival, agreed.inbound);
        }
        let (inbound, settings, replaces) =
            (agreed.inbound, Arc::clone(&agreed.settings), agreed.replaces);
        let lineage = self.lineage(base, &agreed, env);
        let keys = (self.channel.prf(), &self.channel.keys().d);
        let Some(fresh) = agreed.fresh(base, lineage, keys, shared, env) else {
            env.spis.release(inbound);
            self.put(Task::DeleteChildren(vec![inbound], Cause::Failed));
            return self.failed(base, replaces, &settings, env);
        };
        let ticket = env.install(fresh.inbound.clone());
        let half = Direction::Inbound;
        self.asking = Asking::Installing { fresh: Box::new(fresh), lost_to, half, ticket };
    }

    /// Ours wins: the peer will close what it made.
    fn outdo(&mut self, rival: &Rival, by: u32) {
        self.replying.outdone(rival.inbound, by);
        if let Some(child) = self.child(rival.inbound) {
            child.fate = Fate::Replaced(by);
            if matches!(child.sending, Sending::Waits { .. }) {
                child.sending = Sending::Never;
            }
        }
    }

    pub(crate) fn asking_installed(
        &mut self,
        base: &Base,
        result: Result<(), String>,
        env: &mut Env<'_>,
    ) {
        let asking = std::mem::replace(&mut self.asking, Asking::Idle);
        let Asking::Installing { fresh, lost_to, half, .. } = asking else {
            self.asking = asking;
            return;
        };
        match (result, half, lost_to) {
            (Ok(()), Direction::Inbound, None) => {
                let ticket = env.install(fresh.outbound.clone());
                self.asking =
                    Asking::Installing { fresh, lost_to, half: Direction::Outbound, ticket };
            }
            (Ok(()), Direction::Inbound, Some(winner)) => self.lost(base, *fresh, winner, env),
            (Ok(()), Direction::Outbound, _) => self.up(base, *fresh, env),
            (Err(why), _, _) => self.not_installed(base, &fresh, half, why, env),
        }
    }

    /// The peer's wins: ours receives until the peer knows that it is closed.
    fn lost(&mut self, base: &Base, fresh: Fresh, winner: u32, env: &mut Env<'_>) {
        let mut child = fresh.child;
        let left = |old: &mut Child| old.fate == Fate::Left;
        if let Some(old) = child.replaces.filter(|old| self.child(*old).is_some_and(left)) {
            self.let_go(base, old, Cause::Replaced, env);
        }
        (child.sending, child.fate) = (Sending::Never, Fate::Replaced(winner));
        self.put(Task::DeleteChildren(vec![child.inbound], Cause::Redundant));
        self.children.push(child);
    }

    /// Both halves are in place; the old one is retired.
    fn up(&mut self, base: &Base, fresh: Fresh, env: &mut Env<'_>) {
        let child = fresh.child;
        child.announce(base, env);
        if let Some(old) = child.replaces.and_then(|old| self.child(old)) {
            let known = std::mem::replace(&mut old.fate, Fate::Replaced(child.inbound));
            let old = old.inbound;
            match known {
                Fate::Left => self.let_go(base, old, Cause::Replaced, env),
                _ => self.put(Task::DeleteChildren(vec![old], Cause::Replaced)),
            }
        }
        self.children.push(child);
    }

    /// The peer has deleted it already.
    fn let_go(&mut self, base: &Base, inbound: u32, cause: Cause, env: &mut Env<'_>) {
        if let Some(mut old) = self.take_child(inbound) {
            self.promote(&mut old, env);
            old.remove(base, cause, env);
        }
    }

    /// The data plane refused one half: the other is taken back, and the peer told (all or nothing).
    fn not_installed(
        &mut self,
        base: &Base,
        fresh: &Fresh,
        half: Direction,
        why: String,
        env: &mut Env<'_>,
    ) {
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
        self.put(Task::DeleteChildren(vec![child.inbound], Cause::Failed));
        self.failed(base, child.replaces, &child.settings, env);
    }

    /// It did not come to be. The one that it should have replaced is replaced later.
    fn failed(
        &mut self,
        base: &Base,
        replaces: Option<u32>,
        settings: &Arc<settings::Child>,
        env: &mut Env<'_>,
    ) {
        let left = |old: &mut Child| old.fate == Fate::Left;
        match replaces {
            Some(old) if self.child(old).is_some_and(left) => {
                self.let_go(base, old, Cause::Peer, env)
            }
            Some(old) => self.put_later(Task::RekeyChild(old), RETRY_MS, env),
            None if self
                .children
                .iter()
                .any(|child| child.settings.name == settings.name && child.lives()) => {}
            None => env.effect(Effect::child_down(base, settings, Cause::Failed)),
        }
    }

    /// The peer made an SA that we cannot use, and is told so.
    fn child_unsound(&mut self, base: &Base, draft: Draft, check: String, env: &mut Env<'_>) {
        let why = base.why(env.now, draft.stage(), Reason::Malformed).child(&draft.settings.name);
        env.fail(why.check(check));
        self.put(Task::DeleteChildren(vec![draft.spi], Cause::Failed));
        let (replaces, settings) = (draft.replaces, Arc::clone(&draft.settings));
        draft.abandon(env);
        self.failed(base, replaces, &settings, env);
    }

    /// The peer said no.
    fn child_refused(
        &mut self,
        base: &Base,
        draft: Draft,
        (error, stage): (Option<Note>, Stage),
        env: &mut Env<'_>,
    ) {
        let kind = error.as_ref().map(|error| error.kind);
        let (replaces, settings) = (draft.replaces, Arc::clone(&draft.settings));
        let overtaken = draft.rival.is_some();
        match kind {
            Some(NotifyType::INVALID_KE_PAYLOAD) if draft.turns < MAX_TURNS => {
                return self.other_group(base, draft, error.as_ref().and_then(Note::number), env);
            }
            // The peer's own rekey was first, or it deletes the old one: nothing is left to do.
            Some(NotifyType::TEMPORARY_FAILURE | NotifyType::CHILD_SA_NOT_FOUND) if overtaken => {
                return draft.abandon(env);
            }
            Some(NotifyType::TEMPORARY_FAILURE) => {
                draft.abandon(env);
                let task = match replaces {
                    Some(old) => Task::RekeyChild(old),
                    None => Task::Create { child: settings, packet: None },
                };
                return self.put_later(task, BUSY_MS, env);
            }
            Some(NotifyType::CHILD_SA_NOT_FOUND) => {
                draft.abandon(env);
                return self.not_found(base, replaces, env);
            }
            _ => {}
        }
        env.fail(refused(base, &draft, kind, (stage, env.now)));
        draft.abandon(env);
        self.failed(base, replaces, &settings, env);
    }

    /// The peer does not have the one that we wanted to replace: it goes without a word, and a new one is made from
    /// scratch (RFC 7296 §2.25).
    fn not_found(&mut self, base: &Base, replaces: Option<u32>, env: &mut Env<'_>) {
        let Some(old) = replaces.and_then(|old| self.take_child(old)) else { return };
        let child = Arc::clone(&old.settings);
        old.remove(base, Cause::Replaced, env);
        self.put(Task::Create { child, packet: None });
    }

    fn other_group(&mut self, base: &Base, draft: Draft, wanted: Option<u16>, env: &mut Env<'_>) {
        let ours =
            |id: &u16| draft.proposals.iter().any(|p| p.of(Kind::KeyExchange).any(|t| t.id == *id));
        let group =
            wanted.filter(ours).and_then(|id| Group::negotiate(KeyExchangeMethod(id), None));
        let group = group.filter(|group| Some(*group) != draft.group);
        if group.is_none() {
            let kind = Some(NotifyType::INVALID_KE_PAYLOAD);
            env.fail(refused(base, &draft, kind, (draft.stage(), env.now)));
            let (replaces, settings) = (draft.replaces, Arc::clone(&draft.settings));
            draft.abandon(env);
            return self.failed(base, replaces, &settings, env);
        }
        let turns = draft.turns.saturating_add(1);
        self.generate(base, Draft { group, turns, secret: None, ..draft }, env);
    }
}

impl Child {
    /// Tells that it stands.
    pub(crate) fn announce(&self, base: &Base, env: &mut Env<'_>) {
        env.event(Event::ChildUp {
            child: self.name(base),
            covered: self.covered.to_string(),
            suite: self.suite.to_string(),
            replaces: self.replaces,
        });
        let (connection, child) =
            (Arc::clone(&base.connection.name), Arc::clone(&self.settings.name));
        env.effect(Effect::ChildUp { connection, child });
    }
}

fn refused(
    base: &Base,
    draft: &Draft,
    kind: Option<NotifyType>,
    (stage, now): (Stage, u64),
) -> Why {
    let said = kind.map_or("an answer without a Child SA".to_owned(), |kind| kind.to_string());
    let mut why = base.why(now, stage, Reason::PeerRefused(said)).child(&draft.settings.name);
    let (name, child) = (&base.connection.name, &draft.settings.name);
    match kind {
        Some(NotifyType::TS_UNACCEPTABLE) => {
            why.offered = vec![draft.offered.to_string()];
            why.check("the peer wants none of these traffic selectors").fix(format!(
                "make connections.{name}.children.{child}.local_ts and remote_ts mirror the peer's"
            ))
        }
        Some(NotifyType::NO_PROPOSAL_CHOSEN | NotifyType::INVALID_KE_PAYLOAD) => {
            why.offered = draft.proposals.iter().map(Proposal::to_string).collect();
            why.check("the peer accepts none of these proposals").fix(format!(
                "put a proposal of the peer's into connections.{name}.children.{child}.esp"
            ))
        }
        _ => why,
    }
}
