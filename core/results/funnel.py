"""The funnel: from closes to candidates, through the gate and the limits, to trades that were filled and won.

The law: counts first, and each rate with its interval; passed and refused candidates are compared on how they were
played out, taken or not, and never on fewer than make a figure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.results.intervals import MIN_CLOSED, MIN_WEEKS, Estimate, clustered_mean, clustered_share
from core.results.metrics import NOT_ENOUGH
from core.results.rows import closed_rows, week_of
from core.results.words import in_percent, in_r, span
from core.schema import FrameSpec

__all__ = ["ALL", "FUNNEL_ROWS", "Funnel", "funnel_lines", "funnel_of"]

ALL = "all"
PASSED, REFUSED, UNGATED = ("PASS",), ("FILTERED", "NO_EVIDENCE", "ABSTAIN"), ("UNGATED",)

FUNNEL_ROWS: FrameSpec = {
    "timeframe": "str",
    "verdict": "str",
    "reason": "str",
    "decided_ms": "int64",
    "status": "str",  # "" where there is no trade yet, as are the next ones
    "taken": "int64",
    "blocked_by": "str",
    "opened_ms": "int64",
    "known_ms": "int64",
    "signal_id": "int64",
    "pnl_pct": "float64",
    "r_multiple": "float64",
}
"""What the funnel reads: every candidate, beside its trade."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """The funnel of one timeframe, or of all.

    Parameters
    ----------
    closes, candidates : int
    reasons : mapping of (str, str) to int
        Candidates by verdict and reason.
    passed : int
        Candidates the gate let through, those nobody judged among them.
    blocked : mapping of str to int
        Passed ones by what kept them from being taken.
    taken, filled, won : int
        Of the taken ones.
    pass_rate, taken_rate, fill_rate, win_rate : Estimate
        Passed of the candidates a model judged, taken of the passed, filled of the taken that are filled or over,
        won of the taken that are closed.
    passed_r, refused_r, ungated_r : Estimate
        Mean result in R of what was played out to its end, taken or not.
    """

    closes: int
    candidates: int
    reasons: Mapping[tuple[str, str], int]
    passed: int
    blocked: Mapping[str, int]
    taken: int
    filled: int
    won: int
    pass_rate: Estimate
    taken_rate: Estimate
    fill_rate: Estimate
    win_rate: Estimate
    passed_r: Estimate
    refused_r: Estimate
    ungated_r: Estimate


def funnel_of(rows: pd.DataFrame, closes: int) -> Funnel:
    """Return the funnel of some candidates.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `FUNNEL_ROWS`.
    closes : int
        Closes that were looked at.
    """
    verdict = rows["verdict"]
    passes, taken = verdict.isin([*PASSED, *UNGATED]), rows["taken"] == 1
    mine, judged = rows[taken], rows[~verdict.isin(UNGATED)]
    settled = mine[mine["status"] != "PENDING"]
    ended = closed_rows(mine)
    words = zip(verdict.tolist(), (reason.partition(":")[0] for reason in rows["reason"]), strict=True)
    return Funnel(
        closes=closes,
        candidates=len(rows),
        reasons=Counter(words),
        passed=int(passes.sum()),
        blocked=Counter(rows.loc[passes & (rows["blocked_by"] != ""), "blocked_by"]),
        taken=len(mine),
        filled=int((mine["opened_ms"] > 0).sum()),
        won=int((ended["pnl_pct"] > 0).sum()),
        pass_rate=_share(judged, judged["verdict"].isin(PASSED)),
        taken_rate=_share(rows[passes], taken[passes]),
        fill_rate=_share(settled, settled["opened_ms"] > 0),
        win_rate=_share(ended, ended["pnl_pct"] > 0),
        passed_r=_mean_r(rows[verdict.isin(PASSED)]),
        refused_r=_mean_r(rows[verdict.isin(REFUSED)]),
        ungated_r=_mean_r(rows[verdict.isin(UNGATED)]),
    )


def funnel_lines(funnels: Mapping[str, Funnel]) -> list[str]:
    """Return funnels side by side in words, counts above rates.

    Parameters
    ----------
    funnels : mapping of str to Funnel
        By timeframe, `ALL` last.
    """
    names = list(funnels)
    return [
        *_table([["", *names], *_counts(list(funnels.values()))]),
        "",
        "Rates, with 95 % intervals; trades of one week count as one cluster.",
        *_rates(funnels),
    ]


def _counts(funnels: Sequence[Funnel]) -> list[list[str]]:
    reasons = sorted({key for one in funnels for key in one.reasons})
    blocked = sorted({key for one in funnels for key in one.blocked})
    counts = [
        ("Closes looked at", [one.closes for one in funnels]),
        ("Candidates", [one.candidates for one in funnels]),
        *((f"  {' '.join(key).strip()}", [one.reasons.get(key, 0) for one in funnels]) for key in reasons),
        ("Let through", [one.passed for one in funnels]),
        *((f"  blocked by {key}", [one.blocked.get(key, 0) for one in funnels]) for key in blocked),
        ("Taken", [one.taken for one in funnels]),
        ("  filled", [one.filled for one in funnels]),
        ("  won", [one.won for one in funnels]),
    ]
    return [[label, *(f"{count:,}" for count in row)] for label, row in counts]


def _rates(funnels: Mapping[str, Funnel]) -> list[str]:
    kinds: list[tuple[str, Callable[[Funnel], Estimate], Callable[[float], str], str]] = [
        ("Passed, of those a model judged", lambda one: one.pass_rate, in_percent, "judged"),
        ("Taken, of those let through", lambda one: one.taken_rate, in_percent, "let through"),
        ("Filled, of the taken that are filled or over", lambda one: one.fill_rate, in_percent, "settled"),
        ("Won, of the taken that are closed", lambda one: one.win_rate, in_percent, "closed"),
        ("Expectancy of the passed, taken or not", lambda one: one.passed_r, in_r, "closed"),
        ("Expectancy of the refused, played out all the same", lambda one: one.refused_r, in_r, "closed"),
        ("Expectancy of those nobody judged", lambda one: one.ungated_r, in_r, "closed"),
    ]
    lines = []
    for title, of, write, what in kinds:
        if any(of(one).n for one in funnels.values()):
            told = [[f"  {name}", *_estimated(of(one), write, what)] for name, one in funnels.items()]
            lines += [title, *_table(told)]
    return lines or [f"  {NOT_ENOUGH}: no candidate was let through, taken or played out yet"]


def _estimated(estimate: Estimate, write: Callable[[float], str], what: str) -> list[str]:
    if not estimate.enough:
        needs = f"{MIN_CLOSED} needed" if estimate.n < MIN_CLOSED else f"{MIN_WEEKS} weeks needed"
        return [NOT_ENOUGH, f"({estimate.n} {what}, {needs})"]
    interval = f"95 %: {span(write(estimate.low), write(estimate.high))}, " if math.isfinite(estimate.low) else ""
    return [write(estimate.value), f"({interval}n = {estimate.n:,})"]


def _table(lines: list[list[str]]) -> list[str]:
    """Return cells as columns: the first to the left, the others to the right but for words in brackets."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 or cell.startswith("(") else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _share(rows: pd.DataFrame, hits: pd.Series) -> Estimate:
    return clustered_share(hits.to_numpy(dtype=np.bool_), week_of(rows["decided_ms"].to_numpy()))


def _mean_r(rows: pd.DataFrame) -> Estimate:
    done = closed_rows(rows)
    return clustered_mean(done["r_multiple"].to_numpy(), week_of(done["decided_ms"].to_numpy()))
