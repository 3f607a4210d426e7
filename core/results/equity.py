"""Equity: how money would have moved, at equal stakes and in the paper account.

The law: a result enters when its outcome is known (`known_ms`), never earlier; the equal-stake curve holds every
closed trade, taken or not, the account only the taken ones with the size they were planned with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.rows import closed_rows, taken_rows
from core.schema import FloatArray, FrameSpec, IntArray, conform

__all__ = ["EQUITY_COLUMNS", "Curve", "account_curve", "equal_stake_curve", "equity_frame"]

EQUITY_COLUMNS: FrameSpec = MappingProxyType(
    {
        "known_ms": "int64",  # when the outcome could be known, UTC ms
        "known_utc": "str",  # the same as 2024-01-31T12:00Z
        "signal_id": "int64",
        "symbol": "str",
        "timeframe": "str",
        "direction": "str",
        "exit_reason": "str",
        "taken": "int64",  # 1: counts in the account
        "r_multiple": "float64",
        "pnl_usd": "float64",  # at equal stakes
        "equal_stake_usd": "float64",  # running sum of pnl_usd
        "equal_stake_drawdown_usd": "float64",  # <= 0: below its highest point so far
        "account_pnl_usd": "float64",  # 0 when not taken; NaN columns when the capital is not known
        "account_usd": "float64",
        "account_drawdown_pct": "float64",  # <= 0: percent of its highest point so far
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A running balance, one point a closed trade.

    Parameters
    ----------
    start : float
        Balance before the first trade, quote currency.
    ts_ms : int64 array
        When each outcome was known.
    balance : float64 array
        After each trade.
    drawdown : float64 array
        Balance less its highest value so far (the start included), <= 0.
    drawdown_pct : float64 array
        The same in percent of that highest value; NaN while that is not above 0.
    """

    start: float
    ts_ms: IntArray
    balance: FloatArray
    drawdown: FloatArray
    drawdown_pct: FloatArray

    @property
    def end(self) -> float:
        """Balance after the last trade."""
        return float(self.balance[-1]) if len(self.balance) else self.start

    @property
    def max_drawdown(self) -> float:
        """Deepest fall in money, <= 0."""
        return float(self.drawdown.min(initial=0.0))

    @property
    def max_drawdown_pct(self) -> float:
        """Deepest fall in percent of the highest balance before it, <= 0; NaN where that was never above 0."""
        if len(self.drawdown_pct) == 0:
            return 0.0
        known = self.drawdown_pct[np.isfinite(self.drawdown_pct)]
        return float(known.min()) if len(known) else float("nan")


def _curve(ts_ms: IntArray, pnl: FloatArray, start: float) -> Curve:
    balance = start + np.cumsum(pnl)
    peak = np.maximum.accumulate(np.concatenate([[start], balance]))[1:]
    drawdown = balance - peak
    drawdown_pct = np.full(len(balance), np.nan)
    np.divide(100.0 * drawdown, peak, out=drawdown_pct, where=peak > 0)
    return Curve(start, ts_ms, balance, drawdown, drawdown_pct)


def _account_pnl(rows: pd.DataFrame) -> FloatArray:
    pnl: FloatArray = (rows["pnl_pct"] / 100.0 * rows["position_notional"]).to_numpy(dtype=np.float64)
    return pnl


def equal_stake_curve(rows: pd.DataFrame) -> Curve:
    """Return the sum of `pnl_usd` over all closed trades, every one with the same stake.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    """
    done = closed_rows(rows)
    return _curve(done["known_ms"].to_numpy(dtype=np.int64), done["pnl_usd"].to_numpy(dtype=np.float64), 0.0)


def account_curve(rows: pd.DataFrame, capital_usd: float) -> Curve:
    """Return the balance of the paper account: taken trades, each with its own size.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    capital_usd : float
        Balance at the start (``risk.capital_usd``).

    Notes
    -----
    ``pnl = pnl_pct / 100 * position_notional``. Sizes are those of the signals, planned on the starting capital:
    profits are not reinvested.
    """
    done = closed_rows(taken_rows(rows))
    return _curve(done["known_ms"].to_numpy(dtype=np.int64), _account_pnl(done), capital_usd)


def equity_frame(rows: pd.DataFrame, capital_usd: float | None) -> pd.DataFrame:
    """Return both curves as a table, one row a closed trade.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    capital_usd : float or None
        None leaves the account's columns NaN.

    Returns
    -------
    pandas.DataFrame
        Columns `EQUITY_COLUMNS`, ordered by known_ms, then signal_id.
    """
    done = closed_rows(rows)
    frame = done[["known_ms", "signal_id", "symbol", "timeframe", "direction", "exit_reason", "taken"]].copy()
    frame["known_utc"] = [
        datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%MZ") for ms in done["known_ms"]
    ]
    frame[["r_multiple", "pnl_usd"]] = done[["r_multiple", "pnl_usd"]]
    stakes = equal_stake_curve(done)
    frame["equal_stake_usd"], frame["equal_stake_drawdown_usd"] = stakes.balance, stakes.drawdown
    if capital_usd is None:
        frame[["account_pnl_usd", "account_usd", "account_drawdown_pct"]] = np.nan
    else:
        pnl = np.where(done["taken"] == 1, _account_pnl(done), 0.0)
        account = _curve(done["known_ms"].to_numpy(dtype=np.int64), pnl, capital_usd)
        frame["account_pnl_usd"], frame["account_usd"] = pnl, account.balance
        frame["account_drawdown_pct"] = account.drawdown_pct
    return conform(frame, EQUITY_COLUMNS)
