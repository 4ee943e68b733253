#!/usr/bin/env python3
"""Whole ESP packets (RFC 4303) of every suite, with and without ESN, made by an implementation that
shares no code with ours: Python's `cryptography` (OpenSSL), and what OpenSSL lacks from the RFCs, here.
Rewrites esp.txt beside this script.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install cryptography && /tmp/venv/bin/python esp.py

The same every time: all "random" octets come from SHA-256 of a running number.
"""

import hashlib
import pathlib
import warnings

from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, IDEA, Blowfish
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC

warnings.simplefilter("ignore")  # old ciphers are why some of this exists

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


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def trailer(inner, block):
    """Padding 1, 2, 3 ... up to the block, pad length, next header 4 (RFC 4303 section 2.4)."""
    pad = -(len(inner) + 2) % block
    return bytes(range(1, pad + 1)) + bytes([pad, 4])


# -- integrity ------------------------------------------------------------------------------------


def hmac_of(algorithm):
    def mac(key, data):
        keyed = hmac.HMAC(key, algorithm())
        keyed.update(data)
        return keyed.finalize()

    return mac


def cmac(key, data):
    """RFC 4494."""
    keyed = CMAC(algorithms.AES(key))
    keyed.update(data)
    return keyed.finalize()


def aes_block(key, block):
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return ecb.update(block)


def xcbc(key, data):
    """RFC 3566."""
    k1, k2, k3 = (aes_block(key, bytes([n]) * 16) for n in (1, 2, 3))
    blocks = [data[at : at + 16] for at in range(0, len(data), 16)] or [b""]
    last = blocks.pop()
    if len(last) == 16:
        last = xor(last, k2)
    else:
        last = xor((last + b"\x80").ljust(16, b"\0"), k3)
    state = bytes(16)
    for block in [*blocks, last]:
        state = aes_block(k1, xor(state, block))
    return state


def keyed_md5(key, data):
    """RFC 1828: the key is filled as MD5 fills a message."""
    zeros = -(len(key) + 1 + 8) % 64
    fill = b"\x80" + bytes(zeros) + (8 * len(key)).to_bytes(8, "little")
    return hashlib.md5(key + fill + data + key).digest()


# name: (function, octets of the key, octets of the ICV)
INTEGRITY = {
    "AUTH_HMAC_SHA1_96": (hmac_of(hashes.SHA1), 20, 12),
    "AUTH_HMAC_SHA2_256_128": (hmac_of(hashes.SHA256), 32, 16),
    "AUTH_HMAC_SHA2_384_192": (hmac_of(hashes.SHA384), 48, 24),
    "AUTH_HMAC_SHA2_512_256": (hmac_of(hashes.SHA512), 64, 32),
    "AUTH_HMAC_MD5_96": (hmac_of(hashes.MD5), 16, 12),
    "AUTH_AES_XCBC_96": (xcbc, 16, 12),
    "AUTH_AES_CMAC_96": (cmac, 16, 12),
    "AUTH_KPDK_MD5": (keyed_md5, 16, 16),
}
# RFC 1828 is for AH; only a packet that nobody encrypts comes near it
BEHIND_A_CIPHER = [name for name in INTEGRITY if name != "AUTH_KPDK_MD5"]

# -- ciphers --------------------------------------------------------------------------------------


class Rc5:
    """RC5-32/16 (RFC 2040)."""

    def __init__(self, key):
        words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, len(key), 4)]
        table = [(0xB7E15163 + n * 0x9E3779B9) & 0xFFFFFFFF for n in range(34)]
        a = b = 0
        for n in range(3 * max(34, len(words))):
            a = table[n % 34] = self.left(table[n % 34] + a + b, 3)
            b = words[n % len(words)] = self.left(words[n % len(words)] + a + b, a + b)
        self.table = table

    @staticmethod
    def left(word, count):
        word, count = word & 0xFFFFFFFF, count % 32
        return (word << count | word >> (32 - count)) & 0xFFFFFFFF

    def block(self, octets):
        a = int.from_bytes(octets[:4], "little") + self.table[0] & 0xFFFFFFFF
        b = int.from_bytes(octets[4:], "little") + self.table[1] & 0xFFFFFFFF
        for n in range(1, 17):
            a = self.left(a ^ b, b) + self.table[2 * n] & 0xFFFFFFFF
            b = self.left(b ^ a, a) + self.table[2 * n + 1] & 0xFFFFFFFF
        return a.to_bytes(4, "little") + b.to_bytes(4, "little")


def ecb(algorithm):
    both = Cipher(algorithm, modes.ECB())
    return (lambda block: both.encryptor().update(block)), (lambda block: both.decryptor().update(block))


def triple_idea(key):
    """Encrypt, decrypt, encrypt, as RFC 2451 has it for DES."""
    (one, _), (_, two), (three, _) = (ecb(IDEA(key[at : at + 16])) for at in (0, 16, 32))
    return lambda block: three(two(one(block)))


def des(key):
    """As three equal keys: OpenSSL has the single one no more."""
    return ecb(algorithms.TripleDES(key * 3))[0]


def simple(algorithm):
    return lambda key: ecb(algorithm(key))[0]


# name: (octets of the key, key to function that encrypts a block)
LEGACY = {
    "ENCR_DES": (8, des),
    "ENCR_3DES": (24, simple(algorithms.TripleDES)),
    "ENCR_CAST_40": (5, simple(CAST5)),
    "ENCR_CAST_80": (10, simple(CAST5)),
    "ENCR_CAST_128": (16, simple(CAST5)),
    "ENCR_BLOWFISH_40": (5, simple(Blowfish)),
    "ENCR_BLOWFISH_128": (16, simple(Blowfish)),
    "ENCR_BLOWFISH_448": (56, simple(Blowfish)),
    "ENCR_RC5_40": (5, lambda key: Rc5(key).block),
    "ENCR_RC5_128": (16, lambda key: Rc5(key).block),
    "ENCR_RC5_2040": (255, lambda key: Rc5(key).block),
    "ENCR_IDEA": (16, simple(IDEA)),
    "ENCR_3IDEA": (48, triple_idea),
}


def chained(encrypt, iv, payload):
    """CBC (RFC 2451) over a function that encrypts one block."""
    out = [iv]
    for at in range(0, len(payload), len(iv)):
        out.append(encrypt(xor(out[-1], payload[at : at + len(iv)])))
    return b"".join(out[1:])


# -- packets --------------------------------------------------------------------------------------


def aead(key_len, salt_len, seal, esn, spi, sequence, inner):
    """RFC 4106, 4309, 7634. The explicit IV is a 24-bit epoch and the packet's 40-bit number."""
    key, salt, epoch = octets(key_len), octets(salt_len), octets(3)
    header = spi + (sequence & 0xFFFFFFFF).to_bytes(4, "big")
    payload = inner + trailer(inner, 4)
    aad = spi + sequence.to_bytes(8, "big") if esn else header
    iv = epoch + sequence.to_bytes(5, "big")
    packet = header + iv + seal(key, salt + iv, payload, aad)
    return {"epoch": epoch, "key": key + salt, "integrity_key": b"", "payload": payload, "packet": packet}


def gcm(icv_len):
    """SP 800-38D: a shorter tag is the beginning of the whole one."""

    def seal(key, nonce, payload, aad):
        sealed = AESGCM(key).encrypt(nonce, payload, aad)
        return sealed[: len(sealed) - 16 + icv_len]

    return seal


def gmac(key, nonce, payload, aad):
    """RFC 4543: the payload is authenticated as it stands, behind the IV."""
    return payload + AESGCM(key).encrypt(nonce, b"", aad + nonce[4:] + payload)


def ccm(icv_len):
    return lambda key, nonce, payload, aad: AESCCM(key, icv_len).encrypt(nonce, payload, aad)


def chacha(key, nonce, payload, aad):
    return ChaCha20Poly1305(key).encrypt(nonce, payload, aad)


def null(payload, _sequence):
    """RFC 2410."""
    return b"", b"", b"", payload


def aes_cbc(bits):
    """RFC 3602."""

    def run(payload, _sequence):
        key, iv = octets(bits // 8), octets(16)
        cbc = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return key, b"", iv, cbc.update(payload)

    return run


def aes_ctr(bits):
    """RFC 3686; the explicit IV as in `aead`."""

    def run(payload, sequence):
        key, nonce, epoch = octets(bits // 8), octets(4), octets(3)
        iv = epoch + sequence.to_bytes(5, "big")
        ctr = Cipher(algorithms.AES(key), modes.CTR(nonce + iv + b"\0\0\0\1")).encryptor()
        return key + nonce, epoch, iv, ctr.update(payload)

    return run


def legacy(name):
    """RFC 2405, RFC 2451."""

    def run(payload, _sequence):
        key_len, keyed = LEGACY[name]
        key, iv = octets(key_len), octets(8)
        return key, b"", iv, chained(keyed(key), iv, payload)

    return run


def with_mac(cipher, block, integrity, esn, spi, sequence, inner):
    """Encrypt, then MAC; with ESN over the number's high half as well."""
    mac, key_len, icv_len = INTEGRITY[integrity]
    header = spi + (sequence & 0xFFFFFFFF).to_bytes(4, "big")
    payload = inner + trailer(inner, block)
    key, epoch, iv, body = cipher(payload, sequence)
    integrity_key = octets(key_len)
    high = (sequence >> 32).to_bytes(4, "big") if esn else b""
    packet = header + iv + body
    packet += mac(integrity_key, packet + high)[:icv_len]
    return {"epoch": epoch, "key": key, "integrity_key": integrity_key, "payload": payload, "packet": packet}


def suites():
    for bits in BITS:
        for icv_len in (16, 12, 8):
            yield f"ENCR_AES_GCM_{icv_len}_{bits}", (aead, bits // 8, 4, gcm(icv_len))
        yield f"ENCR_NULL_AUTH_AES_GMAC_{bits}", (aead, bits // 8, 4, gmac)
        for icv_len in (16, 12, 8):
            yield f"ENCR_AES_CCM_{icv_len}_{bits}", (aead, bits // 8, 3, ccm(icv_len))
    yield "ENCR_CHACHA20_POLY1305", (aead, 32, 4, chacha)
    for bits in BITS:
        for name in BEHIND_A_CIPHER:
            yield f"ENCR_AES_CTR_{bits}/{name}", (with_mac, aes_ctr(bits), 4, name)
            yield f"ENCR_AES_CBC_{bits}/{name}", (with_mac, aes_cbc(bits), 16, name)
    for name in INTEGRITY:
        yield f"ENCR_NULL/{name}", (with_mac, null, 4, name)
    for cipher in LEGACY:
        for name in BEHIND_A_CIPHER:
            yield f"{cipher}/{name}", (with_mac, legacy(cipher), 8, name)


def main():
    lines = ["# Made by esp.py. Octets in hex; `sequence` in full; `payload` is inner packet and trailer."]
    turn = 0
    for name, (make, *how) in suites():
        # one packet of each old cipher with each integrity will do: the parts have tests of their own
        for esn in (False, True):
            for _ in range(1 if name.split("/")[0] in LEGACY else 3):
                inner = octets(LENGTHS[turn % len(LENGTHS)])
                sequence = 1 + int.from_bytes(octets(4), "big") % 0xFFFFFFFF
                if esn:
                    sequence |= (1 + turn % 0xFF) << 32
                spi = (256 + turn).to_bytes(4, "big")
                turn += 1
                made = make(*how, esn, spi, sequence, inner)
                lines += ["", f"suite = {name}", f"esn = {int(esn)}", f"sequence = {sequence}"]
                lines += [f"{field} = {value.hex()}" for field, value in made.items()]
    pathlib.Path(__file__).with_name("esp.txt").write_text("\n".join(lines) + "\n")


main()
