"""`python -m benchmarks [NAME ...]`: measure, print the table, keep the figures in benchmarks/results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks import cases, results
from benchmarks._measure import load, machine

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Measure the named cases, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(cases.CASES)} (all)")
    parser.add_argument("--days", type=int, default=365, help="length of the synthetic history (365)")
    parser.add_argument("--out", type=Path, default=results.FOLDER / "bench.json", help="where the figures go")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in cases.CASES:
            parser.error(f"'{name}' is not measured; expected some of {', '.join(cases.CASES)}")
    about, rows = machine(), []
    with tempfile.TemporaryDirectory(prefix="trader-bench-") as folder:
        stage = cases.prepare(Path(folder), arguments.days)
        for name in arguments.names or cases.CASES:
            began = perf_counter()
            rows += cases.CASES[name](stage)
            print(f"{name}: {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    about["load_after"] = load()
    results.save(arguments.out, {"machine": about, "data": stage.about, "rows": rows})
    print(results.table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
