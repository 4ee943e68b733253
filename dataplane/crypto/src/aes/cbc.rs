//! AES-CBC (RFC 3602): encryption in lanes across packets, decryption wide along each.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
#![allow(
    clippy::indexing_slicing,
    reason = "lanes and rounds of fixed arrays, in loops that unroll"
)]
use super::{CbcJob, DecryptKey, EncryptKey, cmac};
use crate::mac::MacJob;

pub(crate) mod chain;
mod decrypt;
pub(super) mod lanes;
mod single;
pub(crate) mod vector;

use chain::Chain;
use lanes::{CHAINS, Chained};
use vector::Block;

/// The entries of one tier: what a function pointer can hold.
macro_rules! tier {
    ($name:ident) => {
        pub(super) mod $name {
            use super::*;

            /// Encrypts every job in place. Whatever is behind the last whole block stays as it is.
            pub fn encrypt(jobs: &mut [CbcJob<'_, EncryptKey>]) {
                for jobs in jobs.chunks_mut(CHAINS) {
                    // SAFETY: a key holds this kernel only on a backend whose features the CPU has.
                    unsafe { chain::$name::run(jobs) };
                }
            }

            /// Decrypts every job in place. Whatever is behind the last whole block stays as it is.
            pub fn decrypt(jobs: &mut [CbcJob<'_, DecryptKey>]) {
                // SAFETY: as above.
                unsafe { decrypt::$name::run(jobs) };
            }

            /// Encrypts every block by itself.
            pub fn blocks(key: &EncryptKey, blocks: &mut [Block]) {
                // SAFETY: as above.
                unsafe { single::$name::run(key, blocks) };
            }

            /// Runs chains that only read.
            pub fn chains(chains: &mut [Chain<'_>]) {
                for chains in chains.chunks_mut(CHAINS) {
                    // SAFETY: as above.
                    unsafe { chain::$name::run(chains) };
                }
            }

            /// AES-XCBC-MAC and AES-CMAC.
            pub fn mac(jobs: &mut [MacJob<'_>]) {
                cmac::mac(jobs, chains);
            }
        }
    };
}

tier!(narrow);
tier!(vaes256);
tier!(vaes512);

impl<'a> Chained<'a> for CbcJob<'a, EncryptKey> {
    type Part = &'a mut [Block];

    fn key(&self) -> &'a EncryptKey {
        self.key
    }

    fn state(&self) -> Block {
        self.iv
    }

    fn count(&self) -> usize {
        self.body.len() / 16
    }

    fn take(&mut self) -> Option<&'a mut [Block]> {
        let (blocks, _) = core::mem::take(&mut self.body).as_chunks_mut();
        (!blocks.is_empty()).then_some(blocks)
    }

    fn end(&mut self, _state: Block) {}
}
