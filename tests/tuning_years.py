"""Years of weekly tunings over outcomes whose truth is known, at the level of weekly sums.

The hardest null: every slice passes plenty of candidates and is worth exactly 0 R after costs, so that only chance
can certify it. Outcomes of one week share their fate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from core.schema import FloatArray
from core.training._certify import ladder_of
from core.training._slices import Slices, slices_of
from core.training.tune import Found, TuneRules, find

__all__ = [
    "YearOfOutcomes",
    "YearRates",
    "certified_pairs",
    "edge_rates",
    "null_rates",
    "tuned_each_week",
    "year_of_outcomes",
]

SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
PER_WEEK = {"15m": 6.0, "1h": 2.5, "4h": 0.6}  # candidates at or above the floor, a symbol
UNIQUENESS = 0.8
WEEK_CORRELATION = 0.02
STEPS = 12


class YearOfOutcomes(NamedTuple):
    """Outcomes by week; `cells` as `Slices.cells` returns them."""

    slices: Slices
    cells: FloatArray
    weeks: int


def year_of_outcomes(
    seed: int,
    weeks: int = 52,
    mean_r: float = 0.0,
    slope_r: float = 0.0,
    win_r: float = 1.5,
    worthless_regime: str = "",
    worthless_pair: tuple[str, str] = ("", ""),
) -> YearOfOutcomes:
    """Return outcomes of winners at `win_r` and losers at -1 R, with a mean of `mean_r`.

    Parameters
    ----------
    seed, weeks : int
    mean_r, slope_r : float
        Mean result, and how much it rises from the loosest to the strictest score.
    win_r : float
        Result of a winner; below 1 the losses are rare and large.
    worthless_regime, worthless_pair : str, (str, str)
        Where the mean is 0 whatever `mean_r` is.
    """
    rng = np.random.default_rng(seed)
    kinds = [(symbol, timeframe) for symbol in SYMBOLS for timeframe in PER_WEEK]
    counts = rng.poisson([[PER_WEEK[timeframe]] * weeks for _, timeframe in kinds])
    kind = np.repeat(np.repeat(np.arange(len(kinds)), weeks), counts.ravel())
    week = np.repeat(np.tile(np.arange(weeks), len(kinds)), counts.ravel())
    n = len(kind)
    score, regime = rng.random(n), rng.choice(["low", "normal", "high"], n)
    rows = pd.DataFrame({"regime_vol": regime})
    rows["symbol"], rows["timeframe"] = ([kinds[k][part] for k in kind] for part in (0, 1))
    dead = (rows["regime_vol"] == worthless_regime) | (
        (rows["symbol"] == worthless_pair[0]) & (rows["timeframe"] == worthless_pair[1])
    )
    mean = np.where(dead, 0.0, mean_r + slope_r * (score - 0.5))
    shared = rng.normal(size=weeks)[week]
    luck = ndtr(np.sqrt(WEEK_CORRELATION) * shared + np.sqrt(1.0 - WEEK_CORRELATION) * rng.normal(size=n))
    net_r = np.where(luck < (1.0 + mean) / (1.0 + win_r), win_r, -1.0)
    slices = slices_of(rows)
    rung = (score * STEPS).astype(np.int64)
    return YearOfOutcomes(slices, slices.cells(rung, week, net_r, np.full(n, UNIQUENESS), STEPS), weeks)


def tuned_each_week(year: YearOfOutcomes, first: int, rules: TuneRules | None = None, window: int = 52) -> list[Found]:
    """Return what each weekly tuning finds, the first with `first` weeks of outcomes."""
    rules = TuneRules() if rules is None else rules
    ends = range(first, year.weeks + 1)
    return [find(year.slices, ladder_of(year.cells[..., max(0, end - window) : end]), rules) for end in ends]


class YearRates(NamedTuple):
    """How often something worthless was certified, as shares of the years."""

    years: int
    at_one_tuning: float  # anything among the slices that share alpha, at the last tuning
    in_a_year: float  # anything among them, at any tuning
    worst_slice: float  # the slice that was certified in most years
    worst_regime: float


def null_rates(years: int, first: int = 6, **world: float) -> YearRates:
    """Return how often worthless slices are certified by a year of weekly tunings."""
    last, ever = [], []
    for seed in range(years):
        year = year_of_outcomes(seed, weeks=52 + max(0, first - 6), **world)
        certified = np.array([found.levels.rung >= 0 for found in tuned_each_week(year, first)])
        last.append(certified[-1])
        ever.append(certified.any(axis=0))
    own = slice(0, len(ever[0]) - 3)
    return YearRates(
        years,
        float(np.mean([one[own].any() for one in last])),
        float(np.mean([one[own].any() for one in ever])),
        float(np.mean(ever, axis=0)[own].max()),
        float(np.mean(ever, axis=0)[-3:].max()),
    )


def certified_pairs(year: YearOfOutcomes, found: Found) -> dict[tuple[str, str], bool]:
    """Return whether the slice that speaks for each pair is certified."""
    slices, said = year.slices, {}
    first = len(slices.names) - slices.n_regimes - len(slices.pairs)
    for position, pair in enumerate(slices.pairs, start=first):
        speaker = position
        while speaker >= 0 and not found.speaks[speaker]:
            speaker = int(slices.parent[speaker])
        said[pair] = speaker >= 0 and bool(found.levels.rung[speaker] >= 0)
    return said


def edge_rates(years: int, **world: object) -> tuple[float, float]:
    """Return the share of years whose pool is certified at the end, and of pairs whose speaker is."""
    pool, pairs = [], []
    for seed in range(years):
        year = year_of_outcomes(seed, **world)
        found = tuned_each_week(year, year.weeks)[-1]
        pool.append(found.levels.rung[0] >= 0)
        pairs += certified_pairs(year, found).values()
    return float(np.mean(pool)), float(np.mean(pairs))
