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

from core.cli._options import CONFIG, add_commands
from core.errors import TraderError, nearest

__all__ = ["main"]

USAGE = 64
INTERRUPTED = 130


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
        0; 1 a check failed, or not enough yet; 2 configuration; 3 already running; 4 database; 5 model; 6 credentials;
        7 market; 8 input file; 9 disk; 64 wrong usage; 130 interrupted. The watchdog ends the process itself, with 70.
    """
    arguments = _parsed(sys.argv[1:] if argv is None else argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        with _private_files(), _ended_by_signals(arguments):
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
        from core.cli._hints import completed, given
        from core.cli._told import told

        line, code = told(error)
        print(f"error: {completed(line, given(arguments))}", file=sys.stderr)
        return code


class _Ended(SystemExit):
    """A signal asked the command to end.

    Not a `KeyboardInterrupt`: where one passes through ``exec`` (an import is enough), Python 3.11 ends the process
    by SIGINT although it was caught.
    """


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Let what is created inside, here and in child processes, be for its owner alone; Windows has no such rights."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


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
        made.add_argument("--config", default=CONFIG, metavar="FILE", help=f"the configuration ({CONFIG})")
        made.add_argument("--profile", metavar="NAME", help="lay config.NAME.yaml over it, such as demo (none)")
        made.add_argument("--debug", action="store_true", help="show tracebacks and debug lines (off)")
        made.set_defaults(command=lambda arguments: _run(name, arguments), parser=made)
        return made

    add_commands(add)
    return parser


_HOME = {
    "init-db": "data",
    "db-inspect": "data",
    "download-data": "data",
    "run": "engine",
    "scan-signals": "engine",
    "retro-scan": "retro",
    "analyze-results": "engine",
    "report": "report",
    "stress": "engine",
    "train-meta": "learn",
    "calibrate-meta": "learn",
    "tune-thresholds": "learn",
    "model": "learn",
    "thresholds": "learn",
    "why": "explain",
    "whynot": "explain",
    "funnel": "explain",
    "reliability": "explain",
    "demo": "demo",
    "check": "checks",
    "parity": "checks",
    "health": "health",
    "maintain": "care",
    "backup": "backups",
    "restore": "backups",
    "doctor": "doctor",
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
    from core.redact import install_redaction

    install_redaction([os.environ.get("TELEGRAM_BOT_TOKEN", "")])  # until the configuration says what is secret
    gc.disable()  # looking for garbage again and again while a thousand modules load takes long and finds none
    try:
        module = importlib.import_module(f"core.cli.{_HOME[name]}")
    finally:
        gc.enable()
    if not gc.get_freeze_count():
        gc.freeze()  # nor does looking through all that later on
    function: Callable[[argparse.Namespace], int] = getattr(module, name.replace("-", "_"))
    return function(arguments)
