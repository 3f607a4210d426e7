"""What people said to the engine.

The law: of a person and a signal the last word counts; all words are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from core.schema import FrameSpec
from core.store._frames import IN_LIST, fetch, listed, rows_to_frame, select, where
from core.store._reading import Reading

__all__ = ["JOURNAL", "MUTES", "PeopleReader"]

JOURNAL: FrameSpec = {
    "id": "int64",
    "signal_id": "int64",
    "user_id": "int64",
    "action": "str",  # taken | skipped
    "price": "float64",  # NaN where they did not say
    "said_ms": "int64",
}
MUTES: FrameSpec = {
    "channel": "str",
    "exchange": "str",
    "symbol": "str",
    "since_ms": "int64",
    "until_ms": "int64",
    "user_id": "int64",
}


class PeopleReader(Reading):
    """Questions about the journal and about what is silenced."""

    def journal(self, signal_ids: Iterable[int] | None = None, user_id: int | None = None) -> pd.DataFrame:
        """Return what people said they did, in the order they said it: id, signal_id, user_id, action, price,
        said_ms."""
        clause, values = where({"signal_id " + IN_LIST: listed(signal_ids), "user_id = ?": user_id})
        with self._connection() as connection:
            rows = fetch(connection, select(JOURNAL, "journal" + clause + " ORDER BY id"), values)
        return rows_to_frame(rows, JOURNAL)

    def mutes(self, now_ms: int, channel: str | None = None) -> pd.DataFrame:
        """Return what is silenced at a moment: channel, exchange, symbol, since_ms, until_ms, user_id."""
        clause, values = where({"until_ms > ?": now_ms, "channel = ?": channel})
        order = " ORDER BY channel, exchange, symbol"
        with self._connection() as connection:
            rows = fetch(connection, select(MUTES, "mutes" + clause + order), values)
        return rows_to_frame(rows, MUTES)
