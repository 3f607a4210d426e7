"""The tables schema 2 adds: feature vectors, predictions, models, and what was in force when.

The law: what was in force at a time can be asked for ever after, so reigns, thresholds and drift are only appended
to; the database itself refuses anything else.
"""

from __future__ import annotations

__all__ = ["SCHEMA_2"]

_LEARNING = """
-- One row a set of columns: a few a year, with the engine's versions.
CREATE TABLE feature_sets (
    feature_set TEXT PRIMARY KEY,
    columns TEXT NOT NULL CHECK (json_type(columns) = 'array'),
    created_ms INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
) STRICT, WITHOUT ROWID;

-- Grows with the candidates, by about half a kilobyte each under a set of columns; kept as they are. vector:
-- float64, little-endian, in the order of feature_sets.columns.
CREATE TABLE features (
    signal_id INTEGER NOT NULL REFERENCES signals (id),
    feature_set TEXT NOT NULL REFERENCES feature_sets (feature_set),
    vector BLOB NOT NULL CHECK (length(vector) % 8 = 0),
    PRIMARY KEY (signal_id, feature_set)
) STRICT, WITHOUT ROWID;
-- Narrow, for counting and for finding what is missing without reading a vector.
CREATE INDEX features_of ON features (feature_set, signal_id);

-- What was said of a candidate by a model that could not know its end. Grows with the filled candidates, kept.
CREATE TABLE predictions (
    signal_id INTEGER NOT NULL REFERENCES signals (id),
    ledger TEXT NOT NULL,
    model TEXT NOT NULL,
    train_max_t1 INTEGER NOT NULL,
    p_geo REAL,
    p_raw REAL,
    p REAL,
    payoff REAL,
    ev_payoff_r REAL,
    ev_p_r REAL,
    ev_r REAL,
    PRIMARY KEY (signal_id, ledger)
) STRICT, WITHOUT ROWID;
CREATE INDEX predictions_of ON predictions (ledger, signal_id);
CREATE TRIGGER predictions_out_of_sample BEFORE INSERT ON predictions
WHEN new.train_max_t1 >= (SELECT decided_ms FROM signals WHERE id = new.signal_id)
BEGIN SELECT raise(ABORT, 'a prediction must come from a model that knew nothing after the decision'); END;
CREATE TRIGGER predictions_stay BEFORE UPDATE ON predictions
BEGIN SELECT raise(ABORT, 'a prediction is never changed'); END;
"""

_REGISTRY = """
-- One row a training: about 52 a year. The files are in the folder of that name under models.meta.model_path.
CREATE TABLE models (
    version TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('candidate', 'champion', 'previous', 'retired')),
    created_ms INTEGER NOT NULL,
    train_max_t1 INTEGER NOT NULL,
    plan_hash TEXT NOT NULL,
    exit_policy TEXT NOT NULL,
    feature_set TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    card TEXT NOT NULL CHECK (json_valid(card))
) STRICT;
CREATE UNIQUE INDEX models_one_in_force ON models (state) WHERE state IN ('champion', 'previous');

-- One row a change of the champion: at most about one a week. version '': none in force.
CREATE TABLE reigns (
    id INTEGER PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    version TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- One row a change of models.meta.gating, the whole section: one tuning a week and the user's edits.
CREATE TABLE thresholds (
    id INTEGER PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('tune', 'user', 'rollback')),
    gating TEXT NOT NULL CHECK (json_valid(gating)),
    evidence TEXT NOT NULL CHECK (json_valid(evidence)),
    note TEXT NOT NULL
) STRICT;

-- One row a change of an alarm's state: a few a year; a state that goes on is not written again.
CREATE TABLE drift (
    id INTEGER PRIMARY KEY,
    ms INTEGER NOT NULL,
    statistic TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('alarm', 'clear')),
    value REAL,
    n INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"""


def _append_only(table: str, begins: str, within: str = "1") -> str:
    """Return the triggers that keep a history's rows, and its times in the order of its rows."""
    return f"""
CREATE TRIGGER {table}_stay BEFORE UPDATE ON {table}
BEGIN SELECT raise(ABORT, '{table}: what was in force is never changed'); END;
CREATE TRIGGER {table}_kept BEFORE DELETE ON {table}
BEGIN SELECT raise(ABORT, '{table}: what was in force is never deleted'); END;
CREATE TRIGGER {table}_forward BEFORE INSERT ON {table}
WHEN new.{begins} < (SELECT {begins} FROM {table} WHERE {within} ORDER BY id DESC LIMIT 1)
BEGIN SELECT raise(ABORT, '{table}: a row cannot begin before the last one'); END;
"""  # noqa: S608  names of this module


SCHEMA_2 = (
    _LEARNING
    + _REGISTRY
    + _append_only("reigns", "since_ms")
    + _append_only("thresholds", "since_ms")
    + _append_only("drift", "ms", within="statistic = new.statistic")
)
