#!/usr/bin/env python3
"""Makes the vectors beside it, from hashlib, hmac, integers and the `cryptography` package: nothing of ours.

Run by hand (python3 make.py) when something is added; the tests read what is committed. Everything is
drawn from SHAKE-256 of a name, so a second run writes the same files.
"""

import hashlib
import hmac
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

HERE = Path(__file__).parent


def draw(name, length):
    return hashlib.shake_256(name.encode()).digest(length)


def write(name, blocks):
    lines = ["# Made by make.py; do not edit."]
    for block in blocks:
        lines += [""] + [f"{key} = {value.hex() if isinstance(value, bytes) else value}" for key, value in block.items()]
    (HERE / name).write_text("\n".join(lines) + "\n")


# --- PRFs (RFC 2104, RFC 4434, RFC 4615)

def aes_block(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def xcbc(key, message):
    k1, k2, k3 = (aes_block(key, bytes([n] * 16)) for n in (1, 2, 3))
    blocks = [message[at:at + 16] for at in range(0, len(message), 16)] or [b""]
    last = blocks.pop()
    last = xor(last, k2) if len(last) == 16 else xor((last + b"\x80").ljust(16, b"\0"), k3)
    state = bytes(16)
    for block in blocks + [last]:
        state = aes_block(k1, xor(state, block))
    return state


def cmac(key, message):
    state = CMAC(algorithms.AES(key))
    state.update(message)
    return state.finalize()


def xcbc_prf(key, message):
    return xcbc(xcbc(bytes(16), key) if len(key) > 16 else key.ljust(16, b"\0"), message)


def cmac_prf(key, message):
    return cmac(key if len(key) == 16 else cmac(bytes(16), key), message)


def hmac_of(digest):
    return lambda key, message: hmac.new(key, message, digest).digest()


PRFS = {
    "PRF_HMAC_MD5": (hmac_of("md5"), 16),
    "PRF_HMAC_SHA1": (hmac_of("sha1"), 20),
    "PRF_HMAC_SHA2_256": (hmac_of("sha256"), 32),
    "PRF_HMAC_SHA2_384": (hmac_of("sha384"), 48),
    "PRF_HMAC_SHA2_512": (hmac_of("sha512"), 64),
    "PRF_AES128_XCBC": (xcbc_prf, 16),
    "PRF_AES128_CMAC": (cmac_prf, 16),
}
INTEG = {  # hash, octets of key and ICV
    "AUTH_HMAC_MD5_96": (hmac_of("md5"), 16, 12),
    "AUTH_HMAC_SHA1_96": (hmac_of("sha1"), 20, 12),
    "AUTH_HMAC_SHA2_256_128": (hmac_of("sha256"), 32, 16),
    "AUTH_HMAC_SHA2_384_192": (hmac_of("sha384"), 48, 24),
    "AUTH_HMAC_SHA2_512_256": (hmac_of("sha512"), 64, 32),
    "AUTH_AES_XCBC_96": (xcbc, 16, 12),
    "AUTH_AES_CMAC_96": (cmac, 16, 12),
}


def prf_plus(prf, key, seed, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = prf(key, block + seed + bytes([counter]))
        out, counter = out + block, counter + 1
    return out[:length]


def cut(octets, lengths):
    at, parts = 0, []
    for length in lengths:
        parts.append(octets[at:at + length])
        at += length
    return parts


# --- derivations (RFC 7296 §2.13 to §2.18)

def derivation(name, encr, encr_len, integ, ni_len, nr_len, secret_len, psk_len=20):
    prf, length = PRFS[name]
    integ_len = INTEG[integ][1] if integ else 0
    tag = f"{name} {encr} {integ} {ni_len}"
    ni, nr = draw(tag + " Ni", ni_len), draw(tag + " Nr", nr_len)
    spi_i, spi_r = draw(tag + " SPIi", 8), draw(tag + " SPIr", 8)
    shared, shared2 = draw(tag + " g^ir", secret_len), draw(tag + " g^ir (new)", secret_len)
    psk, message, ident = draw(tag + " psk", psk_len), draw(tag + " message", 60), draw(tag + " ID", 12)
    seed_key = ni[:8] + nr[:8] if name.startswith("PRF_AES128") else ni + nr
    skeyseed = prf(seed_key, shared)
    lengths = [length, integ_len, integ_len, encr_len, encr_len, length, length]
    d, ai, ar, ei, er, pi, pr = cut(prf_plus(prf, skeyseed, ni + nr + spi_i + spi_r, sum(lengths)), lengths)
    octets_i = message + nr + prf(pi, ident)
    octets_r = message + ni + prf(pr, ident)
    return {
        "prf": name, "encr": encr, "integ": integ or "NONE",
        "ni": ni, "nr": nr, "spi_i": spi_i, "spi_r": spi_r, "shared": shared,
        "skeyseed": skeyseed, "d": d, "ai": ai, "ar": ar, "ei": ei, "er": er, "pi": pi, "pr": pr,
        "rekeyed_shared": shared2, "rekeyed_skeyseed": prf(d, shared2 + ni + nr),
        "keymat": prf_plus(prf, d, ni + nr, 200), "keymat_pfs": prf_plus(prf, d, shared2 + ni + nr, 200),
        "message": message, "id": ident, "octets_i": octets_i, "octets_r": octets_r,
        "psk": psk, "auth_i": prf(prf(psk, b"Key Pad for IKEv2"), octets_i),
    }


def derivations():
    for name in PRFS:
        for ni_len, nr_len in ((16, 16), (32, 32), (256, 17), (8, 24)):
            # shared keys shorter and longer than any PRF's block
            yield derivation(name, "ENCR_AES_GCM_16_256", 36, None, ni_len, nr_len, 32, ni_len // 2)
        for integ in INTEG:
            yield derivation(name, "ENCR_AES_CBC_256", 32, integ, 32, 48, 66)
    for encr, length in (("ENCR_CHACHA20_POLY1305", 36), ("ENCR_AES_CCM_16_192", 27)):
        yield derivation("PRF_HMAC_SHA2_256", encr, length, None, 32, 32, 384)
    for encr, length in (("ENCR_AES_CTR_192", 28), ("ENCR_3DES", 24)):
        yield derivation("PRF_HMAC_SHA1", encr, length, "AUTH_HMAC_SHA1_96", 20, 20, 66)


# --- messages (RFC 7296 §3.14, RFC 5282, RFC 5930, RFC 7383)

def run(cipher, data):
    encryptor = cipher.encryptor()
    return encryptor.update(data) + encryptor.finalize()


def gcm(key, iv, aad, data, tag_len):
    encryptor = Cipher(algorithms.AES(key[:-4]), modes.GCM(key[-4:] + iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    return encryptor.update(data) + encryptor.finalize() + encryptor.tag[:tag_len]


ENCR = {}
for bits in (128, 192, 256):
    for icv in (16, 12, 8):
        ENCR[f"ENCR_AES_GCM_{icv}_{bits}"] = (bits // 8 + 4, 8, 1, lambda k, iv, aad, d, icv=icv: gcm(k, iv, aad, d, icv), icv)
        ENCR[f"ENCR_AES_CCM_{icv}_{bits}"] = (
            bits // 8 + 3, 8, 1, lambda k, iv, aad, d, icv=icv: AESCCM(k[:-3], icv).encrypt(k[-3:] + iv, d, aad), icv)
    ENCR[f"ENCR_AES_CTR_{bits}"] = (
        bits // 8 + 4, 8, 1,
        lambda k, iv, aad, d: run(Cipher(algorithms.AES(k[:-4]), modes.CTR(k[-4:] + iv + b"\0\0\0\1")), d), 0)
    ENCR[f"ENCR_AES_CBC_{bits}"] = (bits // 8, 16, 16, lambda k, iv, aad, d: run(Cipher(algorithms.AES(k), modes.CBC(iv)), d), 0)
ENCR["ENCR_CHACHA20_POLY1305"] = (36, 8, 1, lambda k, iv, aad, d: ChaCha20Poly1305(k[:-4]).encrypt(k[-4:] + iv, d, aad), 16)
ENCR["ENCR_3DES"] = (24, 8, 8, lambda k, iv, aad, d: run(Cipher(TripleDES(k), modes.CBC(iv)), d), 0)


def message(encr, integ, length, fragment=None):
    key_len, iv_len, block, seal, tag_len = ENCR[encr]
    tag = f"{encr} {integ} {length} {fragment}"
    # counter modes: the IV of the first message of a key
    iv = bytes(8) if block == 1 else draw(tag + " IV", iv_len)
    key, payloads = draw(tag + " key", key_len), draw(tag + " payloads", length)
    mac, mac_len, icv_len = INTEG[integ] if integ else (None, 0, 0)
    integ_key = draw(tag + " integrity", mac_len)
    pad = -(length + 1) % block
    plain = payloads + bytes(pad) + bytes([pad])
    between = b"" if fragment is None else fragment[0].to_bytes(2, "big") + fragment[1].to_bytes(2, "big")
    payload_len = 4 + len(between) + iv_len + len(plain) + tag_len + icv_len
    header = draw(tag + " SPIs", 16) + bytes([46 if fragment is None else 53, 0x20, 35, 0x08, 0, 0, 0, 1])
    header += (28 + payload_len).to_bytes(4, "big")
    first = 0 if length == 0 or (fragment and fragment[0] > 1) else 35
    aad = header + bytes([first, 0]) + payload_len.to_bytes(2, "big") + between
    sealed = aad + iv + seal(key, iv, aad, plain)
    if integ:
        sealed += mac(integ_key, sealed)[:icv_len]
    return {
        "encr": encr, "integ": integ or "NONE", "encr_key": key, "integ_key": integ_key, "iv": iv, "first": first,
        "payloads": payloads, "sealed": sealed,
    }


def messages():
    for encr, (*_, tag_len) in ENCR.items():
        integs = [None] if tag_len else INTEG
        for integ in integs:
            for length in (0, 1, 15, 16, 50):
                yield message(encr, integ, length)
            yield message(encr, integ, 40, (1, 1))


# --- key exchange (RFC 7296 §B, RFC 3526, RFC 5903, RFC 7748)

def pi_floor(bits):
    """floor(2^bits * pi), by Machin's formula."""
    one = 1 << (bits + 64)

    def arctan(x):
        term, total, n, sign = one // x, one // x, 1, 1
        while term:
            term, n, sign = term // (x * x), n + 2, -sign
            total += sign * (term // n)
        return total
    return (4 * (4 * arctan(5) - arctan(239))) >> 64


MODP = {
    "MODP_1024": (1024, 129093, 32), "MODP_1536": (1536, 741804, 32), "MODP_2048": (2048, 124476, 40),
    "MODP_3072": (3072, 1690314, 56), "MODP_4096": (4096, 240904, 64), "MODP_6144": (6144, 929484, 72),
    "MODP_8192": (8192, 4743158, 80),
}


def agreements():
    for name, (bits, k, exponent_len) in MODP.items():
        prime = 2**bits - 2**(bits - 64) - 1 + 2**64 * (pi_floor(bits - 130) + k)
        for n in range(2):
            a, b = (draw(f"{name} {side} {n}", exponent_len) for side in "ab")
            # the product sets the highest bit of what it draws
            x, y = (int.from_bytes(bytes([s[0] | 0x80]) + s[1:], "big") for s in (a, b))
            octets = lambda value: value.to_bytes(bits // 8, "big")
            yield {"group": name, "drawn": a, "public": octets(pow(2, x, prime)), "peer": octets(pow(2, y, prime)),
                   "shared": octets(pow(2, x * y, prime))}
    for name, curve, length in (("ECP_256", ec.SECP256R1(), 32), ("ECP_384", ec.SECP384R1(), 48), ("ECP_521", ec.SECP521R1(), 66)):
        for n in range(3):
            a, b = (draw(f"{name} {side} {n}", length) for side in "ab")
            if name == "ECP_521":
                a, b = (bytes([s[0] & 1]) + s[1:] for s in (a, b))
            a_key, b_key = (ec.derive_private_key(int.from_bytes(s, "big"), curve) for s in (a, b))

            def point(key):
                numbers = key.public_key().public_numbers()
                return numbers.x.to_bytes(length, "big") + numbers.y.to_bytes(length, "big")
            yield {"group": name, "drawn": a, "public": point(a_key), "peer": point(b_key),
                   "shared": a_key.exchange(ec.ECDH(), b_key.public_key())}
    for n in range(3):
        a, b = (draw(f"Curve25519 {side} {n}", 32) for side in "ab")
        a_key, b_key = (x25519.X25519PrivateKey.from_private_bytes(s) for s in (a, b))
        yield {"group": "Curve25519", "drawn": a, "public": a_key.public_key().public_bytes_raw(),
               "peer": b_key.public_key().public_bytes_raw(), "shared": a_key.exchange(b_key.public_key())}


# --- proofs by signature (RFC 7296 §3.8, RFC 4754, RFC 7427, RFC 8420)

HASH = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
# AlgorithmIdentifiers of RFC 7427 Appendix A and RFC 8420 Appendix A, put together from their object identifiers
RSA_OID, SHA2_OID = "2a864886f70d0101", "6086480165030402"
NUMBER = {"sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13}


def der(tag, *parts):
    content = b"".join(parts)
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def pkcs1_identifier(name):
    return der(0x30, der(6, bytes.fromhex(RSA_OID) + bytes([NUMBER[name]])), der(5))


def pss_identifier(name, salt_len):
    digest = der(0x30, der(6, bytes.fromhex(SHA2_OID) + bytes([NUMBER[name] - 10])), der(5))
    mask = der(0x30, der(6, bytes.fromhex(RSA_OID) + b"\x08"), digest)
    return der(0x30, der(6, bytes.fromhex(RSA_OID) + b"\x0a"),
               der(0x30, der(0xa0, digest), der(0xa1, mask), der(0xa2, der(2, bytes([salt_len])))))


def ecdsa_identifier(name):
    return der(0x30, der(6, bytes.fromhex("2a8648ce3d0403") + bytes([NUMBER[name] - 9])))


ED25519_IDENTIFIER = der(0x30, der(6, bytes.fromhex("2b6570")))


def prime(name, octets):
    number = int.from_bytes(draw(name, octets), "big") | 3 << (8 * octets - 2) | 1
    while any(pow(base, number - 1, number) != 1 for base in (2, 3, 5, 7)) or number % 65537 == 1:
        number += 2
    return number


def pss(key, message, name, salt):
    """EMSA-PSS (RFC 8017 §9.1.1) with a salt that is drawn, so that a second run gives the same."""
    digest = lambda octets: hashlib.new(name, octets).digest()
    length, bits = key.key_size // 8, key.key_size - 1
    final = digest(bytes(8) + digest(message) + salt)
    block = bytes(length - len(salt) - len(final) - 2) + b"\x01" + salt
    mask = b"".join(digest(final + at.to_bytes(4, "big")) for at in range(9))[:len(block)]
    masked = int.from_bytes(xor(block, mask), "big") & ((1 << (bits - 8 * len(final) - 8)) - 1)
    encoded = masked.to_bytes(len(block), "big") + final + b"\xbc"
    numbers = key.private_numbers()
    signature = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(length, "big")
    key.public_key().verify(signature, message, padding.PSS(padding.MGF1(HASH[name]), len(salt)), HASH[name])
    return signature


def proof(scheme, key, method, auth, octets):
    return {
        "scheme": scheme, "method": method, "octets": octets, "auth": auth,
        "spki": key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "pkcs8": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    }


def named(identifier, signature):
    return bytes([len(identifier)]) + identifier + signature


def proofs():
    octets = draw("what AUTH covers", 200)
    p, q = prime("p", 128), prime("q", 128)
    d = pow(65537, -1, (p - 1) * (q - 1))
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)).private_key()
    for name, digest in HASH.items():
        signature = key.sign(octets, padding.PKCS1v15(), digest)
        yield proof(f"RSASSA-PKCS1-v1_5 {name}", key, 1, signature, octets)
        yield proof(f"RSASSA-PKCS1-v1_5 {name}", key, 14, named(pkcs1_identifier(name), signature), octets)
        if name != "sha1":
            signature = pss(key, octets, name, draw(f"salt {name}", digest.digest_size))
            yield proof(f"RSASSA-PSS {name}", key, 14, named(pss_identifier(name, digest.digest_size), signature), octets)
    for curve, name, method in ((ec.SECP256R1(), "sha256", 9), (ec.SECP384R1(), "sha384", 10), (ec.SECP521R1(), "sha512", 11)):
        length = (curve.key_size + 7) // 8
        scalar = int.from_bytes(draw(f"ECDSA {curve.name}", length), "big") >> 8
        key = ec.derive_private_key(scalar, curve)
        for hashed in ("sha256", "sha384", "sha512"):
            signature = key.sign(octets, ec.ECDSA(HASH[hashed], deterministic_signing=True))
            if hashed == name:
                r, s = utils.decode_dss_signature(signature)
                raw = r.to_bytes(length, "big") + s.to_bytes(length, "big")
                yield proof(f"ECDSA {hashed}", key, method, raw, octets)
            yield proof(f"ECDSA {hashed}", key, 14, named(ecdsa_identifier(hashed), signature), octets)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(draw("Ed25519", 32))
    yield proof("Ed25519", key, 14, named(ED25519_IDENTIFIER, key.sign(octets)), octets)


write("derivations.txt", derivations())
write("proofs.txt", proofs())
write("messages.txt", messages())
write("agreements.txt", agreements())
