"""The laws of resampling."""

from itertools import pairwise

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.indicators.resample import _buckets, resample
from core.schema import Candles

START = 1_672_531_200_000  # 2023-01-01 00:00 UTC


def minutes(n: int = 3 * 1440, seed: int = 0, missing: float = 0.1, taker: bool = True) -> Candles:
    rng = np.random.default_rng(seed)
    ts = START + np.arange(n) * MINUTE_MS
    close = 100.0 + np.cumsum(rng.normal(0.0, 0.1, n))
    open_ = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(open_, close) + rng.uniform(0, 0.1, n)
    low = np.minimum(open_, close) - rng.uniform(0, 0.1, n)
    volume = rng.lognormal(0.0, 3.0, n)
    keep = rng.uniform(size=n) >= missing
    columns = [c[keep] for c in (ts, open_, high, low, close, volume)]
    return Candles.of(*columns, columns[5] / 2 if taker else None)


def assert_same(left: Candles, right: Candles) -> None:
    for name in ("ts", "open", "high", "low", "close", "volume", "taker_volume", "n_minutes"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


def test_a_bucket_holds_first_open_highest_high_lowest_low_last_close_and_summed_volume() -> None:
    ts = START + np.array([0, 1, 3, 5]) * MINUTE_MS  # minutes 2 and 4 are missing
    candles = Candles.of(ts, [1, 2, 3, 4], [5, 9, 6, 7], [0.5, 0.2, 0.4, 0.1], [2, 3, 5, 6], [1, 2, 4, 8], [1, 1, 1, 1])
    five = resample(candles, 5 * MINUTE_MS, START, START + 10 * MINUTE_MS)
    assert five.ts.tolist() == [START, START + 5 * MINUTE_MS]
    assert (five.open.tolist(), five.close.tolist()) == ([1.0, 4.0], [5.0, 6.0])
    assert (five.high.tolist(), five.low.tolist()) == ([9.0, 7.0], [0.2, 0.1])
    assert (five.volume.tolist(), five.taker_volume.tolist()) == ([7.0, 8.0], [3.0, 1.0])
    assert five.n_minutes.tolist() == [3, 1]


def test_an_empty_bucket_is_not_written() -> None:
    candles = Candles.of([START, START + HOUR_MS], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1])
    five = resample(candles, 5 * MINUTE_MS, START, START + DAY_MS)
    assert five.ts.tolist() == [START, START + HOUR_MS]


def test_only_whole_buckets_inside_the_span_are_made() -> None:
    candles = minutes(120, missing=0.0)
    made = resample(candles, 15 * MINUTE_MS, START + MINUTE_MS, START + 59 * MINUTE_MS)
    assert made.ts.tolist() == [START + 15 * MINUTE_MS, START + 30 * MINUTE_MS]
    assert made.n_minutes.tolist() == [15, 15]


def test_an_unknown_taker_volume_makes_its_bucket_unknown_and_no_other() -> None:
    candles = Candles.of(START + np.arange(10) * MINUTE_MS, *np.ones((5, 10)), taker_volume=[np.nan, *[1.0] * 9])
    five = resample(candles, 5 * MINUTE_MS, START, START + 10 * MINUTE_MS)
    assert np.isnan(five.taker_volume[0])
    assert five.taker_volume[1] == 5.0


@pytest.mark.parametrize("target", [5, 15, 60, 240])
def test_any_chunks_give_the_same_rows(target: int) -> None:
    candles, target_ms = minutes(), target * MINUTE_MS
    end = START + 3 * DAY_MS
    whole = resample(candles, target_ms, START, end)
    rng = np.random.default_rng(target)
    for _ in range(5):
        inner = START + rng.integers(1, 3 * DAY_MS // target_ms, 6) * target_ms
        edges = [START, *sorted(set(inner.tolist())), end]
        parts = [resample(candles, target_ms, lo, hi) for lo, hi in pairwise(edges)]
        assert_same(Candles.concat(parts), whole)


def test_rows_do_not_depend_on_which_other_minutes_are_handed_in() -> None:
    candles = minutes()
    lo, hi = START + DAY_MS, START + 2 * DAY_MS
    assert_same(resample(candles.between(lo, hi), HOUR_MS, lo, hi), resample(candles, HOUR_MS, lo, hi))


def test_the_volume_of_a_day_is_the_same_at_every_timeframe() -> None:
    candles = minutes()
    base = candles.between(START, START + DAY_MS).volume.sum()
    for target in (5, 15, 60, 240, 1440):
        made = resample(candles, target * MINUTE_MS, START, START + DAY_MS)
        assert made.volume.sum() == pytest.approx(base, rel=1e-12)
        assert made.n_minutes.sum() == len(candles.between(START, START + DAY_MS))


def test_a_longer_timeframe_agrees_with_the_shorter_one() -> None:
    candles = minutes()
    five = resample(candles, 5 * MINUTE_MS, START, START + 3 * DAY_MS)
    hours = resample(candles, HOUR_MS, START, START + 3 * DAY_MS)
    for i, ts in enumerate(hours.ts):
        part = five.between(int(ts), int(ts) + HOUR_MS)
        assert (hours.open[i], hours.close[i]) == (part.open[0], part.close[-1])
        assert (hours.high[i], hours.low[i]) == (part.high.max(), part.low.min())


@pytest.mark.parametrize("target_ms", [0, -MINUTE_MS, 90_000, 1])
def test_a_target_that_is_no_multiple_of_a_minute_is_refused(target_ms: int) -> None:
    with pytest.raises(ValueError, match="multiple of a minute"):
        resample(minutes(10), target_ms, START, START + HOUR_MS)


def test_nothing_inside_the_span_gives_nothing() -> None:
    assert len(resample(Candles.empty(), HOUR_MS, START, START + DAY_MS)) == 0
    assert len(resample(minutes(60), HOUR_MS, START + DAY_MS, START + 2 * DAY_MS)) == 0
    assert len(resample(minutes(60), HOUR_MS, START, START)) == 0
    assert len(resample(minutes(60), HOUR_MS, START + DAY_MS, START)) == 0


def test_the_plain_python_text_gives_the_compiled_result() -> None:
    c = minutes(500)
    columns = (c.ts, c.open, c.high, c.low, c.close, c.volume, c.taker_volume, 5 * MINUTE_MS, 200)
    for ours, plain in zip(_buckets(*columns), _buckets.py_func(*columns), strict=True):
        np.testing.assert_array_equal(ours, plain)
