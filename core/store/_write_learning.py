"""Writing what models learn from and said: feature vectors, predictions, decisions made again.

The law: what is there stays. A vector and a prediction are written once; a retro candidate decided again keeps each
decision, and a live one is never decided again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import apsw
import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import StoreError, nearest
from core.schema import DECISIONS, PREDICTIONS, FloatArray, FrameSpec, conform
from core.store._frames import (
    IN_LIST,
    fetch,
    fetch_value,
    frame_to_columns,
    insert_columns,
    listed,
    rows_to_frame,
    select,
)
from core.store._writing import Writing
from core.store.connection import MAX_TRANSACTION_ROWS

__all__ = ["LearningWriter"]

_STORED = np.dtype("<f8")
_SAME = 1e-9  # two computations of one number agree to this

_DECIDED_AGAIN: FrameSpec = {**DECISIONS, "in_sample": "int64"}
_TOLD: FrameSpec = {name: dtype for name, dtype in _DECIDED_AGAIN.items() if name not in ("signal_id", "seq")}
_ON_SIGNAL = ("ml_p_raw", "ml_p", "ev_pct", "model_version", "verdict", "reason", "in_sample")
_NEWEST: FrameSpec = {**{f"d.{name}": dtype for name, dtype in DECISIONS.items()}, "s.in_sample": "int64"}


class LearningWriter(Writing):
    """Changes of feature vectors, predictions and decisions."""

    def put_feature_set(self, feature_set: str, columns: Sequence[str]) -> None:
        """Record the columns a feature set stands for, in order.

        Raises
        ------
        StoreError
            The feature set is known with other columns.
        """
        with self.transaction():
            _put_feature_set(self._connection, feature_set, tuple(columns))

    def put_features(self, feature_set: str, signal_ids: npt.ArrayLike, vectors: FloatArray) -> int:
        """Store vectors of signals that have none yet; return how many were stored.

        Parameters
        ----------
        feature_set : str
            Recorded by `put_feature_set` before.
        signal_ids : int64 (n,)
        vectors : float64 (n, k)
            Row by row beside `signal_ids`, columns in the order of the set. NaN stays NaN.

        Raises
        ------
        StoreError
            The set is not recorded, or the shapes do not fit.
        """
        ids = np.asarray(signal_ids, dtype=np.int64)
        with self.transaction():
            k = _width(self._connection, feature_set)
        if vectors.shape != (len(ids), k):
            raise StoreError(f"features {feature_set}: vectors of shape {vectors.shape}, expected ({len(ids)}, {k})")
        stored = 0
        for lo in range(0, len(ids), MAX_TRANSACTION_ROWS):
            part = slice(lo, lo + MAX_TRANSACTION_ROWS)
            with self.transaction():
                stored += _put_features(self._connection, feature_set, ids[part], vectors[part])
        return stored

    def put_predictions(self, frame: pd.DataFrame) -> int:
        """Store out-of-sample predictions, columns `schema.PREDICTIONS`; return how many were new.

        A candidate that has one in the ledger keeps it.

        Raises
        ------
        StoreError
            A row's model had learned from an outcome that was not known when its candidate was decided
            (``train_max_t1 >= decided_ms``), or there is no such signal. Nothing of the frame's part is stored.
        """
        return sum(self._in_parts(frame, lambda part: _put_predictions(self._connection, part)))

    def decide_again(self, frame: pd.DataFrame) -> int:
        """Add a decision to retro signals whose newest one says otherwise, and show it on the signal.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns `schema.DECISIONS`, whose seq is not looked at, and in_sample; a signal once at most.

        Returns
        -------
        int
            Signals decided anew. Live signals and those whose newest decision is the same, numbers to 1e-9, are
            left as they are.

        Raises
        ------
        StoreError
            A signal is in the frame twice, or not in the database.
        """
        twice = frame["signal_id"][frame["signal_id"].duplicated()]
        if len(twice):
            raise StoreError(f"decisions: signal {twice.iloc[0]} is there twice; a signal is decided once at a time")
        step = MAX_TRANSACTION_ROWS // 2  # a row of each of two tables
        return sum(self._in_parts(frame, lambda part: _decide_again(self._connection, part), step))


def _put_feature_set(connection: apsw.Connection, feature_set: str, columns: tuple[str, ...]) -> None:
    text = json.dumps(columns)
    known = fetch_value(connection, "SELECT columns FROM feature_sets WHERE feature_set = ?", (feature_set,))
    if known is None:
        connection.execute("INSERT INTO feature_sets (feature_set, columns) VALUES (?, ?)", (feature_set, text))
    elif tuple(json.loads(known)) != columns:
        raise StoreError(f"features {feature_set}: recorded with other columns; other columns need another name")


def _width(connection: apsw.Connection, feature_set: str) -> int:
    known = dict(fetch(connection, "SELECT feature_set, json_array_length(columns) FROM feature_sets"))
    if feature_set not in known:
        raise StoreError(
            f"features {feature_set}: not a recorded feature set; {nearest(feature_set, known)}".rstrip("; ")
        )
    return int(known[feature_set])


def _put_features(
    connection: apsw.Connection, feature_set: str, ids: npt.NDArray[np.int64], vectors: FloatArray
) -> int:
    data = np.ascontiguousarray(vectors, dtype=_STORED).tobytes()
    width = len(data) // len(ids)
    columns: dict[str, list[Any]] = {
        "signal_id": ids.tolist(),
        "feature_set": [feature_set] * len(ids),
        "vector": [data[at : at + width] for at in range(0, len(data), width)],
    }
    return insert_columns(connection, "features", columns, "ON CONFLICT (signal_id, feature_set) DO NOTHING")


def _put_predictions(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    rows = conform(frame, PREDICTIONS)
    decided = _of_signals(connection, "predictions", "decided_ms", rows["signal_id"].tolist())
    names = ("signal_id", "ledger", "model", "train_max_t1")
    told = zip(*(rows[name].tolist() for name in names), decided, strict=True)
    for signal_id, ledger, model, train_max_t1, decided_ms in told:
        if train_max_t1 >= decided_ms:
            raise StoreError(
                f"predictions of {ledger}: {model} learned from outcomes up to {train_max_t1}, signal {signal_id} was "
                f"decided at {decided_ms}; only a model that knew nothing later may be asked"
            )
    columns = frame_to_columns(rows)
    return insert_columns(connection, "predictions", columns, "ON CONFLICT (signal_id, ledger) DO NOTHING")


def _of_signals(connection: apsw.Connection, what: str, column: str, ids: Sequence[int]) -> list[Any]:
    """Return a column of signals by their ids, in that order."""
    source = "signals WHERE id " + IN_LIST
    known = dict(fetch(connection, select({"id": "int64", column: "any"}, source), (listed(ids),)))
    missing = [number for number in ids if number not in known]
    if missing:
        raise StoreError(f"{what}: signal {missing[0]} is not in the database")
    return [known[number] for number in ids]


def _decide_again(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    rows = conform(frame, _DECIDED_AGAIN)
    origins = _of_signals(connection, "decisions", "origin", rows["signal_id"].tolist())
    rows = rows[np.array(origins, dtype="str") == "retro"].reset_index(drop=True)
    newest = _newest_decisions(connection, rows)
    changed = rows.assign(seq=newest["seq"] + 1)[~_same(rows, newest)]
    if changed.empty:
        return 0
    insert_columns(connection, "decisions", frame_to_columns(changed[list(DECISIONS)]))
    settings = ", ".join(f"{name} = ?" for name in _ON_SIGNAL)
    connection.executemany(
        f"UPDATE signals SET {settings} WHERE id = ?",  # noqa: S608  declared names; a trigger guards live rows
        zip(*(changed[name].tolist() for name in (*_ON_SIGNAL, "signal_id")), strict=True),
    )
    return len(changed)


def _newest_decisions(connection: apsw.Connection, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the newest decision of each row's signal and the signal's in_sample, in the order of `rows`; seq is -1
    where there is none."""
    newest = "(SELECT max(seq) FROM decisions WHERE signal_id = s.id)"
    source = "signals s JOIN decisions d ON d.signal_id = s.id WHERE s.id " + IN_LIST + " AND d.seq = " + newest
    found = rows_to_frame(fetch(connection, select(_NEWEST, source), (listed(rows["signal_id"]),)), _DECIDED_AGAIN)
    aligned = found.set_index("signal_id").reindex(rows["signal_id"]).reset_index()
    return aligned.assign(seq=aligned["seq"].fillna(-1).astype("int64"))


def _same(rows: pd.DataFrame, newest: pd.DataFrame) -> npt.NDArray[np.bool_]:
    same = newest["seq"].to_numpy() >= 0
    for name, dtype in _TOLD.items():
        one, other = rows[name].to_numpy(), newest[name].to_numpy()
        equal = one == other
        if dtype == "float64":
            equal = np.isclose(one, other, rtol=_SAME, atol=_SAME, equal_nan=True)
        same = same & equal
    return same
