//! A data plane played in this process: the real link, rings and records, and no packets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use sadb::link::{Accepted, ControlLink, Listener};
use sadb::{DataPlane, Event, Refusal, Region, Side, Verb};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Steps counted from the first; this one is never reached.
const NONE: usize = usize::MAX;

/// What the played data plane does.
#[derive(Default)]
pub struct Behaviour {
    /// The next request to refuse, counted down.
    pub refuse: AtomicUsize,
    /// Ends the thread, as kill -9 would.
    stop: AtomicBool,
    /// Requests seen, by kind.
    pub seen: Mutex<Vec<&'static str>>,
    region: Mutex<Option<Region>>,
}

pub struct Played {
    pub behaviour: Arc<Behaviour>,
    thread: Option<JoinHandle<()>>,
}

impl Played {
    pub fn start(run_dir: &Path) -> Self {
        let behaviour =
            Arc::new(Behaviour { refuse: AtomicUsize::new(NONE), ..Behaviour::default() });
        let listener = Listener::bind(&run_dir.join("dataplane.sock")).unwrap();
        let inner = Arc::clone(&behaviour);
        let thread = Some(std::thread::spawn(move || play(&listener, &inner)));
        Self { behaviour, thread }
    }
    pub fn region(&self) -> Region {
        wait_for("a region", || self.behaviour.region.lock().unwrap().clone())
    }
    #[allow(dead_code, reason = "not every test asks")]
    pub fn seen(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.behaviour.seen.lock().unwrap())
    }
}
impl Drop for Played {
    fn drop(&mut self) {
        self.behaviour.stop.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Polls until there is something; the limit is for a test that hangs.
pub fn wait_for<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn play(listener: &Listener, behaviour: &Behaviour) {
    let mut region: Option<Region> = None;
    let mut attached: Option<(ControlLink, DataPlane)> = None;
    while !behaviour.stop.load(Ordering::SeqCst) {
        if let Ok(Some(Accepted::Control(link))) = listener.accept(region.as_ref()) {
            drop(attached.take());
            let mut data_plane = link.region.data_plane().expect("the role is free");
            data_plane.adopt().for_each(|sa| drop(sa.unwrap()));
            region = Some(link.region.clone());
            *behaviour.region.lock().unwrap() = region.clone();
            attached = Some((link, data_plane));
        }
        if let Some(region) = &region {
            region.heartbeat(Side::DataPlane);
        }
        let gone = attached
            .as_mut()
            .is_some_and(|(link, data_plane)| serve(link, data_plane, behaviour).is_none());
        if gone {
            attached = None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Answers what waits. `None`: control is gone.
fn serve(link: &ControlLink, data_plane: &mut DataPlane, behaviour: &Behaviour) -> Option<()> {
    link.doorbell.drain().ok()?;
    while let Some(request) = data_plane.pop().unwrap() {
        let left = behaviour.refuse.load(Ordering::SeqCst);
        let next = if left == NONE { NONE } else { left.checked_sub(1).unwrap_or(NONE) };
        behaviour.refuse.store(next, Ordering::SeqCst);
        let result = match left {
            0 => Err(Refusal::UnknownSuite),
            _ => done(&link.region, data_plane, &request.verb, behaviour),
        };
        data_plane.push(Event::Done { id: request.id, result }).unwrap();
        link.doorbell.ring().ok()?;
    }
    Some(())
}

fn done(
    region: &Region,
    data_plane: &mut DataPlane,
    verb: &Verb,
    behaviour: &Behaviour,
) -> Result<(), Refusal> {
    let name = match verb {
        Verb::Add { .. } => "add",
        Verb::Update { .. } => "update",
        Verb::Delete { .. } => "delete",
        Verb::Policies { .. } => "policies",
        _ => "other",
    };
    behaviour.seen.lock().unwrap().push(name);
    match verb {
        Verb::Add { sa, keys } => data_plane.install(sa, keys),
        Verb::Update { sa } => data_plane.update(sa),
        Verb::Delete { slot, .. } => data_plane.retire(*slot),
        Verb::Policies { generation, count } => {
            region.staged(*generation, *count).map_err(|_| Refusal::BadPolicy)?;
            region.activate(*generation).map_err(|_| Refusal::BadPolicy)
        }
        _ => Ok(()),
    }
}
