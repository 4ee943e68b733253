//! AES on the CPU's own instructions, in four tiers, packets abreast.
use crate::backend::Family;
use crate::mac::MacKernel;

mod abreast;
pub(crate) mod cbc;
mod ccm;
mod cmac;
mod ctr;
mod gcm;
mod ghash;
mod lanes;
pub(crate) mod schedule;
mod tables;

pub(crate) use ccm::CcmKey;
pub(crate) use cmac::AesMacKey;
pub(crate) use gcm::{GcmKey, prefetch_key};
pub(crate) use schedule::{DecryptKey, EncryptKey};
pub(crate) use tables::{AESNI, AVX512, VAES, VAES256};

/// One tier's kernels. All of them take packets that [`seal`](crate::seal) and [`open`](crate::open) have
/// found sound, or that the encrypt-then-MAC driver cut out of such packets; at most 64 at once.
pub(crate) struct Kernels {
    /// AES-GCM-16, -12, -8.
    pub gcm: Family,
    /// GMAC. `None`: portable runs it.
    pub gmac: Option<Family>,
    /// AES-CCM-16, -12, -8.
    pub ccm: Family,
    /// Counter mode alone, in place: the same both ways.
    pub ctr: CtrKernel,
    /// CBC encryption across packets.
    pub cbc_encrypt: CbcEncryptKernel,
    /// CBC decryption along and across packets.
    pub cbc_decrypt: CbcDecryptKernel,
    /// AES-XCBC-MAC and AES-CMAC.
    pub mac: MacKernel,
    /// Chains that only read, of which those MACs and CCM's are made.
    pub chains: cbc::chain::ChainKernel,
    /// Blocks by themselves: CBC's IVs.
    pub blocks: fn(&EncryptKey, &mut [[u8; 16]]),
}

pub(crate) type CtrKernel = fn(&mut [CtrJob<'_>]);
pub(crate) type CbcEncryptKernel = fn(&mut [CbcJob<'_, EncryptKey>]);
pub(crate) type CbcDecryptKernel = fn(&mut [CbcJob<'_, DecryptKey>]);

/// One packet's body under a counter that starts at `counter_block`: nonce ‖ IV ‖ 1 (RFC 3686 §4).
pub(crate) struct CtrJob<'a> {
    pub key: &'a EncryptKey,
    pub counter_block: [u8; 16],
    pub body: &'a mut [u8],
}

/// One packet's body in CBC mode, whole blocks; the key of its direction.
pub(crate) struct CbcJob<'a, Key> {
    pub key: &'a Key,
    pub iv: [u8; 16],
    pub body: &'a mut [u8],
}
