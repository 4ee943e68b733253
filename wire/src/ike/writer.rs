//! Writing payloads and messages: the chain of types and all lengths are filled in.

use alloc::vec::Vec;

use super::{GENERIC, HEADER, Header, Out, Payload, TooLong};
use crate::iana::ike::PayloadType;

const CRITICAL: u8 = 0x80;

/// Payloads without a header: what goes inside an encrypted payload.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    first: Option<PayloadType>,
    /// Where the last payload says what is next.
    next_at: Option<usize>,
    out: Out,
}

impl Contents {
    /// No payloads yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload. An encrypted one must be the last.
    pub fn push<'a>(&mut self, payload: impl Into<Payload<'a>>) -> &mut Self {
        let payload = payload.into();
        let start = self.begin(payload.kind(), 0, payload.first_inside());
        payload.emit(&mut self.out);
        self.out.patch_length(start + 2, start);
        self
    }

    /// Appends a payload of any type, critical or not, with any body.
    pub fn push_raw(&mut self, kind: PayloadType, critical: bool, body: &[u8]) -> &mut Self {
        let start = self.begin(kind, if critical { CRITICAL } else { 0 }, None);
        self.out.put(body);
        self.out.patch_length(start + 2, start);
        self
    }

    /// Writes a generic header, has the payload before it name `kind`, and returns where it starts.
    fn begin(&mut self, kind: PayloadType, flags: u8, inside: Option<PayloadType>) -> usize {
        let start = self.out.position();
        match self.next_at {
            Some(at) => self.out.patch(at, &[kind.0]),
            None => _ = self.first.get_or_insert(kind),
        }
        self.next_at = inside.is_none().then_some(start);
        let next = inside.unwrap_or(PayloadType::NONE);
        self.out.put(&[next.0, flags, 0, 0]);
        start
    }

    /// The first payload's type; [`PayloadType::NONE`] without payloads.
    pub fn first(&self) -> PayloadType {
        self.first.unwrap_or(PayloadType::NONE)
    }
    /// How many octets the payloads have so far.
    pub fn len(&self) -> usize {
        self.out.position()
    }
    /// Whether there are no payloads: what a liveness check and its answer have.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The octets of all payloads.
    ///
    /// # Errors
    /// [`TooLong`] when a payload does not fit its length, or holds more than it can count.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        self.out.finish()
    }
}

/// A message without encryption. Encrypted ones are laid out by [`Sealing`](super::Sealing).
#[derive(Clone, Debug)]
pub struct Writer {
    header: Header,
    contents: Contents,
}

impl Writer {
    /// A message with this header, whose next payload and length are filled in at the end.
    pub fn new(header: Header) -> Self {
        Self { header, contents: Contents::new() }
    }

    /// Appends a payload.
    pub fn push<'a>(&mut self, payload: impl Into<Payload<'a>>) -> &mut Self {
        self.contents.push(payload);
        self
    }
    /// Appends a payload of any type, critical or not, with any body.
    pub fn push_raw(&mut self, kind: PayloadType, critical: bool, body: &[u8]) -> &mut Self {
        self.contents.push_raw(kind, critical, body);
        self
    }

    /// The datagram, without a non-ESP marker.
    ///
    /// # Errors
    /// [`TooLong`] when a payload does not fit its length, or holds more than it can count.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        let next_payload = self.contents.first();
        let payloads = self.contents.finish()?;
        let length = u32::try_from(HEADER + payloads.len()).map_err(|_| TooLong)?;
        let header = Header { next_payload, length, ..self.header };
        let mut datagram = Vec::with_capacity(HEADER + payloads.len());
        datagram.extend_from_slice(&header.emit());
        datagram.extend_from_slice(&payloads);
        Ok(datagram)
    }
}

const _: () = assert!(GENERIC == 4, "`begin` writes the generic header");
