"""IKE_SA_INIT from strangers: an end that is flooded asks for cookies (RFC 7296 §2.6), and those who mean it still get in."""

from __future__ import annotations

import sys
import time

from lab import strangers
from lab.namespaces import wait_for
from lab.report import expect

from .ike_losses import Watched
from .ike_rows import Row
from .ike_world import GATEWAY, only

RATE = 150  # IKE_SA_INIT per second


def flooded(world, row: Row) -> str:
    """The end that answers is flooded. What is established goes on without a loss, and a new connection comes up, by way of a cookie."""
    answers = world.sides["peer" if row.roles[0] == "gateway" else "gateway"]
    target = GATEWAY[4][0] if row.roles[0] == "peer" else world.peer.address
    world.up(row)
    world.ping((4,))
    flood = world.network.router.start(f"strangers-{time.monotonic_ns()}", sys.executable, "-u", strangers.__file__, target, str(RATE))
    try:
        fill = lambda: wait_for("the end that is flooded to have its fill", lambda: answers.half_open() >= row.expect["half_open"], 20)
        fill()
        pings, before = steady(world), cookies(world, row)
        world.down(row)
        fill()  # `postern down` ends also what strangers have begun with this connection
        world.up(row)
        world.ping((4,))
        held, seen = answers.half_open(), cookies(world, row) - before
    finally:
        flood.stop()
    expect(seen > 0, "it came up without a cookie")
    world.down(row)
    return f"{pings}; {flood.tail(1)}, {held} half-open"


def steady(world) -> str:
    """The tunnel that was there before."""
    spis = only(world.gateway.sas(), "IKE SAs").spis
    went = Watched(world, 100).end()
    expect(only(world.gateway.sas(), "IKE SAs").spis == spis, "another IKE SA than before")
    return went


def cookies(world, row: Row) -> int:
    """How often strongSwan had to do with one so far: was given one, or gave one."""
    did = "parsed" if row.roles[0] == "peer" else "generating"
    return world.peer.daemon.said(rf"{did} IKE_SA_INIT response 0 \[ N(COOKIE) \]")
