"""What an account's decisions depend on, in one question.

The law: a signal that was played under several exit policies counts once: under the one in force, else as it
was taken live.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import apsw
import pandas as pd

from core.schema import ACCOUNT_ROWS
from core.store._frames import rows_to_frame

__all__ = ["account_rows"]

# Three branches, each with its tables in the order that finds rows by an index, however long the record is: what was
# decided since, what is unfinished, what ended late.
_BRANCH = """
SELECT t.signal_id, t.exit_policy, s.key, s.decided_ms, s.valid_until_ms, s.symbol, s.timeframe, s.verdict,
       s.position_notional, t.status, t.known_ms, t.exit_reason, t.pnl_pct, t.taken, t.blocked_by, {settled}
FROM {tables}
WHERE t.signal_id = s.id AND s.exchange = :exchange AND {rows} AND (
    (t.exit_policy = :policy
        AND (s.plan_hash IN (SELECT value FROM json_each(:plans)) OR (s.origin = 'live' AND t.taken = 1)))
    OR (t.exit_policy <> :policy AND s.origin = 'live' AND t.taken = 1
        AND NOT EXISTS (SELECT 1 FROM trades o WHERE o.signal_id = s.id AND o.exit_policy = :policy)))
"""
_QUESTION = " UNION ALL ".join(
    _BRANCH.format(settled=settled, tables=tables, rows=rows)
    for settled, tables, rows in (
        (
            "(:keep_live AND s.origin = 'live')",
            "signals s CROSS JOIN trades t",
            "s.decided_ms >= :from_ms AND s.decided_ms < :until_ms",
        ),
        (
            "1",
            "trades t CROSS JOIN signals s",
            "t.taken = 1 AND t.status IN ('PENDING', 'OPEN') AND s.decided_ms < :from_ms",
        ),
        ("1", "trades t CROSS JOIN signals s", "t.taken = 1 AND t.known_ms > :context_ms AND s.decided_ms < :from_ms"),
    )
)


def account_rows(
    connection: apsw.Connection,
    exchange: str,
    exit_policy: str,
    plan_hashes: Iterable[str],
    from_ms: int,
    context_ms: int,
    keep_live: bool,
    until_ms: int | None,
) -> pd.DataFrame:
    """Return the rows of `Reader.account_rows`."""
    values = {
        "exchange": exchange,
        "policy": exit_policy,
        "plans": json.dumps(list(plan_hashes)),
        "from_ms": from_ms,
        "context_ms": context_ms,
        "keep_live": int(keep_live),
        "until_ms": sys.maxsize if until_ms is None else until_ms,
    }
    return rows_to_frame(list(connection.execute(_QUESTION, values)), ACCOUNT_ROWS)
