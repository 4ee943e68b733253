//! Which Child SAs shall be up, and when the next attempt is due for those that are not.
use super::Engine;
use crate::action::{Action, Endpoint, Packet};
use crate::event::Cause;
use crate::exchange::call::Calling;
use crate::ike_sa::{Base, IkeSa, Nat, Purpose, Task};
use crate::settings::{Child, Connection, Start, Then};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// The wait after the first failure, and the longest, in milliseconds.
const BACKOFF_MS: (u64, u64) = (1_000, 60_000);

type Key = (Arc<str>, Arc<str>);

/// Connections' children that shall be up.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    children: BTreeMap<Key, Want>,
    /// Those about which something is to be done, by the time.
    agenda: BTreeSet<(u64, Key)>,
    /// Children that a packet may ask for.
    trapped: BTreeSet<Key>,
    /// The IKE SA that is being begun for a connection.
    attempts: BTreeMap<Arc<str>, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Want {
    /// When something is to be done about it; `None`: it is up, or being made.
    due: Option<u64>,
    /// Failures since it was up.
    tries: u32,
    packet: Option<Packet>,
}

impl Wanted {
    pub(super) fn deadline(&self) -> Option<u64> {
        self.agenda.first().map(|(at, _)| *at)
    }
    pub(super) fn up(&mut self, connection: &Arc<str>, child: &Arc<str>) {
        self.change(&key(connection, child), |want| *want = Want::default());
    }
    /// Connections of which something is due.
    fn due(&self, now: u64) -> BTreeSet<Arc<str>> {
        let due = self.agenda.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, (connection, _))| Arc::clone(connection)).collect()
    }
    /// Changes what is wanted, if it is.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Want)) {
        let Some(want) = self.children.get_mut(key) else { return };
        let before = want.due;
        change(want);
        let after = want.due;
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.agenda.remove(&(at, key.clone()));
        }
        if let Some(at) = after {
            self.agenda.insert((at, key.clone()));
        }
    }
    /// Whether it is wanted, and how much.
    fn wants(&self, key: &Key) -> Option<Want> {
        self.children.get(key).copied()
    }
    /// From now on it is wanted, as far as it was not.
    fn enter(&mut self, key: &Key) {
        self.children.entry(key.clone()).or_default();
    }
    fn remove(&mut self, key: &Key) {
        if let Some(at) = self.children.remove(key).and_then(|want| want.due) {
            self.agenda.remove(&(at, key.clone()));
        }
    }
    /// Children of a connection that are wanted.
    fn of(&self, connection: &Arc<str>) -> Vec<Key> {
        let from = key(connection, &Arc::from(""));
        let own = self.children.range(from..).take_while(|((of, _), _)| of == connection);
        own.map(|(key, _)| key.clone()).collect()
    }
    /// What was being begun stands, or is gone: others may be begun for its connection.
    pub(super) fn attempt_done(&mut self, connection: &Arc<str>, spi: u64) -> bool {
        let own = self.attempts.get(connection) == Some(&spi);
        if own {
            self.attempts.remove(connection);
        }
        own
    }
}

fn key(connection: &Arc<str>, child: &Arc<str>) -> Key {
    (Arc::clone(connection), Arc::clone(child))
}

impl Engine {
    /// From now on it shall be up.
    pub(super) fn want(
        &mut self,
        connection: &Connection,
        child: &Child,
        packet: Option<Packet>,
        now: u64,
    ) {
        let up = self.has(connection, child);
        let key = key(&connection.name, &child.name);
        self.wanted.enter(&key);
        self.wanted.change(&key, |want| {
            if want.due.is_none_or(|at| at > now) && !up {
                *want = Want { due: Some(now), packet: packet.or(want.packet), ..*want };
            }
        });
    }

    /// From now on nobody cares.
    pub(super) fn unwant(&mut self, connection: &Arc<str>, child: Option<&Arc<str>>) {
        let of = |key: &&Key| child.is_none_or(|child| *child == key.1);
        for key in self.wanted.of(connection).iter().filter(of) {
            self.wanted.remove(key);
        }
    }

    /// A packet may ask for it from now on, or not.
    pub(super) fn trap(
        &mut self,
        connection: &Arc<str>,
        child: &Arc<str>,
        armed: bool,
        out: &mut Vec<Action>,
    ) {
        let changed = match armed {
            true => self.wanted.trapped.insert(key(connection, child)),
            false => self.wanted.trapped.remove(&key(connection, child)),
        };
        if changed {
            let (connection, child) = key(connection, child);
            out.push(Action::Trap { connection, child, armed });
        }
    }

    /// A packet asks for it.
    pub(super) fn acquire(
        &mut self,
        connection: &Arc<str>,
        child: &Arc<str>,
        packet: Option<Packet>,
        now: u64,
    ) {
        let key = key(connection, child);
        let known = self.wanted.trapped.contains(&key) || self.wanted.wants(&key).is_some();
        let Some(connection) = self.connection(connection).filter(|_| known) else { return };
        if let Some(child) = connection.child(child) {
            self.want(&connection, child, packet, now);
        }
    }

    /// Begins what is due.
    pub(super) fn pursue(&mut self, now: u64, out: &mut Vec<Action>) {
        for name in self.wanted.due(now) {
            let Some(connection) = self.connection(&name) else {
                self.unwant(&name, None);
                continue;
            };
            let due = self.take_due(&connection, now);
            match self.standing(&connection) {
                Some(spi) => self.create(spi, due, now, out),
                // What is being begun takes them along when it stands.
                None if self.wanted.attempts.contains_key(&name) => {}
                None => {
                    self.begin(
                        &connection,
                        Purpose { children: due, ..Purpose::default() },
                        now,
                        out,
                    );
                }
            }
        }
    }

    fn take_due(&mut self, connection: &Connection, now: u64) -> Vec<(Arc<str>, Option<Packet>)> {
        let mut due = Vec::new();
        for child in &connection.children {
            self.wanted.change(&key(&connection.name, &child.name), |want| {
                if want.due.take_if(|at| *at <= now).is_some() {
                    due.push((Arc::clone(&child.name), want.packet.take()));
                }
            });
        }
        if due.is_empty() {
            // Children that the configuration does not have any more.
            let unknown = |key: &&Key| connection.child(&key.1).is_none();
            for key in self.wanted.of(&connection.name).iter().filter(unknown) {
                self.wanted.remove(key);
            }
        }
        due
    }

    fn create(
        &mut self,
        spi: u64,
        due: Vec<(Arc<str>, Option<Packet>)>,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        for (name, packet) in due {
            let child = self.sas.get(&spi).and_then(|sa| sa.base.connection.child(&name).cloned());
            if let Some(child) = child {
                self.task(spi, Task::Create { child, packet }, now, out);
            }
        }
    }

    /// Begins an IKE SA. Its SPI.
    pub(super) fn begin(
        &mut self,
        connection: &Arc<Connection>,
        purpose: Purpose,
        now: u64,
        out: &mut Vec<Action>,
    ) -> Option<u64> {
        let Some((local, remote)) = connection.ends() else {
            self.cannot_begin(
                &connection.name,
                "only the peer can begin: `remote` is not one address",
                now,
                out,
            );
            return None;
        };
        let port = self.settings.ports.ike;
        let path = Endpoint {
            local: SocketAddr::new(local, port),
            remote: SocketAddr::new(remote, connection.remote_port),
        };
        let alone = self.standing(connection).is_none();
        let spi = self.free_spi(now, out);
        let base = Base {
            spi,
            peer_spi: 0,
            initiator: true,
            connection: Arc::clone(connection),
            path,
            nat: Nat::default(),
            born: now,
            purpose: Purpose { initial_contact: alone && purpose.replaces.is_none(), ..purpose },
        };
        let Some(state) = Calling::begin(&base, &mut self.env(spi, now, out)) else {
            self.cannot_begin(
                &connection.name,
                "its proposals have no key exchange that this build knows",
                now,
                out,
            );
            return None;
        };
        if base.purpose.replaces.is_none() {
            self.wanted.attempts.insert(Arc::clone(&connection.name), spi);
        }
        self.put(IkeSa { base, state });
        Some(spi)
    }

    /// An IKE SA of this connection, as it is configured now, that stands.
    fn standing(&self, connection: &Arc<Connection>) -> Option<u64> {
        let as_configured = |spi: &u64| {
            self.sas.get(spi).is_some_and(|sa| Arc::ptr_eq(&sa.base.connection, connection))
        };
        self.of_connection(&connection.name).find(|spi| as_configured(spi) && self.stands(*spi))
    }

    /// An IKE SA is gone, or did not come to be.
    pub(super) fn ended(
        &mut self,
        spi: u64,
        connection: &Arc<str>,
        cause: Cause,
        children: &[Arc<str>],
        now: u64,
        out: &mut Vec<Action>,
    ) {
        if self.wanted.attempt_done(connection, spi) {
            for child in children {
                self.child_down(connection, child, cause, now, out);
            }
        }
        // What came to be wanted meanwhile, or was to be made by it, is as far as it was.
        self.awake(connection, now);
    }

    /// Wants that wait for an IKE SA which did not come to be.
    fn awake(&mut self, connection: &Arc<str>, now: u64) {
        let Some(connection) = self.connection(connection) else { return };
        for child in &connection.children {
            let up = self.has(&connection, child);
            self.wanted.change(&key(&connection.name, &child.name), |want| {
                if want.due.is_none() && !up {
                    want.due = Some(now.saturating_add(BACKOFF_MS.0));
                }
            });
        }
    }

    /// A child is gone or could not be made: again, when it is asked for, or never.
    pub(super) fn child_down(
        &mut self,
        connection: &Arc<str>,
        child: &Arc<str>,
        cause: Cause,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(connection) = self.connection(connection) else { return };
        let Some(child) = connection.child(child) else { return };
        if self.has(&connection, child) {
            return;
        }
        let own = key(&connection.name, &child.name);
        let then = match cause {
            Cause::Ordered | Cause::Configuration => return,
            Cause::Dead => child.on_dead,
            Cause::Peer => child.on_close,
            // Nobody ended it: what was wanted still is.
            Cause::Failed | Cause::Expired | Cause::Replaced | Cause::Redundant => {
                self.lost(&connection, child, own, cause, now, out);
                return;
            }
        };
        // What `start` says is done at the start, and no more: from here on the file's word for this end counts.
        if then != Then::Restart {
            self.wanted.remove(&own);
        }
        match then {
            Then::Restart => self.again(&connection, own, cause, now, out),
            Then::Trap => self.trap(&connection.name, &child.name, true, out),
            Then::Clear => self.trap(&connection.name, &child.name, false, out),
        }
    }

    /// A child went without anybody's will: it is made anew while it is wanted, and may be asked for as before. If we
    /// let it go because another IKE SA stood, and that went as well, we broke the tunnel and mend it, whoever began it.
    fn lost(
        &mut self,
        connection: &Arc<Connection>,
        child: &Child,
        own: Key,
        cause: Cause,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        if child.start == Start::OnDemand {
            self.trap(&connection.name, &child.name, true, out);
        }
        let broken = matches!(cause, Cause::Replaced | Cause::Redundant)
            && connection.ends().is_some()
            && self.standing(connection).is_none();
        if self.wanted.wants(&own).is_some() || broken {
            self.again(connection, own, cause, now, out);
        }
    }

    fn again(
        &mut self,
        connection: &Connection,
        own: Key,
        cause: Cause,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        self.wanted.enter(&own);
        self.wanted.change(&own, |want| want.tries = want.tries.saturating_add(1));
        let tries = self.wanted.wants(&own).map_or(0, |want| want.tries);
        if connection.attempts.is_some_and(|most| tries >= most) && cause == Cause::Failed {
            self.wanted.remove(&own);
            return;
        }
        let wait = match cause {
            Cause::Failed => {
                BACKOFF_MS.0.checked_shl(tries.min(16)).unwrap_or(u64::MAX).min(BACKOFF_MS.1)
            }
            _ => 0, // it was up: at once
        };
        let wait = self.env(0, now, out).wait(wait);
        self.wanted.change(&own, |want| want.due = Some(now.saturating_add(wait)));
    }

    /// Traps and wants of a new configuration; what it does not name is forgotten.
    pub(super) fn want_configured(
        &mut self,
        fresh: &BTreeSet<Arc<str>>,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        let settings = Arc::clone(&self.settings);
        let named = |(connection, child): &Key| {
            let connection = self.connections.get(connection);
            connection.is_some_and(|connection| connection.child(child).is_some())
        };
        let unnamed = |keys: &mut dyn Iterator<Item = &Key>| -> Vec<Key> {
            keys.filter(|key| !named(key)).cloned().collect()
        };
        let untrapped = unnamed(&mut self.wanted.trapped.iter());
        let unwanted = unnamed(&mut self.wanted.children.keys());
        for (connection, child) in untrapped {
            self.trap(&connection, &child, false, out);
        }
        unwanted.iter().for_each(|key| self.wanted.remove(key));
        for connection in
            settings.connections.iter().filter(|connection| fresh.contains(&connection.name))
        {
            for child in &connection.children {
                match child.start {
                    Start::Auto if connection.ends().is_some() => {
                        self.want(connection, child, None, now)
                    }
                    Start::OnDemand => self.trap(&connection.name, &child.name, true, out),
                    Start::Auto | Start::Manual => {}
                }
            }
        }
    }
}

impl Engine {
    /// Whether an IKE SA that goes on has the child, or is about to.
    pub(super) fn has(&self, connection: &Connection, child: &Child) -> bool {
        self.of_connection(&connection.name).any(|spi| {
            let own = self.sas.get(&spi).and_then(IkeSa::established);
            own.is_some_and(|own| own.has_child(&child.name)) && self.stands(spi)
        })
    }
}
