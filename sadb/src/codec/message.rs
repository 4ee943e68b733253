//! Requests and events: word 0 of a request is its number, word 1 its verb; word 0 of an event is its kind.
use super::{
    Eye, KeyError, Pen, decode_keys, decode_sa, encode_keys, encode_sa, family, join16, join32,
    split16, split32,
};
use crate::errors::Corrupt;
use crate::message::{Event, Refusal, Request, Verb};

pub(crate) fn encode_request(request: &Request, pen: &mut Pen<'_>) -> Result<(), KeyError> {
    pen.put(request.id);
    match &request.verb {
        Verb::Add { sa, keys } => {
            pen.put(1);
            encode_sa(sa, pen);
            encode_keys(keys, pen)?;
        }
        Verb::Update { sa } => {
            pen.put(2);
            encode_sa(sa, pen);
        }
        Verb::Delete { slot, spi } => {
            pen.put(3);
            pen.put(join32(*slot, *spi));
        }
        Verb::Flush => pen.put(4),
        Verb::Policies { generation, count } => {
            pen.put(5);
            pen.put(*generation);
            pen.put((*count).into());
        }
        Verb::Ping => pen.put(6),
    }
    Ok(())
}

/// The request, or what to refuse it with.
pub(crate) fn decode_request(eye: &mut Eye<'_>) -> Result<Request, (u64, Refusal, Corrupt)> {
    let id = eye.take().map_err(|corrupt| (0, Refusal::UnknownVerb, corrupt))?;
    decode_verb(eye)
        .map(|verb| Request { id, verb })
        .map_err(|(refusal, corrupt)| (id, refusal, corrupt))
}

fn decode_verb(eye: &mut Eye<'_>) -> Result<Verb, (Refusal, Corrupt)> {
    let unknown = |corrupt| (Refusal::UnknownVerb, corrupt);
    match eye.take().map_err(unknown)? {
        1 => Ok(Verb::Add {
            sa: Box::new(decode_sa(eye).map_err(refused)?),
            keys: decode_keys(eye).map_err(|corrupt| (Refusal::BadKeyLength, corrupt))?,
        }),
        2 => Ok(Verb::Update { sa: Box::new(decode_sa(eye).map_err(refused)?) }),
        3 => {
            let (slot, spi) = split32(eye.take().map_err(unknown)?);
            Ok(Verb::Delete { slot, spi })
        }
        4 => Ok(Verb::Flush),
        5 => {
            let generation = eye.take().map_err(unknown)?;
            let count = eye.take().map_err(unknown)?;
            let count = u32::try_from(count)
                .map_err(|_| (Refusal::BadPolicy, eye.corrupt("policy count", count)))?;
            Ok(Verb::Policies { generation, count })
        }
        6 => Ok(Verb::Ping),
        other => Err(unknown(eye.corrupt("request verb", other))),
    }
}

/// The nearest refusal for a malformed SA.
fn refused(corrupt: Corrupt) -> (Refusal, Corrupt) {
    let refusal = match corrupt.what {
        "SA integrity" => Refusal::UnknownSuite,
        "SA local address" | "SA remote address" => Refusal::BadAddresses,
        _ => Refusal::UnknownVerb,
    };
    (refusal, corrupt)
}

pub(crate) fn encode_event(event: &Event, pen: &mut Pen<'_>) {
    match *event {
        Event::Done { id, result } => {
            pen.put(1 | u64::from(result.err().map_or(0, |refusal| refusal as u16)) << 32);
            pen.put(id);
        }
        Event::Acquire { tunnel, source, destination, protocol, source_port, destination_port } => {
            pen.put(tags(2, source, destination) | u64::from(protocol) << 24);
            pen.put(tunnel.into());
            pen.put(join16([source_port, destination_port, 0, 0]));
            pen.put_address(source);
            pen.put_address(destination);
        }
        Event::Expire { slot, spi, hard } => {
            pen.put(3 | u64::from(hard) << 32);
            pen.put(join32(slot, spi));
        }
        Event::Audit { reason, spi, sequence, source, destination, flow_label, count } => {
            pen.put(tags(4, source, destination) | u64::from(reason) << 32);
            pen.put(join32(spi, flow_label));
            pen.put(sequence);
            pen.put(count.into());
            pen.put_address(source);
            pen.put_address(destination);
        }
        Event::Interface { name, up } => {
            pen.put(5 | u64::from(up) << 32);
            pen.put_name(&name);
        }
    }
}

fn tags(kind: u64, source: core::net::IpAddr, destination: core::net::IpAddr) -> u64 {
    kind | u64::from(family(source)) << 8 | u64::from(family(destination)) << 16
}

pub(crate) fn decode_event(eye: &mut Eye<'_>) -> Result<Event, Corrupt> {
    let word = eye.take()?;
    let [kind, source, destination, protocol, ..] = word.to_le_bytes();
    let detail = (word >> 32) as u32;
    match kind {
        1 => Ok(Event::Done { result: decode_result(eye, detail)?, id: eye.take()? }),
        2 => decode_acquire(eye, source, destination, protocol),
        3 => {
            let (slot, spi) = split32(eye.take()?);
            Ok(Event::Expire { slot, spi, hard: take_flag(eye, "expiry", detail)? })
        }
        4 => decode_audit(eye, source, destination, detail),
        5 => {
            let up = take_flag(eye, "interface state", detail)?;
            Ok(Event::Interface { name: eye.take_name("interface name")?, up })
        }
        other => Err(eye.corrupt("event kind", other)),
    }
}

fn decode_result(eye: &Eye<'_>, code: u32) -> Result<Result<(), Refusal>, Corrupt> {
    if code == 0 {
        return Ok(Ok(()));
    }
    let refusal = Refusal::ALL.iter().find(|&&refusal| u32::from(refusal as u16) == code);
    refusal.map(|&refusal| Err(refusal)).ok_or(eye.corrupt("refusal", code))
}

fn decode_acquire(
    eye: &mut Eye<'_>,
    source: u8,
    destination: u8,
    protocol: u8,
) -> Result<Event, Corrupt> {
    let tunnel = eye.take()?;
    let [source_port, destination_port, ..] = split16(eye.take()?);
    Ok(Event::Acquire {
        tunnel: tunnel.try_into().map_err(|_| eye.corrupt("tunnel number", tunnel))?,
        source: eye.take_address("event source", source)?,
        destination: eye.take_address("event destination", destination)?,
        protocol,
        source_port,
        destination_port,
    })
}

fn decode_audit(
    eye: &mut Eye<'_>,
    source: u8,
    destination: u8,
    reason: u32,
) -> Result<Event, Corrupt> {
    let (spi, flow_label) = split32(eye.take()?);
    let sequence = eye.take()?;
    let count = eye.take()?;
    Ok(Event::Audit {
        reason: reason.try_into().map_err(|_| eye.corrupt("audit reason", reason))?,
        spi,
        sequence,
        source: eye.take_address("event source", source)?,
        destination: eye.take_address("event destination", destination)?,
        flow_label,
        count: count.try_into().map_err(|_| eye.corrupt("audit count", count))?,
    })
}

fn take_flag(eye: &Eye<'_>, what: &'static str, value: u32) -> Result<bool, Corrupt> {
    eye.bool(what, u8::try_from(value).map_err(|_| eye.corrupt(what, value))?)
}
