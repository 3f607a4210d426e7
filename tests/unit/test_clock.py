"""Time as integers: lengths, grids, and what people write and read."""

from __future__ import annotations

import pytest

from core.clock import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    ceil_to,
    floor_to,
    format_duration,
    format_ms,
    parse_time,
    timeframe_ms,
)
from core.errors import UsageError

NEW_YEAR_2023 = 1_672_531_200_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [("1m", MINUTE_MS), ("15m", 15 * MINUTE_MS), ("4h", 4 * HOUR_MS), ("1d", DAY_MS), ("2w", 14 * DAY_MS)],
)
def test_a_timeframe_is_a_number_and_a_unit(text: str, ms: int) -> None:
    assert timeframe_ms(text) == ms


@pytest.mark.parametrize("text", ["", "m", "0m", "01m", "15", "15 m", "15M", "1y", "-5m", "5m\n", "1.5h", "12345m"])
def test_anything_else_is_no_timeframe(text: str) -> None:
    with pytest.raises(UsageError, match="expected a number and m, h, d or w"):
        timeframe_ms(text)


@pytest.mark.parametrize(
    ("ms", "below", "above"), [(0, 0, 0), (1, 0, 60_000), (60_000, 60_000, 60_000), (-1, -60_000, 0)]
)
def test_the_grid_is_aligned_to_the_epoch_on_both_sides_of_it(ms: int, below: int, above: int) -> None:
    assert (floor_to(ms, MINUTE_MS), ceil_to(ms, MINUTE_MS)) == (below, above)


@pytest.mark.parametrize(
    "text",
    ["2023-01-01", " 2023-01-01 ", "2023-01-01T00:00", "2023-01-01T01:00+01:00", "2023-01-01T00:00Z", "1672531200000"],
)
def test_one_moment_may_be_written_in_many_ways(text: str) -> None:
    assert parse_time(text) == NEW_YEAR_2023


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "1672531200", "²²²²²²²²²²²²", "2023-01-01T25:00"])
def test_what_is_no_moment_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected a date such as 2023-01-31") as caught:
        parse_time(text)
    assert "\n" not in str(caught.value)


def test_a_moment_is_shown_in_the_zone_asked_for() -> None:
    assert format_ms(NEW_YEAR_2023) == "2023-01-01 00:00 UTC"
    assert format_ms(NEW_YEAR_2023, "Europe/Berlin") == "2023-01-01 01:00 CET"
    assert parse_time(format_ms(NEW_YEAR_2023).removesuffix(" UTC")) == NEW_YEAR_2023


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-5, "0m"), (59_999, "0m"), (HOUR_MS, "1h"), (DAY_MS + 61_000, "1d 1m"), (3 * DAY_MS + HOUR_MS + 60_000, "3d 1h")],
)
def test_a_length_is_told_with_its_two_largest_units(ms: int, words: str) -> None:
    assert format_duration(ms) == words
