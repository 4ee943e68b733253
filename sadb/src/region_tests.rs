//! The region from both sides, on the heap (so Miri can follow) and in memfds; and all the ways it can be damaged.
use crate::counters::{Counter, DropReason};
use crate::errors::{Bad, Corrupt, PushError, RegionError};
use crate::layout::{self, header, hot, secret};
use crate::message::{Event, Refusal, Request, Verb};
use crate::policy::{Policy, Verdict};
use crate::region::Region;
use crate::sa::tests::{keys, sample};
use crate::sa::{Direction, Encap, Name, Sa};
use crate::setup::tests::small;
use crate::setup::{Role, XdpMode};
use crate::status::{InterfaceStatus, SaDrop, SaState, Side};
use crate::sync::{Ordering, Word};
use crate::{Control, DataPlane, EventError, Exhausted, Replay, StageError};
use std::sync::Arc;
use wire::selector::{AddressRange, PortRange, Selector};

fn both() -> (Region, Control, DataPlane) {
    let region = Region::on_heap(&small()).unwrap();
    let (control, data_plane) = (region.control().unwrap(), region.data_plane().unwrap());
    (region, control, data_plane)
}
fn shared(region: &Region) -> &[Word] {
    region.inner.shared.writable().unwrap()
}
fn secret(region: &Region) -> &[Word] {
    region.inner.secret.as_ref().unwrap().writable().unwrap()
}
fn policy(name: &str, verdict: Verdict) -> Policy {
    let range =
        |first: &str, last: &str| AddressRange::new(first.parse().unwrap(), last.parse().unwrap());
    let selector = Selector {
        local: range("10.0.0.0", "10.0.0.255").unwrap(),
        remote: range("10.1.0.7", "10.2.0.0").unwrap(),
        protocol: (6, 17),
        local_port: PortRange::ANY,
        remote_port: PortRange::OPAQUE,
    };
    Policy { name: Name::new(name).unwrap(), selector, verdict }
}
fn status() -> InterfaceStatus {
    InterfaceStatus {
        name: Name::new("wan0").unwrap(),
        role: Role::Outside,
        ifindex: 12,
        mode: XdpMode::Copy,
        queues: 4,
        mtu: 1500,
        driver: Name::new("veth"),
        up: true,
        rx_dropped: 1,
        rx_ring_full: 2,
        fill_ring_empty: 3,
        tx_invalid: 4,
        rebinds: 5,
    }
}

#[test]
fn a_setup_comes_back_as_it_was() {
    let region = Region::on_heap(&small()).unwrap();
    assert_eq!(region.setup(), Ok(small()));
    let inner = &region.inner;
    let again = Region::adopt(Arc::clone(&inner.shared), inner.secret.clone()).unwrap();
    assert_eq!(again.setup(), Ok(small()));
}

#[test]
fn every_request_comes_out_as_it_went_in() {
    let (_, mut control, mut data_plane) = both();
    let sa = || Box::new(sample(1, Direction::Inbound));
    let verbs = [
        Verb::Add { sa: sa(), keys: keys() },
        Verb::Update { sa: sa() },
        Verb::Delete { slot: 3, spi: u32::MAX },
        Verb::Flush,
        Verb::Policies { generation: 1 << 40, count: 9 },
        Verb::Ping,
    ];
    for (verb, id) in verbs.into_iter().zip(100..) {
        let request = Request { id, verb };
        control.push(&request).unwrap();
        let got = data_plane.pop().unwrap().unwrap();
        assert_eq!(got.id, id);
        assert_eq!(format!("{:?}", got.verb), format!("{:?}", request.verb));
        if let (Verb::Add { keys: got, .. }, Verb::Add { keys, .. }) = (&got.verb, &request.verb) {
            assert_eq!((&got.encryption, &got.integrity), (&keys.encryption, &keys.integrity));
        }
    }
    assert!(data_plane.pop().unwrap().is_none());
}

#[test]
fn every_event_comes_out_as_it_went_in() {
    let (_, mut control, mut data_plane) = both();
    let (source, destination) = ("192.0.2.1".parse().unwrap(), "2001:db8::9".parse().unwrap());
    let mut events = vec![
        Event::Done { id: u64::MAX, result: Ok(()) },
        Event::Acquire {
            tunnel: 3,
            source,
            destination,
            protocol: 17,
            source_port: 53,
            destination_port: 65535,
        },
        Event::Expire { slot: 1, spi: 0x1000, hard: true },
        Event::Audit {
            reason: 42,
            spi: 7,
            sequence: 1 << 50,
            source: destination,
            destination: source,
            flow_label: 0xfffff,
            count: 9,
        },
        Event::Interface { name: Name::new("wan0").unwrap(), up: false },
    ];
    events.extend(Refusal::ALL.iter().map(|&refusal| Event::Done { id: 1, result: Err(refusal) }));
    for event in events {
        data_plane.push(event).unwrap();
        assert_eq!(control.pop(), Ok(Some(event)));
    }
    assert_eq!(control.pop(), Ok(None));
}

#[test]
fn consumed_secrets_are_wiped_from_the_ring_and_from_a_retired_slot() {
    let (region, mut control, mut data_plane) = both();
    let secrets = || {
        secret(&region)[secret::WORDS..].iter().filter(|it| it.load(Ordering::Relaxed) != 0).count()
    };
    control
        .push(Request {
            id: 1,
            verb: Verb::Add { sa: Box::new(sample(2, Direction::Outbound)), keys: keys() },
        })
        .unwrap();
    assert_ne!(secrets(), 0);
    let Verb::Add { sa, keys } = data_plane.pop().unwrap().unwrap().verb else { panic!() };
    assert_eq!(secrets(), 0);
    data_plane.install(&sa, &keys).unwrap();
    assert_ne!(secrets(), 0);
    data_plane.retire(2).unwrap();
    assert_eq!(secrets(), 0);
}

#[test]
fn a_key_that_no_suite_has_does_not_fit() {
    let (_, mut control, mut data_plane) = both();
    for (encryption, integrity) in [(257, 0), (0, 65)] {
        let keys = crate::SaKeys { encryption: vec![1; encryption], integrity: vec![1; integrity] };
        let sa = sample(0, Direction::Outbound);
        assert_eq!(data_plane.install(&sa, &keys), Err(Refusal::BadKeyLength));
        let verb = Verb::Add { sa: Box::new(sa), keys };
        assert!(matches!(control.push(Request { id: 1, verb }), Err(PushError::TooLong(_))));
    }
}

#[test]
fn an_installed_sa_is_seen_by_readers_and_used_by_workers() {
    let (region, _, mut data_plane) = both();
    let (inbound, outbound) = (sample(1, Direction::Inbound), sample(2, Direction::Outbound));
    let outbound = Sa { initial_sequence: 41, ..outbound };
    data_plane.install(&inbound, &keys()).unwrap();
    data_plane.install(&outbound, &keys()).unwrap();
    assert!(
        region.outbound(1).is_none() && region.inbound(2).is_none() && region.inbound(0).is_none()
    );
    assert!(region.inbound(4).is_none() && region.outbound(u32::MAX).is_none());

    let window = region.inbound(1).unwrap();
    assert_eq!(
        (window.width(), window.commit(9), window.commit(9)),
        (64, Ok(()), Err(Replay::Duplicate))
    );
    window.count(SaDrop::ReplayDuplicate, 1);
    window.count(SaDrop::ReplayLate, 2);
    window.count(SaDrop::BadIcv, 3);
    assert_eq!(window.account(1, 100, 77).bytes, 100);
    assert_eq!(window.account(2, 50, 78).packets, 3);
    let numbers = region.outbound(2).unwrap();
    assert_eq!(numbers.reserve(2, 100), Ok(42));
    assert_eq!(numbers.reserve(60, 100), Err(Exhausted { left: 57, wanted: 60 }));
    assert!(
        numbers.warn()
            && !numbers.warn()
            && numbers.expire()
            && !numbers.expire()
            && numbers.expired()
    );
    assert!(!numbers.warn(), "what is dead needs no warning");

    let [first, second] = region.sas().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((first.sa, first.sequence, first.state), (inbound, 9, SaState::Live));
    assert_eq!((first.packets, first.bytes, first.last_used), (3, 150, 78));
    assert_eq!((first.replay_duplicate, first.replay_late, first.bad_icv), (1, 2, 3));
    assert_eq!((second.sa, second.sequence, second.state), (outbound, 43, SaState::Expired));
}

#[test]
fn what_cannot_be_installed_is_refused_and_changes_nothing() {
    let (region, _, mut data_plane) = both();
    let sa = sample(1, Direction::Inbound);
    data_plane.install(&sa, &keys()).unwrap();
    assert_eq!(data_plane.install(&Sa { spi: 999, ..sa }, &keys()), Err(Refusal::SlotTaken));
    assert_eq!(data_plane.install(&Sa { slot: 2, ..sa }, &keys()), Err(Refusal::SpiInUse));
    // an outbound SPI is the peer's choice: two peers may choose the same
    data_plane.install(&Sa { slot: 2, direction: Direction::Outbound, ..sa }, &keys()).unwrap();
    assert_eq!(data_plane.install(&Sa { slot: 4, spi: 999, ..sa }, &keys()), Err(Refusal::BadSlot));
    assert_eq!(
        data_plane.install(&Sa { slot: 3, spi: 3, ..sa }, &keys()),
        Err(Refusal::ReservedSpi)
    );
    assert_eq!(data_plane.retire(3), Err(Refusal::NoSuchSa));
    assert_eq!(data_plane.retire(4), Err(Refusal::BadSlot));
    assert_eq!(region.sas().count(), 2);
    data_plane.retire(1).unwrap();
    data_plane.install(&Sa { slot: 3, ..sa }, &keys()).unwrap(); // the SPI is free again
}

#[test]
fn an_update_keeps_number_window_and_moment() {
    let (region, _, mut data_plane) = both();
    let sa = sample(1, Direction::Inbound);
    assert_eq!(data_plane.update(&sa), Err(Refusal::NoSuchSa));
    data_plane.install(&sa, &keys()).unwrap();
    let window = region.inbound(1).unwrap();
    window.commit(7).unwrap();
    let moved =
        Sa { remote: "2001:db8::3".parse().unwrap(), encap: Encap::Raw, digest: [9; 16], ..sa };
    data_plane.update(&moved).unwrap();
    let now = region.sa(1).unwrap();
    assert_eq!((now.sa, now.sequence, now.installed), (moved, 7, window.installed()));
    assert_eq!(window.commit(7), Err(Replay::Duplicate));
    for (refusal, changed) in [
        (Refusal::NoSuchSa, Sa { spi: 0x2000, ..sa }),
        (Refusal::NoSuchSa, Sa { direction: Direction::Outbound, ..sa }),
        (Refusal::UnknownSuite, Sa { iv_epoch: 1, ..sa }),
        (Refusal::BadWindow, Sa { replay_window: 32, ..sa }),
        (Refusal::BadWindow, Sa { esn: false, ..sa }),
    ] {
        assert_eq!(data_plane.update(&changed), Err(refusal));
    }
    assert_eq!(region.sa(1).unwrap().sa, moved);
}

#[test]
fn a_slot_is_not_given_away_under_a_living_handle() {
    let (region, _, mut data_plane) = both();
    let sa = sample(1, Direction::Outbound);
    data_plane.install(&sa, &keys()).unwrap();
    let straggler = region.outbound(1).unwrap();
    straggler.reserve(500, 1000).unwrap();
    data_plane.retire(1).unwrap();
    if !cfg!(miri) {
        assert_eq!(data_plane.install(&sa, &keys()), Err(Refusal::SlotTaken));
    }
    assert_eq!(straggler.reserve(1, 1000), Ok(501), "still its own numbers");
    drop(straggler);
    data_plane.install(&sa, &keys()).unwrap();
    assert_eq!(region.outbound(1).unwrap().reserve(1, 1000), Ok(1));
}

#[test]
#[cfg_attr(miri, ignore = "crossbeam-epoch: see slots.rs")]
fn a_handle_that_only_waits_for_the_epoch_is_waited_for() {
    let (region, _, mut data_plane) = both();
    let sa = sample(1, Direction::Outbound);
    let slots = crate::Slots::new(4);
    for _ in 0..3 {
        data_plane.install(&sa, &keys()).unwrap();
        slots.publish(1, region.outbound(1).unwrap());
        slots.retire(1);
        data_plane.retire(1).unwrap();
    }
}

#[test]
fn a_new_data_plane_finds_every_sa_its_keys_and_where_it_stopped() {
    let (region, _, mut data_plane) = both();
    let (inbound, outbound) = (sample(0, Direction::Inbound), sample(3, Direction::Outbound));
    data_plane.install(&inbound, &keys()).unwrap();
    data_plane.install(&outbound, &keys()).unwrap();
    region.outbound(3).unwrap().reserve(32, 1000).unwrap();
    region.inbound(0).unwrap().commit(77).unwrap();
    drop(data_plane);
    // what a new process sees: the same memory, nothing else
    let region =
        Region::adopt(Arc::clone(&region.inner.shared), region.inner.secret.clone()).unwrap();
    let mut data_plane = region.data_plane().unwrap();
    let found: Vec<_> = data_plane.adopt().map(Result::unwrap).collect();
    assert_eq!(found.iter().map(|(sa, _)| *sa).collect::<Vec<_>>(), [inbound, outbound]);
    assert!(
        found
            .iter()
            .all(|(_, it)| it.encryption == keys().encryption && it.integrity == keys().integrity)
    );
    assert_eq!(region.outbound(3).unwrap().reserve(1, 1000), Ok(33));
    assert_eq!(region.inbound(0).unwrap().commit(77), Err(Replay::Duplicate));
    assert_eq!(data_plane.install(&Sa { slot: 1, ..inbound }, &keys()), Err(Refusal::SpiInUse));
}

#[test]
fn a_damaged_sa_is_reported_once_and_its_slot_emptied() {
    type Damage = fn(&Region, usize);
    let record = |region: &Region, slot: usize| region.inner.layout.records + slot * layout::RECORD;
    assert_eq!(record(&both().0, 0) % layout::LINE, 0);
    let damages: [(&str, Damage); 3] = [
        ("SA record", |region, slot| {
            let at = region.inner.layout.records + slot * layout::RECORD;
            shared(region)[at + 1..at + layout::RECORD]
                .iter()
                .for_each(|it| _ = it.fetch_xor(1, Ordering::Relaxed));
        }),
        ("key record", |region, slot| {
            let at = region.inner.layout.keys + slot * layout::KEY_RECORD;
            secret(region)[at + 5].fetch_xor(1, Ordering::Relaxed);
        }),
        ("key record", |region, slot| {
            // another SA's keys
            let at = region.inner.layout.keys;
            for word in 0..layout::KEY_RECORD {
                let other = secret(region)[at + word].load(Ordering::Relaxed);
                secret(region)[at + slot * layout::KEY_RECORD + word]
                    .store(other, Ordering::Relaxed);
            }
        }),
    ];
    for (what, damage) in damages {
        let (region, _, mut data_plane) = both();
        data_plane.install(&sample(0, Direction::Inbound), &keys()).unwrap();
        data_plane.install(&sample(2, Direction::Inbound), &keys()).unwrap();
        damage(&region, 2);
        let results: Vec<_> = data_plane.adopt().collect();
        assert_eq!(results.len(), 2);
        assert_eq!(results[0].as_ref().unwrap().0.slot, 0);
        let Err(Corrupt { what: said, index, .. }) = results[1] else { panic!("{what}") };
        assert_eq!((said, index), (what, 2));
        assert_eq!(data_plane.adopt().count(), 1);
        assert!(region.record(2).unwrap().is_none());
        data_plane.install(&sample(2, Direction::Inbound), &keys()).unwrap();
    }
}

#[test]
fn keys_of_an_installation_cut_short_are_wiped() {
    let (region, _, mut data_plane) = both();
    let at = region.inner.layout.keys + layout::KEY_RECORD;
    secret(&region)[at + 3].store(0x5ec2e7, Ordering::Relaxed);
    assert_eq!(data_plane.adopt().count(), 0);
    assert_eq!(secret(&region)[at + 3].load(Ordering::Relaxed), 0);
}

#[test]
fn unknown_tags_in_a_record_are_damage_by_name() {
    use crate::codec::{Eye, Pen, decode_sa, encode_sa};
    let tag = |octet: usize, value: u64| (0, !(0xff << (8 * octet)), value << (8 * octet));
    let rows = [
        ("SA direction", tag(0, 2)),
        ("SA encapsulation", tag(1, 9)),
        ("SA local address", tag(2, 5)),
        ("SA remote address", tag(3, 0)),
        ("SA DF rule", tag(4, 3)),
        ("SA DSCP rule", tag(5, 4)),
        ("SA ESN flag", tag(6, 2)),
        ("SA ECN flag", tag(7, 255)),
        ("SA name", (1, 0, 0)),
        ("SA integrity", (10, !0xffff_ffff, 0x1_0000)),
    ];
    let mut words = [0; layout::SA];
    encode_sa(&sample(1, Direction::Inbound), &mut Pen::new(&mut words));
    assert_eq!(decode_sa(&mut Eye::new(&words, 1)), Ok(sample(1, Direction::Inbound)));
    for (what, (at, keep, set)) in rows {
        let mut damaged = words;
        damaged[at] = damaged[at] & keep | set;
        assert_eq!(decode_sa(&mut Eye::new(&damaged, 1)).unwrap_err().what, what);
    }
}

#[test]
fn a_record_that_asks_for_more_window_than_there_is_gives_no_handle() {
    let (region, _, mut data_plane) = both();
    let sa = sample(3, Direction::Inbound);
    data_plane.install(&sa, &keys()).unwrap();
    for lie in [
        Sa { replay_window: 65536, ..sa },
        Sa { replay_window: 33, ..sa },
        Sa { replay_window: u32::MAX, ..sa },
    ] {
        write_record(&region, 3, &lie);
        assert_eq!(region.sa(3).unwrap().sa, lie, "readers show what stands there");
        assert!(region.inbound(3).is_none());
    }
    write_record(&region, 3, &Sa { slot: 1, ..sa });
    assert_eq!(region.record(3).unwrap_err().what, "SA slot");
}

/// As a data plane gone mad would.
fn write_record(region: &Region, slot: usize, sa: &Sa) {
    let mut words = [0; layout::RECORD_PAYLOAD];
    crate::codec::encode_sa(sa, &mut crate::codec::Pen::new(&mut words));
    crate::latch::write(
        &shared(region)[region.inner.layout.records + slot * layout::RECORD..],
        &words,
    );
}

#[test]
fn a_peer_that_lies_about_an_index_is_an_error() {
    let (region, mut control, mut data_plane) = both();
    secret(&region)[secret::REQUESTS].store(5, Ordering::Relaxed); // four entries fit
    assert!(
        matches!(data_plane.pop(), Err(Bad::PeerLied(lied)) if (lied.head, lied.tail) == (5, 0))
    );
    shared(&region)[layout::EVENTS].store(u64::MAX, Ordering::Relaxed);
    assert!(matches!(control.pop(), Err(EventError::PeerLied(_))));
    shared(&region)[layout::EVENTS + layout::LINE].store(1, Ordering::Relaxed);
    let event = Event::Done { id: 1, result: Ok(()) };
    assert!(matches!(data_plane.push(event), Err(PushError::PeerLied(_))));
}

#[test]
fn a_malformed_request_is_refused_by_its_number_and_the_next_one_works() {
    let (region, mut control, mut data_plane) = both();
    control.push(Request { id: 55, verb: Verb::Ping }).unwrap();
    control.push(Request { id: 56, verb: Verb::Ping }).unwrap();
    // an unknown verb under a right checksum: a peer of another mind, not an accident
    let slot = &secret(&region)[secret::WORDS..][..layout::REQUEST];
    slot[1].store(77, Ordering::Relaxed);
    let words: Vec<u64> = slot.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    slot[layout::REQUEST - 1]
        .store(crate::codec::checksum(&words[..layout::REQUEST - 1]), Ordering::Relaxed);
    let Err(Bad::Request { id, refusal, source }) = data_plane.pop() else { panic!() };
    assert_eq!(
        (id, refusal, source.what, source.value),
        (55, Refusal::UnknownVerb, "request verb", 77)
    );
    assert_eq!(data_plane.pop().unwrap().unwrap().id, 56);
}

#[test]
fn no_entry_of_random_words_is_trusted_or_panics() {
    use crate::codec::{
        Eye, decode_event, decode_interface, decode_policy, decode_request, decode_setup,
    };
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state ^ state >> 31
    };
    for round in 0..if cfg!(miri) { 20 } else { 20_000 } {
        let mut words: [u64; 160] = core::array::from_fn(|_| random());
        words[usize::from(round % 2 == 0)] %= 8; // so that known tags come up, too
        let _ = decode_request(&mut Eye::new(&words[..layout::REQUEST - 1], 0));
        let _ = decode_event(&mut Eye::new(&words[..layout::EVENT - 1], 0));
        let _ = decode_policy(&mut Eye::new(&words[..layout::POLICY_ENTRY], 0));
        let _ = decode_setup(&mut Eye::new(&words[..header::SETUP_WORDS], 0));
        let _ = decode_interface(&mut Eye::new(&words[..layout::INTERFACE_PAYLOAD], 0));
    }
}

#[test]
fn policies_are_staged_checked_and_swapped() {
    let (region, ..) = both();
    assert_eq!(region.policies(), Ok((0, vec![])));
    let (protect, bypass) =
        (policy("a", Verdict::Protect { tunnel: 7 }), policy("b", Verdict::Bypass));
    region.stage_policies(1, &[protect, bypass]).unwrap();
    assert_eq!(region.policies(), Ok((0, vec![])), "staged is not active");
    assert_eq!(region.staged(1, 2), Ok(vec![protect, bypass]));
    assert_eq!(region.staged(2, 2).unwrap_err().what, "policy generation");
    assert_eq!(region.staged(1, 1).unwrap_err().what, "policy count");
    assert!(region.activate(2).is_err());
    region.activate(1).unwrap();
    assert_eq!(region.policies(), Ok((1, vec![protect, bypass])));
    assert_eq!(region.stage_policies(1, &[]), Err(StageError::BadGeneration(1)));
    let discard = policy("c", Verdict::Discard);
    region.stage_policies(2, &[discard]).unwrap();
    assert_eq!(region.policies(), Ok((1, vec![protect, bypass])));
    region.activate(2).unwrap();
    assert_eq!(region.policies(), Ok((2, vec![discard])));
    assert!(matches!(
        region.stage_policies(3, &[discard; 3]),
        Err(StageError::TooMany { have: 3, room: 2 })
    ));
    for bad in [0, 2, 1 << 62, u64::MAX] {
        assert_eq!(region.stage_policies(bad, &[]), Err(StageError::BadGeneration(bad)));
    }
}

#[test]
fn a_damaged_policy_bank_is_never_used() {
    use crate::layout::bank;
    type Row = (&'static str, usize, u64);
    let rows: [Row; 6] = [
        ("policy bank being written", bank::SEQUENCE, 1),
        ("policy checksum", bank::GENERATION, 9),
        ("policy count", bank::COUNT, 3),
        ("policy count", bank::COUNT, u64::MAX),
        ("policy checksum", bank::CHECKSUM, 9),
        ("policy checksum", bank::WORDS, 9),
    ];
    for (what, at, value) in rows {
        let (region, ..) = both();
        region.stage_policies(1, &[policy("a", Verdict::Bypass)]).unwrap();
        let staged = region.inner.layout.banks + region.inner.layout.bank_words();
        shared(&region)[staged + at].store(value, Ordering::Relaxed);
        assert_eq!(region.staged(1, 1).unwrap_err().what, what);
        // a control that comes after one killed half-way writes all of it again
        region.stage_policies(1, &[policy("b", Verdict::Discard)]).unwrap();
        assert_eq!(region.staged(1, 1), Ok(vec![policy("b", Verdict::Discard)]));
    }
}

#[test]
fn counters_are_published_summed_and_kept_over_a_restart() {
    let (region, ..) = both();
    let (mut one, mut two) = (region.worker(0).unwrap(), region.worker(1).unwrap());
    assert!(region.worker(0).is_none() && region.worker(2).is_none());
    one.count(DropReason::MalformedEthernet);
    one.count_many(DropReason::BadDescriptor, 5);
    two.count(DropReason::BadDescriptor);
    two.add(Counter::RxFrames, 10);
    two.add(Counter::IdleTurns, 20);
    assert_eq!(region.total_counters(), Default::default(), "nothing before publish");
    one.publish();
    two.publish();
    let total = region.total_counters();
    assert_eq!(total.drops[DropReason::BadDescriptor as usize], 6);
    assert_eq!(total.drops[DropReason::MalformedEthernet as usize], 1);
    assert_eq!(total.counters[Counter::RxFrames as usize], 10);
    assert_eq!(region.worker_counters(1).unwrap().counters[Counter::IdleTurns as usize], 20);
    assert!(region.worker_counters(2).is_none());
    drop(one);
    let mut one = region.worker(0).unwrap();
    one.count(DropReason::BadDescriptor);
    one.publish();
    assert_eq!(region.worker_counters(0).unwrap().drops[DropReason::BadDescriptor as usize], 6);
}

#[test]
fn interfaces_are_shown_as_reported() {
    let (region, ..) = both();
    assert!(region.interfaces().is_empty());
    let other = InterfaceStatus { driver: None, up: false, mode: XdpMode::Down, ..status() };
    assert!(
        region.set_interface(0, &other)
            && region.set_interface(0, &status())
            && region.set_interface(15, &other)
    );
    assert!(!region.set_interface(16, &status()) && !region.set_interface(usize::MAX, &status()));
    assert_eq!(region.interfaces(), [status(), other]);
    shared(&region)[layout::INTERFACE_TABLE + 2].fetch_xor(1, Ordering::Relaxed);
    shared(&region)[layout::INTERFACE_TABLE + 24].fetch_xor(1, Ordering::Relaxed);
    assert_eq!(region.interface(0).unwrap_err().what, "interface status");
    assert_eq!(region.interfaces(), [other]);
}

#[test]
fn crypto_is_shown_as_reported() {
    let name = |text: &str| crate::Name::new(text).unwrap();
    let (region, ..) = both();
    assert_eq!(region.crypto(), Ok(None));
    let said = |fallbacks| crate::CryptoStatus { backend: name("vaes"), fallbacks };
    for fallbacks in [vec![], vec![name("AES-GCM")], vec![name(&"x".repeat(47)); 16]] {
        assert!(region.set_crypto(&said(fallbacks.clone())));
        assert_eq!(region.crypto(), Ok(Some(said(fallbacks))));
    }
    assert!(region.set_crypto(&said(vec![name("too many"); 17])));
    assert_eq!(region.crypto().unwrap().unwrap().fallbacks.len(), 16);
    let (words, copy) = (shared(&region), 1 + layout::CRYPTO_PAYLOAD);
    for at in [1, copy + 1] {
        words[layout::CRYPTO_STATUS + at].fetch_xor(1, Ordering::Relaxed);
    }
    assert_eq!(region.crypto().unwrap_err().what, "crypto status");
}

#[test]
fn a_heartbeat_is_seen_with_its_process() {
    let (region, ..) = both();
    assert_eq!((region.heartbeat_age(Side::Control), region.pid(Side::DataPlane)), (None, None));
    region.heartbeat(Side::DataPlane);
    assert_eq!(region.pid(Side::DataPlane), Some(std::process::id()));
    assert!(region.heartbeat_age(Side::DataPlane).is_some());
    assert_eq!(region.heartbeat_age(Side::Control), None);
}

#[test]
fn each_role_is_taken_once_and_given_back() {
    let region = Region::on_heap(&small()).unwrap();
    let control = region.control().unwrap();
    assert!(region.clone().control().is_none());
    drop(control);
    assert!(region.control().is_some());
    let data_plane = region.data_plane().unwrap();
    assert!(region.data_plane().is_none());
    drop(data_plane);
    assert!(region.data_plane().is_some());
}

#[test]
fn a_header_that_lies_is_refused_by_name() {
    let (sum, open) = (header::CHECKSUM, |region: &Region| {
        Region::adopt(Arc::clone(&region.inner.shared), region.inner.secret.clone()).map(drop)
    });
    let refused = |at: usize, value: u64, seal: bool| {
        let region = Region::on_heap(&small()).unwrap();
        shared(&region)[at].store(value, Ordering::Relaxed);
        if seal {
            shared(&region)[sum].store(0, Ordering::Relaxed);
            let words: Vec<u64> = shared(&region)[..header::WORDS]
                .iter()
                .map(|it| it.load(Ordering::Relaxed))
                .collect();
            shared(&region)[sum].store(crate::codec::checksum(&words), Ordering::Relaxed);
        }
        open(&region).unwrap_err()
    };
    assert!(matches!(refused(header::MAGIC, 7, true), RegionError::BadMagic(7)));
    assert!(matches!(
        refused(header::VERSION, 99, true),
        RegionError::BadVersion { found: 99, .. }
    ));
    assert!(
        matches!(refused(header::COUNTS, 3, true), RegionError::Corrupt(it) if it.what == "number of counters")
    );
    assert!(matches!(
        refused(header::SHARED_WORDS, 3, true),
        RegionError::BadSize { part: "shared", .. }
    ));
    assert!(matches!(
        refused(header::SECRET_WORDS, 3, true),
        RegionError::BadSize { part: "secret", .. }
    ));
    assert!(matches!(refused(header::PAIRING, 3, true), RegionError::Mismatched));
    // more slots than the memory has room for; no slots; a count of interfaces past the table
    assert!(matches!(refused(header::SETUP, 9 | 2 << 32, true), RegionError::BadSize { .. }));
    assert!(matches!(
        refused(header::SETUP, u64::MAX, true),
        RegionError::BadSetup { what: "sa_slots", .. }
    ));
    assert!(
        matches!(refused(header::SETUP + 2, 17 | 2 << 16, true), RegionError::Corrupt(it) if it.what == "interface count")
    );
    assert!(
        matches!(refused(header::SETUP + 2, 1 | 65 << 16, true), RegionError::Corrupt(it) if it.what == "worker count")
    );
    assert!(
        matches!(refused(header::SETUP + 3, 1, false), RegionError::Corrupt(it) if it.what == "header checksum")
    );
    let tiny = crate::memory::Memory::heap(8);
    assert!(matches!(Region::adopt(tiny, None).unwrap_err(), RegionError::BadSize { .. }));
}

#[test]
fn halves_of_two_regions_do_not_go_together() {
    let (one, two) = (Region::on_heap(&small()).unwrap(), Region::on_heap(&small()).unwrap());
    let mixed = Region::adopt(Arc::clone(&one.inner.shared), two.inner.secret.clone());
    assert!(matches!(mixed.unwrap_err(), RegionError::Mismatched));
    let twice = Region::adopt(Arc::clone(&one.inner.shared), Some(Arc::clone(&one.inner.shared)));
    assert!(twice.is_err());
}

#[test]
fn hot_words_of_two_slots_never_share_a_line() {
    let layout = both().0.inner.layout;
    for start in
        [layout.events, layout.banks, layout.records, layout.hot, layout.windows, layout.keys]
    {
        assert_eq!(start % layout::LINE, 0);
    }
    assert_eq!((hot::WORDS % layout::LINE, layout.window_stride % layout::LINE), (0, 0));
}

#[test]
#[cfg_attr(miri, ignore = "no memfd in Miri")]
fn a_region_in_memfds_works() {
    let ours = Region::create(&small()).unwrap();
    let theirs = Region::open(ours.fds().unwrap()).unwrap();
    assert_eq!(theirs.setup(), Ok(small()));
    let (mut control, mut data_plane) = (theirs.control().unwrap(), ours.data_plane().unwrap());
    control
        .push(Request {
            id: 1,
            verb: Verb::Add { sa: Box::new(sample(0, Direction::Outbound)), keys: keys() },
        })
        .unwrap();
    let Verb::Add { sa, keys } = data_plane.pop().unwrap().unwrap().verb else { panic!() };
    data_plane.install(&sa, &keys).unwrap();
    data_plane.push(Event::Done { id: 1, result: Ok(()) }).unwrap();
    assert_eq!(control.pop(), Ok(Some(Event::Done { id: 1, result: Ok(()) })));
    assert_eq!(theirs.sa(0).unwrap().sa, *sa);
    // the memory outlives either side
    drop((ours, data_plane));
    assert_eq!(theirs.data_plane().unwrap().adopt().count(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "no memfd in Miri")]
fn an_unsealed_or_resizable_file_is_refused() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    for seals in
        [SealFlags::empty(), SealFlags::SHRINK | SealFlags::GROW, SealFlags::SEAL | SealFlags::GROW]
    {
        let fd = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&fd, 1 << 16).unwrap();
        fcntl_add_seals(&fd, seals).unwrap();
        let opened = Region::open(crate::RegionFds { shared: fd, secret: None });
        assert!(
            matches!(opened.unwrap_err(), RegionError::NotSealed { part: "shared", .. }),
            "{seals:?}"
        );
    }
    let ours = Region::create(&small()).unwrap().fds().unwrap();
    assert!(
        ftruncate(&ours.shared, 8).is_err() && ftruncate(ours.secret.unwrap(), 1 << 30).is_err()
    );
}

#[test]
#[cfg_attr(miri, ignore = "no memfd in Miri")]
fn a_reader_s_descriptor_cannot_be_mapped_for_writing() {
    let region = Region::create(&small()).unwrap();
    let reader = Region::open(region.reader_fds().unwrap()).unwrap();
    assert!(reader.inner.shared.writable().is_none() && reader.inner.secret.is_none());
    region.heartbeat(Side::Control);
    assert_eq!(reader.pid(Side::Control), Some(std::process::id()));
    assert!(!reader.set_interface(0, &status()) && reader.activate(1).is_err());
    let crypto = crate::CryptoStatus { backend: status().name, fallbacks: Vec::new() };
    assert!(region.set_crypto(&crypto) && !reader.set_crypto(&crypto));
    assert_eq!(reader.crypto(), Ok(Some(crypto)));
    assert!(reader.inbound(0).is_none() && reader.outbound(0).is_none());
}
