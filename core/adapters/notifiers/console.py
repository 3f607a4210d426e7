"""Messages on a stream: the terminal, or a file.

The law: showing a message never fails. Whoever closed the terminal does not want to see it, and no alert
may stop the process for that.
"""

from __future__ import annotations

from typing import TextIO

from core.ports import Message
from core.redact import escaped

__all__ = ["ConsoleNotifier"]


class ConsoleNotifier:
    """Prints each message as a block of plain text.

    Parameters
    ----------
    stream : TextIO
        Such as ``sys.stdout``.
    """

    name = "console"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._printed = 0

    async def send(self, message: Message) -> str:
        """Print the message; return its number since the process began."""
        self._printed += 1
        # Names of symbols and answers of others are among the words: none may steer the terminal.
        block = "\n".join(map(escaped, message.plain.split("\n"))) + "\n\n"
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(block.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            return str(self._printed)  # closed, or its reader is gone
        return str(self._printed)

    async def check(self) -> None:
        """Return at once: there is always somebody to print for."""

    async def close(self) -> None:
        """Leave the stream open: it belongs to whoever handed it in."""
