//! IPv4 fragmentation (RFC 791 §3.2): before encryption, or for a narrow link.
use crate::packet::{Plain, Summary};
use crate::turn::Turn;
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason};
use wire::{checksum, ip};
use xsk::{Frame, NoRoom};

/// A packet cut into pieces that are taken one by one. Each piece is a frame of its own.
pub(crate) struct Pieces {
    whole: Plain,
    mtu: usize,
    /// Octets of payload already in pieces.
    done: usize,
    failed: Option<DropReason>,
}

type Header = ArrayVec<u8, 60>;

impl Pieces {
    pub fn new(whole: Plain, mtu: usize) -> Self {
        Self { whole, mtu, done: 0, failed: None }
    }

    /// The next piece; `None` behind the last, or when there is no frame for it.
    pub fn next(&mut self, turn: &mut Turn<'_>) -> Option<Plain> {
        let payload = self.whole.frame.get(self.whole.ip.header_len + self.done..)?;
        if payload.is_empty() || self.failed.is_some() {
            return None;
        }
        let mut header = self.header()?;
        let room = self.mtu.saturating_sub(header.len());
        let len = if payload.len() <= room { payload.len() } else { room - room % 8 };
        if len == 0 {
            self.failed = Some(DropReason::TooBig); // a link below RFC 791's 68 octets
            return None;
        }
        let fragment = self.place(len, len < payload.len());
        finish_header(&mut header, len, fragment);
        let Some(mut frame) = turn.desk.pool.take() else {
            self.failed = Some(DropReason::NoFrame);
            return None;
        };
        if write(&mut frame, &header, payload.get(..len)?).is_err() {
            turn.desk.pool.put(frame);
            self.failed = Some(DropReason::NoRoom);
            return None;
        }
        self.done += len;
        Some(self.piece(frame, header.len(), fragment))
    }

    /// Gives the whole packet's frame back: as fragmented, or under the reason why it could not be.
    pub fn finish(self, turn: &mut Turn<'_>) {
        match self.failed {
            Some(why) => turn.drop(self.whole.frame, why),
            None => {
                turn.count(Counter::Fragmented);
                turn.desk.pool.put(self.whole.frame);
            }
        }
    }

    /// Where a piece stands in the packet, which may itself be a fragment.
    fn place(&self, _len: usize, more: bool) -> ip::Fragment {
        let outer = self.whole.ip.fragment;
        let (base, behind) = outer.map_or((0, false), |outer| (outer.offset, outer.more));
        let id = self
            .whole
            .frame
            .get(4..6)
            .map_or(0, |id| id.iter().fold(0, |n, &o| n << 8 | u32::from(o)));
        ip::Fragment { offset: base + self.done as u16, more: more || behind, id }
    }

    /// The first piece keeps all options, later ones those that ask for it.
    fn header(&self) -> Option<Header> {
        let octets = self.whole.frame.get(..self.whole.ip.header_len)?;
        if self.done == 0 {
            return Header::try_from(octets).ok();
        }
        let (fixed, options) = octets.split_at_checked(20)?;
        let mut header = Header::try_from(fixed).ok()?;
        copied(options, &mut header);
        Some(header)
    }

    fn piece(&self, frame: Frame, header_len: usize, fragment: ip::Fragment) -> Plain {
        let total_len = frame.len();
        let ports = self.whole.ip.ports.filter(|_| fragment.offset == 0);
        let ip =
            Summary { header_len, total_len, ports, fragment: Some(fragment), ..self.whole.ip };
        Plain { frame, ip, origin: self.whole.origin }
    }
}

/// The options whose copied flag is set (RFC 791 §3.1), padded to a multiple of four.
fn copied(mut options: &[u8], header: &mut Header) {
    while let [kind, rest @ ..] = options {
        let len = match (kind, rest) {
            (0, _) => break,
            (1, _) => 1,
            (_, [len, ..]) if *len >= 2 => usize::from(*len),
            _ => break,
        };
        let Some((option, behind)) = options.split_at_checked(len) else { break };
        if kind & 0x80 != 0 && header.try_extend_from_slice(option).is_err() {
            break;
        }
        options = behind;
    }
    while header.len() % 4 != 0 && header.try_push(0).is_ok() {}
}

fn finish_header(header: &mut Header, payload_len: usize, fragment: ip::Fragment) {
    let words = (header.len() / 4) as u8;
    let [l0, l1] = ((header.len() + payload_len) as u16).to_be_bytes();
    let [f0, f1] = ((u16::from(fragment.more) << 13) | fragment.offset >> 3).to_be_bytes();
    if let Some([version, _, a, b, _, _, c, d, _, _, e, f]) = header.first_chunk_mut::<12>() {
        (*version, *a, *b, *c, *d, *e, *f) = (0x40 | words, l0, l1, f0, f1, 0, 0);
    }
    let [s0, s1] = checksum::checksum(header).to_be_bytes();
    if let Some([.., e, f]) = header.first_chunk_mut::<12>() {
        (*e, *f) = (s0, s1);
    }
}

fn write(frame: &mut Frame, header: &[u8], payload: &[u8]) -> Result<(), NoRoom> {
    frame.extend(header.len())?.copy_from_slice(header);
    frame.extend(payload.len())?.copy_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fragments_carry_only_the_options_that_ask_for_it() {
        // record route (7, not copied), loose source route (0x83, copied), no-op, router alert (0x94, copied)
        let options = [7, 3, 4, 0x83, 3, 4, 1, 0x94, 4, 0, 0, 0];
        let mut header = Header::new();
        copied(&options, &mut header);
        assert_eq!(header.as_slice(), [0x83, 3, 4, 0x94, 4, 0, 0, 0]);
    }

    #[test]
    fn an_option_that_lies_about_its_length_ends_the_walk() {
        for options in [&[0x83, 0, 1, 1][..], &[0x83, 9, 1, 1], &[0x83], &[0x83, 1, 1, 1]] {
            let mut header = Header::new();
            copied(options, &mut header);
            assert!(header.is_empty(), "{options:?}");
        }
    }
}
