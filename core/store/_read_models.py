"""Which models there are, and what was in force when.

The law: "in force at t" is the last row that begins at t or before it, whatever came later.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.schema import FrameSpec
from core.store._columns import DRIFT, MODELS, REIGNS, THRESHOLDS
from core.store._frames import fetch, fetch_value, rows_to_frame, select, where
from core.store._reading import Reading

__all__ = ["ModelReader", "ThresholdRow"]

_NO_LIMIT = -1  # to SQLite


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """A gating section and since when it holds.

    Parameters
    ----------
    id : int
    since_ms : int
    origin : str
        tune, user or rollback.
    gating, evidence : str
        JSON: the whole section ``models.meta.gating``, and what it rests on.
    note : str
    """

    id: int
    since_ms: int
    origin: str
    gating: str
    evidence: str
    note: str


class ModelReader(Reading):
    """Questions about models, reigns, thresholds and drift."""

    def models(self) -> pd.DataFrame:
        """Return every model without its card, oldest first: version, state, created_ms, train_max_t1, plan_hash,
        exit_policy, feature_set, sha256."""
        with self._connection() as connection:
            rows = fetch(connection, select(MODELS, "models ORDER BY created_ms, version"))
        return rows_to_frame(rows, MODELS)

    def model_card(self, version: str) -> str | None:
        """Return a model's card, JSON; None where there is no such model."""
        with self._connection() as connection:
            found = fetch_value(connection, "SELECT card FROM models WHERE version = ?", (version,))
        return None if found is None else str(found)

    def reigns(self) -> pd.DataFrame:
        """Return which model was in force from when on, oldest first: id, since_ms, version (``""``: none), reason.

        since_ms never falls from a row to the next, so that ``searchsorted(since_ms, t, "right") - 1`` is the row in
        force at t.
        """
        with self._connection() as connection:
            rows = fetch(connection, select(REIGNS, "reigns ORDER BY id"))
        return rows_to_frame(rows, REIGNS)

    def champion_at(self, ms: int) -> str:
        """Return the model in force at a time; ``""`` where none was."""
        statement = "SELECT version FROM reigns WHERE since_ms <= ? ORDER BY id DESC LIMIT 1"
        with self._connection() as connection:
            return str(fetch_value(connection, statement, (ms,)) or "")

    def thresholds(self, limit: int | None = None) -> pd.DataFrame:
        """Return gating sections: id, since_ms, origin, gating (JSON), evidence (JSON), note.

        Oldest first, since_ms never falling; with a `limit` the newest that many, newest first.
        """
        return self._history(THRESHOLDS, "thresholds", limit)

    def thresholds_at(self, ms: int) -> ThresholdRow | None:
        """Return the gating section in force at a time; None before the first."""
        source = "thresholds WHERE since_ms <= ? ORDER BY id DESC LIMIT 1"
        with self._connection() as connection:
            rows = fetch(connection, select(THRESHOLDS, source), (ms,))
        return ThresholdRow(*rows[0]) if rows else None

    def drift(self, statistic: str | None = None, limit: int | None = None) -> pd.DataFrame:
        """Return changes of the alarms: id, ms, statistic, state (alarm, clear), value, n, detail.

        Oldest first; with a `limit` the newest that many, newest first.
        """
        return self._history(DRIFT, "drift", limit, statistic)

    def drift_at(self, ms: int) -> pd.DataFrame:
        """Return the state of each statistic at a time, by name, columns as in `drift`; none before its first row."""
        source = (
            "drift d WHERE id = (SELECT max(id) FROM drift o WHERE o.statistic = d.statistic AND o.ms <= ?)"
            " ORDER BY statistic"
        )
        with self._connection() as connection:
            rows = fetch(connection, select(DRIFT, source), (ms,))
        return rows_to_frame(rows, DRIFT)

    def _history(self, spec: FrameSpec, table: str, limit: int | None, statistic: str | None = None) -> pd.DataFrame:
        clause, values = where({"statistic = ?": statistic})
        order = " ORDER BY id" if limit is None else " ORDER BY id DESC"
        statement = select(spec, f"{table}{clause}{order} LIMIT ?")
        with self._connection() as connection:
            rows = fetch(connection, statement, [*values, _NO_LIMIT if limit is None else limit])
        return rows_to_frame(rows, spec)
