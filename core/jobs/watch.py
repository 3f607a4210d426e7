"""Stage `watch_drift`: whether what is said still comes true.

The law: an alarm withdraws the evidence from the moment it is noticed, and stands until a tuning ends it.
"""

from __future__ import annotations

from core.clock import DAY_MS
from core.jobs._desk import Desk, Report
from core.jobs._learning import plans_of
from core.results.reliability import told_once
from core.training.drift import SERIES, alarms, stands

__all__ = ["run"]

LOOK_BACK_MS = 365 * DAY_MS

_WATCHED = "watched_day"


async def run(desk: Desk, now_ms: int) -> Report:
    """Look once a day, after its end, at what was said live and what came of it.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of alarms that began now; each is also a problem, in words.
    """
    day = now_ms // DAY_MS
    if desk.features is None or desk.memory.get(_WATCHED) == day:
        return Report("watch_drift")
    rows = desk.reader.ledger_rows(
        desk.exchange, desk.exits, plans_of(desk), start_ms=now_ms - LOOK_BACK_MS, until_ms=now_ms
    )
    begun: list[str] = []
    if len(rows):
        thresholds = desk.reader.thresholds()
        tuned_ms = max([0, *thresholds.loc[thresholds["origin"] == "tune", "since_ms"].tolist()])
        found = alarms(told_once(rows), now_ms)
        for series in SERIES:
            mine = [alarm for alarm in found if alarm.series == series]
            if not stands(mine, tuned_ms, now_ms):
                continue
            last = mine[-1]
            detail = f"{last.gap:+.3f} a result over the last {last.n}, realised less said"
            if desk.writer.put_drift(now_ms, series, "alarm", last.statistic, last.n, detail):
                begun.append(f"drift of {series}: {detail}; evidence is withdrawn until thresholds are tuned again")
    desk.memory[_WATCHED] = day
    return Report("watch_drift", counts={"alarms": len(begun)}, problems=tuple(begun))
