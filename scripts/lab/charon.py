"""strongSwan's charon as a peer: in a namespace with ESP in userspace (kernel-libipsec: always in UDP, without ESN, tunnel mode only), or in
a virtual machine with the ESP of its kernel."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from .namespaces import Failed, Namespace, Program, run, wait_for
from .vici import Vici
from .vm import Machine
from .wire import inside

DAEMON = Path("/usr/lib/ipsec/charon")
VICI_PORT = 4502


def plugins(kernel: str) -> str:
    """Whatever takes ESP must come before kernel-netlink, which is always there for addresses and routes."""
    return ("random nonce openssl gcrypt gmp aes sha1 sha2 md5 mgf1 hmac cmac xcbc ctr ccm gcm chapoly curve25519 kdf drbg pem pkcs1 pkcs8 "
            f"pubkey x509 constraints revocation {kernel} socket-default vici")


# The marks keep the daemon's own packets out of the routes into its tunnel device.
USERSPACE = (plugins("kernel-libipsec kernel-netlink"), """kernel-libipsec { allow_peer_ts = yes }
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }""")
KERNEL = (plugins("kernel-netlink"), "")


def configuration(vici: str, loaded: tuple[str, str], retransmit: tuple[float, int] = (1.0, 3)) -> str:
    """strongswan.conf."""
    return f"""charon {{
  load = {loaded[0]}
  retransmit_timeout = {retransmit[0]}
  retransmit_tries = {retransmit[1]}
  fragment_size = 1280
  accept_private_algs = yes
  make_before_break = yes
  install_virtual_ip = no
  plugins {{
    vici {{ socket = {vici} }}
    {loaded[1]}
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

    vici: Vici

    def clear(self) -> None:
        """Forgets everything."""
        for sa in self.sas():
            self.vici.ask("terminate", **{"ike-id": sa["uniqueid"], "force": True, "timeout": 5000})
        for name in self.vici.ask("get-conns").get("conns", []):
            self.vici.do("unload-conn", name=name)
        self.vici.do("clear-creds")
        self.vici.do("flush-certs")

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

    def rekey(self, child: str) -> None:
        self.vici.do("rekey", child=child)

    def terminate(self, connection: str, child: str | None = None, timeout: float = 10) -> dict:
        """All of it, or one child."""
        which = {"child": child} if child else {"ike": connection}
        return self.vici.ask("terminate", **which, timeout=int(timeout * 1000))

    def half_open(self) -> int:
        return int(self.vici.ask("stats")["ikesas"]["half-open"])

    def sas(self) -> list[dict]:
        """IKE SAs with their Child SAs, as `swanctl --list-sas` shows them; the connection's name stands under `name`."""
        return [{"name": name, **sa} for event in self.vici.stream("list-sas", "list-sa") for name, sa in event.items()]


class InNamespace(Charon):
    """ESP in userspace."""

    def __init__(self, space: Namespace):
        if not DAEMON.exists():
            raise Failed("strongSwan is missing: run scripts/setup --test as root")
        self.space = space
        self.directory = space.lab.directory / f"{space.name}-charon"
        self.directory.mkdir(exist_ok=True)
        self.program: Program | None = None

    def start(self) -> None:
        path, file = self.directory / "vici", self.directory / "strongswan.conf"
        path.unlink(missing_ok=True)
        file.write_text(configuration(f"unix://{path}", USERSPACE))
        # A copy under another name is not confined by the AppArmor profile that Debian ships for the service; `ip netns exec` makes a
        # mount namespace of its own, so /run with its pid file can be private too.
        daemon = self.directory / "charon"
        daemon.unlink(missing_ok=True)
        shutil.copy(DAEMON, daemon)
        script = 'mount -t tmpfs run /run && STRONGSWAN_CONF="$1" exec "$2"'
        self.program = self.space.start(f"{self.space.name}-charon", "sh", "-c", script, "sh", str(file), str(daemon))
        wait_for(f"charon in {self.space.name}", lambda: self.connect(path), 30)

    def connect(self, path: Path) -> bool:
        if not self.alive:
            raise Failed(f"charon ended with {self.program.process.returncode}:\n{self.log()}")
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(path))
        except OSError:
            made.close()
            return False
        self.vici = Vici(made)
        return True

    @property
    def alive(self) -> bool:
        return bool(self.program) and self.program.alive

    def kill(self) -> None:
        """As kill -9 does: nobody is told."""
        if self.program:
            self.program.kill()

    def log(self) -> str:
        return self.program.tail(30)

    def said(self, pattern: str) -> int:
        """How many lines of its log match this basic regular expression."""
        return int(run("grep", "-c", pattern, str(self.program.log), check=False).stdout)


class InMachine(Charon):
    """ESP of the guest's kernel: raw or in UDP, ESN, and tunnels that begin with a packet."""

    def __init__(self, machine: Machine, near: Namespace, address: str):
        """`near`: a namespace that reaches `address` of the guest without a tunnel."""
        self.machine, self.near, self.address = machine, near, address
        self.alive = False

    def start(self) -> None:
        self.machine.write("/tmp/strongswan.conf", configuration(f"tcp://{self.address}:{VICI_PORT}", KERNEL))
        self.machine.run("mkdir -p /var; [ -e /var/run ] || ln -s /run /var/run; rm -f /run/charon.pid")
        self.machine.run("(STRONGSWAN_CONF=/tmp/strongswan.conf /usr/lib/ipsec/charon >/tmp/charon.log 2>&1 </dev/null & echo $! >/tmp/charon)")
        wait_for("charon in the guest", self.connect, 120)
        self.alive = True

    def connect(self) -> bool:
        with inside(self.near):
            made = socket.socket()
        made.settimeout(5)
        try:
            made.connect((self.address, VICI_PORT))
        except OSError:
            made.close()
            return False
        self.vici = Vici(made, timeout=180)
        return True

    def kill(self) -> None:
        self.machine.run("kill -9 $(cat /tmp/charon); ip xfrm state flush; ip xfrm policy flush", check=False)
        self.alive = False

    def log(self) -> str:
        return self.machine.run("tail -n 30 /tmp/charon.log", check=False)

    def said(self, pattern: str) -> int:
        return int(self.machine.run(f"grep -c '{pattern}' /tmp/charon.log", check=False))
