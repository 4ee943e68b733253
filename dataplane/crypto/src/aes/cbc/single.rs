//! Blocks by themselves under one key: where CBC's IVs come from.
use super::vector::Block;
use crate::aes::EncryptKey;

/// Stamps out the encryption for one width of vector.
macro_rules! singles {
    ($name:ident, $features:tt, $width:ident, $vectors:literal) => {
        pub(in crate::aes) mod $name {
            use super::super::vector::{load, $width as vector};
            use super::*;
            use vector::WIDTH;

            /// Encrypts every block in place.
            #[target_feature(enable = $features)]
            pub fn run(key: &EncryptKey, blocks: &mut [Block]) {
                for chunk in blocks.chunks_mut($vectors * WIDTH) {
                    some(key, chunk);
                }
            }

            /// At most as many as fit.
            #[inline]
            #[target_feature(enable = $features)]
            fn some(key: &EncryptKey, blocks: &mut [Block]) {
                let (first, rounds) = key.keys().split_at(1);
                let (middle, rest) = rounds.split_at(key.rounds() - 1);
                let [first, last] = [first, rest].map(|keys| vector::spread(load(&keys[0])));
                let mut state = [first; $vectors];
                for (k, state) in state.iter_mut().enumerate() {
                    let text = vector::load_blocks(blocks.get(k * WIDTH..).unwrap_or_default());
                    *state = vector::xor(*state, text);
                }
                for key in middle {
                    let key = vector::spread(load(key));
                    for state in &mut state {
                        *state = vector::encrypt(*state, key);
                    }
                }
                for (k, state) in state.into_iter().enumerate() {
                    let to = blocks.get_mut(k * WIDTH..).unwrap_or_default();
                    vector::store_blocks(to, vector::encrypt_last(state, last));
                }
            }
        }
    };
}

singles!(narrow, "aes,avx2", x1, 8);
singles!(vaes256, "aes,vaes,avx2", x2, 8);
singles!(vaes512, "aes,vaes,avx512f,avx512bw,avx512dq,avx512vl", x4, 4);
