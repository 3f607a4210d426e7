"""Job `maintain`: keep the database small and quick.

The law: only the scheduler's process checkpoints, and a busy reader never makes it wait.
"""

from __future__ import annotations

from core.jobs._desk import Desk, Report

__all__ = ["run"]


async def run(desk: Desk, now_ms: int) -> Report:
    """Fold the WAL into the database and give free pages back.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    """
    report = desk.writer.checkpoint()
    desk.writer.incremental_vacuum()
    desk.writer.put_job_run("db_checkpoint", now_ms, now_ms, "ok", str(report))
    return Report("db_checkpoint", counts={"pages": report.checkpointed})
