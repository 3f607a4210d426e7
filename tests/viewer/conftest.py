"""Databases in every state a viewer meets, each made once, and pages to draw them on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from streamlit.testing.v1 import AppTest

from core.store.migrations import SCHEMA_VERSION
from core.store.writer import Writer
from tests.factories import Story, write_database

REPOSITORY = Path(__file__).parents[2]
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
FILES = {
    "overview": "overview",
    "signals": "signals_candles",
    "feed": "feed",
    "results": "results",
    "model": "model",
    "replay": "replay",
    "health": "health",
}
"""The file of each page, by its address."""


class Databases:
    """Databases by the name of their state, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}

    def __call__(self, state: str) -> Path:
        if state not in self._made:
            folder = self._folder / state
            folder.mkdir()
            self._made[state] = getattr(self, f"_{state}")(folder / "ohlcv.db")
        return self._made[state]

    def _none(self, path: Path) -> Path:
        return path

    def _empty(self, path: Path) -> Path:
        Writer(path).close()
        return path

    def _candles(self, path: Path) -> Path:
        return write_database(path, Story(days=2, every=0))

    def _one(self, path: Path) -> Path:
        return write_database(path, Story(days=3, timeframes=("15m",), limit=1))

    def _many(self, path: Path) -> Path:
        return write_database(path, Story(days=30, symbols=SYMBOLS, every=12))

    def _stale(self, path: Path) -> Path:
        return write_database(path, Story(days=2, synthetic=False, exchange="bitget"))

    def _older(self, path: Path) -> Path:
        return self._of_schema(path, SCHEMA_VERSION - 1)

    def _newer(self, path: Path) -> Path:
        return self._of_schema(path, SCHEMA_VERSION + 1)

    def _of_schema(self, path: Path, version: int) -> Path:
        shutil.copyfile(self("candles"), path)
        connection = apsw.Connection(str(path))
        connection.pragma("user_version", version)
        connection.close()
        return path


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("states"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Return a function that draws a page, by its address, of a database and perhaps of a configuration."""

    def of(page: str, database: Path | None, config: Path = REPOSITORY / "config.yaml") -> AppTest:
        monkeypatch.setenv("TRADER_CONFIG", str(config))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        if database is None:
            monkeypatch.delenv("TRADER_DB", raising=False)
        else:
            monkeypatch.setenv("TRADER_DB", str(database))
        script = f"from core.dashboard.{FILES[page]} import page\n\npage()\n"
        at = AppTest.from_string(script, default_timeout=60).run()
        assert not at.exception, at.exception
        return at

    yield of
