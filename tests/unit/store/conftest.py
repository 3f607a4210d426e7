from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store.reader import Reader
from core.store.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ohlcv.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    with Writer(path) as opened:
        yield opened


@pytest.fixture
def reader(writer: Writer) -> Reader:
    """A reader of its own connection, beside the writer."""
    return Reader(writer.path)
