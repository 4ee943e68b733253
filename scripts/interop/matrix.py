"""Every way of carrying a packet that Postern knows: the usual suites × {IPv4, IPv6 outside} × {raw, in UDP} × {ESN, 32-bit numbers},
and every other suite that a peer has, twice: over IPv4 and over IPv6, one of them raw and the other in UDP, with ESN once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from lab.suites import Keys, Suite, others, usual

OURS = {4: "192.0.2.1", 6: "2001:db8::1"}
THEIRS = {4: "192.0.2.9", 6: "2001:db8::9"}


@dataclass
class Case:
    number: int
    suite: Suite
    outer: int
    udp: bool
    esn: bool
    to_us: Keys
    to_them: Keys

    @property
    def name(self) -> str:
        return f"{self.suite.name}, IPv{self.outer}, {'UDP' if self.udp else 'raw'}, {'ESN' if self.esn else '32-bit'}"

    def inside(self, side: int, version: int, host: int = 2) -> str:
        """Address `host` of this case's network: side 1 is Postern's, 2 the kernel's."""
        return f"10.{side}.{self.number}.{host}" if version == 4 else f"fd0{side}:0:0:{self.number:x}::{host}"

    def network(self, side: int, version: int) -> str:
        return f"10.{side}.{self.number}.0/24" if version == 4 else f"fd0{side}:0:0:{self.number:x}::/64"

    @property
    def spi_in(self) -> int:
        """Of the SA towards Postern."""
        return 0x10000 + self.number

    @property
    def spi_out(self) -> int:
        """Of the SA from Postern."""
        return 0x20000 + self.number

    def child(self) -> str:
        """This case as a child of a connection in postern.yaml."""
        lines = [
            f"      c{self.number}:",
            f"        local_ts: [{self.network(1, 4)}, \"{self.network(1, 6)}\"]",
            f"        remote_ts: [{self.network(2, 4)}, \"{self.network(2, 6)}\"]",
            f"        esn: {str(self.esn).lower()}",
            "        manual:",
            f"          esp: {self.suite.name}",
            f"          inbound: {self.to_us.yaml(self.spi_in)}",
            f"          outbound: {self.to_them.yaml(self.spi_out)}",
        ]
        return "\n".join(lines + (["          counter_mode: epoch"] if self.suite.counter_mode else []))


def cases() -> list[Case]:
    combinations = list(itertools.product(usual(), (4, 6), (False, True), (False, True)))
    for n, suite in enumerate(others()):
        udp, esn = bool(n & 1), bool(n & 2)
        combinations += [(suite, 4, udp, esn), (suite, 6, not udp, not esn)]
    return [Case(n, suite, outer, udp, esn, suite.keys(), suite.keys())
            for n, (suite, outer, udp, esn) in enumerate(combinations, 1)]


def configuration(chosen: list[Case]) -> str:
    """One postern.yaml with a connection for each way of travelling and a child for each case."""
    text = "interfaces:\n  - { name: lan, role: inside }\n  - { name: wan, role: outside }\nworkers: { cores: [0] }\nconnections:\n"
    for outer, udp, legacy in itertools.product((4, 6), (False, True), (False, True)):
        children = [case.child() for case in chosen if (case.outer, case.udp, case.suite.legacy) == (outer, udp, legacy)]
        if not children:
            continue
        text += f"  linux-v{outer}-{'udp' if udp else 'raw'}{'-legacy' if legacy else ''}:\n    local: \"{OURS[outer]}\"\n    remote: \"{THEIRS[outer]}\"\n"
        text += f"    encap: {'udp' if udp else 'none'}\n    legacy: {str(legacy).lower()}\n    children:\n"
        text += "\n".join(children) + "\n"
    return text
