"""`python -m benchmarks.load`: from a close to decided and queued, with many symbols, against an exchange over HTTP.

The law: requests, round trips and the exchange's pace take their real time; only the wait for the next minute is left
out. What is promised and what was measured stand side by side, and a broken promise ends with exit code 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from benchmarks import _load_beside, _load_engine, results
from benchmarks._data import copy_database
from benchmarks._load_exchange import Exchange, Offer
from benchmarks._load_rows import extra_rows, size_rows
from benchmarks._load_stage import HISTORY_DAYS, TURN_MS, LoadStage, learn, prepare
from benchmarks._measure import machine
from benchmarks._soak_page import PAGE, finish, kept
from benchmarks.results import Row
from core.clock import MINUTE_MS

__all__ = ["Terms", "main", "measure"]

SIZES, QUICK_SIZES = (50, 200, 500), (10,)
MINUTES, QUICK_MINUTES = 31, 12
WARM = 2  # closes that do not count: the first lists symbols and funding, and reads what the store then remembers
BESIDE = ("retro-scan", "train-meta")

_BEFORE = 11  # minutes of the measured ones that lie before the turn of the day
_SLOWEST_MINUTE_S = 300.0
_ENDS_S = 20.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How the exchange answers, and what is measured.

    Parameters
    ----------
    minutes, warm : int
        Closes that count, and those before them that do not.
    latency_s : float
        A round trip.
    per_second : int
        Requests of one endpoint the exchange allows in a second.
    rate_limit_ms : int
        The engine's own pace, as `exchange.rate_limit_ms`.
    history_days : int
    """

    minutes: int = MINUTES
    warm: int = WARM
    latency_s: float = 0.1
    per_second: int = 20
    rate_limit_ms: int = 50
    history_days: int = HISTORY_DAYS

    @property
    def start_ms(self) -> int:
        """Up to when history is stored: the turn of a day lies within what counts."""
        return TURN_MS - (self.warm + min(_BEFORE, self.minutes // 2)) * MINUTE_MS


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the sizes and judge them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--symbols", type=int, nargs="+", metavar="N", help=f"sizes ({' '.join(map(str, SIZES))})")
    parser.add_argument("--minutes", type=int, help=f"closes that count ({MINUTES})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES[0]} symbols, {QUICK_MINUTES} closes")
    parser.add_argument("--no-beside", action="store_true", help="leave out the part with work beside the engine")
    parser.add_argument("--folder", type=Path, help="where databases are written and left (a temporary one)")
    parser.add_argument("--out", type=Path, help="where the figures go (benchmarks/results/load.json of a whole run)")
    arguments = parser.parse_args(argv)
    sizes = arguments.symbols or list(QUICK_SIZES if arguments.quick else SIZES)
    terms = Terms(arguments.minutes or (QUICK_MINUTES if arguments.quick else MINUTES))
    is_whole = (tuple(sizes), terms.minutes, arguments.no_beside) == (SIZES, MINUTES, False)
    out = arguments.out or (results.FOLDER / "load.json" if is_whole else None)
    about, began = machine(), perf_counter()
    with _folder(arguments.folder) as folder:
        rows = measure(folder, sizes, terms, not arguments.no_beside)
    took = (perf_counter() - began) / 60
    data = (
        f"{terms.minutes} closes around the turn of a day, a local Bitget over HTTP with "
        f"{terms.latency_s * 1000:.0f} ms a round trip and {terms.per_second} requests a second and endpoint, "
        f"in {took:.0f} minutes"
    )
    page = PAGE if is_whole and arguments.out is None else None
    return finish("load", kept(about, rows, data), out, page)


def measure(folder: Path, sizes: Sequence[int], terms: Terms, beside: bool) -> list[Row]:
    """Measure some sizes, and the first of them once more with work beside it where asked for.

    Raises
    ------
    RuntimeError
        The engine's process ended before its time.
    """
    _say("learning a model")
    made = learn(folder, terms.history_days)
    rows: list[Row] = []
    for place, size in enumerate(sizes):
        stage = prepare(folder / f"{size}", size, terms.start_ms, made, _say, terms.history_days)
        again = _copy(stage, folder / f"{size}-beside") if beside and place == 0 else None
        told, exchange = _engine(stage, terms, f"{size} symbols")
        rows += size_rows(size, terms.per_second, told, exchange)
        if again is not None:
            with _working(again, BESIDE) as ran:
                busy, _ = _engine(again, terms, f"{size} symbols, others at work")
                rows += extra_rows(told["minutes"], busy["minutes"], ran())
            shutil.rmtree(again.folder, ignore_errors=True)
    return rows


def _copy(stage: LoadStage, folder: Path) -> LoadStage:
    copy_database(stage.config, folder)
    for path in stage.tapes:
        shutil.copyfile(path, folder / Path(path).name)
    return LoadStage(str(folder), stage.symbols, stage.start_ms)


def _engine(stage: LoadStage, terms: Terms, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the engine against an exchange of its own; return what both said."""
    offer = Offer(stage.symbols, stage.tapes, stage.start_ms, terms.latency_s, terms.per_second)
    context = multiprocessing.get_context("spawn")
    with Exchange(offer) as exchange:
        says, door = context.Pipe(duplex=False)
        given = (stage.as_values(), exchange.url, terms.rate_limit_ms, terms.warm, terms.minutes, exchange.line, door)
        engine = context.Process(target=_load_engine.serve, args=given, daemon=True)
        engine.start()
        door.close()
        try:
            told = _followed(says, terms, what)
        except EOFError as error:
            engine.join()
            raise RuntimeError(f"the engine ended before its time (exit code {engine.exitcode})") from error
        finally:
            if engine.is_alive():
                engine.terminate()
            engine.join()
        exchange.line.send("counts")
        return told, exchange.line.recv()


def _followed(engine: Connection, terms: Terms, what: str) -> dict[str, Any]:
    """Show how far the engine is until it hands in what it measured."""
    with tqdm(total=terms.warm + terms.minutes, unit="close", desc=what, dynamic_ncols=True, disable=None) as bar:
        while True:
            if not engine.poll(_SLOWEST_MINUTE_S):
                raise RuntimeError(f"the engine has said nothing for {_SLOWEST_MINUTE_S:.0f} s")
            said = engine.recv()
            if isinstance(said, dict):
                return said
            number, late_ms = said
            bar.set_postfix_str(f"{late_ms / 1000:.1f} s after the close", refresh=False)
            bar.update(number - bar.n)


@contextmanager
def _working(stage: LoadStage, commands: Sequence[str]) -> Iterator[Any]:
    """Have commands run again and again, each in a process of its own; yield what says how often each ended.

    Raises
    ------
    RuntimeError
        One of them failed.
    """
    context = multiprocessing.get_context("spawn")
    ended = dict.fromkeys(commands, 0)
    with ExitStack() as opened:
        doors = {}
        for name in commands:
            says, door = context.Pipe(duplex=False)
            process = context.Process(target=_load_beside.serve, args=(str(stage.config), name, door))
            process.start()
            door.close()
            opened.callback(_end, process)
            doors[name] = says

        def ran() -> dict[str, int]:
            for name, says in doors.items():
                while says.poll():
                    try:
                        code = says.recv()
                    except EOFError:  # it has ended, and said so before
                        break
                    if code:
                        said = Path(stage.folder, f"{name}.out").read_text(encoding="utf-8")[-1_000:]
                        if "error: training rows: " in said:  # too few were found in two days of a few symbols
                            break
                        raise RuntimeError(f"{name} beside the engine ended with {code}:\n{said}")
                    ended[name] += 1
            return ended

        yield ran


def _end(process: Any) -> None:
    """Have a command end as a signal ends it: what is committed stays."""
    process.terminate()
    process.join(_ENDS_S)
    if process.is_alive():
        process.kill()
        process.join()


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="trader-load-") as folder:
        yield Path(folder)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
