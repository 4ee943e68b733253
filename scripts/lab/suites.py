"""The ESP suites, in Postern's words, in Linux's (ip-xfrm(8)) and in scapy's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

INTEGRITY = {  # IANA name: (key octets, ICV bits, Linux, scapy). None: that peer does not have it
    "AUTH_HMAC_SHA1_96": (20, 96, "hmac(sha1)", "HMAC-SHA1-96"),
    "AUTH_HMAC_SHA2_256_128": (32, 128, "hmac(sha256)", "SHA2-256-128"),
    "AUTH_HMAC_SHA2_384_192": (48, 192, "hmac(sha384)", "SHA2-384-192"),
    "AUTH_HMAC_SHA2_512_256": (64, 256, "hmac(sha512)", "SHA2-512-256"),
    "AUTH_AES_XCBC_96": (16, 96, "xcbc(aes)", None),
    "AUTH_AES_CMAC_96": (16, 96, "cmac(aes)", "AES-CMAC-96"),
    "AUTH_HMAC_MD5_96": (16, 96, "hmac(md5)", "HMAC-MD5-96"),
}
LEGACY_INTEGRITY = ("AUTH_HMAC_MD5_96",)


@dataclass(frozen=True)
class Cipher:
    """What a cipher asks for, and what the peers call it."""

    linux: str
    scapy: str | None
    salt: int = 0
    icv: int = 0  # bits; 0: integrity stands beside it
    counter_mode: bool = False
    legacy: bool = False
    key_bits: int = 0  # where the key has one length only


CIPHER = {
    **{f"ENCR_AES_GCM_{octets}": Cipher("rfc4106(gcm(aes))", "AES-GCM", 4, octets * 8, True) for octets in (16, 12, 8)},
    **{f"ENCR_AES_CCM_{octets}": Cipher("rfc4309(ccm(aes))", "AES-CCM", 3, octets * 8, True) for octets in (16, 12, 8)},
    "ENCR_NULL_AUTH_AES_GMAC": Cipher("rfc4543(gcm(aes))", "AES-NULL-GMAC", 4, 128, True),
    "ENCR_CHACHA20_POLY1305": Cipher("rfc7539esp(chacha20,poly1305)", "CHACHA20-POLY1305", 4, 128, True, key_bits=256),
    "ENCR_AES_CTR": Cipher("rfc3686(ctr(aes))", "AES-CTR", 4, counter_mode=True),
    "ENCR_AES_CBC": Cipher("cbc(aes)", "AES-CBC"),
    "ENCR_NULL": Cipher("ecb(cipher_null)", "NULL"),
    "ENCR_3DES": Cipher("cbc(des3_ede)", "3DES", legacy=True, key_bits=192),
    "ENCR_DES": Cipher("cbc(des)", "DES", legacy=True, key_bits=64),
    "ENCR_CAST": Cipher("cbc(cast5)", "CAST", legacy=True),
    "ENCR_BLOWFISH": Cipher("cbc(blowfish)", "Blowfish", legacy=True),
}
# ENCR_RC5, ENCR_IDEA, ENCR_3IDEA and AUTH_KPDK_MD5 have no peer here: published vectors prove them, in dataplane/crypto.
NO_PEER = ("ENCR_RC5", "ENCR_IDEA", "ENCR_3IDEA", "AUTH_KPDK_MD5")


@dataclass(frozen=True)
class Suite:
    encryption: str
    key_bits: int
    integrity: str | None

    @property
    def cipher(self) -> Cipher:
        return CIPHER[self.encryption]

    @property
    def name(self) -> str:
        """As `esp:` in postern.yaml spells it."""
        cipher = self.encryption if self.cipher.key_bits or not self.key_bits else f"{self.encryption}_{self.key_bits}"
        return f"{cipher}/{self.integrity}" if self.integrity else cipher

    @property
    def counter_mode(self) -> bool:
        return self.cipher.counter_mode

    @property
    def aead(self) -> bool:
        return self.integrity is None

    @property
    def legacy(self) -> bool:
        return self.cipher.legacy or self.integrity in LEGACY_INTEGRITY

    @property
    def in_scapy(self) -> bool:
        return bool(self.cipher.scapy and (self.aead or INTEGRITY[self.integrity][3]))

    def keys(self) -> "Keys":
        integrity = secrets.token_hex(INTEGRITY[self.integrity][0]) if self.integrity else ""
        return Keys(secrets.token_hex(self.key_bits // 8 + self.cipher.salt) if self.key_bits else "", integrity)


@dataclass(frozen=True)
class Keys:
    """In hex."""

    encryption: str
    integrity: str

    def yaml(self, spi: int) -> str:
        parts = [f"spi: {spi:#010x}"]
        parts += [f'key: "{self.encryption}"'] if self.encryption else []
        parts += [f'integrity_key: "{self.integrity}"'] if self.integrity else []
        return "{ " + ", ".join(parts) + " }"

    def xfrm(self, suite: Suite) -> str:
        """The algorithm part of `ip xfrm state add`."""
        cipher = suite.cipher
        if suite.aead:
            return f"aead {cipher.linux} 0x{self.encryption} {cipher.icv}"
        _, bits, name, _ = INTEGRITY[suite.integrity]
        key = f"0x{self.encryption}" if self.encryption else '""'
        return f"enc {cipher.linux} {key} auth-trunc {name} 0x{self.integrity} {bits}"

    def scapy(self, suite: Suite) -> dict:
        """The algorithm arguments of scapy's SecurityAssociation."""
        found = {"crypt_algo": suite.cipher.scapy, "crypt_key": bytes.fromhex(self.encryption) or None}
        if suite.integrity:
            found |= {"auth_algo": INTEGRITY[suite.integrity][3], "auth_key": bytes.fromhex(self.integrity)}
        return found


AES = (128, 192, 256)
SHA = ("AUTH_HMAC_SHA1_96", "AUTH_HMAC_SHA2_256_128", "AUTH_HMAC_SHA2_384_192", "AUTH_HMAC_SHA2_512_256")


def usual() -> list[Suite]:
    """What gateways speak today: these are tried every way that a packet can travel."""
    gcm = [Suite("ENCR_AES_GCM_16", bits, None) for bits in AES]
    cbc = [Suite("ENCR_AES_CBC", bits, integrity) for bits in AES for integrity in SHA]
    null = [Suite("ENCR_NULL", 0, integrity) for integrity in SHA]
    return gcm + cbc + null


def others() -> list[Suite]:
    """Everything else that has a peer: each cipher and key length with one or two integrity algorithms, each integrity algorithm with
    one or two ciphers."""
    aead = [Suite(f"ENCR_AES_{mode}", bits, None) for mode in ("GCM_12", "GCM_8", "CCM_16", "CCM_12", "CCM_8") for bits in AES]
    aead += [Suite("ENCR_NULL_AUTH_AES_GMAC", bits, None) for bits in AES] + [Suite("ENCR_CHACHA20_POLY1305", 256, None)]
    ctr = [Suite("ENCR_AES_CTR", bits, integrity) for bits, integrity in zip(AES, ("AUTH_HMAC_SHA1_96", "AUTH_AES_CMAC_96", "AUTH_HMAC_SHA2_256_128"))]
    macs = [Suite("ENCR_AES_CBC", 128, "AUTH_AES_XCBC_96"), Suite("ENCR_NULL", 0, "AUTH_AES_XCBC_96"),
            Suite("ENCR_AES_CBC", 256, "AUTH_AES_CMAC_96"), Suite("ENCR_NULL", 0, "AUTH_AES_CMAC_96"),
            Suite("ENCR_AES_CTR", 128, "AUTH_AES_XCBC_96")]
    legacy = [Suite("ENCR_AES_CBC", 128, "AUTH_HMAC_MD5_96"), Suite("ENCR_NULL", 0, "AUTH_HMAC_MD5_96"),
              Suite("ENCR_DES", 64, "AUTH_HMAC_MD5_96"), Suite("ENCR_3DES", 192, "AUTH_HMAC_SHA1_96"),
              Suite("ENCR_3DES", 192, "AUTH_HMAC_SHA2_512_256"),
              Suite("ENCR_CAST", 40, "AUTH_HMAC_MD5_96"), Suite("ENCR_CAST", 80, "AUTH_HMAC_SHA1_96"), Suite("ENCR_CAST", 128, "AUTH_HMAC_SHA1_96"),
              Suite("ENCR_BLOWFISH", 40, "AUTH_HMAC_MD5_96"), Suite("ENCR_BLOWFISH", 128, "AUTH_HMAC_SHA1_96"),
              Suite("ENCR_BLOWFISH", 448, "AUTH_HMAC_SHA2_256_128")]
    return aead + ctr + macs + legacy
