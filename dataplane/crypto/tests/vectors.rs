//! Whole packets that others made.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use std::collections::HashSet;

use common::{body, hex, open_one, seal_one, unsealed, vectors, vectors_and_backends};
use crypto::{Backend, Icv, KeyBits, Open, OpenKey, Suite};

#[test]
fn the_vectors_cover_every_suite_with_and_without_esn() {
    let seen: HashSet<_> = vectors().iter().map(|v| (v.suite, v.esn)).collect();
    assert_eq!(seen.len(), 2 * Suite::all().count());
}

#[test]
fn every_packet_of_another_implementation_opens() {
    for (vector, backend) in vectors_and_backends() {
        let mut packet = vector.packet.clone();
        let key = vector.open_key_on(backend);
        assert_eq!(open_one(&key, vector.sequence, &mut packet), Ok(()), "{key:?}");
        assert_eq!(body(vector.suite, &packet), vector.payload, "{key:?}");
    }
}

#[test]
fn all_of_them_open_in_one_batch() {
    let (vectors, backends): (Vec<_>, Vec<_>) = vectors_and_backends().unzip();
    let keys = vectors.iter().zip(&backends).map(|(vector, backend)| vector.open_key_on(backend));
    let keys: Vec<_> = keys.collect();
    let mut packets: Vec<_> = vectors.iter().map(|vector| vector.packet.clone()).collect();
    let items = vectors.iter().zip(&keys).zip(&mut packets);
    let mut batch: Vec<_> =
        items.map(|((vector, key), packet)| Open::new(key, vector.sequence, packet)).collect();
    crypto::open(&mut batch);
    for (item, vector) in batch.iter().zip(&vectors) {
        assert_eq!(item.verdict, Ok(()), "{:?}", item.key);
        assert_eq!(body(vector.suite, item.packet), vector.payload, "{:?}", item.key);
    }
}

#[test]
fn suites_without_a_random_iv_seal_to_the_very_octets() {
    let fixed = |suite| !matches!(suite, Suite::AesCbc(..) | Suite::Legacy(..));
    for (vector, backend) in vectors_and_backends().filter(|(vector, _)| fixed(vector.suite)) {
        let mut packet = unsealed(vector.suite, vector.sequence, &vector.payload);
        packet[..4].copy_from_slice(&vector.packet[..4]);
        let key = vector.seal_key_on(backend);
        assert_eq!(seal_one(&key, vector.sequence, &mut packet), 0, "{key:?}");
        assert_eq!(packet, vector.packet, "{key:?}");
    }
}

#[test]
fn one_wrong_bit_in_any_octet_is_found_and_nothing_is_decrypted() {
    for (vector, backend) in vectors_and_backends() {
        let key = vector.open_key_on(backend);
        for at in 0..vector.packet.len() {
            let mut packet = vector.packet.clone();
            packet[at] ^= 1 << (at % 8);
            let forged = packet.clone();
            // the number is read from the (perhaps forged) header, as the walk does
            let low = u32::from_be_bytes(packet[4..8].try_into().unwrap());
            let sequence = vector.sequence >> 32 << 32 | u64::from(low);
            let verdict = open_one(&key, sequence, &mut packet);
            assert!(verdict.is_err(), "{}: octet {at} is not covered", vector.suite);
            assert!(packet == forged, "{}: octet {at} wrong, and the packet changed", vector.suite);
        }
    }
}

#[test]
fn the_high_half_of_an_extended_number_is_covered() {
    for (vector, backend) in vectors_and_backends() {
        let mut packet = vector.packet.clone();
        let key = vector.open_key_on(backend);
        let verdict = open_one(&key, vector.sequence ^ 1 << 32, &mut packet);
        assert_eq!(verdict.is_err(), vector.esn, "{key:?}");
    }
}

/// draft-mcgrew-gcm-test-01: ESP with AES-GCM-16. (key, salt ‖ IV, plaintext, AAD, ciphertext ‖ ICV)
const MCGREW: [[&str; 5]; 14] = [
    [
        "4c80cdefbb5d10da906ac73c3613a634",
        "2e443b684956ed7e3b244cfe",
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f75\
         6470037369700963796265726369747902646b000021000101020201",
        "000043218765432100000000",
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1\
         f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
    ],
    [
        "feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970\
         0963796265726369747902646b00000100010001",
        "0000a5f80000000a",
        "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0e\
         ec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
    ],
    [
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "112233440102030405060708",
        "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b4\
         0101040201020201",
        "4a2cbfe300000002",
        "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f054565\
         9f14e99def842d8eb335f4eecfdbf831824b4c4915956c96",
    ],
    [
        "00000000000000000000000000000000",
        "000000000000000000000000",
        "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f70\
         71727374757677616263646566676869\
         01020201",
        "0000000000000001",
        "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb64de7d9dc\
         a1e1d894bc3bd57873ed4d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d",
    ],
    [
        "3de09874b388e6491988d0c3607eae1f",
        "57690e434e280000a2fca1a3",
        "4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c6d6e6f70\
         7172737475767761626364656667686901020201",
        "42f67e3f1010101010101010",
        "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad79845bf9fe3f\
         ba487bc91755e6662b4c8d0d1f5e22739530320ae0d731cc978ecafaeae88f00e80d6e48",
    ],
    [
        "3de09874b388e6491988d0c3607eae1f",
        "57690e434e280000a2fca1a3",
        "4500001c42a200008001441f406793b6e00000020a00f5ff01020201",
        "42f67e3f1010101010101010",
        "fba2ca845e5df9f0f22c3e6e86dd831e1fc65792cd1af9130e1379ed369f071f35e034be95f112e4e7d05d35",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        "cafebabefacedbaddecaf888",
        "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
        "0000a5f80000000a",
        "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc7795457b96\
         52037f5318027b5b4cd7a636",
    ],
    [
        "abbccddef00112233445566778899aab",
        "decaf888cafedebaceface74",
        "4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18d75b81dc\
         91baa0476b91b924b280389d92c963bac046ec959b6266c04722b14923010101",
        "000001000000000000000001",
        "18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f9190feebaf2cb01984e65863\
         965d7472b79da345e0e780191f0d2f0e0f496c226f2127b27db35724e7845d68651f57e65f354f75ff170157\
         69623436",
    ],
    [
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "73616c74616e640169766563",
        "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001",
        "17405e67156f3126dd0db99b",
        "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e451626c2\
         415771e3b7eebca614c89b35",
    ],
    [
        "3de09874b388e6491988d0c3607eae1f",
        "57690e434e280000a2fca1a3",
        "45000049333e00007f119182c3fb1d10c2b1d326c02831ce0035cb458003025b000001e0001e8c18d65759d5\
         2284a0352c71475c8880391c764d6e5ee0496b325ae270c03899493915010101",
        "42f67e3f1010101010101010",
        "fba2cad12fc1f9f00d3cebf305410db83d7784b607323d220f24b0a97d54182800cadb0f68d99ef0e0c0c89a\
         e9bea8884e52d65bc1afd0740f742444747b5b39ab533163aad4550ee5160975cdb608c5769189609763b8e1\
         8caa81e2",
    ],
    [
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "73616c74616e640169766563",
        "636973636f0172756c657301746865016e6574776501646566696e6501746865746563686e6f6c6f67696573\
         017468617477696c6c01646566696e65746f6d6f72726f7701020201",
        "17405e67156f3126dd0db99b",
        "d4b7ed86a1777f2ea13d6973d324c69e7b43f826fb56831226508bebd2dceb18d0a6df10e5487df074113e14\
         c641024e3e6773d91a62ee429b043a10e3efe6b012a49363412364f8c0cac587f249e56b11e24f30e44ccc76",
    ],
    [
        "7d773d00c144c525ac619d18c84a3f47",
        "d966426743457e9182443bc6",
        "01020201",
        "335467aeffffffff",
        "437f866bcb3f699fe9b0822bac961c4504bef270",
    ],
    [
        "abbccddef00112233445566778899aab",
        "decaf888cafedebaceface74",
        "746f016265016f72016e6f7401746f0162650001",
        "000001000000000000000001",
        "29c9fc69a197d038ccdd14e2ddfcaa0543332164412503524303ed3c6c5f283843af8c3e",
    ],
    [
        "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        "7475726e333021696765746d",
        "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f70\
         7172737401020201",
        "796b6963ffffffffffffffff",
        "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a32b42458f\
         b57dbe821dcc63b9d0937ba2945f669368661a329fb4c053",
    ],
];

#[test]
fn gcm_packets_agree_with_draft_mcgrew_gcm_test_01() {
    for [key, nonce, plaintext, aad, sealed] in MCGREW.map(|case| case.map(hex)) {
        let bits = match key.len() {
            16 => KeyBits::B128,
            24 => KeyBits::B192,
            _ => KeyBits::B256,
        };
        let (suite, esn) = (Suite::AesGcm(bits, Icv::I16), aad.len() == 12);
        let (salt, iv) = nonce.split_at(4);
        let (spi, number) = aad.split_at(4);
        let low = &number[number.len() - 4..];
        let sequence = number.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        for backend in Backend::available() {
            let key = OpenKey::on(backend, suite, &[&key, salt].concat(), &[], esn).unwrap();
            let mut packet = [spi, low, iv, &sealed].concat();
            assert_eq!(open_one(&key, sequence, &mut packet), Ok(()), "{backend:?} {aad:02x?}");
            assert_eq!(body(suite, &packet), plaintext);
        }
    }
}
