//! Properties of IKE messages that hold for every input: what is written is read back, octets panic
//! nothing, and a message that is cut or changed is refused or at least harmless.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, option, prelude::*, sample::Index};
use wire::{
    iana::{IpProtocol, ike::*},
    ike::*,
    selector::{AddressRange, PortRange},
};

#[cfg(test)]
#[path = "../fuzz/src/ike.rs"]
mod target;

/// Payloads borrow; a test's octets may live for ever.
fn octets(least: usize, most: usize) -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), least..=most).prop_map(|octets| &*octets.leak())
}

fn list<T: list::Element<'static> + std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T>,
    least: usize,
    most: usize,
) -> impl Strategy<Value = List<'static, T>> {
    vec(of, least..=most).prop_map(|values| List::from(&*values.leak()))
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u16>(), option::of(any::<u16>())).prop_map(|(kind, id, key_length)| {
        Transform { key_length, ..Transform::new(TransformType(kind), id) }
    })
}

fn spi() -> impl Strategy<Value = Spi> {
    prop_oneof![Just(Spi::None), any::<u32>().prop_map(Spi::Child), any::<u64>().prop_map(Spi::Ike)]
}

fn security_association() -> impl Strategy<Value = SecurityAssociation<'static>> {
    let proposal = (any::<u8>(), any::<u8>(), spi(), list(transform(), 0, 9)).prop_map(
        |(number, protocol, spi, transforms)| {
            let protocol = ProtocolId(protocol);
            Proposal { number, protocol, spi, transforms }
        },
    );
    list(proposal, 1, 5).prop_map(|proposals| SecurityAssociation { proposals })
}

fn identification() -> impl Strategy<Value = Identification<'static>> {
    let (v4, v6) = (octets(4, 4), octets(16, 16));
    let kind_and_data = prop_oneof![
        v4.prop_map(|address| (1, address)),
        v6.prop_map(|address| (5, address)),
        (prop_oneof![Just(0u8), 2..5u8, 6..=255u8], octets(0, 40)),
    ];
    (kind_and_data, any::<[u8; 3]>()).prop_map(|((kind, data), reserved)| {
        let kind = IdType(kind);
        Identification { kind, reserved, data }
    })
}

fn authentication() -> impl Strategy<Value = Authentication<'static>> {
    let signature = (octets(1, 60), octets(1, 60)).prop_map(|(algorithm, signature)| {
        let data = DigitalSignature { algorithm, signature }.data().expect("short enough").leak();
        Authentication { method: AuthMethod::DIGITAL_SIGNATURE, data }
    });
    let other = (prop_oneof![0..14u8, 15..=255u8], octets(1, 60));
    let other =
        other.prop_map(|(method, data)| Authentication { method: AuthMethod(method), data });
    prop_oneof![signature, other]
}

fn notification() -> impl Strategy<Value = Notification<'static>> {
    let hash = any::<u16>().prop_map(HashAlgorithm);
    let unknown = prop_oneof![18..1000u16, 16394..16403u16, 16432..=65535u16];
    prop_oneof![
        octets(1, 64).prop_map(Notification::Cookie),
        any::<u16>().prop_map(|it| Notification::InvalidKePayload(KeyExchangeMethod(it))),
        any::<[u8; 20]>().prop_map(Notification::NatDetectionSourceIp),
        any::<[u8; 20]>().prop_map(Notification::NatDetectionDestinationIp),
        list(hash, 0, 9).prop_map(Notification::SignatureHashAlgorithms),
        any::<u32>().prop_map(Notification::SetWindowSize),
        any::<u32>().prop_map(Notification::AuthLifetime),
        any::<u8>().prop_map(|it| Notification::UnsupportedCriticalPayload(PayloadType(it))),
        any::<u32>().prop_map(Notification::InvalidMessageId),
        (unknown, octets(0, 40))
            .prop_map(|(kind, data)| Notification::Other { kind: NotifyType(kind), data }),
    ]
}

fn notify() -> impl Strategy<Value = Notify<'static>> {
    let any_sa = (any::<u8>(), spi(), notification());
    prop_oneof![
        any_sa.prop_map(|(protocol, spi, notification)| {
            let protocol = ProtocolId(protocol);
            Notify { protocol, spi, notification }
        }),
        any::<u32>().prop_map(|spi| Notify::rekey_sa(ProtocolId::ESP, spi)),
        any::<u32>().prop_map(|spi| Notify::child_sa_not_found(ProtocolId::AH, spi)),
    ]
}

fn delete() -> impl Strategy<Value = Delete<'static>> {
    let children = (prop_oneof![Just(0u8), 2..=255u8], list(any::<u32>(), 0, 20));
    let children = children.prop_map(|(protocol, spis)| {
        let protocol = ProtocolId(protocol);
        Delete::Child { protocol, spis }
    });
    prop_oneof![Just(Delete::Ike), children]
}

fn addresses() -> impl Strategy<Value = AddressRange> {
    let v4 = any::<[u32; 2]>().prop_map(|ends| ends.map(|end| Ipv4Addr::from_bits(end).into()));
    let v6 = any::<[u128; 2]>().prop_map(|ends| ends.map(|end| Ipv6Addr::from_bits(end).into()));
    prop_oneof![v4, v6].prop_map(|[a, b]: [IpAddr; 2]| {
        AddressRange::new(a.min(b), a.max(b)).expect("in order, and of one family")
    })
}

fn traffic_selectors() -> impl Strategy<Value = TrafficSelectors<'static>> {
    let ports = prop_oneof![
        Just(PortRange::ANY),
        Just(PortRange::OPAQUE),
        any::<[u16; 2]>().prop_map(|[a, b]| PortRange { first: a.min(b), last: a.max(b) }),
    ];
    let selector = (any::<u8>(), ports, addresses()).prop_map(|(protocol, ports, addresses)| {
        let protocol = IpProtocol(protocol);
        TrafficSelector { protocol, ports, addresses }
    });
    list(selector, 1, 9).prop_map(|selectors| TrafficSelectors { selectors })
}

fn configuration() -> impl Strategy<Value = Configuration<'static>> {
    let attribute = (0..0x8000u16, octets(0, 20))
        .prop_map(|(kind, value)| ConfigurationAttribute { kind: CfgAttribute(kind), value });
    (any::<u8>(), list(attribute, 0, 9))
        .prop_map(|(kind, attributes)| Configuration { kind: CfgType(kind), attributes })
}

/// Any payload but the encrypted ones.
fn payload() -> impl Strategy<Value = Payload<'static>> {
    let method_and_public = (any::<u16>(), octets(1, 60));
    let (certificate, request) = ((any::<u8>(), octets(1, 60)), (any::<u8>(), octets(0, 60)));
    prop_oneof![
        security_association().prop_map(Payload::SecurityAssociation),
        method_and_public.prop_map(|(method, public)| {
            let method = KeyExchangeMethod(method);
            Payload::KeyExchange(KeyExchange { method, public })
        }),
        identification().prop_map(Payload::IdInitiator),
        identification().prop_map(Payload::IdResponder),
        certificate.prop_map(|(encoding, data)| {
            Payload::Certificate(Certificate { encoding: CertEncoding(encoding), data })
        }),
        request.prop_map(|(encoding, data)| {
            let encoding = CertEncoding(encoding);
            Payload::CertificateRequest(CertificateRequest { encoding, data })
        }),
        authentication().prop_map(Payload::Authentication),
        octets(16, 256).prop_map(|nonce| Payload::Nonce(Nonce(nonce))),
        notify().prop_map(Payload::Notify),
        delete().prop_map(Payload::Delete),
        octets(0, 40).prop_map(|id| Payload::VendorId(VendorId(id))),
        traffic_selectors().prop_map(Payload::TsInitiator),
        traffic_selectors().prop_map(Payload::TsResponder),
        configuration().prop_map(Payload::Configuration),
        octets(4, 40).prop_map(|eap| Payload::Eap(Eap(eap))),
    ]
}

fn encrypted() -> impl Strategy<Value = Payload<'static>> {
    let sk = (any::<u8>(), octets(1, 90))
        .prop_map(|(first, body)| Encrypted { first: PayloadType(first), body }.into());
    let skf = (any::<u8>(), 1..=u16::MAX, any::<Index>(), octets(1, 90)).prop_map(
        |(first, total, number, body)| {
            let number = 1 + number.index(total.into()) as u16;
            let fragment = Fragment { number, total };
            EncryptedFragment { first: PayloadType(first), fragment, body }.into()
        },
    );
    prop_oneof![sk, skf]
}

/// Payloads as a message may have them: those that come once, once.
fn several() -> impl Strategy<Value = Vec<Payload<'static>>> {
    (vec(payload(), 0..12), option::of(encrypted())).prop_map(|(mut payloads, last)| {
        let mut seen = Vec::new();
        payloads.retain(|payload| {
            let kind = payload.kind();
            let again = seen.contains(&kind) && !matches!(kind.0, 37 | 38 | 41 | 42 | 43);
            seen.push(kind);
            !again
        });
        payloads.extend(last);
        payloads
    })
}

fn header() -> impl Strategy<Value = Header> {
    let spis = (1..=u64::MAX, any::<u64>());
    (spis, any::<u8>(), any::<u8>(), any::<u32>(), 0..16u8).prop_map(
        |(spis, exchange, flags, message_id, minor)| {
            let flags = Flags::from_octet(flags);
            Header { minor, ..Header::new(spis, ExchangeType(exchange), flags, message_id) }
        },
    )
}

fn written(header: Header, payloads: &[Payload<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(header);
    for payload in payloads {
        writer.push(*payload);
    }
    writer.finish().expect("short enough")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_is_read_as_it_was_written(header in header(), payloads in several()) {
        let octets = written(header, &payloads);
        let message = Message::parse(&octets).expect("what is written can be read");
        let read = message.header();
        let (next_payload, length) = (read.next_payload, octets.len() as u32);
        prop_assert_eq!(*read, Header { next_payload, length, ..header });
        let read: Vec<_> = message.payloads().iter().collect();
        prop_assert_eq!(read, payloads);
        target::ike(&octets);
    }

    #[test]
    fn a_message_cut_anywhere_is_refused(header in header(), payloads in several(), at in any::<Index>()) {
        let whole = written(header, &payloads);
        let end = at.index(whole.len());
        let mut cut = whole[..end].to_vec();
        prop_assert!(matches!(Message::parse(&cut), Err(Refused::Header(_))));
        if let Some(field) = cut.get_mut(24..HEADER) {
            field.copy_from_slice(&(end as u32).to_be_bytes());
            // An encrypted payload's length is in the chain, so even that is not just shorter.
            prop_assert!(Message::parse(&cut).is_err());
        }
        target::ike(&cut);
    }

    #[test]
    fn a_message_changed_anywhere_is_harmless(
        header in header(), payloads in several(), changes in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let mut octets = written(header, &payloads);
        for (at, value) in changes {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        target::ike(&octets);
    }

    #[test]
    fn contents_are_read_as_they_were_written(payloads in several()) {
        let inside: Vec<_> = payloads
            .into_iter()
            .filter(|each| !matches!(each.kind(), PayloadType::SK | PayloadType::SKF))
            .collect();
        let mut contents = Contents::new();
        for payload in &inside {
            contents.push(*payload);
        }
        let (first, octets) = (contents.first(), contents.finish().expect("short enough"));
        let read = Payloads::parse_decrypted(first, &octets).expect("what is written can be read");
        prop_assert!(read.iter().eq(inside));
    }

    #[test]
    fn random_octets_panic_nothing(octets in vec(any::<u8>(), 0..400)) {
        target::ike(&octets);
    }

    #[test]
    fn random_payloads_panic_nothing(
        payloads in vec((prop_oneof![33..=54u8, any::<u8>()], any::<bool>(), vec(any::<u8>(), 0..60)), 0..9),
    ) {
        let mut writer = Writer::new(Header::new((1, 2), ExchangeType::IKE_AUTH, <_>::default(), 1));
        for (kind, critical, body) in &payloads {
            writer.push_raw(PayloadType(*kind), *critical && *kind > 200, body);
        }
        target::ike(&writer.finish().expect("short enough"));
    }
}

/// What another implementation (strongSwan 5.9.8) sent: the files of the fuzz corpus that are named so.
/// Those of the inside of encrypted payloads start with the first payload's type.
fn recorded(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/ike");
    let mut recorded = Vec::new();
    for entry in std::fs::read_dir(corpus).expect("the corpus is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            recorded.push((name, std::fs::read(path).expect("it can be read")));
        }
    }
    recorded
}

#[test]
fn messages_of_another_implementation_are_read_and_written_octet_for_octet() {
    let recorded = recorded("peer_message_");
    assert!(recorded.len() >= 12);
    for (name, octets) in recorded {
        let message = Message::parse(&octets).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(message.payloads().passed_over().count(), 0, "{name}");
        let payloads: Vec<_> = message.payloads().iter().collect();
        assert_eq!(written(*message.header(), &payloads), octets, "{name}");
    }
}

#[test]
fn what_another_implementation_encrypted_is_read_and_written_octet_for_octet() {
    let recorded = recorded("peer_inside_");
    assert!(recorded.len() >= 13);
    for (name, octets) in recorded {
        let (first, inside) = octets.split_first().expect("a type");
        let read = Payloads::parse_decrypted(PayloadType(*first), inside);
        let read = read.unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut contents = Contents::new();
        for payload in read.iter() {
            contents.push(payload);
        }
        assert_eq!(contents.first().0, *first, "{name}");
        assert_eq!(contents.finish().expect("it fitted"), inside, "{name}");
    }
}
