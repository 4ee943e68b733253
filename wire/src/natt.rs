//! ESP in UDP (RFC 3948): what a datagram on the encapsulation port carries.

use crate::esp;

/// What keeps a NAT binding alive: one octet (RFC 3948 §2.3).
pub const KEEPALIVE: [u8; 1] = [0xff];
/// What tells IKE from ESP on the same port: an SPI can never be zero (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The UDP port of IKE with NAT traversal, and so of ESP in UDP.
pub const PORT: u16 = 4500;

/// The payload of a UDP datagram on the encapsulation port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Natt<'a> {
    /// A NAT keepalive: to be ignored.
    Keepalive,
    /// An IKE message, its marker removed.
    Ike(&'a [u8]),
    /// An ESP packet, at least [`esp::HEADER`] octets.
    Esp(&'a [u8]),
    /// None of these: too short to be any.
    Malformed,
}

/// Tells the kinds apart by the first four octets. An IKE message may be empty here; its own parser judges.
#[inline]
pub fn classify(payload: &[u8]) -> Natt<'_> {
    match payload.split_first_chunk() {
        Some((&NON_ESP_MARKER, message)) => Natt::Ike(message),
        Some(_) if payload.len() >= esp::HEADER => Natt::Esp(payload),
        _ if *payload == KEEPALIVE => Natt::Keepalive,
        _ => Natt::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_start_has_one_meaning() {
        let esp = [0, 0, 1, 0, 0, 0, 0, 1];
        for (payload, want) in [
            (&[][..], Natt::Malformed),
            (&[0xff], Natt::Keepalive),
            (&[0x00], Natt::Malformed),
            (&[0xff, 0xff], Natt::Malformed),
            (&[0, 0, 0], Natt::Malformed),
            (&[0, 0, 0, 0], Natt::Ike(&[])),
            (&[0, 0, 0, 0, 7], Natt::Ike(&[7])),
            (&[0, 0, 0, 1], Natt::Malformed),
            (&esp[..7], Natt::Malformed),
            (&esp, Natt::Esp(&esp)),
        ] {
            assert_eq!(classify(payload), want, "{payload:?}");
        }
    }
}
