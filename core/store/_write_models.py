"""Writing which models there are, and what is in force from when on.

The law: histories are only appended to and never begin before their last row; a model and its reign change in one
transaction, so that the two cannot disagree.
"""

from __future__ import annotations

import apsw

from core.errors import StoreError, nearest
from core.store._frames import fetch, fetch_value
from core.store._writing import Writing

__all__ = ["ModelWriter"]


class ModelWriter(Writing):
    """Changes of models, reigns, thresholds and drift."""

    def put_model(
        self,
        version: str,
        card_json: str,
        *,
        created_ms: int,
        train_max_t1: int,
        plan_hash: str,
        exit_policy: str,
        feature_set: str,
        sha256: str,
    ) -> None:
        """Record a model as a candidate; the same one again changes nothing.

        Parameters
        ----------
        version : str
            The name of its folder.
        card_json : str
            What it is and how it did, JSON.
        created_ms, train_max_t1 : int
            When it was made, and the newest outcome it learned from.
        plan_hash, exit_policy, feature_set : str
            What it learned from.
        sha256 : str
            Of the manifest of its files, as `core.store.artefacts.publish` returned it.

        Raises
        ------
        StoreError
            The version is there as another model.
        """
        row = (version, created_ms, train_max_t1, plan_hash, exit_policy, feature_set, sha256, card_json)
        with self.transaction():
            _put_model(self._connection, row)

    def crown(self, version: str | None, since_ms: int, reason: str) -> bool:
        """Put a model in force from a time on; the one before becomes previous, and the previous one retired.

        Parameters
        ----------
        version : str or None
            A recorded model, whatever its state; None puts none in force.
        since_ms : int
            Not before the beginning of the last reign.
        reason : str

        Returns
        -------
        bool
            False where that one is in force already: nothing was changed.

        Raises
        ------
        StoreError
            There is no such model, or the time lies before the last reign's.
        """
        with self.transaction():
            return _crown(self._connection, version, since_ms, reason)

    def retire(self, version: str) -> None:
        """Say that a model is not up for anything any more: a candidate that was refused, a previous one.

        Raises
        ------
        StoreError
            There is no such model, or it is in force.
        """
        with self.transaction():
            if _state(self._connection, version) == "champion":
                raise StoreError(f"model {version}: is in force; crown another one, or none, first")
            self._connection.execute("UPDATE models SET state = 'retired' WHERE version = ?", (version,))

    def put_thresholds(self, since_ms: int, gating_json: str, evidence_json: str, origin: str, note: str = "") -> int:
        """Put a whole gating section in force from a time on; return the row's id.

        Parameters
        ----------
        since_ms : int
            Not before the last row's.
        gating_json, evidence_json : str
            The section ``models.meta.gating``, and what it rests on.
        origin : str
            tune, user or rollback.
        note : str
        """
        with self.transaction():
            _not_before(self._connection, "thresholds", "SELECT max(since_ms) FROM thresholds", (), since_ms)
            self._connection.execute(
                "INSERT INTO thresholds (since_ms, origin, gating, evidence, note) VALUES (?, ?, ?, ?, ?)",
                (since_ms, origin, gating_json, evidence_json, note),
            )
            return self._connection.last_insert_rowid()

    def put_drift(self, ms: int, statistic: str, state: str, value: float, n: int, detail: str = "") -> bool:
        """Record that an alarm began or ended; a state that goes on is not written again.

        Parameters
        ----------
        ms : int
            When it could be known: whoever asks for an earlier time does not see it. Not before the statistic's last.
        statistic : str
        state : str
            alarm or clear.
        value : float
            Of the statistic.
        n : int
            Outcomes it rests on.
        detail : str

        Returns
        -------
        bool
            A row was written.
        """
        with self.transaction():
            return _put_drift(self._connection, ms, statistic, state, value, n, detail)


def _put_model(connection: apsw.Connection, row: tuple[object, ...]) -> None:
    names = "version, created_ms, train_max_t1, plan_hash, exit_policy, feature_set, sha256, card"
    known = fetch(connection, f"SELECT {names} FROM models WHERE version = ?", row[:1])  # noqa: S608  declared names
    if known and known[0] != row:
        raise StoreError(f"model {row[0]}: there is another one of that version; a model is never replaced")
    if not known:
        places = ", ".join("?" * len(row))
        statement = f"INSERT INTO models ({names}, state) VALUES ({places}, 'candidate')"  # noqa: S608
        connection.execute(statement, row)


def _state(connection: apsw.Connection, version: str) -> str:
    states = dict(fetch(connection, "SELECT version, state FROM models"))
    if version not in states:
        raise StoreError(f"model {version}: not recorded; {nearest(version, states)}".rstrip("; "))
    return str(states[version])


def _crown(connection: apsw.Connection, version: str | None, since_ms: int, reason: str) -> bool:
    state = None if version is None else _state(connection, version)
    champion = fetch_value(connection, "SELECT version FROM models WHERE state = 'champion'")
    if champion == version:
        return False
    _not_before(connection, "reigns", "SELECT max(since_ms) FROM reigns", (), since_ms)
    if champion is not None:
        # One after the other: no two may be previous or champion at any moment.
        connection.execute("UPDATE models SET state = 'retired' WHERE state = 'previous'")
        connection.execute("UPDATE models SET state = 'previous' WHERE state = 'champion'")
    if state is not None:
        connection.execute("UPDATE models SET state = 'champion' WHERE version = ?", (version,))
    connection.execute(
        "INSERT INTO reigns (since_ms, version, reason) VALUES (?, ?, ?)", (since_ms, version or "", reason)
    )
    return True


def _put_drift(
    connection: apsw.Connection, ms: int, statistic: str, state: str, value: float, n: int, detail: str
) -> bool:
    statement = "SELECT state FROM drift WHERE statistic = ? ORDER BY id DESC LIMIT 1"
    if fetch_value(connection, statement, (statistic,)) == state:
        return False
    last = "SELECT max(ms) FROM drift WHERE statistic = ?"
    _not_before(connection, f"drift of {statistic}", last, (statistic,), ms)
    connection.execute(
        "INSERT INTO drift (ms, statistic, state, value, n, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (ms, statistic, state, value, n, detail),
    )
    return True


def _not_before(connection: apsw.Connection, what: str, question: str, values: tuple[str, ...], begins_ms: int) -> None:
    last = fetch_value(connection, question, values)
    if last is not None and begins_ms < last:
        raise StoreError(f"{what}: begins at {begins_ms}, before the last row at {last}; the past is never rewritten")
