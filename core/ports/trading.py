"""What a rule that proposes trades is, and a policy by which positions are left.

The law: stages and jobs know these names, never a concrete class; `app` alone chooses one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from core.schema import Candles, FloatArray, Instrument, IntArray

__all__ = ["ExitPlan", "ExitPolicy", "ExplainingSetup", "NoCandidate", "Setup"]


@runtime_checkable
class Setup(Protocol):
    """A rule that turns closed candles into candidates. One file each in `core/setups`."""

    name: str
    warmup: int

    def find(self, candles: Candles, instrument: Instrument, timeframe: str, first: int = 0) -> pd.DataFrame:
        """Return the candidates decided at candle `first` or later.

        Parameters
        ----------
        candles : Candles
            Closed candles of the timeframe; `warmup` of them (or all there are) precede `first`.
        instrument : Instrument
            For tick size.
        timeframe : str
            Such as ``"15m"``.
        first : int
            Position of the first candle whose close may decide.

        Returns
        -------
        pandas.DataFrame
            Columns `schema.CANDIDATES`, ordered by decided_ms, then anchors.
        """
        ...

    def params(self) -> dict[str, Any]:
        """Return the parameters that fix its plans, as plain JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class NoCandidate:
    """Something a setup has its eye on that is no candidate at a close, and what it lacks.

    Parameters
    ----------
    what : str
        It, in words, such as ``up leg from 100 (2024-01-01 10:00) to 110 (2024-01-01 14:00)``.
    direction : str
        ``long`` or ``short``; ``""`` where there is nothing yet that could have one.
    anchor_a_ms, anchor_b_ms : int
        What would identify its candidate, see `schema.CANDIDATES`; 0 where there is nothing yet.
    lacks : tuple of str
        Each condition that is not met, with the measured value and what was needed; at least one.
    """

    what: str
    direction: str
    anchor_a_ms: int
    anchor_b_ms: int
    lacks: tuple[str, ...]


@runtime_checkable
class ExplainingSetup(Protocol):
    """A setup that can also say why it proposes nothing; a setup need not be one."""

    def why_not(self, candles: Candles, instrument: Instrument, timeframe: str, at: int) -> list[NoCandidate]:
        """Return what is no candidate at the close of candle `at`.

        Parameters
        ----------
        candles : Candles
            Closed candles of the timeframe; `warmup` of them (or all there are) precede `at`. Later ones are not
            looked at.
        instrument : Instrument
        timeframe : str
        at : int
            Position of the candle whose close is asked about.

        Returns
        -------
        list of NoCandidate
            Empty only where all there is became candidates at this close; what became one is never among them.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ExitPlan:
    """How `n` positions are to be left: data, read by the one execution kernel.

    Parameters
    ----------
    target_price, target_fraction : float64 array, shape (n, m)
        Targets in order; the last one in use takes the rest. Unused places are NaN.
    n_targets : int64 array, shape (n,)
    be_after : int64 array, shape (n,)
        Index of the target after which the stop moves to the fill price; -1 = never.
    trail_kind : int64 array, shape (n,)
        0 none, 1 a multiple of ATR, 2 percent.
    trail_mult : float64 array, shape (n,)
    trail_after : int64 array, shape (n,)
        Index of the target after which the trail runs; -1 = from the fill.
    max_hold_candles : int64 array, shape (n,)
        Of the signal's timeframe; 0 = no limit.
    exit_at_ms : int64 array, shape (k,)
        Times at which the rest leaves at the open, all plans' behind each other.
    exit_at_from : int64 array, shape (n + 1,)
        Plan i owns ``exit_at_ms[exit_at_from[i]:exit_at_from[i + 1]]``.
    """

    target_price: FloatArray
    target_fraction: FloatArray
    n_targets: IntArray
    be_after: IntArray
    trail_kind: IntArray
    trail_mult: FloatArray
    trail_after: IntArray
    max_hold_candles: IntArray
    exit_at_ms: IntArray
    exit_at_from: IntArray


@runtime_checkable
class ExitPolicy(Protocol):
    """Turns plans into exit plans. One file each in `core/exits`."""

    name: str

    def plan(self, signals: pd.DataFrame, tick: FloatArray) -> ExitPlan:
        """Return the exit plan of each signal.

        Parameters
        ----------
        signals : pandas.DataFrame
            With direction, entry, sl, tp1, tp2, atr.
        tick : float64 array
            Smallest price step per signal; NaN where unknown.
        """
        ...

    def params(self) -> dict[str, Any]:
        """Return the parameters that fix its plans, as plain JSON values."""
        ...
