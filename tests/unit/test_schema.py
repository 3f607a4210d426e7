"""Candles that nobody can change by accident, and frames with declared columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core import schema
from core.schema import DECISIONS, TRADES, Candles, conform, empty_frame, perpetual

MINUTE = 60_000


def run(n: int, start: int = 0) -> Candles:
    k = np.arange(start, start + n, dtype=float)
    return Candles.of(MINUTE * np.arange(start, start + n), k + 10, k + 12, k + 9, k + 11, k)


@pytest.mark.parametrize("name", Candles.__slots__)
def test_every_column_is_read_only_also_in_views_and_joins(name: str) -> None:
    whole = run(4)
    for candles in (whole, whole.slice(1, 3), whole.between(MINUTE), Candles.concat([run(2), run(2, 2)])):
        with pytest.raises(ValueError, match="read-only"):
            getattr(candles, name)[0] = 1


def test_writable_input_is_copied_and_stays_writable() -> None:
    ts, price, held = np.array([0, MINUTE]), np.array([1.0, 2.0]), np.zeros(8)
    candles = Candles.of(ts, price, price, price, price, held[::4])
    price[0], ts[0], held[0] = 99.0, 7, 5.0
    assert candles.open.tolist() == [1.0, 2.0] and candles.ts.tolist() == [0, MINUTE] and candles.volume[0] == 0.0


def test_a_writable_view_of_a_larger_array_is_copied_too() -> None:
    table = np.arange(12.0).reshape(6, 2).T.copy()
    candles = Candles.of(range(6), table[0], table[0], table[0], table[0], table[1])
    table[:] = -1.0
    assert candles.close.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


def test_columns_that_nobody_gave_are_unknown_takers_and_single_minutes() -> None:
    candles = run(3)
    assert np.isnan(candles.taker_volume).all() and candles.n_minutes.tolist() == [1, 1, 1]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="length of ts"):
        Candles.of([0, 1], [1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize(
    ("start", "end", "positions"),
    [
        (None, None, [0, 1, 2, 3]),
        (MINUTE, 3 * MINUTE, [1, 2]),
        (1, MINUTE + 1, [1]),
        (9 * MINUTE, None, []),
        (3 * MINUTE, MINUTE, []),
        (None, 0, []),
    ],
)
def test_between_keeps_the_start_and_leaves_the_end(start: int | None, end: int | None, positions: list[int]) -> None:
    assert (run(4).between(start, end).ts // MINUTE).tolist() == positions


def test_joined_pieces_are_the_whole() -> None:
    whole = run(5)
    again = Candles.concat([whole.slice(0, 2), Candles.empty(), whole.slice(2)])
    assert again.close.tolist() == whole.close.tolist() and len(Candles.concat([])) == 0


def plain_trades() -> pd.DataFrame:
    columns = {name: ["a", ""] if dtype == "str" else np.array([1, 2], dtype=dtype) for name, dtype in TRADES.items()}
    return pd.DataFrame({name: pd.Series(values, dtype=TRADES[name]) for name, values in columns.items()})


def test_a_frame_that_conforms_already_gives_what_the_long_way_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = plain_trades().iloc[::-1]
    quick = conform(frame, TRADES)
    monkeypatch.setattr(schema.frames, "_conforms", lambda _frame, _spec: False)
    pd.testing.assert_frame_equal(quick, conform(frame, TRADES))
    assert quick.index.tolist() == [0, 1]


def test_conforming_orders_types_drops_and_fills() -> None:
    frame = plain_trades()
    messy = frame[list(reversed(frame.columns))].assign(more=1, taken=[True, False])
    messy["exit_reason"] = pd.Series([None, "SL"], dtype=object)
    result = conform(messy, TRADES)
    assert list(result.columns) == list(TRADES) and {name: str(dtype) for name, dtype in result.dtypes.items()} == dict(
        TRADES
    )
    assert result["exit_reason"].tolist() == ["", "SL"] and result["taken"].tolist() == [1, 0]


def test_missing_text_in_a_frame_of_the_right_types_becomes_empty_text() -> None:
    frame = plain_trades()
    frame.loc[0, "exit_reason"] = None
    assert conform(frame, TRADES)["exit_reason"].tolist() == ["", ""]


@pytest.mark.parametrize("long_way", [False, True])
def test_changing_what_came_out_does_not_change_what_went_in(long_way: bool) -> None:
    frame = plain_trades() if not long_way else plain_trades().assign(more=1)
    before = frame.copy()
    result = conform(frame, TRADES)
    result.loc[:, "pnl_pct"] = -5.0
    result.loc[:, "status"] = "changed"
    pd.testing.assert_frame_equal(frame, before)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(KeyError, match="verdict, model_version"):
        conform(empty_frame(DECISIONS).drop(columns=["verdict", "model_version"]), DECISIONS)


def test_empty_frames_are_separate_and_declared() -> None:
    one, other = empty_frame(TRADES), empty_frame(TRADES)
    one["more"] = []
    assert list(other.columns) == list(TRADES)


@pytest.mark.parametrize(
    ("symbol", "is_perpetual"), [("BTC/USDT:USDT", True), ("BTC/USDT", False), ("BTC/USDT:USDT-260327", False)]
)
def test_a_perpetual_settles_and_does_not_expire(symbol: str, is_perpetual: bool) -> None:
    assert perpetual(symbol) is is_perpetual
