//! SPD entries.
use super::{Eye, Pen, family, join16, split16};
use crate::errors::Corrupt;
use crate::policy::{Policy, Verdict};
use wire::selector::{AddressRange, PortRange, Selector};

pub(crate) fn encode_policy(policy: &Policy, pen: &mut Pen<'_>) {
    let Policy { name, selector, verdict } = policy;
    let (tag, tunnel) = match *verdict {
        Verdict::Protect { tunnel } => (0, tunnel),
        Verdict::Bypass => (1, 0),
        Verdict::Discard => (2, 0),
    };
    let (low, high) = selector.protocol;
    let tags = [tag, family(selector.local.first()), family(selector.remote.first()), low, high];
    let [a, b, c, d, e] = tags.map(u64::from);
    pen.put(a | b << 8 | c << 12 | d << 16 | e << 24 | u64::from(tunnel) << 32);
    pen.put_name(name);
    for range in [selector.local, selector.remote] {
        pen.put_address(range.first());
        pen.put_address(range.last());
    }
    let (local, remote) = (selector.local_port, selector.remote_port);
    pen.put(join16([local.first, local.last, remote.first, remote.last]));
}

pub(crate) fn decode_policy(eye: &mut Eye<'_>) -> Result<Policy, Corrupt> {
    let word = eye.take()?;
    let [tag, families, low, high, ..] = word.to_le_bytes();
    let tunnel = (word >> 32) as u32;
    let name = eye.take_name("policy name")?;
    let local = take_range(eye, "policy local addresses", families & 0xf)?;
    let remote = take_range(eye, "policy remote addresses", families >> 4)?;
    let [local_first, local_last, remote_first, remote_last] = split16(eye.take()?);
    let selector = Selector {
        local,
        remote,
        protocol: (low, high),
        local_port: take_ports(eye, local_first, local_last)?,
        remote_port: take_ports(eye, remote_first, remote_last)?,
    };
    if local.first().is_ipv4() != remote.first().is_ipv4() {
        return Err(eye.corrupt("policy address families", families));
    }
    if low > high {
        return Err(eye.corrupt("policy protocols", low));
    }
    let verdict = match (tag, tunnel) {
        (0, tunnel) => Verdict::Protect { tunnel },
        (1, 0) => Verdict::Bypass,
        (2, 0) => Verdict::Discard,
        (other, _) => return Err(eye.corrupt("policy verdict", other)),
    };
    Ok(Policy { name, selector, verdict })
}

fn take_range(eye: &mut Eye<'_>, what: &'static str, family: u8) -> Result<AddressRange, Corrupt> {
    let (first, last) = (eye.take_address(what, family)?, eye.take_address(what, family)?);
    AddressRange::new(first, last).ok_or(eye.corrupt(what, family))
}

/// A range turned around is OPAQUE, and only in its one spelling.
fn take_ports(eye: &Eye<'_>, first: u16, last: u16) -> Result<PortRange, Corrupt> {
    let range = PortRange { first, last };
    (first <= last || range == PortRange::OPAQUE)
        .then_some(range)
        .ok_or(eye.corrupt("policy ports", first))
}
