"""Postern's IKEv2 against strongSwan: one row of ike_rows.py after another, each initiated by either end. strongSwan runs in a namespace with
ESP in userspace, and in a virtual machine with the Linux kernel's ESP.

`--gateway strongswan` puts strongSwan in Postern's place as well: that shows that a row is right in itself."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from lab import cli
from lab.charon import InNamespace
from lab.namespaces import Lab, build, wait_for
from lab.report import Report, expect
from lab.traffic import ping

from .ike_children import apart, several
from .ike_flood import flooded
from .ike_losses import Lost, Watched
from .ike_postern import Postern
from .ike_rows import Row, rows
from .ike_world import LAN, Child, Credentials, KernelPeer, Network, StrongSwan, UserspacePeer, ends, only, shared

SECONDS = 30  # that a negotiation may take on a busy machine, with the largest group


class World:
    """The network, and who stands at its ends."""

    def __init__(self, lab: Lab, binaries: Path | None):
        """`binaries`: Postern's; without them strongSwan takes its place."""
        self.lab, self.network = lab, Network(lab)
        self.credentials = Credentials(lab.directory / "certificates", binaries and binaries / "postern")
        space, core = self.network.gw, min(os.sched_getaffinity(0))
        self.gateway = Postern(space, binaries, core) if binaries else StrongSwan(InNamespace(space), always_udp=True)
        self.userspace, self.kernel = UserspacePeer(self.network), None
        self.peer: UserspacePeer | KernelPeer = self.userspace

    def run(self, row: Row) -> str:
        """Prepares both ends as the row says, runs its test, and leaves nothing behind."""
        if row.with_kernel and not self.kernel:
            self.kernel = KernelPeer(self.network)
        self.peer = self.kernel if row.with_kernel else self.userspace
        self.network.mtu(row.mtu)
        self.prepare(row)
        try:
            return TESTS[row.test](self, row)
        finally:
            self.network.mtu(1500)
            if self.peer.alive:
                self.peer.daemon.clear()

    def prepare(self, row: Row) -> None:
        """Both ends forget what was, and are told what the row says."""
        gateway, peer = ends(row, self.credentials)
        self.peer.configure(peer)
        self.gateway.configure(gateway)

    @property
    def sides(self) -> dict:
        return {"gateway": self.gateway, "peer": self.peer}

    def up(self, row: Row) -> None:
        if failed := self.sides[row.roles[0]].up(SECONDS):
            expect(False, f"{failed}\n{self.gateway.why()}\n{self.gateway.log()}")

    def down(self, row: Row) -> None:
        """By the end that did not begin it; both must forget it."""
        self.sides["peer" if row.roles[0] == "gateway" else "gateway"].down()
        for name, side in self.sides.items():
            wait_for(f"the {name} to forget the SA", lambda: not side.sas(), 10)

    def ping(self, versions: tuple[int, ...] = (4, 6)) -> None:
        for version in versions:
            ping(self.network.lan, LAN[version][1], count=2, interval=self.peer.interval, wait=5)
            self.peer.ping(version)


def agreed(world: World, row: Row) -> tuple[Child, Child]:
    """Both ends tell the same of the one SA there is, and it is the one that was asked for."""
    ours, theirs = (only(side.sas(), f"IKE SAs at the {name}") for name, side in world.sides.items())
    expect(ours.spis == theirs.spis, f"SPIs {ours.spis} here, {theirs.spis} there")
    wanted = row.expect.get("ike", row.ike)
    for sa, identity in ((ours, row.ids[1]), (theirs, row.ids[0])):
        expect(sa.suite == wanted, f"IKE suite {sa.suite}, expected {wanted}")
        expect(sa.remote_id.removeprefix("keyid:") == identity.removeprefix("keyid:"), f"the other end is {sa.remote_id}, expected {identity}")
        expect(sa.initiator == (row.roles[0] == ("gateway" if sa is ours else "peer")), "the wrong end began")
    child, other = (only(sa.children, "Child SAs") for sa in (ours, theirs))
    expect((child.spi_in, child.spi_out) == (other.spi_out, other.spi_in), "the Child SA's SPIs do not fit together")
    covered = [sorted(ts) for ts in (child.local_ts, child.remote_ts)]
    expect(covered == [sorted(ts) for ts in (other.remote_ts, other.local_ts)], f"traffic selectors {child} here, {other} there")
    return child, other


def tunnel(world: World, row: Row) -> str:
    """Up, traffic both ways, counted by both, down."""
    world.up(row)
    # The group of the first Child SA is the IKE SA's own (RFC 7296 §1.2).
    wanted = row.expect.get("esp", row.esp)
    narrowed = row.expect.get("ts")
    forced = "force" in (row.gateway.get("encap"), row.peer.get("encap"))
    udp = forced or bool(row.nat) or any(side.always_udp for side in world.sides.values())
    for end in agreed(world, row):
        expect(end.suite == wanted, f"ESP suite {end.suite}, expected {wanted}")
        expect(end.udp == udp, f"ESP in UDP: {end.udp}, expected {udp}")
        expect(end.esn == row.expect.get("esn", False), f"ESN: {end.esn}")
    versions = (4,) if narrowed else (4, 6)
    world.ping(versions)
    child, other = agreed(world, row)
    if narrowed:
        expect(child.remote_ts == [narrowed], f"remote traffic selectors {child.remote_ts}, expected {narrowed}")
    least = 4 * len(versions)
    for end in (child, other):
        expect(min(end.packets_in, end.packets_out) >= least, f"{end.packets_in} packets in, {end.packets_out} out, expected {least}")
    world.down(row)
    return f"{child.packets_in} packets in, {child.packets_out} out"


def rekeyed(world: World, row: Row, seconds: int = 18) -> str:
    """While iperf3 and pings run, SAs are replaced; not one ping is lost. Where neither end refused a packet and the machine had no CPU time
    to give, as measured, it is tried once more, and the row says so."""
    try:
        return rekeys(world, row, seconds)
    except Lost as lost:
        if not lost.excused:
            raise
        world.prepare(row)
        return f"{rekeys(world, row, seconds)}; at the second attempt, after {lost}"


def rekeys(world: World, row: Row, seconds: int) -> str:
    world.up(row)
    agreed(world, row)
    world.peer.serve()
    watched = Watched(world, seconds * 20 - 20)
    load = world.network.lan.start("rekey-iperf", "iperf3", "--client", LAN[4][1], "--time", str(seconds), "--udp",
                                   "--bitrate", world.peer.rate, "--length", str(world.peer.length))
    children, sas = watch(world, seconds)
    # Who answers IKE_AUTH may send by the new SA at once; who asked has it only after checking the other's proof (RFC 7296 §1.2, §2.15).
    early = len(sas) - 1 if "reauth" in row.gateway else 0
    try:
        went = watched.end(early)
    finally:
        load.stop()
    seen = f"{len(children)} Child SAs, {len(sas)} IKE SAs"
    life = {*row.gateway, *row.peer}
    expect(len(children) >= 3 or not {"rekey_child", "reauth"} & life, seen)
    expect(len(sas) >= 3 or not {"rekey_ike", "reauth"} & life, seen)
    # One that crossed with ours waits 15 s for its maker to delete it; a peer that gave it up never will.
    wait_for("one IKE SA to be left", lambda: all(len(side.sas()) == 1 for side in world.sides.values()), 25)
    world.ping()
    world.down(row)
    return f"{went}; {seen}"


def watch(world: World, seconds: int) -> tuple[set, set]:
    """Every Child SA and every IKE SA that the gateway has meanwhile."""
    children, sas = set(), set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for sa in world.gateway.sas():
            sas.add(sa.spis)
            children.update(child.spi_in for child in sa.children)
        time.sleep(0.3)
    return children, sas


def dead_peer(world: World, row: Row) -> str:
    """The peer's process is killed: no farewell."""
    world.up(row)
    world.ping()
    world.peer.kill()
    started = time.monotonic()
    wait_for("the gateway to find its peer dead", lambda: not world.gateway.sas(), 60)
    took = time.monotonic() - started
    if row.gateway.get("on_dead") == "restart":
        world.peer.configure(ends(row, world.credentials)[1])
        wait_for("the tunnel to come back", lambda: any(sa.children for sa in world.gateway.sas()), 90)
        world.ping()
    return f"found dead after {took:.0f} s"


def rebound(world: World, row: Row) -> str:
    """The peer's NAT gives it another port in the middle of it: the same SAs go on."""
    world.up(row)
    child, _ = agreed(world, row)
    before = only(world.gateway.sas(), "IKE SAs").spis
    world.ping()
    world.network.rebind()
    again("the peer to be answered at its new port", lambda: world.peer.ping(4))
    world.ping()
    expect(only(world.gateway.sas(), "IKE SAs").spis == before, "another IKE SA than before")
    # strongSwan replaces the Child SA when its own ESP cannot move it.
    expect(not world.gateway.explains or agreed(world, row)[0].spi_in == child.spi_in, "another Child SA than before")
    world.down(row)
    return ""


def again(what: str, action, seconds: float = 20) -> None:
    """Until it no longer fails."""
    def works() -> bool:
        try:
            action()
        except AssertionError:
            return False
        return True

    wait_for(what, works, seconds)


def at_start(world: World, row: Row) -> str:
    """By itself; and it stays down when its own end is told so."""
    wait_for("the tunnel to come up by itself", lambda: any(sa.children for sa in world.gateway.sas()), SECONDS)
    agreed(world, row)
    world.ping()
    world.gateway.down()
    wait_for("both ends to forget the SA", lambda: not any(side.sas() for side in world.sides.values()), 10)
    return ""


def on_demand(world: World, row: Row) -> str:
    """Nothing is there until the first packet; pings go on until one is answered."""
    time.sleep(1)
    expect(not world.gateway.sas(), "there is an IKE SA before the first packet")

    first = lambda: world.peer.ping(4) if row.roles[0] == "peer" else ping(world.network.lan, LAN[4][1], count=2, interval=world.peer.interval)
    again("a ping to be answered", first)
    agreed(world, row)
    world.ping()
    world.down(row)
    return ""


def swapped(world: World, row: Row) -> str:
    """Another pre-shared key at both ends: nothing that is established moves, and the next connection needs the new one."""
    world.up(row)
    child, _ = agreed(world, row)
    new = shared("another secret of the tests, and long enough")
    gateway, peer = (replace(end, **new) for end in ends(row, world.credentials))
    world.gateway.change(gateway)
    world.ping()
    expect(agreed(world, row)[0].spi_in == child.spi_in, "another Child SA than before")
    world.down(row)
    expect(bool(world.sides[row.roles[0]].up(10)), "the old key still counts at the gateway")
    world.peer.configure(peer)
    world.up(row)
    world.ping()
    world.down(row)
    return ""


def refused(world: World, row: Row) -> str:
    """It must fail, and the gateway must name the field that it was."""
    failed = world.sides[row.roles[0]].up(15)
    expect(bool(failed) and not any(sa.children for sa in world.gateway.sas()), "a tunnel came up")
    # A peer that answered may have had its half for a moment. The IKE SA may stay without a child (RFC 7296 §1.2).
    wait_for("the peer to forget the Child SA", lambda: not any(sa.children for sa in world.peer.sas()), 10)
    why = world.gateway.why()
    wanted = row.expect["why"][row.roles[0]]
    expect(not world.gateway.explains or bool(re.search(wanted, why, re.IGNORECASE)), f"`postern why` does not say “{wanted}”: {why}")
    return why.strip().replace("\n", " ")[:300]


TESTS = {test.__name__: test for test in (tunnel, rekeyed, dead_peer, at_start, on_demand, rebound, refused, swapped, several, apart, flooded)}


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--gateway", choices=("postern", "strongswan"), default="postern", help="what stands in the gateway's place")
    parser.add_argument("--only", help="run only rows whose name matches this regular expression")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    arguments = parser.parse_args()
    report = Report(f"IKEv2: {arguments.gateway} and strongSwan")
    chosen = [row for row in rows() if re.search(arguments.only or "", row.name) and row.needs in ("", arguments.gateway)]
    if arguments.list:
        print("\n".join(row.name for row in chosen))
        return 0
    binaries = (arguments.binaries or build()) if arguments.gateway == "postern" else None
    with Lab(keep_logs=arguments.logs) as lab:
        report.step(f"{len(chosen)} rows")
        world = World(lab, binaries)
        for row in chosen:
            report.check(row.name, lambda: world.run(row))
    return report.finish(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
