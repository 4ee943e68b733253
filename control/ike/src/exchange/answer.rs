//! IKE_SA_INIT, responder (RFC 7296 §1.2, §2.6, §2.7). All that can be told without keys is told without keeping
//! anything; what is kept is counted.
use super::judge::Judging;
use super::session::{self, Abilities, Session};
use crate::action::Ticket;
use crate::algorithm::Suite;
use crate::channel::{self, Channel};
use crate::env::{Env, MOST_CANDIDATES, NONCE};
use crate::fix;
use crate::ike_sa::{Base, Datagram, IkeSa, Nat, Purpose, State};
use crate::job::{Done, Job};
use crate::message::{Part, Received, protocol};
use crate::proposal::{self, Chosen, KeyExchange};
use crate::settings::Connection;
use crate::why::{Candidate, Reason, Stage, Why};
use crate::{Key, action::Endpoint};
use std::sync::Arc;
use wire::iana::ike::{ExchangeType, NotifyType};
use wire::ike::{Flags, Header, Spi};

/// A key exchange is in the pool for a request that was found sound.
#[derive(Debug)]
pub(crate) struct Answering {
    ticket: Ticket,
    chosen: Chosen,
    suite: Suite,
    /// Initiator's and responder's.
    nonces: (Vec<u8>, Vec<u8>),
    request: Vec<u8>,
    peer: Abilities,
}

/// Connections that fit these addresses: the most specific first, then in the order of the file.
pub(crate) fn candidates(env: &Env<'_>, path: Endpoint) -> Vec<Arc<Connection>> {
    let of = |connection: &Arc<Connection>| {
        let fit = connection.fits(path.local.ip(), path.remote.ip())?;
        Some((fit, Arc::clone(connection)))
    };
    let mut fitting: Vec<_> = env.directory.near(path.remote.ip()).filter_map(of).collect();
    fitting.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
    fitting.into_iter().map(|(_, connection)| connection).collect()
}

/// An answer to a stranger for whom nothing is kept.
pub(crate) fn without_state(header: &Header, parts: &[Part]) -> Vec<u8> {
    let flags = Flags { initiator: false, version: false, response: true };
    let spis = (header.initiator_spi, 0);
    channel::plain_with(Header::new(spis, header.exchange, flags, header.message_id), parts)
}

/// Why a request does not become an IKE SA.
pub(crate) enum Declined {
    /// It is told so.
    With(Part),
    /// The answer would have more octets than the request, so its sender has to show a cookie first.
    Unproven,
}

impl Declined {
    fn with(kind: NotifyType, data: impl Into<Vec<u8>>) -> Self {
        Self::With(Part::note(kind, data))
    }
}

/// Takes up a request. `proven`: it came with a good cookie.
pub(crate) fn take_up(
    datagram: Datagram<'_>,
    received: &Received,
    proven: bool,
    env: &mut Env<'_>,
) -> Result<IkeSa, Declined> {
    let candidates = candidates(env, datagram.path);
    if candidates.is_empty() {
        env.fail(no_connection(datagram.path, env));
        return Err(Declined::with(NotifyType::NO_PROPOSAL_CHOSEN, []));
    }
    let (Some(offers), Some((method, public))) = (received.sa.as_deref(), received.ke.as_ref())
    else {
        return Err(Declined::with(NotifyType::INVALID_SYNTAX, []));
    };
    let Some(nonce) = session::sound_nonce(received.nonce.clone()) else {
        return Err(Declined::with(NotifyType::INVALID_SYNTAX, []));
    };
    let mut different = Vec::new();
    for connection in candidates {
        let exchange = KeyExchange::Sent(*method);
        match proposal::choose(
            &connection.name,
            &connection.proposals,
            offers,
            protocol::IKE,
            exchange,
        ) {
            Ok(chosen) => {
                let suite = session::suite(&chosen)
                    .ok_or_else(|| Declined::with(NotifyType::NO_PROPOSAL_CHOSEN, []))?;
                let wanted = suite.group().id().0;
                if wanted != *method {
                    return Err(Declined::with(
                        NotifyType::INVALID_KE_PAYLOAD,
                        wanted.to_be_bytes(),
                    ));
                }
                let job = Job::Exchange { group: suite.group(), public: public.clone() };
                let base = base(datagram, connection, received, env);
                let answer = answer_len(&base, &chosen, &suite, public.len(), env);
                if answer > datagram.octets.len() && !proven {
                    return Err(Declined::Unproven);
                }
                return Ok(begin(datagram, base, (chosen, suite, nonce), received, job, env));
            }
            Err(candidates) => different.extend(candidates),
        }
    }
    env.fail(no_proposal(datagram.path, offers, different, env.now));
    Err(Declined::with(NotifyType::NO_PROPOSAL_CHOSEN, []))
}

fn base(
    datagram: Datagram<'_>,
    connection: Arc<Connection>,
    received: &Received,
    env: &Env<'_>,
) -> Base {
    let header = datagram.header;
    let mut base = Base {
        spi: env.owner,
        peer_spi: header.initiator_spi,
        initiator: false,
        connection,
        path: datagram.path,
        nat: Nat::default(),
        born: env.now,
        purpose: Purpose::default(),
    };
    let (local, remote) =
        session::detect_nat(received, (header.initiator_spi, header.responder_spi), datagram.path);
    base.found_nat(local, remote);
    base
}

fn begin(
    datagram: Datagram<'_>,
    base: Base,
    (chosen, suite, nonce): (Chosen, Suite, Vec<u8>),
    received: &Received,
    job: Job,
    env: &mut Env<'_>,
) -> IkeSa {
    let answering = Answering {
        ticket: env.work(job),
        chosen,
        suite,
        nonces: (nonce, env.nonce()),
        request: datagram.octets.to_vec(),
        peer: Abilities::of(received),
    };
    IkeSa { base, state: State::Answering(Box::new(answering)) }
}

/// The answer's payloads.
fn parts(
    base: &Base,
    chosen: &Chosen,
    exchanged: (u16, Vec<u8>),
    nonce: Vec<u8>,
    env: &mut Env<'_>,
) -> Vec<Part> {
    let mut parts = vec![
        Part::choice(protocol::IKE, Spi::None, chosen.number, chosen.proposal.clone()),
        Part::Ke(exchanged.0, exchanged.1),
        Part::Nonce(nonce),
    ];
    parts.extend(session::announcements(base, env.random));
    parts.push(Part::note(NotifyType::CHILDLESS_IKEV2_SUPPORTED, []));
    parts.extend(super::identify::request(&base.connection));
    parts
}

/// Octets of the answer, before anything is computed for it. A stranger's address may be a victim's, so it gets no
/// more octets than came from there.
fn answer_len(
    base: &Base,
    chosen: &Chosen,
    suite: &Suite,
    public: usize,
    env: &mut Env<'_>,
) -> usize {
    let (exchanged, nonce) = ((suite.group().id().0, vec![0; public]), vec![0; NONCE]);
    let parts = parts(base, chosen, exchanged, nonce, env);
    channel::plain(base.spis(), false, ExchangeType::IKE_SA_INIT, true, &parts).len()
}

impl Answering {
    pub(crate) fn on_done(
        self: Box<Self>,
        base: &mut Base,
        ticket: Ticket,
        done: Done,
        env: &mut Env<'_>,
    ) -> State {
        match done {
            _ if ticket != self.ticket => State::Answering(self),
            Done::Exchanged(Some((public, shared))) => self.answer(base, public, &shared, env),
            // A bad public value, or no time for it. The initiator may ask again.
            _ => State::Gone,
        }
    }

    fn answer(self, base: &Base, public: Vec<u8>, shared: &Key, env: &mut Env<'_>) -> State {
        let Self { chosen, suite, nonces, request, peer, .. } = self;
        let exchanged = (suite.group().id().0, public);
        let parts = parts(base, &chosen, exchanged, nonces.1.clone(), env);
        let response = channel::plain(base.spis(), false, ExchangeType::IKE_SA_INIT, true, &parts);
        let channel =
            Channel::new(base, suite, &nonces, shared, (peer.fragmentation, env.fragments));
        env.send(base.path, std::slice::from_ref(&response));
        let session = Session { channel, nonces, messages: (request, response), peer };
        State::Judging(Box::new(Judging::new(session)))
    }

    /// Whether this very request is being answered already.
    pub(crate) fn answers(&self, request: &[u8]) -> bool {
        self.request == request
    }
}

fn no_connection(path: Endpoint, env: &Env<'_>) -> Why {
    let mut why = Why::new(env.now, path.remote, Stage::Init, Reason::NoConnection);
    let ranges = |connection: &Connection| {
        connection.remote.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let of = |connection: &Arc<Connection>| {
        let from_elsewhere =
            !connection.local.is_empty() && !connection.local.contains(&path.local.ip());
        let list = |all: &[std::net::IpAddr]| {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let (field, offered, ours) = match from_elsewhere {
            true => ("local", path.local.ip().to_string(), list(&connection.local)),
            false => ("remote", path.remote.ip().to_string(), ranges(connection)),
        };
        Candidate { name: connection.name.to_string(), field: field.to_owned(), offered, ours }
    };
    why.candidates = env.settings.connections.iter().take(MOST_CANDIDATES).map(of).collect();
    let (local, remote) = (path.local.ip(), path.remote.ip());
    let nearest = why.candidates.iter().find(|candidate| candidate.field == "local").cloned();
    match nearest {
        // One expects this peer at another address of ours.
        Some(candidate)
            if env.settings.connections.iter().any(|own| {
                *own.name == *candidate.name
                    && own.remote.iter().any(|range| range.contains(remote))
            }) =>
        {
            why.check(format!("{} does not use our address {local}", candidate.name))
                .fix(fix::local(&candidate.name, local))
        }
        _ => {
            let only = match why.candidates.as_slice() {
                [only] => only.name.clone(),
                _ => "NAME".to_owned(),
            };
            why.check(format!("no connection has {remote} as its remote address"))
                .fix(fix::remote(&only, remote))
        }
    }
}

fn no_proposal(
    path: Endpoint,
    offers: &[proposal::Offer],
    candidates: Vec<Candidate>,
    now: u64,
) -> Why {
    let mut why = Why::new(now, path.remote, Stage::Init, Reason::NoProposalChosen);
    why.offered = offers.iter().map(|offer| offer.proposal.to_string()).collect();
    why.fix = candidates.first().and_then(|candidate| {
        let name = candidate.name.split(',').next().unwrap_or_default();
        fix::ike(name, offers.iter().map(|offer| &offer.proposal))
    });
    why.candidates = candidates;
    why
}
