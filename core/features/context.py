"""What is around the series: the market's leader, the hour, the funding of perpetuals.

The law: of another series only the candle that closes with the decision counts, and of funding only what had been
published by then.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.clock import DAY_MS, MINUTE_MS
from core.execution.funding import DEFAULT_INTERVAL_MS, PATIENCE_MS
from core.features._base import NOT_THERE, View, last_at, ratio, table
from core.indicators.averages import window_mean, window_std
from core.indicators.momentum import change_over
from core.indicators.volatility import true_range
from core.schema import FloatArray, IntArray

__all__ = ["Context"]

RETURNS = (1, 4, 16)  # candles
USUAL_WINDOW = 96
FAST_WINDOW = 16
MONDAY = 3  # 1970-01-01 was a Thursday


class Context:
    """Measure the benchmark's moves, the time of day and week, and funding.

    Columns
    -------
    ctx_btc_ret_1 : mean true ranges
        Change of the benchmark's close over its last candle [1]_.
    ctx_btc_ret_4 : mean true ranges
        Change of the benchmark's close over its last 4 candles [1]_.
    ctx_btc_ret_16 : mean true ranges
        Change of the benchmark's close over its last 16 candles [1]_.
    ctx_btc_vol : ratio
        Standard deviation of the benchmark's last 16 log returns over that of its last 96 [2]_.
    ctx_hour_sin : -1 to 1
        Sine of the time of day of the decision, UTC; a day is a turn [2]_ [3]_.
    ctx_hour_cos : -1 to 1
        Cosine of the time of day of the decision, UTC [2]_ [3]_.
    ctx_weekday : 0 to 6
        Day of the decision, UTC; Monday is 0 [3]_.
    ctx_funding_minutes : minutes
        Time from the decision to the next settlement [4]_.
    ctx_funding_rate : percent of the notional
        Newest published rate, positive where the trade would pay it [4]_.

    Notes
    -----
    The benchmark is BTC on the same timeframe, its candle the one that closes with the decision: NaN where that is
    missing. Its moves are signed, positive with the trade, and in units of the mean true range of its last 96 candles.
    A settlement counts as published ten minutes after its time; the next one is expected one usual interval, that of
    the last two, after the last (eight hours where there is only one). NaN where nothing has been published within the
    last two intervals, as on spot.

    References
    ----------
    .. [1] Jegadeesh, N., Titman, S. (1993). Returns to buying winners and selling losers, Journal of Finance 48(1),
       65-91.
    .. [2] Andersen, T. G., Bollerslev, T. (1998). Answering the skeptics, International Economic Review 39(4),
       885-905: realised volatility, and the course of a day.
    .. [3] The calendar, UTC.
    .. [4] He, S., Manela, A., Ross, O., von Wachter, V. (2022). Fundamentals of perpetual futures,
       arXiv:2212.06888: funding.

    Examples
    --------
    >>> Context().required
    ('ctx_hour_sin', 'ctx_hour_cos', 'ctx_weekday')
    """

    name = "context"
    columns = (
        *(f"ctx_btc_ret_{steps}" for steps in RETURNS),
        "ctx_btc_vol",
        "ctx_hour_sin",
        "ctx_hour_cos",
        "ctx_weekday",
        "ctx_funding_minutes",
        "ctx_funding_rate",
    )
    required = columns[4:7]
    warmup = USUAL_WINDOW + 1
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        decided = view.plans.decided_ms
        angle = 2.0 * np.pi * (decided % DAY_MS) / DAY_MS
        values: dict[str, npt.ArrayLike] = {
            **_benchmark(view),
            "ctx_hour_sin": np.sin(angle),
            "ctx_hour_cos": np.cos(angle),
            "ctx_weekday": (decided // DAY_MS + MONDAY) % 7,
            **_funding(view),
        }
        return table(self.columns, values, len(decided))


def _benchmark(view: View) -> dict[str, FloatArray]:
    candles, opened = view.benchmark, view.plans.decided_ms - view.step_ms
    at = last_at(candles.ts, opened)
    is_there = at >= 0
    is_there[is_there] = candles.ts[at[is_there]] == opened[is_there]
    at = np.where(is_there, at, NOT_THERE)
    unit = window_mean(true_range(candles.high, candles.low, candles.close), at, USUAL_WINDOW)
    returns = np.diff(np.log(candles.close), prepend=np.nan)
    side = view.plans.side
    moves = {f"ctx_btc_ret_{steps}": ratio(side * change_over(candles.close, at, steps), unit) for steps in RETURNS}
    return {**moves, "ctx_btc_vol": ratio(window_std(returns, at, FAST_WINDOW), window_std(returns, at, USUAL_WINDOW))}


def _funding(view: View) -> dict[str, FloatArray]:
    decided = view.plans.decided_ms
    settled, rate_pct = _settlements(view.funding)
    newest = last_at(settled, decided - PATIENCE_MS)
    last, before = (np.append(settled, NOT_THERE)[place] for place in (newest, np.maximum(newest - 1, NOT_THERE)))
    interval = np.where(newest >= 1, last - before, DEFAULT_INTERVAL_MS)
    known = (newest >= 0) & (decided - last <= 2 * interval)
    away = interval - (decided - last) % interval
    return {
        "ctx_funding_minutes": np.where(known, away / MINUTE_MS, np.nan),
        "ctx_funding_rate": np.where(known, view.plans.side * np.append(rate_pct, np.nan)[newest], np.nan),
    }


def _settlements(funding: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return times on the minute, as exchanges stamp some milliseconds late, and rates in percent."""
    settled = (funding[:, 0].astype(np.int64) + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    last_of_minute = np.append(settled[1:] != settled[:-1], True)[: len(settled)]
    return settled[last_of_minute], 100.0 * funding[last_of_minute, 1]
