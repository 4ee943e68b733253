//! Whether a Child SA that the peer asks for may be, and what it is like: which child of the configuration, which selectors,
//! which algorithms (RFC 7296 §2.7, §2.9, §2.25.1).
use super::draft::esp_spi;
use crate::action::EspSuite;
use crate::algorithm::Group;
use crate::child::{Agreed, Child};
use crate::env::Env;
use crate::fix;
use crate::ike_sa::{Base, Established};
use crate::message::{Note, Part, Received, protocol, with_esn};
use crate::narrow::{Covered, Ts};
use crate::proposal::{self, Chosen, KeyExchange, Kind, Offer, Transform};
use crate::settings;
use crate::why::{Candidate, Reason, Stage, Why};
use std::sync::Arc;
use wire::iana::ike::{KeyExchangeMethod, NotifyType};

/// Why a request for a Child SA is turned down: what the peer hears, and what we know.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(super) part: Part,
    pub(super) why: Option<Box<Why>>,
}

impl Denied {
    pub(super) fn quietly(kind: NotifyType) -> Self {
        Self { part: Part::note(kind, []), why: None }
    }
}

/// What was agreed to, what of it is said, and the group with the peer's public value.
pub(super) type Accepted = (Agreed, Chosen, Option<(Group, Vec<u8>)>);

impl Established {
    /// The inbound SPI of the one that shall be replaced; or why not now (RFC 7296 §2.25.1).
    pub(super) fn replaced_by(&self, received: &Received) -> Result<Option<u32>, Denied> {
        if self.successor.is_some() || self.asking.rekeys_ike() || self.asking.deletes_ike() {
            return Err(Denied::quietly(NotifyType::TEMPORARY_FAILURE));
        }
        let Some(note) = received.note(NotifyType::REKEY_SA) else { return Ok(None) };
        let named = |child: &&Child| note.esp_spi() == Some(child.outbound);
        let Some(old) = self.children.iter().find(named) else {
            if self.undecided {
                return Err(Denied::quietly(NotifyType::TEMPORARY_FAILURE));
            }
            let not_found =
                Note { kind: NotifyType::CHILD_SA_NOT_FOUND, data: Vec::new(), ..note.clone() };
            return Err(Denied { part: Part::Note(not_found), why: None });
        };
        if !old.lives() || self.asking.deletes(old.inbound) || self.asking.succeeds(old.inbound) {
            return Err(Denied::quietly(NotifyType::TEMPORARY_FAILURE));
        }
        Ok(Some(old.inbound))
    }

    pub(super) fn plan(
        &mut self,
        base: &Base,
        received: &Received,
        nonces: (Vec<u8>, Vec<u8>),
        replaces: Option<u32>,
        exchange: KeyExchange,
        env: &mut Env<'_>,
    ) -> Result<Accepted, Denied> {
        if self.children.len() >= env.settings.limits.children {
            let why = base
                .why(env.now, Stage::CreateChild, Reason::Limit)
                .check("the peer has as many Child SAs as it may");
            return Err(Denied {
                part: Part::note(NotifyType::NO_ADDITIONAL_SAS, []),
                why: Some(Box::new(why)),
            });
        }
        let stage = match (replaces, exchange) {
            (Some(_), _) => Stage::RekeyChild,
            (None, KeyExchange::Ignored) => Stage::Auth,
            (None, _) => Stage::CreateChild,
        };
        let (Some(from), Some(to)) = (&received.ts_initiator, &received.ts_responder) else {
            return Err(Denied::quietly(NotifyType::INVALID_SYNTAX));
        };
        let offered = Covered { local: to.clone(), remote: from.clone() };
        let (settings, covered) = self.child_for(base, &offered, replaces, (stage, env.now))?;
        let offers = received.sa.as_deref().unwrap_or_default();
        let (chosen, suite) = choose(base, &settings, offers, exchange, (stage, env.now))?;
        let exchange = public_value(&chosen, exchange, received)?;
        let outbound =
            esp_spi(chosen.spi).ok_or_else(|| Denied::quietly(NotifyType::INVALID_SYNTAX))?;
        let Some(inbound) = env.reserve() else {
            let why = base
                .why(env.now, stage, Reason::Limit)
                .check("the SAD is full")
                .fix("raise dataplane.sa_slots");
            return Err(Denied {
                part: Part::note(NotifyType::NO_ADDITIONAL_SAS, []),
                why: Some(Box::new(why)),
            });
        };
        let agreed = Agreed {
            settings,
            inbound,
            outbound,
            suite,
            covered,
            initiator: false,
            nonces,
            replaces,
        };
        Ok((agreed, chosen, exchange))
    }

    /// The child whose selectors have most to do with what is offered: one that covers what the peer put first, else the
    /// first with anything in common.
    fn child_for(
        &mut self,
        base: &Base,
        offered: &Covered,
        replaces: Option<u32>,
        (stage, now): (Stage, u64),
    ) -> Result<(Arc<settings::Child>, Covered), Denied> {
        let (local, remote) = (base.path.local.ip(), base.path.remote.ip());
        let of_old =
            replaces.and_then(|old| self.child(old)).map(|old| vec![Arc::clone(&old.settings)]);
        let children = of_old.unwrap_or_else(|| base.connection.children.clone());
        let first = offered.local.first().zip(offered.remote.first());
        let mut best: Option<(bool, Arc<settings::Child>, Covered)> = None;
        for child in &children {
            let configured = Covered::configured(child, local, remote);
            let Some(both) = configured.narrowed(offered) else { continue };
            let whole = first.is_some_and(|(local, remote)| configured.includes(local, remote));
            if best.as_ref().is_none_or(|(known, ..)| whole && !known) {
                best = Some((whole, Arc::clone(child), both));
            }
        }
        let (_, child, both) =
            best.ok_or_else(|| unacceptable(base, &children, offered, (stage, now)))?;
        Ok((child, both))
    }
}

fn choose(
    base: &Base,
    settings: &settings::Child,
    offers: &[Offer],
    exchange: KeyExchange,
    (stage, now): (Stage, u64),
) -> Result<(Chosen, EspSuite), Denied> {
    let proposals: Vec<_> = settings.proposals.iter().map(with_esn).collect();
    let name = format!("{}/{}", base.connection.name, settings.name);
    let refused = |candidates: Vec<Candidate>| {
        let mut why = base.why(now, stage, Reason::NoProposalChosen).child(&settings.name);
        why.offered = offers.iter().map(|offer| offer.proposal.to_string()).collect();
        // Where ESN alone differs, it is that.
        let esn = candidates.iter().all(|candidate| candidate.field == Kind::Esn.name());
        why.fix = match (candidates.first(), esn) {
            (Some(candidate), true) => Some(fix::esn(
                &base.connection.name,
                &settings.name,
                candidate.offered == Transform::esn(true).to_string(),
            )),
            _ => fix::esp(
                &base.connection.name,
                &settings.name,
                offers.iter().map(|offer| &offer.proposal),
            ),
        };
        why.candidates = candidates;
        Denied { part: Part::note(NotifyType::NO_PROPOSAL_CHOSEN, []), why: Some(Box::new(why)) }
    };
    let chosen =
        proposal::choose(&name, &proposals, offers, protocol::ESP, exchange).map_err(refused)?;
    let suite = EspSuite::of(&chosen).ok_or_else(|| refused(Vec::new()))?;
    Ok((chosen, suite))
}

/// The peer's public value, which must be of the method that was chosen (RFC 7296 §1.3).
fn public_value(
    chosen: &Chosen,
    exchange: KeyExchange,
    received: &Received,
) -> Result<Option<(Group, Vec<u8>)>, Denied> {
    let Some(id) = chosen.key_exchange().filter(|_| exchange != KeyExchange::Ignored) else {
        return Ok(None);
    };
    let wanted =
        || Denied { part: Part::note(NotifyType::INVALID_KE_PAYLOAD, id.to_be_bytes()), why: None };
    let (_, public) =
        received.ke.as_ref().filter(|(method, _)| *method == id).ok_or_else(wanted)?;
    let group = Group::negotiate(KeyExchangeMethod(id), None).ok_or_else(wanted)?;
    Ok(Some((group, public.clone())))
}

fn unacceptable(
    base: &Base,
    children: &[Arc<settings::Child>],
    offered: &Covered,
    (stage, now): (Stage, u64),
) -> Denied {
    let mut why = base.why(now, stage, Reason::TsUnacceptable);
    why.offered = vec![offered.to_string()];
    let (local, remote) = (base.path.local.ip(), base.path.remote.ip());
    why.candidates = children
        .iter()
        .map(|child| differing(child, &Covered::configured(child, local, remote), offered))
        .collect();
    why.fix =
        children.first().map(|child| fix::selectors(&base.connection.name, &child.name, offered));
    Denied { part: Part::note(NotifyType::TS_UNACCEPTABLE, []), why: Some(Box::new(why)) }
}

/// Which side has nothing in common.
fn differing(child: &settings::Child, configured: &Covered, offered: &Covered) -> Candidate {
    let ours_with_their_local =
        Covered { local: offered.local.clone(), remote: configured.remote.clone() };
    let local_fits = configured.narrowed(&ours_with_their_local).is_some();
    let (field, offered, ours) = match local_fits {
        false => ("local_ts", &offered.local, &configured.local),
        true => ("remote_ts", &offered.remote, &configured.remote),
    };
    let side = |side: &[Ts]| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Candidate {
        name: child.name.to_string(),
        field: field.to_owned(),
        offered: side(offered),
        ours: side(ours),
    }
}
