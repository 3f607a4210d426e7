"""Whether a declared warm-up is enough: with so many candles before it, a value is the one of the whole history.

The law: live scans are given `warmup` candles and no more, so what they decide must not depend on older ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.checks._compare import Compute, choose_cuts, first_differences, said_to_frame
from core.schema import Candles

__all__ = ["ColdStart", "find_cold_starts"]

WINDOW = 20  # candles compared after the warm-up


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A value that depends on candles older than the warm-up.

    Parameters
    ----------
    first_ms : int
        Open of the first candle after the warm-up, UTC milliseconds.
    field : str
        The column; ``row`` where a whole row came or went.
    ts_ms : int
        Open of the candle whose value differs.
    whole, warm : object
        The value with the whole history, and after the warm-up alone.
    candidate : str
        What the row is about, where it is about a candidate.
    """

    first_ms: int
    field: str
    ts_ms: int
    whole: object
    warm: object
    candidate: str = ""


def find_cold_starts(
    compute: Compute, candles: Candles, warmup: int, cuts: int, rng: np.random.Generator
) -> list[ColdStart]:
    """Compare the whole history with runs that begin `warmup` candles before what they are asked about.

    Parameters
    ----------
    compute : callable
        As for `core.checks.lookahead.find_leaks`.
    candles : Candles
        The whole history; where it is no longer than the warm-up there is nothing to compare.
    warmup : int
        Candles declared to be enough.
    cuts : int
        How many runs. Half of them begin so that a row lies right behind the warm-up.
    rng : numpy.random.Generator

    Returns
    -------
    list of ColdStart
        The earliest of each column, for each run; empty where the warm-up is enough.

    Examples
    --------
    >>> steps = np.arange(1.0, 101.0)
    >>> candles = Candles.of(60_000 * np.arange(100), steps, steps, steps, steps, steps)
    >>> change = lambda run: {"change": run.close - np.concatenate([np.full(5, np.nan), run.close])[: len(run)]}
    >>> rng = np.random.default_rng(1)
    >>> len(find_cold_starts(change, candles, 5, 10, rng)), len(find_cold_starts(change, candles, 4, 10, rng)) > 0
    (0, True)
    """
    whole = said_to_frame(compute(candles), candles)
    found = []
    # A run leaves out the oldest `start` candles, and is asked about what comes `warmup` candles later.
    before_rows = np.searchsorted(candles.ts, whole["ts_ms"].to_numpy()) - warmup
    for start in choose_cuts(before_rows, len(candles) - warmup, cuts, rng):
        run = candles.slice(start, start + warmup + WINDOW)
        first_ms, last_ms = int(run.ts[warmup]), int(run.ts[-1])
        said = said_to_frame(compute(run), run)
        parts = [frame[frame["ts_ms"].between(first_ms, last_ms)] for frame in (whole, said)]
        found += [
            ColdStart(first_ms, one.field, one.ts_ms, one.expected, one.found, one.candidate)
            for one in first_differences(*parts)
        ]
    return found
