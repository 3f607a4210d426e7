"""Candles of several series as one run of arrays, so that a minute of many costs little more than a minute of one.

The law: series follow each other in the order they came, each once, and a candle's place among all is one whole number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.clock import floor_to, timeframe_ms
from core.errors import StoreError
from core.schema import Candles, IntArray
from core.store._read_candles import SeriesKey, block_span

__all__ = ["TS_BITS", "Batch", "Part", "groups", "validate"]

Part = tuple[SeriesKey, Candles]

TS_BITS = 43
"""Milliseconds until the year 2248; what lies above is the series' position."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Candles of several series.

    Parameters
    ----------
    keys : tuple of (exchange, symbol, timeframe)
    candles : Candles
        One series behind the other.
    owner : int64 array
        Of each candle, the position of its series.
    """

    keys: tuple[SeriesKey, ...]
    candles: Candles
    owner: IntArray

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Batch:
        """Put parts behind each other."""
        lengths = [len(candles) for _, candles in parts]
        owner = np.repeat(np.arange(len(parts), dtype=np.int64), lengths)
        return cls(tuple(key for key, _ in parts), Candles.concat([candles for _, candles in parts]), owner)

    @property
    def place(self) -> IntArray:
        """Return what orders all candles: series first, then time."""
        place: IntArray = (self.owner << TS_BITS) + self.candles.ts
        return place


def validate(batch: Batch) -> None:
    """Refuse candles that no series can hold.

    Raises
    ------
    StoreError
        Times not increasing or off the grid, or a price or volume that is not a finite number.
    """
    candles, owner = batch.candles, batch.owner
    if not len(candles):
        return
    steps = np.array([timeframe_ms(key[2]) for key in batch.keys], dtype=np.int64)
    wrong = np.append((np.diff(candles.ts) <= 0) & (owner[1:] == owner[:-1]), False)
    if wrong.any():
        raise StoreError(f"candles of {_name(batch, wrong)}: times must be strictly increasing")
    wrong = (candles.ts % steps[owner] != 0) | (candles.ts < 0)
    if wrong.any():
        key = batch.keys[owner[np.argmax(wrong)]]
        raise StoreError(f"candles of {'/'.join(key)}: times must lie on the grid of {key[2]} from 1970 on")
    for column in ("open", "high", "low", "close", "volume"):
        wrong = ~np.isfinite(getattr(candles, column))
        if wrong.any():
            raise StoreError(f"candles of {_name(batch, wrong)}: {column} must be finite numbers")
    wrong = np.isinf(candles.taker_volume)
    if wrong.any():
        raise StoreError(f"candles of {_name(batch, wrong)}: taker_volume must be finite numbers or NaN")


def _name(batch: Batch, wrong: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    return "/".join(batch.keys[batch.owner[np.argmax(wrong)]])


def groups(parts: Sequence[Part], rows: int) -> Iterator[list[tuple[int, Candles]]]:
    """Group parts, each named by its position, so that a group holds at most `rows` candles and a series once.

    A long part is cut, at the ends of blocks where that is possible.
    """
    group: list[tuple[int, Candles]] = []
    keys: set[SeriesKey] = set()
    room = rows
    for position, (key, candles) in enumerate(parts):
        for piece in _pieces(candles, key[2], rows):
            if len(piece) > room or key in keys:
                yield group
                group, keys, room = [], set(), rows
            group.append((position, piece))
            keys.add(key)
            room -= len(piece)
    if group:
        yield group


def _pieces(candles: Candles, timeframe: str, rows: int) -> Iterator[Candles]:
    if 0 < len(candles) <= rows:
        yield candles
        return
    span, at = block_span(timeframe), 0
    while at < len(candles):
        end = min(at + rows, len(candles))
        if end < len(candles):
            border = int(np.searchsorted(candles.ts, floor_to(int(candles.ts[end]), span)))
            end = border if border > at else end
        yield candles.slice(at, end)
        at = end
