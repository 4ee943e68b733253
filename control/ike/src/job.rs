//! What is too slow for the core's own thread: key exchange and signatures. The driver runs jobs in a bounded pool; they
//! own all that they need.
use crate::algorithm::{Group, Secret};
use crate::auth::{self, CannotProve, NotProved, Proof, Signed};
use crate::{Key, Random};
use pki::{Identity, PrivateKey, PublicKey, Scheme, Trust};
use std::sync::Arc;
use wire::iana::ike::HashAlgorithm;

/// Something to compute.
#[derive(Debug)]
pub enum Job {
    /// A secret and its public value.
    Generate {
        /// In this group.
        group: Group,
    },
    /// The shared secret.
    Agree {
        /// Ours.
        secret: Secret,
        /// The peer's.
        public: Vec<u8>,
    },
    /// Both at once, when the peer's public value is here already.
    Exchange {
        /// In this group.
        group: Group,
        /// The peer's.
        public: Vec<u8>,
    },
    /// Our proof of identity.
    Sign {
        /// With this key.
        key: Arc<PrivateKey>,
        /// The hashes that the peer takes (RFC 7427); `None`: it knows only the classic methods.
        hashes: Option<Vec<HashAlgorithm>>,
        /// Whether the classic method for RSA may use SHA-1.
        sha1: bool,
        /// What AUTH covers.
        octets: Vec<u8>,
    },
    /// The peer's proof, by a certificate.
    VerifyCertificate {
        /// What its chain must lead to.
        trust: Arc<Trust>,
        /// As the peer sent them, in DER, its own first.
        chain: Vec<Vec<u8>>,
        /// Which the certificate must carry.
        identity: Identity,
        /// What it sent.
        proof: Proof,
    },
    /// The peer's proof, by a key that we know.
    VerifyRawKey {
        /// One of these.
        keys: Vec<Arc<PublicKey>>,
        /// Whether the classic method for RSA may use SHA-1.
        sha1: bool,
        /// What it sent.
        proof: Proof,
    },
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::Generate`].
    Generated {
        /// Ours.
        secret: Secret,
        /// For the peer.
        public: Vec<u8>,
    },
    /// Of [`Job::Agree`].
    Agreed(Key),
    /// Of [`Job::Agree`]: the peer's value is not in the group. The secret is unspent.
    BadPublic(Secret),
    /// Of [`Job::Exchange`]; `None`: the peer's value is not in the group.
    Exchanged(Option<(Vec<u8>, Key)>),
    /// Of [`Job::Sign`].
    Signed(Result<Signed, CannotProve>),
    /// Of [`Job::VerifyCertificate`] and [`Job::VerifyRawKey`].
    Verified(Result<Scheme, NotProved>),
    /// It was not run.
    Dropped,
}

impl Job {
    /// Does the work. `unix_now` is the wall clock in seconds, against which certificates are held.
    pub fn run(self, random: &mut dyn Random, unix_now: u64) -> Done {
        match self {
            Self::Generate { group } => {
                let (secret, public) = group.generate(random);
                Done::Generated { secret, public }
            }
            Self::Agree { secret, public } => match secret.agree(&public) {
                Ok(shared) => Done::Agreed(shared),
                Err(_) => Done::BadPublic(secret),
            },
            Self::Exchange { group, public: theirs } => {
                let (secret, public) = group.generate(random);
                Done::Exchanged(secret.agree(&theirs).ok().map(|shared| (public, shared)))
            }
            Self::Sign { key, hashes, sha1, octets } => {
                Done::Signed(auth::sign(&key, hashes.as_deref(), sha1, &octets))
            }
            Self::VerifyCertificate { trust, chain, identity, proof } => Done::Verified(
                auth::verify_certificate(&trust, &chain, &identity, &proof, unix_now),
            ),
            Self::VerifyRawKey { keys, sha1, proof } => {
                Done::Verified(auth::verify_raw_key(&keys, sha1, &proof))
            }
        }
    }
}
