//! The maps: keys as `maps.h` lays them out, pins that are adopted, and sets that are replaced without a gap.
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapMut, OpenMapMut};

use crate::counter;
use crate::error::Error;
use crate::{ENCAP_PORTS, Limits, QUEUES, SLOTS};

/// Octets of a `struct address` and of a `struct prefix`.
const ADDRESS: usize = 20;
const PREFIX: usize = 24;

/// What a pinned map must look like to be used again.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub name: &'static str,
    key: u32,
    value: u32,
    entries: u32,
}

/// One map and its layout.
pub(crate) struct Map {
    pub layout: Layout,
    pub handle: MapHandle,
}

/// `struct address`.
pub(crate) fn address_key(address: IpAddr) -> [u8; ADDRESS] {
    let mut key = [0; ADDRESS];
    let (family, octets) = key.split_at_mut(4);
    let mut put = |version: u32, address: &[u8]| {
        family.copy_from_slice(&version.to_be_bytes());
        octets.iter_mut().zip(address).for_each(|(to, from)| *to = *from);
    };
    match address {
        IpAddr::V4(v4) => put(4, &v4.octets()),
        IpAddr::V6(v6) => put(6, &v6.octets()),
    }
    key
}

/// `struct prefix`. Host bits are cleared, so that one prefix has one key.
pub(crate) fn prefix_key(address: IpAddr, length: u8) -> Result<[u8; PREFIX], Error> {
    let network = match address {
        IpAddr::V4(v4) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
        _ => return Err(Error::PrefixLength(address, length)),
    };
    let mut key = [0; PREFIX];
    let (bits, rest) = key.split_at_mut(4);
    bits.copy_from_slice(&(32 + u32::from(length)).to_ne_bytes());
    rest.copy_from_slice(&address_key(network));
    Ok(key)
}

impl Layout {
    pub const INTERFACES: Self = Self::new("interfaces", 4, 8, 64);

    const fn new(name: &'static str, key: usize, value: u32, entries: u32) -> Self {
        Self { name, key: key as u32, value, entries }
    }

    /// Twice what the set may hold, because a new set is added before the old one is deleted.
    fn set(name: &'static str, key: usize, limit: u32) -> Self {
        Self::new(name, key, 1, limit.max(1).saturating_mul(2))
    }

    /// Every map, in the order in which `maps.h` has them.
    pub fn all(limits: Limits) -> [Self; 8] {
        [
            Self::INTERFACES,
            Self::new("xsks", 4, 4, SLOTS * QUEUES),
            Self::set("locals", ADDRESS, limits.locals),
            Self::set("peers", ADDRESS, limits.peers),
            Self::set("protected_remote", PREFIX, limits.prefixes),
            Self::set("protected_local", PREFIX, limits.prefixes),
            Self::set("encap_ports", 2, ENCAP_PORTS),
            Self::new("counters", 4, 8, counter::ROOM),
        ]
    }

    pub fn pin(&self, dir: &Path) -> PathBuf {
        dir.join(self.name)
    }

    fn same_entries(&self, map: &MapHandle) -> bool {
        map.key_size() == self.key && map.value_size() == self.value
    }

    /// Before loading: takes over what an earlier process pinned, if it fits, or returns it to be copied.
    pub fn adopt(&self, open: &mut OpenMapMut<'_>, dir: &Path) -> Result<Option<MapHandle>, Error> {
        let fault = |source| Error::Map { map: self.name, source };
        let pinned = pinned(&self.pin(dir))?;
        if let Some(pinned) = &pinned
            && self.same_entries(pinned)
            && pinned.map_type() == open.map_type()
            && pinned.max_entries() >= self.entries
        {
            open.reuse_fd(pinned.as_fd()).map_err(fault)?;
            return Ok(None);
        }
        open.set_max_entries(self.entries).map_err(fault)?;
        Ok(pinned)
    }
}

/// A map's pin, if it is there.
pub(crate) fn pinned(path: &Path) -> Result<Option<MapHandle>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let fault = |error: libbpf_rs::Error| pin_error(path, &error);
    MapHandle::from_pinned_path(path).map(Some).map_err(fault)
}

pub(crate) fn pin_error(path: &Path, error: &libbpf_rs::Error) -> Error {
    Error::Pin { path: path.into(), source: io::Error::new(io_kind(error), error.to_string()) }
}

fn io_kind(error: &libbpf_rs::Error) -> io::ErrorKind {
    match error.kind() {
        libbpf_rs::ErrorKind::NotFound => io::ErrorKind::NotFound,
        libbpf_rs::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    }
}

impl Map {
    /// A handle of its own on a loaded map.
    pub fn new(layout: Layout, map: &MapMut<'_>) -> Result<Self, Error> {
        let fault = |source| Error::Map { map: layout.name, source };
        Ok(Self { layout, handle: MapHandle::try_from(map).map_err(fault)? })
    }

    fn fault(&self) -> impl FnOnce(libbpf_rs::Error) -> Error + use<> {
        let map = self.layout.name;
        move |source| Error::Map { map, source }
    }

    /// After loading: pins a map that was made anew. What `old` held comes along where it still means the same,
    /// so that a larger limit does not forget what is protected.
    pub fn establish(&mut self, old: Option<MapHandle>, dir: &Path) -> Result<(), Error> {
        let path = self.layout.pin(dir);
        if let Some(old) = old {
            if self.layout.same_entries(&old) && old.map_type() == self.handle.map_type() {
                self.copy_from(&old)?;
            }
            std::fs::remove_file(&path)
                .map_err(|source| Error::Pin { path: path.clone(), source })?;
        }
        if path.exists() {
            return Ok(());
        }
        self.handle.pin(&path).map_err(|error| pin_error(&path, &error))
    }

    fn copy_from(&self, old: &MapHandle) -> Result<(), Error> {
        for key in old.keys() {
            if let Some(value) = old.lookup(&key, MapFlags::ANY).map_err(self.fault())? {
                self.put(&key, &value)?;
            }
        }
        Ok(())
    }

    pub fn id(&self) -> Result<u32, Error> {
        map_id(&self.handle).map_err(self.fault())
    }

    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.handle.update(key, value, MapFlags::ANY).map_err(self.fault())
    }

    /// Removes a key; one that is not there is as good.
    pub fn remove(&self, key: &[u8]) -> Result<(), Error> {
        match self.handle.delete(key) {
            Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => {
                Err(self.fault()(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes the map hold exactly these keys. Adds before it deletes: no moment in which a key that is in the
    /// old and the new set is missing, nor one in which neither set is there.
    pub fn replace<K: AsRef<[u8]>>(&self, wanted: &[K]) -> Result<(), Error> {
        let limit = (self.layout.entries / 2) as usize;
        let wanted: HashSet<&[u8]> = wanted.iter().map(AsRef::as_ref).collect();
        if wanted.len() > limit {
            return Err(Error::Full { map: self.layout.name, wanted: wanted.len(), limit });
        }
        let present: HashSet<Vec<u8>> = self.handle.keys().collect();
        for key in wanted.iter().filter(|key| !present.contains(**key)) {
            self.put(key, &[1])?;
        }
        for key in present.iter().filter(|key| !wanted.contains(key.as_slice())) {
            self.remove(key)?;
        }
        Ok(())
    }

    /// The sum over all CPUs of a per-CPU number.
    pub fn sum(&self, key: &[u8]) -> Result<u64, Error> {
        let values = self.handle.lookup_percpu(key, MapFlags::ANY).map_err(self.fault())?;
        let numbers = values.iter().flatten().filter_map(|value| value.first_chunk());
        Ok(numbers.map(|octets| u64::from_ne_bytes(*octets)).fold(0, u64::wrapping_add))
    }
}

/// The keys of a map that are numbers.
pub(crate) fn numbers(map: &MapHandle) -> Vec<u32> {
    map.keys().filter_map(|key| key.try_into().map(u32::from_ne_bytes).ok()).collect()
}

/// A map's id, by which programs name the maps that they use.
pub(crate) fn map_id(map: &MapHandle) -> libbpf_rs::Result<u32> {
    Ok(libbpf_rs::MapInfo::new(map.as_fd())?.info.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_comes_before_the_address() {
        let key = address_key("192.0.2.1".parse().unwrap());
        assert_eq!(key[..8], [0, 0, 0, 4, 192, 0, 2, 1]);
        assert_eq!(key[8..], [0; 12]);
        let key = address_key("2001:db8::1".parse().unwrap());
        assert_eq!(key[..8], [0, 0, 0, 6, 0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(key[19], 1);
    }

    #[test]
    fn host_bits_of_a_prefix_are_cleared() {
        for (given, length, clean) in [
            ("10.1.2.3", 8, "10.0.0.0"),
            ("10.1.2.3", 0, "0.0.0.0"),
            ("10.1.2.3", 32, "10.1.2.3"),
            ("2001:db8::1", 64, "2001:db8::"),
            ("2001:db8::1", 0, "::"),
            ("2001:db8::1", 128, "2001:db8::1"),
        ] {
            let key = prefix_key(given.parse().unwrap(), length).unwrap();
            assert_eq!(key[4..], address_key(clean.parse().unwrap()), "{given}/{length}");
            assert_eq!(key[..4], (32 + u32::from(length)).to_ne_bytes(), "{given}/{length}");
        }
    }

    #[test]
    fn a_prefix_is_no_longer_than_its_address() {
        for (address, length) in [("10.0.0.0", 33), ("::", 129), ("::", 255)] {
            let refused = prefix_key(address.parse().unwrap(), length);
            assert!(matches!(refused, Err(Error::PrefixLength(..))), "{address}/{length}");
        }
    }
}
