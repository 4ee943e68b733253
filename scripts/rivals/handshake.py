"""Postern and strongSwan's charon answer the same initiator, in turn, in network namespaces of this machine: handshakes per second, and the
processor time of each responder. `perf bench handshake --side-by-side` runs it; the result goes to stdout as JSON, progress to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.certificates import Authority
from lab.charon import InNamespace
from lab.namespaces import Gateway, Lab, run

# As perf/src/handshake/sites.rs has them.
GATEWAY, HOST, DOMAIN = "192.0.2.1", "gateway.example.com", "peers.example.com"
PEERS, LOCAL_TS, REMOTE_TS = "198.18.0.0/15", "10.0.0.0/8", "172.16.0.0/12"
SECRET = "a secret of the bench, long enough for anybody"
ABREAST = 8  # below the number at which either of them asks for cookies
OURS, THEIRS = "Postern", "charon"
PROOFS = {"PSK": False, "ECDSA P-256": True}

DIFFERS = (
    "Both answer on one core, the initiator (our engine, over UDP) calls from another; IKE ENCR_AES_GCM_16_256, PRF_HMAC_SHA2_384, Curve25519, "
    "one Child SA with ENCR_AES_GCM_16_256; every peer has an address and an identity of its own, and where certificates are used a leaf of its own "
    "under one intermediate. Responders are started anew for each round. Not the same: Postern runs as postern-control and postern-dataplane, and "
    "both are counted; SAs and policy go over a ring into AF_XDP's data plane. charon runs with kernel-libipsec, for want of XFRM in this kernel: it "
    "keeps SAs in its own process, forces ESP in UDP, and kernel-netlink sets a route for each peer. charon writes a log of level 1 to a file, "
    "Postern its own at its usual level. A round's rate is bounded by whichever end is slower: the processor time tells more."
)


@dataclass
class Case:
    """One responder, called one way, and its rounds."""

    proof: str
    responder: str
    rounds: list[dict]


class World:
    """Gateway, its LAN, and a namespace with all peers in it."""

    def __init__(self, lab: Lab, binaries: Path, perf: Path):
        self.lab, self.binaries, self.perf = lab, binaries, perf
        self.gateway, self.peers, self.lan = (lab.namespace(f"rival-{name}") for name in ("gw", "peers", "lan"))
        lab.veth(self.gateway, "wan", self.peers, "eth0")
        lab.veth(self.gateway, "lan", self.lan, "eth0")
        self.gateway.addresses("wan", f"{GATEWAY}/24")
        self.gateway.addresses("lan", "10.1.0.1/24")
        self.lan.addresses("eth0", "10.1.0.2/24")
        self.peers.addresses("eth0", "192.0.2.2/24")
        self.gateway.ip("route", "add", PEERS, "via", "192.0.2.2")
        self.peers.ip("route", "add", "local", PEERS, "dev", "lo")  # every one of them is here
        self.gateway.forward()
        self.authority = Authority(lab.directory, "ecdsa256")
        self.leaf = self.authority.leaf(HOST)
        self.cores = sorted(os.sched_getaffinity(0))
        self.postern: Gateway | None = None

    def call(self, peers: int, signed: bool) -> dict:
        authority = ["--authority", str(self.authority.directory)] if signed else []
        done = self.peers.run("taskset", "-c", str(self.cores[-1]), str(self.perf), "call", "--peers", str(peers), "--abreast", str(ABREAST),
                              *authority, timeout=120)
        return json.loads(done.stdout)

    def round(self, case: Case, peers: int) -> dict:
        """Starts the responder, calls it, ends it."""
        start = {OURS: start_postern, THEIRS: start_charon}[case.responder]
        programs = start(self, PROOFS[case.proof])
        try:
            for program in programs.values():
                pin(program.process.pid, self.cores[0])
            before = {name: used(program.process.pid) for name, program in programs.items()}
            called = self.call(peers, PROOFS[case.proof])
            time.sleep(0.3)  # what is done after the last answer belongs to it too
            spent = {name: used(program.process.pid) - before[name] for name, program in programs.items()}
        finally:
            for program in programs.values():
                program.stop()
        if called["established"] != peers:
            logs = "\n".join(program.tail() for program in programs.values())
            raise SystemExit(f"{case.responder}, {case.proof}: {called['established']} of {peers} stand: {called['why']}\n{logs}")
        return {"established": peers, "seconds": called["seconds"], "cpu_seconds": sum(spent.values()),
                "data_plane_seconds": spent.get("dataplane"), "initiator_seconds": called["initiator_seconds"]}


def used(pid: int) -> float:
    """Processor seconds of a process: exact where the kernel keeps schedstat, in ticks otherwise."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except FileNotFoundError:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def start_postern(world: World, signed: bool) -> dict:
    if not world.postern:
        world.postern = Gateway(world.gateway, world.binaries, "")
    world.postern.configure(configuration(world, signed))
    world.postern.start()
    return {"control": world.postern.control, "dataplane": world.postern.dataplane}


def configuration(world: World, signed: bool) -> str:
    leaf, authority = world.leaf, world.authority
    ours = (f'certificate: ["{leaf.certificate}", "{authority.intermediate.certificate}"], key: {{ file: "{leaf.key}" }}' if signed
            else f'psk: "{SECRET}"')
    theirs = f'ca: "{authority.root.certificate}"' if signed else f'psk: "{SECRET}"'
    return f"""interfaces:
  - {{ name: lan, role: inside }}
  - {{ name: wan, role: outside }}
workers: {{ cores: [{world.cores[0]}] }}
connections:
  peers:
    local: {{ address: {GATEWAY}, id: {HOST}, {ours} }}
    remote: {{ id: "*.{DOMAIN}", {theirs} }}
    proposals: [ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519]
    dpd: never
    children:
      net: {{ local_ts: [{LOCAL_TS}], remote_ts: [{REMOTE_TS}], esp: [ENCR_AES_GCM_16_256], start: manual }}
"""


def start_charon(world: World, signed: bool) -> dict:
    daemon = InNamespace(world.gateway)
    daemon.start()
    method = "pubkey" if signed else "psk"
    if signed:
        daemon.certificate(world.authority.root.pem, authority=True)
        daemon.certificate(world.authority.intermediate.pem)
        daemon.key(world.leaf.key.read_bytes())
    else:
        daemon.vici.do("load-shared", id="peers", type="IKE", data=SECRET, owners=[])
    daemon.load("peers", {
        "version": 2, "local_addrs": [GATEWAY], "remote_addrs": ["%any"], "proposals": ["aes256gcm16-prfsha384-curve25519"], "mobike": False,
        "local": {"auth": method, "id": HOST, "certs": [world.leaf.pem] if signed else None},
        "remote": {"auth": method, "id": f"*.{DOMAIN}", "cacerts": [world.authority.root.pem] if signed else None},
        "children": {"net": {"local_ts": [LOCAL_TS], "remote_ts": [REMOTE_TS], "esp_proposals": ["aes256gcm16"]}},
    })
    return {"charon": daemon.program}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True, help="where postern-control and postern-dataplane are")
    parser.add_argument("--perf", type=Path, required=True, help="the program that calls")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--handshakes", type=int, default=256)
    arguments = parser.parse_args()
    cases = [Case(proof, responder, []) for proof in PROOFS for responder in (OURS, THEIRS)]
    with Lab() as lab:
        world = World(lab, arguments.binaries, arguments.perf)
        for number in range(arguments.rounds):
            for turn in range(len(cases)):
                case = cases[(number + turn) % len(cases)]
                case.rounds.append(world.round(case, arguments.handshakes))
                seen = case.rounds[-1]
                print(f"round {number + 1}: {case.responder}, {case.proof}: {arguments.handshakes / seen['seconds']:.0f} /s, "
                      f"{seen['cpu_seconds'] / arguments.handshakes * 1e3:.2f} ms each", file=sys.stderr)
    version = run("dpkg-query", "--show", "--showformat=${Version}", "libstrongswan", check=False).stdout or "unknown"
    print(json.dumps({"differs": DIFFERS, "charon": version, "handshakes": arguments.handshakes, "abreast": ABREAST,
                      "cases": [case.__dict__ for case in cases]}))


if __name__ == "__main__":
    main()
