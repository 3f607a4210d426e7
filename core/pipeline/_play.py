"""From candidates to trades, and to what an account takes of them.

The law: every candidate is played, whatever its verdict; what an account takes is decided with outcomes known by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.execution import book
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.gate import PASSED
from core.ports import ExitPolicy
from core.risk.limits import NEVER_MS, Account, LimitRules, Outcome
from core.schema import FloatArray

__all__ = ["simulate", "take"]

BELOW_MINIMUM = "MIN_NOTIONAL"


def simulate(
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    policy: ExitPolicy,
    runs: Sequence[Run],
    which: npt.ArrayLike,
    tick: FloatArray,
    rules: ExecutionRules,
    costs: CostModel,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play the trades of one exit policy on one-minute candles, each up to its series' frontier.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`: new ones (`execution.book.new_trades`) or ones begun earlier.
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, row by row beside `trades`.
    policy : ExitPolicy
    runs : sequence of Run
        Candles, frontier and funding of each series.
    which : int array-like, shape (n,), or int
        Position in `runs` of each trade's series.
    tick : float64 array, shape (n,)
        Price step targets are rounded to; NaN where unknown.
    rules, costs
        How orders fill and what they cost.

    Returns
    -------
    trades : pandas.DataFrame
        The same rows, further on.
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`: what happened now.
    """
    return book.play(trades, signals, policy.plan(signals, tick), runs, which, rules, costs)


def take(rows: pd.DataFrame, limits: LimitRules | None = None) -> pd.DataFrame:
    """Decide, one candidate after the other, which of the passed ones an account takes.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `schema.ACCOUNT_ROWS`. A settled row keeps its `taken`; it holds its slot and its outcome counts.
    limits : LimitRules, optional
        Asked about each candidate that passed the gate and has a size; none where not given.

    Returns
    -------
    pandas.DataFrame
        signal_id, exit_policy, taken (0 | 1), blocked_by (``""`` or what refused a passed candidate), in the
        order of decision: decided_ms, symbol, timeframe, key.

    Notes
    -----
    A taken trade holds its slot from decided_ms until its outcome is known; a waiting order until it expires.
    What is judged at one close uses outcomes known by then and nothing later, so the pass may be run again when
    more is known, and gives the same for every close whose outcomes had all been known.
    """
    ordered = rows.sort_values(["decided_ms", "symbol", "timeframe", "key", "exit_policy"], kind="stable")
    settled = ordered["settled"].to_numpy() == 1
    passed = ordered["verdict"].isin(list(PASSED)).to_numpy()
    sized = ordered["position_notional"].to_numpy() > 0
    taken = np.where(settled, ordered["taken"].to_numpy(), passed & sized).astype(np.int64)
    blocked = np.where(passed & ~sized, BELOW_MINIMUM, "").astype(object)
    blocked[settled] = ordered["blocked_by"].to_numpy(dtype=object)[settled]
    if limits is not None:
        account = Account(limits)
        for position, outcome in zip(np.flatnonzero(taken), _outcomes(ordered[taken == 1]), strict=True):
            refusal = "" if settled[position] else account.refuses(outcome)
            if refusal:
                taken[position], blocked[position] = 0, refusal
            else:
                account.takes(outcome)
    return pd.DataFrame(
        {
            "signal_id": ordered["signal_id"].to_numpy(),
            "exit_policy": ordered["exit_policy"].to_numpy(),
            "taken": taken,
            "blocked_by": pd.Series(blocked, dtype="str"),
        }
    )


def _outcomes(rows: pd.DataFrame) -> Iterator[Outcome]:
    """Yield what is known of each trade."""
    waiting, is_open = rows["status"] == "PENDING", rows["status"] == "OPEN"
    frees_ms = rows["known_ms"].mask(waiting, rows["valid_until_ms"]).mask(is_open, NEVER_MS)
    usd = (rows["pnl_pct"] / 100.0 * rows["position_notional"]).mask(waiting | is_open, 0.0)
    columns = (rows["symbol"], rows["timeframe"], rows["decided_ms"], frees_ms, rows["exit_reason"] == "SL", usd)
    for values in zip(*(column.tolist() for column in columns), strict=True):
        yield Outcome(*values)
