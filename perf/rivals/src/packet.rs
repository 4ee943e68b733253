//! One packet as C sees it.
#![allow(unsafe_code, reason = "a shim in C takes a pointer, so a packet must be one")]
use crate::algorithm::Algorithm;
use core::marker::PhantomData;

/// An ESP packet in place: header ‖ IV ‖ body ‖ ICV. `struct rival_packet` of c/rival.h, field by field.
#[repr(C)]
pub struct Packet<'p> {
    octets: *mut u8,
    len: u32,
    sa: u32,
    nonce: [u8; 12],
    borrowed: PhantomData<&'p mut [u8]>,
}

const _: () = assert!(size_of::<Packet<'_>>() == 32, "as in c/rival.h");

impl<'p> Packet<'p> {
    /// A packet of SA number `sa` whose IV is already in it. `salt` is what stands before the IV in a counter mode's
    /// nonce. `None`: the packet has no room for its parts.
    pub fn new(
        algorithm: &Algorithm,
        sa: u32,
        salt: [u8; 4],
        octets: &'p mut [u8],
    ) -> Option<Self> {
        let len = u32::try_from(octets.len()).ok()?;
        if !algorithm.fits(octets.len()) {
            return None;
        }
        let mut nonce = [0; 12];
        let (before, after) = nonce.split_first_chunk_mut::<4>()?;
        *before = salt;
        after.copy_from_slice(octets.get(8..16)?);
        Some(Self { octets: octets.as_mut_ptr(), len, sa, nonce, borrowed: PhantomData })
    }

    /// Which SA.
    pub(crate) fn sa(&self) -> usize {
        self.sa as usize
    }

    /// Salt and IV.
    pub(crate) fn nonce(&self) -> [u8; 12] {
        self.nonce
    }

    /// All of it.
    pub(crate) fn octets(&mut self) -> &mut [u8] {
        // SAFETY: pointer and length are those of a slice that is borrowed mutably for 'p, which outlives the borrow of
        // `self`; `Packet` is neither `Clone` nor `Copy`, so nobody else makes a slice of it meanwhile.
        unsafe { core::slice::from_raw_parts_mut(self.octets, self.len as usize) }
    }

    /// Whether each packet is one that a shim may touch: its SA is one of `sas`, its parts lie inside it.
    pub(crate) fn all_within(batch: &[Self], sas: usize, algorithm: &Algorithm) -> bool {
        batch.iter().all(|packet| packet.sa() < sas && algorithm.fits(packet.len as usize))
    }
}
