//! What can be wrong with a region, and what to do about it.
use crate::message::Refusal;

/// Something in the region does not mean anything: the peer wrote it wrongly, or memory was damaged. The reader
/// changed nothing and trusts nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the region's {what} {index} is damaged: {value:#x} is not a valid value")]
pub struct Corrupt {
    /// The field, record or structure.
    pub what: &'static str,
    /// Which one, where there are several; 0 elsewhere.
    pub index: u32,
    /// What stands there.
    pub value: u64,
}

/// Ring indices that cannot be: more entries waiting than the ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the peer lied about the {ring} ring: head {head}, tail {tail}, {capacity} entries; restart the peer"
)]
pub struct PeerLied {
    /// `request` or `event`.
    pub ring: &'static str,
    /// Entries ever written, as the region says.
    pub head: u64,
    /// Entries ever read, as the region says.
    pub tail: u64,
    /// Entries the ring can hold.
    pub capacity: u64,
}

/// Why an entry could not be put into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The peer has not read enough yet: try again after it rang.
    #[error("the {ring} ring is full: all {capacity} entries wait to be read; try again later")]
    Full {
        /// `request` or `event`.
        ring: &'static str,
        /// Entries the ring can hold.
        capacity: u64,
    },
    /// The peer's index is impossible.
    #[error(transparent)]
    PeerLied(#[from] PeerLied),
    /// The entry does not fit its slot (keys too long for any suite).
    #[error("the {0} does not fit into a ring entry")]
    TooLong(&'static str),
}

/// Why a request could not be taken from the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The ring itself cannot be trusted: drop the link.
    #[error(transparent)]
    PeerLied(#[from] PeerLied),
    /// One entry is malformed. It was consumed and wiped; answer `id` with `refusal` and go on.
    #[error("request {id} is malformed ({source}); refused as {refusal:?}")]
    Request {
        /// The number it carried, for [`crate::Event::Done`].
        id: u64,
        /// What to answer.
        refusal: Refusal,
        /// What was wrong.
        source: Corrupt,
    },
}

/// Why a region cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The setup asks for something impossible.
    #[error("the setup's {what} is {value}: it must be {allowed}")]
    BadSetup {
        /// The field.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// What may be asked for.
        allowed: &'static str,
    },
    /// A system call failed.
    #[error("{call} of the {part} memory ({octets} octets) failed: {errno}")]
    System {
        /// The system call.
        call: &'static str,
        /// `shared` or `secret`.
        part: &'static str,
        /// How large it is or would be.
        octets: u64,
        /// Why.
        errno: rustix::io::Errno,
    },
    /// The file could be cut short under us.
    #[error(
        "the {part} memory is not sealed (seals {seals:#x}): refused, its sender could truncate it"
    )]
    NotSealed {
        /// `shared` or `secret`.
        part: &'static str,
        /// The seals it has, as fcntl(2) numbers them.
        seals: u32,
    },
    /// It is not a region of ours at all.
    #[error("not a Postern region: magic {0:#x}")]
    BadMagic(u64),
    /// Another build made it.
    #[error(
        "the region has layout version {found}, this program speaks {ours}: start both programs from one release"
    )]
    BadVersion {
        /// What the header says.
        found: u64,
        /// [`crate::ABI_VERSION`].
        ours: u64,
    },
    /// The file's size is not what the header's geometry needs.
    #[error("the {part} memory has {have} octets where its geometry needs {need}")]
    BadSize {
        /// `shared` or `secret`.
        part: &'static str,
        /// Octets needed.
        need: u64,
        /// Octets there.
        have: u64,
    },
    /// The header is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The two memories do not belong together.
    #[error("the shared and the secret memory come from two different regions")]
    Mismatched,
    /// Only a reader's part is mapped, or the region lives on the heap and has no descriptors.
    #[error("this region is {0}")]
    Unsuitable(&'static str),
}
