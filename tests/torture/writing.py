"""The writer of a process that may die: each commit is numbered, and told once it was answered.

The law: the number is written inside the transaction it numbers; what is told afterwards is never more than was
committed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from core.store.writer import CheckpointReport, Writer
from tests.torture.board import Board

__all__ = ["SEQ", "TellingWriter", "read_told", "writer_of"]

SEQ = "torture.seq"


class TellingWriter(Writer):
    """A writer that numbers its transactions and says which were answered; `board` and `told` are set by the rig."""

    board: Board
    told: Path
    _inside = 0
    _numbering = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As the writer's own; the outermost is numbered and told."""
        if self._inside:
            with super().transaction():
                yield
            return
        self._inside, self._said = 1, {"signals": [], "alerts": []}
        self._marks = False
        try:
            with super().transaction():
                yield
                number = self.board["acked"] + 1
                self.set_meta(SEQ, str(number))
                self.board.reach("notifier.send.before_mark" if self._marks else "writer.commit.before")
        except BaseException:
            self.board["unmarked"] += self._marks
            raise
        finally:
            self._inside = 0
        self._tell(number)
        self.board["acked"] = number
        self.board.reach("writer.commit.after")

    def put_signals(self, frame: pd.DataFrame) -> pd.DataFrame:
        """As the writer's own; the keys are told."""
        put = super().put_signals(frame)
        self._said["signals"] += put["key"].tolist()
        return put

    def queue(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """As the writer's own; the keys are told."""
        count = super().queue(rows)
        if self._inside:
            self._said["alerts"] += [row["key"] for row in rows]
        return count

    def mark_outbox(self, *args: Any, **kwargs: Any) -> None:
        """As the writer's own."""
        self._marks = True
        super().mark_outbox(*args, **kwargs)

    def checkpoint(self) -> CheckpointReport:
        """As the writer's own."""
        self.board.reach("checkpoint.before")
        report = super().checkpoint()
        self.board.reach("checkpoint.after")
        return report

    def _tell(self, number: int) -> None:
        if not any(self._said.values()):
            return
        handle = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, (json.dumps({"number": number, **self._said}) + "\n").encode())
        finally:
            os.close(handle)


def writer_of(board: Board, told: Path) -> type[TellingWriter]:
    """Return the class of writer for a process."""
    return type("BoundWriter", (TellingWriter,), {"board": board, "told": told})


def read_told(told: Path) -> dict[str, set[str]]:
    """Return the keys of all signals and alerts whose commit was answered."""
    rows = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()] if told.exists() else []
    return {name: {key for row in rows for key in row[name]} for name in ("signals", "alerts")}
