"""peer — router — gateway — lan, the credentials of both ends, and the programs that can stand at an end."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from lab import strangers
from lab.certificates import Authority, OurAuthority, Pair, bare, our_bare
from lab.charon import Charon, InMachine, InNamespace
from lab.ends import End, Proof, shown, strongswan
from lab.namespaces import Lab, Namespace
from lab.report import expect
from lab.traffic import IperfServer, ping, unanswered
from lab.vm import Machine

from .ike_rows import IDENTITIES, Row

# The second IPv4 address of each end is behind a NAT: the router hides it behind its own.
GATEWAY = {4: ("192.0.2.1", "192.0.2.3"), 6: ("2001:db8:1::1",)}
PEER = {4: ("198.51.100.2", "198.51.100.3"), 6: ("2001:db8:2::2",)}
GUEST = {4: ("203.0.113.2", "203.0.113.3"), 6: ("2001:db8:3::2",)}
ROUTER = {"to-gw": ("192.0.2.254", "2001:db8:1::fe"), "to-peer": ("198.51.100.254", "2001:db8:2::fe"),
          "guest0": ("203.0.113.254", "2001:db8:3::fe")}
LAN = {4: ("10.1.0.2", "10.2.0.1"), 6: ("fd01::2", "fd02::1")}  # a machine behind the gateway, one behind the peer
# Further nets, for further children: a machine behind the gateway, one behind the peer.
NETS = {"net": (LAN[4][0], LAN[4][1]), "voice": ("10.1.5.2", "10.2.5.1"), "video": ("10.1.6.2", "10.2.6.1")}
GATEWAY_TS, PEER_TS = ("10.1.0.0/24", "fd01::/64"), ("10.2.0.0/24", "fd02::/64")

# IP fragments are dropped, before connection tracking puts them together: nothing here may depend on them.
NO_FRAGMENTS = """
table inet drop-fragments {
  chain early {
    type filter hook prerouting priority -450; policy accept;
    ip frag-off & 0x3fff != 0 counter drop
    exthdr frag exists counter drop
  }
}
"""


def nat(ports: str) -> str:
    """Ports change at the NAT, so nobody may take 500 or 4500 for granted."""
    return f"""
table ip nat
delete table ip nat
table ip nat {{
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "to-gw" ip saddr {{ {PEER[4][1]}, {GUEST[4][1]} }} meta l4proto udp masquerade to :{ports}
    oifname {{ "to-peer", "guest0" }} ip saddr {GATEWAY[4][1]} meta l4proto udp masquerade to :{ports}
  }}
}}
"""


class Network:
    """Four namespaces; both families everywhere. A virtual machine joins at the router."""

    def __init__(self, lab: Lab):
        self.lab = lab
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
        for near, far in list(NETS.values())[1:]:
            self.gw.addresses("lan", near.removesuffix("2") + "1/24")
            self.lan.addresses("eth0", f"{near}/24")
            self.peer.addresses("lo", f"{far}/32")
        self.router.ip("route", "add", "blackhole", f"{strangers.FROM}.0.0/16")
        for link in ("to-gw", "to-peer"):
            self.join(link)
        for space, (v4, v6) in ((self.gw, ROUTER["to-gw"]), (self.peer, ROUTER["to-peer"]), (self.lan, ("10.1.0.1", "fd01::1"))):
            space.ip("route", "add", "default", "via", v4)
            space.ip("-6", "route", "add", "default", "via", v6)
        self.ports = itertools.cycle(f"{first}-{first + 999}" for first in range(20000, 60000, 1000))
        self.router.run("nft", "-f", "-", input=NO_FRAGMENTS + nat(next(self.ports)))

    def join(self, link: str) -> None:
        v4, v6 = ROUTER[link]
        self.router.addresses(link, f"{v4}/24", f"{v6}/64")

    def guest(self) -> Machine:
        machine = Machine(self.lab, self.router, "guest0", *(f"{address}/24" for address in GUEST[4]), f"{GUEST[6][0]}/64")
        self.join("guest0")
        v4, v6 = ROUTER["guest0"]
        machine.run(f"ip addr add {LAN[4][1]}/32 dev lo; ip addr add {LAN[6][1]}/128 dev lo")
        machine.run("; ".join(f"ip addr add {far}/32 dev lo" for _, far in list(NETS.values())[1:]))
        machine.run(f"ip route add default via {v4}; ip -6 route add default via {v6}")
        return machine

    def rebind(self) -> None:
        """The NAT forgets everybody, and gives them other ports: masqueraded flows end with the address that hides them."""
        self.router.run("nft", "-f", "-", input=nat(next(self.ports)))
        for verb in ("del", "add"):
            self.router.ip("addr", verb, f"{ROUTER['to-gw'][0]}/24", "dev", "to-gw")

    def mtu(self, octets: int) -> None:
        """Between router and peer."""
        self.router.ip("link", "set", "to-peer", "mtu", str(octets))
        self.peer.ip("link", "set", "eth0", "mtu", str(octets))


class Credentials:
    """Certificates, each kind made when first asked for."""

    def __init__(self, directory: Path, postern: Path | None):
        """`postern`: the program, for the kinds that begin with `our-`."""
        self.directory, self.postern = directory, postern
        self.authorities: dict[str, Authority | OurAuthority] = {}
        self.leaves: dict[tuple, Pair] = {}

    def authority(self, kind: str, label: str | None = None) -> Authority | OurAuthority:
        label = label or kind
        if label not in self.authorities:
            ours = kind.startswith("our-")
            self.authorities[label] = (OurAuthority(self.directory, kind.removeprefix("our-"), self.postern) if ours
                                       else Authority(self.directory, kind, label))
        return self.authorities[label]

    def leaf(self, authority: Authority | OurAuthority, host: str, days: int = 30) -> Pair:
        key = (authority.label, host, days)
        if key not in self.leaves:
            # The kind that is for large certificates has many names in them.
            self.leaves[key] = authority.leaf(host, padding=60 if authority.kind == "rsa4096" else 0, days=days)
        return self.leaves[key]

    def raw(self, kind: str, host: str) -> Pair:
        """A key that stands for itself."""
        key = ("raw", kind, host)
        if key not in self.leaves:
            directory, ours = self.directory / "raw", kind.startswith("our-")
            self.leaves[key] = our_bare(directory, kind.removeprefix("our-"), host, self.postern) if ours else bare(directory, kind, host)
        return self.leaves[key]

    def proof(self, method: str, host: str, options: dict) -> Proof:
        if method == "psk":
            return Proof("psk", secret="a secret of the tests, long enough")
        if method.startswith("raw-"):
            return Proof("raw", leaf=self.raw(method.removeprefix("raw-"), host))
        authority = self.authority(method, options.get("authority"))
        leaf = {"expired": lambda: authority.leaf(host, days=-1, stem="expired"), "other": lambda: self.leaf(authority, f"not-{host}")}
        made = leaf.get(options.get("leaf"), lambda: self.leaf(authority, host))()
        return Proof("certificate", authority=authority, leaf=made, send_intermediate=options.get("chain", True))


def ends(row: Row, credentials: Credentials) -> tuple[End, End]:
    """What the gateway and the peer are told."""
    ours, theirs = (row.auth.split(",") * 2)[:2]
    options = {key.removeprefix("peer_"): value for key, value in row.options.items() if key.startswith("peer_")}
    (gateway_id, peer_id), (gateway_host, peer_host) = row.ids, IDENTITIES
    proof, peer_proof = credentials.proof(ours, gateway_host, {}), credentials.proof(options.get("auth", theirs), peer_host, options)
    believed = credentials.proof(row.options.get("believed", theirs), peer_host, {})
    peers = GUEST if row.with_kernel else PEER
    addresses = {side: all_[row.outer][1 if row.nat == side else 0] for side, all_ in (("gateway", GATEWAY), ("peer", peers))}
    seen = {side: "any" if row.nat == side else address for side, address in addresses.items()}
    common = {"ike": (row.ike,), "esp": (row.esp,)}
    gateway = {"local": addresses["gateway"], "remote": seen["peer"], "identity": gateway_id, "remote_identity": peer_id, "proof": proof,
               "remote_proof": believed, "local_ts": GATEWAY_TS, "remote_ts": PEER_TS, **common}
    peer = {"local": addresses["peer"], "remote": seen["gateway"], "identity": peer_id, "remote_identity": gateway_id, "proof": peer_proof,
            "remote_proof": proof, "local_ts": PEER_TS, "remote_ts": GATEWAY_TS, **common}
    changed = dict(row.peer)
    if secret := changed.pop("secret", None):
        changed |= shared(secret)
    return End(**{**gateway, **row.gateway}), End(**{**peer, **changed})


def shared(secret: str) -> dict:
    """The fields of an end that make both proofs this key."""
    return {"proof": Proof("psk", secret=secret), "remote_proof": Proof("psk", secret=secret)}


@dataclass
class Child:
    """A Child SA as one end shows it."""

    name: str
    suite: str
    local_ts: list[str]
    remote_ts: list[str]
    spi_in: int
    spi_out: int
    packets_in: int
    packets_out: int
    udp: bool
    esn: bool


@dataclass
class Sa:
    """An established IKE SA as one end shows it."""

    suite: str
    remote_id: str
    spis: tuple[int, int]  # initiator's, responder's
    initiator: bool
    children: list[Child]


def only(found: list, what: str):
    expect(len(found) == 1, f"{len(found)} {what}, expected 1")
    return found[0]


class StrongSwan:
    """charon at one end."""

    explains = False  # it has no word for why something failed

    def __init__(self, daemon: Charon, always_udp: bool):
        self.daemon, self.always_udp = daemon, always_udp

    @property
    def alive(self) -> bool:
        return self.daemon.alive

    def start(self) -> None:
        self.daemon.start()

    def kill(self) -> None:
        self.daemon.kill()

    def configure(self, end: End) -> None:
        if not self.alive:
            self.start()
        self.daemon.clear()
        self.change(end)

    def change(self, end: End) -> None:
        """Tells it something new; what is established goes on."""
        for proof, identity in ((end.proof, end.identity), (end.remote_proof, end.remote_identity)):
            if proof.method == "psk":
                both = end.proof.method == end.remote_proof.method
                self.daemon.shared(identity, proof.secret, [end.identity, end.remote_identity] if both else [identity])
            elif proof.authority:
                self.daemon.certificate(proof.authority.root.pem, authority=True)
        if end.proof.leaf:
            self.daemon.key(end.proof.leaf.key.read_bytes())
            if end.proof.authority and end.proof.send_intermediate:
                self.daemon.certificate(end.proof.authority.intermediate.pem)
        self.daemon.load("net", strongswan(end))

    def up(self, seconds: float, child: str = "net") -> str:
        """Empty, or why it failed."""
        answer = self.daemon.initiate(child, "net", seconds)
        return "" if answer["success"] == "yes" else answer.get("errmsg", "failed")

    def down(self, child: str | None = None) -> None:
        self.daemon.terminate("net", child)

    def rekey(self, child: str) -> None:
        self.daemon.rekey(child)

    def half_open(self) -> int:
        """IKE SAs that strangers began."""
        return self.daemon.half_open()

    def sas(self) -> list[Sa]:
        return [sa(raw) for raw in self.daemon.sas() if raw["state"] == "ESTABLISHED"]

    def log(self) -> str:
        return self.daemon.log()

    def why(self) -> str:
        return ""

    def drops(self) -> dict[str, int]:
        return {}

    def rings(self) -> dict[str, int]:
        return {}

    def losses(self) -> dict[str, int]:
        """Packets that its end dropped, where this is not seen from outside."""
        return {}


def sa(raw: dict) -> Sa:
    children = [child(one) for one in raw.get("child-sas", {}).values() if one["state"] in ("INSTALLED", "REKEYING")]
    return Sa(shown(raw), raw["remote-id"], (int(raw["initiator-spi"], 16), int(raw["responder-spi"], 16)), raw.get("initiator") == "yes", children)


def child(raw: dict) -> Child:
    return Child(raw["name"], shown(raw), raw.get("local-ts", []), raw.get("remote-ts", []), int(raw["spi-in"], 16), int(raw["spi-out"], 16),
                 int(raw.get("packets-in", 0)), int(raw.get("packets-out", 0)), raw.get("encap") == "yes", raw.get("esn") == "1")


def udp(snmp: str) -> dict[str, int]:
    """Datagrams that a kernel dropped, from the text of its /proc/net/snmp."""
    names, values = (line.split()[1:] for line in snmp.splitlines() if line.startswith("Udp:"))
    return {f"UDP {name}": int(value) for name, value in zip(names, values) if name in ("RcvbufErrors", "SndbufErrors", "InErrors")}


class Bound:
    """A namespace whose pings go out with one of its addresses."""

    def __init__(self, space: Namespace, source: str):
        self.space, self.source = space, source

    def run(self, *command: str, **options):
        return self.space.run(command[0], "-I", self.source, *command[1:], **options)


class UserspacePeer(StrongSwan):
    """In a namespace."""

    interval = 0.05  # between pings, in seconds
    # iperf3's. charon reads ESP from a UDP socket that holds 208 KiB, bookkeeping included: of small packets that is half a second's worth.
    rate, length = "1M", 250
    address = PEER[4][0]

    def __init__(self, network: Network):
        super().__init__(InNamespace(network.peer), always_udp=True)
        self.space, self.server = network.peer, None

    def ping(self, version: int, count: int = 2) -> None:
        """To the LAN behind the gateway."""
        ping(Bound(self.space, LAN[version][1]), LAN[version][0], count=count, interval=self.interval, wait=5)

    def serve(self) -> None:
        """iperf3 behind the peer, for as long as the run lasts."""
        if not self.server:
            self.server = IperfServer(self.space)


class KernelPeer(StrongSwan):
    """In a virtual machine, which is emulated and slow."""

    interval = 0.5
    rate, length = "4M", 1000
    address = GUEST[4][0]

    def __init__(self, network: Network):
        self.machine = network.guest()
        super().__init__(InMachine(self.machine, network.router, GUEST[4][0]), always_udp=False)

    def ping(self, version: int, count: int = 2) -> None:
        text = self.machine.run(f"ping -n -c {count} -i {self.interval} -w 10 -I {LAN[version][1]} {LAN[version][0]}", check=False)
        lost = unanswered(text, count)
        expect(not lost, f"from the guest: {lost} of {count} unanswered; {' '.join(text.split())}")

    def losses(self) -> dict[str, int]:
        """What the guest's kernel counts."""
        found = {f"guest: {name}": count for name, count in udp(self.machine.run("cat /proc/net/snmp")).items()}
        for line in self.machine.run("cat /proc/net/xfrm_stat").splitlines():
            name, count = line.split()
            found[f"xfrm: {name}"] = int(count)
        links = self.machine.run("cd /sys/class/net; for l in *; do for s in rx_dropped tx_dropped; do echo $l $s $(cat $l/statistics/$s); done; done")
        for line in links.splitlines():
            link, name, count = line.split()
            found[f"guest: {link} {name}"] = int(count)
        return found

    def serve(self) -> None:
        self.machine.run("pidof iperf3 >/dev/null || (iperf3 --server >/dev/null 2>&1 </dev/null &)")
