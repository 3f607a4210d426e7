"""`python -m benchmarks.soak`: a month of the engine in minutes, with faults, watched for what grows.

The law: what is promised and what was measured stand side by side, and a broken promise ends with exit code 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from benchmarks import _soak_engine, _soak_reader, results
from benchmarks._data import EXCHANGE
from benchmarks._measure import machine
from benchmarks._soak_page import PAGE, finish, kept
from benchmarks._soak_rows import rows_of
from benchmarks._soak_stage import Plan, plan_of, prepare
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, timeframe_ms

__all__ = ["main", "soak"]

DAYS, SYMBOLS, PAST_DAYS = 30.0, 20, 22
QUICK_DAYS, QUICK_SYMBOLS, QUICK_PAST_DAYS = 2.0, 4, 22

_TELLS_S = 900.0  # an engine that says nothing for so long has hung; it speaks every market hour


def main(argv: list[str] | None = None) -> int:
    """Run a soak and judge it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--days", type=float, help=f"market days ({DAYS:g})")
    parser.add_argument("--symbols", type=int, help=f"symbols ({SYMBOLS})")
    parser.add_argument("--past", type=int, help=f"days of history before the first ({PAST_DAYS})")
    parser.add_argument("--step", default="1m", help="how far the market moves between two cycles (1m)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DAYS:g} days of {QUICK_SYMBOLS} symbols")
    parser.add_argument("--no-faults", action="store_true", help="nothing goes wrong")
    parser.add_argument("--folder", type=Path, help="where database and logs are written and left (a temporary one)")
    parser.add_argument("--out", type=Path, help="where the figures go (benchmarks/results/soak.json of a whole run)")
    arguments = parser.parse_args(argv)
    whole = (DAYS, SYMBOLS, PAST_DAYS)
    usual = (QUICK_DAYS, QUICK_SYMBOLS, QUICK_PAST_DAYS) if arguments.quick else whole
    asked = (arguments.days, arguments.symbols, arguments.past)
    days, symbols, past = (given or default for given, default in zip(asked, usual, strict=True))
    is_whole = (days, symbols, past) == whole and not arguments.no_faults and arguments.step == "1m"
    out = arguments.out or (results.FOLDER / "soak.json" if is_whole else None)
    about, began = machine(), perf_counter()
    with _folder(arguments.folder) as folder:
        plan = plan_of(folder, days, int(symbols), int(past))
        plan = replace(plan, step_ms=timeframe_ms(arguments.step), faults=not arguments.no_faults)
        prepare(plan, lambda line: print(line, flush=True))
        measured = soak(plan)
    took = perf_counter() - began
    data = f"{days:g} market days of {symbols} synthetic symbols x {len(plan.timeframes)} timeframes, minute by minute"
    if plan.step_ms != MINUTE_MS:
        data = data.replace("minute by minute", f"a cycle every {arguments.step}")
    document = kept(about, measured.rows, f"{data}, in {took / 60:.0f} minutes", notes=_problems(measured.told))
    code = finish("soak", document, out, PAGE if is_whole and arguments.out is None else None)
    print("\n".join(document["notes"]))
    return code


@dataclass(frozen=True, slots=True)
class Measured:
    """What a soak came to.

    Parameters
    ----------
    rows : list of Row
    told : dict
        What the engine's process said at its end.
    """

    rows: list[results.Row]
    told: dict[str, Any]


def soak(plan: Plan) -> Measured:
    """Play a plan that was prepared, with a viewer beside it and once a reader that hangs.

    Raises
    ------
    RuntimeError
        The engine ended before its time.
    """
    context = multiprocessing.get_context("spawn")
    stop, viewer_says, viewer_door = context.Event(), *context.Pipe(duplex=False)
    looked_at = (str(plan.database), EXCHANGE, plan.symbols, plan.timeframes[0], stop, viewer_door)
    viewer = context.Process(target=_soak_reader.look_on, args=looked_at, daemon=True)
    engine_says, engine_door = context.Pipe(duplex=False)
    # Not a daemon: the weekly jobs are processes of its own.
    engine = context.Process(target=_soak_engine.serve, args=(plan.as_values(), engine_door))
    engine.start()
    engine_door.close()
    viewer.start()
    viewer_door.close()
    try:
        with _stuck_reader(context, plan) as at:
            told = _followed(engine_says, plan, at)
        stop.set()
        seen = viewer_says.recv()
    except EOFError as error:
        engine.join()
        said = Path(plan.folder, "engine.out").read_text(encoding="utf-8")[-2_000:]
        raise RuntimeError(f"the engine ended before its time (exit code {engine.exitcode}):\n{said}") from error
    finally:
        stop.set()
        for process in (engine, viewer):
            process.join(30)
            if process.is_alive():
                process.terminate()
    return Measured(rows_of(plan, told, seen), told)


def _followed(engine: Connection, plan: Plan, at: Callable[[int], None]) -> dict[str, Any]:
    """Show how far the engine is until it hands in what it measured."""
    hours = round((plan.end_ms - plan.start_ms) / HOUR_MS, 1)
    with tqdm(total=hours, unit="h", desc="soak", dynamic_ncols=True, disable=None, file=sys.stdout) as bar:
        while True:
            if not engine.poll(_TELLS_S):
                raise RuntimeError(f"the engine has said nothing for {_TELLS_S:.0f} s")
            said = engine.recv()
            if isinstance(said, dict):
                bar.update(hours - bar.n)
                return said
            now_ms, rss_mb = said
            bar.update(round((now_ms - plan.start_ms) / HOUR_MS, 1) - bar.n)
            bar.set_postfix_str(f"day {(now_ms - plan.start_ms) / DAY_MS:.1f}, {rss_mb:.0f} MB", refresh=False)
            at(now_ms)


@contextmanager
def _stuck_reader(context: Any, plan: Plan) -> Iterator[Callable[[int], None]]:
    """Yield what, told the time, has a reader hang for a while in the middle of the run."""
    begun, release = context.Event(), context.Event()
    reader = context.Process(target=_soak_reader.hang, args=(str(plan.database), begun, release), daemon=True)
    from_ms, to_ms = plan.stuck_ms
    asked = [False]

    def at(now_ms: int) -> None:
        if now_ms >= from_ms and not asked[0]:
            asked[0] = True
            reader.start()
        if now_ms >= to_ms:
            release.set()

    try:
        yield at
    finally:
        release.set()
        if asked[0]:
            reader.join(30)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="trader-soak-") as folder:
        yield Path(folder)


def _problems(told: dict[str, Any]) -> list[str]:
    """Return what the engine warned of, by kind."""
    lines = [f"- {count:,} x {kind}" for kind, count in told["problems"].items()]
    return ["", "What the engine warned of, by kind:", "", *lines] if lines else []


if __name__ == "__main__":
    sys.exit(main())
