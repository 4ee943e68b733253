"""The ESP suites, in Postern's words, in Linux's (ip-xfrm(8)) and in scapy's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

INTEGRITY = {  # IANA name: (key octets, ICV bits, Linux, scapy)
    "AUTH_HMAC_SHA1_96": (20, 96, "hmac(sha1)", "HMAC-SHA1-96"),
    "AUTH_HMAC_SHA2_256_128": (32, 128, "hmac(sha256)", "SHA2-256-128"),
    "AUTH_HMAC_SHA2_384_192": (48, 192, "hmac(sha384)", "SHA2-384-192"),
    "AUTH_HMAC_SHA2_512_256": (64, 256, "hmac(sha512)", "SHA2-512-256"),
}


@dataclass(frozen=True)
class Suite:
    encryption: str
    key_bits: int
    integrity: str | None

    @property
    def name(self) -> str:
        """As `esp:` in postern.yaml spells it."""
        cipher = f"{self.encryption}_{self.key_bits}" if self.key_bits else self.encryption
        return f"{cipher}/{self.integrity}" if self.integrity else cipher

    @property
    def counter_mode(self) -> bool:
        return self.encryption == "ENCR_AES_GCM_16"

    def keys(self) -> "Keys":
        salt = 4 if self.counter_mode else 0
        integrity = secrets.token_hex(INTEGRITY[self.integrity][0]) if self.integrity else ""
        return Keys(secrets.token_hex(self.key_bits // 8 + salt) if self.key_bits else "", integrity)


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
        if suite.counter_mode:
            return f"aead rfc4106(gcm(aes)) 0x{self.encryption} 128"
        _, bits, name, _ = INTEGRITY[suite.integrity]
        cipher = f"enc cbc(aes) 0x{self.encryption}" if self.encryption else 'enc ecb(cipher_null) ""'
        return f"{cipher} auth-trunc {name} 0x{self.integrity} {bits}"

    def scapy(self, suite: Suite) -> dict:
        """The algorithm arguments of scapy's SecurityAssociation."""
        cipher = {"ENCR_AES_GCM_16": "AES-GCM", "ENCR_AES_CBC": "AES-CBC", "ENCR_NULL": "NULL"}[suite.encryption]
        found = {"crypt_algo": cipher, "crypt_key": bytes.fromhex(self.encryption) or None}
        if suite.integrity:
            found |= {"auth_algo": INTEGRITY[suite.integrity][3], "auth_key": bytes.fromhex(self.integrity)}
        return found


def every() -> list[Suite]:
    """All that Postern runs."""
    gcm = [Suite("ENCR_AES_GCM_16", bits, None) for bits in (128, 192, 256)]
    cbc = [Suite("ENCR_AES_CBC", bits, integrity) for bits in (128, 192, 256) for integrity in INTEGRITY]
    null = [Suite("ENCR_NULL", 0, integrity) for integrity in INTEGRITY]
    return gcm + cbc + null
