"""Job `backup`: the database and the models it judges by, copied aside once a day, in a process of its own.

The law: the minute never waits for a back-up; what counts as one was found whole, and old ones go only after a new one
is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.clock import monotonic_s
from core.config import Config, config_to_yaml, redacted
from core.jobs._desk import Desk, Report
from core.jobs._elsewhere import elsewhere
from core.store import backups
from core.store.copying import take

__all__ = ["LIMIT_S", "backup_to", "run"]

LIMIT_S = 1_800.0
"""Seconds after which a back-up is given up: 100 GB and more on a slow disk, and no reader holds the log for longer."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What the process is given."""

    database: Path
    folder: Path
    models: Path
    config_text: str
    now_ms: int
    daily: int
    weekly: int


async def run(desk: Desk, now_ms: int) -> Report:
    """Make a back-up in the scheduler's folder, and remove those that are not kept any more.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    """
    config = desk.config
    rule = config.app.backups
    task = _task(config, desk.writer.path, config.app.backup_dir, now_ms, rule.daily, rule.weekly)
    return await elsewhere(_make, task, "backup", LIMIT_S)


def backup_to(config: Config, database: Path, folder: Path, now_ms: int) -> Report:
    """Make a back-up in a folder, in this process; nothing is removed there.

    Raises
    ------
    StoreError, DiskError
        It could not be made.
    """
    return _make(_task(config, database, folder, now_ms, 0, 0))


def _task(config: Config, database: Path, folder: Path, now_ms: int, daily: int, weekly: int) -> _Task:
    text = config_to_yaml(redacted(config))
    return _Task(database, folder, Path(config.models.meta.model_path), text, now_ms, daily, weekly)


def _make(task: _Task) -> Report:
    began_s = monotonic_s()
    taken = take(task.database, task.folder, task.models, task.config_text, task.now_ms)
    took_s = monotonic_s() - began_s
    there = backups.listed(task.folder, task.database)
    gone = set(backups.spare([one.taken_ms for one in there], task.daily, task.weekly)) if task.daily else set()
    backups.drop([one for one in there if one.taken_ms in gone], task.folder)
    made = taken.backup
    text = f"{made.path}: {made.bytes / 1e6:,.1f} MB with {taken.models} models, checked, in {took_s:.1f} s"
    counts = {"copies": 1, "megabytes": round(made.bytes / 1e6), "models": taken.models, "removed": len(gone)}
    return Report("backup", counts=counts, problems=taken.left_out, text=text)
