//! What each fuzz target does with its octets. Shared by the fuzzer (nightly) and by the replay of the committed corpora
//! (`control/pki/tests/corpus.rs`, stable). A target must not panic, and what is read must be consistent with itself.

use pki::{Certificate, Identity, Name, PrivateKey, PublicKey, Purpose, Request, Scheme, Trust};

/// A function from octets to nothing: it panics when a rule is broken.
pub type Target = fn(&[u8]);

/// Every target by name; a name is also that of its corpus directory.
pub const TARGETS: [(&str, Target); 2] = [("octets", octets), ("chain", chain)];

/// When certificates are looked at, in seconds since 1970.
const NOW: u64 = 2_000_000_000;
/// More certificates are not taken from one input.
const MOST: usize = 12;

/// The octets as everything that can be read from a file or from a peer.
pub fn octets(octets: &[u8]) {
    if let Ok(certificate) = Certificate::from_der(octets) {
        assert_eq!(certificate.der(), octets, "it is kept as it came");
    }
    let _ = pki::certificates(octets);
    let _ = Request::read(octets);
    let _ = PublicKey::read(octets);
    let _ = PrivateKey::read(octets, None);
    let _ = Scheme::from_algorithm_identifier(octets);
    if let Ok(name) = Name::from_der(octets) {
        assert_eq!(name.der(), octets);
        let _ = name.to_string();
    }
    for kind in 0..=12 {
        identity(kind, octets);
    }
}

/// An identity that a peer claims prints, and is the same when it is sent back.
fn identity(kind: u8, octets: &[u8]) {
    let Ok(identity) = Identity::from_ike(kind, octets) else { return };
    assert!(!identity.to_string().contains('\0'));
    let (kind, octets) = identity.to_ike();
    assert_eq!(Identity::from_ike(kind, &octets).as_ref(), Ok(&identity));
}

/// The octets as certificates, each behind two octets of its length: the peer's, what it sent along, and the anchor last.
pub fn chain(octets: &[u8]) {
    let mut certificates = split(octets);
    let Some(anchor) = certificates.pop() else { return };
    let Some((leaf, sent)) = certificates.split_first() else { return };
    for trust in [Trust::new(vec![anchor.clone()]), Trust::new(Vec::new())] {
        match trust.verify(leaf, sent, NOW, Purpose::Ike) {
            Ok(_) => assert!(!trust.anchors.is_empty(), "an empty trust trusts nobody"),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
}

fn split(octets: &[u8]) -> Vec<Certificate> {
    let mut rest = octets;
    let mut out = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk()
        && out.len() < MOST
    {
        let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
        let (one, more) = more.split_at(length);
        out.extend(Certificate::from_der(one));
        rest = more;
    }
    out
}
