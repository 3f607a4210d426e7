"""A job that fails is written down, told of once, and ends no other."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.errors import MarketUnavailable, StoreError
from core.jobs._aside import Aside
from core.jobs._desk import Desk, Report
from core.jobs._isolation import Broken, Failures, guarded
from tests.desks import StoppedClock, open_desk
from tests.factories import START_MS

TOKEN = "123456789:AAHfiqksKZ8WmR2zSjiQ7_v4TMAKdiHm9T0"
GOOD = Report("job")
BAD = Report("job", ok=False, problems=("no answer",))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    change = {"notify": {"telegram": {"bot_token": TOKEN}}}
    opened = open_desk(tmp_path, StoppedClock(START_MS), change, setups=[])
    opened.notifiers = {"console": object(), "telegram": object()}  # type: ignore[dict-item]
    yield opened
    opened.writer.close()


async def returns(report: Report, after_s: float = 0.0) -> Report:
    if after_s:
        await asyncio.sleep(after_s)
    return report


async def fails(error: BaseException) -> Report:
    raise error


def told(desk: Desk, channel: str = "console") -> list[str]:
    rows = desk.reader.outbox()
    return [json.loads(payload)["text"] for payload in rows.loc[rows["channel"] == channel, "payload"]]


async def test_work_that_ends_well_is_its_own_report(desk: Desk) -> None:
    assert await guarded(desk, "job", returns(GOOD), 10.0) is GOOD


async def test_a_named_failure_is_a_report_with_its_exit_code(desk: Desk) -> None:
    report = await guarded(desk, "job", fails(MarketUnavailable("no answer")))
    assert (report.ok, report.problems, report.exit_code) == (False, ("no answer",), 7)
    assert not isinstance(report, Broken)


async def test_a_mistake_is_a_report_and_its_traceback_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    report = await guarded(desk, "job", fails(KeyError("a\nb")))
    assert isinstance(report, Broken) and not report.ok
    assert report.problems == ("unexpected KeyError: 'a\\nb'",)
    assert any(record.exc_info for record in caplog.records)


async def test_work_over_its_limit_is_cancelled_and_says_so(desk: Desk) -> None:
    report = await guarded(desk, "job", returns(GOOD, 30.0), 0.05)
    assert not report.ok and report.problems == ("given up after 0.05 s, its limit; due again next time",)


async def test_a_timeout_of_the_work_s_own_is_not_taken_for_the_limit(desk: Desk) -> None:
    report = await guarded(desk, "job", fails(TimeoutError("a socket's")), 30.0)
    assert isinstance(report, Broken) and "a socket's" in report.problems[0]


async def test_work_that_cannot_be_interrupted_ends_well_and_says_how_long_it_took(desk: Desk) -> None:
    async def computes() -> Report:
        until = asyncio.get_running_loop().time() + 0.15
        while asyncio.get_running_loop().time() < until:
            pass
        return Report("job", counts={"rows": 3})

    report = await guarded(desk, "job", computes(), 0.05)
    assert report.ok and report.counts == {"rows": 3}
    assert report.problems == ("took 0 s; its limit is 0.05 s",)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_an_end_that_was_asked_for_goes_through(desk: Desk, end: type[BaseException]) -> None:
    async def raises() -> None:
        try:
            await guarded(desk, "job", fails(end()))
        except end:
            raise StoreError("it came through") from None

    with pytest.raises(StoreError, match="it came through"):
        await raises()


def test_three_failures_in_a_row_are_told_once_to_everybody_and_the_recovery_once(desk: Desk) -> None:
    failures = Failures()
    for k in range(2):
        failures.note(desk, "sync", BAD, START_MS + k * MINUTE_MS)
    assert told(desk) == [] and failures.failing == ()
    for k in range(2, 50):
        failures.note(desk, "sync", BAD, START_MS + k * MINUTE_MS)
    assert failures.failing == ("sync",)
    for k in range(50, 60):
        failures.note(desk, "sync", GOOD, START_MS + k * MINUTE_MS)
    words = ["sync failed 3 times in a row: no answer. The rest goes on; look at the log.", "sync works again."]
    assert told(desk) == words == told(desk, "telegram")
    assert failures.failing == ()


def test_failures_that_are_not_in_a_row_are_not_told(desk: Desk) -> None:
    failures = Failures()
    for k in range(30):
        failures.note(desk, "sync", GOOD if k % 3 == 2 else BAD, START_MS + k * MINUTE_MS)
        failures.note(desk, "other", BAD if k % 3 == 2 else GOOD, START_MS + k * MINUTE_MS)
    assert told(desk) == []


def test_a_job_that_comes_and_goes_is_told_of_at_most_once_an_hour(desk: Desk) -> None:
    failures = Failures()
    for k in range(3 * 60):
        failures.note(desk, "sync", GOOD if k % 4 == 3 else BAD, START_MS + k * MINUTE_MS)
    assert len(told(desk)) == 6


def test_a_process_that_starts_again_and_again_does_not_tell_it_again(desk: Desk) -> None:
    for start in range(5):
        failures = Failures()
        for k in range(4):
            failures.note(desk, "sync", BAD, START_MS + start * HOUR_MS + k * MINUTE_MS)
    assert len(told(desk)) == 1
    Failures().note(desk, "sync", GOOD, START_MS + 6 * HOUR_MS)
    assert told(desk)[1:] == ["sync works again."]


def test_what_is_told_holds_no_secret(desk: Desk) -> None:
    failures = Failures()
    for k in range(3):
        failures.note(desk, "alert", Report("alert", ok=False, problems=(f"POST /bot{TOKEN}/x",)), START_MS + k)
    assert TOKEN not in "".join(desk.reader.outbox()["payload"]) and "[redacted]" in told(desk)[0]


def test_a_store_that_cannot_be_asked_ends_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def meta(self, *_: object) -> str:
            raise StoreError("the disk is full")

    whole, desk.reader = desk.reader, Full()  # type: ignore[assignment]
    failures = Failures()
    for k in range(4):
        failures.note(desk, "sync", BAD, START_MS + k)
    assert "could not be told (the disk is full)" in caplog.text
    desk.reader = whole
    failures.note(desk, "sync", BAD, START_MS + 4)
    assert len(told(desk)) == 1


# -- beside the minute


@pytest.fixture
def missed() -> Counter[str]:
    return Counter()


@pytest.fixture
def aside(missed: Counter[str]) -> Aside:
    return Aside(Failures(), missed)


def rows(desk: Desk, job: str = "alert") -> list[tuple[str, str]]:
    found = desk.reader.job_runs(job)
    return list(zip(found["status"], found["detail"], strict=True))[::-1]


async def test_a_run_is_written_down_where_it_did_something_or_failed(desk: Desk, aside: Aside) -> None:
    async def run(report: Report) -> None:
        await aside.run(desk, "alert", lambda _desk, _now_ms: returns(report))

    await run(Report("alert"))
    await run(Report("alert", counts={"sent": 0, "waiting": 4}))
    assert rows(desk) == []
    await run(Report("alert", counts={"sent": 2, "waiting": 4}))
    await run(Report("alert", ok=False, problems=(f"refused: {TOKEN}",)))
    await run(Report("alert", ok=False, problems=("once more within the minute",)))
    assert rows(desk) == [
        ("ok", "alert: sent 2, waiting 4"),
        ("failed", "alert: nothing to do; refused: [redacted]"),
    ]


async def test_a_job_that_writes_its_own_rows_gets_one_only_for_a_mistake(desk: Desk, aside: Aside) -> None:
    for report in (Report("maintain", counts={"pages": 3}), Report("maintain", ok=False)):
        await aside.run(desk, "maintain", lambda _desk, _now_ms, given=report: returns(given), keeps_record=True)
    assert rows(desk, "maintain") == []
    await aside.run(desk, "maintain", lambda _desk, _now_ms: fails(ZeroDivisionError("x")), keeps_record=True)
    assert rows(desk, "maintain") == [("failed", "maintain: nothing to do; unexpected ZeroDivisionError: x")]


async def test_runs_that_were_left_out_are_written_down_with_the_one_that_was_in_the_way(
    desk: Desk, aside: Aside, missed: Counter[str]
) -> None:
    missed["alert"] = 7
    await aside.run(desk, "alert", lambda _desk, _now_ms: returns(Report("alert")))
    await aside.run(desk, "alert", lambda _desk, _now_ms: returns(Report("alert")))
    assert rows(desk) == [("ok", "alert: nothing to do; 7 runs left out meanwhile")]


async def test_a_mistake_of_one_job_reaches_no_other(desk: Desk, aside: Aside) -> None:
    done: list[str] = []

    async def works(_desk: Desk, _now_ms: int) -> Report:
        await asyncio.sleep(0.01)
        done.append("worked")
        return Report("summary")

    await asyncio.gather(
        aside.run(desk, "converse", lambda _desk, _now_ms: fails(RuntimeError("broken"))),
        aside.run(desk, "summary", works),
    )
    assert done == ["worked"]
    assert rows(desk, "converse")[0][0] == "failed"


async def test_a_job_runs_once_at_a_time_and_the_end_takes_back_what_runs(desk: Desk, aside: Aside) -> None:
    began: list[int] = []

    async def hangs(_desk: Desk, _now_ms: int) -> Report:
        began.append(1)
        await asyncio.sleep(3_600)
        return GOOD

    tasks = [asyncio.create_task(aside.run(desk, "alert", hangs)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert len(began) == 1 and aside.is_running("alert") and not aside.is_running("converse")
    await aside.end(5.0)
    assert all(task.cancelled() for task in tasks) and len(began) == 1
    assert not aside.is_running("alert")
