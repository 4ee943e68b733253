//! What is said to the operator at start, loudly, and the checks that come before anything else.
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use sadb::{Interface, XdpMode};
use std::path::{Path, PathBuf};

/// `BPF_FS_MAGIC` (linux/magic.h).
const BPF_FS: i64 = 0xcafe_4a11;

/// Why the pins have no place.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The path has no directory above it.
    #[error("{0}: not a place for pins; name a directory below a BPF file system")]
    NoParent(PathBuf),
    /// We are in a mount namespace of our own, where a mount would not outlive us.
    #[error(
        "{0} is not on a BPF file system, and this process has a mount namespace of its own (`ip netns exec`, a \
         container): a file system mounted here would go away with it, and nothing would fail closed. Mount one \
         outside, e.g. `mkdir -p /run/postern-bpf && mount -t bpf bpf /run/postern-bpf`, and start with \
         `--pin /run/postern-bpf/postern`"
    )]
    PrivateMount(PathBuf),
    /// Mounting failed.
    #[error(
        "{path} is not on a BPF file system and cannot be made one ({errno}): `mount -t bpf bpf {path}`"
    )]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why not.
        errno: rustix::io::Errno,
    },
}

/// Makes sure that the pins' parent is on a bpffs. It is mounted, and said so, when it is missing and would outlive us:
/// that is, in the mount namespace of process 1.
///
/// # Errors
/// With the command that cures it.
pub fn bpf_file_system(pin: &Path) -> Result<(), PinError> {
    let parent = pin.parent().filter(|parent| parent.is_absolute());
    let parent = parent.ok_or_else(|| PinError::NoParent(pin.into()))?;
    let existing = parent.ancestors().find(|path| path.exists()).unwrap_or(parent);
    if statfs(existing).is_ok_and(|found| found.f_type == BPF_FS) {
        return Ok(());
    }
    if !mounts_outlive_us() {
        return Err(PinError::PrivateMount(parent.into()));
    }
    let failed = |errno| PinError::Mount { path: parent.into(), errno };
    std::fs::create_dir_all(parent).map_err(|error| {
        failed(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
    })?;
    mount("bpf", parent, "bpf", MountFlags::empty(), None).map_err(failed)?;
    tracing::warn!(path = %parent.display(), "no BPF file system was there; mounted one");
    Ok(())
}

/// Whether our mount namespace is that of process 1. Where it may not be asked (a sandbox), the first namespace's number
/// decides, which newer kernels fix (`MNT_NS_INIT_INO`, linux/nsfs.h).
fn mounts_outlive_us() -> bool {
    let own = std::fs::read_link("/proc/self/ns/mnt").ok();
    match std::fs::read_link("/proc/1/ns/mnt") {
        Ok(first) => own == Some(first),
        Err(_) => own.is_some_and(|own| own == Path::new("mnt:[4026531832]")),
    }
}

/// Locked memory without limit, where we may: UMEM and maps are locked on kernels that count them so.
pub fn raise_memlock() {
    let limit = Rlimit { current: None, maximum: None };
    if let Err(errno) = setrlimit(Resource::Memlock, limit) {
        tracing::warn!(%errno, "RLIMIT_MEMLOCK stays as it is; if the UMEM is refused: `ulimit -l unlimited`");
    }
}

/// Says how frames come in on an interface now.
pub fn interface(setup: &Interface, mode: XdpMode, queues: u32) {
    let name = setup.name;
    let role = setup.role;
    match mode {
        XdpMode::ZeroCopy => tracing::info!(%name, ?role, queues, "XDP native, ZERO-COPY"),
        XdpMode::Copy => tracing::warn!(
            %name, ?role, queues,
            "XDP native, COPY mode: the driver has no zero copy; `require: zerocopy` would refuse this"
        ),
        XdpMode::Generic => tracing::warn!(
            %name, ?role, queues,
            "XDP GENERIC mode, the slowest: the driver has no XDP; `require: native` would refuse this"
        ),
        XdpMode::Down => {
            tracing::warn!(%name, ?role, "interface DOWN or missing: no traffic by it")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pins_need_an_absolute_place() {
        let error = bpf_file_system(Path::new("postern")).unwrap_err();
        assert!(matches!(error, PinError::NoParent(_)), "{error}");
    }
}
