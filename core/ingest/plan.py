"""What to ask a market for next.

The law: a window begins no later than the checkpoint, so no minute is ever skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.clock import floor_to
from core.ingest.gaps import Gaps

__all__ = ["Window", "gap_window", "next_window"]


@dataclass(frozen=True, slots=True)
class Window:
    """One request.

    Parameters
    ----------
    since_ms : int
        First candle wanted, UTC milliseconds.
    limit : int
        Candles wanted.
    """

    since_ms: int
    limit: int


def next_window(
    checkpoint_ms: int, now_ms: int, step_ms: int, overlap: int, page: int, start_ms: int = 0
) -> Window | None:
    """Return the window that brings a series forward.

    Parameters
    ----------
    checkpoint_ms : int
        First minute no answer has covered yet.
    now_ms : int
        Exchange time.
    step_ms : int
        Length of a candle, milliseconds.
    overlap : int
        Candles before the checkpoint to ask for again.
    page : int
        Most candles a request.
    start_ms : int
        Nothing earlier is asked for.

    Returns
    -------
    Window or None
        None when every closed candle has been asked for.

    Notes
    -----
    One candle more than are closed is asked for, which shows the forming one, so that a clock that is a
    little behind the exchange's costs nothing.

    Examples
    --------
    >>> next_window(600_000, 720_000, 60_000, overlap=3, page=200)
    Window(since_ms=420000, limit=6)
    """
    closed_end_ms = floor_to(now_ms, step_ms)
    if checkpoint_ms >= closed_end_ms:
        return None
    # At least one candle of a page must be new, whatever the configuration says.
    since_ms = checkpoint_ms - min(overlap, page - 1) * step_ms
    since_ms = max(since_ms, min(start_ms, checkpoint_ms))
    return Window(since_ms, min(page, (closed_end_ms - since_ms) // step_ms + 1))


def gap_window(gaps: Gaps, now_ms: int, page: int) -> Window | None:
    """Return the window that looks again at missing minutes, or None when none is due.

    Open gaps come first: they hold the frontier.

    Parameters
    ----------
    gaps : Gaps
    now_ms : int
        Market time.
    page : int
        Most candles a request.
    """
    if not len(gaps):
        return None
    due = gaps.due(now_ms)
    if not due.any():
        return None
    waiting = due & ~gaps.confirmed
    first = np.flatnonzero(waiting if waiting.any() else due)[0]
    return Window(int(gaps.ts[first]), page)
