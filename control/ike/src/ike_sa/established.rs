//! An established IKE SA: one exchange of ours and one of the peer's at a time, its Child SAs, its timers.
use super::{Base, Datagram, Ghost, State, Times};
use crate::action::{Endpoint, Lineage, Packet, Ticket};
use crate::channel::{Channel, Opened};
use crate::child::{Agreed, Child, Fate, Sending};
use crate::env::{Effect, Env};
use crate::event::{Cause, Event};
use crate::exchange::answer_child::Replying;
use crate::exchange::asking::{Asking, Question};
use crate::exchange::session::Session;
use crate::job::Done;
use crate::message::{Part, Received};
use crate::retransmit::Retransmission;
use crate::settings::{self, Unique};
use crate::why::{Reason, Stage};
use crate::window::{Numbers, Place, Requests};
use pki::Identity;
use std::collections::VecDeque;
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType};

/// How long a replaced IKE SA waits for its deletion, in milliseconds.
const RETIRED_MS: u64 = 60_000;
/// After an outbound half was refused, in milliseconds.
const RETRY_MS: u64 = 10_000;

/// Who the peer proved to be.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) identity: Identity,
    /// Ours and the peer's.
    pub(crate) methods: (String, String),
}

impl Identified {
    pub(crate) fn new(identity: Identity, methods: (String, String)) -> Self {
        Self { identity, methods }
    }
}

/// Something that we want to do as soon as no other exchange of ours is under way.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Create {
        child: Arc<settings::Child>,
        packet: Option<Packet>,
    },
    /// The Child SA with this inbound SPI.
    RekeyChild(u32),
    /// Child SAs with these inbound SPIs. The peer may know some that we do not.
    DeleteChildren(Vec<u32>, Cause),
    RekeyIke,
    DeleteIke(Cause),
    Liveness,
}

/// What an IKE SA leaves to its successor.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) children: Vec<Child>,
    queue: Vec<Task>,
    later: Vec<(u64, Task)>,
}

/// Both proved who they are.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) channel: Channel,
    pub(crate) peer: Identified,
    pub(crate) since: u64,
    pub(crate) lowest_nonce: Vec<u8>,
    pub(crate) requests: Requests,
    pub(crate) numbers: Numbers,
    pub(crate) asking: Asking,
    pub(crate) replying: Replying,
    pub(crate) queue: VecDeque<Task>,
    pub(crate) later: Vec<(u64, Task)>,
    pub(crate) children: Vec<Child>,
    pub(crate) times: Times,
    /// When the peer last proved that it lives.
    pub(crate) heard: u64,
    /// Another IKE SA took over all that this one had.
    pub(crate) successor: Option<u64>,
    /// It is not known yet whether it wins against one that we are making: its Child SAs may still be elsewhere.
    pub(crate) undecided: bool,
    /// What the peer deleted meanwhile, by its inbound SPIs.
    pub(crate) deleted_early: Vec<u32>,
    /// Where the request came from that is being answered.
    pub(crate) asked_from: Endpoint,
    /// CREATE_CHILD_SA requests of the peer in the minute that began then.
    creations: (u64, u32),
    pub(crate) end: Option<Cause>,
}

impl Established {
    pub(crate) fn new(base: &Base, session: Session, peer: Identified, env: &mut Env<'_>) -> Self {
        let lowest_nonce = session.nonces.0.min(session.nonces.1);
        let (numbers, requests) = if base.initiator { (2, 0) } else { (0, 1) };
        let mut new = Self::on(session.channel, peer, lowest_nonce, base, env);
        new.numbers = Numbers::starting_at(numbers);
        new.requests = Requests::starting_at(requests);
        new.channel.prove();
        new
    }

    /// On fresh keys, with message IDs from zero.
    pub(crate) fn on(
        channel: Channel,
        peer: Identified,
        lowest_nonce: Vec<u8>,
        base: &Base,
        env: &mut Env<'_>,
    ) -> Self {
        Self {
            channel,
            peer,
            since: env.now,
            lowest_nonce,
            requests: Requests::default(),
            numbers: Numbers::default(),
            asking: Asking::Idle,
            replying: Replying::Idle,
            queue: VecDeque::new(),
            later: Vec::new(),
            children: Vec::new(),
            times: Times::new(base, env),
            heard: env.now,
            successor: None,
            undecided: false,
            deleted_early: Vec::new(),
            asked_from: base.path,
            creations: (env.now, 0),
            end: None,
        }
    }

    /// Tells that it stands.
    pub(crate) fn announce(&self, base: &Base, env: &mut Env<'_>) {
        env.event(Event::IkeUp {
            ike: base.name(),
            identity: self.peer.identity.to_string(),
            methods: self.peer.methods.clone(),
            suite: self.channel.suite().to_string(),
            initiator: base.initiator,
        });
        env.effect(Effect::Established { spi: base.spi });
    }

    /// The peer says for how long it is content with this authentication (RFC 4478).
    pub(crate) fn peer_reauth(&mut self, base: &Base, received: &Received, env: &Env<'_>) {
        let note = received.note(NotifyType::AUTH_LIFETIME);
        let seconds =
            note.and_then(|note| note.data.as_slice().try_into().ok()).map(u32::from_be_bytes);
        if let Some(seconds) = seconds.filter(|_| base.initiator) {
            // Some time before it ends, for the new IKE SA must stand by then.
            let due = u64::from(seconds).saturating_mul(900).saturating_add(env.now);
            self.times.reauth = Some(self.times.reauth.map_or(due, |own| own.min(due)));
        }
    }

    pub(crate) fn put(&mut self, task: Task) {
        self.queue.push_back(task);
    }

    /// Not now, but then.
    pub(crate) fn put_later(&mut self, task: Task, after_ms: u64, env: &mut Env<'_>) {
        let at = env.now.saturating_add(env.wait(after_ms));
        self.later.push((at, task));
    }

    /// The child with this inbound SPI.
    pub(crate) fn child(&mut self, inbound: u32) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.inbound == inbound)
    }

    pub(crate) fn take_child(&mut self, inbound: u32) -> Option<Child> {
        let at = self.children.iter().position(|child| child.inbound == inbound)?;
        Some(self.children.remove(at))
    }

    /// Whether this connection's child of that name stands, or is about to.
    pub(crate) fn has_child(&self, name: &str) -> bool {
        let lives = |child: &Child| {
            &*child.settings.name == name && !matches!(child.fate, Fate::Closing(_))
        };
        self.children.iter().any(lives) || self.asking.makes(name) || self.replying.makes(name)
    }

    /// Nothing will be said again.
    pub(crate) fn forget_answers(&mut self) {
        self.requests = Requests::default();
    }

    /// Nothing is under way, and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.asking, Asking::Idle) && !self.replying.is_busy() && self.queue.is_empty()
    }

    /// Whose tunnel a new Child SA serves: that of the one it replaces, or of its kin. Peers that may share an identity
    /// share nothing else.
    pub(crate) fn lineage(&mut self, base: &Base, agreed: &Agreed, env: &mut Env<'_>) -> Lineage {
        if let Some(old) = agreed.replaces.and_then(|old| self.child(old)) {
            return old.lineage;
        }
        let (connection, child) =
            (Arc::clone(&base.connection.name), Arc::clone(&agreed.settings.name));
        let kinship =
            (connection, child, self.peer.identity.to_string(), agreed.covered.to_string());
        env.lineage(Some(kinship).filter(|_| base.connection.unique != Unique::Never))
    }

    /// The live child of this lineage.
    pub(crate) fn heir(&mut self, lineage: Lineage) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.lineage == lineage && child.lives())
    }

    /// Begins what waits, unless something is under way; or ends.
    pub(crate) fn proceed(mut self: Box<Self>, base: &mut Base, env: &mut Env<'_>) -> State {
        self.delete_late(base, env);
        // What is begun while the peer's new IKE SA is made would lose its answer: the successor does it.
        let free = |own: &Self| matches!(own.asking, Asking::Idle) && !own.replying.makes_ike();
        while self.end.is_none() && free(&self) {
            match self.queue.pop_front() {
                Some(task) => self.begin(base, task, env),
                None => break,
            }
        }
        match self.end {
            Some(cause) => self.finish(base, cause, env),
            None => State::Established(self),
        }
    }

    fn begin(&mut self, base: &Base, task: Task, env: &mut Env<'_>) {
        match task {
            Task::Create { child, packet } => self.create(base, &child, packet, env),
            Task::RekeyChild(inbound) => self.rekey_child(base, inbound, env),
            Task::DeleteChildren(inbound, cause) => self.delete_children(base, inbound, cause, env),
            Task::RekeyIke => self.rekey_ike(base, env),
            Task::DeleteIke(cause) => {
                self.ask(base, Question::DeleteIke(cause), &[Part::DeleteIke], env)
            }
            Task::Liveness => self.ask(base, Question::Liveness, &[], env),
        }
    }

    /// Sends a request.
    pub(crate) fn ask(
        &mut self,
        base: &Base,
        question: Question,
        parts: &[Part],
        env: &mut Env<'_>,
    ) {
        let Some(id) = self.numbers.take() else {
            self.end = Some(Cause::Expired);
            return;
        };
        let exchange = question.exchange();
        let datagrams = self.channel.seal(exchange, id, false, parts, env.random);
        env.send(base.path, &datagrams);
        let retransmission = Retransmission::new(datagrams, env.settings.retransmission, env.now);
        self.asking = Asking::Sent { id, retransmission, question: Box::new(question) };
    }

    /// Answers the current request.
    pub(crate) fn reply(&mut self, exchange: ExchangeType, parts: &[Part], env: &mut Env<'_>) {
        let id = self.requests.current();
        let datagrams = self.channel.seal(exchange, id, true, parts, env.random);
        env.send(self.asked_from, &datagrams);
        if !self.requests.answered(datagrams) {
            self.end = Some(Cause::Expired);
        }
    }

    pub(crate) fn on_datagram(
        mut self: Box<Self>,
        base: &mut Base,
        datagram: Datagram<'_>,
        env: &mut Env<'_>,
    ) -> State {
        if datagram.header.flags.initiator == base.initiator {
            return State::Established(self); // our own, come back
        }
        match datagram.header.flags.response {
            true => self.on_response(base, datagram, env),
            false => self.on_request(base, datagram, env),
        }
        self.proceed(base, env)
    }

    fn on_response(&mut self, base: &mut Base, datagram: Datagram<'_>, env: &mut Env<'_>) {
        let header = datagram.header;
        let expected = match &self.asking {
            Asking::Sent { id, question, .. } => {
                *id == header.message_id && question.exchange() == header.exchange
            }
            _ => false,
        };
        if !expected {
            return;
        }
        let opened = self.channel.open(datagram.octets, env.now);
        if matches!(opened, Opened::Nothing) {
            return;
        }
        self.heard = env.now;
        let Asking::Sent { question, .. } = std::mem::replace(&mut self.asking, Asking::Idle)
        else {
            return;
        };
        match opened {
            Opened::Message(received) => self.on_answer(base, *question, *received, env),
            Opened::Malformed(refused) => {
                let why = base.why(env.now, question.stage(), Reason::Malformed);
                env.fail(why.check(refused.to_string()));
                question.abandon(env);
                self.end = Some(Cause::Failed);
            }
            Opened::Nothing => {}
        }
    }

    fn on_answer(
        &mut self,
        base: &mut Base,
        question: Question,
        received: Received,
        env: &mut Env<'_>,
    ) {
        match question {
            Question::Child(draft) => self.on_child_answer(base, *draft, received, env),
            Question::Ike(draft) => self.on_ike_answer(base, *draft, received, env),
            Question::DeleteChildren(inbound, cause) => self.on_deleted(base, &inbound, cause, env),
            Question::DeleteIke(cause) => self.end = Some(cause),
            Question::Liveness => {}
        }
    }

    fn on_request(&mut self, base: &mut Base, datagram: Datagram<'_>, env: &mut Env<'_>) {
        match self.requests.place(datagram.header.message_id) {
            Place::Outside => {}
            Place::Repeated => {
                if self.channel.repeats(datagram.octets) {
                    env.send(datagram.path, self.requests.answer());
                }
            }
            Place::New if self.replying.is_busy() => {} // the answer is being made
            Place::New => self.on_new_request(base, datagram, env),
        }
    }

    fn on_new_request(&mut self, base: &mut Base, datagram: Datagram<'_>, env: &mut Env<'_>) {
        let opened = self.channel.open(datagram.octets, env.now);
        if matches!(opened, Opened::Nothing) {
            return;
        }
        self.heard = env.now;
        self.asked_from = datagram.path;
        self.follow(base, datagram.path, env);
        let exchange = datagram.header.exchange;
        match opened {
            Opened::Message(received) => self.dispatch(base, exchange, *received, env),
            Opened::Malformed(refused) => {
                let notify = refused.notify_type();
                let why = base
                    .why(env.now, stage_of(exchange), Reason::Malformed)
                    .check(refused.to_string());
                env.fail(why);
                self.reply(exchange, &[Part::refusal(&refused)], env);
                if notify == NotifyType::INVALID_SYNTAX {
                    self.end = Some(Cause::Failed); // RFC 7296 §2.21.3
                }
            }
            Opened::Nothing => {}
        }
    }

    fn dispatch(
        &mut self,
        base: &mut Base,
        exchange: ExchangeType,
        received: Received,
        env: &mut Env<'_>,
    ) {
        match exchange {
            ExchangeType::INFORMATIONAL => self.on_informational(base, received, env),
            ExchangeType::CREATE_CHILD_SA if !self.may_create(env) => {
                self.reply(exchange, &[Part::note(NotifyType::TEMPORARY_FAILURE, [])], env);
            }
            ExchangeType::CREATE_CHILD_SA => self.on_create_child(base, received, env),
            _ => self.reply(exchange, &[Part::note(NotifyType::INVALID_SYNTAX, [])], env),
        }
    }

    /// Each costs a key exchange: an authenticated peer may not have any number of them either.
    fn may_create(&mut self, env: &Env<'_>) -> bool {
        if env.now >= self.creations.0.saturating_add(60_000) {
            self.creations = (env.now, 0);
        }
        self.creations.1 = self.creations.1.saturating_add(1);
        self.creations.1 <= env.settings.limits.creations_per_minute
    }

    /// A peer behind a NAT may come from elsewhere. Only a new, authenticated request says so (RFC 7296 §2.23).
    fn follow(&mut self, base: &mut Base, path: Endpoint, env: &mut Env<'_>) {
        if !base.nat.remote
            || base.nat.local
            || path == base.path
            || path.local.port() != env.settings.ports.natt
        {
            return;
        }
        base.path = path;
        for child in &mut self.children {
            child.relocate(path, env);
        }
        env.event(Event::Moved { ike: base.name(), path });
    }

    pub(crate) fn on_done(
        mut self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        done: Done,
        env: &mut Env<'_>,
    ) -> State {
        if self.asking.waits_for(ticket) {
            self.asking_done(base, done, env);
        } else if self.replying.waits_for(ticket) {
            self.replying_done(base, done, env);
        }
        self.proceed(base, env)
    }

    pub(crate) fn on_installed(
        mut self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        result: Result<(), String>,
        env: &mut Env<'_>,
    ) -> State {
        if self.asking.waits_for(ticket) {
            self.asking_installed(base, result, env);
        } else if self.replying.waits_for(ticket) {
            self.replying_installed(base, result, env);
        } else {
            self.swapped(base, ticket, result, env);
        }
        self.proceed(base, env)
    }

    /// The outbound half that took over from a replaced one.
    fn swapped(
        &mut self,
        base: &Base,
        ticket: Ticket,
        result: Result<(), String>,
        env: &mut Env<'_>,
    ) {
        let waits = |child: &&mut Child| matches!(child.sending, Sending::Installing { ticket: own, .. } if own == ticket);
        let Some(child) = self.children.iter_mut().find(waits) else { return };
        child.sends(result.is_ok(), env);
        let Err(why) = result else { return };
        let (inbound, name) = (child.inbound, Arc::clone(&child.settings.name));
        let old = child.replaces;
        let failure = base.why(env.now, Stage::Install, Reason::DataPlane);
        env.fail(failure.check(why).child(&name));
        self.put(Task::DeleteChildren(vec![inbound], Cause::Failed));
        // The peer has not deleted the one that it replaced: that goes on.
        if let Some(old) = old.filter(|old| self.reinstate(*old, inbound)) {
            self.put_later(Task::RekeyChild(old), RETRY_MS, env);
        }
    }

    /// The one that took the place of `old` sends from now on, or as soon as it can.
    pub(crate) fn promote(&mut self, old: &mut Child, env: &mut Env<'_>) {
        let heir = |child: &&mut Child| child.replaces == Some(old.inbound) && child.lives();
        if let Some(child) = self.children.iter_mut().find(heir) {
            child.send_now(env);
            child.take_over(old);
        }
    }

    /// Everything goes to another IKE SA.
    pub(crate) fn bequeath(&mut self, to: u64, env: &mut Env<'_>) {
        let keep =
            |task: &Task| !matches!(task, Task::RekeyIke | Task::DeleteIke(_) | Task::Liveness);
        let children = std::mem::take(&mut self.children);
        let queue = std::mem::take(&mut self.queue).into_iter().filter(keep).collect();
        let mut later = std::mem::take(&mut self.later);
        later.retain(|(_, task)| keep(task));
        let from = self.channel.own_spi();
        env.effect(Effect::Inherit {
            from,
            to,
            estate: Box::new(Estate { children, queue, later }),
        });
        self.retire(to, env.now);
    }

    /// What another IKE SA had.
    pub(crate) fn inherit(&mut self, estate: Estate) {
        self.undecided = false;
        self.children.extend(estate.children);
        self.queue.extend(estate.queue);
        self.later.extend(estate.later);
    }

    /// Another IKE SA has all that this one had; it only waits for its end.
    pub(crate) fn retire(&mut self, successor: u64, now: u64) {
        self.successor = Some(successor);
        self.times = Times { dies: Some(now.saturating_add(RETIRED_MS)), ..Times::default() };
        self.later.clear();
    }

    /// The end. `cause` tells the children what became of them.
    fn finish(mut self: Box<Self>, base: &Base, cause: Cause, env: &mut Env<'_>) -> State {
        std::mem::replace(&mut self.asking, Asking::Idle).abandon(env);
        std::mem::replace(&mut self.replying, Replying::Idle).abandon(env);
        let peer = (Arc::clone(&base.connection.name), self.peer.identity.to_string());
        for child in self.children.drain(..) {
            child.bury(base, peer.clone(), cause, env);
        }
        let cause = if self.successor.is_some() { Cause::Replaced } else { cause };
        env.event(Event::IkeDown { ike: base.name(), cause });
        env.effect(Effect::ended(base, cause));
        match self.requests.answer().is_empty() {
            true => State::Gone,
            false => State::Ghost(Box::new(Ghost::new(self.channel, self.requests, env.now))),
        }
    }
}

fn stage_of(exchange: ExchangeType) -> Stage {
    match exchange {
        ExchangeType::CREATE_CHILD_SA => Stage::CreateChild,
        _ => Stage::Informational,
    }
}
