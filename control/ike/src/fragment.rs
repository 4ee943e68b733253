//! Putting IKE fragments together (RFC 7383 §2.6). Every fragment is found authentic before anything is
//! stored of it, so only the peer itself can make us store something; and that is bounded in fragments,
//! octets and time, and over all peers. Taking messages apart is [`Sealer::seal_within`](crate::protect::Sealer::seal_within).

mod budget;

pub use budget::Budget;

use crate::protect::{Opened, Opener};
use crate::{BadIcv, Key};
use budget::Charge;
use wire::iana::ike::{ExchangeType, PayloadType};
use wire::ike::{Fragment, Header, Sealed};
use zeroize::Zeroizing;

/// What one IKE SA may hold for messages that are not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fragments of one message. Real peers send more than 16 over a small MTU.
    pub fragments: u16,
    /// Octets of one message's payloads.
    pub octets: usize,
    /// Milliseconds from a message's first fragment to its last.
    pub lifetime: u64,
}

impl Default for Limits {
    /// 128 fragments carry 64 KiB, as much as an unfragmented message may have, over an MTU of 576 octets.
    fn default() -> Self {
        Self { fragments: 128, octets: 64 * 1024, lifetime: 30_000 }
    }
}

/// Why a fragment was not kept. Only [`Dropped::BadIcv`] says anything about who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It was not sealed with the SA's key.
    #[error("integrity check failed")]
    BadIcv,
    /// Its message has more fragments than we take.
    #[error("a message of {total} fragments, where at most {most} are taken")]
    TooMany {
        /// How many the message has.
        total: u16,
        /// How many are taken.
        most: u16,
    },
    /// Its message has more octets than we take.
    #[error("a message of more than {most} octets in fragments")]
    TooLong {
        /// How many are taken.
        most: usize,
    },
    /// All IKE SAs together hold as many octets of messages that are not complete as they may.
    #[error("no room: {most} octets of messages that are not complete are held for all peers")]
    NoRoom {
        /// How many may be held.
        most: usize,
    },
    /// It is there already.
    #[error("fragment {0} is there already")]
    Duplicate(u16),
    /// It belongs to an older message, or to an older division of this one into larger fragments.
    #[error("a fragment of what has been sent anew since")]
    Outdated,
    /// It has the Message ID of another exchange's message.
    #[error("a fragment of another exchange under the same Message ID")]
    Mixed,
}

impl From<BadIcv> for Dropped {
    fn from(BadIcv: BadIcv) -> Self {
        Self::BadIcv
    }
}

/// The fragments of one IKE SA: of one request and one response at a time, as windows of one allow.
#[derive(Debug)]
pub struct Reassembly {
    limits: Limits,
    budget: Budget,
    /// Whether the peer has proved who it is.
    proved: bool,
    request: Option<Partial>,
    response: Option<Partial>,
}

/// A message that is not complete.
#[derive(Debug)]
struct Partial {
    message_id: u32,
    exchange: ExchangeType,
    /// Milliseconds, when it is given up.
    deadline: u64,
    total: u16,
    first: PayloadType,
    /// By number, sorted.
    parts: Vec<(u16, Key)>,
    charge: Charge,
}

impl Partial {
    fn octets(&self) -> usize {
        self.parts.iter().map(|(_, part)| part.len()).sum()
    }

    fn has(&self, number: u16) -> bool {
        self.parts.binary_search_by_key(&number, |(there, _)| *there).is_ok()
    }

    /// Whether a fragment that says this goes on where this message is, or begins anew; an error when it is
    /// of no use. Looks only at what an attacker can write as well, and changes nothing.
    fn continues(&self, header: &Header, fragment: Fragment) -> Result<bool, Dropped> {
        let Fragment { number, total } = fragment;
        match header.message_id.cmp(&self.message_id) {
            std::cmp::Ordering::Less => Err(Dropped::Outdated),
            std::cmp::Ordering::Greater => Ok(false),
            std::cmp::Ordering::Equal if header.exchange != self.exchange => Err(Dropped::Mixed),
            // the sender found that its packets must be smaller, and sends all of it anew (RFC 7383 §2.6)
            std::cmp::Ordering::Equal if total > self.total => Ok(false),
            std::cmp::Ordering::Equal if total < self.total => Err(Dropped::Outdated),
            std::cmp::Ordering::Equal if self.has(number) => Err(Dropped::Duplicate(number)),
            std::cmp::Ordering::Equal => Ok(true),
        }
    }

    fn store(&mut self, number: u16, part: Opened) {
        if number == 1 {
            self.first = part.first;
        }
        self.charge.add(part.payloads.len());
        let at = self.parts.partition_point(|(there, _)| *there < number);
        self.parts.insert(at, (number, part.payloads));
    }

    fn complete(&self) -> bool {
        self.parts.len() == usize::from(self.total)
    }

    fn join(&self) -> Opened {
        let mut payloads = Zeroizing::new(Vec::with_capacity(self.octets()));
        self.parts.iter().for_each(|(_, part)| payloads.extend_from_slice(part.expose()));
        Opened { first: self.first, payloads: payloads.into() }
    }
}

impl Reassembly {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self::within(limits, Budget::default())
    }

    /// With nothing in it, and a budget that it shares with others. Its peer has yet to prove who it is.
    pub const fn within(limits: Limits, budget: Budget) -> Self {
        Self { limits, budget, proved: false, request: None, response: None }
    }

    /// The peer has proved who it is.
    pub const fn prove(&mut self) {
        self.proved = true;
    }

    /// What it shares with others.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes a message or a fragment of one. Gives the whole message when nothing of it is missing. The caller
    /// has found the Message ID inside its window (RFC 7383 §2.6).
    ///
    /// # Errors
    /// When it is not kept; what was there stays.
    pub fn take(
        &mut self,
        now: u64,
        opener: &Opener,
        header: &Header,
        sealed: &Sealed<'_>,
    ) -> Result<Option<Opened>, Dropped> {
        let Some(fragment) = sealed.fragment else { return Ok(Some(opener.open(sealed)?)) };
        self.expire(now);
        let limits = self.limits;
        let slot = if header.flags.response { &mut self.response } else { &mut self.request };
        let continues = slot.as_ref().map(|partial| partial.continues(header, fragment));
        let continues = continues.transpose()?.unwrap_or(false);
        let there = slot.as_ref().filter(|_| continues).map_or(0, Partial::octets);
        limits.admit(fragment.total, there.saturating_add(sealed.body.len()))?;
        let room = self.budget.admit(sealed.body.len(), self.proved);
        room.map_err(|most| Dropped::NoRoom { most })?;
        // nothing has changed above this line
        let part = opener.open(sealed)?;
        let deadline = now.saturating_add(limits.lifetime);
        let mut partial = slot
            .take()
            .filter(|_| continues)
            .unwrap_or_else(|| Partial::begin(header, fragment.total, deadline, &self.budget));
        partial.store(fragment.number, part);
        if partial.complete() {
            return Ok(Some(partial.join()));
        }
        *slot = Some(partial);
        Ok(None)
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, now: u64) {
        for slot in [&mut self.request, &mut self.response] {
            if slot.as_ref().is_some_and(|partial| partial.deadline <= now) {
                *slot = None;
            }
        }
    }

    /// When [`expire`](Self::expire) will next find something.
    pub fn next_deadline(&self) -> Option<u64> {
        self.partials().map(|partial| partial.deadline).min()
    }

    /// Octets held now, for a limit over all SAs.
    pub fn octets(&self) -> usize {
        self.partials().map(Partial::octets).sum()
    }

    fn partials(&self) -> impl Iterator<Item = &Partial> {
        [&self.request, &self.response].into_iter().flatten()
    }
}

impl Partial {
    fn begin(header: &Header, total: u16, deadline: u64, budget: &Budget) -> Self {
        Self {
            message_id: header.message_id,
            exchange: header.exchange,
            deadline,
            total,
            first: PayloadType::NONE,
            parts: Vec::new(),
            charge: budget.charge(),
        }
    }
}

impl Limits {
    /// Whether a message may have so many fragments, and so many octets so far. The new fragment is counted
    /// with its IV and ICV, before it is opened.
    const fn admit(&self, total: u16, octets: usize) -> Result<(), Dropped> {
        if total > self.fragments {
            return Err(Dropped::TooMany { total, most: self.fragments });
        }
        if octets > self.octets {
            return Err(Dropped::TooLong { most: self.octets });
        }
        Ok(())
    }
}
