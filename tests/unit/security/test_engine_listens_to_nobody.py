"""The engine opens no door: neither it nor the processes it starts listen on any socket of the network."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine import ROOT, write_config
from tests.unit.security.sockets import listening

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listening sockets are read from /proc")


def family(pid: int) -> set[int]:
    """Return a process and all that came of it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_nothing_listens_while_the_engine_runs_and_trains(tmp_path: Path) -> None:
    made = {"world": "edge", "seed": 11, "start": "2024-01-01", "days": 10, "step": "4h"}
    change = {
        "exchange": {"id": "synthetic", "synthetic": made},
        "symbols": ["BTC/USDT:USDT"],
        "timeframes": ["1h"],
        "notify": {"console": False},
    }
    config = write_config(tmp_path, change)
    words = [sys.executable, "-m", "core", "run", "--config", str(config)]
    with (tmp_path / "said.txt").open("w") as stream:
        process = subprocess.Popen(words, cwd=ROOT, stdout=stream, stderr=stream, env=dict(os.environ))
    seen: set[tuple[str, int]] = set()
    looked, most = 0, 1
    try:
        while process.poll() is None:
            members = family(process.pid)
            most = max(most, len(members))
            for pid in members:
                try:
                    seen |= listening(pid)
                except OSError:
                    continue  # it has ended
            looked += 1
            time.sleep(0.02)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0, (tmp_path / "said.txt").read_text()
    assert looked > 20
    assert most > 1, "a weekly job ran in a process of its own"
    assert seen == set()
