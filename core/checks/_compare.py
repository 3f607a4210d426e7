"""Two accounts of the same stretch of time, compared value by value.

The law: discrete values are equal or differ; numbers agree to 1e-9 of themselves. A difference names its
column, its candle and both values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.schema import Candles, IntArray

__all__ = [
    "ABSENT",
    "CANDIDATE",
    "PRESENT",
    "ROW",
    "Compute",
    "Difference",
    "Said",
    "choose_cuts",
    "differing",
    "first_differences",
    "said_to_frame",
]

RTOL = 1e-9
ATOL_OF_LARGEST = 1e-12  # of a column's largest value: rounding noise around zero is no difference
ROW = "row"
CANDIDATE = "candidate"  # a column that says what a row is about; it is told, not compared
PRESENT, ABSENT = "present", "absent"

Said = pd.DataFrame | Mapping[str, npt.NDArray[Any]]
Compute = Callable[[Candles], Said]
"""Candles in; out come a frame with `ts_ms`, the candle at whose close each row was known, or arrays by name with
one value a candle, each known at that candle's close. A column `CANDIDATE` says what a row is about."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not the same in two accounts.

    Parameters
    ----------
    field : str
        The column; ``row`` where a whole row is in one account only.
    ts_ms : int
        Open of the candle it belongs to, UTC milliseconds.
    expected, found : object
        Both values.
    candidate : str
        What the row is about, where its account says so.
    """

    field: str
    ts_ms: int
    expected: object
    found: object
    candidate: str = ""


def said_to_frame(said: Said, candles: Candles) -> pd.DataFrame:
    """Return what was said about some candles as one frame, indexed by candle and by rank among its rows.

    Raises
    ------
    ValueError
        Arrays that do not have one value a candle, or a frame without `ts_ms`.
    """
    if isinstance(said, pd.DataFrame):
        if "ts_ms" not in said.columns:
            raise ValueError("a check needs the column ts_ms: the candle at whose close a row was known")
        frame = said
    else:
        for name, values in said.items():
            if len(values) != len(candles):
                raise ValueError(f"'{name}' has {len(values)} values for {len(candles)} candles; expected one each")
        frame = pd.DataFrame({"ts_ms": candles.ts, **said})
    ts = frame["ts_ms"].to_numpy(dtype="int64")
    return frame.set_index(pd.MultiIndex.from_arrays([ts, frame.groupby("ts_ms").cumcount().to_numpy()]))


def choose_cuts(sharp: IntArray, n: int, cuts: int, rng: np.random.Generator) -> list[int]:
    """Choose places to cut: half of them among the sharp ones, the rest anywhere.

    Parameters
    ----------
    sharp : int64 array
        Where a leak would show most.
    n : int
        Candles; a place is a number of candles to keep, from 1 to all but one.
    cuts : int
        How many; fewer where there are not so many candles.
    rng : numpy.random.Generator

    Returns
    -------
    list of int
        Ascending.
    """
    if n < 2 or cuts < 1:
        return []
    sharp = np.unique(sharp[(sharp >= 1) & (sharp < n)])
    chosen = rng.choice(sharp, min(len(sharp), cuts // 2), replace=False)
    others = np.setdiff1d(np.arange(1, n), chosen)
    anywhere = rng.choice(others, min(len(others), cuts - len(chosen)), replace=False)
    return [int(k) for k in np.sort(np.concatenate([chosen, anywhere]))]


def first_differences(expected: pd.DataFrame, found: pd.DataFrame) -> list[Difference]:
    """Return the earliest difference of each column, and the earliest row that only one account has.

    Parameters
    ----------
    expected, found : pandas.DataFrame
        As `said_to_frame` gives them.
    """
    out: list[Difference] = []
    alone = expected.index.symmetric_difference(found.index)
    if len(alone):
        first = alone.min()
        there = first in expected.index
        told = (PRESENT, ABSENT) if there else (ABSENT, PRESENT)
        out.append(Difference(ROW, int(first[0]), *told, _about(expected if there else found, first)))
    shared = expected.index.intersection(found.index)
    if not len(shared):
        return out
    one, other = expected.loc[shared], found.loc[shared]
    for name in dict.fromkeys([*expected.columns, *found.columns]):
        if name == CANDIDATE:
            continue
        if name not in one.columns or name not in other.columns:
            told = (PRESENT, ABSENT) if name in one.columns else (ABSENT, PRESENT)
            out.append(Difference(str(name), int(shared[0][0]), *told))
            continue
        unequal = np.flatnonzero(differing(one[name], other[name]))
        if len(unequal):
            at = int(unequal[0])
            values = _plain(one[name].iloc[at]), _plain(other[name].iloc[at])
            out.append(Difference(str(name), int(shared[at][0]), *values, _about(one, shared[at])))
    return out


def _about(frame: pd.DataFrame, row: tuple[int, int]) -> str:
    """Return what a row is about; ``""`` where its account does not say."""
    return str(frame.at[row, CANDIDATE]) if CANDIDATE in frame.columns else ""


def differing(expected: pd.Series[Any], found: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Say of each pair of values whether they differ."""
    a, b = expected.to_numpy(), found.to_numpy()
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
        agrees: npt.NDArray[np.bool_] = np.isclose(b, a, rtol=RTOL, atol=ATOL_OF_LARGEST * size, equal_nan=True)
        return ~agrees
    unequal: npt.NDArray[np.bool_] = np.asarray(a != b, dtype=np.bool_) & ~(pd.isna(a) & pd.isna(b))
    return unequal


def _plain(value: Any) -> object:
    """Return a value as Python prints it."""
    return value.item() if isinstance(value, np.generic) else value
