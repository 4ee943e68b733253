//! Integrity algorithms of their own: one interface for the lanes of HMAC and of AES.

/// What a lane needs of an integrity key; the algorithm is known beside it.
#[repr(C, align(64))]
pub(crate) enum MacKey {
    /// HMAC over a hash of 32-bit words: inner and outer state, each one block in.
    Hmac32 { inner: [u32; 8], outer: [u32; 8] },
    /// HMAC over a hash of 64-bit words.
    Hmac64 { inner: [u64; 8], outer: [u64; 8] },
}

/// One ICV to compute.
pub(crate) struct MacJob<'a> {
    pub key: &'a MacKey,
    /// The packet up to its ICV.
    pub covered: &'a [u8],
    /// The high half of an extended number: authenticated behind the packet, never sent.
    pub high: Option<[u8; 4]>,
    /// The result: the first `icv_len` octets of it.
    pub tag: [u8; 32],
}

/// Computes the tags of jobs of one algorithm, at most 64 at once.
pub(crate) type MacKernel = fn(&mut [MacJob<'_>]);
