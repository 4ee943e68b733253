//! What to write into the file so that a peer fits, as `postern why` shows it: each line is the path of a key, and behind
//! the colon a value as YAML has it. Only what this build can do is put forward.
use crate::algorithm::{Encr, Group, Integ, Prf};
use crate::derive::ChildLengths;
use crate::narrow::{Covered, Ts};
use crate::proposal::{Kind, Proposal, Transform};
use pki::Identity;
use std::net::IpAddr;
use wire::iana::ike::{KeyExchangeMethod, PrfId};
use wire::iana::{EncryptionId, IntegrityId};

/// ICMP and ICMPv6: type and code stand where others have ports.
const ICMP: [u8; 2] = [1, 58];
/// Protocols whose packets have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Where a peer may come from.
pub fn remote(connection: &str, address: IpAddr) -> String {
    format!("connections.{connection}.remote: {}", quoted(&address.to_string()))
}

/// The address of ours to which a peer comes.
pub fn local(connection: &str, address: IpAddr) -> String {
    format!("connections.{connection}.local: {}", quoted(&address.to_string()))
}

/// Who a peer may be.
pub fn identity(connection: &str, identity: &Identity) -> String {
    format!("connections.{connection}.remote.id: {}", quoted(&identity.to_string()))
}

/// What a child covers.
pub fn selectors(connection: &str, child: &str, covered: &Covered) -> String {
    let side = |side: &[Ts], other: &[Ts]| {
        let paired =
            |ts: &Ts| other.iter().any(|it| it.addresses.is_ipv4() == ts.addresses.is_ipv4());
        let whole = widest(side).into_iter().filter(|ts| paired(ts));
        whole.map(|ts| selector(&ts)).collect::<Vec<_>>().join(", ")
    };
    let (local, remote) =
        (side(&covered.local, &covered.remote), side(&covered.remote, &covered.local));
    format!(
        "connections.{connection}.children.{child}: {{ local_ts: [{local}], remote_ts: [{remote}] }}"
    )
}

/// Those that no other covers: the file has none twice.
fn widest(side: &[Ts]) -> Vec<Ts> {
    let mut kept: Vec<Ts> = Vec::new();
    for ts in side {
        if !kept.iter().any(|known| known.covers(ts)) {
            kept.retain(|known| !ts.covers(known));
            kept.push(*ts);
        }
    }
    kept
}

/// A proposal for the IKE SA that takes the best of what is offered. `None`: this build can do nothing of it.
pub fn ike<'a>(connection: &str, offered: impl Iterator<Item = &'a Proposal>) -> Option<String> {
    let (names, legacy) = offered.filter_map(ike_suite).min_by_key(|(_, legacy)| *legacy)?;
    Some(with_legacy(connection, format!("proposals: [{names}]"), legacy))
}

/// The same for ESP. ESN is a key of its own in the file.
pub fn esp<'a>(
    connection: &str,
    child: &str,
    offered: impl Iterator<Item = &'a Proposal>,
) -> Option<String> {
    let (names, legacy) = offered.filter_map(esp_suite).min_by_key(|(_, legacy)| *legacy)?;
    Some(with_legacy(connection, format!("children.{child}.esp: {names}"), legacy))
}

/// Whether a child's sequence numbers have 64 bits.
pub fn esn(connection: &str, child: &str, on: bool) -> String {
    format!("connections.{connection}.children.{child}.esn: {on}")
}

fn with_legacy(connection: &str, line: String, legacy: bool) -> String {
    let more =
        if legacy { format!("\nconnections.{connection}.legacy: true") } else { String::new() };
    format!("connections.{connection}.{line}{more}")
}

/// The first that is not legacy, or else the first.
fn best<T>(all: impl Iterator<Item = (T, bool)>) -> Option<(T, bool)> {
    all.min_by_key(|(_, legacy)| *legacy)
}

fn ike_suite(offered: &Proposal) -> Option<(String, bool)> {
    let ciphers = offered.of(Kind::Encryption).filter_map(|t| {
        let encr = Encr::negotiate(EncryptionId(t.id), t.key_bits)?;
        Some((encr, encr.legacy()))
    });
    let prfs = offered.of(Kind::Prf).filter_map(|t| {
        let prf = Prf::negotiate(PrfId(t.id), None)?;
        Some((prf.name(), prf.legacy()))
    });
    let (encr, prf, group) = (best(ciphers)?, best(prfs)?, best(groups(offered))?);
    let mut names = vec![(encr.0.name(), encr.1), prf];
    if !encr.0.is_aead() {
        names.push(best(offered.of(Kind::Integrity).filter_map(|t| {
            let integ = Integ::negotiate(IntegrityId(t.id), None)?;
            Some((integ.name(), integ.legacy()))
        }))?);
    }
    names.push(group);
    Some(joined(&names))
}

fn joined(names: &[(&str, bool)]) -> (String, bool) {
    let all: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    (all.join("/"), names.iter().any(|(_, legacy)| *legacy))
}

fn groups(offered: &Proposal) -> impl Iterator<Item = (&'static str, bool)> {
    offered.of(Kind::KeyExchange).filter_map(|t| {
        let group = Group::negotiate(KeyExchangeMethod(t.id), None)?;
        Some((group.name(), group.legacy()))
    })
}

fn esp_suite(offered: &Proposal) -> Option<(String, bool)> {
    let ciphers = offered.of(Kind::Encryption).filter(is_esp_cipher);
    let (cipher, weak) = best(ciphers.map(|t| (t, is_weak_cipher(t))))?;
    let mut names = vec![(cipher.to_string(), weak)];
    if !cipher.is_aead() {
        let null = cipher.id == EncryptionId::ENCR_NULL.0;
        let known = offered.of(Kind::Integrity).filter(|t| is_esp_integrity(t, null));
        names.push(best(known.map(|t| (t.to_string(), is_weak_integrity(t))))?);
    }
    names.extend(best(groups(offered)).map(|(name, legacy)| (name.to_owned(), legacy)));
    let names: Vec<_> = names.iter().map(|(name, legacy)| (name.as_str(), *legacy)).collect();
    Some(joined(&names))
}

/// One with a length of key that a suite of the file can have.
fn is_esp_cipher(cipher: &Transform) -> bool {
    use EncryptionId as E;
    let lengths = match E(cipher.id) {
        // their key length is optional on the wire, and part of the name in the file
        E::ENCR_CAST => (40..=128).contains(&cipher.key_bits.unwrap_or(0)),
        E::ENCR_BLOWFISH => (40..=448).contains(&cipher.key_bits.unwrap_or(0)),
        E::ENCR_RC5 => (40..=2040).contains(&cipher.key_bits.unwrap_or(0)),
        _ => cipher.key_bits.is_none_or(|bits| matches!(bits, 128 | 192 | 256)),
    };
    lengths && ChildLengths::esp(E(cipher.id), cipher.key_bits, None).is_some()
}

/// DES, 3DES, RC5, IDEA, CAST, Blowfish, 3IDEA.
fn is_weak_cipher(cipher: Transform) -> bool {
    cipher.id < EncryptionId::ENCR_NULL.0
}

fn is_esp_integrity(integrity: &Transform, null: bool) -> bool {
    let id = IntegrityId(integrity.id);
    let known = ChildLengths::esp(EncryptionId::ENCR_NULL, None, Some(id)).is_some();
    known && id != IntegrityId::NONE && (null || id != IntegrityId::AUTH_KPDK_MD5)
}

fn is_weak_integrity(integrity: Transform) -> bool {
    matches!(IntegrityId(integrity.id), IntegrityId::AUTH_HMAC_MD5_96 | IntegrityId::AUTH_KPDK_MD5)
}

/// As `local_ts` has it: `10.1.0.0/16`, `"10.1.0.0/16[6/80-443]"`. Ports that cannot be written are left out.
fn selector(ts: &Ts) -> String {
    let Ts { addresses, protocol, ports } = ts;
    let ports = match *protocol {
        0 => return quoted(&addresses.to_string()),
        _ if ports.is_any() => None,
        protocol if ICMP.contains(&protocol) => icmp(ports.first, ports.last),
        protocol if !WITH_PORTS.contains(&protocol) => None,
        _ if ports.is_opaque() => Some("opaque".to_owned()),
        _ if ports.first == ports.last => Some(ports.first.to_string()),
        _ => Some(format!("{}-{}", ports.first, ports.last)),
    };
    let ports = ports.map(|ports| format!("/{ports}")).unwrap_or_default();
    quoted(&format!("{addresses}[{protocol}{ports}]"))
}

/// A type, or a type and a code.
fn icmp(first: u16, last: u16) -> Option<String> {
    let ([kind, from], [last_kind, to]) = (first.to_be_bytes(), last.to_be_bytes());
    match (kind == last_kind, from, to) {
        (true, 0, 255) => Some(kind.to_string()),
        (true, _, _) if from == to => Some(format!("{kind}/{from}")),
        _ => None,
    }
}

/// As YAML takes it for text in any place.
fn quoted(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_digit() || matches!(octet, b'.' | b'/');
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    match text.contains(['"', '\\']) {
        true => format!("'{}'", text.replace('\'', "''")),
        false => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::selector::PortRange;

    #[test]
    fn text_is_quoted_where_yaml_would_take_it_for_something_else() {
        for (text, want) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::", "\"2001:db8::\""),
            ("a.example.com", "\"a.example.com\""),
            ("keyid:\"a b\"", "'keyid:\"a b\"'"),
            ("O=\\\"it's\\\"", "'O=\\\"it''s\\\"'"),
        ] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn icmp_has_types_and_codes_where_others_have_ports() {
        let ts = |protocol, first, last| {
            let addresses = "10.1.0.1".parse::<IpAddr>().unwrap().into();
            selector(&Ts { addresses, protocol, ports: PortRange { first, last } })
        };
        for (protocol, first, last, want) in [
            (0, 0, 65535, "10.1.0.1"),
            (6, 0, 65535, "\"10.1.0.1[6]\""),
            (6, 80, 443, "\"10.1.0.1[6/80-443]\""),
            (17, 53, 53, "\"10.1.0.1[17/53]\""),
            (6, 65535, 0, "\"10.1.0.1[6/opaque]\""),
            (50, 1, 2, "\"10.1.0.1[50]\""),
            (1, 0x0800, 0x08ff, "\"10.1.0.1[1/8]\""),
            (1, 0x0304, 0x0304, "\"10.1.0.1[1/3/4]\""),
            (1, 0x0304, 0x0500, "\"10.1.0.1[1]\""),
        ] {
            assert_eq!(ts(protocol, first, last), want);
        }
    }
}
