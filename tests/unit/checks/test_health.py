"""Is the engine alive and well: answered from files alone, quickly, whether it runs, ended or died."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from core.checks import health as checks
from core.checks.health import HealthRequest, Verdict, check_health
from core.cli import main
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, wall_now_ms
from core.config import load_config
from core.errors import DiskError, StoreError
from core.jobs._announce import note_rows
from core.jobs.cycle import STAGES
from core.store.heartbeat import Heartbeat, heartbeat_path, read_heartbeat, write_heartbeat
from core.store.lock import lock_path
from core.store.vitals import LAST_STAGE, read_vitals
from core.store.writer import Writer
from tests.desks import BTC, ETH
from tests.engine import ROOT, write_config
from tests.factories import START_MS
from tests.unit.checks.closed import closed_to_all

NOW = START_MS + 10 * DAY_MS
BEAT = Heartbeat(os.getpid(), socket.gethostname(), "0.1.0", "fake", "live", NOW - 20_000, NOW - 19_000, 77, 38, 180.0)
HEAVY = ("numpy", "pandas", "numba", "ccxt", "xgboost", "sklearn", "apscheduler", "telegram", "httpx", "core.app")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A database of an engine that is well."""
    path = tmp_path / "ohlcv.db"
    with Writer(path) as writer:
        for symbol in (BTC, ETH):
            writer.set_frontier("fake", symbol, "1m", NOW - MINUTE_MS)
        for name in ("incremental_sync", "scan_signals"):
            writer.put_job_run(name, NOW - MINUTE_MS, NOW - MINUTE_MS + 30, "ok", f"{name}: nothing to do")
    write_heartbeat(heartbeat_path(path), BEAT)
    yield path


def asked(path: Path) -> HealthRequest:
    return HealthRequest(path, (BTC, ETH), channels=("console",))


def wrong(path: Path, now_ms: int = NOW) -> dict[str, str]:
    return {found.name: found.told for found in check_health(asked(path), now_ms).findings if not found.ok}


def test_an_engine_that_is_well_is_found_well(path: Path) -> None:
    verdict = check_health(asked(path), NOW)
    assert verdict.is_well and wrong(path) == {}
    assert [found.name for found in verdict.findings] == [
        *("engine", "candles", "jobs", "messages", "write-ahead log", "disk"),
    ]
    assert verdict.lines()[0] == (
        f"ok  engine: cycle 77 of 2024-01-10 23:59 UTC ended 20 s ago, took 38 ms "
        f"(live on fake, version 0.1.0, process {os.getpid()})"
    )


def test_one_that_never_ran_is_told_plainly(tmp_path: Path) -> None:
    verdict = check_health(asked(tmp_path / "none" / "ohlcv.db"), NOW)
    assert not verdict.is_well and verdict.heartbeat is None
    assert verdict.lines()[0].startswith("WRONG  engine: it has never run on this database; start it: `python sche")
    assert not (tmp_path / "none").exists()


def test_one_whose_first_cycle_is_under_way_is_not_to_be_started_again(path: Path) -> None:
    with FileLock(lock_path(path)):
        heartbeat_path(path).unlink()
        assert wrong(path)["engine"] == "its first cycle is under way"
        for before in (replace(BEAT, state="ended"), replace(BEAT, pid=2**22 + 1)):
            write_heartbeat(heartbeat_path(path), before)
            assert wrong(path)["engine"].startswith("its first cycle is under way; before that: cycle 77 of 2024-01-10")
        write_heartbeat(heartbeat_path(path), BEAT)
        assert wrong(path) == {}


def test_a_folder_that_nobody_may_look_into_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_to_all(monkeypatch, tmp_path)
    config = write_config(tmp_path.parent / "home", {"app": {"db_path": str(tmp_path / "ohlcv.db")}})
    assert load_config(config, {}).app.db_path == tmp_path / "ohlcv.db"
    lock = tmp_path / "ohlcv.db.lock"
    assert wrong(tmp_path / "ohlcv.db")["engine"] == f"{lock}: Permission denied; check permissions and the disk"


@pytest.mark.parametrize("age_ms", [181_000, HOUR_MS, 30 * DAY_MS])
def test_one_that_stands_still_is_found_by_the_age_of_its_last_cycle(path: Path, age_ms: int) -> None:
    write_heartbeat(heartbeat_path(path), replace(BEAT, machine_ms=NOW - age_ms))
    assert wrong(path)["engine"].startswith("it stands still: cycle 77")
    write_heartbeat(heartbeat_path(path), replace(BEAT, machine_ms=NOW - 179_000))
    assert "engine" not in wrong(path)


def test_one_that_ended_in_order_and_one_that_died_are_told_apart(path: Path) -> None:
    write_heartbeat(heartbeat_path(path), replace(BEAT, state="ended"))
    assert wrong(path)["engine"].startswith("it was ended in order 20 s ago; start it")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_heartbeat(heartbeat_path(path), replace(BEAT, pid=gone.pid))
    if os.name != "nt":
        assert wrong(path)["engine"].startswith(f"its process {gone.pid} is gone; cycle 77")
    # A process of another container has a number that says nothing here.
    write_heartbeat(heartbeat_path(path), replace(BEAT, pid=gone.pid, host="elsewhere"))
    assert "engine" not in wrong(path)


def test_a_clock_that_was_set_back_is_no_standstill(path: Path) -> None:
    assert "engine" not in wrong(path, NOW - 5 * HOUR_MS)


def test_a_tape_s_time_stands_still_between_its_cycles(path: Path) -> None:
    write_heartbeat(heartbeat_path(path), replace(BEAT, mode="replay", machine_ms=NOW + DAY_MS, limit_s=1_800.0))
    assert wrong(path, NOW + DAY_MS + 1_000_000) == {}


def test_candles_that_are_late_are_found(path: Path) -> None:
    with Writer(path) as writer:
        writer.set_frontier("fake", ETH, "1m", NOW - HOUR_MS)
    assert wrong(path)["candles"] == f"1 of 2 symbols are late; {ETH} is 1h 0m behind".replace(" 0m", "")
    with Writer(path) as writer:
        writer.set_symbol_off("fake", ETH, "delisted", NOW)
    assert wrong(path) == {}


def test_a_job_that_fails_again_and_again_is_found_once_is_not(path: Path) -> None:
    with Writer(path) as writer:
        for k in range(3):
            assert wrong(path) == {}
            writer.put_job_run("incremental_sync", NOW + k, NOW + k, "failed", "incremental_sync: no answer")
    assert wrong(path) == {
        "jobs": "incremental_sync failed 3 times in a row; the last time: incremental_sync: no answer"
    }


def test_messages_that_wait_too_long_are_found_where_somebody_is_to_get_them(path: Path) -> None:
    with Writer(path) as writer:
        writer.queue(note_rows("one", "a word", ["console", "pigeon"], NOW - HOUR_MS))
        assert wrong(path)["messages"].startswith("1 wait, the oldest since 2024-01-10 23:00 UTC")
        writer.mark_outbox(1, "sent", NOW)
    assert wrong(path) == {}


def test_a_log_that_grows_and_a_disk_that_is_full_are_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Writer(path) as writer:
        writer.set_meta("a", "b")
        with (path.parent / "ohlcv.db-wal").open("r+b") as log:
            log.truncate(65_000_000)
        assert wrong(path) == {"write-ahead log": "65.0 MB, 64 MB at most"}
        monkeypatch.setattr(checks, "LEAST_FREE_BYTES", 10**18)
        assert "GB free" in wrong(path)["disk"]


def test_a_file_that_is_no_database_is_told(path: Path) -> None:
    for other in path.parent.glob("ohlcv.db*"):
        if "heartbeat" not in other.name:
            other.unlink()
    path.write_bytes(b"no database at all" * 1_000)
    assert f"database {path}: not an SQLite database; move it away" in wrong(path)["database"]
    with pytest.raises(StoreError):
        read_vitals(path, "fake", "1m", (), 0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; bring it up to date with `python init_db.py`"),
        (b"hello, world", "not an SQLite database; move it away and run `python init_db.py`"),
    ],
)
def test_a_file_without_our_tables_is_told_with_what_to_do(path: Path, content: bytes, told: str) -> None:
    for other in path.parent.glob("ohlcv.db-*"):
        other.unlink()
    path.write_bytes(content)
    assert wrong(path)["database"] == f"database {path}: {told}"
    path.unlink()
    assert wrong(path)["database"] == f"database {path} does not exist; create it with `python init_db.py`"


def test_a_database_of_a_newer_schema_is_told(path: Path) -> None:
    with Writer(path) as writer:
        writer._connection.pragma("user_version", 99)
    assert "schema 99 is newer" in wrong(path)["database"]


def test_a_cycle_is_over_with_the_last_of_its_stages(path: Path) -> None:
    assert STAGES[-1][0] == LAST_STAGE
    with Writer(path) as writer:
        for k, (name, _) in enumerate(STAGES):
            writer.put_job_run(name, NOW + k, NOW + k, "ok", "")
    facts = read_vitals(path, "fake", "1m", (), NOW + HOUR_MS, [BTC])
    assert facts.last_cycle_ms == NOW + len(STAGES) - 1
    assert (list(facts.frontiers), facts.off) == ([BTC], {})


def test_it_reads_while_the_engine_holds_a_transaction_open(path: Path) -> None:
    with Writer(path) as writer, writer.transaction():
        writer.set_meta("a", "b")
        assert wrong(path) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "\x00" * 50])
def test_a_heartbeat_that_cannot_be_read_is_none(path: Path, text: str) -> None:
    heartbeat_path(path).write_text(text)
    assert read_heartbeat(heartbeat_path(path)) is None
    assert "engine" in wrong(path)


def test_a_heartbeat_is_replaced_whole_and_says_where_it_cannot_be_written(tmp_path: Path) -> None:
    target = heartbeat_path(tmp_path / "ohlcv.db")
    for cycle in range(5):
        write_heartbeat(target, replace(BEAT, cycle=cycle, failing=("a", "b")))
    assert read_heartbeat(target) == replace(BEAT, cycle=4, failing=("a", "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["ohlcv.db.heartbeat.json"]
    with pytest.raises(DiskError, match="the heartbeat cannot be written"):
        write_heartbeat(tmp_path / "none" / "x.json", BEAT)


def test_as_json_it_says_the_same(path: Path) -> None:
    verdict: Verdict = check_health(asked(path), NOW)
    values = json.loads(json.dumps(verdict.values()))
    assert values["ok"] is True and values["heartbeat"]["cycle"] == 77
    assert [found["name"] for found in values["findings"]] == [found.name for found in verdict.findings]


def test_the_command_imports_nothing_heavy_and_ends_with_0_or_1(path: Path) -> None:
    config = write_config(path.parent, {"symbols": [BTC], "notify": {"console": True}})
    now_ms = wall_now_ms()
    with Writer(path) as writer:
        writer.set_frontier("fake", BTC, "1m", now_ms - MINUTE_MS)
    probe = (
        "import sys\nfrom core.cli import main\ncode = main(sys.argv[1:])\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(code)"
    )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", probe, "health", "--config", str(config), *options]
        return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60)

    write_heartbeat(heartbeat_path(path), replace(BEAT, machine_ms=now_ms, market_ms=now_ms))
    done = run()
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY []" and done.stderr == ""
    heartbeat_path(path).unlink()
    done = run("--json")
    assert done.returncode == 1 and json.loads(done.stdout.partition("HEAVY")[0])["ok"] is False


def test_a_configuration_that_cannot_be_used_is_a_finding(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(path.parent, {"risk": {"max_leverage": "many"}})
    told = "config.yaml:"
    assert main(["health", "--config", str(config)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"WRONG  configuration: {told}") and "risk.max_leverage = many: expected a num" in out
    assert (out.count("\n"), err) == (1, "")
    assert main(["health", "--config", str(config), "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert (values["ok"], values["heartbeat"]) == (False, None)
    ((name, is_ok, seen),) = [tuple(found.values()) for found in values["findings"]]
    assert (name, is_ok) == ("configuration", False) and seen.startswith(told)
