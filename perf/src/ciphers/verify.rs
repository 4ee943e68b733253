//! Before anything is timed: everybody does what `portable` does, to the octet.
use super::contender::Contender;
use super::frames::Frames;
use crypto::Suite;

/// SAs that the packets of the check take turns in: no multiple of a lane count.
pub const SAS: usize = 37;

/// A contender that is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// Of packets that `portable` sealed.
    #[error("{0}, {1}: opened {2} of {3} packets that portable sealed")]
    Refused(Suite, String, usize, usize),
    /// What it opened is not what was sealed.
    #[error("{0}, {1}: a payload of {2} octets came out wrong")]
    Plaintext(Suite, String, usize),
    /// What it sealed is not what `portable` seals.
    #[error(
        "{0}, {1}: a packet of {2} octets is sealed otherwise than portable does, at octet {3}"
    )]
    Ciphertext(Suite, String, usize, usize),
    /// What it sealed does not open.
    #[error("{0}, {1}: portable opened {2} of {3} packets that it sealed")]
    Unopenable(Suite, String, usize, usize),
    /// It took a forgery for genuine.
    #[error("{0}, {1}: took {2} forged packets for genuine")]
    Forged(Suite, String, usize),
}

/// Payload lengths that are tried: every length of up to 5 blocks, all tails, and those that will be measured.
pub fn lengths(sizes: impl Iterator<Item = usize>) -> Vec<usize> {
    (1..=80).chain((84..=1024).step_by(12)).chain([1420, 1424]).chain(sizes).collect()
}

/// Checks every contender against the first, which is `portable`.
///
/// # Errors
/// The first thing that is [`Wrong`].
pub fn verify(suite: Suite, contenders: &mut [Contender], lengths: &[usize]) -> Result<(), Wrong> {
    let mut plain = Frames::of_lengths(suite, lengths);
    let mut sealed = plain.clone();
    let Some((portable, others)) = contenders.split_first_mut() else { return Ok(()) };
    portable.seal(&mut sealed);
    for other in others {
        let mut check =
            Check { suite, plain: &mut plain, sealed: &mut sealed, name: other.name.clone() };
        let mut frames = check.sealed.clone();
        check.opens(other, &mut frames)?;
        check.seals(other, portable, &mut frames)?;
        check.refuses_forgeries(other, &mut frames)?;
    }
    Ok(())
}

struct Check<'f> {
    suite: Suite,
    plain: &'f mut Frames,
    sealed: &'f mut Frames,
    name: String,
}

impl Check<'_> {
    fn opens(&mut self, other: &mut Contender, frames: &mut Frames) -> Result<(), Wrong> {
        let (good, all) = (other.open(frames).good, frames.count());
        if good != all {
            return Err(Wrong::Refused(self.suite, self.name.clone(), good, all));
        }
        self.same_plaintext(frames)
    }

    fn same_plaintext(&mut self, frames: &mut Frames) -> Result<(), Wrong> {
        let mut pairs = self.plain.payloads().zip(frames.payloads());
        match pairs.find(|(wanted, got)| wanted != got) {
            Some((wanted, _)) => Err(Wrong::Plaintext(self.suite, self.name.clone(), wanted.len())),
            None => Ok(()),
        }
    }

    /// `frames` is what was opened before, so portable's IVs are still in it: a rival uses them again. A backend of
    /// ours makes IVs of its own, which are the same only where the packet's number decides them.
    fn seals(
        &mut self,
        other: &mut Contender,
        portable: &mut Contender,
        frames: &mut Frames,
    ) -> Result<(), Wrong> {
        other.seal(frames);
        let own_ivs = other.is_ours() && !self.suite.counter_mode() && self.suite.iv_len() > 0;
        if !own_ivs {
            self.same_ciphertext(frames)?;
        }
        let (good, all) = (portable.open(frames).good, frames.count());
        if good != all {
            return Err(Wrong::Unopenable(self.suite, self.name.clone(), good, all));
        }
        self.same_plaintext(frames)
    }

    fn same_ciphertext(&mut self, frames: &mut Frames) -> Result<(), Wrong> {
        for (wanted, got) in self.sealed.packets().zip(frames.packets()) {
            if let Some(at) = wanted.iter().zip(&*got).position(|(wanted, got)| wanted != got) {
                return Err(Wrong::Ciphertext(self.suite, self.name.clone(), got.len(), at));
            }
        }
        Ok(())
    }

    /// One octet of each is wrong, another in each.
    fn refuses_forgeries(
        &mut self,
        other: &mut Contender,
        frames: &mut Frames,
    ) -> Result<(), Wrong> {
        frames.copy(self.sealed);
        for (index, payload) in frames.payloads().enumerate() {
            let at = index % payload.len().max(1);
            if let Some(octet) = payload.get_mut(at) {
                *octet ^= 1 << (index % 8);
            }
        }
        match other.open(frames).good {
            0 => Ok(()),
            taken => Err(Wrong::Forged(self.suite, self.name.clone(), taken)),
        }
    }
}
