"""Upkeep: what is due comes from the database, parts stand alone, and nobody waits for any of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.errors import DiskError, StoreError
from core.jobs import _elsewhere, backup, maintain
from core.jobs._desk import Desk, Report
from core.store import backups
from core.store.reader import Reader
from tests.desks import StoppedClock, open_desk
from tests.factories import START_MS

ROOT = Path(__file__).parents[3]
DAILY = ["retention", "vacuum", "optimize"]
READING = """
import sys, time
import apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN")
list(connection.execute("SELECT * FROM meta"))
print("reading", flush=True)
time.sleep(120)
"""


class Live(StoppedClock):
    live = True


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(tmp_path, market=Live(START_MS))
    yield opened
    opened.writer.close()


def last(desk: Desk, job: str) -> Any:
    return desk.reader.job_runs(job, limit=1).iloc[0]


def names_of(desk: Desk) -> list[str]:
    return sorted(set(desk.reader.job_runs()["job"]))


def fails(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    async def refused(_desk: Desk, _now_ms: int) -> Report:
        raise error

    monkeypatch.setitem(maintain.PARTS, name, refused)


# -- what is due


def test_at_first_everything_is_due_then_only_the_log_until_the_next_day(desk: Desk) -> None:
    assert maintain.due(desk, START_MS) == [*DAILY, "db_checkpoint", "backup"]
    asyncio.run(maintain.run(desk, START_MS))
    assert maintain.due(desk, START_MS + 30 * MINUTE_MS) == ["db_checkpoint"]
    assert maintain.due(desk, START_MS + 4 * HOUR_MS) == [*DAILY, "db_checkpoint", "backup"]


def test_the_day_begins_when_no_long_candle_closes_and_a_process_that_starts_anew_knows_it_was_done(
    desk: Desk, tmp_path: Path
) -> None:
    three = START_MS + 3 * HOUR_MS
    asyncio.run(maintain.run(desk, three + 10 * MINUTE_MS))
    desk.writer.close()
    again = open_desk(tmp_path, market=Live(START_MS))
    try:
        assert maintain.due(again, three + DAY_MS + 9 * MINUTE_MS) == ["db_checkpoint"]
        assert maintain.due(again, three + DAY_MS + 10 * MINUTE_MS) == [*DAILY, "db_checkpoint", "backup"]
    finally:
        again.writer.close()


def test_days_that_were_missed_are_made_good_once(desk: Desk) -> None:
    asyncio.run(maintain.run(desk, START_MS))
    asyncio.run(maintain.run(desk, START_MS + 9 * DAY_MS))
    assert len(desk.reader.job_runs("retention")) == 2
    assert maintain.due(desk, START_MS + 9 * DAY_MS + MINUTE_MS) == ["db_checkpoint"]


def test_a_tape_is_not_backed_up_by_itself_nor_where_it_is_switched_off(desk: Desk, tmp_path: Path) -> None:
    tape = open_desk(tmp_path / "tape")
    off = open_desk(tmp_path / "off", market=Live(START_MS), change={"app": {"backups": {"enabled": False}}})
    try:
        for one in (tape, off):
            assert maintain.due(one, START_MS) == [*DAILY, "db_checkpoint"]
    finally:
        tape.writer.close()
        off.writer.close()


# -- parts


def test_each_part_has_a_row_of_its_own_that_says_what_it_did(desk: Desk) -> None:
    desk.writer.put_job_run("sync", START_MS - 15 * DAY_MS, START_MS, "ok", "")
    report = asyncio.run(maintain.run(desk, START_MS))
    assert report.ok and not report.problems
    assert names_of(desk) == sorted([*DAILY, "db_checkpoint", "backup"])
    assert last(desk, "retention")["detail"] == "retention: job_runs 1"
    assert "log empty" in last(desk, "db_checkpoint")["detail"]
    (made,) = backups.listed(desk.config.app.backup_dir, desk.writer.path)
    assert str(made.path) in last(desk, "backup")["detail"]
    assert made.taken_ms == START_MS


@pytest.mark.parametrize("broken", ["retention", "vacuum", "optimize", "db_checkpoint", "backup"])
def test_a_part_that_fails_stops_no_other_and_is_due_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    fails(desk, monkeypatch, broken, DiskError("no space"))
    report = asyncio.run(maintain.run(desk, START_MS))
    assert not report.ok and report.exit_code == DiskError.exit_code
    assert report.problems == (("no space" if broken == "db_checkpoint" else f"{broken}: no space"),)
    rows = desk.reader.job_runs()
    assert sorted(rows.loc[rows["status"] == "ok", "job"]) == sorted(set(maintain.PARTS) - {broken})
    assert set(maintain.due(desk, START_MS + 30 * MINUTE_MS)) == {"db_checkpoint", broken}


def test_people_are_told_once_of_a_part_that_fails_again_and_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.notifiers["console"] = object()  # type: ignore[assignment]
    fails(desk, monkeypatch, "backup", DiskError("no space"))
    for k in range(6):
        asyncio.run(maintain.run(desk, START_MS + k * 30 * MINUTE_MS))
    texts = [json.loads(payload)["text"] for payload in desk.reader.outbox()["payload"]]
    assert len(texts) == 1 and texts[0].startswith("backup failed 3 times in a row: no space")


def test_what_cannot_be_written_down_is_due_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(desk.writer, "put_job_run", full)
    asyncio.run(maintain.run(desk, START_MS))
    assert "optimize: not noted (the disk is full)" in caplog.text
    assert set(DAILY) <= set(maintain.due(desk, START_MS))


def test_much_that_is_old_goes_in_small_transactions_between_which_others_have_their_turn(desk: Desk) -> None:
    with desk.writer.transaction():
        for k in range(5_000):
            desk.writer.put_job_run("sync", k, k, "ok", "x")
    turns = 0

    async def both() -> None:
        nonlocal turns
        work = asyncio.create_task(maintain.run_parts(desk, START_MS, ["retention"]))
        while not work.done():
            with desk.writer.transaction():
                turns += 1
            await asyncio.sleep(0)

    asyncio.run(both())
    assert turns > 3
    assert last(desk, "retention")["detail"] == "retention: job_runs 5000"


def test_unused_pages_go_back_in_steps(desk: Desk) -> None:
    with desk.writer.transaction():
        for k in range(20_000):
            desk.writer.put_job_run("sync", k, k, "ok", "x" * 400)
    asyncio.run(maintain.run_parts(desk, START_MS, ["retention", "db_checkpoint"]))
    size = desk.writer.path.stat().st_size
    asyncio.run(maintain.run_parts(desk, START_MS, ["vacuum", "db_checkpoint"]))
    assert int(last(desk, "vacuum")["detail"].split()[-1]) > 1_000
    assert desk.writer.path.stat().st_size < size // 4


# -- the log


@pytest.fixture
def reading(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has begun to read and does not end."""
    process = subprocess.Popen([sys.executable, "-c", READING, str(desk.writer.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.stdout.close()
    process.wait()


def grow_log(desk: Desk) -> None:
    for k in range(4):
        desk.writer.set_meta("big", str(k) * 200_000)


def test_a_reader_that_keeps_the_log_growing_is_named_once_and_the_end_of_it_is_seen(
    desk: Desk, reading: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintain, "LOG_LIMIT_BYTES", 500_000)
    desk.notifiers["console"] = object()  # type: ignore[assignment]
    grow_log(desk)
    first = asyncio.run(maintain.run_parts(desk, START_MS, ["db_checkpoint"]))
    again = asyncio.run(maintain.run_parts(desk, START_MS + HOUR_MS, ["db_checkpoint"]))
    assert first.ok and len(first.problems) == 1 and not again.problems
    assert "cannot be emptied" in first.problems[0] and "end viewers" in first.problems[0]
    if sys.platform == "linux":
        assert f"process {reading.pid} (" in first.problems[0]
    assert "since 2024-01-01 00:00 UTC" in last(desk, "db_checkpoint")["detail"]
    assert len(desk.reader.outbox()) == 1
    reading.kill()
    reading.wait()
    asyncio.run(maintain.run_parts(desk, START_MS + 2 * HOUR_MS, ["db_checkpoint"]))
    assert desk.writer.log_bytes() < 100_000, "but for the row about this run"
    assert desk.reader.meta("maintain:log_stuck_ms") == "0"


def test_a_small_log_that_is_in_use_is_nobodys_business(desk: Desk, reading: subprocess.Popen[bytes]) -> None:
    grow_log(desk)
    report = asyncio.run(maintain.run_parts(desk, START_MS, ["db_checkpoint"]))
    assert report.ok and not report.problems
    assert "log still in use" in last(desk, "db_checkpoint")["detail"]
    assert reading.poll() is None


# -- back-ups


def test_a_back_up_is_made_in_another_process_while_this_one_goes_on(desk: Desk) -> None:
    written = 0

    async def both() -> None:
        nonlocal written
        work = asyncio.create_task(backup.run(desk, START_MS))
        while not work.done():
            desk.writer.set_meta("note", str(written))
            written += 1
            await asyncio.sleep(0.01)
        assert (await work).ok

    asyncio.run(both())
    (made,) = backups.listed(desk.config.app.backup_dir, desk.writer.path)
    assert Reader(made.path).meta("note") is not None
    assert written > 10


def test_old_back_ups_go_only_after_a_new_one_is_there(desk: Desk, tmp_path: Path) -> None:
    days = [START_MS + day * DAY_MS for day in range(9)]
    for now_ms in days:
        backup.backup_to(desk.config, desk.writer.path, desk.config.app.backup_dir, now_ms)
    assert len(backups.listed(desk.config.app.backup_dir, desk.writer.path)) == 9, "by hand nothing is removed"
    report = asyncio.run(backup.run(desk, days[-1] + DAY_MS))
    assert report.counts["removed"] == 3
    there = [one.taken_ms for one in backups.listed(desk.config.app.backup_dir, desk.writer.path)]
    assert there == [*days[3:], days[-1] + DAY_MS], "seven days; the newest of each week is among them"


def test_a_back_up_that_cannot_be_made_is_a_report_with_its_reason_and_exit_code(desk: Desk, tmp_path: Path) -> None:
    desk.config.app.backup_dir.parent.mkdir(exist_ok=True)
    desk.config.app.backup_dir.write_text("in the way")
    report = asyncio.run(backup.run(desk, START_MS))
    assert not report.ok and report.exit_code == DiskError.exit_code
    assert "cannot be written" in report.problems[0]


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    report = asyncio.run(_elsewhere.elsewhere(_sleeps, 60.0, "backup", timeout_s=0.2))
    assert not report.ok
    assert report.problems == ("its process was ended after 0 s without an answer; nothing was changed by halves",)


def _sleeps(seconds: float) -> Report:
    time.sleep(seconds)
    return Report("backup")
