//! Who we say that we are and how we prove it, and what a peer must prove. Both are policy: what a peer sends is held
//! against the configuration, and never chooses.
use super::session::Session;
use crate::auth::{self, Proof};
use crate::derive::{auth_octets, psk_auth};
use crate::job::Job;
use crate::message::{Identification, Part, Received};
use crate::settings::{Accept, Connection, Credential};
use pki::Identity;
use std::sync::Arc;
use wire::iana::ike::{AuthMethod, CertEncoding, NotifyType};

/// Our AUTH payload, or what makes it.
#[derive(Debug)]
pub(crate) enum Own {
    Ready(Part),
    Pool(Box<Job>),
}

/// The body of an ID payload.
fn id_body(kind: u8, octets: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0], octets].concat()
}

/// What the AUTH payload of one side covers (RFC 7296 §2.15).
fn covered(session: &Session, of_initiator: bool, id: &[u8]) -> Vec<u8> {
    let Session { channel, nonces, messages, .. } = session;
    let (prf, keys) = (channel.prf(), channel.keys());
    match of_initiator {
        true => auth_octets(prf, &keys.pi, &messages.0, &nonces.1, id),
        false => auth_octets(prf, &keys.pr, &messages.1, &nonces.0, id),
    }
}

/// Our proof.
pub(crate) fn own(connection: &Connection, session: &Session, initiator: bool) -> Own {
    let (kind, octets) = connection.local_auth.identity.to_ike();
    let covered = covered(session, initiator, &id_body(kind, &octets));
    let sign = |key| Job::Sign {
        key: Arc::clone(key),
        hashes: session.peer.hashes.clone(),
        sha1: connection.legacy,
        octets: covered.clone(),
    };
    match &connection.local_auth.credential {
        Credential::Psk(psk) => {
            let auth = psk_auth(session.channel.prf(), psk, &covered).expose().to_vec();
            Own::Ready(Part::Auth(AuthMethod::SHARED_KEY.0, auth))
        }
        Credential::Certificate { key, .. } | Credential::RawKey(key) => {
            Own::Pool(Box::new(sign(key)))
        }
    }
}

/// Our ID payload, and the CERT payloads behind it.
pub(crate) fn own_identity(connection: &Connection, initiator: bool) -> Vec<Part> {
    let (kind, octets) = connection.local_auth.identity.to_ike();
    let id =
        if initiator { Part::IdInitiator(kind, octets) } else { Part::IdResponder(kind, octets) };
    let mut parts = vec![id];
    match &connection.local_auth.credential {
        Credential::Psk(_) => {}
        Credential::Certificate { chain, .. } => {
            let of = |certificate: &pki::Certificate| {
                Part::Certificate(CertEncoding::X509_SIGNATURE.0, certificate.der().to_vec())
            };
            parts.extend(chain.iter().map(of));
        }
        Credential::RawKey(key) => {
            let spki = key.public_key().spki().to_vec();
            parts.push(Part::Certificate(CertEncoding::RAW_PUBLIC_KEY.0, spki));
        }
    }
    parts
}

/// The CERTREQ payload: which authorities the peer's certificate may come from (RFC 7296 §3.7).
pub(crate) fn request(connection: &Connection) -> Option<Part> {
    match &connection.remote_auth.accept {
        Accept::Certificate(trust) => {
            let hash = |anchor: &pki::Certificate| anchor.public_key().certreq_hash();
            let hashes = trust.anchors.iter().flat_map(hash).collect();
            Some(Part::CertificateRequest(CertEncoding::X509_SIGNATURE.0, hashes))
        }
        Accept::RawKey(_) => {
            Some(Part::CertificateRequest(CertEncoding::RAW_PUBLIC_KEY.0, Vec::new()))
        }
        Accept::Psk(_) => None,
    }
}

/// What a peer's proof is worth so far.
#[derive(Debug)]
pub(crate) enum Peer {
    /// It is proved.
    Proved(String),
    /// It is good as far as can be told here; the pool checks the signature and the chain.
    Pool(Box<Job>),
}

/// Holds a proof against what the connection accepts.
///
/// # Errors
/// The check that failed, in words.
pub(crate) fn check(
    connection: &Connection,
    session: &Session,
    of_initiator: bool,
    (claimed, identity): (&Identification, &Identity),
    received: &Received,
) -> Result<Peer, String> {
    let Some((method, auth)) = &received.auth else {
        return Err(
            "there is no AUTH payload: the peer wants EAP, which is not configured".to_owned()
        );
    };
    let accept = &connection.remote_auth.accept;
    let method = AuthMethod(*method);
    if matches!(accept, Accept::Psk(_)) != (method == AuthMethod::SHARED_KEY) {
        return Err(other_method(&method_name(Some(method)), accept.name()));
    }
    let octets = covered(session, of_initiator, &claimed.body);
    let proof = Proof { method, auth: auth.clone(), octets };
    let of = |encoding: CertEncoding| {
        let wanted = move |(kind, _): &&(u8, Vec<u8>)| *kind == encoding.0;
        received.certificates.iter().filter(wanted).map(|(_, octets)| octets.clone()).collect()
    };
    match accept {
        Accept::Psk(psk) => {
            let proved = auth::verify_psk(session.channel.prf(), psk, &proof);
            proved.map(|()| Peer::Proved("psk".to_owned())).map_err(|why| why.to_string())
        }
        Accept::Certificate(trust) => {
            let (trust, chain) = (Arc::clone(trust), of(CertEncoding::X509_SIGNATURE));
            Ok(Peer::Pool(Box::new(Job::VerifyCertificate {
                trust,
                chain,
                identity: identity.clone(),
                proof,
            })))
        }
        Accept::RawKey(keys) => {
            let sent: Vec<Vec<u8>> = of(CertEncoding::RAW_PUBLIC_KEY);
            let known = |key: &&Arc<pki::PublicKey>| {
                sent.is_empty() || sent.iter().any(|spki| key.spki() == spki)
            };
            let (keys, sha1) = (keys.iter().filter(known).cloned().collect(), connection.legacy);
            Ok(Peer::Pool(Box::new(Job::VerifyRawKey { keys, sha1, proof })))
        }
    }
}

/// How a peer proves itself, in the words of the file where it has one. Without an AUTH payload it wants EAP.
pub(crate) fn method_name(method: Option<AuthMethod>) -> String {
    match method {
        None => "EAP".to_owned(),
        Some(AuthMethod::SHARED_KEY) => "psk".to_owned(),
        Some(method) => method.to_string(),
    }
}

/// What differs when the peer proves itself in another way than it must.
pub(crate) fn other_method(offered: &str, ours: &str) -> String {
    format!("the peer proves itself by {offered}, and we accept {ours}")
}

/// What puts that right: at the peer, for a weaker proof is nothing to be put into our file without thinking.
pub(crate) fn method_fix(connection: &Connection) -> String {
    let name = &connection.name;
    match &connection.remote_auth.accept {
        Accept::Psk(_) => format!(
            "let the peer use the PSK; or, for its certificate, write connections.{name}.remote.ca in place of psk"
        ),
        Accept::Certificate(_) => format!(
            "let the peer use its certificate; or, for a PSK, write connections.{name}.remote.psk in place of ca"
        ),
        Accept::RawKey(_) => format!(
            "let the peer use its key; or, for a PSK, write connections.{name}.remote.psk in place of public_key"
        ),
    }
}

/// Whether the connection accepts the identity; otherwise the first thing in which it differs.
pub(crate) fn accepts(connection: &Connection, identity: &Identity) -> Result<(), String> {
    let patterns = &connection.remote_auth.identities;
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(identity)) {
        return Ok(());
    }
    let each = patterns.iter().filter_map(|pattern| pattern.difference(identity));
    Err(each.collect::<Vec<_>>().join("; "))
}

/// What is answered to a peer that did not prove who it is: nothing more than that (RFC 7296 §2.21.2).
pub(crate) fn failed() -> Part {
    Part::note(NotifyType::AUTHENTICATION_FAILED, [])
}
