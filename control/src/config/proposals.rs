//! Proposals as a file writes them: the names of transforms with `/` between the types and `+` between alternatives,
//! as `ENCR_AES_GCM_16_256+ENCR_AES_GCM_16_128/PRF_HMAC_SHA2_384/Curve25519+ECP_384`. What goes together is checked here,
//! so that nobody hears of it from a peer.
use super::problem::nearest;
use super::suites::{self, SuiteName};
use ike::algorithm::{Encr, Group, Integ, Prf};
use ike::proposal::{Kind, Proposal, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Visitor};
use std::fmt;
use std::str::FromStr;
use wire::iana::{EncryptionId, IntegrityId};

/// What we offer and accept for an IKE SA when the file does not say: strong, and common.
pub const IKE: &str = "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519+ECP_384+MODP_3072";
/// The same for ESP.
pub const ESP: &str = "ENCR_AES_GCM_16_256/Curve25519+ECP_384+MODP_3072+NONE";

/// Transforms for an IKE SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeProposal {
    /// As the core wants it.
    pub proposal: Proposal,
    /// Names of transforms that must be asked for with `legacy: true`.
    pub legacy: Vec<String>,
}

/// Transforms for ESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspProposal {
    /// As the core wants it. ESN has a key of its own in the file and need not stand here.
    pub proposal: Proposal,
    /// Names of transforms that must be asked for with `legacy: true`.
    pub legacy: Vec<String>,
}

/// One name of a proposal.
struct Part {
    transform: Transform,
    legacy: bool,
}

/// Which names there are, and what is said of one that is none.
struct Names {
    what: &'static str,
    example: &'static str,
    find: fn(&str) -> Result<Option<Part>, String>,
    all: fn() -> Vec<String>,
}

const OF_IKE: Names =
    Names { what: "IKE", example: IKE, find: |name| Ok(ike_part(name)), all: ike_names };
const OF_ESP: Names = Names { what: "ESP", example: ESP, find: esp_part, all: esp_names };

fn ike_part(name: &str) -> Option<Part> {
    let encr = Encr::from_name(name).map(|encr| {
        (
            Transform { kind: Kind::Encryption, id: encr.id().0, key_bits: encr.key_bits() },
            encr.legacy(),
        )
    });
    let prf = || Prf::from_name(name).map(|prf| (Transform::prf(prf.id().0), prf.legacy()));
    let integ =
        || Integ::from_name(name).map(|integ| (Transform::integrity(integ.id()), integ.legacy()));
    let (transform, legacy) = encr.or_else(prf).or_else(integ).or_else(|| group(name))?;
    Some(Part { transform, legacy })
}

fn group(name: &str) -> Option<(Transform, bool)> {
    let group = Group::all().find(|group| group.name().eq_ignore_ascii_case(name))?;
    Some((Transform::key_exchange(group.id().0), group.legacy()))
}

fn ike_names() -> Vec<String> {
    let names = Encr::all().map(Encr::name).chain(Prf::all().map(Prf::name));
    let names = names.chain(Integ::all().map(Integ::name)).chain(Group::all().map(Group::name));
    names.map(str::to_owned).collect()
}

fn esp_part(name: &str) -> Result<Option<Part>, String> {
    let plain = match name {
        "NONE" => Some(Transform::key_exchange(0)),
        "ESN" => Some(Transform::esn(true)),
        "NO_ESN" => Some(Transform::esn(false)),
        _ => None,
    };
    if let Some(transform) = plain {
        return Ok(Some(Part { transform, legacy: false }));
    }
    if let Some((transform, legacy)) = group(name) {
        return Ok(Some(Part { transform, legacy }));
    }
    if let Some(known) = suites::INTEGRITIES.iter().find(|known| known.name() == name) {
        let legacy = known.legacy.is_some();
        return Ok(Some(Part { transform: Transform::integrity(known.id), legacy }));
    }
    if !name.starts_with("ENCR") {
        return Ok(None);
    }
    let (cipher, bits) = suites::cipher_of(name)?;
    let key_bits = (!matches!(cipher.keys, suites::KeyBits::Fixed(_))).then_some(bits);
    let transform = Transform::encryption(cipher.id, key_bits);
    Ok(Some(Part { transform, legacy: cipher.legacy.is_some() }))
}

fn esp_names() -> Vec<String> {
    let suites = SuiteName::all().filter(|suite| suite.key_bits <= 256).map(SuiteName::cipher_name);
    let macs = suites::INTEGRITIES.iter().map(|known| known.name().to_owned());
    let groups = Group::all().map(|group| group.name().to_owned());
    suites.chain(macs).chain(groups).collect()
}

/// Reads the names and sorts them by type.
fn parts(text: &str, names: &Names) -> Result<(Proposal, Vec<String>), String> {
    let (mut proposal, mut legacy) = (Proposal::default(), Vec::new());
    for name in text.split(['/', '+']).map(str::trim) {
        let Part { transform, legacy: is_legacy } =
            (names.find)(name)?.ok_or_else(|| unknown(name, names))?;
        if proposal.transforms.contains(&transform) {
            return Err(format!("{name} stands in it twice; remove one"));
        }
        if is_legacy {
            legacy.push(name.to_owned());
        }
        proposal.transforms.push(transform);
    }
    Ok((proposal, legacy))
}

fn unknown(name: &str, names: &Names) -> String {
    let all = (names.all)();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let Names { what, example, .. } = names;
    match nearest(name, &all) {
        Some(near) => format!("'{name}' is no transform for {what}; did you mean \"{near}\"?"),
        None => format!(
            "'{name}' is no transform for {what}; write names like {example} (docs/configuration.md has them all)"
        ),
    }
}

/// RFC 7296 §3.3.3: AEADs stand in proposals of their own, and a cipher that is none has integrity beside it.
fn goes_together(proposal: &Proposal) -> Result<(), String> {
    let ciphers: Vec<_> = proposal.of(Kind::Encryption).collect();
    let aeads = ciphers.iter().filter(|cipher| cipher.is_aead()).count();
    let integrity = proposal.of(Kind::Integrity).next();
    match (ciphers.first(), aeads, integrity) {
        (None, ..) => Err("no cipher; begin with one, like ENCR_AES_GCM_16_256".to_owned()),
        (Some(_), 1.., _) if aeads < ciphers.len() => Err(
            "ciphers with integrity of their own (GCM, CCM, ChaCha20) and others need proposals of their own; \
             write a list of two"
                .to_owned(),
        ),
        (Some(cipher), 1.., Some(integrity)) => {
            Err(format!("{cipher} has its own integrity; remove {integrity}"))
        }
        (Some(cipher), 0, None) => Err(format!(
            "{cipher} without integrity lets anybody change packets; add AUTH_HMAC_SHA2_256_128"
        )),
        _ => Ok(()),
    }
}

impl FromStr for IkeProposal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut proposal, legacy) = parts(text, &OF_IKE)?;
        goes_together(&proposal)?;
        if proposal.of(Kind::KeyExchange).next().is_none() {
            return Err(format!("no key exchange; add one, like {text}/Curve25519"));
        }
        if proposal.of(Kind::Prf).next().is_none() {
            let prfs = beside(&proposal)?;
            proposal.transforms.extend(prfs);
        }
        proposal.transforms.sort_by_key(|transform| transform.kind);
        Ok(Self { proposal, legacy })
    }
}

/// The PRFs that go with the integrity algorithms, when the file names none.
fn beside(proposal: &Proposal) -> Result<Vec<Transform>, String> {
    let name = |transform: Transform| {
        let name = IntegrityId(transform.id).name().unwrap_or_default();
        Prf::all().find(|prf| {
            let stem = prf.name().trim_start_matches("PRF_");
            name.trim_start_matches("AUTH_").starts_with(stem)
        })
    };
    let prfs: Vec<_> = proposal.of(Kind::Integrity).filter_map(name).collect();
    if prfs.is_empty() {
        return Err("no PRF; add one, like PRF_HMAC_SHA2_384".to_owned());
    }
    Ok(prfs.into_iter().map(|prf| Transform::prf(prf.id().0)).collect())
}

impl FromStr for EspProposal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut proposal, legacy) = parts(text, &OF_ESP)?;
        goes_together(&proposal)?;
        let null = |transform: Transform| transform.id == EncryptionId::ENCR_NULL.0;
        let keyed_md5 = |transform: Transform| transform.id == IntegrityId::AUTH_KPDK_MD5.0;
        if proposal.of(Kind::Integrity).any(keyed_md5) && !proposal.of(Kind::Encryption).all(null) {
            return Err(
                "AUTH_KPDK_MD5 is for packets that are not encrypted; use another".to_owned()
            );
        }
        proposal.transforms.sort_by_key(|transform| transform.kind);
        Ok(Self { proposal, legacy })
    }
}

macro_rules! leaf {
    ($type:ty, $expected:literal, $name:literal, $example:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(|why: String| E::custom(why))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": "^[A-Za-z0-9_]+([/+][A-Za-z0-9_]+)*$", "examples": [$example]
                })
            }
        }
    };
}
leaf!(
    IkeProposal,
    "a proposal, like ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519",
    "IkeProposal",
    IKE
);
leaf!(EspProposal, "a proposal, like ENCR_AES_GCM_16_256/Curve25519", "EspProposal", ESP);

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(text: &str) -> Result<String, String> {
        text.parse::<IkeProposal>().map(|read| read.proposal.to_string())
    }
    fn esp(text: &str) -> Result<String, String> {
        text.parse::<EspProposal>().map(|read| read.proposal.to_string())
    }

    #[test]
    fn a_proposal_is_sorted_by_type_and_keeps_the_order_within() {
        for (text, sorted) in [
            (IKE, "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519/ECP_384/MODP_3072"),
            (
                "ECP_256/ENCR_AES_CBC_256+ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128",
                "ENCR_AES_CBC_256/ENCR_AES_CBC_128/PRF_HMAC_SHA2_256/AUTH_HMAC_SHA2_256_128/ECP_256",
            ),
            (
                "ENCR_CHACHA20_POLY1305/PRF_HMAC_SHA2_512/curve25519",
                "ENCR_CHACHA20_POLY1305/PRF_HMAC_SHA2_512/Curve25519",
            ),
        ] {
            assert_eq!(ike(text).as_deref(), Ok(sorted), "{text}");
        }
        assert_eq!(
            esp(ESP).as_deref(),
            Ok("ENCR_AES_GCM_16_256/Curve25519/ECP_384/MODP_3072/NONE")
        );
        assert_eq!(esp("ENCR_NULL/AUTH_KPDK_MD5").as_deref(), Ok("ENCR_NULL/AUTH_KPDK_MD5"));
        // As `postern why` shows what a peer offers.
        let offered = "ENCR_AES_CBC_256/AUTH_HMAC_SHA1_96/NO_ESN";
        assert_eq!(esp(offered).as_deref(), Ok(offered));
    }

    #[test]
    fn what_does_not_go_together_is_told_with_a_remedy() {
        for (text, word) in [
            ("PRF_HMAC_SHA2_256/ECP_256", "no cipher"),
            ("ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384", "add one, like"),
            ("ENCR_AES_GCM_16_256/ECP_256", "no PRF"),
            ("ENCR_AES_CBC_256/PRF_HMAC_SHA2_384/ECP_256", "without integrity"),
            (
                "ENCR_AES_GCM_16_256+ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128/ECP_256",
                "a list of two",
            ),
            (
                "ENCR_AES_GCM_16_256/AUTH_HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_256",
                "its own integrity",
            ),
            ("ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE25518", "did you mean \"Curve25519\"?"),
            ("ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_256+ECP_256", "twice"),
        ] {
            let said = ike(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
        assert!(esp("ENCR_AES_CBC_128/AUTH_KPDK_MD5").unwrap_err().contains("not encrypted"));
        assert!(esp("ENCR_AES_GCM_16/ECP_256").unwrap_err().contains("length of the key"));
    }

    #[test]
    fn what_can_be_broken_is_marked() {
        let legacy = |text: &str| text.parse::<IkeProposal>().unwrap().legacy;
        assert_eq!(legacy(IKE), Vec::<String>::new());
        let old = "ENCR_3DES/AUTH_HMAC_MD5_96/PRF_HMAC_MD5/MODP_1024+MODP_2048";
        assert_eq!(legacy(old), ["ENCR_3DES", "AUTH_HMAC_MD5_96", "PRF_HMAC_MD5", "MODP_1024"]);
    }
}
