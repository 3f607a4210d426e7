"""A Telegram on a bad day, and the list of what reached the chat.

The law: what is delivered stands in a file before anything else can happen, so that no death of the sender hides it.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

from core.errors import ChatRefused, NotifierError, NotifierUnavailable
from core.ports import Message
from tests.torture.board import Board
from tests.torture.plan import Plan

__all__ = ["CHANNEL", "FaultyNotifier", "read_chat"]

CHANNEL = "telegram"
_FLOOD_S = 120.0


class FaultyNotifier:
    """The messenger of one process.

    Parameters
    ----------
    plan : Plan
    board : Board
    chat : pathlib.Path
        Where deliveries are listed, one line each.
    met : Counter
        Faults that were met, by kind.
    """

    name = CHANNEL

    def __init__(self, plan: Plan, board: Board, chat: Path, met: Counter[str]) -> None:
        self.plan, self.board, self.chat, self.met = plan, board, chat, met

    async def send(self, message: Message) -> str:
        self.board.reach("notifier.send.before")
        self.board["sends"] += 1
        number = self.board["sends"]
        kind = "down" if self.board["tick"] in self.plan.silent else self.plan.sends.get(number, "")
        if kind:
            self.met[f"Telegram {kind}"] += 1
        if kind == "down":
            raise NotifierUnavailable("telegram: not reached")
        if kind == "flood":
            raise NotifierUnavailable("telegram: asked to wait", _FLOOD_S)
        if kind == "blocked":
            raise ChatRefused("telegram: the bot was blocked")
        remote_id = str(100 + number)
        head = message.plain.splitlines()[0]
        ids = re.findall(r"#\d+", head) or re.findall(r"#\d+", message.plain) or [head]  # a note has no number
        self._list({"remote_id": remote_id, "kind": kind, "ids": ids, "reply_to": message.reply_to})
        if kind == "refused":
            raise NotifierError("telegram: the message was refused")
        self.board.reach("notifier.send.after")
        if kind == "lost":
            raise NotifierUnavailable("telegram: no answer")
        return remote_id

    def _list(self, row: dict[str, object]) -> None:
        number = os.open(self.chat, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(number, (json.dumps(row) + "\n").encode())
        finally:
            os.close(number)

    async def check(self) -> None:
        """It can be reached as far as anybody knows."""

    async def close(self) -> None:
        """Nothing is held."""


def read_chat(chat: Path) -> list[dict[str, object]]:
    """Return what was handed to the messenger and answered or not, in order."""
    if not chat.exists():
        return []
    return [json.loads(line) for line in chat.read_text(encoding="utf-8").splitlines()]
