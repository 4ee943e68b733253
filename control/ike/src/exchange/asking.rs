//! Which exchange of ours is under way, and how far it has come.
use super::ask_ike::IkeDraft;
use super::draft::Draft;
use crate::action::{Direction, Ticket};
use crate::child::{self, Agreed, Fresh};
use crate::env::Env;
use crate::event::Cause;
use crate::retransmit::Retransmission;
use crate::why::Stage;
use wire::iana::ike::ExchangeType;

/// What we are about.
#[derive(Debug)]
pub(crate) enum Asking {
    Idle,
    /// A public value is in the pool.
    Generating {
        draft: Box<Draft>,
        ticket: Ticket,
    },
    /// The request is on its way.
    Sent {
        id: u32,
        retransmission: Retransmission,
        question: Box<Question>,
    },
    /// The shared secret is in the pool.
    Agreeing {
        agreed: Box<Agreed>,
        rival: Option<Rival>,
        ticket: Ticket,
    },
    /// A half is on its way into the data plane.
    Installing {
        fresh: Box<Fresh>,
        lost_to: Option<u32>,
        half: Direction,
        ticket: Ticket,
    },
    /// The same two for an IKE SA.
    GeneratingIke {
        draft: Box<IkeDraft>,
        ticket: Ticket,
    },
    AgreeingIke {
        draft: Box<IkeDraft>,
        ticket: Ticket,
    },
}

/// What was asked.
#[derive(Debug)]
pub(crate) enum Question {
    Child(Box<Draft>),
    Ike(Box<IkeDraft>),
    DeleteChildren(Vec<u32>, Cause),
    DeleteIke(Cause),
    Liveness,
}

/// What the peer made at the same time, and the lower of its two nonces.
#[derive(Clone, Debug)]
pub(crate) struct Rival {
    /// Its inbound SPI; for an IKE SA see [`IkeDraft`].
    pub(crate) inbound: u32,
    pub(crate) lowest_nonce: Vec<u8>,
}

impl Question {
    pub(crate) fn exchange(&self) -> ExchangeType {
        match self {
            Self::Child(_) | Self::Ike(_) => ExchangeType::CREATE_CHILD_SA,
            _ => ExchangeType::INFORMATIONAL,
        }
    }
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Child(draft) => draft.stage(),
            Self::Ike(_) => Stage::RekeyIke,
            _ => Stage::Informational,
        }
    }
    /// Why the IKE SA ends when this is not answered.
    pub(crate) fn cause_of_silence(&self) -> Cause {
        match self {
            Self::DeleteIke(cause) => *cause,
            _ => Cause::Dead,
        }
    }
    pub(crate) fn abandon(self, env: &mut Env<'_>) {
        if let Self::Child(draft) = self {
            draft.abandon(env);
        }
    }
}

impl Asking {
    pub(crate) fn waits_for(&self, wanted: Ticket) -> bool {
        match self {
            Self::Idle | Self::Sent { .. } => false,
            Self::Generating { ticket, .. }
            | Self::Agreeing { ticket, .. }
            | Self::Installing { ticket, .. }
            | Self::GeneratingIke { ticket, .. }
            | Self::AgreeingIke { ticket, .. } => *ticket == wanted,
        }
    }
    /// Whether a child of this name will come of it.
    pub(crate) fn makes(&self, name: &str) -> bool {
        let settings = match self {
            Self::Generating { draft, .. } => &draft.settings,
            Self::Sent { question, .. } => match &**question {
                Question::Child(draft) => &draft.settings,
                _ => return false,
            },
            Self::Agreeing { agreed, .. } => &agreed.settings,
            Self::Installing { fresh, .. } => &fresh.child.settings,
            _ => return false,
        };
        &*settings.name == name
    }
    /// The peer makes a Child SA while we do (RFC 7296 §2.8.1): our request is on its way, or will be in a moment.
    pub(crate) fn meet(&mut self, replaces: Option<u32>, name: &str, rival: Rival) {
        let draft = match self {
            Self::Generating { draft, .. } => draft,
            Self::Sent { question, .. } => match &mut **question {
                Question::Child(draft) => draft,
                _ => return,
            },
            _ => return,
        };
        if draft.replaces == replaces && *draft.settings.name == *name {
            draft.rival = Some(rival);
        }
    }
    /// Whether we have the peer's answer, and are about to put a successor into the place of this one.
    pub(crate) fn succeeds(&self, inbound: u32) -> bool {
        match self {
            Self::Agreeing { agreed, .. } => agreed.replaces == Some(inbound),
            Self::Installing { fresh, .. } => fresh.child.replaces == Some(inbound),
            _ => false,
        }
    }
    /// Whether the peer may have made a Child SA that we are still making: what it then deletes is not ours yet.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Sent { question, .. } => matches!(**question, Question::Child(_)),
            Self::Agreeing { .. } | Self::Installing { .. } => true,
            _ => false,
        }
    }
    /// Whether a Child SA is being made, replaced or closed.
    pub(crate) fn touches_children(&self) -> bool {
        match self {
            Self::Sent { question, .. } => {
                matches!(**question, Question::Child(_) | Question::DeleteChildren(..))
            }
            Self::Generating { .. } | Self::Agreeing { .. } | Self::Installing { .. } => true,
            Self::Idle | Self::GeneratingIke { .. } | Self::AgreeingIke { .. } => false,
        }
    }
    /// Whether these inbound SPIs are being deleted.
    pub(crate) fn deletes(&self, inbound: u32) -> bool {
        match self {
            Self::Sent { question, .. } => {
                matches!(&**question, Question::DeleteChildren(spis, _) if spis.contains(&inbound))
            }
            _ => false,
        }
    }
    pub(crate) fn abandon(self, env: &mut Env<'_>) {
        match self {
            Self::Generating { draft, .. } => draft.abandon(env),
            Self::Sent { question, .. } => question.abandon(env),
            Self::Agreeing { agreed, .. } => env.spis.release(agreed.inbound),
            Self::Installing { fresh, half, .. } => abandon_fresh(&fresh, half, env),
            Self::Idle | Self::GeneratingIke { .. } | Self::AgreeingIke { .. } => {}
        }
    }
}

/// Takes back what was installed of it so far. `half` is on its way, and may arrive.
pub(crate) fn abandon_fresh(fresh: &Fresh, half: Direction, env: &mut Env<'_>) {
    let lineage = fresh.child.lineage;
    if half == Direction::Outbound {
        env.remove(Direction::Outbound, fresh.child.outbound, lineage);
    }
    child::remove_inbound(fresh.child.inbound, lineage, env);
}
