"""The feed: every candidate in one row, with what refused it in words, and the filters a reader sets.

The law: nothing is dropped but by a filter the reader can see.
"""

from __future__ import annotations

import html
from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from core.results._verdicts import blocked_words, reason_words
from core.schema import FrameSpec, conform

__all__ = ["FEED", "FEED_SIGNALS", "Filters", "feed_rows", "filtered", "refused_by"]

FEED_SIGNALS = (
    *("id", "decided_ms", "symbol", "timeframe", "setup", "direction", "entry", "sl", "tp1", "tp2", "regime_trend"),
    *("regime_vol", "confidence", "ml_p", "ev_pct", "verdict", "reason", "model_version", "origin", "in_sample"),
)
"""Columns of a signal the feed shows."""

FEED: FrameSpec = MappingProxyType(
    {
        "id": "int64",
        "decided_ms": "int64",
        "symbol": "str",
        "timeframe": "str",
        "direction": "str",
        "verdict": "str",
        "taken": "str",  # yes, no
        "refused_by": "str",  # gate, limit or "" where nothing did
        "why": "str",
        "status": "str",
        "exit_reason": "str",
        "r_multiple": "float64",  # NaN until it is closed
        "ml_p": "float64",
        "ev_pct": "float64",
        "confidence": "float64",
        "entry": "float64",
        "sl": "float64",
        "tp1": "float64",
        "tp2": "float64",
        "regime_trend": "str",
        "regime_vol": "str",
        "setup": "str",
        "model_version": "str",
        "origin": "str",
    }
)

GATE, LIMIT = "gate", "limit"
_REFUSALS = ("FILTERED", "NO_EVIDENCE", "ABSTAIN")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a reader wants to see; an empty choice means everything.

    Parameters
    ----------
    symbols, timeframes, directions, verdicts, statuses : collection of str
    taken : str
        ``yes``, ``no`` or ``""``.
    refused_by : str
        ``gate``, ``limit`` or ``""``.
    text : str
        Part of an id, symbol, reason or setup, in any case.
    """

    symbols: Collection[str] = ()
    timeframes: Collection[str] = ()
    directions: Collection[str] = ()
    verdicts: Collection[str] = ()
    statuses: Collection[str] = ()
    taken: str = ""
    refused_by: str = ""
    text: str = ""


def refused_by(verdict: str, reason: str, blocked_by: str) -> tuple[str, str]:
    """Return who refused a candidate and why, in words; two empty texts where nobody did.

    Examples
    --------
    >>> refused_by("FILTERED", "EV_BELOW", "")
    ('gate', 'its expected value is below the threshold')
    >>> refused_by("PASS", "CERTIFIED", "MAX_OPEN")
    ('limit', 'no slot was free (risk.limits.max_open)')
    """
    if verdict in _REFUSALS:
        return GATE, html.unescape(reason_words(reason))
    if blocked_by:
        return LIMIT, html.unescape(blocked_words(blocked_by))
    return "", ""


def feed_rows(signals: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Return candidates beside their trades, the newest decision first.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `FEED_SIGNALS`.
    trades : pandas.DataFrame
        Columns `schema.TRADES`, of one exit policy.

    Returns
    -------
    pandas.DataFrame
        Columns `FEED`.
    """
    kept = ["signal_id", "taken", "blocked_by", "status", "exit_reason", "r_multiple"]
    rows = signals.merge(trades[kept], left_on="id", right_on="signal_id", how="left")
    rows[["blocked_by", "status", "exit_reason"]] = rows[["blocked_by", "status", "exit_reason"]].fillna("")
    words = rows[["verdict", "reason", "blocked_by"]].drop_duplicates()  # some dozens, whatever the number of rows
    told = [(*asked, *refused_by(*asked)) for asked in words.itertuples(index=False, name=None)]
    rows = rows.merge(pd.DataFrame(told, columns=[*words.columns, "refused_by", "why"]), on=list(words.columns))
    rows["r_multiple"] = rows["r_multiple"].where(rows["status"] == "CLOSED")
    rows["taken"] = (rows["taken"] == 1).map({True: "yes", False: "no"})
    rows = rows.sort_values(["decided_ms", "id"], ascending=False, ignore_index=True)
    return conform(rows[list(FEED)], FEED)


def filtered(rows: pd.DataFrame, by: Filters) -> pd.DataFrame:
    """Return the rows a reader asked for, in their order."""
    keep = pd.Series(True, index=rows.index)
    for column, chosen in (
        ("symbol", by.symbols),
        ("timeframe", by.timeframes),
        ("direction", by.directions),
        ("verdict", by.verdicts),
        ("status", by.statuses),
        ("taken", [by.taken] if by.taken else ()),
        ("refused_by", [by.refused_by] if by.refused_by else ()),
    ):
        if chosen:
            keep &= rows[column].isin(list(chosen))
    for word in by.text.lower().split():
        found = pd.Series(False, index=rows.index)
        for column in ("id", "symbol", "setup", "why", "exit_reason", "model_version"):
            found |= rows[column].astype(str).str.lower().str.contains(word.removeprefix("#"), regex=False)
        keep &= found
    return rows[keep]
