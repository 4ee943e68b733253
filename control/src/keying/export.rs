//! Keys as Wireshark's tables have them: `ikev2_decryption_table` and `esp_sa`. Only where the configuration allows it.
use ike::Key;
use ike::action::{Direction, Half};
use ike::algorithm::encr::Icv;
use ike::algorithm::{Encr, Integ};
use ike::engine::SessionKeys;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::IpAddr;
use wire::iana::{EncryptionId, IntegrityId};
use zeroize::Zeroizing;

/// Both tables, one line for each SA.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tables {
    /// [`crate::view::VERSION`].
    pub version: u32,
    /// For the file `ikev2_decryption_table`.
    pub ikev2_decryption_table: Vec<String>,
    /// For the file `esp_sa`, up to Wireshark 4.4.
    pub esp_sa: Vec<String>,
    /// The same with the two fields that Wireshark 4.5 added.
    pub esp_sa_4_5: Vec<String>,
}

/// Keys of one half of a Child SA.
#[derive(Clone, Debug)]
pub struct EspKeys {
    source: IpAddr,
    destination: IpAddr,
    spi: u32,
    encryption: EncryptionId,
    integrity: IntegrityId,
    esn: bool,
    keys: (Key, Key),
}

impl EspKeys {
    /// Of this half.
    pub fn of(half: &Half) -> Self {
        let (local, remote) = (half.path.local.ip(), half.path.remote.ip());
        let (source, destination) = match half.direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        Self {
            source,
            destination,
            spi: half.spi,
            encryption: half.suite.encryption,
            integrity: half.suite.integrity,
            esn: half.suite.esn,
            keys: (half.keys.encryption.clone(), half.keys.integrity.clone()),
        }
    }

    /// Its line of `esp_sa`; `None`: Wireshark has no name for the cipher.
    pub fn line(&self) -> Option<String> {
        let family = if self.source.is_ipv4() { "IPv4" } else { "IPv6" };
        let (source, destination, spi) = (self.source, self.destination, self.spi);
        let (cipher, auth) = (esp_cipher(self.encryption)?, esp_integrity(self.integrity));
        let key = |key: &Key| {
            if key.is_empty() { String::new() } else { format!("0x{}", hex(key.expose()).as_str()) }
        };
        let (cipher_key, auth_key) = (key(&self.keys.0), key(&self.keys.1));
        Some(format!(
            "\"{family}\",\"{source}\",\"{destination}\",\"0x{spi:08x}\",\"{cipher}\",\"{cipher_key}\",\"{auth}\",\"{auth_key}\""
        ))
    }

    /// Its line for Wireshark 4.5 and later, which want to know how long sequence numbers are.
    pub fn line_4_5(&self) -> Option<String> {
        let length = if self.esn { "64-bit" } else { "32-bit" };
        Some(format!("{},\"{length}\",\"0\"", self.line()?))
    }
}

/// The line of `ikev2_decryption_table` for an IKE SA; `None`: Wireshark has no name for the cipher.
pub fn ike_line(session: &SessionKeys) -> Option<String> {
    let (initiator, responder) = session.spis;
    let (keys, suite) = (&session.keys, &session.suite);
    let hex = |key: &Key| hex(key.expose());
    let cipher = ike_cipher(suite.encr())?;
    let (ei, er) = (hex(&keys.ei), hex(&keys.er));
    let (ai, ar) = (hex(&keys.ai), hex(&keys.ar));
    Some(format!(
        "{initiator:016x},{responder:016x},{},{},\"{cipher}\",{},{},\"{}\"",
        ei.as_str(),
        er.as_str(),
        ai.as_str(),
        ar.as_str(),
        ike_integrity(suite.integ())
    ))
}

fn hex(octets: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(octets.len() * 2));
    octets.iter().for_each(|octet| _ = write!(text, "{octet:02x}"));
    text
}

fn ike_cipher(encr: Encr) -> Option<String> {
    let icv = |icv: Icv| icv.octets();
    Some(match encr {
        Encr::AesCbc(bits) => format!("AES-CBC-{} [RFC3602]", bits.bits()),
        Encr::AesCtr(bits) => format!("AES-CTR-{} [RFC5930]", bits.bits()),
        Encr::AesGcm(bits, len) => {
            format!("AES-GCM-{} with {} octet ICV [RFC5282]", bits.bits(), icv(len))
        }
        Encr::AesCcm(bits, len) => {
            format!("AES-CCM-{} with {} octet ICV [RFC5282]", bits.bits(), icv(len))
        }
        Encr::TripleDes => "3DES [RFC2451]".to_owned(),
        Encr::ChaCha20Poly1305 => return None,
    })
}

fn ike_integrity(integ: Option<Integ>) -> &'static str {
    match integ.map(Integ::id) {
        None => "NONE [RFC4306]",
        Some(IntegrityId::AUTH_HMAC_MD5_96) => "HMAC_MD5_96 [RFC2403]",
        Some(IntegrityId::AUTH_HMAC_SHA1_96) => "HMAC_SHA1_96 [RFC2404]",
        Some(IntegrityId::AUTH_HMAC_SHA2_256_128) => "HMAC_SHA2_256_128 [RFC4868]",
        Some(IntegrityId::AUTH_HMAC_SHA2_384_192) => "HMAC_SHA2_384_192 [RFC4868]",
        Some(IntegrityId::AUTH_HMAC_SHA2_512_256) => "HMAC_SHA2_512_256 [RFC4868]",
        Some(_) => "ANY 96-bits of Authentication [No Checking]",
    }
}

fn esp_cipher(id: EncryptionId) -> Option<&'static str> {
    Some(match id {
        EncryptionId::ENCR_AES_GCM_16 => "AES-GCM with 16 octet ICV [RFC4106]",
        EncryptionId::ENCR_AES_GCM_12 => "AES-GCM with 12 octet ICV [RFC4106]",
        EncryptionId::ENCR_AES_GCM_8 => "AES-GCM with 8 octet ICV [RFC4106]",
        EncryptionId::ENCR_AES_CBC => "AES-CBC [RFC3602]",
        EncryptionId::ENCR_AES_CTR => "AES-CTR [RFC3686]",
        EncryptionId::ENCR_3DES => "TripleDES-CBC [RFC2451]",
        EncryptionId::ENCR_DES => "DES-CBC [RFC2405]",
        EncryptionId::ENCR_CAST => "CAST5-CBC [RFC2144]",
        EncryptionId::ENCR_BLOWFISH => "BLOWFISH-CBC [RFC2451]",
        EncryptionId::ENCR_NULL => "NULL",
        _ => return None,
    })
}

fn esp_integrity(id: IntegrityId) -> &'static str {
    match id {
        IntegrityId::NONE => "NULL",
        IntegrityId::AUTH_HMAC_MD5_96 => "HMAC-MD5-96 [RFC2403]",
        IntegrityId::AUTH_HMAC_SHA1_96 => "HMAC-SHA-1-96 [RFC2404]",
        IntegrityId::AUTH_HMAC_SHA2_256_128 => "HMAC-SHA-256-128 [RFC4868]",
        IntegrityId::AUTH_HMAC_SHA2_384_192 => "HMAC-SHA-384-192 [RFC4868]",
        IntegrityId::AUTH_HMAC_SHA2_512_256 => "HMAC-SHA-512-256 [RFC4868]",
        _ => "ANY 96 bit authentication [no checking]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp(encryption: EncryptionId, integrity: IntegrityId, auth_key: &[u8]) -> EspKeys {
        EspKeys {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            spi: 0x1234,
            encryption,
            integrity,
            esn: true,
            keys: (Key::new(vec![0xab; 20]), Key::from(auth_key)),
        }
    }

    #[test]
    fn lines_are_as_wireshark_reads_them() {
        let key = "ab".repeat(20);
        let gcm = esp(EncryptionId::ENCR_AES_GCM_16, IntegrityId::NONE, &[]);
        let want = format!(
            "\"IPv4\",\"192.0.2.1\",\"192.0.2.2\",\"0x00001234\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x{key}\",\"NULL\",\"\""
        );
        assert_eq!(gcm.line(), Some(want.clone()));
        assert_eq!(gcm.line_4_5(), Some(format!("{want},\"64-bit\",\"0\"")));
        let cbc = esp(EncryptionId::ENCR_AES_CBC, IntegrityId::AUTH_HMAC_SHA2_256_128, &[1, 2]);
        assert!(cbc.line().unwrap().ends_with("\"HMAC-SHA-256-128 [RFC4868]\",\"0x0102\""));
        assert_eq!(esp(EncryptionId::ENCR_CHACHA20_POLY1305, IntegrityId::NONE, &[]).line(), None);
    }

    #[test]
    fn ciphers_of_ike_have_wiresharks_names() {
        for (name, shown) in [
            ("ENCR_AES_GCM_16_256", "AES-GCM-256 with 16 octet ICV [RFC5282]"),
            ("ENCR_AES_CBC_128", "AES-CBC-128 [RFC3602]"),
        ] {
            assert_eq!(ike_cipher(Encr::from_name(name).unwrap()).as_deref(), Some(shown));
        }
        assert_eq!(ike_integrity(None), "NONE [RFC4306]");
        assert_eq!(
            ike_integrity(Integ::from_name("AUTH_HMAC_SHA2_256_128")),
            "HMAC_SHA2_256_128 [RFC4868]"
        );
    }
}
