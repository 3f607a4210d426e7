"""The warm-up check catches a declared warm-up that is too short, and is silent on one that is enough."""

from __future__ import annotations

import numpy as np
import pytest

from core.checks._subjects import scanned
from core.checks.warmup import ColdStart, find_cold_starts
from core.clock import MINUTE_MS
from core.schema import Candles
from core.setups.fibo_avwap import FiboAvwap
from tests.unit.checks import parts


def cold_starts(setup: FiboAvwap, candles: Candles, seed: int = 1, cuts: int = 24) -> list[ColdStart]:
    compute = scanned(setup, parts.INSTRUMENT, "15m", parts.RULES)
    return find_cold_starts(compute, candles, setup.warmup, cuts, np.random.default_rng(seed))


@pytest.mark.parametrize(("world", "seed"), [("walk", 1), ("fat", 2), ("edge", 3)])
def test_the_declared_warmup_of_the_shipped_setup_is_enough(world: str, seed: int) -> None:
    assert cold_starts(FiboAvwap(), parts.world(world, seed).longer["15m"], seed) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_warmup_that_is_too_short_is_caught(seed: int) -> None:
    found = cold_starts(parts.Hasty(), parts.world(seed=seed).longer["15m"], seed)
    assert found
    assert {"regime_vol"} & {one.field for one in found}


def test_one_candle_too_few_is_caught_and_named() -> None:
    ts = MINUTE_MS * np.arange(200)
    steps = np.arange(1.0, 201.0) ** 2
    candles = Candles.of(ts, steps, steps, steps, steps, steps)

    def change(run: Candles) -> dict[str, np.ndarray]:
        back = np.concatenate([np.full(5, np.nan), run.close])[: len(run)]
        return {"change": run.close - back}

    assert find_cold_starts(change, candles, 5, 20, np.random.default_rng(1)) == []
    found = find_cold_starts(change, candles, 4, 20, np.random.default_rng(1))
    assert {one.field for one in found} == {"change"}
    assert all(one.ts_ms == one.first_ms and np.isnan(one.warm) and one.whole > 0 for one in found)  # type: ignore[operator, call-overload]


def test_a_history_no_longer_than_the_warmup_has_nothing_to_compare() -> None:
    candles = parts.world(days=5).longer["15m"]
    assert len(candles) < FiboAvwap().warmup
    assert cold_starts(FiboAvwap(), candles) == []
    assert cold_starts(FiboAvwap(), Candles.empty()) == []
