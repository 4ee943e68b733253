"""Pings that must all be answered while SAs change. When one is not: where packets were dropped, and whether this machine kept everybody waiting."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lab.namespaces import Namespace, Program, wait_for
from lab.traffic import unanswered

from .ike_world import LAN, udp

INTERVAL = 0.05  # between pings, in seconds
# Of the time, in percent: what stood still for lack of a CPU, and what a hypervisor gave to others. A machine with CPUs to spare has neither.
PRESSURE, STEAL = 60, 5


# Drops of the gateway that mean that an SA or policy was not there, or not what the packet was made for. All of xfrm's do.
REFUSALS = {f"gateway: {name}" for name in ("no_sa", "no_outbound_sa", "wrong_address", "wrong_encap", "replay_late", "replay_duplicate", "bad_icv",
                                             "bad_selector", "plaintext_outside", "sequence_exhausted", "expired")}


class Lost(AssertionError):
    """Pings had no answer. `excused`: no end refused a packet, and the machine was starved of CPU time, as measured."""

    def __init__(self, text: str, excused: bool):
        super().__init__(text)
        self.excused = excused


class Watched:
    """Pings from the LAN to behind the peer, with all that counts losses looked at before and after."""

    def __init__(self, world, count: int):
        self.world, self.count = world, count
        self.before, self.waited = dropped(world), Waited()
        self.pings: Program = world.network.lan.start(f"watched-{time.monotonic_ns()}", "ping", "-n", "-i", str(INTERVAL), "-c", str(count),
                                                      "-w", str(int(count * INTERVAL) + 10), LAN[4][1])

    def end(self, early: int = 0) -> str:
        """Waits for all answers; in words, how it went. `early`: how often the peer may send by an SA before the gateway can have it."""
        wait_for("ping to end", lambda: not self.pings.alive, self.count * INTERVAL + 30)
        lost = unanswered(self.pings.log.read_text(), self.count)
        starved, pressure = self.waited.judge()
        grown = grew(self.before, dropped(self.world))
        refused = {name: count for name, count in grown.items() if name in REFUSALS or name.startswith("xfrm:")}
        if lost and (set(refused) != {"gateway: no_sa"} or len(lost) > min(early, refused["gateway: no_sa"])):
            where = words(grown) or "no drop is counted anywhere"
            raise Lost(f"{len(lost)} of {self.count} pings lost ({span(lost)}); {where}; {pressure}", starved and not refused)
        came_early = f"{len(lost)} answered before the new SA was there, none lost otherwise" if lost else "none lost"
        return f"{self.count} pings, {came_early}; {words(refused) or 'no packet refused'}; {pressure}"


def words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def span(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")


class Waited:
    """How long processes waited for a CPU (/proc/pressure/cpu), and for how long a hypervisor had it (steal of /proc/stat)."""

    def __init__(self):
        self.started, self.stalled, self.ticks = time.monotonic(), stalled(), ticks()

    def judge(self) -> tuple[bool, str]:
        """Whether this machine was starved, and in words."""
        pressure = (stalled() - self.stalled) / (time.monotonic() - self.started) * 100
        total, stolen = (now - then for now, then in zip(ticks(), self.ticks))
        steal = stolen / max(total, 1) * 100
        return pressure >= PRESSURE or steal >= STEAL, f"CPU pressure {pressure:.0f} %, steal {steal:.0f} %"


def stalled() -> float:
    """Seconds in which some task waited for a CPU; 0 where the kernel does not tell."""
    file = Path("/proc/pressure/cpu")
    text = file.read_text() if file.exists() else "total=0"
    return int(text.splitlines()[0].rpartition("total=")[2]) / 1e6


def ticks() -> tuple[int, int]:
    """All, and stolen ones."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(numbers), numbers[7]


def grew(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}


def dropped(world) -> dict[str, int]:
    """Every counter of a lost packet, by place and name."""
    found = {f"gateway: {name}": count for name, count in world.gateway.drops().items()}
    found |= {f"ring: {name}": count for name, count in world.gateway.rings().items()}
    network = world.network
    for space in (network.lan, network.gw, network.router, network.peer):
        found |= {f"{space.name}: {name}": count for name, count in {**links(space), **udp(space.run("cat", "/proc/net/snmp").stdout)}.items()}
    return found | world.peer.losses()


def links(space: Namespace) -> dict[str, int]:
    """Frames that a link gave up."""
    found = json.loads(space.run("ip", "-j", "-s", "link").stdout)
    return {f"{link['ifname']} {way} {what}": link["stats64"][way][what] for link in found for way in ("rx", "tx") for what in ("dropped", "errors")}
