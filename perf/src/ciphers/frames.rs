//! The packets, where they lie.
use super::plan::{Scenario, Size};
use crate::rng::Rng;
use crypto::Suite;

/// Where the payload stands in a frame: behind headroom, link, IP, UDP, ESP header and IV.
const PAYLOAD_AT: usize = 306;
/// Distance of frames, and of those for sizes that it has no room for.
const FRAME: usize = 2048;
const LARGE_FRAME: usize = 16_384;
/// Frames, large frames, and buffers of the hot scenario.
const FRAMES: usize = 1024;
const LARGE_FRAMES: usize = 256;
const HOT: usize = 32;
/// The largest payload of an ordinary frame.
const FITS: usize = FRAME - PAYLOAD_AT - 64;
/// Frames begin on a page.
const PAGE: usize = 4096;
const LINE: usize = 64;

/// Memory with one packet in each frame: ESP header, IV, payload with trailer, ICV.
#[derive(Clone)]
pub struct Frames {
    octets: Vec<u8>,
    start: usize,
    stride: usize,
    /// Of the packet in its frame.
    at: usize,
    /// Of each whole packet.
    lens: Vec<usize>,
    /// What stands before and behind a packet's payload.
    around: (usize, usize),
}

impl Frames {
    /// Of a scenario.
    pub fn new(suite: Suite, scenario: Scenario, size: Size) -> Self {
        let largest = match size {
            Size::Fixed(len) => usize::from(len).next_multiple_of(suite.block()),
            Size::Imix => 1420,
        };
        let (count, stride, payload_at) = match scenario {
            Scenario::Hot => (HOT, largest.next_multiple_of(LINE) + 2 * LINE, LINE),
            _ if largest > FITS => (LARGE_FRAMES, LARGE_FRAME, PAYLOAD_AT),
            _ => (FRAMES, FRAME, PAYLOAD_AT),
        };
        Self::of(suite, &lengths(size, count), stride, payload_at)
    }

    /// One packet for each of `payloads`, which are rounded up to the suite's block.
    pub fn of_lengths(suite: Suite, payloads: &[usize]) -> Self {
        Self::of(suite, payloads, LARGE_FRAME, PAYLOAD_AT)
    }

    fn of(suite: Suite, payloads: &[usize], stride: usize, payload_at: usize) -> Self {
        let around = (wire::esp::HEADER + suite.iv_len(), suite.icv_len());
        let whole = |len: &usize| around.0 + len.next_multiple_of(suite.block()) + around.1;
        let mut octets = vec![0; payloads.len() * stride + PAGE];
        let start = octets.as_ptr().align_offset(PAGE);
        let mut rng = Rng::new(1);
        for octet in &mut octets {
            *octet = rng.draw() as u8; // and touches every page
        }
        let lens = payloads.iter().map(whole).collect();
        let mut frames =
            Self { octets, start, stride, at: payload_at.saturating_sub(around.0), lens, around };
        for (packet, index) in frames.packets().zip(0..) {
            let header = wire::esp::Header { spi: 0x1000, sequence: sequence(index) as u32 };
            if let Some(place) = packet.first_chunk_mut() {
                *place = header.emit();
            }
        }
        frames
    }

    /// How many packets there are.
    pub fn count(&self) -> usize {
        self.lens.len()
    }

    /// Mean octets of payload and trailer.
    pub fn mean_payload(&self) -> f64 {
        let around = self.around.0 + self.around.1;
        let sum: usize = self.lens.iter().map(|len| len - around).sum();
        sum as f64 / self.lens.len().max(1) as f64
    }

    /// The packets, in order.
    pub fn packets(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let frames = self.octets.get_mut(self.start..).unwrap_or_default();
        let at = self.at;
        let pairs = frames.chunks_mut(self.stride).zip(&self.lens);
        pairs.filter_map(move |(frame, len)| frame.get_mut(at..at + len))
    }

    /// What is sealed of each packet.
    pub fn payloads(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (before, behind) = self.around;
        self.packets().filter_map(move |packet| {
            let end = packet.len().checked_sub(behind)?;
            packet.get_mut(before..end)
        })
    }

    /// Copies the packets of `other`, which is of the same shape.
    pub fn copy(&mut self, other: &mut Self) {
        for (to, from) in self.packets().zip(other.packets()) {
            to.copy_from_slice(from);
        }
    }
}

/// The number of packet `index`. From 1 on, as an SA counts.
pub fn sequence(index: usize) -> u64 {
    index as u64 + 1
}

/// IMIX keeps its proportions exactly in every dozen, and shuffles the whole.
fn lengths(size: Size, count: usize) -> Vec<usize> {
    match size {
        Size::Fixed(len) => vec![len.into(); count],
        Size::Imix => crate::traffic::imix(count, &mut Rng::new(3)).map(usize::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_stand_where_the_scenario_says() {
        for suite in Suite::all() {
            let mut frames = Frames::new(suite, Scenario::ManySas, Size::Fixed(100));
            let base = frames.octets.as_ptr() as usize + frames.start;
            assert_eq!(base % PAGE, 0);
            let at: Vec<usize> =
                frames.payloads().map(|payload| payload.as_ptr() as usize - base).collect();
            let wanted: Vec<usize> = (0..FRAMES).map(|frame| frame * FRAME + 306).collect();
            assert_eq!(at, wanted, "{suite}");
        }
    }

    #[test]
    fn every_packet_is_one_that_its_suite_accepts() {
        for suite in Suite::all() {
            for size in [Size::Fixed(64), Size::Fixed(1420), Size::Fixed(9000), Size::Imix] {
                for scenario in [Scenario::Hot, Scenario::OneSa] {
                    let mut frames = Frames::new(suite, scenario, size);
                    let count = frames.count();
                    let accepted =
                        frames.packets().filter(|packet| suite.accepts(packet.len())).count();
                    assert_eq!(accepted, count, "{suite} {size}");
                }
            }
        }
    }
}
