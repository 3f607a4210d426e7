"""The weekly jobs: when they are due, who runs them, and that nothing they meet stops the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, format_ms, parse_time
from core.config import Config
from core.errors import MarketUnavailable, StoreError
from core.jobs._desk import Desk
from core.jobs.schedule import Schedule
from core.jobs.weekly import JOBS, Weekly, due, last_due_ms
from tests import weekly_desks
from tests.desks import BTC, StoppedClock, configured, minutes, open_desk, tape_market

SUNDAY = parse_time("2024-03-31T00:00")  # clocks are put forward in Europe in this night
TRAIN, CALIBRATE, TUNE = (SUNDAY + 21 * HOUR_MS, SUNDAY + 21 * HOUR_MS + 30 * MINUTE_MS, SUNDAY + 22 * HOUR_MS)
WEEK = 7 * DAY_MS
FOREVER = 10**15

windows = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")


@pytest.mark.parametrize(
    ("day", "hour", "minute", "now", "expected"),
    [
        ("sun", 21, 0, "2024-03-31T21:00", "2024-03-31 21:00 UTC"),
        ("sun", 21, 0, "2024-03-31T20:59", "2024-03-24 21:00 UTC"),
        ("sun", 0, 0, "2024-03-31T00:00", "2024-03-31 00:00 UTC"),
        ("mon", 0, 0, "2024-03-31T23:59", "2024-03-25 00:00 UTC"),
        ("mon", 0, 0, "2024-04-01T00:00", "2024-04-01 00:00 UTC"),
        ("sat", 23, 59, "2024-03-31T00:00", "2024-03-30 23:59 UTC"),
        ("sun", 1, 30, "2024-03-31T12:00", "2024-03-31 01:30 UTC"),  # an hour that Europe's clocks leave out
        ("sun", 1, 30, "2024-10-27T12:00", "2024-10-27 01:30 UTC"),  # one that they have twice
        ("wed", 12, 0, "2024-01-01T00:00", "2023-12-27 12:00 UTC"),
        ("thu", 12, 0, "2024-02-29T13:00", "2024-02-29 12:00 UTC"),
    ],
)
def test_it_is_due_in_utc_at_the_newest_such_moment(day: str, hour: int, minute: int, now: str, expected: str) -> None:
    assert format_ms(last_due_ms(day, hour, minute, parse_time(now))) == expected


def test_every_moment_of_a_year_has_one_due_moment_within_the_week_before() -> None:
    for now in range(parse_time("2024-01-01"), parse_time("2025-01-01"), 7 * HOUR_MS + 1_234):
        at = last_due_ms("fri", 7, 15, now)
        assert 0 <= now - at < WEEK and (at - parse_time("2024-01-05T07:15")) % WEEK == 0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path)


def all_done(ms: int) -> dict[str, int]:
    return dict.fromkeys(JOBS, ms)


def test_they_are_due_in_the_order_they_build_on_each_other(config: Config) -> None:
    assert due(config, all_done(TRAIN - 1), TUNE) == list(zip(JOBS, (TRAIN, CALIBRATE, TUNE), strict=True))


def test_each_is_due_once_from_its_moment_on(config: Config) -> None:
    done = all_done(TRAIN - HOUR_MS)
    assert due(config, done, TRAIN - 1) == []
    assert due(config, done, TRAIN) == [("auto_train", TRAIN)]
    assert due(config, {**done, "auto_train": TRAIN}, CALIBRATE - 1) == []
    assert due(config, all_done(TUNE), TUNE + WEEK - HOUR_MS - 1) == []
    assert due(config, all_done(TUNE), TRAIN + WEEK) == [("auto_train", TRAIN + WEEK)]


def test_after_weeks_in_which_nobody_ran_each_is_due_once(config: Config) -> None:
    at = TUNE + 5 * WEEK
    found = due(config, all_done(TUNE), at)
    assert found == [(name, ms + 5 * WEEK) for name, ms in zip(JOBS, (TRAIN, CALIBRATE, TUNE), strict=True)]
    assert due(config, dict(found), at) == []


def test_one_that_was_never_seen_is_not_due(config: Config) -> None:
    assert due(config, {}, TUNE + DAY_MS) == []


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"auto": {"enabled": False}}, []),
        ({"models": {"meta": {"enabled": False}}}, []),
        ({"auto": {"weekly_train": {"enable": False}}}, ["auto_calibrate", "auto_tune"]),
        ({"auto": {"weekly_calibrate": {"enable": False}}}, ["auto_train", "auto_tune"]),
        ({"auto": {"weekly_tune": {"enable": False}}}, ["auto_train", "auto_calibrate"]),
    ],
)
def test_what_is_switched_off_is_not_due(tmp_path: Path, change: dict[str, Any], left: list[str]) -> None:
    assert [name for name, _ in due(configured(tmp_path, change), all_done(0), TUNE)] == left


class LiveMarket(StoppedClock):
    """A live market whose minutes pass as fast as they are asked for, until a test has seen enough."""

    live = True

    def __init__(self, now_ms: int) -> None:
        super().__init__(now_ms)
        self.minutes = 0

    async def advance(self) -> int | None:
        await asyncio.sleep(0.01)
        self.now += MINUTE_MS
        self.minutes += 1
        return self.now

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> np.ndarray:
        raise MarketUnavailable("fake: no answer")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk on a tape that ends an hour and a half after the jobs were due."""
    candles = minutes(3)
    opened = open_desk(tmp_path, tape_market({BTC: candles}, 30), setups=[])
    yield opened
    opened.writer.close()


def mark(desk: Desk, ms: int) -> None:
    for name in JOBS:
        desk.writer.set_meta(f"weekly:{name}", str(ms))


def runs_of(desk: Desk) -> list[tuple[str, str]]:
    rows = desk.reader.job_runs(limit=1000)
    mine = rows[rows["job"].isin(JOBS)]
    return list(zip(mine["job"], mine["status"], strict=True))


async def look(weekly: Weekly, desk: Desk, now_ms: int) -> None:
    async with asyncio.timeout(30):
        await weekly.look(desk, now_ms)


async def test_at_a_first_start_nothing_is_due_until_the_moment_comes(desk: Desk) -> None:
    desk.reopen = weekly_desks.fails
    weekly = Weekly()
    await look(weekly, desk, TUNE + DAY_MS)
    assert runs_of(desk) == []
    await look(weekly, desk, TUNE + WEEK - HOUR_MS)
    assert runs_of(desk) == [("auto_train", "failed")]


async def test_one_that_fails_is_told_and_due_again_a_week_later(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.reopen = weekly_desks.fails
    mark(desk, FOREVER)
    desk.writer.set_meta("weekly:auto_train", str(TRAIN - 1))
    weekly = Weekly()
    await look(weekly, desk, TRAIN)
    await look(weekly, desk, TRAIN + HOUR_MS // 4)
    assert runs_of(desk) == [("auto_train", "failed")]
    assert "auto_train: nothing can be learned today" in caplog.text
    assert desk.reader.meta("weekly:auto_train") == str(TRAIN)
    await look(weekly, desk, TRAIN + WEEK - 1)
    assert len(runs_of(desk)) == 1
    await look(weekly, desk, TRAIN + WEEK)
    assert runs_of(desk) == [("auto_train", "failed")] * 2


@windows
async def test_one_whose_process_is_killed_is_told_and_the_others_run(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.reopen = weekly_desks.is_killed
    mark(desk, TRAIN - 1)
    await look(Weekly(), desk, CALIBRATE)
    assert sorted(runs_of(desk)) == [("auto_calibrate", "failed"), ("auto_train", "failed")]
    assert "its process ended before its work was done" in caplog.text


@windows
async def test_it_works_in_another_process_that_lets_others_go_first(desk: Desk, tmp_path: Path) -> None:
    desk.reopen = partial(weekly_desks.tells, tmp_path / "told")
    mark(desk, TRAIN - 1)
    await look(Weekly(), desk, TRAIN)
    pid, niceness = (tmp_path / "told").read_text("utf-8").split()
    assert int(pid) != os.getpid() and int(niceness) >= os.nice(0) + 10


async def test_a_desk_that_cannot_be_opened_elsewhere_has_no_weekly_jobs(desk: Desk) -> None:
    assert desk.reopen is None
    await look(Weekly(), desk, TUNE)
    assert desk.reader.meta("weekly:auto_train") is None


async def test_a_store_that_cannot_be_written_is_told_and_looked_at_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        reader = desk.reader

        def set_meta(self, *_: object) -> None:
            raise StoreError("database: no space left")

    desk.reopen, whole = weekly_desks.fails, desk.writer
    desk.writer = Full()  # type: ignore[assignment]
    weekly = Weekly()
    await look(weekly, desk, TUNE)
    assert "weekly: database: no space left" in caplog.text
    desk.writer = whole
    await look(weekly, desk, TUNE)
    assert desk.reader.meta("weekly:auto_train") == str(TUNE)


async def test_a_live_market_does_not_wait_for_a_job(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, LiveMarket(TRAIN), setups=[])
    desk.reopen = partial(weekly_desks.takes_long, 60.0, tmp_path / "began")
    mark(desk, TRAIN - 1)
    weekly = Weekly()
    began = time.monotonic()
    await look(weekly, desk, TRAIN)
    assert time.monotonic() - began < 30.0  # the job takes twice as long
    async with asyncio.timeout(30):
        while not (tmp_path / "began").exists():
            await look(weekly, desk, TRAIN + MINUTE_MS)  # cycles go on, and no second process is begun
            await asyncio.sleep(0.05)
    pid = int((tmp_path / "began").read_text("utf-8") or 0)
    await weekly.end()
    desk.writer.close()
    assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert runs_of_file(tmp_path) == []


def runs_of_file(folder: Path) -> list[tuple[str, str]]:
    desk = open_desk(folder, setups=[])
    try:
        return runs_of(desk)
    finally:
        desk.writer.close()


async def test_what_was_given_up_is_due_at_the_next_start(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, LiveMarket(TRAIN), setups=[])
    desk.reopen = partial(weekly_desks.takes_long, 60.0, tmp_path / "began")
    mark(desk, TRAIN - 1)
    weekly = Weekly()
    await look(weekly, desk, TRAIN)
    await weekly.end()
    assert due(desk.config, {name: int(desk.reader.meta(f"weekly:{name}") or 0) for name in JOBS}, TRAIN) == [
        ("auto_train", TRAIN)
    ]
    desk.writer.close()


async def test_a_tape_waits_until_a_job_is_done(desk: Desk, tmp_path: Path) -> None:
    desk.reopen = partial(weekly_desks.takes_long, 0.5, tmp_path / "began")
    mark(desk, TRAIN - 1)
    await look(Weekly(), desk, TRAIN)
    assert runs_of(desk) == [("auto_train", "failed")]


@windows
@pytest.mark.parametrize("live", [True, False], ids=["live", "tape"])
async def test_told_to_end_while_a_job_runs_the_scheduler_ends_within_ten_seconds(tmp_path: Path, live: bool) -> None:
    market: Any = LiveMarket(TRAIN) if live else tape_market({BTC: minutes(3)}, 30)
    desk = open_desk(tmp_path, market, {"auto": dict.fromkeys(WEEKLY, EVERY_DAY)}, setups=[])
    desk.reopen = partial(weekly_desks.takes_long, 120.0, tmp_path / "began")
    mark(desk, 1)
    schedule = Schedule(desk, lambda desk: desk, weekly=Weekly())

    async def tell() -> float:
        while not (tmp_path / "began").exists() or not (tmp_path / "began").read_text("utf-8"):
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        return time.monotonic()

    async with asyncio.timeout(60):
        told, _ = await asyncio.gather(tell(), schedule.run())
    assert time.monotonic() - told < 10.0 and schedule.cycles >= 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "began").read_text("utf-8")), 0)
    desk.writer.close()


WEEKLY = ("weekly_train", "weekly_calibrate", "weekly_tune")
EVERY_DAY: dict[str, Any] = {"day_of_week": "sun", "hour_utc": 0, "minute": 0}
