//! Where IKE SAs are, by other names than their SPI: however many there are, nobody is searched for.
use super::Engine;
use crate::action::{Direction, Lineage};
use crate::ike_sa::IkeSa;
use crate::settings::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names of IKE SAs. What is entered is left as it was entered: between both an IKE SA does not change.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// By connection.
    connections: BTreeSet<(Arc<str>, u64)>,
    /// By the inbound SPIs of their Child SAs.
    inbound: BTreeSet<(u32, u64)>,
    /// By the outbound SPIs of their Child SAs, which are the peers' choice, and lineage.
    outbound: BTreeSet<(u32, Lineage, u64)>,
}

impl Register {
    pub(super) fn enter(&mut self, sa: &IkeSa) {
        let spi = sa.base.spi;
        self.connections.insert((Arc::clone(&sa.base.connection.name), spi));
        for child in sa.established().into_iter().flat_map(|own| &own.children) {
            self.inbound.insert((child.inbound, spi));
            self.outbound.insert((child.outbound, child.lineage, spi));
        }
    }

    pub(super) fn leave(&mut self, sa: &IkeSa) {
        let spi = sa.base.spi;
        self.connections.remove(&(Arc::clone(&sa.base.connection.name), spi));
        for child in sa.established().into_iter().flat_map(|own| &own.children) {
            self.inbound.remove(&(child.inbound, spi));
            self.outbound.remove(&(child.outbound, child.lineage, spi));
        }
    }

    /// IKE SAs that may have a child with this half.
    fn holders(
        &self,
        direction: Direction,
        spi: u32,
        lineage: Option<Lineage>,
    ) -> impl Iterator<Item = u64> {
        let inbound = self.inbound.range((spi, 0)..=(spi, u64::MAX)).map(|(_, holder)| *holder);
        let inbound = inbound.filter(move |_| direction == Direction::Inbound);
        let lineages = lineage.map_or((0, u64::MAX), |Lineage(own)| (own, own));
        let lineages = (spi, Lineage(lineages.0), 0)..=(spi, Lineage(lineages.1), u64::MAX);
        let outbound = self.outbound.range(lineages).map(|(_, _, holder)| *holder);
        inbound.chain(outbound.filter(move |_| direction == Direction::Outbound))
    }
}

impl Engine {
    /// The connection with this name.
    pub(super) fn connection(&self, name: &str) -> Option<Arc<Connection>> {
        self.connections.get(name).map(Arc::clone)
    }

    /// IKE SAs of a connection.
    pub(super) fn of_connection(&self, name: &Arc<str>) -> impl Iterator<Item = u64> {
        let all = (Arc::clone(name), 0)..=(Arc::clone(name), u64::MAX);
        self.register.connections.range(all).map(|(_, spi)| *spi)
    }

    /// Which IKE SA has the child that has this half, and that child's inbound SPI.
    pub(super) fn holder(
        &self,
        direction: Direction,
        spi: u32,
        lineage: Option<Lineage>,
    ) -> Option<(u64, u32)> {
        self.register.holders(direction, spi, lineage).find_map(|holder| {
            let children = &self.sas.get(&holder)?.established()?.children;
            let child = children.iter().find(|child| {
                let own = match direction {
                    Direction::Inbound => child.inbound,
                    Direction::Outbound => child.outbound,
                };
                own == spi && lineage.is_none_or(|lineage| child.lineage == lineage)
            })?;
            Some((holder, child.inbound))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(register: &Register, spi: u32, lineage: Option<Lineage>) -> [Vec<u64>; 2] {
        [Direction::Inbound, Direction::Outbound]
            .map(|direction| register.holders(direction, spi, lineage).collect())
    }

    #[test]
    fn halves_are_found_by_direction_and_lineage() {
        let mut register = Register::default();
        register.inbound.extend([(7, 100), (8, 100), (8, 200)]);
        register.outbound.extend([(7, Lineage(1), 300), (7, Lineage(2), 100)]);
        assert_eq!(held(&register, 7, None), [vec![100], vec![300, 100]]);
        assert_eq!(held(&register, 7, Some(Lineage(2))), [vec![100], vec![100]]);
        assert_eq!(held(&register, 7, Some(Lineage(3))), [vec![100], vec![]]);
        assert_eq!(held(&register, 8, None), [vec![100, 200], vec![]]);
        assert_eq!(held(&register, 6, None), [Vec::<u64>::new(), Vec::new()]);
    }
}
