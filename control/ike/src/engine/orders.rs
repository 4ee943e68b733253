//! What the driver tells the core.
use super::{Directory, Engine};
use crate::action::{Action, Direction, Lineage, Order, Rekey};
use crate::child::Child;
use crate::event::Cause;
use crate::ike_sa::{IkeSa, Task};
use crate::settings::{Connection, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Engine {
    pub(super) fn obey(&mut self, order: Order, now: u64, out: &mut Vec<Action>) {
        match order {
            Order::Configure(settings) => self.configure(settings, now, out),
            Order::Up { connection, child } => self.bring_up(&connection, child.as_ref(), now),
            Order::Down { connection, child } => {
                self.take_down(&connection, child.as_ref(), now, out)
            }
            Order::Rekey { connection, what } => self.rekey(&connection, &what, now, out),
            Order::Acquire { connection, child, packet } => {
                self.acquire(&connection, &child, packet, now)
            }
            Order::Expire { direction, spi, lineage, hard } => {
                self.expire(direction, spi, lineage, hard, now, out);
            }
            Order::Heard { spi } => self.heard(spi, now, out),
            Order::Installed { ticket } => {
                if let Some(spi) = self.tickets.redeem(ticket) {
                    self.with(spi, now, out, |sa, env| sa.on_installed(ticket, Ok(()), env));
                    self.succeeded(spi, now);
                }
            }
            Order::Refused { ticket, why } => {
                if let Some(spi) = self.tickets.redeem(ticket) {
                    self.with(spi, now, out, |sa, env| sa.on_installed(ticket, Err(why), env));
                    self.succeeded(spi, now);
                }
            }
            Order::WorkDone { ticket, done } => {
                if let Some(spi) = self.tickets.redeem(ticket) {
                    self.with(spi, now, out, |sa, env| sa.on_done(ticket, done, env));
                    self.succeeded(spi, now);
                }
            }
        }
    }

    fn bring_up(&mut self, connection: &Arc<str>, child: Option<&Arc<str>>, now: u64) {
        let Some(connection) = self.connection(connection) else { return };
        for own in
            connection.children.iter().filter(|own| child.is_none_or(|child| own.name == *child))
        {
            self.want(&connection, own, None, now);
        }
    }

    fn take_down(
        &mut self,
        connection: &Arc<str>,
        child: Option<&Arc<str>>,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        self.unwant(connection, child);
        for spi in self.of_connection(connection).collect::<Vec<_>>() {
            match child {
                Some(child) => {
                    let spis = self.children_of(spi, |own| own.settings.name == *child);
                    if !spis.is_empty() {
                        self.task(spi, Task::DeleteChildren(spis, Cause::Ordered), now, out);
                    }
                }
                None => self.close(spi, Cause::Ordered, now, out),
            }
        }
    }

    /// Ends an IKE SA: with a Delete once it stands, without a word before.
    fn close(&mut self, spi: u64, cause: Cause, now: u64, out: &mut Vec<Action>) {
        match self.sas.get(&spi).and_then(IkeSa::established) {
            Some(_) if self.stands(spi) => self.task(spi, Task::DeleteIke(cause), now, out),
            Some(_) => {}
            None => self.with(spi, now, out, |sa, env| sa.vanish(cause, env)),
        }
    }

    fn rekey(&mut self, connection: &Arc<str>, what: &Rekey, now: u64, out: &mut Vec<Action>) {
        for spi in
            self.of_connection(connection).filter(|spi| self.stands(*spi)).collect::<Vec<_>>()
        {
            match what {
                Rekey::Ike => self.task(spi, Task::RekeyIke, now, out),
                Rekey::Reauthenticate => self.reauthenticate(spi, now, out),
                Rekey::Child(child) => {
                    let named = |own: &Child| {
                        own.lives() && child.as_ref().is_none_or(|name| own.settings.name == *name)
                    };
                    for inbound in self.children_of(spi, named) {
                        self.task(spi, Task::RekeyChild(inbound), now, out);
                    }
                }
            }
        }
    }

    fn children_of(&self, spi: u64, wanted: impl Fn(&Child) -> bool) -> Vec<u32> {
        let established = self.sas.get(&spi).and_then(IkeSa::established);
        let children = established.map_or(&[][..], |established| &established.children);
        children.iter().filter(|child| wanted(child)).map(|child| child.inbound).collect()
    }

    fn expire(
        &mut self,
        direction: Direction,
        spi: u32,
        lineage: Lineage,
        hard: bool,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        let Some((holder, inbound)) = self.holder(direction, spi, Some(lineage)) else { return };
        let task = match hard {
            true => Task::DeleteChildren(vec![inbound], Cause::Expired),
            false => Task::RekeyChild(inbound),
        };
        let again = |known: &Task| {
            matches!((known, &task),
            (Task::RekeyChild(a), Task::RekeyChild(b)) if a == b)
        };
        let known = self.sas.get(&holder).and_then(IkeSa::established).is_some_and(|established| {
            established
                .queue
                .iter()
                .chain(established.later.iter().map(|(_, task)| task))
                .any(again)
        });
        if !known {
            self.task(holder, task, now, out);
        }
    }

    fn heard(&mut self, spi: u32, now: u64, out: &mut Vec<Action>) {
        let Some((holder, inbound)) = self.holder(Direction::Inbound, spi, None) else { return };
        if let Some(established) = self.sas.get_mut(&holder).and_then(IkeSa::established_mut) {
            established.heard = established.heard.max(now);
        }
        // Who sends by it has it: so may we (RFC 7296 §2.8).
        self.with(holder, now, out, |mut sa, env| {
            let own = sa.established_mut();
            if let Some(child) = own.and_then(|own| own.child(inbound)).filter(|own| own.lives()) {
                child.send_now(env);
            }
            sa.proceed(env)
        });
    }

    /// Connections that stay as they are keep their IKE SAs, with new credentials; the others' are closed, and begun anew
    /// where that is wanted.
    fn configure(&mut self, settings: Arc<Settings>, now: u64, out: &mut Vec<Action>) {
        let new = by_name(&settings);
        let old = std::mem::replace(&mut self.connections, new.clone());
        self.directory = Directory::new(&settings.connections);
        self.settings = settings;
        self.fragments.resize(self.settings.limits.reassembly);
        let same = |connection: &&Arc<Connection>| {
            old.get(&connection.name).is_some_and(|old| old.digest == connection.digest)
        };
        let (kept, fresh): (Vec<_>, Vec<_>) = new.values().partition(same);
        for connection in &kept {
            for spi in self.of_connection(&connection.name).collect::<Vec<_>>() {
                if let Some(sa) = self.sas.get_mut(&spi) {
                    sa.base.connection = Arc::clone(connection);
                }
            }
        }
        let kept: BTreeSet<_> = kept.iter().map(|connection| &connection.name).collect();
        for name in old.keys().filter(|name| !kept.contains(name)) {
            self.unwant(name, None);
            for spi in self.of_connection(name).collect::<Vec<_>>() {
                self.close(spi, Cause::Configuration, now, out);
            }
        }
        self.failures.retain(|name| new.contains_key(name));
        let fresh = fresh.iter().map(|connection| Arc::clone(&connection.name)).collect();
        self.want_configured(&fresh, now, out);
    }
}

/// Of two with one name, the first counts.
fn by_name(settings: &Settings) -> BTreeMap<Arc<str>, Arc<Connection>> {
    let named =
        |connection: &Arc<Connection>| (Arc::clone(&connection.name), Arc::clone(connection));
    settings.connections.iter().rev().map(named).collect()
}
