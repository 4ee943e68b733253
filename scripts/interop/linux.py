"""Postern against the Linux kernel's IPsec (xfrm) in a virtual machine: the usual suites × {IPv4, IPv6 outside} × {raw, in UDP} ×
{ESN, 32-bit numbers}, all others twice, IPv4 and IPv6 inside, pings from both ends; then replayed, reordered, corrupted and truncated packets."""

from __future__ import annotations

import random
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import cli
from lab.namespaces import Gateway, Lab, Namespace, build, names, wait_for
from lab.report import Report, expect
from lab.suites import NO_PEER
from lab.traffic import ping
from lab.vm import Machine
from lab.wire import drain, packet_socket, resized

from .matrix import OURS, THEIRS, Case, cases, configuration

def xfrm(case: Case) -> list[str]:
    """This case as a batch for ip(8) in the guest."""
    ours, theirs = OURS[case.outer], THEIRS[case.outer]
    window = "replay-window 1024 flag esn flag af-unspec" if case.esn else "replay-window 32 flag af-unspec"
    encap = f"encap espinudp 4500 4500 {'0.0.0.0' if case.outer == 4 else '::'}" if case.udp else ""
    state = lambda src, dst, spi, keys: (f"xfrm state add src {src} dst {dst} proto esp spi {spi} reqid {case.number} mode tunnel "
                                         f"{window} {keys.xfrm(case.suite)} {encap}")
    lines = [state(theirs, ours, case.spi_in, case.to_us), state(ours, theirs, case.spi_out, case.to_them)]
    for version in (4, 6):
        policy = lambda way, a, b, src, dst: (f"xfrm policy add dir {way} src {case.network(a, version)} dst {case.network(b, version)} "
                                              f"tmpl src {src} dst {dst} proto esp reqid {case.number} mode tunnel")
        lines += [policy("out", 2, 1, theirs, ours), policy("in", 1, 2, ours, theirs)]
        lines += [f"addr add {case.inside(2, version)}/{32 if version == 4 else 128} dev lo"]
    return lines


class World:
    """lan — gw — wire (a bridge) — the guest."""

    def __init__(self, lab: Lab, binaries: Path, chosen: list[Case]):
        self.cases = chosen
        self.lan, self.gw, self.wire = (lab.namespace(name) for name in ("vm-lan", "vm-gw", "vm-wire"))
        self.gw.forward()
        lab.veth(self.gw, "lan", self.lan, "eth0")
        lab.veth(self.gw, "wan", self.wire, "to-gw")
        self.gw.addresses("lan", "10.1.0.1/24", "fd01::1/64")
        self.gw.addresses("wan", f"{OURS[4]}/24", f"{OURS[6]}/64")
        self.lan.addresses("eth0", "10.1.0.2/24", "fd01::2/64")
        self.lan.ip("route", "add", "default", "via", "10.1.0.1")
        self.lan.ip("-6", "route", "add", "default", "via", "fd01::1")
        self.gw.ip("route", "add", "10.1.0.0/16", "via", "10.1.0.2")
        self.gw.ip("-6", "route", "add", "fd01::/48", "via", "fd01::2")
        for case in chosen:
            self.lan.addresses("lo", f"{case.inside(1, 4)}/32", f"{case.inside(1, 6)}/128")
        self.guest = Machine(lab, self.wire, "guest0", f"{THEIRS[4]}/24", f"{THEIRS[6]}/64")
        for command in (("add", "br0", "type", "bridge"), ("set", "br0", "up"), ("set", "guest0", "master", "br0"),
                        ("set", "to-gw", "master", "br0")):
            self.wire.ip("link", *command)
        self.key_guest()
        self.gateway = Gateway(self.gw, binaries, configuration(chosen))
        self.gateway.start()

    def key_guest(self) -> None:
        self.guest.run("(udp-encap >/tmp/udp-encap.log 2>&1 &); sleep 0.5; ! grep -q : /tmp/udp-encap.log")
        self.guest.run(f"ip route add 10.1.0.0/16 via {OURS[4]}; ip -6 route add fd01::/48 via {OURS[6]}")
        self.guest.write("/tmp/batch", "\n".join(line for case in self.cases for line in xfrm(case)))
        self.guest.run("ip -batch /tmp/batch")

    def ping_guest(self, case: Case) -> str:
        for version in (4, 6):
            address = case.inside(2, version)
            near = Bound(self.lan, case.inside(1, version))
            ping(near, address, count=2, interval=0.2, wait=5)
            if version == 6:  # no router fragments IPv6: each side's first large packet is lost, and teaches its sender
                near.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1452", address, check=False)
            ping(near, address, size=3000, count=1, wait=5)
        return "IPv4 and IPv6 answered, 56 and 3000 octets"

    def pings_from_guest(self) -> dict[int, str]:
        """Case number → what the guest says of its two pings, all in one command."""
        one = "ping -n -c 1 -W 3 -I {0} {1} >/dev/null && echo {2} ok || echo {2} lost"
        self.guest.write("/tmp/pings", "\n".join(
            one.format(case.inside(2, version), case.inside(1, version), f"{case.number} v{version}") for case in self.cases for version in (4, 6)))
        found: dict[int, str] = {}
        for line in self.guest.run(". /tmp/pings").splitlines():
            number, *words = line.split()
            found[int(number)] = (found.get(int(number), "") + " " + " ".join(words)).strip()
        return found


class Bound:
    """A namespace whose pings leave from one address."""

    def __init__(self, space: Namespace, source: str):
        self.space, self.source = space, source

    def run(self, program: str, *arguments: str, **options):
        return self.space.run(program, "-I", self.source, *arguments, **options)


def matrix(report: Report, world: World) -> None:
    """Every case is one row: pings from our side, pings from theirs, and both SAs counted them."""
    report.step(f"{len(world.cases)} cases: pings from Postern's side")
    with ThreadPoolExecutor(8) as pool:
        ours = {case.number: pool.submit(world.ping_guest, case) for case in world.cases}
    report.step("pings from the guest's side")
    theirs = world.pings_from_guest()
    packets = {sa["spi"]: sa["packets"] for sa in world.gateway.sas()}
    for case in world.cases:
        report.check(case.name, lambda: outcome(case, ours[case.number], theirs, packets))


def outcome(case: Case, ours, theirs: dict[int, str], packets: dict[int, int]) -> str:
    answered = ours.result()
    expect(theirs.get(case.number) == "v4 ok v6 ok", f"the guest's pings: {theirs.get(case.number)}")
    counts = [packets.get(spi, 0) for spi in (case.spi_in, case.spi_out)]
    expect(min(counts) >= 8, f"inbound and outbound packets {counts}, expected at least 8 each")
    return f"{answered}; both ways"


class Injector:
    """Frames as the guest sent them, and a way to put them (or what became of them) on the gateway's wire again."""

    def __init__(self, world: World):
        self.world = world
        self.hear = packet_socket(world.wire, "guest0")
        self.say = packet_socket(world.wire, "to-gw")
        # While frames are held back nobody answers ARP: what the guest knows of the gateway must not expire.
        mac = world.gw.run("cat", "/sys/class/net/wan/address").stdout.strip()
        world.guest.run(f"ip neigh replace {OURS[4]} lladdr {mac} nud permanent dev eth0")

    def frames(self, case: Case, count: int, deliver: bool) -> list[bytes]:
        """`count` ESP frames of this case from the guest; unless `deliver`, the gateway does not get them."""
        wire, spi = self.world.wire, struct.pack("!I", case.spi_in)
        if not deliver:
            wire.ip("link", "set", "to-gw", "nomaster")
        drain(self.hear)
        self.world.guest.run(f"ping -n -c {count} -i 0.05 -W 1 -I {case.inside(2, 4)} {case.inside(1, 4)}", check=False)
        if not deliver:
            wire.ip("link", "set", "to-gw", "master", "br0")
        found = [frame for frame in drain(self.hear) if frame[12:14] == b"\x08\x00" and frame[23] == 50 and frame[34:38] == spi]
        expect(len(found) >= count, f"{len(found)} of {count} frames captured")
        return found[:count]

    def inject(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.say.send(frame)
            time.sleep(0.001)


def hostile(report: Report, world: World) -> None:
    """Each hostile packet is counted once, under its right name, and harms nothing."""
    injector = Injector(world)
    raw = [case for case in world.cases if case.outer == 4 and not case.udp]
    aead = [case for case in raw if case.suite.counter_mode and case.esn]
    mac = [case for case in raw if not case.suite.counter_mode and not case.esn]
    for case in aead[:1] + mac[:1]:
        label = case.suite.name
        report.check(f"replayed ({label})", lambda: replayed(injector, case))
        report.check(f"reordered ({label})", lambda: reordered(injector, case))
        report.check(f"corrupted, number far ahead ({label})", lambda: corrupted(injector, case))
        report.check(f"truncated ({label})", lambda: truncated(injector, case))
        report.check(f"unknown and reserved SPI ({label})", lambda: strange_spis(injector, case))
        report.check(f"still alive ({label})", lambda: world.ping_guest(case))


def counted(world: World, expected: dict[str, int], action) -> str:
    world.gateway.counted(expected, action)
    return names(expected)


def replayed(injector: Injector, case: Case) -> str:
    frames = injector.frames(case, 5, deliver=True)
    return counted(injector.world, {"replay_duplicate": 5}, lambda: injector.inject(frames))


def reordered(injector: Injector, case: Case) -> str:
    frames = injector.frames(case, 20, deliver=False)
    random.shuffle(frames)
    before = inbound_packets(injector.world, case)
    text = counted(injector.world, {}, lambda: injector.inject(frames))
    wait_for("20 packets to be accepted", lambda: inbound_packets(injector.world, case) >= before + 20, 5)
    return f"20 of 20 accepted, {text}"


def corrupted(injector: Injector, case: Case) -> str:
    """A number beyond the window with a wrong ICV must not move the window: the frames that were held back still pass."""
    held = injector.frames(case, 3, deliver=False)
    far = bytearray(held[-1])
    far[38:42] = struct.pack("!I", struct.unpack("!I", far[38:42])[0] + 1_000_000)
    flipped = bytearray(held[0])
    flipped[-1] ^= 1
    return counted(injector.world, {"bad_icv": 2}, lambda: injector.inject([bytes(far), bytes(flipped), *held]))


def truncated(injector: Injector, case: Case) -> str:
    frame = injector.frames(case, 1, deliver=False)[0]
    cuts = [resized(frame, 20 + length) for length in (8, 12, 16, 20)]
    return counted(injector.world, {"runt": len(cuts)}, lambda: injector.inject(cuts))


def strange_spis(injector: Injector, case: Case) -> str:
    frame = injector.frames(case, 1, deliver=False)[0]
    spi = lambda number: frame[:34] + struct.pack("!I", number) + frame[38:]
    frames = [spi(number) for number in (0, 1, 255, 0xDEADBEEF, 0x00ABCDEF)]
    return counted(injector.world, {"reserved_spi": 3, "no_sa": 2}, lambda: injector.inject(frames))


def inbound_packets(world: World, case: Case) -> int:
    return next(sa["packets"] for sa in world.gateway.sas() if sa["spi"] == case.spi_in)


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--only", help="run only cases whose name contains this")
    arguments = parser.parse_args()
    report = Report("Interop with Linux xfrm")
    binaries = arguments.binaries or build()
    with Lab(keep_logs=arguments.logs) as lab:
        chosen = [case for case in cases() if not arguments.only or arguments.only in case.name]
        report.step(f"starting a Linux guest and a gateway with {2 * len(chosen)} SAs")
        world = World(lab, binaries, chosen)
        matrix(report, world)
        hostile(report, world)
    for name in [] if arguments.only else NO_PEER:
        report.absent(name, "not in Linux: published vectors only (dataplane/crypto)")
    return report.finish(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
