"""Postern's IKEv2 against strongSwan, which carries ESP in userspace: one row of ike_rows.py after another, each initiated by either end.

`--gateway strongswan` puts strongSwan in Postern's place as well: that shows that a row is right in itself."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from lab import cli
from lab.namespaces import Lab, Namespace, build, wait_for
from lab.report import Report, expect
from lab.traffic import IperfServer, iperf, ping, udp_loss

from .ike_rows import Row, rows
from .ike_world import GATEWAY_ID, LAN, PEER_ID, Credentials, Network, StrongSwan, ends

SECONDS = 30  # that a negotiation may take on a busy machine, with the largest group


class World:
    def __init__(self, lab: Lab, gateway: str, binaries: Path | None):
        self.lab, self.network = lab, Network(lab)
        self.credentials = Credentials(lab.directory / "certificates")
        self.peer = StrongSwan(self.network.peer)
        self.gateway = StrongSwan(self.network.gw)
        self.sides = {"gateway": self.gateway, "peer": self.peer}

    def run(self, row: Row) -> str:
        """Prepares both ends as the row says, runs its test, and leaves nothing behind."""
        for side in self.sides.values():
            if not side.alive:
                side.restart()
        gateway, peer = ends(row, self.credentials, row.roles[0])
        self.network.mtu(row.mtu)
        self.peer.configure(peer)
        self.gateway.configure(gateway)
        try:
            return TESTS[row.test](self, row)
        finally:
            self.network.mtu(1500)

    def up(self, row: Row) -> None:
        initiator = self.sides[row.roles[0]]
        if failed := initiator.up(SECONDS):
            expect(False, f"{failed}\n{self.gateway.log()}")

    def down(self, row: Row) -> None:
        """By the end that did not begin it; both must forget it."""
        self.sides["peer" if row.roles[0] == "gateway" else "gateway"].down()
        for name, side in self.sides.items():
            wait_for(f"the {name} to forget the SA", lambda: not side.sas(), 10)

    def ping(self, versions: tuple[int, ...] = (4, 6)) -> None:
        for version in versions:
            near, far = LAN[version]
            ping(self.network.lan, far, count=2, wait=5)
            ping(Bound(self.network.peer, far), near, count=2, wait=5)


class Bound:
    """A namespace whose pings go out with one of its addresses."""

    def __init__(self, space: Namespace, source: str):
        self.space, self.source = space, source

    def run(self, *command: str, **options):
        return self.space.run(command[0], "-I", self.source, *command[1:], **options)


def only(found: list, what: str):
    expect(len(found) == 1, f"{len(found)} {what}, expected 1")
    return found[0]


def agreed(world: World, row: Row):
    """Both ends tell the same of the one SA there is, and it is the one that was asked for."""
    ours, theirs = (only(side.sas(), f"IKE SAs at the {name}") for name, side in world.sides.items())
    expect(ours.spis == theirs.spis, f"SPIs {ours.spis} here, {theirs.spis} there")
    wanted = row.expect.get("ike", row.ike)
    for sa, identities in ((ours, (GATEWAY_ID, PEER_ID)), (theirs, (PEER_ID, GATEWAY_ID))):
        expect(sa.suite == wanted, f"IKE suite {sa.suite}, expected {wanted}")
        expect((sa.local_id, sa.remote_id) == identities, f"identities {sa.local_id}, {sa.remote_id}")
        expect(sa.initiator == (row.roles[0] == ("gateway" if sa is ours else "peer")), "the wrong end began")
    child, other = (only(sa.children, "Child SAs") for sa in (ours, theirs))
    expect((child.spi_in, child.spi_out) == (other.spi_out, other.spi_in), "the Child SA's SPIs do not fit together")
    expect(sorted(child.local_ts) == sorted(other.remote_ts) and sorted(child.remote_ts) == sorted(other.local_ts),
           f"traffic selectors {child.local_ts}, {child.remote_ts} here, {other.remote_ts}, {other.local_ts} there")
    return child, other


def tunnel(world: World, row: Row) -> str:
    """Up, traffic both ways, counted by both, down."""
    world.up(row)
    child, other = agreed(world, row)
    # The group of the first Child SA is the IKE SA's own (RFC 7296 §1.2).
    wanted = row.expect.get("esp", row.esp)
    for end in (child, other):
        expect(end.suite == wanted, f"ESP suite {end.suite}, expected {wanted}")
    narrowed = row.expect.get("ts")
    if narrowed:
        expect(child.remote_ts == [narrowed], f"remote traffic selectors {child.remote_ts}, expected {narrowed}")
    versions = (4,) if narrowed else (4, 6)
    world.ping(versions)
    child, other = agreed(world, row)
    least = 4 * len(versions)
    for end in (child, other):
        expect(min(end.packets_in, end.packets_out) >= least, f"{end.packets_in} packets in, {end.packets_out} out, expected {least}")
    world.down(row)
    return f"{child.packets_in} packets in, {child.packets_out} out"


def rekeyed(world: World, row: Row, seconds: int = 18) -> str:
    """While iperf3 and pings run, SAs are replaced; not one ping is lost."""
    world.up(row)
    first, _ = agreed(world, row)
    sa = only(world.gateway.sas(), "IKE SAs")
    IperfServer(world.network.peer)
    far = LAN[4][1]
    pinging = world.lab.directory / "rekey-ping.log"
    pinging.unlink(missing_ok=True)
    program = world.network.lan.start("rekey-ping", "ping", "-n", "-i", "0.05", "-c", str(seconds * 20 - 20), "-W", "3", far)
    seen, ike = {first.spi_in}, {sa.spis}
    traffic = world.network.lan.start("rekey-iperf", "iperf3", "--client", far, "--time", str(seconds), "--udp", "--bitrate", "4M", "--length", "1000")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for found in world.gateway.sas():
            ike.add(found.spis)
            seen.update(child.spi_in for child in found.children)
        time.sleep(0.3)
    wait_for("ping to end", lambda: not program.alive, 20)
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", program.log.read_text())
    expect(bool(counts), program.tail())
    life = [*row.gateway, *row.peer]
    expect(len(seen) >= 3 or "rekey_child" not in life and "reauth" not in life, f"{len(seen) - 1} new Child SAs")
    expect(len(ike) >= 3 or not {"rekey_ike", "reauth"} & set(life), f"{len(ike) - 1} new IKE SAs")
    expect(counts[1] == counts[2], f"{int(counts[1]) - int(counts[2])} of {counts[1]} pings lost; {len(seen)} Child SAs, {len(ike)} IKE SAs")
    wait_for("one IKE SA to be left", lambda: all(len(side.sas()) == 1 for side in world.sides.values()), 10)
    world.ping()
    traffic.stop()
    world.down(row)
    return f"{counts[1]} pings, none lost; {len(seen)} Child SAs, {len(ike)} IKE SAs"


def dead_peer(world: World, row: Row) -> str:
    """The peer's process is killed: no farewell."""
    world.up(row)
    world.ping()
    world.peer.daemon.kill()
    started = time.monotonic()
    wait_for("the gateway to find its peer dead", lambda: not world.gateway.sas(), 60)
    took = time.monotonic() - started
    if row.gateway.get("on_dead") == "restart":
        world.peer.daemon.start()
        world.peer.configure(ends(row, world.credentials, row.roles[0])[1])
        wait_for("the tunnel to come back", lambda: world.gateway.sas() and world.gateway.sas()[0].children, 90)
        world.ping()
    return f"found dead after {took:.0f} s"


def at_start(world: World, row: Row) -> str:
    wait_for("the tunnel to come up by itself", lambda: any(sa.children for sa in world.gateway.sas()), SECONDS)
    agreed(world, row)
    world.ping()
    return ""


def on_demand(world: World, row: Row) -> str:
    """Nothing is there until the first packet; a ping that waits long enough is answered."""
    time.sleep(1)
    expect(not world.gateway.sas(), "there is an IKE SA before the first packet")
    world.network.lan.run("ping", "-n", "-c", "10", "-i", "0.5", "-W", "2", LAN[4][1], check=False)
    agreed(world, row)
    world.ping()
    world.down(row)
    return ""


def refused(world: World, row: Row) -> str:
    """It must fail, and the gateway must say which field it was."""
    failed = world.sides[row.roles[0]].up(15)
    left = [sa for side in world.sides.values() for sa in side.sas() if sa.children]
    expect(bool(failed) and not left, f"a tunnel came up in spite of {row.name}")
    return failed


TESTS = {"tunnel": tunnel, "rekeyed": rekeyed, "dead_peer": dead_peer, "dead_gateway": dead_peer, "at_start": at_start,
         "on_demand": on_demand, "refused": refused}


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--gateway", choices=("postern", "strongswan"), default="postern", help="what stands in the gateway's place")
    parser.add_argument("--only", help="run only rows whose name matches this regular expression")
    arguments = parser.parse_args()
    report = Report(f"IKEv2: {arguments.gateway} and strongSwan")
    chosen = [row for row in rows() if re.search(arguments.only or "", row.name) and row.needs in ("", arguments.gateway)]
    with Lab(keep_logs=arguments.logs) as lab:
        report.step(f"{len(chosen)} rows")
        world = World(lab, arguments.gateway, arguments.binaries)
        for row in chosen:
            report.check(row.name, lambda: world.run(row))
    return report.finish(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
