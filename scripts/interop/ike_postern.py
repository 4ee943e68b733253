"""Postern as the gateway, seen with the same eyes as strongSwan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lab.ends import End
from lab.namespaces import Failed, Gateway, Namespace, wait_for
from lab.negotiated import postern

from .ike_world import GUEST, PEER, Child, Sa


class Postern:
    """Both programs in a namespace; each row is a new configuration that is applied."""

    always_udp = False
    explains = True

    def __init__(self, space: Namespace, binaries: Path, core: int):
        self.core = core
        self.gateway = Gateway(space, binaries, postern(None, core))
        self.running, self.number = False, 0

    @property
    def alive(self) -> bool:
        return all(program and program.alive for program in (self.gateway.dataplane, self.gateway.control))

    @property
    def name(self) -> str:
        """Of the connection: a new one for each row, so that nothing is known of it."""
        return f"net{self.number}"

    def configure(self, end: End) -> None:
        self.number += 1
        end = replace(end, name=self.name)
        if not self.running:
            self.gateway.configure(postern(end, self.core))
            self.gateway.start()
            self.running = True
            return
        if not self.alive:
            self.revive()
        self.apply(None)
        wait_for("Postern to forget what is no longer configured", lambda: not self.sas(), 10)
        self.apply(end)

    def change(self, end: End) -> None:
        """The same connection, told differently."""
        self.apply(replace(end, name=self.name))

    def revive(self) -> None:
        for program, start in ((self.gateway.dataplane, self.gateway.start_dataplane), (self.gateway.control, self.gateway.start_control)):
            if not program.alive:
                start()
        wait_for("Postern to answer", lambda: self.gateway.postern("status", check=False).returncode == 0, 20)

    def apply(self, end: End | None) -> None:
        self.gateway.configure(postern(end, self.core))
        self.gateway.postern("-c", str(self.gateway.file), "apply")

    def up(self, seconds: float, child: str = "net", apart: str = "") -> str:
        """Empty, or why it failed. `apart`: of the connection that this child has for itself."""
        done = self.gateway.postern("up", f"{self.name}{apart and '-'}{apart}/{child}", "--wait", str(int(seconds)), check=False)
        return "" if done.returncode == 0 else done.stderr.strip() or f"ended with {done.returncode}"

    def down(self, child: str | None = None) -> None:
        self.gateway.postern("down", f"{self.name}/{child}" if child else self.name)

    def rekey(self, child: str) -> None:
        self.gateway.postern("rekey", f"{self.name}/{child}")

    def half_open(self) -> int:
        return self.gateway.json("status")["ike"]["half_open"]

    def why(self) -> str:
        """The last failure in prose: of the connection, or of an address that has none."""
        for whom in (self.name, *(address for family in (PEER, GUEST) for addresses in family.values() for address in addresses)):
            done = self.gateway.postern("why", whom, "-o", "json", check=False)
            found = json.loads(done.stdout) if done.returncode == 0 else {}
            if found and found["connection"] in (None, self.name):
                return found["text"]
        return ""

    def sas(self) -> list[Sa]:
        status = self.gateway.json("status")
        halves = {(one["direction"], one["spi"]): one for one in self.gateway.sas()}
        return [self.sa(one, halves) for one in status["ike"]["ike_sas"] if one["state"] == "established"]

    def sa(self, raw: dict, halves: dict) -> Sa:
        spis = (int(raw["local_spi"], 16), int(raw["remote_spi"], 16))
        children = [self.child(one, halves) for one in raw["children"] if one["state"] in ("installed", "inbound only")]
        return Sa(raw["suite"], raw["identity"], spis if raw["initiator"] else spis[::-1], raw["initiator"], children)

    def child(self, raw: dict, halves: dict) -> Child:
        inbound = halves.get(("inbound", raw["inbound"]), {})
        ours, theirs = raw["covered"].split(" ↔ ")
        return Child(raw["name"], inbound.get("suite", "?"), ours.split(", "), theirs.split(", "), raw["inbound"], raw["outbound"], raw["packets_in"],
                     raw["packets_out"], inbound.get("encap", "").startswith("udp"), inbound.get("esn", False))

    def drops(self) -> dict[str, int]:
        return self.gateway.drops()

    def rings(self) -> dict[str, int]:
        """Frames that AF_XDP had no room for."""
        names = ("rx_dropped", "rx_ring_full", "fill_ring_empty")
        return {f"{link['name']} {name}": link[name] for link in self.gateway.json("interfaces")["interfaces"] for name in names}

    def log(self) -> str:
        return self.gateway.control.tail(30) if self.gateway.control else ""
