//! IKEv2 Notify Message Types: errors and statuses share one number space (RFC 7296 §3.10.1).

use core::{fmt, str::FromStr};

use super::UnknownName;

registry! {
    /// IKEv2 Notify Message Types. Below 16384 they are errors (8192 to 16383 for private use), from there
    /// on statuses (40960 and above for private use).
    NotifyType(u16) {
        UNSUPPORTED_CRITICAL_PAYLOAD = 1, "A critical payload is not known; the data is its type.";
        INVALID_IKE_SPI = 4, "No such IKE SA.";
        INVALID_MAJOR_VERSION = 5, "The header's version is not spoken here.";
        INVALID_SYNTAX = 7, "Something in the message is malformed.";
        INVALID_MESSAGE_ID = 9, "A Message ID outside the window; the data is it.";
        INVALID_SPI = 11, "ESP or AH arrived for no SA; the data is its SPI.";
        NO_PROPOSAL_CHOSEN = 14, "None of the proposed suites is acceptable.";
        INVALID_KE_PAYLOAD = 17, "Another key exchange method is wanted; the data is its number.";
        AUTHENTICATION_FAILED = 24, "The peer is not who it says it is.";
        SINGLE_PAIR_REQUIRED = 34, "Only traffic selectors of one pair of addresses are acceptable.";
        NO_ADDITIONAL_SAS = 35, "No more Child SAs on this IKE SA.";
        INTERNAL_ADDRESS_FAILURE = 36, "No address to assign.";
        FAILED_CP_REQUIRED = 37, "A Configuration payload was expected.";
        TS_UNACCEPTABLE = 38, "None of the traffic selectors is acceptable.";
        INVALID_SELECTORS = 39, "A packet did not fit its SA's selectors.";
        UNACCEPTABLE_ADDRESSES = 40, "RFC 4555 (MOBIKE).";
        UNEXPECTED_NAT_DETECTED = 41, "RFC 4555 (MOBIKE).";
        USE_ASSIGNED_HOA as "USE_ASSIGNED_HoA" = 42, "RFC 5026.";
        TEMPORARY_FAILURE = 43, "Not now: something else is under way (RFC 7296 §2.25).";
        CHILD_SA_NOT_FOUND = 44, "No such Child SA (RFC 7296 §2.25).";
        INVALID_GROUP_ID = 45, "RFC 9838.";
        AUTHORIZATION_FAILED = 46, "RFC 9838.";
        STATE_NOT_FOUND = 47, "RFC 9838.";
        TS_MAX_QUEUE = 48, "RFC 9611.";
        REGISTRATION_FAILED = 49, "RFC 9838.";

        INITIAL_CONTACT = 16384, "The sender knows no other IKE SA between these identities.";
        SET_WINDOW_SIZE = 16385, "How many requests the sender keeps; the data is the number.";
        ADDITIONAL_TS_POSSIBLE = 16386, "Further traffic selectors would be acceptable in another SA.";
        IPCOMP_SUPPORTED = 16387, "Compression (RFC 3173).";
        NAT_DETECTION_SOURCE_IP = 16388, "Hash over the sender's address (RFC 7296 §2.23).";
        NAT_DETECTION_DESTINATION_IP = 16389, "Hash over the receiver's address (RFC 7296 §2.23).";
        COOKIE = 16390, "To be returned, 1 to 64 octets (RFC 7296 §2.6).";
        USE_TRANSPORT_MODE = 16391, "Transport mode for this Child SA.";
        HTTP_CERT_LOOKUP_SUPPORTED = 16392, "Certificates may be sent as hash and URL.";
        REKEY_SA = 16393, "The SA that is replaced (RFC 7296 §1.3.3).";
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394, "No padding for traffic flow confidentiality, please.";
        NON_FIRST_FRAGMENTS_ALSO = 16395, "Later fragments on the same SA (RFC 4301 §7).";
        MOBIKE_SUPPORTED = 16396, "RFC 4555.";
        ADDITIONAL_IP4_ADDRESS = 16397, "RFC 4555.";
        ADDITIONAL_IP6_ADDRESS = 16398, "RFC 4555.";
        NO_ADDITIONAL_ADDRESSES = 16399, "RFC 4555.";
        UPDATE_SA_ADDRESSES = 16400, "RFC 4555.";
        COOKIE2 = 16401, "RFC 4555.";
        NO_NATS_ALLOWED = 16402, "RFC 4555.";
        AUTH_LIFETIME = 16403, "Seconds until the sender must authenticate again (RFC 4478).";
        MULTIPLE_AUTH_SUPPORTED = 16404, "RFC 4739.";
        ANOTHER_AUTH_FOLLOWS = 16405, "RFC 4739.";
        REDIRECT_SUPPORTED = 16406, "RFC 5685.";
        REDIRECT = 16407, "RFC 5685.";
        REDIRECTED_FROM = 16408, "RFC 5685.";
        TICKET_LT_OPAQUE = 16409, "RFC 5723.";
        TICKET_REQUEST = 16410, "RFC 5723.";
        TICKET_ACK = 16411, "RFC 5723.";
        TICKET_NACK = 16412, "RFC 5723.";
        TICKET_OPAQUE = 16413, "RFC 5723.";
        LINK_ID = 16414, "RFC 5739.";
        USE_WESP_MODE = 16415, "RFC 5840.";
        ROHC_SUPPORTED = 16416, "RFC 5857.";
        EAP_ONLY_AUTHENTICATION = 16417, "RFC 5998.";
        CHILDLESS_IKEV2_SUPPORTED = 16418, "IKE_AUTH without a Child SA is accepted (RFC 6023).";
        QUICK_CRASH_DETECTION = 16419, "RFC 6290.";
        IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420, "RFC 6311.";
        IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421, "RFC 6311.";
        IKEV2_MESSAGE_ID_SYNC = 16422, "RFC 6311.";
        IPSEC_REPLAY_COUNTER_SYNC = 16423, "RFC 6311.";
        SECURE_PASSWORD_METHODS = 16424, "RFC 6467.";
        PSK_PERSIST = 16425, "RFC 6631.";
        PSK_CONFIRM = 16426, "RFC 6631.";
        ERX_SUPPORTED = 16427, "RFC 6867.";
        IFOM_CAPABILITY = 16428, "3GPP TS 24.303.";
        GROUP_SENDER = 16429, "RFC 9838.";
        IKEV2_FRAGMENTATION_SUPPORTED = 16430, "Messages may come in fragments (RFC 7383).";
        SIGNATURE_HASH_ALGORITHMS = 16431, "Hashes for signatures; the data is their numbers (RFC 7427).";
        CLONE_IKE_SA_SUPPORTED = 16432, "RFC 7791.";
        CLONE_IKE_SA = 16433, "RFC 7791.";
        PUZZLE = 16434, "RFC 8019.";
        USE_PPK = 16435, "RFC 8784.";
        PPK_IDENTITY = 16436, "RFC 8784.";
        NO_PPK_AUTH = 16437, "RFC 8784.";
        INTERMEDIATE_EXCHANGE_SUPPORTED = 16438, "RFC 9242.";
        IP4_ALLOWED = 16439, "RFC 8983.";
        IP6_ALLOWED = 16440, "RFC 8983.";
        ADDITIONAL_KEY_EXCHANGE = 16441, "RFC 9370.";
        USE_AGGFRAG = 16442, "RFC 9347.";
        SUPPORTED_AUTH_METHODS = 16443, "RFC 9593.";
        SA_RESOURCE_INFO = 16444, "RFC 9611.";
        USE_PPK_INT = 16445, "RFC 9867.";
        PPK_IDENTITY_KEY = 16446, "RFC 9867.";
    }
}

impl NotifyType {
    /// Whether this reports an error. A response with an error that is not known says that the request
    /// failed; in a request it is ignored (RFC 7296 §3.10.1).
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}
