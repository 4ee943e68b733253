//! ChaCha20-Poly1305 in ESP (RFC 7634), packets abreast.

/// What it needs of the key: key and salt.
#[repr(C, align(64))]
pub(crate) struct Key {
    todo: [u8; 64],
}

impl Key {
    /// From key ‖ salt (RFC 7634 §2). `None`: the length is wrong.
    pub fn new(_material: &[u8]) -> Option<Self> {
        None
    }
}
