"""The command retro-scan writes the same rows alone, with processes, and on a Dask cluster with two workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from core.adapters.markets.synthetic import make_tape
from core.clock import parse_time
from core.errors import TraderError
from core.jobs import _workers
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import ROOT, differences, record, trader, write_config

SYMBOLS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
DAYS = 400  # so that each symbol is several chunks
Record = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def configured(folder: Path, **compute: object) -> Path:
    return write_config(
        folder,
        {
            "exchange": {"id": "synthetic"},
            "symbols": SYMBOLS,
            "timeframes": ["15m", "1h", "4h"],
            "notify": {"console": False},
            "compute": compute or {"backend": "local", "jobs": 1},
        },
    )


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with candles, and nothing scanned yet."""
    path = tmp_path_factory.mktemp("candles") / "ohlcv.db"
    tape = make_tape("edge", SYMBOLS, parse_time("2023-06-01"), DAYS, 5, 0.7)
    with Writer(path) as writer:
        writer.put_instruments(list(tape.instruments("synthetic").values()))
        for symbol, one in tape.series.items():
            writer.put_candles("synthetic", symbol, "1m", one.candles, tape.end_ms)
            writer.set_frontier("synthetic", symbol, "1m", tape.end_ms)
        writer.checkpoint()
    return path


def scanned(folder: Path, candles: Path, *options: str, **compute: object) -> Record:
    """Return what a retro scan of those candles writes into a new database."""
    config = configured(folder, **compute)
    shutil.copy(candles, folder / "ohlcv.db")
    assert trader(config, "retro-scan", *options) == 0
    return record(folder / "ohlcv.db")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, candles: Path) -> Record:
    found = scanned(tmp_path_factory.mktemp("alone"), candles, "--jobs", "1")
    signals, trades, events = found
    assert len(signals) > 500 and len(events) > len(trades) == len(signals)
    assert trades["taken"].nunique() == 2 and trades["blocked_by"].nunique() > 2
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Dask cluster of two processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as made:
        yield made.scheduler_address


def assert_same(one: Record, other: Record) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert differences(mine, theirs) == []
        assert mine["key"].equals(theirs["key"])


def test_two_processes_write_what_one_writes(tmp_path: Path, candles: Path, alone: Record) -> None:
    assert_same(scanned(tmp_path, candles, "--jobs", "2"), alone)


def test_a_cluster_with_two_workers_writes_what_one_process_writes(
    tmp_path: Path, candles: Path, alone: Record, cluster: str
) -> None:
    assert_same(scanned(tmp_path, candles, "--cluster", cluster), alone)


def end_this_worker(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="ends a process by signal")
def test_a_cluster_whose_workers_die_is_told_in_one_line(cluster: str) -> None:
    tasks = [("x", k) for k in range(3)]
    with _workers.dask_cluster(cluster, 1) as workers, pytest.raises(TraderError, match="cluster gave up") as told:
        list(_workers.in_order(workers, end_this_worker, tasks))
    assert "\n" not in str(told.value)


def test_the_configuration_can_ask_for_a_cluster_of_this_machine(tmp_path: Path, candles: Path, alone: Record) -> None:
    assert_same(scanned(tmp_path, candles, backend="dask", jobs=2), alone)


@pytest.mark.skipif(sys.platform == "win32", reason="ends a process by signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_while_processes_compute_it_leaves_none_behind_and_goes_on_from_there(
    tmp_path: Path, candles: Path, alone: Record, number: signal.Signals
) -> None:
    config = configured(tmp_path)
    shutil.copy(candles, tmp_path / "ohlcv.db")
    command = [sys.executable, "retro_scan.py", "--config", str(config), "--jobs", "2"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        reader = Reader(tmp_path / "ohlcv.db")
        deadline = time.monotonic() + 60
        while not len(reader.signals(limit=1, columns=["id"])) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        if number == signal.SIGINT:
            assert process.returncode == 130 and "goes on from there" in told and "Traceback" not in told
        wait_until_gone(process.pid)
    stored = Reader(tmp_path / "ohlcv.db")
    assert len(stored.signals(columns=["id"])) == len(stored.trades(columns=["signal_id"]))
    assert trader(config, "retro-scan", "--jobs", "1") == 0
    assert_same(record(tmp_path / "ohlcv.db"), alone)


def wait_until_gone(group: int) -> None:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlived the scan")
