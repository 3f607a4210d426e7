"""Job `summary`: the week in figures as a message and a page, and a daily sign of life.

The law: what is due follows from market time and a note in the store; the message's key names the week or the day, so
that it is queued once however often this runs, and a week nobody ran is told when somebody does.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from core.clock import DAY_MS, HOUR_MS, floor_to, format_ms
from core.jobs._announce import note_rows
from core.jobs._desk import Desk, Report
from core.jobs._page import write_page
from core.jobs._period import period_of, week_name
from core.jobs.weekly import last_due_ms
from core.results.summary import summary_lines
from core.results.summary_page import summary_page
from core.store.reader import Reader

__all__ = ["PAGES_KEPT", "run"]

PAGES_KEPT = 60
"""Weekly pages that stay; the oldest are deleted."""

_WEEK_MS = 7 * DAY_MS
_DAY = "sun"
_SEEN = "summary"


async def run(desk: Desk, now_ms: int) -> Report:
    """Queue what is due: the weekly summary, and the daily heartbeat where it is wanted.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of messages queued.

    Raises
    ------
    DiskError
        The page cannot be written; the summary is due again the next time.
    """
    telegram = desk.config.notify.telegram
    counts = {"queued": 0}
    if telegram.send_on.weekly_summary:
        due_ms = last_due_ms(_DAY, telegram.summary_hour_utc, 0, now_ms)
        if _is_due(desk, "weekly", due_ms, now_ms):
            counts["queued"] += await _weekly(desk, due_ms, now_ms)
    if telegram.daily_heartbeat:
        hour_ms = telegram.heartbeat_hour_utc * HOUR_MS
        due_ms = floor_to(now_ms - hour_ms, DAY_MS) + hour_ms
        if _is_due(desk, "daily", due_ms, now_ms):
            counts["queued"] += await _heartbeat(desk, due_ms, now_ms)
    return Report("summary", counts=counts)


def _is_due(desk: Desk, what: str, due_ms: int, now_ms: int) -> bool:
    """Say whether something was due since it was last done; what is seen for the first time is due the next time."""
    done: dict[str, int] = desk.memory.setdefault(_SEEN, {})
    if what not in done:
        noted = desk.reader.meta(f"summary:{what}")
        if noted is None:
            desk.writer.set_meta(f"summary:{what}", str(now_ms))
        done[what] = now_ms if noted is None else int(noted)
    return done[what] < due_ms


def _done(desk: Desk, what: str, due_ms: int) -> None:
    desk.writer.set_meta(f"summary:{what}", str(due_ms))


async def _weekly(desk: Desk, due_ms: int, now_ms: int) -> int:
    name = week_name(due_ms - 1)
    aside = replace(desk, reader=Reader(desk.writer.path), memory={})
    facts = await asyncio.to_thread(period_of, aside, f"Week {name}", due_ms - _WEEK_MS, due_ms)
    lines = summary_lines(facts, desk.config.app.timezone)
    page = summary_page(facts, desk.config.app.timezone, _is_synthetic(desk))
    path = write_page(Path(desk.config.app.data_dir) / "reports", f"weekly-{name}.html", page, PAGES_KEPT)
    channels = list(desk.notifiers)
    with desk.writer.transaction():
        queued = desk.writer.queue(note_rows(f"weekly:{name}", "\n".join(lines), channels, now_ms))
        told = f"{facts.title}: {path}"
        queued += desk.writer.queue(note_rows(f"weekly:{name}:page", told, channels, now_ms, document=str(path)))
        _done(desk, "weekly", due_ms)
    desk.memory[_SEEN]["weekly"] = due_ms
    return queued


async def _heartbeat(desk: Desk, due_ms: int, now_ms: int) -> int:
    aside = replace(desk, reader=Reader(desk.writer.path), memory={})
    day = format_ms(due_ms).split()[0]
    facts = await asyncio.to_thread(period_of, aside, "Last 24 hours", due_ms - DAY_MS, due_ms)
    lines = summary_lines(facts, desk.config.app.timezone)
    with desk.writer.transaction():
        queued = desk.writer.queue(
            note_rows(f"daily:{day}", "\n".join(["Still running.", *lines]), list(desk.notifiers), now_ms)
        )
        _done(desk, "daily", due_ms)
    desk.memory[_SEEN]["daily"] = due_ms
    return queued


def _is_synthetic(desk: Desk) -> bool:
    return desk.reader.meta(f"synthetic:{desk.exchange}") == "1"
