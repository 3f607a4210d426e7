"""What every family of features promises: causal, warm, pure, documented. A new file is found by itself."""

from __future__ import annotations

import doctest
import importlib
import inspect
import math
from dataclasses import fields, replace

import numpy as np
import pytest

from core.features import FeatureSet, Outcomes, Plans, View, feature_set
from core.features._base import Family
from core.plugins import build, shelf
from core.schema import Candles, FloatArray, Instrument
from core.setups.fibo_avwap import FiboAvwap
from tests.unit.features.worlds import COSTS, START_MS, cut, sources_of, surroundings, told_of, view_of, walk

PACKAGE = "core.features"
NAMES = shelf(PACKAGE)
MOST_WARMUP = 900  # candles: what the setups' own warm-up loads anyway
WARM = {"rtol": 1e-9, "atol": 1e-11}
HARD_CUTS = (1, 2, 5, 21, 50, 97, 333, 1_000)


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest) -> Family:
    built: Family = build(PACKAGE, request.param, {}, PACKAGE)
    return built


def a_view(seed: int, n: int = 1_500, every: int = 7, timeframe: str = "15m") -> View:
    candles = walk(seed, n, timeframe)
    return view_of(
        candles, range(0, len(candles), every), timeframe, seed=seed, **surroundings(candles, seed, timeframe)
    )


def assert_same(left: FloatArray, right: FloatArray) -> None:
    np.testing.assert_array_equal(left, right)


def test_the_shelf_is_not_empty() -> None:
    assert len(NAMES) >= 8


def test_it_keeps_the_protocol(family: Family) -> None:
    assert isinstance(family, Family)
    assert family.name in NAMES
    assert 0 <= family.warmup <= MOST_WARMUP
    assert family.version >= 1
    assert set(family.required) <= set(family.columns)
    view = a_view(0, 200)
    vectors = family.compute(view)
    assert vectors.shape == (len(view.at), len(family.columns))
    assert vectors.dtype == np.float64


def test_column_names_are_unique_and_begin_with_the_familys_own_prefix() -> None:
    whole = feature_set()
    assert len(set(whole.columns)) == len(whole.columns)
    prefixes = {
        name: {column.split("_")[0] for column in whole.columns if whole.family_of[column] == name} for name in NAMES
    }
    assert all(len(found) == 1 for found in prefixes.values())
    assert len(set.union(*prefixes.values())) == len(NAMES)
    assert all(column == column.lower() for column in whole.columns)


# -- causal


@pytest.mark.parametrize("seed", [1, 2])
def test_causal_the_future_changes_nothing(family: Family, seed: int) -> None:
    view = a_view(seed)
    whole, n = family.compute(view), len(view.candles)
    for k in (*HARD_CUTS, *range(n - 300, n, 17)):
        known = np.flatnonzero(view.at < k)
        now = int(view.candles.ts[k - 1]) + view.step_ms
        of_then = replace(
            cut(view, 0, k, known),
            benchmark=view.benchmark.between(end_ms=now),
            funding=view.funding[view.funding[:, 0] <= now],
            outcomes=Outcomes(
                *(column[view.outcomes.known_ms <= now] for column in (view.outcomes.known_ms, view.outcomes.r))
            ),
        )
        assert_same(family.compute(of_then), whole[known])


@pytest.mark.parametrize("seed", [3, 4])
def test_causal_another_future_changes_nothing(family: Family, seed: int) -> None:
    view, n = a_view(seed), 1_500
    whole = family.compute(view)
    for k in (1, 40, 500, 1_111):
        ts = int(view.candles.ts[k])
        other = {name: continued(getattr(view, name), ts, seed + k) for name in ("candles", "benchmark")}
        later = view.funding[:, 0] > ts
        other["funding"] = np.where(later[:, None], [0.0, 0.01], 0.0) + view.funding
        late = view.outcomes.known_ms > ts
        other["outcomes"] = Outcomes(view.outcomes.known_ms, np.where(late, -9.0, view.outcomes.r))
        known = np.flatnonzero(view.at < k)
        assert_same(family.compute(cut(replace(view, **other), 0, n, known)), whole[known])


def continued(candles: Candles, ts: int, seed: int) -> Candles:
    """Return the candles before a moment with another walk behind them."""
    past = candles.between(end_ms=ts)
    future = walk(seed, 300, price=float(past.close[-1]) * 1.3, missing=0.0)
    return Candles.concat([past, replace(future, ts=future.ts - START_MS + ts)])


def test_a_candidate_alone_has_the_vector_it_has_among_others(family: Family) -> None:
    view = a_view(5)
    whole = family.compute(view)
    for row in range(0, len(view.at), 19):
        assert_same(family.compute(cut(view, 0, len(view.candles), [row])), whole[[row]])


# -- warm


@pytest.mark.parametrize("timeframe", ["15m", "4h", "1d"])
def test_warm_older_candles_than_the_warmup_change_nothing(family: Family, timeframe: str) -> None:
    assert_warm(family, family.warmup, a_view(6, family.warmup + 1_500, 11, timeframe))


def assert_warm(family: Family | FeatureSet, warmup: int, view: View) -> None:
    whole, compared = family.compute(view), 0
    for first in range(warmup, len(view.candles), 173):
        known = np.flatnonzero((view.at >= first) & (view.at < first + 173))
        recent = replace(
            cut(view, first - warmup, len(view.candles), known),
            benchmark=view.benchmark.between(int(view.candles.ts[first]) - warmup * view.step_ms),
        )
        np.testing.assert_allclose(family.compute(recent), whole[known], **WARM)
        compared += len(known)
    assert compared > 100


def test_warm_a_violent_past_is_forgotten(family: Family) -> None:
    calm = walk(7, family.warmup + 400, missing=0.0)
    old = 200
    view = view_of(calm, range(old + family.warmup, len(calm)), seed=7, **surroundings(calm, 7))
    wild = {name: getattr(calm, name).copy() for name in ("high", "volume")}
    for column in wild.values():
        column[:old] *= 7.0
        column.setflags(write=False)
    np.testing.assert_allclose(
        family.compute(replace(view, candles=replace(calm, **wild))), family.compute(view), **WARM
    )


def test_required_columns_are_known_with_a_warm_history(family: Family) -> None:
    view = a_view(8, family.warmup + 600)
    warm = np.flatnonzero(view.at >= family.warmup)
    vectors = family.compute(cut(view, 0, len(view.candles), warm))
    for column in family.required:
        assert np.isfinite(vectors[:, family.columns.index(column)]).all(), column


def test_every_column_is_known_where_everything_is(family: Family) -> None:
    view = a_view(9, 2_500)
    vectors = family.compute(view)[view.at >= MOST_WARMUP]
    assert np.isfinite(vectors).all()
    assert (np.ptp(vectors, axis=0) > 0).sum() >= len(family.columns) - 5  # the plans of these tests are all alike


# -- pure


def test_pure_inputs_stay_and_two_calls_are_equal(family: Family) -> None:
    view = a_view(10, 700)
    arrays = [getattr(view.candles, f.name) for f in fields(Candles)] + [view.at, view.funding, view.outcomes.known_ms]
    arrays += [view.outcomes.r, *(getattr(view.plans, name) for name in Plans.__slots__)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    once = family.compute(view)
    assert_same(once, family.compute(view))
    assert_same(once, family.compute(replace(view)))  # with nothing remembered
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


# -- what is not there


@pytest.mark.parametrize("n", [0, 1, 40])
def test_no_candidates_give_no_rows(n: int) -> None:
    whole = feature_set()
    assert whole.compute(view_of(walk(11, 40).slice(0, n), [])).shape == (0, len(whole.columns))


@pytest.mark.parametrize("n", [1, 2, 30])
def test_hardly_any_candles_leave_what_needs_more_unknown(family: Family, n: int) -> None:
    vectors = family.compute(view_of(walk(12, 30, missing=0.0).slice(0, n), [n - 1], legs=False))
    assert vectors.shape == (1, len(family.columns))
    assert not np.isinf(vectors).any()
    if n == 1 and family.warmup > 100:
        known = {"mom_close_location", "mom_body", "vol_regime"}
        unknown = [name not in known for name in family.columns]
        assert np.isnan(vectors[0, unknown]).all()


def test_only_the_series_itself_is_needed(family: Family) -> None:
    candles = walk(13, 1_200)
    view = view_of(candles, range(1_000, 1_150, 9))
    vectors = family.compute(view)
    for column in family.required:
        assert np.isfinite(vectors[:, family.columns.index(column)]).all(), column
    assert not np.isinf(vectors).any()


def test_a_market_that_stands_still_gives_nothing_infinite(family: Family) -> None:
    n = 1_400
    price, ts = np.full(n, 5.0), START_MS + np.arange(n) * 900_000
    still = Candles.of(ts, price, price, price, price, np.zeros(n), np.zeros(n))
    moved = still.high.copy()
    moved[: n - 1_200] *= 1.5
    begins = Candles.of(ts, price, moved, price, price, np.zeros(n), np.zeros(n))
    for candles in (still, begins):
        vectors = family.compute(view_of(candles, range(50, n, 50), benchmark=candles))
        assert not np.isinf(vectors).any()


# -- documented


def test_documented_with_every_columns_definition_unit_and_source(family: Family) -> None:
    text = inspect.getdoc(type(family)) or ""
    assert text.splitlines()[0].endswith(".")
    for section in ("Columns", "Notes", "References", "Examples"):
        assert f"\n{section}\n---" in text, section
    told, sources = told_of(family), sources_of(family)
    assert tuple(told) == family.columns
    for column, entry in told.items():
        assert entry.unit, column
        assert entry.definition.endswith("."), column
        assert entry.sources, column
        assert set(entry.sources) <= set(sources), column
    assert {number for entry in told.values() for number in entry.sources} == set(sources)
    results = doctest.testmod(importlib.import_module(f"{PACKAGE}.{family.name}"))
    assert results.attempted > 0
    assert results.failed == 0


# -- the set


def test_the_set_puts_the_families_side_by_side() -> None:
    whole, view = feature_set(), a_view(14, 400)
    vectors = whole.compute(view)
    for family in whole.families:
        places = [whole.columns.index(column) for column in family.columns]
        assert_same(vectors[:, places], family.compute(view))
    assert tuple(whole.family_of) == whole.columns
    assert whole.warmup == max(family.warmup for family in whole.families)


def test_the_set_is_warm_too() -> None:
    whole = feature_set()
    assert_warm(whole, whole.warmup, a_view(15, 3_000))


def test_the_identity_follows_families_columns_and_versions() -> None:
    whole = feature_set()
    assert whole.id == feature_set().id
    assert whole.id.startswith("fs-")
    assert len(whole.id) == 13
    fewer = FeatureSet(whole.families[1:])
    newer = build(PACKAGE, whole.families[0].name, {}, PACKAGE)
    newer.version += 1
    assert len({whole.id, fewer.id, FeatureSet((newer, *fewer.families)).id}) == 3


def test_the_candidates_of_the_setup_have_whole_vectors() -> None:
    candles = walk(16, 3_000)
    setup = FiboAvwap(costs=COSTS)
    found = setup.find(candles, Instrument("x", "A/USDT:USDT", tick=0.01), "15m", first=setup.warmup)
    signals = found.assign(setup=setup.name)
    at = np.searchsorted(candles.ts, found["ts_ms"].to_numpy())
    whole = feature_set()
    vectors = whole.compute(View(candles, at, Plans.of(signals), "15m", COSTS, **surroundings(candles, 16)))
    assert len(vectors) > 30
    assert np.isfinite(vectors).all()
    rr1 = vectors[:, whole.columns.index("geo_rr1")]
    assert rr1.min() >= 1.0
    assert math.isclose(vectors[0, whole.columns.index("geo_level")], 0.618, abs_tol=0.01)
