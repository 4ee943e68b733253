//! Published vectors as they are printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "only tests use it")]

/// The octets that `text` writes in hex.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "half an octet in {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
