//! The tiers, each a table of kernels. A backend holds one only where the CPU has the tier's instructions.
use super::{Kernels, cbc, ccm, gcm};

/// AES-NI and PCLMULQDQ with AVX2.
pub(crate) static AESNI: Kernels = Kernels {
    gcm: gcm::aesni::GCM,
    gmac: Some(gcm::aesni::GMAC),
    ccm: ccm::FAMILY,
    ctr: gcm::aesni::ctr,
    cbc_encrypt: cbc::narrow::encrypt,
    cbc_decrypt: cbc::narrow::decrypt,
    mac: cbc::narrow::mac,
    chains: cbc::narrow::chains,
    blocks: cbc::narrow::blocks,
};

/// VAES and VPCLMULQDQ, 256 bits wide.
pub(crate) static VAES256: Kernels = Kernels {
    gcm: gcm::vaes256::GCM,
    gmac: Some(gcm::vaes256::GMAC),
    ccm: ccm::FAMILY,
    ctr: gcm::vaes256::ctr,
    cbc_encrypt: cbc::vaes256::encrypt,
    cbc_decrypt: cbc::vaes256::decrypt,
    mac: cbc::vaes256::mac,
    chains: cbc::vaes256::chains,
    blocks: cbc::vaes256::blocks,
};

/// AES-NI and PCLMULQDQ with AVX-512's registers and masks.
pub(crate) static AVX512: Kernels = Kernels {
    gcm: gcm::avx512::GCM,
    gmac: Some(gcm::avx512::GMAC),
    ccm: ccm::FAMILY,
    ctr: gcm::avx512::ctr,
    cbc_encrypt: cbc::narrow::encrypt,
    cbc_decrypt: cbc::narrow::decrypt,
    mac: cbc::narrow::mac,
    chains: cbc::narrow::chains,
    blocks: cbc::narrow::blocks,
};

/// VAES and VPCLMULQDQ, 512 bits wide.
pub(crate) static VAES: Kernels = Kernels {
    gcm: gcm::vaes::GCM,
    gmac: Some(gcm::vaes::GMAC),
    ccm: ccm::FAMILY,
    ctr: gcm::vaes::ctr,
    cbc_encrypt: cbc::vaes512::encrypt,
    cbc_decrypt: cbc::vaes512::decrypt,
    mac: cbc::vaes512::mac,
    chains: cbc::vaes512::chains,
    blocks: cbc::vaes512::blocks,
};
