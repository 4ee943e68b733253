"""The demo's world: lan-a — gw-a — wire — gw-b — lan-b, and the two configurations that join the LANs.

AF_XDP takes frames before packet sockets see them, and sends them behind their back: a tcpdump on a gateway would show nothing. So the
cable between the gateways runs through a bridge in a namespace of its own, where everything that crosses can be seen."""

from __future__ import annotations

import secrets

from .namespaces import Lab, Namespace

LAN = {"a": ("10.1.0", "fd01:"), "b": ("10.2.0", "fd02:")}
WAN4, WAN6 = "192.0.2", "2001:db8:"


class Site:
    """Four namespaces and the wire between them. Host 1 of a LAN is its gateway, host 2 the machine in it."""

    def __init__(self, lab: Lab, queues: int = 1):
        self.lab = lab
        self.lan = {end: lab.namespace(f"lan-{end}") for end in "ab"}
        self.gw = {end: lab.namespace(f"gw-{end}") for end in "ab"}
        self.wire = lab.namespace("wire")
        self.wire.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.wire.ip("link", "add", "br0", "type", "bridge")
        self.wire.ip("link", "set", "br0", "up")
        for host, end in ((1, "a"), (2, "b")):
            self.join(end, queues)
            lab.veth(self.gw[end], "wan", self.wire, f"to-{end}", queues)
            self.wire.ip("link", "set", f"to-{end}", "master", "br0")
            self.gw[end].addresses("wan", f"{WAN4}.{host}/24", f"{WAN6}:{host}/64")

    def join(self, end: str, queues: int) -> None:
        """A LAN of one machine behind its gateway."""
        v4, v6 = LAN[end]
        gateway, machine = self.gw[end], self.lan[end]
        gateway.forward()
        self.lab.veth(gateway, "lan", machine, "eth0", queues)
        gateway.addresses("lan", f"{v4}.1/24", f"{v6}:1/64")
        machine.addresses("eth0", f"{v4}.2/24", f"{v6}:2/64")
        machine.ip("route", "add", "default", "via", f"{v4}.1")
        machine.ip("-6", "route", "add", "default", "via", f"{v6}:1")

    def machine(self, end: str) -> Namespace:
        return self.lan[end]


def address(end: str, version: int) -> str:
    """The machine in the LAN `end`."""
    v4, v6 = LAN[end]
    return f"{v4}.2" if version == 4 else f"{v6}:2"


def keys() -> dict[str, str]:
    """One key for each direction: AES-256 and the 4-octet salt behind it (RFC 4106 §8.1)."""
    return {direction: secrets.token_hex(36) for direction in ("a-to-b", "b-to-a")}


def configuration(end: str, key: dict[str, str], cores: list[int], extra: str = "") -> str:
    """The YAML of one gateway. The same shape as configs/site-to-site-manual.yaml."""
    other = "b" if end == "a" else "a"
    mine, theirs = (1, 2) if end == "a" else (2, 1)
    spi = {"a-to-b": "0x00001001", "b-to-a": "0x00001002"}
    outbound, inbound = f"{end}-to-{other}", f"{other}-to-{end}"
    return f"""interfaces:
  - {{ name: lan, role: inside }}
  - {{ name: wan, role: outside }}
workers: {{ cores: {cores} }}
connections:
  site-{other}:
    local: {WAN4}.{mine}
    remote: {WAN4}.{theirs}
    children:
      net:
        local_ts: [{LAN[end][0]}.0/24, "{LAN[end][1]}:/64"]
        remote_ts: [{LAN[other][0]}.0/24, "{LAN[other][1]}:/64"]
        esn: true
        manual:
          esp: ENCR_AES_GCM_16_256
          counter_mode: epoch
          inbound: {{ spi: {spi[inbound]}, key: "{key[inbound]}" }}
          outbound: {{ spi: {spi[outbound]}, key: "{key[outbound]}" }}
{extra}"""
