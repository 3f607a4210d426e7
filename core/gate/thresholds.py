"""Which threshold a candidate has to reach, and where the number came from.

The law: general, then symbol and timeframe, then regime, the most specific last; and never under the floors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.schema import FloatArray

__all__ = ["EVIDENCE_MODES", "GateRules", "Override", "Thresholds", "resolve"]

EVIDENCE_MODES = ("off", "show", "require")


@dataclass(frozen=True, slots=True)
class Override:
    """Thresholds of one slice, over the general ones.

    Parameters
    ----------
    min_ev_pct, threshold : float or None
        Least expected value in percent of notional, least p(win); None leaves what was there.
    expires_ms : int or None
        Moment from which it no longer counts, UTC ms.
    """

    min_ev_pct: float | None = None
    threshold: float | None = None
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GateRules:
    """What the gate asks of a candidate.

    Parameters
    ----------
    use_ev : bool
        Decide by expected value after costs; otherwise by p(win).
    min_ev_pct, threshold : float
        Least expected value, percent of notional; least p(win).
    evidence : str
        ``off``, ``show`` or ``require``.
    floor_ev_pct, floor_threshold : float
        No threshold, wherever it comes from, goes below these.
    per_pair_tf : mapping of str to mapping of str to Override
        By symbol, then timeframe.
    per_regime : mapping of str to Override
        ``trend``, ``range``, ``vol_low``, ``vol_normal``, ``vol_high``.
    """

    use_ev: bool = True
    min_ev_pct: float = 0.0
    threshold: float = 0.45
    evidence: str = "show"
    floor_ev_pct: float = 0.0
    floor_threshold: float = 0.40
    per_pair_tf: Mapping[str, Mapping[str, Override]] = field(default_factory=dict)
    per_regime: Mapping[str, Override] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.evidence not in EVIDENCE_MODES:
            raise ValueError(f"evidence '{self.evidence}': expected one of {', '.join(EVIDENCE_MODES)}")


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """The number each candidate has to reach.

    Parameters
    ----------
    least : float64 array, shape (n,)
        Percent of notional, or a probability where the rules decide by it.
    source : object array of str, shape (n,)
        ``general``, ``per_pair_tf <symbol> <timeframe>``, ``per_regime <key>`` or ``floors``.
    """

    least: FloatArray
    source: npt.NDArray[np.object_]


def resolve(
    rules: GateRules,
    symbol: npt.ArrayLike,
    timeframe: npt.ArrayLike,
    regime_trend: npt.ArrayLike,
    regime_vol: npt.ArrayLike,
    decided_ms: npt.ArrayLike,
) -> Thresholds:
    """Return the threshold of each candidate.

    Parameters
    ----------
    rules : GateRules
    symbol, timeframe, regime_trend, regime_vol : array-like of str, shape (n,)
    decided_ms : int64 array-like, shape (n,)
        An override that has expired by then does not count.

    Notes
    -----
    Of the regimes the volatility speaks after the trend. A floor that lifts a number is named as its source.

    Examples
    --------
    >>> rules = GateRules(per_regime={"vol_high": Override(min_ev_pct=0.3)})
    >>> t = resolve(rules, ["BTC/USDT"] * 2, ["1h"] * 2, ["trend"] * 2, ["low", "high"], [0, 0])
    >>> t.least.tolist(), t.source.tolist()
    ([0.0, 0.3], ['general', 'per_regime vol_high'])
    """
    columns = [np.asarray(words, dtype=object).tolist() for words in (symbol, timeframe, regime_trend, regime_vol)]
    found = [_of_one(rules, *row) for row in zip(*columns, np.asarray(decided_ms).tolist(), strict=True)]
    source = np.empty(len(found), dtype=object)
    source[:] = [where for _, where in found]
    return Thresholds(np.array([least for least, _ in found], dtype=np.float64), source)


def _of_one(
    rules: GateRules, symbol: str, timeframe: str, regime_trend: str, regime_vol: str, decided_ms: int
) -> tuple[float, str]:
    least, source = (rules.min_ev_pct if rules.use_ev else rules.threshold), "general"
    trend, volatility = str(regime_trend), f"vol_{regime_vol}"
    steps = (
        (rules.per_pair_tf.get(symbol, {}).get(timeframe), f"per_pair_tf {symbol} {timeframe}"),
        (rules.per_regime.get(trend), f"per_regime {trend}"),
        (rules.per_regime.get(volatility), f"per_regime {volatility}"),
    )
    for override, name in steps:
        if override is None or (override.expires_ms is not None and decided_ms >= override.expires_ms):
            continue
        number = override.min_ev_pct if rules.use_ev else override.threshold
        if number is not None:
            least, source = number, name
    floor = rules.floor_ev_pct if rules.use_ev else rules.floor_threshold
    return (floor, "floors") if least < floor else (least, source)
