//! Poly1305 in four lanes.
use super::lanes4 as lanes;
use super::limbs26::limbs26;

limbs26!("avx2");
