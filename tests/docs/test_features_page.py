"""The page of the features says what the code says, column by column."""

from __future__ import annotations

import re

import pytest

from core.clock import timeframe_ms
from core.features import feature_set
from core.features._base import REACH, Family
from core.features.trend import LONGER
from tests.docs.pages import Row, table_after, tables_of, text_of
from tests.unit.features.worlds import sources_of, told_of

PAGE = text_of("docs/features.md")
WHOLE = feature_set()
FAMILIES = {family.name: family for family in WHOLE.families}


def short(source: str) -> str:
    """Return a reference as authors and year, or as it is where it names no publication."""
    cited = re.match(r"(.+?) \((\d{4})\)\.", source)
    if not cited:
        return re.split(r",? as |, ", source.rstrip("."))[0]
    names = re.findall(r"([A-Z][\w' ]+), [A-Z]\.", cited[1])
    authors = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return f"{authors} {cited[2]}"


def rows_of(family: Family) -> list[Row]:
    """Return the rows a family's table must have."""
    sources = {number: short(text) for number, text in sources_of(family).items()}
    return [
        [
            f"`{column}`",
            entry.definition,
            entry.unit,
            "required" if column in family.required else "optional",
            "; ".join(sources[number] for number in entry.sources),
        ]
        for column, entry in told_of(family).items()
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_of_a_family_is_its_docstring(name: str) -> None:
    assert table_after(PAGE, f"<!-- {name} -->") == rows_of(FAMILIES[name])


def test_every_column_stands_on_the_page_once() -> None:
    first = [row[0].strip("`") for table in tables_of(PAGE) for row in table]
    assert sorted(name for name in first if name in WHOLE.columns) == sorted(WHOLE.columns)


def test_the_numbers_on_the_page_are_the_sets() -> None:
    words = re.sub(r"\s+", " ", PAGE)
    assert f"{len(WHOLE.columns)} columns in {len(WHOLE.families)} families" in words
    assert f"{len(WHOLE.required)} are required" in words
    assert f"The whole set needs {WHOLE.warmup} candles" in words
    assert f"more than {REACH} candles" in words


def test_the_warm_up_of_each_family_is_told() -> None:
    told = {row[0].strip("`"): int(row[2]) for row in table_after(PAGE, "## Families")}
    assert told == {name: family.warmup for name, family in FAMILIES.items()}


def test_the_longer_timeframes_are_told() -> None:
    told = dict(table_after(PAGE, "<!-- longer -->"))
    assert {own.strip("`"): longer.strip("`") for own, longer in told.items()} == LONGER
    assert all(timeframe_ms(longer) % timeframe_ms(own) == 0 for own, longer in LONGER.items())
