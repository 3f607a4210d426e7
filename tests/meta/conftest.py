"""What was measured, as a table at the end and, of the whole sizes, as a file."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from tests.meta.bars import BARS

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "accept.json"


def _is_whole(config: pytest.Config) -> bool:
    return config.option.markexpr == "accept"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the whole sizes out unless they are asked for by name: they take many minutes."""
    if _is_whole(config):
        return
    for item in items:
        if item.get_closest_marker("accept"):
            item.add_marker(pytest.mark.skip(reason="`make accept` runs it"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of bars."""
    if not BARS:
        return
    terminalreporter.section("bars")
    for bar in BARS:
        terminalreporter.line(str(bar))
    terminalreporter.line(f"{sum(bar.met for bar in BARS)} of {len(BARS)} met")
    everything = [Path(one).name for one in config.args] == ["meta"] and not config.option.keyword
    if _is_whole(config) and everything:
        about = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        rows = [bar.row() for bar in BARS]
        RESULTS.write_text(json.dumps({"about": about, "bars": rows}, indent=1) + "\n", encoding="utf-8")
