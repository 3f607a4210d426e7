"""The tables schema 3 adds: what people said they did, and what they do not want to hear of.

The law: the journal is only added to: who changes their mind adds a row, and the last one of a person speaks.
"""

from __future__ import annotations

__all__ = ["SCHEMA_3"]

SCHEMA_3 = """
-- One row each time somebody said what they did with a signal. Written by hand, so it grows slowly; kept. price: what
-- they say they were filled at, NULL where they did not say.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    signal_id INTEGER NOT NULL REFERENCES signals (id),
    user_id INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('taken', 'skipped')),
    price REAL,
    said_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_of ON journal (signal_id, user_id);
CREATE TRIGGER journal_stay BEFORE UPDATE ON journal
BEGIN SELECT raise(ABORT, 'journal: what was said is never changed'); END;
CREATE TRIGGER journal_kept BEFORE DELETE ON journal
BEGIN SELECT raise(ABORT, 'journal: what was said is never deleted'); END;

-- One row a channel and symbol that is silenced now; what has ended is deleted by the next one.
CREATE TABLE mutes (
    channel TEXT NOT NULL,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    PRIMARY KEY (channel, exchange, symbol)
) STRICT, WITHOUT ROWID;
"""
