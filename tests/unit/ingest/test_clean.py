"""What may come through the door."""

from __future__ import annotations

import numpy as np
import pytest

from core.ingest.clean import clean

MINUTE = 60_000
NOW = 10 * MINUTE


def row(
    minute: float, open_: float = 10.0, high: float = 11.0, low: float = 9.0, close: float = 10.5, volume: float = 3
):
    return [minute * MINUTE, open_, high, low, close, volume]


def test_closed_candles_come_through_as_they_are() -> None:
    candles, rejected = clean(np.array([row(1), row(2, close=9.5)]), MINUTE, NOW)
    assert candles.ts.tolist() == [MINUTE, 2 * MINUTE]
    assert candles.close.tolist() == [10.5, 9.5]
    assert np.isnan(candles.taker_volume).all()
    assert rejected.empty and list(rejected.columns) == ["ts_ms", "reason", "detail"]


@pytest.mark.parametrize("rows", [np.empty((0, 6)), np.array([row(10)])])
def test_nothing_and_the_forming_candle_alone_leave_nothing(rows: np.ndarray) -> None:
    candles, rejected = clean(rows, MINUTE, NOW)
    assert len(candles) == 0 and rejected.empty


def test_the_forming_candle_is_dropped_in_silence_whatever_it_looks_like() -> None:
    candles, rejected = clean(np.array([row(9), row(10, close=np.nan)]), MINUTE, NOW + 30_000)
    assert candles.ts.tolist() == [9 * MINUTE]
    assert rejected.empty


def test_a_candle_exists_from_the_moment_it_closes() -> None:
    assert len(clean(np.array([row(9)]), MINUTE, NOW)[0]) == 1
    assert len(clean(np.array([row(9)]), MINUTE, NOW - 1)[0]) == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(1, open_=np.nan), "price"),
        (row(1, low=0.0), "price"),
        (row(1, close=-1.0), "price"),
        (row(1, high=np.inf), "price"),
        (row(1, high=10.4), "high"),
        (row(1, low=10.1), "low"),
        (row(1, volume=-1e-9), "volume"),
        (row(1, volume=np.nan), "volume"),
        (row(1.5), "off_grid"),
        (row(11), "future"),
        (row(np.nan), "time"),
        (row(-1), "time"),
    ],
)
def test_what_cannot_be_a_candle_is_rejected_with_its_reason(bad: list[float], reason: str) -> None:
    candles, rejected = clean(np.array([row(0.0 + 3), bad]), MINUTE, NOW)
    assert candles.ts.tolist() == [3 * MINUTE]
    assert rejected["reason"].tolist() == [reason]
    assert rejected["detail"].item().startswith("open ")


def test_disorder_is_put_right_and_of_repeats_the_last_counts() -> None:
    rows = np.array([row(3), row(1), row(2, close=9.5), row(1, close=9.9)])
    candles, rejected = clean(rows, MINUTE, NOW)
    assert candles.ts.tolist() == [MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert candles.close.tolist() == [9.9, 9.5, 10.5]
    assert rejected.empty


def test_a_rejected_repeat_does_not_displace_the_good_row() -> None:
    candles, rejected = clean(np.array([row(1), row(1, high=1.0)]), MINUTE, NOW)
    assert candles.high.tolist() == [11.0]
    assert len(rejected) == 1


def test_taker_volume_is_kept_where_it_can_be() -> None:
    rows = np.array([[*row(1), 1.5], [*row(2), -1.0], [*row(3), np.nan]])
    candles, rejected = clean(rows, MINUTE, NOW)
    assert candles.taker_volume.tolist()[0] == 1.5
    assert np.isnan(candles.taker_volume[1:]).all()
    assert rejected.empty


def test_the_rows_are_left_as_they_were() -> None:
    rows = np.array([row(2), row(1), row(1.5)])
    kept = rows.copy()
    rows.setflags(write=False)
    clean(rows, MINUTE, NOW)
    assert np.array_equal(rows, kept)
