"""`scripts/demo`: two gateways join two networks on this machine, and real traffic shows that it works. They run the annotated examples of
configs/: certificates and IKEv2, or with --manual, keys by hand."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from . import cli, examples
from .namespaces import Failed, Gateway, Lab, build
from .report import Report, expect
from .site import Site, address
from .traffic import Capture, IperfServer, iperf, ping, refused_size, tcp_rate, udp_loss
from .tunnels import Manual, Negotiated

SIZES = (0, 1, 56, 512, 1200, 1400, 1418, 1472, 1473, 2000, 4000, 8000)


def main() -> int:
    arguments = parse()
    made = Manual if arguments.manual else Negotiated
    report = Report(f"Postern demo: lan-a == gw-a ====ESP==== gw-b == lan-b, {made.title}")
    report.step("building postern-dataplane, postern-control and postern (the first time takes minutes)")
    binaries = arguments.binaries or build()
    with Lab(keep_logs=arguments.logs) as lab:
        report.step("four namespaces, a wire between two gateways")
        site = Site(lab)
        capture = Capture(site.wire, "to-a", lab.directory / "wire.pcap")
        tunnels = made(binaries, lab.directory)
        report.step(f"both gateways, by configs/{tunnels.source}")
        gateways = start(site, binaries, tunnels)
        tunnels.stand(report, gateways)
        pings(report, site)
        speeds(report, site, arguments.seconds)
        tunnels.show(report, site, gateways)
        wire(report, capture, tunnels)
        report.check("gateways' own books", lambda: books(gateways, tunnels))
        print(f"\n$ postern status\n{gateways['a'].postern('status').stdout}")
        tunnels.mistake(report, site, gateways)
    return report.finish(arguments.output)


def parse() -> argparse.Namespace:
    made = cli.parser(__doc__, prog="scripts/demo")
    made.add_argument("--seconds", type=int, default=3, help="how long each iperf3 run lasts")
    made.add_argument("--manual", action="store_true", help="keys by hand, in place of certificates and IKEv2")
    return made.parse_args()


def start(site: Site, binaries: Path, tunnels: Manual) -> dict[str, Gateway]:
    cores = sorted(os.sched_getaffinity(0))
    gateways = {}
    for place, end in enumerate("ab"):
        gateways[end] = Gateway(site.gw[end], binaries, examples.on_core(tunnels.texts[end], cores[place % len(cores)]))
        tunnels.prepare(end, gateways[end])
        gateways[end].start()
    return gateways


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


def wire(report: Report, capture: Capture, tunnels: Manual) -> None:
    """Between the gateways nothing but ESP, what negotiates it, and what Ethernet needs to live."""
    kinds = capture.stop().kinds()
    harmless = {"ESP", "ARP", "neighbour discovery", "multicast listener", *tunnels.needs, *tunnels.harmless}

    def check() -> str:
        plain = {kind: count for kind, count in kinds.items() if kind not in harmless}
        expect(not plain, f"plaintext on the wire: {plain}")
        expect(kinds["ESP"] > 1000, f"only {kinds['ESP']} ESP packets seen")
        expect(all(kinds[kind] for kind in tunnels.needs), f"{tunnels.needs} expected, seen {dict(kinds)}")
        return ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())

    report.check(" and ".join(["only ESP", *tunnels.needs]) + " on the wire", check)


def books(gateways: dict[str, Gateway], tunnels: Manual) -> str:
    """Both ends agree on what went through."""
    counted = {end: tunnels.counted(end, gateway) for end, gateway in gateways.items()}
    expect(all(min(both) for both in counted.values()), f"packets in and out: {counted}")
    (opened_a, sealed_a), (opened_b, sealed_b) = counted["a"], counted["b"]
    return f"a sealed {sealed_a}, b opened {opened_b}; b sealed {sealed_b}, a opened {opened_a}"


if __name__ == "__main__":
    for program in ("ip", "ping", "iperf3", "tcpdump"):
        if not shutil.which(program):
            sys.exit(f"scripts/demo needs `{program}`: run scripts/setup as root")
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"scripts/demo: {failed}")
