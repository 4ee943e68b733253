//! The tiers, each a table of kernels. A backend holds one only where the CPU has the tier's instructions.
use super::{CtrJob, EncryptKey, Kernels, cbc, ccm, gcm};

/// AES-NI and PCLMULQDQ with AVX2.
pub(crate) static AESNI: Kernels = Kernels {
    gcm: gcm::AESNI,
    gmac: None,
    ccm: ccm::FAMILY,
    ctr: |jobs| ctr(jobs, cbc::narrow::blocks),
    cbc_encrypt: cbc::narrow::encrypt,
    cbc_decrypt: cbc::narrow::decrypt,
    mac: cbc::narrow::mac,
    chains: cbc::narrow::chains,
    blocks: cbc::narrow::blocks,
};

/// VAES and VPCLMULQDQ, 256 bits wide.
pub(crate) static VAES256: Kernels = Kernels {
    gcm: gcm::VAES256,
    gmac: None,
    ccm: ccm::FAMILY,
    ctr: |jobs| ctr(jobs, cbc::vaes256::blocks),
    cbc_encrypt: cbc::vaes256::encrypt,
    cbc_decrypt: cbc::vaes256::decrypt,
    mac: cbc::vaes256::mac,
    chains: cbc::vaes256::chains,
    blocks: cbc::vaes256::blocks,
};

/// AES-NI and PCLMULQDQ with AVX-512's registers and masks.
pub(crate) static AVX512: Kernels = Kernels {
    gcm: gcm::AVX512,
    gmac: None,
    ccm: ccm::FAMILY,
    ctr: |jobs| ctr(jobs, cbc::narrow::blocks),
    cbc_encrypt: cbc::narrow::encrypt,
    cbc_decrypt: cbc::narrow::decrypt,
    mac: cbc::narrow::mac,
    chains: cbc::narrow::chains,
    blocks: cbc::narrow::blocks,
};

/// VAES and VPCLMULQDQ, 512 bits wide.
pub(crate) static VAES: Kernels = Kernels {
    gcm: gcm::VAES,
    gmac: None,
    ccm: ccm::FAMILY,
    ctr: |jobs| ctr(jobs, cbc::vaes512::blocks),
    cbc_encrypt: cbc::vaes512::encrypt,
    cbc_decrypt: cbc::vaes512::decrypt,
    mac: cbc::vaes512::mac,
    chains: cbc::vaes512::chains,
    blocks: cbc::vaes512::blocks,
};

/// Counter blocks encrypted by themselves.
fn ctr(jobs: &mut [CtrJob<'_>], blocks: fn(&EncryptKey, &mut [[u8; 16]])) {
    for CtrJob { key, counter_block, body } in jobs {
        let first = u128::from_be_bytes(*counter_block);
        for (i, text) in (0..).step_by(8).zip(body.chunks_mut(128)) {
            let mut stream =
                core::array::from_fn::<_, 8, _>(|k| (first + i + k as u128).to_be_bytes());
            blocks(key, &mut stream);
            text.iter_mut().zip(stream.as_flattened()).for_each(|(text, stream)| *text ^= stream);
        }
    }
}
