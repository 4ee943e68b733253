//! What the data plane must know before its first packet. Control writes it into the region when it makes one.
use crate::errors::RegionError;
use crate::layout;
use crate::sa::Name;

/// Which side of the gateway an interface is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Plaintext side: what policy protects is taken, all else passes to the kernel.
    Inside = 0,
    /// Ciphertext side.
    Outside = 1,
}

/// The least that an interface must reach, or the data plane refuses to start on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Requirement {
    /// Whatever works, generic XDP too.
    #[default]
    Any = 0,
    /// XDP in the driver.
    Native = 1,
    /// XDP in the driver, frames not copied.
    ZeroCopy = 2,
}

/// How frames come in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum XdpMode {
    /// Not bound (yet, or any more).
    Down = 0,
    /// Generic XDP: the slowest.
    Generic = 1,
    /// Native XDP, frames copied.
    Copy = 2,
    /// Native XDP, no copy.
    ZeroCopy = 3,
}

/// One interface that the data plane takes frames from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As the kernel has it.
    pub name: Name,
    /// Plaintext or ciphertext side.
    pub role: Role,
    /// The least it must reach.
    pub require: Requirement,
    /// Complete partial TCP/UDP checksums of arriving plaintext (veth and virtio leave them to hardware).
    pub complete_checksums: bool,
}

/// Idle behaviour of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Idle {
    /// Spin, then yield, then wait in poll(2).
    #[default]
    Adaptive = 0,
    /// Never wait.
    Spin = 1,
}

/// Sizes of the region and of everything that is allotted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// SA records, both directions together; at most 2^20 - 1.
    pub sa_slots: u32,
    /// SPD entries.
    pub policies: u32,
    /// The widest anti-replay window any SA may ask for.
    pub window_max: u32,
    /// Requests or events that may wait; a power of two.
    pub ring_entries: u32,
}
impl Default for Geometry {
    fn default() -> Self {
        Self { sa_slots: 4096, policies: 4096, window_max: 1024, ring_entries: 256 }
    }
}

/// What the data plane must know before its first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Sizes of the region.
    pub geometry: Geometry,
    /// At most 16.
    pub interfaces: Vec<Interface>,
    /// One worker is pinned to each of these CPU numbers; at most 64.
    pub cores: Vec<u16>,
    /// What workers do when there is nothing to do.
    pub idle: Idle,
    /// Frames in the UMEM, shared by all workers.
    pub frames: u32,
    /// 2048 or 4096.
    pub frame_size: u32,
    /// Name of the TUN device for packets to and from the gateway itself.
    pub tun: Name,
    /// Reassemblies that may be open at once.
    pub reassembly_slots: u32,
    /// How long one may stay open, in milliseconds.
    pub reassembly_ms: u32,
}

impl Setup {
    /// Whether a region can be made for it, in sizes that make sense.
    pub fn validate(&self) -> Result<(), RegionError> {
        let Geometry { sa_slots, policies, window_max, ring_entries } = self.geometry;
        let within = |what, value: u64, low: u64, high: u64, allowed| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(RegionError::BadSetup { what, value, allowed })
            }
        };
        within("sa_slots", sa_slots.into(), 1, (1 << 20) - 1, "1 to 1048575")?;
        within("policies", policies.into(), 1, 1 << 20, "1 to 1048576")?;
        within("window_max", window_max.into(), 32, 65536, "a power of two from 32 to 65536")?;
        within("ring_entries", ring_entries.into(), 2, 65536, "a power of two from 2 to 65536")?;
        within(
            "interfaces",
            self.interfaces.len() as u64,
            0,
            layout::INTERFACES as u64,
            "at most 16",
        )?;
        within("cores", self.cores.len() as u64, 1, layout::WORKERS as u64, "1 to 64 CPU numbers")?;
        within("frame_size", self.frame_size.into(), 2048, 4096, "2048 or 4096")?;
        for (what, value) in [
            ("window_max", window_max),
            ("ring_entries", ring_entries),
            ("frame_size", self.frame_size),
        ] {
            if !value.is_power_of_two() {
                return Err(RegionError::BadSetup {
                    what,
                    value: value.into(),
                    allowed: "a power of two",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
pub(crate) mod tests {
    use super::*;

    /// A small region: four slots, two policies, windows of 64, rings of four, two workers, one interface.
    pub(crate) fn small() -> Setup {
        let name = |text| Name::new(text).unwrap();
        let (role, require) = (Role::Outside, Requirement::Native);
        Setup {
            geometry: Geometry { sa_slots: 4, policies: 2, window_max: 64, ring_entries: 4 },
            interfaces: vec![Interface {
                name: name("wan0"),
                role,
                require,
                complete_checksums: true,
            }],
            cores: vec![0, 3],
            idle: Idle::Spin,
            frames: 1024,
            frame_size: 2048,
            tun: name("postern0"),
            reassembly_slots: 8,
            reassembly_ms: 500,
        }
    }

    #[test]
    fn a_setup_out_of_bounds_is_refused_by_name() {
        type Change = fn(&mut Setup);
        let changes: [(&str, Change); 12] = [
            ("sa_slots", |it| it.geometry.sa_slots = 0),
            ("sa_slots", |it| it.geometry.sa_slots = 1 << 20),
            ("policies", |it| it.geometry.policies = 0),
            ("window_max", |it| it.geometry.window_max = 16),
            ("window_max", |it| it.geometry.window_max = 96),
            ("window_max", |it| it.geometry.window_max = 131072),
            ("ring_entries", |it| it.geometry.ring_entries = 3),
            ("ring_entries", |it| it.geometry.ring_entries = 0),
            ("interfaces", |it| it.interfaces = vec![it.interfaces[0]; 17]),
            ("cores", |it| it.cores.clear()),
            ("cores", |it| it.cores = vec![1; 65]),
            ("frame_size", |it| it.frame_size = 3000),
        ];
        assert!(small().validate().is_ok());
        for (field, change) in changes {
            let mut setup = small();
            change(&mut setup);
            match setup.validate() {
                Err(RegionError::BadSetup { what, .. }) => assert_eq!(what, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
