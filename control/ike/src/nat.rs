//! NAT detection (RFC 7296 §2.23): each side says in a hash which addresses it sees.
use sha1::{Digest, Sha1};
use std::net::{IpAddr, SocketAddr};

/// SHA-1 over SPIi, SPIr, address and port. No secret, and nothing depends on its strength.
pub(crate) fn hash((initiator, responder): (u64, u64), address: SocketAddr) -> [u8; 20] {
    let mut hash = Sha1::new();
    hash.update(initiator.to_be_bytes());
    hash.update(responder.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
    hash.update(address.port().to_be_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts() {
        let base = hash((1, 2), "192.0.2.1:500".parse().unwrap());
        for (spis, address) in [
            ((2, 2), "192.0.2.1:500"),
            ((1, 1), "192.0.2.1:500"),
            ((1, 2), "192.0.2.2:500"),
            ((1, 2), "192.0.2.1:501"),
            ((1, 2), "[::c000:201]:500"),
        ] {
            assert_ne!(hash(spis, address.parse().unwrap()), base, "{spis:?} {address}");
        }
    }
}
