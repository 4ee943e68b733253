"""Real traffic through the tunnels: ping, iperf3, and a capture of the wire between the gateways."""

from __future__ import annotations

import json
import re
import struct
import time
from collections import Counter
from pathlib import Path

from .namespaces import Failed, Namespace, Program, wait_for
from .report import expect


def ping(space: Namespace, target: str, size: int = 56, count: int = 3, fragment: str = "dont", interval: float = 0.05,
         wait: float = 2.0) -> str:
    """Pings and insists that every answer comes. `fragment`: `dont` leaves DF clear, `do` sets it."""
    # With -w ping waits for `count` answers; with -W alone it gives a late one only two round trips.
    deadline = str(int(wait + count * interval + 1))
    done = space.run("ping", "-n", "-c", str(count), "-i", str(interval), "-w", deadline, "-s", str(size), "-M", fragment, target,
                     check=False)
    lost = unanswered(done.stdout, count)
    expect(not lost, f"{target}, {size} octets: {lost} of {count} unanswered; {' '.join(f'{done.stdout} {done.stderr}'.split())}")
    times = re.search(r"= [\d.]+/([\d.]+)/", done.stdout)
    return f"{count}/{count} answered" + (f", {times[1]} ms" if times else "")


def unanswered(text: str, count: int) -> list[int]:
    """Which of the first `count` pings had no answer, by what ping printed. With -w ping goes on sending until it has `count` answers: when
    a round trip takes longer than the interval it ends as "3 transmitted, 2 received", and nothing was lost."""
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) (?:ttl|hlim)", text)}
    return [number for number in range(1, count + 1) if number not in answered]


def refused_size(space: Namespace, target: str, size: int) -> int:
    """Sends one ping that is too big, DF set: the path MTU that the gateway answers with."""
    done = space.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-s", str(size), "-M", "do", target, check=False)
    text = done.stdout + done.stderr
    found = re.search(r"mtu[ =:]+(\d+)", text)
    expect(done.returncode != 0 and bool(found), f"expected a path MTU for {size} octets, got: {text.strip()}")
    return int(found[1])


class IperfServer:
    """iperf3 in the background, for any number of tests one after another."""

    def __init__(self, space: Namespace, port: int = 5201):
        self.program = space.start(f"{space.name}-iperf3", "iperf3", "--server", "--port", str(port))
        wait_for("iperf3 to listen", lambda: f":{port}" in space.run("ss", "-Hltn").stdout)


def iperf(space: Namespace, target: str, seconds: int = 3, reverse: bool = False, udp: str | None = None) -> dict:
    """One iperf3 run, its JSON result. `udp`: the rate to send at, such as `50M`."""
    command = ["iperf3", "--client", target, "--time", str(seconds), "--json", "--connect-timeout", "3000"]
    command += ["--reverse"] if reverse else []
    command += ["--udp", "--bitrate", udp, "--length", "1200"] if udp else []
    for _ in range(3):  # the server needs a moment between two clients; one that comes too early may end with 0 and an error all the same
        done = space.run(*command, check=False, timeout=seconds + 30)
        result = json.loads(done.stdout or "{}")
        if done.returncode == 0 and "error" not in result:
            break
        time.sleep(1)
    if done.returncode != 0 or "error" in result:
        raise Failed(f"iperf3 to {target}: {result.get('error', done.stderr)}")
    return result["end"]


def tcp_rate(end: dict) -> str:
    received = end["sum_received"]
    expect(received["bytes"] > 100_000, f"only {received['bytes']} octets arrived")
    return f"{received['bits_per_second'] / 1e6:.0f} Mbit/s"


def udp_loss(end: dict) -> tuple[int, int]:
    """(lost, sent) datagrams as the receiving end counted them."""
    total = end.get("sum_received") or end["sum"]
    return int(total["lost_packets"]), int(total["packets"])


class Capture:
    """tcpdump on a link, and what it saw, by kind."""

    def __init__(self, space: Namespace, link: str, file: Path):
        self.file = file
        self.program: Program = space.start(f"{space.name}-tcpdump-{file.stem}", "tcpdump", "-i", link, "-U", "-n", "-s", "200",
                                            "-B", "16384", "-w", str(file))
        wait_for("tcpdump to listen", lambda: "listening on" in self.program.tail())

    def stop(self) -> "Capture":
        self.program.stop()
        return self

    def frames(self):
        """Every captured frame, cut at 200 octets."""
        data = self.file.read_bytes()
        order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
        at = 24
        while at + 16 <= len(data):
            length = struct.unpack_from(order + "I", data, at + 8)[0]
            yield data[at + 16:at + 16 + length]
            at += 16 + length

    def kinds(self) -> Counter:
        return Counter(kind(frame) for frame in self.frames())


def kind(frame: bytes) -> str:
    """What a stranger on the wire would call this frame."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == 0x0806:
        return "ARP"
    if ethertype == 0x0800:
        return transport(frame[23], frame[14 + (frame[14] & 15) * 4:])
    if ethertype == 0x86DD:
        return transport(frame[20], frame[54:])
    return f"EtherType {ethertype:#06x}"


def transport(protocol: int, octets: bytes) -> str:
    if protocol == 50:
        return "ESP"
    if protocol == 17:
        return datagram(octets)
    if protocol == 1 and octets[0] == 3 and octets[17] == 17 and datagram(octets[8 + (octets[8] & 15) * 4:]) == "IKE":
        return "ICMP about IKE"  # its quotation begins with the header of the packet that nobody took
    if protocol == 58 and octets[0] in range(130, 138):
        return "neighbour discovery"
    if protocol in (0, 58):
        return "multicast listener" if protocol == 0 or octets[0] == 143 else f"ICMPv6 type {octets[0]}"
    return {1: "ICMP", 2: "multicast listener", 6: "TCP"}.get(protocol, f"protocol {protocol}")


def datagram(octets: bytes) -> str:
    """IKE is on port 500, and on 4500 with four zeros where ESP has its SPI (RFC 3948 §2.2)."""
    ports = struct.unpack_from("!HH", octets)
    if 500 in ports or 4500 in ports and octets[8:12] == bytes(4):
        return "IKE"
    return "ESP in UDP" if 4500 in ports else "UDP"


def esp_sequences(capture: Capture) -> dict[int, list[int]]:
    """SPI → sequence numbers, in the order seen, of raw ESP over IPv4 or IPv6."""
    seen: dict[int, list[int]] = {}
    for frame in capture.frames():
        if kind(frame) == "ESP":
            offset = 14 + (frame[14] & 15) * 4 if frame[12:14] == b"\x08\x00" else 54
            spi, sequence = struct.unpack_from("!II", frame, offset)
            seen.setdefault(spi, []).append(sequence)
    return seen
