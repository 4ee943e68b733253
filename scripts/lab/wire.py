"""Frames put on a link and taken from it by hand, in a namespace of the lab."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct

from .namespaces import Failed, Namespace


def packet_socket(space: Namespace, link: str) -> socket.socket:
    """A packet socket in another namespace."""
    with inside(space):
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        found.bind((link, 0))
    found.settimeout(0.3)
    return found


@contextlib.contextmanager
def inside(space: Namespace):
    """This thread alone enters a namespace for a moment: sockets made meanwhile stay there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{space.name}", os.O_RDONLY)
    enter(there)
    try:
        yield
    finally:
        enter(home)
        os.close(home), os.close(there)


def enter(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
        raise Failed("setns failed: root is needed")


def drain(listener: socket.socket) -> list[bytes]:
    frames = []
    try:
        while True:
            frames.append(listener.recv(65536))
    except TimeoutError:
        return frames


def resized(frame: bytes, length: int) -> bytes:
    """The same IPv4 frame with its packet cut to `length` octets and an honest header."""
    header = bytearray(frame[14:34])
    header[2:4], header[10:12] = struct.pack("!H", length), b"\0\0"
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return frame[:14] + bytes(header) + frame[34:14 + length]
