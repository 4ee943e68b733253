#!/usr/bin/env python3
"""Whole ESP packets (RFC 4303) of every suite, with and without ESN, made by an implementation that
shares no code with ours: Python's `cryptography` (OpenSSL). Rewrites esp.txt beside this script.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install cryptography && /tmp/venv/bin/python esp.py

The same every time: all "random" octets come from SHA-256 of a running number.
"""

import hashlib
import pathlib

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# name: (hash, octets of the key, octets of the ICV)
INTEGRITY = {
    "AUTH_HMAC_SHA1_96": (hashes.SHA1, 20, 12),
    "AUTH_HMAC_SHA2_256_128": (hashes.SHA256, 32, 16),
    "AUTH_HMAC_SHA2_384_192": (hashes.SHA384, 48, 24),
    "AUTH_HMAC_SHA2_512_256": (hashes.SHA512, 64, 32),
}
BITS = (128, 192, 256)
# octets of the inner packet: none, one, both sides of a cipher block and of a hash block, and long
LENGTHS = (0, 1, 13, 14, 15, 30, 46, 64, 111, 512, 1420)

drawn = 0


def octets(count):
    """`count` octets that look random and never change."""
    global drawn
    out = b""
    while len(out) < count:
        out += hashlib.sha256(b"postern esp vectors %d" % drawn).digest()
        drawn += 1
    return out[:count]


def trailer(inner, block):
    """Padding 1, 2, 3 ... up to the block, pad length, next header 4 (RFC 4303 section 2.4)."""
    pad = -(len(inner) + 2) % block
    return bytes(range(1, pad + 1)) + bytes([pad, 4])


def gcm(bits, esn, spi, sequence, inner):
    """RFC 4106. The explicit IV is a 24-bit epoch and the packet's 40-bit number."""
    key, salt, epoch = octets(bits // 8), octets(4), octets(3)
    header = spi + (sequence & 0xFFFFFFFF).to_bytes(4, "big")
    payload = inner + trailer(inner, 4)
    aad = spi + sequence.to_bytes(8, "big") if esn else header
    iv = epoch + sequence.to_bytes(5, "big")
    packet = header + iv + AESGCM(key).encrypt(salt + iv, payload, aad)
    return {"epoch": epoch, "key": key + salt, "integrity_key": b"", "payload": payload, "packet": packet}


def with_mac(bits, integrity, esn, spi, sequence, inner):
    """RFC 3602 (or RFC 2410 when `bits` is 0) with RFC 2404 or RFC 4868: encrypt, then MAC."""
    algorithm, key_len, icv_len = INTEGRITY[integrity]
    key, integrity_key = octets(bits // 8), octets(key_len)
    header = spi + (sequence & 0xFFFFFFFF).to_bytes(4, "big")
    payload = inner + trailer(inner, 16 if bits else 4)
    iv, body = b"", payload
    if bits:
        iv = octets(16)
        cbc = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        body = cbc.update(payload) + cbc.finalize()
    mac = hmac.HMAC(integrity_key, algorithm())
    mac.update(header + iv + body)
    if esn:
        mac.update((sequence >> 32).to_bytes(4, "big"))
    packet = header + iv + body + mac.finalize()[:icv_len]
    return {"epoch": b"", "key": key, "integrity_key": integrity_key, "payload": payload, "packet": packet}


def suites():
    for bits in BITS:
        yield f"ENCR_AES_GCM_16_{bits}", lambda *rest, b=bits: gcm(b, *rest)
    for bits in BITS:
        for name in INTEGRITY:
            yield (
                f"ENCR_AES_CBC_{bits}/{name}",
                lambda *rest, b=bits, n=name: with_mac(b, n, *rest),
            )
    for name in INTEGRITY:
        yield f"ENCR_NULL/{name}", lambda *rest, n=name: with_mac(0, n, *rest)


def main():
    lines = ["# Made by esp.py. Octets in hex; `sequence` in full; `payload` is inner packet and trailer."]
    turn = 0
    for name, make in suites():
        for esn in (False, True):
            for _ in range(3):
                inner = octets(LENGTHS[turn % len(LENGTHS)])
                sequence = 1 + int.from_bytes(octets(4), "big") % 0xFFFFFFFF
                if esn:
                    sequence |= (1 + turn % 0xFF) << 32
                spi = (256 + turn).to_bytes(4, "big")
                turn += 1
                made = make(esn, spi, sequence, inner)
                lines += ["", f"suite = {name}", f"esn = {int(esn)}", f"sequence = {sequence}"]
                lines += [f"{field} = {value.hex()}" for field, value in made.items()]
    pathlib.Path(__file__).with_name("esp.txt").write_text("\n".join(lines) + "\n")


main()
