"""The process as a supervisor meets it: how it ends, when it is ended, who else may run, and what health says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from core.store.heartbeat import Heartbeat, heartbeat_path, read_heartbeat
from core.store.reader import Reader
from tests.desks import BTC
from tests.engine import ROOT, write_config

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process cannot be told gently there")

# The engine with a market that hangs, as `python scheduler_run.py` runs it.
CHILD = """
import sys
from core import app
from core.cli import main
from tests.live_markets import LiveMarket
hangs, hangs_from, code = sys.argv[1], int(sys.argv[2]), sys.argv[3]
app.open_market = lambda _config, _reader: LiveMarket(pause_ms=50, hangs=hangs, hangs_from=hangs_from)
exec(code)
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, {"symbols": [BTC], "notify": {"console": False}, "auto": {"enabled": False}})


class Engine:
    """A child process that runs the engine until it is ended."""

    def __init__(self, config: Path, hangs: str = "", hangs_from: int = 1, code: str = "") -> None:
        command = [sys.executable, "-c", CHILD, hangs, str(hangs_from), code, "run", "--config", str(config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.path = heartbeat_path(config.parent / "ohlcv.db")

    def beat(self, cycle: int = 1, seconds: float = 60.0) -> Heartbeat:
        """Wait for a cycle."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            beat = read_heartbeat(self.path)
            if beat is not None and beat.pid == self.process.pid and beat.cycle >= cycle:
                return beat
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        raise AssertionError("no cycle ended")

    def ended(self, seconds: float = 60.0) -> tuple[int, str]:
        """Wait for the end; return exit code and what was logged."""
        _, told = self.process.communicate(timeout=seconds)
        return self.process.returncode, told

    def told_to_end(self) -> tuple[int, str, float]:
        """Tell it to end; return exit code, what was logged, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code, told = self.ended()
        return code, told, time.monotonic() - began


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    started: list[Engine] = []
    yield started
    for engine in started:
        if engine.process.poll() is None:
            engine.process.kill()
        engine.process.communicate()


def health(config: Path) -> tuple[int, dict[str, str]]:
    command = [sys.executable, "-m", "core", "health", "--json", "--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, {one["name"]: one["told"] for one in json.loads(done.stdout)["findings"]}


def test_told_to_end_between_cycles_it_ends_with_0_and_health_says_so(config: Path, engines: list[Engine]) -> None:
    engines.append(Engine(config))
    engines[0].beat(3)
    assert health(config)[1]["engine"].startswith("cycle ")
    code, told, took_s = engines[0].told_to_end()
    assert code == 0 and took_s < 10.0, told
    assert not (config.parent / "ohlcv.db.pid").exists()
    code, found = health(config)
    assert code == 1 and found["engine"].startswith("it was ended in order")


def test_told_to_end_while_a_stage_waits_for_ever_it_ends_with_0_within_ten_seconds(
    config: Path, engines: list[Engine]
) -> None:
    engines.append(Engine(config, "waits", 3))
    engines[0].beat(1)
    time.sleep(2.0)
    code, told, took_s = engines[0].told_to_end()
    assert code == 0 and took_s < 10.0, told
    assert "Traceback" not in told and "the stage that runs does not end; it is taken back" in told
    last = Reader(config.parent / "ohlcv.db").job_runs("incremental_sync", limit=1)
    assert last["detail"].tolist() == ["incremental_sync: the process was ended"]


def test_told_to_end_while_another_process_holds_the_database_it_ends_with_0_within_ten_seconds(
    config: Path, engines: list[Engine]
) -> None:
    engines.append(Engine(config))
    engines[0].beat(3)
    other = apsw.Connection(str(config.parent / "ohlcv.db"))
    other.execute("BEGIN IMMEDIATE")
    time.sleep(3.0)  # it waits for the lock by now
    code, told, took_s = engines[0].told_to_end()
    other.execute("ROLLBACK")
    other.close()
    assert code == 0 and took_s < 10.0, told
    assert "locked by another process" in told and "Traceback" not in told


def test_told_to_end_while_a_thread_of_somebody_hangs_it_ends_with_0_within_ten_seconds(
    config: Path, engines: list[Engine]
) -> None:
    code = (
        "import asyncio, time\n"
        "async def hangs(self): await asyncio.to_thread(time.sleep, 3600)\n"
        "LiveMarket._answer = hangs\n"
    )
    engines.append(Engine(config, "", 1, code))
    time.sleep(6.0)
    assert engines[0].process.poll() is None
    ended, told, took_s = engines[0].told_to_end()
    assert ended == 0 and took_s < 10.0, told


def test_an_engine_whose_loop_is_blocked_ends_with_70_and_can_be_started_again(
    config: Path, engines: list[Engine]
) -> None:
    text = config.read_text("utf-8")
    assert "watchdog_minutes: 3" in text
    config.write_text(text.replace("watchdog_minutes: 3", "watchdog_minutes: 0.15"), "utf-8")
    engines.append(Engine(config, "blocks", 4))
    engines[0].beat(1)
    code, told = engines[0].ended()
    assert code == 70, told
    assert "no cycle has finished for" in told and "_answer" in told, "the stack of who hangs is logged"
    assert "the process ends with exit code 70" in (config.parent / "logs" / "trader.log").read_text("utf-8")
    assert health(config)[1]["engine"].startswith("its process ")
    engines.append(Engine(config))
    engines[1].beat(2)
    assert engines[1].told_to_end()[0] == 0


def test_an_engine_that_waits_for_ever_in_each_stage_goes_on_by_its_limits(config: Path, engines: list[Engine]) -> None:
    code = "from core.jobs import cycle\ncycle.LIMITS_S['incremental_sync'] = 0.3\n"
    engines.append(Engine(config, "waits", 1, code))
    engines[0].beat(3)
    assert engines[0].told_to_end()[0] == 0
    runs = Reader(config.parent / "ohlcv.db").job_runs("incremental_sync")
    assert "given up after 0.3 s, its limit" in runs["detail"].iloc[-1]


def test_a_mistake_in_every_cycle_ends_it_with_1_and_one_line(config: Path, engines: list[Engine]) -> None:
    code = (
        "from core.jobs import cycle\n"
        "async def broken(desk, now_ms): return 1 / 0\n"
        "cycle.STAGES = (('resample', broken), *cycle.STAGES)\n"
    )
    engines.append(Engine(config, "", 1, code))
    ended, told = engines[0].ended()
    assert ended == 1 and read_heartbeat(engines[0].path) is not None
    line = told.splitlines()[-1]
    assert line == "error: 5 cycles in a row were broken (unexpected ZeroDivisionError: division by zero); see the log"
    assert told.count("Traceback") == 1, "the same complaint is shown once"


def test_a_second_scheduler_ends_with_3_and_names_the_first_while_other_commands_may_run(
    config: Path, engines: list[Engine]
) -> None:
    engines.append(Engine(config))
    engines[0].beat(1)
    engines.append(Engine(config))
    code, told = engines[1].ended()
    assert code == 3
    assert told.splitlines()[-1] == (
        f"error: {config.parent / 'ohlcv.db'}: another scheduler (pid {engines[0].process.pid}) is running on this "
        "database; end it first"
    )
    for command in (("db-inspect",), ("symbols", "list")):
        arguments = [sys.executable, "-m", "core", command[0], "--config", str(config), *command[1:]]
        assert subprocess.run(arguments, cwd=ROOT, capture_output=True, timeout=120).returncode == 0
    before = engines[0].beat(1).cycle
    engines[0].beat(before + 5)
    assert engines[0].told_to_end()[0] == 0


def test_told_to_end_while_the_loop_is_blocked_it_is_ended_within_ten_seconds_too(
    config: Path, engines: list[Engine]
) -> None:
    engines.append(Engine(config, "blocks", 4))
    engines[0].beat(1)
    time.sleep(2.0)
    code, told, took_s = engines[0].told_to_end()
    assert code == 70 and took_s < 11.0, told
    assert "it was asked to end and did not" in told
