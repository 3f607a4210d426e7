"""`python -m benchmarks.viewer`: how long a person waits for the viewer, on two million candles and fifty thousand
signals.

The law: a real browser in front of `streamlit run`, each figure the median of some rounds; what misses its bar is
printed as it is, and the command ends well all the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from benchmarks import results
from benchmarks._data import copy_database
from benchmarks._measure import load, machine
from benchmarks._viewer_browser import FIRST, PAGES, Wheel, Window, opened_browser, serving
from benchmarks._viewer_minutes import kept_small
from benchmarks._viewer_refresh import Cost, refreshes
from benchmarks._viewer_stage import DAYS, SYMBOLS, ViewerStage, prepare
from benchmarks.results import Bar, Row, duration
from core.clock import DAY_MS, MINUTE_MS

__all__ = ["main", "measure", "run"]

SEEN_S, SWITCH_S, CHART_S, LONG_MS, LOG_MB = 2.0, 1.0, 2.5, 200.0, 64.0
"""Bars: a page's first figure, a switch of pages, the large chart, a task nobody can interrupt, the log."""

QUICK_DAYS = 75  # a hundred thousand minutes
ROUNDS, VIEWERS, TURNS = 3, 4, 12
_DAY = DAY_MS // MINUTE_MS
_LOOKS_S = 2.0  # how long somebody looks at the first page before going on
_CHART = "?symbol=BTC/USDT:USDT&timeframe=1m"

Told = Callable[[str], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the figures of a whole run are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each wait is measured ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="a small database and one round: does it still run")
    parser.add_argument("--folder", type=Path, help="where the database is written and left (a temporary one)")
    parser.add_argument("--out", type=Path, help="where the figures go (benchmarks/results/viewer.json of a whole run)")
    arguments = parser.parse_args(argv)
    out = arguments.out or (None if arguments.quick else results.FOLDER / "viewer.json")
    return run(out, 1 if arguments.quick else arguments.rounds, arguments.quick, arguments.folder)


def run(out: Path | None, rounds: int = ROUNDS, quick: bool = False, folder: Path | None = None) -> int:
    """Build the database, measure on it, print the table, and keep it where told."""
    about = machine()
    with tempfile.TemporaryDirectory(prefix="trader-viewer-") as temporary:
        room = folder or Path(temporary)
        began = perf_counter()
        stage = prepare(room, QUICK_DAYS, SYMBOLS[:2], 1_000, 200, _say) if quick else prepare(room, tell=_say)
        _say(f"made in {perf_counter() - began:.0f} s: {stage.about}")
        rows, skipped = measure(stage, room, rounds, 60 if quick else _DAY)
    about["load_after"] = load()
    if out is not None:
        data = f"{DAYS} synthetic days of {len(SYMBOLS)} symbols: {stage.about}"
        document: dict[str, Any] = {"machine": about, "data": data, "rows": rows, "rounds": rounds}
        results.save(out, {**document, "skipped": skipped} if skipped else document)
    print(results.table(rows))
    for name, why in skipped.items():
        print(f"skipped: {name} ({why})")
    return 0


def measure(stage: ViewerStage, room: Path, rounds: int, minutes: int) -> tuple[list[Row], dict[str, str]]:
    """Return the rows, and what was left out with the reason.

    Parameters
    ----------
    stage : ViewerStage
    room : Path
        A folder for copies and logs.
    rounds : int
        How often each wait is measured.
    minutes : int
        Written beside open viewers.
    """
    rows, skipped = [], {}
    try:
        rows += _browsed(stage, room, rounds)
    except (FileNotFoundError, ImportError) as error:
        skipped["what is seen in a browser"] = str(error)
    written = copy_database(stage.config, room / "written")
    database = written.with_name("ohlcv.db")
    _say("drawing pages again")
    rows += _refresh_rows(refreshes(written, database, "synthetic", rounds + 2))
    _say(f"writing {minutes} minutes beside {VIEWERS} viewers")
    log = kept_small(database, "synthetic", minutes, VIEWERS)
    shown = (
        f"{log.minutes:,} minutes in {log.seconds:.0f} s beside {VIEWERS} viewers that looked {log.looks:,} times "
        f"({log.failed:,} failed); slowest minute {duration(log.slowest_ms / 1000)}"
    )
    peak = log.peak_bytes / 1e6
    rows.append(Row("a day of open viewers: the log at its largest", shown, peak, Bar(LOG_MB, False, " MB"), {}))
    return rows, skipped


def _browsed(stage: ViewerStage, room: Path, rounds: int) -> list[Row]:
    cold: dict[str, list[float]] = {page: [] for page in PAGES}
    warm: dict[str, list[float]] = {page: [] for page in PAGES}
    first: dict[str, list[float]] = {page: [] for page in PAGES if page != FIRST}
    again: dict[str, list[float]] = {page: [] for page in PAGES}
    bare: dict[str, list[float]] = {"cold": [], "warm": []}
    chart: list[float] = []
    wheels: list[Wheel] = []
    with opened_browser() as browser:
        for number in range(rounds):
            for page in PAGES:
                _say(f"round {number + 1} of {rounds}: {PAGES[page]} from a cold server")
                with serving(stage.config, room / "server") as address:
                    cold[page].append(_visited(browser, address, page))
                    sleep(_LOOKS_S)
                    warm[page].append(_visited(browser, address, page))
            _say(f"round {number + 1} of {rounds}: a page of one figure, to compare with")
            with serving(stage.config, room / "server", _bare(room)) as address:
                bare["cold"].append(_visited(browser, address, FIRST))
                bare["warm"].append(_visited(browser, address, FIRST))
            _say(f"round {number + 1} of {rounds}: switching pages, the chart of 100 000 candles")
            with serving(stage.config, room / "server") as address:
                _switched(browser, address, first, again)
                seconds, wheel = _charted(browser, address)
                chart.append(seconds)
                wheels.append(wheel)
    return [
        _seen_row("first figure of a page, cold server", cold, SEEN_S),
        _seen_row("first figure of a page, warm server", warm, SEEN_S),
        _bare_row(bare),
        _seen_row("another page by a click in the sidebar, the first time", first, SWITCH_S),
        _seen_row("... once it was looked at", again, SWITCH_S),
        *_chart_rows(chart, wheels),
    ]


def _bare(room: Path) -> Path:
    """Write a page that reads nothing: what Streamlit and the browser take by themselves."""
    path = room / "bare.py"
    path.write_text(f'import streamlit as st\n\nst.title("{PAGES[FIRST]}")\nst.metric("One", 1)\n', encoding="utf-8")
    return path


def _bare_row(bare: Mapping[str, list[float]]) -> Row:
    medians = {name: statistics.median(seconds) for name, seconds in bare.items()}
    shown = f"cold {duration(medians['cold'])}, warm {duration(medians['warm'])}: Streamlit and the browser alone"
    return Row("... of a page of one figure that reads nothing", shown, None, None, medians)


def _visited(browser: Any, address: str, page: str) -> float:
    window = Window(browser, address)
    try:
        seconds = window.open(page)
        window.settle()
    finally:
        window.close()
    return seconds


def _switched(browser: Any, address: str, first: Mapping[str, list[float]], again: Mapping[str, list[float]]) -> None:
    """Click through the pages of a fresh server twice, from the overview on, a moment after it was opened."""
    window = Window(browser, address)
    try:
        window.open(FIRST)
        window.settle()
        sleep(_LOOKS_S)
        for samples in (first, again):
            for page in samples:
                samples[page].append(window.switch(page))
                window.settle()
    finally:
        window.close()


def _charted(browser: Any, address: str) -> tuple[float, Wheel]:
    window = Window(browser, address)
    try:
        window.open("signals", _CHART)
        window.settle()
        window.choose("Candles", "100000")
        seconds = window.drawn()
        window.settle()
        return seconds, window.wheel(TURNS)
    finally:
        window.close()


def _seen_row(work: str, samples: Mapping[str, list[float]], limit: float) -> Row:
    medians = {page: statistics.median(seconds) for page, seconds in samples.items()}
    shown = ", ".join(f"{PAGES[page]} {duration(seconds)}" for page, seconds in medians.items())
    worst = max(medians.values())
    figures = {**medians, **{f"{page} fastest": min(seconds) for page, seconds in samples.items()}}
    return Row(work, shown, worst, Bar(limit, False, " s"), figures)


def _chart_rows(chart: Sequence[float], wheels: Sequence[Wheel]) -> list[Row]:
    frames = [ms for wheel in wheels for ms in wheel.frame_ms]
    busy = [ms for wheel in wheels for ms in wheel.busy_ms]
    longest = statistics.median(max(wheel.long_ms, default=0.0) for wheel in wheels)
    seconds = statistics.median(chart)
    shown = f"fastest {duration(min(chart))}; from the choice until nothing more is painted"
    told = (
        f"next frame after {statistics.median(frames):.0f} ms, worst {max(frames):.0f} ms; the page computes "
        f"{statistics.median(busy):.0f} ms a turn"
    )
    return [
        Row("chart of 100,000 candles", shown, seconds, Bar(CHART_S, False, " s"), {"fastest": min(chart)}),
        Row(
            "... a turn of the wheel over it: longest task",
            told,
            longest,
            Bar(LONG_MS, False, " ms"),
            {"frame_ms": statistics.median(frames), "busy_ms": statistics.median(busy)},
        ),
    ]


def _refresh_rows(costs: Mapping[str, tuple[Cost, Cost]]) -> list[Row]:
    rows = []
    for place, work in enumerate(("a page drawn again, nothing new", "... when a minute was added")):
        shown = ", ".join(
            f"{PAGES[page]} {both[place].questions} questions, {duration(both[place].cpu_s)}"
            for page, both in costs.items()
        )
        figures = {f"{page} cpu_s": both[place].cpu_s for page, both in costs.items()}
        rows.append(Row(work, f"processor: {shown}", None, None, figures))
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
