"""How long each table keeps its rows, and what forgets the rest.

The law: every table has a rule or a reason to grow. Nothing is forgotten that is still to be delivered, to be answered
or to be decided on, and no transaction forgets more than a moment's worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from core.clock import DAY_MS

__all__ = ["NOTES_DAYS", "RULES", "Keep", "forget_some"]

NOTES_DAYS = 400
"""Days for which a delivered message of the engine itself is kept: its key is what keeps it from being said again."""

RULES = {
    "candle": "for ever: the truth everything else is made of",
    "candle_block": "with candle, from which it is derived",
    "candle_revisions": "the newest 100,000, on writing",
    "decisions": "for ever: the record",
    "drift": "for ever: what was in force when; a few rows a year",
    "exit_policies": "for ever: what the record's names stand for",
    "feature_sets": "for ever: what the vectors' places stand for",
    "features": "for ever: what was known at a decision cannot be made again once candles are revised",
    "funding_rates": "for ever: the truth; three rows a day and symbol",
    "gaps": "for ever: which minutes were missing when a close was decided",
    "instruments": "one row a symbol",
    "job_runs": "by age (app.retention), and the newest 25,000 of each job, on writing",
    "journal": "for ever: what people said they did",
    "meta": "one row a key",
    "migrations": "one row a version",
    "models": "for ever: about 52 rows a year; of their files those once in force and the newest stay",
    "mutes": "one row a channel and symbol; what has ended goes on writing",
    "outbox": "by age once delivered (app.retention); what waits, and what an open trade is answered to, stays",
    "predictions": "for ever: what was said before the outcome; with the candidates",
    "quarantine": "the newest 20,000, on writing",
    "reigns": "for ever: what was in force when; at most about 52 rows a year",
    "series": "one row a symbol and timeframe",
    "signals": "for ever: the record",
    "symbols_off": "one row a symbol that is off",
    "sync_checkpoint": "one row a series",
    "thresholds": "for ever: what was in force when; about 52 rows a year and your edits",
    "trade_events": "for ever: the record",
    "trades": "for ever: the record",
}
"""What keeps each table from growing, or why it may grow."""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days rows are kept.

    Parameters
    ----------
    runs_days, failed_runs_days : int
        Runs of jobs that went well, and those that did not.
    alerts_days : int
        Alerts that were delivered, refused or left out.
    """

    runs_days: int
    failed_runs_days: int
    alerts_days: int


# The oldest rows first; each is asked until it finds less than it may forget at once.
_RUNS = """
    DELETE FROM job_runs WHERE id IN (
        SELECT id FROM job_runs
        WHERE (status = 'ok' AND started_ms < ?1) OR (status <> 'ok' AND started_ms < ?2)
        ORDER BY id LIMIT ?3)"""

# An alert whose signal still has something to say stays: what becomes of it is told as an answer to the first message.
_ALERTS = """
    DELETE FROM outbox WHERE id IN (
        SELECT o.id FROM outbox o
        WHERE o.state <> 'queued' AND o.marked_ms < iif(o.kind = 'note', ?2, ?1)
          AND NOT EXISTS (SELECT 1 FROM trades t WHERE t.signal_id = o.signal_id AND t.status IN ('PENDING', 'OPEN'))
          AND NOT EXISTS (SELECT 1 FROM outbox w
                          WHERE w.signal_id = o.signal_id AND o.signal_id <> 0 AND w.state = 'queued')
        ORDER BY o.id LIMIT ?3)"""


def forget_some(connection: apsw.Connection, keep: Keep, now_ms: int, rows: int) -> dict[str, int]:
    """Delete up to so many rows of each table that have outlived their rule; return how many, by table.

    Parameters
    ----------
    connection : apsw.Connection
        Inside a transaction.
    keep : Keep
    now_ms : int
        Market time.
    rows : int
        Of each table; where fewer were deleted nothing is left to delete.
    """
    runs_ms, failed_ms, alerts_ms = (
        now_ms - days * DAY_MS for days in (keep.runs_days, keep.failed_runs_days, keep.alerts_days)
    )
    notes_ms = now_ms - max(NOTES_DAYS, keep.alerts_days) * DAY_MS
    found = {}
    for table, statement, values in (
        ("job_runs", _RUNS, (runs_ms, failed_ms, rows)),
        ("outbox", _ALERTS, (alerts_ms, notes_ms, rows)),
    ):
        before = connection.total_changes()
        connection.execute(statement, values)
        found[table] = connection.total_changes() - before
    return found
