"""Whether the engine keeps up, from what it wrote down: the last cycle, the candles, the jobs, the messages.

The law: pure: handed the facts, it gives the findings; who asks (a command, the bot, a page) gets the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.clock import DAY_MS, MINUTE_MS, format_duration, format_ms

__all__ = ["CYCLE_LATE_MS", "FAILURES_IN_A_ROW", "Finding", "HealthFacts", "JobState", "health_of", "health_words"]

CYCLE_LATE_MS = 3 * MINUTE_MS
"""A last cycle older than this is a standstill; candles and waiting messages have a little longer."""

FAILURES_IN_A_ROW = 3
"""Runs of a job that failed one after the other before that is a finding."""

_CANDLES_LATE_MS = 5 * MINUTE_MS
_MESSAGES_LATE_MS = 15 * MINUTE_MS
_WAL_LIMIT_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class JobState:
    """The newest runs of one job.

    Parameters
    ----------
    last_ms : int
        When it last began.
    failed_in_a_row : int
        Newest runs that failed, without one between them that did not.
    detail : str
        Of the newest run.
    """

    last_ms: int
    failed_in_a_row: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What is looked at.

    Parameters
    ----------
    now_ms : int
        Market time.
    last_cycle_ms : int
        When the scan last ran; 0 where it never did.
    frontiers : mapping of str to int or None
        For each followed symbol, up to when its minutes are complete.
    off : mapping of str to str
        Symbols that are switched off, with the reason.
    jobs : mapping of str to JobState
    waiting : int
        Messages not delivered yet.
    oldest_waiting_ms : int
        When the oldest of them was queued; 0 where none waits.
    refused : int
        Messages refused for good in the last day.
    wal_bytes : int
    """

    now_ms: int
    last_cycle_ms: int
    frontiers: Mapping[str, int | None]
    off: Mapping[str, str]
    jobs: Mapping[str, JobState]
    waiting: int = 0
    oldest_waiting_ms: int = 0
    refused: int = 0
    wal_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    ok : bool
    told : str
        What was found, in a line.
    """

    name: str
    ok: bool
    told: str


def health_of(facts: HealthFacts, zone: str = "UTC") -> list[Finding]:
    """Return what is found, always the same things in the same order.

    Parameters
    ----------
    facts : HealthFacts
    zone : str
        Time zone of the reader.
    """
    return [
        _cycle(facts, zone),
        _candles(facts),
        _jobs(facts),
        _messages(facts, zone),
        Finding(
            "write-ahead log", facts.wal_bytes <= _WAL_LIMIT_BYTES, f"{facts.wal_bytes / 1e6:.1f} MB, 64 MB at most"
        ),
    ]


def health_words(findings: Sequence[Finding]) -> list[str]:
    """Return findings as lines of plain text, what is wrong first."""
    ordered = sorted(findings, key=lambda one: one.ok)
    return [f"{'ok' if one.ok else 'WRONG'}  {one.name}: {one.told}" for one in ordered]


def _cycle(facts: HealthFacts, zone: str) -> Finding:
    if not facts.last_cycle_ms:
        return Finding("cycle", False, "none has run yet; start the engine: python scheduler_run.py")
    age_ms = facts.now_ms - facts.last_cycle_ms
    told = f"the last one at {format_ms(facts.last_cycle_ms, zone)}, {format_duration(age_ms)} ago"
    return Finding("cycle", age_ms <= CYCLE_LATE_MS, told)


def _candles(facts: HealthFacts) -> Finding:
    late = {
        symbol: math.inf if frontier_ms is None else float(facts.now_ms - frontier_ms)
        for symbol, frontier_ms in facts.frontiers.items()
    }
    behind = sorted((name for name, ms in late.items() if ms > _CANDLES_LATE_MS), key=lambda name: (-late[name], name))
    off = (
        f"; switched off: {', '.join(f'{name} ({why})' for name, why in sorted(facts.off.items()))}"
        if facts.off
        else ""
    )
    if not behind:
        return Finding("candles", True, f"{len(late)} symbols are up to date{off}")
    worst = late[behind[0]]
    by = "has none" if math.isinf(worst) else f"is {format_duration(int(worst))} behind"
    return Finding("candles", False, f"{len(behind)} of {len(late)} symbols are late; {behind[0]} {by}{off}")


def _jobs(facts: HealthFacts) -> Finding:
    failing = sorted(name for name, job in facts.jobs.items() if job.failed_in_a_row >= FAILURES_IN_A_ROW)
    if not failing:
        once = sorted(name for name, job in facts.jobs.items() if job.failed_in_a_row)
        return Finding(
            "jobs", True, "all end well" if not once else f"failed just now, not yet often: {', '.join(once)}"
        )
    job = facts.jobs[failing[0]]
    more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
    told = f"{failing[0]} failed {job.failed_in_a_row} times in a row{more}; the last time: {job.detail[:200]}"
    return Finding("jobs", False, told)


def _messages(facts: HealthFacts, zone: str) -> Finding:
    refused = f"; {facts.refused} refused for good in the last day" if facts.refused else ""
    if not facts.waiting:
        return Finding("messages", not facts.refused, f"none waits{refused}")
    is_late = facts.now_ms - facts.oldest_waiting_ms > _MESSAGES_LATE_MS
    since = format_ms(facts.oldest_waiting_ms, zone)
    return Finding(
        "messages", not is_late and not facts.refused, f"{facts.waiting} wait, the oldest since {since}{refused}"
    )


RECENT_MS = DAY_MS
"""How far back refused messages are counted."""
