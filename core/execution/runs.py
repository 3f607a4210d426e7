"""The stretches of candles and settlements that trades are played on, as the kernel reads them.

The law: trades of many series are played in one call, each on its own stretch and nothing beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.execution.codes import DEFAULT, RECORDED
from core.execution.funding import FundingMarks
from core.execution.tables import CANDLE, MARK, Table, table
from core.schema import Candles, IntArray

__all__ = ["Run", "candles_to_sides", "marks_to_table", "place"]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The stretch of one series that trades are played on.

    Parameters
    ----------
    candles : Candles
        Closed base candles that hold all from the earliest ``next_ms`` on; earlier ones do not count.
    frontier_ms : int
        Candles with ``ts`` at or after it are not played.
    marks : FundingMarks
        All settlements since the earliest fill; `no_marks()` on spot.
    delisted : bool
        The market ended at the last of `candles`: what is held leaves at that close, what waits is cancelled.
    """

    candles: Candles
    frontier_ms: int
    marks: FundingMarks
    delisted: bool = False


def place(plans: Table, owner: IntArray, runs: Sequence[Run], seen: Sequence[Candles]) -> None:
    """Write into each plan the stretch it is played on."""
    candles_to = np.cumsum([len(part) for part in seen], dtype=np.int64)
    marks_to = np.cumsum([len(run.marks) for run in runs], dtype=np.int64)
    columns = {
        "run_from": candles_to - [len(part) for part in seen],
        "run_to": candles_to,
        "mark_from": marks_to - [len(run.marks) for run in runs],
        "mark_to": marks_to,
        "frontier_ms": np.array([run.frontier_ms for run in runs], dtype=np.int64),
        "delisted": np.array([run.delisted for run in runs], dtype=np.int64),
    }
    for name, values in columns.items():
        plans[name] = values[owner]


def marks_to_table(runs: Sequence[Run]) -> Table:
    """Return the settlements of all runs, one behind the other."""
    marks = [run.marks for run in runs if len(run.marks)]
    if not marks:
        return table(MARK, 0)
    recorded = np.concatenate([part.recorded for part in marks])
    return table(
        MARK,
        len(recorded),
        ts=np.concatenate([part.ts for part in marks]),
        rate_pct=np.concatenate([part.rate_pct for part in marks]),
        source=np.where(recorded, RECORDED, DEFAULT),
    )


def candles_to_sides(candles: Candles) -> tuple[Table, Table]:
    """Return the candles as a long and as a short sees them."""
    n, ts, o, h, low, c = len(candles), candles.ts, candles.open, candles.high, candles.low, candles.close
    long = table(CANDLE, n, ts=ts, open=o, high=h, low=low, close=c)
    return long, table(CANDLE, n, ts=ts, open=-o, high=-low, low=-h, close=-c)
