"""The whole set against a program of pandas and `ta` that shares no line with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import benchmarks.ours
from benchmarks import plain_features
from benchmarks._trades import COSTS, made_candidates
from core.adapters.markets.synthetic import make_world
from core.clock import MINUTE_MS, parse_time, timeframe_ms
from core.features import Outcomes, Plans, View, feature_set
from core.indicators.resample import resample
from core.schema import Candles, FloatArray

TIMEFRAMES = ("5m", "15m", "1h")
AROUND = ("known_ms", "r", "funding")


@pytest.fixture(scope="module")
def minutes() -> Candles:
    return make_world("edge", "BTC/USDT:USDT", parse_time("2023-01-01"), 60, seed=7).candles


def ours(minutes: Candles, made: dict[str, Any], timeframe: str) -> FloatArray:
    start_ms, end_ms = int(minutes.ts[0]), int(minutes.ts[-1]) + MINUTE_MS
    candles = resample(minutes, timeframe_ms(timeframe), start_ms, end_ms)
    signals = pd.DataFrame({name: values for name, values in made.items() if name not in AROUND})
    at = np.searchsorted(candles.ts, made["ts_ms"])
    outcomes = Outcomes(made["known_ms"], made["r"])
    return feature_set().compute(
        View(candles, at, Plans.of(signals), timeframe, COSTS, candles, made["funding"], outcomes)
    )


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_both_programs_make_the_same_vectors(minutes: Candles, timeframe: str, tmp_path: Path) -> None:
    path, length = tmp_path / "minutes.npz", timeframe_ms(timeframe) // MINUTE_MS
    np.savez(path, **{f.name: getattr(minutes, f.name) for f in fields(minutes)})
    made = made_candidates(minutes, timeframe)
    expected = plain_features.vectors_of(plain_features.bars_of(str(path), length), made, length)
    found, columns = ours(minutes, made, timeframe), feature_set().columns
    assert len(found) > 10
    assert set(expected.columns) == set(columns)
    for place, name in enumerate(columns):
        # pandas carries its rolling sums along, and their rounding with them
        theirs = expected[name].to_numpy(dtype=float)
        np.testing.assert_allclose(found[:, place], theirs, rtol=1e-6, atol=1e-6, err_msg=name)


def test_both_rounds_of_the_benchmark_make_the_same_table(minutes: Candles, tmp_path: Path) -> None:
    made, path = made_candidates(minutes, "15m"), str(tmp_path / "minutes.npz")
    np.savez(path, **{f.name: getattr(minutes, f.name) for f in fields(minutes)})
    np.savez(tmp_path / "made.npz", **made)
    mine = benchmarks.ours.features(path, str(tmp_path / "made.npz"), "15m")()
    theirs = plain_features.features(path, str(tmp_path / "made.npz"), 15)()
    assert mine["rows"] == theirs["rows"] == len(made["entry"])
    assert mine["columns"] == len(feature_set().columns)
    assert mine["sum"] == pytest.approx(theirs["sum"], rel=1e-9)
