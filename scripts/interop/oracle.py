"""Postern against scapy, an independent encoder and decoder of ESP: scapy seals what Postern must open, opens what Postern sealed,
and makes packets that no honest peer would send."""

from __future__ import annotations

import os
import random
import struct
import sys
import warnings
from pathlib import Path

from lab import cli
from lab.namespaces import Gateway, Lab, build, names
from lab.report import Report, expect
from lab.suites import NO_PEER, Keys, others
from lab.wire import drain, packet_socket

from .matrix import OURS, THEIRS, Case, cases, configuration

warnings.simplefilter("ignore")
from scapy.all import IP, UDP, Ether, IPv6, Raw, conf  # noqa: E402
from cryptography.hazmat.primitives.ciphers import algorithms, modes  # noqa: E402
from scapy.layers.ipsec import ESP, CryptAlgo, SecurityAssociation, _ESPPlain  # noqa: E402

conf.verb = 0
HERE_MAC, GATEWAY_MAC, LAN_MAC = "02:00:00:00:00:09", "02:00:00:00:00:01", "02:00:00:00:01:02"


# One of each kind of cipher gets the whole of what a malicious peer can do.
HOSTILE = ("ENCR_AES_GCM_16_256", "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128", "ENCR_NULL/AUTH_HMAC_SHA1_96", "ENCR_CHACHA20_POLY1305",
           "ENCR_NULL_AUTH_AES_GMAC_256", "ENCR_AES_CCM_8_128", "ENCR_AES_CTR_192/AUTH_AES_CMAC_96", "ENCR_3DES/AUTH_HMAC_SHA1_96")


class World:
    """lan — gw — peer; scapy speaks for the peer and for the machine in the LAN."""

    def __init__(self, lab: Lab, binaries: Path, chosen: list[Case]):
        self.cases = chosen
        self.lan, self.gw, self.peer = (lab.namespace(name) for name in ("or-lan", "or-gw", "or-peer"))
        self.gw.forward()
        lab.veth(self.gw, "lan", self.lan, "eth0")
        lab.veth(self.gw, "wan", self.peer, "eth0")
        for space, link, mac in ((self.gw, "wan", GATEWAY_MAC), (self.peer, "eth0", HERE_MAC), (self.lan, "eth0", LAN_MAC)):
            space.ip("link", "set", link, "address", mac)
        self.gw.addresses("lan", "10.1.0.1/24", "fd01::1/64")
        self.gw.addresses("wan", f"{OURS[4]}/24", f"{OURS[6]}/64")
        self.lan.addresses("eth0", "10.1.0.2/24", "fd01::2/64")
        self.peer.addresses("eth0", f"{THEIRS[4]}/24", f"{THEIRS[6]}/64")
        for version, network, via in (("-4", "10.1.0.0/16", "10.1.0.2"), ("-6", "fd01::/48", "fd01::2")):
            self.gw.ip(version, "route", "add", network, "via", via)
        self.gateway = Gateway(self.gw, binaries, configuration(chosen))
        self.gateway.start()
        self.outside = packet_socket(self.peer, "eth0")
        self.inside = packet_socket(self.lan, "eth0")
        for space, target in ((self.peer, OURS[4]), (self.peer, OURS[6]), (self.lan, "10.1.0.1"), (self.lan, "fd01::1")):
            space.run("ping", "-c", "1", "-W", "3", target)

    def lan_mac(self) -> str:
        """Of the gateway's inside interface."""
        return self.gw.run("cat", "/sys/class/net/lan/address").stdout.strip()


class Peer:
    """One SA pair as scapy keeps it."""

    def __init__(self, world: World, case: Case):
        self.world, self.case = world, case
        self.sequence = 0
        self.sealing = association(case, case.spi_in, case.to_us)
        self.opening = association(case, case.spi_out, case.to_them)

    def seal(self, inner: bytes, sequence: int | None = None, next_header: int | None = None, padding: bytes | None = None,
             pad_length: int | None = None, tail: bytes = b"") -> bytes:
        """One ESP packet. What is not given is as it should be; what is given may be a lie."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        algorithm = self.sealing.crypt_algo
        plain = _ESPPlain(spi=self.case.spi_in, seq=sequence & 0xFFFFFFFF, iv=algorithm.generate_iv())
        plain.data = inner + tail
        plain.nh = next_header if next_header is not None else (4 if inner[:1] and inner[0] >> 4 == 4 else 41)
        plain = algorithm.pad(plain)
        if padding is not None:
            expect(len(padding) == plain.padlen, "the test's padding must have the right length")
            plain.padding = padding
        if pad_length is not None:
            plain.padlen = pad_length
        high = sequence >> 32
        sealed = algorithm.encrypt(self.sealing, plain, self.sealing.crypt_key, None, esn_en=self.case.esn, esn=high)
        self.sealing.auth_algo.sign(sealed, self.sealing.auth_key, esn_en=self.case.esn, esn=high)
        return bytes(sealed)

    def frame(self, esp: bytes, tos: int = 0, source: str | None = None, outer: int | None = None, udp: bool | None = None) -> bytes:
        """The frame that carries one ESP packet to the gateway."""
        outer = outer or self.case.outer
        source = source or THEIRS[outer]
        header = IP(src=source, dst=OURS[outer], tos=tos, id=random.randrange(65536)) if outer == 4 else IPv6(src=source, dst=OURS[outer], tc=tos)
        if self.case.udp if udp is None else udp:
            datagram = UDP(sport=4500, dport=4500, chksum=0) if outer == 4 else UDP(sport=4500, dport=4500)
            packet = header / datagram / Raw(esp)
        else:
            packet = header / Raw(esp)
            if outer == 4:
                packet.proto = 50
            else:
                packet.nh = 50
        return bytes(Ether(src=HERE_MAC, dst=GATEWAY_MAC) / packet)

    def inner(self, version: int = 4, size: int = 64, tos: int = 0, **changes) -> bytes:
        """A UDP packet from the peer's network to ours."""
        case = self.case
        source, destination = changes.pop("src", case.inside(2, version, 7)), changes.pop("dst", case.inside(1, version, 9))
        header = IP(src=source, dst=destination, ttl=20, tos=tos, **changes) if version == 4 else IPv6(src=source, dst=destination, hlim=20, tc=tos, **changes)
        return bytes(header / UDP(sport=1000, dport=2000) / Raw(os.urandom(size)))

    def open(self, frame: bytes) -> bytes:
        """What Postern sealed, opened by scapy: the inner packet."""
        packet = Ether(frame).payload
        esp = ESP(bytes(packet[UDP].payload)) if self.case.udp else ESP(bytes(packet.payload))
        expect(esp.spi == self.case.spi_out, f"SPI {esp.spi:#x}")
        self.opening.auth_algo.verify(esp, self.opening.auth_key, esn_en=self.case.esn, esn=0)
        plain = self.opening.crypt_algo.decrypt(self.opening, esp, self.opening.crypt_key,
                                                self.opening.crypt_algo.icv_size or self.opening.auth_algo.icv_size, esn_en=self.case.esn, esn=0)
        padding = plain.padding if isinstance(plain.padding, bytes) else bytes(plain.padding)
        expect(padding == bytes(range(1, plain.padlen + 1)), f"padding {padding.hex()}")
        return bytes(plain.data)


def association(case: Case, spi: int, keys: Keys) -> SecurityAssociation:
    """One SA. Scapy's own GCM and CCM have an ICV of 16 octets; for shorter ones they are made anew, from the same parts."""
    found = SecurityAssociation(ESP, spi, **keys.scapy(case.suite), esn_en=case.esn)
    octets = case.suite.cipher.icv // 8
    if octets not in (0, 16):
        usual, gcm = found.crypt_algo, found.crypt_algo.name == "AES-GCM"
        found.crypt_algo = CryptAlgo(
            usual.name, cipher=algorithms.AES if gcm else usual.cipher, mode=modes.GCM if gcm else None, key_size=usual.key_size,
            salt_size=usual.salt_size, block_size=1, iv_size=8, icv_size=octets, format_mode_iv=lambda sa, iv, **_: sa.crypt_salt + iv)
    return found


def send(world: World, *frames: bytes) -> list[bytes]:
    """Puts frames on the outside wire; the IP packets that came out inside, by order of arrival."""
    drain_now(world.inside)
    for frame in frames:
        world.outside.send(frame)
    return [frame[14:] for frame in drain(world.inside) if forwarded(frame)]


def forwarded(frame: bytes) -> bool:
    """A UDP packet of ours on its way to the LAN's machine."""
    v4 = frame[12:14] == b"\x08\x00" and frame[23] == 17
    v6 = frame[12:14] == b"\x86\xdd" and frame[20] == 17
    return frame[:6] == bytes.fromhex(LAN_MAC.replace(":", "")) and (v4 or v6)


def drain_now(listener) -> None:
    listener.setblocking(False)
    try:
        while True:
            listener.recv(65536)
    except BlockingIOError:
        pass
    listener.settimeout(0.15)


def hop(packet: bytes) -> bytes:
    """The packet as it looks one router later."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    routed = IP(packet)
    routed.ttl -= 1
    del routed.chksum
    return bytes(routed)


def opens(world: World, case: Case) -> str:
    """Scapy seals, Postern opens: every octet of the inner packet arrives, one hop later."""
    peer = Peer(world, case)
    peer.sequence = 10
    packets = [peer.inner(version, size) for version in (4, 6) for size in (0, 1, 2, 3, 15, 16, 17, 300, 1300)]
    received = send(world, *(peer.frame(peer.seal(packet)) for packet in packets))
    expect(received == [hop(packet) for packet in packets], f"{len(received)} of {len(packets)} arrived as they were sent")
    return f"opened {len(packets)}"


def seals(world: World, case: Case, gateway_mac: str) -> str:
    """Postern seals, scapy opens."""
    peer = Peer(world, case)
    drain_now(world.outside)
    packets = []
    for version in (4, 6):
        for size in (0, 1, 2, 3, 15, 16, 17, 300, 1300):
            source, destination = case.inside(1, version, 9), case.inside(2, version, 7)
            header = IP(src=source, dst=destination, ttl=20) if version == 4 else IPv6(src=source, dst=destination, hlim=20)
            packets.append(bytes(header / UDP(sport=5, dport=6) / Raw(os.urandom(size))))
            world.inside.send(bytes(Ether(src=LAN_MAC, dst=gateway_mac)) [:12] + (b"\x08\x00" if version == 4 else b"\x86\xdd") + packets[-1])
    frames = [frame for frame in drain(world.outside) if frame[6:12] == bytes.fromhex(GATEWAY_MAC.replace(":", "")) and carries(frame, case)]
    opened = [peer.open(frame) for frame in frames]
    expect(opened == [hop(packet) for packet in packets], f"{len(opened)} of {len(packets)} came out as they went in")
    return f"sealed {len(packets)}"


def carries(frame: bytes, case: Case) -> bool:
    """Whether the frame is ESP of this case's outbound SA."""
    offset = 14 + (20 if case.outer == 4 else 40) + (8 if case.udp else 0)
    return frame[offset:offset + 4] == struct.pack("!I", case.spi_out)


def counted(world: World, expected: dict[str, int], *frames: bytes) -> str:
    """Sends; nothing may come through, and exactly these drops are counted."""
    received = world.gateway.counted(expected, lambda: send(world, *frames))
    expect(not received, f"{len(received)} packets came through")
    return names(expected)


def hostile(report: Report, world: World, case: Case) -> None:
    """What a malicious or broken peer sends, keys in hand or not (RFC 4303, RFC 4301 §5.2)."""
    peer = Peer(world, case)
    peer.sequence = 2000
    seal, inner, frame = peer.seal, peer.inner, peer.frame
    pad = lambda packet: -(len(packet) + 2) % max(4, peer.sealing.crypt_algo.block_size)
    rows = {
        "good packet, to set the window": None,
        "sequence number 0": ({"bad_icv" if case.esn else "sequence_zero": 1}, lambda: [frame(seal(inner(), sequence=0))]),
        "the same packet twice": ({"replay_duplicate": 1}, lambda: [frame(seal(inner(), sequence=2001))]),
        # With ESN such a number is taken for one of the next subspace (RFC 4303 Appendix A2.2): then the ICV is wrong.
        "left of the window": ({"bad_icv" if case.esn else "replay_late": 1}, lambda: [frame(seal(inner(), sequence=900))]),
        "far ahead with a bad ICV": ({"bad_icv": 1}, lambda: [broken(frame(seal(inner(), sequence=900_000)))]),
        "padding of zeros": ({"bad_padding": 1}, lambda: [frame(seal(padded(inner), padding=bytes(pad(padded(inner)))))]),
        "pad length beyond the ciphertext": ({"bad_pad_length": 1}, lambda: [frame(seal(inner(size=8), pad_length=255))]),
        "dummy packet": ({"dummy": 1}, lambda: [frame(seal(os.urandom(40), next_header=59))]),
        "next header TCP in tunnel mode": ({"bad_next_header": 1}, lambda: [frame(seal(inner(), next_header=6))]),
        "IPv6 said, IPv4 inside": ({"malformed_inner": 1}, lambda: [frame(seal(inner(), next_header=41))]),
        "inner packet cut short": ({"malformed_inner": 1}, lambda: [frame(seal(inner()[:-20]))]),
        "inner packet empty": ({"malformed_inner": 1}, lambda: [frame(seal(b"", next_header=4))]),
        "inner source of another tenant": ({"bad_selector": 1}, lambda: [frame(seal(inner(src="10.2.250.1")))]),
        "inner destination of another tenant": ({"bad_selector": 1}, lambda: [frame(seal(inner(dst="10.1.250.1")))]),
        "inner source is loopback": ({"martian": 1}, lambda: [frame(seal(inner(src="127.0.0.1")))]),
        "inner destination is multicast": ({"martian": 1}, lambda: [frame(seal(inner(dst="224.0.0.5")))]),
        "the peer's SPI from a stranger": ({"wrong_address": 1}, lambda: [frame(seal(inner()), source="192.0.2.77" if case.outer == 4 else "2001:db8::77")]),
        "the right SPI in the wrong family": ({"wrong_address": 1}, lambda: [frame(seal(inner()), outer=10 - case.outer)]),
        "the right SPI in the wrong encapsulation": ({"wrong_encap": 1}, lambda: [frame(seal(inner()), udp=not case.udp)]),
        "CE outside, not ECN-capable inside": ({"ecn_illegal": 1}, lambda: [frame(seal(inner()), tos=3)]),
        "plaintext where policy wants protection": ({"plaintext_outside": 1}, lambda: [bytes(Ether(src=HERE_MAC, dst=GATEWAY_MAC))[:12] + b"\x08\x00" + inner()]),
    }
    for name, row in rows.items():
        label = f"{name} ({case.name})"
        if row is None:
            report.check(label, lambda: accepted(world, [frame(seal(inner()))]))
        else:
            report.check(label, lambda: counted(world, row[0], *row[1]()))
    report.check(f"padding for traffic flow confidentiality is cut off ({case.name})", lambda: trimmed(world, peer))
    report.check(f"ECN, all 16 pairs ({case.name})", lambda: ecn(world, peer))
    report.check(f"shuffled within the window ({case.name})", lambda: shuffled(world, peer))
    report.check(f"still alive ({case.name})", lambda: accepted(world, [frame(seal(inner()))]))


def padded(inner) -> bytes:
    """An inner packet that needs at least one octet of padding in every suite."""
    return inner(size=65)[:28 + 65]


def broken(frame: bytes) -> bytes:
    return frame[:-1] + bytes([frame[-1] ^ 1])


def accepted(world: World, frames: list[bytes]) -> str:
    received = send(world, *frames)
    expect(len(received) == len(frames), f"{len(received)} of {len(frames)} came through; drops {world.gateway.drops()}")
    return f"{len(frames)} accepted"


def trimmed(world: World, peer: Peer) -> str:
    packet = peer.inner()
    received = send(world, peer.frame(peer.seal(packet, tail=os.urandom(200))))
    expect(received == [hop(packet)], f"{len(received)} came through")
    return "200 octets of padding removed"


def ecn(world: World, peer: Peer) -> str:
    """RFC 6040 §4.2, figure 4: rows inner, columns outer; None is a drop."""
    table = {0: (0, 0, 0, None), 1: (1, 1, 1, 3), 2: (2, 1, 2, 3), 3: (3, 3, 3, 3)}
    for inside, results in table.items():
        for outside, result in enumerate(results):
            received = send(world, peer.frame(peer.seal(peer.inner(tos=inside)), tos=outside))
            got = received[0][1] & 3 if received else None
            expect(got == result, f"inner {inside}, outer {outside}: {got}, not {result}")
    return "all as in the table"


def shuffled(world: World, peer: Peer) -> str:
    base, peer.sequence = peer.sequence, peer.sequence + 200
    numbers = list(range(base + 1, base + 201))
    random.shuffle(numbers)
    return accepted(world, [peer.frame(peer.seal(peer.inner(size=8), sequence=number)) for number in numbers])


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--only", help="run only cases whose name contains this")
    arguments = parser.parse_args()
    report = Report("Interop with scapy's ESP")
    binaries = arguments.binaries or build()
    with Lab(keep_logs=arguments.logs) as lab:
        chosen = [case for case in cases() if case.suite.in_scapy and (not arguments.only or arguments.only in case.name)]
        report.step(f"starting a gateway with {2 * len(chosen)} SAs")
        world = World(lab, binaries, chosen)
        mac = world.lan_mac()
        for case in chosen:
            report.check(case.name, lambda: f"{opens(world, case)}, {seals(world, case, mac)}")
        for case in [c for c in chosen if c.suite.name in HOSTILE and (c.outer == 4 if c.suite in others() else c.esn != c.udp)]:
            hostile(report, world, case)
    for name in [] if arguments.only else (*NO_PEER, "AUTH_AES_XCBC_96"):
        report.absent(name, "not in scapy: " + ("the Linux kernel has it" if name not in NO_PEER else "published vectors only (dataplane/crypto)"))
    return report.finish(arguments.output)


if __name__ == "__main__":
    sys.exit(main())
