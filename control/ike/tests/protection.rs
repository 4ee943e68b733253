//! Sealed messages: nothing else opens them, no IV comes twice, and fragments are put together only from
//! what is authentic.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::Counting;
use ike::algorithm::{Encr, Group, Integ, Prf, Suite};
use ike::derive::{Keys, Nonces, Spis};
use ike::fragment::{Dropped, Limits, Reassembly};
use ike::protect::{Opened, Opener, Sealer, Unsealable, pair};
use ike::{BadIcv, Key};
use proptest::prelude::*;
use wire::iana::ike::{ExchangeType, PayloadType};
use wire::ike::{Flags, Header, Message};

fn suites() -> impl Iterator<Item = Suite> {
    let with = |encr: Encr| {
        let integs: Vec<_> = match encr.is_aead() {
            true => vec![None],
            false => Integ::all().map(Some).collect(),
        };
        integs
            .into_iter()
            .filter_map(move |integ| Suite::new(encr, Prf::HmacSha2_256, integ, Group::Curve25519))
    };
    Encr::all().flat_map(with)
}

fn suite(encr: &str, integ: Option<&str>) -> Suite {
    let integ = integ.and_then(Integ::from_name);
    let encr = Encr::from_name(encr).expect("a cipher");
    Suite::new(encr, Prf::HmacSha2_256, integ, Group::Curve25519).expect("a suite")
}

fn keys(suite: &Suite) -> Keys {
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: 3, responder: 4 };
    Keys::derive(suite, &Key::new(vec![5; 32]), nonces, spis)
}

/// The initiator's sealer and the responder's opener.
fn ends(suite: &Suite) -> (Sealer, Opener) {
    let keys = keys(suite);
    let (sealer, _) = pair(suite, &keys, true);
    let (_, opener) = pair(suite, &keys, false);
    (sealer, opener)
}

fn header(message_id: u32) -> Header {
    let flags = Flags { initiator: true, ..Flags::default() };
    Header::new((3, 4), ExchangeType::IKE_AUTH, flags, message_id)
}

fn response(message_id: u32) -> Header {
    let flags = Flags { response: true, ..Flags::default() };
    Header { flags, ..header(message_id) }
}

fn open(opener: &Opener, datagram: &[u8]) -> Result<Opened, BadIcv> {
    let message = Message::parse(datagram).map_err(|_| BadIcv)?;
    opener.open(&message.sealed().ok_or(BadIcv)?)
}

fn take(
    reassembly: &mut Reassembly,
    now: u64,
    opener: &Opener,
    datagram: &[u8],
) -> Result<Option<Opened>, Dropped> {
    let message = Message::parse(datagram).expect("a message");
    let sealed = message.sealed().expect("encrypted");
    reassembly.take(now, opener, message.header(), &sealed)
}

const ID: PayloadType = PayloadType::ID_INITIATOR;

fn fragments(sealer: &mut Sealer, header: &Header, payloads: &[u8], most: usize) -> Vec<Vec<u8>> {
    sealer.seal_within(&mut Counting::default(), header, ID, payloads, most).expect("fits")
}

#[test]
fn each_direction_has_its_own_keys() {
    for suite in suites() {
        let keys = keys(&suite);
        let (mut sealer_i, opener_i) = pair(&suite, &keys, true);
        let (mut sealer_r, opener_r) = pair(&suite, &keys, false);
        let random = &mut Counting::default();
        let to_r = sealer_i.seal(random, &header(1), ID, b"to the responder").expect("fits");
        let to_i = sealer_r.seal(random, &header(1), ID, b"to the initiator").expect("fits");
        let opened = |payloads: &[u8]| Ok(Opened { first: ID, payloads: payloads.into() });
        assert_eq!(open(&opener_r, &to_r), opened(b"to the responder"), "{suite}");
        assert_eq!(open(&opener_i, &to_i), opened(b"to the initiator"), "{suite}");
        assert_eq!(open(&opener_i, &to_r), Err(BadIcv), "{suite}");
        assert_eq!(open(&opener_r, &to_i), Err(BadIcv), "{suite}");
    }
}

#[test]
fn every_octet_of_a_message_counts() {
    for suite in suites() {
        let (mut sealer, opener) = ends(&suite);
        let sealed = sealer.seal(&mut Counting::default(), &header(1), ID, b"payloads");
        let sealed = sealed.expect("fits");
        assert!(open(&opener, &sealed).is_ok());
        for at in 0..sealed.len() {
            for bit in [1, 0x80] {
                let mut forged = sealed.clone();
                forged[at] ^= bit;
                assert_eq!(open(&opener, &forged), Err(BadIcv), "{suite}: octet {at}");
            }
        }
    }
}

#[test]
fn a_message_cut_short_is_like_any_other_forgery() {
    for suite in suites() {
        let (mut sealer, opener) = ends(&suite);
        let sealed = sealer.seal(&mut Counting::default(), &header(1), ID, b"payloads");
        let sealed = sealed.expect("fits");
        for len in 33..sealed.len() {
            let mut cut = sealed[..len].to_vec();
            // lengths that fit, so that the parser does not catch it
            cut[24..28].copy_from_slice(&(len as u32).to_be_bytes());
            cut[30..32].copy_from_slice(&(len as u16 - 28).to_be_bytes());
            assert_eq!(open(&opener, &cut), Err(BadIcv), "{suite}: {len} octets");
        }
    }
}

#[test]
fn no_iv_comes_twice() {
    for suite in suites() {
        let (mut sealer, _) = ends(&suite);
        let random = &mut Counting::default();
        let iv_len = suite.encr().iv_len();
        let mut ivs = Vec::new();
        for _ in 0..4 {
            let sealed = sealer.seal(random, &header(1), ID, b"the same").expect("fits");
            ivs.push(sealed[32..32 + iv_len].to_vec());
            let all = sealer.seal_within(random, &header(1), ID, &[0; 300], 200).expect("fits");
            ivs.extend(all.iter().map(|fragment| fragment[36..36 + iv_len].to_vec()));
        }
        let different: std::collections::BTreeSet<_> = ivs.iter().collect();
        assert_eq!(different.len(), ivs.len(), "{suite}");
    }
}

#[test]
fn fragments_fill_their_datagrams_and_no_more() {
    for suite in suites() {
        let (mut sealer, opener) = ends(&suite);
        for most in [100, 256, 508, 1280] {
            for len in [0, 1, most - 90, most - 32, most, 3 * most] {
                let payloads: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let Ok(sealed) =
                    sealer.seal_within(&mut Counting::default(), &header(1), ID, &payloads, most)
                else {
                    assert!(most == 100, "{suite}: no room in {most} octets");
                    continue;
                };
                assert!(sealed.iter().all(|datagram| datagram.len() <= most), "{suite} {most}");
                let mut reassembly = Reassembly::new(Limits::default());
                let last = sealed.len() - 1;
                for (at, datagram) in sealed.iter().enumerate() {
                    let taken = take(&mut reassembly, 0, &opener, datagram).expect("taken");
                    assert_eq!(taken.is_some(), at == last, "{suite} {len} in {most}");
                    if let Some(opened) = taken {
                        assert_eq!(opened.payloads.expose(), payloads, "{suite}");
                        assert_eq!(opened.first, ID, "{suite}");
                    }
                }
                assert_eq!((reassembly.octets(), reassembly.next_deadline()), (0, None));
            }
        }
    }
}

#[test]
fn what_fits_one_datagram_is_not_fragmented() {
    let (mut sealer, _) = ends(&suite("ENCR_AES_GCM_16_256", None));
    // 28 header, 4 generic, 8 IV, 1 pad length, 16 ICV
    assert_eq!(fragments(&mut sealer, &header(1), &[0; 143], 200).len(), 1);
    assert_eq!(fragments(&mut sealer, &header(1), &[0; 144], 200).len(), 2);
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    let (mut sealer, _) = ends(&suite("ENCR_AES_GCM_16_256", None));
    let random = &mut Counting::default();
    let long = Err(Unsealable::TooLong);
    assert_eq!(sealer.seal(random, &header(1), ID, &[0; 66_000]), long);
    for most in 0..62 {
        assert_eq!(
            sealer.seal_within(random, &header(1), ID, &[0; 100], most),
            Err(Unsealable::TooLong),
            "{most} octets"
        );
    }
    assert_eq!(
        sealer.seal_within(random, &header(1), ID, &[0; 100], 62).map(|all| all.len()),
        Ok(100)
    );
    let long = sealer.seal_within(random, &header(1), ID, &[0; 65_536], 62);
    assert_eq!(long, Err(Unsealable::TooLong));
}

#[test]
fn b6_fragments_come_in_any_order_and_twice() {
    let (mut sealer, opener) = ends(&suite("ENCR_AES_CBC_256", Some("AUTH_HMAC_SHA2_256_128")));
    let payloads: Vec<u8> = (0..2000).map(|at| at as u8).collect();
    let all = fragments(&mut sealer, &header(1), &payloads, 600);
    assert_eq!(all.len(), 4);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut reassembly = Reassembly::new(Limits::default());
        for (count, at) in order.into_iter().enumerate() {
            let taken = take(&mut reassembly, 0, &opener, &all[at]);
            let opened = taken.expect("taken");
            assert_eq!(opened.is_some(), count == 3);
            if let Some(opened) = opened {
                assert_eq!((opened.first, opened.payloads.expose()), (ID, &payloads[..]));
            } else {
                let twin = take(&mut reassembly, 0, &opener, &all[at]);
                assert_eq!(twin, Err(Dropped::Duplicate(at as u16 + 1)));
            }
        }
    }
}

#[test]
fn b6_nothing_unauthentic_is_stored_or_replaces_what_is() {
    let suite = suite("ENCR_AES_GCM_16_128", None);
    let (mut sealer, opener) = ends(&suite);
    let all = fragments(&mut sealer, &header(1), &[7; 2000], 600);
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(take(&mut reassembly, 0, &opener, &all[0]), Ok(None));
    let held = reassembly.octets();
    // of the same message, of a finer division of it, and of a later message
    let finer = fragments(&mut sealer, &header(1), &[7; 2000], 300);
    let later = fragments(&mut sealer, &header(2), &[7; 2000], 600);
    for authentic in [&all[1], &finer[0], &later[0]] {
        let mut forged = authentic.clone();
        *forged.last_mut().expect("octets") ^= 1;
        assert_eq!(take(&mut reassembly, 0, &opener, &forged), Err(Dropped::BadIcv));
        assert_eq!(reassembly.octets(), held);
    }
    // a number and a total that were changed on the way
    let mut moved = all[1].clone();
    moved[33] = 3;
    assert_eq!(take(&mut reassembly, 0, &opener, &moved), Err(Dropped::BadIcv));
    for fragment in &all[1..3] {
        assert_eq!(take(&mut reassembly, 0, &opener, fragment), Ok(None));
    }
    let whole = take(&mut reassembly, 0, &opener, &all[3]).expect("taken").expect("whole");
    assert_eq!(whole.payloads.expose(), [7; 2000]);
}

#[test]
fn b6_a_finer_division_replaces_a_coarser_one_and_not_the_other_way() {
    // RFC 7383 §2.6
    let (mut sealer, opener) = ends(&suite("ENCR_CHACHA20_POLY1305", None));
    let coarse = fragments(&mut sealer, &header(1), &[7; 2000], 1280);
    let fine = fragments(&mut sealer, &header(1), &[7; 2000], 600);
    assert_eq!((coarse.len(), fine.len()), (2, 4));
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(take(&mut reassembly, 0, &opener, &coarse[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &fine[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &coarse[1]), Err(Dropped::Outdated));
    assert_eq!(take(&mut reassembly, 0, &opener, &fine[1]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &fine[2]), Ok(None));
    assert!(take(&mut reassembly, 0, &opener, &fine[3]).expect("taken").is_some());
}

#[test]
fn b6_a_later_message_replaces_an_earlier_one_and_not_the_other_way() {
    let (mut sealer, opener) = ends(&suite("ENCR_AES_GCM_16_256", None));
    let first = fragments(&mut sealer, &header(1), &[1; 1000], 600);
    let second = fragments(&mut sealer, &header(2), &[2; 1000], 600);
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(take(&mut reassembly, 0, &opener, &first[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &second[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &first[1]), Err(Dropped::Outdated));
    let whole = take(&mut reassembly, 0, &opener, &second[1]).expect("taken").expect("whole");
    assert_eq!(whole.payloads.expose(), [2; 1000]);
}

#[test]
fn b6_a_request_and_a_response_do_not_mix() {
    let suite = suite("ENCR_AES_CCM_16_256", None);
    let (mut sealer, opener) = ends(&suite);
    let request = fragments(&mut sealer, &header(1), &[1; 1000], 600);
    let answer = fragments(&mut sealer, &response(1), &[2; 1000], 600);
    let other = Header { exchange: ExchangeType::INFORMATIONAL, ..header(1) };
    let other = fragments(&mut sealer, &other, &[3; 1000], 600);
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(take(&mut reassembly, 0, &opener, &request[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &answer[1]), Ok(None));
    assert_eq!(take(&mut reassembly, 0, &opener, &other[1]), Err(Dropped::Mixed));
    let request = take(&mut reassembly, 0, &opener, &request[1]).expect("taken").expect("whole");
    let answer = take(&mut reassembly, 0, &opener, &answer[0]).expect("taken").expect("whole");
    assert_eq!(
        (request.payloads.expose(), answer.payloads.expose()),
        (&[1; 1000][..], &[2; 1000][..])
    );
}

#[test]
fn b6_fragments_octets_and_time_are_bounded() {
    let (mut sealer, opener) = ends(&suite("ENCR_AES_GCM_16_256", None));
    let limits = Limits { fragments: 4, octets: 2200, lifetime: 1000 };
    let all = |sealer: &mut Sealer, len: usize| fragments(sealer, &header(1), &vec![7; len], 600);
    let mut reassembly = Reassembly::new(limits);
    for (len, total) in [(2156, 4), (2157, 5)] {
        let sealed = all(&mut sealer, len);
        assert_eq!(sealed.len(), total, "{len} octets");
        let taken = take(&mut reassembly, 0, &opener, &sealed[0]);
        let many = Dropped::TooMany { total: 5, most: 4 };
        assert_eq!(taken, if total == 5 { Err(many) } else { Ok(None) });
    }
    let mut reassembly = Reassembly::new(Limits { octets: 1000, ..limits });
    let sealed = all(&mut sealer, 2000);
    assert_eq!(take(&mut reassembly, 5, &opener, &sealed[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 5, &opener, &sealed[1]), Err(Dropped::TooLong { most: 1000 }));
    assert_eq!((reassembly.octets(), reassembly.next_deadline()), (539, Some(1005)));
    reassembly.expire(1004);
    assert_eq!(reassembly.octets(), 539);
    reassembly.expire(1005);
    assert_eq!((reassembly.octets(), reassembly.next_deadline()), (0, None));
    // later fragments do not prolong it
    assert_eq!(take(&mut reassembly, 2000, &opener, &sealed[0]), Ok(None));
    assert_eq!(take(&mut reassembly, 2999, &opener, &sealed[3]), Ok(None));
    assert_eq!(reassembly.next_deadline(), Some(3000));
    assert_eq!(take(&mut reassembly, 3000, &opener, &sealed[2]), Ok(None));
    assert_eq!(reassembly.next_deadline(), Some(4000));
}

#[test]
fn what_is_not_fragmented_goes_straight_through() {
    let (mut sealer, opener) = ends(&suite("ENCR_AES_GCM_16_256", None));
    let mut reassembly = Reassembly::new(Limits::default());
    let part = fragments(&mut sealer, &header(1), &[1; 1000], 600);
    assert_eq!(take(&mut reassembly, 0, &opener, &part[0]), Ok(None));
    let whole = sealer.seal(&mut Counting::default(), &header(1), ID, b"whole").expect("fits");
    let opened = take(&mut reassembly, 0, &opener, &whole).expect("taken").expect("whole");
    assert_eq!(opened.payloads.expose(), b"whole");
    let mut forged = whole;
    *forged.last_mut().expect("octets") ^= 1;
    assert_eq!(take(&mut reassembly, 0, &opener, &forged), Err(Dropped::BadIcv));
}

proptest! {
    #[test]
    fn nothing_that_arrives_panics_or_opens(
        which in 0..100_usize, kind in prop::sample::select(vec![46_u8, 53]),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let all: Vec<_> = suites().collect();
        let (_, opener) = ends(&all[which % all.len()]);
        let length = body.len() + 32;
        let header = Header { next_payload: PayloadType(kind), length: length as u32, ..header(1) };
        let mut datagram = header.emit().to_vec();
        datagram.extend_from_slice(&[35, 0, 0, (length - 28) as u8]);
        datagram.extend_from_slice(&body);
        prop_assert_eq!(open(&opener, &datagram), Err(BadIcv));
        let mut reassembly = Reassembly::new(Limits::default());
        if let Ok(message) = Message::parse(&datagram)
            && let Some(sealed) = message.sealed()
        {
            prop_assert!(reassembly.take(0, &opener, &header, &sealed).is_err());
        }
        prop_assert_eq!(reassembly.octets(), 0);
    }
}
