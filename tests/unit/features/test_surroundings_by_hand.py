"""Volume, context and lagged outcomes, computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS
from core.features import Outcomes
from core.features.context import Context
from core.features.outcomes import Lagged
from core.features.volume import Volume
from core.schema import Candles
from tests.unit.features.worlds import START_MS, at_end_of, candles_of, value_of

Steady = Callable[..., Candles]
A_MILLISECOND = 1 / HOUR_MS  # of an hour
FLAT = (100.0, 101.0, 99.0, 100.0)

# -- volume


def test_one_loud_candle_among_quiet_ones_has_the_largest_score_there_is() -> None:
    candles = candles_of([FLAT] * 200, [*[2.0] * 199, 50.0])
    assert value_of(Volume(), at_end_of(candles))["volume_z"] == pytest.approx(math.sqrt(95))


@pytest.mark.parametrize("volume", [0.0, 0.1])
def test_volume_that_does_not_vary_has_no_score(volume: float) -> None:
    assert math.isnan(value_of(Volume(), at_end_of(candles_of([FLAT] * 200, [volume] * 200)))["volume_z"])


def test_the_legs_volume_against_the_pullbacks() -> None:
    #          a    leg       b    since
    volume = [9.0, 3.0, 4.0, 5.0, 1.0, 3.0]
    found = value_of(Volume(), at_end_of(candles_of([FLAT] * 6, volume), leg=(0, 3)))
    assert found["volume_leg_ratio"] == pytest.approx(math.log(4.0 / 2.0))


@pytest.mark.parametrize("volume", [[1.0] * 4 + [0.0] * 2, [0.0] * 4 + [1.0] * 2])
def test_a_leg_or_pullback_in_which_nothing_traded_makes_no_ratio(volume: list[float]) -> None:
    found = value_of(Volume(), at_end_of(candles_of([FLAT] * 6, volume), leg=(0, 3)))
    assert math.isnan(found["volume_leg_ratio"])


def test_takers_who_buy_three_quarters_are_for_a_long_and_against_a_short() -> None:
    candles = candles_of([FLAT] * 20, [2.0] * 20, [1.5] * 20)
    assert value_of(Volume(), at_end_of(candles))["volume_taker"] == pytest.approx(0.5)
    assert value_of(Volume(), at_end_of(candles, -1))["volume_taker"] == pytest.approx(-0.5)


def test_one_candle_whose_takers_are_unknown_leaves_the_span_unknown() -> None:
    taker = [1.5] * 20
    taker[10] = math.nan
    assert math.isnan(value_of(Volume(), at_end_of(candles_of([FLAT] * 20, [2.0] * 20, taker)))["volume_taker"])
    assert math.isnan(value_of(Volume(), at_end_of(candles_of([FLAT] * 20)))["volume_taker"])


# -- context


def context(hours: int = 101, side: int = 1, **around: Any) -> dict[str, float]:
    """Return the context of a decision so many hours after Monday, 2024-01-01 00:00."""
    return value_of(Context(), at_end_of(candles_of([FLAT] * hours), side, **around))


def test_moves_of_the_benchmark_are_in_its_own_ranges_and_signed(steady: Steady) -> None:
    rising = steady([40_000.0 + step for step in range(101)])
    found, short = (context(side=side, benchmark=rising) for side in (1, -1))
    assert found["ctx_btc_ret_1"] == pytest.approx(0.5)
    assert found["ctx_btc_ret_4"] == pytest.approx(2.0)
    assert found["ctx_btc_ret_16"] == pytest.approx(8.0)
    assert short["ctx_btc_ret_16"] == pytest.approx(-8.0)
    assert short["ctx_btc_vol"] == found["ctx_btc_vol"] > 0.0


def test_only_the_candle_of_the_benchmark_that_closes_with_the_decision_counts(steady: Steady) -> None:
    closes = [40_000.0 + step for step in range(140)]
    whole, known = steady(closes), steady(closes[:101])
    assert context(benchmark=whole) == pytest.approx(context(benchmark=known), nan_ok=True)
    for late in (known.slice(0, 100), Candles.empty()):
        found = context(benchmark=late)
        assert all(math.isnan(found[name]) for name in Context.columns[:4])


def test_the_hour_goes_round_and_the_week_begins_on_monday() -> None:
    six, noon = context(6), context(12)
    assert (six["ctx_hour_sin"], six["ctx_hour_cos"]) == pytest.approx((1.0, 0.0))
    assert (noon["ctx_hour_sin"], noon["ctx_hour_cos"]) == pytest.approx((0.0, -1.0))
    assert [context(hours)["ctx_weekday"] for hours in (1, 23, 24, 6 * 24, 7 * 24)] == [0.0, 0.0, 1.0, 6.0, 0.0]


def settled(*hours_and_rates: tuple[float, float]) -> np.ndarray:
    return np.array([(START_MS + hours * HOUR_MS, rate) for hours, rate in hours_and_rates])


def test_the_newest_published_rate_and_the_way_to_the_next_settlement() -> None:
    record = settled((0, 0.0001), (8, -0.0003), (16, 0.9))
    nine = context(9, funding=record)
    assert (nine["ctx_funding_minutes"], nine["ctx_funding_rate"]) == pytest.approx((420.0, -0.03))
    assert context(9, side=-1, funding=record)["ctx_funding_rate"] == pytest.approx(0.03)


def test_a_rate_is_not_published_at_the_very_settlement() -> None:
    record = settled((0, 0.0001), (8, -0.0003))
    eight = context(8, funding=record)
    assert (eight["ctx_funding_minutes"], eight["ctx_funding_rate"]) == pytest.approx((480.0, 0.01))
    late = record + np.array([47.0, 0.0])  # milliseconds, as exchanges stamp them
    assert context(9, funding=late) == pytest.approx(context(9, funding=record), nan_ok=True)


def test_a_market_that_settles_every_four_hours() -> None:
    found = context(13, funding=settled((4, 0.0), (8, 0.0), (12, 0.0)))
    assert found["ctx_funding_minutes"] == pytest.approx(180.0)


def test_without_a_recent_rate_nothing_is_known_of_funding() -> None:
    record = settled((0, 0.0001), (8, 0.0001))
    assert math.isfinite(context(24, funding=record)["ctx_funding_rate"])
    for hours, funding in ((25, record), (9, np.empty((0, 2))), (9, settled((16, 0.1)))):
        found = context(hours, funding=funding)
        assert math.isnan(found["ctx_funding_minutes"])
        assert math.isnan(found["ctx_funding_rate"])


# -- outcomes


def outcomes(known_hours: list[float], r: list[float], hours: int = 100) -> dict[str, float]:
    known_ms = np.array([START_MS + round(hour * HOUR_MS) for hour in known_hours], dtype=np.int64)
    return value_of(Lagged(), at_end_of(candles_of([FLAT] * hours), outcomes=Outcomes(known_ms, np.array(r))))


def test_only_what_was_known_at_the_decision_counts() -> None:
    found = outcomes([97, 98, 99, 99.5, 100, 100 + A_MILLISECOND], [1.0, 2.0, 3.0, 4.0, 5.0, 99.0])
    assert found["out_r_1"] == 5.0
    assert found["out_r_5"] == 3.0
    assert math.isnan(found["out_r_20"])
    assert found["out_count"] == 5.0


def test_a_mean_waits_for_as_many_as_it_is_of() -> None:
    found = outcomes([*range(4)], [1.0, 1.0, 1.0, 2.0])
    assert (found["out_r_1"], found["out_count"]) == (2.0, 4.0)
    assert math.isnan(found["out_r_5"])
    nobody = outcomes([], [])
    assert math.isnan(nobody["out_r_1"])
    assert nobody["out_count"] == 0.0


def test_the_count_is_of_the_last_thirty_days() -> None:
    days = [0.0, 1.0, 1.5, 2.0, 31.0]
    found = outcomes([day * DAY_MS / HOUR_MS for day in days], [0.0] * 5, hours=31 * 24)
    assert found["out_count"] == 3.0  # on day 31 those of day 0 are too old, and so, just, is that of day 1
