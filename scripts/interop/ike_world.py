"""peer — router — gateway — lan, the credentials of both ends, and the two programs that can stand at an end."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.certificates import Authority, Pair
from lab.charon import Charon
from lab.ends import End, Proof, shown, strongswan
from lab.namespaces import Failed, Lab, Namespace, wait_for

from .ike_rows import Row

# The second address of each end is behind a NAT: the router hides it behind its own.
GATEWAY = {4: ("192.0.2.1", "192.0.2.3"), 6: ("2001:db8:1::1",)}
PEER = {4: ("198.51.100.2", "198.51.100.3"), 6: ("2001:db8:2::2",)}
ROUTER = {4: {"gateway": "192.0.2.254", "peer": "198.51.100.254"}, 6: {"gateway": "2001:db8:1::fe", "peer": "2001:db8:2::fe"}}
LAN = {4: ("10.1.0.2", "10.2.0.1"), 6: ("fd01::2", "fd02::1")}  # a machine behind the gateway, one behind the peer
GATEWAY_TS, PEER_TS = ("10.1.0.0/24", "fd01::/64"), ("10.2.0.0/24", "fd02::/64")
GATEWAY_ID, PEER_ID = "gw.test", "peer.test"

# IP fragments of anything but what is inside the tunnel are dropped, before connection tracking puts them together. Ports change at the
# NAT, so nobody may take 500 or 4500 for granted.
RULES = f"""
table inet drop-fragments {{
  chain early {{
    type filter hook prerouting priority -450; policy accept;
    ip frag-off & 0x3fff != 0 counter drop
    exthdr frag exists counter drop
  }}
}}
table ip nat {{
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "to-gw" ip saddr {PEER[4][1]} meta l4proto udp masquerade to :20000-29999
    oifname "to-peer" ip saddr {GATEWAY[4][1]} meta l4proto udp masquerade to :20000-29999
  }}
}}
"""


class Network:
    """Four namespaces; both families everywhere."""

    def __init__(self, lab: Lab):
        self.lan, self.gw, self.router, self.peer = (lab.namespace(f"ike-{name}") for name in ("lan", "gw", "router", "peer"))
        lab.veth(self.gw, "lan", self.lan, "eth0")
        lab.veth(self.gw, "wan", self.router, "to-gw")
        lab.veth(self.peer, "eth0", self.router, "to-peer")
        self.gw.forward(), self.router.forward()
        self.gw.addresses("lan", "10.1.0.1/24", "fd01::1/64")
        self.lan.addresses("eth0", f"{LAN[4][0]}/24", f"{LAN[6][0]}/64")
        self.gw.addresses("wan", *(f"{address}/24" for address in GATEWAY[4]), f"{GATEWAY[6][0]}/64")
        self.peer.addresses("eth0", *(f"{address}/24" for address in PEER[4]), f"{PEER[6][0]}/64")
        self.peer.addresses("lo", f"{LAN[4][1]}/32", f"{LAN[6][1]}/128")
        for side, link in (("gateway", "to-gw"), ("peer", "to-peer")):
            self.router.addresses(link, f"{ROUTER[4][side]}/24", f"{ROUTER[6][side]}/64")
        for space, v4, v6 in ((self.gw, ROUTER[4]["gateway"], ROUTER[6]["gateway"]), (self.peer, ROUTER[4]["peer"], ROUTER[6]["peer"]),
                              (self.lan, "10.1.0.1", "fd01::1")):
            space.ip("route", "add", "default", "via", v4)
            space.ip("-6", "route", "add", "default", "via", v6)
        self.router.run("nft", "-f", "-", input=RULES)

    def mtu(self, octets: int) -> None:
        self.router.ip("link", "set", "to-peer", "mtu", str(octets))
        self.peer.ip("link", "set", "eth0", "mtu", str(octets))

    def cut(self, down: bool) -> None:
        """The cable between router and peer."""
        self.router.ip("link", "set", "to-peer", "down" if down else "up")


class Credentials:
    """Certificates, each kind made when first asked for."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.authorities: dict[str, Authority] = {}
        self.leaves: dict[tuple, Pair] = {}

    def authority(self, kind: str, label: str | None = None) -> Authority:
        label = label or kind
        if label not in self.authorities:
            self.authorities[label] = Authority(self.directory, kind, label)
        return self.authorities[label]

    def leaf(self, authority: Authority, host: str, *, name: str | None = None, days: int = 30) -> Pair:
        """`name`: what the certificate says, if not the truth."""
        key = (authority.label, name or host, days)
        if key not in self.leaves:
            padding = 60 if authority.kind == "rsa4096" else 0
            self.leaves[key] = authority.leaf(name or host, padding=padding, days=days)
        return self.leaves[key]

    def proof(self, method: str, host: str, options: dict) -> Proof:
        if method == "psk":
            return Proof("psk", secret=options.get("secret", "a secret of the tests, long enough"))
        authority = self.authority(method, options.get("authority"))
        leaf = self.leaf(authority, host, **{"expired": {"name": f"old.{host}", "days": -1}, "other": {"name": f"not-{host}"}}.get(options.get("leaf"), {}))
        return Proof("certificate", authority=authority, leaf=leaf, send_intermediate=options.get("chain", True))


def ends(row: Row, credentials: Credentials, initiator: str) -> tuple[End, End]:
    """What the gateway and the peer are told."""
    ours, theirs = (row.auth.split(",") * 2)[:2]
    options = {key.removeprefix("peer_"): value for key, value in row.options.items() if key.startswith("peer_")}
    proof, peer_proof = credentials.proof(ours, GATEWAY_ID, {}), credentials.proof(options.get("auth", theirs), PEER_ID, options)
    believed = credentials.proof(row.options.get("believed", theirs), PEER_ID, {})
    addresses = {side: all_[row.outer][1 if row.nat == side else 0] for side, all_ in (("gateway", GATEWAY), ("peer", PEER))}
    seen = {side: "any" if row.nat == side else address for side, address in addresses.items()}
    common = {"ike": (row.ike,), "esp": (row.esp,)}
    gateway = {"local": addresses["gateway"], "remote": seen["peer"], "identity": GATEWAY_ID, "remote_identity": PEER_ID, "proof": proof,
               "remote_proof": believed, "local_ts": GATEWAY_TS, "remote_ts": PEER_TS, **common}
    peer = {"local": addresses["peer"], "remote": seen["gateway"], "identity": PEER_ID, "remote_identity": GATEWAY_ID, "proof": peer_proof,
            "remote_proof": proof, "local_ts": PEER_TS, "remote_ts": GATEWAY_TS, **common}
    changed = dict(row.peer)
    if secret := changed.pop("secret", None):
        changed["proof"] = changed["remote_proof"] = Proof("psk", secret=secret)
    return End(**{**gateway, **row.gateway}), End(**{**peer, **changed})


@dataclass
class Child:
    suite: str
    local_ts: list[str]
    remote_ts: list[str]
    spi_in: int
    spi_out: int
    packets_in: int
    packets_out: int


@dataclass
class Sa:
    """An established IKE SA as one end shows it."""

    suite: str
    local_id: str
    remote_id: str
    spis: tuple[str, str]
    initiator: bool
    remote: str
    children: list[Child]


class StrongSwan:
    """charon at one end."""

    def __init__(self, space: Namespace):
        self.space, self.daemon = space, Charon(space)

    @property
    def alive(self) -> bool:
        return self.daemon.alive

    def restart(self) -> None:
        self.daemon.kill()
        self.daemon.start()

    def configure(self, end: End) -> None:
        self.daemon.clear()
        for proof, identity in ((end.proof, end.identity), (end.remote_proof, end.remote_identity)):
            if proof.method == "psk":
                self.daemon.shared(identity, proof.secret, [end.identity, end.remote_identity] if end.proof.method == end.remote_proof.method else [identity])
            else:
                self.daemon.certificate(proof.authority.root.pem, authority=True)
        if end.proof.leaf:
            self.daemon.key(end.proof.leaf.key.read_bytes())
            if end.proof.send_intermediate:
                self.daemon.certificate(end.proof.authority.intermediate.pem)
        self.daemon.load("net", strongswan(end))

    def up(self, seconds: float) -> str:
        """Empty, or why it failed."""
        answer = self.daemon.initiate("net", "net", seconds)
        return "" if answer["success"] == "yes" else answer.get("errmsg", "failed")

    def down(self) -> None:
        self.daemon.terminate("net")

    def rekey(self, child: bool) -> None:
        self.daemon.rekey(**({"child": "net"} if child else {"ike": "net"}))

    def sas(self) -> list[Sa]:
        return [self.sa(raw) for raw in self.daemon.sas() if raw["state"] == "ESTABLISHED"]

    def sa(self, raw: dict) -> Sa:
        children = [Child(shown(child), child.get("local-ts", []), child.get("remote-ts", []), int(child["spi-in"], 16), int(child["spi-out"], 16),
                          int(child.get("packets-in", 0)), int(child.get("packets-out", 0)))
                    for child in raw.get("child-sas", {}).values() if child["state"] in ("INSTALLED", "REKEYING")]
        return Sa(shown(raw), raw["local-id"], raw["remote-id"], (raw["initiator-spi"], raw["responder-spi"]), raw.get("initiator") == "yes",
                  raw["remote-host"], children)

    def log(self) -> str:
        return self.daemon.program.tail(30)

    def why(self) -> str:
        """strongSwan has no such command; its log must do."""
        return self.daemon.program.tail(40)
