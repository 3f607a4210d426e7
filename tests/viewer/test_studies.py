"""Studies and shapes: each value knows its own candle and earlier ones, and every option is plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from core.dashboard._axis import Axis
from core.dashboard._charts import candle_chart, chart_height, marked
from core.dashboard._shapes import fibonacci, last_leg, legs_of, order_blocks, regime_bands, swing_legs
from core.dashboard._studies import (
    OVERLAYS,
    PANES,
    anchored_study,
    chance_study,
    session_vwap,
    study,
    volume_profile,
)
from core.dashboard._theme import DARK
from core.schema import Candles
from tests.factories import resampled, walk

CANDLES = resampled(walk(5), "15m")
NAMES = [*OVERLAYS, *(name for name in PANES if name != "p(win)")]
MARKS = pd.DataFrame({"id": [1, 2], "ts_ms": CANDLES.ts[[30, 90]], "direction": ["long", "short"], "ml_p": [0.4, 0.6]})


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_the_past_is_the_past_of_the_study(name: str) -> None:
    whole, past = study(name, CANDLES), study(name, CANDLES.slice(0, 300))
    for now, then in zip(whole.lines, past.lines, strict=True):
        assert now.name == then.name
        np.testing.assert_allclose(now.values[:300], then.values, rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_yet_is_missing_and_no_number(name: str) -> None:
    for line in study(name, CANDLES).lines:
        assert len(line.values) == len(CANDLES)
        assert not (line.values[:2] == 0.0).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_single_candle_has_a_study(name: str) -> None:
    assert all(len(line.values) == 1 for line in study(name, CANDLES.slice(0, 1)).lines)


def test_the_days_vwap_begins_again_with_the_day() -> None:
    values = session_vwap(CANDLES)
    day = 96
    typical = (CANDLES.high + CANDLES.low + CANDLES.close) / 3.0
    assert values[day] == pytest.approx(typical[day])
    volume = CANDLES.volume[:day]
    assert values[day - 1] == pytest.approx(float((typical[:day] * volume).sum() / volume.sum()))


def test_an_anchor_that_is_not_in_the_run_has_no_line() -> None:
    assert np.isnan(anchored_study(CANDLES, 1).lines[0].values).all()
    values = anchored_study(CANDLES, int(CANDLES.ts[50])).lines[0].values
    assert np.isnan(values[:50]).all()
    assert np.isfinite(values[50:]).all()


def test_each_chance_stands_on_its_candle() -> None:
    values = chance_study(CANDLES, MARKS).lines[0].values
    assert {place: values[place] for place in np.flatnonzero(np.isfinite(values))} == {30: 0.4, 90: 0.6}


def test_swings_alternate_and_the_last_two_are_the_last_leg() -> None:
    swings = legs_of(CANDLES)
    moves = np.sign(np.diff([price for _, price in swings]))
    assert (moves[1:] == -moves[:-1]).all()
    assert last_leg(CANDLES) == tuple((int(CANDLES.ts[place]), price) for place, price in swings[-2:])
    assert last_leg(CANDLES.slice(0, 3)) is None


def test_the_volume_profile_holds_all_volume_and_seventy_percent_of_it_in_its_area() -> None:
    profile = volume_profile(CANDLES)
    assert profile.volume.sum() == pytest.approx(CANDLES.volume.sum())
    edges = np.linspace(profile.low, profile.high, len(profile.volume) + 1)
    inside = (edges[:-1] >= profile.area_low - 1e-9) & (edges[1:] <= profile.area_high + 1e-9)
    share = profile.volume[inside].sum() / profile.volume.sum()
    assert 0.70 <= share < 0.70 + profile.volume.max() / profile.volume.sum() + 1e-9
    assert profile.area_low < profile.poc < profile.area_high


def test_a_run_without_range_or_volume_has_a_profile() -> None:
    flat = Candles.of([0, 900_000], *[[5.0, 5.0]] * 4, [0.0, 0.0])
    assert np.isfinite(volume_profile(flat).volume).all()


def test_fibonacci_levels_run_from_the_legs_end_back_to_its_start_and_beyond() -> None:
    axis = Axis(CANDLES, "15m")
    (levels,) = fibonacci(axis, ((int(CANDLES.ts[10]), 100.0), (int(CANDLES.ts[20]), 110.0)), DARK)
    told = {line[0]["label"]["formatter"]: line[0]["coord"][1] for line in levels["markLine"]["data"]}
    assert told["0"] == 110.0
    assert told["1"] == 100.0
    assert told["0.618"] == pytest.approx(103.82)
    assert told["1.272"] == pytest.approx(112.72)


def test_the_whole_chart_is_plain_json_and_stands_in_panes() -> None:
    axis = Axis(CANDLES, "15m")
    shapes = [*swing_legs(CANDLES, axis, DARK), *order_blocks(CANDLES, axis, DARK), *regime_bands(CANDLES, axis, DARK)]
    over, panes = [study(name, CANDLES) for name in OVERLAYS], [study(name, CANDLES) for name in ("RSI", "MACD", "ATR")]
    option = candle_chart(CANDLES, axis, MARKS, shapes, 60, DARK, over, panes, volume_profile(CANDLES))
    frame = option.pop("dataset")["source"]
    assert {line.name for one in (*over, *panes) for line in one.lines} <= set(frame)
    assert json.loads(json.dumps(option, allow_nan=False)) == option
    tops = [grid["top"] for grid in option["grid"][:5]]
    assert tops == sorted(tops)
    assert tops[-1] + option["grid"][4]["height"] < chart_height(3)


def test_a_mark_is_the_signal_in_its_order() -> None:
    assert marked(CANDLES, MARKS, "short")["id"].tolist() == [2]
    assert marked(CANDLES.slice(60), MARKS, "long").empty
