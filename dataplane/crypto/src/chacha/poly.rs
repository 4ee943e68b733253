//! Poly1305 (RFC 8439 §2.5) as every tier cuts it up: messages, blocks, and which lane starts when.
//!
//! A message is AAD, body and lengths (RFC 8439 §2.8.1), each padded to whole blocks. A lane takes four
//! blocks in a step, so that one carry serves four. Messages are aligned at their ends: a shorter one
//! begins later, ahead of its first block come blocks that are not there, zero even in bit 128, which
//! leave the sum at zero, and until then its lane adds up rubbish. So all lanes end together and no lane's
//! state is ever put aside.
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
    /// Octets of the AAD and of the body: the last block (RFC 8439 §2.8.1).
    pub lengths: [u64; 2],
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

/// The steps of all lanes together. They take as many as the longest message.
pub(super) struct Steps<'m, 'a, const LANES: usize> {
    messages: &'m [Message<'a>; LANES],
    /// The step in which each message begins.
    begins: [usize; LANES],
    pub all: usize,
}

impl<'m, 'a, const LANES: usize> Steps<'m, 'a, LANES> {
    pub fn of(messages: &'m [Message<'a>; LANES]) -> Self {
        let steps = messages.each_ref().map(|message| message.blocks().div_ceil(STEP));
        let all = steps.into_iter().max().unwrap_or(0);
        Self { messages, begins: steps.map(|steps| all - steps), all }
    }

    /// Blocks from the beginning of `step` to the end.
    pub fn remaining(&self, step: usize) -> usize {
        (self.all - step) * STEP
    }

    /// The steps behind `step` in which no message begins or ends.
    #[inline(always)]
    pub fn quiet_after(&self, step: usize) -> Range<usize> {
        let later = self.begins.iter().filter(|begin| **begin > step);
        let end = later.fold(self.all - 1, |end, begin| end.min(*begin));
        step + 1..end.max(step + 1)
    }

    /// What the lanes read in a quiet range: their bodies. A lane whose message has not begun reads what
    /// it likes: its sum is cleared when the message begins.
    pub fn bodies(&self, quiet: &Range<usize>) -> [&'a [[u8; STEP * BLOCK]]; LANES] {
        let whole = |message: &Message<'a>| {
            let (steps, _rest) = message.part(self.remaining(quiet.start)).body.as_chunks();
            steps.get(..quiet.len())
        };
        let spare = self.messages.iter().find_map(whole).unwrap_or_default();
        self.messages.each_ref().map(|message| whole(message).unwrap_or(spare))
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
            let lengths = lanes::lengths(messages);
            let steps = Steps::of(messages);
            let mut sum: Limbs = zero();
            let mut step = 0;
            while step < steps.all {
                let remaining = steps.remaining(step);
                let words = lanes::ragged(messages, remaining, lengths);
                let bits = lanes::bit128::<BIT128>(lengths, remaining);
                sum = absorb(lanes::begun(sum, lengths, remaining), words, bits, &powers);
                let quiet = steps.quiet_after(step);
                step = quiet.end;
                if !quiet.is_empty() {
                    sum = bodies(sum, steps.bodies(&quiet), &powers);
                }
            }
            lanes::tags(finish(sum), messages)
        }

        /// Steps in which every lane reads nothing but body.
        #[inline]
        #[target_feature(enable = $features)]
        fn bodies(mut sum: Limbs, bodies: lanes::Bodies<'_>, powers: &[Power; STEP]) -> Limbs {
            let mut step = 0;
            while let Some(words) = lanes::whole(&bodies, step) {
                sum = absorb(sum, words, [set(1 << BIT128); STEP], powers);
                step += 1;
            }
            sum
        }
    };
}
pub(super) use authenticate;
