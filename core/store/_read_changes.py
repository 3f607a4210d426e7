"""What of the record is new: bounded questions for who has read it before and keeps the rows.

The law: while a mark is the same, so is every row it speaks of, but for trades under way, which are asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from core.schema import SIGNALS, TRADES
from core.store._frames import IN_LIST, fetch, fetch_value, listed, rows_to_frame, select
from core.store._reading import Reading

__all__ = ["ChangesReader", "Mark"]

Mark = tuple[Any, ...]
"""Up to which signal it speaks, and sums over what may change; good for nothing but to be compared."""

# A plus keeps SQLite from the index of exchanges, which would have it sort all of them for the newest one.
_NEWEST_PLAN = "SELECT plan_hash FROM signals WHERE +exchange = ? ORDER BY id DESC LIMIT 1"
_NEWEST_PLAYED = (
    "SELECT t.signal_id FROM trades t CROSS JOIN signals s ON s.id = t.signal_id WHERE s.exchange = ?"
    " ORDER BY t.signal_id DESC LIMIT 1"
)
_PLAYED_UNDER = "SELECT exit_policy FROM trades WHERE signal_id = ?"
_RECORDED = "SELECT exit_policy FROM exit_policies ORDER BY created_ms, exit_policy"
# By status, so that its index leads to the policy: without one every trade would be walked through.
_HAS_TRADES = (
    'SELECT 1 FROM json_each(\'["CLOSED", "EXPIRED", "CANCELLED", "OPEN", "PENDING"]\') e'
    " CROSS JOIN trades t ON t.status = e.value AND t.exit_policy = ?"
    " CROSS JOIN signals s ON s.id = t.signal_id AND s.exchange = ? LIMIT 1"
)
_BOOK = (
    "SELECT taken, blocked_by, count(*), sum(signal_id) FROM trades"
    " WHERE exit_policy = ? AND signal_id <= ? GROUP BY taken, blocked_by ORDER BY taken, blocked_by"
)
_CHANGED = f"exit_policy = ?1 AND (signal_id > ?2 OR signal_id {IN_LIST.replace('?', '?3')}) ORDER BY signal_id"
_TAKEN = (
    "trades t CROSS JOIN signals s ON s.id = t.signal_id"
    " WHERE t.taken = 1 AND t.exit_policy = ? AND s.exchange = ? ORDER BY t.signal_id"
)


class ChangesReader(Reading):
    """Questions of who keeps rows and reads on."""

    def newest_plan(self, exchange: str) -> str:
        """Return the plan of the signal that was written last; ``""`` without one."""
        with self._connection() as connection:
            return str(fetch_value(connection, _NEWEST_PLAN, (exchange,)) or "")

    def policies_on(self, exchange: str) -> list[str]:
        """Return the exit policies that have trades on an exchange, that of the newest signal first, others by name.

        Where the newest signal was played under several, the one recorded last is meant.
        """
        with self._connection() as connection:
            newest = fetch_value(connection, _NEWEST_PLAYED, (exchange,))
            if newest is None:
                return []
            recorded = [str(row[0]) for row in fetch(connection, _RECORDED)]
            under = [str(row[0]) for row in fetch(connection, _PLAYED_UNDER, (newest,))]
            first = max(under, key=lambda name: (recorded.index(name) if name in recorded else -1, name))
            others = sorted({*recorded, *under} - {first})
            return [first, *(name for name in others if fetch(connection, _HAS_TRADES, (name, exchange)))]

    def signals_mark(self, exchange: str, last_id: int | None = None) -> Mark:
        """Return (last id, signals up to it, decisions on them) of an exchange, up to its newest unless told."""
        with self._connection() as connection:
            if last_id is None:
                newest = "SELECT max(id) FROM signals WHERE +exchange = ?"
                last_id = int(fetch_value(connection, newest, (exchange,)) or 0)
            count = "SELECT count(*) FROM signals WHERE exchange = ? AND id <= ?"
            decided = "SELECT count(*) FROM decisions WHERE signal_id <= ?"
            n = fetch_value(connection, count, (exchange, last_id))
            return last_id, n, fetch_value(connection, decided, (last_id,))

    def new_signals(
        self, exchange: str, after_id: int, last_id: int, columns: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """Return the signals written after one and not after another, in the order of decision, with `columns` of
        `schema.SIGNALS` or all."""
        spec = SIGNALS if columns is None else {name: SIGNALS[name] for name in columns}
        source = "signals WHERE +exchange = ? AND id > ? AND id <= ? ORDER BY decided_ms, id"
        with self._connection() as connection:
            return rows_to_frame(fetch(connection, select(spec, source), (exchange, after_id, last_id)), spec)

    def trades_mark(self, exit_policy: str, last_id: int | None = None) -> Mark:
        """Return (last id, who was taken and who was blocked) of an exit policy, up to the newest trade unless told."""
        with self._connection() as connection:
            if last_id is None:
                last_id = int(fetch_value(connection, "SELECT max(signal_id) FROM trades") or 0)
            return last_id, tuple(fetch(connection, _BOOK, (exit_policy, last_id)))

    def policy_trades(self, exit_policy: str) -> pd.DataFrame:
        """Return every trade of an exit policy, on whatever exchange, columns `schema.TRADES`, by signal."""
        with self._connection() as connection:
            source = "trades WHERE exit_policy = ? ORDER BY signal_id"
            return rows_to_frame(fetch(connection, select(TRADES, source), (exit_policy,)), TRADES)

    def changed_trades(self, exit_policy: str, after_id: int, signal_ids: Iterable[int]) -> pd.DataFrame:
        """Return the trades of signals after one, and those of some signals, columns `schema.TRADES`, by signal."""
        with self._connection() as connection:
            values = (exit_policy, after_id, listed(signal_ids))
            return rows_to_frame(fetch(connection, select(TRADES, "trades WHERE " + _CHANGED), values), TRADES)

    def ledger_mark(self, exchange: str, exit_policy: str) -> Mark:
        """Return (the newest ledger, ended trades, predictions, signals, decisions): what its `ledger_rows` rest on."""
        ledger = (
            "SELECT p.ledger FROM predictions p CROSS JOIN signals s ON s.id = p.signal_id WHERE s.exchange = ?"
            " ORDER BY p.signal_id DESC, p.train_max_t1 DESC LIMIT 1"
        )
        closed = "SELECT count(*) FROM trades WHERE status = 'CLOSED' AND exit_policy = ?"
        with self._connection() as connection:
            return (
                str(fetch_value(connection, ledger, (exchange,)) or ""),
                fetch_value(connection, closed, (exit_policy,)),
                fetch_value(connection, "SELECT count(*) FROM predictions"),
                fetch_value(connection, "SELECT count(*) FROM signals WHERE exchange = ?", (exchange,)),
                fetch_value(connection, "SELECT count(*) FROM decisions"),
            )

    def taken_trades(self, exchange: str, exit_policy: str) -> pd.DataFrame:
        """Return the trades of an exchange that were taken, columns `schema.TRADES`, by signal."""
        with self._connection() as connection:
            rows = fetch(connection, select(TRADES, _TAKEN, "t."), (exit_policy, exchange))
            return rows_to_frame(rows, TRADES)
