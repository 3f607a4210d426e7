"""The process: it ticks while there is time, ends when told, and a failure nobody named ends it loudly."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters.markets.replay import ReplayMarket
from core.clock import MINUTE_MS
from core.errors import MarketUnavailable, NotifierUnavailable, StoreError, TraderError
from core.jobs import cycle, maintain
from core.jobs._announce import note_rows
from core.jobs._desk import Desk, Report
from core.jobs.schedule import Schedule
from core.ports import Message
from tests.desks import BTC, EveryNth, end_of, minutes, open_desk, tape_market
from tests.factories import START_MS

CANDLES = minutes(2)


class Messenger:
    """Keeps what it is given; takes as long as it is told, or fails."""

    name = "console"

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s, self.told, self.failure = takes_s, [], None  # type: ignore[var-annotated]

    async def send(self, message: Message) -> str:
        await asyncio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure
        self.told.append(message.plain)
        return str(len(self.told))

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(tmp_path, tape_market({BTC: CANDLES}, 15), setups=[])
    yield opened
    opened.writer.close()


def same(desk: Desk) -> Desk:
    return desk


async def run(schedule: Schedule) -> Schedule:
    async with asyncio.timeout(20):
        await schedule.run()
    return schedule


async def test_it_ticks_until_the_tape_ends(desk: Desk) -> None:
    seen: list[int] = []
    schedule = await run(Schedule(desk, same, lambda now_ms, _reports: seen.append(now_ms)))
    assert schedule.cycles == 8
    assert seen == [START_MS + 15 * k * MINUTE_MS for k in range(1, 9)]
    assert desk.reader.frontier("fake", BTC, "1m") == end_of(CANDLES)
    assert set(desk.reader.job_runs()["job"]) == {name for name, _ in cycle.STAGES}


async def test_one_cycle_can_be_had_alone_and_says_what_it_has_to_say(desk: Desk) -> None:
    messenger = Messenger()
    desk.notifiers["console"] = messenger  # type: ignore[assignment]
    desk.writer.queue(note_rows("one", "a word", ["console"], START_MS))
    schedule = Schedule(desk, same)
    assert [report.job for report in await schedule.once()] == [
        "sync",
        "funding",
        "resample",
        "execute_signals",
        "watch_drift",
        "scan_signals",
    ]
    assert schedule.cycles == 1 and len(messenger.told) == 1
    desk.market = tape_market({BTC: CANDLES}, start_ms=end_of(CANDLES))
    assert await schedule.once() == []


async def test_stopped_in_a_stage_it_finishes_that_stage_and_begins_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = [], []

    def stage(name: str) -> cycle.Stage:
        async def work(_desk: Desk, _now_ms: int) -> Report:
            began.append(name)
            if len(began) == 4:
                schedule.stop()
            await asyncio.sleep(0.05)
            ended.append(name)
            return Report(name)

        return work

    monkeypatch.setattr(cycle, "STAGES", tuple((name, stage(name)) for name in ("a", "b", "c")))
    schedule = Schedule(desk, same)
    await run(schedule)
    assert began == ended == ["a", "b", "c", "a"]


@pytest.mark.skipif(os.name == "nt", reason="a process cannot signal itself gently there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order_and_handlers_are_put_back(desk: Desk, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    schedule = Schedule(desk, same, lambda _now_ms, _reports: os.kill(os.getpid(), number))
    await run(schedule)
    assert 1 <= schedule.cycles < 8
    assert signal.getsignal(number) is before


async def test_a_mistake_in_a_stage_costs_that_stage_and_cycle_after_cycle_the_process(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_desk: Desk, _now_ms: int) -> Report:
        raise ZeroDivisionError("a mistake in the program")

    rest = tuple(stage for stage in cycle.STAGES if stage[0] != "funding")
    monkeypatch.setattr(cycle, "STAGES", (("funding", broken), *rest))
    schedule = Schedule(desk, same)
    with pytest.raises(TraderError, match=r"5 cycles in a row were broken .*a mistake in the program") as ended:
        await run(schedule)
    assert schedule.cycles == 5 and ended.value.exit_code == 1
    assert desk.reader.frontier("fake", BTC, "1m") == START_MS + 75 * MINUTE_MS
    assert set(desk.reader.job_runs("funding")["status"]) == {"failed"}
    assert set(desk.reader.job_runs("incremental_sync")["status"]) == {"ok"}
    assert any(record.exc_info for record in caplog.records)


async def test_a_failure_somebody_named_is_written_down_and_the_other_stages_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(_desk: Desk, _now_ms: int) -> Report:
        raise MarketUnavailable("fake: no answer")

    rest = tuple(stage for stage in cycle.STAGES if stage[0] != "funding")
    monkeypatch.setattr(cycle, "STAGES", (("funding", refused), *rest))
    schedule = await run(Schedule(desk, same))
    runs = desk.reader.job_runs("funding")
    assert schedule.cycles == 8 and set(runs["status"]) == {"failed"} and len(runs) == 8
    assert "funding: fake: no answer" in caplog.text
    assert desk.reader.frontier("fake", BTC, "1m") == end_of(CANDLES)


async def test_a_store_that_cannot_write_down_runs_does_not_end_the_process(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(desk.writer, "put_job_run", full)
    schedule = await run(Schedule(desk, same))
    assert schedule.cycles == 8 and "job_runs: the disk is full" in caplog.text


async def test_maintenance_that_fails_is_tried_again_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy() -> None:
        raise StoreError("the database is busy")

    monkeypatch.setattr(desk.writer, "checkpoint", busy)
    with caplog.at_level(logging.WARNING):
        await Schedule(desk, same)._maintain()
    assert "maintain: the database is busy" in caplog.text
    assert desk.reader.job_runs("db_checkpoint")["status"].tolist() == ["failed"]


async def test_maintenance_is_written_down(desk: Desk) -> None:
    await maintain.run(desk, START_MS)
    assert desk.reader.job_runs("db_checkpoint")["status"].tolist() == ["ok"]


async def test_alerts_leave_while_it_runs_and_those_of_the_last_cycle_before_it_ends(desk: Desk) -> None:
    messenger = Messenger(takes_s=0.02)
    desk.notifiers["console"] = messenger  # type: ignore[assignment]
    told_by: list[int] = []

    def on_cycle(now_ms: int, _reports: list[Report]) -> None:
        desk.writer.queue(note_rows(str(now_ms), f"minute {now_ms}", ["console"], now_ms))
        told_by.append(len(messenger.told))

    desk.market._step_ms = 3 * MINUTE_MS  # type: ignore[attr-defined]
    schedule = await run(Schedule(desk, same, on_cycle))
    assert len(messenger.told) == schedule.cycles == 40
    assert told_by[-1] > 0
    assert set(desk.reader.outbox()["state"]) == {"sent"}


async def test_a_slow_messenger_delays_no_cycle_and_is_not_cut_off_at_the_end(desk: Desk) -> None:
    messenger = Messenger(takes_s=2.0)
    desk.notifiers["console"] = messenger  # type: ignore[assignment]
    desk.writer.queue(note_rows("one", "a word", ["console"], START_MS))
    loop = asyncio.get_running_loop()
    times: list[float] = []
    schedule = await run(Schedule(desk, same, lambda _now_ms, _reports: times.append(loop.time())))
    assert schedule.cycles == 8 and messenger.told
    assert loop.time() - times[-1] >= 0.5, "the last cycle was over long before the message was out"
    assert desk.reader.outbox()["state"].tolist() == ["sent"]


async def test_what_cannot_be_delivered_in_time_waits_in_the_outbox(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.schedule.FINISH_SECONDS", 0.2)
    desk.notifiers["console"] = Messenger(takes_s=60.0)  # type: ignore[assignment]
    desk.writer.queue(note_rows("one", "a word", ["console"], START_MS))
    await run(Schedule(desk, same))
    assert desk.reader.outbox()["state"].tolist() == ["queued"]


async def test_a_messenger_that_cannot_be_reached_ends_nothing(desk: Desk) -> None:
    messenger = Messenger()
    messenger.failure = NotifierUnavailable("no network")
    desk.notifiers["console"] = messenger  # type: ignore[assignment]
    desk.writer.queue(note_rows("one", "a word", ["console"], START_MS))
    schedule = await run(Schedule(desk, same))
    assert schedule.cycles == 8 and desk.reader.outbox()["state"].tolist() == ["queued"]


async def test_each_cycle_works_with_the_desk_of_the_newest_configuration(desk: Desk) -> None:
    given: list[Desk] = []
    desk.setups = [EveryNth()]

    def refresh(before: Desk) -> Desk:
        given.append(before)
        return replace(before, setups=[], memory={}) if len(given) == 3 else before

    schedule = await run(Schedule(desk, refresh))
    assert len(given) == 8
    assert all(one is desk for one in given[:3]) and all(one is given[3] for one in given[3:])
    assert schedule.desk is given[3] is not desk
    signals = desk.reader.signals()
    assert len(signals) and (signals["decided_ms"] <= START_MS + 30 * MINUTE_MS).all()


class Live(ReplayMarket):
    """A market that follows the wall clock, as far as the schedule can tell."""

    live = True


@pytest.mark.parametrize(
    ("into_minute_ms", "wait_ms"), [(0, 3_000), (2_999, 1), (3_000, 60_000), (4_000, 59_000), (59_999, 3_001)]
)
async def test_a_live_market_is_looked_at_a_little_after_each_close(
    desk: Desk, into_minute_ms: int, wait_ms: int
) -> None:
    desk.market = Live(desk.market._tape, "fake")  # type: ignore[attr-defined]
    desk.market._now_ms = START_MS + into_minute_ms
    schedule = Schedule(desk, same)
    assert schedule._minutes.wait_s(desk) * 1000 == wait_ms
