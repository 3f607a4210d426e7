"""Jobs come on the monotonic clock: the wall clock may be set as it likes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, tzinfo

import pytest
from apscheduler.schedulers import base
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from core.jobs._pace import Pacer


class Wall:
    """The wall clock as APScheduler sees it; set it to any difference from the real one."""

    hours = 0.0

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=Wall.hours)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Wall]]:
    monkeypatch.setattr(base, "datetime", Wall.Datetime)
    Wall.hours = 0.0
    yield Wall
    Wall.hours = 0.0


@pytest.fixture
async def scheduler() -> AsyncIterator[AsyncIOScheduler]:
    made = AsyncIOScheduler(
        timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    )
    made.start()
    yield made
    made.shutdown(wait=False)
    await asyncio.sleep(0)


async def until(condition: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # type: ignore[operator]
        await asyncio.sleep(0.005)


async def test_a_trigger_on_the_wall_clock_would_fire_nothing_for_an_hour(
    scheduler: AsyncIOScheduler, wall: type[Wall]
) -> None:
    ran: list[float] = []

    async def job() -> None:
        ran.append(time.monotonic())

    scheduler.add_job(job, IntervalTrigger(seconds=0.05))
    await until(lambda: len(ran) >= 2)
    wall.hours = -1.0
    await asyncio.sleep(0.3)
    before = len(ran)
    await asyncio.sleep(0.5)
    assert len(ran) == before >= 2


@pytest.mark.parametrize("hours", [-1.0, -24.0, 1.0, 10_000.0])
async def test_a_job_keeps_its_pace_when_the_wall_clock_is_set(
    scheduler: AsyncIOScheduler, wall: type[Wall], hours: float
) -> None:
    ran: list[float] = []
    pacer = Pacer(scheduler)

    async def job() -> None:
        ran.append(time.monotonic())
        if len(ran) == 3:
            wall.hours = hours

    pacer.every("job", job, 0.05)
    began = time.monotonic()
    await until(lambda: len(ran) >= 12)
    took = time.monotonic() - began
    pacer.end()
    assert 12 <= len(ran) <= took / 0.05  # neither held up nor made up for


async def test_a_job_is_run_once_after_a_while_and_the_last_word_counts(scheduler: AsyncIOScheduler) -> None:
    ran: list[str] = []
    pacer = Pacer(scheduler)

    def job_of(name: str) -> object:
        async def job() -> None:
            ran.append(name)

        return job

    pacer.once("a", job_of("first"), 0.05)  # type: ignore[arg-type]
    pacer.once("a", job_of("second"), 0.1)  # type: ignore[arg-type]
    pacer.once("b", job_of("never"), 30.0)  # type: ignore[arg-type]
    assert pacer.is_waiting("a")
    await until(lambda: ran)
    await asyncio.sleep(0.1)
    assert ran == ["second"] and not pacer.is_waiting("a") and pacer.is_waiting("b")
    pacer.end()
    assert not pacer.is_waiting("b")


async def test_a_job_never_runs_beside_itself_and_what_was_left_out_is_counted(scheduler: AsyncIOScheduler) -> None:
    at_work, most, ran = 0, 0, 0
    pacer = Pacer(scheduler)

    async def job() -> None:
        nonlocal at_work, most, ran
        at_work, ran = at_work + 1, ran + 1
        most = max(most, at_work)
        await asyncio.sleep(0.22)
        at_work -= 1

    pacer.every("slow", job, 0.05)
    await until(lambda: ran >= 3)
    pacer.end()
    assert most == 1 and pacer.missed["slow"] >= 4
    await until(lambda: not at_work)


async def test_what_a_process_that_stood_still_has_missed_is_counted_and_not_made_up_for(
    scheduler: AsyncIOScheduler,
) -> None:
    ran = 0
    pacer = Pacer(scheduler)

    async def job() -> None:
        nonlocal ran
        ran += 1
        if ran == 2:
            time.sleep(0.5)  # the whole process

    pacer.every("job", job, 0.05)
    await until(lambda: ran >= 3)
    pacer.end()
    assert ran <= 4 and pacer.missed["job"] >= 6
