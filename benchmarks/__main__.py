"""`python -m benchmarks [NAME ...]`: measure, print the tables, keep the figures in benchmarks/results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from benchmarks import _data, cases, results, viewer
from benchmarks._measure import load, machine
from benchmarks.results import Row

__all__ = ["main"]

VIEWER = "viewer"
"""Measured in a browser, after the engine; its figures have a file of their own."""


def main(argv: list[str] | None = None) -> int:
    """Measure the named cases, or all of them."""
    known = [*cases.CASES, VIEWER]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(known)} (all)")
    parser.add_argument("--days", type=int, default=365, help="length of the synthetic history (365)")
    parser.add_argument("--out", type=Path, default=results.FOLDER / "bench.json", help="where the figures go")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in known:
            parser.error(f"'{name}' is not measured; expected some of {', '.join(known)}")
    names = arguments.names or known
    engine = [name for name in names if name != VIEWER]
    if engine:
        _measure_engine(engine, arguments.days, arguments.out)
    if VIEWER in names:
        viewer.run(results.FOLDER / "viewer.json")
    return 0


def _measure_engine(names: Sequence[str], days: int, out: Path) -> None:
    about = machine()
    with tempfile.TemporaryDirectory(prefix="trader-bench-") as folder:
        made = _data.make_candles(days)
        data = f"{days} synthetic days"
        rows = _measured(cases.prepare(Path(folder) / "made", made, data), names)
        recorded = _data.recorded_candles()
        if recorded is not None:
            stage = cases.prepare(Path(folder) / "recorded", recorded, "a recorded year of BTC/USDT")
            data += f"; where it says so {stage.about}"
            told = _measured(stage, [name for name in names if name in cases.ALSO_RECORDED])
            rows += [replace(row, work=f"recorded: {row.work}") for row in told]
    about["load_after"] = load()
    results.save(out, {"machine": about, "data": data, "rows": rows})
    print(results.table(rows))


def _measured(stage: cases.Stage, names: Sequence[str]) -> list[Row]:
    rows = []
    for name in names:
        began = perf_counter()
        rows += cases.CASES[name](stage)
        print(f"{name}, {stage.about}: {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
