"""Blocks: a run of candles as one piece of bytes, for reading years at once.

The law: a block is derived from rows and holds the same numbers; it may be dropped at any time.

A block covers `BLOCK_CANDLES` places of its timeframe's grid, aligned to the epoch: a UTC day of one-minute
candles, five days of 5m, sixty days of 1h. Layout, little-endian: a header of 32 bytes (mark, version, flags,
number of candles, first ts, step, n_minutes), then whole columns of eight bytes a value in the order ts, open,
high, low, close, volume, taker_volume, n_minutes. A column that the header can tell is left out: ts when it has
no holes, taker_volume when it is unknown throughout, n_minutes when it is the same throughout.
"""

from __future__ import annotations

import struct

import numpy as np

from core.schema import Candles, IntArray

__all__ = ["BLOCK_CANDLES", "BlockError", "decode_into", "encode"]

BLOCK_CANDLES = 1_440

_HEADER = struct.Struct("<2sBBIqqq")
_MARK = b"CB"
_VERSION = 1
_REGULAR_TS, _NO_TAKER, _SAME_MINUTES = 1, 2, 4
_PLACES = np.arange(BLOCK_CANDLES)
_NAN = np.float64(np.nan).view(np.int64)
_PRICES = ("open", "high", "low", "close", "volume")


class BlockError(ValueError):
    """The bytes are not a block of this version."""


def encode(candles: Candles) -> bytes:
    """Return the block of a run of at least one candle."""
    ts, taker, minutes = candles.ts, candles.taker_volume, candles.n_minutes
    step = int(ts[1] - ts[0]) if len(ts) > 1 else 0
    regular = bool((np.diff(ts) == step).all())
    no_taker = bool(np.isnan(taker).all())
    same_minutes = bool((minutes == minutes[0]).all())
    flags = _REGULAR_TS * regular | _NO_TAKER * no_taker | _SAME_MINUTES * same_minutes
    header = _HEADER.pack(_MARK, _VERSION, flags, len(ts), int(ts[0]), step, int(minutes[0]))
    parts = [header]
    if not regular:
        parts.append(ts.astype("<i8").tobytes())
    parts += [getattr(candles, name).astype("<f8").tobytes() for name in _PRICES]
    if not no_taker:
        parts.append(taker.astype("<f8").tobytes())
    if not same_minutes:
        parts.append(minutes.astype("<i8").tobytes())
    return b"".join(parts)


def decode_into(data: bytes, table: IntArray, at: int) -> int:
    """Write a block's candles into a preallocated table.

    Parameters
    ----------
    data : bytes
        A block.
    table : int64 array, shape (8, m)
        The bits of ts, open, high, low, close, volume, taker_volume and n_minutes, a row each: a float is
        carried as the integer of the same eight bytes, so that neighbouring columns are copied at once.
    at : int
        Position of the block's first candle.

    Returns
    -------
    int
        Position after its last candle.

    Raises
    ------
    BlockError
        The bytes are not a block of this version, or cut short.
    """
    if len(data) < _HEADER.size or data[:2] != _MARK or data[2] != _VERSION:
        raise BlockError("not a block of candles of this version")
    header: tuple[bytes, int, int, int, int, int, int] = _HEADER.unpack_from(data)
    _, _, flags, n, first, step, minutes = header
    begin, end = (1 if flags & _REGULAR_TS else 0), (6 if flags & _NO_TAKER else 7)
    stored = end - begin + (0 if flags & _SAME_MINUTES else 1)
    if len(data) != _HEADER.size + 8 * n * stored:
        raise BlockError(f"block of {n} candles has {len(data)} bytes")
    columns = np.frombuffer(data, "<i8", offset=_HEADER.size).reshape(stored, n)
    place = slice(at, at + n)
    table[begin:end, place] = columns[: end - begin]
    if flags & _REGULAR_TS:
        np.multiply(_PLACES[:n], step, out=table[0, place])
        table[0, place] += first
    if flags & _NO_TAKER:
        table[6, place] = _NAN
    table[7, place] = minutes if flags & _SAME_MINUTES else columns[-1]
    return at + n
