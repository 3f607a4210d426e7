"""The facts of a day or a week, gathered from the store.

The law: live and taken only, each signal once; a trade belongs to the period in which its end became known.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from core.clock import DAY_MS, format_ms
from core.gate import PASSED, Evidence
from core.jobs._desk import Desk
from core.jobs.weekly import JOBS
from core.results.rows import RESULT_ROWS, SIGNAL_COLUMNS
from core.results.summary import PeriodFacts, Standing
from core.schema import conform

__all__ = ["live_rows", "period_of", "standing_of", "week_name"]

_WEEK_MS = 7 * DAY_MS


def week_name(ms: int) -> str:
    """Return the ISO week that holds a moment.

    Examples
    --------
    >>> week_name(1_708_000_000_000)
    '2024-W07'
    """
    year, week, _ = datetime.fromtimestamp(ms / 1000, tz=UTC).isocalendar()
    return f"{year}-W{week:02d}"


def period_of(desk: Desk, title: str, start_ms: int, end_ms: int) -> PeriodFacts:
    """Return what happened live in ``[start_ms, end_ms)``.

    Parameters
    ----------
    desk : Desk
    title : str
    start_ms, end_ms : int
    """
    columns = ("id", "verdict", "decided_ms")
    signals = desk.reader.signals(
        exchange=desk.exchange, origin="live", start_ms=start_ms, end_ms=end_ms, columns=columns
    )
    rows = live_rows(desk)
    ended = rows[(rows["known_ms"] >= start_ms) & (rows["known_ms"] < end_ms) & ~_is_running(rows)]
    status = rows["status"].value_counts()
    return PeriodFacts(
        title=title,
        start_ms=start_ms,
        end_ms=end_ms,
        candidates=len(signals),
        passed=int(signals["verdict"].isin(list(PASSED)).sum()),
        taken=int(rows["signal_id"].isin(signals["id"]).sum()),
        ended=ended.reset_index(drop=True),
        open_now=int(status.get("OPEN", 0)),
        waiting_now=int(status.get("PENDING", 0)),
        standing=standing_of(desk, end_ms),
    )


def live_rows(desk: Desk) -> pd.DataFrame:
    """Return the taken trades of live signals, columns `rows.RESULT_ROWS`, oldest decision first.

    A signal that was played under several exit policies counts once: under the one in force where it was.
    """
    signals = desk.reader.signals(exchange=desk.exchange, origin="live", columns=["id", *SIGNAL_COLUMNS])
    trades = desk.reader.trades(signal_ids=signals["id"].tolist())
    taken = trades[trades["taken"] == 1]
    first = taken.assign(other=taken["exit_policy"] != desk.exits).sort_values(
        ["signal_id", "other", "exit_policy"], kind="stable"
    )
    once = first.drop_duplicates("signal_id").drop(columns="other")
    rows = once.merge(signals.rename(columns={"id": "signal_id"}), on="signal_id", how="inner")
    return conform(rows, RESULT_ROWS).sort_values(["decided_ms", "signal_id"], kind="stable").reset_index(drop=True)


def standing_of(desk: Desk, now_ms: int) -> Standing:
    """Return what judges signals at a moment, and what the weekly jobs left undone."""
    if not desk.config.models.meta.enabled:
        return Standing("switched off (models.meta.enabled is false)", "none is asked for")
    reigns, zone = desk.reader.reigns(), desk.config.app.timezone
    past = reigns[reigns["since_ms"] <= now_ms]
    version = str(past["version"].iloc[-1]) if len(past) else ""
    model = (
        f"{version}, in force since {format_ms(int(past['since_ms'].iloc[-1]), zone)}" if version else "none in force"
    )
    drift = desk.reader.drift_at(now_ms)
    alarms = [
        f"alarm of {row['statistic']} since {format_ms(int(row['ms']), zone)} ({row['detail']})"
        for row in drift[drift["state"] == "alarm"].to_dict("records")
    ]
    return Standing(model, _evidence(desk, now_ms, bool(alarms)), tuple(alarms), tuple(_unlearned(desk, now_ms)))


def _evidence(desk: Desk, now_ms: int, is_withdrawn: bool) -> str:
    row = desk.reader.thresholds_at(now_ms)
    evidence = Evidence.from_json(json.loads(row.evidence)) if row else Evidence()
    if not evidence.tuned_ms:
        return "no results were examined yet"
    certified = sorted(name for name, one in evidence.slices.items() if one.certified)
    told = (
        f"certified: {', '.join(certified[:6])}{', ...' * (len(certified) > 6)}" if certified else "nothing certified"
    )
    tuned = format_ms(evidence.tuned_ms, desk.config.app.timezone)
    return f"{told}, tuned {tuned}" + (", withdrawn by a drift alarm" if is_withdrawn else "")


def _unlearned(desk: Desk, now_ms: int) -> list[str]:
    """Return what the weekly jobs did not do in the last week, each with the reason."""
    auto = desk.config.auto
    if not auto.enabled:
        return ["the weekly jobs are switched off (auto.enabled)"]
    lines = []
    wanted = zip(JOBS, (auto.weekly_train, auto.weekly_calibrate, auto.weekly_tune), strict=True)
    for job, rule in wanted:
        newest: list[dict[Any, Any]] = desk.reader.job_runs(job, limit=1).to_dict("records")
        if not rule.enable:
            lines.append(f"{job} is switched off")
        elif not newest:
            lines.append(f"{job} has not run yet")
        elif now_ms - int(newest[0]["started_ms"]) > _WEEK_MS:
            lines.append(f"{job} has not run since {format_ms(int(newest[0]['started_ms']), desk.config.app.timezone)}")
        elif newest[0]["status"] != "ok":
            lines.append(str(newest[0]["detail"])[:300])
    return lines


def _is_running(rows: pd.DataFrame) -> pd.Series:
    return rows["status"].isin(["PENDING", "OPEN"])
