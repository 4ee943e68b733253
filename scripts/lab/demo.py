"""`scripts/demo`: two gateways join two networks on this machine, and real traffic shows that it works."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from . import cli
from .namespaces import Failed, Gateway, Lab, build
from .report import Report, expect
from .site import Site, address, configuration, keys
from .traffic import Capture, IperfServer, iperf, ping, refused_size, tcp_rate, udp_loss

SIZES = (0, 1, 56, 512, 1200, 1400, 1418, 1472, 1473, 2000, 4000, 8000)


def main() -> int:
    arguments = parse()
    report = Report("Postern demo: lan-a == gw-a ====ESP==== gw-b == lan-b")
    report.step("building postern-dataplane, postern-control and postern (the first time takes minutes)")
    binaries = arguments.binaries or build()
    with Lab(keep_logs=arguments.logs) as lab:
        report.step("four namespaces, a wire between two gateways")
        site, gateways = start(lab, binaries)
        capture = Capture(site.wire, "to-a", lab.directory / "wire.pcap")
        pings(report, site)
        speeds(report, site, arguments.seconds)
        wire(report, capture)
        report.check("gateways' own books", lambda: books(gateways))
        print(gateways["a"].postern("status").stdout)
    return report.finish(arguments.output)


def parse() -> argparse.Namespace:
    made = cli.parser(__doc__, prog="scripts/demo")
    made.add_argument("--seconds", type=int, default=3, help="how long each iperf3 run lasts")
    return made.parse_args()


def start(lab: Lab, binaries: Path) -> tuple[Site, dict[str, Gateway]]:
    site, key = Site(lab), keys()
    cores = sorted(os.sched_getaffinity(0))
    gateways = {}
    for place, end in enumerate("ab"):
        core = cores[place % len(cores)]
        gateways[end] = Gateway(site.gw[end], binaries, configuration(end, key, [core]))
        gateways[end].start()
    return site, gateways


def pings(report: Report, site: Site) -> None:
    for version in (4, 6):
        for here, there in ("ab", "ba"):
            report.check(f"ping IPv{version} {here}→{there}", lambda: ping(site.machine(here), address(there, version)))
        report.check(f"ping IPv{version}, {SIZES[0]} to {SIZES[-1]} octets", lambda: sizes(site, version))
    report.check("DF set, too big: path MTU answered, then it fits", lambda: path_mtu(site, 4))
    report.check("IPv6, too big: path MTU answered, then it fits", lambda: path_mtu(site, 6))


def sizes(site: Site, version: int) -> str:
    if version == 6:  # no router fragments IPv6: each side's first packet that is too big is lost, and teaches its sender
        site.machine("a").run("ping", "-n", "-c", "4", "-i", "0.2", "-W", "1", "-s", "1452", address("b", version), check=False)
    for size in SIZES:
        ping(site.machine("a"), address("b", version), size, count=2)
    return f"{len(SIZES)} sizes, all answered"


def path_mtu(site: Site, version: int) -> str:
    """A packet of link size cannot fit with ESP around it: the gateway says how large one may be, and that one passes."""
    overhead = 28 if version == 4 else 48
    mtu = refused_size(site.machine("b"), address("a", version), 1500 - overhead)
    expect(1280 <= mtu < 1500, f"a path MTU of {mtu} makes no sense")
    ping(site.machine("b"), address("a", version), mtu - overhead, fragment="do")
    return f"path MTU {mtu}"


def speeds(report: Report, site: Site, seconds: int) -> None:
    IperfServer(site.machine("b"))
    for version in (4, 6):
        for label, reverse in (("a→b", False), ("b→a", True)):
            target = address("b", version)
            report.check(f"iperf3 TCP IPv{version} {label}",
                         lambda: tcp_rate(iperf(site.machine("a"), target, seconds, reverse)))
            report.check(f"iperf3 UDP IPv{version} {label}, 50 Mbit/s", lambda: udp(site, target, seconds, reverse))


def udp(site: Site, target: str, seconds: int, reverse: bool) -> str:
    lost, sent = udp_loss(iperf(site.machine("a"), target, seconds, reverse, udp="50M"))
    expect(sent > 1000 and lost <= sent // 50, f"{lost} of {sent} datagrams lost")
    return f"{lost} of {sent} datagrams lost"


def wire(report: Report, capture: Capture) -> None:
    """Between the gateways nothing but ESP and what Ethernet needs to live."""
    kinds = capture.stop().kinds()
    harmless = {"ESP", "ARP", "neighbour discovery", "multicast listener"}

    def check() -> str:
        plain = {kind: count for kind, count in kinds.items() if kind not in harmless}
        expect(not plain, f"plaintext on the wire: {plain}")
        expect(kinds["ESP"] > 1000, f"only {kinds['ESP']} ESP packets seen")
        return ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())

    report.check("only ESP on the wire", check)


def books(gateways: dict[str, Gateway]) -> str:
    """Both ends agree on what went through."""
    sealed = {end: sum(sa["packets"] for sa in gateway.sas() if sa["direction"] == "outbound") for end, gateway in gateways.items()}
    opened = {end: sum(sa["packets"] for sa in gateway.sas() if sa["direction"] == "inbound") for end, gateway in gateways.items()}
    expect(all(sealed.values()) and all(opened.values()), f"sealed {sealed}, opened {opened}")
    return f"a sealed {sealed['a']}, b opened {opened['b']}; b sealed {sealed['b']}, a opened {opened['a']}"


if __name__ == "__main__":
    for program in ("ip", "ping", "iperf3", "tcpdump"):
        if not shutil.which(program):
            sys.exit(f"scripts/demo needs `{program}`: run scripts/setup as root")
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"scripts/demo: {failed}")
