"""A played record to be tampered with, and what `parity` says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from core.checks._findings import CAUSES
from tests.engine import merged, trader

__all__ = ["BTC", "ETH", "EXCHANGE", "Counts", "Told", "ask", "change", "tape"]

EXCHANGE, BTC, ETH = "synthetic", "BTC/USDT:USDT", "ETH/USDT:USDT"
_ROW = re.compile(r"^(\w[\w ]*?) {2,}" + r" +".join([r"([\d,]+)"] * 4) + "$", re.MULTILINE)
_STAYS = ("signals_live_stay", "signals_live_kept", "thresholds_stay")


class Counts(NamedTuple):
    """A line of the table."""

    signals: int = 0
    vectors: int = 0
    decisions: int = 0
    trades: int = 0


@dataclass(frozen=True)
class Told:
    """What the command said: exit code, table, a line each difference, and errors."""

    code: int
    table: dict[str, Counts]
    lines: list[str]
    err: str

    @property
    def differences(self) -> dict[str, Counts]:
        """The causes that account for anything."""
        return {cause: self.table[cause] for cause in CAUSES if self.table[cause] != Counts()}

    def of(self, kind: str, signal_id: int) -> list[str]:
        """The lines about a row."""
        return [line for line in self.lines if line.startswith(f"{kind} {signal_id} ")]


def ask(capsys: pytest.CaptureFixture[str], config: Path, *arguments: str) -> Told:
    """Ask whether what was decided live comes out again."""
    capsys.readouterr()
    code = trader(config, "parity", "--explain", *arguments)
    out, err = capsys.readouterr()
    table = {name: Counts(*(int(count.replace(",", "")) for count in row)) for name, *row in _ROW.findall(out)}
    return Told(code, table, [line.strip() for line in out.splitlines() if line.startswith("  ") and ": " in line], err)


def change(database: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change a database behind the engine's back."""
    connection = apsw.Connection(str(database))
    for trigger in _STAYS:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for text, values in statements:
        connection.execute(text, values)
    connection.close()


def tape(days: int, **changed: object) -> dict[str, Any]:
    """Return what to change of the configuration to play a generated market live, without weekly jobs."""
    made = {"world": "edge", "p_star": 0.8, "seed": 11, "start": "2024-01-01", "days": days, "step": "1h"}
    plain = {
        "exchange": {"id": EXCHANGE, "synthetic": made},
        "symbols": [BTC, ETH],
        "timeframes": ["15m", "1h"],
        "notify": {"console": False},
        "app": {"log_level": "ERROR"},
        "auto": {"enabled": False},
    }
    return merged(plain, dict(changed))
