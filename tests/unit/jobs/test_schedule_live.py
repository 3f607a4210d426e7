"""The process on a live market: it keeps its pace, gives up what does not end, and goes on after what fails."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.clock import HOUR_MS, MINUTE_MS, wall_now_ms
from core.errors import StoreError, TraderError
from core.jobs import alert, converse, cycle, summary
from core.jobs._clocks import Clocks
from core.jobs._desk import Desk, Report
from core.jobs._pulse import Pulse
from core.jobs._watchdog import Watchdog
from core.jobs.schedule import Schedule
from core.store.heartbeat import heartbeat_path, read_heartbeat
from tests.desks import BTC, minutes, open_desk, tape_market
from tests.factories import START_MS
from tests.live_markets import WAITS, LiveMarket
from tests.unit.jobs.test_pace import Wall, wall

__all__ = ["wall"]


@pytest.fixture
def market() -> LiveMarket:
    return LiveMarket()


@pytest.fixture
def desk(tmp_path: Path, market: LiveMarket) -> Iterator[Desk]:
    opened = open_desk(tmp_path, market, setups=[])
    yield opened
    opened.writer.close()


def schedule_of(desk: Desk, cycles: int = 10, on_cycle: Callable[[int], None] = lambda _now_ms: None, **others: object):  # type: ignore[no-untyped-def]
    def look(now_ms: int, _reports: list[Report]) -> None:
        on_cycle(now_ms)
        if made.cycles >= cycles:
            made.stop()

    made = Schedule(desk, lambda same: same, look, **others)  # type: ignore[arg-type]
    return made


async def run(schedule: Schedule, seconds: float = 60.0) -> Schedule:
    async with asyncio.timeout(seconds):
        await schedule.run()
    return schedule


async def does_nothing(_desk: Desk, _now_ms: int) -> Report:
    return Report("stage")


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "STAGES", (("incremental_sync", does_nothing), ("scan_signals", does_nothing)))


@pytest.mark.usefixtures("idle")
async def test_cycles_go_on_at_their_pace_when_the_wall_clock_is_set(
    desk: Desk, wall: type[Wall], caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []

    def on_cycle(_now_ms: int) -> None:
        times.append(time.monotonic())
        wall.hours = {20: -1.0, 60: 2.0}.get(len(times), wall.hours)

    clocks = Clocks(wall_ms=lambda: wall_now_ms() + round(wall.hours * HOUR_MS))
    schedule = await run(schedule_of(desk, 100, on_cycle, clocks=clocks))
    assert schedule.cycles == 100
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(pauses) < 20.0 and times[-1] - times[0] > 100 * 0.015
    told = [line for line in caplog.messages if line.startswith("the machine's clock went")]
    assert [line.split(" (")[0] for line in told] == [
        "the machine's clock went back by 1h",
        "the machine's clock went forward by 3h",
    ]


@pytest.mark.usefixtures("idle")
async def test_no_cycle_is_run_at_an_earlier_time_than_the_one_before(
    desk: Desk, market: LiveMarket, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def on_cycle(now_ms: int) -> None:
        seen.append(now_ms)
        market.shift_ms = {4: -HOUR_MS, 8: 0}.get(len(seen), market.shift_ms)

    await run(schedule_of(desk, 12, on_cycle))
    assert seen == sorted(seen) and len(set(seen)) == 8
    told = [line for line in caplog.messages if line.startswith("the market's time")]
    assert told == [
        "the market's time went back by 59m; cycles keep the time they had",
        "the market's time has caught up",
    ]


@pytest.mark.usefixtures("idle")
async def test_the_difference_between_the_clocks_is_said_once(
    desk: Desk, market: LiveMarket, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks(wall_ms=lambda: START_MS + 5_000 + market.cycle * MINUTE_MS, ticks_s=lambda: market.cycle * 60.0)
    await run(schedule_of(desk, 6, clocks=clocks))
    assert [line for line in caplog.messages if "ahead of the market's" in line] == []
    market.shift_ms = -2 * HOUR_MS
    await run(schedule_of(desk, 6, clocks=clocks))
    assert len([line for line in caplog.messages if "ahead of the market's" in line]) == 1


@pytest.mark.usefixtures("idle")
async def test_minutes_without_a_cycle_are_written_down(desk: Desk, market: LiveMarket) -> None:
    def on_cycle(_now_ms: int) -> None:
        if market.cycle == 3:
            market.cycle += 12  # the machine slept

    await run(schedule_of(desk, 6, on_cycle))
    (detail,) = desk.reader.job_runs("cycle")["detail"]
    assert detail.startswith("cycle: left out 12; 12 minutes had no cycle of their own")


async def test_a_stage_that_does_not_end_is_given_up_and_the_others_run(
    desk: Desk, market: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.hangs = WAITS
    monkeypatch.setitem(cycle.LIMITS_S, "incremental_sync", 0.1)
    schedule = await run(schedule_of(desk, 3))
    assert schedule.cycles == 3 and market.cancelled >= 3
    runs = desk.reader.job_runs()
    assert set(runs.loc[runs["job"] == "incremental_sync", "status"]) == {"failed"}
    assert "given up after 0.1 s" in runs.loc[runs["job"] == "incremental_sync", "detail"].iloc[0]
    for name, _ in cycle.STAGES[1:]:
        assert set(runs.loc[runs["job"] == name, "status"]) == {"ok"}, name
    told = json.loads(desk.reader.outbox()["payload"].iloc[0])["text"] if len(desk.reader.outbox()) else ""
    assert told == ""  # nobody is switched on here


def test_all_limits_and_the_wait_for_the_minute_fit_into_the_watchdog_s() -> None:
    assert set(cycle.LIMITS_S) == {name for name, _ in cycle.STAGES}
    assert sum(cycle.LIMITS_S.values()) + 60 <= 180


@pytest.mark.usefixtures("idle")
async def test_a_mistake_in_a_side_job_ends_neither_the_minute_nor_the_process(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_desk: Desk, _now_ms: int) -> Report:
        raise ZeroDivisionError("a mistake in the program")

    class Week:
        async def look(self, _desk: Desk, _now_ms: int) -> None:
            raise KeyError("another one")

        async def end(self) -> None:
            """Nothing runs."""

    for job in (alert, converse, summary):
        monkeypatch.setattr(job, "run", broken)
    monkeypatch.setattr("core.jobs.schedule.ALERT_SECONDS", 0.02)
    monkeypatch.setattr("core.jobs.schedule.CONVERSE_SECONDS", 0.02)
    monkeypatch.setattr("core.jobs.schedule.MAINTAIN_MINUTES", 0.02 / 60)
    monkeypatch.setattr("core.jobs.maintain.run", broken)
    desk.notifiers = {"console": object()}  # type: ignore[dict-item]
    schedule = await run(schedule_of(desk, 12, weekly=Week()))
    assert schedule.cycles == 12
    for name in ("alert", "converse", "summary", "maintain", "weekly"):
        assert desk.reader.job_runs(name)["status"].tolist() == ["failed"], name
    words = "".join(desk.reader.outbox()["payload"])
    for name in ("alert", "converse", "summary", "weekly"):
        assert words.count(f"{name} failed 3 times in a row: unexpected ") == 1, name
    assert sum(1 for record in caplog.records if record.exc_info) >= 12


@pytest.mark.usefixtures("idle")
async def test_what_fails_between_the_stages_costs_that_minute_and_five_in_a_row_the_process(desk: Desk) -> None:
    tries: list[int] = []

    def refresh(same: Desk) -> Desk:
        tries.append(1)
        if len(tries) not in (1, 2, 3, 4, 6, 8):
            raise ZeroDivisionError("a mistake")
        return same

    schedule = Schedule(desk, refresh)
    with pytest.raises(TraderError, match=r"5 cycles in a row were broken \(ZeroDivisionError: a mistake\)"):
        await run(schedule)
    assert schedule.cycles == 6 and len(tries) == 13
    assert "failed" in set(desk.reader.job_runs("cycle")["status"])


@pytest.mark.usefixtures("idle")
async def test_a_named_failure_between_the_stages_never_ends_the_process(desk: Desk) -> None:
    tries: list[int] = []

    def refresh(same: Desk) -> Desk:
        tries.append(1)
        if len(tries) <= 12:
            raise StoreError("database: the disk is full")
        return same

    made = Schedule(desk, refresh, lambda _now_ms, _reports: made.stop())
    await run(made)
    assert made.cycles == 1 and len(tries) == 13


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_an_end_that_was_asked_for_ends_the_process(
    desk: Desk, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(_desk: Desk, _now_ms: int) -> Report:
        raise end

    monkeypatch.setattr(converse, "run", ends)
    monkeypatch.setattr("core.jobs.schedule.CONVERSE_SECONDS", 0.05)
    with pytest.raises(end):
        await run(Schedule(desk, lambda same: same))


async def test_told_to_end_while_a_stage_hangs_it_takes_the_stage_back_and_writes_that_down(
    desk: Desk, market: LiveMarket, caplog: pytest.LogCaptureFixture
) -> None:
    market.hangs = WAITS
    schedule = Schedule(desk, lambda same: same)
    running = asyncio.create_task(run(schedule))
    while not market.cycle:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    schedule.stop()
    began = time.monotonic()
    await running
    assert time.monotonic() - began < 9.0
    assert "the stage that runs does not end" in caplog.text and market.cancelled
    (run_of_it,) = desk.reader.job_runs("incremental_sync").to_dict("records")
    assert run_of_it["status"] == "failed" and run_of_it["detail"].endswith("the process was ended")
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.mark.usefixtures("idle")
async def test_each_cycle_is_shown_to_the_watchdog_and_to_the_outside(desk: Desk, tmp_path: Path) -> None:
    class Dog(Watchdog):
        beats = 0

        def beat(self) -> None:
            Dog.beats += 1

    asked: list[bool] = []
    dog = Dog(60.0, logging.getLogger("test"), lambda _code: None)
    path = tmp_path / "ohlcv.db"
    pulse = Pulse(path, 180.0, lambda _url, is_well: asked.append(is_well))
    await run(schedule_of(desk, 5, watchdog=dog, pulse=pulse))
    dog.stop()
    beat = read_heartbeat(heartbeat_path(path))
    assert beat is not None and Dog.beats >= 5
    assert (beat.cycle, beat.mode, beat.exchange, beat.limit_s, beat.state) == (5, "live", "fake", 180.0, "ended")
    assert beat.market_ms == START_MS + 5 * MINUTE_MS + 3_000
    assert asked == []  # no address is configured


@pytest.mark.usefixtures("idle")
async def test_a_tape_that_takes_its_time_is_no_standstill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs._minutes.LIFE_SECONDS", 0.1)
    ended: list[int] = []
    left = threading.Event()

    def leave(code: int) -> None:
        ended.append(code)
        left.set()

    desk = open_desk(tmp_path, tape_market({BTC: minutes(2)}, 60, speed=900.0), setups=[])  # a step lasts 4 s
    dog = Watchdog(2.0, logging.getLogger("test"), leave)
    schedule = await run(Schedule(desk, lambda same: same, watchdog=dog))
    dog.stop()
    desk.writer.close()
    assert schedule.cycles == 2 and ended == []
