"""Writing down what people say to the engine.

The law: the same word said again adds nothing, so that a command that is heard twice does what it does once.
"""

from __future__ import annotations

import math

from core.store._writing import Writing

__all__ = ["PeopleWriter"]


class PeopleWriter(Writing):
    """Changes of the journal and of what is silenced."""

    def put_journal(self, signal_id: int, user_id: int, action: str, said_ms: int, price: float = math.nan) -> bool:
        """Write down what a person did with a signal; return whether that was not their last word already.

        Parameters
        ----------
        signal_id, user_id : int
        action : str
            taken or skipped.
        said_ms : int
            Market time.
        price : float
            What they were filled at; NaN where they did not say.

        Raises
        ------
        StoreError
            There is no such signal, or no such action.
        """
        told = None if math.isnan(price) else price
        with self.transaction():
            before = self._connection.total_changes()
            self._connection.execute(
                "INSERT INTO journal (signal_id, user_id, action, price, said_ms) SELECT ?1, ?2, ?3, ?4, ?5"
                " WHERE (?3, ?4) IS NOT (SELECT action, price FROM journal WHERE signal_id = ?1 AND user_id = ?2"
                " ORDER BY id DESC LIMIT 1)",
                (signal_id, user_id, action, told, said_ms),
            )
            return self._connection.total_changes() > before

    def mute(self, channel: str, exchange: str, symbol: str, now_ms: int, until_ms: int, user_id: int) -> None:
        """Silence a symbol on a channel until a moment, whatever was said before; forget what has ended."""
        with self.transaction():
            self._connection.execute("DELETE FROM mutes WHERE until_ms <= ?", (now_ms,))
            self._connection.execute(
                "INSERT INTO mutes (channel, exchange, symbol, since_ms, until_ms, user_id) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (channel, exchange, symbol) DO UPDATE SET until_ms = excluded.until_ms,"
                " user_id = excluded.user_id",
                (channel, exchange, symbol, now_ms, until_ms, user_id),
            )

    def unmute(self, channel: str, exchange: str, symbol: str | None = None) -> int:
        """Let a symbol be heard again, or all of them; return how many were silenced."""
        with self.transaction():
            before = self._connection.total_changes()
            self._connection.execute(
                "DELETE FROM mutes WHERE channel = ?1 AND exchange = ?2 AND (?3 IS NULL OR symbol = ?3)",
                (channel, exchange, symbol),
            )
            return self._connection.total_changes() - before
