//! Explicit Congestion Notification through tunnels (RFC 6040).

use core::fmt;

/// The ECN field: the two low bits of the IPv4 TOS octet and of the IPv6 traffic class (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not understand ECN.
    NotEct = 0,
    /// ECN-capable transport, codepoint 1.
    Ect1 = 1,
    /// ECN-capable transport, codepoint 0.
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Ecn {
    /// The four codepoints, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::NotEct, Self::Ect1, Self::Ect0, Self::Ce];

    /// The ECN field of a TOS octet or traffic class.
    #[inline]
    pub const fn of(tos: u8) -> Self {
        match tos & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }
    /// `tos` with this ECN field and its own DSCP.
    #[inline]
    pub const fn apply(self, tos: u8) -> u8 {
        (tos & !3) | self as u8
    }
}

/// How a tunnel's entry treats ECN (RFC 6040 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// Copy the inner field: the far end decapsulates as RFC 6040 says.
    Normal,
    /// Send the outer header without ECN: the far end may not understand it.
    Compatibility,
}

/// Congestion was marked on a packet whose transport cannot react to it: it must be dropped (RFC 6040 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal {
    /// The inner field.
    pub inner: Ecn,
    /// The outer field.
    pub outer: Ecn,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "outer ECN {:?} over inner {:?}: congestion nobody can react to",
            self.outer, self.inner
        )
    }
}

impl core::error::Error for Illegal {}

/// The outer field of a packet that enters the tunnel (RFC 6040 §4.1).
#[inline]
pub const fn encapsulate(inner: Ecn, ingress: Ingress) -> Ecn {
    match ingress {
        Ingress::Normal => inner,
        Ingress::Compatibility => Ecn::NotEct,
    }
}

/// The inner field of a packet that leaves the tunnel (RFC 6040 §4.2, figure 4).
///
/// # Errors
/// [`Illegal`] for the one combination that must be dropped: inner Not-ECT, outer CE.
#[inline]
pub const fn decapsulate(inner: Ecn, outer: Ecn) -> Result<Ecn, Illegal> {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => Err(Illegal { inner, outer }),
        (Ecn::NotEct, _) => Ok(Ecn::NotEct),
        (Ecn::Ect0 | Ecn::Ect1, Ecn::Ce) => Ok(Ecn::Ce),
        (Ecn::Ect0, Ecn::Ect1) => Ok(Ecn::Ect1),
        (inner, _) => Ok(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::Ecn::{Ce, Ect0, Ect1, NotEct};
    use super::*;

    #[test]
    fn all_sixteen_combinations_leave_the_tunnel_as_rfc_6040_figure_4_says() {
        for (inner, row) in [
            (NotEct, [Some(NotEct), Some(NotEct), Some(NotEct), None]),
            (Ect0, [Some(Ect0), Some(Ect0), Some(Ect1), Some(Ce)]),
            (Ect1, [Some(Ect1), Some(Ect1), Some(Ect1), Some(Ce)]),
            (Ce, [Some(Ce), Some(Ce), Some(Ce), Some(Ce)]),
        ] {
            for (outer, want) in [NotEct, Ect0, Ect1, Ce].into_iter().zip(row) {
                assert_eq!(decapsulate(inner, outer).ok(), want, "inner {inner:?} outer {outer:?}");
            }
        }
    }

    #[test]
    fn normal_mode_copies_and_compatibility_mode_clears() {
        for ecn in Ecn::ALL {
            assert_eq!(encapsulate(ecn, Ingress::Normal), ecn);
            assert_eq!(encapsulate(ecn, Ingress::Compatibility), NotEct);
        }
    }

    #[test]
    fn the_field_is_the_two_low_bits_and_dscp_is_left_alone() {
        for tos in 0..=255u8 {
            assert_eq!(Ecn::of(tos) as u8, tos & 3);
            assert_eq!(Ecn::of(tos).apply(tos), tos);
            assert_eq!(Ce.apply(tos) >> 2, tos >> 2);
        }
    }
}
