"""Whatever is wrong outside the engine ends in one line, the right exit code, and a database that is sound.

Commands run as a user runs them: in this process where that is enough, in one of their own where signals, limits or
another user's rights matter. What has to wait long runs beside the other tests.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pandas as pd
import pytest

from core.adapters.markets.files import write_candles
from core.clock import HOUR_MS, MINUTE_MS, floor_to
from core.store.migrations import migrate
from core.store.reader import Reader
from tests.engine import ROOT, differences, merged, record, trader, write_config
from tests.servers.bitget import BitgetServer, Listing, random_candles
from tests.servers.telegram import CANARY_TOKEN, TelegramServer

# aiohttp warns where CPython has mended what ccxt asks it to work around.
pytestmark = pytest.mark.filterwarnings("ignore:enable_cleanup_closed ignored:DeprecationWarning")

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
NOW_MS = 1_750_000_020_000
BEGIN_MS = floor_to(NOW_MS, MINUTE_MS) - 3 * HOUR_MS
OFFLINE = (
    *(("db-inspect",), ("retro-scan",), ("analyze-results",), ("scan-signals",), ("maintain",)),
    *(("symbols", "list"), ("symbols", "pause", BTC), ("download-data", "--export", "out")),
)


def synthetic(days: int = 3, **more: Any) -> dict[str, Any]:
    made = {"world": "edge", "p_star": 0.8, "seed": 11, "start": "2024-01-01", "days": days, "step": "30m", **more}
    return {
        "exchange": {"id": "synthetic", "synthetic": made},
        "symbols": [BTC],
        "timeframes": ["15m", "1h"],
        "notify": {"console": False},
    }


def bitget(server: BitgetServer | str, symbols: list[str]) -> dict[str, Any]:
    return {
        "exchange": {"base_url": server if isinstance(server, str) else server.url, "rate_limit_ms": 1},
        "symbols": symbols,
        "timeframes": ["15m", "1h"],
        "backfill": {"start_date": str(BEGIN_MS)},
        "notify": {"console": False},
    }


class Failing:
    """Runs commands in this process that are to fail."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, code: int, config: Path, *arguments: str, logs: bool = False) -> str:
        """Return the one line on standard error; with `logs`, the one below what was logged."""
        self._capsys.readouterr()
        assert trader(config, *arguments) == code
        lines = self._capsys.readouterr().err.splitlines()
        assert not [line for line in lines if "Traceback" in line]
        assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
        assert logs or len(lines) == 1
        return lines[-1]


@pytest.fixture
def failing(capsys: pytest.CaptureFixture[str]) -> Failing:
    return Failing(capsys)


class Command:
    """A command in a process of its own; what it says goes to a file."""

    def __init__(self, config: Path, *arguments: str, said_in: Path | None = None, **how: Any) -> None:
        folder = said_in or config.parent
        self.said_in = Path(tempfile.mkstemp(prefix=f"{arguments[0]}-", suffix=".txt", dir=folder)[1])
        words = [sys.executable, "-m", "core", arguments[0], "--config", str(config), *arguments[1:]]
        with self.said_in.open("w") as stream:
            self.process = subprocess.Popen(words, cwd=ROOT, stdout=stream, stderr=stream, **how)

    def said(self) -> str:
        return self.said_in.read_text()

    def wait_for(self, pattern: str, times: int = 1, timeout_s: float = 30) -> None:
        """Return once it has said something so many times."""
        until = time.monotonic() + timeout_s
        while len(re.findall(pattern, self.said())) < times:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, f"not said within {timeout_s} s: {pattern}\n{self.said()}"
            time.sleep(0.02)

    def end(self, number: int) -> float:
        """Send a signal; return after how many seconds the process ended, with exit code 0."""
        began = time.monotonic()
        self.process.send_signal(number)
        assert self.code() == 0, self.said()
        return time.monotonic() - began

    def code(self, timeout_s: float = 120) -> int:
        try:
            return self.process.wait(timeout_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def failed(self, code: int, logs: bool = False) -> str:
        """Wait for the end; return the one line it ended with."""
        assert self.code() == code, self.said()
        lines = self.said().splitlines()
        assert "Traceback" not in self.said()
        assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
        assert logs or len(lines) == 1, self.said()
        return lines[-1]


@contextmanager
def running(config: Path, *arguments: str, **how: Any) -> Iterator[Command]:
    command = Command(config, *arguments, **how)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


def assert_sound(database: Path) -> None:
    assert Reader(database).integrity() == []


def assert_same(one: Path, other: Path) -> None:
    for frame, expected in zip(record(one), record(other), strict=True):
        assert len(expected) > 3
        assert differences(frame, expected) == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a run nothing happened to."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert trader(write_config(folder, synthetic()), "run") == 0
    return folder / "ohlcv.db"


@pytest.fixture(scope="module", autouse=True)
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Command]]:
    """Commands that wait long, for a lock or a network, begun before everything else."""
    home = tmp_path_factory.mktemp("waiting")
    unreachable = bitget("http://127.0.0.1:9", [BTC, ETH])
    locked = write_config(home / "locked", synthetic())
    migrate(home / "locked" / "ohlcv.db")
    holder = apsw.Connection(str(home / "locked" / "ohlcv.db"))
    holder.execute("BEGIN IMMEDIATE")
    commands = {
        "locked": Command(locked, "symbols", "pause", BTC),
        "download": Command(write_config(home / "download", unreachable), "download-data"),
        "once": Command(write_config(home / "once", unreachable), "run", "--once"),
    }
    yield commands
    holder.close()
    for command in commands.values():
        command.process.kill()
        command.process.wait()


# --- the database


@pytest.mark.parametrize("arguments", OFFLINE, ids=lambda words: "-".join(words[:2]))
def test_a_missing_database_is_named_and_not_made(tmp_path: Path, failing: Failing, arguments: tuple[str, ...]) -> None:
    config = write_config(tmp_path, {})
    line = failing(4, config, *arguments)
    mend = f"create it with `python init_db.py --config {config}`"
    assert line == f"error: database {tmp_path}/ohlcv.db does not exist; {mend}"
    assert not (tmp_path / "ohlcv.db").exists()


def test_a_database_without_candles_is_nothing_to_scan(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, {})
    assert trader(config, "init-db") == 0
    line = failing(1, config, "retro-scan")
    assert line.endswith(
        f"holds no 1m candle of bitget to scan; fetch or import some with `python download_data.py --config {config}`"
    )


def not_a_database(path: Path) -> None:
    path.write_text("these are my notes\n" * 500)


def other_program_s(path: Path) -> None:
    with apsw.Connection(str(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def newer(path: Path) -> None:
    migrate(path)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()


def damaged(path: Path) -> None:
    migrate(path)
    raw = bytearray(path.read_bytes())
    raw[100:6000] = b"\xff" * 5900  # the first page, behind its header
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (not_a_database, "not an SQLite database; move it away"),
        (other_program_s, "was not made by this program; name another file in app.db_path"),
        (newer, "schema 99 is newer than this program's 3; update the program"),
        (damaged, "damaged"),
    ],
)
def test_a_file_that_is_no_database_of_ours_is_left_as_it_is(
    tmp_path: Path, failing: Failing, spoil: Any, expected: str
) -> None:
    config = write_config(tmp_path, synthetic())
    spoil(tmp_path / "ohlcv.db")
    before = (tmp_path / "ohlcv.db").read_bytes()
    for arguments in (("db-inspect",), ("analyze-results",), ("retro-scan",), ("init-db",), ("run", "--once")):
        line = failing(4, config, *arguments)
        assert f"database {tmp_path}/ohlcv.db: " in line
        assert expected in line
    assert (tmp_path / "ohlcv.db").read_bytes() == before


def test_a_folder_in_place_of_the_database_is_a_mistake_in_the_configuration(tmp_path: Path, failing: Failing) -> None:
    (tmp_path / "ohlcv.db").mkdir()
    config = write_config(tmp_path, {})
    for arguments in (("init-db",), ("db-inspect",), ("run", "--once")):
        assert "app.db_path" in failing(2, config, *arguments)


def test_a_database_held_by_another_process_is_said_to_be_locked(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, {})
    assert trader(config, "init-db") == 0
    holder = apsw.Connection(str(tmp_path / "ohlcv.db"))
    try:
        holder.pragma("locking_mode", "EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        assert "locked by another process; try again, or end that process" in failing(4, config, "db-inspect")
    finally:
        holder.close()
    assert trader(config, "db-inspect") == 0


def test_a_read_only_database_is_a_matter_of_the_disk(tmp_path: Path, failing: Failing) -> None:
    with read_only_folder(tmp_path / "disk") as (folder, make_read_only):
        config = write_config(folder, {})
        assert trader(config, "init-db") == 0
        assert trader(config, "symbols", "list") == 0
        make_read_only()
        for arguments in (("symbols", "pause", BTC), ("maintain",), ("run", "--once")):
            assert str(folder) in failing(9, config, *arguments)


# --- the disk


def test_a_limit_on_file_sizes_ends_an_import_and_loses_nothing(tmp_path: Path) -> None:
    config, database = write_config(tmp_path, {}), tmp_path / "ohlcv.db"
    candles = random_candles(BEGIN_MS, 60_000, 3)
    write_candles(tmp_path / "BTCUSDT.parquet", candles)
    asked = ("download-data", "--import", str(tmp_path / "BTCUSDT.parquet"))
    assert trader(config, "init-db") == 0
    limit = database.stat().st_size + 2_000_000
    with running(
        config, *asked, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ) as command:
        line = command.failed(9)
    assert re.search(r"database .*ohlcv.db: (the disk is full|reading or writing failed)", line)
    assert_sound(database)
    assert len(Reader(database).candles("bitget", BTC, "1m")) < len(candles)
    assert trader(config, *asked) == 0
    assert np.array_equal(Reader(database).candles("bitget", BTC, "1m").close, candles.close)


def fill_disk(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only_folder(folder: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    """A folder, and what makes it and its files read-only; to root only a disk is read-only."""
    if os.geteuid() == 0:
        with small_disk(folder, "20m"):
            yield folder, lambda: subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        return

    def set_modes(of_folder: int, of_file: int) -> None:
        for path in (folder, *folder.iterdir()):
            path.chmod(of_folder if path.is_dir() else of_file)

    folder.mkdir()
    try:
        yield folder, lambda: set_modes(0o555, 0o444)
    finally:
        folder.chmod(0o755)
        set_modes(0o755, 0o644)


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is made with Linux's tmpfs")
def test_a_full_disk_stops_no_run_and_what_was_missed_is_made_good(tmp_path: Path, uninterrupted: Path) -> None:
    with small_disk(tmp_path / "disk", "50m"):
        config = write_config(tmp_path / "disk", synthetic(speed=40_000))
        database = tmp_path / "disk" / "ohlcv.db"
        assert trader(config, "init-db") == 0
        filler = tmp_path / "disk" / "filler"
        with running(config, "run", said_in=tmp_path) as command:
            command.wait_for("UTC  ", times=3)
            fill_disk(filler)
            command.wait_for("the disk is full; free some space")
            assert_sound(database)
            once = write_config(
                tmp_path / "once", {**synthetic(), "app": {"db_path": str(database.with_name("other.db"))}}
            )
            with running(once, "run", "--once", said_in=tmp_path) as other:
                assert re.search("No space left on device|the disk is full", other.failed(9, logs=True))
            filler.unlink()
            assert command.code() == 0
            assert "Traceback" not in command.said()
        assert_sound(database)
        assert_same(database, uninterrupted)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, synthetic())
    assert trader(config, "run", "--once") == 0
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    assert failing(9, config, "download-data", "--export", str(out)).startswith(f"error: {out}: Not a directory; check")


# --- the market


@pytest.mark.parametrize("arguments", [("run", "--once"), ("download-data",)])
def test_an_unknown_exchange_is_answered_with_the_nearest(
    tmp_path: Path, failing: Failing, arguments: tuple[str, ...]
) -> None:
    config = write_config(tmp_path, {"exchange": {"id": "bitgte"}})
    line = failing(2, config, *arguments)
    assert line == "error: exchange.id = bitgte: not known to ccxt; did you mean 'bitget'?"


def listing(base: str, seed: int, minutes: int = 4 * 60) -> Listing:
    return Listing("USDT-FUTURES", base, random_candles(BEGIN_MS, minutes, seed))


def test_a_symbol_that_is_not_listed_is_switched_off_and_the_others_go_on(tmp_path: Path, failing: Failing) -> None:
    with BitgetServer([listing("BTC", 1)], NOW_MS) as server:
        config = write_config(tmp_path, bitget(server, [BTC, "BTK/USDT:USDT"]))
        line = failing(7, config, "run", "--once", logs=True)
        assert "symbol 'BTK/USDT:USDT' is not traded there; did you mean 'BTC/USDT:USDT'?" in line
        assert trader(config, "run", "--once") == 0
    reader = Reader(tmp_path / "ohlcv.db")
    assert reader.symbols_off("bitget")["symbol"].tolist() == ["BTK/USDT:USDT"]
    assert reader.frontier("bitget", BTC, "1m") == floor_to(NOW_MS, MINUTE_MS)


def test_a_download_of_an_unlisted_symbol_fetches_the_others_and_says_so(tmp_path: Path, failing: Failing) -> None:
    with BitgetServer([listing("BTC", 1)], NOW_MS) as server:
        config = write_config(tmp_path, bitget(server, [BTC, "BTK/USDT:USDT"]))
        assert "symbol 'BTK/USDT:USDT' is not traded there" in failing(7, config, "download-data")
        future = failing(64, config, "download-data", "--start", "2098-01-01")
        assert "--start 2098-01-01 lies in the future" in future
    assert Reader(tmp_path / "ohlcv.db").frontier("bitget", BTC, "1m") == floor_to(NOW_MS, MINUTE_MS)


def test_a_symbol_that_vanishes_during_a_run_stops_no_other_and_is_given_time(tmp_path: Path) -> None:
    shortly_before_a_close = NOW_MS + 54_000
    with BitgetServer([listing("BTC", 1), listing("ETH", 2)], shortly_before_a_close) as server:
        change = merged(bitget(server, [BTC, ETH]), {"incremental": {"run_seconds": 1}})
        with running(write_config(tmp_path, change), "run") as command:
            command.wait_for(r"sync: candles \d")
            server.removed.add(server.listings.pop().id)
            command.wait_for("The contract has been removed", timeout_s=80)
            seen = command.said().count("UTC  ")
            command.wait_for("UTC  ", times=seen + 3)
            command.end(signal.SIGTERM)
        assert "is switched off" not in command.said()
    reader = Reader(tmp_path / "ohlcv.db")
    assert reader.symbols_off("bitget").empty
    assert (reader.frontier("bitget", BTC, "1m") or 0) > floor_to(NOW_MS, MINUTE_MS)
    assert_sound(tmp_path / "ohlcv.db")


class MalformedBitget(BitgetServer):
    """Every tenth candle cannot be one."""

    def _candles(self, market: str, query: dict[str, str], most: int) -> list[list[str]]:
        rows = super()._candles(market, query, most)
        for place, wrong in enumerate(("NaN", "-1", "0", "1e400", "")):
            for row in rows[place * 2 :: 10]:
                row[1 + place % 4] = wrong
        return rows


def test_malformed_candles_are_refused_one_by_one_and_said_in_one_line(tmp_path: Path, failing: Failing) -> None:
    with MalformedBitget([listing("BTC", 1)], NOW_MS) as server:
        line = failing(7, write_config(tmp_path, bitget(server, [BTC])), "run", "--once", logs=True)
    assert re.search(rf"error: sync: {BTC}: (\d+ candle\(s\) rejected|.* candles that are no numbers)", line)
    stored = Reader(tmp_path / "ohlcv.db").candles("bitget", BTC, "1m")
    truth = listing("BTC", 1).candles
    assert np.isin(stored.ts, truth.ts).all()
    assert (stored.low > 0).all()
    assert (stored.high >= stored.low).all()
    assert_sound(tmp_path / "ohlcv.db")


# --- files


def candle_frame(start_ms: int = BEGIN_MS, minutes: int = 120) -> pd.DataFrame:
    candles = random_candles(start_ms, minutes, 3)
    return pd.DataFrame({name: getattr(candles, name) for name in ("ts", "open", "high", "low", "close", "volume")})


def wrong_columns(path: Path) -> str:
    candle_frame().rename(columns={"close": "last"}).to_csv(path / "BTCUSDT.csv", index=False)
    return "BTCUSDT.csv: lacks close among its columns"


def half_a_parquet(path: Path) -> str:
    write_candles(path / "BTCUSDT.parquet", random_candles(BEGIN_MS, 5_000, 3))
    raw = (path / "BTCUSDT.parquet").read_bytes()
    (path / "BTCUSDT.parquet").write_bytes(raw[: len(raw) // 2])
    return "BTCUSDT.parquet: cannot be read as parquet"


def half_a_csv(path: Path) -> str:
    text = candle_frame().to_csv(index=False)
    (path / "BTCUSDT.csv").write_text(text[: len(text) // 2] + ",oops\n")
    return "BTCUSDT.csv: cannot be read as csv"


def empty_file(path: Path) -> str:
    (path / "BTCUSDT.csv").write_bytes(b"")
    return "BTCUSDT.csv: the file is empty"


def only_a_header(path: Path) -> str:
    (path / "BTCUSDT.csv").write_text("ts,open,high,low,close,volume\n")
    return "BTCUSDT.csv: holds no candle"


def longer_candles(path: Path) -> str:
    candle_frame(minutes=300).iloc[::15].to_csv(path / "BTCUSDT.csv", index=False)
    return "its candles are 15m apart; expected one-minute candles"


def unnamed_file(path: Path) -> str:
    candle_frame().to_csv(path / "candles.csv", index=False)
    return "its name holds none of the symbols"


def empty_folder(path: Path) -> str:
    return "the folder holds no file of candles"


def a_hole_to_what_is_stored(path: Path) -> str:
    candle_frame(BEGIN_MS + 10 * HOUR_MS).to_csv(path / "BTCUSDT.csv", index=False)
    return "expected a file that touches it"


@pytest.mark.parametrize(
    "write",
    [
        *(wrong_columns, half_a_parquet, half_a_csv, empty_file, only_a_header),
        *(longer_candles, unnamed_file, empty_folder, a_hole_to_what_is_stored),
    ],
)
def test_a_file_that_cannot_be_imported_changes_nothing(tmp_path: Path, failing: Failing, write: Any) -> None:
    config = write_config(tmp_path, {})
    good, bad = tmp_path / "good" / "BTCUSDT.csv", tmp_path / "bad"
    good.parent.mkdir()
    bad.mkdir()
    candle_frame().to_csv(good, index=False)
    assert trader(config, "download-data", "--import", str(good)) == 0
    before = Reader(tmp_path / "ohlcv.db").summary()
    expected = write(bad)
    line = failing(8, config, "download-data", "--import", str(bad))
    assert line.startswith(f"error: {bad}")
    assert expected in line
    after = Reader(tmp_path / "ohlcv.db").summary()
    assert after.tables == before.tables
    assert after.series.equals(before.series)


def test_what_to_import_and_for_whom_is_checked(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, {})
    missing = tmp_path / "missing"
    assert failing(8, config, "download-data", "--import", str(missing)) == f"error: {missing}: no such file or folder"
    candle_frame().to_csv(tmp_path / "candles.csv", index=False)
    asked = ("download-data", "--import", str(tmp_path / "candles.csv"))
    assert "name it with --symbol" in failing(8, config, *asked)
    assert "did you mean 'BTC/USDT:USDT'?" in failing(64, config, *asked, "--symbol", "BTC/USDT")
    assert trader(config, *asked, "--symbol", BTC) == 0
    assert len(Reader(tmp_path / "ohlcv.db").candles("bitget", BTC, "1m")) == 120


def test_an_export_never_overwrites_unasked(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, {})
    candle_frame().to_csv(tmp_path / "BTCUSDT.csv", index=False)
    assert trader(config, "download-data", "--import", str(tmp_path / "BTCUSDT.csv")) == 0
    export = ("download-data", "--export", str(tmp_path / "out"), "--symbols", BTC)
    assert trader(config, *export) == 0
    assert "exists already; expected a new name, or --force" in failing(8, config, *export)
    assert "timeframe '7m' is not in the configuration" in failing(64, config, *export, "--timeframe", "7m")
    assert trader(config, *export, "--force") == 0


# --- words on the command line


@pytest.mark.parametrize(
    ("code", "arguments", "expected"),
    [
        (64, ("retro-scan", "--start", "2024-02-01", "--end", "2024-01-01"), "--start 2024-02-01 is not before --end"),
        (64, ("retro-scan", "--start", "lately"), "--start: time 'lately': expected a date such as 2023-01-31"),
        (64, ("retro-scan", "--symbols", "BTC/USD"), "symbol 'BTC/USD' is not in the configuration; did you mean"),
        (64, ("retro-scan", "--timeframes", "7m"), "timeframe '7m' is not in the configuration; valid: 15m, 1h, 4h"),
        (64, ("symbols", "pause", "DOGE"), "symbol 'DOGE' is not in the configuration; did you mean 'DOGE/USDT:USDT'?"),
        (64, ("symbols", "resume"), "symbols resume: name the symbol, such as BTC/USDT:USDT"),
        (2, ("run", "--profile", "nobody"), "profile 'nobody': there is no config.nobody.yaml"),
        (2, ("demo", "--profile", "nobody"), "profile 'nobody': there is no config.nobody.yaml"),
    ],
)
def test_a_word_that_means_nothing_is_answered_with_what_would(
    tmp_path: Path, failing: Failing, code: int, arguments: tuple[str, ...], expected: str
) -> None:
    config = write_config(tmp_path, {})
    assert trader(config, "init-db") == 0
    assert expected in failing(code, config, *arguments)


def test_the_demo_never_replaces_a_database_of_real_candles(tmp_path: Path, failing: Failing) -> None:
    config = write_config(tmp_path, {})
    candle_frame().to_csv(tmp_path / "BTCUSDT.csv", index=False)
    assert trader(config, "download-data", "--import", str(tmp_path / "BTCUSDT.csv")) == 0
    (tmp_path / "config.demo.yaml").write_text("exchange: {id: synthetic}\n")
    assert "holds candles of bitget, and the demo replaces its database" in failing(4, config, "demo")
    (tmp_path / "config.demo.yaml").write_text("symbols: [BTC/USDT:USDT]\n")
    assert "exchange.id = bitget: the demo plays a synthetic market" in failing(2, config, "demo")
    assert len(Reader(tmp_path / "ohlcv.db").candles("bitget", BTC, "1m")) == 120


# --- the engine


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_waits_and_a_second_run_is_refused(
    tmp_path: Path, failing: Failing, number: int
) -> None:
    config = write_config(tmp_path, synthetic(speed=0.001))
    with running(config, "run") as command:
        command.wait_for("started")
        line = failing(3, config, "run")
        assert f"another scheduler (pid {command.process.pid}) is running on this database" in line
        assert command.end(number) < 10
        assert "Traceback" not in command.said()
        assert "stopped after 0 cycles" in command.said()
    assert_sound(tmp_path / "ohlcv.db")
    assert trader(config, "db-inspect") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_half_way_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: Path, number: int
) -> None:
    config = write_config(tmp_path, synthetic())
    with running(config, "run") as command:
        command.wait_for("UTC  ", times=40)
        assert command.end(number) < 10
        assert "stopped after" in command.said()
    database = tmp_path / "ohlcv.db"
    assert_sound(database)
    stopped_ms = Reader(database).frontier("synthetic", BTC, "1m")
    assert 0 < (stopped_ms or 0) < (Reader(uninterrupted).frontier("synthetic", BTC, "1m") or 0)
    assert trader(config, "run") == 0
    assert_same(database, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_engine_starts_ends_it_too(tmp_path: Path, number: int) -> None:
    config = write_config(tmp_path, synthetic(days=100))
    with running(config, "run") as command:
        time.sleep(1.2)  # somewhere between its imports and the generated market
        assert command.end(number) < 10
        assert "Traceback" not in command.said()


def test_once_is_exactly_one_cycle(tmp_path: Path) -> None:
    config = write_config(tmp_path, synthetic())
    for cycles in (1, 2):
        assert trader(config, "run", "--once") == 0
        runs = Reader(tmp_path / "ohlcv.db").job_runs()
        stages = ["execute_signals", "funding", "incremental_sync", "resample", "scan_signals", "watch_drift"]
        assert sorted(runs["job"]) == sorted(stages * cycles)
        assert set(runs["status"]) == {"ok"}
        assert runs["started_ms"].nunique() == cycles


def test_once_on_a_tape_that_has_ended_has_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, synthetic(days=1, step="4h"))
    assert trader(config, "run") == 0
    assert trader(config, "run", "--once") == 0
    assert "the tape has ended: there is nothing left to play" in capsys.readouterr().err


def test_a_configuration_that_changes_is_picked_up_and_a_broken_one_is_said_once(tmp_path: Path) -> None:
    config = write_config(tmp_path, synthetic(speed=9_000))
    good = config.read_text()
    with running(config, "run") as command:
        command.wait_for("UTC  ", times=2)
        config.write_text(good.replace("max_leverage: 10", "max_leverage: 7"))
        command.wait_for(r"configuration changed: risk.max_leverage: 10.0 -> 7.0")
        config.write_text(good.replace("max_leverage: 10", "max_leverage: many"))
        command.wait_for("configuration kept as it was: .*risk.max_leverage = many: expected a number")
        seen = command.said().count("UTC  ")
        command.wait_for("UTC  ", times=seen + 10)
        config.write_text(good.replace("max_leverage: 10", "max_leverage: 6"))
        command.wait_for(r"configuration changed: risk.max_leverage: 7.0 -> 6.0")
        command.end(signal.SIGTERM)
        assert command.said().count("kept as it was") == 1


def test_a_refused_telegram_token_is_said_and_the_engine_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = CANARY_TOKEN.replace("CANARY", "WRONG")
    with TelegramServer() as server:
        telegram = {"enabled": True, "chat_id": "42", "base_url": server.base_url}
        config = write_config(tmp_path, merged(synthetic(), {"notify": {"telegram": telegram}}))
        (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={wrong}\n")
        assert trader(config, "run", "--once") == 0
        assert server.calls == ["getMe"]
    out, err = capsys.readouterr()
    assert err.count("telegram: the bot token was refused; check TELEGRAM_BOT_TOKEN") == 1
    assert "Traceback" not in err
    assert wrong not in out + err + (tmp_path / "logs" / "trader.log").read_text()


# --- what waited long


@pytest.mark.parametrize("name", ["download", "once"])
def test_without_a_network_the_exchange_and_the_reason_are_named(waiting: dict[str, Command], name: str) -> None:
    line = waiting[name].failed(7, logs=True)
    assert re.search(r"bitget markets: ExchangeNotAvailable: .*127\.0\.0\.1:9", line)
    assert_sound(waiting[name].said_in.parent / "ohlcv.db")


def test_a_writer_that_waited_half_a_minute_says_that_the_database_is_locked(waiting: dict[str, Command]) -> None:
    line = waiting["locked"].failed(4)
    assert line.endswith("ohlcv.db: locked by another process; try again, or end that process")
