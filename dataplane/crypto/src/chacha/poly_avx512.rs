//! Poly1305 in eight lanes, without AVX-512 IFMA.
use super::lanes8 as lanes;
use super::limbs26::limbs26;

limbs26!("avx2,avx512f,avx512bw,avx512vl,avx512dq");
