"""Which candidates the paper account takes, in the store.

The law: live and retro run the same pass over the same rows. What was decided while a symbol lagged behind is
decided again once its outcomes are known, as of the same close; the record then says what was right, whatever
an alert said earlier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from core.clock import DAY_MS, timeframe_ms
from core.jobs._book import playable, policy_id
from core.jobs._candidates import scan_rules
from core.jobs._desk import Desk
from core.pipeline import plan_hash, take
from core.risk.limits import LimitRules
from core.store.reader import Marks

__all__ = ["limit_rules", "settle", "settled_until"]

LONGEST_LAG_MS = 7 * DAY_MS
"""A symbol that lags longer no longer keeps the decisions of the others open."""


def limit_rules(desk: Desk) -> LimitRules:
    """Return the limits in force."""
    risk = desk.config.risk
    guard = risk.limits.stop_guard
    return LimitRules(
        capital_usd=risk.capital_usd,
        max_open=risk.limits.max_open,
        max_open_per_symbol=risk.limits.max_open_per_symbol,
        cooldown_candles=risk.limits.cooldown_candles,
        guard_stops=guard.stops,
        guard_window_hours=guard.window_hours,
        guard_pause_hours=guard.pause_hours,
        max_daily_loss_pct=risk.limits.max_daily_loss_pct,
    )


def settle(desk: Desk, from_ms: int, keep_live: bool = False, until_ms: int | None = None) -> pd.DataFrame:
    """Decide what is taken of the candidates decided from a time on, and store what changed.

    Parameters
    ----------
    desk : Desk
    from_ms : int
    keep_live : bool
        Leave candidates of origin live as they are.
    until_ms : int, optional
        Leave alone what is decided from here on; a long time is settled part by part, the oldest first.

    Returns
    -------
    pandas.DataFrame
        signal_id, exit_policy, taken, blocked_by of every candidate looked at.
    """
    rules, limits = scan_rules(desk.config, desk.costs), limit_rules(desk)
    plans = [plan_hash(setup, rules) for setup in desk.setups]
    longest = max(timeframe_ms(timeframe) for timeframe in desk.config.timeframes)
    context_ms = from_ms - max(limits.memory_ms, limits.cooldown_candles * longest)
    asked = (desk.exchange, policy_id(desk), plans, from_ms, context_ms, keep_live, until_ms)
    rows = desk.reader.account_rows(*asked)
    verdicts = take(rows, limits)
    before = {(signal_id, exit_policy): what for signal_id, exit_policy, *what in _told(rows)}
    changed = [before[signal_id, exit_policy] != what for signal_id, exit_policy, *what in _told(verdicts)]
    if any(changed):
        desk.writer.set_taken(verdicts[changed])
    return verdicts


def _told(rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    columns = ("signal_id", "exit_policy", "taken", "blocked_by")
    return zip(*(rows[name].tolist() for name in columns), strict=True)


def settled_until(desk: Desk, now_ms: int) -> int:
    """Return the close up to which no outcome can still become known: what is taken until then stays so."""
    base = desk.config.data.base_timeframe
    marks = desk.reader.marks(desk.exchange, base)
    followed = [symbol for symbol in desk.symbols if marks.get((symbol, base), Marks()).frontier_ms is not None]
    played = playable(desk, followed, now_ms).values()
    return max(min(played, default=now_ms), now_ms - LONGEST_LAG_MS)
