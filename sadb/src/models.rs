//! Loom models: every interleaving of a few steps. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p postern-sadb --release --lib models`.
use crate::latch::{self, Unreadable};
use crate::layout::{LINE, window_words};
use crate::memory::Memory;
use crate::ring::tests::{memory, pair};
use crate::sequence::reserve;
use crate::sync::{Ordering, Word};
use crate::window::{Replay, Window};
use loom::thread;
use std::sync::Arc;

/// Both rings are one type. Three entries through two slots: the writer meets a full ring, indices come round, and
/// entries must come out whole, in order, and wiped behind.
#[test]
fn ring_entries_arrive_whole_and_in_order() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let memory = memory::<2>();
        let (mut producer, mut consumer) = pair::<2>(&memory);
        let writer = thread::spawn(move || {
            let mut left = 1..=3;
            let mut entry = left.next();
            while let Some(n) = entry {
                match producer.push(&[n, 0]) {
                    Ok(()) => entry = left.next(),
                    Err(_) => thread::yield_now(),
                }
            }
        });
        let mut expected = 1;
        while expected <= 3 {
            match consumer.pop().unwrap() {
                Some(entry) => {
                    assert_eq!(entry[0], expected);
                    expected += 1;
                }
                None => thread::yield_now(),
            }
        }
        writer.join().unwrap();
        let slots = &memory.writable().unwrap()[2 * LINE..];
        assert!(slots.iter().all(|word| word.load(Ordering::Relaxed) == 0));
    });
}

#[test]
fn a_latch_is_never_read_torn() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let memory = Memory::heap(latch::words(2));
        latch::write(memory.writable().unwrap(), &[1, 1]);
        let writer = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                latch::write(memory.writable().unwrap(), &[2, 2]);
                latch::write(memory.writable().unwrap(), &[3, 3]);
            })
        };
        let mut out = [0; 2];
        // a mixture would be `Damaged`: no excuse for it
        match latch::read(memory.words(), &mut out) {
            Ok(true) => assert!(out[0] == out[1] && (1..=3).contains(&out[0]), "{out:?}"),
            Ok(false) => panic!("it was written"),
            Err(Unreadable::Torn) => {}
            Err(Unreadable::Damaged(_)) => panic!("torn: {out:?}"),
        }
        writer.join().unwrap();
    });
}

struct Shared {
    highest: Word,
    words: Vec<Word>,
}
impl Shared {
    const WIDTH: u32 = 32;
    fn new(highest: u64) -> Arc<Self> {
        let words = (0..window_words(Self::WIDTH)).map(|_| Word::new(0)).collect();
        let shared = Self { highest: Word::new(0), words };
        shared.window().reset(highest);
        Arc::new(shared)
    }
    fn window(&self) -> Window<'_> {
        Window { highest: &self.highest, words: &self.words, width: Self::WIDTH }
    }
}

/// All `commits` at once, each by its own thread; the results in their order.
fn race(shared: &Arc<Shared>, commits: [u64; 2]) -> [Result<(), Replay>; 2] {
    let threads = commits.map(|sequence| {
        let shared = Arc::clone(shared);
        thread::spawn(move || shared.window().commit(sequence))
    });
    threads.map(|thread| thread.join().unwrap())
}

#[test]
fn of_twins_exactly_one_wins() {
    // in the window, at its top, far ahead
    for sequence in [90, 101, 5000] {
        loom::model(move || {
            let shared = Shared::new(0);
            shared.window().commit(100).unwrap();
            let results = race(&shared, [sequence, sequence]);
            assert!(
                results.contains(&Ok(())) && results.contains(&Err(Replay::Duplicate)),
                "{results:?}"
            );
            assert_eq!(shared.highest.load(Ordering::Relaxed), sequence.max(100));
        });
    }
}

#[test]
fn a_twin_loses_also_when_the_window_moves_past_it() {
    // outside of loom: which endings the search has met
    let seen = Arc::new(std::sync::atomic::AtomicU8::new(0));
    let met = Arc::clone(&seen);
    loom::model(move || {
        let shared = Shared::new(100);
        // 105 and 169 share a word (blocks 6 and 10 of 4 words); whoever comes late, 105 is accepted once
        let first = shared.window().commit(105);
        let [twin, jump] = race(&shared, [105, 169]);
        assert_eq!((first, jump), (Ok(()), Ok(())));
        assert!(matches!(twin, Err(Replay::Duplicate | Replay::Late)), "{twin:?}");
        seen.fetch_or(
            if twin == Err(Replay::Late) { 2 } else { 1 },
            std::sync::atomic::Ordering::Relaxed,
        );
        assert_eq!(shared.window().commit(105), Err(Replay::Late));
        assert_eq!(shared.window().commit(169), Err(Replay::Duplicate));
    });
    assert_eq!(met.load(std::sync::atomic::Ordering::Relaxed), 3, "both ways of losing were tried");
}

#[test]
fn two_blocks_of_one_word_never_both_lose_and_nothing_outside_is_accepted_twice() {
    loom::model(|| {
        let shared = Shared::new(0);
        // 10 and 74 share word 0 (blocks 0 and 4): 74 always gets in, 10 only if it came first
        let [low, high] = race(&shared, [10, 74]);
        assert_eq!(high, Ok(()));
        assert!(matches!(low, Ok(()) | Err(Replay::Late)), "{low:?}");
        assert_eq!(shared.window().check(10), Err(Replay::Late));
        assert_eq!(shared.window().commit(10), Err(Replay::Late));
        assert_eq!(shared.window().check(42), Err(Replay::Late)); // 74 - 32
        assert_eq!(shared.window().check(43), Ok(()));
    });
}

#[test]
fn two_workers_never_share_a_number() {
    loom::model(|| {
        let number = Arc::new(Word::new(0));
        let threads = [2, 3].map(|n| {
            let number = Arc::clone(&number);
            thread::spawn(move || reserve(&number, n, 4))
        });
        let [two, three] = threads.map(|thread| thread.join().unwrap());
        // only one of them fits below the limit of 4, and it starts at 1
        assert!(matches!((two, three), (Ok(1), Err(_)) | (Err(_), Ok(1))), "{two:?} {three:?}");
    });
}
