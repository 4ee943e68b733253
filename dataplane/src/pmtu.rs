//! How much fits into a tunnel (RFC 4301 §8): exact, by suite.
use crate::sa::Sizes;
use sadb::Encap;

/// Octets of the ESP header.
pub(crate) const ESP_HEADER: usize = 8;
/// Pad length and next header.
pub(crate) const ESP_TRAILER: usize = 2;

/// Octets in front of the ESP header.
pub(crate) fn outer_len(encap: Encap, v6: bool) -> usize {
    let ip = if v6 { 40 } else { 20 };
    match encap {
        Encap::Raw => ip,
        Encap::Udp { .. } => ip + 8,
    }
}

/// The whole outer packet, octets, that carries `inner` octets.
pub fn sealed_len(inner: usize, sizes: Sizes, encap: Encap, v6: bool) -> usize {
    let body = (inner + ESP_TRAILER).next_multiple_of(sizes.block.max(1));
    outer_len(encap, v6) + ESP_HEADER + sizes.iv + body + sizes.icv
}

/// The largest inner packet, octets, whose outer packet is no longer than `mtu`; 0 when none is.
pub fn max_inner(mtu: usize, sizes: Sizes, encap: Encap, v6: bool) -> usize {
    max_payload(mtu, sizes, outer_len(encap, v6))
}

/// As [`max_inner`], behind so many octets of outer headers.
#[inline]
pub(crate) fn max_payload(mtu: usize, sizes: Sizes, outer: usize) -> usize {
    let fixed = outer + ESP_HEADER + sizes.iv + sizes.icv;
    let body = mtu.saturating_sub(fixed);
    (body - sizes.ragged(body)).saturating_sub(ESP_TRAILER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn max_inner_is_the_largest_that_fits(
            mtu in 576usize..9100,
            suite in prop::sample::select(crypto::Suite::all().collect::<Vec<_>>()),
            udp in any::<bool>(),
            v6 in any::<bool>(),
        ) {
            let sizes = Sizes::from(suite);
            let encap = if udp { Encap::Udp { local: 4500, remote: 4500 } } else { Encap::Raw };
            let most = max_inner(mtu, sizes, encap, v6);
            prop_assert!(sealed_len(most, sizes, encap, v6) <= mtu);
            prop_assert!(sealed_len(most + 1, sizes, encap, v6) > mtu);
        }
    }

    #[test]
    fn the_numbers_that_operators_know() {
        let gcm = Sizes { iv: 8, icv: 16, block: 4 };
        let cbc = Sizes { iv: 16, icv: 12, block: 16 };
        let udp = Encap::Udp { local: 4500, remote: 4500 };
        for (mtu, sizes, encap, v6, inner) in [
            (1500, gcm, Encap::Raw, false, 1446),
            (1500, gcm, udp, false, 1438),
            (1500, gcm, Encap::Raw, true, 1426),
            (1500, cbc, Encap::Raw, false, 1438),
            (1280, gcm, Encap::Raw, true, 1206),
            (60, gcm, Encap::Raw, false, 6),
            (40, gcm, Encap::Raw, false, 0),
        ] {
            assert_eq!(max_inner(mtu, sizes, encap, v6), inner, "{mtu} {sizes:?} {encap:?} {v6}");
        }
    }
}
