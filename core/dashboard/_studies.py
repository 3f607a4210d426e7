"""Studies of a run of candles: the lines a trader lays over the price or beneath it.

The law: pure; what the engine itself computes comes from its own kernels, the rest from `ta`, both imported when used;
a value that is not yet known is NaN, and each value knows its own candle and earlier ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import DAY_MS
from core.schema import Candles, FloatArray

__all__ = [
    "OVERLAYS",
    "PANES",
    "Line",
    "Profile",
    "Study",
    "anchored_study",
    "chance_study",
    "session_vwap",
    "study",
    "volume_profile",
]

_PSAR_LONGEST = 3_000  # candles: ta's is quadratic
_PSAR_WARM = 2
_RSI, _ATR, _BANDS = 14, 14, 20
_BINS, _VALUE_AREA = 48, 0.70  # of the volume profile


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line of a study.

    Parameters
    ----------
    name : str
        Unlike every other line's of the chart.
    values : float64 array, shape (n,)
        One a candle; NaN where there is none.
    colour : int
        Position in the palette's `series`.
    kind : str
        ``line``, ``dashed``, ``dots`` or ``bars``.
    """

    name: str
    values: FloatArray
    colour: int
    kind: str = "line"


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """Lines that belong together.

    Parameters
    ----------
    name : str
    lines : tuple of Line
    levels : tuple of float
        Horizontal lines of its pane.
    """

    name: str
    lines: tuple[Line, ...]
    levels: tuple[float, ...] = ()


def study(name: str, candles: Candles) -> Study:
    """Return a study of `OVERLAYS` or `PANES` by its name."""
    return {**_OVERLAYS, **_PANES}[name](candles)


def _emas(candles: Candles) -> Study:
    from core.indicators.averages import ema

    spans = ((20, 0), (50, 1), (200, 3))
    return Study("EMA", tuple(Line(f"EMA {span}", ema(candles.close, span), colour) for span, colour in spans))


def _bollinger(candles: Candles) -> Study:
    from ta.volatility import BollingerBands

    bands = BollingerBands(pd.Series(candles.close), window=_BANDS, window_dev=2)
    found = (("Upper band", bands.bollinger_hband()), ("Lower band", bands.bollinger_lband()))
    middle = Line("Middle band", _known(bands.bollinger_mavg(), _BANDS - 1), 6, "dashed")
    return Study("Bollinger", (*(Line(name, _known(values, _BANDS - 1), 6) for name, values in found), middle))


def session_vwap(candles: Candles) -> FloatArray:
    """Return the volume-weighted mean of typical prices since the candle's UTC day began; NaN without volume.

    Notes
    -----
    ``sum(v (h + l + c) / 3) / sum(v)`` over the day so far (Berkowitz, Logue and Noser 1988).
    """
    typical = (candles.high + candles.low + candles.close) / 3.0
    day = candles.ts // DAY_MS
    sums = pd.DataFrame({"pv": typical * candles.volume, "v": candles.volume}).groupby(day).cumsum()
    found: FloatArray = (sums["pv"] / sums["v"].where(sums["v"] > 0)).to_numpy(np.float64)
    return found


def _vwap(candles: Candles) -> Study:
    return Study("VWAP", (Line("VWAP of the day", session_vwap(candles), 4),))


def _psar(candles: Candles) -> Study:
    from ta.trend import PSARIndicator

    late = candles.slice(max(0, len(candles) - _PSAR_LONGEST))
    values = np.full(len(candles), np.nan)
    if len(late) > _PSAR_WARM:
        found = PSARIndicator(*(pd.Series(part) for part in (late.high, late.low, late.close))).psar()
        values[len(candles) - len(late) :] = _known(found, _PSAR_WARM)
    return Study("PSAR", (Line("PSAR", values, 5, "dots"),))


def _rsi(candles: Candles) -> Study:
    from core.indicators.momentum import wilder_rsi

    return Study("RSI", (Line(f"RSI {_RSI}", wilder_rsi(candles.close, _RSI), 0),), levels=(30.0, 70.0))


def _macd(candles: Candles) -> Study:
    from ta.trend import MACD

    macd = MACD(pd.Series(candles.close))
    slow, signal = 25, 33
    return Study(
        "MACD",
        (
            Line("MACD difference", _known(macd.macd_diff(), signal), 6, "bars"),
            Line("MACD", _known(macd.macd(), slow), 0),
            Line("MACD signal", _known(macd.macd_signal(), signal), 1),
        ),
        levels=(0.0,),
    )


def _atr(candles: Candles) -> Study:
    from core.indicators.volatility import wilder_atr

    values = wilder_atr(candles.high, candles.low, candles.close, _ATR)
    return Study("ATR", (Line(f"ATR {_ATR}, %", 100.0 * values / candles.close, 3),))


def anchored_study(candles: Candles, anchor_ms: int) -> Study:
    """Return the volume-weighted mean price since an anchor; NaN before it, everywhere where it is not in the run."""
    from core.indicators.avwap import anchored_vwap

    anchor = int(np.searchsorted(candles.ts, anchor_ms))
    values = np.full(len(candles), np.nan)
    if anchor < len(candles) and int(candles.ts[anchor]) == anchor_ms:
        values = anchored_vwap(candles.high, candles.low, candles.close, candles.volume, anchor)
    return Study("Anchored VWAP", (Line("Anchored VWAP", values, 4, "dashed"),))


def chance_study(candles: Candles, signals: pd.DataFrame) -> Study:
    """Return the calibrated chance of each signal on its candle; the last one where a candle has several.

    Parameters
    ----------
    candles : Candles
    signals : pandas.DataFrame
        Columns ts_ms and ml_p.
    """
    values = np.full(len(candles), np.nan)
    place = np.searchsorted(candles.ts, signals["ts_ms"].to_numpy(np.int64))
    inside = place < len(candles)
    values[place[inside]] = signals["ml_p"].to_numpy(np.float64)[inside]
    return Study("p(win)", (Line("p(win)", values, 2, "dots"),), levels=(0.5,))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Volume by price.

    Parameters
    ----------
    low, high : float
        Range of the run.
    volume : float64 array, shape (bins,)
        From the lowest price up.
    poc : float
        Middle of the bin that traded most.
    area_low, area_high : float
        The value area: the bins around it that hold 70 % of the volume.
    """

    low: float
    high: float
    volume: FloatArray
    poc: float
    area_low: float
    area_high: float


def volume_profile(candles: Candles) -> Profile:
    """Return the volume by price of a run; a candle's volume is spread evenly over its range.

    Notes
    -----
    The value area grows from the bin of most volume by the larger of its two neighbours until 70 % is inside
    (Steidlmayer 1986).
    """
    low, high = float(candles.low.min()), float(candles.high.max())
    high = high if high > low else low * (1 + 1e-9) + 1e-12
    edges = np.linspace(low, high, _BINS + 1)
    # The share of a candle below an edge is linear in the edge, so a bin is a difference of two sums.
    width = np.maximum(candles.high - candles.low, (high - low) * 1e-9)
    below = [float((candles.volume * np.clip((edge - candles.low) / width, 0.0, 1.0)).sum()) for edge in edges]
    volume = np.diff(np.array(below))
    first = last = int(np.argmax(volume))
    poc = float((edges[first] + edges[first + 1]) / 2.0)
    inside, wanted = float(volume[first]), _VALUE_AREA * float(volume.sum())
    while inside < wanted and (first > 0 or last < _BINS - 1):
        under = volume[first - 1] if first > 0 else -1.0
        over = volume[last + 1] if last < _BINS - 1 else -1.0
        if over >= under:
            last += 1
        else:
            first -= 1
        inside += float(max(under, over))
    return Profile(low, high, volume, poc, float(edges[first]), float(edges[last + 1]))


def _known(values: npt.ArrayLike, first: int) -> FloatArray:
    """Return values with those before `first` unknown: `ta` fills them with numbers of its own."""
    found = np.array(values, dtype=np.float64)
    found[:first] = np.nan
    return found


_OVERLAYS: dict[str, Callable[[Candles], Study]] = {
    "EMA": _emas,
    "Bollinger": _bollinger,
    "VWAP": _vwap,
    "PSAR": _psar,
}
_PANES: dict[str, Callable[[Candles], Study]] = {"RSI": _rsi, "MACD": _macd, "ATR": _atr}

OVERLAYS: Mapping[str, str] = MappingProxyType(
    {
        "EMA": "Exponential moving averages of 20, 50 and 200 candles",
        "Bollinger": "Mean of 20 candles and two standard deviations around it",
        "VWAP": "Volume-weighted mean price since the UTC day began",
        "PSAR": "Parabolic stop and reverse",
    }
)
"""Lines over the price, and what each is."""

PANES: Mapping[str, str] = MappingProxyType(
    {
        "RSI": "Relative strength index of 14 candles",
        "MACD": "Difference of the exponential averages of 12 and 26 candles, its average of 9, and their difference",
        "ATR": "Average true range of 14 candles, percent of the close",
        "p(win)": "The calibrated chance of each signal",
    }
)
"""Panes beneath the price, and what each shows."""
