//! Hashes on their way to tags (NIST SP 800-38D §7.1, step 6).
use super::super::abreast::{Beside, unrolled};
use super::super::ghash::{Reduction, Sums};
use super::super::lanes::Lanes;

/// Those of `P` packets, made beside the AES of later ones.
pub(super) struct Tags<L: Lanes, const P: usize> {
    hashes: [Reduction<L>; P],
    /// E(J0), then the tags; in lane 0.
    tags: [L::V; P],
}

impl<L: Lanes, const P: usize> Tags<L, P> {
    /// Of packets whose hashes lack nothing but their reduction. `counters`: E(J0) in lane 0.
    #[inline(always)]
    pub fn new(sums: [Sums<L>; P], counters: [L::V; P]) -> Self {
        Self { hashes: sums.map(Reduction::new), tags: counters }
    }

    /// Of nothing.
    #[inline(always)]
    pub fn none(l: L) -> Self {
        Self::new([Sums::new(l); P], [l.zero(); P])
    }

    /// All of them, where no AES is at hand.
    #[inline(always)]
    pub fn alone(mut self, l: L) -> [L::V; P] {
        unrolled!(I < 8 => {
            self.step(l, I);
        });
        self.finish()
    }

    /// In lane 0.
    #[inline(always)]
    pub fn finish(self) -> [L::V; P] {
        self.tags
    }
}

impl<L: Lanes, const P: usize> Beside<L> for Tags<L, P> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        unrolled!(I < P => {
            self.hashes[I].step(l, round);
            if round == Reduction::<L>::DONE {
                let hash = l.fold(self.hashes[I].lanes());
                self.tags[I] = l.xor(l.reverse(hash), self.tags[I]);
                l.fence(&mut self.tags[I]);
            }
        });
    }
}
