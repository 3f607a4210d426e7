"""What models learn from and are judged by: feature vectors, outcomes, predictions.

The law: an outcome is handed out only to who asks from a time at which it was known.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import numpy as np
import pandas as pd

from core.schema import PREDICTIONS, FloatArray, IntArray
from core.store._columns import LEDGER_ROWS, PLANNED, PLAYED
from core.store._frames import IN_LIST, fetch, fetch_value, listed, rows_to_frame, select, where
from core.store._reading import Reading
from core.store.blocks import BlockError

__all__ = ["LearningReader"]

_ROWS_AT_ONCE = 4_096
_STORED = np.dtype("<f8")
_VECTOR = {"signal_id": "int64", "vector": "blob"}

_LIVE = """
SELECT s.id, 'live', s.model_version, s.symbol, s.timeframe, s.setup, s.direction, s.regime_trend, s.regime_vol,
       s.verdict, s.decided_ms, t.known_ms, d.p_geo, s.ml_p_raw, s.ml_p, d.ev_payoff_r, d.ev_p_r, t.pnl_pct,
       t.r_multiple
FROM signals s
JOIN trades t ON t.signal_id = s.id
LEFT JOIN decisions d ON d.signal_id = s.id AND d.seq = 0
"""
_SAID_LATER = """
SELECT s.id, p.ledger, p.model, s.symbol, s.timeframe, s.setup, s.direction, s.regime_trend, s.regime_vol,
       s.verdict, s.decided_ms, t.known_ms, p.p_geo, p.p_raw, p.p, p.ev_payoff_r, p.ev_p_r, t.pnl_pct, t.r_multiple
FROM predictions p
JOIN signals s ON s.id = p.signal_id
JOIN trades t ON t.signal_id = s.id
"""


class LearningReader(Reading):
    """Questions about feature vectors, outcomes and predictions."""

    def feature_columns(self, feature_set: str) -> tuple[str, ...]:
        """Return the columns of a feature set in order; none where it was never stored."""
        with self._connection() as connection:
            return _columns(connection, feature_set)

    def features(self, feature_set: str, signal_ids: Iterable[int] | None = None) -> tuple[IntArray, FloatArray]:
        """Return stored vectors: ids, int64 (n,), ascending, and float64 (n, k); ids without one are left out."""
        clause, values = where({"feature_set = ?": feature_set, "signal_id " + IN_LIST: listed(signal_ids)})
        with self._connection() as connection:
            n = int(fetch_value(connection, select({"count(*)": "int64"}, "features" + clause), values))
            statement = select(_VECTOR, "features" + clause + " ORDER BY signal_id")
            return _vectors(connection, feature_set, n, statement, values)

    def ids_without_features(
        self, feature_set: str, exchange: str, symbol: str, timeframe: str, start_ms: int, end_ms: int
    ) -> list[int]:
        """Return signals of a series decided in ``(start_ms, end_ms]`` without a vector, oldest first."""
        statement = """
            SELECT s.id FROM signals s
            WHERE s.exchange = ? AND s.symbol = ? AND s.timeframe = ? AND s.decided_ms > ? AND s.decided_ms <= ?
              AND NOT EXISTS (SELECT 1 FROM features f WHERE f.feature_set = ? AND f.signal_id = s.id)
            ORDER BY s.decided_ms, s.id"""
        with self._connection() as connection:
            asked = (exchange, symbol, timeframe, start_ms, end_ms, feature_set)
            return [row[0] for row in fetch(connection, statement, asked)]

    def training_frames(
        self, exchange: str, plan_hash: str | Iterable[str], exit_policy: str, feature_set: str, until_ms: int
    ) -> tuple[pd.DataFrame, pd.DataFrame, IntArray, FloatArray]:
        """Return every filled and closed candidate whose outcome was known by `until_ms` and whose vector is stored.

        Parameters
        ----------
        exchange : str
        plan_hash : str or iterable of str
            One or several plans.
        exit_policy, feature_set : str
        until_ms : int
            Rows have ``known_ms <= until_ms``.

        Returns
        -------
        signals : pandas.DataFrame
            `schema.SIGNALS` without rationale and plan, in order of decision; in_sample is the signal's own.
        trades : pandas.DataFrame
            The columns of `schema.TRADES` that tell the outcome, row by row beside `signals`, as are the next two.
        ids : int64 (n,)
        vectors : float64 (n, k)
        """
        clause, values = where(
            {
                "s.exchange = ?": exchange,
                "s.plan_hash " + IN_LIST: _texts(plan_hash),
                "t.exit_policy = ?": exit_policy,
                "t.status = ?": "CLOSED",
                "t.known_ms <= ?": until_ms,
                "f.feature_set = ?": feature_set,
            }
        )
        source = (
            "signals s JOIN trades t ON t.signal_id = s.id JOIN features f ON f.signal_id = s.id"
            + clause
            + " ORDER BY s.decided_ms, s.id"
        )
        with self._connection() as connection:
            signals = rows_to_frame(fetch(connection, select(PLANNED, source, "s."), values), PLANNED)
            trades = rows_to_frame(fetch(connection, select(PLAYED, source, "t."), values), PLAYED)
            ids, vectors = _vectors(connection, feature_set, len(signals), select(_VECTOR, source, "f."), values)
        return signals, trades, ids, vectors

    def outcomes(
        self,
        exchange: str,
        symbol: str,
        timeframe: str,
        exit_policy: str,
        plan_hash: str | Iterable[str] | None = None,
        until_ms: int | None = None,
        limit: int | None = None,
        decided_before_ms: int | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Return how the filled candidates of a series ended, in the order of becoming known.

        Parameters
        ----------
        exchange, symbol, timeframe, exit_policy : str
        plan_hash : str or iterable of str, optional
            One or several plans; all without it.
        until_ms : int, optional
            Outcomes with ``known_ms <= until_ms``; all without it.
        limit : int, optional
            The newest that many.
        decided_before_ms : int, optional
            Candidates with ``decided_ms < decided_before_ms``; all without it.

        Returns
        -------
        known_ms : int64 (n,), ascending
        r : float64 (n,), R multiple after costs
        """
        clause, values = where(
            {
                "s.exchange = ?": exchange,
                "s.symbol = ?": symbol,
                "s.timeframe = ?": timeframe,
                "t.exit_policy = ?": exit_policy,
                "t.status = ?": "CLOSED",
                "s.plan_hash " + IN_LIST: _texts(plan_hash),
                "t.known_ms <= ?": until_ms,
                "s.decided_ms < ?": decided_before_ms,
            }
        )
        source = "signals s JOIN trades t ON t.signal_id = s.id" + clause
        statement = f"SELECT t.known_ms, t.r_multiple FROM {source} ORDER BY t.known_ms DESC, s.id DESC LIMIT ?"  # noqa: S608
        with self._connection() as connection:
            rows = fetch(connection, statement, [*values, -1 if limit is None else limit])
        rows.reverse()
        known = np.array([row[0] for row in rows], dtype=np.int64)
        return known, np.array([row[1] for row in rows], dtype=np.float64)

    def predictions(
        self,
        ledger: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        signal_ids: Iterable[int] | None = None,
    ) -> pd.DataFrame:
        """Return out-of-sample predictions, columns `schema.PREDICTIONS`, in order of decision.

        `start_ms` and `end_ms` keep candidates decided in ``[start_ms, end_ms)``.
        """
        clause, values = where(
            {
                "p.ledger = ?": ledger,
                "s.decided_ms >= ?": start_ms,
                "s.decided_ms < ?": end_ms,
                "p.signal_id " + IN_LIST: listed(signal_ids),
            }
        )
        source = "predictions p JOIN signals s ON s.id = p.signal_id" + clause
        statement = select(PREDICTIONS, source + " ORDER BY s.decided_ms, p.signal_id, p.ledger", "p.")
        with self._connection() as connection:
            return rows_to_frame(fetch(connection, statement, values), PREDICTIONS)

    def newest_ledger(self, exchange: str) -> str:
        """Return the ledger that holds the prediction of the newest candidate of an exchange; ``""`` without any."""
        statement = (
            "SELECT p.ledger FROM predictions p JOIN signals s ON s.id = p.signal_id WHERE s.exchange = ?"
            " ORDER BY p.signal_id DESC, p.train_max_t1 DESC LIMIT 1"
        )
        with self._connection() as connection:
            return str(fetch_value(connection, statement, (exchange,)) or "")

    def ledger_rows(
        self,
        exchange: str,
        exit_policy: str,
        plan_hash: str | Iterable[str] | None = None,
        ledger: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        until_ms: int | None = None,
    ) -> pd.DataFrame:
        """Return what was said of filled candidates beside how they ended, in order of decision.

        Parameters
        ----------
        exchange, exit_policy : str
        plan_hash : str or iterable of str, optional
            One or several plans; all without it.
        ledger : str, optional
            Predictions of this ledger come beside the live ones; without it only live ones.
        start_ms, end_ms : int, optional
            Candidates decided in ``[start_ms, end_ms)``.
        until_ms : int, optional
            Outcomes with ``known_ms <= until_ms``.

        Returns
        -------
        pandas.DataFrame
            signal_id, source (``live`` or the ledger), model, symbol, timeframe, setup, direction, regime_trend,
            regime_vol, verdict, decided_ms, known_ms, p_geo, p_raw, p, ev_payoff_r, ev_p_r, pnl_pct, r_multiple. A
            candidate of both sources has two rows. Live rows are those on which a model had a p.
        """
        shared = {
            "s.exchange = ?": exchange,
            "t.exit_policy = ?": exit_policy,
            "t.status = ?": "CLOSED",
            "s.plan_hash " + IN_LIST: _texts(plan_hash),
            "s.decided_ms >= ?": start_ms,
            "s.decided_ms < ?": end_ms,
            "t.known_ms <= ?": until_ms,
        }
        clause, values = where({"s.origin = ?": "live", **shared})
        statement = f"{_LIVE} {clause} AND s.ml_p IS NOT NULL"
        if ledger is not None:
            more, later = where({"p.ledger = ?": ledger, **shared})
            statement, values = f"{statement} UNION ALL {_SAID_LATER} {more}", [*values, *later]
        with self._connection() as connection:
            rows = fetch(connection, f"{statement} ORDER BY 11, 1, 2", values)
        return rows_to_frame(rows, LEDGER_ROWS)


def _columns(connection: apsw.Connection, feature_set: str) -> tuple[str, ...]:
    text = fetch_value(connection, "SELECT columns FROM feature_sets WHERE feature_set = ?", (feature_set,))
    return () if text is None else tuple(json.loads(text))


def _vectors(
    connection: apsw.Connection, feature_set: str, n: int, statement: str, values: Sequence[Any]
) -> tuple[IntArray, FloatArray]:
    """Fill arrays allocated once from rows of (id, vector), so that the peak is the result and little more."""
    k = len(_columns(connection, feature_set))
    ids, vectors = np.empty(n, dtype=np.int64), np.empty((n, k), dtype=np.float64)
    rows, at = connection.execute(statement, values), 0
    while part := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        stored = b"".join([row[1] for row in part])
        if len(stored) != len(part) * k * _STORED.itemsize:
            raise BlockError(
                f"a vector of {feature_set} between signals {part[0][0]} and {part[-1][0]}: not {k} numbers"
            )
        end = at + len(part)
        ids[at:end] = [row[0] for row in part]
        vectors[at:end] = np.frombuffer(stored, dtype=_STORED).reshape(-1, k)
        at = end
    return ids, vectors


def _texts(values: str | Iterable[str] | None) -> str | None:
    return listed([values] if isinstance(values, str) else values)
