//! What both ends are told: one gateway that answers, and as many peers as are wanted, each with its own address, identity,
//! network and, where certificates are used, certificate.
use super::Failed;
use ike::Key;
use ike::algorithm::Group;
use ike::proposal::{Proposal, Transform};
use ike::settings::{
    Accept, Child, ChildLifetime, Connection, Credential, Encap, Fragmentation, IkeLifetime,
    LocalAuth, RemoteAuth, Settings, Start, Then, Traffic, Unique,
};
use pki::{
    AltName, Certificate, Constraints, Curve, Identity, Issuer, KeyKind, Pattern, PrivateKey,
    Profile, PublicKey, Role, Trust,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::iana::EncryptionId;
use wire::prefix::Prefix;
use wire::selector::{AddressRange, PortRange};

/// Validity of the bench's certificates: from 2023 to 2049.
const VALID: (u64, u64) = (1_672_531_200, 2_493_072_000);
const DOMAIN: &str = "peers.example.com";
const GATEWAY: &str = "gateway.example.com";
const SECRET: &[u8] = b"a secret of the bench, long enough for anybody";

/// How both ends prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Proof {
    /// A pre-shared key.
    Psk,
    /// ECDSA with P-256: root, intermediate, a leaf for each peer.
    EcdsaP256,
}

impl Proof {
    /// As results have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psk => "PSK",
            Self::EcdsaP256 => "ECDSA P-256",
        }
    }
}
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The gateway's address and those of its peers.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Of the gateway.
    pub gateway: Ipv4Addr,
    /// Peers have this and those that follow.
    pub first_peer: Ipv4Addr,
}
impl Default for Addresses {
    fn default() -> Self {
        Self { gateway: Ipv4Addr::new(192, 0, 2, 1), first_peer: Ipv4Addr::new(198, 18, 0, 1) }
    }
}

/// One way to make both ends.
#[derive(Clone, Debug)]
pub struct Sites {
    proof: Proof,
    group: Group,
    addresses: Addresses,
    authority: Option<Arc<Authority>>,
    /// Lifetimes that the gateway gives to the peers' SAs, in seconds: IKE, then child. 0: none.
    pub lifetimes: (u64, u64),
    /// The domain in which peers have their names.
    pub domain: String,
}

#[derive(Debug)]
struct Authority {
    root: Certificate,
    intermediate: Certificate,
    key: PrivateKey,
    /// Of its leaves.
    valid: (u64, u64),
}

fn wrong(why: impl fmt::Display) -> Failed {
    Failed::Certificates(why.to_string())
}

impl Authority {
    fn new() -> Result<Self, Failed> {
        let role = || Role::Ca { path_len: None, constraints: Constraints::default() };
        let (root_key, key) = (generated()?, generated()?);
        let root =
            profile("CN=root", Vec::new(), role(), VALID)?.self_signed(&root_key).map_err(wrong)?;
        let issuer = Issuer { certificate: &root, key: &root_key };
        let wanted = profile("CN=intermediate", Vec::new(), role(), VALID)?;
        let intermediate = issuer.issue(&wanted, key.public_key()).map_err(wrong)?;
        Ok(Self { root, intermediate, key, valid: VALID })
    }

    /// `root.pem`, `intermediate.pem` and `intermediate.key`.
    fn read(folder: &Path) -> Result<Self, Failed> {
        let file = |name: &str| std::fs::read(folder.join(name)).map_err(wrong);
        let certificate = |name: &str| {
            let all = pki::certificates(&file(name)?).map_err(wrong)?;
            all.into_iter().next().ok_or_else(|| wrong(format!("no certificate in {name}")))
        };
        let (root, intermediate) = (certificate("root.pem")?, certificate("intermediate.pem")?);
        let key = PrivateKey::read(&file("intermediate.key")?, None).map_err(wrong)?;
        let now = unix_now();
        Ok(Self { root, intermediate, key, valid: (now, now + 24 * 3600) })
    }

    fn leaf(&self, name: &str, key: &PublicKey) -> Result<Certificate, Failed> {
        let names = vec![AltName::Dns(name.to_owned())];
        let wanted = profile(&format!("CN={name}"), names, Role::Peer, self.valid)?;
        let issuer = Issuer { certificate: &self.intermediate, key: &self.key };
        issuer.issue(&wanted, key).map_err(wrong)
    }
}

fn generated() -> Result<PrivateKey, Failed> {
    PrivateKey::generate(KeyKind::Ecdsa(Curve::P256)).map_err(wrong)
}

fn profile(
    subject: &str,
    alt_names: Vec<AltName>,
    role: Role,
    (not_before, not_after): (u64, u64),
) -> Result<Profile, Failed> {
    let subject = subject.parse().map_err(wrong)?;
    Ok(Profile { subject, alt_names, not_before, not_after, role })
}

/// The wall clock in seconds since 1970.
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Sites {
    /// With an authority of its own, where one is needed.
    ///
    /// # Errors
    /// [`Failed::Certificates`].
    pub fn new(proof: Proof, group: Group) -> Result<Self, Failed> {
        let authority = match proof {
            Proof::Psk => None,
            Proof::EcdsaP256 => Some(Arc::new(Authority::new()?)),
        };
        Ok(Self {
            proof,
            group,
            addresses: Addresses::default(),
            authority,
            lifetimes: (0, 0),
            domain: DOMAIN.to_owned(),
        })
    }

    /// Whose authority is in a folder; without a folder there is none, and a key is shared.
    ///
    /// # Errors
    /// [`Failed::Certificates`].
    pub fn read(folder: Option<&Path>, group: Group) -> Result<Self, Failed> {
        let authority = folder.map(Authority::read).transpose()?.map(Arc::new);
        let proof = if authority.is_some() { Proof::EcdsaP256 } else { Proof::Psk };
        Ok(Self { proof, authority, ..Self::new(Proof::Psk, group)? })
    }

    /// The same with other names and addresses: peers that stood before, whose SAs live so long.
    pub fn established_before(&self, lifetimes: (u64, u64)) -> Self {
        let first_peer = Ipv4Addr::new(203, 0, 113, 1);
        Self {
            addresses: Addresses { first_peer, ..self.addresses },
            domain: "tunnels.example.com".to_owned(),
            lifetimes,
            ..self.clone()
        }
    }

    /// How identities are proved.
    pub const fn proof(&self) -> Proof {
        self.proof
    }
    /// The key exchange.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// Names of the connections that [`Self::peers`] makes.
    pub fn names(peers: usize) -> Vec<Arc<str>> {
        (0..peers).map(|peer| format!("peer-{peer}").into()).collect()
    }

    fn address(&self, peer: usize) -> IpAddr {
        let first = self.addresses.first_peer.to_bits();
        Ipv4Addr::from_bits(first.wrapping_add(u32::try_from(peer).unwrap_or(u32::MAX))).into()
    }

    fn identity(&self, peer: usize) -> String {
        format!("p{peer}.{}", self.domain)
    }

    /// The one that answers, with one connection for all peers.
    ///
    /// # Errors
    /// [`Failed::Certificates`].
    pub fn gateway(&self) -> Result<Connection, Failed> {
        let pattern = format!("*.{}", self.domain).parse::<Pattern>().map_err(wrong)?;
        let mut connection = self.connection(&self.domain, GATEWAY, pattern)?;
        connection.local = vec![self.addresses.gateway.into()];
        connection.children = self.child(network("10.0.0.0/8"), network("172.16.0.0/12"), true);
        let (ike, _) = self.lifetimes;
        connection.lifetime = IkeLifetime { rekey: ike, reauth: 0, over: ike, jitter: 10 };
        Ok(connection)
    }

    /// The one that answers, with a connection for each of so many peers.
    ///
    /// # Errors
    /// [`Failed::Certificates`].
    pub fn gateway_by_peer(&self, peers: usize) -> Result<Settings, Failed> {
        let of = |peer| {
            let identity = identity(&self.identity(peer))?;
            let mut connection =
                self.connection(&format!("peer-{peer}"), GATEWAY, Pattern::exact(identity))?;
            connection.local = vec![self.addresses.gateway.into()];
            connection.remote = vec![self.address(peer).into()];
            let own = AddressRange::from(inner(peer));
            connection.children = self.child(network("10.0.0.0/8"), Some(own), true);
            Ok(Arc::new(connection))
        };
        let connections = (0..peers).map(of).collect::<Result<_, Failed>>()?;
        Ok(Settings { connections, ..Settings::default() })
    }

    /// So many that call, from `first` on.
    ///
    /// # Errors
    /// [`Failed::Certificates`].
    pub fn peers(&self, first: usize, count: usize) -> Result<Settings, Failed> {
        let of = |peer| Ok(Arc::new(self.peer(peer)?));
        let connections = (first..first + count).map(of).collect::<Result<_, Failed>>()?;
        Ok(Settings { connections, ..Settings::default() })
    }

    fn peer(&self, peer: usize) -> Result<Connection, Failed> {
        let gateway = Pattern::exact(identity(GATEWAY)?);
        let mut connection =
            self.connection(&format!("peer-{peer}"), &self.identity(peer), gateway)?;
        connection.local = vec![self.address(peer)];
        connection.remote = vec![IpAddr::from(self.addresses.gateway).into()];
        let own = AddressRange::from(inner(peer));
        connection.children = self.child(Some(own), network("10.0.0.0/8"), false);
        Ok(connection)
    }

    fn connection(&self, name: &str, own: &str, remote: Pattern) -> Result<Connection, Failed> {
        let psk = || Arc::new(Key::new(SECRET.to_vec()));
        let (credential, accept) = match &self.authority {
            None => (Credential::Psk(psk()), Accept::Psk(psk())),
            Some(authority) => {
                let key = generated()?;
                let chain =
                    vec![authority.leaf(own, key.public_key())?, authority.intermediate.clone()];
                let trust = Arc::new(Trust::new(vec![authority.root.clone()]));
                (Credential::Certificate { key: Arc::new(key), chain }, Accept::Certificate(trust))
            }
        };
        Ok(Connection {
            name: name.into(),
            digest: [0; 16],
            local: Vec::new(),
            remote: Vec::new(),
            remote_port: 500,
            local_auth: LocalAuth { identity: identity(own)?, credential },
            remote_auth: RemoteAuth { identities: vec![remote], accept },
            proposals: vec![self.ike_proposal()],
            children: Vec::new(),
            lifetime: IkeLifetime { rekey: 0, reauth: 0, over: 0, jitter: 0 },
            dpd: None,
            encap: Encap::Auto,
            fragmentation: Some(Fragmentation::default()),
            unique: Unique::Replace,
            legacy: false,
            keepalive_ms: 0,
            childless: false,
            attempts: Some(1),
        })
    }

    fn ike_proposal(&self) -> Proposal {
        Proposal {
            transforms: vec![
                Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256)),
                Transform::prf(6), // PRF_HMAC_SHA2_384
                Transform::key_exchange(self.group.id().0),
            ],
        }
    }

    fn child(
        &self,
        local: Option<AddressRange>,
        remote: Option<AddressRange>,
        gateway: bool,
    ) -> Vec<Arc<Child>> {
        let seconds = if gateway { self.lifetimes.1 } else { 0 };
        let traffic = |addresses| vec![Traffic { addresses, protocol: 0, ports: PortRange::ANY }];
        let esp = Proposal {
            transforms: vec![
                Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256)),
                Transform::esn(false),
            ],
        };
        let child = Child {
            name: "net".into(),
            local_ts: traffic(local),
            remote_ts: traffic(remote),
            proposals: vec![esp],
            lifetime: ChildLifetime {
                rekey_seconds: seconds,
                hard_seconds: seconds * 2,
                ..ChildLifetime::default()
            },
            start: Start::Manual,
            on_dead: Then::Clear,
            on_close: Then::Clear,
        };
        vec![Arc::new(child)]
    }
}

/// Settings of one connection.
pub fn alone(connection: Connection) -> Arc<Settings> {
    Arc::new(Settings { connections: vec![Arc::new(connection)], ..Settings::default() })
}

fn identity(name: &str) -> Result<Identity, Failed> {
    Identity::fqdn(name).ok_or_else(|| wrong(format!("{name} is no name")))
}

fn network(text: &str) -> Option<AddressRange> {
    text.parse::<Prefix>().ok().map(AddressRange::from)
}

/// The address that a peer brings into the tunnel.
fn inner(peer: usize) -> IpAddr {
    let first = Ipv4Addr::new(172, 16, 0, 1).to_bits();
    Ipv4Addr::from_bits(first.wrapping_add(u32::try_from(peer).unwrap_or(u32::MAX))).into()
}
