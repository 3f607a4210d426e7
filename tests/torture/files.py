"""Scenes about files beside the database: a configuration rewritten, a model published, a checkpoint beside a reader.

The law: whoever dies while writing a file leaves the old one or the new one, whole; nobody waits for a reader.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from core.config import ConfigSource, load_config, rewrite
from core.errors import TraderError
from core.store import artefacts
from core.store.writer import Writer
from tests.engine import write_config
from tests.torture.processes import forked, wait

__all__ = ["FileOutcome", "checkpoint_beside_reader", "run_files"]

_MOST_S = 2.0  # of waiting for a change before the child is killed all the same
_SYMBOL = "BTC/USDT:USDT"
PATIENCE_S = 1.0  # most a checkpoint may take while a reader holds its snapshot


@dataclass(slots=True)
class FileOutcome:
    """What the scenes came to."""

    kills: int = 0
    failures: list[str] = field(default_factory=list)


def run_files(folder: Path, seed: int, kills: int, prepare: Callable[[], None] = lambda: None) -> FileOutcome:
    """Kill a process that rewrites a configuration, and one that publishes models, so many times each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, outcome = random.Random(f"files {seed}"), FileOutcome()
    config = write_config(folder, {"symbols": [_SYMBOL]})
    sound, models = config.read_bytes(), folder / "models"
    for number in range(kills):
        _killed(lambda n=number: _rewrite(config, n, prepare, folder / "ready"), config, rng, outcome)
        try:
            load_config(config, {})
        except TraderError as error:
            outcome.failures.append(f"config.yaml after kill {number}: {error}")
        if not config.exists() or config.stat().st_size < len(sound) // 2:
            outcome.failures.append(f"config.yaml after kill {number}: cut short")
        if outcome.failures:
            return outcome
        _killed(lambda n=number: _publish(models, n, prepare, folder / "ready"), models, rng, outcome)
        for version in artefacts.versions(models):
            try:
                artefacts.load(models, version, _manifest_of(models, version))
            except TraderError as error:
                outcome.failures.append(f"model after kill {number}: {error}")
                return outcome
    left = [path.name for path in folder.iterdir() if path.name.startswith(".config-")]
    if len(left) > kills:
        outcome.failures.append(f"{len(left)} temporary files of config.yaml left by {kills} kills")
    return outcome


def _killed(work: Callable[[], int], watched: Path, rng: random.Random, outcome: FileOutcome) -> None:
    """Start a process; kill it once it has done its work and begun again: a moment after what is watched changes."""
    folder = watched.parent
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    pid = forked(work, folder / "trace")
    while not ready.exists() and not (folder / "trace").exists():
        time.sleep(0.0005)
    before, until = _stamp(watched), time.monotonic() + _MOST_S
    while _stamp(watched) == before and time.monotonic() < until:
        pass
    time.sleep(rng.choice((0.0, 0.0, 0.001, 0.01)) * rng.random())
    os.kill(pid, signal.SIGKILL)
    ended = wait(pid, folder / "trace")
    outcome.kills += ended.signal == signal.SIGKILL
    if ended.said:
        outcome.failures.append(ended.said)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _rewrite(config: Path, number: int, prepare: Callable[[], None], ready: Path) -> int:
    prepare()
    source = ConfigSource(config, {})
    for i in range(10_000):
        line = {"min_ev_pct": (number * 7 + i) % 50 / 10, "expires": "2030-01-01"}
        rewrite.replace(rewrite.propose(source, {_SYMBOL: {"15m": line, "1h": line}}))
        ready.touch()
    return 0


def _publish(models: Path, number: int, prepare: Callable[[], None], ready: Path) -> int:
    prepare()
    for i in range(10_000):
        data = bytes([i % 251]) * 200_000
        artefacts.publish(models, f"m{number}-{i}", {"model.ubj": data, "card.json": b"{}"})
        if i % 5 == 4:
            artefacts.prune(models, [f"m{number}-{i}"])
        ready.touch()
    return 0


def _manifest_of(models: Path, version: str) -> str:
    return hashlib.sha256((models / version / artefacts.MANIFEST).read_bytes()).hexdigest()


def checkpoint_beside_reader(folder: Path, prepare: Callable[[], None] = lambda: None) -> str:
    """Return what is wrong with a checkpoint while somebody reads for long; ``""`` where nothing is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "read.db"
    pid = forked(lambda: _checkpoint(path, prepare), folder / "trace")
    ended = wait(pid, folder / "trace", timeout_s=60.0)
    if ended.said:
        return ended.said
    return f"a reader made the checkpoint wait for more than {PATIENCE_S:g} s" if ended.code else ""


def _checkpoint(path: Path, prepare: Callable[[], None]) -> int:
    prepare()
    with Writer(path) as writer:
        writer.set_meta("before", "1")
        reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        list(reader.execute("SELECT count(*) FROM meta"))
        for number in range(20):
            writer.set_meta("after", str(number))
        began_s = time.monotonic()
        writer.checkpoint()
        took_s = time.monotonic() - began_s
        reader.close()
    return int(took_s > PATIENCE_S)
