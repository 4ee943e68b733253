//! Addresses that never belong in a forwarded packet (RFC 1812 §5.3.7, RFC 4291 §2.5).
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a packet to this address is never forwarded: nobody's, everybody's, or a neighbour's alone.
#[inline]
pub(crate) fn address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => four(v4),
        IpAddr::V6(v6) => six(v6),
    }
}

#[inline]
fn four(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // net 0, loopback, multicast with class E and broadcast, link-local
    matches!(first, 0 | 127 | 224..) || address.is_link_local()
}

fn six(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || first & 0xffc0 == 0xfe80
        || address.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_and_everybodys_addresses_are_martian() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.1.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "febf::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(address(text.parse().unwrap()), "{text}");
        }
        for text in [
            "10.0.0.1",
            "1.0.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
        ] {
            assert!(!address(text.parse().unwrap()), "{text}");
        }
    }
}
