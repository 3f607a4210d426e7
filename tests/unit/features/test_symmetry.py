"""Worlds that must look alike: turned upside down, priced in other units, drawn from anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.features import Outcomes, Plans, View, feature_set
from core.schema import Candles, FloatArray
from tests.unit.features.worlds import START_MS, surroundings, view_of, walk

WHOLE = feature_set()
TOP = 1_000.0  # prices are mirrored at half of it
# What is a share of a price is another one at the mirrored price.
SHARES = (
    "geo_stop_frac",
    "geo_cost_r",
    "vol_atr_pct",
    "vol_atr_rank",
    "vol_realised_ratio",
    "ctx_btc_vol",
)
PRICES = ("entry", "sl", "tp1", "tp2", "a_price", "b_price")
NEAR = {"rtol": 1e-7, "atol": 1e-9}


def mirrored(candles: Candles, top: float) -> Candles:
    """Return candles upside down: highs are lows, and who bought has sold."""
    taker = candles.volume - candles.taker_volume
    columns = (top - candles.open, top - candles.low, top - candles.high, top - candles.close, candles.volume, taker)
    return Candles.of(candles.ts, *columns, candles.n_minutes)


def upside_down(view: View) -> View:
    plans = replace(view.plans, side=-view.plans.side, **{name: TOP - getattr(view.plans, name) for name in PRICES})
    return replace(
        view,
        candles=mirrored(view.candles, TOP),
        plans=plans,
        benchmark=mirrored(view.benchmark, 400.0 * TOP),
        funding=view.funding * [1.0, -1.0],
    )


def times(view: View, factor: float) -> View:
    """Return the same world with prices in other units."""

    def scaled(candles: Candles) -> Candles:
        prices = (factor * getattr(candles, name) for name in ("open", "high", "low", "close"))
        return Candles.of(candles.ts, *prices, candles.volume, candles.taker_volume, candles.n_minutes)

    plans = replace(view.plans, **{name: factor * getattr(view.plans, name) for name in (*PRICES, "atr")})
    return replace(view, candles=scaled(view.candles), benchmark=scaled(view.benchmark), plans=plans)


def a_view(seed: int, n: int = 1_600) -> View:
    candles = walk(seed, n, price=400.0)
    return view_of(candles, range(60, len(candles), 7), **surroundings(candles, seed))


def columns_of(vectors: FloatArray) -> dict[str, FloatArray]:
    return dict(zip(WHOLE.columns, vectors.T, strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_mirrored_trade_in_the_mirrored_market_has_the_same_vector(seed: int) -> None:
    view = a_view(seed)
    assert view.candles.high.max() < TOP
    plain, turned = (columns_of(WHOLE.compute(one)) for one in (view, upside_down(view)))
    np.testing.assert_array_equal(turned.pop("geo_side"), -plain.pop("geo_side"))
    for name in plain.keys() - set(SHARES):
        np.testing.assert_allclose(turned[name], plain[name], **NEAR, err_msg=name)


@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
def test_prices_in_other_units_change_nothing(factor: float) -> None:
    view = a_view(3)
    plain, scaled = (columns_of(WHOLE.compute(one)) for one in (view, times(view, factor)))
    for name, column in plain.items():
        np.testing.assert_allclose(scaled[name], column, **NEAR, err_msg=name)


def test_volume_in_other_units_changes_nothing() -> None:
    view = a_view(4)
    more = replace(
        view.candles, volume=_frozen(view.candles.volume * 1e6), taker_volume=_frozen(view.candles.taker_volume * 1e6)
    )
    plain, scaled = (columns_of(WHOLE.compute(one)) for one in (view, replace(view, candles=more)))
    for name, column in plain.items():
        np.testing.assert_allclose(scaled[name], column, **NEAR, err_msg=name)


def _frozen(values: FloatArray) -> FloatArray:
    values.setflags(write=False)
    return values


def test_another_time_changes_hour_and_week_only() -> None:
    view, later = a_view(5), 3 * 3_600_000 + 7 * 86_400_000  # three hours: no multiple of a longer bar moves
    shifted = replace(
        view,
        candles=replace(view.candles, ts=view.candles.ts + later),
        benchmark=replace(view.benchmark, ts=view.benchmark.ts + later),
        plans=replace(
            view.plans,
            decided_ms=view.plans.decided_ms + later,
            anchor_a_ms=np.where(view.plans.anchor_a_ms < 0, -1, view.plans.anchor_a_ms + later),
            anchor_b_ms=np.where(view.plans.anchor_b_ms < 0, -1, view.plans.anchor_b_ms + later),
        ),
        funding=view.funding + np.array([later, 0.0]),
        outcomes=Outcomes(view.outcomes.known_ms + later, view.outcomes.r),
    )
    plain, moved = (columns_of(WHOLE.compute(one)) for one in (view, shifted))
    for name in plain.keys() - {"ctx_hour_sin", "ctx_hour_cos", "ctx_weekday"}:
        np.testing.assert_array_equal(moved[name], plain[name], err_msg=name)


PRICE = st.one_of(st.sampled_from([1e-8, 0.5, 1.0, 1.0, 1.0, 3.0, 1e9]), st.floats(1e-8, 1e9))
VOLUME = st.one_of(st.sampled_from([0.0, 0.0, 1.0, 1e-12, 1e15]), st.floats(0.0, 1e15))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    moves=st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE, VOLUME, st.booleans()), min_size=1, max_size=60),
    quiet=st.integers(0, 700),
    at=st.integers(0, 10_000),
)
def test_whatever_happens_nothing_is_infinite(
    moves: list[tuple[float, float, float, float, float, bool]], quiet: int, at: int
) -> None:
    rows = [(1.0, 1.0, 1.0, 1.0, 0.0, True)] * quiet + moves
    prices = np.array([row[:4] for row in rows])
    volume, there = np.array([row[4] for row in rows]), np.array([row[5] for row in rows])
    there[0] = True
    ts = START_MS + np.arange(len(rows)) * 900_000
    columns = (ts, prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, 3], volume, volume / 2.0)
    candles = Candles.of(*(column[there] for column in columns))
    view = view_of(candles, [at % len(candles)], benchmark=candles, funding=np.array([[float(ts[0]), 0.0001]]))
    for atr in (view.plans.atr, np.zeros(1)):
        one = replace(view, plans=Plans(**{**plan_columns(view.plans), "atr": atr}))
        assert not np.isinf(WHOLE.compute(one)).any()


def plan_columns(plans: Plans) -> dict[str, np.ndarray]:
    return {name: getattr(plans, name) for name in Plans.__slots__}
