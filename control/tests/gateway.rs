//! Control against a data plane that is played here: apply, refuse, roll back, restart each side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
mod played;

use control::driver::{Driver, Paths, Source};
use played::{Played, wait_for};
use sadb::Region;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use zeroize::Zeroizing;

const BASE: &str = include_str!("broken/base.yaml");

struct World {
    directory: tempfile::TempDir,
    driver: Driver,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (driver, thread) = start(directory.path(), text);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { directory, driver, thread: Some(thread), runtime }
    }
    fn run_dir(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
    fn apply(&self, text: &str) -> Result<control::driver::Outcome, control::apply::ApplyError> {
        self.runtime
            .block_on(self.driver.apply(Source::Text(Zeroizing::new(text.to_owned())), false))
    }
    fn settled(&self, data_plane: &Played, sas: usize) -> Region {
        let region = data_plane.region();
        wait_for("SAs", || {
            (region.sas().count() == sas && self.driver.shared.link().attached).then_some(())
        });
        // The driver is done with reconciling when it answers.
        self.runtime
            .block_on(self.driver.apply(Source::Text(Zeroizing::new("x".to_owned())), true))
            .unwrap_err();
        region
    }
    fn stop(&mut self) {
        self.driver.stop();
        self.thread.take().map(JoinHandle::join);
    }
    fn restart(&mut self, text: &str) {
        self.stop();
        let (driver, thread) = start(self.directory.path(), text);
        (self.driver, self.thread) = (driver, Some(thread));
    }
}
impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(directory: &Path, text: &str) -> (Driver, JoinHandle<()>) {
    let config = directory.join("postern.yaml");
    std::fs::write(&config, text).unwrap();
    let paths = Paths { run_dir: directory.to_owned(), config, state: directory.join("state") };
    Driver::start(paths).unwrap()
}

/// What must not change when nothing was to change: everything, order of slots included.
fn picture(region: &Region) -> (Vec<sadb::SaStatus>, Vec<sadb::Policy>) {
    (region.sas().collect(), region.policies().unwrap().1)
}
/// The same without slot, epoch and first number, which an SA that comes back may have anew.
fn meaning(region: &Region) -> (Vec<([u8; 16], u32)>, Vec<sadb::Policy>) {
    let mut sas: Vec<_> = region.sas().map(|status| (status.sa.digest, status.sa.spi)).collect();
    sas.sort();
    (sas, region.policies().unwrap().1)
}

#[test]
fn a_change_touches_only_what_changed() {
    let world = World::new(BASE);
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    played.seen();
    assert_eq!(world.apply(BASE).unwrap().steps, []);
    assert_eq!(played.seen(), [""; 0]);
    let before = picture(&region);

    let limits = BASE.replace("hard_bytes: 2000", "hard_bytes: 3000");
    world.apply(&limits).unwrap();
    assert_eq!(played.seen(), ["update", "update"]);
    let after = picture(&region);
    let kept = |status: &sadb::SaStatus| {
        (status.sa.slot, status.sa.spi, status.sa.iv_epoch, status.installed)
    };
    assert_eq!(
        before.0.iter().map(kept).collect::<Vec<_>>(),
        after.0.iter().map(kept).collect::<Vec<_>>()
    );

    let rekeyed = BASE.replace("spi: 0x2001", "spi: 0x2003");
    world.apply(&rekeyed).unwrap();
    let seen = played.seen();
    assert_eq!(
        seen,
        ["add", "update", "update", "delete"],
        "the new SA comes before the old one goes"
    );

    let same_spi =
        rekeyed.replace("03030303030303030303030303030303", "13131313131313131313131313131313");
    world.apply(&same_spi).unwrap();
    assert_eq!(played.seen(), ["delete", "add"], "an inbound SPI cannot be there twice");

    let less = BASE.split("  site-c:").next().unwrap();
    world.apply(less).unwrap();
    assert_eq!(
        played.seen(),
        ["policies", "delete", "delete"],
        "policies first, then what they named"
    );
    assert_eq!(region.sas().count(), 2);
}

#[test]
fn a_refusal_at_any_step_puts_everything_back() {
    let world = World::new(BASE);
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    let before = meaning(&region);
    // Adds, updates, policies, a replacement and deletes in one change.
    let other = BASE
        .replace("hard_bytes: 2000", "hard_bytes: 3000")
        .replace("05050505050505050505050505050505", "15151515151515151515151515151515")
        .replace("03030303030303030303030303030303", "13131313131313131313131313131313")
        .replace("10.3.0.0/16", "10.4.0.0/16");
    for step in 0.. {
        assert!(step < 20, "it is refused for ever");
        played.seen();
        played.behaviour.refuse.store(step, Ordering::SeqCst);
        match world.apply(&other) {
            Ok(outcome) => {
                assert!(step >= 6 && outcome.applied, "only {step} steps were there to refuse");
                break;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("does not run this suite"), "step {step}: {said}");
                assert!(said.contains("everything is as it was before"), "step {step}: {said}");
                assert_eq!(meaning(&region), before, "step {step}: {said}");
            }
        }
    }
    assert_ne!(meaning(&region), before);
}

#[test]
fn a_restarted_control_finds_its_sas_again() {
    let mut world = World::new(BASE);
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    let before = picture(&region);
    played.seen();
    world.restart(BASE);
    world.settled(&played, 4);
    assert_eq!(played.seen(), [""; 0]);
    assert_eq!(picture(&region), before);
    // And one whose file changed meanwhile changes only that.
    world.restart(&BASE.replace("dscp: out", "dscp: copy"));
    wait_for("updates", || (played.behaviour.seen.lock().unwrap().len() == 2).then_some(()));
    assert_eq!(played.seen(), ["update", "update"]);
    // One whose file is broken changes nothing.
    world.restart("interfaces: [");
    wait_for("attachment", || world.driver.shared.link().attached.then_some(()));
    assert_eq!(region.sas().count(), 4);
    assert_eq!(played.seen(), [""; 0]);
}

#[test]
fn a_restarted_data_plane_gets_its_region_back() {
    let world = World::new(BASE);
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    let outbound =
        region.sas().find(|status| status.sa.direction == sadb::Direction::Outbound).unwrap();
    region.outbound(outbound.sa.slot).unwrap().reserve(1000, u64::MAX >> 1).unwrap();
    let before = picture(&region);
    drop((played, region));
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    assert_eq!(picture(&region), before, "numbers go on");
    assert_eq!(played.seen(), [""; 0]);
}

#[test]
fn another_setup_waits_for_a_restart_and_numbers_go_on() {
    let world = World::new(BASE);
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    let slot = region.sas().find(|status| status.sa.spi == 0x1002).unwrap().sa.slot;
    region.outbound(slot).unwrap().reserve(1000, u64::MAX >> 1).unwrap();
    let (before, old) = (picture(&region), region.sa(slot).unwrap());
    let wider = BASE.replace("sa_slots: 4096", "sa_slots: 128");
    let error = world.apply(&wider).unwrap_err().to_string();
    assert!(
        error
            .contains("needs a restart of postern-dataplane: dataplane.sa_slots: 4096 becomes 128"),
        "{error}"
    );
    assert_eq!(picture(&region), before);
    drop((played, region));
    let played = Played::start(&world.run_dir());
    let region = world.settled(&played, 4);
    assert_eq!(region.setup().unwrap().geometry.sa_slots, 128);
    let new = region.sas().find(|status| status.sa.spi == 0x1002).unwrap();
    assert!(new.sequence >= old.sequence + 1000 && new.sa.iv_epoch != old.sa.iv_epoch, "{new:?}");
}

#[test]
fn without_a_place_for_epochs_nothing_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "in the way").unwrap();
    let (driver, thread) = start(directory.path(), BASE);
    let played = Played::start(directory.path());
    let region = played.region();
    let problem =
        wait_for("a problem", || driver.shared.link().problem.filter(|p| p.contains("iv-epochs")));
    assert!(problem.contains("nothing was applied"), "{problem}");
    assert_eq!(region.sas().count(), 0);
    driver.stop();
    thread.join().unwrap();
}

#[test]
fn without_a_data_plane_apply_says_so() {
    let world = World::new(BASE);
    let error = world.apply(BASE).unwrap_err().to_string();
    assert!(error.contains("postern-dataplane is not attached"), "{error}");
}
