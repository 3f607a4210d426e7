"""The command line: one function a command.

The law: an error is one line on standard error and a stable exit code; a traceback only with `--debug`.
Nothing heavier than argparse is imported until a command runs, so `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from core.errors import TraderError, nearest

__all__ = ["main"]

USAGE = 64
INTERRUPTED = 130
_DATE = "a date or time such as 2024-01-31T12:00, UTC"


class _Parser(argparse.ArgumentParser):
    """Argparse with the engine's exit code for wrong usage, and the name that was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and end with exit code 64."""
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(USAGE)

    def refuse(self, unknown: str) -> NoReturn:
        """Say that an argument is not one of this command's, and which comes near."""
        if not unknown.startswith("-"):
            self.error(f"unexpected argument '{unknown}'")
        name = unknown.split("=")[0]
        valid = sorted({*re.findall(r"--[\w-]+", self.format_usage()), "--help"})
        self.error(f"unknown option '{name}'; {nearest(name, valid)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The command and its arguments; the process's own where not given.

    Returns
    -------
    int
        0; 1 a check failed; 2 configuration; 3 already running; 4 database; 5 model; 6 credentials;
        7 market; 8 input file; 9 disk; 64 wrong usage; 130 interrupted.
    """
    arguments = _parsed(sys.argv[1:] if argv is None else argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        with _ended_by_signals(arguments):
            return command(arguments)
    except _Ended:
        print("interrupted: what was committed stays, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; without this Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TraderError, OSError) as error:
        if arguments.debug:
            raise
        from core.cli._told import told

        line, code = told(error)
        print(f"error: {line}", file=sys.stderr)
        return code


class _Ended(SystemExit):
    """A signal asked the command to end.

    Not a `KeyboardInterrupt`: where one passes through ``exec`` (an import is enough), Python 3.11 ends the process
    by SIGINT although it was caught.
    """


@contextlib.contextmanager
def _ended_by_signals(arguments: argparse.Namespace) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the command while inside, so that it closes what it opened.

    A scheduler is only told, through `asked_to_end`: an exception raised wherever it happens to be while it starts
    may be swallowed there, and an engine that does not end is worse than one that first finishes starting.
    """
    asked_to_end = arguments.asked_to_end = threading.Event()
    is_scheduler = arguments.name == "run" and not arguments.once

    def end(_number: int, _frame: FrameType | None) -> None:
        asked_to_end.set()
        if not is_scheduler:
            raise _Ended

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Return the command and its arguments; end with exit code 64 where they are none."""
    parser = _parser()
    first = argv[0] if argv else ""
    if first not in (*_HOME, "-h", "--help"):
        what = f"unknown command '{first}'" if first and not first.startswith("-") else "name a command first"
        parser.error(f"{what}; {nearest(first, _HOME)}")
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        arguments.parser.refuse(unknown[0])
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trader",
        description="A crypto signal engine that tells the truth about its own signals.",
        epilog="trader COMMAND --help shows the options of a command; docs and README.md show how they go together.",
    )
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", required=True)

    def add(name: str, text: str, examples: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.add_argument("--config", default="config.yaml", metavar="FILE", help="the configuration (config.yaml)")
        made.add_argument("--profile", metavar="NAME", help="lay config.NAME.yaml over it, such as demo (none)")
        made.add_argument("--debug", action="store_true", help="show tracebacks and debug lines (off)")
        made.set_defaults(command=lambda arguments: _run(name, arguments), parser=made)
        return made

    _add_data_commands(add)
    _add_scan_commands(add)
    _add_check_commands(add)
    _add_care_commands(add)
    return parser


_HOME = {
    "init-db": "data",
    "db-inspect": "data",
    "download-data": "data",
    "run": "engine",
    "scan-signals": "engine",
    "retro-scan": "retro",
    "analyze-results": "engine",
    "stress": "engine",
    "demo": "demo",
    "check": "checks",
    "parity": "checks",
    "maintain": "care",
    "config": "care",
    "symbols": "care",
}

# What libraries read when they are imported. Arrow's own allocator sets 20 MB aside, for columns of a few words; the
# threads of OpenBLAS, which nothing here uses, cost a start 0.05 s.
_LIGHT_START = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}


def _run(name: str, arguments: argparse.Namespace) -> int:
    """Import the module a command lives in and run it."""
    for setting, value in _LIGHT_START.items():
        os.environ.setdefault(setting, value)
    gc.disable()  # looking for garbage again and again while a thousand modules load takes long and finds none
    try:
        module = importlib.import_module(f"core.cli.{_HOME[name]}")
    finally:
        gc.enable()
    if not gc.get_freeze_count():
        gc.freeze()  # nor does looking through all that later on
    function: Callable[[argparse.Namespace], int] = getattr(module, name.replace("-", "_"))
    return function(arguments)


Add = Callable[..., argparse.ArgumentParser]


def _add_data_commands(add: Add) -> None:
    made = add("init-db", "Create the database, or bring it up to this version (a back-up is made first).")
    made.add_argument("--dry-run", action="store_true", help="only say what would be done (off)")

    add("db-inspect", "Count and measure what the database holds: rows, ranges, gaps, sizes.")

    made = add(
        "download-data",
        "Back-fill one-minute candles from the exchange, or move candles in and out of files.",
        "examples:\n  trader download-data --start 2024-01-01\n"
        "  trader download-data --import candles/ --exchange binance\n  trader download-data --export out/",
    )
    made.add_argument("--start", metavar="DATE", help=f"from here, {_DATE} (backfill.start_date)")
    made.add_argument("--end", metavar="DATE", help=f"up to here, {_DATE} (now)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument(
        "--import", dest="source", metavar="PATH", help="read Parquet, CSV or zipped CSV, a file or folder (none)"
    )
    made.add_argument("--symbol", metavar="SYMBOL", help="whose candles the imported file holds (told from its name)")
    made.add_argument("--exchange", metavar="ID", help="record imported candles under this exchange (exchange.id)")
    made.add_argument("--export", dest="target", metavar="FOLDER", help="write one Parquet file a symbol (none)")
    made.add_argument("--timeframe", metavar="TF", help="what to export (1m)")
    made.add_argument("--force", action="store_true", help="overwrite exported files (off)")


def _add_scan_commands(add: Add) -> None:
    made = add("run", "Run the engine: sync, resample, execute and scan each minute, and send alerts.")
    made.add_argument("--once", action="store_true", help="one full cycle, then exit (off)")

    add("scan-signals", "Resample, execute and scan what is stored, once, without asking the exchange.")

    made = add(
        "retro-scan",
        "Fill in signals and trades over stored candles; running it again changes nothing.",
        "examples:\n  trader retro-scan --start 2023-01-01 --end 2023-04-01 --timeframes 15m 1h 4h\n"
        "  trader retro-scan --jobs 8\n  trader retro-scan --cluster tcp://10.0.0.5:8786",
    )
    made.add_argument("--start", metavar="DATE", help=f"first close, {_DATE} (the first stored candle)")
    made.add_argument("--end", metavar="DATE", help=f"last close, {_DATE} (the newest stored candle)")
    made.add_argument("--stride", type=_positive, default=1, metavar="N", help="keep every N-th candle of the grid (1)")
    made.add_argument(
        "--limit-per-pair",
        type=_positive,
        default=0,
        metavar="N",
        help="keep the newest N signals per symbol and timeframe (all)",
    )
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all configured)")
    who = made.add_mutually_exclusive_group()
    who.add_argument(
        "--jobs", type=_positive, default=0, metavar="N", help="processes at once (up to compute.jobs, as worth it)"
    )
    who.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="scheduler of a Dask cluster that computes (compute.backend)"
    )

    made = add("analyze-results", "Print the results with their intervals and write the equity curve as CSV.")
    made.add_argument("--out", default="equity.csv", metavar="FILE", help="where the equity curve goes (equity.csv)")
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to count (the newest)")

    _add_stress_command(add)

    made = add("demo", "Build a synthetic market, scan its past, then run the live engine over the days after it.")
    made.add_argument(
        "--seconds", type=_positive, default=100, metavar="S", help="about how long the live part takes, seconds (100)"
    )


def _add_stress_command(add: Add) -> None:
    made = add(
        "stress",
        "Play the trades on record again under other assumptions about fills, costs and delays; nothing is stored.",
        "variants: conservative optimistic touch through costs-X delay-MINUTES together\n"
        "examples:\n  trader stress --timeframes 1h 4h\n  trader stress --variants costs-2 delay-30 together",
    )
    made.add_argument("--start", metavar="DATE", help=f"candidates decided from here on, {_DATE} (the first)")
    made.add_argument("--end", metavar="DATE", help=f"candidates decided before, {_DATE} (the last)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all on record)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all on record)")
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to play again (the newest)")
    made.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="what to assume (conservative optimistic through costs-1.5 delay-1 delay-2 delay-5 delay-15 together)",
    )


def _add_check_commands(add: Add) -> None:
    examples = "examples:\n  trader check lookahead --synthetic\n  trader check warmup --timeframes 1h 4h"
    made = add(
        "check",
        "Look for anything that changes with the future, or for declared warm-ups that are too short.",
        examples,
    )
    made.add_argument("action", type=_one_of("lookahead", "warmup"), metavar="ACTION", help="lookahead or warmup")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all derived)")
    made.add_argument("--cuts", type=_positive, default=40, metavar="N", help="how many times each is cut (40)")
    made.add_argument("--seed", type=_positive, default=1, metavar="N", help="which cuts, and which other futures (1)")
    made.add_argument("--synthetic", action="store_true", help="on generated candles instead of stored ones (off)")

    example = "example:\n  trader parity --start 2024-01-01 --explain"
    made = add("parity", "Make recorded live decisions again from the database, and explain each difference.", example)
    made.add_argument("--start", metavar="DATE", help=f"closes after this, {_DATE} (the first live one)")
    made.add_argument("--end", metavar="DATE", help=f"closes up to this, {_DATE} (the last live one)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all that were scanned)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all that were scanned)")
    made.add_argument("--explain", action="store_true", help="list what differs, and why (off)")


def _add_care_commands(add: Add) -> None:
    add("maintain", "Checkpoint the write-ahead log and give free pages back.")

    made = add("config", "Check the configuration, or show it with secrets hidden.")
    made.add_argument("action", type=_one_of("check", "show"), metavar="ACTION", help="check or show")

    made = add("symbols", "List the symbols, or pause and resume following one.")
    made.add_argument("action", type=_one_of("list", "pause", "resume"), metavar="ACTION", help="list, pause or resume")
    made.add_argument("symbol", nargs="?", metavar="SYMBOL", help="such as BTC/USDT:USDT")


def _one_of(*valid: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text not in valid:
            raise argparse.ArgumentTypeError(f"'{text}' is not known; {nearest(text, valid)}")
        return text

    return checked


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected a whole number of at least 1")
    return int(text)
