//! Why something failed, for a person at three in the morning: what was offered, where each candidate first differs,
//! which check failed, and what to write into the file. Strangers are told none of it.
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Peers of whom a failure is remembered; the oldest is forgotten.
const REMEMBERED: usize = 1024;

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// When, in milliseconds of the core's clock.
    pub when: u64,
    /// The connection, once it is known.
    pub connection: Option<Arc<str>>,
    /// The child, when it is about one.
    pub child: Option<Arc<str>>,
    /// With whom.
    pub peer: SocketAddr,
    /// The identity that the peer claimed.
    pub identity: Option<String>,
    /// How far it came.
    pub stage: Stage,
    /// What kind of failure.
    pub reason: Reason,
    /// What the peer offered, or what we offered and the peer refused.
    pub offered: Vec<String>,
    /// What was considered, and where it first differs.
    pub candidates: Vec<Candidate>,
    /// Which check failed, in words.
    pub check: Option<String>,
    /// What would put it right.
    pub fix: Option<String>,
}

/// The exchange in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// IKE_SA_INIT.
    Init,
    /// IKE_AUTH.
    Auth,
    /// CREATE_CHILD_SA that makes a Child SA.
    CreateChild,
    /// CREATE_CHILD_SA that replaces a Child SA.
    RekeyChild,
    /// CREATE_CHILD_SA that replaces the IKE SA.
    RekeyIke,
    /// INFORMATIONAL.
    Informational,
    /// The data plane did not take an SA.
    Install,
}
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "IKE_SA_INIT",
            Self::Auth => "IKE_AUTH",
            Self::CreateChild => "CREATE_CHILD_SA (new child)",
            Self::RekeyChild => "CREATE_CHILD_SA (rekey of the child)",
            Self::RekeyIke => "CREATE_CHILD_SA (rekey of the IKE SA)",
            Self::Informational => "INFORMATIONAL",
            Self::Install => "installation in the data plane",
        })
    }
}

/// What kind of failure it was, by whose turn it is to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No connection fits the addresses.
    NoConnection,
    /// No proposal fits.
    NoProposalChosen,
    /// No traffic selectors in common.
    TsUnacceptable,
    /// No connection accepts the peer's identity.
    IdentityRefused,
    /// The proof is missing, of the wrong kind or wrong.
    AuthenticationFailed,
    /// The peer does not answer.
    Timeout,
    /// The peer refused, with the notify's IANA name.
    PeerRefused(String),
    /// The peer sent what the RFC forbids.
    Malformed,
    /// The data plane refused.
    DataPlane,
    /// A limit of ours was reached.
    Limit,
    /// The peer has an IKE SA already, and `unique: keep` stands.
    NotUnique,
    /// Our own credential cannot be used with this peer.
    Credential,
}
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("no connection fits the peer's address"),
            Self::NoProposalChosen => f.write_str("no proposal in common"),
            Self::TsUnacceptable => f.write_str("no traffic selectors in common"),
            Self::IdentityRefused => f.write_str("no connection accepts the peer's identity"),
            Self::AuthenticationFailed => f.write_str("the peer did not prove its identity"),
            Self::Timeout => f.write_str("the peer does not answer"),
            Self::PeerRefused(notify) => write!(f, "the peer refused with {notify}"),
            Self::Malformed => f.write_str("the peer sent what RFC 7296 does not allow"),
            Self::DataPlane => f.write_str("the data plane refused the SA"),
            Self::Limit => f.write_str("a limit was reached"),
            Self::NotUnique => f.write_str("the peer has an IKE SA already"),
            Self::Credential => f.write_str("our own credential cannot be used here"),
        }
    }
}

/// Something of ours that was held against what the peer offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `site-a, proposal 1`.
    pub name: String,
    /// The first field that differs.
    pub field: String,
    /// What the peer has there.
    pub offered: String,
    /// What we have there.
    pub ours: String,
}
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, field, offered, ours } = self;
        write!(f, "{name}: {field}: the peer has {offered}, we have {ours}")
    }
}

impl Why {
    /// A failure with no more known than where and with whom.
    pub fn new(when: u64, peer: SocketAddr, stage: Stage, reason: Reason) -> Self {
        Self {
            when,
            connection: None,
            child: None,
            peer,
            identity: None,
            stage,
            reason,
            offered: Vec::new(),
            candidates: Vec::new(),
            check: None,
            fix: None,
        }
    }
    /// In which check.
    pub fn check(self, check: impl Into<String>) -> Self {
        Self { check: Some(check.into()), ..self }
    }
    /// What would put it right.
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
    /// Of which connection.
    pub fn connection(self, name: &Arc<str>) -> Self {
        Self { connection: Some(Arc::clone(name)), ..self }
    }
    /// Of which child.
    pub fn child(self, name: &Arc<str>) -> Self {
        Self { child: Some(Arc::clone(name)), ..self }
    }
}

/// Prose, one fact a line.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.connection.as_deref().unwrap_or("(no connection)");
        let child = self.child.as_deref().map(|child| format!("/{child}")).unwrap_or_default();
        write!(f, "{name}{child}, {}: {} in {}", self.peer, self.reason, self.stage)?;
        if let Some(identity) = &self.identity {
            write!(f, "\n  the peer says it is {identity}")?;
        }
        self.offered.iter().try_for_each(|offer| write!(f, "\n  offered: {offer}"))?;
        self.candidates.iter().try_for_each(|candidate| write!(f, "\n  {candidate}"))?;
        if let Some(check) = &self.check {
            write!(f, "\n  {check}")?;
        }
        match &self.fix {
            Some(fix) => write!(f, "\n  to put it right: {fix}"),
            None => Ok(()),
        }
    }
}

/// The last failure of each connection and of each remote address, a bounded number of them.
#[derive(Debug, Default)]
pub struct Failures {
    by_connection: BTreeMap<Arc<str>, Why>,
    by_address: BTreeMap<IpAddr, Why>,
    addresses: VecDeque<IpAddr>,
}

impl Failures {
    /// Remembers. Connections are bounded by the configuration, addresses by a number.
    pub fn remember(&mut self, why: Why) {
        if let Some(name) = &why.connection {
            self.by_connection.insert(Arc::clone(name), why.clone());
        }
        let address = why.peer.ip();
        if self.by_address.insert(address, why).is_none() {
            self.addresses.push_back(address);
        }
        if self.addresses.len() > REMEMBERED
            && let Some(oldest) = self.addresses.pop_front()
        {
            self.by_address.remove(&oldest);
        }
    }
    /// Of this connection.
    pub fn of_connection(&self, name: &str) -> Option<&Why> {
        self.by_connection.get(name)
    }
    /// Of this address.
    pub fn of_address(&self, address: IpAddr) -> Option<&Why> {
        self.by_address.get(&address)
    }
    /// Forgets connections that `keep` does not name.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.by_connection.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(last_octet: u8) -> Why {
        let peer = SocketAddr::new(IpAddr::from([198, 51, 100, last_octet]), 500);
        Why::new(7, peer, Stage::Init, Reason::NoProposalChosen)
    }

    #[test]
    fn a_failure_reads_as_prose_with_the_field_and_the_fix() {
        let mut why =
            failure(9).connection(&"site-a".into()).fix("add KE_CURVE25519 to ike.proposals");
        why.offered.push("ENCR_AES_CBC_128/PRF_HMAC_SHA1".to_owned());
        why.candidates.push(Candidate {
            name: "site-a, proposal 1".to_owned(),
            field: "encryption".to_owned(),
            offered: "ENCR_AES_CBC_128".to_owned(),
            ours: "ENCR_AES_GCM_16_256".to_owned(),
        });
        let want = "site-a, 198.51.100.9:500: no proposal in common in IKE_SA_INIT\
            \n  offered: ENCR_AES_CBC_128/PRF_HMAC_SHA1\
            \n  site-a, proposal 1: encryption: the peer has ENCR_AES_CBC_128, we have ENCR_AES_GCM_16_256\
            \n  to put it right: add KE_CURVE25519 to ike.proposals";
        assert_eq!(why.to_string(), want);
    }

    #[test]
    fn the_last_failure_is_kept_and_strangers_cannot_fill_the_memory() {
        let mut failures = Failures::default();
        for number in 0..=REMEMBERED as u32 {
            let peer = SocketAddr::new(IpAddr::from(number.to_be_bytes()), 500);
            failures.remember(Why::new(number.into(), peer, Stage::Init, Reason::NoConnection));
        }
        assert_eq!(failures.by_address.len(), REMEMBERED);
        assert!(failures.of_address([0, 0, 0, 0].into()).is_none());
        assert!(failures.of_address([0, 0, 0, 1].into()).is_some());
        failures.remember(failure(1).connection(&"a".into()));
        failures.remember(Why { when: 8, ..failure(2).connection(&"a".into()) });
        assert_eq!(failures.of_connection("a").map(|why| why.when), Some(8));
        failures.retain(|name| name != "a");
        assert!(failures.of_connection("a").is_none());
    }
}
