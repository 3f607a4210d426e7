"""Charts as text: every fall is kept, every name is escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from core.results.svg import Line, interval_svg, line_svg, thinned, ticks
from core.results.tables import breakdown
from tests.unit.results.test_rolling import rows


def test_thinning_keeps_the_ends_the_highest_and_the_lowest() -> None:
    rng = np.random.default_rng(1)
    x, y = np.arange(50_000.0), rng.normal(size=50_000).cumsum()
    a, b = thinned(x, y, columns=100)
    assert len(a) <= 400
    assert (a[0], a[-1], b[0], b[-1]) == (x[0], x[-1], y[0], y[-1])
    assert (b.min(), b.max()) == (y.min(), y.max())
    assert np.all(np.diff(a) > 0)


def test_few_points_stay_as_they_are() -> None:
    x, y = np.arange(5.0), np.zeros(5)
    assert thinned(x, y)[0] is x


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 10.0) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(-3.0, 17_000.0) == [0.0, 5_000.0, 10_000.0, 15_000.0]
    assert ticks(1.0, 1.0) == [1.0]
    assert ticks(float("nan"), 1.0) == []


def test_lines_are_one_sound_element_without_anything_that_runs_or_loads() -> None:
    at, value = np.array([0, 10, 20]), np.array([1.0, 3.0, 2.0])
    text = line_svg([Line('<b> & "c"', "up", at, value), Line("", "bad", at, value, np.zeros(3))], 'a < b & "c"')
    (root,) = ET.fromstring(text)
    assert root.get("aria-label") == 'a < b & "c"'
    kinds = {element.tag for element in root.iter()}
    assert kinds == {"svg", "title", "line", "text", "polyline", "polygon"}
    assert '<b> & "c"' in [element.text for element in root.iter("text")]


def test_a_single_point_is_drawn() -> None:
    ET.fromstring(line_svg([Line("One", "up", np.array([5]), np.array([2.0]))], "one"))


def test_groups_without_enough_trades_are_left_out() -> None:
    assert interval_svg(breakdown(rows(10), "symbol"), "few") == ""
    root = ET.fromstring(interval_svg(breakdown(rows(60), "symbol"), "many"))
    assert len(list(root.iter("circle"))) == 1
