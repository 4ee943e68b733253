"""strongSwan's control protocol (VICI): commands and answers as Python dictionaries."""

from __future__ import annotations

import socket
import struct

from .namespaces import Failed

SECTION, END, VALUE, LIST, ITEM, LIST_END = 1, 2, 3, 4, 5, 6
REQUEST, RESPONSE, REGISTER, UNREGISTER, EVENT = 0, 1, 3, 4, 7


def octets(value) -> bytes:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return value if isinstance(value, bytes) else str(value).encode()


def name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def value(item) -> bytes:
    raw = octets(item)
    return struct.pack("!H", len(raw)) + raw


def encode(message: dict) -> bytes:
    """A dictionary of texts, lists and dictionaries in VICI's form. `None` is left out."""
    made = b""
    for key, item in message.items():
        if item is None:
            continue
        if isinstance(item, dict):
            made += bytes([SECTION]) + name(key) + encode(item) + bytes([END])
        elif isinstance(item, (list, tuple)):
            made += bytes([LIST]) + name(key) + b"".join(bytes([ITEM]) + value(one) for one in item) + bytes([LIST_END])
        else:
            made += bytes([VALUE]) + name(key) + value(item)
    return made


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count:self.at]

    def name(self) -> str:
        return self.take(self.take(1)[0]).decode()

    def value(self) -> str:
        return self.take(struct.unpack("!H", self.take(2))[0]).decode(errors="replace")

    def section(self) -> dict:
        found: dict = {}
        while self.at < len(self.data) and (kind := self.take(1)[0]) != END:
            key = self.name()
            if kind == SECTION:
                found[key] = self.section()
            elif kind == VALUE:
                found[key] = self.value()
            else:
                found[key] = items = []
                while self.take(1)[0] == ITEM:
                    items.append(self.value())
        return found


class Vici:
    """One connection to one daemon."""

    def __init__(self, connected: socket.socket, timeout: float = 60):
        self.socket = connected
        self.socket.settimeout(timeout)

    def send(self, kind: int, label: str, message: bytes = b"") -> None:
        packet = bytes([kind]) + name(label) + message
        self.socket.sendall(struct.pack("!I", len(packet)) + packet)

    def receive(self) -> tuple[int, bytes]:
        packet = self.exactly(struct.unpack("!I", self.exactly(4))[0])
        return packet[0], packet[1:]

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Failed("strongSwan closed its control socket")
            data += more
        return data

    def ask(self, command: str, **message) -> dict:
        """One command to its end; the answer as it is."""
        self.send(REQUEST, command, encode(message))
        kind, data = self.receive()
        if kind != RESPONSE:
            raise Failed(f"strongSwan does not know `{command}`")
        return Reader(data).section()

    def do(self, command: str, **message) -> dict:
        """One command that must succeed."""
        answer = self.ask(command, **message)
        if answer.get("success", "yes") != "yes":
            raise Failed(f"strongSwan, {command}: {answer.get('errmsg', answer)}")
        return answer

    def stream(self, command: str, event: str, **message) -> list[dict]:
        """A command whose answers come as events."""
        self.send(REGISTER, event)
        self.receive()
        self.send(REQUEST, command, encode(message))
        found = []
        while True:
            kind, data = self.receive()
            if kind == RESPONSE:
                self.send(UNREGISTER, event)
                self.receive()
                return found
            if kind == EVENT:
                reader = Reader(data)
                reader.name()
                found.append(reader.section())
