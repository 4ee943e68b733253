"""Network namespaces, the programs in them, and a promise to leave nothing behind.

Everything here works on namespaces that this process made; nothing outside them is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """Something that the lab needed did not work. The text says what and what to do."""


def run(*command: str, check: bool = True, timeout: float = 60, **options) -> subprocess.CompletedProcess:
    """Runs one command to its end and keeps its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise Failed(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def wait_for(what: str, condition, seconds: float = 10.0):
    """Asks again and again until `condition()` is true; its value is the answer."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {seconds:.0f} s for {what}, in vain")
        time.sleep(0.05)


class Namespace:
    """One network namespace. Commands run in it with `run` (to the end) or `start` (in the background)."""

    def __init__(self, lab: "Lab", name: str):
        self.lab, self.name = lab, name
        if name in run("ip", "netns", "list").stdout.split():
            raise Failed(f"a namespace `{name}` is there already: another run? remove it with `ip netns del {name}`")
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        for key in ("all", "default"):
            self.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
            self.sysctl(f"net.ipv6.conf.{key}.accept_dad", 0)

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        return run("ip", "netns", "exec", self.name, *command, **options)

    def ip(self, *arguments: str) -> subprocess.CompletedProcess:
        return run("ip", "-n", self.name, *arguments)

    def sysctl(self, key: str, value: int) -> None:
        self.run("sysctl", "-qw", f"{key}={value}")

    def forward(self) -> None:
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)

    def start(self, label: str, *command: str) -> "Program":
        return Program(self.lab, label, "ip", "netns", "exec", self.name, *command)

    def addresses(self, link: str, *addresses: str) -> None:
        for address in addresses:
            self.ip("addr", "add", address, "dev", link, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", link, "up")


class Program:
    """A program in the background; its output goes to a file of the lab."""

    def __init__(self, lab: "Lab", label: str, *command: str):
        self.log = lab.directory / f"{label}.log"
        self.label = label
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        lab.programs.append(self)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As kill -9 does."""
        if self.alive:
            self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 5.0) -> int:
        """As systemd does: asks, waits, insists."""
        if self.alive:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Lab:
    """All that one run makes: namespaces, programs, a directory, a bpffs. `with Lab() as lab:` cleans up."""

    def __init__(self, keep_logs: Path | None = None):
        if os.geteuid() != 0:
            raise Failed("this needs root, for network namespaces and AF_XDP: run it with sudo")
        self.programs: list[Program] = []
        self.spaces: list[Namespace] = []
        self.keep_logs = keep_logs
        self.directory = Path(tempfile.mkdtemp(prefix="postern-lab-"))
        self.directory.chmod(0o700)
        self.bpf = self.directory / "bpf"
        self.bpf.mkdir()
        run("mount", "-t", "bpf", "bpf", str(self.bpf))

    def __enter__(self) -> "Lab":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_) -> None:
        for program in reversed(self.programs):
            program.stop(2.0)
        for space in self.spaces:
            run("ip", "netns", "del", space.name, check=False)
        run("umount", str(self.bpf), check=False)
        if self.keep_logs:
            self.keep_logs.mkdir(parents=True, exist_ok=True)
            for log in self.directory.glob("*.log"):
                shutil.copy(log, self.keep_logs / log.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def namespace(self, name: str) -> Namespace:
        space = Namespace(self, name)
        self.spaces.append(space)
        return space

    def veth(self, left: Namespace, left_name: str, right: Namespace, right_name: str, queues: int = 1) -> None:
        """A cable between two namespaces."""
        many = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
        run("ip", "link", "add", left_name, "netns", left.name, *many, "type", "veth",
            "peer", "name", right_name, "netns", right.name, *many)
        left.ip("link", "set", left_name, "up")
        right.ip("link", "set", right_name, "up")


class Gateway:
    """One Postern gateway in a namespace: data plane, control, and the command line to ask them."""

    def __init__(self, space: Namespace, binaries: Path, configuration: str):
        self.space, self.binaries = space, binaries
        base = space.lab.directory / space.name
        self.run_dir, self.state, self.pin = base / "run", base / "state", space.lab.bpf / space.name
        for directory in (self.run_dir, self.state):
            directory.mkdir(parents=True)
        self.file = base / "postern.yaml"
        self.configure(configuration)
        self.dataplane: Program | None = None
        self.control: Program | None = None

    def configure(self, configuration: str) -> None:
        self.file.write_text(configuration)
        self.file.chmod(0o600)

    def start_dataplane(self) -> None:
        self.dataplane = self.space.start(
            f"{self.space.name}-dataplane", str(self.binaries / "postern-dataplane"),
            "--run-dir", str(self.run_dir), "--pin", str(self.pin))

    def start_control(self) -> None:
        self.control = self.space.start(
            f"{self.space.name}-control", str(self.binaries / "postern-control"),
            "--run-dir", str(self.run_dir), "--config", str(self.file), "--state", str(self.state))

    def start(self) -> None:
        self.start_dataplane()
        self.start_control()
        self.wait_ready()

    def wait_ready(self, seconds: float = 20.0) -> None:
        """Until every interface is bound and policy is in force: control installs it after the SAs."""
        try:
            wait_for(f"{self.space.name} to carry traffic", self.ready, seconds)
        except Failed as failed:
            logs = "\n".join(program.tail() for program in (self.dataplane, self.control) if program)
            raise Failed(f"{failed}\n{logs}") from None

    def ready(self) -> bool:
        for program in (self.dataplane, self.control):
            if program and not program.alive:
                raise Failed(f"{program.label} ended with {program.process.returncode}:\n{program.tail()}")
        answer = self.postern("interfaces", "-o", "json", check=False)
        if answer.returncode != 0:
            return False
        interfaces = json.loads(answer.stdout)["interfaces"]
        return bool(interfaces) and all(i["up"] for i in interfaces) and bool(self.json("policy")["policies"])

    def postern(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.space.run(str(self.binaries / "postern"), "--run-dir", str(self.run_dir), *arguments, check=check)

    def json(self, *arguments: str):
        return json.loads(self.postern(*arguments, "-o", "json").stdout)

    def sas(self) -> list[dict]:
        return self.json("sa")["sas"]

    def drops(self) -> dict[str, int]:
        """Every drop reason that is not zero, by name."""
        return {name: count for name, count in self.json("counters")["drops"].items() if count}

    def counted(self, expected: dict[str, int], action):
        """Runs `action` and insists that exactly these drops were added; what `action` answered."""
        before = self.drops()
        answer = action()
        added = lambda: {name: count - before.get(name, 0) for name, count in self.drops().items() if count != before.get(name, 0)}
        try:
            wait_for("the drops to be counted", lambda: added() == expected, 5)
        except Failed:
            raise AssertionError(f"expected {expected}, counted {added()}") from None
        return answer


def names(drops: dict[str, int]) -> str:
    """Drops as a row of the report shows them."""
    return ", ".join(f"{name} {count}" for name, count in drops.items()) or "no drop"


def build(*extra: str) -> Path:
    """Builds the three programs and says where they are. Cargo shows its own progress."""
    done = subprocess.run(["cargo", "build", "--release", "--bins", "--locked", *extra], cwd=REPOSITORY)
    if done.returncode != 0:
        raise Failed("the build failed: cargo's own words stand above")
    target = os.environ.get("CARGO_TARGET_DIR", str(REPOSITORY / "target"))
    return Path(target) / "release"
