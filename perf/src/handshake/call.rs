//! The initiator of the side-by-side run: our engine over UDP, each peer with an address and sockets of its own, so many
//! under way at a time.
use super::party::{Party, turned};
use super::sites::{Sites, unix_now};
use super::{Failed, cpu};
use ike::action::Endpoint;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest UDP payload.
const LARGEST: usize = 65_535;
/// After so long without news nobody will stand any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Called {
    /// Peers with a Child SA.
    pub established: usize,
    /// From the first call until the last of them stood.
    pub seconds: f64,
    /// Our processor time meanwhile.
    pub initiator_seconds: f64,
    /// The last failure.
    pub why: Option<String>,
}

struct Line {
    party: Party,
    /// By our address and port; the oldest are closed when there are too many.
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    opened: VecDeque<SocketAddr>,
    most: usize,
    began: Instant,
    buffer: Vec<u8>,
}

/// Calls until every peer stands.
///
/// # Errors
/// [`Failed`]: no sockets.
pub fn run(sites: &Sites, peers: usize, abreast: usize) -> Result<Called, Failed> {
    let mut line = Line {
        party: Party::new(&Arc::new(sites.peers(0, peers)?)),
        sockets: BTreeMap::new(),
        opened: VecDeque::new(),
        most: abreast * 4, // two ports, and some time for answers that come late
        began: Instant::now(),
        buffer: vec![0; LARGEST],
    };
    line.party.unix_now = unix_now();
    let mut waiting = VecDeque::from(Sites::names(peers));
    let (mut begun, mut last) = (0, Instant::now());
    let before = cpu::thread();
    while line.done() < peers && last.elapsed() < PATIENCE {
        let done = line.done();
        while begun < done + abreast
            && let Some(name) = waiting.pop_front()
        {
            begun += 1;
            line.party.call(line.now(), &[name]);
        }
        line.turn()?;
        if line.done() > done {
            last = Instant::now();
        }
    }
    Ok(Called {
        established: line.party.tally.child_up.0,
        seconds: line.began.elapsed().as_secs_f64(),
        initiator_seconds: cpu::thread().saturating_sub(before).as_secs_f64(),
        why: line.party.tally.why,
    })
}

impl Line {
    /// Peers that stand, or never will.
    fn done(&self) -> usize {
        self.party.tally.child_up.0 + self.party.tally.failed
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends what waits, and takes what comes, or what time brings.
    fn turn(&mut self) -> Result<(), Failed> {
        for (path, datagram) in std::mem::take(&mut self.party.sent) {
            let lost = |why| Failed::System(format!("{path}: {why}"));
            self.send(path, &datagram).map_err(lost)?;
        }
        self.wait();
        let mut heard = Vec::new();
        for (local, socket) in &self.sockets {
            while let Ok((length, remote)) = socket.recv_from(&mut self.buffer) {
                let path = Endpoint { local: *local, remote };
                let octets = self.buffer.get(..length).unwrap_or_default();
                heard.push((turned(path), octets.to_vec()));
            }
        }
        let now = self.now();
        self.party.hear(now, &heard);
        self.party.tick(now);
        Ok(())
    }

    fn send(&mut self, path: Endpoint, datagram: &[u8]) -> std::io::Result<()> {
        if let Entry::Vacant(vacant) = self.sockets.entry(path.local) {
            let socket = UdpSocket::bind(path.local)?;
            socket.set_nonblocking(true)?;
            vacant.insert(socket);
            self.opened.push_back(path.local);
        }
        if self.opened.len() > self.most
            && let Some(oldest) = self.opened.pop_front()
        {
            self.sockets.remove(&oldest);
        }
        let socket = self.sockets.get(&path.local);
        socket.map_or(Ok(0), |socket| socket.send_to(datagram, path.remote)).map(|_| ())
    }

    fn wait(&self) {
        let due = self.party.engine.next_deadline().unwrap_or(u64::MAX);
        let rest = Duration::from_millis(due.saturating_sub(self.now()).min(1000));
        let timeout =
            Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() };
        let of = |socket| PollFd::new(socket, PollFlags::IN);
        let mut fds: Vec<_> = self.sockets.values().map(of).collect();
        let _ = poll(&mut fds, Some(&timeout));
    }
}
