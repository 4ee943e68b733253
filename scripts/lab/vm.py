"""A small virtual machine with Debian's kernel: the IPsec peer that nobody here wrote."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from pathlib import Path

from .namespaces import REPOSITORY, Failed, Lab, Namespace, Program, wait_for

HERE = Path(__file__).resolve().parent


def image() -> Path:
    """Makes the image when it is not there yet (about half a minute, and one Debian package to download)."""
    directory = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "vm"
    subprocess.run([str(HERE / "vm-image"), str(directory)], check=True)
    return directory


class Machine:
    """One guest. Its only NIC is a tap device `name` in `space`."""

    def __init__(self, lab: Lab, space: Namespace, name: str, *addresses: str):
        directory = image()
        self.agent_path = lab.directory / f"{name}.agent"
        self.console = lab.directory / f"{name}.console.log"
        space.ip("tuntap", "add", "dev", name, "mode", "tap")
        space.ip("link", "set", name, "up")
        # Emulated, not virtualised: slow, and the same on every machine. Offloads off: what the guest sends is whole packets.
        plain = "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ufo=off,host_tso4=off,host_tso6=off,host_ufo=off,mrg_rxbuf=off"
        self.program: Program = space.start(
            f"{name}-qemu", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-M", "pc", "-accel", "tcg",
            "-cpu", "qemu64,+aes,+pclmulqdq,+ssse3,+sse4.1,+sse4.2,+rdrand", "-m", "384", "-smp", "1",
            "-kernel", str(directory / "vmlinuz"), "-initrd", str(directory / "initrd"),
            "-append", "console=ttyS0 loglevel=4 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on "
                       f"cryptomgr.notests=1 i8042.noaux i8042.nokbd panic=-1 ip={','.join(addresses)}",
            "-netdev", f"tap,id=n0,ifname={name},script=no,downscript=no,vnet_hdr=off",
            "-device", f"virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:00:00:01,{plain}",
            "-device", "virtio-rng-pci", "-serial", f"file:{self.console}", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=c0,path={self.agent_path},server=on,wait=off", "-device", "virtconsole,chardev=c0")
        wait_for("qemu's socket", lambda: self.agent_path.exists() or self.ended(), 20)
        self.agent = socket.socket(socket.AF_UNIX)
        self.agent.connect(str(self.agent_path))
        self.agent.settimeout(300)
        self.until(b"AGENT-READY\r\n", b"AGENT-READY\n")

    def ended(self) -> bool:
        if not self.program.alive:
            raise Failed(f"qemu ended: {self.program.tail()}\n{self.boot_log()}")
        return False

    def boot_log(self) -> str:
        return self.console.read_text(errors="replace")[-2000:] if self.console.exists() else ""

    def until(self, *marks: bytes) -> bytes:
        octets = b""
        while not any(octets.endswith(mark) for mark in marks):
            try:
                more = self.agent.recv(65536)
            except TimeoutError:
                raise Failed(f"the guest did not answer within 300 s; its console says:\n{self.boot_log()}") from None
            if not more:
                raise Failed(f"the guest went away:\n{self.boot_log()}")
            octets += more
        return octets

    def run(self, command: str, check: bool = True) -> str:
        """One shell line in the guest; its output."""
        token = secrets.token_hex(4)
        self.agent.sendall(f"{token} {command}\n".encode())
        answer = self.until(f" {token}\r\n".encode(), f" {token}\n".encode()).replace(b"\r\n", b"\n")
        output, _, code = answer.rpartition(b"\n\x01RC=")
        code = int(code.split()[0])
        text = output.decode(errors="replace")
        if check and code != 0:
            raise Failed(f"in the guest, `{command[:200]}` ended with {code}: {text}")
        return text

    def write(self, path: str, text: str) -> None:
        """A file in the guest, in pieces that the console carries."""
        self.run(f": > {path}")
        lines = text.splitlines()
        for start in range(0, len(lines), 20):
            chunk = "\\n".join(line.replace("'", "'\\''") for line in lines[start:start + 20])
            self.run(f"printf '{chunk}\\n' >> {path}")
