"""What one end of an IKE connection is told, in nobody's syntax, and how strongSwan says it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .certificates import Authority, OurAuthority, Pair

# IANA's names, as Postern writes them, and strongSwan's words for the same.
KEYWORD = {
    **{f"ENCR_AES_GCM_{icv}_{bits}": f"aes{bits}gcm{icv}" for icv in (16, 12, 8) for bits in (128, 192, 256)},
    **{f"ENCR_AES_CCM_{icv}_{bits}": f"aes{bits}ccm{icv}" for icv in (16, 12, 8) for bits in (128, 192, 256)},
    **{f"ENCR_AES_CBC_{bits}": f"aes{bits}" for bits in (128, 192, 256)},
    **{f"ENCR_AES_CTR_{bits}": f"aes{bits}ctr" for bits in (128, 192, 256)},
    **{f"ENCR_NULL_AUTH_AES_GMAC_{bits}": f"aes{bits}gmac" for bits in (128, 192, 256)},
    "ENCR_CHACHA20_POLY1305": "chacha20poly1305", "ENCR_3DES": "3des", "ENCR_DES": "des", "ENCR_NULL": "null",
    "ENCR_CAST_128": "cast128", **{f"ENCR_BLOWFISH_{bits}": f"blowfish{bits}" for bits in (128, 192, 256)},
    "AUTH_HMAC_MD5_96": "md5", "AUTH_HMAC_SHA1_96": "sha1", "AUTH_AES_XCBC_96": "aesxcbc", "AUTH_AES_CMAC_96": "aescmac",
    "AUTH_HMAC_SHA2_256_128": "sha256", "AUTH_HMAC_SHA2_384_192": "sha384", "AUTH_HMAC_SHA2_512_256": "sha512",
    "PRF_HMAC_MD5": "prfmd5", "PRF_HMAC_SHA1": "prfsha1", "PRF_AES128_XCBC": "prfaesxcbc", "PRF_AES128_CMAC": "prfaescmac",
    "PRF_HMAC_SHA2_256": "prfsha256", "PRF_HMAC_SHA2_384": "prfsha384", "PRF_HMAC_SHA2_512": "prfsha512",
    **{f"MODP_{bits}": f"modp{bits}" for bits in (1024, 1536, 2048, 3072, 4096, 6144, 8192)},
    **{f"ECP_{bits}": f"ecp{bits}" for bits in (256, 384, 521)}, "Curve25519": "curve25519",
}
LEGACY = {"ENCR_3DES", "ENCR_DES", "ENCR_CAST_128", "AUTH_HMAC_MD5_96", "PRF_HMAC_MD5", "MODP_1024", "MODP_1536",
          *(f"ENCR_BLOWFISH_{bits}" for bits in (128, 192, 256))}
# `list-sas` has its own spelling of a few names.
SHOWN = {"Curve25519": "CURVE_25519", "ENCR_3DES": "3DES_CBC", "ENCR_DES": "DES_CBC", "ENCR_CAST_128": "CAST_CBC-128",
         **{f"ENCR_BLOWFISH_{bits}": f"BLOWFISH_CBC-{bits}" for bits in (128, 192, 256)},
         **{f"ENCR_NULL_AUTH_AES_GMAC_{bits}": f"NULL_AES_GMAC-{bits}" for bits in (128, 192, 256)}}


def keywords(suite: str) -> str:
    """`ENCR_AES_CBC_256/AUTH_HMAC_SHA1_96/MODP_2048` in strongSwan's words."""
    return "-".join(KEYWORD[name] for name in suite.split("/"))


def shown(sa: dict) -> str:
    """The suite of an IKE or Child SA of `list-sas` in IANA's names."""
    spelled = {there: here for here, there in SHOWN.items()}
    bits = f"-{sa['encr-keysize']}" if sa.get("encr-keysize", "0") != "0" else ""
    cipher = sa["encr-alg"] + bits
    names = [spelled.get(cipher) or spelled.get(sa["encr-alg"]) or f"ENCR_{cipher.replace('-', '_')}"]
    if names[0] in ("ENCR_CHACHA20_POLY1305_256", "ENCR_NULL_0"):
        names[0] = names[0].rpartition("_")[0]
    names += [f"AUTH_{sa['integ-alg']}"] if sa.get("integ-alg") else []
    names += [sa["prf-alg"]] if sa.get("prf-alg") else []
    names += [spelled.get(sa["dh-group"], sa["dh-group"])] if sa.get("dh-group") else []
    return "/".join(names)


def legacy(*suites: str) -> bool:
    return any(name in LEGACY for suite in suites for name in suite.split("/"))


@dataclass(frozen=True)
class Proof:
    """How an end proves who it is, and what the other end needs to believe it."""

    method: str  # psk, certificate, raw
    secret: str = ""
    authority: Authority | OurAuthority | None = None
    leaf: Pair | None = None  # with `raw` a public key stands where the certificate would
    send_intermediate: bool = True


@dataclass(frozen=True)
class End:
    """One end's half of a connection. Seconds where not said otherwise; 0: never."""

    local: str
    remote: str  # an address, or `any`
    identity: str
    remote_identity: str
    proof: Proof
    remote_proof: Proof
    ike: tuple[str, ...]
    esp: tuple[str, ...]
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]
    rekey_child: float = 0
    rekey_ike: float = 0
    reauth: float = 0
    dpd: float = 0
    start: str = "manual"  # auto, ondemand, manual
    on_dead: str = "clear"  # restart, trap, clear
    encap: str = "auto"  # auto, force
    esn: bool | None = None  # 64-bit sequence numbers; None: whatever both can
    fragmentation: bool = True  # RFC 7383
    cookie_above: int = 64  # half-open IKE SAs
    name: str = "net"
    more: tuple[tuple[str, dict], ...] = ()  # children beside `net`: the name, and which of these fields differ
    apart: bool = False  # each of them in a connection of its own, of which it is `net`

    @property
    def legacy(self) -> bool:
        return legacy(*self.ike, *self.esp)

    @property
    def connections(self) -> list["End"]:
        if not self.apart:
            return [self]
        return [replace(self, more=()), *(replace(self, name=f"{self.name}-{name}", more=(), **differs) for name, differs in self.more)]

    @property
    def children(self) -> dict[str, "End"]:
        """By name, each as if it were the only one."""
        return {"net": self, **{name: replace(self, **differs) for name, differs in self.more}}


def strongswan(end: End, version: int = 2) -> dict:
    """The connection as `load-conn` takes it."""
    method = {"psk": "psk", "certificate": "pubkey", "raw": "pubkey"}
    return {
        "version": version, "local_addrs": [end.local], "remote_addrs": ["%any" if end.remote == "any" else end.remote],
        "proposals": [keywords(suite) for suite in end.ike], "encap": end.encap == "force", "fragmentation": end.fragmentation, "mobike": False,
        "rekey_time": f"{end.rekey_ike}s", "reauth_time": f"{end.reauth}s", "over_time": "30s", "rand_time": "0s",
        "dpd_delay": f"{end.dpd}s", "unique": "no",
        "local": {"auth": method[end.proof.method], "id": end.identity, shown_by(end.proof): [end.proof.leaf.pem] if end.proof.leaf else None},
        "remote": {"auth": method[end.remote_proof.method], "id": end.remote_identity,
                   "cacerts": [end.remote_proof.authority.root.pem] if end.remote_proof.authority else None,
                   "pubkeys": [end.remote_proof.leaf.pem] if end.remote_proof.method == "raw" else None},
        "children": {name: strongswan_child(one) for name, one in end.children.items()},
    }


def shown_by(proof: Proof) -> str:
    """strongSwan's word for what an end shows beside its signature."""
    return "pubkeys" if proof.method == "raw" else "certs"


def strongswan_child(end: End) -> dict:
    actions = {"manual": "none", "ondemand": "trap", "auto": "start"}
    # kernel-libipsec refuses whatever names ESN at all; without a word strongSwan means 32-bit numbers.
    numbers = "-esn" if end.esn else ""
    return {
        "local_ts": end.local_ts, "remote_ts": end.remote_ts, "esp_proposals": [keywords(suite) + numbers for suite in end.esp],
        "rekey_time": f"{end.rekey_child}s", "life_time": f"{2 * end.rekey_child + 30 if end.rekey_child else 0}s", "rand_time": "0s",
        "start_action": actions[end.start], "dpd_action": end.on_dead, "close_action": "none",
    }
