"""Bars: what is asked of the meta-model as a whole, what was measured, and whether it was met.

A test opens the bars of one kind, measures all of them, and fails at the end with those missed. Each test comes in two
sizes: a small one for every day, and the whole one for `make accept`, which says a line a bar and ends with a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import pytest

__all__ = ["BARS", "Bar", "Opened", "opened", "sizes"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Parameters
    ----------
    kind : str
        Such as ``A3``.
    asked : str
        In words.
    limit : str
        Such as ``<= 2 %``.
    measured : float
    text : str
        The measured figure as it is told.
    met : bool
    seconds : float
        Since the kind was opened.
    """

    kind: str
    asked: str
    limit: str
    measured: float
    text: str
    met: bool
    seconds: float

    def row(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}

    def __str__(self) -> str:
        return f"{self.kind:<4}{self.asked:<76}{self.limit:>12}{self.text:>12}  {'met' if self.met else 'MISSED'}"


BARS: list[Bar] = []
"""All that was measured in this process, in order."""


class Opened:
    """Bars being measured."""

    def __init__(self, kind: str) -> None:
        self.kind, self.bars, self._began = kind, list[Bar](), perf_counter()
        print(flush=True)  # pytest's own dots end their line

    def most(self, asked: str, measured: float, limit: float, form: str = "{:.3f}") -> None:
        """Measure something that is to be at most `limit`."""
        self._add(asked, measured, f"<= {form.format(limit)}", form, measured <= limit)

    def least(self, asked: str, measured: float, limit: float, form: str = "{:.3f}") -> None:
        """Measure something that is to be at least `limit`."""
        self._add(asked, measured, f">= {form.format(limit)}", form, measured >= limit)

    def holds(self, asked: str, met: bool) -> None:
        """Measure something that holds or does not."""
        self._add(asked, float(met), "yes", "{}", met, "yes" if met else "no")

    def _add(self, asked: str, measured: float, limit: str, form: str, met: bool, text: str = "") -> None:
        seconds = perf_counter() - self._began
        bar = Bar(self.kind, asked, limit, float(measured), text or form.format(measured), bool(met), seconds)
        self.bars.append(bar)
        BARS.append(bar)
        print(f"{bar} ({seconds:.0f} s)", flush=True)


@contextmanager
def opened(kind: str) -> Iterator[Opened]:
    """Open the bars of a kind; what was missed fails the test when they are closed."""
    bars = Opened(kind)
    yield bars
    missed = [str(bar) for bar in bars.bars if not bar.met]
    assert not missed, "\n".join(["missed:", *missed])


def sizes(name: str, small: object, whole: object) -> pytest.MarkDecorator:
    """Run a test in two sizes: the small one always, the whole one where `accept` is asked for."""
    both = [pytest.param(small, id="small"), pytest.param(whole, id="whole", marks=pytest.mark.accept)]
    return pytest.mark.parametrize(name, both)
