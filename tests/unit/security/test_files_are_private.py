"""What the engine creates is for its owner alone, whatever the user's umask; what was shared before stays as it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store.writer import Writer
from tests.engine import ROOT, trader, write_config

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such rights on Windows")


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """The umask of somebody who shares everything."""
    before = os.umask(0)
    yield
    os.umask(before)


def synthetic() -> dict[str, object]:
    made = {"world": "edge", "seed": 11, "start": "2024-01-01", "days": 3, "step": "4h"}
    return {
        "exchange": {"id": "synthetic", "synthetic": made},
        "symbols": ["BTC/USDT:USDT"],
        "timeframes": ["1h"],
        "notify": {"console": False},
    }


def shared(folder: Path) -> dict[str, str]:
    """Return what anybody but the owner may do anything with, by name."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        mode = path.lstat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            found[path.relative_to(folder).as_posix()] = oct(mode & 0o777)
    return found


def test_database_log_index_back_ups_logs_and_locks_are_the_owners(tmp_path: Path) -> None:
    config = write_config(tmp_path / "home", synthetic())
    home = tmp_path / "engine"
    config.write_text(config.read_text().replace(str(tmp_path / "home"), str(home)))
    assert trader(config, "run", "--once") == 0
    assert trader(config, "analyze-results", "--out", str(home / "equity.csv")) == 0
    with Writer(home / "ohlcv.db") as writer:
        writer.set_meta("k", "v")
        assert shared(home) == {}
    names = {path.relative_to(home).as_posix() for path in home.rglob("*")}
    assert {"ohlcv.db", "ohlcv.db-wal", "ohlcv.db-shm", "ohlcv.db.lock", "logs/trader.log"} <= names
    assert shared(home) == {}
    assert os.umask(0) == 0, "the umask of whoever called is given back"


def test_a_writer_alone_makes_private_files_too(tmp_path: Path) -> None:
    with Writer(tmp_path / "data" / "ohlcv.db") as writer:
        writer.set_meta("k", "v")
        writer.back_up(tmp_path / "data" / "copy.db")
        found = shared(tmp_path / "data")
    assert {name: mode for name, mode in found.items() if name != "copy.db"} == {}


def test_a_file_that_was_shared_stays_shared(tmp_path: Path) -> None:
    Writer(tmp_path / "ohlcv.db").close()
    (tmp_path / "ohlcv.db").chmod(0o640)
    Writer(tmp_path / "ohlcv.db").close()
    assert stat.S_IMODE((tmp_path / "ohlcv.db").stat().st_mode) == 0o640


def test_the_shipped_example_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "TOKEN" in line and not line.startswith("#")] == ["TELEGRAM_BOT_TOKEN="]
