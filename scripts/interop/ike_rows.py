"""What is tried between two IKE daemons: one row for each, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

DEFAULT_IKE = "ENCR_AES_GCM_16_256/PRF_HMAC_SHA2_384/Curve25519"
DEFAULT_ESP = "ENCR_AES_GCM_16_256"
GROUPS = ("MODP_1024", "MODP_1536", "MODP_2048", "MODP_3072", "MODP_4096", "MODP_6144", "MODP_8192",
          "ECP_256", "ECP_384", "ECP_521", "Curve25519")
KINDS = ("rsa", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519")
RAW = ("rsa", "ecdsa256", "ed25519")  # kinds of keys that prove by themselves (RFC 7670)
AES = (128, 192, 256)
SHA2 = ("256_128", "384_192", "512_256")


IDENTITIES = ("gw.test", "peer.test")


@dataclass(frozen=True)
class Row:
    """`ours` is the gateway, `peer` the other side. What stands in `gateway` and `peer` replaces what that side is told otherwise."""

    name: str
    test: str = "tunnel"  # the function in ike.py that runs it
    auth: str = "psk"  # psk, a kind of key, or `gateway's,peer's`
    ike: str = DEFAULT_IKE
    esp: str = DEFAULT_ESP
    roles: tuple[str, ...] = ("gateway", "peer")  # who initiates
    ids: tuple[str, str] = IDENTITIES  # the gateway's, the peer's
    outer: int = 4
    nat: str = ""  # who is behind a NAT
    mtu: int = 1500  # between router and peer
    gateway: dict = field(default_factory=dict)
    peer: dict = field(default_factory=dict)
    expect: dict = field(default_factory=dict)
    needs: str = ""  # `postern`: strongSwan in the gateway's place cannot do it
    with_kernel: bool = False  # the peer is the virtual machine, whose kernel takes ESP
    options: dict = field(default_factory=dict)


def authentication() -> list[Row]:
    yield Row("PSK")
    yield Row("PSK, IPv6 outside", outer=6)
    for kind in KINDS:
        yield Row(f"certificates, {kind}, intermediate CA", auth=kind)
    for kind in ("p256", "p384", "p521", "ed25519", "rsa2048"):
        yield Row(f"certificates made by postern pki, {kind}", auth=f"our-{kind}", needs="postern")
    for kind in RAW:
        yield Row(f"raw public keys, {kind}", auth=f"raw-{kind}")
    yield Row("raw public keys made by postern pki, ed25519", auth="raw-our-ed25519", needs="postern")
    yield Row("raw public key one way, certificate the other", auth="raw-ecdsa256,rsa")
    yield Row("PSK one way, certificate the other", auth="psk,rsa")
    yield Row("certificates of different kinds", auth="ed25519,ecdsa256")
    yield Row("certificates, IPv6 outside", auth="ecdsa256", outer=6)
    yield Row("identities: addresses", ids=("192.0.2.1", "198.51.100.2"))
    yield Row("identities: IPv6 addresses", ids=("2001:db8:1::1", "2001:db8:2::2"))
    yield Row("identities: e-mail", ids=("admin@gw.test", "admin@peer.test"))
    yield Row("identities: key IDs", ids=("keyid:gateway-7", "keyid:peer-9"))
    yield Row("identities: distinguished names", auth="rsa", ids=tuple(f"C=XX, O=Postern tests, CN={host}" for host in IDENTITIES))


def ike_suites() -> list[Row]:
    for group in GROUPS:
        yield Row(f"IKE {group}", ike=f"ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/{group}")
    ciphers = [f"ENCR_AES_GCM_{icv}_{bits}" for icv in (16, 12, 8) for bits in AES] + [f"ENCR_AES_CCM_16_{bits}" for bits in AES]
    for cipher in [*ciphers, "ENCR_CHACHA20_POLY1305"]:
        yield Row(f"IKE {cipher}", ike=f"{cipher}/PRF_HMAC_SHA2_256/Curve25519")
    for cipher in [f"ENCR_AES_{mode}_{bits}" for mode in ("CBC", "CTR") for bits in AES] + ["ENCR_3DES"]:
        yield Row(f"IKE {cipher}", ike=f"{cipher}/AUTH_HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/Curve25519")
    for integrity, prf in (("HMAC_MD5_96", "HMAC_MD5"), ("HMAC_SHA1_96", "HMAC_SHA1"), ("HMAC_SHA2_384_192", "HMAC_SHA2_384"),
                           ("HMAC_SHA2_512_256", "HMAC_SHA2_512"), ("AES_XCBC_96", "AES128_XCBC"), ("AES_CMAC_96", "AES128_CMAC")):
        yield Row(f"IKE AUTH_{integrity}, PRF_{prf}", ike=f"ENCR_AES_CBC_128/AUTH_{integrity}/PRF_{prf}/ECP_256")


def esp_suites() -> list[Row]:
    ciphers = [f"ENCR_AES_GCM_{icv}_{bits}" for icv in (16, 12, 8) for bits in AES] + ["ENCR_AES_CCM_8_128", "ENCR_AES_CCM_16_256"]
    pairs = [f"ENCR_AES_CBC_{bits}/AUTH_HMAC_SHA1_96" for bits in AES] + [f"ENCR_AES_CBC_256/AUTH_HMAC_SHA2_{sha}" for sha in SHA2]
    pairs += ["ENCR_AES_CBC_128/AUTH_AES_XCBC_96", "ENCR_AES_CBC_128/AUTH_AES_CMAC_96", "ENCR_AES_CTR_128/AUTH_HMAC_SHA2_256_128",
              "ENCR_AES_CTR_256/AUTH_HMAC_SHA1_96", "ENCR_NULL/AUTH_HMAC_SHA2_256_128"]
    old = ["ENCR_3DES/AUTH_HMAC_SHA1_96", "ENCR_AES_CBC_128/AUTH_HMAC_MD5_96", "ENCR_DES/AUTH_HMAC_MD5_96",
           "ENCR_CAST_128/AUTH_HMAC_SHA1_96", "ENCR_BLOWFISH_128/AUTH_HMAC_SHA1_96"]
    for suite in [*ciphers, "ENCR_CHACHA20_POLY1305", *pairs, *old]:
        yield Row(f"ESP {suite}", esp=suite)


def networks() -> list[Row]:
    yield Row("peer behind a NAT", nat="peer", roles=("peer",))
    yield Row("peer behind a NAT, certificates", nat="peer", roles=("peer",), auth="rsa")
    yield Row("gateway behind a NAT", nat="gateway", roles=("gateway",))
    yield Row("the NAT gives the peer another port", "rebound", nat="peer", roles=("peer",), peer={"dpd": 1})
    yield Row("ESP in UDP forced by the gateway", gateway={"encap": "force"})
    large = {"auth": "rsa4096", "mtu": 1280}
    yield Row("large certificates, MTU 1280, no IP fragments", **large)
    yield Row("large certificates, peer behind a NAT, MTU 1280", nat="peer", roles=("peer",), **large)


def selection() -> list[Row]:
    other = DEFAULT_IKE.replace("Curve25519", "ECP_256")
    wanted = {"ike": other}
    yield Row("first group refused, second agreed (INVALID_KE_PAYLOAD)", roles=("gateway",), gateway={"ike": (DEFAULT_IKE, other)},
              peer={"ike": (other,)}, expect=wanted)
    yield Row("the peer's first group refused, second agreed", roles=("peer",), peer={"ike": (DEFAULT_IKE, other)},
              gateway={"ike": (other,)}, expect=wanted)
    yield Row("second ESP proposal agreed", gateway={"esp": ("ENCR_AES_GCM_16_128", DEFAULT_ESP)})
    wide4 = ("10.0.0.0/8",)
    yield Row("narrowing: the gateway's net is wider", gateway={"local_ts": ("10.1.0.0/24",), "remote_ts": wide4}, expect={"ts": "10.2.0.0/24"})
    yield Row("narrowing: the peer's nets are wider", peer={"local_ts": wide4, "remote_ts": wide4}, expect={"ts": "10.2.0.0/24"},
              gateway={"local_ts": ("10.1.0.0/24",), "remote_ts": ("10.2.0.0/24",)})
    yield Row("narrowing: one of two families", peer={"local_ts": ("10.2.0.0/24",), "remote_ts": ("10.1.0.0/24",)}, expect={"ts": "10.2.0.0/24"})


def lives() -> list[Row]:
    """Lifetimes are 5 seconds."""
    pfs = f"{DEFAULT_ESP}/Curve25519"
    for who in ("gateway", "peer", "both"):
        ends = ("gateway", "peer") if who == "both" else (who,)
        for label, life in (("child", {"rekey_child": 5}), ("IKE SA", {"rekey_ike": 5}), ("both SAs", {"rekey_child": 5, "rekey_ike": 8})):
            if who == "both" and label != "both SAs":
                continue
            yield Row(f"rekey of {label} by {who}", "rekeyed", roles=("peer",) if who == "gateway" else ("gateway",), **{end: life for end in ends})
    yield Row("rekey of child with PFS by both", "rekeyed", esp=pfs, roles=("gateway",), gateway={"rekey_child": 5}, peer={"rekey_child": 5})
    yield Row("reauthentication by the gateway", "rekeyed", auth="ecdsa256", roles=("gateway",), gateway={"reauth": 5})
    yield Row("reauthentication by the peer", "rekeyed", auth="ecdsa256", roles=("peer",), peer={"reauth": 5})
    yield Row("peer killed: found dead, cleared", "dead_peer", gateway={"dpd": 1})
    yield Row("peer killed: found dead, restarted when it is back", "dead_peer", roles=("gateway",), gateway={"dpd": 1, "on_dead": "restart"})
    yield Row("on demand, by the first packet", "on_demand", roles=("gateway",), gateway={"start": "ondemand"}, needs="postern")
    yield Row("another pre-shared key while it is up", "swapped", needs="postern")
    yield Row("at start", "at_start", roles=("gateway",), gateway={"start": "auto"})


def several() -> list[Row]:
    """Children beside `net`, one of them with an ESP suite of its own."""
    nets = {"voice": ("10.1.5.0/24", "10.2.5.0/24"), "video": ("10.1.6.0/24", "10.2.6.0/24")}
    for names in (("voice",), ("voice", "video")):
        ours = tuple((name, {"local_ts": nets[name][:1], "remote_ts": nets[name][1:]}) for name in names)
        theirs = tuple((name, {"local_ts": nets[name][1:], "remote_ts": nets[name][:1]}) for name in names)
        if len(names) == 2:
            ours, theirs = ((one, (name, {**differs, "esp": ("ENCR_CHACHA20_POLY1305",)})) for one, (name, differs) in (ours, theirs))
        yield Row(f"{len(names) + 1} children of one IKE SA", "several", gateway={"more": ours}, peer={"more": theirs})
        if len(names) == 1:
            yield Row("two connections of the same two identities", "apart", roles=("gateway",), gateway={"more": ours, "apart": True},
                      peer={"more": theirs}, needs="postern")


def floods() -> list[Row]:
    """The end that answers knows nobody by address; from that many half-open IKE SAs on it asks for cookies."""
    yield Row("strangers flood the gateway, cookies", "flooded", roles=("peer",), gateway={"remote": "any", "cookie_above": 8},
              expect={"half_open": 8}, needs="postern")
    yield Row("strangers flood the peer, cookies", "flooded", roles=("gateway",), peer={"remote": "any"}, expect={"half_open": 30})


def mismatches() -> list[Row]:
    """`why`: what the gateway must say of it, as a regular expression; when it began it, it may know no more than the peer's notify."""
    cbc = "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/Curve25519"
    none = "NO_PROPOSAL_CHOSEN"
    failed = "AUTHENTICATION_FAILED"
    unknown = "no certificate leads|issuer|anchor"

    def row(what: str, as_responder: str, as_initiator: str | None = None, **rest) -> Row:
        return Row(f"mismatch: {what}", "refused", expect={"why": {"peer": as_responder, "gateway": as_initiator or as_responder}}, **rest)

    yield row("IKE encryption", "encryption: .*GCM_16_128", none, peer={"ike": (DEFAULT_IKE.replace("16_256", "16_128"),)})
    yield row("IKE integrity", "integrity: .*SHA1", none, ike=cbc, peer={"ike": (cbc.replace("AUTH_HMAC_SHA2_256_128", "AUTH_HMAC_SHA1_96"),)})
    yield row("PRF", "prf: .*512", none, peer={"ike": (DEFAULT_IKE.replace("384", "512"),)})
    yield row("DH group", "key exchange: .*MODP_2048", none, peer={"ike": (DEFAULT_IKE.replace("Curve25519", "MODP_2048"),)})
    yield row("ESP encryption", "encryption: .*GCM_16_128", none, peer={"esp": ("ENCR_AES_GCM_16_128",)})
    yield row("ESP integrity", "integrity: .*SHA1", none, esp="ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128",
              peer={"esp": ("ENCR_AES_CBC_256/AUTH_HMAC_SHA1_96",)})
    yield row("traffic selectors", "10.77.0.0", "TS_UNACCEPTABLE", peer={"local_ts": ("10.77.0.0/24",)})
    yield row("pre-shared key", "key|psk", failed, peer={"secret": "another secret than that of the gateway"})
    yield row("the peer's identity", "stranger.test", f"stranger.test|{failed}", peer={"identity": "stranger.test"})
    yield row("the gateway's identity", "", failed, peer={"remote_identity": "stranger.test"}, roles=("gateway",))
    yield row("PSK where a certificate is wanted", "certificate", roles=("peer",), options={"peer_auth": "psk", "believed": "rsa"})
    yield row("certificate of an unknown authority", unknown, auth="rsa", options={"peer_authority": "stranger"})
    yield row("certificate has expired", "expired|not valid", auth="rsa", options={"peer_leaf": "expired"})
    yield row("certificate without the identity", "identity|subjectAltName", auth="rsa", options={"peer_leaf": "other"})
    yield row("the intermediate is missing", unknown, auth="ecdsa256,rsa", roles=("peer",), options={"peer_chain": False})
    yield row("large certificates without IKE fragmentation", "", "not answer", auth="rsa4096", mtu=1280, roles=("gateway",),
              gateway={"fragmentation": False})
    yield row("no such peer", "198.51.100.2", gateway={"remote": "198.51.100.77"}, roles=("peer",))


def kernel() -> list[Row]:
    """With the Linux kernel's ESP: raw, with ESN, and with suites that strongSwan's own ESP does not have."""
    yield Row("Linux: PSK, raw ESP", peer={"esn": False})
    yield Row("Linux: certificates, raw ESP", auth="ecdsa256", peer={"esn": False})
    yield Row("Linux: PSK, IPv6 outside", outer=6, peer={"esn": False})
    for suite in (DEFAULT_ESP, "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128", "ENCR_NULL_AUTH_AES_GMAC_256", "ENCR_CHACHA20_POLY1305",
                  "ENCR_AES_CCM_16_128", "ENCR_AES_CTR_192/AUTH_AES_CMAC_96", "ENCR_NULL/AUTH_HMAC_SHA1_96"):
        yield Row(f"Linux: ESN, {suite}", esp=suite, peer={"esn": True}, expect={"esn": True}, needs="postern")
    yield Row("Linux: ESP in UDP forced by the peer", peer={"encap": "force"})
    yield Row("Linux: ESP in UDP forced by the gateway", gateway={"encap": "force"})
    yield Row("Linux: peer behind a NAT", nat="peer", roles=("peer",))
    yield Row("Linux: gateway behind a NAT", nat="gateway", roles=("gateway",))
    life = {"rekey_child": 5, "rekey_ike": 8}
    yield Row("Linux: rekey of both SAs by both", "rekeyed", roles=("gateway",), gateway=life, peer=life)
    yield Row("Linux: rekey of child by the peer, ESN", "rekeyed", roles=("gateway",), peer={"rekey_child": 5, "esn": True}, needs="postern")
    for row in (*several(), *floods()):
        yield replace(row, name=f"Linux: {row.name}")
    for kind in RAW:
        yield Row(f"Linux: raw public keys, {kind}", auth=f"raw-{kind}")
    yield Row("Linux: on demand, by the peer's first packet", "on_demand", roles=("peer",), peer={"start": "ondemand"})


def rows() -> list[Row]:
    """All of them, each with one who initiates."""
    made = [*authentication(), *ike_suites(), *esp_suites(), *networks(), *selection(), *lives(), *several(), *floods(), *mismatches()]
    made += [replace(row, with_kernel=True) for row in kernel()]
    return [replace(row, name=f"{row.name}, {role} initiates", roles=(role,)) for row in made for role in row.roles]
