//! Where datagrams come in. Until an ICV was found good, all that a datagram can do is to be counted, to be answered with
//! no more octets than it had, or to open a half-open IKE SA within bounds.
use super::Engine;
use crate::action::{Action, Endpoint};
use crate::channel;
use crate::exchange::answer::{self, Declined};
use crate::half_open::Admission;
use crate::ike_sa::{Datagram, IkeSa, State, Task};
use crate::message::{Part, Received};
use crate::why::{Reason, Stage, Why};
use wire::iana::ike::{ExchangeType, NotifyType};
use wire::ike::header::MAJOR;
use wire::ike::{Flags, Header, Message, Refused};

/// A peer that was heard of so lately is not asked whether it lives, in milliseconds.
const HINT_MS: u64 = 2_000;

/// What became of datagrams that led to nothing. None of them is an error of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// NAT keepalives (RFC 3948 §2.3).
    pub keepalives: u64,
    /// On port 4500 without the non-ESP marker: ESP that belongs to the data plane, or noise.
    pub without_marker: u64,
    /// No IKE header, or a length that lies.
    pub malformed: u64,
    /// Another major version.
    pub other_version: u64,
    /// For an IKE SA that we do not have.
    pub unknown_spi: u64,
    /// Strangers beyond the limits.
    pub too_many: u64,
    /// Cookies sent.
    pub cookies: u64,
    /// Cookies that were none of ours, or too old.
    pub bad_cookies: u64,
    /// Requests of strangers that were turned down.
    pub refused: u64,
    /// Fragments for which there was no room: all peers together had too many octets in messages that were not complete.
    pub no_room: u64,
}

impl Engine {
    /// What became of datagrams that led to nothing.
    pub fn counters(&self) -> Counters {
        Counters { no_room: self.fragments.refused(), ..self.counters }
    }

    /// Octets of messages that are not complete, over all peers.
    pub fn fragments_held(&self) -> usize {
        self.fragments.held()
    }

    pub(super) fn receive(
        &mut self,
        now: u64,
        path: Endpoint,
        datagram: &[u8],
        out: &mut Vec<Action>,
    ) {
        let Some(octets) = self.without_marker(path, datagram) else { return };
        let Ok((header, _)) = Header::parse(octets) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return;
        };
        if header.major != MAJOR {
            return self.other_version(now, path, &header, out);
        }
        let datagram = Datagram { header, octets, path };
        let request = header.flags.initiator && !header.flags.response;
        if header.exchange == ExchangeType::IKE_SA_INIT && request && header.responder_spi == 0 {
            return self.on_call(now, datagram, out);
        }
        let spi = if header.flags.initiator { header.responder_spi } else { header.initiator_spi };
        match self.sas.get(&spi).is_some_and(|sa| bears(sa, &header)) {
            true => self.deliver(spi, now, datagram, out),
            false => self.unknown(now, datagram, out),
        }
    }

    /// The message behind the marker (RFC 3948 §2.2); on port 500 there is none.
    fn without_marker<'a>(&mut self, path: Endpoint, datagram: &'a [u8]) -> Option<&'a [u8]> {
        if path.local.port() != self.settings.ports.natt {
            return Some(datagram);
        }
        if datagram == [0xff] {
            self.counters.keepalives = self.counters.keepalives.saturating_add(1);
            return None;
        }
        let message = datagram.strip_prefix(&[0; 4]);
        if message.is_none() {
            self.counters.without_marker = self.counters.without_marker.saturating_add(1);
        }
        message
    }

    /// Above 2: said once in a while (RFC 7296 §2.5). Version 1 has its own place.
    fn other_version(&mut self, now: u64, path: Endpoint, header: &Header, out: &mut Vec<Action>) {
        self.counters.other_version = self.counters.other_version.saturating_add(1);
        if header.major > MAJOR && !header.flags.response && self.strangers.take(now) {
            let part = Part::note(NotifyType::INVALID_MAJOR_VERSION, []);
            self.answer_stranger(now, path, header, part, out);
        }
    }

    fn answer_stranger(
        &mut self,
        now: u64,
        path: Endpoint,
        header: &Header,
        part: Part,
        out: &mut Vec<Action>,
    ) {
        let datagram = answer::without_state(header, &[part]);
        self.env(0, now, out).send(path, &[datagram]);
    }

    fn deliver(&mut self, spi: u64, now: u64, datagram: Datagram<'_>, out: &mut Vec<Action>) {
        let established = self.sas.get(&spi).and_then(IkeSa::established);
        if let Some(established) = established.filter(|_| hints_at_loss(datagram.octets)) {
            // Anybody can say so: it is worth a question now and then, and nothing else.
            if established.is_idle() && now > established.heard.saturating_add(HINT_MS) {
                self.task(spi, Task::Liveness, now, out);
            }
            return;
        }
        self.with(spi, now, out, |sa, env| sa.on_datagram(datagram, env));
        self.succeeded(spi, now);
    }

    /// A peer that still has an IKE SA which we lost may be told; it must not believe us (RFC 7296 §2.21.4).
    fn unknown(&mut self, now: u64, datagram: Datagram<'_>, out: &mut Vec<Action>) {
        self.counters.unknown_spi = self.counters.unknown_spi.saturating_add(1);
        let header = datagram.header;
        if header.flags.response || header.responder_spi == 0 || !self.strangers.take(now) {
            return;
        }
        let flags = Flags { initiator: !header.flags.initiator, version: false, response: true };
        let spis = (header.initiator_spi, header.responder_spi);
        let answer = Header::new(spis, header.exchange, flags, header.message_id);
        let octets = channel::plain_with(answer, &[Part::note(NotifyType::INVALID_IKE_SPI, [])]);
        if octets.len() <= datagram.octets.len() {
            self.env(0, now, out).send(datagram.path, &[octets]);
        }
    }

    /// A stranger's first message, or the repetition of one.
    fn on_call(&mut self, now: u64, datagram: Datagram<'_>, out: &mut Vec<Action>) {
        let header = datagram.header;
        let call = (header.initiator_spi, datagram.path.remote);
        if let Some(spi) = self.calls.get(&call).copied() {
            return self.on_call_again(spi, now, datagram, out);
        }
        if header.message_id != 0 {
            self.counters.refused = self.counters.refused.saturating_add(1);
            return;
        }
        let received = match Message::parse(datagram.octets) {
            Ok(_) => channel::read_plain(datagram.octets),
            Err(refused) => return self.unreadable(now, datagram, refused, out),
        };
        let Some(received) = received else { return };
        match self.half_open.admit(datagram.path.remote.ip(), &self.settings.limits) {
            Admission::Full => self.counters.too_many = self.counters.too_many.saturating_add(1),
            Admission::Cookie if !self.has_cookie(&received, datagram, now) => {
                self.send_cookie(now, datagram, &received, out);
            }
            Admission::Cookie => self.open(now, datagram, &received, true, out),
            Admission::Welcome => {
                let proven = self.has_cookie(&received, datagram, now);
                self.open(now, datagram, &received, proven, out);
            }
        }
    }

    /// The same request gets the same answer, or waits for it with the first; another one under the same SPI is nobody's.
    fn on_call_again(&mut self, spi: u64, now: u64, datagram: Datagram<'_>, out: &mut Vec<Action>) {
        let waits = self.sas.get(&spi).is_some_and(|sa| match &sa.state {
            State::Answering(answering) => answering.answers(datagram.octets),
            _ => false,
        });
        if !waits {
            self.with(spi, now, out, |sa, env| sa.on_datagram(datagram, env));
        }
    }

    fn unreadable(
        &mut self,
        now: u64,
        datagram: Datagram<'_>,
        refused: Refused,
        out: &mut Vec<Action>,
    ) {
        self.counters.malformed = self.counters.malformed.saturating_add(1);
        if let Refused::UnsupportedCritical(kind) = refused
            && self.strangers.take(now)
        {
            let part = Part::note(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [kind.0]);
            self.answer_stranger(now, datagram.path, &datagram.header, part, out);
        }
    }

    fn has_cookie(&mut self, received: &Received, datagram: Datagram<'_>, now: u64) -> bool {
        let Some(note) = received.note(NotifyType::COOKIE) else { return false };
        let nonce = received.nonce.as_deref().unwrap_or_default();
        let (source, spi) = (datagram.path.remote.ip(), datagram.header.initiator_spi);
        let good = self.cookies.good(&note.data, nonce, source, spi, now);
        let bad = u64::from(!good);
        self.counters.bad_cookies = self.counters.bad_cookies.saturating_add(bad);
        good
    }

    fn send_cookie(
        &mut self,
        now: u64,
        datagram: Datagram<'_>,
        received: &Received,
        out: &mut Vec<Action>,
    ) {
        self.counters.cookies = self.counters.cookies.saturating_add(1);
        let nonce = received.nonce.as_deref().unwrap_or_default();
        let (source, spi) = (datagram.path.remote.ip(), datagram.header.initiator_spi);
        let cookie = self.cookies.make(nonce, source, spi, now, &mut *self.random);
        let answer =
            answer::without_state(&datagram.header, &[Part::note(NotifyType::COOKIE, cookie)]);
        if answer.len() <= datagram.octets.len() {
            self.env(0, now, out).send(datagram.path, &[answer]);
        }
    }

    fn open(
        &mut self,
        now: u64,
        datagram: Datagram<'_>,
        received: &Received,
        proven: bool,
        out: &mut Vec<Action>,
    ) {
        let spi = self.free_spi(now, out);
        let quiet = !self.strangers.take(now);
        let from = out.len();
        let result = answer::take_up(datagram, received, proven, &mut self.env(spi, now, out));
        match result {
            Ok(sa) => {
                let remote = datagram.path.remote;
                self.half_open.enter(remote.ip());
                self.calls.insert((datagram.header.initiator_spi, remote), spi);
                self.put(sa);
            }
            Err(Declined::Unproven) => self.send_cookie(now, datagram, received, out),
            Err(Declined::With(part)) => {
                if quiet {
                    out.truncate(from); // a flood of them must not become a flood of news
                }
                self.counters.refused = self.counters.refused.saturating_add(1);
                if !quiet {
                    self.answer_stranger(now, datagram.path, &datagram.header, part, out);
                }
            }
        }
    }

    /// An SPI that no IKE SA of ours has.
    pub(super) fn free_spi(&mut self, now: u64, out: &mut Vec<Action>) -> u64 {
        loop {
            let spi = self.env(0, now, out).ike_spi();
            if !self.sas.contains_key(&spi) {
                return spi;
            }
        }
    }

    /// A failure that belongs to no IKE SA.
    pub(super) fn note_failure(&mut self, why: Why, now: u64, out: &mut Vec<Action>) {
        self.env(0, now, out).fail(why);
    }

    pub(super) fn cannot_begin(
        &mut self,
        name: &std::sync::Arc<str>,
        check: &str,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        let nobody = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let why =
            Why::new(now, nobody, Stage::Init, Reason::NoConnection).connection(name).check(check);
        self.note_failure(why, now, out);
    }
}

/// Whether a header has the SPIs of this IKE SA. Of one that is being begun, the peer's is not known yet.
fn bears(sa: &IkeSa, header: &Header) -> bool {
    let known = sa.base.spis();
    let calling = matches!(sa.state, State::Calling(_));
    header.initiator_spi == known.0 && (calling || header.responder_spi == known.1)
}

/// An unprotected INVALID_IKE_SPI or INVALID_SPI: a hint that the peer lost its state, or a lie (RFC 7296 §2.21.4).
fn hints_at_loss(octets: &[u8]) -> bool {
    let Ok(message) = Message::parse(octets) else { return false };
    let payloads = message.payloads();
    message.sealed().is_none()
        && (payloads.says(NotifyType::INVALID_IKE_SPI) || payloads.says(NotifyType::INVALID_SPI))
}
