//! `postern.yaml` as it is written. The JSON Schema is made from these types, so their comments are what an
//! editor shows while somebody types.
#![allow(clippy::missing_docs_in_private_items)]
use super::de::{Either, Field, Many, Map};
use super::proposals::{EspProposal, IkeProposal};
use super::suites::SuiteName;
use super::text::{
    Address, AddressSet, IdentityText, InterfaceName, Label, PatternText, Peers, Ports, Protocol,
    Secret, Span, SpiNumber, Text, TrafficSelectorText,
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
    /// Bounds on what strangers and peers may cost IKE.
    #[serde(default)]
    pub ike: Option<Field<Ike>>,
}

/// Settings of IKE that hold for all connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ike {
    /// Connections that strangers may have begun before each new one must show by a cookie where it is. Default: 64.
    #[serde(default)]
    pub cookie_above: Option<Field<u32>>,
    /// Connections that strangers may have begun before no more are answered. Default: 4096.
    #[serde(default)]
    pub half_open: Option<Field<u32>>,
    /// Of these, so many from one address. Default: 512.
    #[serde(default)]
    pub half_open_per_source: Option<Field<u32>>,
    /// Threads for key exchange and signatures. Default: half of the CPUs that packet workers do not use, at least one.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub threads: Option<Field<u32>>,
    /// How long an unanswered request waits before it is sent again. Default: 1s.
    #[serde(default)]
    pub retransmit_first: Option<Field<Span>>,
    /// How often an unanswered request is sent again before the peer is taken for dead. Default: 8.
    #[serde(default)]
    pub retransmit_tries: Option<Field<u32>>,
    /// Let `postern keys export` show the keys of SAs to root, so that Wireshark can decrypt captures. Whoever has them
    /// reads all traffic: for tests only. Default: false.
    #[serde(default)]
    pub allow_key_export: Option<Field<bool>>,
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

/// One peer. Its tunnels are negotiated by IKEv2, or their keys are written out: a connection has either the one kind of
/// children or the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Our outer address; or a mapping that says who we are and how we prove it. Absent: any address of ours.
    #[serde(default)]
    pub local: Option<Field<Either<LocalEnd>>>,
    /// The peer's outer address, of the same family; or a mapping that says who it is and how it must prove it.
    /// A prefix, or any: we wait for peers to come.
    #[serde(default)]
    pub remote: Option<Field<Either<RemoteEnd>>>,
    /// A key that both ends know, for both proofs of identity (RFC 7296 §2.15). Long and random.
    #[serde(default)]
    pub psk: Option<Field<Text>>,
    /// For IKE, the best first. Default: ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519+ECP_384+MODP_3072.
    #[serde(default)]
    pub proposals: Option<Field<Many<IkeProposal>>>,
    /// When the IKE SA gets new keys.
    #[serde(default)]
    pub lifetime: Option<Field<IkeLifetime>>,
    /// Ask whether the peer lives after so long without a sign of it; never: do not. Default: 30s.
    #[serde(default)]
    pub dpd: Option<Field<Span>>,
    /// Negotiated: auto (ESP in UDP when there is a NAT), force or never; default auto.
    /// Manual: none (IP protocol 50) or udp (ports 4500 or as given); default none.
    #[serde(default)]
    pub encap: Option<Field<Encap>>,
    /// The largest IP packet that an IKE message makes (RFC 7383), in octets; 0: never fragment. Default: 1280.
    #[serde(default)]
    pub fragmentation: Option<Field<u16>>,
    /// When a peer that is connected connects again: replace, keep (the old one; the new one is refused), or never (it
    /// may have several). Default: replace.
    #[serde(default)]
    pub unique: Option<Field<Unique>>,
    /// How often a NAT in front of us is reminded of us (RFC 3948 §4). Default: 20s.
    #[serde(default)]
    pub keepalive: Option<Field<Span>>,
    /// Begin without a child (RFC 6023) when the peer can. Default: false.
    #[serde(default)]
    pub childless: Option<Field<bool>>,
    /// Give up after so many failed attempts to connect. Default: never.
    #[serde(default)]
    pub attempts: Option<Field<u32>>,
    /// Allow algorithms that nobody should use any more (DES, 3DES, CAST, Blowfish, RC5, IDEA, MD5, MODP_1024 and
    /// MODP_1536), for a peer that can do nothing better. Default: false.
    #[serde(default)]
    pub legacy: Option<Field<bool>>,
    /// Tunnels with this peer, by name.
    pub children: Field<Map<Child>>,
}

/// Who we are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalEnd {
    /// Our outer addresses; the first of the peer's family is used to connect. Absent: any.
    #[serde(default)]
    pub address: Option<Field<Many<Address>>>,
    /// What we say we are: gw-a.example.com, admin@example.com, 192.0.2.1, "C=CH, O=Example, CN=gw-a", keyid:text.
    /// Default: the first name in our certificate, or our address.
    #[serde(default)]
    pub id: Option<Field<IdentityText>>,
    /// We prove it by a key that the peer knows too. Default: the connection's.
    #[serde(default)]
    pub psk: Option<Field<Text>>,
    /// We prove it by a certificate: files in PEM or DER, our own certificate first, then intermediate CAs. Or one
    /// PKCS#12 file (.p12, .pfx), which has the key too.
    #[serde(default)]
    pub certificate: Option<Field<Many<String>>>,
    /// The private key of our certificate. Without a certificate it proves by itself (RFC 7670).
    #[serde(default)]
    pub key: Option<Field<Text>>,
    /// Opens the key's file, or the PKCS#12 file.
    #[serde(default)]
    pub password: Option<Field<Text>>,
}

/// Who the peer is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteEnd {
    /// Addresses, prefixes or ranges that it may come from. We connect to the first when it is a single address.
    /// Absent: any, if the peer has an id or a public_key here; any: in so many words.
    #[serde(default)]
    pub address: Option<Field<Many<Peers>>>,
    /// The UDP port to connect to. Default: 500.
    #[serde(default)]
    pub port: Option<Field<u16>>,
    /// What it may say it is: an identity, *.example.com, *@example.com, "C=CH, O=Example, CN=*", or "*" for anybody
    /// who has the proof. Default with a PSK: its address. Default with a public key: anybody who has it.
    #[serde(default)]
    pub id: Option<Field<Many<PatternText>>>,
    /// It proves it by a key that we know too. Default: the connection's.
    #[serde(default)]
    pub psk: Option<Field<Text>>,
    /// It proves it by a certificate of one of these CAs: files in PEM or DER.
    #[serde(default)]
    pub ca: Option<Field<Many<String>>>,
    /// CA certificates that help from ours to its own, if it does not send them itself.
    #[serde(default)]
    pub intermediates: Option<Field<Many<String>>>,
    /// It proves it by one of these keys: files with a public key in PEM or DER.
    #[serde(default)]
    pub public_key: Option<Field<Many<String>>>,
}

/// When the IKE SA gets new keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IkeLifetime {
    /// New keys after so long. Default: 4h.
    #[serde(default)]
    pub rekey: Option<Field<Span>>,
    /// New proofs of identity after so long, by a new IKE SA before the old one ends. Default: never.
    #[serde(default)]
    pub reauth: Option<Field<Span>>,
    /// So long after it should have been replaced it ends. Default: a tenth of `rekey`.
    #[serde(default)]
    pub over: Option<Field<Span>>,
    /// Up to so many percent earlier, at random. Default: 10.
    #[serde(default)]
    #[schemars(range(min = 0, max = 50))]
    pub jitter: Option<Field<u8>>,
}

/// When a peer that is connected connects again.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unique {
    /// The new one takes the old one's place.
    Replace,
    /// The new one is refused.
    Keep,
    /// Both stay.
    Never,
}

/// How ESP travels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encap {
    /// IP protocol 50 (RFC 4303).
    None,
    /// In UDP (RFC 3948).
    Udp(Option<Field<UdpPorts>>),
    /// Negotiated: in UDP when there is a NAT.
    Auto,
    /// Negotiated: always in UDP.
    Force,
    /// Negotiated: never in UDP.
    Never,
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
            { "enum": ["auto", "force", "never", "none", "udp"] },
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
    /// Absent, where keys are negotiated: our outer address.
    #[serde(default)]
    pub local_ts: Option<Field<Vec<Field<TrafficSelectorText>>>>,
    /// What is on the peer's side. Every pair of one family is covered. Absent, where keys are negotiated: its outer
    /// address.
    #[serde(default)]
    pub remote_ts: Option<Field<Vec<Field<TrafficSelectorText>>>>,
    /// For ESP where keys are negotiated, the best first. Groups behind the suite mean new key exchange at each rekey;
    /// NONE among them, that it may be left out. Default: ENCR_AES_GCM_16_256/Curve25519+ECP_384+MODP_3072+NONE.
    #[serde(default)]
    pub esp: Option<Field<Many<EspProposal>>>,
    /// Where keys are negotiated. auto: connect at once and stay connected; ondemand: when there is a packet; manual: by
    /// `postern up`, or by the peer. Default: auto.
    #[serde(default)]
    pub start: Option<Field<Start>>,
    /// When the peer is dead: restart, trap (connect when there is a packet) or clear. Default: restart with start:
    /// auto, trap with ondemand, else clear.
    #[serde(default)]
    pub on_dead: Option<Field<Then>>,
    /// When the peer closes it: restart, trap or clear. Default: as `on_dead`.
    #[serde(default)]
    pub on_close: Option<Field<Then>>,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1). Default: true with manual keys, where both ends must agree; whatever
    /// the peer can, where keys are negotiated.
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
    /// When an SA warns, or is replaced where keys are negotiated (soft), and dies (hard). Default: never with manual
    /// keys; else replaced after an hour.
    #[serde(default)]
    pub lifetime: Option<Field<Lifetime>>,
    /// Keys by hand.
    #[serde(default)]
    pub manual: Option<Field<Manual>>,
}

/// When a child is made.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At once.
    Auto,
    /// When there is a packet for it.
    Ondemand,
    /// By order, or by the peer.
    Manual,
}

/// What is done when a child is lost.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// Made anew.
    Restart,
    /// Made anew when there is a packet for it.
    Trap,
    /// Nothing.
    Clear,
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
    /// Where keys are negotiated: up to so many percent before each soft limit, at random. Default: 10.
    #[serde(default)]
    #[schemars(range(min = 0, max = 50))]
    pub jitter: Option<Field<u8>>,
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
