"""The command line: one function a command.

The law: an error is one line on standard error and a stable exit code; a traceback only with `--debug`.
Nothing heavier than argparse is imported until a command runs, so `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

__all__ = ["main"]

USAGE = 64
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Argparse with the engine's exit code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(USAGE)


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
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    from core.errors import TraderError

    try:
        return command(arguments)
    except KeyboardInterrupt:
        print("interrupted: what was committed stays, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except (TraderError, OSError) as error:
        if arguments.debug:
            raise
        from core.cli._told import told

        line, code = told(error)
        print(f"error: {line}", file=sys.stderr)
        return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="trader", description="A crypto signal engine that tells the truth about its own signals.")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", required=True)

    def add(name: str, text: str, examples: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=text, description=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.add_argument("--config", default="config.yaml", metavar="FILE", help="configuration (config.yaml)")
        made.add_argument("--profile", metavar="NAME", help="lay config.NAME.yaml over it, such as demo")
        made.add_argument("--debug", action="store_true", help="show tracebacks and debug lines")
        made.set_defaults(command=lambda arguments: _run(name, arguments))
        return made

    _add_data_commands(add)
    _add_scan_commands(add)
    _add_care_commands(add)
    return parser


_HOME = {
    "init-db": "data",
    "db-inspect": "data",
    "download-data": "data",
    "run": "engine",
    "scan-signals": "engine",
    "retro-scan": "engine",
    "analyze-results": "engine",
    "demo": "demo",
    "maintain": "care",
    "config": "care",
    "symbols": "care",
}


def _run(name: str, arguments: argparse.Namespace) -> int:
    """Import the module a command lives in and run it."""
    module = importlib.import_module(f"core.cli.{_HOME[name]}")
    function: Callable[[argparse.Namespace], int] = getattr(module, name.replace("-", "_"))
    return function(arguments)


Add = Callable[..., argparse.ArgumentParser]


def _add_data_commands(add: Add) -> None:
    made = add("init-db", "Create the database, or bring it up to this version (a back-up is made first).")
    made.add_argument("--dry-run", action="store_true", help="only say what would be done")

    add("db-inspect", "Count and measure what the database holds: rows, ranges, gaps, sizes.")

    made = add(
        "download-data",
        "Back-fill one-minute candles from the exchange, or move candles in and out of files.",
        "examples:\n  trader download-data --start 2024-01-01\n"
        "  trader download-data --import candles/ --exchange binance\n  trader download-data --export out/",
    )
    made.add_argument("--start", metavar="DATE", help="from here (backfill.start_date)")
    made.add_argument("--end", metavar="DATE", help="up to here (now)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument(
        "--import", dest="source", metavar="PATH", help="read Parquet, CSV or zipped CSV, a file or folder"
    )
    made.add_argument("--symbol", metavar="SYMBOL", help="whose candles the imported file holds")
    made.add_argument("--exchange", metavar="ID", help="record imported candles under this exchange (exchange.id)")
    made.add_argument("--export", dest="target", metavar="FOLDER", help="write one Parquet file a symbol")
    made.add_argument("--timeframe", default="1m", metavar="TF", help="what to export (1m)")
    made.add_argument("--force", action="store_true", help="overwrite exported files")


def _add_scan_commands(add: Add) -> None:
    made = add("run", "Run the engine: sync, resample, execute and scan each minute, and send alerts.")
    made.add_argument("--once", action="store_true", help="one full cycle, then exit")

    add("scan-signals", "Resample, execute and scan what is stored, once, without asking the exchange.")

    made = add(
        "retro-scan",
        "Fill in signals and trades over stored candles; running it again changes nothing.",
        "example:\n  trader retro-scan --start 2023-01-01 --end 2023-04-01 --timeframes 15m 1h 4h",
    )
    made.add_argument("--start", metavar="DATE", help="first close (the first stored candle)")
    made.add_argument("--end", metavar="DATE", help="last close (the newest stored candle)")
    made.add_argument("--stride", type=_positive, default=1, metavar="N", help="keep every N-th candle of the grid (1)")
    made.add_argument(
        "--limit-per-pair", type=_positive, default=0, metavar="N", help="keep the newest N per symbol and timeframe"
    )
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all configured)")

    made = add("analyze-results", "Print the results with their intervals and write the equity curve as CSV.")
    made.add_argument("--out", default="equity.csv", metavar="FILE", help="where the equity curve goes (equity.csv)")
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to count (the newest)")

    made = add("demo", "Build a synthetic market, scan its past, then run the live engine over the days after it.")
    made.add_argument(
        "--seconds", type=_positive, default=100, metavar="S", help="about how long the live part takes (100)"
    )


def _add_care_commands(add: Add) -> None:
    add("maintain", "Checkpoint the write-ahead log and give free pages back.")

    made = add("config", "Check the configuration, or show it with secrets hidden.")
    made.add_argument("action", choices=["check", "show"])

    made = add("symbols", "List the symbols, or pause and resume following one.")
    made.add_argument("action", choices=["list", "pause", "resume"])
    made.add_argument("symbol", nargs="?", metavar="SYMBOL")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected a whole number of at least 1")
    return int(text)
