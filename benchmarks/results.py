"""Figures as rows: ratios against bars, a table for people, JSON for comparison.

The law: a row says what was measured against what, and whether the bar was met; nothing is rounded before it is judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "Bar", "Row", "duration", "save", "table", "with_block"]

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Bar:
    """What a figure is held against.

    Parameters
    ----------
    limit : float
    at_least : bool
        The figure must reach the limit; else it must not exceed it.
    unit : str
        Behind the number, such as `` x``.
    """

    limit: float
    at_least: bool = True
    unit: str = " x"

    def met(self, value: float) -> bool:
        """Say whether a figure passes."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:,.10g}{self.unit}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    work, measured : str
        What was done, and what came out in words.
    value : float or None
        The figure the bar is about, mostly a ratio.
    bar : Bar or None
        None for what is only told.
    figures : mapping of str to float
        Medians behind it.
    """

    work: str
    measured: str
    value: float | None = None
    bar: Bar | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the bar was met; None without one."""
        return None if self.bar is None or self.value is None else self.bar.met(self.value)

    def cells(self) -> list[str]:
        """Return the row as text: work, measured, value, bar, verdict."""
        unit = self.bar.unit if self.bar else " x"
        value = "" if self.value is None else f"{_short(self.value)}{unit}"
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return [self.work, self.measured, value, "" if self.bar is None else str(self.bar), verdict]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Write a length of time with three digits.

    Examples
    --------
    >>> duration(0.0072), duration(1.5), duration(3e-8)
    ('7.2 ms', '1.5 s', '0.03 us')
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def table(rows: Sequence[Row]) -> str:
    """Return rows as aligned Markdown."""
    lines = [["work", "measured (median)", "value", "bar", ""], *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    shown = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    shown.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" if "-|-" not in line else f"|-{line}-|" for line in shown)


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Write the figures of a run, with the machine they were made on."""
    rows = [{**asdict(row), "met": row.met, "cells": row.cells()} for row in document["rows"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def with_block(text: str, name: str, block: str) -> str:
    """Return a page with what stands between the marks of `name` replaced.

    Raises
    ------
    ValueError
        The page has no such marks.

    Examples
    --------
    >>> print(with_block("before <!-- a -->old<!-- /a --> after", "a", "new"))
    before <!-- a -->
    new
    <!-- /a --> after
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page lacks the marks {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{block}\n{end}", text, count=1)
