//! Child SAs: what is agreed, the keys and halves that come of it, and what is kept while they live.
use crate::Key;
use crate::action::{
    Action, Direction, Endpoint, EspKeys, EspSuite, Half, HalfLifetime, Lineage, Ticket,
};
use crate::algorithm::{Group, Prf};
use crate::derive::{self, ChildKeys, ChildLengths, Nonces};
use crate::engine::PeerName;
use crate::env::{Buried, Effect, Env};
use crate::event::{Cause, ChildName, Event};
use crate::ike_sa::Base;
use crate::narrow::Covered;
use crate::proposal::{Chosen, Kind};
use crate::settings;
use std::fmt;
use std::sync::Arc;
use wire::iana::ike::KeyExchangeMethod;
use wire::iana::{EncryptionId, IntegrityId};

impl EspSuite {
    /// What was chosen. `None`: no cipher in it, or one whose keys we cannot cut.
    pub(crate) fn of(chosen: &Chosen) -> Option<Self> {
        let cipher = chosen.one(Kind::Encryption)?;
        let integrity = chosen.one(Kind::Integrity).map_or(0, |transform| transform.id);
        let group = |id| Group::negotiate(KeyExchangeMethod(id), None);
        let suite = Self {
            encryption: EncryptionId(cipher.id),
            key_bits: cipher.key_bits.unwrap_or(0),
            integrity: IntegrityId(integrity),
            esn: chosen.one(Kind::Esn).is_some_and(|transform| transform.id == 1),
            pfs: chosen.key_exchange().and_then(group),
        };
        suite.key_lengths().map(|_| suite)
    }

    fn key_lengths(&self) -> Option<ChildLengths> {
        let bits = (self.key_bits > 0).then_some(self.key_bits);
        let integrity = (self.integrity != IntegrityId::NONE).then_some(self.integrity);
        ChildLengths::esp(self.encryption, bits, integrity)
    }
}

/// `ENCR_AES_GCM_16_256/ESN/Curve25519`.
impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.encryption)?;
        if self.key_bits != 0 {
            write!(f, "_{}", self.key_bits)?;
        }
        if self.integrity != IntegrityId::NONE {
            write!(f, "/{}", self.integrity)?;
        }
        f.write_str(if self.esn { "/ESN" } else { "" })?;
        self.pfs.map_or(Ok(()), |group| write!(f, "/{group}"))
    }
}

/// All that two peers agreed on for a Child SA, but the keys.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(crate) settings: Arc<settings::Child>,
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) covered: Covered,
    /// Whether we began the exchange that makes it.
    pub(crate) initiator: bool,
    /// Initiator's and responder's.
    pub(crate) nonces: (Vec<u8>, Vec<u8>),
    /// The inbound SPI of the one that it replaces.
    pub(crate) replaces: Option<u32>,
}

/// A Child SA that is ready to be installed.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) child: Child,
    pub(crate) inbound: Half,
    pub(crate) outbound: Half,
}

impl Agreed {
    /// The lower of both nonces, by which it is decided who wins when both ends make an SA at once (RFC 7296 §2.8.1).
    pub(crate) fn lowest_nonce(&self) -> Vec<u8> {
        self.nonces.0.clone().min(self.nonces.1.clone())
    }

    /// Cuts the keys (RFC 7296 §2.17). `shared` is what a key exchange of its own gave. `None`: not so many octets can
    /// be derived.
    pub(crate) fn fresh(
        self,
        base: &Base,
        lineage: Lineage,
        (prf, sk_d): (Prf, &Key),
        shared: Option<&Key>,
        env: &mut Env<'_>,
    ) -> Option<Fresh> {
        let nonces = Nonces { initiator: &self.nonces.0, responder: &self.nonces.1 };
        let keys = ChildKeys::derive(prf, sk_d, shared, nonces, self.suite.key_lengths()?).ok()?;
        let (ours, theirs) = if self.initiator {
            (keys.from_initiator, keys.from_responder)
        } else {
            (keys.from_responder, keys.from_initiator)
        };
        let lifetime = lifetime(&self.settings.lifetime, env);
        let half = |direction, keys: derive::Direction| Half {
            direction,
            spi: if direction == Direction::Inbound { self.inbound } else { self.outbound },
            other_spi: if direction == Direction::Inbound { self.outbound } else { self.inbound },
            lineage,
            connection: Arc::clone(&base.connection.name),
            child: Arc::clone(&self.settings.name),
            path: base.path,
            udp: base.nat.udp,
            suite: self.suite,
            keys: EspKeys { encryption: keys.encr, integrity: keys.integ },
            selectors: self.covered.selectors(),
            lifetime,
        };
        let (inbound, outbound) =
            (half(Direction::Inbound, theirs), half(Direction::Outbound, ours));
        Some(Fresh { child: self.child(lineage, lifetime, env.now), inbound, outbound })
    }

    fn child(self, lineage: Lineage, lifetime: HalfLifetime, now: u64) -> Child {
        let at =
            |seconds: u64| (seconds > 0).then(|| now.saturating_add(seconds.saturating_mul(1000)));
        Child {
            settings: self.settings,
            lineage,
            inbound: self.inbound,
            outbound: self.outbound,
            suite: self.suite,
            covered: self.covered,
            created: now,
            soft: at(lifetime.soft_seconds),
            hard: at(lifetime.hard_seconds),
            sending: Sending::Ready,
            fate: Fate::Lives,
            replaces: self.replaces,
        }
    }
}

fn lifetime(limits: &settings::ChildLifetime, env: &mut Env<'_>) -> HalfLifetime {
    HalfLifetime {
        soft_seconds: env.jittered(limits.rekey_seconds, limits.jitter),
        hard_seconds: limits.hard_seconds,
        soft_bytes: env.jittered(limits.rekey_bytes, limits.jitter),
        hard_bytes: limits.hard_bytes,
        soft_packets: env.jittered(limits.rekey_packets, limits.jitter),
        hard_packets: limits.hard_packets,
    }
}

/// A Child SA whose inbound half is installed.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) settings: Arc<settings::Child>,
    pub(crate) lineage: Lineage,
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) covered: Covered,
    pub(crate) created: u64,
    /// When it is replaced, by the clock.
    pub(crate) soft: Option<u64>,
    /// When it dies, by the clock.
    pub(crate) hard: Option<u64>,
    pub(crate) sending: Sending,
    pub(crate) fate: Fate,
    /// The inbound SPI of the one that it replaced.
    pub(crate) replaces: Option<u32>,
}

/// How the outbound half stands.
#[derive(Debug)]
pub(crate) enum Sending {
    /// Installed.
    Ready,
    /// Ready to be installed: the peer rekeyed, and may not receive by it before it has our answer. So the old one sends
    /// until the peer deletes it (RFC 7296 §2.8), or until then.
    Waits { half: Box<Half>, until: u64 },
    /// On its way to the data plane. The old one's outbound half, named by its SPI, sends until then.
    Installing { ticket: Ticket, retires: Option<u32> },
    /// Never: it lost against another before it was installed.
    Never,
}

/// What becomes of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    Lives,
    /// The one with this inbound SPI took its place; it is about to be deleted, by us or by the peer.
    Replaced(u32),
    /// The peer has deleted it, while its successor is on its way into the data plane: it sends until that does.
    Left,
    /// We are deleting it.
    Closing(Cause),
}

impl Child {
    pub(crate) fn name(&self, base: &Base) -> ChildName {
        ChildName {
            connection: Arc::clone(&base.connection.name),
            child: Arc::clone(&self.settings.name),
            lineage: self.lineage,
            inbound: self.inbound,
            outbound: self.outbound,
        }
    }

    pub(crate) fn lives(&self) -> bool {
        self.fate == Fate::Lives
    }

    /// It sends from now on, if it was waiting to.
    pub(crate) fn send_now(&mut self, env: &mut Env<'_>) {
        self.sending = match std::mem::replace(&mut self.sending, Sending::Never) {
            Sending::Waits { half, .. } => {
                let ticket = env.install(*half);
                Sending::Installing { ticket, retires: None }
            }
            other => other,
        };
    }

    /// The one that it replaced is taken out, but sends until this one does. `false`: this one does already, or never will.
    pub(crate) fn take_over(&mut self, old: &mut Self) -> bool {
        let sends = matches!(old.sending, Sending::Ready);
        match &mut self.sending {
            Sending::Installing { retires, .. } if sends && retires.is_none() => {
                *retires = Some(old.outbound)
            }
            _ => return false,
        }
        old.sending = Sending::Never;
        true
    }

    /// Another one's outbound half, under this SPI, is taken out as soon as this one sends. `false`: it never will, or does
    /// already.
    pub(crate) fn retire(&mut self, outbound: u32, env: &mut Env<'_>) -> bool {
        self.send_now(env);
        match &mut self.sending {
            Sending::Installing { retires, .. } if retires.is_none() => {
                *retires = Some(outbound);
                true
            }
            _ => false,
        }
    }

    /// The outbound half is in place, or was refused: the old one's is taken out.
    pub(crate) fn sends(&mut self, installed: bool, env: &mut Env<'_>) {
        let now = if installed { Sending::Ready } else { Sending::Never };
        if let Sending::Installing { retires: Some(old), .. } =
            std::mem::replace(&mut self.sending, now)
        {
            env.remove(Direction::Outbound, old, self.lineage);
        }
    }

    /// The peer is somewhere else now.
    pub(crate) fn relocate(&mut self, path: Endpoint, env: &mut Env<'_>) {
        let lineage = self.lineage;
        let inbound = (Direction::Inbound, self.inbound);
        let outbound = (Direction::Outbound, self.outbound);
        if let Sending::Waits { half, .. } = &mut self.sending {
            half.path = path;
        }
        let sends = matches!(self.sending, Sending::Ready | Sending::Installing { .. });
        for (direction, spi) in
            [Some(inbound), Some(outbound).filter(|_| sends)].into_iter().flatten()
        {
            env.out.push(Action::Move { direction, spi, lineage, path });
        }
    }

    /// The next time at which something is to be done.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let waits = match self.sending {
            Sending::Waits { until, .. } => Some(until),
            _ => None,
        };
        let soft = self.soft.filter(|_| self.lives());
        [waits, soft, self.hard].into_iter().flatten().min()
    }

    /// Takes both halves out.
    pub(crate) fn destroy(self, env: &mut Env<'_>) {
        if let Sending::Installing { retires: Some(old), .. } = self.sending {
            env.remove(Direction::Outbound, old, self.lineage);
        }
        if matches!(self.sending, Sending::Ready | Sending::Installing { .. }) {
            env.remove(Direction::Outbound, self.outbound, self.lineage);
        }
        remove_inbound(self.inbound, self.lineage, env);
    }

    /// It goes with its IKE SA: what becomes of its halves depends on who else there is.
    pub(crate) fn bury(self, base: &Base, peer: PeerName, cause: Cause, env: &mut Env<'_>) {
        if let Sending::Installing { retires: Some(old), .. } = self.sending {
            env.remove(Direction::Outbound, old, self.lineage);
        }
        let sends = matches!(self.sending, Sending::Ready | Sending::Installing { .. });
        env.effect(Effect::Buried(Buried {
            peer,
            lineage: self.lineage,
            inbound: self.inbound,
            outbound: sends.then_some(self.outbound),
            lingers: matches!(cause, Cause::Replaced | Cause::Redundant),
        }));
        env.event(Event::ChildDown { child: self.name(base), cause });
        env.effect(Effect::child_down(base, &self.settings, cause));
    }

    /// Takes it out of the data plane. Late packets that are still on their way are received for a while when another
    /// took its place.
    pub(crate) fn remove(self, base: &Base, cause: Cause, env: &mut Env<'_>) {
        let lineage = self.lineage;
        if let Sending::Installing { retires: Some(old), .. } = self.sending {
            env.remove(Direction::Outbound, old, lineage);
        }
        if matches!(self.sending, Sending::Ready | Sending::Installing { .. }) {
            env.remove(Direction::Outbound, self.outbound, lineage);
        }
        let lingers = matches!(cause, Cause::Replaced | Cause::Redundant);
        if lingers {
            env.effect(Effect::Linger { spi: self.inbound, lineage });
        } else {
            remove_inbound(self.inbound, lineage, env);
        }
        env.event(Event::ChildDown { child: self.name(base), cause });
        env.effect(Effect::child_down(base, &self.settings, cause));
    }
}

/// Takes an inbound half out, and gives its SPI back.
pub(crate) fn remove_inbound(spi: u32, lineage: Lineage, env: &mut Env<'_>) {
    env.out.push(Action::Remove { direction: Direction::Inbound, spi, lineage });
    env.spis.release(spi);
}
