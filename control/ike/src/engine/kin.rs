//! Children of one lineage in several IKE SAs of a peer, while one takes the place of another: one of them sends at any
//! time, and what the peer still sends by the others is received (RFC 7296 §2.8, RFC 4478).
use super::{Engine, PeerName, peer_name};
use crate::action::{Action, Direction, Lineage};
use crate::child::{Child, Sending};
use crate::env::Buried;
use crate::ike_sa::IkeSa;

impl Engine {
    /// A child waits with its outbound half. When no other of the lineage sends, it waits in vain.
    pub(super) fn waits(&mut self, spi: u64, lineage: Lineage, now: u64, out: &mut Vec<Action>) {
        let Some(name) = self.sas.get(&spi).and_then(peer_name) else { return };
        let sends =
            |child: &Child| matches!(child.sending, Sending::Ready | Sending::Installing { .. });
        let others = self.of_lineage(&name, lineage);
        if others.iter().any(|(other, child)| *other != spi && sends(child)) {
            return;
        }
        self.with_heir(spi, lineage, now, out, |child, env| {
            child.send_now(env);
            true
        });
    }

    /// A child went with its IKE SA: if another of the lineage lives, that one takes over sending without a gap, and late
    /// packets are received for a while.
    pub(super) fn buried(&mut self, buried: &Buried, now: u64, out: &mut Vec<Action>) {
        let Buried { peer, lineage, inbound, outbound, lingers } = buried;
        let heir = self.heir(peer, *lineage, None);
        if let Some(spi) = *outbound {
            self.hand_over(heir, *lineage, spi, now, out);
        }
        if *lingers || heir.is_some() {
            return self.linger(*inbound, *lineage, now);
        }
        let direction = Direction::Inbound;
        out.push(Action::Remove { direction, spi: *inbound, lineage: *lineage });
        self.spis.release(*inbound);
    }

    /// An IKE SA is about to be deleted: its children leave sending to those of another.
    pub(super) fn give_way(&mut self, spi: u64, now: u64, out: &mut Vec<Action>) {
        let Some(name) = self.sas.get(&spi).and_then(peer_name) else { return };
        let own = self.sas.get(&spi).and_then(IkeSa::established);
        let ready = |child: &&Child| matches!(child.sending, Sending::Ready);
        let sending = own.map_or(&[][..], |own| &own.children).iter().filter(ready);
        let sending: Vec<_> = sending.map(|child| (child.lineage, child.outbound)).collect();
        for (lineage, outbound) in sending {
            let Some(heir) = self.heir(&name, lineage, Some(spi)) else { continue };
            self.with_heir(spi, lineage, now, out, |child, _| {
                child.sending = Sending::Never;
                true
            });
            self.hand_over(Some(heir), lineage, outbound, now, out);
        }
    }

    /// The outbound half is taken out, as soon as the heir sends.
    fn hand_over(
        &mut self,
        heir: Option<u64>,
        lineage: Lineage,
        spi: u32,
        now: u64,
        out: &mut Vec<Action>,
    ) {
        let later = heir.is_some_and(|heir| {
            self.with_heir(heir, lineage, now, out, |child, env| child.retire(spi, env))
        });
        if !later {
            out.push(Action::Remove { direction: Direction::Outbound, spi, lineage });
        }
    }

    /// Changes the live child of this lineage in an IKE SA, if there is one.
    fn with_heir(
        &mut self,
        spi: u64,
        lineage: Lineage,
        now: u64,
        out: &mut Vec<Action>,
        change: impl FnOnce(&mut Child, &mut crate::env::Env<'_>) -> bool,
    ) -> bool {
        let mut changed = false;
        self.with(spi, now, out, |mut sa, env| {
            let heir = sa.established_mut().and_then(|own| own.heir(lineage));
            changed = heir.is_some_and(|child| change(child, env));
            Some(sa)
        });
        changed
    }

    /// The IKE SA of this peer, other than one, whose child of the lineage lives: one that sends comes first.
    fn heir(&self, peer: &PeerName, lineage: Lineage, but: Option<u64>) -> Option<u64> {
        let others = self.of_lineage(peer, lineage).into_iter();
        let able = others
            .filter(|(spi, child)| Some(*spi) != but && !matches!(child.sending, Sending::Never));
        able.min_by_key(|(_, child)| !matches!(child.sending, Sending::Ready)).map(|(spi, _)| spi)
    }

    fn of_lineage(&self, peer: &PeerName, lineage: Lineage) -> Vec<(u64, &Child)> {
        let all = self.peers.get(peer).into_iter().flatten();
        let child = |spi: &u64| {
            let children = &self.sas.get(spi)?.established()?.children;
            let of = |child: &&Child| child.lineage == lineage && child.lives();
            Some((*spi, children.iter().find(of)?))
        };
        all.filter_map(child).collect()
    }
}
