"""Worlds that several tests of the learning jobs begin from; each works on a copy of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs import train
from tests.learned import END_MS, copied, learnable, on_desk


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a database with finished candidates and no model; not to be written to."""
    return learnable(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> Path:
    """The same with a model learned from them in force; not to be written to."""
    config = copied(finished, tmp_path_factory.mktemp("learned"))
    with on_desk(config) as desk:
        assert asyncio.run(train.run(desk, END_MS)).counts["promoted"] == 1
    return config


@pytest.fixture
def untrained(tmp_path: Path, finished: Path) -> Path:
    """A copy of the world without a model."""
    return copied(finished, tmp_path / "world")


@pytest.fixture
def trained(tmp_path: Path, learned: Path) -> Path:
    """A copy of the world with a model in force."""
    return copied(learned, tmp_path / "world")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Take back what a command run in this process does to the log of the process."""
    root = logging.getLogger()
    level, raising = root.level, logging.raiseExceptions
    yield
    root.setLevel(level)
    logging.raiseExceptions = raising
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
