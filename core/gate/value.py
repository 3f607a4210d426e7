"""What a candidate is worth in R: two independent expectations, and the lower of them.

The law: the value is anchored at zero before costs, costs are subtracted exactly, and it never rises with a cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from core.errors import ModelError
from core.schema import FloatArray

__all__ = ["Payoff", "Value", "expected_value", "funding_key"]

Coefficients = tuple[float, float, float, float]


def funding_key(timeframe: str, direction: str) -> str:
    """Return the name expected funding is kept under, such as ``"15m|long"``.

    Examples
    --------
    >>> funding_key("1h", "short")
    '1h|short'
    """
    return f"{timeframe}|{direction}"


@dataclass(frozen=True, slots=True)
class Payoff:
    """What was learned about the size of results, given that an order fills.

    Parameters
    ----------
    a0 : float
        Mean result before costs in R where the predicted one is 0, shrunk towards 0.
    b_lcb : float
        How much of a predicted result before costs can be relied on, a lower confidence bound in [0, 1.2].
    win_coef, loss_coef : tuple of four float
        Mean net result in R of winners and of losers: constant, and slopes over rr1, rr2 and cost_r.
    funding_pct : mapping of str to float
        Expected funding in percent of notional, positive when it is paid, by `funding_key`.

    Notes
    -----
    A winner's mean is at least 0 and a loser's at most 0, because that is what the words mean. A slope over cost_r
    above 0 can only be noise and counts as 0.
    """

    a0: float
    b_lcb: float
    win_coef: Coefficients
    loss_coef: Coefficients
    funding_pct: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "win_coef", _four(self.win_coef))
        object.__setattr__(self, "loss_coef", _four(self.loss_coef))
        object.__setattr__(self, "funding_pct", dict(self.funding_pct))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "a0": self.a0,
            "b_lcb": self.b_lcb,
            "win_coef": list(self.win_coef),
            "loss_coef": list(self.loss_coef),
            "funding_pct": dict(sorted(self.funding_pct.items())),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Payoff:
        """Return the payoff that `to_json` wrote.

        Raises
        ------
        ModelError
            Something is missing, or not a finite number.
        """
        try:
            payoff = cls(
                a0=float(data["a0"]),
                b_lcb=float(data["b_lcb"]),
                win_coef=_four(data["win_coef"]),
                loss_coef=_four(data["loss_coef"]),
                funding_pct={str(key): float(value) for key, value in dict(data["funding_pct"]).items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"payoff: {error!r}; expected a0, b_lcb, win_coef, loss_coef, funding_pct") from error
        numbers = (payoff.a0, payoff.b_lcb, *payoff.win_coef, *payoff.loss_coef, *payoff.funding_pct.values())
        if not np.isfinite(numbers).all():
            raise ModelError("payoff: expected finite numbers")
        return payoff


class Value(NamedTuple):
    """Expected results in R, given a fill.

    Parameters
    ----------
    ev_payoff_r : float64 array, shape (n,)
        From the predicted size of the result.
    ev_p_r : float64 array, shape (n,)
        From the probability of winning.
    ev_r : float64 array, shape (n,)
        The lower of the two; NaN where either is.
    """

    ev_payoff_r: FloatArray
    ev_p_r: FloatArray
    ev_r: FloatArray


def expected_value(
    payoff: Payoff,
    p: FloatArray,
    predicted_r: FloatArray,
    stop_frac: FloatArray,
    rr1: FloatArray,
    rr2: FloatArray,
    cost_r: FloatArray,
    timeframe: npt.ArrayLike,
    direction: npt.ArrayLike,
) -> Value:
    """Return what candidates are worth after costs, in R.

    Parameters
    ----------
    payoff : Payoff
    p : float64 array, shape (n,)
        Calibrated probability of winning.
    predicted_r : float64 array, shape (n,)
        The estimator's result before costs, not shrunk.
    stop_frac : float64 array, shape (n,)
        Distance from entry to stop, fraction of entry.
    rr1, rr2 : float64 array, shape (n,)
        Reward to risk at the first and second target.
    cost_r : float64 array, shape (n,)
        Expected round trip of the plan in R.
    timeframe, direction : array-like of str, shape (n,) or one for all

    Returns
    -------
    Value

    Notes
    -----
    ``ev_payoff = a0 + b_lcb * g - cost_r - funding_r`` and ``ev_p = p * E[R | win] + (1 - p) * E[R | loss]`` in net R;
    ``ev = min(ev_payoff, ev_p)``, so that neither calibration nor payoff alone can open the gate. With everything else
    held, neither part rises with `cost_r`.

    Examples
    --------
    >>> payoff = Payoff(0.0, 0.5, (1.0, 0.0, 0.0, -1.0), (-1.0, 0.0, 0.0, -1.0), {"1h|long": 0.01})
    >>> one = lambda x: np.array([x])
    >>> v = expected_value(payoff, one(0.6), one(0.6), one(0.01), one(1.0), one(2.0), one(0.1), ["1h"], ["long"])
    >>> [round(float(part[0]), 6) for part in v]
    [0.19, 0.1, 0.1]
    """
    n = len(p)
    funding_r = _funding_pct(payoff, n, timeframe, direction) / (100.0 * stop_frac)
    ev_payoff = payoff.a0 + payoff.b_lcb * predicted_r - cost_r - funding_r
    win = np.maximum(_mean_r(payoff.win_coef, rr1, rr2, cost_r), 0.0)
    loss = np.minimum(_mean_r(payoff.loss_coef, rr1, rr2, cost_r), 0.0)
    ev_p = p * win + (1.0 - p) * loss
    return Value(ev_payoff, ev_p, np.minimum(ev_payoff, ev_p))


def _mean_r(coefficients: Coefficients, rr1: FloatArray, rr2: FloatArray, cost_r: FloatArray) -> FloatArray:
    constant, by_rr1, by_rr2, by_cost = coefficients
    return constant + by_rr1 * rr1 + by_rr2 * rr2 + min(by_cost, 0.0) * cost_r


def _funding_pct(payoff: Payoff, n: int, timeframe: npt.ArrayLike, direction: npt.ArrayLike) -> FloatArray:
    """Return the expected funding of each; where none was learned, the dearest known and at least nothing."""
    unknown = max((0.0, *payoff.funding_pct.values()))
    timeframes, directions = (
        np.broadcast_to(np.asarray(words, dtype=object), (n,)) for words in (timeframe, direction)
    )
    keys = (funding_key(*pair) for pair in zip(timeframes, directions, strict=True))
    return np.fromiter((payoff.funding_pct.get(key, unknown) for key in keys), dtype=np.float64, count=n)


def _four(values: Any) -> Coefficients:
    constant, by_rr1, by_rr2, by_cost = (float(value) for value in values)
    return constant, by_rr1, by_rr2, by_cost
