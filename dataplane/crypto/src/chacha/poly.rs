//! Poly1305 (RFC 8439 §2.5) as every tier cuts it up: messages, blocks, and which lane starts when.
//!
//! A message is AAD, body and lengths (RFC 8439 §2.8.1), each padded to whole blocks. A lane takes four
//! blocks in a step, so that one carry serves four. Messages are aligned at their ends: a shorter one
//! starts later, and until then its lane holds blocks that are not there, zero even in bit 128, which
//! leave the sum at zero. So all lanes end together and no lane's state is ever put aside.
use core::ops::Range;

/// Octets of a tag.
pub(super) const TAG: usize = 16;
/// Octets of a block of Poly1305.
pub(super) const BLOCK: usize = 16;
/// Blocks that a lane takes in one step.
pub(super) const STEP: usize = 4;
/// Messages authenticated at once, in one or in two vectors.
pub(super) const MESSAGES: usize = 8;

/// Their tags.
pub(super) type Tags = [[u8; TAG]; MESSAGES];

/// What a tag covers, and its one-time key.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// r, then s (RFC 8439 §2.5).
    pub key: &'a [u8; 32],
    /// Padded with zeros.
    pub aad: &'a [u8; BLOCK],
    /// Octets of `aad` that count.
    pub aad_len: u64,
    pub body: &'a [u8],
}

/// What a lane reads in one step: nothing, AAD, body and zeros, or some of them. In the last step the
/// lengths take the place of the fourth block, which is zeros.
pub(super) struct Part<'a> {
    /// Blocks ahead of the body's, 0 to 5, as many as fit; the last of them is the AAD.
    pub ahead: usize,
    /// Perhaps longer than what fits.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// A block for the AAD, one for the lengths, and the body's.
    pub fn blocks(&self) -> usize {
        self.body.len().div_ceil(BLOCK) + 2
    }

    /// The tag: the low 128 bits of the sum, plus s (RFC 8439 §2.5.1).
    #[inline]
    pub fn tag(&self, low: u64, high: u64) -> [u8; TAG] {
        let [_r, s] = self.key.as_chunks().0 else { return [0; TAG] };
        let sum = u128::from(high) << 64 | u128::from(low);
        sum.wrapping_add(u128::from_le_bytes(*s)).to_le_bytes()
    }

    /// What lies in the step that begins `remaining` blocks before the end, a multiple of [`STEP`].
    #[inline(always)]
    pub fn part(&self, remaining: usize) -> Part<'a> {
        // block 0 is the AAD, so the body's octets start with block 1
        let from = self.blocks().saturating_sub(remaining + 1) * BLOCK;
        let ahead = (remaining + 1).saturating_sub(self.blocks()).min(STEP + 1);
        Part { ahead, body: self.body.get(from..).unwrap_or_default() }
    }
}

/// Which steps there are, for all lanes together.
pub(super) struct Steps {
    pub all: usize,
    /// In these every lane reads nothing but body: after the one in which the last message begins, and
    /// before the last of all.
    pub whole: Range<usize>,
}

impl Steps {
    pub fn of(messages: &[Message<'_>]) -> Self {
        let blocks = || messages.iter().map(Message::blocks);
        let all = blocks().max().unwrap_or(0).div_ceil(STEP);
        let begun = all * STEP - blocks().min().unwrap_or(0);
        let first = begun / STEP + 1;
        Self { all, whole: first..all.saturating_sub(1).max(first) }
    }

    /// Blocks from the beginning of `step` to the end.
    pub fn remaining(&self, step: usize) -> usize {
        (self.all - step) * STEP
    }

    /// What every message has in the steps that are all body.
    pub fn bodies<'a, const LANES: usize>(
        &self,
        messages: &[Message<'a>; LANES],
    ) -> [&'a [[u8; STEP * BLOCK]]; LANES] {
        let body = |message: &Message<'a>| {
            let (steps, _rest) = message.part(self.remaining(self.whole.start)).body.as_chunks();
            steps.get(..self.whole.len()).unwrap_or_default()
        };
        messages.each_ref().map(body)
    }
}

/// The skeleton, for a file that has `Limbs`, `Power`, `BIT128`, `powers`, `absorb` and `finish`, and the
/// lanes they lie in as `lanes`.
macro_rules! authenticate {
    ($features:literal) => {
        /// The tags of one message for each lane.
        #[target_feature(enable = $features)]
        pub(super) fn authenticate(messages: &lanes::Messages<'_>) -> [[u8; TAG]; lanes::LANES] {
            let powers = powers(lanes::keys(messages));
            let steps = Steps::of(messages);
            let mut sum = lanes::zero::<{ size_of::<Limbs>() / size_of::<lanes::Vector>() }>();
            sum = ragged(sum, messages, &steps, 0..steps.whole.start, &powers);
            sum = whole(sum, steps.bodies(messages), &powers);
            sum = ragged(sum, messages, &steps, steps.whole.end..steps.all, &powers);
            lanes::tags(finish(sum), messages)
        }

        /// The steps in which messages begin or end.
        #[target_feature(enable = $features)]
        fn ragged(
            mut sum: Limbs,
            messages: &lanes::Messages<'_>,
            steps: &Steps,
            range: Range<usize>,
            powers: &[Power; STEP],
        ) -> Limbs {
            let lengths = lanes::lengths(messages);
            for step in range {
                let remaining = steps.remaining(step);
                let mut words = lanes::ragged(messages, remaining);
                if remaining == STEP {
                    words[STEP - 1] = lengths;
                }
                sum = absorb(sum, words, lanes::bit128::<BIT128>(lengths[1], remaining), powers);
            }
            sum
        }

        /// The steps in which every lane reads nothing but body.
        #[target_feature(enable = $features)]
        fn whole(mut sum: Limbs, bodies: lanes::Bodies<'_>, powers: &[Power; STEP]) -> Limbs {
            let mut step = 0;
            while let Some(words) = lanes::whole(&bodies, step) {
                sum = absorb(sum, words, [lanes::set(1 << BIT128); STEP], powers);
                step += 1;
            }
            sum
        }
    };
}
pub(super) use authenticate;
