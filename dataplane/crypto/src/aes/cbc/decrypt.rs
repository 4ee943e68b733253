//! CBC decryption: every block can be had at once, so wide along the packet.
use super::vector::Block;
use crate::aes::{CbcJob, DecryptKey};

/// Stamps out the decryption for one width of vector.
macro_rules! decrypts {
    ($name:ident, $features:tt, $width:ident, $vectors:literal) => {
        pub(in crate::aes) mod $name {
            use super::super::vector::{load, $width as vector};
            use super::*;
            use vector::{Vector, WIDTH};

            /// Decrypts every job in place; keys all of one length.
            #[target_feature(enable = $features)]
            pub fn run(jobs: &mut [CbcJob<'_, DecryptKey>]) {
                match jobs.first().map(|job| job.key.rounds()) {
                    Some(10) => keyed::<11>(jobs),
                    Some(12) => keyed::<13>(jobs),
                    Some(14) => keyed::<15>(jobs),
                    _ => (),
                }
            }

            #[target_feature(enable = $features)]
            fn keyed<const KEYS: usize>(jobs: &mut [CbcJob<'_, DecryptKey>]) {
                for job in jobs {
                    let Some(keys) = job.key.keys().first_chunk() else { continue };
                    packet::<KEYS>(keys, &job.iv, job.body.as_chunks_mut().0);
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn packet<const KEYS: usize>(keys: &[Block; KEYS], iv: &Block, body: &mut [Block]) {
                let mut spread = [vector::spread(load(&[0; 16])); KEYS];
                for (spread, key) in spread.iter_mut().zip(keys) {
                    *spread = vector::spread(load(key));
                }
                let mut before = vector::spread(load(iv));
                let (chunks, rest) = body.as_chunks_mut::<{ $vectors * WIDTH }>();
                for chunk in chunks {
                    before = part::<KEYS, $vectors>(&spread, before, chunk);
                }
                match rest.len().div_ceil(WIDTH) {
                    0 => before,
                    1 => part::<KEYS, 1>(&spread, before, rest),
                    2 => part::<KEYS, 2>(&spread, before, rest),
                    3 => part::<KEYS, 3>(&spread, before, rest),
                    4 => part::<KEYS, 4>(&spread, before, rest),
                    5 => part::<KEYS, 5>(&spread, before, rest),
                    6 => part::<KEYS, 6>(&spread, before, rest),
                    7 => part::<KEYS, 7>(&spread, before, rest),
                    _ => part::<KEYS, 8>(&spread, before, rest),
                };
            }

            /// At most `VECTORS` vectors of blocks, `before` being the ciphertext in front of them. Returns
            /// the ciphertext of the last vector.
            #[inline]
            #[target_feature(enable = $features)]
            fn part<const KEYS: usize, const VECTORS: usize>(
                keys: &[Vector; KEYS],
                before: Vector,
                blocks: &mut [Block],
            ) -> Vector {
                let mut last = before;
                let mut state = [before; VECTORS];
                for (k, state) in state.iter_mut().enumerate() {
                    last = vector::load_blocks(blocks.get(k * WIDTH..).unwrap_or_default());
                    *state = vector::xor(last, keys[0]);
                }
                for key in &keys[1..KEYS - 1] {
                    for state in &mut state {
                        *state = vector::decrypt(*state, *key);
                    }
                }
                // all of the ciphertext is read once more before any of it is overwritten
                let first = vector::load_blocks(blocks);
                for (k, state) in state.iter_mut().enumerate() {
                    let previous = match k {
                        0 => vector::shift_in(before, first),
                        _ => vector::load_blocks(blocks.get(k * WIDTH - 1..).unwrap_or_default()),
                    };
                    *state = vector::decrypt_last(*state, vector::xor(keys[KEYS - 1], previous));
                }
                for (k, state) in state.into_iter().enumerate() {
                    vector::store_blocks(blocks.get_mut(k * WIDTH..).unwrap_or_default(), state);
                }
                last
            }
        }
    };
}

decrypts!(narrow, "aes,avx2", x1, 8);
decrypts!(vaes256, "aes,vaes,avx2", x2, 8);
decrypts!(vaes512, "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl", x4, 4);
