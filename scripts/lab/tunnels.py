"""The tunnels of the demo: how its two gateways get their keys, and what can be shown of that."""

from __future__ import annotations

import json
from pathlib import Path

from . import examples
from .namespaces import Gateway, wait_for
from .report import Report, expect
from .site import Site, address
from .traffic import ping, unanswered

PINGS = 200  # while something is rekeyed
OTHER = {"a": "b", "b": "a"}


class Manual:
    """Keys stand in both files."""

    title = "manual keys"
    source = examples.MANUAL
    needs: set[str] = set()  # kinds of frames that must be on the wire beside ESP
    harmless: set[str] = set()  # and those that may

    def __init__(self, binaries: Path, directory: Path):
        a = examples.fresh_keys(examples.example(self.source))
        self.texts = {"a": a, "b": examples.mirrored(a)}

    def prepare(self, end: str, gateway: Gateway) -> None:
        """Beside the file, before the gateway starts."""

    def stand(self, report: Report, gateways: dict[str, Gateway]) -> None:
        """They do as soon as the gateways have started."""

    def show(self, report: Report, site: Site, gateways: dict[str, Gateway]) -> None:
        """Nothing more than the traffic."""

    def counted(self, end: str, gateway: Gateway) -> tuple[int, int]:
        """Packets in and out."""
        total = lambda direction: sum(sa["packets"] for sa in gateway.sas() if sa["direction"] == direction)
        return total("inbound"), total("outbound")

    def mistake(self, report: Report, site: Site, gateways: dict[str, Gateway]) -> None:
        """What two files with keys by hand disagree about, no peer can be asked."""


class Negotiated(Manual):
    """IKEv2, with certificates that `postern pki` makes as the example's comments say."""

    title = "IKEv2, certificates made by postern pki"
    source = examples.CERTIFICATES
    needs = {"IKE"}
    harmless = {"ICMP about IKE"}  # whoever starts first is told that the other does not listen yet

    def __init__(self, binaries: Path, directory: Path):
        a = examples.example(self.source)
        self.texts = {"a": a, "b": examples.mirrored(a)}
        self.made = directory / "pki"
        self.commands = examples.issue(a, binaries / "postern", self.made)

    def prepare(self, end: str, gateway: Gateway) -> None:
        examples.hand_over(end, self.made, gateway.file.parent)

    def stand(self, report: Report, gateways: dict[str, Gateway]) -> None:
        for end, gateway in gateways.items():
            report.check(f"gw-{end}: negotiated with certificates", lambda: self.agreed(end, gateway))

    def agreed(self, end: str, gateway: Gateway) -> str:
        sa = wait_for("one IKE SA with its child", lambda: self.settled(gateway), 30)
        expected = f"gw-{OTHER[end]}.example.com"
        expect(sa["identity"] == expected, f"the peer is {sa['identity']}, expected {expected}")
        expect("PSK" not in f"{sa['local_proof']} {sa['remote_proof']}", f"proofs {sa['local_proof']}, {sa['remote_proof']}")
        return f"{sa['identity']}, {sa['remote_proof']}, {sa['suite']}; net: {sa['children'][0]['suite']}"

    def settled(self, gateway: Gateway) -> dict | None:
        """The IKE SA, once there is just one, with just one child. Both ends begin, so there may be two for a moment."""
        found = [sa for sa in gateway.json("status")["ike"]["ike_sas"] if sa["state"] == "established"]
        alone = len(found) == 1 and len(found[0]["children"]) == 1
        return found[0] if alone and found[0]["children"][0]["state"] == "installed" else None

    def show(self, report: Report, site: Site, gateways: dict[str, Gateway]) -> None:
        for label, options in (("child", ("site-b/net",)), ("IKE SA", ("site-b", "--ike")), ("reauthentication", ("site-b", "--reauth"))):
            report.check(f"rekey under traffic: {label}", lambda: self.rekey(site, gateways["a"], *options))

    def rekey(self, site: Site, gateway: Gateway, *options: str) -> str:
        """Pings and iperf3's traffic run through; not one ping may be lost, and the SPIs must be others afterwards."""
        spis = lambda sa: (sa["local_spi"], sa["children"][0]["inbound"])
        before = spis(wait_for("one IKE SA with its child", lambda: self.settled(gateway), 30))
        machine, far = site.machine("a"), address("b", 4)
        load = machine.start(f"load-{before[1]}", "iperf3", "--client", far, "--time", "6", "--udp", "--bitrate", "10M", "--length", "1200")
        pings = machine.start(f"pings-{before[1]}-{before[0]}", "ping", "-n", "-i", "0.02", "-c", str(PINGS), "-w", "20", far)
        wait_for("the first ping", lambda: "icmp_seq=" in pings.log.read_text())
        gateway.postern("rekey", *options)
        wait_for("ping to end", lambda: not pings.alive, 30)
        load.stop()
        lost = unanswered(pings.log.read_text(), PINGS)
        expect(not lost, f"{len(lost)} of {PINGS} pings lost: {lost}; {gateway.drops()}")
        after = spis(wait_for("the old SA to be gone", lambda: self.settled(gateway), 30))
        changed = [name for name, old, new in zip(("IKE SA", "child"), before, after) if old != new]
        expect(("child" if "/" in options[0] else "IKE SA") in changed, "SPIs are what they were")
        return f"{PINGS} pings, none lost; new: {' and '.join(changed)}"

    def counted(self, end: str, gateway: Gateway) -> tuple[int, int]:
        """Over all SAs that followed each other."""
        net = wait_for("one IKE SA with its child", lambda: self.settled(gateway), 30)["children"][0]
        return net["packets_in"], net["packets_out"]

    def mistake(self, report: Report, site: Site, gateways: dict[str, Gateway]) -> None:
        report.check("a mistake in B's file: `postern why` names it", lambda: self.why(gateways["b"]))
        report.check("corrected and applied: traffic again", lambda: self.corrected(site, gateways))

    def why(self, gateway: Gateway) -> str:
        """B is told to expect another gateway than A."""
        self.right = gateway.file.read_text()
        self.apply(gateway, self.right.replace("id: gw-a.example.com", "id: gw-c.example.com"))

        def found() -> dict | None:
            done = gateway.postern("why", "site-a", "-o", "json", check=False)
            return json.loads(done.stdout) if done.returncode == 0 else None

        why = wait_for("a failure to be known", found, 30)
        expect("gw-a.example.com" in why["text"] and "gw-c.example.com" in why["text"], f"it says: {why['text']}")
        print("\n" + gateway.postern("why", "site-a").stdout)
        return why["fix"] or why["reason"]

    def corrected(self, site: Site, gateways: dict[str, Gateway]) -> str:
        self.apply(gateways["b"], self.right)
        for end, gateway in gateways.items():
            self.agreed(end, gateway)
        return ping(site.machine("a"), address("b", 4))

    def apply(self, gateway: Gateway, text: str) -> None:
        gateway.configure(text)
        gateway.postern("-c", str(gateway.file), "apply")
