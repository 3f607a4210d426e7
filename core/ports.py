"""What the engine asks of the outside world and of its plug-ins, as Protocols.

The law: stages and jobs know these names, never a concrete class; `app.py` alone chooses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.schema import Candles, FloatArray, Instrument, IntArray

__all__ = [
    "Estimator",
    "ExitPlan",
    "ExitPolicy",
    "ExplainingSetup",
    "FittedEstimator",
    "Market",
    "Message",
    "NoCandidate",
    "Notifier",
    "Sample",
    "Scores",
    "Setup",
]


@runtime_checkable
class Market(Protocol):
    """A source of candles that owns the clock.

    Attributes
    ----------
    exchange : str
        The exchange its rows are recorded under.
    synthetic : bool
        True when the candles were generated; every figure made of them says so.
    live : bool
        True when it follows the wall clock; False for a tape.
    """

    exchange: str
    synthetic: bool
    live: bool

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds."""
        ...

    async def advance(self) -> int | None:
        """Move to the next moment at which a cycle is due; return it, or None at the end of a tape.

        A live market returns its time at once (the scheduler does the waiting); a tape moves its
        own clock by one step, sleeping as its speed says.
        """
        ...

    async def load_markets(self) -> dict[str, Instrument]:
        """Return every symbol that trades, by unified name."""
        ...

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> npt.NDArray[np.float64]:
        """Return candles from `since_ms` on, at most `limit`, oldest first.

        Returns
        -------
        float64 array, shape (n, 6) or (n, 7)
            ts, open, high, low, close, volume and, where known, taker volume. The forming candle may be among
            them. Nothing is cleaned.
        """
        ...

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> npt.NDArray[np.float64] | None:
        """Return settlements from `since_ms` on, shape (n, 2): time in ms, rate as a fraction; None where the
        market keeps no history."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a person.

    Parameters
    ----------
    html : str
        The text with Telegram's HTML tags, already escaped.
    plain : str
        The same without tags, for consoles and as a fall-back.
    reply_to : str or None
        The notifier's own id of the message this one answers.
    silent : bool
        Deliver without a sound.
    """

    html: str
    plain: str
    reply_to: str | None = None
    silent: bool = False


@runtime_checkable
class Notifier(Protocol):
    """Delivers messages to one audience."""

    name: str

    async def send(self, message: Message) -> str:
        """Deliver and return the other side's id of the message.

        Raises
        ------
        NotifierUnavailable
            Not now; retrying can help.
        NotifierError
            Never; the message is refused for good.
        """
        ...

    async def check(self) -> None:
        """Return when messages can be delivered as far as one can tell without sending any.

        Raises
        ------
        NotifierUnavailable
            Not now; retrying can help.
        CredentialsError
            Never, with this token.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


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


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What an estimator learns from: finished candidates, one row each.

    Parameters
    ----------
    vectors : float64 array, shape (n, k)
        Features; NaN where an optional one is not known.
    columns : tuple of str
        Their names, in order.
    won : float64 array, shape (n,)
        1 where the result after all costs was above 0, else 0.
    gross_r : float64 array, shape (n,)
        Result before costs, in R.
    weights : float64 array, shape (n,)
        Uniqueness of each row.
    """

    vectors: FloatArray
    columns: tuple[str, ...]
    won: FloatArray
    gross_r: FloatArray
    weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What an estimator says of candidates.

    Parameters
    ----------
    p_geo : float64 array, shape (n,)
        Probability of winning as the plan's geometry alone gives it.
    p_raw : float64 array, shape (n,)
        The estimator's own, not calibrated.
    payoff : float64 array, shape (n,)
        Predicted result before costs in R, not shrunk.
    """

    p_geo: FloatArray
    p_raw: FloatArray
    payoff: FloatArray


class FittedEstimator(Protocol):
    """An estimator that has learned."""

    name: str
    columns: tuple[str, ...]

    def score(self, vectors: FloatArray) -> Scores:
        """Score candidates; `vectors` has shape (n, k) with the columns learned from, in their order."""
        ...

    def contributions(self, vectors: FloatArray) -> FloatArray:
        """Return log-odds of `p_raw` by column, shape (n, k + 1); the last one is what every candidate starts from:
        the logit of the geometry with the bias. Each row adds up to the logit of `p_raw`."""
        ...

    def files(self) -> dict[str, bytes]:
        """Return all it knows as files by name; none of them is code."""
        ...


class Estimator(Protocol):
    """Learns p(win) and payoff from finished candidates. One file each in `core/estimators`."""

    name: str

    def params(self) -> dict[str, Any]:
        """Return the parameters it learns with, as plain JSON values."""
        ...

    def fit(self, sample: Sample) -> FittedEstimator:
        """Learn from a sample."""
        ...

    def load(self, columns: tuple[str, ...], files: Mapping[str, bytes]) -> FittedEstimator:
        """Return the estimator that `files` describe.

        Raises
        ------
        ModelError
            The files are not what `FittedEstimator.files` writes.
        """
        ...
