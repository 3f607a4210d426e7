"""Thresholds with evidence: which slices of the market are shown to be worth trading, and from which score on.

The law: what cannot be shown is not certified, and there is no second best; a row whose model had seen its outcome
is refused; the error rate is that of a year of weekly tunings, not of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import DAY_MS
from core.gate.evidence import Evidence, Slice
from core.gate.thresholds import Override
from core.results.rows import week_of
from core.schema import FloatArray, FrameSpec
from core.training._certify import Ladder, Levels, boundary, ladder_of, levels_of, student_bound
from core.training._offsets import offsets
from core.training._slices import Slices, since_first, slices_of

__all__ = ["ALPHA", "MIN_WEEKS", "TUNING_ROWS", "VALID_MS", "Found", "TuneRules", "Tuning", "find", "tune"]

ALPHA = 0.10
"""Chance that anything worthless among the slices tested together is certified at any time in a year."""

MIN_WEEKS = 6
_NINE_IN_TEN = 1.2816  # normal deviate
VALID_MS = 28 * DAY_MS

EV_STEPS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0)
P_STEP, P_MOST = 0.02, 0.95

TUNING_ROWS: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "symbol": "str",
        "timeframe": "str",
        "regime_vol": "str",
        "decided_ms": "int64",
        "known_ms": "int64",
        "train_max_t1": "int64",
        "stop_frac": "float64",
        "won": "float64",
        "net_r": "float64",
        "p": "float64",
        "ev_r": "float64",
        "uniqueness": "float64",
    }
)
"""What the tuner reads: out-of-sample predictions beside the outcomes they were about."""


@dataclass(frozen=True, slots=True)
class TuneRules:
    """How to tune.

    Parameters
    ----------
    mode : str
        ``ev``: mean net result above 0 R; ``p``: win rate above `target_winrate`.
    floor : float
        Loosest threshold, percent of notional or p(win).
    target_winrate : float
        In (0, 1); asked for in mode ``p``.
    min_n_eff : float
        Least effective rows a threshold is tested with.
    window_days : int
        How far back results count.
    skill : bool
        Whether the model in force is shown to beat the geometry; without it nothing is certified.
    """

    mode: str = "ev"
    floor: float = 0.0
    target_winrate: float = 0.60
    min_n_eff: float = 60.0
    window_days: int = 365
    skill: bool = True

    @property
    def spans(self) -> float:
        """How often the window is replaced in a year, at least the 1.08 of a window that still grows."""
        return max(365.0 / self.window_days, 0.5 * math.log(365.0 / (7.0 * MIN_WEEKS)))

    @property
    def steps(self) -> FloatArray:
        """The thresholds tested, rising."""
        if self.mode == "ev":
            return self.floor + np.array(EV_STEPS)
        return self.floor + P_STEP * np.arange(max(1, round((P_MOST - self.floor) / P_STEP)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a tuning found.

    Parameters
    ----------
    evidence : Evidence
    per_pair_tf : mapping of str to mapping of str to Override
        By symbol, then timeframe; only where the slice that speaks is certified.
    report : tuple of str
        What was refused, and what was found, a line a slice.
    """

    evidence: Evidence
    per_pair_tf: Mapping[str, Mapping[str, Override]]
    report: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found of each slice; arrays of shape (slices,).

    Parameters
    ----------
    levels : Levels
        Loosest threshold certified and deviate asked for.
    speaks : bool array
    """

    levels: Levels
    speaks: npt.NDArray[np.bool_]


def tune(rows: pd.DataFrame, now_ms: int, rules: TuneRules) -> Tuning:
    """Tune thresholds on out-of-sample predictions.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `TUNING_ROWS`, one row a filled and closed candidate.
    now_ms : int
    rules : TuneRules

    Returns
    -------
    Tuning

    Notes
    -----
    A slice is certified from the loosest threshold at which "worthless" is rejected (`core.training._certify`). Its
    lower bound is the one at the level it was tested at: certified is where that bound is above 0 R or the target.
    """
    kept, report = _usable(rows, now_ms, rules)
    slices, steps = slices_of(kept), rules.steps
    rung = np.searchsorted(steps, _score(kept, rules), side="right") - 1
    week = week_of(kept["decided_ms"].to_numpy(np.int64))
    weight, won = kept["uniqueness"].to_numpy(np.float64), kept["won"].to_numpy(np.float64)
    target = rules.target_winrate if rules.mode == "p" else 0.0
    net_r = kept["net_r"].to_numpy(np.float64)
    results = ladder_of(slices.cells(rung, since_first(week), net_r, weight, len(steps)))
    wins = ladder_of(slices.cells(rung, since_first(week), won - target, weight, len(steps)), target * (1.0 - target))
    tested = results if rules.mode == "ev" else wins
    found = find(slices, tested, rules)
    told = tuple(
        _slice(i, slices, results, wins, found, now_ms, rules, float(steps[max(0, found.levels.rung[i])]), target)
        for i in range(len(slices.names))
    )
    evidence = Evidence(rules.mode, now_ms, {one.name: one for one in told})
    if not rules.skill:
        report.append("the model in force shows no skill over the plans' geometry: nothing is certified")
    report += [evidence.told(one) for one in told]
    return Tuning(evidence, _per_pair(kept, slices, evidence, now_ms, rules), tuple(report))


def find(slices: Slices, tested: Ladder, rules: TuneRules) -> Found:
    """Say of each slice from which threshold it is certified, and whether it speaks.

    Parameters
    ----------
    slices : Slices
    tested : Ladder
        Of the value whose mean is to be shown above 0.
    rules : TuneRules

    Notes
    -----
    The pool, the timeframes and the pairs share `ALPHA`. Each volatility regime is tested by itself at `ALPHA`, at the
    threshold of the pool; it can only refuse, so it costs no error rate.

    A slice speaks when it has `min_n_eff`, unless the slice it lies in is certified and its own results agree with it:
    above 0, and not below the larger slice's mean by more than chance explains nine times in ten. Small slices would
    otherwise silence what is shown for all of them together.
    """
    levels = levels_of(tested, slices.weights, rules.min_n_eff, MIN_WEEKS, ALPHA, rules.spans)
    rung, z = levels.rung.copy(), levels.z.copy()
    testable = (tested.n_eff >= rules.min_n_eff) & (tested.weeks >= MIN_WEEKS)
    at, alone = max(0, int(rung[0])), boundary(ALPHA, rules.spans)
    for one in range(len(rung) - slices.n_regimes, len(rung)):
        z[one] = alone if testable[one, at] else np.nan
        rung[one] = at if testable[one, at] and tested.z[one, at] >= alone else -1
    speaks = testable[:, 0].copy()
    for one, parent in enumerate(slices.parent.tolist()):
        while parent > 0 and not speaks[parent]:
            parent = int(slices.parent[parent])
        if parent < 0 or rung[parent] < 0 or rung[one] >= 0 or not speaks[one]:
            continue
        at = int(rung[parent])
        agreed = max(0.0, float(tested.mean[parent, at] - _NINE_IN_TEN * tested.se[one, at]))
        speaks[one] = testable[one, at] and tested.mean[one, at] <= agreed
    if not rules.skill:
        rung[:] = -1
    return Found(Levels(rung, z), speaks)


def _bound(z: float, ladder: Ladder, one: int, at: int) -> float:
    """Return how far below the mean its lower bound lies; NaN where it was not tested."""
    weeks = ladder.weeks[one, at]
    return student_bound(float(z), float(weeks) - 1.0) * float(ladder.se[one, at]) if weeks >= 2 else math.nan


def _slice(
    i: int,
    slices: Slices,
    results: Ladder,
    wins: Ladder,
    found: Found,
    now_ms: int,
    rules: TuneRules,
    threshold: float,
    target: float,
) -> Slice:
    """Return a slice's row of the evidence table, at its threshold or else at the loosest."""
    certified = bool(found.levels.rung[i] >= 0)
    at, z = max(0, int(found.levels.rung[i])), float(found.levels.z[i])
    n_eff, weeks = float(results.n_eff[i, at]), int(results.weeks[i, at])
    mean_r, win_rate = float(results.mean[i, at]), float(wins.mean[i, at]) + target
    lower_r, lower_win = mean_r - _bound(z, results, i, at), win_rate - _bound(z, wins, i, at)
    if certified:
        why = ""
    elif n_eff < rules.min_n_eff:
        why = f"{n_eff:.0f} effective results, {rules.min_n_eff:.0f} are needed"
    elif weeks < MIN_WEEKS:
        why = f"{weeks} weeks, {MIN_WEEKS} are needed"
    elif not rules.skill:
        why = "the model shows no skill over the plans' geometry"
    elif (lower_r if rules.mode == "ev" else lower_win - target) > 0.0:
        why = "not at the strictest threshold, where testing begins"
    else:
        why = "the lower bound is not above 0 R" if rules.mode == "ev" else f"not above {100.0 * target:.0f} % won"
    numbers = (int(results.n[i, at]), n_eff, weeks, mean_r, lower_r, win_rate, lower_win, threshold)
    return Slice(slices.names[i], *numbers, certified, bool(found.speaks[i]), now_ms + VALID_MS, why)


def _usable(rows: pd.DataFrame, now_ms: int, rules: TuneRules) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows that may be used, and what was refused in words."""
    inside = (rows["decided_ms"] >= now_ms - rules.window_days * DAY_MS) & (rows["known_ms"] <= now_ms)
    seen = inside & (rows["train_max_t1"] >= rows["decided_ms"])
    numbers = rows[["stop_frac", "won", "net_r", "p", "ev_r", "uniqueness"]].to_numpy(np.float64)
    broken = inside & ~seen & ~np.isfinite(numbers).all(axis=1)
    kept = rows[(inside & ~seen & ~broken).to_numpy()].sort_values(["decided_ms", "signal_id"], ignore_index=True)
    report = [f"{len(kept)} out-of-sample results of the last {rules.window_days} days"]
    if seen.any():
        report.append(f"refused {int(seen.sum())} rows: their model had learned from outcomes known after the decision")
    if broken.any():
        report.append(f"left out {int(broken.sum())} rows with a number missing")
    return kept, report


def _score(rows: pd.DataFrame, rules: TuneRules) -> FloatArray:
    if rules.mode == "ev":
        score: FloatArray = 100.0 * rows["ev_r"].to_numpy(np.float64) * rows["stop_frac"].to_numpy(np.float64)
        return score
    return rows["p"].to_numpy(np.float64)


def _per_pair(
    rows: pd.DataFrame, slices: Slices, evidence: Evidence, now_ms: int, rules: TuneRules
) -> Mapping[str, Mapping[str, Override]]:
    """Return a threshold for each pair whose slice that speaks is certified: that slice's, less the pair's offset."""
    realised = rows["net_r"] * rows["stop_frac"] * 100.0 if rules.mode == "ev" else rows["won"]
    gap = realised.to_numpy(np.float64) - _score(rows, rules)
    week, weight = week_of(rows["decided_ms"].to_numpy(np.int64)), rows["uniqueness"].to_numpy(np.float64)
    offset = offsets(gap, slices.pair, len(slices.pairs), week, weight)
    found: dict[str, dict[str, Override]] = {}
    for position, (symbol, timeframe) in enumerate(slices.pairs):
        speaker = evidence.speaker(symbol, timeframe)
        if speaker is None or not speaker.certified:
            continue
        least = round(max(rules.floor, speaker.threshold - float(offset[position])), 4)
        override = Override(min_ev_pct=least) if rules.mode == "ev" else Override(threshold=min(least, 1.0))
        found.setdefault(symbol, {})[timeframe] = replace(override, expires_ms=now_ms + VALID_MS)
    return found
