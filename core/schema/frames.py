"""Frames with declared columns.

The law: a column's name, type and unit are declared here once; the store, the stages and the viewer use
these declarations and no other.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "ACCOUNT_ROWS",
    "CANDIDATES",
    "DECISIONS",
    "SIGNALS",
    "TRADES",
    "TRADE_EVENTS",
    "FrameSpec",
    "conform",
    "empty_frame",
    "frame_of",
]

FrameSpec = Mapping[str, str]

# Text is Python strings, whether Arrow is there or not: one process reads what another hands it.
pd.set_option("mode.string_storage", "python")


def _spec(columns: dict[str, str]) -> FrameSpec:
    return MappingProxyType(columns)


CANDIDATES: FrameSpec = _spec(
    {
        "ts_ms": "int64",  # open of the candle whose close made it
        "decided_ms": "int64",  # that close
        "direction": "str",  # long | short
        "order_type": "str",  # limit | market | stop
        "entry": "float64",
        "sl": "float64",
        "tp1": "float64",
        "tp2": "float64",
        "atr": "float64",  # ATR of the timeframe at the close, price units
        "confidence": "float64",  # the rule's own opinion in [0, 1]; not a probability
        "anchor_a_ms": "int64",  # what identifies it: ts of the leg's first and last candle
        "anchor_b_ms": "int64",
        "regime_trend": "str",  # trend | range | unknown
        "regime_vol": "str",  # low | normal | high | unknown
        "plan": "str",  # JSON: the anchors and measures behind the levels
        "rationale": "str",  # the rule in words
    }
)

SIGNALS: FrameSpec = _spec(
    {
        "id": "int64",
        "key": "str",  # identity: exchange, symbol, timeframe, setup, plan_hash, direction, anchors
        "ts_ms": "int64",
        "decided_ms": "int64",
        "exchange": "str",
        "symbol": "str",
        "timeframe": "str",
        "setup": "str",
        "direction": "str",
        "order_type": "str",
        "entry": "float64",
        "sl": "float64",
        "tp1": "float64",
        "tp2": "float64",
        "atr": "float64",
        "valid_until_ms": "int64",
        "leverage": "float64",
        "risk_pct": "float64",  # percent of risk.capital_usd lost at most if stopped at sl, before costs
        "position_notional": "float64",  # quote currency; 0 when below the exchange's minimum
        "confidence": "float64",
        "rationale": "str",
        "plan": "str",
        "plan_hash": "str",
        "regime_trend": "str",
        "regime_vol": "str",
        "ml_p_raw": "float64",  # NaN until a model is in force
        "ml_p": "float64",
        "ev_pct": "float64",
        "model_version": "str",  # "" until a model is in force
        "verdict": "str",  # PASS | FILTERED | NO_EVIDENCE | ABSTAIN | UNGATED
        "reason": "str",
        "origin": "str",  # live | retro
        "in_sample": "int64",  # 0 | 1
    }
)

DECISIONS: FrameSpec = _spec(
    {
        "signal_id": "int64",
        "seq": "int64",  # 0 for the first decision of a signal
        "verdict": "str",
        "reason": "str",
        "p_geo": "float64",
        "ml_p_raw": "float64",
        "ml_p": "float64",
        "ev_payoff_r": "float64",
        "ev_p_r": "float64",
        "ev_pct": "float64",
        "threshold": "float64",
        "threshold_source": "str",
        "model_version": "str",
    }
)

TRADES: FrameSpec = _spec(
    {
        "signal_id": "int64",
        "exit_policy": "str",  # name@hash8 over exit, execution and cost parameters
        "status": "str",  # PENDING | OPEN | CLOSED | EXPIRED | CANCELLED
        "taken": "int64",  # 0 | 1: passed the gate, the size rule and the limits
        "blocked_by": "str",  # "" or what refused a passed candidate
        "opened_ms": "int64",  # 0 until filled; ts of the fill candle
        "closed_ms": "int64",  # 0 until finished; ts of the last step's candle
        "known_ms": "int64",  # 0 until finished; when the outcome could be known
        "fill_price": "float64",  # after slippage; NaN until filled
        "exit_price": "float64",  # mean over the exit legs, after slippage; NaN until closed
        "exit_reason": "str",  # SL TP1_TRAIL TP TIMEOUT POLICY DELISTED | MISSED GAPPED | EXPIRED | ""
        "tp1_hit": "int64",
        "gross_pct": "float64",  # percent of entry notional, so far
        "fees_pct": "float64",
        "funding_pct": "float64",
        "pnl_pct": "float64",  # gross - fees - funding
        "pnl_usd": "float64",  # equal stakes
        "r_multiple": "float64",
        "mfe_pct": "float64",  # >= 0: best move after the fill candle, percent of the fill price
        "mae_pct": "float64",  # <= 0: worst
        "ambiguous": "int64",
        # what the next candle needs to know
        "next_ms": "int64",  # candles with ts >= next_ms have not been played
        "stop": "float64",
        "extreme": "float64",  # best of fill price and closed highs (lows) after the fill candle
        "remaining": "float64",
        "next_target": "int64",
        "funded_ms": "int64",  # funding marks up to here are paid
        "n_events": "int64",
    }
)

ACCOUNT_ROWS: FrameSpec = _spec(
    {
        "signal_id": "int64",
        "exit_policy": "str",
        "key": "str",
        "decided_ms": "int64",
        "valid_until_ms": "int64",
        "symbol": "str",
        "timeframe": "str",
        "verdict": "str",
        "position_notional": "float64",
        "status": "str",
        "known_ms": "int64",
        "exit_reason": "str",
        "pnl_pct": "float64",
        "taken": "int64",
        "blocked_by": "str",
        "settled": "int64",  # 0 | 1: `taken` is not to be decided again
    }
)

TRADE_EVENTS: FrameSpec = _spec(
    {
        "signal_id": "int64",
        "exit_policy": "str",
        "seq": "int64",
        "ts_ms": "int64",
        "kind": "str",  # FILL TARGET SL TP1_TRAIL TP TIMEOUT POLICY DELISTED FUNDING EXPIRED MISSED GAPPED
        "price": "float64",  # after slippage; NaN for FUNDING and EXPIRED
        "fraction": "float64",  # of the position: filled, left, or held at a funding mark
        "fee_pct": "float64",  # percent of entry notional
        "rate_pct": "float64",  # FUNDING: percent of notional; NaN otherwise
        "source": "str",  # FILL and exits: maker | taker; FUNDING: recorded | default
    }
)


def empty_frame(spec: FrameSpec) -> pd.DataFrame:
    """Return a frame with no rows and the declared columns."""
    return _empty(tuple(spec.items())).copy(deep=False)  # pandas copies a column when it is written to


@functools.cache
def _empty(columns: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns})


def conform(frame: pd.DataFrame, spec: FrameSpec) -> pd.DataFrame:
    """Return the declared columns of `frame`, in order and with the declared types.

    Parameters
    ----------
    frame : pandas.DataFrame
        May hold more columns; they are dropped.
    spec : mapping of str to str
        One of this module's declarations.

    Returns
    -------
    pandas.DataFrame
        A new frame; the input is unchanged. Missing text becomes ``""``.

    Raises
    ------
    KeyError
        A declared column is missing.
    """
    missing = [name for name in spec if name not in frame.columns]
    if missing:
        raise KeyError(f"frame lacks the columns {', '.join(missing)}")
    if len(frame.columns) != len(spec):
        frame = frame[list(spec)]
    if _conforms(frame, spec):
        return frame.reset_index(drop=True)
    columns = {name: _typed(frame[name], dtype) for name, dtype in spec.items()}
    return pd.DataFrame(columns, copy=False)


def frame_of(columns: Mapping[str, Any], n: int, spec: FrameSpec) -> pd.DataFrame:
    """Build a frame of declared columns in one go.

    Parameters
    ----------
    columns : mapping of str to array-like, shape (n,), or scalar
        May hold more than the declared ones; a scalar is the value of every row. Arrays of the declared type are
        taken as they are, not copied. Texts must be there, none missing.
    n : int
        Rows.
    spec : mapping of str to str
        One of this module's declarations.

    Raises
    ------
    KeyError
        A declared column is missing.

    Examples
    --------
    >>> frame_of({"ts_ms": [0, 60_000], "rate": 0.1, "source": "default"}, 2, {"ts_ms": "int64", "source": "str"})
       ts_ms   source
    0      0  default
    1  60000  default
    """
    missing = [name for name in spec if name not in columns]
    if missing:
        raise KeyError(f"frame lacks the columns {', '.join(missing)}")
    return pd.DataFrame({name: _column(columns[name], n, dtype) for name, dtype in spec.items()}, copy=False)


def _column(values: Any, n: int, dtype: str) -> npt.NDArray[np.generic] | pd.api.extensions.ExtensionArray:
    column: npt.NDArray[np.generic] | pd.api.extensions.ExtensionArray
    if dtype != "str":
        column = np.full(n, values, dtype) if np.ndim(values) == 0 else np.asarray(values, dtype)
    elif isinstance(values, str):
        column = pd.array([values], dtype="str").take(np.zeros(n, dtype=np.int64))
    else:
        column = pd.array(values, dtype="str")
    return column


def _conforms(frame: pd.DataFrame, spec: FrameSpec) -> bool:
    """Say whether a frame has just the declared columns and types, and no missing text."""
    wanted = _empty(tuple(spec.items()))
    if not frame.columns.equals(wanted.columns) or not frame.dtypes.equals(wanted.dtypes):
        return False
    return not any(frame[name].hasnans for name, dtype in spec.items() if dtype == "str")


def _typed(column: pd.Series, dtype: str) -> npt.NDArray[np.generic] | pd.api.extensions.ExtensionArray:
    """Return a column's values with the declared type, as they are where they have it already."""
    if dtype != "str":
        return column.to_numpy().astype(dtype, copy=True)
    return (column.fillna("") if column.hasnans else column).astype("str").array.copy()
