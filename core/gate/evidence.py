"""What has been shown about each slice of the market, and which slice speaks for a candidate.

The law: the most specific slice that is large enough speaks, a regime is never certified by the others, and evidence
that has expired is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelError
from core.schema import FloatArray

__all__ = ["ALL", "CERTIFIED", "EXPIRED", "NOT_CERTIFIED", "Evidence", "Slice", "Spoken", "pair_slice", "regime_slice"]

ALL = "all"  # the slice of every candidate

CERTIFIED = "CERTIFIED"
NOT_CERTIFIED = "NOT_CERTIFIED"
EXPIRED = "EXPIRED"


def pair_slice(symbol: str, timeframe: str) -> str:
    """Return the name of a symbol and timeframe's slice."""
    return f"{symbol} {timeframe}"


def regime_slice(regime_vol: str) -> str:
    """Return the name of a volatility regime's slice, such as ``"vol_high"``."""
    return f"vol_{regime_vol}"


@dataclass(frozen=True, slots=True)
class Slice:
    """What out-of-sample results say of a slice.

    Parameters
    ----------
    name : str
        ``all``, a timeframe, ``<symbol> <timeframe>`` or ``vol_<regime>``.
    n : int
        Results at or above the threshold.
    n_eff : float
        The same in effective rows: overlapping ones count less.
    weeks : int
        UTC weeks they were decided in.
    mean_r, lower_r : float
        Their mean net result in R, and its lower bound at the level the slice was tested at.
    win_rate, lower_win : float
        Share of them won after costs, and its lower bound.
    threshold : float
        Least score of what these figures are about: percent of notional, or p(win).
    certified : bool
    speaks : bool
        Whether it is large enough to speak for its candidates.
    expires_ms : int
        Moment from which it is no evidence any more, UTC ms.
    why : str
        In words, why it is not certified; ``""`` where it is.
    """

    name: str
    n: int
    n_eff: float
    weeks: int
    mean_r: float
    lower_r: float
    win_rate: float
    lower_win: float
    threshold: float
    certified: bool
    speaks: bool
    expires_ms: int
    why: str = ""

    def says(self, score: float, decided_ms: int) -> str:
        """Return ``CERTIFIED``, ``NOT_CERTIFIED`` or ``EXPIRED`` for a candidate of that score."""
        if decided_ms >= self.expires_ms:
            return EXPIRED
        return CERTIFIED if self.certified and score >= self.threshold else NOT_CERTIFIED


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What evidence says of candidates.

    Parameters
    ----------
    state : object array of str, shape (n,)
        ``CERTIFIED``, ``NOT_CERTIFIED`` or ``EXPIRED``.
    slice : object array of str, shape (n,)
        Name of the slice that decided it; ``""`` where none is known.
    """

    state: npt.NDArray[np.object_]
    slice: npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The table of slices, as one tuning left it.

    Parameters
    ----------
    mode : str
        ``ev``: net result above 0; ``p``: win rate above the target.
    tuned_ms : int
        When, UTC ms; 0 where nothing was ever tuned.
    slices : mapping of str to Slice

    Examples
    --------
    >>> Evidence().line("BTC/USDT:USDT", "1h", "low", 0.1, 0)
    'not certified: no results were examined'
    """

    mode: str = "ev"
    tuned_ms: int = 0
    slices: Mapping[str, Slice] = field(default_factory=dict)

    def speaker(self, symbol: str, timeframe: str) -> Slice | None:
        """Return the most specific slice that speaks for a symbol and timeframe; None where none does."""
        for name in (pair_slice(symbol, timeframe), timeframe, ALL):
            found = self.slices.get(name)
            if found is not None and found.speaks:
                return found
        return None

    def asked(
        self,
        symbol: npt.ArrayLike,
        timeframe: npt.ArrayLike,
        regime_vol: npt.ArrayLike,
        score: FloatArray,
        decided_ms: npt.ArrayLike,
    ) -> Spoken:
        """Return what the evidence says of each candidate.

        Parameters
        ----------
        symbol, timeframe, regime_vol : array-like of str, shape (n,)
        score : float64 array, shape (n,)
            Expected value in percent of notional, or p(win), as `mode` says.
        decided_ms : int64 array-like, shape (n,)

        Notes
        -----
        A candidate is certified where the slice that speaks for it and its volatility regime's are both certified at
        or below its score.
        """
        words = [np.asarray(column, dtype=object).tolist() for column in (symbol, timeframe, regime_vol)]
        rows = zip(*words, score.tolist(), np.asarray(decided_ms).tolist(), strict=True)
        found = [self._of_one(*row) for row in rows]
        state, names = np.empty(len(found), dtype=object), np.empty(len(found), dtype=object)
        state[:] = [said for said, _ in found]
        names[:] = ["" if one is None else one.name for _, one in found]
        return Spoken(state, names)

    def line(self, symbol: str, timeframe: str, regime_vol: str, score: float, decided_ms: int) -> str:
        """Return in words what the evidence says of a candidate.

        Returns
        -------
        str
            Such as ``certified: n = 412, +0.14 R, lower bound +0.03 R``.
        """
        state, one = self._of_one(symbol, timeframe, regime_vol, score, decided_ms)
        head = {CERTIFIED: "certified", EXPIRED: "not certified, its evidence has expired"}.get(state, "not certified")
        if one is None:
            return f"{head}: {'no results of its volatility regime' if self.slices else 'no results'} were examined"
        if one.name == regime_slice(regime_vol):
            head += f" in {regime_vol} volatility"
        if state == NOT_CERTIFIED and one.certified:
            head += f" below {self._threshold(one)}"
        return f"{head}: {self._figures(one)}"

    def told(self, one: Slice) -> str:
        """Return in words what is known of a slice as such, and why it is not certified."""
        if one.certified:
            return f"{one.name}: certified from {self._threshold(one)}: {self._figures(one)}"
        figures = self._figures(one)
        return f"{one.name}: not certified: {figures}{f' ({one.why})' if one.why and one.why != figures else ''}"

    def _threshold(self, one: Slice) -> str:
        return f"EV {one.threshold:.4g} %" if self.mode == "ev" else f"p {one.threshold:.2f}"

    def _figures(self, one: Slice) -> str:
        if one.n == 0 or not math.isfinite(one.mean_r):
            return one.why or "no results"
        ev = self.mode == "ev"
        value, lower = (one.mean_r, one.lower_r) if ev else (one.win_rate, one.lower_win)
        told = f"n = {one.n}, {f'{value:+.2f} R' if ev else f'won {100.0 * value:.0f} %'}"
        if not math.isfinite(lower):
            return told
        return f"{told}, lower bound {f'{lower:+.2f} R' if ev else f'{100.0 * lower:.0f} %'}"

    def _of_one(
        self, symbol: str, timeframe: str, regime_vol: str, score: float, decided_ms: int
    ) -> tuple[str, Slice | None]:
        """Return the state of one candidate and the slice it rests on: the first that does not certify it."""
        speaker, regime = self.speaker(symbol, timeframe), self.slices.get(regime_slice(regime_vol))
        if speaker is None:
            return NOT_CERTIFIED, self.slices.get(ALL)
        said = speaker.says(score, decided_ms)
        if said != CERTIFIED:
            return said, speaker
        if regime is None:
            return NOT_CERTIFIED, None
        by_regime = regime.says(score, decided_ms)
        return (said, speaker) if by_regime == CERTIFIED else (by_regime, regime)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; what is not a number becomes null."""
        return {
            "mode": self.mode,
            "tuned_ms": self.tuned_ms,
            "slices": [
                {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row}
                for row in (asdict(one).items() for one in self.slices.values())
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """Return the evidence that `to_json` wrote.

        Raises
        ------
        ModelError
            It is not such a table.
        """
        try:
            rows = [_slice(row) for row in data["slices"]]
            return cls(str(data["mode"]), int(data["tuned_ms"]), {one.name: one for one in rows})
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"evidence: {error!r}; expected mode, tuned_ms and slices") from error


def _slice(row: Mapping[str, Any]) -> Slice:
    return Slice(**{item.name: _typed(str(item.type), row[item.name]) for item in fields(Slice)})


def _typed(kind: str, value: Any) -> Any:
    if kind == "float":
        return math.nan if value is None else float(value)
    return {"int": int, "bool": bool, "str": str}[kind](value)
