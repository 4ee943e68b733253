//! An IKE SA that ended with an answer of ours. Should the answer be lost, the peer asks again, and hears the same.
use super::{Datagram, State};
use crate::channel::Channel;
use crate::env::Env;
use crate::window::{Place, Requests};

/// How long the last answer is kept, in milliseconds: some repetitions of the peer's request.
const KEPT_MS: u64 = 10_000;

/// The last answer, and what is needed to know who asks.
#[derive(Debug)]
pub(crate) struct Ghost {
    channel: Channel,
    requests: Requests,
    until: u64,
}

impl Ghost {
    pub(crate) fn new(channel: Channel, requests: Requests, now: u64) -> Self {
        Self { channel, requests, until: now.saturating_add(KEPT_MS) }
    }
    pub(crate) fn until(&self) -> u64 {
        self.until
    }
    pub(crate) fn on_datagram(self: Box<Self>, datagram: Datagram<'_>, env: &mut Env<'_>) -> State {
        let again = !datagram.header.flags.response
            && self.requests.place(datagram.header.message_id) == Place::Repeated;
        if again && self.channel.repeats(datagram.octets) {
            env.send(datagram.path, self.requests.answer());
        }
        State::Ghost(self)
    }
    pub(crate) fn on_tick(self: Box<Self>, env: &Env<'_>) -> State {
        if env.now < self.until { State::Ghost(self) } else { State::Gone }
    }
}
