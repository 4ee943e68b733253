//! IKEv2 messages (RFC 7296 §3): what their octets mean, and how they are written.
//!
//! Reading: [`Message::parse`] checks a whole datagram, [`Payloads::parse_decrypted`] what was inside its
//! encrypted payload; behind them no accessor can fail. Views borrow and copy nothing, and what a stranger
//! can send is bounded by the `MAX_…` constants here.
//!
//! Writing: the same types go into a [`Writer`], lists being made from slices. An encrypted message is laid
//! out by [`Sealing`], to be encrypted in place.

pub mod auth;
pub mod cert;
pub mod certreq;
pub mod chain;
pub mod cp;
pub mod delete;
pub mod eap;
pub mod header;
pub mod id;
pub mod ke;
pub mod list;
mod malformed;
pub mod message;
pub mod nonce;
pub mod notify;
mod octets;
pub mod payload;
pub mod sa;
pub mod sealing;
pub mod sk;
pub mod skf;
pub mod spi;
pub mod transform;
pub mod ts;
pub mod vendor;
pub mod writer;

pub use auth::{Authentication, DigitalSignature};
pub use cert::{Certificate, MAX_CERTIFICATES};
pub use certreq::CertificateRequest;
pub use chain::{Chain, GENERIC, MAX_PAYLOADS, Raw, payloads};
pub use cp::{Configuration, ConfigurationAttribute, MAX_CONFIGURATION_ATTRIBUTES};
pub use delete::{Delete, MAX_DELETE_SPIS};
pub use eap::Eap;
pub use header::{Flags, HEADER, Header, MAJOR};
pub use id::Identification;
pub use ke::KeyExchange;
pub use list::List;
pub use malformed::{Malformed, Refused, TooLong};
pub use message::{Message, Payloads, Sealed, SealedParts};
pub use nonce::Nonce;
pub use notify::{MAX_COOKIE, Notification, Notify};
pub use octets::Out;
pub use payload::Payload;
pub use sa::{MAX_PROPOSALS, MAX_TRANSFORMS, Proposal, SecurityAssociation};
pub use sealing::{Layout, Parts, Sealing};
pub use sk::Encrypted;
pub use skf::{EncryptedFragment, Fragment};
pub use spi::Spi;
pub use transform::{Algorithm, Transform};
pub use ts::{MAX_SELECTORS, TrafficSelector, TrafficSelectors};
pub use vendor::VendorId;
pub use writer::{Contents, Writer};
