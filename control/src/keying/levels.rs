//! How much is logged of each peer, changed while it runs.
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Warn,
    /// What came up and went down, too.
    #[default]
    Info,
    /// Each message, too.
    Debug,
}

impl Level {
    const NAMES: [(&str, Self); 4] =
        [("off", Self::Off), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];
}

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, level)| *level)
            .ok_or_else(|| "not a level; write off, warn, info or debug".to_owned())
    }
}
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, level)| level == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// Levels by connection and by address; whoever is not named has the usual one.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    connections: BTreeMap<String, Level>,
    addresses: BTreeMap<IpAddr, Level>,
}

impl Levels {
    /// From now on for a connection, or for an address.
    pub fn set(&mut self, peer: &str, level: Level) {
        match peer.parse() {
            Ok(address) => _ = self.addresses.insert(address, level),
            Err(_) => _ = self.connections.insert(peer.to_owned(), level),
        }
    }
    /// Whether it is to be logged: what is said of the connection counts before what is said of its address.
    pub fn allow(&self, level: Level, connection: Option<&str>, peer: Option<IpAddr>) -> bool {
        let named = connection.and_then(|name| self.connections.get(name));
        let most = named.or_else(|| self.addresses.get(&peer?)).copied().unwrap_or_default();
        level <= most
    }
    /// Whether anybody is watched that closely.
    pub fn any(&self, level: Level) -> bool {
        self.connections.values().chain(self.addresses.values()).any(|&most| level <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_before_its_address() {
        let peer: IpAddr = "192.0.2.2".parse().unwrap();
        let mut levels = Levels::default();
        assert!(levels.allow(Level::Info, Some("b"), Some(peer)) && !levels.any(Level::Debug));
        levels.set("192.0.2.2", Level::Debug);
        assert!(levels.allow(Level::Debug, Some("b"), Some(peer)) && levels.any(Level::Debug));
        levels.set("b", Level::Off);
        assert!(!levels.allow(Level::Warn, Some("b"), Some(peer)));
        assert!(levels.allow(Level::Debug, None, Some(peer)));
        for (name, level) in Level::NAMES {
            assert_eq!((name.parse(), level.to_string().as_str()), (Ok(level), name));
        }
    }
}
