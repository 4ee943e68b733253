//! One IKE SA: what all its states have, and which state it is in. A step looks by reference; only what was verified
//! consumes a state and makes the next one.
mod base;
mod established;
mod ghost;
mod timers;

pub(crate) use base::{Base, Nat, Purpose};
pub(crate) use established::{Established, Estate, Identified, Task};
pub(crate) use ghost::Ghost;
pub(crate) use timers::Times;

use crate::action::{Endpoint, Ticket};
use crate::env::{Effect, Env};
use crate::event::Cause;
use crate::exchange::{answer::Answering, call::Calling, judge::Judging, prove::Proving};
use crate::job::Done;
use wire::ike::Header;

/// An IKE SA.
#[derive(Debug)]
pub(crate) struct IkeSa {
    pub(crate) base: Base,
    pub(crate) state: State,
}

/// The states. Each has what its next step needs, and no more.
#[derive(Debug)]
pub(crate) enum State {
    /// Initiator, IKE_SA_INIT.
    Calling(Box<Calling>),
    /// Responder, IKE_SA_INIT: a key exchange is in the pool.
    Answering(Box<Answering>),
    /// Initiator, IKE_AUTH.
    Proving(Box<Proving>),
    /// Responder, IKE_AUTH.
    Judging(Box<Judging>),
    /// Both proved who they are.
    Established(Box<Established>),
    /// Ended; its last answer is given again when it is asked for again.
    Ghost(Box<Ghost>),
    /// Nothing is left.
    Gone,
}

/// A datagram for an IKE SA, its header read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) header: Header,
    /// Header included, without the non-ESP marker.
    pub(crate) octets: &'a [u8],
    pub(crate) path: Endpoint,
}

impl IkeSa {
    fn step(self, with: impl FnOnce(State, &mut Base) -> State) -> Option<Self> {
        let Self { mut base, state } = self;
        match with(state, &mut base) {
            State::Gone => None,
            state => Some(Self { base, state }),
        }
    }

    /// A datagram that bears this SA's SPIs. Nothing says yet that it is the peer's.
    pub(crate) fn on_datagram(self, datagram: Datagram<'_>, env: &mut Env<'_>) -> Option<Self> {
        self.step(|state, base| match state {
            State::Calling(calling) => calling.on_datagram(base, datagram, env),
            State::Answering(answering) => State::Answering(answering),
            State::Proving(proving) => proving.on_datagram(base, datagram, env),
            State::Judging(judging) => judging.on_datagram(base, datagram, env),
            State::Established(established) => established.on_datagram(base, datagram, env),
            State::Ghost(ghost) => ghost.on_datagram(datagram, env),
            State::Gone => State::Gone,
        })
    }

    /// A job is done.
    pub(crate) fn on_done(self, ticket: Ticket, done: Done, env: &mut Env<'_>) -> Option<Self> {
        self.step(|state, base| match state {
            State::Calling(calling) => calling.on_done(base, ticket, done, env),
            State::Answering(answering) => answering.on_done(base, ticket, done, env),
            State::Proving(proving) => proving.on_done(base, ticket, done, env),
            State::Judging(judging) => judging.on_done(base, ticket, done, env),
            State::Established(established) => established.on_done(base, ticket, done, env),
            state @ (State::Ghost(_) | State::Gone) => state,
        })
    }

    /// An installation is done, or refused. A half that nobody waits for any more was removed when it was given up.
    pub(crate) fn on_installed(
        self,
        ticket: Ticket,
        result: Result<(), String>,
        env: &mut Env<'_>,
    ) -> Option<Self> {
        self.step(|state, base| match state {
            State::Established(established) => established.on_installed(base, ticket, result, env),
            state => state,
        })
    }

    /// Time went by.
    pub(crate) fn on_tick(self, env: &mut Env<'_>) -> Option<Self> {
        self.step(|state, base| match state {
            State::Calling(calling) => calling.on_tick(base, env),
            State::Answering(answering) if env.now < base.half_open_until(env.settings) => {
                State::Answering(answering)
            }
            State::Answering(_) => State::Gone,
            State::Proving(proving) => proving.on_tick(base, env),
            State::Judging(judging) => judging.on_tick(base, env),
            State::Established(established) => established.on_tick(base, env),
            State::Ghost(ghost) => ghost.on_tick(env),
            State::Gone => State::Gone,
        })
    }

    /// When [`Self::on_tick`] has something to do next.
    pub(crate) fn deadline(&self, settings: &crate::settings::Settings) -> Option<u64> {
        match &self.state {
            State::Calling(calling) => calling.deadline(),
            State::Answering(_) => Some(self.base.half_open_until(settings)),
            State::Proving(proving) => proving.deadline(),
            State::Judging(_) => Some(self.base.half_open_until(settings)),
            State::Established(established) => established.deadline(&self.base),
            State::Ghost(ghost) => Some(ghost.until()),
            State::Gone => None,
        }
    }

    /// Something to be done when it is established, or as soon as it is.
    pub(crate) fn task(mut self, task: Task, env: &mut Env<'_>) -> Option<Self> {
        match &mut self.state {
            State::Established(established) => {
                established.put(task);
                self.step(|state, base| match state {
                    State::Established(established) => established.proceed(base, env),
                    state => state,
                })
            }
            _ => Some(self),
        }
    }

    /// Goes on with what waits.
    pub(crate) fn proceed(self, env: &mut Env<'_>) -> Option<Self> {
        self.step(|state, base| match state {
            State::Established(established) => established.proceed(base, env),
            state => state,
        })
    }

    /// Ends without a word to the peer.
    pub(crate) fn vanish(self, cause: Cause, env: &mut Env<'_>) -> Option<Self> {
        self.step(|state, base| match state {
            State::Established(mut established) => {
                established.end = Some(cause);
                established.forget_answers();
                established.proceed(base, env)
            }
            State::Proving(proving) => proving.vanish(base, cause, env),
            State::Calling(_) => {
                env.effect(Effect::ended(base, cause));
                State::Gone
            }
            _ => State::Gone,
        })
    }

    /// Whether a stranger began it and has not yet proved who he is.
    pub(crate) fn is_half_open(&self) -> bool {
        matches!(self.state, State::Answering(_) | State::Judging(_))
    }

    pub(crate) fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) => Some(established),
            _ => None,
        }
    }

    pub(crate) fn established_mut(&mut self) -> Option<&mut Established> {
        match &mut self.state {
            State::Established(established) => Some(established),
            _ => None,
        }
    }
}
