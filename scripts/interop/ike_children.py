"""Several children of one IKE SA: each carries what it covers, and comes, changes and goes without the others. Or each in a connection of its own."""

from __future__ import annotations

from lab.namespaces import wait_for
from lab.report import expect
from lab.traffic import ping

from .ike_rows import Row
from .ike_world import NETS, Bound, Child, Sa, only

PINGS = 3


def several(world, row: Row) -> str:
    """All up by one IKE SA; traffic in each is counted by that one alone; one gets new keys, one goes, and the others do not notice."""
    begins, other = (world.sides[name] for name in (row.roles[0], "peer" if row.roles[0] == "gateway" else "gateway"))
    names = ["net", *(name for name, _ in row.gateway["more"])]
    world.up(row)
    for name in names[1:]:
        expect(not (failed := begins.up(30, name)), f"{name}: {failed}")
    before = same(world, names)
    for name in names:
        through(world, name)
    changed, gone = names[1], names[-1]
    begins.rekey(changed)
    after = wait_for(f"both ends to have the new {changed} and not the old", lambda: renewed(world, names, before[changed]), 20)
    moved = {name for name in names if (before[name].spi_in, before[name].spi_out) != (after[name].spi_in, after[name].spi_out)}
    expect(moved == {changed}, f"new SPIs in {moved}, expected in {changed} alone")
    for name in names:
        through(world, name)
    other.down(gone)
    wait_for(f"both ends to forget {gone}", lambda: not any(gone in present(side) for side in world.sides.values()), 10)
    rest = same(world, [name for name in names if name != gone])
    expect(all(rest[name].spi_in == after[name].spi_in for name in rest), "another child changed as well")
    for name in rest:
        through(world, name)
    world.ping()
    world.down(row)
    return f"{len(names)} children; {changed} had new keys, {gone} went"


def apart(world, row: Row) -> str:
    """Two connections of the gateway with one peer under the same two identities: the second does not end the first."""
    for name in ("", "voice"):
        expect(not (failed := world.gateway.up(30, apart=name)), failed)
    for name in ("net", "voice"):
        source, target = NETS[name]
        ping(Bound(world.network.lan, source), target, count=PINGS, interval=world.peer.interval, wait=5)
    ours, theirs = (sorted(sa.spis for sa in side.sas()) for side in world.sides.values())
    expect(ours == theirs and len(ours) == 2, f"IKE SAs {ours} here, {theirs} there")
    return f"{len(ours)} IKE SAs"


def present(side) -> list[str]:
    """Names of the children of all IKE SAs, as often as they are there."""
    return [child.name for sa in side.sas() for child in sa.children]


def same(world, names: list[str]) -> dict[str, Child]:
    """The gateway's children by name; the peer has the same, in one IKE SA."""
    ours, theirs = (by_name(only(side.sas(), f"IKE SAs at the {name}")) for name, side in world.sides.items())
    expect(sorted(ours) == sorted(theirs) == sorted(names), f"children {sorted(ours)} here, {sorted(theirs)} there, expected {names}")
    for name, child in ours.items():
        there = theirs[name]
        expect((child.spi_in, child.spi_out) == (there.spi_out, there.spi_in), f"{name}: SPIs do not fit together")
        expect(sorted(child.local_ts) == sorted(there.remote_ts), f"{name}: traffic selectors {child} here, {there} there")
    return ours


def renewed(world, names: list[str], old: Child) -> dict[str, Child] | None:
    """The children, once this one has another in its place."""
    try:
        found = same(world, names)
    except AssertionError:  # both stand for a moment, or one end is ahead of the other
        return None
    return found if found[old.name].spi_in != old.spi_in else None


def by_name(sa: Sa) -> dict[str, Child]:
    expect(len({child.name for child in sa.children}) == len(sa.children), f"a child is there twice: {[child.name for child in sa.children]}")
    return {child.name: child for child in sa.children}


def through(world, name: str) -> None:
    """Pings in this child's nets are counted by this child alone, in both directions, at both ends."""
    before = {end: by_name(only(side.sas(), "IKE SAs")) for end, side in world.sides.items()}
    source, target = NETS[name]
    ping(Bound(world.network.lan, source), target, count=PINGS, interval=world.peer.interval, wait=5)
    for end, side in world.sides.items():
        after = by_name(only(side.sas(), "IKE SAs"))
        for child, counts in after.items():
            grown = (counts.packets_in - before[end][child].packets_in, counts.packets_out - before[end][child].packets_out)
            least = PINGS if child == name else 0
            expect(grown == (least, least), f"{end}: {PINGS} pings by {name} added {grown} packets in and out to {child}")
