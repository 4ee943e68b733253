//! ICMPv6 (RFC 4443): errors that arrive, and the two that a tunnel's entry sends.
