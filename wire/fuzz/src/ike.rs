//! What the `ike` target does with its octets: a message, and what was inside an encrypted payload.

use wire::{
    iana::ike::PayloadType,
    ike::{
        HEADER, Header, Malformed, Message, Payload, Payloads, Refused, Transform, Writer,
        payloads, sk::unpad,
    },
};

/// The octets as a message, as the same with a header that fits them, and as decrypted payloads.
pub fn ike(octets: &[u8]) {
    message(octets);
    repaired(octets);
    let Some((first, rest)) = octets.split_first() else { return };
    decrypted(PayloadType(*first), rest);
    if let Ok(inside) = unpad(rest) {
        assert!(rest.starts_with(inside) && inside.len() < rest.len());
        decrypted(PayloadType(*first), inside);
    }
}

fn repaired(octets: &[u8]) {
    let mut octets = octets.to_vec();
    let length = octets.len() as u32;
    if let Some([spi, _, _, _, _, _, _, _, .., version, _, _, _, _, _, _, a, b, c, d]) =
        octets.first_chunk_mut::<HEADER>()
    {
        (*spi, *version) = (*spi | 1, 0x20);
        [*a, *b, *c, *d] = length.to_be_bytes();
        message(&octets);
    }
}

fn message(octets: &[u8]) {
    let parsed = Message::parse(octets);
    let message = match parsed {
        Ok(message) => message,
        Err(why) => return refused(octets, why),
    };
    let header = message.header();
    assert_eq!((header.major, header.length as usize), (2, octets.len()));
    assert_ne!(header.initiator_spi, 0);
    let emitted = header.emit();
    let again = Header { length: HEADER as u32, ..*header }.emit();
    assert_eq!(Header::parse(&again).map(|(again, _)| again.emit()), Ok(again));
    assert_eq!(Header::parse(&[&emitted, &octets[HEADER..]].concat()).map(|(h, _)| h), Ok(*header));
    look(message.payloads());
    rewrite(header, message.payloads());
    sealed(&message);
}

/// A refusal is printed, has a code for the peer, and is the same when the octets are looked at again.
fn refused(octets: &[u8], why: Refused) {
    assert!(!why.to_string().is_empty() && why.notify_type().is_error());
    assert_eq!(Message::parse(octets).err(), Some(why));
    if let Refused::Header(Malformed::Truncated { need, have }) = why {
        assert!(need > have && have == octets.len());
    }
}

fn decrypted(first: PayloadType, octets: &[u8]) {
    let Ok(inside) = Payloads::parse_decrypted(first, octets) else { return };
    assert!(Payloads::parse(first, octets).is_ok(), "it is looser outside");
    look(&inside);
    assert!(inside.iter().all(|payload| !encrypted(&payload)));
    let header = Header::new((1, 2), wire::iana::ike::ExchangeType::IKE_AUTH, <_>::default(), 1);
    rewrite(&header, &inside);
}

fn encrypted(payload: &Payload<'_>) -> bool {
    matches!(payload, Payload::Encrypted(_) | Payload::EncryptedFragment(_))
}

/// The typed accessors find what the iterator shows, and everything can be printed.
fn look(all: &Payloads<'_>) {
    let mut singles: Vec<Payload<'_>> = Vec::new();
    singles.extend(all.security_association().map(Payload::SecurityAssociation));
    singles.extend(all.key_exchange().map(Payload::KeyExchange));
    singles.extend(all.id_initiator().map(Payload::IdInitiator));
    singles.extend(all.id_responder().map(Payload::IdResponder));
    singles.extend(all.authentication().map(Payload::Authentication));
    singles.extend(all.nonce().map(Payload::Nonce));
    singles.extend(all.ts_initiator().map(Payload::TsInitiator));
    singles.extend(all.ts_responder().map(Payload::TsResponder));
    singles.extend(all.configuration().map(Payload::Configuration));
    singles.extend(all.eap().map(Payload::Eap));
    assert!(singles.iter().all(|single| all.iter().any(|each| each == *single)));
    let repeated = all.certificates().count()
        + all.certificate_requests().count()
        + all.notifies().count()
        + all.deletes().count()
        + all.vendor_ids().count();
    let last = all.iter().filter(encrypted).count();
    assert!(last <= 1);
    assert_eq!(singles.len() + repeated + last, all.iter().count());
    print(all);
}

fn print(all: &Payloads<'_>) {
    for payload in all.iter() {
        assert!(!format!("{payload:?} {}", payload.kind()).is_empty());
    }
    for proposal in all.security_association().iter().flat_map(|sa| sa.proposals) {
        assert!(!format!("{proposal} {}", proposal.spi).is_empty());
    }
    for ts in [all.ts_initiator(), all.ts_responder()].iter().flatten() {
        assert!(ts.selectors.iter().all(|selector| !selector.to_string().is_empty()));
    }
    for request in all.certificate_requests() {
        assert!(request.authorities().as_flattened().len() <= request.data.len());
    }
    let _ = all.authentication().map(|auth| auth.digital_signature());
    let _ = (all.error(), all.passed_over().count());
}

/// Whether writing a payload loses something that reading passed over.
fn lossy(payload: &Payload<'_>) -> bool {
    match payload {
        Payload::TsInitiator(ts) | Payload::TsResponder(ts) => ts.selectors.is_empty(),
        Payload::SecurityAssociation(sa) => {
            let not = |transform: Transform| !transform.understood;
            sa.proposals.iter().any(|proposal| proposal.transforms.iter().any(not))
        }
        _ => false,
    }
}

/// What was read can be written, and is then read as the same.
fn rewrite(header: &Header, all: &Payloads<'_>) {
    let kept: Vec<_> = all.iter().filter(|payload| !lossy(payload)).collect();
    let mut writer = Writer::new(*header);
    for payload in &kept {
        writer.push(*payload);
    }
    let written = writer.finish().expect("what fitted a message fits one again");
    let again = Message::parse(&written).expect("what is written can be read");
    assert!(again.payloads().iter().eq(kept.iter().copied()));
    assert_eq!(again.payloads().passed_over().count(), 0);
}

fn sealed(message: &Message<'_>) {
    let Some(sealed) = message.sealed() else { return };
    let octets = message.octets();
    assert_eq!([sealed.associated, sealed.body].concat(), octets);
    for (iv, icv) in [(0, 0), (8, 16), (16, 12), (16, 32), (0, usize::MAX / 2)] {
        let Ok(parts) = sealed.split(iv, icv) else {
            assert!(sealed.body.len() < iv + icv + 1);
            continue;
        };
        assert_eq!((parts.iv.len(), parts.icv.len()), (iv, icv));
        assert_eq!([parts.iv, parts.ciphertext, parts.icv].concat(), sealed.body);
        assert_eq!([parts.authenticated, parts.icv].concat(), octets);
        assert!(!parts.ciphertext.is_empty());
    }
    let chain = payloads(message.header().next_payload, &octets[HEADER..]);
    assert!(chain.flatten().last().is_some_and(|last| last.next == sealed.first));
}
