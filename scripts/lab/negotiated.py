"""What one end is told (ends.py), as postern.yaml."""

from __future__ import annotations

from .ends import End, Proof

HEAD = """interfaces:
  - {{ name: lan, role: inside }}
  - {{ name: wan, role: outside }}
workers: {{ cores: [{core}] }}
ike: {{ retransmit_first: 1s, retransmit_tries: 3, cookie_above: {cookie_above} }}
"""


def span(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds else "never"


def quoted(items: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def proves(proof: Proof) -> list[str]:
    """Under `local`."""
    if proof.method == "psk":
        return [f'psk: "{proof.secret}"']
    if proof.method == "raw":
        return [f'key: {{ file: "{proof.leaf.key}" }}']
    chain = [proof.leaf.certificate, *([proof.authority.intermediate.certificate] if proof.send_intermediate else [])]
    return [f"certificate: {quoted(tuple(map(str, chain)))}", f'key: {{ file: "{proof.leaf.key}" }}']


def must_prove(proof: Proof) -> list[str]:
    """Under `remote`."""
    if proof.method == "raw":
        return [f'public_key: "{proof.leaf.certificate}"']
    return [f'psk: "{proof.secret}"'] if proof.method == "psk" else [f'ca: "{proof.authority.root.certificate}"']


def postern(end: End | None, core: int = 0) -> str:
    """The whole file, with what this end is told; or with no connection."""
    text = HEAD.format(core=core, cookie_above=end.cookie_above if end else 64)
    return text + "".join(["connections:\n", *map(connection, end.connections)]) if end else text


def connection(end: End) -> str:
    """With its children."""
    local = [f'address: "{end.local}"', f'id: "{end.identity}"', *proves(end.proof)]
    remote = [*([f'address: "{end.remote}"'] if end.remote != "any" else []), f'id: "{end.remote_identity}"', *must_prove(end.remote_proof)]
    lines = [
        f"  {end.name}:",
        "    local: { " + ", ".join(local) + " }",
        "    remote: { " + ", ".join(remote) + " }",
        f"    proposals: {quoted(end.ike)}",
        f"    lifetime: {{ rekey: {span(end.rekey_ike)}, reauth: {span(end.reauth)}, over: 30s, jitter: 0 }}",
        f"    dpd: {span(end.dpd)}",
        f"    encap: {end.encap}",
        f"    legacy: {str(end.legacy).lower()}",
        *([] if end.fragmentation else ["    fragmentation: 0"]),
        "    children:",
    ]
    for name, one in end.children.items():
        lines += child(name, one)
    return "\n".join(lines) + "\n"


def child(name: str, end: End) -> list[str]:
    life = f"soft_seconds: {int(end.rekey_child)}, hard_seconds: {int(2 * end.rekey_child + 30 if end.rekey_child else 0)}, jitter: 0"
    lines = [
        f"      {name}:",
        f"        local_ts: {quoted(end.local_ts)}",
        f"        remote_ts: {quoted(end.remote_ts)}",
        f"        esp: {quoted(end.esp)}",
        f"        start: {end.start}",
        f"        on_dead: {end.on_dead}",
        "        on_close: clear",
        f"        lifetime: {{ {life} }}",
    ]
    if end.esn is not None:
        lines.append(f"        esn: {str(end.esn).lower()}")
    return lines
