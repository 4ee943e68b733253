//! Values that are written as text: addresses, selectors, suites, keys. Each checks itself when it is read.
use super::de::{Field, SECRET};
use super::problem::suggestion;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Visitor};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use wire::selector::{AddressRange, PortRange};
use zeroize::Zeroizing;

/// A leaf of the file: text with a rule of its own.
macro_rules! text {
    ($($type:ty: $expected:literal, $schema:tt;)*) => {$(
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
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )*};
}

text! {
    InterfaceName: "an interface name, like eth0", { "type": "string", "minLength": 1, "maxLength": 15 };
    Label: "a name", { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 47 };
    Address: "an IP address", { "type": "string" };
    AddressSet: "a prefix, address or range, like 10.1.0.0/16", { "type": "string" };
    Peers: "an address, prefix or range, or any", { "type": "string" };
    TrafficSelectorText: "a traffic selector, like 10.1.0.0/16 or 10.1.0.0/16[tcp/443]", { "type": "string" };
    Protocol: "a protocol, like tcp", { "type": ["string", "integer"] };
    Ports: "a port or range, like 443 or 1024-65535", { "type": ["string", "integer"] };
    Span: "a time, like 30s, 10m, 4h or 7d", { "type": ["string", "integer"], "pattern": "^([0-9]+ *(ms|s|m|min|h|d)?|never)$" };
    IdentityText: "an identity, like gw-a.example.com", { "type": "string" };
    PatternText: "an identity or a pattern, like *.example.com", { "type": "string" };
}

/// A length of time in milliseconds; 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);
impl Span {
    /// In whole seconds, at least one unless it is never.
    pub fn seconds(self) -> u64 {
        self.0.div_ceil(1000)
    }
}
impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "never" {
            return Ok(Self(0));
        }
        let wrong = || "not a time; write a number with ms, s, m, h or d, like 30s, or never";
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit.trim() {
            "ms" => 1,
            "" | "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong().to_owned()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(|| "too long".to_owned())
    }
}

/// Who somebody is.
#[derive(Clone, Debug)]
pub struct IdentityText(pub pki::Identity);
impl FromStr for IdentityText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|why: pki::BadIdentity| why.to_string())
    }
}

/// Whom we accept.
#[derive(Clone, Debug)]
pub struct PatternText(pub pki::Pattern);
impl FromStr for PatternText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|why: pki::BadPattern| why.to_string())
    }
}

/// Name of a network interface as the kernel allows it.
#[derive(Clone, Debug)]
pub struct InterfaceName(pub String);
impl FromStr for InterfaceName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
        match text.len() {
            0 => Err("empty; write the interface's name, as `ip link` shows it".to_owned()),
            16.. => Err(format!(
                "{} characters long; the kernel allows 15 in an interface name",
                text.len()
            )),
            _ if text.chars().any(odd) || text == "." || text == ".." => {
                Err("not an interface name; write it as `ip link` shows it".to_owned())
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// Name of a connection, child or policy.
#[derive(Clone, Debug)]
pub struct Label(pub String);
impl FromStr for Label {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if !first || !text.chars().all(plain) {
            let rule = "not a name; use letters, digits, '-', '_' and '.', and begin with a letter or digit";
            return Err(rule.to_owned());
        }
        if text.len() > 47 {
            return Err(format!("{} characters long; at most 47 are possible", text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An address that packets can be sent to and from.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);
impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = address(text)?;
        let unfit = match address {
            IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
            _ if address.is_unspecified() => Some("the unspecified address"),
            _ if address.is_multicast() => Some("a multicast address"),
            _ if address.is_loopback() => Some("a loopback address"),
            _ => None,
        };
        match unfit {
            Some(what) => {
                Err(format!("{what} cannot end a tunnel; write the gateway's own unicast address"))
            }
            None => Ok(Self(address)),
        }
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address);
    }
    if let Some((bare, _)) = text.split_once('/')
        && bare.parse::<IpAddr>().is_ok()
    {
        return Err(format!("a prefix where one address belongs; write {bare}"));
    }
    let zeros = text.split('.').any(|part| part.len() > 1 && part.starts_with('0'));
    if zeros && text.split('.').all(|part| part.parse::<u8>().is_ok()) {
        return Err("leading zeros could be read as octal; leave them out".to_owned());
    }
    Err("not an IP address; write it like 192.0.2.1 or 2001:db8::1 (names are not looked up)"
        .to_owned())
}

/// Addresses of one family, next to each other.
#[derive(Clone, Copy, Debug)]
pub struct AddressSet(pub AddressRange);
impl FromStr for AddressSet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains('[') {
            let message = "protocol and ports stand in keys of their own here: protocol, local_port, remote_port";
            return Err(message.to_owned());
        }
        if let Some((address, length)) = text.split_once('/') {
            return prefix(address, length).map(Self);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (address(first.trim())?, address(last.trim())?);
        if first.is_ipv4() != last.is_ipv4() {
            return Err("a range from one family into the other; write one for each".to_owned());
        }
        AddressRange::new(first, last)
            .map(Self)
            .ok_or_else(|| format!("the range is turned around; write {last}-{first}"))
    }
}

/// Where a peer may come from; `None`: from anywhere, as somebody wrote in so many words.
#[derive(Clone, Copy, Debug)]
pub struct Peers(pub Option<AddressRange>);
impl FromStr for Peers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "any" {
            return Ok(Self(None));
        }
        text.parse().map(|AddressSet(range)| Self(Some(range)))
    }
}

fn prefix(text: &str, length: &str) -> Result<AddressRange, String> {
    let base = address(text)?;
    let bits = if base.is_ipv4() { 32 } else { 128 };
    let plain =
        !length.is_empty() && length.len() < 4 && length.bytes().all(|b| b.is_ascii_digit());
    let length =
        plain.then(|| length.parse::<u32>().ok()).flatten().filter(|&length| length <= bits);
    let Some(length) = length else {
        return Err(format!("the prefix length must be 0 to {bits}"));
    };
    let (first, last) = match base {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let first = v4.to_bits() & !host;
            (Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(first | host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let first = v6.to_bits() & !host;
            (IpAddr::from(Ipv6Addr::from_bits(first)), Ipv6Addr::from_bits(first | host).into())
        }
    };
    if first != base {
        return Err(format!(
            "host bits are set beyond /{length}; did you mean \"{first}/{length}\"?"
        ));
    }
    AddressRange::new(first, last).ok_or_else(|| "not a prefix".to_owned())
}

/// An upper-layer protocol, or `None` for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub Option<u8>);
impl Protocol {
    const NAMES: [(&str, u8); 8] = [
        ("tcp", 6),
        ("udp", 17),
        ("icmp", 1),
        ("icmpv6", 58),
        ("sctp", 132),
        ("gre", 47),
        ("ospf", 89),
        ("ipip", 4),
    ];
    const ICMP: [u8; 2] = [1, 58];
    /// Protocols whose packets have ports, or type and code in their place (RFC 4301 §4.4.1.1).
    pub fn has_ports(self) -> bool {
        self.0.is_some_and(|n| matches!(n, 6 | 17 | 132 | 136 | 33) || Self::ICMP.contains(&n))
    }
}
impl FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self(None));
        }
        if let Some((_, number)) = Self::NAMES.iter().find(|(name, _)| *name == text.to_lowercase())
        {
            return Ok(Self(Some(*number)));
        }
        let mut names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        names.push("any");
        text.parse().map(|number| Self(Some(number))).map_err(|_| {
            format!(
                "not a protocol; write a number from 0 to 255 or a name; {}",
                suggestion(text, &names)
            )
        })
    }
}

/// A range of ports, or OPAQUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports(pub PortRange);
impl FromStr for Ports {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => return Ok(Self(PortRange::ANY)),
            "opaque" => return Ok(Self(PortRange::OPAQUE)),
            _ => {}
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| {
            let text = text.trim();
            let wrong = || {
                format!(
                    "'{text}' is not a port; write 0 to 65535, a range like 1024-65535, any or opaque"
                )
            };
            text.parse::<u16>().map_err(|_| wrong())
        };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("the range is turned around; write {last}-{first}"));
        }
        Ok(Self(PortRange { first, last }))
    }
}

/// `10.1.0.0/16[tcp/80-443]`: addresses, and optionally protocol and ports.
#[derive(Clone, Copy, Debug)]
pub struct TrafficSelectorText {
    /// Addresses.
    pub addresses: AddressRange,
    /// Upper-layer protocol.
    pub protocol: Protocol,
    /// Ports, or ICMP types and codes.
    pub ports: PortRange,
}
impl FromStr for TrafficSelectorText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((addresses, rest)) = text.split_once('[') else {
            let AddressSet(addresses) = text.parse()?;
            return Ok(Self { addresses, protocol: Protocol(None), ports: PortRange::ANY });
        };
        let AddressSet(addresses) = addresses.parse()?;
        let inner = rest.strip_suffix(']').ok_or("']' is missing at the end")?;
        let (protocol, ports) = match inner.split_once('/') {
            Some((protocol, ports)) => (protocol.parse()?, Some(ports)),
            None => (inner.parse()?, None),
        };
        let ports = ports.map_or(Ok(PortRange::ANY), |ports| ports_of(protocol, ports))?;
        Ok(Self { addresses, protocol, ports })
    }
}

/// Ports as the protocol writes them: `80-443`; for ICMP `8` (type) or `3/4` (type and code).
fn ports_of(protocol: Protocol, text: &str) -> Result<PortRange, String> {
    if !protocol.has_ports() {
        return Err("ports without a protocol that has them; write like [tcp/443]".to_owned());
    }
    let number = protocol.0.unwrap_or_default();
    if !Protocol::ICMP.contains(&number) || matches!(text, "any" | "opaque") {
        return text.parse().map(|Ports(range)| range);
    }
    let octet = |text: &str| {
        text.parse::<u8>().map_err(|_| "ICMP takes a type, or type/code, each 0 to 255".to_owned())
    };
    match text.split_once('/') {
        Some((kind, code)) => {
            let both = u16::from_be_bytes([octet(kind)?, octet(code)?]);
            Ok(PortRange { first: both, last: both })
        }
        None => {
            let kind = octet(text)?;
            let of = |code| u16::from_be_bytes([kind, code]);
            Ok(PortRange { first: of(0), last: of(255) })
        }
    }
}

/// An SPI outside the reserved range (RFC 4303 §2.1).
#[derive(Clone, Copy, Debug)]
pub struct SpiNumber(pub u32);
impl<'de> Deserialize<'de> for SpiNumber {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = SpiNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an SPI, like 0x1001")
            }
            fn visit_u32<E: de::Error>(self, spi: u32) -> Result<Self::Value, E> {
                if spi <= 255 {
                    let why = "SPIs 0 to 255 are reserved (RFC 4303 §2.1); choose one from 256 (0x100) up";
                    return Err(E::custom(why));
                }
                Ok(SpiNumber(spi))
            }
        }
        deserializer.deserialize_u32(Number)
    }
}
impl JsonSchema for SpiNumber {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Spi".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [
            { "type": "integer", "minimum": 256, "maximum": u32::MAX },
            { "type": "string", "pattern": "^0x[0-9A-Fa-f]{1,8}$" }
        ] })
    }
}

/// Where a key comes from. Its octets can be neither printed nor left behind.
pub enum Secret {
    /// Written in the file itself, decoded.
    Inline(Zeroizing<Vec<u8>>),
    /// In a file of its own, readable by its owner only.
    File(Field<String>),
    /// In an environment variable of the process that reads the configuration.
    Env(Field<String>),
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reference {
    File(Field<String>),
    Env(Field<String>),
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hexadecimal digits, {file: path} or {env: NAME}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                hexadecimal(text).map(Secret::Inline).map_err(E::custom)
            }
            fn visit_enum<A: de::EnumAccess<'de>>(
                self,
                access: A,
            ) -> Result<Self::Value, A::Error> {
                let access = de::value::EnumAccessDeserializer::new(access);
                Ok(match Reference::deserialize(access)? {
                    Reference::File(path) => Secret::File(path),
                    Reference::Env(name) => Secret::Env(name),
                })
            }
        }
        deserializer.deserialize_enum(
            SECRET,
            &["hexadecimal digits", "{file: path}", "{env: NAME}"],
            Text,
        )
    }
}
impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let object = |key: &str| {
            serde_json::json!({ "type": "object", "properties": { key: { "type": "string" } },
                "required": [key], "additionalProperties": false })
        };
        schemars::json_schema!({ "oneOf": [
            { "type": "string", "pattern": "^(0x)?([0-9A-Fa-f]{2})*$" }, object("file"), object("env")
        ] })
    }
}

/// A secret that is text: a passphrase, or a key in PEM. In quotes, or as {file: …} or {env: …}; its octets can be neither
/// printed nor left behind.
#[derive(Debug)]
pub struct Text(pub Secret);
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, {file: path} or {env: NAME}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Secret::Inline(Zeroizing::new(text.as_bytes().to_vec()))))
            }
            fn visit_enum<A: de::EnumAccess<'de>>(
                self,
                access: A,
            ) -> Result<Self::Value, A::Error> {
                let access = de::value::EnumAccessDeserializer::new(access);
                Ok(Text(match Reference::deserialize(access)? {
                    Reference::File(path) => Secret::File(path),
                    Reference::Env(name) => Secret::Env(name),
                }))
            }
        }
        deserializer.deserialize_enum(SECRET, &["text", "{file: path}", "{env: NAME}"], Words)
    }
}
impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let object = |key: &str| {
            serde_json::json!({ "type": "object", "properties": { key: { "type": "string" } },
                "required": [key], "additionalProperties": false })
        };
        schemars::json_schema!({ "oneOf": [{ "type": "string" }, object("file"), object("env")] })
    }
}

/// Decodes a key. The message never repeats any of it.
pub fn hexadecimal(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    if let Some(at) = digits.chars().position(|c| !c.is_ascii_hexdigit()) {
        return Err(format!(
            "a key is written in hexadecimal digits; character {} is none",
            at + 1
        ));
    }
    if digits.len() % 2 == 1 {
        return Err(format!(
            "{} hexadecimal digits are no whole number of octets; one is missing or too many",
            digits.len()
        ));
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.as_bytes().chunks_exact(2) {
        let nibble = |b: &u8| char::from(*b).to_digit(16).unwrap_or_default() as u8;
        octets.push(pair.iter().fold(0, |octet, b| octet << 4 | nibble(b)));
    }
    Ok(octets)
}
