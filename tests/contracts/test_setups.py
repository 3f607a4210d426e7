"""What every setup on the shelf promises: causal, warm, pure, documented. A new file is found by itself."""

from __future__ import annotations

import doctest
import importlib
import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from core.plugins import build, parameters, shelf
from core.ports import Setup
from core.schema import CANDIDATES, Candles, Instrument

PACKAGE = "core.setups"
NAMES = shelf(PACKAGE)
TIMEFRAME, STEP_MS = "15m", 900_000
INSTRUMENT = Instrument("x", "A/USDT:USDT", tick=0.01)
TOTAL = 3_000


def walk(seed: int, n: int = TOTAL) -> Candles:
    rng = np.random.default_rng(seed)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.006, n))), 2)
    open_ = np.concatenate([[100.0], close[:-1]])
    high = np.round(np.maximum(open_, close) * (1.0 + rng.uniform(0, 0.004, n)), 2)
    low = np.round(np.minimum(open_, close) * (1.0 - rng.uniform(0, 0.004, n)), 2)
    present = rng.uniform(size=n) > 0.01  # some candles are missing, as in life
    ts = np.arange(n) * STEP_MS
    columns = [c[present] for c in (ts, open_, high, low, close, rng.lognormal(3.0, 1.0, n))]
    return Candles.of(*columns)


def a_setup(name: str) -> Setup:
    setup: Setup = build(PACKAGE, name, {}, "signals.setups")
    return setup


def assert_equal(left: pd.DataFrame, right: pd.DataFrame) -> None:
    left, right = left.reset_index(drop=True), right.reset_index(drop=True)
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-9, atol=0.0)


def decided_from(frame: pd.DataFrame, ts_ms: int) -> pd.DataFrame:
    return frame[frame["ts_ms"] >= ts_ms]


@pytest.fixture(params=NAMES)
def setup(request: pytest.FixtureRequest) -> Setup:
    return a_setup(request.param)


def test_the_shelf_is_not_empty() -> None:
    assert NAMES


def test_it_keeps_the_protocol(setup: Setup) -> None:
    assert isinstance(setup, Setup)
    assert setup.name in NAMES
    assert setup.warmup >= 1
    frame = setup.find(walk(0), INSTRUMENT, TIMEFRAME)
    assert len(frame) >= 10
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(CANDIDATES)
    assert (frame["decided_ms"] == frame["ts_ms"] + STEP_MS).all()
    assert frame["decided_ms"].is_monotonic_increasing
    assert frame["confidence"].between(0.0, 1.0).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_causal_the_future_changes_nothing(setup: Setup, seed: int) -> None:
    candles = walk(seed)
    whole = setup.find(candles, INSTRUMENT, TIMEFRAME)
    for k in (1, 2, 50, 333, 1_000, 1_777, *range(2_000, 2_060), len(candles) - 1):
        cut = setup.find(candles.slice(0, k), INSTRUMENT, TIMEFRAME)
        assert_equal(cut, whole[whole["ts_ms"] <= candles.ts[k - 1]])


@pytest.mark.parametrize("seed", [3, 4])
def test_warm_older_candles_than_the_warmup_change_nothing(setup: Setup, seed: int) -> None:
    candles = walk(seed, setup.warmup + 2_000)
    whole = setup.find(candles, INSTRUMENT, TIMEFRAME)
    compared = 0
    for first in range(setup.warmup, len(candles), 61):
        recent = candles.slice(first - setup.warmup)
        found = setup.find(recent, INSTRUMENT, TIMEFRAME, first=setup.warmup)
        assert_equal(found, decided_from(whole, int(candles.ts[first])))
        compared += len(found)
    assert compared > 100


def test_first_only_leaves_out_what_was_decided_earlier(setup: Setup) -> None:
    candles = walk(5)
    whole = setup.find(candles, INSTRUMENT, TIMEFRAME)
    for first in (0, 1, 500, 1_500, 2_500, len(candles) - 1, len(candles)):
        expected = decided_from(whole, int(candles.ts[first])) if first < len(candles) else whole[:0]
        assert_equal(setup.find(candles, INSTRUMENT, TIMEFRAME, first=first), expected)


def test_pure_inputs_stay_and_two_calls_are_equal(setup: Setup) -> None:
    candles = walk(6)
    before = {f.name: getattr(candles, f.name).copy() for f in fields(candles)}
    once, twice = (setup.find(candles, INSTRUMENT, TIMEFRAME) for _ in range(2))
    pd.testing.assert_frame_equal(once, twice)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(candles, name), column)
        assert not getattr(candles, name).flags.writeable


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_candles_give_an_empty_frame(setup: Setup, n: int) -> None:
    frame = setup.find(walk(7).slice(0, n), INSTRUMENT, TIMEFRAME)
    assert frame.empty
    assert list(frame.columns) == list(CANDIDATES)


def test_a_market_that_stands_still_gives_nothing_and_no_fault(setup: Setup) -> None:
    flat = np.full(1_500, 5.0)
    candles = Candles.of(np.arange(1_500) * STEP_MS, flat, flat, flat, flat, np.zeros(1_500))
    assert setup.find(candles, INSTRUMENT, TIMEFRAME).empty


def test_an_unknown_tick_is_no_obstacle(setup: Setup) -> None:
    assert len(setup.find(walk(8), Instrument("x", "A/USDT:USDT"), TIMEFRAME)) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_documented_with_every_parameter_a_formula_a_source_and_an_example_that_runs(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    (public,) = module.__all__
    text = inspect.getdoc(getattr(module, public)) or ""
    assert text.splitlines()[0].endswith(".")
    for section in ("Parameters", "Notes", "References", "Examples"):
        assert f"\n{section}\n---" in text, section
    described = text.split("\nNotes\n")[0]
    for parameter in parameters(PACKAGE, name):
        assert parameter in described, parameter
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
    assert a_setup(name).params().keys() == set(parameters(PACKAGE, name))
