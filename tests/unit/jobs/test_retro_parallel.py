"""A stretch is plain data, its result the same wherever it was computed, and results come in the order of tasks."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import HOUR_MS
from core.errors import ConfigError, TraderError
from core.jobs import _workers, resample, retro
from core.jobs._desk import Desk
from core.jobs._fill import Filled, Stretch, fill
from core.jobs._hearing import Hearing
from tests.desks import BTC, ETH, feed, minutes, open_desk, same_candles, without
from tests.engine import differences, record
from tests.factories import START_MS

CANDLES = {BTC: without(minutes(30), 100, 101, 700), ETH: minutes(30, seed=9)}
END = START_MS + 30 * HOUR_MS
ALL = {"start_ms": 0, "end_ms": 2**62, "symbols": [BTC, ETH], "timeframes": ["5m", "15m"]}


def filled_desk(folder: Path, change: dict[str, Any] | None = None) -> Desk:
    """Return a desk whose store holds candles and nothing decided."""
    desk = open_desk(folder, change={"symbols": [BTC, ETH], **(change or {})})
    for symbol, candles in CANDLES.items():
        feed(desk, candles, END, symbol)
    asyncio.run(resample.run(desk, END))
    return desk


def scan(folder: Path, change: dict[str, Any] | None = None, **asked: Any) -> tuple[pd.DataFrame, ...]:
    """Return the record of a retro scan in a new store."""
    desk = filled_desk(folder, change)
    report = asyncio.run(retro.run(desk, END, retro.RetroRequest(**{**ALL, **asked})))
    desk.writer.close()
    assert report.ok and report.counts["signals"] > 200
    return record(folder / "ohlcv.db")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, ...]:
    return scan(tmp_path_factory.mktemp("whole"), jobs=1)


def stretches(folder: Path) -> Iterator[Stretch]:
    desk = filled_desk(folder)
    request = retro.RetroRequest(**ALL)
    for symbol in request.symbols:
        one = retro._Fill(desk, symbol, request, END, Hearing(desk, ""))
        yield from (one.stretch(chunk) for chunk in one.chunks)
    desk.writer.close()


def assert_same(one: tuple[pd.DataFrame, ...], other: tuple[pd.DataFrame, ...]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert differences(mine, theirs) == []


@pytest.mark.parametrize("chunk_hours", [5, 1_000])
def test_two_processes_write_the_rows_that_one_writes_under_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[pd.DataFrame, ...], chunk_hours: int
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", chunk_hours * HOUR_MS)
    two = scan(tmp_path / "two", jobs=2)
    assert_same(two, whole)
    assert_same(scan(tmp_path / "one", jobs=1), two)
    for mine, theirs in zip(record(tmp_path / "one" / "ohlcv.db"), two, strict=True):
        assert mine.equals(theirs)


def test_a_stretch_survives_a_journey_and_gives_the_same_frames_twice(tmp_path: Path) -> None:
    for stretch in stretches(tmp_path):
        there = pickle.loads(pickle.dumps(stretch))
        assert same_candles(there.run.candles, stretch.run.candles)
        assert not there.run.candles.close.flags.writeable and not there.series[0].candles.close.flags.writeable
        before, after, again = fill(stretch), fill(there), fill(stretch)
        for name in ("signals", "trades", "events"):
            pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))
            pd.testing.assert_frame_equal(getattr(before, name), getattr(again, name))
        np.testing.assert_array_equal(before.vectors, after.vectors)
        np.testing.assert_array_equal(before.vectors, again.vectors)
        assert before.closes == after.closes > 0 and len(before.signals) > 50


def test_trades_and_events_of_a_stretch_lie_in_the_order_of_its_candidates(tmp_path: Path) -> None:
    for filled in map(fill, stretches(tmp_path)):
        assert isinstance(filled, Filled)
        assert filled.signals["id"].tolist() == [-1 - k for k in range(len(filled.signals))]
        assert filled.signals["id"].tolist() == filled.trades["signal_id"].tolist()
        expected = filled.trades["signal_id"].repeat(filled.trades["n_events"]).tolist()
        assert filled.events["signal_id"].tolist() == expected


def slow_first(k: int) -> int:
    time.sleep(0.3 if k == 0 else 0.0)
    return k * k


def test_results_come_in_the_order_of_tasks_and_only_so_many_are_under_way() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[tuple[str, int]]:
        for k in range(9):
            taken.append(k)
            yield str(k), k

    got = []
    with _workers.processes(2) as workers:
        for label, result in _workers.in_order(workers, slow_first, tasks()):
            got.append((label, result))
            assert len(taken) - len(got) < 2 * _workers.AHEAD
    assert got == [(str(k), k * k) for k in range(9)]


def test_alone_a_task_is_made_only_when_the_one_before_is_done() -> None:
    happened: list[str] = []

    def tasks() -> Iterator[tuple[int, int]]:
        for k in range(3):
            happened.append(f"made {k}")
            yield k, k

    def work(k: int) -> int:
        happened.append(f"done {k}")
        return k

    with _workers.alone() as workers:
        assert [result for _, result in _workers.in_order(workers, work, tasks())] == [0, 1, 2]
    assert happened == [f"{what} {k}" for k in range(3) for what in ("made", "done")]


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_: int) -> None:
    raise TraderError("this cannot be done")


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by signal")
def test_a_worker_that_dies_is_told_in_one_line() -> None:
    with _workers.processes(2) as workers, pytest.raises(TraderError, match="a worker process ended") as told:
        list(_workers.in_order(workers, die, [("x", k) for k in range(3)]))
    assert "\n" not in str(told.value)


def test_what_a_task_raises_arrives() -> None:
    with _workers.processes(1) as workers, pytest.raises(TraderError, match=r"^this cannot be done$"):
        list(_workers.in_order(workers, refuse, [("x", 1)]))


def test_a_scan_whose_worker_dies_keeps_what_was_written_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[pd.DataFrame, ...]
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 6 * HOUR_MS)
    desk = filled_desk(tmp_path)

    def progress(done: int, _total: int, _symbol: str) -> None:
        if done >= 12 * 60:
            raise TraderError("a worker process ended")

    with pytest.raises(TraderError):
        asyncio.run(retro.run(desk, END, retro.RetroRequest(**ALL, jobs=2), progress))
    stored = desk.reader.signals()
    assert 0 < len(stored) < len(whole[0])
    assert len(desk.reader.trades()) == len(desk.reader.decisions()) == len(stored)
    desk.memory.clear()
    asyncio.run(retro.run(desk, END, retro.RetroRequest(**ALL, jobs=2)))
    desk.writer.close()
    assert_same(record(tmp_path / "ohlcv.db"), whole)


@pytest.mark.parametrize(
    ("asked", "compute", "minutes", "expected"),
    [
        ({"jobs": 3}, {"backend": "local", "jobs": 2}, 10, 3),
        ({}, {"backend": "local", "jobs": 2}, 10, 0),
        ({}, {"backend": "local", "jobs": 4}, 3 * retro.WORTH_A_PROCESS, 3),
        ({}, {"backend": "local", "jobs": 2}, 9 * retro.WORTH_A_PROCESS, 2),
        ({"jobs": 1}, {"backend": "dask", "jobs": 2}, 10, 0),
    ],
)
def test_as_many_processes_are_used_as_are_asked_for_or_worth_it(
    tmp_path: Path, asked: dict[str, int], compute: dict[str, Any], minutes: int, expected: int
) -> None:
    desk = open_desk(tmp_path, change={"compute": compute})
    with retro._computed_by(desk, retro.RetroRequest(**ALL, **asked), minutes) as workers:
        assert workers.count == expected
    desk.writer.close()


def test_a_cluster_nobody_answers_at_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "_ANSWER_S", 0.5)
    with (
        pytest.raises(TraderError, match=r"^Dask cluster tcp://127.0.0.1:1: ") as told,
        _workers.dask_cluster("tcp://127.0.0.1:1", 1),
    ):
        pass
    assert "\n" not in str(told.value)


def test_without_dask_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="pip install dask distributed"), _workers.dask_cluster("", 1):
        pass


def test_a_worker_with_another_version_of_the_engine_is_refused() -> None:
    assert _workers._same_engine(_workers.engine_digest(), abs, -3) == 3
    with pytest.raises(TraderError, match="another version of this engine"):
        _workers._same_engine("0" * 16, abs, -3)
