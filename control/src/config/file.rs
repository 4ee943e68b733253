//! `postern.yaml` as it is written. The JSON Schema is made from these types, so their comments are what an
//! editor shows while somebody types.
#![allow(clippy::missing_docs_in_private_items)]
use super::de::{Field, Map};
use super::suites::SuiteName;
use super::text::{
    Address, AddressSet, InterfaceName, Label, Ports, Protocol, Secret, SpiNumber,
    TrafficSelectorText,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Postern's configuration: interfaces, policies and tunnels of one gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "postern.yaml")]
pub struct File {
    /// The interfaces that Postern works on. At least one inside and one outside.
    pub interfaces: Field<Vec<Field<Interface>>>,
    /// Where the packet workers run.
    #[serde(default)]
    pub workers: Option<Field<Workers>>,
    /// Sizes that are fixed when the data plane starts.
    #[serde(default)]
    pub dataplane: Option<Field<DataPlane>>,
    /// Explicit policies in order, searched before the entries that the connections make.
    #[serde(default)]
    pub policies: Option<Field<Vec<Field<PolicyEntry>>>>,
    /// Peers by name.
    #[serde(default)]
    pub connections: Option<Field<Map<Connection>>>,
}

/// One network interface.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The kernel's name of it.
    pub name: Field<InterfaceName>,
    /// Which side it is on.
    pub role: Field<Role>,
    /// The least it must reach, or the data plane does not start: any, native (XDP in the driver) or zerocopy.
    #[serde(default)]
    pub require: Option<Field<Require>>,
    /// Complete TCP and UDP checksums that the sender left to hardware, as veth and virtio do. Default: true.
    #[serde(default)]
    pub complete_checksums: Option<Field<bool>>,
}

/// Which side of the gateway.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Plaintext.
    Inside,
    /// Ciphertext.
    Outside,
}

/// XDP mode that must be reached.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// Whatever works.
    Any,
    /// XDP in the driver, frames may be copied.
    Native,
    /// No copy between driver and data plane.
    Zerocopy,
}

/// The packet workers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// One worker is pinned to each of these CPUs. Default: all that the process may use.
    #[serde(default)]
    pub cores: Option<Field<Vec<Field<u16>>>>,
    /// adaptive: spin, then yield, then sleep. spin: never sleep. Default: adaptive.
    #[serde(default)]
    pub idle: Option<Field<Idle>>,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Spin, then yield, then sleep.
    Adaptive,
    /// Never sleep.
    Spin,
}

/// Sizes of everything that is allotted once. A change needs a restart of postern-dataplane.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataPlane {
    /// Packet frames in memory, for all workers together. Default: 8192.
    #[serde(default)]
    #[schemars(range(min = 512, max = 1048576))]
    pub frames: Option<Field<u32>>,
    /// Octets in a frame, 2048 or 4096. Default: 2048.
    #[serde(default)]
    pub frame_size: Option<Field<u32>>,
    /// How many SAs there is room for; a tunnel needs two, and two more while it is changed. Default: 4096.
    #[serde(default)]
    #[schemars(range(min = 4, max = 1048575))]
    pub sa_slots: Option<Field<u32>>,
    /// How many policy entries there is room for. Default: 4096.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65536))]
    pub policies: Option<Field<u32>>,
    /// The widest replay window that an SA may ask for, a power of two. Default: 1024.
    #[serde(default)]
    #[schemars(range(min = 32, max = 65536))]
    pub window_max: Option<Field<u32>>,
    /// Name of the TUN device for packets to and from the gateway itself. Default: postern0.
    #[serde(default)]
    pub tun: Option<Field<InterfaceName>>,
    /// Outer packets that may be put together from fragments at once. Default: 256.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65536))]
    pub reassembly_slots: Option<Field<u32>>,
    /// How long fragments wait for the rest, in milliseconds. Default: 2000.
    #[serde(default)]
    #[schemars(range(min = 100, max = 60000))]
    pub reassembly_ms: Option<Field<u32>>,
}

/// Traffic that is let by in the clear, or thrown away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// For status and logs.
    pub name: Field<Label>,
    /// bypass: in the clear; discard: thrown away and counted.
    pub action: Field<Action>,
    /// Addresses on our side.
    pub local: Field<Vec<Field<AddressSet>>>,
    /// Addresses on the far side.
    pub remote: Field<Vec<Field<AddressSet>>>,
    /// tcp, udp, icmp, icmpv6, sctp, or a number. Default: any.
    #[serde(default)]
    pub protocol: Option<Field<Protocol>>,
    /// Port or range on our side, as 53 or 1024-65535.
    #[serde(default)]
    pub local_port: Option<Field<Ports>>,
    /// Port or range on the far side.
    #[serde(default)]
    pub remote_port: Option<Field<Ports>>,
}

/// What a policy does. What must be protected stands under `connections`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let by in the clear.
    Bypass,
    /// Throw away.
    Discard,
}

/// One peer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Our outer address.
    pub local: Field<Address>,
    /// The peer's outer address, of the same family.
    pub remote: Field<Address>,
    /// none: ESP as IP protocol 50. udp: ESP in UDP, ports 4500 or as given. Default: none.
    #[serde(default)]
    pub encap: Option<Field<Encap>>,
    /// Allow algorithms that nobody should use any more (DES, 3DES, CAST, Blowfish, RC5, IDEA, MD5), for a peer that
    /// can do nothing better. Default: false.
    #[serde(default)]
    pub legacy: Option<Field<bool>>,
    /// Tunnels with this peer, by name.
    pub children: Field<Map<Child>>,
}

/// How ESP travels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encap {
    /// IP protocol 50 (RFC 4303).
    None,
    /// In UDP (RFC 3948).
    Udp(Option<Field<UdpPorts>>),
}

impl JsonSchema for Encap {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Encap".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let ports = generator.subschema_for::<UdpPorts>();
        schemars::json_schema!({ "oneOf": [
            { "enum": ["none", "udp"] },
            { "type": "object", "properties": { "udp": ports }, "required": ["udp"], "additionalProperties": false }
        ] })
    }
}

/// Ports of ESP in UDP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpPorts {
    /// Ours. Default: 4500.
    #[serde(default)]
    pub local: Option<Field<u16>>,
    /// The peer's. Default: 4500.
    #[serde(default)]
    pub remote: Option<Field<u16>>,
}

/// One tunnel: what goes through it and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// What is on our side: prefixes, addresses, ranges; optionally [protocol/port], as 10.1.0.0/16[tcp/80-443].
    pub local_ts: Field<Vec<Field<TrafficSelectorText>>>,
    /// What is on the peer's side. Every pair of one family is covered.
    pub remote_ts: Field<Vec<Field<TrafficSelectorText>>>,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1). Both ends must agree. Default: true.
    #[serde(default)]
    pub esn: Option<Field<bool>>,
    /// Anti-replay window in packets, a power of two from 32 to `window_max`; 0: off, only without ESN. Default: 1024.
    #[serde(default)]
    pub replay_window: Option<Field<u32>>,
    /// The DF bit of the outer IPv4 header. Default: copy.
    #[serde(default)]
    pub dont_fragment: Option<Field<DontFragment>>,
    /// out: copy to the outer header; in: copy back only; copy: both; no: neither. Default: out.
    #[serde(default)]
    pub dscp: Option<Field<Dscp>>,
    /// Carry ECN through the tunnel (RFC 6040). Default: true.
    #[serde(default)]
    pub ecn: Option<Field<bool>>,
    /// When an SA warns (soft) and dies (hard). Default: never.
    #[serde(default)]
    pub lifetime: Option<Field<Lifetime>>,
    /// Keys by hand.
    pub manual: Field<Manual>,
}

/// The DF bit of the outer IPv4 header (RFC 4301 §8.1).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DontFragment {
    /// As in the inner packet.
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

/// Where the DSCP goes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dscp {
    /// To the outer header.
    Out,
    /// To the outer header and back.
    Copy,
    /// Back to the inner header only.
    In,
    /// Nowhere.
    No,
}

/// Limits of an SA; 0 or absent: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    /// Warn after so many octets.
    #[serde(default)]
    pub soft_bytes: Option<Field<u64>>,
    /// Stop after so many octets.
    #[serde(default)]
    pub hard_bytes: Option<Field<u64>>,
    /// Warn after so many packets.
    #[serde(default)]
    pub soft_packets: Option<Field<u64>>,
    /// Stop after so many packets.
    #[serde(default)]
    pub hard_packets: Option<Field<u64>>,
    /// Warn after so many seconds.
    #[serde(default)]
    pub soft_seconds: Option<Field<u64>>,
    /// Stop after so many seconds.
    #[serde(default)]
    pub hard_seconds: Option<Field<u64>>,
}

/// Manual keys. Both ends need the same, with inbound and outbound exchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// ENCR_AES_GCM_16_256, ENCR_CHACHA20_POLY1305, ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128, …
    /// docs/configuration.md has all of them.
    pub esp: Field<SuiteName>,
    /// From the peer to us.
    pub inbound: Field<ManualSa>,
    /// From us to the peer.
    pub outbound: Field<ManualSa>,
    /// Must be written out as `epoch` for counter-mode ciphers (GCM, GMAC, CCM, CTR, ChaCha20): then every fresh start takes a new epoch for
    /// the top of its IVs, kept on disk, because an IV used twice under one key gives the key away.
    #[serde(default)]
    pub counter_mode: Option<Field<CounterMode>>,
}

/// How IVs stay unique under a key that outlives a restart.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CounterMode {
    /// 24 bits of epoch, new with every start and kept on disk, above 40 bits of packet number.
    Epoch,
}

/// One direction of manual keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualSa {
    /// 256 to 4294967295, decimal or like 0x1001; no two inbound SAs may share one.
    pub spi: Field<SpiNumber>,
    /// Cipher key in hexadecimal; counter-mode ciphers have their salt at its end. Absent for ENCR_NULL.
    #[serde(default)]
    pub key: Option<Field<Secret>>,
    /// Integrity key in hexadecimal. Absent for ciphers that have their own (GCM, GMAC, CCM, ChaCha20).
    #[serde(default)]
    pub integrity_key: Option<Field<Secret>>,
}
