//! Encrypt, then MAC: AES-CBC, AES-CTR or ENCR_NULL with an integrity algorithm, packets abreast.
use crate::backend::{Backend, Family};
use crate::key::BadKey;
use crate::suite::Suite;

/// What sealing needs: cipher, IV source, MAC.
pub(crate) struct SealEtm {
    todo: [u8; 64],
}

/// What opening needs: cipher, MAC.
pub(crate) struct OpenEtm {
    todo: [u8; 64],
}

/// The kernels for `suite`. `None`: the backend lacks a part, portable runs it.
pub(crate) fn family(_backend: &Backend, _suite: Suite) -> Option<Family> {
    None
}

impl SealEtm {
    /// For a suite that has a [`family`] on this backend; `None`: it has none.
    pub fn new(
        _backend: &Backend,
        _suite: Suite,
        _encryption: &[u8],
        _integrity: &[u8],
    ) -> Result<Option<Self>, BadKey> {
        Ok(None)
    }
}

impl OpenEtm {
    /// For a suite that has a [`family`] on this backend; `None`: it has none.
    pub fn new(
        _backend: &Backend,
        _suite: Suite,
        _encryption: &[u8],
        _integrity: &[u8],
    ) -> Option<Self> {
        None
    }
}
