//! ICMP (RFC 792): errors that arrive, and the two that a tunnel's entry sends.
