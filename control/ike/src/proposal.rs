//! Proposals (RFC 7296 §2.7, §3.3): what we offer, what we choose of what a peer offers, and where it first differs when
//! nothing fits.
use crate::why::Candidate;
use std::fmt;
use wire::iana::{EncryptionId, IntegrityId};
use wire::ike::Spi;

/// Transform Types. A peer's numbers beyond these are [`Kind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// ENCR.
    Encryption,
    /// PRF; for IKE only.
    Prf,
    /// INTEG.
    Integrity,
    /// KE, formerly D-H.
    KeyExchange,
    /// ESN; for ESP only.
    Esn,
    /// A type that we do not know.
    Other(u8),
}

impl Kind {
    const KNOWN: [Self; 5] =
        [Self::Encryption, Self::Prf, Self::Integrity, Self::KeyExchange, Self::Esn];

    /// As IANA numbers it.
    pub fn number(self) -> u8 {
        match self {
            Self::Encryption => 1,
            Self::Prf => 2,
            Self::Integrity => 3,
            Self::KeyExchange => 4,
            Self::Esn => 5,
            Self::Other(number) => number,
        }
    }
    /// Any number has a kind.
    pub fn from_number(number: u8) -> Self {
        Self::KNOWN.into_iter().find(|kind| kind.number() == number).unwrap_or(Self::Other(number))
    }
    /// The field of a configuration in which it stands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Prf => "prf",
            Self::Integrity => "integrity",
            Self::KeyExchange => "key exchange",
            Self::Esn => "esn",
            Self::Other(_) => "an unknown transform type",
        }
    }
}

/// One transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transform {
    /// Its type.
    pub kind: Kind,
    /// As IANA numbers it within the type.
    pub id: u16,
    /// The Key Length attribute in bits.
    pub key_bits: Option<u16>,
}

impl Transform {
    /// ENCR; `key_bits` for ciphers whose key length varies only.
    pub const fn encryption(id: EncryptionId, key_bits: Option<u16>) -> Self {
        Self { kind: Kind::Encryption, id: id.0, key_bits }
    }
    /// INTEG.
    pub const fn integrity(id: IntegrityId) -> Self {
        Self { kind: Kind::Integrity, id: id.0, key_bits: None }
    }
    /// PRF.
    pub const fn prf(id: u16) -> Self {
        Self { kind: Kind::Prf, id, key_bits: None }
    }
    /// KE.
    pub const fn key_exchange(id: u16) -> Self {
        Self { kind: Kind::KeyExchange, id, key_bits: None }
    }
    /// ESN.
    pub const fn esn(on: bool) -> Self {
        Self { kind: Kind::Esn, id: on as u16, key_bits: None }
    }
    /// Whether it is a cipher that brings its own integrity (RFC 5282 §1, RFC 7634).
    pub fn is_aead(&self) -> bool {
        self.kind == Kind::Encryption && matches!(self.id, 14..=16 | 18..=21 | 25..=35)
    }
}

/// With IANA's name: `ENCR_AES_GCM_16_256`.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use wire::iana::ike as iana;
        match self.kind {
            Kind::Encryption => write!(f, "{}", EncryptionId(self.id))?,
            Kind::Prf => write!(f, "{}", iana::PrfId(self.id))?,
            Kind::Integrity => write!(f, "{}", IntegrityId(self.id))?,
            Kind::KeyExchange => write!(f, "{}", iana::KeyExchangeMethod(self.id))?,
            Kind::Esn => f.write_str(if self.id == 0 { "NO_ESN" } else { "ESN" })?,
            Kind::Other(kind) => write!(f, "type {kind} transform {}", self.id)?,
        }
        self.key_bits.map_or(Ok(()), |bits| write!(f, "_{bits}"))
    }
}

/// Alternatives for each type of transform; one of each is chosen. Without INTEG for AEADs, which stand in proposals of
/// their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The best of each type first.
    pub transforms: Vec<Transform>,
}

impl Proposal {
    /// Those of one type.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = Transform> + '_ {
        self.transforms.iter().copied().filter(move |transform| transform.kind == kind)
    }
    /// Without key exchange: what is proposed for a Child SA in IKE_AUTH (RFC 7296 §1.2).
    pub(crate) fn without_key_exchange(&self) -> Self {
        let keep = |transform: &&Transform| transform.kind != Kind::KeyExchange;
        Self { transforms: self.transforms.iter().filter(keep).copied().collect() }
    }
}

/// `ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE25519`.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.transforms, "/")
    }
}

fn list(f: &mut fmt::Formatter<'_>, transforms: &[Transform], between: &str) -> fmt::Result {
    let mut first = true;
    transforms.iter().try_for_each(|transform| {
        let before = if std::mem::take(&mut first) { "" } else { between };
        write!(f, "{before}{transform}")
    })
}

struct Alternatives<'a>(&'a [Transform]);
impl fmt::Display for Alternatives<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { list(f, self.0, " or ") }
    }
}

/// A proposal of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its number.
    pub(crate) number: u8,
    /// 1 IKE, 2 AH, 3 ESP.
    pub(crate) protocol: u8,
    /// Its SPI.
    pub(crate) spi: Spi,
    /// In the order of the message, without those whose attributes we do not know.
    pub(crate) proposal: Proposal,
}

/// What is done about key exchange while choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyExchange {
    /// It is no matter here: the first Child SA (RFC 7296 §1.2).
    Ignored,
    /// It is chosen; the peer sent a public value of this method, which saves a round trip when it is acceptable.
    Sent(u16),
    /// It is chosen; the peer sent none.
    Absent,
}

/// What was chosen of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The number of the peer's proposal.
    pub(crate) number: u8,
    /// Its SPI.
    pub(crate) spi: Spi,
    /// One of each type.
    pub(crate) proposal: Proposal,
}

impl Chosen {
    /// The one of this type.
    pub(crate) fn one(&self, kind: Kind) -> Option<Transform> {
        self.proposal.of(kind).next()
    }
    /// The key exchange method; `None`: none was chosen.
    pub(crate) fn key_exchange(&self) -> Option<u16> {
        self.one(Kind::KeyExchange).map(|transform| transform.id).filter(|&id| id != 0)
    }
}

/// Chooses: our order decides. Each of our proposals is held against each of the peer's, so the work is bounded by the
/// size of a message times that of our configuration.
///
/// # Errors
/// One candidate for each proposal of ours, with the first field in which the nearest offer differs.
pub(crate) fn choose(
    name: &str,
    ours: &[Proposal],
    theirs: &[Offer],
    protocol: u8,
    exchange: KeyExchange,
) -> Result<Chosen, Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (index, own) in ours.iter().enumerate() {
        let mut nearest: Option<Difference> = None;
        for offer in theirs.iter().filter(|offer| offer.protocol == protocol) {
            match intersect(own, &offer.proposal, exchange) {
                Ok(proposal) => {
                    return Ok(Chosen { number: offer.number, spi: offer.spi, proposal });
                }
                Err(difference)
                    if nearest.as_ref().is_none_or(|best| best.kind < difference.kind) =>
                {
                    nearest = Some(difference);
                }
                Err(_) => {}
            }
        }
        let name = format!("{name}, proposal {}", index.saturating_add(1));
        candidates.push(candidate(name, own, nearest));
    }
    Err(candidates)
}

fn candidate(name: String, own: &Proposal, nearest: Option<Difference>) -> Candidate {
    match nearest {
        Some(Difference { kind, offered, ours }) => Candidate {
            name,
            field: kind.name().to_owned(),
            offered: Alternatives(&offered).to_string(),
            ours: Alternatives(&ours).to_string(),
        },
        None => Candidate {
            name,
            field: "protocol".to_owned(),
            offered: "no proposal for it".to_owned(),
            ours: own.to_string(),
        },
    }
}

struct Difference {
    kind: Kind,
    offered: Vec<Transform>,
    ours: Vec<Transform>,
}

/// One of each type from both, or the first type where that cannot be.
fn intersect(
    ours: &Proposal,
    theirs: &Proposal,
    exchange: KeyExchange,
) -> Result<Proposal, Difference> {
    let differ = |kind: Kind| Difference {
        kind,
        offered: theirs.of(kind).collect(),
        ours: ours.of(kind).collect(),
    };
    let mut chosen = Proposal::default();
    for kind in Kind::KNOWN {
        if kind == Kind::KeyExchange && exchange == KeyExchange::Ignored {
            continue;
        }
        let aead = chosen.transforms.iter().any(Transform::is_aead);
        let one = one_of(kind, ours, theirs, aead, exchange).ok_or_else(|| differ(kind))?;
        chosen.transforms.extend(one.iter());
    }
    // A type that we do not know must be understood to be agreed to (RFC 7296 §3.3.6).
    let unknown =
        theirs.transforms.iter().find(|transform| matches!(transform.kind, Kind::Other(_)));
    unknown.map_or(Ok(chosen), |transform| Err(differ(transform.kind)))
}

/// What is agreed for one type.
enum One {
    /// This transform.
    Chosen(Transform),
    /// Neither has one, or what there is says NONE.
    Nothing,
}
impl One {
    fn iter(&self) -> impl Iterator<Item = Transform> {
        match self {
            Self::Chosen(transform) => Some(*transform),
            Self::Nothing => None,
        }
        .into_iter()
    }
}

fn one_of(
    kind: Kind,
    ours: &Proposal,
    theirs: &Proposal,
    aead: bool,
    exchange: KeyExchange,
) -> Option<One> {
    // NONE, or no transform of the type at all, mean the same (RFC 7296 §3.3.3).
    let optional = matches!(kind, Kind::Integrity | Kind::KeyExchange);
    let without = |side: &Proposal| {
        optional && side.of(kind).all(|transform| transform.id == 0)
            || side.of(kind).next().is_none()
    };
    if kind == Kind::Integrity && aead {
        let may_be_none = without(theirs) || theirs.of(kind).any(|transform| transform.id == 0);
        return may_be_none.then_some(One::Nothing);
    }
    if without(ours) && (without(theirs) || optional && theirs.of(kind).any(|t| t.id == 0)) {
        return Some(One::Nothing);
    }
    let both = |wanted: &Transform| theirs.transforms.contains(wanted);
    let sent = |wanted: &Transform| exchange == KeyExchange::Sent(wanted.id);
    let preferred =
        ours.of(kind).filter(|_| kind == Kind::KeyExchange).find(|t| both(t) && sent(t));
    match preferred.or_else(|| ours.of(kind).find(both)) {
        Some(transform) if optional && transform.id == 0 => Some(One::Nothing),
        Some(transform) => Some(One::Chosen(transform)),
        None => (optional && without(theirs) && ours.of(kind).any(|t| t.id == 0))
            .then_some(One::Nothing),
    }
}

/// Whether what the responder chose is one of each type of what we offered, no more and no less (RFC 7296 §2.7).
pub(crate) fn accepts(ours: &[Proposal], answer: &Offer, exchange: KeyExchange) -> Option<Chosen> {
    let index = usize::from(answer.number).checked_sub(1)?;
    let proposal = intersect(ours.get(index)?, &answer.proposal, exchange).ok()?;
    let matters = |transform: &&Transform| {
        let none =
            transform.id == 0 && matches!(transform.kind, Kind::Integrity | Kind::KeyExchange);
        let ignored = transform.kind == Kind::KeyExchange && exchange == KeyExchange::Ignored;
        !none && !ignored
    };
    let answered = answer.proposal.transforms.iter().filter(matters).count();
    (answered == proposal.transforms.len()).then_some(Chosen {
        number: answer.number,
        spi: answer.spi,
        proposal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM: Transform = Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256));
    const CBC: Transform = Transform::encryption(EncryptionId::ENCR_AES_CBC, Some(128));
    const SHA256: Transform = Transform::integrity(IntegrityId::AUTH_HMAC_SHA2_256_128);
    const NONE: Transform = Transform::integrity(IntegrityId::NONE);
    const PRF: Transform = Transform::prf(6);
    const X25519: Transform = Transform::key_exchange(31);
    const P256: Transform = Transform::key_exchange(19);
    const NO_GROUP: Transform = Transform::key_exchange(0);

    fn proposal(transforms: &[Transform]) -> Proposal {
        Proposal { transforms: transforms.to_vec() }
    }
    fn offer(number: u8, transforms: &[Transform]) -> Offer {
        Offer { number, protocol: 1, spi: Spi::None, proposal: proposal(transforms) }
    }
    fn chosen(
        ours: &[Transform],
        theirs: &[Transform],
        exchange: KeyExchange,
    ) -> Result<String, String> {
        let (ours, theirs) = ([proposal(ours)], [offer(1, theirs)]);
        match choose("site", &ours, &theirs, 1, exchange) {
            Ok(chosen) => Ok(chosen.proposal.to_string()),
            Err(candidates) => Err(candidates[0].to_string()),
        }
    }

    #[test]
    fn one_of_each_type_is_chosen_by_our_order() {
        let sent = KeyExchange::Sent(19);
        for (ours, theirs, want) in [
            (
                &[GCM, PRF, X25519, P256][..],
                &[GCM, PRF, P256][..],
                "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_256",
            ),
            // both take both: the one whose public value is here saves a round trip
            (
                &[GCM, PRF, X25519, P256],
                &[GCM, PRF, X25519, P256],
                "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_256",
            ),
            (
                &[GCM, PRF, X25519],
                &[GCM, PRF, X25519, P256],
                "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519",
            ),
            // an AEAD needs no integrity, however the peer says so (RFC 7296 §3.3.3, RFC 5282 §8)
            (
                &[GCM, PRF, P256],
                &[GCM, NONE, PRF, P256],
                "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_256",
            ),
            (
                &[CBC, SHA256, PRF, P256],
                &[PRF, P256, SHA256, CBC],
                "ENCR_AES_CBC_128/PRF_HMAC_SHA2_384/AUTH_HMAC_SHA2_256_128/ECP_256",
            ),
        ] {
            assert_eq!(chosen(ours, theirs, sent).as_deref(), Ok(want));
        }
    }

    #[test]
    fn the_first_field_that_differs_is_named() {
        let short = Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(128));
        let unsized_key = Transform::encryption(EncryptionId::ENCR_AES_GCM_16, None);
        let unknown = Transform { kind: Kind::Other(6), id: 36, key_bits: None };
        let ours = [GCM, PRF, X25519];
        for (theirs, field) in [
            (&[short, PRF, X25519][..], "encryption"),
            (&[unsized_key, PRF, X25519], "encryption"),
            (&[PRF, X25519], "encryption"),
            (&[GCM, Transform::prf(5), X25519], "prf"),
            (&[GCM, X25519], "prf"),
            (&[GCM, SHA256, PRF, X25519], "integrity"),
            (&[GCM, PRF, P256], "key exchange"),
            (&[GCM, PRF], "key exchange"),
            (&[GCM, PRF, X25519, unknown], "an unknown transform type"),
        ] {
            let why = chosen(&ours, theirs, KeyExchange::Sent(31)).unwrap_err();
            assert!(why.starts_with(&format!("site, proposal 1: {field}: ")), "{why}");
        }
        let why = chosen(&ours, &[short, PRF, X25519], KeyExchange::Sent(31)).unwrap_err();
        let want = "the peer has ENCR_AES_GCM_16_128, we have ENCR_AES_GCM_16_256";
        assert_eq!(why, format!("site, proposal 1: encryption: {want}"));
    }

    /// The nearest of several is the one to tell about.
    #[test]
    fn the_nearest_offer_is_compared() {
        let theirs = [offer(1, &[CBC, SHA256, PRF, X25519]), offer(2, &[GCM, PRF, P256])];
        let ours = [proposal(&[GCM, PRF, X25519])];
        let candidates = choose("site", &ours, &theirs, 1, KeyExchange::Sent(19)).unwrap_err();
        assert_eq!(candidates[0].field, "key exchange");
        let candidates = choose("site", &ours, &theirs, 3, KeyExchange::Sent(19)).unwrap_err();
        assert_eq!(candidates[0].field, "protocol");
    }

    #[test]
    fn pfs_is_asked_for_or_not_and_never_both() {
        let (absent, sent) = (KeyExchange::Absent, KeyExchange::Sent(31));
        let esn = Transform::esn(false);
        for (ours, theirs, exchange, fits) in [
            (&[GCM, esn][..], &[GCM, esn][..], absent, true),
            (&[GCM, esn], &[GCM, esn, NO_GROUP], absent, true),
            (&[GCM, esn, X25519], &[GCM, esn], absent, false),
            (&[GCM, esn, X25519, NO_GROUP], &[GCM, esn], absent, true),
            (&[GCM, esn], &[GCM, esn, X25519], sent, false),
            (&[GCM, esn], &[GCM, esn, X25519, NO_GROUP], sent, true),
            (&[GCM, esn, X25519], &[GCM, esn], KeyExchange::Ignored, true),
        ] {
            assert_eq!(chosen(ours, theirs, exchange).is_ok(), fits, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn an_answer_is_one_of_each_of_what_was_offered() {
        let ours = [proposal(&[GCM, PRF, X25519, P256]), proposal(&[CBC, SHA256, PRF, P256])];
        let sent = KeyExchange::Sent(19);
        for (number, answer, fits) in [
            (1, &[GCM, PRF, P256][..], true),
            (1, &[GCM, NONE, PRF, P256], true),
            (2, &[CBC, SHA256, PRF, P256], true),
            (2, &[GCM, PRF, P256], false),
            (0, &[GCM, PRF, P256], false),
            (3, &[GCM, PRF, P256], false),
            (1, &[GCM, PRF, X25519, P256], false),
            (1, &[GCM, PRF], false),
            (1, &[CBC, SHA256, PRF, P256], false),
            (2, &[CBC, SHA256, SHA256, PRF, P256], false),
        ] {
            assert_eq!(
                accepts(&ours, &offer(number, answer), sent).is_some(),
                fits,
                "{number} {answer:?}"
            );
        }
    }
}
