//! SAs and their keys.
use super::{Eye, Pen, family, join16, join32, split16, split32};
use crate::errors::Corrupt;
use crate::layout;
use crate::sa::{Direction, DontFragment, Dscp, Encap, Lifetime, Sa, SaKeys, Suite};
use zeroize::Zeroize;

/// Octets of cipher key and salt that fit: RC5 takes up to 255 (RFC 2451 §2.2), everything else at most 56.
const ENCRYPTION_ROOM: usize = 256;
/// Octets of integrity key that fit.
const INTEGRITY_ROOM: usize = 64;
const _: () = assert!(1 + ENCRYPTION_ROOM / 8 + INTEGRITY_ROOM / 8 == layout::KEYS);

pub(crate) fn encode_sa(sa: &Sa, pen: &mut Pen<'_>) {
    let (encap, local_port, remote_port) = match sa.encap {
        Encap::Raw => (0, 0, 0),
        Encap::Udp { local, remote } => (1, local, remote),
    };
    pen.put(u64::from_le_bytes([
        sa.direction as u8,
        encap,
        family(sa.local),
        family(sa.remote),
        sa.dont_fragment as u8,
        sa.dscp as u8,
        u8::from(sa.esn),
        u8::from(sa.ecn),
    ]));
    pen.put_name(&sa.name);
    pen.put(join32(sa.slot, sa.spi));
    pen.put(join32(sa.tunnel, sa.iv_epoch));
    pen.put(join16([local_port, remote_port, sa.suite.encryption, sa.suite.key_bits]));
    pen.put(join32(sa.suite.integrity.into(), sa.replay_window));
    pen.put_address(sa.local);
    pen.put_address(sa.remote);
    let Lifetime { soft_packets, hard_packets, soft_bytes, hard_bytes, soft_seconds, hard_seconds } =
        sa.lifetime;
    for limit in [soft_packets, hard_packets, soft_bytes, hard_bytes, soft_seconds, hard_seconds] {
        pen.put(limit);
    }
    pen.put(sa.initial_sequence);
    sa.digest.as_chunks::<8>().0.iter().for_each(|&chunk| pen.put(u64::from_le_bytes(chunk)));
}

/// Every tag is checked. Whether the SA makes sense (SPI, window, addresses) is `validate::sa`'s to say.
pub(crate) fn decode_sa(eye: &mut Eye<'_>) -> Result<Sa, Corrupt> {
    let tags = eye.take()?.to_le_bytes();
    let [direction, encap, local_family, remote_family, dont_fragment, dscp, esn, ecn] = tags;
    let name = eye.take_name("SA name")?;
    let (slot, spi) = split32(eye.take()?);
    let (tunnel, iv_epoch) = split32(eye.take()?);
    let [local_port, remote_port, encryption, key_bits] = split16(eye.take()?);
    let (integrity, replay_window) = split32(eye.take()?);
    Ok(Sa {
        name,
        slot,
        spi,
        tunnel,
        direction: match direction {
            0 => Direction::Inbound,
            1 => Direction::Outbound,
            other => return Err(eye.corrupt("SA direction", other)),
        },
        encap: match encap {
            0 => Encap::Raw,
            1 => Encap::Udp { local: local_port, remote: remote_port },
            other => return Err(eye.corrupt("SA encapsulation", other)),
        },
        suite: Suite {
            encryption,
            key_bits,
            integrity: integrity.try_into().map_err(|_| eye.corrupt("SA integrity", integrity))?,
        },
        local: eye.take_address("SA local address", local_family)?,
        remote: eye.take_address("SA remote address", remote_family)?,
        esn: eye.bool("SA ESN flag", esn)?,
        replay_window,
        dont_fragment: dont_fragment_from(dont_fragment)
            .ok_or(eye.corrupt("SA DF rule", dont_fragment))?,
        dscp: dscp_from(dscp).ok_or(eye.corrupt("SA DSCP rule", dscp))?,
        ecn: eye.bool("SA ECN flag", ecn)?,
        iv_epoch,
        lifetime: Lifetime {
            soft_packets: eye.take()?,
            hard_packets: eye.take()?,
            soft_bytes: eye.take()?,
            hard_bytes: eye.take()?,
            soft_seconds: eye.take()?,
            hard_seconds: eye.take()?,
        },
        initial_sequence: eye.take()?,
        digest: take_digest(eye)?,
    })
}

fn take_digest(eye: &mut Eye<'_>) -> Result<[u8; 16], Corrupt> {
    let number = u128::from(eye.take()?) | u128::from(eye.take()?) << 64;
    Ok(number.to_le_bytes())
}

fn dont_fragment_from(tag: u8) -> Option<DontFragment> {
    [DontFragment::Copy, DontFragment::Set, DontFragment::Clear]
        .into_iter()
        .find(|&it| it as u8 == tag)
}

fn dscp_from(tag: u8) -> Option<Dscp> {
    [Dscp::Out, Dscp::Copy, Dscp::No, Dscp::In].into_iter().find(|&it| it as u8 == tag)
}

/// A key longer than any suite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyError;

pub(crate) fn encode_keys(keys: &SaKeys, pen: &mut Pen<'_>) -> Result<(), KeyError> {
    let lengths = [&keys.encryption, &keys.integrity].map(Vec::len);
    let [encryption, integrity] = lengths;
    if encryption > ENCRYPTION_ROOM || integrity > INTEGRITY_ROOM {
        return Err(KeyError);
    }
    pen.put(join32(encryption as u32, integrity as u32));
    put_octets::<{ ENCRYPTION_ROOM / 8 }>(&keys.encryption, pen);
    put_octets::<{ INTEGRITY_ROOM / 8 }>(&keys.integrity, pen);
    Ok(())
}

fn put_octets<const WORDS: usize>(octets: &[u8], pen: &mut Pen<'_>) {
    let mut chunks = octets.chunks(8);
    for _ in 0..WORDS {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunks.next().unwrap_or_default()) {
            *to = *from;
        }
        pen.put(u64::from_le_bytes(word));
        word.zeroize();
    }
}

pub(crate) fn decode_keys(eye: &mut Eye<'_>) -> Result<SaKeys, Corrupt> {
    let (encryption, integrity) = split32(eye.take()?);
    Ok(SaKeys {
        encryption: take_octets::<{ ENCRYPTION_ROOM / 8 }>(encryption, eye)?,
        integrity: take_octets::<{ INTEGRITY_ROOM / 8 }>(integrity, eye)?,
    })
}

fn take_octets<const WORDS: usize>(len: u32, eye: &mut Eye<'_>) -> Result<Vec<u8>, Corrupt> {
    let len = len as usize;
    if len > WORDS * 8 {
        return Err(eye.corrupt("key length", len as u64));
    }
    // all room at once: a vector that grew would leave a copy of the key behind
    let mut octets = Vec::with_capacity(WORDS * 8);
    for _ in 0..WORDS {
        octets.extend_from_slice(&eye.take()?.to_le_bytes());
    }
    octets.truncate(len);
    Ok(octets)
}
