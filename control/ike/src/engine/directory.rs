//! Connections by the addresses that their peers may have: a stranger is held against those that may be his, however many
//! there are.
use crate::settings::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Connections in the order of the file, and where to look for a peer's.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    connections: Vec<Arc<Connection>>,
    /// Places of those that name this very address.
    exact: BTreeMap<IpAddr, BTreeSet<usize>>,
    /// Places of those that take peers from many addresses, or from any.
    wide: BTreeSet<usize>,
}

impl Directory {
    pub(super) fn new(connections: &[Arc<Connection>]) -> Self {
        let mut directory = Self { connections: connections.to_vec(), ..Self::default() };
        for (place, connection) in connections.iter().enumerate() {
            if connection.remote.is_empty() {
                directory.wide.insert(place);
            }
            for range in &connection.remote {
                let own = match range.first() == range.last() {
                    true => directory.exact.entry(range.first()).or_default(),
                    false => &mut directory.wide,
                };
                own.insert(place);
            }
        }
        directory
    }

    /// All that may be for a peer at this address, and some that are not, in the order of the file.
    pub(crate) fn near(&self, remote: IpAddr) -> impl Iterator<Item = &Arc<Connection>> {
        let exact = self.exact.get(&remote);
        let places: BTreeSet<_> = exact.into_iter().flatten().chain(&self.wide).collect();
        places.into_iter().filter_map(|place| self.connections.get(*place))
    }

    /// Whether no other connection leads to the peer at this address under the same identity of ours.
    pub(crate) fn is_only_way(&self, connection: &Connection, remote: IpAddr) -> bool {
        let places = self.exact.get(&remote).into_iter().flatten();
        let mut others = places
            .filter_map(|place| self.connections.get(*place))
            .filter(|other| other.name != connection.name);
        !others.any(|other| other.local_auth.identity == connection.local_auth.identity)
    }
}
