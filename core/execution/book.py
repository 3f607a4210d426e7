"""The book: frames of trades in, the same frames further on out, with what happened on the way.

The law: `play` is a pure function; feeding the candles in any slices, with its frames stored and read
back between, gives the same rows as feeding them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import MINUTE_MS, timeframe_ms
from core.execution.codes import CLOSED, EXPIRED, KINDS, OPEN, ORDERS, SOURCES, STATUSES
from core.execution.costs import CostModel
from core.execution.kernel import play_trades
from core.execution.rules import ExecutionRules
from core.execution.runs import Run, candles_to_sides, marks_to_table, place
from core.execution.tables import EVENT, PLAN, TARGET, TERMS, TRADE, Record, Table, table
from core.ports import ExitPlan
from core.schema import TRADE_EVENTS, TRADES, Candles, FloatArray, IntArray, conform, empty_frame, frame_of

__all__ = ["Run", "new_trades", "play"]

_DIRECTIONS = ("long", "short")
_NO_TRAIL, _ATR_TRAIL, _PCT_TRAIL = range(3)  # ExitPlan.trail_kind
_EVENTS_A_TRADE = 3  # a fill, a target and an end, as a rule; the kernel sees to what goes beyond
_WORDS = {"status": STATUSES, "exit_reason": KINDS}
_TEXTS = {name: pd.array(known, dtype="str") for name, known in _WORDS.items()}
# Columns the kernel carries as they are, and those of them that are prices.
_CARRIED = tuple(name for name in TRADE.names or () if name in TRADES and name not in _WORDS)
_PRICES = ("fill_price", "exit_price", "stop", "extreme")


def new_trades(signals: pd.DataFrame, exit_policy: str, rules: ExecutionRules) -> pd.DataFrame:
    """Return a waiting trade for each signal.

    Parameters
    ----------
    signals : pandas.DataFrame
        With id, decided_ms and sl.
    exit_policy : str
        ``name@hash8``.
    rules : ExecutionRules
        The entry delay says which candle is the first an order can meet.

    Returns
    -------
    pandas.DataFrame
        Columns `schema.TRADES`, status PENDING, row by row with `signals`.
    """
    unknown = dict.fromkeys(("fill_price", "exit_price", "extreme"), np.nan)
    texts = {"status": STATUSES[0], "blocked_by": "", "exit_reason": "", "exit_policy": exit_policy}
    known = {
        "signal_id": signals["id"].to_numpy(),
        "stop": signals["sl"].to_numpy(),
        "next_ms": _first_candle_ms(signals, rules),
    }
    columns = {name: known.get(name, texts.get(name, unknown.get(name, 0))) for name in TRADES}
    return frame_of(columns, len(signals), TRADES)


def play(
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    exit_plan: ExitPlan,
    runs: Sequence[Run],
    which: npt.ArrayLike,
    rules: ExecutionRules,
    costs: CostModel,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play unfinished trades, each up to the frontier of its own series.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`, as `new_trades` or an earlier call returned them.
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, row by row with `trades`.
    exit_plan : ExitPlan
        Row by row with `trades`.
    runs : sequence of Run
        The series.
    which : int array-like, shape (n,), or int
        Position in `runs` of each trade's series.
    rules : ExecutionRules
    costs : CostModel

    Returns
    -------
    trades : pandas.DataFrame
        A new frame with the rows of `trades`, in their order; finished ones as they were.
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`: what happened in this call, by trade, then time.

    Raises
    ------
    ValueError
        Rows that do not belong together, a word or a target fraction the kernel does not know, or a delisted
        market without any candle for a position to leave at.

    Notes
    -----
    While a trade is OPEN its figures are those realised so far: gross of the legs closed, fees and funding paid.
    """
    _check_rows(trades, signals, exit_plan)
    if not len(trades):
        return empty_frame(TRADES), empty_frame(TRADE_EVENTS)
    owner = np.broadcast_to(np.asarray(which, dtype=np.int64), len(trades))
    seen = [run.candles.between(None, run.frontier_ms) for run in runs]
    ended = np.array([run.delisted and not len(part) for run, part in zip(runs, seen, strict=True)], dtype=np.bool_)
    sign = np.where(_codes(signals["direction"], _DIRECTIONS, "direction") == 0, 1.0, -1.0)
    state = _trades_to_state(trades, sign)
    if (ended[owner] & (state["status"] == OPEN)).any():
        raise ValueError("play: a delisted market needs its last candle for a position to leave at")
    was_finished = state["status"] > OPEN
    plans = _signals_to_plans(signals, sign, exit_plan, rules)
    place(plans, owner, runs, seen)
    long, short = candles_to_sides(Candles.concat(seen))
    shape = exit_plan.target_price.shape
    size, events = play_trades(
        state,
        plans,
        table(TARGET, shape, price=sign[:, None] * exit_plan.target_price, fraction=exit_plan.target_fraction),
        np.array(exit_plan.exit_at_ms, dtype=np.int64),
        long,
        short,
        marks_to_table(runs),
        _terms(rules, costs),
        table(EVENT, _EVENTS_A_TRADE * len(trades)),
    )
    after = _state_to_trades(state, sign, trades, signals, rules)
    if was_finished.any():
        rows = np.arange(len(trades)) + np.where(was_finished, 0, len(trades))  # every bit of theirs stays
        after = pd.concat([trades[list(TRADES)], after], ignore_index=True).take(rows).reset_index(drop=True)
    return after, _events_to_frame(events[:size], sign, trades)


def _terms(rules: ExecutionRules, costs: CostModel) -> Record:
    terms = table(
        TERMS,
        1,
        through=rules.fill == "through",
        conservative=rules.bar_policy == "conservative",
        cancel_if_missed=rules.cancel_if_missed,
        resting_pct=costs.resting_pct,
        crossing_pct=costs.crossing_pct,
        slippage=costs.slippage_pct / 100.0,
    )
    return terms[0]


def _first_candle_ms(signals: pd.DataFrame, rules: ExecutionRules) -> IntArray:
    decided_ms: IntArray = signals["decided_ms"].to_numpy(dtype="int64")
    return decided_ms + rules.entry_delay_candles * MINUTE_MS


def _check_rows(trades: pd.DataFrame, signals: pd.DataFrame, exit_plan: ExitPlan) -> None:
    n = len(trades)
    if len(signals) != n or len(exit_plan.n_targets) != n:
        raise ValueError(
            f"play: {n} trades, {len(signals)} signals, {len(exit_plan.n_targets)} exit plans; expected one each"
        )
    if not np.array_equal(trades["signal_id"].to_numpy(), signals["id"].to_numpy()):
        raise ValueError("play: trades.signal_id and signals.id differ; expected the same rows in the same order")
    before_last = np.arange(exit_plan.target_fraction.shape[1]) < exit_plan.n_targets[:, None] - 1
    part = np.where(before_last, exit_plan.target_fraction, 0.0)
    if not ((part >= 0.0).all() and (part.sum(axis=1) < 1.0).all()):
        raise ValueError("play: the fractions of all targets but the last must be >= 0 and leave something to the last")


def _codes(words: pd.Series[str], known: Sequence[str], column: str) -> IntArray:
    places, found = words.array.factorize()
    for word in found:
        if word not in known:
            raise ValueError(f"play: {column} {word!r}; expected one of {', '.join(map(repr, known))}")
    codes: IntArray = np.array([known.index(word) for word in found], dtype=np.int64)[places]
    return codes


def _lengths_ms(timeframes: pd.Series[str]) -> IntArray:
    places, found = timeframes.array.factorize()
    lengths: IntArray = np.array([timeframe_ms(word) for word in found], dtype=np.int64)[places]
    return lengths


def _signals_to_plans(signals: pd.DataFrame, sign: FloatArray, plan: ExitPlan, rules: ExecutionRules) -> Table:
    # One expression moves every stop: extreme * factor - distance.
    factor = np.where(plan.trail_kind == _PCT_TRAIL, 1.0 - sign * plan.trail_mult / 100.0, 1.0)
    distance = np.where(plan.trail_kind == _ATR_TRAIL, plan.trail_mult * signals["atr"].to_numpy(), 0.0)
    return table(
        PLAN,
        len(signals),
        sign=sign,
        order=_codes(signals["order_type"], ORDERS, "order_type"),
        start_ms=_first_candle_ms(signals, rules),
        hold_ms=plan.max_hold_candles * _lengths_ms(signals["timeframe"]),
        exit_from=plan.exit_at_from[:-1],
        exit_to=plan.exit_at_from[1:],
        trail_factor=factor,
        trail_distance=np.where(plan.trail_kind == _NO_TRAIL, np.inf, distance),
        **{name: sign * signals[name].to_numpy() for name in ("entry", "sl", "tp1")},
        **{name: signals[name] for name in ("decided_ms", "valid_until_ms")},
        **{name: getattr(plan, name) for name in ("n_targets", "be_after", "trail_after")},
    )


def _trades_to_state(trades: pd.DataFrame, sign: FloatArray) -> Table:
    state = table(
        TRADE,
        len(trades),
        row=np.arange(len(trades)),
        **{name: _codes(trades[name], known, name) for name, known in _WORDS.items()},
        **{name: trades[name] for name in _CARRIED},
    )
    for name in _PRICES:
        state[name] *= sign
    return state


def _state_to_trades(
    state: Table, sign: FloatArray, trades: pd.DataFrame, signals: pd.DataFrame, rules: ExecutionRules
) -> pd.DataFrame:
    """Return `trades` with the new state."""
    pnl_pct = state["gross_pct"] - state["fees_pct"] - state["funding_pct"]
    entry = signals["entry"].to_numpy(dtype="float64")
    planned_pct = 100.0 * np.abs(entry - signals["sl"].to_numpy(dtype="float64")) / entry
    # An order that expires is known to have at that moment; what a candle did, at its close.
    ends_with_candle = (state["status"] >= CLOSED) & (state["status"] != EXPIRED)
    news = {
        **{name: state[name] for name in _CARRIED},
        **{name: sign * state[name] for name in _PRICES},
        **{name: _TEXTS[name].take(state[name]) for name in _WORDS},
        "known_ms": state["closed_ms"] + np.where(ends_with_candle, MINUTE_MS, 0),
        "tp1_hit": (state["next_target"] > 0).astype(np.int64),
        "pnl_pct": pnl_pct,
        "pnl_usd": pnl_pct / 100.0 * rules.usd_per_trade,
        "r_multiple": pnl_pct / planned_pct,
    }
    return frame_of({**{name: trades[name].array for name in TRADES if name not in news}, **news}, len(trades), TRADES)


def _events_to_frame(events: Table, sign: FloatArray, trades: pd.DataFrame) -> pd.DataFrame:
    if not len(events):
        return empty_frame(TRADE_EVENTS)
    row = events["row"]
    columns = {
        **{name: events[name] for name in ("seq", "ts_ms", "fraction", "fee_pct", "rate_pct")},
        "price": sign[row] * events["price"],
        "signal_id": trades["signal_id"].to_numpy()[row],
        "exit_policy": trades["exit_policy"].to_numpy(dtype=object)[row],
        "kind": np.array(KINDS, dtype=object)[events["kind"]],
        "source": np.array(SOURCES, dtype=object)[events["source"]],
    }
    return conform(pd.DataFrame(columns), TRADE_EVENTS)
