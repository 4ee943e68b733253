"""What breaks, and what must not: processes killed and stopped under load, a link pulled, a bad configuration, policy without a data plane."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from lab import cli
from lab.namespaces import Gateway, Lab, build, wait_for
from lab.report import Report, expect
from lab.site import WAN4, Site, address, configuration, keys
from lab.traffic import Capture, IperfServer, esp_sequences, iperf, ping, udp_loss
from lab.wire import drain, packet_socket


class World:
    """The demo's site with its two gateways, and iperf3 waiting in lan-b."""

    def __init__(self, lab: Lab, binaries: Path):
        self.lab, self.site, key = lab, Site(lab), keys()
        cores = sorted(os.sched_getaffinity(0))
        self.text = {end: configuration(end, key, [cores[place % len(cores)]]) for place, end in enumerate("ab")}
        self.gateways = {end: Gateway(self.site.gw[end], binaries, self.text[end]) for end in "ab"}
        for gateway in self.gateways.values():
            gateway.start()
        self.a = self.gateways["a"]
        ping(self.site.machine("a"), address("b", 4))
        ping(self.site.machine("a"), address("b", 6))
        IperfServer(self.site.machine("b"))

    def ping(self) -> str:
        for version in (4, 6):
            ping(self.site.machine("a"), address("b", version), count=2, wait=3)
        return "tunnel alive"

    def recovered(self) -> None:
        """Until the tunnel carries again: the region still tells of the process that died, pings tell the truth."""
        once = ("ping", "-n", "-c", "1", "-W", "1", address("b", 4))
        wait_for("the tunnel to carry again", lambda: not self.site.machine("a").run(*once, check=False).returncode, 15)

    def during_traffic(self, action, seconds: int = 6, rate: str = "20M") -> tuple[int, int]:
        """iperf3 UDP from lan-a to lan-b with `action()` in the middle: (lost, sent)."""
        timer = threading.Timer(seconds / 3, action)
        timer.start()
        end = iperf(self.site.machine("a"), address("b", 4), seconds, udp=rate)
        timer.join()
        return udp_loss(end)


def control_killed(world: World) -> str:
    before = {sa["spi"]: sa["packets"] for sa in world.a.sas()}
    lost, sent = world.during_traffic(world.a.control.kill)
    expect(not world.a.control.alive, "control still lives")
    expect(lost == 0 and sent > 5000, f"{lost} of {sent} datagrams lost")
    world.a.start_control()
    wait_for("control to answer", lambda: world.a.json("status")["control"]["alive"], 10)
    after = {sa["spi"]: sa["packets"] for sa in world.a.sas()}
    expect(before.keys() == after.keys() and all(after[spi] > before[spi] for spi in before), f"SAs {before} became {after}")
    world.ping()
    return f"0 of {sent} datagrams lost; the new control adopted {len(after)} SAs"


def dataplane_killed(world: World) -> str:
    """The same SAs resume, and no sequence number goes over the wire twice."""
    capture = Capture(world.site.wire, "to-b", world.lab.directory / "killed.pcap")
    spis = {sa["spi"] for sa in world.a.sas()}
    started = 0.0

    def crash() -> None:
        nonlocal started
        world.a.dataplane.kill()
        started = time.monotonic()
        world.a.start_dataplane()

    lost, sent = world.during_traffic(crash)
    world.recovered()
    expect({sa["spi"] for sa in world.a.sas()} == spis, "other SAs than before")
    world.ping()
    numbers = esp_sequences(capture.stop())[0x1001]
    expect(len(numbers) == len(set(numbers)) and len(numbers) > 1000, f"{len(numbers) - len(set(numbers))} sequence numbers reused")
    expect(lost < sent, "nothing arrived after the restart")
    return f"same SAs, {len(numbers)} sequence numbers, none twice; {lost} of {sent} datagrams lost meanwhile"


def fails_closed(world: World) -> str:
    """While the data plane is gone no plaintext leaves or enters, and what is none of our business goes on."""
    capture = Capture(world.site.wire, "to-b", world.lab.directory / "closed.pcap")
    world.a.dataplane.kill()
    out = world.site.machine("a").run("ping", "-c", "3", "-i", "0.1", "-W", "1", address("b", 4), check=False)
    own = world.site.gw["a"].run("ping", "-c", "3", "-i", "0.1", "-W", "1", "-I", "10.1.0.1", address("b", 4), check=False)
    expect(out.returncode != 0 and own.returncode != 0, "a ping was answered without a data plane")
    shell = world.site.gw["a"].start("shell", "python3", "-c", "import socket; s=socket.create_server(('', 22)); s.accept()[0].sendall(b'SSH')")
    wait_for("port 22", lambda: ":22" in world.site.gw["a"].run("ss", "-Hltn").stdout)
    reached = world.site.gw["b"].run("python3", "-c", f"import socket; print(socket.create_connection(('{WAN4}.1', 22), 3).recv(3))").stdout
    shell.stop()
    world.site.gw["b"].run("ping", "-c", "1", "-W", "2", f"{WAN4}.1")
    inner, kinds = plaintext(capture.stop()), capture.kinds()
    entered = plaintext_enters(world)
    world.a.start_dataplane()
    world.recovered()
    expect(not inner, f"{inner} packets of the protected networks crossed the wire in the clear: {kinds}")
    expect(not entered, f"{entered} plaintext packets entered the LAN")
    expect("SSH" in reached, f"port 22 of the gateway answered {reached!r}")
    return "no plaintext out or in; ping and TCP to the gateway itself went on"


def plaintext(capture: Capture) -> int:
    """Frames that show an address of the protected networks."""
    ours = (b"\x0a\x01\x00", b"\x0a\x02\x00")
    return sum(frame[12:14] == b"\x08\x00" and (frame[26:29] in ours or frame[30:33] in ours) for frame in capture.frames())


def plaintext_enters(world: World) -> int:
    """From the wire, plaintext that claims to come from LAN b: how much of it reaches LAN a."""
    mac = lambda space, link: bytes.fromhex(space.run("cat", f"/sys/class/net/{link}/address").stdout.strip().replace(":", ""))
    header = bytes.fromhex("4500001c000000004011") + b"\0\0" + socket.inet_aton("10.2.0.2") + socket.inet_aton("10.1.0.2")
    total = sum(int.from_bytes(header[at:at + 2], "big") for at in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    packet = header[:10] + (~total & 0xFFFF).to_bytes(2, "big") + header[12:] + bytes.fromhex("0001000200080000")
    wire, lan = packet_socket(world.site.gw["b"], "wan"), packet_socket(world.site.machine("a"), "eth0")
    for _ in range(5):
        wire.send(mac(world.site.gw["a"], "wan") + mac(world.site.gw["b"], "wan") + b"\x08\x00" + packet)
    return sum(frame[12:14] == b"\x08\x00" and frame[26:30] == socket.inet_aton("10.2.0.2") for frame in drain(lan))


def control_stopped(world: World) -> str:
    """`status` reads the shared region: it answers though control hangs."""
    world.a.control.signal(signal.SIGSTOP)
    try:
        wait_for("control to be found silent", lambda: not world.a.json("status")["control"]["alive"], 10)
        times = []
        for _ in range(5):
            started = time.monotonic()
            world.a.postern("status")
            times.append(time.monotonic() - started)
        world.ping()
    finally:
        world.a.control.signal(signal.SIGCONT)
    expect(sorted(times)[2] < 0.1, f"median {sorted(times)[2] * 1000:.0f} ms")
    return f"answered in {sorted(times)[2] * 1000:.0f} ms and said that control is silent"


def link_flap(world: World) -> str:
    world.site.gw["a"].ip("link", "set", "wan", "down")
    time.sleep(0.5)
    world.site.gw["a"].ip("link", "set", "wan", "up")
    world.site.gw["a"].ip("addr", "replace", "2001:db8::1/64", "dev", "wan", "nodad")
    world.recovered()
    return world.ping()


def bad_configuration(world: World) -> str:
    """One mistake in the file: nothing changes, and the message says where."""
    before = [(sa["spi"], sa["name"]) for sa in world.a.sas()]
    world.a.configure(world.text["a"].replace("remote_ts", "remote_tss"))
    try:
        for command in ("check", "apply"):
            refused = world.a.postern("-c", str(world.a.file), command, check=False)
            expect(refused.returncode != 0 and "postern.yaml:" in refused.stderr and "remote_ts" in refused.stderr, refused.stdout + refused.stderr)
    finally:
        world.a.configure(world.text["a"])
    expect([(sa["spi"], sa["name"]) for sa in world.a.sas()] == before, "the SAs changed")
    world.ping()
    return refused.stderr.strip().splitlines()[0].replace(str(world.a.file), "postern.yaml")


def apply_touches_only_what_changed(world: World) -> str:
    """A second child comes and goes; the first one's SAs keep their numbers."""
    extra = """      spare:
        local_ts: [10.1.9.0/24]
        remote_ts: [10.2.9.0/24]
        manual:
          esp: ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128
          inbound: { spi: 0x3001, key: "%s", integrity_key: "%s" }
          outbound: { spi: 0x3002, key: "%s", integrity_key: "%s" }
""" % tuple(os.urandom(size).hex() for size in (16, 32, 16, 32))
    first = {sa["spi"]: sa["packets"] for sa in world.a.sas()}
    for text, count in ((world.text["a"] + extra, 4), (world.text["a"], 2)):
        world.a.configure(text)
        lost, sent = world.during_traffic(lambda: world.a.postern("-c", str(world.a.file), "apply"), seconds=3)
        now = {sa["spi"]: sa["packets"] for sa in world.a.sas()}
        expect(len(now) == count, f"{len(now)} SAs, expected {count}")
        expect(all(now[spi] >= packets for spi, packets in first.items()), f"{first} became {now}")
        expect(lost == 0, f"{lost} of {sent} datagrams lost while applying")
    return "two SAs added and removed, no datagram lost"


def main() -> int:
    arguments = cli.parser(__doc__).parse_args()
    report = Report("Faults")
    binaries = arguments.binaries or build()
    with Lab(keep_logs=arguments.logs) as lab:
        world = World(lab, binaries)
        report.check("bad configuration changes nothing", lambda: bad_configuration(world))
        report.check("apply touches only what changed", lambda: apply_touches_only_what_changed(world))
        report.check("control stopped: status answers", lambda: control_stopped(world))
        report.check("control killed under load", lambda: control_killed(world))
        report.check("data plane killed under load", lambda: dataplane_killed(world))
        report.check("data plane gone: fails closed", lambda: fails_closed(world))
        report.check("link down and up", lambda: link_flap(world))
        report.check("control killed under load, again", lambda: control_killed(world))
    return report.finish(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
