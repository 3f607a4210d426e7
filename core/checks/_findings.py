"""What a parity check finds: recorded rows that come out differently now, and why.

The law: a difference has one cause, the one that makes the recomputed row equal to the recorded one; where none does,
it is unexplained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.checks._compare import ABSENT, ROW, differing
from core.clock import format_ms

__all__ = [
    "CAUSES",
    "CONFIGURATION",
    "FUNDING_DEFAULT",
    "LATE",
    "LATE_BENCHMARK",
    "LATE_OUTCOME",
    "LATE_SETTLEMENT",
    "MISSING",
    "MODEL",
    "RETRO",
    "REVISED",
    "REVISED_BENCHMARK",
    "UNEXPLAINED",
    "Change",
    "Finding",
    "finding_of",
    "row_changes",
]

LATE = "late candle"
REVISED = "revised candle"
MISSING = "missing candle"
LATE_BENCHMARK = "late benchmark candle"
REVISED_BENCHMARK = "revised benchmark candle"
LATE_SETTLEMENT = "late settlement"
LATE_OUTCOME = "late outcome"
MODEL = "model gone or changed"
CONFIGURATION = "other configuration"
FUNDING_DEFAULT = "funding default"
RETRO = "left to a retro scan"
UNEXPLAINED = "unexplained"
CAUSES = (
    *(LATE, REVISED, MISSING, LATE_BENCHMARK, REVISED_BENCHMARK, LATE_SETTLEMENT, LATE_OUTCOME),
    *(MODEL, CONFIGURATION, FUNDING_DEFAULT, RETRO, UNEXPLAINED),
)

_TEXT_SHOWN = 40
_CHANGES_SHOWN = 4

Change = tuple[str, object, object]
"""A field with its recorded and its recomputed value."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One recorded row that is not what comes out now, or one that comes out now and was not recorded.

    Parameters
    ----------
    kind : str
        ``signal``, ``vector``, ``decision`` or ``trade``.
    signal_id : int
        0 where there is none.
    symbol, timeframe : str
    decided_ms : int
        The close it is about, UTC milliseconds.
    what : str
        Direction and entry of a candidate, exit policy of a trade.
    changes : sequence of (str, object, object)
        Fields with both values.
    cause : str
        One of `CAUSES`.
    detail : str
        What explains it: which candle, which parameters.
    """

    kind: str
    signal_id: int
    symbol: str
    timeframe: str
    decided_ms: int
    what: str
    changes: Sequence[Change]
    cause: str
    detail: str = ""

    @property
    def is_explained(self) -> bool:
        """Whether something that is known to have happened accounts for it."""
        return self.cause != UNEXPLAINED

    @property
    def is_recorded(self) -> bool:
        """Whether it is about a row of the record, and not about one that is lacking there."""
        return self.changes[0][:2] != (ROW, ABSENT) and self.cause != RETRO

    def __str__(self) -> str:
        who = f"{self.kind} {self.signal_id}" if self.signal_id else self.kind
        told = [f"{name} {_shown(recorded)} -> {_shown(now)}" for name, recorded, now in self.changes[:_CHANGES_SHOWN]]
        if len(self.changes) > _CHANGES_SHOWN:
            told.append(f"and {len(self.changes) - _CHANGES_SHOWN} more")
        cause = f"{self.cause} ({self.detail})" if self.detail else self.cause
        when = f"{self.symbol} {self.timeframe} {format_ms(self.decided_ms)}"
        return f"{who} {when} {self.what}: {cause}: {', '.join(told)}"


def finding_of(kind: str, row: pd.Series, changes: Sequence[Change], cause: str, detail: str = "") -> Finding:
    """Return a finding about a candidate, a row with columns `schema.SIGNALS`."""
    what = f"{row['direction']} {row['entry']:g}"
    place = str(row["symbol"]), str(row["timeframe"]), int(row["decided_ms"])
    return Finding(kind, int(row["id"]), *place, what, changes, cause, detail)


def row_changes(recorded: pd.DataFrame, now: pd.DataFrame, left_out: Sequence[str]) -> dict[int, list[Change]]:
    """Compare two frames row by row.

    Parameters
    ----------
    recorded, now : pandas.DataFrame
        Of one length; columns of `recorded`.
    left_out : sequence of str
        Columns that may differ.

    Returns
    -------
    dict of int to list of Change
        By position, for rows that differ.
    """
    found: dict[int, list[Change]] = {}
    for name in recorded.columns:
        if name in left_out:
            continue
        for at in np.flatnonzero(differing(recorded[name], now[name])):
            found.setdefault(int(at), []).append((str(name), recorded[name].iloc[at], now[name].iloc[at]))
    return dict(sorted(found.items()))


def _shown(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    text = str(value)
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 3] + "..."
