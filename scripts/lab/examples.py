"""The annotated examples of configs/, as the demo runs them: each is gateway A's file; gateway B's is the same with the two sides exchanged."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
from pathlib import Path

from .namespaces import REPOSITORY, Failed, run
from .site import LAN, WAN4

CERTIFICATES, MANUAL = "ike-certificates.yaml", "site-to-site-manual.yaml"

# What changes places when the other end's file is made. Beside the LANs of site.py an example may have other parts of 10.1/16 and 10.2/16.
SIDES = (("10.1.", "10.2."), (f"{LAN['a'][1]}:", f"{LAN['b'][1]}:"), (f"{WAN4}.1", f"{WAN4}.2"), ("gw-a", "gw-b"), ("site-a", "site-b"),
         ("inbound", "outbound"))


def example(name: str) -> str:
    """One file of configs/, checked to be about the addresses that the demo's network has."""
    text = (REPOSITORY / "configs" / name).read_text()
    for word in (f"{WAN4}.1", *(f"{net}.0/24" for net, _ in LAN.values())):
        if word not in text:
            raise Failed(f"configs/{name} no longer has {word}, which the demo's network is made for")
    return text


def mirrored(text: str) -> str:
    """Gateway B's file, from gateway A's."""
    other = {word: twin for one, two in SIDES for word, twin in ((one, two), (two, one))}
    words = "|".join(re.escape(word) for word in sorted(other, key=len, reverse=True))
    return re.sub(rf"\b(?:{words})", lambda found: other[found[0]], text)


def pki(text: str) -> list[list[str]]:
    """The commands in an example's comments that make its certificates."""
    return [shlex.split(line) for line in re.findall(r"^#\s+(postern pki .*)$", text, re.MULTILINE)]


def issue(text: str, program: Path, directory: Path) -> int:
    """Runs these commands in `directory`, word for word; how many there were."""
    directory.mkdir()
    for _, *arguments in (commands := pki(text)):
        run(str(program), *arguments, cwd=directory)
    return len(commands)


def hand_over(end: str, made: Path, to: Path) -> None:
    """What gateway `end` gets of all that was made: the CA's certificate, its own, and its own key. The CA's key stays where it is."""
    for name in ("ca.pem", f"gw-{end}.pem", f"gw-{end}.key"):
        shutil.copy(made / name, to / name)


def fresh_keys(text: str) -> str:
    """The example's manual keys are published: others take their place, of the same lengths."""
    return re.sub(r'(?<=key: ")[0-9a-f]+(?=")', lambda found: secrets.token_hex(len(found[0]) // 2), text)


def on_core(text: str, core: int) -> str:
    """The two gateways share this machine: each has one worker, on a core of its own if there is one."""
    return f"{text}\nworkers: {{ cores: [{core}] }}\n"
