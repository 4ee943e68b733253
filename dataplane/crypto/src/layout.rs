//! Where the parts of an ESP packet lie (RFC 4303 §2): header ‖ IV ‖ payload and trailer ‖ ICV.

/// Octets of the ESP header: SPI and the low 32 bits of the sequence number.
pub(crate) const HEADER: usize = 8;

/// A packet cut into its parts.
pub(crate) struct Parts<'p> {
    pub header: &'p mut [u8; HEADER],
    pub iv: &'p mut [u8],
    pub body: &'p mut [u8],
    pub icv: &'p mut [u8],
}

/// What an ICV of its own covers (header, IV and ciphertext), and the ICV. `None`: no room for it.
pub(crate) fn covered(packet: &mut [u8], icv_len: usize) -> Option<(&mut [u8], &mut [u8])> {
    packet.split_at_mut_checked(packet.len().checked_sub(icv_len)?)
}

/// All four parts. `None`: the packet has no room for header, IV and ICV.
pub(crate) fn parts(packet: &mut [u8], iv_len: usize, icv_len: usize) -> Option<Parts<'_>> {
    let (covered, icv) = covered(packet, icv_len)?;
    let (header, rest) = covered.split_first_chunk_mut()?;
    let (iv, body) = rest.split_at_mut_checked(iv_len)?;
    Some(Parts { header, iv, body, icv })
}

/// The low half of the packet's sequence number, as it stands in the header. `None`: too short.
pub(crate) fn sequence_low(packet: &[u8]) -> Option<u32> {
    let [_, _, _, _, low @ ..] = *packet.first_chunk::<HEADER>()?;
    Some(u32::from_be_bytes(low))
}

/// The high half of an extended sequence number: authenticated, never sent (RFC 4303 §2.2.1).
pub(crate) fn sequence_high(sequence: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = sequence.to_be_bytes();
    [a, b, c, d]
}
