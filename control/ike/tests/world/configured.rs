//! Configurations of both ends.
use ike::Key;
use ike::algorithm::Group;
use ike::proposal::{Proposal, Transform};
use ike::settings::*;
use pki::{Identity, Pattern};
use std::net::IpAddr;
use std::sync::Arc;
use wire::iana::{EncryptionId, IntegrityId};
use wire::prefix::Prefix;
use wire::selector::PortRange;

pub const HOUR: u64 = 3_600_000;

pub fn ike_proposal(groups: &[Group]) -> Proposal {
    let mut transforms =
        vec![Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256)), Transform::prf(6)];
    transforms.extend(groups.iter().map(|group| Transform::key_exchange(group.id().0)));
    Proposal { transforms }
}

pub fn esp_proposal(groups: &[Group]) -> Proposal {
    let mut transforms = vec![
        Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256)),
        Transform::esn(true),
        Transform::esn(false),
    ];
    transforms.extend(groups.iter().map(|group| Transform::key_exchange(group.id().0)));
    Proposal { transforms }
}

pub fn cbc_proposal() -> Proposal {
    Proposal {
        transforms: vec![
            Transform::encryption(EncryptionId::ENCR_AES_CBC, Some(128)),
            Transform::integrity(IntegrityId::AUTH_HMAC_SHA2_256_128),
            Transform::esn(false),
        ],
    }
}

pub fn traffic(addresses: &str) -> Traffic {
    let addresses = addresses.parse::<Prefix>().unwrap().into();
    Traffic { addresses: Some(addresses), protocol: 0, ports: PortRange::ANY }
}

pub fn child(name: &str, local: &str, remote: &str) -> Child {
    Child {
        name: name.into(),
        local_ts: vec![traffic(local)],
        remote_ts: vec![traffic(remote)],
        proposals: vec![esp_proposal(&[])],
        lifetime: ChildLifetime { rekey_seconds: 0, hard_seconds: 0, ..ChildLifetime::default() },
        start: Start::Manual,
        on_dead: Then::Clear,
        on_close: Then::Clear,
    }
}

pub fn identity(end: usize) -> Identity {
    Identity::fqdn(["a.example.com", "b.example.com"][end]).unwrap()
}

pub fn address(end: usize) -> IpAddr {
    ["192.0.2.1", "192.0.2.2"][end].parse().unwrap()
}

/// A connection with a pre-shared key, one child between 10.1.0.0/16 and 10.2.0.0/16, and no timers.
pub fn connection(end: usize) -> Connection {
    let nets = ["10.1.0.0/16", "10.2.0.0/16"];
    let psk = Arc::new(Key::new(b"correct horse battery staple".to_vec()));
    Connection {
        name: "site".into(),
        digest: [0; 16],
        local: vec![address(end)],
        remote: vec![address(1 - end).into()],
        remote_port: 500,
        local_auth: LocalAuth {
            identity: identity(end),
            credential: Credential::Psk(Arc::clone(&psk)),
        },
        remote_auth: RemoteAuth {
            identities: vec![Pattern::exact(identity(1 - end))],
            accept: Accept::Psk(psk),
        },
        proposals: vec![ike_proposal(&[Group::Curve25519, Group::Ecp256])],
        children: vec![Arc::new(child("net", nets[end], nets[1 - end]))],
        lifetime: IkeLifetime { rekey: 0, reauth: 0, over: 0, jitter: 0 },
        dpd: None,
        encap: Encap::Auto,
        fragmentation: Some(Fragmentation::default()),
        unique: Unique::Replace,
        legacy: false,
        keepalive_ms: 0,
        childless: false,
        attempts: None,
    }
}

pub fn settings(connections: Vec<Connection>) -> Settings {
    let connections = connections.into_iter().map(Arc::new).collect();
    Settings {
        connections,
        retransmission: Schedule { first_ms: 500, factor_tenths: 18, cap_ms: 10_000, tries: 6 },
        ..Settings::default()
    }
}

/// The settings of one end, its connection changed by `change`.
pub fn one(end: usize, change: impl Fn(&mut Connection)) -> Settings {
    let mut connection = connection(end);
    change(&mut connection);
    settings(vec![connection])
}

/// Changes the only child.
pub fn with_child(connection: &mut Connection, change: impl Fn(&mut Child)) {
    let nets = ["10.1.0.0/16", "10.2.0.0/16"];
    let end = usize::from(connection.local == [address(1)]);
    let mut child = child("net", nets[end], nets[1 - end]);
    change(&mut child);
    connection.children = vec![Arc::new(child)];
}
