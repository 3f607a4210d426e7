"""A1: what is said of a candidate does not depend on what came after it.

Every candidate is found and described again from minutes that end at its decision, and from minutes that go on
differently: the same candidate, none missing and none extra at the closes before it, the same features.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from core.adapters.markets.synthetic import instrument_of, make_world
from core.checks.lookahead import other_future
from core.clock import timeframe_ms
from core.features import Outcomes, feature_set
from core.pipeline import Surroundings, describe
from core.schema import Candles, FloatArray, IntArray
from tests.meta.bars import opened, sizes
from tests.meta_worlds import NO_FUNDING, START_MS, SYMBOLS, Place, Terms, candidates_in, longer_of, make, terms

TOLERANCE = 1e-9
CLOSES = 100  # the candidate's own and those before it
WRONG_R = 99.0  # of every outcome of the other future


@sizes("n", 24, 200)
def test_history_cut_at_the_decision_or_continued_differently_gives_the_same_candidates(n: int) -> None:
    with opened("A1") as bars:
        wrong, worst = _compared(n)
        for how, words in (("cut", "history cut at the decision"), ("other", "history continued differently")):
            bars.most(f"{words}: candidates missing, of {n}", wrong[f"{how} missing"], 0, "{:.0f}")
            bars.most(f"{words}: candidates extra", wrong[f"{how} extra"], 0, "{:.0f}")
            bars.most(f"{words}: candidates with another plan", wrong[f"{how} changed"], 0, "{:.0f}")
        bars.most("features: largest relative difference", worst, TOLERANCE, "{:.1e}")


def _compared(n: int) -> tuple[Counter[str], float]:
    """Return what is different, and by how much at most, when `n` candidates are found and described again."""
    place = Place("edge", seed=1, days=270 if n > 100 else 190, symbols=2)
    made, at, rng = make(place), terms(), np.random.default_rng(1)
    minutes = [
        make_world(place.world, symbol, START_MS, place.days, place.seed, place.p_star).candles
        for symbol in SYMBOLS[: place.symbols]
    ]
    wrong: Counter[str] = Counter()
    worst = 0.0
    for row in np.sort(rng.choice(_not_too_early(made.signals), n, replace=False)).tolist():
        one = made.signals.iloc[row]
        which, expected = SYMBOLS.index(one["symbol"]), _lately(made.signals, one)
        known = [run.between(None, int(one["decided_ms"])) for run in minutes]
        for how in ("cut", "other"):
            seen = known if how == "cut" else [_continued(run, rng) for run in known]
            found, vectors = _told(seen[which], seen[0], one, _outcomes(made.trades, made.signals, one, how), at)
            missing, extra = (set(expected["key"]) - set(found["key"])), (set(found["key"]) - set(expected["key"]))
            wrong[f"{how} missing"] += len(missing)
            wrong[f"{how} extra"] += len(extra)
            if not missing and not extra:
                wrong[f"{how} changed"] += int(_differs(expected, found))
                now = expected.index[expected["ts_ms"] == one["ts_ms"]].to_numpy()
                worst = max(worst, _distance(made.vectors[now], vectors))
    return wrong, worst


def _not_too_early(signals: pd.DataFrame) -> IntArray:
    """Return the positions of candidates whose closes before them were all asked for."""
    begin = signals.groupby(["symbol", "timeframe"])["ts_ms"].transform("min")
    return np.flatnonzero(signals["ts_ms"] - begin > CLOSES * signals["timeframe"].map(timeframe_ms))


def _continued(known: Candles, rng: np.random.Generator) -> Candles:
    recent = known.slice(-2_000)
    return Candles.concat([known.slice(0, -2_000), recent, other_future(recent, len(recent), rng)])


def _outcomes(trades: pd.DataFrame, signals: pd.DataFrame, one: pd.Series, how: str) -> Outcomes:
    """Return the outcomes of the candidate's series known at its decision; in another future all later ones differ."""
    own = (signals["symbol"] == one["symbol"]) & (signals["timeframe"] == one["timeframe"])
    closed = trades[own & (trades["status"] == "CLOSED")].sort_values("known_ms", kind="stable")
    known_ms, r = closed["known_ms"].to_numpy(np.int64), closed["r_multiple"].to_numpy(np.float64)
    late = known_ms > one["decided_ms"]
    return Outcomes(known_ms[~late], r[~late]) if how == "cut" else Outcomes(known_ms, np.where(late, WRONG_R, r))


def _told(
    minutes: Candles, leader: Candles, one: pd.Series, outcomes: Outcomes, at: Terms
) -> tuple[pd.DataFrame, FloatArray]:
    """Return the candidates of the newest closes, found from these minutes, and the vectors of those of the last."""
    timeframe = str(one["timeframe"])
    candles = longer_of(minutes, timeframe)
    first = int(np.searchsorted(candles.ts, one["ts_ms"])) + 1 - CLOSES
    found = candidates_in(candles, instrument_of(one["symbol"]), timeframe, at, first)
    found = found[found["ts_ms"] <= one["ts_ms"]].reset_index(drop=True)
    now = found[found["ts_ms"] == one["ts_ms"]]
    around = Surroundings(longer_of(leader, timeframe), NO_FUNDING)
    return found, describe(now, candles, timeframe, feature_set(), at.costs, around, outcomes)


def _lately(signals: pd.DataFrame, one: pd.Series) -> pd.DataFrame:
    same = (signals["symbol"] == one["symbol"]) & (signals["timeframe"] == one["timeframe"])
    since_ms = int(one["ts_ms"]) - (CLOSES - 1) * timeframe_ms(str(one["timeframe"]))
    return signals[same & (signals["ts_ms"] >= since_ms) & (signals["ts_ms"] <= one["ts_ms"])]


def _differs(expected: pd.DataFrame, found: pd.DataFrame) -> bool:
    columns = [name for name in expected.columns if name != "id"]
    try:
        pd.testing.assert_frame_equal(expected[columns].reset_index(drop=True), found[columns], rtol=TOLERANCE)
    except AssertionError:
        return True
    return False


def _distance(expected: FloatArray, found: FloatArray) -> float:
    """Return the largest difference relative to the value, or infinity where one of two is unknown."""
    if (np.isnan(expected) != np.isnan(found)).any():
        return float("inf")
    gap = np.abs(found - expected) / np.maximum(np.abs(expected), 1.0)
    return float(np.nanmax(gap, initial=0.0))


def test_the_comparison_sees_what_looks_ahead() -> None:
    expected = np.array([[1.0, np.nan]])
    assert _distance(expected, np.array([[1.0 + 1e-8, np.nan]])) > TOLERANCE
    assert _distance(expected, np.array([[1.0, 0.0]])) == float("inf")
