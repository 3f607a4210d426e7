"""Which sockets a process listens on, as the kernel tells it (Linux)."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

__all__ = ["listening"]

_LISTEN = "0A"


def listening(pid: int) -> set[tuple[str, int]]:
    """Return address and port of every TCP socket a process listens on."""
    own = {f"socket:[{row[9]}]": row for row in _rows(pid)}
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            row = own.get(str(handle.readlink()))
        except OSError:
            continue  # closed meanwhile
        if row is not None:
            found.add(_place(row[1]))
    return found


def _rows(pid: int) -> list[list[str]]:
    rows = []
    for name in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{name}")
        if path.exists():
            rows += [line.split() for line in path.read_text().splitlines()[1:]]
    return [row for row in rows if row[3] == _LISTEN]


def _place(text: str) -> tuple[str, int]:
    """Return address and port of the kernel's hexadecimal words, each of four bytes in the machine's order."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return str(ipaddress.ip_address(packed)), int(port, 16)
