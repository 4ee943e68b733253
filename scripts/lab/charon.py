"""strongSwan's charon in a namespace, with ESP in userspace (kernel-libipsec): always in UDP, without ESN, tunnel mode only."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from .namespaces import Failed, Namespace, Program, wait_for
from .vici import Vici

DAEMON = Path("/usr/lib/ipsec/charon")
# kernel-libipsec takes ESP and must come before kernel-netlink, which stays for addresses and routes.
PLUGINS = ("random nonce openssl gcrypt gmp aes sha1 sha2 md5 mgf1 hmac cmac xcbc ctr ccm gcm chapoly curve25519 kdf drbg pem pkcs1 pkcs8 "
           "pubkey x509 constraints revocation kernel-libipsec kernel-netlink socket-default vici")


def configuration(vici: str, fragment_size: int, retransmit: tuple[float, int]) -> str:
    """strongswan.conf. The marks keep the daemon's own packets out of the routes into its tunnel device."""
    return f"""charon {{
  load = {PLUGINS}
  retransmit_timeout = {retransmit[0]}
  retransmit_tries = {retransmit[1]}
  fragment_size = {fragment_size}
  accept_private_algs = yes
  install_virtual_ip = no
  plugins {{
    vici {{ socket = {vici} }}
    kernel-libipsec {{ allow_peer_ts = yes }}
    kernel-netlink {{ fwmark = !0x42 }}
    socket-default {{ fwmark = 0x42 }}
  }}
  filelog {{
    stderr {{
      default = 1
      ike_name = yes
      flush_line = yes
    }}
  }}
}}
"""


class Charon:
    """One daemon. What it knows comes over its control socket, and nothing from this machine's /etc."""

    def __init__(self, space: Namespace, fragment_size: int = 1280, retransmit: tuple[float, int] = (1.0, 3)):
        if not DAEMON.exists():
            raise Failed("strongSwan is missing: run scripts/setup --test as root")
        self.space = space
        self.directory = space.lab.directory / f"{space.name}-charon"
        self.directory.mkdir(exist_ok=True)
        self.fragment_size, self.retransmit = fragment_size, retransmit
        self.program: Program | None = None
        self.vici: Vici | None = None
        self.start()

    def start(self) -> None:
        socket_path = self.directory / "vici"
        socket_path.unlink(missing_ok=True)
        file = self.directory / "strongswan.conf"
        file.write_text(configuration(f"unix://{socket_path}", self.fragment_size, self.retransmit))
        # A copy under another name is not confined by the AppArmor profile that Debian ships for the service; `ip netns exec` makes a
        # mount namespace of its own, so /run with its pid file can be private too.
        daemon = self.directory / "charon"
        shutil.copy(DAEMON, daemon)
        script = 'mount -t tmpfs run /run && STRONGSWAN_CONF="$1" exec "$2"'
        self.program = self.space.start(f"{self.space.name}-charon", "sh", "-c", script, "sh", str(file), str(daemon))
        wait_for(f"charon in {self.space.name}", lambda: self.connect(socket_path), 30)

    def connect(self, path: Path) -> bool:
        if not self.program.alive:
            raise Failed(f"charon ended with {self.program.process.returncode}:\n{self.program.tail()}")
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(path))
        except OSError:
            made.close()
            return False
        self.vici = Vici(made)
        return True

    def kill(self) -> None:
        """As kill -9 does: the peer says nothing to anybody."""
        self.program.kill()

    @property
    def alive(self) -> bool:
        return self.program.alive

    def clear(self) -> None:
        """Forgets everything."""
        for sa in self.sas():
            self.vici.ask("terminate", **{"ike-id": sa["uniqueid"], "force": True, "timeout": 5000})
        for name in self.vici.ask("get-conns").get("conns", []):
            self.vici.do("unload-conn", name=name)
        self.vici.do("clear-creds")

    def load(self, name: str, connection: dict) -> None:
        self.vici.do("load-conn", **{name: connection})

    def shared(self, identity: str, secret: str, owners: list[str]) -> None:
        self.vici.do("load-shared", id=identity, type="IKE", data=secret, owners=owners)

    def certificate(self, pem: bytes, authority: bool = False) -> None:
        self.vici.do("load-cert", type="X509", flag="CA" if authority else "NONE", data=pem)

    def key(self, pem: bytes) -> None:
        self.vici.do("load-key", type="any", data=pem)

    def initiate(self, child: str, connection: str, timeout: float = 15) -> dict:
        """Answers also when it failed: `success` and `errmsg` say so."""
        return self.vici.ask("initiate", child=child, ike=connection, timeout=int(timeout * 1000), **{"init-limits": False})

    def terminate(self, connection: str, timeout: float = 10) -> dict:
        return self.vici.ask("terminate", ike=connection, timeout=int(timeout * 1000))

    def rekey(self, **what) -> dict:
        return self.vici.ask("rekey", **what)

    def sas(self) -> list[dict]:
        """IKE SAs with their Child SAs, as `swanctl --list-sas` shows them; the connection's name stands under `name`."""
        return [{"name": name, **sa} for event in self.vici.stream("list-sas", "list-sa") for name, sa in event.items()]
