//! AES-CBC (RFC 3602): encryption in lanes across packets, decryption wide along each.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
#![allow(
    clippy::indexing_slicing,
    reason = "lanes and rounds of fixed arrays, in loops that unroll"
)]
use core::cell::Cell;

use arrayvec::ArrayVec;

use super::{CbcJob, DecryptKey, EncryptKey, cmac};
use crate::mac::MacJob;

pub(crate) mod chain;
mod decrypt;
mod single;
pub(crate) mod vector;

use chain::{CHAINS, Chain, IDLE};
use vector::Block;

/// The entries of one tier: what a function pointer can hold.
macro_rules! tier {
    ($name:ident) => {
        pub(super) mod $name {
            use super::*;

            /// Encrypts every job in place. Whatever is behind the last whole block stays as it is.
            pub fn encrypt(jobs: &mut [CbcJob<'_, EncryptKey>]) {
                encrypt_with(jobs, |chains, idle| {
                    // SAFETY: a key holds this kernel only on a backend whose features the CPU has.
                    unsafe { chain::$name::run(chains, idle) }
                });
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
            pub fn chains<'a>(chains: &mut [Chain<'a, &'a [Block]>]) {
                // SAFETY: as above.
                unsafe { chain::$name::run(chains, &[[0; 16]; IDLE]) };
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

type Cells<'a> = &'a [Cell<Block>];

fn encrypt_with(
    jobs: &mut [CbcJob<'_, EncryptKey>],
    run: impl for<'x> Fn(&mut [Chain<'x, Cells<'x>>], Cells<'x>),
) {
    let mut idle = [[0; 16]; IDLE];
    let idle = Cell::from_mut(idle.as_mut_slice()).as_slice_of_cells();
    for jobs in jobs.chunks_mut(CHAINS) {
        let mut chains: ArrayVec<_, CHAINS> = jobs.iter_mut().map(chain_of).collect();
        run(&mut chains, idle);
    }
}

fn chain_of<'j>(job: &'j mut CbcJob<'_, EncryptKey>) -> Chain<'j, Cells<'j>> {
    let blocks: &mut [Block] = job.body.as_chunks_mut().0;
    let body = Cell::from_mut(blocks).as_slice_of_cells();
    Chain { key: job.key, state: job.iv, parts: [body, &[], &[]] }
}
