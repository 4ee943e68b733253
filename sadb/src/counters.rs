//! Names for everything that is counted. A new way to lose a packet needs a new name here, and so gets a counter,
//! a line in `postern counters` and a line in docs/counters.md.

macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($(#[doc = $doc:literal])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $enum { $($(#[doc = $doc])* $variant,)* }
        impl $enum {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// As counters, logs and metrics spell it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// What it means, one line, for people.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
            /// The one with this number.
            pub fn from_index(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }
        }
    };
}

named! {
/// Every way a packet can end here other than by leaving.
DropReason {
    /// An Ethernet or VLAN header is cut short.
    MalformedEthernet = "malformed_ethernet",
    /// An IPv4 or IPv6 header is cut short, lies about a length, or has a bad checksum.
    MalformedIp = "malformed_ip",
    /// An IPv6 extension header chain is cut short, loops or is too long.
    MalformedExtension = "malformed_extension",
    /// A UDP or ICMP header is cut short or lies about its length.
    MalformedTransport = "malformed_transport",
    /// An EtherType that no XDP rule should have sent here.
    UnexpectedProtocol = "unexpected_protocol",
    /// ESP shorter than header, IV, trailer and ICV, or not a whole number of blocks.
    Runt = "runt",
    /// An ESP-in-UDP datagram without ESP inside.
    MalformedEncap = "malformed_encap",
    /// SPI 0 to 255 (RFC 4303 §2.1).
    ReservedSpi = "reserved_spi",
    /// No SA has this SPI.
    NoSa = "no_sa",
    /// The SPI is ours but the outer family or addresses are not this SA's.
    WrongAddress = "wrong_address",
    /// Raw ESP for an SA that speaks ESP in UDP, or the reverse.
    WrongEncap = "wrong_encap",
    /// Sequence number 0 (RFC 4303 §3.3.3).
    SequenceZero = "sequence_zero",
    /// Left of the anti-replay window.
    ReplayLate = "replay_late",
    /// Already received.
    ReplayDuplicate = "replay_duplicate",
    /// The ICV is wrong.
    BadIcv = "bad_icv",
    /// The pad length reaches beyond the ciphertext (RFC 4303 §2.4).
    BadPadLength = "bad_pad_length",
    /// The padding is not 1, 2, 3, … (RFC 4303 §2.4).
    BadPadding = "bad_padding",
    /// A dummy packet, next header 59 (RFC 4303 §2.6): discarded as it should be.
    Dummy = "dummy",
    /// The next header is not what this SA's mode carries.
    BadNextHeader = "bad_next_header",
    /// The inner packet is malformed.
    MalformedInner = "malformed_inner",
    /// The inner packet is outside the SA's selectors (RFC 4301 §5.2).
    BadSelector = "bad_selector",
    /// An inner fragment without ports, and the selectors ask for ports (RFC 4301 §7).
    InnerFragment = "inner_fragment",
    /// The inner source or destination is loopback, multicast, unspecified or otherwise never to be forwarded.
    Martian = "martian",
    /// Outer CE on an inner packet that is not ECN-capable (RFC 6040 §4.2).
    EcnIllegal = "ecn_illegal",
    /// Policy says discard.
    PolicyDiscard = "policy_discard",
    /// Plaintext came in from outside although policy asks for protection.
    PlaintextOutside = "plaintext_outside",
    /// Policy says protect and there is no outbound SA (yet).
    NoOutboundSa = "no_outbound_sa",
    /// The outbound sequence number space is used up (RFC 4303 §3.3.3).
    SequenceExhausted = "sequence_exhausted",
    /// The SA is past a hard lifetime.
    Expired = "expired",
    /// Too big for the path and DF is set; the sender was told.
    TooBig = "too_big",
    /// TTL or hop limit ran out; the sender was told.
    TtlExceeded = "ttl_exceeded",
    /// No route to the next address.
    NoRoute = "no_route",
    /// The next hop did not answer, or too many packets wait for it.
    NoNeighbour = "no_neighbour",
    /// The interface to send on is down or not ours.
    InterfaceDown = "interface_down",
    /// The transmit ring stayed full.
    TxFull = "tx_full",
    /// No free frame.
    NoFrame = "no_frame",
    /// Headers or trailer would not fit into the frame.
    NoRoom = "no_room",
    /// A fragment overlapped another or lied about its place (RFC 5722).
    FragmentOverlap = "fragment_overlap",
    /// A reassembly was given up: out of time, out of slots or too large.
    FragmentTimeout = "fragment_timeout",
    /// Another worker's inbox was full.
    HandoffFull = "handoff_full",
    /// The kernel's side (postern0) did not take it.
    KernelFull = "kernel_full",
    /// Encapsulated too deep: our own ESP came back into a tunnel.
    Nested = "nested",
    /// The kernel handed back a descriptor that is not a frame of ours.
    BadDescriptor = "bad_descriptor",
}
}

named! {
/// Everything else that is counted, per worker.
Counter {
    /// Frames received.
    RxFrames = "rx_frames",
    /// Octets received, with link headers.
    RxOctets = "rx_octets",
    /// Frames handed to a transmit ring.
    TxFrames = "tx_frames",
    /// Octets handed to a transmit ring.
    TxOctets = "tx_octets",
    /// Packets sealed.
    Sealed = "sealed",
    /// Packets opened and accepted.
    Opened = "opened",
    /// Packets that policy lets by in the clear.
    Bypassed = "bypassed",
    /// Packets handed to the kernel through the TUN device.
    ToKernel = "to_kernel",
    /// Packets taken from the kernel through the TUN device.
    FromKernel = "from_kernel",
    /// Packets fragmented before encryption.
    Fragmented = "fragmented",
    /// Outer packets put together again.
    Reassembled = "reassembled",
    /// "Fragmentation needed" and "packet too big" sent.
    TooBigSent = "too_big_sent",
    /// "Time exceeded" sent.
    TimeExceededSent = "time_exceeded_sent",
    /// NAT keepalives received.
    Keepalives = "keepalives",
    /// Partial checksums completed.
    ChecksumsCompleted = "checksums_completed",
    /// Packets handed to the worker that owns their SA.
    HandedOff = "handed_off",
    /// Packets that waited for a neighbour.
    WaitedForNeighbour = "waited_for_neighbour",
    /// Turns of the loop that moved packets.
    BusyTurns = "busy_turns",
    /// Turns that did not.
    IdleTurns = "idle_turns",
}
}
