//! IANA registries as open number types: any value travels, the known ones have IANA's names.

use core::{fmt, str::FromStr};

/// An open registry: a tuple struct over its number, one constant per assigned value, and the names for
/// people. Adding a row is all it takes to teach a new number. Where IANA's name is no Rust constant's,
/// `as "…"` spells it.
macro_rules! registry {
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $shown:literal) => { $shown };
    ($(#[$doc:meta])* $type:ident($number:ty) {
        $($name:ident $(as $shown:literal)? = $value:literal, $why:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub $number);

        impl $type {
            $(#[doc = $why] pub const $name: Self = Self($value);)*

            /// Every value that has a name here, with that name.
            pub const ASSIGNED: &'static [(Self, &'static str)] =
                &[$((Self::$name, registry!(@name $name $($shown)?)),)*];

            /// IANA's name of this value, when it is one we know.
            pub fn name(self) -> Option<&'static str> {
                Self::ASSIGNED.iter().find(|(value, _)| *value == self).map(|(_, name)| *name)
            }

            /// The value with this IANA name (exact spelling).
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ASSIGNED.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::by_name(name).ok_or(UnknownName)
            }
        }

        impl From<$number> for $type {
            fn from(number: $number) -> Self {
                Self(number)
            }
        }

        impl From<$type> for $number {
            fn from(value: $type) -> Self {
                value.0
            }
        }
    };
}

/// A name that the registry does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a name of this registry")
    }
}

impl core::error::Error for UnknownName {}

pub mod ike;

registry! {
    /// EtherTypes (IEEE 802 numbers). Values below 0x600 are 802.3 lengths.
    EtherType(u16) {
        IPV4 = 0x0800, "Internet Protocol version 4.";
        ARP = 0x0806, "Address Resolution Protocol.";
        VLAN = 0x8100, "IEEE 802.1Q customer VLAN tag.";
        IPV6 = 0x86dd, "Internet Protocol version 6.";
        PPPOE_SESSION = 0x8864, "PPP over Ethernet, session stage.";
        MPLS = 0x8847, "MPLS unicast.";
        EAPOL = 0x888e, "IEEE 802.1X port-based network access control.";
        SERVICE_VLAN = 0x88a8, "IEEE 802.1ad service VLAN tag (QinQ outer tag).";
        LLDP = 0x88cc, "Link Layer Discovery Protocol.";
        MACSEC = 0x88e5, "IEEE 802.1AE media access control security.";
        QINQ_9100 = 0x9100, "Outer VLAN tag of equipment from before IEEE 802.1ad.";
    }
}

impl EtherType {
    /// Whether a VLAN tag follows.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN | Self::QINQ_9100)
    }
}

registry! {
    /// Assigned Internet Protocol Numbers: the IPv4 Protocol and IPv6 Next Header fields.
    IpProtocol(u8) {
        HOPOPTS = 0, "IPv6 Hop-by-Hop Options (RFC 8200 §4.3).";
        ICMP = 1, "Internet Control Message Protocol (RFC 792).";
        IGMP = 2, "Internet Group Management Protocol (RFC 1112).";
        IPV4 = 4, "IPv4 encapsulation (RFC 2003); the next header of an ESP tunnel that carries IPv4.";
        TCP = 6, "Transmission Control Protocol (RFC 9293).";
        UDP = 17, "User Datagram Protocol (RFC 768).";
        DCCP = 33, "Datagram Congestion Control Protocol (RFC 4340).";
        IPV6 = 41, "IPv6 encapsulation (RFC 2473); the next header of an ESP tunnel that carries IPv6.";
        ROUTING = 43, "Routing Header for IPv6 (RFC 8200 §4.4).";
        FRAGMENT = 44, "Fragment Header for IPv6 (RFC 8200 §4.5).";
        RSVP = 46, "Reservation Protocol (RFC 2205).";
        GRE = 47, "Generic Routing Encapsulation (RFC 2784).";
        ESP = 50, "Encapsulating Security Payload (RFC 4303).";
        AH = 51, "Authentication Header (RFC 4302).";
        ICMPV6 = 58, "ICMP for IPv6 (RFC 4443).";
        NO_NEXT_HEADER = 59, "No Next Header; in ESP a dummy packet (RFC 4303 §2.6).";
        DSTOPTS = 60, "Destination Options for IPv6 (RFC 8200 §4.6).";
        EIGRP = 88, "EIGRP (RFC 7868).";
        OSPF = 89, "OSPF (RFC 2328, RFC 5340).";
        ETHERIP = 97, "Ethernet-within-IP (RFC 3378).";
        PIM = 103, "Protocol Independent Multicast (RFC 7761).";
        IPCOMP = 108, "IP Payload Compression Protocol (RFC 3173).";
        VRRP = 112, "Virtual Router Redundancy Protocol (RFC 9568).";
        L2TP = 115, "Layer Two Tunneling Protocol version 3 (RFC 3931).";
        SCTP = 132, "Stream Control Transmission Protocol (RFC 9260).";
        MOBILITY = 135, "Mobility Header (RFC 6275).";
        UDPLITE = 136, "UDP-Lite (RFC 3828).";
        HIP = 139, "Host Identity Protocol (RFC 7401).";
        SHIM6 = 140, "Shim6 (RFC 5533).";
        AGGFRAG = 144, "AGGFRAG encapsulation payload for ESP, IP-TFS (RFC 9347).";
    }
}

impl IpProtocol {
    /// Whether the header after this number starts with two 16-bit ports.
    #[inline]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::DCCP | Self::SCTP | Self::UDPLITE)
    }
}

registry! {
    /// IKEv2 Transform Type 1: Encryption Algorithm Transform IDs (RFC 7296 §3.3.2, RFC 8247).
    EncryptionId(u16) {
        ENCR_DES_IV64 = 1, "Unspecified; never implemented.";
        ENCR_DES = 2, "DES in CBC mode (RFC 2405); must not be used (RFC 8247).";
        ENCR_3DES = 3, "Triple DES in CBC mode (RFC 2451).";
        ENCR_RC5 = 4, "RC5 in CBC mode (RFC 2451).";
        ENCR_IDEA = 5, "IDEA in CBC mode (RFC 2451).";
        ENCR_CAST = 6, "CAST-128 in CBC mode (RFC 2144, RFC 2451).";
        ENCR_BLOWFISH = 7, "Blowfish in CBC mode (RFC 2451).";
        ENCR_3IDEA = 8, "Triple IDEA; unspecified.";
        ENCR_DES_IV32 = 9, "Unspecified; never implemented.";
        ENCR_NULL = 11, "No encryption (RFC 2410); only together with integrity.";
        ENCR_AES_CBC = 12, "AES in CBC mode (RFC 3602).";
        ENCR_AES_CTR = 13, "AES in counter mode (RFC 3686).";
        ENCR_AES_CCM_8 = 14, "AES-CCM with an 8-octet ICV (RFC 4309).";
        ENCR_AES_CCM_12 = 15, "AES-CCM with a 12-octet ICV (RFC 4309).";
        ENCR_AES_CCM_16 = 16, "AES-CCM with a 16-octet ICV (RFC 4309).";
        ENCR_AES_GCM_8 = 18, "AES-GCM with an 8-octet ICV (RFC 4106).";
        ENCR_AES_GCM_12 = 19, "AES-GCM with a 12-octet ICV (RFC 4106).";
        ENCR_AES_GCM_16 = 20, "AES-GCM with a 16-octet ICV (RFC 4106, RFC 5282).";
        ENCR_NULL_AUTH_AES_GMAC = 21, "AES-GMAC, integrity only (RFC 4543).";
        ENCR_CAMELLIA_CBC = 23, "Camellia in CBC mode (RFC 5529).";
        ENCR_CAMELLIA_CTR = 24, "Camellia in counter mode (RFC 5529).";
        ENCR_CAMELLIA_CCM_8 = 25, "Camellia-CCM with an 8-octet ICV (RFC 5529).";
        ENCR_CAMELLIA_CCM_12 = 26, "Camellia-CCM with a 12-octet ICV (RFC 5529).";
        ENCR_CAMELLIA_CCM_16 = 27, "Camellia-CCM with a 16-octet ICV (RFC 5529).";
        ENCR_CHACHA20_POLY1305 = 28, "ChaCha20-Poly1305 (RFC 7634).";
        ENCR_AES_CCM_8_IIV = 29, "AES-CCM-8 with implicit IV (RFC 8750).";
        ENCR_AES_GCM_16_IIV = 30, "AES-GCM-16 with implicit IV (RFC 8750).";
        ENCR_CHACHA20_POLY1305_IIV = 31, "ChaCha20-Poly1305 with implicit IV (RFC 8750).";
        ENCR_KUZNYECHIK_MGM_KTREE = 32, "Kuznyechik-MGM, keys from a tree (RFC 9227).";
        ENCR_MAGMA_MGM_KTREE = 33, "Magma-MGM, keys from a tree (RFC 9227).";
        ENCR_KUZNYECHIK_MGM_MAC_KTREE = 34, "Kuznyechik-MGM, integrity only (RFC 9227).";
        ENCR_MAGMA_MGM_MAC_KTREE = 35, "Magma-MGM, integrity only (RFC 9227).";
    }
}

registry! {
    /// IKEv2 Transform Type 3: Integrity Algorithm Transform IDs (RFC 7296 §3.3.2, RFC 8247).
    IntegrityId(u16) {
        NONE = 0, "No integrity transform: the encryption transform is an AEAD.";
        AUTH_HMAC_MD5_96 = 1, "HMAC-MD5-96 (RFC 2403); must not be used (RFC 8247).";
        AUTH_HMAC_SHA1_96 = 2, "HMAC-SHA1-96 (RFC 2404).";
        AUTH_DES_MAC = 3, "Unspecified.";
        AUTH_KPDK_MD5 = 4, "Keyed MD5, MD5(key ‖ packet ‖ key) (RFC 1828).";
        AUTH_AES_XCBC_96 = 5, "AES-XCBC-MAC-96 (RFC 3566).";
        AUTH_HMAC_MD5_128 = 6, "HMAC-MD5-128 (RFC 4595), Fibre Channel only.";
        AUTH_HMAC_SHA1_160 = 7, "HMAC-SHA1-160 (RFC 4595), Fibre Channel only.";
        AUTH_AES_CMAC_96 = 8, "AES-CMAC-96 (RFC 4494).";
        AUTH_AES_128_GMAC = 9, "AES-GMAC with a 128-bit key (RFC 4543), AH only.";
        AUTH_AES_192_GMAC = 10, "AES-GMAC with a 192-bit key (RFC 4543), AH only.";
        AUTH_AES_256_GMAC = 11, "AES-GMAC with a 256-bit key (RFC 4543), AH only.";
        AUTH_HMAC_SHA2_256_128 = 12, "HMAC-SHA-256-128 (RFC 4868).";
        AUTH_HMAC_SHA2_384_192 = 13, "HMAC-SHA-384-192 (RFC 4868).";
        AUTH_HMAC_SHA2_512_256 = 14, "HMAC-SHA-512-256 (RFC 4868).";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_number_prints_its_iana_name_and_an_unknown_one_its_number() {
        for (shown, want) in [
            (IpProtocol::ESP.to_string(), "ESP"),
            (IpProtocol(253).to_string(), "253"),
            (EncryptionId::ENCR_AES_GCM_16.to_string(), "ENCR_AES_GCM_16"),
            (EncryptionId(1024).to_string(), "1024"),
            (IntegrityId(12).to_string(), "AUTH_HMAC_SHA2_256_128"),
            (EtherType(0x86dd).to_string(), "IPV6"),
        ] {
            assert_eq!(shown, want);
        }
    }

    #[test]
    fn names_and_numbers_are_unique_and_lead_back_to_each_other() {
        for (value, name) in EncryptionId::ASSIGNED {
            assert_eq!(EncryptionId::by_name(name), Some(*value));
            assert_eq!(value.name(), Some(*name));
        }
        for (value, name) in IntegrityId::ASSIGNED {
            assert_eq!(IntegrityId::by_name(name), Some(*value));
            assert_eq!(value.name(), Some(*name));
        }
        for (value, name) in IpProtocol::ASSIGNED {
            assert_eq!(IpProtocol::by_name(name), Some(*value));
            assert_eq!(value.name(), Some(*name));
        }
        for (value, name) in EtherType::ASSIGNED {
            assert_eq!(EtherType::by_name(name), Some(*value));
            assert_eq!(value.name(), Some(*name));
        }
        assert_eq!(EncryptionId::by_name("ENCR_ROT13"), None);
    }

    #[test]
    fn the_numbers_this_gateway_negotiates_are_those_of_the_registry() {
        assert_eq!(EncryptionId::ENCR_NULL.0, 11);
        assert_eq!(EncryptionId::ENCR_AES_CBC.0, 12);
        assert_eq!(EncryptionId::ENCR_AES_GCM_16.0, 20);
        assert_eq!(IntegrityId::AUTH_HMAC_SHA1_96.0, 2);
        assert_eq!(IntegrityId::AUTH_HMAC_SHA2_512_256.0, 14);
        assert_eq!((IpProtocol::IPV4.0, IpProtocol::IPV6.0, IpProtocol::ESP.0), (4, 41, 50));
    }
}
