//! The registries of "Internet Key Exchange Version 2 (IKEv2) Parameters".

use core::{fmt, str::FromStr};

mod notify;

use super::UnknownName;
pub use super::{EncryptionId, IntegrityId, IpProtocol};
pub use notify::NotifyType;

registry! {
    /// IKEv2 Exchange Types (RFC 7296 §3.1). Below 34 they are IKEv1's.
    ExchangeType(u8) {
        IKE_SA_INIT = 34, "The first exchange: algorithms, key exchange, nonces (RFC 7296 §1.2).";
        IKE_AUTH = 35, "Identities, proof of them, the first Child SA (RFC 7296 §1.2).";
        CREATE_CHILD_SA = 36, "New Child SAs and rekeying (RFC 7296 §1.3).";
        INFORMATIONAL = 37, "Deletes, errors, liveness (RFC 7296 §1.4).";
        IKE_SESSION_RESUME = 38, "Resumption by ticket (RFC 5723).";
        GSA_AUTH = 39, "Joining a group (RFC 9838).";
        GSA_REGISTRATION = 40, "Joining a further group (RFC 9838).";
        GSA_REKEY = 41, "New keys to a group (RFC 9838).";
        GSA_INBAND_REKEY = 42, "New keys to one member of a group (RFC 9838).";
        IKE_INTERMEDIATE = 43, "Between IKE_SA_INIT and IKE_AUTH (RFC 9242).";
        IKE_FOLLOWUP_KE = 44, "Additional key exchanges after CREATE_CHILD_SA (RFC 9370).";
    }
}

registry! {
    /// IKEv2 Payload Types (RFC 7296 §3.2), shown in the RFC's notation. Below 33 they are IKEv1's.
    PayloadType(u8) {
        NONE as "No Next Payload" = 0, "The last payload of a chain says this is next.";
        SA = 33, "Security Association (§3.3).";
        KE = 34, "Key Exchange (§3.4).";
        ID_INITIATOR as "IDi" = 35, "Identification - Initiator (§3.5).";
        ID_RESPONDER as "IDr" = 36, "Identification - Responder (§3.5).";
        CERT = 37, "Certificate (§3.6).";
        CERTREQ = 38, "Certificate Request (§3.7).";
        AUTH = 39, "Authentication (§3.8).";
        NONCE as "Nonce" = 40, "Nonce: Ni or Nr (§3.9).";
        NOTIFY as "N" = 41, "Notify (§3.10).";
        DELETE as "D" = 42, "Delete (§3.11).";
        VENDOR_ID as "V" = 43, "Vendor ID (§3.12).";
        TS_INITIATOR as "TSi" = 44, "Traffic Selector - Initiator (§3.13).";
        TS_RESPONDER as "TSr" = 45, "Traffic Selector - Responder (§3.13).";
        SK = 46, "Encrypted and Authenticated (§3.14).";
        CP = 47, "Configuration (§3.15).";
        EAP = 48, "Extensible Authentication (§3.16).";
        GSPM = 49, "Generic Secure Password Method (RFC 6467).";
        ID_GROUP as "IDg" = 50, "Group Identification (RFC 9838).";
        GSA = 51, "Group Security Association (RFC 9838).";
        KD = 52, "Key Download (RFC 9838).";
        SKF = 53, "Encrypted and Authenticated Fragment (RFC 7383 §2.5).";
        PS = 54, "Puzzle Solution (RFC 8019).";
    }
}

registry! {
    /// Transform Type Values (RFC 7296 §3.3.2, RFC 9370): what a transform chooses.
    TransformType(u8) {
        ENCR = 1, "Encryption Algorithm.";
        PRF = 2, "Pseudorandom Function.";
        INTEG = 3, "Integrity Algorithm.";
        KE = 4, "Key Exchange Method; Diffie-Hellman Group in RFC 7296.";
        SN = 5, "Sequence Numbers; Extended Sequence Numbers in RFC 7296.";
        ADDKE1 = 6, "Additional Key Exchange 1 (RFC 9370).";
        ADDKE2 = 7, "Additional Key Exchange 2 (RFC 9370).";
        ADDKE3 = 8, "Additional Key Exchange 3 (RFC 9370).";
        ADDKE4 = 9, "Additional Key Exchange 4 (RFC 9370).";
        ADDKE5 = 10, "Additional Key Exchange 5 (RFC 9370).";
        ADDKE6 = 11, "Additional Key Exchange 6 (RFC 9370).";
        ADDKE7 = 12, "Additional Key Exchange 7 (RFC 9370).";
        KWA = 13, "Key Wrap Algorithm (RFC 9838).";
        GCAUTH = 14, "Group Controller Authentication Method (RFC 9838).";
    }
}

registry! {
    /// IKEv2 Transform Attribute Types (RFC 7296 §3.3.5), without the format bit.
    AttributeType(u16) {
        KEY_LENGTH as "Key Length" = 14, "The length of the key in bits; always in the short format.";
        SIGNATURE_ALGORITHM_IDENTIFIER as "Signature Algorithm Identifier" = 18, "RFC 9838.";
    }
}

registry! {
    /// Transform Type 2: Pseudorandom Function Transform IDs (RFC 7296 §3.3.2, RFC 8247).
    PrfId(u16) {
        PRF_HMAC_MD5 = 1, "HMAC-MD5 (RFC 2104); must not be used (RFC 8247).";
        PRF_HMAC_SHA1 = 2, "HMAC-SHA1 (RFC 2104).";
        PRF_HMAC_TIGER = 3, "HMAC-Tiger; unspecified.";
        PRF_AES128_XCBC = 4, "AES-XCBC-PRF-128 (RFC 4434).";
        PRF_HMAC_SHA2_256 = 5, "HMAC-SHA-256 (RFC 4868).";
        PRF_HMAC_SHA2_384 = 6, "HMAC-SHA-384 (RFC 4868).";
        PRF_HMAC_SHA2_512 = 7, "HMAC-SHA-512 (RFC 4868).";
        PRF_AES128_CMAC = 8, "AES-CMAC-PRF-128 (RFC 4615).";
        PRF_HMAC_STREEBOG_512 = 9, "HMAC-Streebog-512 (RFC 9385).";
    }
}

registry! {
    /// Transform Type 4: Key Exchange Method Transform IDs (RFC 7296 §3.3.2, RFC 8247). IANA's names are
    /// sentences, so these are the usual short ones, with IANA's beside them.
    KeyExchangeMethod(u16) {
        NONE = 0, "NONE: no key exchange of its own.";
        MODP_768 = 1, "768-bit MODP Group (RFC 7296 §B.1); must not be used (RFC 8247).";
        MODP_1024 = 2, "1024-bit MODP Group (RFC 7296 §B.2); should not be used (RFC 8247).";
        MODP_1536 = 5, "1536-bit MODP Group (RFC 3526 §2).";
        MODP_2048 = 14, "2048-bit MODP Group (RFC 3526 §3).";
        MODP_3072 = 15, "3072-bit MODP Group (RFC 3526 §4).";
        MODP_4096 = 16, "4096-bit MODP Group (RFC 3526 §5).";
        MODP_6144 = 17, "6144-bit MODP Group (RFC 3526 §6).";
        MODP_8192 = 18, "8192-bit MODP Group (RFC 3526 §7).";
        ECP_256 = 19, "256-bit random ECP group (RFC 5903).";
        ECP_384 = 20, "384-bit random ECP group (RFC 5903).";
        ECP_521 = 21, "521-bit random ECP group (RFC 5903).";
        MODP_1024_160 = 22, "1024-bit MODP Group with 160-bit Prime Order Subgroup (RFC 5114).";
        MODP_2048_224 = 23, "2048-bit MODP Group with 224-bit Prime Order Subgroup (RFC 5114).";
        MODP_2048_256 = 24, "2048-bit MODP Group with 256-bit Prime Order Subgroup (RFC 5114).";
        ECP_192 = 25, "192-bit Random ECP Group (RFC 5114).";
        ECP_224 = 26, "224-bit Random ECP Group (RFC 5114).";
        BRAINPOOL_P224R1 as "brainpoolP224r1" = 27, "RFC 6954.";
        BRAINPOOL_P256R1 as "brainpoolP256r1" = 28, "RFC 6954.";
        BRAINPOOL_P384R1 as "brainpoolP384r1" = 29, "RFC 6954.";
        BRAINPOOL_P512R1 as "brainpoolP512r1" = 30, "RFC 6954.";
        CURVE25519 as "Curve25519" = 31, "RFC 8031.";
        CURVE448 as "Curve448" = 32, "RFC 8031.";
        GOST3410_2012_256 = 33, "RFC 9385.";
        GOST3410_2012_512 = 34, "RFC 9385.";
        ML_KEM_512 as "ml-kem-512" = 35, "ML-KEM-512 (FIPS 203).";
        ML_KEM_768 as "ml-kem-768" = 36, "ML-KEM-768 (FIPS 203).";
        ML_KEM_1024 as "ml-kem-1024" = 37, "ML-KEM-1024 (FIPS 203).";
    }
}

registry! {
    /// Transform Type 5: Sequence Numbers Transform IDs; Extended Sequence Numbers in RFC 7296 §3.3.2, whose
    /// short names these are.
    EsnId(u16) {
        NO_ESN = 0, "32-bit Sequential Numbers.";
        ESN = 1, "Partially Transmitted 64-bit Sequential Numbers: the low half travels.";
        UNSPECIFIED_32 = 2, "32-bit Unspecified Numbers (RFC 9827).";
    }
}

registry! {
    /// IKEv2 Identification Payload ID Types (RFC 7296 §3.5).
    IdType(u8) {
        ID_IPV4_ADDR = 1, "An IPv4 address: four octets.";
        ID_FQDN = 2, "A fully qualified domain name, without a terminator.";
        ID_RFC822_ADDR = 3, "An e-mail address, without a terminator.";
        ID_IPV6_ADDR = 5, "An IPv6 address: sixteen octets.";
        ID_DER_ASN1_DN = 9, "An X.500 Distinguished Name, DER.";
        ID_DER_ASN1_GN = 10, "An X.509 GeneralName, DER.";
        ID_KEY_ID = 11, "Opaque octets.";
        ID_FC_NAME = 12, "A Fibre Channel name (RFC 4595).";
        ID_NULL = 13, "Nobody: empty (RFC 7619).";
    }
}

registry! {
    /// IKEv2 Certificate Encodings (RFC 7296 §3.6).
    CertEncoding(u8) {
        PKCS7_X509 as "PKCS #7 wrapped X.509 certificate" = 1, "Unspecified.";
        PGP as "PGP Certificate" = 2, "Unspecified.";
        DNS_SIGNED_KEY as "DNS Signed Key" = 3, "Unspecified.";
        X509_SIGNATURE as "X.509 Certificate - Signature" = 4, "One DER certificate.";
        KERBEROS as "Kerberos Token" = 6, "Unspecified.";
        CRL as "Certificate Revocation List (CRL)" = 7, "One DER CRL.";
        ARL as "Authority Revocation List (ARL)" = 8, "Unspecified.";
        SPKI as "SPKI Certificate" = 9, "Unspecified.";
        X509_ATTRIBUTE as "X.509 Certificate - Attribute" = 10, "Unspecified.";
        RAW_RSA as "Raw RSA Key" = 11, "Deprecated by RFC 7670.";
        HASH_AND_URL as "Hash and URL of X.509 certificate" = 12, "SHA-1 of the certificate, and where it is.";
        HASH_AND_URL_BUNDLE as "Hash and URL of X.509 bundle" = 13, "SHA-1 of the bundle, and where it is.";
        OCSP as "OCSP Content" = 14, "RFC 4806.";
        RAW_PUBLIC_KEY as "Raw Public Key" = 15, "A SubjectPublicKeyInfo, DER (RFC 7670).";
    }
}

registry! {
    /// IKEv2 Authentication Method (RFC 7296 §3.8, RFC 8247).
    AuthMethod(u8) {
        RSA_SIGNATURE as "RSA Digital Signature" = 1, "RSASSA-PKCS1-v1_5.";
        SHARED_KEY as "Shared Key Message Integrity Code" = 2, "A pre-shared key (RFC 7296 §2.15).";
        DSS_SIGNATURE as "DSS Digital Signature" = 3, "DSA with SHA-1; should not be used (RFC 8247).";
        ECDSA_256 as "ECDSA with SHA-256 on the P-256 curve" = 9, "RFC 4754.";
        ECDSA_384 as "ECDSA with SHA-384 on the P-384 curve" = 10, "RFC 4754.";
        ECDSA_521 as "ECDSA with SHA-512 on the P-521 curve" = 11, "RFC 4754.";
        SECURE_PASSWORD as "Generic Secure Password Authentication Method" = 12, "RFC 6467.";
        NULL as "NULL Authentication" = 13, "RFC 7619.";
        DIGITAL_SIGNATURE as "Digital Signature" = 14, "Any, by AlgorithmIdentifier (RFC 7427).";
    }
}

registry! {
    /// IKEv2 Hash Algorithms (RFC 7427 §7, RFC 8420).
    HashAlgorithm(u16) {
        SHA1 = 1, "SHA-1; must not be used (RFC 8247).";
        SHA2_256 as "SHA2-256" = 2, "SHA-256.";
        SHA2_384 as "SHA2-384" = 3, "SHA-384.";
        SHA2_512 as "SHA2-512" = 4, "SHA-512.";
        IDENTITY as "Identity" = 5, "The signature scheme hashes by itself: Ed25519, Ed448 (RFC 8420).";
        STREEBOG_256 = 6, "RFC 9385.";
        STREEBOG_512 = 7, "RFC 9385.";
    }
}

registry! {
    /// IKEv2 Security Protocol Identifiers (RFC 7296 §3.3.1).
    ProtocolId(u8) {
        NONE as "none" = 0, "Reserved: what a Notify about no SA says.";
        IKE = 1, "Internet Key Exchange.";
        AH = 2, "Authentication Header (RFC 4302).";
        ESP = 3, "Encapsulating Security Payload (RFC 4303).";
        FC_ESP_HEADER = 4, "Fibre Channel (RFC 4595).";
        FC_CT_AUTHENTICATION = 5, "Fibre Channel (RFC 4595).";
        GIKE_UPDATE = 6, "Group keys (RFC 9838).";
    }
}

registry! {
    /// IKEv2 Traffic Selector Types (RFC 7296 §3.13.1).
    TsType(u8) {
        TS_IPV4_ADDR_RANGE = 7, "From one IPv4 address to another, both included.";
        TS_IPV6_ADDR_RANGE = 8, "From one IPv6 address to another, both included.";
        TS_FC_ADDR_RANGE = 9, "Fibre Channel (RFC 4595).";
        TS_SECLABEL = 10, "A security label (RFC 9478).";
    }
}

registry! {
    /// IKEv2 Configuration Payload CFG Types (RFC 7296 §3.15).
    CfgType(u8) {
        CFG_REQUEST = 1, "Asks for values.";
        CFG_REPLY = 2, "Answers a request.";
        CFG_SET = 3, "Pushes values.";
        CFG_ACK = 4, "Answers a push.";
    }
}

registry! {
    /// IKEv2 Configuration Payload Attribute Types (RFC 7296 §3.15.1), without the reserved bit.
    CfgAttribute(u16) {
        INTERNAL_IP4_ADDRESS = 1, "An IPv4 address on the inside.";
        INTERNAL_IP4_NETMASK = 2, "Its netmask.";
        INTERNAL_IP4_DNS = 3, "An IPv4 name server.";
        INTERNAL_IP4_NBNS = 4, "A NetBIOS name server.";
        INTERNAL_IP4_DHCP = 6, "An IPv4 DHCP server.";
        APPLICATION_VERSION = 7, "What software this is.";
        INTERNAL_IP6_ADDRESS = 8, "An IPv6 address on the inside and its prefix length.";
        INTERNAL_IP6_DNS = 10, "An IPv6 name server.";
        INTERNAL_IP6_DHCP = 12, "An IPv6 DHCP server.";
        INTERNAL_IP4_SUBNET = 13, "A network behind the responder.";
        SUPPORTED_ATTRIBUTES = 14, "The attributes that are understood.";
        INTERNAL_IP6_SUBNET = 15, "A network behind the responder.";
        MIP6_HOME_PREFIX = 16, "RFC 5026.";
        INTERNAL_IP6_LINK = 17, "RFC 5739.";
        INTERNAL_IP6_PREFIX = 18, "RFC 5739.";
        HOME_AGENT_ADDRESS = 19, "3GPP TS 24.302.";
        P_CSCF_IP4_ADDRESS = 20, "RFC 7651.";
        P_CSCF_IP6_ADDRESS = 21, "RFC 7651.";
        FTT_KAT = 22, "3GPP TS 24.302.";
        EXTERNAL_SOURCE_IP4_NAT_INFO = 23, "3GPP TS 29.139.";
        TIMEOUT_PERIOD_FOR_LIVENESS_CHECK = 24, "3GPP TS 24.302.";
        INTERNAL_DNS_DOMAIN = 25, "RFC 8598.";
        INTERNAL_DNSSEC_TA = 26, "RFC 8598.";
        ENCDNS_IP4 = 27, "RFC 9464.";
        ENCDNS_IP6 = 28, "RFC 9464.";
        ENCDNS_DIGEST_INFO = 29, "RFC 9464.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and names of one registry lead to each other, and neither comes twice.
    fn check<T: Copy + Eq + fmt::Debug + fmt::Display + FromStr<Err = UnknownName>>(
        assigned: &[(T, &str)],
    ) {
        for (at, (value, name)) in assigned.iter().enumerate() {
            assert_eq!(name.parse(), Ok(*value));
            assert_eq!(value.to_string(), *name);
            let again = assigned[..at].iter().any(|(other, named)| other == value || named == name);
            assert!(!again, "{name} comes twice");
        }
    }

    #[test]
    fn names_and_numbers_are_unique_and_lead_back_to_each_other() {
        check(ExchangeType::ASSIGNED);
        check(PayloadType::ASSIGNED);
        check(TransformType::ASSIGNED);
        check(AttributeType::ASSIGNED);
        check(PrfId::ASSIGNED);
        check(KeyExchangeMethod::ASSIGNED);
        check(EsnId::ASSIGNED);
        check(IdType::ASSIGNED);
        check(CertEncoding::ASSIGNED);
        check(AuthMethod::ASSIGNED);
        check(HashAlgorithm::ASSIGNED);
        check(ProtocolId::ASSIGNED);
        check(TsType::ASSIGNED);
        check(CfgType::ASSIGNED);
        check(CfgAttribute::ASSIGNED);
        check(NotifyType::ASSIGNED);
        check(EncryptionId::ASSIGNED);
        check(IntegrityId::ASSIGNED);
        check(IpProtocol::ASSIGNED);
    }

    #[test]
    fn iana_names_are_shown_where_they_are_no_constants() {
        for (shown, want) in [
            (PayloadType::ID_INITIATOR.to_string(), "IDi"),
            (PayloadType(49).to_string(), "GSPM"),
            (PayloadType(200).to_string(), "200"),
            (AuthMethod(9).to_string(), "ECDSA with SHA-256 on the P-256 curve"),
            (HashAlgorithm::SHA2_256.to_string(), "SHA2-256"),
            (KeyExchangeMethod(31).to_string(), "Curve25519"),
            (ExchangeType(34).to_string(), "IKE_SA_INIT"),
        ] {
            assert_eq!(shown, want);
        }
        assert_eq!("IKE_SA_INIT2".parse::<ExchangeType>(), Err(UnknownName));
    }
}
