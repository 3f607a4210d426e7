"""Falls of a balance: from a high to the deepest point and back."""

from __future__ import annotations

import numpy as np
import pytest

from core.results.drawdowns import drawdowns
from core.results.equity import Curve


def curve(*balance: float, start: float = 100.0) -> Curve:
    values = np.array(balance)
    peak = np.maximum.accumulate(np.concatenate([[start], values]))[1:]
    return Curve(start, 10 * np.arange(1, len(values) + 1), values, values - peak, 100 * (values - peak) / peak)


def test_the_deepest_fall_comes_first_with_its_high_bottom_and_way_back() -> None:
    found = drawdowns(curve(110.0, 105.0, 120.0, 90.0, 96.0, 121.0, 118.0))
    assert found["depth"].tolist() == [-30.0, -5.0, -3.0]
    first = found.iloc[0]
    assert (first["from_ms"], first["bottom_ms"], first["back_ms"], first["length_ms"]) == (30, 40, 60, 30)
    assert first["depth_pct"] == pytest.approx(-25.0)
    assert first["trades"] == 3


def test_a_fall_that_has_not_ended_says_so_and_is_as_long_as_it_has_lasted() -> None:
    (row,) = drawdowns(curve(110.0, 100.0, 104.0)).to_dict("records")
    assert (row["back_ms"], row["length_ms"], row["trades"]) == (0, 20, 2)


def test_a_fall_from_the_start_begins_with_the_first_trade() -> None:
    (row,) = drawdowns(curve(90.0, 101.0)).to_dict("records")
    assert (row["from_ms"], row["back_ms"], row["depth_pct"]) == (10, 20, -10.0)


def test_no_more_than_asked_for_and_none_where_it_only_rises() -> None:
    assert len(drawdowns(curve(99.0, 101.0, 100.0, 102.0, 101.0), most=2)) == 2
    assert drawdowns(curve(101.0, 102.0)).empty
    assert drawdowns(curve()).empty
